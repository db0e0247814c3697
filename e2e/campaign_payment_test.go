package e2e

import (
	"context"
	"database/sql"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"holdfast/clients"
	"holdfast/ent"
	"holdfast/ent/paymentattempt"
	"holdfast/lockprovider"
	"holdfast/payments/stripe/stripetest"
)

// TestCampaignPaymentKills kills the server before and after each effect of a payment: a statement
// that writes to a table of payments, orders or balances, its commit, a call of the gateway, and
// under lua each script that admits a change in Redis, notes it as done or undoes it. The effects
// of a scenario are counted by proxies in front of PostgreSQL and Redis and by a Stripe of the
// tests; the k-th kills the server, for k = 1, 2, … until a run has no k-th. Effects that are made
// side by side may change places from one run to the next: those that were passed over are looked
// for by their names then, up to three times. One that does not come is logged as not reached, and
// fails nothing. The server is started again, events of
// Stripe are delivered, each 0, 1 or 3 times, in both orders, before and after the order has
// expired, and the jobs run. Then the books must be right, and repeats of the events do not change
// them. The short form has a sample of the points, of which it prints the seed. In the long form
// with atomicsql each commit and each call of a payment that is not passed over, and of the events
// that tell of one, meets all deliveries; of one that expires, those in which all events come as
// often. Other statements
// are rolled back, so that their points leave behind what the commit before them did.
func TestCampaignPaymentKills(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills many servers")
	}
	seed := rand.Uint64()
	dice := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	for _, strategy := range []lockprovider.Strategy{lockprovider.AtomicSQL, lockprovider.Lua} {
		for _, name := range slices.Sorted(maps.Keys(paymentScenarios)) {
			if !longCampaign() && (strategy != lockprovider.AtomicSQL || name != "pay" && dice.IntN(len(paymentScenarios)) > 0) {
				continue
			}
			t.Run(string(strategy)+"/"+name, func(t *testing.T) {
				first, step := 1, 1
				if !longCampaign() {
					step = 9 // at about three points of a scenario
					first += dice.IntN(step)
				}
				k := newPaymentKills(t, strategy)
				ways := 1
				if longCampaign() && strategy == lockprovider.AtomicSQL {
					switch name {
					case "pay", "webhook":
						ways = len(deliveries)
					case "expire":
						ways = evenDeliveries
					}
				}
				k.sweep(t, paymentScenarios[name], first, step, ways)
				if longCampaign() && strategy == lockprovider.Lua && name != "refund" && k.points["redis admit"] == 0 {
					t.Error("never killed at a script of Redis")
				}
			})
		}
	}
}

// TestCampaignPaymentKillsFindsEarlyCaptures is the negative control: a payment that is captured
// when it is authorized is found, at the call and, if the server is killed before the order is
// confirmed, in the books.
func TestCampaignPaymentKillsFindsEarlyCaptures(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	k := newPaymentKills(t, lockprovider.AtomicSQL)
	k.captureEarly = true
	for n := 1; k.uncovered == 0; n += 2 {
		if !k.run(t, paymentScenarios["pay"], point{"", n, false}, delivery{times: [2]int{1, 1}}) {
			t.Error("no capture without an order was found in the books")
			break
		}
	}
	k.server.stop()
	if k.early.Load() == 0 {
		t.Error("a capture before the confirmation of its order was not found at the call")
	}
}

// paymentKills is a shop that takes payments by Stripe and is killed.
type paymentKills struct {
	stores
	*killer
	stripe       *stripetest.Server
	db           *clients.Database
	raw          *sql.DB // the same
	server       *process
	root, alice  user
	product      string
	args         []string
	env          []string
	captureEarly bool         // the negative control
	early        atomic.Int64 // captures before the order was confirmed
	kills        atomic.Int64
	mu           sync.Mutex
	captured     map[string]int64 // by payments of Stripe: how often the server had been killed before the first call to capture it
	uncovered    int              // captures that a killed server has left without an order
	points       map[string]int
	seen         int // events of Stripe from before the run
}

const killStock = 100_000

