package cli

import (
	"io"
	"os"
	"testing"
)

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

func wantEqual[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}
