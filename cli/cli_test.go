package cli

import (
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"holdfast/auth"
	"holdfast/commerce"
)

// The fix of a line that cannot be imported says whether the file is at fault.
func TestFixOfAnImport(t *testing.T) {
	for _, c := range []struct {
		of   commerce.Error
		want string
	}{
		{commerce.Error{Code: commerce.LockTimeout, Retryable: true, RetryAfter: time.Second}, "import the file again"},
		{commerce.Error{Code: commerce.VersionConflict}, "import the file again"},
		{commerce.Error{Code: commerce.OutOfStock, Retryable: true}, "correct this line, or import the file again when the product has changed"},
		{commerce.Error{Code: commerce.InvalidInput, Field: []string{"input", "name"}}, "correct this line"},
	} {
		if got := fixOf(&c.of); got != c.want {
			t.Errorf("%s: %q, want %q", c.of.Code, got, c.want)
		}
	}
}

// TestFullDisk: a script that stores a token must be told if there is none.
func TestFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("needs /dev/full")
	}
	defer full.Close()
	for _, args := range [][]string{{"token", "--user", "ann"}, {"config"}, {"version"}} {
		if err := Run(t.Context(), nil, args, nil, full, io.Discard); err == nil {
			t.Errorf("holdfast %q found nothing wrong", args)
		}
	}
}

// TestTokenAudience prints a token that the server of the same configuration accepts.
func TestTokenAudience(t *testing.T) {
	const secret = "a secret of the tests, 32 bytes or longer"
	args := []string{"--set", "auth.secret=" + secret, "--set", "auth.audience=shop", "token", "--user", "ann"}
	var out strings.Builder
	if err := Run(t.Context(), nil, args, nil, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	for audience, valid := range map[string]bool{"shop": true, "other": false} {
		verifier, err := auth.NewVerifier([]byte(secret), "holdfast", audience)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := verifier.Verify(strings.TrimSpace(out.String())); (err == nil) != valid {
			t.Errorf("for %s: %v", audience, err)
		}
	}
}

func wantEqual[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}