func newPaymentKills(t *testing.T, strategy lockprovider.Strategy) *paymentKills {
	t.Helper()
	s := openPostgres(t)
	k := &paymentKills{stores: s, stripe: stripetest.New(t), db: s.open(t), points: map[string]int{}, captured: map[string]int64{}}
	raw, err := sql.Open("pgx", s.database)
	must(t, err)
	t.Cleanup(func() { must(t, raw.Close()) })
	k.raw = raw
	k.killer = newKiller(t, s.database)
	k.stripe.Fault = k.gatewayCall
	through := s
	through.database = k.url
	if strategy == lockprovider.Lua {
		through.redis = k.countScripts(t, s.redis)
	}
	k.env = append(through.production(), "HOLDFAST_PAYMENT_STRIPE_SECRET_KEY="+stripetest.SecretKey,
		"HOLDFAST_PAYMENT_STRIPE_WEBHOOK_SECRET="+stripetest.WebhookSecret)
	k.args = slices.Concat(all(strategy), set("payment.gateway=stripe", "payment.stripe.url="+k.stripe.URL,
		"payment.timeout=2s", "shop.maxPending=1000", "jobs.expire=200ms", "jobs.sweep=1s", "jobs.sweepAfter=1s"))
	k.boot(t)
	b := browser(t)
	k.root, k.alice = signIn(t, b, "root", true, k.server), signIn(t, b, "alice", false, k.server)
	k.product = k.root.product(t, 1000, killStock)
	return k
}

func (k *paymentKills) boot(t *testing.T) {
	t.Helper()
	k.server = boot(t, k.env, k.args...)
	k.kill = func() {
		k.kills.Add(1)
		k.server.signal(syscall.SIGKILL)
	}
	k.root, k.alice = k.root.at(k.server), k.alice.at(k.server)
}

// gatewayCall counts the calls of Stripe that change something, and sees that nothing is captured
// before its order is confirmed.
func (k *paymentKills) gatewayCall(call string) stripetest.Fault {
	if !strings.HasPrefix(call, "POST ") {
		return stripetest.None
	}
	if id, found := strings.CutSuffix(strings.TrimPrefix(call, "POST /v1/payment_intents/"), "/capture"); found {
		if !k.confirmed(id) {
			k.early.Add(1)
		}
		k.mu.Lock()
		if _, again := k.captured[id]; !again {
			k.captured[id] = k.kills.Load()
		}
		k.mu.Unlock()
	}
	switch k.effect("stripe " + unnumbered.ReplaceAllString(call, "_…")) {
	case killBefore:
		k.kill()
		return stripetest.Unreached
	case killAfter:
		k.kill()
		return stripetest.LostAnswer
	}
	return stripetest.None
}

var unnumbered = regexp.MustCompile(`_\d+`)

// confirmed reports whether the database says that the payment of an attempt is authorized, and is
// about to be captured. It may be captured already if the server was killed after an earlier call:
// then this is the repeat of it, and an event was faster.
func (k *paymentKills) confirmed(reference string) bool {
	a, err := k.attemptOf(k.ctx, reference)
	if err != nil {
		return false
	}
	switch a.Status {
	case paymentattempt.StatusCAPTURING, paymentattempt.StatusUNKNOWN:
	case paymentattempt.StatusCAPTURED:
		k.mu.Lock()
		before, called := k.captured[reference]
		k.mu.Unlock()
		if !called || k.kills.Load() == before {
			return false
		}
	default:
		return false
	}
	return paysFor(a)
}

func (k *paymentKills) attemptOf(ctx context.Context, reference string) (*ent.PaymentAttempt, error) {
	return k.db.Ent.PaymentAttempt.Query().Where(paymentattempt.Reference(reference)).
		WithOrder(func(q *ent.OrderQuery) { q.WithPayment() }).Only(ctx)
}

// paysFor reports whether an attempt is for points, or is the one that the payment of its order goes by.
func paysFor(a *ent.PaymentAttempt) bool {
	if a.OrderID == nil {
		return true
	}
	made := a.Edges.Order.Edges.Payment
	return made != nil && made.AttemptID != nil && *made.AttemptID == a.ID
}

