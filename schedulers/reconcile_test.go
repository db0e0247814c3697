package schedulers

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/ent/order"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
	"holdfast/lockprovider/ledger"
	"holdfast/lockprovider/redisfirst"
)

// Redis is told by hand that there is more, or less, than there is. One run finds and repairs it while customers are buying
// the last pieces, and exactly the stock is sold.
func TestReconcileRepairsDriftDuringTraffic(t *testing.T) {
	for name, drift := range map[string]int64{"more": +500, "less": -150} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, s stores) {
				repairsDriftDuringTraffic(t, s.process(t, name, lockprovider.Lua), drift)
			})
		})
	}
}

func repairsDriftDuringTraffic(t *testing.T, i *process, drift int64) {
	const stock = 400
	product, quiet := i.product(t, stock), i.product(t, 5)
	must(t, i.order(t.Context(), quiet))
	job := newReconcile(i.deps(settings()))
	orders, stop := traffic(t, 32, func(int) error { return i.order(t.Context(), product) })
	until(t, "customers", func() bool { return orders.Load() > 50 })

	must(t, i.redis.HIncrBy(t.Context(), stockInRedis(product), "amount", drift).Err())
	must(t, i.redis.HSet(t.Context(), stockInRedis(quiet), "amount", 5).Err()) // it is 4
	result, err := job.runOnce(t.Context())
	wantResult(t, result, err, Result{countDrifts: 2, countRepaired: 2})

	until(t, "the stock to be sold", func() bool {
		left, err := i.Catalog.Stock(t.Context(), []string{product})
		must(t, err)
		return left[product].Amount == 0
	})
	stop()
	i.settle(t)
	n, err := i.db.Ent.Order.Query().Count(t.Context())
	must(t, err)
	if n != stock+1 { // and the quiet one
		t.Errorf("%d orders of %d pieces", n-1, stock)
	}
	i.wantAgreement(t)
	i.audit(t)
	result, err = job.runOnce(t.Context())
	wantResult(t, result, err, Result{countDrifts: 0, countLocked: 0})

	reports, err := i.db.Ent.DriftReport.Query().All(t.Context())
	must(t, err)
	seen := map[string]*ent.DriftReport{}
	for _, r := range reports {
		seen[r.Balance] = r
	}
	r := seen[lockprovider.StockKey(product)]
	if r == nil || r.RedisAmount-r.ExpectedAmount != drift || !r.Repaired || r.Family != string(lockprovider.Stock) {
		t.Errorf("reported %+v, want a drift of %+d", r, drift)
	}
	if r := seen[lockprovider.StockKey(quiet)]; r == nil || r.RedisAmount != 5 || r.DatabaseAmount != 4 || r.InFlight != 0 {
		t.Errorf("reported %+v, want 5 in redis and 4 in the database", r)
	}
}

