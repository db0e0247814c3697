package report

import (
	"slices"
	"strings"
	"time"

	"holdfast/experiment/audit"
	"holdfast/experiment/history"
	"holdfast/experiment/host"
	"holdfast/experiment/load"
	"holdfast/experiment/plans"
)

// Report is everything that an experiment has measured and found.
type Report struct {
	Plan    plans.Plan   `json:"plan"`
	Machine host.Machine `json:"machine"`
	// Command reproduces the experiment.
	Command  string         `json:"command,omitempty"`
	Started  time.Time      `json:"started"`
	Took     plans.Duration `json:"took"`
	Runs     []Run          `json:"runs"`
	Cases    []Summary      `json:"cases"`
	Baseline []Comparison   `json:"baseline,omitempty"`
	// Conclusion says in words what was seen.
	Conclusion []string `json:"conclusion"`
}

// Run is one case in one round.
type Run struct {
	plans.Case
	Round int `json:"round"`
	// Faults are how often each has happened during the run.
	Faults map[plans.Fault]int `json:"faults,omitempty"`

	// Successes are operations that were granted within the measured time, Refusals those refused for good, such as out of
	// stock, Late the successes that came after it, Unanswered those that never got an answer for good, and Unsent those
	// of an open loop that could not even be asked for.
	Successes  int64 `json:"successes"`
	Refusals   int64 `json:"refusals"`
	Late       int64 `json:"late"`
	Unanswered int64 `json:"unanswered"`
	Unsent     int64 `json:"unsent"`
	// Seconds were measured; Active is the time in them until the last success, shorter where everything was sold before.
	Seconds float64 `json:"seconds"`
	Active  float64 `json:"activeSeconds"`
	// PerSecond are successes a second of Active, RefusalsPerSecond refusals a second of Seconds.
	PerSecond         float64 `json:"perSecond"`
	RefusalsPerSecond float64 `json:"refusalsPerSecond"`

	// Latencies of successes in milliseconds, from the (intended) start to the answer for good, repeats included.
	P50Ms float64 `json:"p50Ms"`
	P95Ms float64 `json:"p95Ms"`
	P99Ms float64 `json:"p99Ms"`
	MaxMs float64 `json:"maxMs"`
	// RefusalP50Ms and RefusalP99Ms are those of refusals.
	RefusalP50Ms float64 `json:"refusalP50Ms"`
	RefusalP99Ms float64 `json:"refusalP99Ms"`
	// PersistedP50Ms and PersistedP99Ms are the time from the start until the row was written in the database.
	PersistedP50Ms float64 `json:"persistedP50Ms"`
	PersistedP99Ms float64 `json:"persistedP99Ms"`

	// LockWaitMs is the mean time that an answer spent waiting for locks, LockWaitP99Ms its 99th percentile.
	LockWaitMs    float64 `json:"lockWaitMs"`
	LockWaitP99Ms float64 `json:"lockWaitP99Ms"`
	// Attempts are executions of a change for each answer.
	Attempts float64 `json:"attempts"`
	// Timeouts are answers LOCK_TIMEOUT and TIMEOUT; Retries all answers that were none for good, by code.
	Timeouts int64            `json:"timeouts"`
	Retries  map[string]int64 `json:"retries,omitempty"`
	// Refused are refusals for good, by code.
	Refused map[string]int64 `json:"refused,omitempty"`
	// Fairness is Jain's index over the clients' successes, 1 where all got the same; null if no client got anything.
	Fairness *float64 `json:"fairness"`

	// Costs of one operation that was answered, or null if no store counts them. Redis counts the commands of scripts,
	// unless it is embedded.
	RedisCommands *float64 `json:"redisCommandsPerOperation"`
	Transactions  *float64 `json:"transactionsPerOperation"`
	// CPU is milliseconds of CPU time for one operation.
	ServerCPUMs   *float64 `json:"serverCpuMs"`
	RedisCPUMs    *float64 `json:"redisCpuMs"`
	DatabaseCPUMs *float64 `json:"databaseCpuMs"`
	// ClientCPUMs is that of the experiment's own process: those who ask, and the embedded Redis.
	ClientCPUMs *float64 `json:"clientCpuMs"`
	// PoolWaits are how often, and PoolWaitMs how long in all, requests waited for a database connection.
	PoolWaits  *float64 `json:"poolWaits"`
	PoolWaitMs *float64 `json:"poolWaitMs"`
	// LockViolations are balances that changed under a held lock, and were saved by the comparison of versions.
	LockViolations *float64 `json:"lockViolations"`

	// Units are how many there were to be had, Winners how many customers got one, where the workload is about that.
	Units   *int64 `json:"units"`
	Winners *int64 `json:"winners"`

	// Violations counts what the audit found; Findings are the first of them.
	Violations int             `json:"violations"`
	Findings   []audit.Finding `json:"findings,omitempty"`
	// LostMoney and LostUnits sum up what was lost or invented of money and points, and of stock and coupons; Oversold what
	// was promised and never there, Missing what was confirmed and not found.
	LostMoney int64 `json:"lostMoney"`
	LostUnits int64 `json:"lostUnits"`
	Oversold  int64 `json:"oversold"`
	Missing   int64 `json:"missing"`
	// Answers are how many the customers got, those to repeats included, and FalseAnswers how many of them were not true.
	Answers      int64 `json:"answers"`
	FalseAnswers int64 `json:"falseAnswers"`
	// History counts the operations whose order was checked, reads included, and Anomalies are what was wrong with it, the worst first.
	History   int               `json:"history,omitempty"`
	Anomalies []history.Anomaly `json:"anomalies,omitempty"`
	// Audit says how far the audit could look.
	Audit string `json:"audit"`

	// Percentiles are the distribution of the latency of successes, for plots.
	Percentiles []Percentile  `json:"percentiles,omitempty"`
	Timeline    []load.Moment `json:"timeline,omitempty"`
}

