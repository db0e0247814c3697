package schedulers

import (
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"holdfast/commerce"
	"holdfast/ent/hold"
	"holdfast/lockprovider"
)

// The job ends holds that no instance has ended at their deadline, more of them than it takes at a time, and then finds none.
func TestExpireEndsHolds(t *testing.T) {
	everyDatabase(t, func(t *testing.T, s stores) {
		p, ctx := s.process(t, "one", lockprovider.AtomicSQL), t.Context()
		product := p.product(t, 10)
		for range 3 {
			_, err := p.Holds.Create(ctx, shopper, commerce.CreateHold{
				Key: uuid.New(), Lines: []commerce.Line{{ProductID: product, Quantity: 2}}, TTL: time.Minute,
			})
			must(t, err)
		}
		set := settings()
		set.ExpireBatch = 2
		r := p.runner(t, p.deps(set))
		run := func(want Result) {
			t.Helper()
			run, err := r.RunNow(ctx, Expire)
			must(t, err)
			if run.Error != "" {
				t.Errorf("the run failed: %s", run.Error)
			}
			wantResult(t, run.Result, nil, want)
		}
		run(Result{"holds": 0, "postponedHolds": 0, "orders": 0})
		p.clock.Advance(time.Minute)
		run(Result{"holds": 3, "postponedHolds": 0, "orders": 0})
		run(Result{"holds": 0})
		if n := p.db.Ent.Hold.Query().Where(hold.StatusEQ(hold.StatusEXPIRED)).CountX(ctx); n != 3 {
			t.Errorf("%d of 3 holds have expired", n)
		}
		left, err := p.Catalog.Stock(ctx, []string{product})
		must(t, err)
		if left[product].Amount != 10 {
			t.Errorf("%d of 10 are for sale", left[product].Amount)
		}
		p.audit(t)
	})
}

// Each instance tells how many holds could not be ended, and says so when there are more.
func TestStuckHoldsAreTold(t *testing.T) {
	p, ctx := embedded(t).process(t, "one", lockprovider.AtomicSQL), t.Context()
	registry := prometheus.NewRegistry()
	var log lines
	d := p.deps(settings())
	d.Metrics, d.Log = NewMetrics(registry), slog.New(slog.NewTextHandler(&log, nil))
	r := p.runner(t, d)
	product := p.product(t, 10)
	_, err := p.Holds.Create(ctx, shopper, commerce.CreateHold{
		Key: uuid.New(), Lines: []commerce.Line{{ProductID: product, Quantity: 2}}, TTL: time.Minute,
	})
	must(t, err)
	told := func(want float64) {
		t.Helper()
		r.jobs[Expire].(observer).observe(ctx)
		families, err := registry.Gather()
		must(t, err)
		for _, f := range families {
			if f.GetName() == "holdfast_holds_stuck" {
				if n := f.GetMetric()[0].GetGauge().GetValue(); n != want {
					t.Errorf("%v holds are stuck, want %v", n, want)
				}
				return
			}
		}
		t.Fatal("no such metric")
	}
	ceiling := func(n int64) {
		must(t, p.db.Ent.Balance.UpdateOneID(lockprovider.StockKey(product)).SetCeiling(n).Exec(ctx))
	}
	ceiling(8) // no room for what comes back
	p.clock.Advance(time.Minute)
	for attempt := range 6 {
		told(0)
		result, err := r.jobs[Expire].runOnce(ctx)
		wantResult(t, result, err, Result{"holds": 0, "postponedHolds": 1})
		if attempt < 5 {
			p.clock.Advance(10 * time.Minute)
		}
	}
	told(1)
	told(1)
	if n := log.count("holds cannot be ended"); n != 1 {
		t.Errorf("the log says so %d times", n)
	}
	ceiling(10)
	p.clock.Advance(10 * time.Minute)
	result, err := r.jobs[Expire].runOnce(ctx)
	wantResult(t, result, err, Result{"holds": 1, "postponedHolds": 0})
	told(0)
	p.audit(t)
}
