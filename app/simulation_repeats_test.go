//go:build !race

package app_test

import "testing"

// The same seed is the same run. Where Go chooses at random among channels that are ready, it may not be: once in a hundred seeds or less.
// Under the race detector, its scheduler draws as well.
func TestSimulationRepeats(t *testing.T) {
	seeds, other := uint64(*simulations)/2, 0
	for seed := range seeds {
		a, b := simulate(t, seed+1, false), simulate(t, seed+1, false)
		if a.digest != b.digest || a.calls != b.calls {
			other++
			t.Logf("seed %d, %s: %d calls, and then %d, which are not the same", seed+1, strategyOf(seed+1), a.calls, b.calls)
		}
	}
	if allowed := 1 + int(seeds/20); other > allowed {
		t.Errorf("%d of %d seeds are not the same again", other, seeds)
	}
}
