package redistest

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
)

// PrintMatrix prints what each locker can do: the number of scenarios that have proven it, ✗ and those that failed, or a
// dash where it is declared that the locker cannot.
func PrintMatrix(w io.Writer, subjects []Subject, results []Result) error {
	var text strings.Builder // whose writes do not fail
	text.WriteString("capability")
	for _, s := range subjects {
		text.WriteString("\t" + s.Name)
	}
	text.WriteString("\n")
	for _, c := range Capabilities() {
		text.WriteString(string(c))
		for _, s := range subjects {
			text.WriteString("\t" + cell(results, s, c))
		}
		text.WriteString("\n")
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if _, err := io.WriteString(table, text.String()); err != nil {
		return err
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, r := range results {
		if r.Passed || r.Skipped {
			continue
		}
		if _, err := fmt.Fprintf(w, "✗ %s %s: %s\n", r.Env, r.Locker, r.Scenario); err != nil {
			return err
		}
	}
	return nil
}

func cell(results []Result, s Subject, c Capability) string {
	if !s.Traits.has(c) {
		return "–"
	}
	passed, failed := 0, 0
	for _, r := range results {
		if r.Locker != s.Name || r.Proves != c || r.Skipped {
			continue
		}
		if r.Passed {
			passed++
		} else {
			failed++
		}
	}
	switch {
	case failed > 0:
		return fmt.Sprintf("✗ %d of %d", failed, passed+failed)
	case passed == 0:
		return "skip"
	}
	return fmt.Sprintf("✓ %d", passed)
}

// CheckProven fails the test where a declared capability has no scenario: it would be claimed and never looked at. It asks
// for scenarios, not for results, since those of servers that are not installed are skipped.
func CheckProven(t *testing.T, subjects []Subject, results []Result) {
	t.Helper()
	for _, s := range subjects {
		for _, c := range Capabilities() {
			ran := slices.ContainsFunc(results, func(r Result) bool { return r.Locker == s.Name && r.Proves == c })
			if ran != s.Traits.has(c) && !filtered() {
				t.Errorf("%s: %q is declared: %v, proven by a scenario: %v", s.Name, c, s.Traits.has(c), ran)
			}
		}
	}
}

// filtered tells whether only some of the scenarios were asked for on the command line.
func filtered() bool {
	return slices.ContainsFunc(os.Args, func(arg string) bool {
		return strings.HasPrefix(arg, "-test.run=") && strings.Contains(arg, "/")
	})
}

// The matrix in the documentation stands between these lines.
const (
	matrixBegin = "<!-- lockers:begin (written by: go -C lockprovider/lock/peers test ./redistest -run TestLockerMatrix -lockers.update) -->"
	matrixEnd   = "<!-- lockers:end -->"
)

// Markdown is the matrix as it is declared, for the documentation.
func Markdown(subjects []Subject) string {
	var b strings.Builder
	b.WriteString("| capability |")
	for _, s := range subjects {
		fmt.Fprintf(&b, " `%s` |", s.Name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(subjects)) + "\n")
	for _, c := range Capabilities() {
		fmt.Fprintf(&b, "| %s |", c)
		for _, s := range subjects {
			if s.Traits.has(c) {
				b.WriteString(" ✓ |")
			} else {
				b.WriteString(" – |")
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// CheckDocument fails the test where the matrix in a document is not the declared one, or writes it there.
func CheckDocument(t *testing.T, path string, subjects []Subject, update bool) {
	t.Helper()
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(body), matrixBegin+"\n")
	documented, after, closed := strings.Cut(rest, matrixEnd)
	if !ok || !closed {
		t.Fatalf("%s has no lines %s and %s", path, matrixBegin, matrixEnd)
	}
	if documented == Markdown(subjects) {
		return
	}
	if !update {
		t.Fatalf("the matrix of lockers in %s is not what is declared; bring it up to date with\n\n"+
			"\tgo -C lockprovider/lock/peers test ./redistest -run TestLockerMatrix -lockers.update", path)
	}
	text := before + matrixBegin + "\n" + Markdown(subjects) + matrixEnd + after
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
