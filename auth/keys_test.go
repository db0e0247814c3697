package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const issuer = "https://issuer.example"

// issuing is an issuer that publishes its keys.
type issuing struct {
	t      *testing.T
	server *httptest.Server

	mu      sync.Mutex
	keys    []map[string]string
	status  int
	fetched int
}

func newIssuer(t *testing.T) *issuing {
	t.Helper()
	i := &issuing{t: t, status: http.StatusOK}
	i.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.fetched++
		if i.status == http.StatusFound {
			http.Redirect(w, r, "/elsewhere", i.status)
			return
		}
		w.WriteHeader(i.status)
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": i.keys})
	}))
	t.Cleanup(i.server.Close)
	return i
}

func (i *issuing) publish(keys ...map[string]string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = keys
}

func (i *issuing) answer(status int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.status = status
}

func (i *issuing) fetches() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetched
}

func b64(n *big.Int, size int) string {
	return base64.RawURLEncoding.EncodeToString(n.FillBytes(make([]byte, size)))
}

func rsaKey(t *testing.T, id string, bits int) (*rsa.PrivateKey, map[string]string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key, map[string]string{"kty": "RSA", "kid": id, "use": "sig", "n": b64(key.N, bits/8), "e": b64(big.NewInt(int64(key.E)), 3)}
}

func ecKey(t *testing.T, id string) (*ecdsa.PrivateKey, map[string]string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return key, map[string]string{"kty": "EC", "kid": id, "crv": "P-256", "alg": "ES256", "x": encode(point[1:33]), "y": encode(point[33:])}
}

func signed(t *testing.T, method jwt.SigningMethod, key any, kid string, more jwt.MapClaims) string {
	t.Helper()
	claims := jwt.MapClaims{"iss": issuer, "sub": "alice", "aud": "holdfast", "exp": time.Now().Add(time.Hour).Unix(), "roles": []string{"CUSTOMER"}}
	for name, value := range more {
		claims[name] = value
	}
	token := jwt.NewWithClaims(method, claims)
	if kid != "" {
		token.Header["kid"] = kid
	}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// clock is moved by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newKeys(t *testing.T, i *issuing) (*Verifier, *clock) {
	t.Helper()
	keys := NewKeySet(i.server.URL, KeySettings{}, slog.New(slog.DiscardHandler))
	c := &clock{now: time.Now()}
	keys.now = c.Now
	v, err := NewKeyVerifier(keys, issuer, "holdfast")
	if err != nil {
		t.Fatal(err)
	}
	return v, c
}

