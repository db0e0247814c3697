package schedulers

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	"github.com/google/uuid"

	"holdfast/commerce"
	"holdfast/ent/changelog"
	"holdfast/ent/hold"
	"holdfast/ent/migrate"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
)

func TestRetention(t *testing.T) {
	everyDatabase(t, func(t *testing.T, s stores) {
		p := s.process(t, "one", lockprovider.Lua)
		set := settings()
		set.KeepHolds = set.Remember + set.KeepEvents // which is between these two
		set.DeleteBatch, set.KeepCarts, set.KeepGuestCarts = 3, set.KeepWebhooks+2*set.Remember, set.KeepWebhooks+set.Remember
		r := p.runner(t, p.deps(set))
		product := p.product(t, 100)
		for range 8 {
			must(t, p.order(t.Context(), product))
		}
		p.settle(t)
		entries, err := p.db.Ent.Entry.Query().Count(t.Context())
		must(t, err)
		for n := range 4 {
			must(t, p.db.Ent.ProcessedEvent.Create().SetID(fmt.Sprint("sales:", n)).Exec(t.Context()))
			must(t, p.db.Ent.WebhookEvent.Create().SetID(fmt.Sprint("simulated:", n)).Exec(t.Context()))
			must(t, p.db.Ent.Operation.Create().SetID(uuid.New()).SetFingerprint("request").Exec(t.Context()))
		}
		for n := range 4 {
			must(t, p.db.Ent.Cart.Create().SetID(fmt.Sprint("cart", n)).SetLines(nil).SetUserID("ann").SetUpdatedAt(p.clock.Now()).Exec(t.Context()))
			must(t, p.db.Ent.Cart.Create().SetID(fmt.Sprint("guest", n)).SetLines(nil).SetUpdatedAt(p.clock.Now()).Exec(t.Context()))
		}
		for n := range 5 {
			created := p.db.Ent.Hold.Create().SetID(fmt.Sprint("hold", n)).SetUserID("ann").SetExpiresAt(p.clock.Now()).SetNextAttemptAt(p.clock.Now()).
				SetUpdatedAt(p.clock.Now()).SetStatus(hold.StatusCONSUMED)
			if n == 4 {
				created.SetStatus(hold.StatusACTIVE)
			}
			must(t, created.Exec(t.Context()))
			must(t, p.db.Ent.HoldLine.Create().SetHoldID(fmt.Sprint("hold", n)).SetProductID(product).SetVariantID(lockprovider.FirstVariantID(product)).SetPosition(0).SetQuantity(1).Exec(t.Context()))
		}
		must(t, p.db.Ent.Instance.Create().SetID("inst_dead").SetHost("h").SetStrategies(map[string]string{}).Exec(t.Context()))
		_, err = r.RunNow(t.Context(), Reconcile)
		must(t, err)
		must(t, p.stock().OpenGroup(t.Context()))
		_, err = p.stock().Read(t.Context(), "dead", 1, -1) // leaves a consumer
		must(t, err)

		run := func(j job, want Result) {
			t.Helper()
			result, err := j.runOnce(t.Context())
			wantResult(t, result, err, want)
		}
		retain := r.jobs[Retention]
		nothing := Result{"operations": 0, "changes": 0, "events": 0, "webhooks": 0, "runs": 0, "drifts": 0, "instances": 0, "consumers": 0}
		run(retain, nothing)

		// Remembered for long enough, but not published yet.
		p.clock.Advance(set.Remember + time.Minute)
		run(retain, Result{"operations": 4, "changes": 0, "events": 0, "runs": 0, "instances": 1})
		must(t, p.db.Ent.ChangeLog.Update().Where(changelog.IDGT(0)).SetPublishedAt(p.clock.Now()).Exec(t.Context()))
		run(retain, Result{"changes": 8})
		run(retain, nothing)
		p.clock.Advance(set.KeepEvents)
		run(retain, Result{"events": 4, "webhooks": 0, "runs": 1, "guestCarts": 0, "holds": 4}) // not the active one
		run(retain, Result{"holds": 0})
		if lines := p.db.Ent.HoldLine.Query().CountX(t.Context()); lines != 1 {
			t.Errorf("%d lines of one hold are left", lines)
		}
		p.clock.Advance(set.KeepWebhooks - set.KeepEvents)
		run(retain, Result{"webhooks": 4, "carts": 0, "guestCarts": 4})
		touched := p.db.Ent.Cart.UpdateOneID("cart3").SetUpdatedAt(p.clock.Now())
		must(t, touched.Exec(t.Context()))
		p.clock.Advance(set.KeepCarts - set.KeepWebhooks + time.Minute)
		run(retain, Result{"carts": 3})
		run(retain, Result{"carts": 0})
		p.clock.Advance(set.KeepCarts)
		run(retain, Result{"carts": 1})

		// The journal stays, and what it proves.
		n, err := p.db.Ent.Entry.Query().Count(t.Context())
		must(t, err)
		if n != entries {
			t.Errorf("%d of %d entries are left", n, entries)
		}
		p.audit(t)
		p.wantAgreement(t)
	})
}

