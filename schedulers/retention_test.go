package schedulers

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/commerce"
	"holdfast/ent/changelog"
	"holdfast/lockprovider"
)

func TestRetention(t *testing.T) {
	everyDatabase(t, func(t *testing.T, s stores) {
		p := s.process(t, "one", lockprovider.Lua)
		set := settings()
		set.DeleteBatch = 3
		r := p.runner(t, p.deps(set))
		product := p.product(t, 100)
		in := commerce.PlaceOrder{Key: uuid.New(), Lines: []commerce.Line{{ProductID: product, Quantity: 1}}}
		_, err := p.Orders.Place(t.Context(), shopper, in)
		must(t, err)
		for range 7 {
			must(t, p.order(t.Context(), product))
		}
		p.settle(t)
		entries, err := p.db.Ent.Entry.Query().Count(t.Context())
		must(t, err)
		for n := range 4 {
			must(t, p.db.Ent.ProcessedEvent.Create().SetID(fmt.Sprint("sales:", n)).Exec(t.Context()))
		}
		must(t, p.db.Ent.Instance.Create().SetID("inst_dead").SetHost("h").SetStrategies(map[string]string{}).Exec(t.Context()))
		_, err = r.RunNow(t.Context(), Reconcile)
		must(t, err)
		must(t, p.stock().OpenGroup(t.Context()))
		_, err = p.stock().Read(t.Context(), "dead", 1, -1) // leaves a consumer
		must(t, err)

		run := func(j *retention, want Result) {
			t.Helper()
			result, err := j.runOnce(t.Context())
			wantResult(t, result, err, want)
		}
		job := r.jobs[Retention].(*retention)
		nothing := Result{"changes": 0, "events": 0, "runs": 0, "drifts": 0, "instances": 0, "consumers": 0}
		run(job, nothing)

		// Remembered for long enough, but not published yet.
		p.clock.Advance(set.Remember + time.Minute)
		run(job, Result{"changes": 0, "events": 0, "runs": 0, "instances": 1})
		must(t, p.db.Ent.ChangeLog.Update().Where(changelog.IDGT(0)).SetPublishedAt(p.clock.Now()).Exec(t.Context()))
		run(job, Result{"changes": 8})
		run(job, nothing)
		p.clock.Advance(set.KeepEvents)
		run(job, Result{"events": 4, "runs": 1})

		// The journal stays, and what it proves. A request that is repeated after all this time is refused and does nothing.
		n, err := p.db.Ent.Entry.Query().Count(t.Context())
		must(t, err)
		if n != entries {
			t.Errorf("%d of %d entries are left", n, entries)
		}
		if _, err := p.Orders.Place(t.Context(), shopper, in); err != nil {
			t.Logf("repeated after its time: %v", err)
		}
		p.audit(t)
		p.settle(t)
		p.wantAgreement(t)
	})
}

func TestRetentionWithoutRelay(t *testing.T) {
	p := embedded(t).process(t, "one", lockprovider.AtomicSQL)
	must(t, p.order(t.Context(), p.product(t, 1)))
	set := settings()
	set.Unrelayed = true
	job := p.runner(t, p.deps(set)).jobs[Retention]
	p.clock.Advance(set.Remember + time.Minute)
	result, err := job.runOnce(t.Context())
	wantResult(t, result, err, Result{"changes": 1})
}

// Idle consumers go, except where they have read what is not confirmed.
func TestRetentionDismissesIdleConsumers(t *testing.T) {
	everywhere(t, func(t *testing.T, s stores) {
		p := s.process(t, "one", lockprovider.Lua)
		product := p.product(t, 10)
		must(t, p.order(t.Context(), product))
		p.settle(t)
		p.stopPersisting()
		customer := make(chan error, 1)
		go func() { customer <- p.order(t.Context(), product) }()
		until(t, "a change in flight", func() bool {
			n, err := p.stock().Backlog(t.Context())
			must(t, err)
			return n == 1
		})
		for _, consumer := range []string{"busy", "idle"} {
			_, err := p.stock().Read(t.Context(), consumer, 10, -1)
			must(t, err)
		}
		n, err := p.stock().DismissIdle(t.Context(), time.Hour)
		must(t, err)
		if n != 0 {
			t.Errorf("%d consumers dismissed that are not idle", n)
		}
		n, err = p.stock().DismissIdle(t.Context(), 0)
		must(t, err)
		if n != 2 { // "idle", and the persister's own, which it gets back
			t.Errorf("%d consumers dismissed, want 2", n)
		}
		p.persist()
		must(t, <-customer)
		p.settle(t)
		p.wantAgreement(t)
		must(t, p.redis.FlushAll(t.Context()).Err())
		n, err = p.stock().DismissIdle(t.Context(), 0)
		if err != nil || n > 1 { // the group is gone, or the persister has made it anew
			t.Errorf("%d dismissed, %v", n, err)
		}
	})
}
