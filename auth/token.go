package auth

import (
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
	lru "github.com/hashicorp/golang-lru/v2"

	"holdfast/commerce"
)

// Role is a claim of a token that says what its bearer may do.
type Role string

// The roles. An administrator may do everything that a customer may.
const (
	Customer Role = "CUSTOMER"
	Admin    Role = "ADMIN"
)

// minSecret is the shortest secret that HMAC with SHA-256 is specified for (RFC 7518, section 3.2).
const minSecret = 32

// maxToken is the longest token that is parsed, in bytes. Tokens of this shop have some hundred.
const maxToken = 8 << 10

// leeway is how far the clocks of issuer and verifier may differ.
const leeway = 30 * time.Second

// ErrToken is wrapped by every error that refuses a token.
var ErrToken = errors.New("invalid access token")

type claims struct {
	jwt.RegisteredClaims
	Name  string `json:"name,omitempty"`
	Roles []Role `json:"roles"`
}

// Issue returns an HS256 token for a subject, and for an audience unless that is empty. It fails if the secret has fewer than 32 bytes, if
// ttl is not positive, if the subject is not valid, or without a role.
func Issue(secret []byte, issuer, audience, subject string, roles []Role, ttl time.Duration) (string, error) {
	if err := checkSecret(secret); err != nil {
		return "", err
	}
	if ttl <= 0 {
		return "", fmt.Errorf("a token must live for some time, not %s", ttl)
	}
	if _, err := viewerOf(subject, "", roles); err != nil {
		return "", err
	}
	now := time.Now()
	var audiences jwt.ClaimStrings
	if audience != "" {
		audiences = jwt.ClaimStrings{audience}
	}
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: issuer, Audience: audiences, Subject: subject, IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(ttl)),
		},
		Roles: roles,
	})
	return token.SignedString(secret)
}

// Verifier checks tokens of one issuer. It is safe for concurrent use.
type Verifier struct {
	secret []byte
	keys   *KeySet
	parser *jwt.Parser
	// verified are tokens that were accepted, by the SHA-256 of their text. They are looked up before a signature is computed.
	verified *lru.Cache[[sha256.Size]byte, verified]
}

// verified is an accepted token: its bearer, and the published key that it was signed with, nil for the secret.
type verified struct {
	Bearer
	keyID string
	key   crypto.PublicKey
}

const (
	// maxVerified bounds how many accepted tokens are remembered.
	maxVerified = 10_000
	// maxRemembered is the longest token that is remembered, in bytes. An entry takes some 300 bytes, and keeps the names that the token
	// contains, so that its size is bounded by that of the token. Longer tokens are verified each time.
	maxRemembered = 2 << 10
)

// NewVerifier returns a verifier of HS256 tokens. Tokens must name the audience, unless it is empty.
// It fails if the secret has fewer than 32 bytes or the issuer is empty.
func NewVerifier(secret []byte, issuer, audience string) (*Verifier, error) {
	if err := checkSecret(secret); err != nil {
		return nil, err
	}
	return newVerifier(issuer, audience, []string{jwt.SigningMethodHS256.Alg()}, Verifier{secret: secret})
}

// NewKeyVerifier returns a verifier of RS256 and ES256 tokens, which checks them with their
// issuer's public keys. Tokens must name the audience: an issuer may serve other shops, too. It
// fails if the issuer or the audience is empty.
func NewKeyVerifier(keys *KeySet, issuer, audience string) (*Verifier, error) {
	if audience == "" {
		return nil, errors.New("the audience of access tokens has no name: those for other shops would be accepted")
	}
	return newVerifier(issuer, audience, []string{jwt.SigningMethodRS256.Alg(), jwt.SigningMethodES256.Alg()}, Verifier{keys: keys})
}

// newVerifier returns a verifier that accepts the given signing methods only, so never "none".
func newVerifier(issuer, audience string, methods []string, v Verifier) (*Verifier, error) {
	if issuer == "" {
		return nil, errors.New("the issuer of access tokens has no name") // the parser would accept any issuer
	}
	options := []jwt.ParserOption{
		jwt.WithValidMethods(methods), jwt.WithIssuer(issuer), jwt.WithExpirationRequired(), jwt.WithLeeway(leeway),
	}
	if audience != "" {
		options = append(options, jwt.WithAudience(audience))
	}
	v.parser = jwt.NewParser(options...)
	var err error
	v.verified, err = lru.New[[sha256.Size]byte, verified](maxVerified)
	return &v, err
}

// Verify returns the viewer that a token names. Every error is an [ErrToken]. A nil verifier
// refuses every token.
func (v *Verifier) Verify(token string) (commerce.Viewer, error) {
	b, err := v.Check(context.Background(), token)
	return b.Viewer, err
}

// Check is Verify with the time of expiry. ctx bounds the wait for a public key that is not known
// yet.
func (v *Verifier) Check(ctx context.Context, token string) (Bearer, error) {
	if v == nil {
		return Bearer{}, fmt.Errorf("%w: none is expected", ErrToken)
	}
	if len(token) > maxToken {
		return Bearer{}, fmt.Errorf("%w: longer than %d bytes", ErrToken, maxToken)
	}
	digest := sha256.Sum256([]byte(token))
	if before, ok := v.verified.Get(digest); ok && v.stillHolds(before) {
		return before.Bearer, nil
	}
	var c claims
	var now verified
	_, err := v.parser.ParseWithClaims(token, &c, func(t *jwt.Token) (_ any, err error) {
		// crit names extensions that a verifier must understand, or else refuse the token (RFC 7515,
		// section 4.1.11). The parser passes over them, and this one knows none.
		if _, critical := t.Header["crit"]; critical {
			return nil, errors.New("the header crit names extensions that are not known")
		}
		if v.keys == nil {
			return v.secret, nil
		}
		now.keyID, _ = t.Header["kid"].(string)
		now.key, err = v.keys.key(ctx, t)
		return now.key, err
	})
	if err != nil {
		return Bearer{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	viewer, err := viewerOf(c.Subject, c.Name, c.Roles)
	if err != nil {
		return Bearer{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	now.Bearer = Bearer{Viewer: viewer, Expires: c.ExpiresAt.Add(leeway)}
	if len(token) <= maxRemembered {
		v.verified.Add(digest, now)
	}
	return now.Bearer, nil
}

// stillHolds tells whether a token that was accepted before would be accepted now: it has not expired, and the issuer publishes its
// key, by keys that are no older than the shop would verify with. Keys that were fetched anew are others: the token is verified
// with them.
func (v *Verifier) stillHolds(before verified) bool {
	if !time.Now().Before(before.Expires) {
		return false
	}
	if v.keys == nil {
		return true
	}
	key, known := v.keys.lookup(before.keyID)
	return known && key == before.key
}

// viewerOf returns the viewer of a token's claims. It fails without a role of this shop: such a
// token was issued for something else.
func viewerOf(subject, name string, roles []Role) (commerce.Viewer, error) {
	var customer, admin bool
	for _, r := range roles {
		customer = customer || r == Customer
		admin = admin || r == Admin
	}
	if !customer && !admin {
		return commerce.Viewer{}, fmt.Errorf("no role %s or %s", Customer, Admin)
	}
	return commerce.NewViewer(subject, name, admin)
}

func checkSecret(secret []byte) error {
	if len(secret) < minSecret {
		return fmt.Errorf("the secret of access tokens has %d bytes, at least %d are needed", len(secret), minSecret)
	}
	return nil
}
