package schedulers

import (
	"log/slog"
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
