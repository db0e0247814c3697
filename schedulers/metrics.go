package schedulers

import (
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/ent/schema"
	"holdfast/lockprovider"
)

// Metrics are the Prometheus instruments of the jobs. Times are in seconds.
type Metrics struct {
	runs    *prometheus.CounterVec
	seconds *prometheus.HistogramVec
	drifts  *prometheus.CounterVec

	paymentDrifts *prometheus.CounterVec
	limitDrifts   *prometheus.CounterVec

	failed atomic.Int64 // settlements
	stuck  atomic.Int64 // payment attempts

	stuckRefunds atomic.Int64
	stuckHolds   atomic.Int64
	uncorrected  atomic.Int64 // counts of orders
}

// NewMetrics registers the instruments; with a nil registerer nothing reads them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_job_runs_total",
			Help: "Runs of the jobs on this instance by outcome; elsewhere means that another instance had run it.",
		}, []string{"job", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "holdfast_job_seconds", Help: "Time that a run took.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 9), // 1 ms to 65 s
		}, []string{"job"}),
		drifts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_drift_total",
			Help: "Balances of which Redis said what could not be, changes in flight considered.",
		}, []string{"family", "repaired"}),
	}
	for _, job := range allJobs {
		for _, outcome := range []string{outcomeDone, outcomeFailed, outcomeElsewhere, outcomeUnclaimed} {
			m.runs.WithLabelValues(string(job), outcome) // so that the first one is an increase
		}
	}
	m.paymentDrifts = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "holdfast_payment_drift_total",
		Help: "Differences that were found between the payment gateway and the shop, each once.",
	}, []string{"kind"})
	for _, kind := range schema.PaymentDriftKinds {
		m.paymentDrifts.WithLabelValues(kind) // so that the first one is an increase
	}
	m.limitDrifts = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "holdfast_limit_drift_total",
		Help: "Balances that have counted something else than the orders of a customer, each once, by what they count.",
	}, []string{"counts"})
	for _, counts := range []string{countsPending, countsHolds, countsProduct} {
		m.limitDrifts.WithLabelValues(counts)
	}
	if reg != nil {
		reg.MustRegister(m.runs, m.seconds, m.drifts, m.paymentDrifts, m.limitDrifts, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "holdfast_settlements_failed",
			Help: "Orders of all instances that the job expire has failed to finish several times. It goes on trying.",
		}, func() float64 { return float64(m.failed.Load()) }), prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "holdfast_payment_attempts_stuck",
			Help: "Payment attempts of all instances that the job sweep has failed to end several times. It goes on trying.",
		}, func() float64 { return float64(m.stuck.Load()) }), prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "holdfast_refunds_stuck",
			Help: "Refunds of all instances that the job sweep has failed to complete several times. It goes on trying.",
		}, func() float64 { return float64(m.stuckRefunds.Load()) }), prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "holdfast_holds_stuck",
			Help: "Holds of all instances that could not be ended several times after their deadline. It goes on trying.",
		}, func() float64 { return float64(m.stuckHolds.Load()) }), prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "holdfast_limit_drift_uncorrected",
			Help: "Counts of orders of all customers that are wrong, and that the job limitDrift could not correct. It goes on trying.",
		}, func() float64 { return float64(m.uncorrected.Load()) }))
	}
	return m
}

func (m *Metrics) drift(f lockprovider.Family, repaired bool) {
	m.drifts.WithLabelValues(string(f), strconv.FormatBool(repaired)).Inc()
}
