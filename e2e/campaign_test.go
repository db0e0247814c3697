package e2e

import (
	"context"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	"github.com/google/uuid"

	"holdfast/experiment/claims"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
)

// The campaign kills, empties and freezes everything that a shop consists of, and switches its strategies, while customers fight over
// what is scarce. It keeps every answer, and then proves from the database that each of them was true. HOLDFAST_CAMPAIGN=long makes it
// longer; see make campaign.

// variant is a strategy with what is special about it.
type variant struct {
	strategy lockprovider.Strategy
	settings []string // of each family
}

func (v variant) String() string {
	return strings.Join(append([]string{string(v.strategy)}, v.settings...), " ")
}

func (v variant) info() lockprovider.Info {
	info, _ := lockprovider.Lookup(v.strategy)
	return info
}

// with is the same strategy with more settings.
func (v variant) with(settings ...string) variant {
	return variant{v.strategy, slices.Concat(v.settings, settings)}
}

// variants are all strategies with each acknowledgement that they know. The first ones are those that keep changes in Redis.
func variants() []variant {
	var first, then []variant
	for _, strategy := range lockprovider.Usable(dialect.Postgres) {
		v := variant{strategy: strategy}
		switch info := v.info(); {
		case info.Traits.HeedsAck:
			first = append(first, v.with("ack="+string(lockprovider.AckAccepted)), v)
		case info.WritesBehind:
			first = append(first, v)
		default:
			then = append(then, v)
		}
	}
	return append(first, then...)
}

// TestCampaignKills kills servers with SIGKILL at random moments, of two that serve the same shop mostly one, at times both.
func TestCampaignKills(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills many servers")
	}
	for _, v := range variants() {
		t.Run(v.String(), func(t *testing.T) {
			noLeaks(t)
			victims := 1
			switch {
			case longCampaign():
				victims = 100
			case v.info().WritesBehind:
				victims = 4
			}
			c := newCampaign(t, openPostgres(t), v)
			c.refill(t)
			load := c.load(t)
			for killed := 0; killed < victims; {
				c.await(t, 1+c.dice.IntN(30))
				victims := c.instances()
				if c.dice.IntN(4) > 0 {
					victims = victims[:1] // the older one
				}
				c.kill(t, victims...)
				killed += len(victims)
				c.refill(t)
				if c.dice.IntN(10) == 0 {
					c.restock(t)
				}
			}
			load.finish(t)
			allowed := []string{}
			if !v.info().BalancesInRedis { // a dead holder is in the way until its lease ends, as a dead worker is
				allowed = append(allowed, "LOCK_TIMEOUT", "LOCK_LOST", "UNAVAILABLE")
			}
			c.prove(t, "kills", lossless, allowed...)
			c.end(t)
		})
	}
}

func longCampaign() bool { return os.Getenv("HOLDFAST_CAMPAIGN") == "long" }

// Sizes of a campaign.
const (
	shoppers      = 12
	scarceStock   = 50
	plentyOfStock = 1_000_000
	rareQuota     = 25
	perShopper    = 2 // of the common coupon
	openingSaving = 500
)

// strolling is how long customers of the short campaign wait at most before the next request. Without it they take all of the
// processors, which other tests need as well, and no claim is tested better: faults end when so many requests were answered.
const strolling = 200 * time.Millisecond

// campaign is a shop whose servers and stores come and go, and what its customers asked of it.
type campaign struct {
	stores
	variant
	dice     *rand.Rand // of the test's own goroutine
	seed     uint64
	args     []string
	shoppers []shopper
	patient  bool          // customers wait for every answer
	pause    time.Duration // the longest that a customer waits before the next request

	root                 user
	plenty, common, rare string
	accounts             []string // that of each shopper

	mu       sync.Mutex // guards what follows
	live     []*process
	dead     map[string]bool
	codes    map[string]int
	samples  map[string]string // an answer for each code
	asked    []*ask
	answered int
	definite map[string]int // answers by operation that said whether it was done
	changed  chan struct{}  // closed with the next change of any of these
	scarce   []string       // products; customers want the last one
	loads    uint64
	slow     bool // the machine was, at times

	worst      losses // of all faults up to now
	redisFails bool
}

// notSlow is the slowness up to which a shop keeps its timeouts.
const notSlow = 2

// slowCodes are what a shop on a slow machine may tell its customers at any time: to come again.
var slowCodes = []string{"UNAVAILABLE", "LOCK_TIMEOUT", "LOCK_LOST", errTimeout, accepted}

type shopper struct {
	user
	id string
}

// ask is one request of a customer, under one key.
type ask struct {
	operation string
	input     object
	by        int       // the shopper
	change    uuid.UUID // what the shop calls it
	amount    int64     // of points or money
	to        int       // whose account a transfer goes to
	scarce    bool      // there is less than customers ask for
	told      claims.Record

	follows *ask // places the order that this one pays or cancels
	follow  bool // another request pays or cancels the order
}

