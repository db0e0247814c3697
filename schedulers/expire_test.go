package schedulers

import (
	"testing"
	"time"

	"github.com/google/uuid"

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
