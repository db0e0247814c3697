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

	"github.com/google/uuid"

	"holdfast/internal/testenv"
	"holdfast/lockprovider"
)

// The campaign kills, empties and freezes everything that a shop consists of while customers fight over what is
// scarce. It then proves from the database that every answer was true. HOLDFAST_CAMPAIGN=long makes it longer;
// see make campaign.

// TestCampaignKills kills servers with SIGKILL at random moments, of two that serve the same shop mostly one, at times both.
func TestCampaignKills(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills many servers")
	}
	for _, strategy := range []lockprovider.Strategy{lockprovider.Lua, lockprovider.PubSub} {
		t.Run(string(strategy), func(t *testing.T) {
			noLeaks(t)
			victims := 10
			if strategy != lockprovider.Lua {
				victims = 5
			}
			if longCampaign() {
				victims = 100
			}
			c := newCampaign(t, openPostgres(t), strategy)
			c.unfaithful = true
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
			}
			load.finish(t)
			allowed := []string{noAnswer}
			if strategy != lockprovider.Lua { // a dead holder is in the way until its lease ends
				allowed = append(allowed, "LOCK_TIMEOUT", "LOCK_LOST")
			}
			c.prove(t, "kills", lossless, allowed...)
			c.stopAll(t)
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

// campaign is a shop whose servers and stores come and go, and what its customers asked of it.
type campaign struct {
	stores
	strategy lockprovider.Strategy
	dice     *rand.Rand // of the test's own goroutine
	seed     uint64
	args     []string
	shoppers []shopper
	// unfaithful customers sometimes give up if they get no answer.
	unfaithful bool

	plenty, scarce, common, rare string
	accounts                     []string // that of each shopper

	mu       sync.Mutex // guards what follows
	live     []*process
	dead     map[string]bool
	codes    map[string]int
	samples  map[string]string // an answer for each code
	asked    []*ask
	answered int
	changed  chan struct{} // closed with the next change of any of these
	loads    uint64
	slow     bool // the machine was, at times
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
	state     askState
	code      string // of a refusal
	answer    payload
}

type askState int

const (
	open    askState = iota // never answered: the customer has given up, and either may be true
	granted                 // answered with success
	refused                 // answered with a refusal for good
)

// What is counted besides the codes of answers.
const (
	noAnswer = "no answer"
	accepted = "ACCEPTED" // an order that is not persisted yet
)

func newCampaign(t *testing.T, s stores, strategy lockprovider.Strategy, settings ...string) *campaign {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	c := &campaign{
		stores: s, strategy: strategy, dice: rand.New(rand.NewPCG(seed, 0)), seed: seed, dead: map[string]bool{},
		codes: map[string]int{}, samples: map[string]string{}, changed: make(chan struct{}),
	}
	c.args = slices.Concat(all(strategy, append(settings, "lease=1s", "poll=20ms", "attempts=10", "backoff=5ms")...),
		set("pipeline.claimIdle=300ms", "pipeline.persistWait=2s", "payment.latency=2ms", "redis.poolSize=32"))
	server := boot(t, s.production(), c.args...)
	c.add(server)
	browser := browser(t)
	root := signIn(t, browser, "root", true, server)
	c.plenty, c.scarce = root.product(t, 7, plentyOfStock), root.product(t, 3, scarceStock)
	c.common, c.rare = root.coupon(t, 1_000_000, perShopper), root.coupon(t, rareQuota, 1000)
	for i := range shoppers {
		name := fmt.Sprintf("shopper%d", i)
		who := shopper{signIn(t, browser, name, false), name}
		c.shoppers = append(c.shoppers, who)
		c.accounts = append(c.accounts, root.account(t, name, openingSaving))
	}
	return c
}

// make returns a random request of a shopper.
func (c *campaign) make(dice *rand.Rand, by int) *ask {
	a := &ask{by: by, amount: 1 + dice.Int64N(60)}
	switch dice.IntN(10) {
	case 0, 1:
		a.operation, a.input = "placeOrder", buy(c.plenty, 1, "POINTS")
	case 2:
		a.operation, a.input = "placeOrder", buy(c.plenty, 1+dice.IntN(3), "CARD")
	case 3, 4: // paid by card or later: a customer who gets one keeps it
		a.operation, a.input = "placeOrder", buy(c.scarce, 1, "CARD")
		if dice.IntN(2) == 0 {
			delete(a.input, "payment")
		}
	case 5:
		a.operation, a.input = "issueCoupon", take(c.rare)
		if dice.IntN(3) == 0 {
			a.input = take(c.common)
		}
	case 6, 7:
		a.operation, a.input = "chargePoints", charge(a.amount%20+1)
		a.amount = a.amount%20 + 1
	default:
		a.to = (by + 1 + dice.IntN(shoppers-1)) % shoppers
		a.operation, a.input = "transfer", move(c.accounts[by], c.accounts[a.to], a.amount)
	}
	a.change = changeID(a.operation, c.shoppers[by].id, a.input["idempotencyKey"].(string))
	return a
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
				if err := c.settle(l.ctx, dice, c.make(dice, i)); err != nil {
					l.mu.Lock()
					l.errs = append(l.errs, err)
					l.mu.Unlock()
					return
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

// settle repeats a request under one key until it has a final answer.
func (c *campaign) settle(ctx context.Context, dice *rand.Rand, a *ask) error {
	c.note(func() { c.asked = append(c.asked, a) })
	for turn := dice.IntN(2); ; turn++ {
		server, err := c.server(ctx, turn)
		if err != nil {
			return fmt.Errorf("%s: %w", a.operation, err)
		}
		code, final, err := c.once(ctx, server, a)
		if err != nil && !c.isDead(server) {
			return fmt.Errorf("%s: a server that lives does not answer: %w", a.operation, err)
		}
		if err != nil {
			code = noAnswer
		}
		giveUp := c.unfaithful && code == noAnswer && dice.IntN(4) == 0
		c.note(func() {
			if code != "" {
				c.codes[code]++
			}
			if final {
				c.answered++
			}
		})
		if final || giveUp {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: no answer for good, last %s: %w", a.operation, code, ctx.Err())
		case <-time.After(time.Duration(dice.Int64N(int64(30 * time.Millisecond)))):
		}
	}
}

// placeOrder also asks whether the order is persisted.
var placeOrder = strings.Replace(mutations["placeOrder"], "status", "status persistence", 1)

// once sends a request once. An error means that there was no answer.
func (c *campaign) once(ctx context.Context, server string, a *ask) (code string, final bool, err error) {
	query := mutations[a.operation]
	if a.operation == "placeOrder" {
		query = placeOrder
	}
	r, err := c.shoppers[a.by].send(ctx, server, query, object{"input": a.input})
	if err != nil {
		return "", false, err
	}
	if len(r.Errors) > 0 {
		c.note(func() { c.samples[r.Errors[0].Extensions.Code] = a.operation + ": " + r.body })
		return r.Errors[0].Extensions.Code, false, nil
	}
	var p payload
	var persistence struct{ Order *struct{ Persistence string } }
	if err := errors.Join(json.Unmarshal(r.Data[a.operation], &p), json.Unmarshal(r.Data[a.operation], &persistence)); err != nil {
		return "", false, err
	}
	switch {
	case p.retryable():
	case p.code() != "":
		a.state, a.code, final = refused, p.code(), true
	case persistence.Order != nil && persistence.Order.Persistence == accepted:
		return accepted, false, nil
	default:
		a.state, a.answer, final = granted, p, true
	}
	if p.code() != "" {
		c.note(func() { c.samples[p.code()] = a.operation + ": " + r.body })
	}
	return p.code(), final, nil
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
			c.live = slices.DeleteFunc(c.live, func(l *process) bool { return l == p })
		}
	})
	for _, p := range victims {
		p.signal(syscall.SIGKILL)
	}
	for _, p := range victims {
		if code := p.wait(); code != -1 {
			t.Fatalf("exit code %d: the server ended by itself", code)
		}
	}
}

func (c *campaign) stopAll(t *testing.T) {
	t.Helper()
	for _, p := range c.instances() {
		p.stop()
	}
}
