package lockprovider

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/lockprovider/lock"
)

// Metrics are the Prometheus instruments of the strategies. Times are in seconds.
type Metrics struct {
	changes    *prometheus.CounterVec
	duration   *prometheus.HistogramVec
	together   *prometheus.HistogramVec
	wait       *prometheus.HistogramVec
	hold       *prometheus.HistogramVec
	waiting    *prometheus.GaugeVec
	violations *prometheus.CounterVec
	losses     *prometheus.CounterVec
	lock       *lockMetrics
}

// NewMetrics registers the instruments; with a nil registerer they count for nobody.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	labels := []string{"strategy", "family"}
	buckets := prometheus.ExponentialBuckets(0.0001, 2.5, 13) // 0.1 ms to 6 s
	m := &Metrics{
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_changes_total", Help: "Changes executed, by outcome.",
		}, append(labels, "outcome")),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "holdfast_change_seconds", Help: "Time to execute a change, waiting included.", Buckets: buckets,
		}, labels),
		together: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "holdfast_changes_together_seconds", Help: "Time to execute many changes in one transaction, such as those of an import.",
			Buckets: buckets,
		}, labels),
		wait: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "holdfast_lock_wait_seconds", Help: "Time from asking for locks to holding them or giving up.",
			Buckets: buckets,
		}, labels),
		hold: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "holdfast_lock_hold_seconds", Help: "Time locks were held.", Buckets: buckets,
		}, labels),
		waiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "holdfast_lock_waiting", Help: "Callers of this process who wait for locks.",
		}, labels),
		violations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_lock_violations_total",
			Help: "Balances that changed under a held lock; the version comparison refused the stale write.",
		}, labels),
		losses: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_lock_lost_total", Help: "Leases that had ended before they were released.",
		}, labels),
	}
	m.lock = newLockMetrics()
	if reg != nil {
		reg.MustRegister(m.changes, m.duration, m.together, m.wait, m.hold, m.violations, m.losses)
		reg.MustRegister(m.waiting, m.lock.grants, m.lock.renewals)
	}
	return m
}

// lockMetrics are the instruments of the Redis locks as such, whatever they guard.
type lockMetrics struct {
	grants   *prometheus.CounterVec
	renewals *prometheus.CounterVec
}

func newLockMetrics() *lockMetrics {
	m := &lockMetrics{
		grants: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_pubsub_grants_total", Help: "Pub/Sub locks granted, by the way they came.",
		}, []string{"kind"}),
		renewals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_lock_renewals_total", Help: "Renewals of Redis locks: ok, lost, or failed since Redis did not answer.",
		}, []string{"strategy", "outcome"}),
	}
	m.of(PubSub) // its grants are shown from the start, at 0
	return m
}

// of returns the instruments of one strategy's lock.
func (m *lockMetrics) of(s Strategy) lock.Metrics {
	l := &lockCounters{strategy: s, renewals: m.renewals, grants: map[lock.Grant]prometheus.Counter{}}
	for _, g := range []lock.Grant{lock.GrantLocal, lock.GrantMessage, lock.GrantReply} {
		l.grants[g] = m.grants.WithLabelValues(string(g))
	}
	return l
}

// lockCounters implements [lock.Metrics] for one strategy.
type lockCounters struct {
	strategy Strategy
	grants   map[lock.Grant]prometheus.Counter // resolved once: a handoff takes less than a microsecond
	renewals *prometheus.CounterVec
}

// Granted counts a lock that came to a holder.
func (l *lockCounters) Granted(g lock.Grant) { l.grants[g].Inc() }

// Renewed counts the renewal of a lease.
func (l *lockCounters) Renewed(err error) {
	outcome := "ok"
	switch {
	case errors.Is(err, lock.ErrLost):
		outcome = "lost"
	case err != nil:
		outcome = "failed"
	}
	l.renewals.WithLabelValues(string(l.strategy), outcome).Inc()
}

func (m *Metrics) outcome(s Strategy, f Family, r Receipt, err error, took time.Duration) {
	m.duration.WithLabelValues(string(s), string(f)).Observe(took.Seconds())
	m.changes.WithLabelValues(string(s), string(f), outcomeOf(r, err)).Inc()
}

// appliedTogether counts changes that one transaction has applied. Its time is that of none of them.
func (m *Metrics) appliedTogether(s Strategy, f Family, changes int, took time.Duration) {
	m.together.WithLabelValues(string(s), string(f)).Observe(took.Seconds())
	m.changes.WithLabelValues(string(s), string(f), outcomeOf(Receipt{}, nil)).Add(float64(changes))
}

func outcomeOf(r Receipt, err error) string {
	switch {
	case err == nil && r.Replayed:
		return "replayed"
	case err == nil:
		return "applied"
	case errors.Is(err, ErrUnknown):
		return "unknown"
	case errors.Is(err, ErrInsufficient), errors.Is(err, ErrLimit):
		return "refused"
	case errors.Is(err, ErrLockTimeout):
		return "lock_timeout"
	case errors.Is(err, ErrLockLost):
		return "lock_lost"
	case errors.Is(err, ErrConflict):
		return "conflict"
	case errors.Is(err, ErrUnavailable):
		return "unavailable"
	case errors.Is(err, ErrBroken):
		return "broken"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "cancelled"
	}
	return "error"
}

func (m *Metrics) waited(s Strategy, f Family, d time.Duration) {
	m.wait.WithLabelValues(string(s), string(f)).Observe(d.Seconds())
}

func (m *Metrics) held(s Strategy, f Family, d time.Duration) {
	m.hold.WithLabelValues(string(s), string(f)).Observe(d.Seconds())
}

func (m *Metrics) violation(s Strategy, f Family) {
	m.violations.WithLabelValues(string(s), string(f)).Inc()
}

func (m *Metrics) lost(s Strategy, f Family) {
	m.losses.WithLabelValues(string(s), string(f)).Inc()
}
