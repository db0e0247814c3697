package experiment

import (
	"context"
	"time"
)

// mostFindings is how many findings of a run a report holds.
const mostFindings = 20

// plotted are the percentiles of a plot.
var plotted = []float64{1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 97.5, 99, 99.5, 99.9, 100}

// measure is what the clients saw.
func measure(r *Run, rec *recording) {
	r.Successes, r.Refusals, r.Late = rec.granted, rec.refused, rec.late
	r.Unanswered, r.Unsent = rec.open, rec.unsent
	r.Seconds, r.Active = rec.window.Seconds(), rec.active.Seconds()
	if r.Active > 0 {
		r.PerSecond = float64(r.Successes) / r.Active
	}
	if r.Seconds > 0 {
		r.RefusalsPerSecond = float64(r.Refusals) / r.Seconds
	}
	r.P50Ms, r.P95Ms = milliseconds(rec.successes, 50), milliseconds(rec.successes, 95)
	r.P99Ms, r.MaxMs = milliseconds(rec.successes, 99), milliseconds(rec.successes, 100)
	r.RefusalP50Ms, r.RefusalP99Ms = milliseconds(rec.refusalTimes, 50), milliseconds(rec.refusalTimes, 99)
	r.LockWaitMs, r.LockWaitP99Ms = mean(rec.waits), quantile(rec.waits, 0.99)
	if rec.answers > 0 {
		r.Attempts = float64(rec.attempts) / float64(rec.answers)
	}
	r.Timeouts = rec.troubles["LOCK_TIMEOUT"] + rec.troubles["TIMEOUT"]
	r.Retries, r.Refused = rec.troubles, rec.refusals
	r.Fairness = jain(rec.perClient)
	r.Timeline = rec.timeline
	if rec.successes.TotalCount() > 0 {
		for _, percent := range plotted {
			r.Percentiles = append(r.Percentiles, Percentile{percent, milliseconds(rec.successes, percent)})
		}
	}
}

// cost is what the servers and stores counted meanwhile.
func cost(r *Run, before, after probe, rec *recording) {
	operations := float64(rec.granted + rec.refused + rec.late + rec.open)
	per := func(after, before *float64, scale float64) *float64 {
		d := difference(after, before)
		if d == nil || operations == 0 {
			return nil
		}
		v := *d * scale / operations
		return &v
	}
	const milli = 1000
	r.RedisCommands = per(after.redisCommands, before.redisCommands, 1)
	r.ServerCPUMs = per(after.serverCPU, before.serverCPU, milli)
	r.RedisCPUMs = per(after.redisCPU, before.redisCPU, milli)
	r.DatabaseCPUMs = per(after.dbCPU, before.dbCPU, milli)
	r.ClientCPUMs = per(after.ownCPU, before.ownCPU, milli)
	counted := func(name string) *float64 { return difference(after.metric(name), before.metric(name)) }
	r.PoolWaits = counted("go_sql_wait_count_total")
	if waited := counted("go_sql_wait_duration_seconds_total"); waited != nil {
		ms := *waited * milli
		r.PoolWaitMs = &ms
	}
	r.LockViolations = after.metric("holdfast_lock_violations_total")
	if r.LockViolations == nil && len(after.metrics) > 0 {
		r.LockViolations = new(float64) // a counter that was never counted up is not there
	}
}

// transactions are counted after the servers have ended: PostgreSQL's counters lag behind connections in use.
func transactions(ctx context.Context, r *Run, target *running, before probe, rec *recording) {
	operations := float64(rec.granted + rec.refused + rec.late + rec.open)
	if target.site == nil || operations == 0 {
		return
	}
	after, err := target.site.transactions(ctx)
	if d := difference(after, before.transactions); err == nil && d != nil {
		v := *d / operations
		r.Transactions = &v
	}
}

// judge is what the audit found.
func judge(r *Run, found auditResult, w *world, rec *recording) {
	r.Violations = len(found.findings)
	r.Findings = loudest(found.findings)[:min(len(found.findings), mostFindings)]
	r.LostMoney, r.LostUnits, r.Oversold, r.Missing = found.lostMoney, found.lostUnits, found.oversold, found.missing
	interval := newHistogram()
	for _, ms := range found.persisted {
		record(interval, time.Duration(ms*float64(time.Millisecond)))
	}
	r.PersistedP50Ms, r.PersistedP99Ms = milliseconds(interval, 50), milliseconds(interval, 99)
	if w.workload.Scarce {
		units, winners := w.units*int64(len(w.objects)), rec.granted+rec.late
		r.Units, r.Winners = &units, &winners
	}
}
