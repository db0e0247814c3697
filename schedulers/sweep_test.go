package schedulers

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"holdfast/commerce"
	"holdfast/ent/paymentattempt"
	"holdfast/lockprovider"
)

// A payment that was cut off is taken to its end once nobody has moved it for the time that is set.
func TestSweep(t *testing.T) {
	everyDatabase(t, func(t *testing.T, s stores) {
		p := s.process(t, "a", lockprovider.RowLock)
		began := p.clock.Now()
		for i := range 3 { // as if the process had died before it asked the gateway
			must(t, p.db.Ent.PaymentAttempt.Create().SetID(fmt.Sprintf("top_%d", i)).SetUserID(shopper.UserID).SetPoints(100).
				SetGateway("").SetStatus(paymentattempt.StatusAUTHORIZING).SetAmountMinor(100).SetCurrency("USD").
				SetLookAt(began).SetCreatedAt(began).SetUpdatedAt(began).Exec(t.Context()))
		}
		set := settings()
		set.SweepAfter, set.SweepBatch = 10*time.Minute, 2
		r := p.runner(t, p.deps(set))
		for _, want := range []Result{
			{"ended": 0, "postponed": 0}, // somebody may be at it
			{"ended": 0, "postponed": 3}, // they may still be on their way to the gateway
			{"ended": 3, "postponed": 0},
			{"ended": 0, "postponed": 0},
		} {
			run, err := r.RunNow(t.Context(), Sweep)
			must(t, err)
			if run.Error != "" {
				t.Errorf("the run failed: %s", run.Error)
			}
			wantResult(t, run.Result, nil, want)
			p.clock.Advance(11 * time.Minute)
		}
		voided, err := p.db.Ent.PaymentAttempt.Query().Where(paymentattempt.StatusEQ(paymentattempt.StatusVOIDED)).Count(t.Context())
		must(t, err)
		if voided != 3 {
			t.Errorf("%d attempts are voided, want 3", voided)
		}
	})
}

// Each instance tells how many payments cannot be ended, and says so when there are more.
func TestStuckPaymentsAreTold(t *testing.T) {
	p := embedded(t).process(t, "one", lockprovider.AtomicSQL)
	registry := prometheus.NewRegistry()
	var log lines
	d := p.deps(settings())
	d.Metrics, d.Log = NewMetrics(registry), slog.New(slog.NewTextHandler(&log, nil))
	r := p.runner(t, d)
	for want := range 2 {
		for range 2 {
			r.jobs[Sweep].(observer).observe(t.Context())
		}
		families, err := registry.Gather()
		must(t, err)
		told := -1.0
		for _, f := range families {
			if f.GetName() == "holdfast_payment_attempts_stuck" {
				told = f.GetMetric()[0].GetGauge().GetValue()
			}
		}
		if told != float64(want) {
			t.Errorf("%v payments need a person, want %d", told, want)
		}
		if n := log.count("payment attempts cannot be ended"); n != want {
			t.Errorf("said %d times that there are more, want %d", n, want)
		}
		_, err = p.Points.Charge(t.Context(), shopper, commerce.ChargePoints{Key: uuid.New(), Amount: 100})
		must(t, err)
		must(t, p.db.Ent.PaymentAttempt.Update().SetLooks(100).SetLookAt(p.clock.Now()).Exec(t.Context())) // as after many failures
	}
}
