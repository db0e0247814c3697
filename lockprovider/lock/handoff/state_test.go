package handoff

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"

	"holdfast/internal/testenv"
)

// transition is a change of state that a test has seen.
type transition struct{ from, to state }

// seen are the transitions that the tests of this package have made.
var seen sync.Map

// All tests of this package check each transition against the table.
func TestMain(m *testing.M) {
	onTransition = func(name string, from, to state) {
		if !slices.Contains(next[from], to) {
			fmt.Fprintf(os.Stderr, "lock %s: %v may not become %v\n", name, from, to)
			panic("transition is not in the table")
		}
		seen.Store(transition{from, to}, true)
	}
	testenv.Main(m)
}

// checkTransitionsSeen fails if the table lists a transition that never happens.
func checkTransitionsSeen(t *testing.T) {
	t.Helper()
	for from, list := range next {
		for _, to := range list {
			if _, ok := seen.Load(transition{from, to}); !ok {
				t.Errorf("the table says that %v may become %v, and it never did", from, to)
			}
		}
	}
}
