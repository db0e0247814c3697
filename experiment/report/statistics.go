package report

import (
	"fmt"
	"math"
	"math/big"
	"slices"

	"golang.org/x/perf/benchmath"
)

// Interval is the median of some rounds and how far they spread. From confidentRounds rounds on, the bounds are a confidence
// interval of the median; fewer rounds do not allow one, and the bounds are the least and the most of them.
type Interval struct {
	Median float64 `json:"median"`
	// Low and High are the bounds. With one round there is no saying: they equal the median, and nothing is compared.
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
	Rounds int     `json:"rounds"`
}

const (
	confidence = 0.95
	// confidentRounds is the fewest rounds whose range holds the median with that confidence: all of n rounds are on one side
	// of it in 2 of 2^n cases, and 1 − 2/2^6 is 97 %.
	confidentRounds = 6
)

// IntervalOf summarizes rounds. It assumes nothing about how they are distributed: the interval of the median is between two
// of them; see [benchmath.AssumeNothing].
func IntervalOf(values []float64) Interval {
	n := len(values)
	if n == 0 {
		return Interval{}
	}
	sample := benchmath.NewSample(slices.Clone(values), &benchmath.DefaultThresholds)
	s := benchmath.AssumeNothing.Summary(sample, confidence)
	if n < confidentRounds {
		s.Lo, s.Hi = slices.Min(values), slices.Max(values)
	}
	return Interval{Median: s.Center, Low: s.Lo, High: s.Hi, Rounds: n}
}

// BoundsNote explains the bounds of intervals of so many rounds.
func BoundsNote(rounds int) string {
	switch {
	case rounds < 2:
		return "one round does not tell how far rounds spread."
	case rounds < confidentRounds:
		return fmt.Sprintf("in brackets the range of the rounds. The ranges of two strategies that are equal do not overlap in 1 of %d "+
			"comparisons, by chance.", oneIn(rounds))
	}
	return fmt.Sprintf("in brackets the %g %% confidence interval of the median.", 100*confidence)
}

// oneIn is in how many comparisons of n rounds with n rounds of the same distribution the ranges do not overlap once: of the
// orders in which 2n rounds can come, (2n over n) by who they belong to, two have all of one before all of the other.
func oneIn(n int) int64 { return new(big.Int).Binomial(int64(2*n), int64(n)).Int64() / 2 }

// Overlaps tells whether two intervals have a point in common: then a difference may be chance.
func (i Interval) Overlaps(j Interval) bool { return i.Low <= j.High && j.Low <= i.High }

// Verdict is what two intervals allow to say.
type Verdict string

// The verdicts.
const (
	Higher  Verdict = "higher"
	Lower   Verdict = "lower"
	Same    Verdict = "no difference to be seen"
	Unknown Verdict = "not comparable" // one round is no measurement of the spread
)

// Against compares i with j. It says higher or lower only where the intervals do not overlap.
func (i Interval) Against(j Interval) Verdict {
	switch {
	case i.Rounds < 2 || j.Rounds < 2:
		return Unknown
	case i.Overlaps(j):
		return Same
	case i.Low > j.High:
		return Higher
	}
	return Lower
}

func (i Interval) String() string {
	if i.Rounds < 2 {
		return compact(i.Median)
	}
	return fmt.Sprintf("%s [%s–%s]", compact(i.Median), compact(i.Low), compact(i.High))
}

// compact writes a number with as many digits as matter.
func compact(v float64) string {
	switch {
	case math.Abs(v) >= 100:
		return fmt.Sprintf("%.0f", v)
	case math.Abs(v) >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// Jain is Jain's index of fairness: 1 where all clients got the same, 1/n where one got everything; nil where nobody got
// anything.
func Jain(got []float64) *float64 {
	sum, squares := 0.0, 0.0
	for _, x := range got {
		sum += x
		squares += x * x
	}
	if squares == 0 {
		return nil
	}
	index := sum * sum / (float64(len(got)) * squares)
	return &index
}

// Quantile of sorted values, nearest rank; 0 of none.
func Quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// Mean is the arithmetic mean; 0 of nothing.
func Mean(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}
