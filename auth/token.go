// Package auth tells who asks: it issues and verifies access tokens, and carries the viewer from the HTTP request to the
// resolvers.
package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"holdfast/commerce"
)

// Role is what a token lets its bearer do.
type Role string

// The roles; an administrator may do everything that a customer may.
const (
	Customer Role = "CUSTOMER"
	Admin    Role = "ADMIN"
)

// minSecret is the shortest secret that HMAC with SHA-256 is specified for (RFC 7518, section 3.2).
const minSecret = 32

// maxToken bounds what is parsed at all.
const maxToken = 8 << 10

// leeway is how far the clocks of issuer and verifier may be apart.
const leeway = 30 * time.Second

// ErrToken is every reason to refuse a token.
var ErrToken = errors.New("invalid access token")

type claims struct {
	jwt.RegisteredClaims
	Name  string `json:"name,omitempty"`
	Roles []Role `json:"roles"`
}

// Issue makes a token for a subject. The secret must have at least 32 bytes.
func Issue(secret []byte, issuer, subject string, roles []Role, ttl time.Duration) (string, error) {
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
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: issuer, Subject: subject, IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(ttl)),
		},
		Roles: roles,
	})
	return token.SignedString(secret)
}

// Verifier checks tokens of one issuer.
type Verifier struct {
	secret []byte
	keys   *KeySet
	parser *jwt.Parser
}

// NewVerifier returns a verifier of HS256 tokens. The secret must have at least 32 bytes.
func NewVerifier(secret []byte, issuer string) (*Verifier, error) {
	if err := checkSecret(secret); err != nil {
		return nil, err
	}
	return newVerifier(issuer, jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), Verifier{secret: secret})
}

// NewKeyVerifier returns a verifier of RS256 and ES256 tokens by the public keys of their issuer. Tokens must be meant for
// the audience, unless that is empty: an issuer may serve others than this shop.
func NewKeyVerifier(keys *KeySet, issuer, audience string) (*Verifier, error) {
	methods := jwt.WithValidMethods([]string{jwt.SigningMethodRS256.Alg(), jwt.SigningMethodES256.Alg()})
	if audience == "" {
		return newVerifier(issuer, methods, Verifier{keys: keys})
	}
	return newVerifier(issuer, methods, Verifier{keys: keys}, jwt.WithAudience(audience))
}

// newVerifier allows some methods: never "none", nor one whose key is not the verifier's.
func newVerifier(issuer string, methods jwt.ParserOption, v Verifier, more ...jwt.ParserOption) (*Verifier, error) {
	if issuer == "" {
		return nil, errors.New("the issuer of access tokens has no name") // the parser would not compare it then
	}
	v.parser = jwt.NewParser(append(more, methods, jwt.WithIssuer(issuer), jwt.WithExpirationRequired(), jwt.WithLeeway(leeway))...)
	return &v, nil
}

// Verify returns who bears a token. Every error is an [ErrToken]. To a nil verifier no token is valid.
func (v *Verifier) Verify(token string) (commerce.Viewer, error) {
	b, err := v.Check(context.Background(), token)
	return b.Viewer, err
}

// Check is Verify that tells until when the token is valid. ctx bounds the wait for a key that is not known yet.
func (v *Verifier) Check(ctx context.Context, token string) (Bearer, error) {
	if v == nil {
		return Bearer{}, fmt.Errorf("%w: none is expected", ErrToken)
	}
	if len(token) > maxToken {
		return Bearer{}, fmt.Errorf("%w: longer than %d bytes", ErrToken, maxToken)
	}
	var c claims
	_, err := v.parser.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		if v.keys == nil {
			return v.secret, nil
		}
		return v.keys.key(ctx, t)
	})
	if err != nil {
		return Bearer{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	viewer, err := viewerOf(c.Subject, c.Name, c.Roles)
	if err != nil {
		return Bearer{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	return Bearer{Viewer: viewer, Expires: c.ExpiresAt.Add(leeway)}, nil
}

// viewerOf refuses a token without a role of this shop: it was issued for something else.
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
