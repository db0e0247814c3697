package load

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestZipf(t *testing.T) {
	const draws = 20_000
	counts := func(skew float64) []int {
		w := Dataset{weights: map[int][]float64{10: zipf(10, skew)}}
		dice, n := rand.New(rand.NewPCG(3, 4)), make([]int, 10)
		for range draws {
			n[w.index(10, dice)]++
		}
		return n
	}
	uniform := counts(0)
	if slices.Min(uniform) < draws/10*8/10 || slices.Max(uniform) > draws/10*12/10 {
		t.Errorf("skew 0 is not uniform: %v", uniform)
	}
	classic := counts(1) // the first gets 1/H(10) = 34 %, ten times the last
	if classic[0] < draws*31/100 || classic[0] > draws*37/100 || classic[9] > classic[0]/7 || classic[9] < classic[0]/14 {
		t.Errorf("skew 1: %v", classic)
	}
}