// request is what the answers are about.
func (a *ask) request() claims.Request {
	switch a.operation {
	case "payOrder":
		return claims.Request{Object: a.follows.request().Object, Pays: true, Placed: true}
	case "cancelOrder":
		return claims.Request{Object: a.follows.request().Object, Unmarked: true}
	}
	r := claims.Request{Pays: a.input["payment"] != nil, Followed: a.follow}
	if prefix := map[string]string{"placeOrder": "ord_", "issueCoupon": "cpi_", "transfer": "tr_"}[a.operation]; prefix != "" {
		r.Object = objectID(prefix, a.change)
	}
	return r
}

func (a *ask) String() string { return a.operation + " " + a.change.String() }

// accepted is what is counted, besides the codes of answers, of changes that are not persisted yet.
const accepted = "ACCEPTED"

func newCampaign(t *testing.T, s stores, v variant) *campaign {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	c := &campaign{
		stores: s, variant: v, dice: rand.New(rand.NewPCG(seed, 0)), seed: seed, dead: map[string]bool{},
		codes: map[string]int{}, samples: map[string]string{}, definite: map[string]int{}, changed: make(chan struct{}),
	}
	if !longCampaign() {
		c.pause = strolling
	}
	c.args = campaignArgs(v)
	server := boot(t, s.production(), c.args...)
	c.add(server)
	browser := browser(t)
	c.root = signIn(t, browser, "root", true, server)
	c.plenty = c.root.product(t, 7, plentyOfStock)
	c.common, c.rare = c.root.coupon(t, 1_000_000, perShopper), c.root.coupon(t, rareQuota, 1000)
	c.restock(t)
	for i := range shoppers {
		name := fmt.Sprintf("shopper%d", i)
		who := shopper{signIn(t, browser, name, false), name}
		c.shoppers = append(c.shoppers, who)
		c.accounts = append(c.accounts, c.root.account(t, name, openingSaving))
	}
	return c
}

// campaignArgs are those of a server that notices soon what happens.
func campaignArgs(v variant) []string {
	return slices.Concat(all(v.strategy, append(v.settings, "lease=1s", "poll=20ms", "attempts=10", "backoff=5ms")...),
		set("pipeline.claimIdle=300ms", "pipeline.persistWait=2s", "payment.latency=2ms", "redis.poolSize=32",
			"deployment.heartbeat=500ms", "failover.retry=300ms", "failover.watch=200ms"))
}

// restock offers another product of which there are few: customers are refused before, during and after each fault.
func (c *campaign) restock(t *testing.T) {
	t.Helper()
	product := c.root.at(c.instances()...).product(t, 3, scarceStock)
	c.note(func() { c.scarce = append(c.scarce, product) })
}

func (c *campaign) wanted() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.scarce[len(c.scarce)-1]
}

// make returns a random request of a shopper.
func (c *campaign) make(dice *rand.Rand, by int) *ask {
	a := &ask{by: by, amount: 1 + dice.Int64N(60)}
	switch dice.IntN(10) {
	case 0, 1:
		a.operation, a.input = "placeOrder", buy(c.plenty, 1, "POINTS")
	case 2:
		a.operation, a.input = "placeOrder", buy(c.plenty, 1+dice.IntN(3), "CARD")
		if dice.IntN(2) == 0 {
			delete(a.input, "payment")
		}
	case 3, 4: // paid by card or later: a customer who gets one keeps it
		a.operation, a.input, a.scarce = "placeOrder", buy(c.wanted(), 1, "CARD"), true
		if dice.IntN(2) == 0 {
			delete(a.input, "payment")
		}
	case 5:
		a.operation, a.input, a.scarce = "issueCoupon", take(c.rare), true
		if dice.IntN(3) == 0 {
			a.input = take(c.common)
		}
	case 6, 7:
		a.operation, a.input = "chargePoints", charge(a.amount%20+1)
		a.amount = a.amount%20 + 1
	default:
		a.to = (by + 1 + dice.IntN(shoppers-1)) % shoppers
		a.operation, a.input, a.scarce = "transfer", move(c.accounts[by], c.accounts[a.to], a.amount), true
	}
	a.change = changeID(a.operation, c.shoppers[by].id, a.input["idempotencyKey"].(string))
	return a
}

