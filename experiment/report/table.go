package report

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"

	"holdfast/experiment/audit"
	"holdfast/experiment/plans"
)

// verdictColumn is the name of the column that says what the audit has found.
const verdictColumn = "audit"

// column is a figure of a case, as the tables in the terminal, in Markdown and in HTML show it.
type column struct {
	name  string
	value func(Summary) string
}

// speedColumns are what customers notice, costColumns what it takes.
var (
	speedColumns = []column{
		{"strategy", func(s Summary) string { return string(s.Strategy) }},
		{"successes/s", func(s Summary) string { return s.PerSecond.String() }},
		{"refusals/s", func(s Summary) string { return compact(s.RefusalsPerSecond.Median) }},
		{"p50 ms", func(s Summary) string { return compact(s.P50Ms.Median) }},
		{"p95 ms", func(s Summary) string { return compact(s.P95Ms.Median) }},
		{"p99 ms", func(s Summary) string { return s.P99Ms.String() }},
		{"max ms", func(s Summary) string { return compact(s.MaxMs) }},
		{"winners/units", func(s Summary) string {
			if s.Units == nil || s.Winners == nil {
				return notCounted
			}
			return fmt.Sprintf("%d/%d", *s.Winners, *s.Units)
		}},
		{"fairness", func(s Summary) string { return optional(s.Fairness) }},
		{verdictColumn, verdictOf},
	}
	costColumns = []column{
		{"strategy", func(s Summary) string { return string(s.Strategy) }},
		{"lock wait ms", func(s Summary) string { return compact(s.LockWaitMs) }},
		{"attempts", func(s Summary) string { return compact(s.Attempts) }},
		{"timeouts", func(s Summary) string { return strconv.FormatInt(s.Timeouts, 10) }},
		{"persisted p99 ms", func(s Summary) string { return compact(s.PersistedP99Ms) }},
		{"redis commands/op", func(s Summary) string { return optional(s.RedisCommands) }},
		{"transactions/op", func(s Summary) string { return optional(s.Transactions) }},
		{"server CPU ms/op", func(s Summary) string { return optional(s.ServerCPUMs) }},
		{"redis CPU ms/op", func(s Summary) string { return optional(s.RedisCPUMs) }},
		{"database CPU ms/op", func(s Summary) string { return optional(s.DatabaseCPUMs) }},
		{"pool waits", func(s Summary) string { return optional(s.PoolWaits) }},
	}
)

// notCounted stands for a figure that nobody counts.
const notCounted = "–"

// optional is a dash where nobody counts.
func optional(v *float64) string {
	if v == nil {
		return notCounted
	}
	return compact(*v)
}

func verdictOf(s Summary) string {
	switch {
	case s.Violations > 0:
		return "✗ " + s.Damage()
	case !s.Audited:
		return NotAudited
	}
	return "exact"
}

// tableNote explains the figures.
func (r Report) tableNote() string {
	rounds := r.Plan.Rounds
	for _, s := range r.Cases {
		rounds = min(rounds, s.PerSecond.Rounds) // a run that was cut off has fewer
	}
	return fmt.Sprintf("Medians of %s; %s Latencies are those of successes, from the "+
		"(intended) start to the answer for good, repeats included; persisted is from the start until the row was written. "+
		"Fairness is Jain's index, 1 where all clients got the same. – is not counted here.", plans.Plural(rounds, "round"), BoundsNote(rounds))
}

func heads(columns []column) []string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.name
	}
	return names
}

func cells(columns []column, s Summary) []string {
	values := make([]string, len(columns))
	for i, c := range columns {
		values[i] = c.value(s)
	}
	return values
}

// alarmed is how many findings of a case are shown.
const alarmed = 3

// alarm is what must not be of a case, the worst first.
type alarm struct {
	Title    string
	Findings []audit.Finding
	// Pictures are SVG, one of each anomaly.
	Pictures []template.HTML
}

func (r Report) alarms() []alarm {
	var alarms []alarm
	for _, s := range r.Cases {
		if s.Violations == 0 {
			continue
		}
		a, rounds := alarm{}, 0
		for _, run := range r.Runs {
			if run.Case != s.Case || run.Violations == 0 {
				continue
			}
			rounds++
			if a.Findings == nil || len(a.Pictures) == 0 && len(run.Anomalies) > 0 { // a round with anomalies explains more
				a.Findings = audit.LoudestFirst(run.Findings)[:min(len(run.Findings), alarmed)]
				for _, found := range run.Anomalies {
					a.Pictures = append(a.Pictures, template.HTML(found.SVG()))
				}
			}
		}
		a.Title = fmt.Sprintf("%s under %s: %s, in %d of %s", s.Workload, strings.ToUpper(string(s.Strategy)), s.Damage(),
			rounds, plans.Plural(s.PerSecond.Rounds, "round"))
		alarms = append(alarms, a)
	}
	return alarms
}
