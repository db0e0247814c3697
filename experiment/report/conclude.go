package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast/experiment/plans"
	"holdfast/lockprovider"
)

// Conclude summarizes the runs and writes the conclusion. Call it after the last run has been added.
func (r *Report) Conclude() {
	r.Took = plans.Duration(time.Since(r.Started).Round(time.Second))
	r.Cases = Summarize(r.Runs)
	r.Conclusion = slices.Concat(r.faults(), r.safety(), r.speed())
}

// faults says what has happened during the runs.
func (r *Report) faults() []string {
	struck, times := map[plans.Fault]int{}, []string{}
	for _, run := range r.Runs {
		for fault, n := range run.Faults {
			struck[fault] += n
		}
	}
	for _, fault := range plans.Faults() {
		if n := struck[fault]; n > 0 {
			times = append(times, fmt.Sprintf("%s %s", fault, plans.Plural(n, "time")))
		}
	}
	if len(times) == 0 {
		return nil
	}
	return []string{"Faults during the runs: " + strings.Join(times, ", ") + "."}
}

// safety says what was lost, and that nothing was.
func (r *Report) safety() []string {
	var lines []string
	exact, runs := map[lockprovider.Strategy]bool{}, 0
	for _, s := range r.Cases {
		if _, seen := exact[s.Strategy]; !seen {
			exact[s.Strategy] = true
		}
		exact[s.Strategy] = exact[s.Strategy] && s.Violations == 0
	}
	for _, s := range r.Cases {
		if s.Violations > 0 {
			lines = append(lines, fmt.Sprintf("%s under %s: %s.", strings.ToUpper(string(s.Strategy)), s.Workload, s.Damage()))
		}
	}
	audited := true
	var answers, untrue int64 // of strategies that must keep what they say
	for _, run := range r.Runs {
		audited = audited && run.Audited()
		if !control(run.Strategy) {
			answers += run.Answers
			untrue += run.FalseAnswers
		}
		if exact[run.Strategy] && !control(run.Strategy) {
			runs++
		}
	}
	var names []string
	for _, strategy := range sortedStrategies(exact) {
		switch {
		case exact[strategy] && !control(strategy):
			names = append(names, string(strategy))
		case exact[strategy]:
			lines = append(lines, string(strategy)+" lost nothing this time, which proves nothing: there was too little contention.")
		}
	}
	switch {
	case len(names) == 0:
	case !audited:
		lines = append(lines, "The stores were not audited: only the answers are known.")
	default:
		lines = append(lines, fmt.Sprintf("Exact, with no finding of the audit in %s: %s.", plans.Plural(runs, "run"), strings.Join(names, ", ")))
	}
	if audited && answers > 0 {
		lines = append(lines, fmt.Sprintf("%d of %d answers to customers were false.", untrue, answers))
	}
	return append(lines, r.order()...)
}

// order says what the check of the order has found, if there was one.
func (r *Report) order() []string {
	checked, kinds := 0, 0
	for _, run := range r.Runs {
		if !control(run.Strategy) {
			checked += run.History
			kinds += len(run.Anomalies)
		}
	}
	if checked == 0 {
		return nil
	}
	return []string{
		fmt.Sprintf("The order of %d operations was checked, reads included: %s of anomaly.", checked, plans.Plural(kinds, "kind")),
		"The costs of an operation include those of the reads and repeats that the check has added.",
	}
}

func sortedStrategies(m map[lockprovider.Strategy]bool) []lockprovider.Strategy {
	names := make([]lockprovider.Strategy, 0, len(m))
	for s := range m {
		names = append(names, s)
	}
	slices.Sort(names)
	return names
}

// Damage says in words what was lost or invented in all rounds.
func (s Summary) Damage() string {
	if s.Violations == 0 {
		return "exact"
	}
	var parts []string
	if s.LostMoney > 0 {
		parts = append(parts, fmt.Sprintf("%d of money or points lost or invented", s.LostMoney))
	}
	if s.LostUnits > 0 {
		parts = append(parts, fmt.Sprintf("%d units lost or invented", s.LostUnits))
	}
	if s.Oversold > 0 {
		parts = append(parts, fmt.Sprintf("%d units oversold", s.Oversold))
	}
	if s.Missing > 0 {
		parts = append(parts, fmt.Sprintf("%d confirmed requests missing", s.Missing))
	}
	if s.FalseAnswers > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d answers false", s.FalseAnswers, s.Answers))
	}
	parts = append(parts, plans.Plural(s.Violations, "finding"))
	return strings.Join(parts, ", ")
}

// control tells whether a strategy is the control, which loses updates on purpose.
func control(s lockprovider.Strategy) bool {
	info, _ := lockprovider.Lookup(s)
	return info.Control
}

