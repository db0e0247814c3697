package cli

import "testing"

func TestExperimentShowsNoPasswords(t *testing.T) {
	got := typed([]string{
		"experiment", "hot-stock", "--json", "/tmp/x.json", "--html=y.html", "-q", "--rounds", "5",
		"--database-url", "postgres://u:hidden@host/x", "--redis-url=redis://:hidden@host",
	})
	want := "holdfast experiment hot-stock --rounds 5 --database-url postgres://u:xxxxx@host/x --redis-url=redis://:xxxxx@host"
	wantEqual(t, "command", got, want)
}
