package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"

	"holdfast/ent/order"
	"holdfast/ent/payment"
	"holdfast/lockprovider"
)

// TestKill9LosesNothingAcknowledged kills the server with its requests in mid-air, again and again. What was answered
// with success is there, once; what was not answered is repeated with the same key, and then is there, once.
func TestKill9LosesNothingAcknowledged(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills many servers")
	}
	for _, test := range []struct {
		name string
		open func(*testing.T) stores
		args []string
	}{
		{"sqlite", openSQLite, nil},
		{"postgres", openPostgres, nil},
		{"postgres, lua", openPostgres, all(lockprovider.Lua)}, // these two keep changes in Redis for a while
		{"postgres, queue", openPostgres, all(lockprovider.Queue)},
	} {
		t.Run(test.name, func(t *testing.T) {
			noLeaks(t)
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			newRampage(t, test.open(t), rand.New(rand.NewPCG(seed, 0)), test.args).run(t)
		})
	}
}

// Sizes of a rampage.
const (
	perRound     = 48 // requests that are new in each round
	impatient    = 12 // clients at a time
	price        = 7
	openingMoney = 1_000_000
	openingStock = 1_000
)

// kills is how many times the server is killed.
func kills() int {
	if longCampaign() {
		return 20
	}
	return 3
}

// rampage is a shop that is killed, and what its one customer wants of it.
type rampage struct {
	stores
	dice *rand.Rand
	args []string

	alice                         user
	product, coupon, from, to     string
	orders, cards, issues         int64 // how many of each were asked for; cards are orders too
	charged, transferred, charges int64

	open, done []*wish
}

// wish is something to be done exactly once.
type wish struct {
	operation string
	input     object
	answer    payload // the first success
}

func newRampage(t *testing.T, s stores, dice *rand.Rand, strategies []string) *rampage {
	t.Helper()
	// A dead holder's lock is in the way until its lease ends. The gateway is slow enough to be killed in between.
	args := slices.Concat(strategies, set("payment.latency=3ms", "locks.stock.lease=1s", "locks.coupons.lease=1s",
		"locks.points.lease=1s", "locks.accounts.lease=1s"))
	r := &rampage{stores: s, dice: dice, args: args}
	server := boot(t, s.production(), args...)
	browser := browser(t)
	root := signIn(t, browser, "root", true, server)
	r.alice = signIn(t, browser, "alice", false, server)
	r.product, r.coupon = root.product(t, price, openingStock), root.coupon(t, 1_000, 1_000)
	r.from, r.to = root.account(t, "alice", openingMoney), root.account(t, "alice", 0)
	r.alice.do(t, "chargePoints", charge(openingMoney))
	server.stop()
	return r
}

func (r *rampage) run(t *testing.T) {
	t.Helper()
	for range kills() {
		server := boot(t, r.production(), r.args...)
		for range perRound {
			r.open = append(r.open, r.wish())
		}
		r.dice.Shuffle(len(r.open), func(i, j int) { r.open[i], r.open[j] = r.open[j], r.open[i] })
		// Somewhere before the end, so that some are always in mid-air.
		r.round(t, server, 1+r.dice.IntN(len(r.open)-impatient))
		if code := server.wait(); code != -1 {
			t.Fatalf("exit code %d: the server ended by itself", code)
		}
		t.Logf("killed with %d requests answered, %d open", len(r.done), len(r.open))
	}
	server := boot(t, r.production(), r.args...)
	r.round(t, server, 0)
	if len(r.open) > 0 {
		t.Fatalf("%d requests have no answer", len(r.open))
	}
	r.check(t, server)
	server.stop()
	r.audit(t)
}

