package app_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"entgo.io/ent/dialect"
	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/config"
	"holdfast/ent/changelog"
	"holdfast/ent/coupon"
	"holdfast/experiment/audit"
	"holdfast/experiment/load"
	"holdfast/lockprovider"
	"holdfast/lockprovider/ledger"
	"holdfast/payments"
)

var (
	simulations = flag.Int("simulations", 40, "how many runs of a shop are simulated")
	simulated   = flag.Uint64("simulation", 0, "simulate this run alone, and print each call")
)

// TestSimulation runs whole shops of two instances, on a clock of their own and stores that lose calls and answers, keep them waiting, and
// see instances die between any two calls. Each seed is another order of what happens, under another strategy. Then
//
//   - what a customer was told is true: done once, or not done at all;
//   - each balance is what its journal adds up to, within its bounds;
//   - Redis and the database have the same balances, and nothing is left on the way.
func TestSimulation(t *testing.T) {
	first, last := uint64(1), uint64(*simulations)
	if *simulated != 0 {
		first, last = *simulated, *simulated
	}
	points, killed := map[string]int{}, map[string]int{}
	calls := 0
	for seed := first; seed <= last; seed++ {
		w := simulate(t, seed, false)
		for _, problem := range w.problems {
			t.Errorf("seed %d, %s: %s", seed, strategyOf(seed), problem)
		}
		if t.Failed() {
			t.Fatalf("again: go test ./app -run 'TestSimulation$' -simulation %d", seed)
		}
		calls += w.calls
		for point, n := range w.passed {
			points[point] += n
		}
		for point, n := range w.points {
			killed[point] += n
		}
	}
	t.Logf("%d seeds, %d calls from %d places; an instance died before or after %d of them", last-first+1, calls, len(points), len(killed))
	if testing.Verbose() {
		for _, point := range slices.Sorted(maps.Keys(points)) {
			t.Logf("%6d calls, died before %d, after %d: %s", points[point], killed["before "+point], killed["after "+point], point)
		}
	}
}

// A database that forgets what it has committed is found: the simulation sees what it should. Where somebody else than the caller commits,
// fewer commits are made, and the queue reads what it answers: they may get over it.
func TestSimulationFindsWhatIsForgotten(t *testing.T) {
	found := map[simulatedStrategy]int{}
	for seed := range uint64(*simulations) {
		if w := simulate(t, seed+1, true); len(w.problems) > 0 {
			found[strategyOf(seed+1)]++
		}
	}
	for _, s := range strategies() {
		if info, _ := lockprovider.Lookup(s.strategy); found[s] == 0 && !info.Traits.Detached {
			t.Errorf("%s: not found", s)
		}
	}
	t.Log(found)
}

type simulatedStrategy struct {
	strategy lockprovider.Strategy
	ack      lockprovider.Ack
}

func (s simulatedStrategy) String() string {
	return strings.ToLower(fmt.Sprint(s.strategy, " ", s.ack))
}

// strategies are what is simulated.
func strategies() []simulatedStrategy {
	var all []simulatedStrategy
	for _, name := range lockprovider.Usable(dialect.SQLite) {
		all = append(all, simulatedStrategy{name, lockprovider.AckPersisted})
		if info, _ := lockprovider.Lookup(name); info.Traits.HeedsAck {
			all = append(all, simulatedStrategy{name, lockprovider.AckAccepted})
		}
	}
	return all
}

// strategyOf is the strategy that a seed is simulated under.
func strategyOf(seed uint64) simulatedStrategy {
	all := strategies()
	return all[seed%uint64(len(all))]
}

func simulatedConfig(s simulatedStrategy) config.Config {
	cfg := config.Default()
	for _, lock := range cfg.Locks {
		info, _ := lockprovider.Lookup(s.strategy)
		*lock = lockprovider.FamilyConfig{Strategy: s.strategy, Settings: lockprovider.Settings{
			Wait: 5 * time.Second, Lease: 2 * time.Second, Poll: max(info.Poll(), 20*time.Millisecond), Attempts: 20, Backoff: time.Millisecond, Ack: s.ack,
		}}
	}
	cfg.Deployment = lockprovider.DeploymentSettings{Heartbeat: time.Second, Expiry: 5 * time.Second}
	return cfg
}

