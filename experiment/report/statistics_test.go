package report

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestIntervalOf(t *testing.T) {
	for _, test := range []struct {
		name   string
		values []float64
		want   Interval
	}{
		{"nothing", nil, Interval{}},
		{"one round has no spread", []float64{7}, Interval{7, 7, 7, 1}},
		// Mean 10, standard deviation 1: 10 ± 4.303/√3.
		{"three", []float64{9, 10, 11}, Interval{10, 10 - 4.303/math.Sqrt(3), 10 + 4.303/math.Sqrt(3), 3}},
		// Mean 15, standard deviation √50: 15 ± 12.706 · 5, which begins at 0.
		{"never below zero", []float64{10, 20}, Interval{15, 0, 15 + 12.706*5, 2}},
		{"the same twice", []float64{4, 4}, Interval{4, 4, 4, 2}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := intervalOf(test.values)
			near := func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }
			if !near(got.Median, test.want.Median) || !near(got.Low, test.want.Low) || !near(got.High, test.want.High) || got.Rounds != test.want.Rounds {
				t.Errorf("%+v, want %+v", got, test.want)
			}
		})
	}
}

func TestIntervalHoldsTheMedianOfSkewedRounds(t *testing.T) {
	got := intervalOf([]float64{1, 1, 1, 1, 1, 1, 1, 1, 1, 100})
	if got.Median != 1 || got.Low > 1 || got.High < 10 {
		t.Errorf("%+v", got)
	}
}

// TestIntervalCoverage draws experiments of a known rate: 95 of 100 intervals have to hold it.
func TestIntervalCoverage(t *testing.T) {
	dice := rand.New(rand.NewPCG(1, 2))
	const experiments = 4000
	hold := 0
	for range experiments {
		rounds := make([]float64, 5)
		for i := range rounds {
			rounds[i] = 1000 + 50*dice.NormFloat64()
		}
		if i := intervalOf(rounds); i.Low <= 1000 && 1000 <= i.High {
			hold++
		}
	}
	if share := float64(hold) / experiments; share < 0.93 || share > 0.97 {
		t.Errorf("%.3f of the intervals hold the mean, want 0.95", share)
	}
}

func TestAgainst(t *testing.T) {
	low, high := Interval{10, 9, 11, 3}, Interval{20, 18, 22, 3}
	for _, test := range []struct {
		name string
		a, b Interval
		want Verdict
	}{
		{"apart", high, low, Higher},
		{"apart the other way", low, high, Lower},
		{"overlapping, though twice as high", Interval{20, 10, 30, 3}, Interval{10, 5, 15, 3}, Same},
		{"touching", Interval{10, 9, 11, 3}, Interval{12, 11, 13, 3}, Same},
		{"one round says nothing", Interval{100, 100, 100, 1}, low, Unknown},
		{"against one round neither", low, Interval{100, 100, 100, 1}, Unknown},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.a.Against(test.b); got != test.want {
				t.Errorf("%v against %v: %s, want %s", test.a, test.b, got, test.want)
			}
		})
	}
}

// TestRecordedRunsAgree holds the logic to figures of two runs of one plan on one machine, and to those of another strategy.
func TestRecordedRunsAgree(t *testing.T) {
	first := intervalOf([]float64{823, 922, 772, 801, 849})
	second := intervalOf([]float64{868, 790, 905, 744, 812})
	other := intervalOf([]float64{314, 300, 326, 291, 308})
	if got := first.Against(second); got != Same {
		t.Errorf("the same again: %s", got)
	}
	if got := first.Against(other); got != Higher {
		t.Errorf("against another: %s", got)
	}
}

func TestJain(t *testing.T) {
	if got := Jain([]float64{5, 5, 5, 5}); got == nil || *got != 1 {
		t.Errorf("all the same: %v", got)
	}
	if got := Jain([]float64{8, 0, 0, 0}); got == nil || *got != 0.25 {
		t.Errorf("one has it all: %v", got)
	}
	if got := Jain([]float64{0, 0}); got != nil {
		t.Errorf("nobody has anything: %v", *got)
	}
}