// wish makes up something to want.
func (r *rampage) wish() *wish {
	switch r.dice.IntN(5) {
	case 0:
		r.orders++
		return &wish{operation: "placeOrder", input: buy(r.product, 1, "POINTS")}
	case 1:
		r.orders++
		r.cards++
		return &wish{operation: "placeOrder", input: buy(r.product, 1, "CARD")}
	case 2:
		r.issues++
		return &wish{operation: "issueCoupon", input: take(r.coupon)}
	case 3:
		amount := 1 + r.dice.Int64N(100)
		r.charges++
		r.charged += amount
		return &wish{operation: "chargePoints", input: charge(amount)}
	default:
		amount := 1 + r.dice.Int64N(100)
		r.transferred += amount
		return &wish{operation: "transfer", input: move(r.from, r.to, amount)}
	}
}

// round sends what is open, several requests at a time, and kills the server with the given answer; 0 lets it live. What
// then has no answer stays open.
func (r *rampage) round(t *testing.T, server *process, killAt int) {
	t.Helper()
	var (
		clients sync.WaitGroup
		mu      sync.Mutex // guards what follows
		queue   = r.open
		errs    []error
		killed  bool
		answers int
	)
	alice, ctx := r.alice.at(server), bounded(t)
	r.open = nil
	next := func() *wish {
		mu.Lock()
		defer mu.Unlock()
		if len(queue) == 0 || killed {
			return nil
		}
		w := queue[0]
		queue = queue[1:]
		return w
	}
	answered := func(w *wish, p payload, err error) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err != nil && killed:
			r.open = append(r.open, w)
			return
		case err != nil || p.code() != "":
			errs = append(errs, fmt.Errorf("%s: %w %v", w.operation, err, p.UserErrors))
			return
		}
		w.answer = p
		r.done = append(r.done, w)
		answers++
		if answers == killAt {
			killed = true
			server.signal(syscall.SIGKILL)
		}
	}
	for range impatient {
		clients.Go(func() {
			for w := next(); w != nil; w = next() {
				p, err := alice.ask(ctx, 0, w.operation, w.input)
				answered(w, p, err)
			}
		})
	}
	clients.Wait()
	r.open = append(r.open, queue...)
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// check compares the shop with what was asked of it: all of it, once.
func (r *rampage) check(t *testing.T, server *process) {
	t.Helper()
	alice := r.alice.at(server)
	wantEqual(t, "stock", alice.stock(t, r.product), openingStock-r.orders)
	wantEqual(t, "issued coupons", alice.issued(t, r.coupon), r.issues)
	wantEqual(t, "points", alice.points(t), openingMoney+r.charged-(r.orders-r.cards)*price)
	wantEqual(t, "from", alice.balance(t, r.from), openingMoney-r.transferred)
	wantEqual(t, "to", alice.balance(t, r.to), r.transferred)

	// Each answer is still the answer, and everybody has got something of their own.
	objects := map[string]bool{}
	for _, w := range r.done {
		again := alice.do(t, w.operation, w.input)
		if !again.Meta.Replayed {
			t.Errorf("%s %v was done again", w.operation, w.input)
		}
		wantEqual(t, w.operation+" again", again.object(), w.answer.object())
		objects[again.object()] = true // of a charge it is "": all add to the same wallet
		if again.Order != nil {
			wantEqual(t, "status of order "+again.Order.ID, again.Order.Status, "PAID")
		}
	}
	delete(objects, "")
	wantEqual(t, "orders, coupons and transfers", int64(len(objects)), int64(len(r.done))-r.charges)

	db := r.stores.open(t).Ent
	paid, err := db.Order.Query().Where(order.StatusEQ(order.StatusPAID)).Count(t.Context())
	must(t, err)
	wantEqual(t, "paid orders", int64(paid), r.orders)
	orders, err := db.Order.Query().Count(t.Context())
	must(t, err)
	wantEqual(t, "orders", int64(orders), r.orders)
	captured, err := db.Payment.Query().Where(payment.StatusEQ(payment.StatusCAPTURED)).Count(t.Context())
	must(t, err)
	wantEqual(t, "captured payments", int64(captured), r.orders)
}