// Percentile is a point of a distribution.
type Percentile struct {
	Percent float64 `json:"percent"`
	Ms      float64 `json:"ms"`
}

// Summary is all rounds of a case.
type Summary struct {
	plans.Case
	PerSecond         Interval `json:"perSecond"`
	RefusalsPerSecond Interval `json:"refusalsPerSecond"`
	P50Ms             Interval `json:"p50Ms"`
	P95Ms             Interval `json:"p95Ms"`
	P99Ms             Interval `json:"p99Ms"`
	MaxMs             float64  `json:"maxMs"`
	LockWaitMs        float64  `json:"lockWaitMs"`
	Attempts          float64  `json:"attempts"`
	Fairness          *float64 `json:"fairness"`
	RedisCommands     *float64 `json:"redisCommandsPerOperation"`
	Transactions      *float64 `json:"transactionsPerOperation"`
	ServerCPUMs       *float64 `json:"serverCpuMs"`
	RedisCPUMs        *float64 `json:"redisCpuMs"`
	DatabaseCPUMs     *float64 `json:"databaseCpuMs"`
	PoolWaits         *float64 `json:"poolWaits"`
	PersistedP99Ms    float64  `json:"persistedP99Ms"`
	Successes         int64    `json:"successes"`
	Refusals          int64    `json:"refusals"`
	Timeouts          int64    `json:"timeouts"`
	Unanswered        int64    `json:"unanswered"`
	Unsent            int64    `json:"unsent"`
	Violations        int      `json:"violations"`
	// Units and Winners are the sums of the rounds, null where the workload is not about that.
	Units   *int64 `json:"units"`
	Winners *int64 `json:"winners"`
	// Audited tells that the stores of all rounds were looked at.
	Audited   bool  `json:"audited"`
	LostMoney int64 `json:"lostMoney"`
	LostUnits int64 `json:"lostUnits"`
	Oversold  int64 `json:"oversold"`
	Missing   int64 `json:"missing"`
	// Answers and FalseAnswers are those of [Run].
	Answers      int64 `json:"answers"`
	FalseAnswers int64 `json:"falseAnswers"`
	// Percentiles are the medians of the rounds', Timeline their sums.
	Percentiles []Percentile  `json:"percentiles,omitempty"`
	Timeline    []load.Moment `json:"timeline,omitempty"`
}

// NotAudited begins the text [Run.Audit] of a run whose stores could not be audited.
const NotAudited = "not audited"

// Audited tells that the stores were looked at.
func (r Run) Audited() bool { return !strings.HasPrefix(r.Audit, NotAudited) }