// Two instances admit and persist orders, payments and cancellations of a few products as fast as they can: however
// often Redis is compared with the database, there is nothing to report.
func TestReconcileReportsNoFalseDrift(t *testing.T) {
	everywhere(t, func(t *testing.T, s stores) {
		instances := []*process{s.process(t, "one", lockprovider.Lua), s.process(t, "two", lockprovider.Lua)}
		products := make([]string, 4)
		for n := range products {
			products[n] = instances[0].product(t, 1_000_000)
		}
		_, err := instances[0].Points.Charge(t.Context(), shopper, commerce.ChargePoints{Key: uuid.New(), Amount: 1_000_000_000})
		must(t, err)
		scarce := instances[0].product(t, 100) // sold out soon: refusals
		orders, stop := traffic(t, 16, func(customer int) error {
			i := instances[customer%2]
			switch rand.IntN(4) {
			case 0:
				return i.order(t.Context(), products[0], products[1+rand.IntN(len(products)-1)])
			case 1:
				return i.order(t.Context(), products[0], scarce)
			}
			in := commerce.PlaceOrder{Key: uuid.New(), Lines: []commerce.Line{{ProductID: products[0], Quantity: 1}}}
			if rand.IntN(2) == 0 {
				in.Payment = &commerce.Payment{Method: "POINTS"}
			}
			placed, err := i.Orders.Place(t.Context(), shopper, in)
			if err == nil {
				_, err = instances[1-customer%2].Orders.Cancel(t.Context(), shopper, commerce.CancelOrder{
					Key: uuid.New(), OrderID: placed.Order.ID,
				})
			}
			return err
		})
		var compared, locked atomic.Int64
		together := []*reconcile{newReconcile(instances[0].deps(settings())), newReconcile(instances[1].deps(patient()))}
		for cycle := range 50 {
			before := orders.Load()
			result, err := together[cycle%2].runOnce(t.Context())
			wantResult(t, result, err, Result{countDrifts: 0, countSkipped: 0})
			compared.Add(result[countBalances])
			locked.Add(result[countLocked])
			until(t, "customers", func() bool { return orders.Load() > before })
		}
		stop()
		t.Logf("%d orders; %d comparisons, %d of them under a lock", orders.Load(), compared.Load(), locked.Load())
		if locked.Load() == 0 {
			t.Error("nothing was busy: the test proves nothing")
		}
		instances[0].settle(t)
		instances[0].wantAgreement(t)
		instances[0].audit(t)
	})
}

// Each state that a change can be in between Redis and the database is no drift; and drift beneath it is repaired without
// touching the change.
func TestReconcileTellsChangesInFlightFromDrift(t *testing.T) {
	everyDatabase(t, func(t *testing.T, s stores) {
		i := s.process(t, "only", lockprovider.Lua)
		product := i.product(t, 100)
		key := lockprovider.StockKey(product)
		must(t, i.order(t.Context(), product)) // so that Redis holds the balance
		i.settle(t)
		i.stopPersisting()
		job := newReconcile(i.deps(settings()))

		customers := make(chan error, 3)
		for range cap(customers) {
			go func() { customers <- i.order(t.Context(), product) }()
		}
		until(t, "three changes in flight", func() bool {
			n, err := i.stock().Backlog(t.Context())
			must(t, err)
			return n == 3
		})
		check := func(name string, want Result) {
			t.Helper()
			result, err := job.runOnce(t.Context())
			wantResult(t, result, err, want)
			if t.Failed() {
				t.Fatal(name)
			}
		}
		check("in flight", Result{countDrifts: 0, countLocked: 1})

		for field, wrong := range map[string]int64{"amount": 42, "floor": -5, "ceiling": 98, "seq": 17} {
			must(t, i.redis.HSet(t.Context(), stockInRedis(product), field, wrong).Err())
			check(field, Result{countDrifts: 1, countRepaired: 1})
			check(field, Result{countDrifts: 0, countLocked: 1})
		}
		levels, err := i.stock().Levels(t.Context(), []string{key})
		must(t, err)
		if l := levels[key]; l.Amount != 96 || l.Seq != 4 {
			t.Errorf("redis says %+v, want what the three in flight leave: 96", l)
		}

		// One is committed, and the persister dies before it can say so.
		must(t, i.stock().OpenGroup(t.Context()))
		batch, err := i.stock().Read(t.Context(), "dead", 1, -1)
		must(t, err)
		verdicts, err := i.ledger.Persist(t.Context(), lockprovider.Lua, batch)
		must(t, err)
		must(t, verdicts[0])
		check("committed, not forgotten", Result{countDrifts: 0, countLocked: 1})
		must(t, i.redis.HIncrBy(t.Context(), stockInRedis(product), "amount", 9).Err())
		check("drift beneath it", Result{countDrifts: 1, countRepaired: 1})
		must(t, i.stock().Done(t.Context(), batch))
		check("forgotten", Result{countDrifts: 0})

		i.persist()
		for range cap(customers) {
			must(t, testenv.Receive(t, customers, "an order in flight"))
		}
		i.settle(t)
		check("at rest", Result{countDrifts: 0, countLocked: 0})
		i.wantAgreement(t)
		i.audit(t)
	})
}