func TestKeySet(t *testing.T) {
	i := newIssuer(t)
	first, firstPublic := rsaKey(t, "rsa", 2048)
	second, secondPublic := ecKey(t, "ec")
	short, shortPublic := rsaKey(t, "short", 1024)
	encrypting, encryptingPublic := rsaKey(t, "enc", 2048)
	encryptingPublic["use"] = "enc"
	i.publish(firstPublic, secondPublic, shortPublic, encryptingPublic,
		map[string]string{"kty": "oct", "kid": "oct", "k": "c2VjcmV0"}, map[string]string{"kty": "EC", "kid": "off", "crv": "P-256", "x": "AA", "y": "AA"})
	v, _ := newKeys(t, i)
	for name, token := range map[string]string{
		"RS256": signed(t, jwt.SigningMethodRS256, first, "rsa", nil), "ES256": signed(t, jwt.SigningMethodES256, second, "ec", nil),
	} {
		bearer, err := v.Check(t.Context(), token)
		if err != nil || bearer.UserID != "alice" || bearer.Admin || bearer.Expires.Before(time.Now()) {
			t.Errorf("%s: %+v, %v", name, bearer, err)
		}
	}
	public, err := base64.RawURLEncoding.DecodeString(firstPublic["n"])
	if err != nil {
		t.Fatal(err)
	}
	other, _ := rsaKey(t, "rsa", 2048)
	for name, token := range map[string]string{
		"another key by the same name": signed(t, jwt.SigningMethodRS256, other, "rsa", nil),
		"an unknown key":               signed(t, jwt.SigningMethodRS256, first, "unknown", nil),
		"no name":                      signed(t, jwt.SigningMethodRS256, first, "", nil),
		"a short key":                  signed(t, jwt.SigningMethodRS256, short, "short", nil),
		"a key for encryption":         signed(t, jwt.SigningMethodRS256, encrypting, "enc", nil),
		"the public key as a secret":   signed(t, jwt.SigningMethodHS256, public, "rsa", nil),
		"a symmetric key":              signed(t, jwt.SigningMethodHS256, []byte("secret"), "oct", nil),
		"another method":               signed(t, jwt.SigningMethodRS512, first, "rsa", nil),
		"PSS":                          signed(t, jwt.SigningMethodPS256, first, "rsa", nil),
		"no method":                    signed(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "rsa", nil),
		"another audience":             signed(t, jwt.SigningMethodRS256, first, "rsa", jwt.MapClaims{"aud": "somebody"}),
		"no audience":                  signed(t, jwt.SigningMethodRS256, first, "rsa", jwt.MapClaims{"aud": nil}),
		"another issuer":               signed(t, jwt.SigningMethodRS256, first, "rsa", jwt.MapClaims{"iss": "somebody"}),
		"expired":                      signed(t, jwt.SigningMethodRS256, first, "rsa", jwt.MapClaims{"exp": 1}),
		"never expires":                signed(t, jwt.SigningMethodRS256, first, "rsa", jwt.MapClaims{"exp": nil}),
	} {
		if _, err := v.Check(t.Context(), token); !errors.Is(err, ErrToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := i.fetches(); n != 1 {
		t.Errorf("the keys were fetched %d times, want once: everybody can name an unknown key", n)
	}
}

// TestKeyRotation finds a new key at once, and forgets a withdrawn one in time.
func TestKeyRotation(t *testing.T) {
	i := newIssuer(t)
	before, beforePublic := ecKey(t, "before")
	after, afterPublic := ecKey(t, "after")
	i.publish(beforePublic)
	v, now := newKeys(t, i)
	valid := func(key crypto.PrivateKey, kid string) bool {
		_, err := v.Check(t.Context(), signed(t, jwt.SigningMethodES256, key, kid, nil))
		return err == nil
	}
	if !valid(before, "before") || !valid(before, "") {
		t.Fatal("the key is not accepted")
	}
	i.publish(beforePublic, afterPublic)
	now.pass(time.Minute)
	if !valid(after, "after") || !valid(before, "before") {
		t.Error("the new key, or the one before, is not accepted")
	}
	i.publish(afterPublic)
	now.pass(9 * time.Minute)
	if !valid(before, "before") {
		t.Error("the keys are fetched too often")
	}
	now.pass(2 * time.Minute)
	if valid(before, "before") || !valid(after, "after") {
		t.Error("the withdrawn key is accepted, or the other is not")
	}

	// While the issuer is away, what is known counts, but not for ever.
	for _, status := range []int{http.StatusInternalServerError, http.StatusFound} {
		i.answer(status)
		now.pass(time.Hour)
		if !valid(after, "after") {
			t.Errorf("status %d: the key is forgotten", status)
		}
	}
	n := i.fetches()
	for range 50 {
		valid(after, "after")
	}
	if more := i.fetches() - n; more != 0 {
		t.Errorf("an issuer that is away was asked %d times more", more)
	}
	now.pass(25 * time.Hour)
	if valid(after, "after") {
		t.Error("a key is accepted that nobody has confirmed for a day")
	}
	i.answer(http.StatusOK)
	now.pass(time.Minute)
	if !valid(after, "after") {
		t.Error("the issuer is back, and its key is not accepted")
	}
}

// TestKeySetIsFetchedOnce by a crowd, whose first goes away meanwhile.
func TestKeySetIsFetchedOnce(t *testing.T) {
	i := newIssuer(t)
	key, public := ecKey(t, "ec")
	i.publish(public)
	v, _ := newKeys(t, i)
	token := signed(t, jwt.SigningMethodES256, key, "ec", nil)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, _ = v.Check(gone, token)
	var crowd sync.WaitGroup
	for range 50 {
		crowd.Go(func() {
			if _, err := v.Check(t.Context(), token); err != nil {
				t.Error(err)
			}
		})
	}
	crowd.Wait()
	if n := i.fetches(); n != 1 {
		t.Errorf("the keys were fetched %d times", n)
	}
}

func TestParseKeys(t *testing.T) {
	many := `{"keys":[` + strings.TrimSuffix(strings.Repeat(`{},`, 101), ",") + `]}`
	for _, text := range []string{``, `x`, `[]`, `{}`, `{"keys":{}}`, `{"keys":[]}`, `{"keys":[1,null,"x",{"kty":1}]}`, many} {
		if keys, err := parseKeys([]byte(text)); err == nil {
			t.Errorf("%.40q: %v", text, keys)
		}
	}
}

// A key that this shop does not take is passed over, and the others are taken all the same.
func TestParseKeysPassesOver(t *testing.T) {
	_, good := ecKey(t, "good")
	_, rs256 := rsaKey(t, "rsa", 2048)
	changed := func(key map[string]string, name, value string) map[string]string {
		other := maps.Clone(key)
		other["kid"], other[name] = "other", value
		return other
	}
	for name, key := range map[string]map[string]string{
		"RS512":             changed(rs256, "alg", "RS512"),
		"exponent 1":        changed(rs256, "e", "AQ"),
		"even exponent":     changed(rs256, "e", "AQAA"),
		"long exponent":     changed(rs256, "e", "AQAAAAAAAAAB"),
		"no modulus":        changed(rs256, "n", ""),
		"long modulus":      changed(rs256, "n", strings.Repeat("_", maxRSA/6+4)),
		"another curve":     changed(good, "crv", "P-384"),
		"off the curve":     changed(good, "y", good["x"]),
		"no base64":         changed(good, "x", "!"),
		"Ed25519":           {"kty": "OKP", "kid": "other", "crv": "Ed25519", "x": good["x"]},
		"for encryption":    changed(good, "use", "enc"),
		"another algorithm": changed(good, "alg", "ECDH-ES"),
	} {
		text, err := json.Marshal(map[string]any{"keys": []any{key, good}})
		if err != nil {
			t.Fatal(err)
		}
		keys, err := parseKeys(text)
		if err != nil || len(keys) != 1 || keys["good"] == nil {
			t.Errorf("%s: %v, %v", name, keys, err)
		}
	}
	// What does not concern the key itself does not spoil it, and no address in it is visited.
	text, err := json.Marshal(map[string]any{"keys": []any{map[string]any{
		"kty": "EC", "kid": "good", "crv": "P-256", "x": good["x"], "y": good["y"], "key_ops": []string{"mystery"},
		"x5u": "http://127.0.0.1:1/", "x5c": []string{"no certificate"}, "x5t": "no thumbprint",
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if keys, err := parseKeys(text); err != nil || keys["good"] == nil {
		t.Errorf("%v, %v", keys, err)
	}
}
