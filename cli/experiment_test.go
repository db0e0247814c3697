package cli

import (
	"io"
	"strings"
	"testing"
)

func TestExperimentShowsNoPasswords(t *testing.T) {
	got := typed([]string{
		"experiment", "hot-stock", "--json", "/tmp/x.json", "--html=y.html", "-q", "--rounds", "5",
		"--database-url", "postgres://u:hidden@host/x", "--redis-url=redis://:hidden@host",
	})
	want := "holdfast experiment hot-stock --rounds 5 --database-url postgres://u:xxxxx@host/x --redis-url=redis://:xxxxx@host"
	wantEqual(t, "command", got, want)
}

// TestHistoryOfRunningServersNeedsTheirDatabase: without the journal, nothing of the order can be checked.
func TestHistoryOfRunningServersNeedsTheirDatabase(t *testing.T) {
	err := Run(t.Context(), nil, []string{"experiment", "--history", "--url", "http://127.0.0.1:1"}, nil, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "--history with --url") || !strings.Contains(err.Error(), "--database-url") {
		t.Errorf("error %v, want one that asks for --database-url", err)
	}
}