// Redis loses its last moments, as in a crash: what the database holds counts.
func TestReconcileTheDatabaseWins(t *testing.T) {
	everywhere(t, func(t *testing.T, s stores) {
		i := s.process(t, "only", lockprovider.Lua)
		product := i.product(t, 10)
		for range 3 {
			must(t, i.order(t.Context(), product))
		}
		i.settle(t)
		must(t, i.redis.HSet(t.Context(), stockInRedis(product), "amount", 9, "seq", 1).Err())
		job := newReconcile(i.deps(settings()))
		result, err := job.runOnce(t.Context())
		wantResult(t, result, err, Result{countDrifts: 1, countRepaired: 1})
		i.wantAgreement(t)
		for range 7 {
			must(t, i.order(t.Context(), product))
		}
		if err := i.order(t.Context(), product); !refused(err) {
			t.Errorf("the eleventh of ten: %v", err)
		}
		i.audit(t)
	})
}

// While the persister is slow, nothing is lost of what expiry and cancellation give back.
func TestReconcileDuringExpiry(t *testing.T) {
	i := embedded(t).process(t, "only", lockprovider.Lua)
	product := i.product(t, 50)
	for range 50 {
		must(t, i.order(t.Context(), product))
	}
	i.clock.Advance(reservation)
	reconciling, expiring := newReconcile(i.deps(settings())), i.expiring(7)
	expired := make(chan error, 1)
	go func() {
		result, err := expiring.runOnce(t.Context())
		if err == nil && result["orders"] != 50 {
			err = fmt.Errorf("finished %v", result)
		}
		expired <- err
	}()
	for done := false; !done; {
		result, err := reconciling.runOnce(t.Context())
		wantResult(t, result, err, Result{countDrifts: 0})
		select {
		case err := <-expired:
			must(t, err)
			done = true
		default:
		}
	}
	n, err := i.db.Ent.Order.Query().Where(order.StatusEQ(order.StatusEXPIRED), order.Settled(true)).Count(t.Context())
	must(t, err)
	if n != 50 {
		t.Errorf("%d orders expired", n)
	}
	i.settle(t)
	i.wantAgreement(t)
	i.audit(t)
}

// A balance that cannot be repaired yet stays reported once, and is closed when it is found in order.
func TestDriftReportsAreClosed(t *testing.T) {
	i := embedded(t).process(t, "only", lockprovider.Lua)
	r := i.runner(t, i.deps(settings()))
	product := i.product(t, 10)
	must(t, i.order(t.Context(), product))
	i.settle(t)
	job := newReconcile(i.deps(settings()))
	drifted := lockprovider.Comparison{
		Balance: lockprovider.StockKey(product), Redis: ledger.Level{Amount: 7}, Database: ledger.Level{Amount: 9},
		Expected: ledger.Level{Amount: 9},
	}
	for range 2 {
		must(t, job.report(t.Context(), lockprovider.Stock, drifted))
	}
	open, err := r.Drifts(t.Context(), true)
	must(t, err)
	if len(open) != 1 || open[0].RedisAmount != 7 {
		t.Fatalf("open: %v, want one", open)
	}
	i.clock.Advance(time.Minute)
	_, err = job.runOnce(t.Context())
	must(t, err)
	open, err = r.Drifts(t.Context(), true)
	must(t, err)
	all, err := r.Drifts(t.Context(), false)
	must(t, err)
	if len(open) != 0 || len(all) != 1 || !all[0].Repaired {
		t.Errorf("open %v, all %v", open, all)
	}
}

// A run that is cut off is continued by the next one.
func TestReconcileGoesOnWhereItWasCutOff(t *testing.T) {
	i := embedded(t).process(t, "only", lockprovider.Lua)
	var products []string
	for range 7 {
		id := i.product(t, 10)
		must(t, i.order(t.Context(), id))
		products = append(products, id)
	}
	i.settle(t)
	job := newReconcile(i.deps(settings()))
	job.resume[lockprovider.Stock] = lockprovider.StockKey(products[3])
	result, err := job.runOnce(t.Context())
	wantResult(t, result, err, Result{countBalances: 3, countDrifts: 0})
	result, err = job.runOnce(t.Context())
	wantResult(t, result, err, Result{countBalances: 7, countDrifts: 0})
}

