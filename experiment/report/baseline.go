package report

import (
	"encoding/json"
	"fmt"
	"os"

	"holdfast/experiment/plans"
)

// Comparison is a case compared with the same case of an earlier report.
type Comparison struct {
	plans.Case
	Before  Interval `json:"before"` // successes a second
	After   Interval `json:"after"`
	Verdict Verdict  `json:"verdict"` // of the throughput
	// P99 is the verdict of the 99th percentile of the latency.
	P99 Verdict `json:"p99"`
}

// Read reads a report that [Report.WriteJSON] has written.
func Read(path string) (Report, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Report{}, err
	}
	var r Report
	if err := json.Unmarshal(text, &r); err != nil {
		return Report{}, fmt.Errorf("%s is no report of an experiment: %w", path, err)
	}
	if len(r.Runs) == 0 {
		return Report{}, fmt.Errorf("%s is no report of an experiment: it holds no runs", path)
	}
	r.Cases = Summarize(r.Runs)
	return r, nil
}

// CompareWith notes how the cases that both reports have in common have changed.
func (r *Report) CompareWith(old Report) {
	earlier := map[plans.Case]Summary{}
	for _, s := range old.Cases {
		earlier[s.Case] = s
	}
	r.Baseline = nil
	for _, s := range r.Cases {
		if before, found := earlier[s.Case]; found {
			r.Baseline = append(r.Baseline, Comparison{
				Case: s.Case, Before: before.PerSecond, After: s.PerSecond, Verdict: s.PerSecond.Against(before.PerSecond),
				P99: s.P99Ms.Against(before.P99Ms),
			})
		}
	}
}

// String says in a sentence how the throughput has changed.
func (c Comparison) String() string {
	word := map[Verdict]string{
		Higher: "faster", Lower: "slower", Same: "no difference to be seen", Unknown: "not comparable: one round",
	}[c.Verdict]
	return fmt.Sprintf("%s under %s: %s/s before, %s/s now: %s", c.Case, c.Strategy, c.Before, c.After, word)
}
