package report

import (
	"math"
	"math/rand/v2"
	"strings"
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
		{"the same twice", []float64{4, 4}, Interval{4, 4, 4, 2}},
		{"the range of two", []float64{20, 10}, Interval{15, 10, 20, 2}},
		{"the range of three", []float64{11, 9, 10}, Interval{10, 9, 11, 3}},
		{"the range of five", []float64{1, 5, 2, 4, 3}, Interval{3, 1, 5, 5}},
		// The least and the most of six hold the median with 1 − 2/2^6 = 97 %, the second and the last but one with 78 %.
		{"six", []float64{1, 2, 3, 4, 5, 6}, Interval{3.5, 1, 6, 6}},
		// From a table of the sign test: the second and the last but one of nine with 96 %, the third and the eighth of ten with 89 %.
		{"nine", []float64{1, 2, 3, 4, 5, 6, 7, 8, 9}, Interval{5, 2, 8, 9}},
		{"ten", []float64{10, 9, 8, 7, 6, 5, 4, 3, 2, 1}, Interval{5.5, 2, 9, 10}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := IntervalOf(test.values)
			near := func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }
			if !near(got.Median, test.want.Median) || !near(got.Low, test.want.Low) || !near(got.High, test.want.High) || got.Rounds != test.want.Rounds {
				t.Errorf("%+v, want %+v", got, test.want)
			}
		})
	}
}

func TestIntervalHoldsTheMedianOfSkewedRounds(t *testing.T) {
	got := IntervalOf([]float64{1, 1, 1, 1, 1, 1, 1, 1, 1, 100})
	if got.Median != 1 || got.Low > 1 || got.High < 1 {
		t.Errorf("%+v", got)
	}
}

// TestIntervalCoverage draws experiments of a known median, of a lopsided distribution: at least 95 of 100 intervals have to
// hold it, and no more than the sign test says for so many rounds.
func TestIntervalCoverage(t *testing.T) {
	dice := rand.New(rand.NewPCG(1, 2))
	const experiments = 4000
	for rounds, want := range map[int]float64{6: 0.969, 9: 0.961, 10: 0.979, 17: 0.951} {
		hold := 0
		for range experiments {
			values := make([]float64, rounds)
			for i := range values {
				values[i] = 1000 + dice.ExpFloat64()
			}
			if i := IntervalOf(values); i.Low <= 1000+math.Ln2 && 1000+math.Ln2 <= i.High {
				hold++
			}
		}
		if share := float64(hold) / experiments; math.Abs(share-want) > 0.01 {
			t.Errorf("%d rounds: %.3f of the intervals hold the median, want %g", rounds, share, want)
		}
	}
}

// TestBoundsNote holds what is said of the bounds to what they are: as often as it says, the ranges of equals do not overlap.
func TestBoundsNote(t *testing.T) {
	dice := rand.New(rand.NewPCG(5, 6))
	const comparisons = 20_000
	for rounds, want := range map[int]string{2: " 1 of 3 ", 3: " 1 of 10 ", 4: " 1 of 35 ", 5: " 1 of 126 "} {
		note := BoundsNote(rounds)
		if !strings.Contains(note, "range") || strings.Contains(note, "confidence") || !strings.Contains(note, want) {
			t.Errorf("%d rounds: %s", rounds, note)
		}
		draw := func() Interval {
			values := make([]float64, rounds)
			for i := range values {
				values[i] = dice.ExpFloat64()
			}
			return IntervalOf(values)
		}
		apart := 0
		for range comparisons {
			if draw().Against(draw()) != Same {
				apart++
			}
		}
		expected := comparisons / float64(oneIn(rounds))
		if math.Abs(float64(apart)-expected) > 4*math.Sqrt(expected) {
			t.Errorf("%d rounds: %d of %d comparisons tell equals apart, want %.0f", rounds, apart, comparisons, expected)
		}
	}
	if note := BoundsNote(1); strings.Contains(note, "range of") || strings.Contains(note, "confidence") {
		t.Errorf("one round: %s", note)
	}
	if note := BoundsNote(6); !strings.Contains(note, "the 95 % confidence interval of the median") || strings.Contains(note, "range") {
		t.Errorf("six rounds: %s", note)
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
	first := IntervalOf([]float64{823, 922, 772, 801, 849})
	second := IntervalOf([]float64{868, 790, 905, 744, 812})
	other := IntervalOf([]float64{314, 300, 326, 291, 308})
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