// next returns how a customer goes on with an order of what there is plenty of: it is paid or cancelled. It returns nil if there is
// nothing to go on with.
func (c *campaign) next(dice *rand.Rand, a *ask) *ask {
	last, _ := a.told.Last()
	if a.operation != "placeOrder" || a.scarce || a.input["payment"] != nil || last.Code != "" {
		return nil
	}
	a.follow = true
	n := &ask{by: a.by, follows: a, input: object{"idempotencyKey": key(), "orderId": last.Object}}
	switch dice.IntN(3) {
	case 0:
		n.operation = "cancelOrder"
	case 1:
		n.operation, n.input["payment"] = "payOrder", object{"method": "POINTS"}
	default:
		n.operation, n.input["payment"] = "payOrder", object{"method": "CARD"}
	}
	n.change = changeID(n.operation, c.shoppers[n.by].id, n.input["idempotencyKey"].(string))
	return n
}

// changeID derives the ID of a change as commerce does: from the operation, the user and the key.
func changeID(operation, user, key string) uuid.UUID {
	namespace := uuid.NewSHA1(uuid.NameSpaceURL, []byte("holdfast"))
	return uuid.NewSHA1(namespace, []byte(strings.Join([]string{"op", operation, user, key}, "\x00")))
}

func objectID(prefix string, change uuid.UUID) string {
	return prefix + base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding).EncodeToString(change[:])
}

// load is the customers, each of whom sends one request after the other.
type load struct {
	ctx    context.Context
	end    context.CancelFunc
	enough chan struct{}
	once   sync.Once
	done   sync.WaitGroup
	mu     sync.Mutex
	errs   []error
}

// campaignBound is the longest that one load may last.
const campaignBound = 10 * time.Minute

func (c *campaign) load(t *testing.T) *load {
	t.Helper()
	l := &load{enough: make(chan struct{})}
	l.ctx, l.end = context.WithTimeout(t.Context(), campaignBound)
	c.loads++
	for i := range shoppers {
		dice := rand.New(rand.NewPCG(c.seed, c.loads*shoppers+uint64(i)))
		l.done.Go(func() {
			for {
				select {
				case <-l.enough:
					return
				default:
				}
				a := c.make(dice, i)
				err := c.ask(l.ctx, dice, a)
				if n := c.next(dice, a); err == nil && n != nil {
					err = c.ask(l.ctx, dice, n)
				}
				if err != nil {
					l.mu.Lock()
					l.errs = append(l.errs, err)
					l.mu.Unlock()
					return
				}
				if c.pause > 0 {
					select {
					case <-l.enough:
					case <-time.After(time.Duration(dice.Int64N(int64(c.pause)))):
					}
				}
			}
		})
	}
	t.Cleanup(func() { // of a test that failed on the way
		l.end()
		l.done.Wait()
	})
	return l
}

// finish lets the customers wait for the answers to what they have asked, and ask for nothing more.
func (l *load) finish(t *testing.T) {
	t.Helper()
	l.once.Do(func() { close(l.enough) })
	l.done.Wait()
	if err := errors.Join(l.errs...); err != nil {
		t.Fatal(err)
	}
}

// ask sends a request, and repeats it under its key until the customer is done with it.
func (c *campaign) ask(ctx context.Context, dice *rand.Rand, a *ask) error {
	c.note(func() { c.asked = append(c.asked, a) })
	return c.repeat(ctx, dice, a, func(reply claims.Reply) bool { return goesAway(dice, reply) })
}

// goesAway tells whether a customer is done with a request. Some go away without knowing what was done; some go away because
// nothing was done, and must not find it done later; some do not believe what they are told, and ask again.
func goesAway(dice *rand.Rand, reply claims.Reply) bool {
	switch {
	case reply.Code == "" && reply.Accepted:
		return dice.IntN(2) == 0
	case reply.Code == "" || claims.Of(reply.Code) == claims.Refused:
		return dice.IntN(10) > 0
	}
	return dice.IntN(4) == 0
}

// repeat sends a request until the customer is done with it.
func (c *campaign) repeat(ctx context.Context, dice *rand.Rand, a *ask, done func(claims.Reply) bool) error {
	for turn := dice.IntN(2); ; turn++ {
		server, err := c.server(ctx, turn)
		if err != nil {
			return fmt.Errorf("%s: %w", a.operation, err)
		}
		reply, err := c.once(ctx, server, dice, a)
		if err != nil {
			return err
		}
		satisfied := done(reply)
		c.note(func() {
			switch {
			case reply.Code != "":
				c.codes[reply.Code]++
			case reply.Accepted:
				c.codes[accepted]++
			}
			if reply.Change() > claims.NotStarted {
				c.definite[a.operation]++
			}
			if satisfied {
				c.answered++
			}
		})
		if satisfied {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: no answer for good, but %s: %w", a, &a.told, ctx.Err())
		case <-time.After(time.Duration(dice.Int64N(int64(30 * time.Millisecond)))):
		}
	}
}

// impatience is the longest that a customer waits who does not wait for long.
const impatience = 40 * time.Millisecond

