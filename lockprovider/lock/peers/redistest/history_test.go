package redistest

import (
	"testing"

	"github.com/anishathalye/porcupine"
)

// TestCheckHistory: what the checker of histories accepts, and what not.
func TestCheckHistory(t *testing.T) {
	t.Parallel()
	enter := func(s string, call, ret, token int64) event {
		return event{Kind: "enter", Section: s, Key: key, Call: call, Return: ret, Token: token}
	}
	work := func(s string, at int64) event { return event{Kind: "work", Section: s, Key: key, Call: at, Return: at} }
	exit := func(s string, call, ret int64) event {
		return event{Kind: "exit", Section: s, Key: key, Call: call, Return: ret}
	}
	elsewhere := enter("b", 2, 3, 0)
	elsewhere.Key = "another"
	for name, test := range map[string]struct {
		events []event
		want   porcupine.CheckResult
	}{
		"one after another": {
			[]event{enter("a", 1, 2, 0), work("a", 3), exit("a", 3, 5), enter("b", 1, 6, 0), work("b", 7), exit("b", 7, 8)},
			porcupine.Ok,
		},
		"the next one is in before the unlock has returned": {
			[]event{enter("a", 1, 2, 0), work("a", 3), exit("a", 3, 9), enter("b", 1, 5, 0), work("b", 6), exit("b", 6, 7)},
			porcupine.Ok,
		},
		"two at once": {
			[]event{enter("a", 1, 2, 0), work("a", 6), exit("a", 6, 9), enter("b", 1, 5, 0), work("b", 5), exit("b", 5, 9)},
			porcupine.Illegal,
		},
		"two keys": {
			[]event{enter("a", 1, 2, 0), work("a", 6), exit("a", 6, 9), elsewhere},
			porcupine.Ok,
		},
		"the holder was killed": {
			[]event{enter("a", 1, 2, 0), work("a", 4), enter("b", 1, 8, 0), work("b", 9), exit("b", 9, 10)},
			porcupine.Ok,
		},
		"the holder was killed after the next one had come in": {
			[]event{enter("a", 1, 2, 0), work("a", 9), enter("b", 1, 8, 0), work("b", 8), exit("b", 8, 10)},
			porcupine.Illegal,
		},
		"tokens increase": {
			[]event{enter("a", 1, 2, 7), exit("a", 3, 4), enter("b", 5, 6, 8), exit("b", 7, 8)},
			porcupine.Ok,
		},
		"a token comes twice": {
			[]event{enter("a", 1, 2, 7), exit("a", 3, 4), enter("b", 5, 6, 7), exit("b", 7, 8)},
			porcupine.Illegal,
		},
		"tokens are in another order than the sections": {
			[]event{enter("a", 1, 2, 9), exit("a", 3, 4), enter("b", 5, 6, 8), exit("b", 7, 8)},
			porcupine.Illegal,
		},
	} {
		if got := checkHistory(test.events); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}
