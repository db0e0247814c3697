package experiment

import (
	"context"
	"time"

	"holdfast/experiment/audit"
	"holdfast/experiment/host"
	"holdfast/experiment/load"
	"holdfast/experiment/report"
)

// mostFindings is how many findings of a run a report holds.
const mostFindings = 20

// plotted are the percentiles of a plot.
var plotted = []float64{1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 97.5, 99, 99.5, 99.9, 100}

// measure is what the clients saw.
func measure(r *report.Run, rec *load.Recording) {
	r.Successes, r.Refusals, r.Late = rec.Granted, rec.Refused, rec.Late
	r.Unanswered, r.Unsent = rec.Unanswered, rec.Unsent
	r.Seconds, r.Active = rec.Window.Seconds(), rec.Active.Seconds()
	if r.Active > 0 {
		r.PerSecond = float64(r.Successes) / r.Active
	}
	if r.Seconds > 0 {
		r.RefusalsPerSecond = float64(r.Refusals) / r.Seconds
	}
	r.P50Ms, r.P95Ms = load.Milliseconds(rec.SuccessTimes, 50), load.Milliseconds(rec.SuccessTimes, 95)
	r.P99Ms, r.MaxMs = load.Milliseconds(rec.SuccessTimes, 99), load.Milliseconds(rec.SuccessTimes, 100)
	r.RefusalP50Ms, r.RefusalP99Ms = load.Milliseconds(rec.RefusalTimes, 50), load.Milliseconds(rec.RefusalTimes, 99)
	r.LockWaitMs, r.LockWaitP99Ms = report.Mean(rec.Waits), report.Quantile(rec.Waits, 0.99)
	if rec.Answers > 0 {
		r.Attempts = float64(rec.Attempts) / float64(rec.Answers)
	}
	r.Timeouts = rec.Retries["LOCK_TIMEOUT"] + rec.Retries["TIMEOUT"]
	r.Retries, r.Refused = rec.Retries, rec.RefusedByCode
	r.Fairness = report.Jain(rec.PerClient)
	r.Timeline = rec.Timeline
	if rec.SuccessTimes.TotalCount() > 0 {
		for _, percent := range plotted {
			r.Percentiles = append(r.Percentiles, report.Percentile{Percent: percent, Ms: load.Milliseconds(rec.SuccessTimes, percent)})
		}
	}
}

// cost is what the servers and stores counted meanwhile.
func cost(r *report.Run, before, after host.Counters, rec *load.Recording) {
	operations := float64(rec.Operations())
	per := func(after, before *float64, scale float64) *float64 {
		d := host.Difference(after, before)
		if d == nil || operations == 0 {
			return nil
		}
		v := *d * scale / operations
		return &v
	}
	const milli = 1000
	r.RedisCommands = per(after.RedisCommands, before.RedisCommands, 1)
	r.ServerCPUMs = per(after.ServerCPU, before.ServerCPU, milli)
	r.RedisCPUMs = per(after.RedisCPU, before.RedisCPU, milli)
	r.DatabaseCPUMs = per(after.DatabaseCPU, before.DatabaseCPU, milli)
	r.ClientCPUMs = per(after.OwnCPU, before.OwnCPU, milli)
	counted := func(name string) *float64 { return host.Difference(after.Metric(name), before.Metric(name)) }
	r.PoolWaits = counted("go_sql_wait_count_total")
	if waited := counted("go_sql_wait_duration_seconds_total"); waited != nil {
		ms := *waited * milli
		r.PoolWaitMs = &ms
	}
	r.LockViolations = after.Metric("holdfast_lock_violations_total")
	if r.LockViolations == nil && len(after.Metrics) > 0 {
		r.LockViolations = new(float64) // a counter that was never counted up is not there
	}
}

// transactions are counted after the servers have ended: PostgreSQL's counters lag behind connections in use.
func transactions(ctx context.Context, r *report.Run, target *target, before host.Counters, rec *load.Recording) {
	operations := float64(rec.Operations())
	if target.stores == nil || operations == 0 {
		return
	}
	after, err := target.stores.Transactions(ctx)
	if d := host.Difference(after, before.Transactions); err == nil && d != nil {
		v := *d / operations
		r.Transactions = &v
	}
}

// judge is what the audit found.
func judge(r *report.Run, found audit.Result, w *load.Dataset, rec *load.Recording) {
	r.Violations = len(found.Findings)
	r.Findings = audit.LoudestFirst(found.Findings)[:min(len(found.Findings), mostFindings)]
	r.LostMoney, r.LostUnits, r.Oversold, r.Missing = found.LostMoney, found.LostUnits, found.Oversold, found.Missing
	r.Answers, r.FalseAnswers = found.Answers, found.FalseAnswers
	interval := load.NewHistogram()
	for _, ms := range found.PersistedMs {
		load.Record(interval, time.Duration(ms*float64(time.Millisecond)))
	}
	r.PersistedP50Ms, r.PersistedP99Ms = load.Milliseconds(interval, 50), load.Milliseconds(interval, 99)
	if w.Workload.Scarce {
		units, winners := w.Units*int64(len(w.Objects)), rec.Granted+rec.Late
		r.Units, r.Winners = &units, &winners
	}
}