// once sends a request once, and keeps what was told. An error means that a server which has to answer does not.
func (c *campaign) once(ctx context.Context, server string, dice *rand.Rand, a *ask) (claims.Reply, error) {
	bounded, cancel := ctx, context.CancelFunc(func() {})
	if !c.patient && dice.IntN(20) == 0 {
		bounded, cancel = context.WithTimeout(ctx, time.Duration(dice.Int64N(int64(impatience))))
	}
	defer cancel()
	r, err := c.shoppers[a.by].send(bounded, server, mutations[a.operation], object{"input": a.input})
	var p payload
	switch {
	case err == nil && len(r.Errors) == 0:
		if err := json.Unmarshal(r.Data[a.operation], &p); err != nil {
			return claims.Reply{}, fmt.Errorf("%s: %w: %s", a.operation, err, r.body)
		}
	case err != nil && bounded.Err() == nil && !c.isDead(server):
		return claims.Reply{}, fmt.Errorf("%s: a server that lives does not answer: %w", a.operation, err)
	}
	reply := claims.Reply{
		Code: p.code(), Object: p.object(), Replayed: p.Meta.Replayed, Accepted: p.Meta.Persistence == accepted,
	}
	if p.Order != nil {
		reply.Status, reply.Payment = p.Order.Status, p.Order.Payment != nil
	}
	if a.operation == "cancelOrder" && reply.Code != "" && reply.Status != "CANCELLED" {
		reply.Object = "" // an error that comes with the order, as it was
	}
	switch {
	case err != nil:
		reply = claims.Reply{Code: claims.NoAnswer}
	case len(r.Errors) > 0:
		reply = claims.Reply{Code: r.Errors[0].Extensions.Code}
	}
	a.told.Told(reply)
	if reply.Code != "" && err == nil {
		c.note(func() { c.samples[reply.Code] = a.operation + ": " + r.body })
	}
	return reply, nil
}

// note changes what the mutex guards, and wakes the goroutines that wait for a change of it.
func (c *campaign) note(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
	close(c.changed)
	c.changed = make(chan struct{})
}

// until waits until the guarded state is as it should be.
func (c *campaign) until(ctx context.Context, f func() bool) error {
	for {
		c.mu.Lock()
		ok, changed := f(), c.changed
		c.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// server waits until a server is alive, and returns its address.
func (c *campaign) server(ctx context.Context, turn int) (url string, err error) {
	err = c.until(ctx, func() bool {
		if n := len(c.live); n > 0 {
			url = c.live[turn%n].url
		}
		return url != ""
	})
	return url, err
}

func (c *campaign) isDead(url string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dead[url]
}

// await waits until some more requests have a final answer.
func (c *campaign) await(t *testing.T, answers int) {
	t.Helper()
	slow := testenv.Slowness() > notSlow
	c.mu.Lock()
	c.slow = c.slow || slow
	want := c.answered + answers
	c.mu.Unlock()
	if err := c.until(bounded(t), func() bool { return c.answered >= want }); err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		t.Fatalf("in vain waited for %d answers, %d are missing; by code %v", answers, want-c.answered, c.codes)
	}
}

func (c *campaign) instances() []*process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.live)
}

func (c *campaign) add(p *process) {
	c.note(func() {
		delete(c.dead, p.url) // the port of one that was killed before
		c.live = append(c.live, p)
	})
}

// remove sends no more requests to servers that have ended, or are about to.
func (c *campaign) remove(ended ...*process) {
	c.note(func() {
		c.live = slices.DeleteFunc(c.live, func(p *process) bool { return slices.Contains(ended, p) })
	})
}

// refill starts servers until two are alive.
func (c *campaign) refill(t *testing.T) {
	t.Helper()
	var starting []*process
	for range 2 - len(c.instances()) {
		starting = append(starting, start(t, c.production(), serveArgs(c.args)...))
	}
	for _, p := range starting {
		c.add(p.ready())
	}
}

func (c *campaign) kill(t *testing.T, victims ...*process) {
	t.Helper()
	c.note(func() {
		for _, p := range victims {
			c.dead[p.url] = true
		}
	})
	c.remove(victims...)
	for _, p := range victims {
		p.signal(syscall.SIGKILL)
	}
	for _, p := range victims {
		if code := p.wait(); code != -1 {
			t.Fatalf("exit code %d: the server ended by itself", code)
		}
	}
}

// end stops all servers, and looks for the last time: nothing is left that could do what customers were told was not done.
func (c *campaign) end(t *testing.T) {
	t.Helper()
	for _, p := range c.instances() {
		p.stop()
	}
	db := c.open(t)
	c.look(readBooks(t, db))
	c.reportFalse(t, "the end")
}