func simulate(t *testing.T, seed uint64, forgets bool) *world {
	t.Helper()
	cryptotest.SetGlobalRandom(t, seed)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	defer runtime.GC()
	w := &world{
		t: t, seed: seed, forgets: forgets, cfg: simulatedConfig(strategyOf(seed)), random: rand.New(rand.NewPCG(seed, 0)),
		points: map[string]int{}, passed: map[string]int{}, gateway: payments.NewSimulated(payments.SimulatedSettings{}),
	}
	if *simulated != 0 {
		w.trace = os.Stderr
	}
	synctest.Test(t, func(t *testing.T) {
		w.t = t
		ctx := context.WithoutCancel(t.Context())
		db, err := clients.OpenDatabase(ctx, "sqlite://:memory:", clients.DatabaseOptions{})
		must(t, err)
		_, err = db.Migrate(ctx)
		must(t, err)
		w.db, w.redis = db, miniredis.NewMiniRedis()
		w.redis.ClockTTL(true)
		var s *customers
		w.until("the start", func() {
			for range 2 {
				if err := w.start(ctx); err != nil {
					w.fail("start: %v", err)
					return
				}
			}
			s = w.opening(ctx)
		})
		if len(w.problems) == 0 {
			w.faults, w.crashes = true, 1+w.random.IntN(3)
			w.until("the sale", func() { s.buy(ctx) })
			w.faults = false
			w.until("the last repeats", func() { s.repeat(ctx) })
			w.until("the audit", func() { w.audit(ctx, s) })
		}
		w.until("the end", func() {
			for _, in := range w.live() {
				w.ends.Go(in.end)
			}
			w.ends.Wait()
		})
		w.drop()
		w.redis.Close()
		must(t, db.Close())
	})
	return w
}

// customers are those of one run, with what they ask for.
type customers struct {
	w        *world
	product  string
	coupon   string
	accounts []string
	asks     [][]*ask // by customer, one after another
}

// ask is one request under one key.
type ask struct {
	*load.Request

	do   func(ctx context.Context, s *commerce.Services) (settled bool, err error)
	told string // "", if nothing is known; else done, or why not
}

const (
	shoppers   = 4
	requests   = 5
	stock      = 12
	quota      = 5
	openingUSD = 100
)

// opening makes what the customers want, and draws what they ask for.
func (w *world) opening(ctx context.Context) *customers {
	s := &customers{w: w}
	services := w.live()[0].shop.Services
	root := commerce.Viewer{UserID: "root", Name: "Root", Admin: true}
	product, err := services.Catalog.Create(ctx, root, commerce.CreateProduct{
		SKU: "T", Name: "Thing", Price: commerce.Money{Minor: 10, Currency: "USD"}, Stock: stock,
	})
	if err != nil {
		w.fail("product: %v", err)
		return s
	}
	s.product = product.ID
	row, err := services.Coupons.Create(ctx, root, commerce.CreateCoupon{
		Name: "C", DiscountKind: coupon.DiscountKindFIXED, DiscountValue: 1, Quota: quota, PerUserLimit: 2,
	})
	if err != nil {
		w.fail("coupon: %v", err)
		return s
	}
	s.coupon = row.ID
	random := rand.New(rand.NewPCG(w.seed, 1))
	for i := range shoppers {
		account, err := services.Accounts.Open(ctx, root, commerce.OpenAccount{
			Name: "A", Currency: "USD", UserID: fmt.Sprint("shopper", i), Opening: openingUSD,
		})
		if err != nil {
			w.fail("account: %v", err)
			return s
		}
		s.accounts = append(s.accounts, account.ID)
	}
	for i := range shoppers {
		asks := make([]*ask, requests)
		for n := range asks {
			asks[n] = s.draw(random, i)
		}
		s.asks = append(s.asks, asks)
	}
	return s
}

// draw returns what a customer asks for.
func (s *customers) draw(random *rand.Rand, shopper int) *ask {
	by := commerce.Viewer{UserID: fmt.Sprint("shopper", shopper), Name: "Shopper"}
	switch random.IntN(4) {
	case 0, 1:
		a := &ask{Request: load.NewRequest(load.PlaceOrder, by.UserID)}
		in := commerce.PlaceOrder{Key: a.Key, Lines: []commerce.Line{{ProductID: s.product, Quantity: 1 + random.Int64N(2)}}}
		a.do = func(ctx context.Context, s *commerce.Services) (bool, error) {
			result, err := s.Orders.Place(ctx, by, in)
			return err == nil && result.Order != nil && result.Persistence == commerce.Persisted, err
		}
		return a
	case 2:
		a := &ask{Request: load.NewRequest(load.Transfer, by.UserID)}
		in := commerce.Transfer{
			Key: a.Key, From: s.accounts[shopper], To: s.accounts[(shopper+1+random.IntN(shoppers-1))%shoppers],
			Amount: commerce.Money{Minor: 1 + random.Int64N(70), Currency: "USD"},
		}
		a.do = func(ctx context.Context, s *commerce.Services) (bool, error) {
			result, err := s.Accounts.Transfer(ctx, by, in)
			return err == nil && result.Meta.Persistence == commerce.Persisted, err
		}
		return a
	default:
		a := &ask{Request: load.NewRequest(load.IssueCoupon, by.UserID)}
		in := commerce.IssueCoupon{Key: a.Key, CouponID: s.coupon}
		a.do = func(ctx context.Context, s *commerce.Services) (bool, error) {
			result, err := s.Coupons.Issue(ctx, by, in)
			return err == nil && result.Meta.Persistence == commerce.Persisted, err
		}
		return a
	}
}

