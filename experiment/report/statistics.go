package report

import (
	"fmt"
	"math"
	"slices"
)

// Interval is a median of rounds and where the mean of ever more rounds would lie with 95 % confidence.
type Interval struct {
	Median float64 `json:"median"`
	// Low and High are the bounds. With one round there is no saying: they equal the median, and nothing is compared.
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
	Rounds int     `json:"rounds"`
}

// intervalOf computes Student's t interval of the mean, stretched to hold the median, and not below 0: what is measured
// here never is.
func intervalOf(values []float64) Interval {
	n := len(values)
	if n == 0 {
		return Interval{}
	}
	sorted := slices.Sorted(slices.Values(values))
	median := sorted[n/2]
	if n%2 == 0 {
		median = (sorted[n/2-1] + sorted[n/2]) / 2
	}
	if n == 1 {
		return Interval{Median: median, Low: median, High: median, Rounds: 1}
	}
	mean, squares := 0.0, 0.0
	for _, v := range values {
		mean += v / float64(n)
	}
	for _, v := range values {
		squares += (v - mean) * (v - mean)
	}
	half := studentT(n-1) * math.Sqrt(squares/float64(n-1)) / math.Sqrt(float64(n))
	return Interval{
		Median: median, Low: max(0, min(mean-half, median)), High: max(mean+half, median), Rounds: n,
	}
}

// studentT returns the two-sided 95 % quantile of Student's t distribution.
func studentT(degrees int) float64 {
	table := []float64{
		12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
		2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
	}
	switch {
	case degrees < 1:
		return math.Inf(1)
	case degrees <= len(table):
		return table[degrees-1]
	case degrees <= 60:
		return 2.042 // that of 30: a little too careful
	}
	return 2.000 // that of 60
}

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
