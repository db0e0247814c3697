package auth

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
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

// TestVerifiedTokens checks each token once, and yet accepts none longer than without a memory: until it expires, and until its
// key is withdrawn or replaced.
func TestVerifiedTokens(t *testing.T) {
	t.Run("expiry", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			v, err := NewVerifier(tokenSecret, issuer, "")
			if err != nil {
				t.Fatal(err)
			}
			token, err := Issue(tokenSecret, issuer, "", "alice", []Role{Customer}, time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			first, err := v.Verify(token)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour + leeway - time.Second)
			parser := v.parser
			v.parser = nil // a token that is known needs none
			if again, err := v.Verify(token); err != nil || again != first {
				t.Errorf("%+v, %v, want %+v", again, err, first)
			}
			v.parser = parser
			if _, err := v.Verify(token[:len(token)-2] + "AA"); !errors.Is(err, ErrToken) {
				t.Errorf("another signature: %v", err)
			}
			time.Sleep(time.Second)
			if _, err := v.Verify(token); !errors.Is(err, jwt.ErrTokenExpired) {
				t.Errorf("after its expiry: %v", err)
			}
		})
	})
	t.Run("long", func(t *testing.T) { // a name may fill a token, and would be kept with it
		i := newIssuer(t)
		key, public := ecKey(t, "ec")
		i.publish(public)
		v, _ := newKeys(t, i)
		for length, want := range map[int]int{maxRemembered / 2: 1, maxRemembered: 0} {
			v.verified.Purge()
			token := signed(t, jwt.SigningMethodES256, key, "ec", jwt.MapClaims{"name": strings.Repeat("n", length)})
			for range 2 {
				if _, err := v.Check(t.Context(), token); err != nil {
					t.Fatal(err)
				}
			}
			if got := v.verified.Len(); got != want {
				t.Errorf("of a token of %d bytes, %d are remembered, want %d", len(token), got, want)
			}
		}
	})
	for name, rotate := range map[string]func(i *issuing){
		"withdrawn": func(i *issuing) { _, other := ecKey(t, "other"); i.publish(other) },
		"replaced":  func(i *issuing) { _, same := ecKey(t, "ec"); i.publish(same) },
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			key, public := ecKey(t, "ec")
			i.publish(public)
			v, now := newKeys(t, i)
			token := signed(t, jwt.SigningMethodES256, key, "ec", nil)
			check := func() error {
				_, err := v.Check(t.Context(), token)
				return err
			}
			if err := check(); err != nil {
				t.Fatal(err)
			}
			now.pass(11 * time.Minute) // the keys are fetched anew, and are the same
			if err := check(); err != nil {
				t.Error(err)
			}
			rotate(i)
			if err := check(); err != nil {
				t.Errorf("the keys are fetched too often: %v", err)
			}
			now.pass(11 * time.Minute)
			if err := check(); !errors.Is(err, ErrToken) {
				t.Errorf("its key is %s: %v", name, err)
			}
		})
	}
	t.Run("unnamed key", func(t *testing.T) { // which only an issuer with one key may have
		i := newIssuer(t)
		key, public := ecKey(t, "ec")
		_, second := ecKey(t, "second")
		i.publish(public)
		v, now := newKeys(t, i)
		token := signed(t, jwt.SigningMethodES256, key, "", nil)
		if _, err := v.Check(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		i.publish(public, second)
		now.pass(11 * time.Minute)
		if _, err := v.Check(t.Context(), token); !errors.Is(err, ErrToken) {
			t.Errorf("the issuer has two keys now: %v", err)
		}
	})
}