// buy has all customers ask, one request after another each, of whichever instance is alive, while another instance starts for
// each that dies.
func (s *customers) buy(ctx context.Context) {
	ended := make(chan struct{})
	var shop, all sync.WaitGroup
	shop.Go(func() {
		for {
			select {
			case <-ended:
				return
			case <-time.After(300 * time.Millisecond):
			}
			if len(s.w.live()) < 2 {
				_ = s.w.start(ctx)
			}
		}
	})
	for i, asks := range s.asks {
		all.Go(func() {
			random := rand.New(rand.NewPCG(s.w.seed, uint64(10+i)))
			for _, a := range asks {
				for range 1 + random.IntN(3) {
					if a.told != "" {
						break
					}
					time.Sleep(time.Duration(random.Int64N(int64(30 * time.Millisecond)))) // no two at the same time, which would be in any order
					a.ask(ctx, s.w, random.IntN(8))
				}
			}
		})
	}
	all.Wait()
	close(ended)
	shop.Wait()
}

// repeat has all customers ask again until they know.
func (s *customers) repeat(ctx context.Context) {
	for len(s.w.live()) == 0 {
		if err := s.w.start(ctx); err != nil {
			time.Sleep(time.Second)
		}
	}
	var all sync.WaitGroup
	for _, asks := range s.asks {
		all.Go(func() {
			for _, a := range asks {
				for n := 0; a.told == ""; n++ {
					if n == 300 {
						s.w.fail("%s of %s is not known after %d repeats", a.Operation, a.User, n)
						return
					}
					a.ask(ctx, s.w, n)
					if a.told == "" {
						time.Sleep(200 * time.Millisecond)
					}
				}
			}
		})
	}
	all.Wait()
}

// ask asks once, and keeps what is certain of the answer. What a dead instance says nobody hears.
func (a *ask) ask(ctx context.Context, w *world, choice int) {
	live := w.live()
	if len(live) == 0 {
		return
	}
	in := live[choice%len(live)]
	bounded, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	settled, err := a.do(bounded, in.shop.Services)
	if in.isDead() {
		return
	}
	if settled {
		a.told = done
		return
	}
	if errs, ok := commerce.UserErrors(err); ok && refusals[errs[0].Code] {
		a.told = string(errs[0].Code)
	}
}

const done = "done"

// refusals are the codes that say: nothing was done, and nothing will be.
var refusals = map[commerce.Code]bool{
	commerce.OutOfStock: true, commerce.InsufficientFunds: true, commerce.CouponExhausted: true, commerce.CouponAlreadyIssued: true,
}

// audit compares what the customers were told with what the stores have.
func (w *world) audit(ctx context.Context, s *customers) {
	observer := redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379", Dialer: w.dial})
	defer observer.Close()
	problems, err := audit.CompareStores(ctx, w.db.Ent, &clients.Redis{Client: observer})
	if err != nil {
		w.fail("compare the stores: %v", err)
	}
	for _, p := range problems {
		w.fail("%s: %s", p.Subject, p.Text)
	}
	violations, err := ledger.Audit(ctx, w.db.Ent)
	if err != nil {
		w.fail("audit: %v", err)
	}
	for _, v := range violations {
		w.fail("%s: %s", v.Balance, v.Problem)
	}
	for _, asks := range s.asks {
		for _, a := range asks {
			n, err := w.db.Ent.ChangeLog.Query().Where(changelog.ChangeID(a.Change), changelog.KindNEQ(ledger.KindRefused)).Count(ctx)
			if err != nil {
				w.fail("change log: %v", err)
			}
			if want := map[bool]int{true: 1}[a.told == done]; n != want {
				w.fail("%s of %s (%s): told %q, and it is in the change log %d times", a.Operation, a.User, a.Change, a.told, n)
			}
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