// While a fallback serves the family, or another epoch, the database moves on without this Redis: that is no drift.
func TestReconcileLeavesAFallbackAlone(t *testing.T) {
	i := embedded(t).process(t, "only", lockprovider.Lua)
	product := i.product(t, 10)
	must(t, i.order(t.Context(), product))
	i.settle(t)
	must(t, i.redis.HIncrBy(t.Context(), stockInRedis(product), "amount", 3).Err())
	must(t, i.db.Ent.FamilyStrategy.Create().SetID(string(lockprovider.Stock)).SetStrategy("lua").SetEpoch(0).
		SetFallback(true).Exec(t.Context()))
	reconciling, priming := newReconcile(i.deps(settings())), i.runner(t, i.deps(settings())).prime
	for _, epoch := range []int64{0, 1} {
		must(t, i.db.Ent.FamilyStrategy.UpdateOneID(string(lockprovider.Stock)).SetEpoch(epoch).SetFallback(epoch == 0).
			Exec(t.Context()))
		result, err := reconciling.runOnce(t.Context())
		wantResult(t, result, err, Result{countBalances: 0, countDrifts: 0})
		result, err = priming.runOnce(t.Context())
		wantResult(t, result, err, Result{"balances": 0})
		if _, err := i.stock().Reconcile(t.Context(), i.ledger, lockprovider.StockKey(product)); err == nil {
			t.Error("compared nevertheless")
		}
	}
	must(t, i.db.Ent.FamilyStrategy.UpdateOneID(string(lockprovider.Stock)).SetEpoch(0).Exec(t.Context()))
	result, err := reconciling.runOnce(t.Context())
	wantResult(t, result, err, Result{countDrifts: 1, countRepaired: 1})
}

// A key of Redis that holds something else than a balance is named, and keeps no other balance from being created, compared and
// repaired: neither those of the same page, nor those behind it.
func TestUnreadableBalancesHoldUpNobody(t *testing.T) {
	everywhere(t, func(t *testing.T, s stores) {
		ctx := t.Context()
		i := s.process(t, "only", lockprovider.Lua)
		var products []string
		for range 9 { // three pages
			products = append(products, i.product(t, 100))
		}
		slices.Sort(products)
		broken := map[string]bool{products[0]: true, products[1]: true}
		must(t, i.redis.Set(ctx, stockInRedis(products[0]), "nonsense", 0).Err())
		must(t, i.redis.HSet(ctx, stockInRedis(products[1]), "amount", "nonsense").Err())
		named := func(err error) {
			t.Helper()
			if !errors.Is(err, redisfirst.ErrUnreadable) || errors.Is(err, lockprovider.ErrUnavailable) {
				t.Fatalf("error %v, want that two balances cannot be read", err)
			}
			for id := range broken {
				if !strings.Contains(err.Error(), stockInRedis(id)) {
					t.Errorf("%s is not named: %v", stockInRedis(id), err)
				}
			}
		}
		d := i.deps(settings())
		job := &prime{client: d.Client, ledger: d.Ledger, providers: d.Providers, page: d.Settings.Page}
		result, err := job.runOnce(ctx)
		named(err)
		if created := result["created"]; created < 7 {
			t.Errorf("%d balances created, want the 7 of the other products", created)
		}
		for _, id := range products[2:] {
			must(t, i.redis.HIncrBy(ctx, stockInRedis(id), "amount", 50).Err())
		}
		result, err = newReconcile(d).runOnce(ctx)
		named(err)
		if result[countRepaired] != 7 {
			t.Errorf("%d balances repaired, want 7", result[countRepaired])
		}
		for id := range broken { // as the error says
			must(t, i.redis.Del(ctx, stockInRedis(id)).Err())
		}
		_, err = job.runOnce(ctx)
		must(t, err)
		i.wantAgreement(t)
	})
}
