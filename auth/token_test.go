package auth

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

var tokenSecret = []byte("a secret of the tests, 32 bytes or longer")

// TestAudience has a verifier with a secret compare the audience of tokens, of which Issue writes it.
func TestAudience(t *testing.T) {
	issued := func(audience string) string {
		token, err := Issue(tokenSecret, issuer, audience, "alice", []Role{Customer}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	several := signed(t, jwt.SigningMethodHS256, tokenSecret, "", jwt.MapClaims{"aud": []string{"other", "shop"}})
	for _, test := range []struct {
		configured, name, token string
		valid                   bool
	}{
		{"shop", "its own", issued("shop"), true},
		{"shop", "among others", several, true},
		{"shop", "another", issued("other"), false},
		{"shop", "none", issued(""), false},
		{"", "any", issued("other"), true},
		{"", "none", issued(""), true},
	} {
		v, err := NewVerifier(tokenSecret, issuer, test.configured)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(test.token); (err == nil) != test.valid || err != nil && !errors.Is(err, ErrToken) {
			t.Errorf("audience %q, the token names %s: %v", test.configured, test.name, err)
		}
	}
	if _, err := NewKeyVerifier(NewKeySet("https://issuer.example", KeySettings{}, slog.New(slog.DiscardHandler)), issuer, ""); err == nil {
		t.Error("a verifier by published keys takes the tokens of every audience")
	}
}

// TestCriticalHeader refuses tokens that want an extension understood, by secret and by key.
func TestCriticalHeader(t *testing.T) {
	bySecret, err := NewVerifier(tokenSecret, issuer, "holdfast")
	if err != nil {
		t.Fatal(err)
	}
	i := newIssuer(t)
	key, public := ecKey(t, "ec")
	i.publish(public)
	byKey, _ := newKeys(t, i)
	for name, c := range map[string]struct {
		verifier *Verifier
		method   jwt.SigningMethod
		key      any
	}{
		"secret": {bySecret, jwt.SigningMethodHS256, tokenSecret}, "key": {byKey, jwt.SigningMethodES256, key},
	} {
		for what, critical := range map[string]any{"": nil, "a list": []string{"exp"}, "an empty list": []string{}, "a text": "b64", "null": nil} {
			claims := jwt.MapClaims{"iss": issuer, "sub": "alice", "aud": "holdfast", "exp": time.Now().Add(time.Hour).Unix(), "roles": []string{"CUSTOMER"}}
			token := jwt.NewWithClaims(c.method, claims)
			token.Header["kid"] = "ec"
			if what != "" {
				token.Header["crit"] = critical
			}
			text, err := token.SignedString(c.key)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.verifier.Check(context.Background(), text); (err == nil) != (what == "") {
				t.Errorf("%s, crit is %q: %v", name, what, err)
			}
		}
	}
}