// kinds are the groups of strategies that need the same, in display order: a reader who has chosen a kind, or has no Redis,
// compares within it.
func kinds() []lockprovider.Kind {
	var kinds []lockprovider.Kind
	for _, info := range lockprovider.Strategies {
		if info.Kind != "" && !slices.Contains(kinds, info.Kind) {
			kinds = append(kinds, info.Kind)
		}
	}
	return kinds
}

// speed compares the strategies that lost nothing, setting by setting: all of them, then those of a kind.
func (r *Report) speed() []string {
	var lines []string
	for _, setting := range r.settings() {
		rivals := slices.DeleteFunc(r.of(setting), func(s Summary) bool {
			return s.Violations > 0 || control(s.Strategy) || s.Successes == 0
		})
		if len(rivals) > 0 {
			lines = append(lines, setting.String()+": "+ranking(rivals, setting.Rate > 0))
		}
		for _, kind := range kinds() {
			same := slices.DeleteFunc(slices.Clone(rivals), func(s Summary) bool {
				info, _ := lockprovider.Lookup(s.Strategy)
				return info.Kind != kind
			})
			if len(same) > 1 && len(same) < len(rivals) {
				lines = append(lines, fmt.Sprintf("%s, %s: %s", setting, kind, ranking(same, setting.Rate > 0)))
			}
		}
		for _, s := range r.of(setting) {
			if s.Unsent+s.Unanswered > 0 {
				lines = append(lines, fmt.Sprintf("%s: %s could not keep up: %d operations were never answered for good, %d not even sent.",
					setting, s.Strategy, s.Unanswered, s.Unsent))
			}
		}
	}
	return lines
}

// ranking says who is ahead of whom. In a closed loop that is who does more. In an open loop all do the same, as long as
// they keep up: who answers earlier.
func ranking(rivals []Summary, open bool) string {
	figure := func(s Summary) Interval { return s.PerSecond }
	better, ahead := Higher, "; faster than "
	if open {
		figure = func(s Summary) Interval { return s.P99Ms }
		better, ahead = Lower, "; a shorter p99 than "
	}
	slices.SortStableFunc(rivals, func(a, b Summary) int {
		order := cmp.Compare(figure(b).Median, figure(a).Median)
		if open {
			order = -order
		}
		return order
	})
	best := rivals[0]
	text := fmt.Sprintf("%s did %s/s with a p99 of %s ms", best.Strategy, best.PerSecond, best.P99Ms)
	if len(rivals) == 1 {
		return text + "."
	}
	var behind, level, unknown, slower, quicker []string
	for _, s := range rivals[1:] {
		switch figure(best).Against(figure(s)) {
		case better:
			behind = append(behind, times(s.Strategy, figure(best), figure(s)))
		case Unknown:
			unknown = append(unknown, string(s.Strategy))
		default:
			level = append(level, string(s.Strategy))
			switch { // who does as much may answer later
			case open:
			case best.P99Ms.Against(s.P99Ms) == Lower:
				slower = append(slower, times(s.Strategy, best.P99Ms, s.P99Ms))
			case best.P99Ms.Against(s.P99Ms) == Higher:
				quicker = append(quicker, times(s.Strategy, best.P99Ms, s.P99Ms))
			}
		}
	}
	if len(behind) > 0 {
		text += ahead + strings.Join(behind, ", ")
		info, _ := lockprovider.Lookup(best.Strategy)
		if reason := info.Why; reason != "" && best.Workload != "catalogue" { // where nobody waits, it is not the reason
			text += " (" + reason + ")"
		}
	}
	if len(level) > 0 {
		text += "; the intervals overlap with " + strings.Join(level, ", ") + ", so no difference can be told"
	}
	if len(slower) > 0 {
		text += "; its p99 is shorter than that of " + strings.Join(slower, ", ")
	}
	if len(quicker) > 0 {
		text += "; its p99 is longer than that of " + strings.Join(quicker, ", ")
	}
	if len(unknown) > 0 {
		text += "; one round tells nothing about " + strings.Join(unknown, ", ")
	}
	return text + "."
}

// times names a strategy and by how much two figures differ.
func times(s lockprovider.Strategy, a, b Interval) string {
	return fmt.Sprintf("%s (%s times)", s, compact(max(a.Median, b.Median)/max(min(a.Median, b.Median), 1e-9)))
}

// Violated are the strategies, besides the control, under which something was lost or invented.
func (r Report) Violated() []lockprovider.Strategy {
	found := map[lockprovider.Strategy]bool{}
	for _, s := range r.Cases {
		if s.Violations > 0 && !control(s.Strategy) {
			found[s.Strategy] = true
		}
	}
	return sortedStrategies(found)
}
