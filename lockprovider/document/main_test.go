package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"holdfast/lockprovider"
)

// files are those that go generate hands to this command.
var files = []string{"../../README.md", "../../docs/strategies.md", "../../graph/schema/meta.graphqls"}

// TestFilesAreUpToDate compares the files with the tables.
func TestFilesAreUpToDate(t *testing.T) {
	for _, path := range files {
		now, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want, err := rewrite(filepath.Base(path), string(now))
		if err != nil {
			t.Errorf("%s: %v", path, err)
		} else if want != string(now) {
			t.Errorf("%s is not as the tables say: run go generate ./lockprovider ./graph", path)
		}
	}
}

// TestNewRowsAreWritten adds a strategy: each file names it, and measured figures stay.
func TestNewRowsAreWritten(t *testing.T) {
	restore := lockprovider.Register(lockprovider.Info{
		Name: "eleventh", Summary: "its summary", Description: "Its description.",
		Document: lockprovider.Document{Faults: &lockprovider.Faults{HolderKilled: "its fault"}},
	})
	defer restore()
	for _, path := range files {
		now, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		after, err := rewrite(filepath.Base(path), string(now))
		if err != nil || !strings.Contains(strings.ToLower(after), "eleventh") {
			t.Errorf("%s does not name the new strategy: %v", path, err)
		}
	}
	const measured = "| `lua` | of old | Redis | 5,251 |"
	if got := overview([]string{measured}); !strings.HasPrefix(got[2], "| `lua` |") || !strings.HasSuffix(got[2], "| 5,251 |") ||
		!slices.Contains(got, "| `eleventh` | its summary | – | – |") {
		t.Errorf("the table of the README is\n%s", strings.Join(got, "\n"))
	}
}

func TestMissingMarkers(t *testing.T) {
	if _, err := rewrite("README.md", "# holdfast\n"); err == nil || !strings.Contains(err.Error(), "strategies:begin") {
		t.Errorf("a file without markers: %v", err)
	}
	if _, err := rewrite("unknown.md", ""); err == nil {
		t.Error("a file of which nothing is generated is accepted")
	}
}
