package schedulers

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"holdfast/commerce"
	"holdfast/ent/limitdrift"
	"holdfast/lockprovider"
	"holdfast/payments"
)

// A count of a customer's orders that differs from the orders is corrected by the job, counted and told once.
func TestLimitDrift(t *testing.T) {
	everyDatabase(t, func(t *testing.T, s stores) {
		p, ctx := s.process(t, "one", lockprovider.AtomicSQL), t.Context()
		counting := commerce.New(commerce.Deps{
			Client: p.db.Ent, Ledger: p.ledger, Providers: p.providers, Gateway: payments.NewSimulated(payments.SimulatedSettings{}), Now: p.clock.Now,
			Shop: commerce.ShopSettings{Currency: "USD", Reservation: reservation, MaxLines: 50, MaxQuantity: 1000, MaxPending: 100},
		})
		product := p.product(t, 100)
		for range 3 {
			_, err := counting.Orders.Place(ctx, shopper, commerce.PlaceOrder{
				Key: uuid.New(), Lines: []commerce.Line{{ProductID: product, Quantity: 1}},
			})
			must(t, err)
		}
		registry := prometheus.NewRegistry()
		var log lines
		d := p.deps(settings())
		d.Metrics, d.Log, d.Limits = NewMetrics(registry), slog.New(slog.NewTextHandler(&log, nil)), counting.LimitDrifts
		r := p.runner(t, d)
		run := func(want Result) {
			t.Helper()
			run, err := r.RunNow(ctx, LimitDrift)
			must(t, err)
			if run.Error != "" {
				t.Errorf("the run failed: %s", run.Error)
			}
			wantResult(t, run.Result, nil, want)
		}
		run(Result{"compared": 2, "drifts": 0, "reopened": 0}) // one balance, by itself and by the orders that it counts
		must(t, p.db.Ent.Balance.UpdateOneID(lockprovider.PendingKey(shopper.UserID)).AddAmount(4).Exec(ctx))
		run(Result{"compared": 2, "drifts": 1, "reopened": 0})
		run(Result{"compared": 2, "drifts": 0, "reopened": 0})
		row, err := p.db.Ent.LimitDrift.Query().Where(limitdrift.Corrected(true)).Only(ctx)
		must(t, err)
		if row.Counted != 7 || row.Ordered != 3 {
			t.Errorf("reported as %d instead of %d, want 7 instead of 3", row.Counted, row.Ordered)
		}
		if n := log.count("a count of a customer's orders differed from the orders"); n != 1 {
			t.Errorf("told %d times", n)
		}
		families, err := registry.Gather()
		must(t, err)
		told := map[string]float64{}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if f.GetName() == "holdfast_limit_drift_total" {
					told[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
				}
			}
		}
		if len(told) != 2 || told[countsPending] != 1 || told[countsProduct] != 0 {
			t.Errorf("counted %v, want one of pending", told)
		}
	})
}

// A count that cannot be corrected fails the run, and holds up no other. It is told and counted
// once, and each instance tells how many there are. A run that the database cuts off is gone on
// with where it was.
func TestLimitDriftGoesOn(t *testing.T) {
	p, ctx := embedded(t).process(t, "one", lockprovider.AtomicSQL), t.Context()
	counting := commerce.New(commerce.Deps{
		Client: p.db.Ent, Ledger: p.ledger, Providers: p.providers, Gateway: payments.NewSimulated(payments.SimulatedSettings{}), Now: p.clock.Now,
		Shop: commerce.ShopSettings{Currency: "USD", Reservation: reservation, MaxLines: 50, MaxQuantity: 1000, MaxPending: 100},
	})
	product := p.product(t, 100)
	keys := make([]string, 3)
	for i, user := range []string{"user_a", "user_b", "user_c"} {
		keys[i] = lockprovider.PendingKey(user)
		for range 2 {
			_, err := counting.Orders.Place(ctx, commerce.Viewer{UserID: user}, commerce.PlaceOrder{
				Key: uuid.New(), Lines: []commerce.Line{{ProductID: product, Quantity: 1}},
			})
			must(t, err)
		}
	}
	registry := prometheus.NewRegistry()
	var log lines
	j := &limitDrift{
		limits: counting.LimitDrifts, page: 1, metrics: NewMetrics(registry), log: slog.New(slog.NewTextHandler(&log, nil)),
	}
	wantAmount := func(key string, want int64) {
		t.Helper()
		row, err := p.db.Ent.Balance.Get(ctx, key)
		must(t, err)
		if row.Amount != want {
			t.Errorf("%s counts %d, want %d", key, row.Amount, want)
		}
	}
	metric := func(name string) (sum float64) {
		t.Helper()
		families, err := registry.Gather()
		must(t, err)
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if f.GetName() == name {
					sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
				}
			}
		}
		return sum
	}
	must(t, p.db.Ent.Balance.UpdateOneID(keys[0]).SetAmount(1).SetCeiling(1).Exec(ctx)) // which refuses the correction
	must(t, p.db.Ent.Balance.UpdateOneID(keys[1]).SetAmount(1).Exec(ctx))
	for range 2 {
		if _, err := j.runOnce(ctx); err == nil || !strings.Contains(err.Error(), keys[0]) || strings.Contains(err.Error(), keys[1]) {
			t.Errorf("the run fails with %v, which should name %s", err, keys[0])
		}
		j.observe(ctx)
		wantAmount(keys[0], 1)
		wantAmount(keys[1], 2)
		if n := metric("holdfast_limit_drift_total"); n != 2 || log.count("a count of a customer's orders differed from the orders") != 2 {
			t.Errorf("%v differences are counted, want 2, each told once", n)
		}
		if n := metric("holdfast_limit_drift_uncorrected"); n != 1 || log.count("counts of customers' orders cannot be corrected") != 1 {
			t.Errorf("%v counts cannot be corrected, want 1, told once", n)
		}
	}
	must(t, p.db.Ent.Balance.UpdateOneID(keys[0]).SetCeiling(lockprovider.MaxAmount).Exec(ctx))
	_, err := j.runOnce(ctx)
	must(t, err)
	j.observe(ctx)
	wantAmount(keys[0], 2)
	if n := metric("holdfast_limit_drift_uncorrected"); n != 0 {
		t.Errorf("%v counts cannot be corrected, want none", n)
	}

	cut, cancel := context.WithCancel(ctx)
	cancel()
	j.phase, j.after = 1, keys[1] // as if the run had been cut off there
	if _, err := j.runOnce(cut); err == nil || j.phase != 1 || j.after != keys[1] {
		t.Errorf("a run that is cut off (%v) is gone on with at phase %d, %q", err, j.phase, j.after)
	}
	result, err := j.runOnce(ctx)
	must(t, err)
	wantResult(t, result, nil, Result{"compared": 1 + 6, "drifts": 0, "reopened": 0}) // the last customer, and all orders
	if j.phase != 0 || j.after != "" {
		t.Errorf("after a whole run the next one begins at phase %d, %q", j.phase, j.after)
	}
}