func TestForgottenRequestDoesNothingAgain(t *testing.T) {
	p := embedded(t).process(t, "one", lockprovider.AtomicSQL)
	product := p.product(t, 2)
	in := commerce.PlaceOrder{Key: uuid.New(), Lines: []commerce.Line{{ProductID: product, Quantity: 1}}}
	_, err := p.Orders.Place(t.Context(), shopper, in)
	must(t, err)
	must(t, p.db.Ent.ChangeLog.Update().Where(changelog.IDGT(0)).SetPublishedAt(p.clock.Now()).Exec(t.Context()))
	set := settings()
	job := p.runner(t, p.deps(set)).jobs[Retention]
	p.clock.Advance(set.Remember + time.Minute)
	result, err := job.runOnce(t.Context())
	wantResult(t, result, err, Result{"changes": 1})

	// A request that is repeated after all this time is told so, and does nothing.
	_, err = p.Orders.Place(t.Context(), shopper, in)
	if refused, ok := commerce.UserErrors(err); !ok || refused[0].Code != commerce.IdempotencyExpired {
		t.Errorf("the repeat is told %v", err)
	}
	left, err := p.Catalog.Stock(t.Context(), []string{product})
	must(t, err)
	if left[product].Amount != 1 {
		t.Errorf("%d left", left[product].Amount)
	}
	p.audit(t)
}

// isEmbedded tells of a Redis that does not know how long a consumer has been idle that never read anything.
func isEmbedded(p *process) bool { return p.db.Dialect == dialect.SQLite }

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
		key := stockKeyInRedis("changes")
		_, err := p.stock().Read(t.Context(), "busy", 10, -1)
		must(t, err)
		must(t, p.redis.XGroupCreateConsumer(t.Context(), key, "persister", "idle").Err())
		consumers := func() string {
			list, err := p.redis.XInfoConsumers(t.Context(), key, "persister").Result()
			must(t, err)
			var names []string
			for _, c := range list {
				names = append(names, c.Name)
			}
			slices.Sort(names)
			return strings.Join(names, " ")
		}
		before := consumers()
		n, err := p.stock().DismissIdle(t.Context(), time.Hour)
		must(t, err)
		if n != 0 || consumers() != before {
			t.Errorf("%d consumers dismissed that are not idle", n)
		}
		_, err = p.stock().DismissIdle(t.Context(), 0)
		must(t, err)
		if got := consumers(); !strings.Contains(got, "busy") || strings.Contains(got, "idle") && !isEmbedded(p) {
			t.Errorf("%s are left of %s", got, before)
		}
		p.persist()
		must(t, testenv.Receive(t, customer, "the order in flight"))
		p.settle(t)
		p.wantAgreement(t)
		must(t, p.redis.FlushAll(t.Context()).Err())
		n, err = p.stock().DismissIdle(t.Context(), 0)
		if err != nil || n > 1 { // the group is gone, or the persister has made it anew
			t.Errorf("%d dismissed, %v", n, err)
		}
	})
}

// Nothing refers to a row that retention deletes. A row that cannot be deleted, and is the oldest, would hold up all others.
func TestNothingRefersToWhatRetentionDeletes(t *testing.T) {
	deleted := map[string]bool{"change_logs": true, "processed_events": true, "scheduler_runs": true, "drift_reports": true, "instances": true}
	found := 0
	for _, table := range migrate.Tables {
		if deleted[table.Name] {
			found++
		}
		for _, key := range table.ForeignKeys {
			if deleted[key.RefTable.Name] {
				t.Errorf("%s refers to %s", table.Name, key.RefTable.Name)
			}
		}
	}
	if found != len(deleted) {
		t.Errorf("%d of %d tables found", found, len(deleted))
	}
}
