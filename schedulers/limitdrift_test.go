package schedulers

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/ent/limitdrift"
	"holdfast/ent/order"
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
		if len(told) != 3 || told[countsPending] != 1 || told[countsProduct] != 0 || told[countsHolds] != 0 {
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
	must(t, p.db.Ent.SchedulerJob.Create().SetID(string(LimitDrift)).Exec(ctx))
	j := &limitDrift{
		limits: counting.LimitDrifts, client: p.db.Ent, page: 1, most: 100,
		metrics: NewMetrics(registry), log: slog.New(slog.NewTextHandler(&log, nil)),
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

	orders, err := p.db.Ent.Order.Query().Order(order.ByNextAttemptAt(), order.ByID()).All(ctx)
	must(t, err)
	fourth := orders[3].NextAttemptAt.UTC().Format(time.RFC3339Nano) + " " + orders[3].ID
	cut, cancel := context.WithCancel(ctx)
	cancel()
	j.phase, j.after = 1, fourth // as if the run had been cut off there
	if _, err := j.runOnce(cut); err == nil || j.phase != 1 || j.after != fourth {
		t.Errorf("a run that is cut off (%v) is gone on with at phase %d, %q", err, j.phase, j.after)
	}
	result, err := j.runOnce(ctx)
	must(t, err)
	wantResult(t, result, nil, Result{"compared": 2 + 3, "drifts": 0, "reopened": 0}) // the last orders, and all customers
	if j.phase != 0 || j.after != "" {
		t.Errorf("after a whole run the next one begins at phase %d, %q", j.phase, j.after)
	}

	// One that fails after the orders has compared them, and the next one does so again.
	must(t, p.db.Ent.SchedulerJob.DeleteOneID(string(LimitDrift)).Exec(ctx))
	for range 2 {
		result, err := j.runOnce(ctx)
		if !ent.IsNotFound(err) {
			t.Fatalf("a run without its place: %v", err)
		}
		wantResult(t, result, nil, Result{"compared": 6, "drifts": 0, "reopened": 0})
	}
}

// A run compares so many balances and no more, besides those of orders of which something is still
// to be done. The next one goes on there, also on another instance, and after the last balance with
// the first. So a count that no order tells of is found.
func TestLimitDriftComparesSoManyAtATime(t *testing.T) {
	everyDatabase(t, func(t *testing.T, s stores) {
		p, ctx := s.process(t, "one", lockprovider.AtomicSQL), t.Context()
		must(t, p.db.Ent.SchedulerJob.Create().SetID(string(LimitDrift)).Exec(ctx))
		product := lockprovider.StockKey(p.product(t, 100))
		leaked := lockprovider.PendingKey("user_c")
		var counts []*ent.BalanceCreate
		for _, user := range []string{"user_a", "user_b", "user_c"} {
			counts = append(counts, p.db.Ent.Balance.Create().SetID(lockprovider.PendingKey(user)).SetFamily(string(lockprovider.Stock)).
				SetAmount(0).SetFloor(0).SetCeiling(lockprovider.MaxAmount).SetOpening(0))
		}
		must(t, p.db.Ent.Balance.CreateBulk(counts...).Exec(ctx))
		must(t, p.db.Ent.Balance.UpdateOneID(leaked).SetAmount(7).Exec(ctx))
		run := func(want string, drifts int64) {
			t.Helper()
			other := &limitDrift{ // which remembers nothing
				limits: p.LimitDrifts, client: p.db.Ent, page: 1, most: 2, metrics: NewMetrics(nil), log: slog.New(slog.DiscardHandler),
			}
			result, err := other.runOnce(ctx)
			must(t, err)
			row, err := p.db.Ent.SchedulerJob.Get(ctx, string(LimitDrift))
			must(t, err)
			if row.Position != want || result["drifts"] != drifts {
				t.Errorf("found %d counts that are wrong, up to %q; want %d, up to %q", result["drifts"], row.Position, drifts, want)
			}
		}
		run(lockprovider.PendingKey("user_a"), 0)
		run(leaked, 1)
		must(t, p.db.Ent.Balance.UpdateOneID(product).SetAmount(99).Exec(ctx)) // which counts no orders: reconcile and the journal tell of it
		run(lockprovider.PendingKey("user_a"), 0)
		row, err := p.db.Ent.Balance.Get(ctx, leaked)
		must(t, err)
		if row.Amount != 0 {
			t.Errorf("%s counts %d, want 0", leaked, row.Amount)
		}
	})
}
