package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"holdfast/config/setting"
)

// KeySet is the public keys of an issuer, from its JSON Web Key Set (RFC 7517). The keys are fetched when a token first needs
// one, again once they are older than Refresh, and when a token names a key that is not among them: the issuer may have begun
// to sign with another. That, everybody may cause, and so it happens no more often than every MinRefetch.
type KeySet struct {
	url      string
	settings KeySettings
	client   *http.Client
	log      *slog.Logger
	now      func() time.Time

	fetching chan struct{} // held by who fetches

	mu      sync.Mutex
	keys    map[string]crypto.PublicKey // by kid
	fetched time.Time                   // when the keys are from
	tried   time.Time                   // when they were last asked for
}

// KeySettings bound how often keys are fetched. Zero fields take their default, which suits issuers that announce a key some
// minutes before they sign with it, as all large ones do.
type KeySettings struct {
	// Refresh is the age from which keys are fetched anew: how long a key is accepted that the issuer has withdrawn. New keys are
	// found at once.
	Refresh time.Duration `key:"jwksRefresh" default:"10m" min:"1m" max:"24h"`
	// MinRefetch is the shortest time between two fetches, successful or not.
	MinRefetch time.Duration `default:"30s"`
	// MaxStale is the age to which keys are used while the issuer does not answer.
	MaxStale time.Duration `default:"24h"`
	// Timeout bounds one fetch.
	Timeout time.Duration `default:"5s"`
}

const (
	// maxKeySet and maxKeys bound what an issuer may send.
	maxKeySet, maxKeys = 256 << 10, 100
	// minRSA is the shortest key that RS256 is specified for (RFC 7518, section 3.3); longer ones than maxRSA only cost time.
	minRSA, maxRSA = 2048, 8192
)

var errUnknownKey = errors.New("signed with a key that the issuer does not publish")

// NewKeySet returns the keys at a URL. It fetches nothing yet, so that a shop starts while its issuer does not.
func NewKeySet(url string, s KeySettings, log *slog.Logger) *KeySet {
	setting.Fill(&s)
	return &KeySet{
		url: url, settings: s, log: log, now: time.Now, fetching: make(chan struct{}, 1),
		client: &http.Client{Timeout: s.Timeout, CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("the key set is not to be found elsewhere") // such as at an address inside
		}},
	}
}

// key finds the key that a token was signed with. A key fits one method only: a token does not choose what its signature is
// compared with.
func (s *KeySet) key(ctx context.Context, t *jwt.Token) (crypto.PublicKey, error) {
	id, _ := t.Header["kid"].(string)
	key, known := s.lookup(id)
	if !known {
		if err := s.refetch(ctx); err != nil {
			return nil, err
		}
		if key, known = s.lookup(id); !known {
			return nil, errUnknownKey
		}
	}
	switch key.(type) {
	case *rsa.PublicKey:
		known = t.Method == jwt.SigningMethodRS256
	case *ecdsa.PublicKey:
		known = t.Method == jwt.SigningMethodES256
	}
	if !known {
		return nil, errUnknownKey
	}
	return key, nil
}

// lookup finds a key that is fresh enough, or as fresh as can be had.
func (s *KeySet) lookup(id string) (crypto.PublicKey, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	age := s.now().Sub(s.fetched)
	if age > s.settings.MaxStale || age > s.settings.Refresh && s.now().Sub(s.tried) >= s.settings.MinRefetch {
		return nil, false
	}
	key, known := s.keys[id]
	if id == "" && len(s.keys) == 1 { // an issuer with one key need not name it
		for _, key = range s.keys {
			known = true
		}
	}
	return key, known
}

// refetch fetches the keys, unless that has just been tried. One fetches, the others wait for it.
func (s *KeySet) refetch(ctx context.Context) error {
	select {
	case s.fetching <- struct{}{}:
		defer func() { <-s.fetching }()
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.Lock()
	again := s.now().Sub(s.tried) < s.settings.MinRefetch
	if !again {
		s.tried = s.now()
	}
	s.mu.Unlock()
	if again {
		return nil
	}
	// Not with the caller's context: who goes away would leave the others without keys until the next attempt.
	keys, err := s.fetch(context.WithoutCancel(ctx))
	if err != nil {
		s.log.ErrorContext(ctx, "the keys of access tokens cannot be fetched", "error", err)
		return nil // those that are known may do
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys, s.fetched = keys, s.now()
	return nil
}

func (s *KeySet) fetch(ctx context.Context) (map[string]crypto.PublicKey, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, setting.WithoutURL(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxKeySet+1))
	if err == nil && len(text) > maxKeySet {
		err = fmt.Errorf("more than %d bytes", maxKeySet)
	}
	if err != nil {
		return nil, err
	}
	return parseKeys(text)
}

// parseKeys reads the keys that can be used, and passes over the others: an issuer may publish some for other purposes, and
// one that is broken must not take the good ones with it.
func parseKeys(text []byte) (map[string]crypto.PublicKey, error) {
	var set struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("no key set: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("%d keys, more than %d", len(set.Keys), maxKeys)
	}
	keys := map[string]crypto.PublicKey{}
	for _, raw := range set.Keys {
		var k jwkset.JWKMarshal
		if json.Unmarshal(raw, &k) != nil || k.USE != "" && k.USE != jwkset.UseSig {
			continue
		}
		if key := publicKey(k); key != nil {
			keys[k.KID] = key
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("no key for RS256 or ES256")
	}
	return keys, nil
}

// publicKey returns a key for RS256 or ES256, or nil if the key is for something else, broken, or out of bounds.
func publicKey(k jwkset.JWKMarshal) crypto.PublicKey {
	// Only what the public key consists of: no certificates, and no addresses of any.
	parts := jwkset.JWKMarshal{KTY: k.KTY, CRV: k.CRV, N: k.N, E: k.E, X: k.X, Y: k.Y}
	parsed, err := jwkset.NewJWKFromMarshal(parts, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	if err != nil {
		return nil
	}
	switch key := parsed.Key().(type) {
	case *rsa.PublicKey:
		if k.ALG != "" && k.ALG != jwkset.AlgRS256 {
			return nil
		}
		if bits := key.N.BitLen(); bits < minRSA || bits > maxRSA || key.E < 3 || key.E%2 == 0 {
			return nil
		}
		return key
	case *ecdsa.PublicKey:
		if k.ALG != "" && k.ALG != jwkset.AlgES256 || key.Curve != elliptic.P256() {
			return nil
		}
		return key
	}
	return nil
}