// sweep kills the server at every step-th effect of a scenario from the first on. After each effect
// that lasts the events come in so many ways, after any other in one; in the next one each time.
func (k *paymentKills) sweep(t *testing.T, scenario paymentScenario, first, step, ways int) {
	t.Helper()
	hits, turn, struck := 0, 0, map[point]bool{}
	for n := first; ; n += step {
		for _, after := range []bool{false, true} {
			for range ways {
				d := deliveries[turn%len(deliveries)]
				turn++
				hit := k.run(t, scenario, point{"", n, after}, d)
				if t.Failed() {
					t.Fatalf("killed at effect %d (%s), after it: %v, %+v", n, k.what(), after, d)
				}
				if hit {
					hits++
					struck[k.hit()] = true
				}
				if !lasting.MatchString(k.what()) {
					break
				}
			}
		}
		if !k.wasHit() {
			break
		}
	}
	if step == 1 {
		hits += k.sweepMissing(t, scenario, struck)
	}
	if hits == 0 || longCampaign() && hits < 6 {
		t.Errorf("killed %d times only", hits)
	}
	t.Logf("killed %d times", hits)
	for what, n := range k.points {
		t.Logf("%4d × %s", n, what)
	}
	k.server.stop()
	k.audit(t)
}

// sweepMissing kills the server where it was not killed because effects that are made side by side
// have changed places from one run to the next. Those of the run that had most of a name may not
// come again.
func (k *paymentKills) sweepMissing(t *testing.T, scenario paymentScenario, struck map[point]bool) (hits int) {
	t.Helper()
	for what, most := range maps.Clone(k.most) {
		for nth := 1; nth <= most; nth++ {
			for _, after := range []bool{false, true} {
				p := point{what, nth, after}
				for try := 0; try < 3 && !struck[p]; try++ {
					d := deliveries[(nth+try)%len(deliveries)]
					if k.run(t, scenario, p, d) {
						hits++
						struck[p] = true
					}
					if t.Failed() {
						t.Fatalf("killed at %+v, %+v", p, d)
					}
				}
				if !struck[p] {
					t.Logf("not reached: %+v", p)
				}
			}
		}
	}
	return hits
}

// lasting are the effects that are not undone by a crash.
var lasting = regexp.MustCompile("^(commit|stripe )|, alone$")

// run does a scenario and kills the server at an effect, before or after it. It returns whether
// there was one.
func (k *paymentKills) run(t *testing.T, s paymentScenario, at point, d delivery) bool {
	t.Helper()
	seen := len(k.stripe.Events())
	k.seen, k.ctx = seen, bounded(t)
	id := s.prepare(k, t)
	k.armAt(at)
	err := s.do(k, t, id)
	hit := k.disarm()
	switch {
	case hit:
		k.points[k.what()]++
		if code := k.server.wait(); code != -1 {
			t.Fatalf("exit code %d: the server ended by itself", code)
		}
		k.covered(t)
		// The claims of its jobs end by themselves, after 30 seconds.
		_, err := k.raw.ExecContext(t.Context(), "UPDATE scheduler_jobs SET held_until = NULL")
		must(t, err)
		k.lookAgain(t)
		k.boot(t)
	case err != nil:
		t.Fatal(err)
	}
	if d.expired {
		k.expire(t, id)
	}
	k.deliver(t, seen, d.times, d.backwards)
	if !d.expired {
		k.confirm(t, id)
		k.deliver(t, seen, d.times, d.backwards)
	}
	k.expire(t, id)
	must(t, k.ended(t, id))
	k.check(t)
	books := k.books(t)
	k.deliver(t, seen, [2]int{3, 3}, !d.backwards) // repeats, and those that never came
	must(t, k.ended(t, id))
	k.check(t)
	if again := k.books(t); again != books {
		t.Errorf("what had ended is changed by events of Stripe\n%s\nbecomes\n%s", books, again)
	}
	return hit
}