// Summarize puts the rounds of each case together, in the order in which the cases were run first.
func Summarize(runs []Run) []Summary {
	var order []plans.Case
	byCase := map[plans.Case][]Run{}
	for _, r := range runs {
		if byCase[r.Case] == nil {
			order = append(order, r.Case)
		}
		byCase[r.Case] = append(byCase[r.Case], r)
	}
	summaries := make([]Summary, len(order))
	for i, c := range order {
		summaries[i] = summary(c, byCase[c])
	}
	return summaries
}

func summary(c plans.Case, runs []Run) Summary {
	all := func(f func(Run) float64) []float64 {
		values := make([]float64, len(runs))
		for i, r := range runs {
			values[i] = f(r)
		}
		return values
	}
	known := func(f func(Run) *float64) *float64 {
		var values []float64
		for _, r := range runs {
			if v := f(r); v != nil {
				values = append(values, *v)
			}
		}
		if len(values) == 0 {
			return nil
		}
		m := IntervalOf(values).Median
		return &m
	}
	median := func(f func(Run) float64) float64 { return IntervalOf(all(f)).Median }
	s := Summary{
		Case:              c,
		PerSecond:         IntervalOf(all(func(r Run) float64 { return r.PerSecond })),
		RefusalsPerSecond: IntervalOf(all(func(r Run) float64 { return r.RefusalsPerSecond })),
		P50Ms:             IntervalOf(all(func(r Run) float64 { return r.P50Ms })),
		P95Ms:             IntervalOf(all(func(r Run) float64 { return r.P95Ms })),
		P99Ms:             IntervalOf(all(func(r Run) float64 { return r.P99Ms })),
		MaxMs:             slices.Max(all(func(r Run) float64 { return r.MaxMs })),
		LockWaitMs:        median(func(r Run) float64 { return r.LockWaitMs }),
		Attempts:          median(func(r Run) float64 { return r.Attempts }),
		PersistedP99Ms:    median(func(r Run) float64 { return r.PersistedP99Ms }),
		Fairness:          known(func(r Run) *float64 { return r.Fairness }),
		RedisCommands:     known(func(r Run) *float64 { return r.RedisCommands }),
		Transactions:      known(func(r Run) *float64 { return r.Transactions }),
		ServerCPUMs:       known(func(r Run) *float64 { return r.ServerCPUMs }),
		RedisCPUMs:        known(func(r Run) *float64 { return r.RedisCPUMs }),
		DatabaseCPUMs:     known(func(r Run) *float64 { return r.DatabaseCPUMs }),
		Audited:           true,
		PoolWaits:         known(func(r Run) *float64 { return r.PoolWaits }),
	}
	for _, r := range runs {
		s.Successes += r.Successes
		s.Refusals += r.Refusals
		s.Timeouts += r.Timeouts
		s.Unanswered += r.Unanswered
		s.Unsent += r.Unsent
		s.Audited = s.Audited && r.Audited()
		s.Units, s.Winners = sum(s.Units, r.Units), sum(s.Winners, r.Winners)
		s.Violations += r.Violations
		s.LostMoney += r.LostMoney
		s.LostUnits += r.LostUnits
		s.Oversold += r.Oversold
		s.Missing += r.Missing
		s.Answers += r.Answers
		s.FalseAnswers += r.FalseAnswers
	}
	for i, p := range runs[0].Percentiles {
		s.Percentiles = append(s.Percentiles, Percentile{p.Percent, median(func(r Run) float64 {
			if i < len(r.Percentiles) {
				return r.Percentiles[i].Ms
			}
			return 0
		})})
	}
	s.Timeline = slices.Clone(runs[0].Timeline)
	for _, r := range runs[1:] {
		for i := range min(len(s.Timeline), len(r.Timeline)) {
			s.Timeline[i].Successes += r.Timeline[i].Successes
			s.Timeline[i].Refusals += r.Timeline[i].Refusals
		}
	}
	return s
}

// sum adds what may not be known.
func sum(total, n *int64) *int64 {
	if n == nil {
		return total
	}
	s := *n
	if total != nil {
		s += *total
	}
	return &s
}

// of returns the summaries of a setting.
func (r Report) of(setting plans.Case) []Summary {
	var found []Summary
	for _, s := range r.Cases {
		if s.Setting() == setting {
			found = append(found, s)
		}
	}
	return found
}

// settings are those of the cases, each once.
func (r Report) settings() []plans.Case {
	var found []plans.Case
	for _, s := range r.Cases {
		if !slices.Contains(found, s.Setting()) {
			found = append(found, s.Setting())
		}
	}
	return found
}
