package redistest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"holdfast/clients"
	"holdfast/config/setting"
	"holdfast/internal/testenv"
	"holdfast/lockprovider/lock"
)

const (
	// patience is how long the suite waits for what must happen. It is no measure: a loaded machine is slow, and only a
	// hang should fail.
	patience = 3 * time.Minute
	// pollEvery is how often the suite looks where it cannot be told.
	pollEvery = 2 * time.Millisecond
	// longLease does not end while a scenario runs: whoever gets the lock has not waited for that.
	longLease = 5 * time.Minute
	// longWait is for those who are to be served in the end.
	longWait = 150 * time.Second
)

// Durations that a scenario is about, as an idle machine keeps them. See Harness.scaled.
const (
	// shortLease is for those that must see a lease end.
	shortLease = 900 * time.Millisecond
	// soon is when a waiter must have the lock where nothing keeps it from it but a lost message or a dead neighbour. The
	// lease in these scenarios is minutes, so that the bound can be generous.
	soon = 10 * time.Second
	// late is how much later than its bound a wait may end; by itself it is some milliseconds, see the log.
	late = 3 * time.Second
)

// Env is a way of having Redis.
type Env struct {
	Name string
	// Start starts one that lives as long as the test.
	Start func(testing.TB) Redis
	// Real tells redis-server from the embedded one.
	Real bool
	// Sentinel and Cluster are set where the Redis is more than one server.
	Sentinel, Cluster bool
}

func (e Env) fits(n needs) bool {
	switch n {
	case anySentinel:
		return e.Sentinel
	case anyCluster:
		return e.Cluster
	case realRedis:
		return e.Real && !e.Sentinel && !e.Cluster
	}
	return !e.Sentinel && !e.Cluster
}

// Redis is a running Redis.
type Redis struct {
	URL      string
	Server   *testenv.Server // of a single redis-server
	Sentinel *testenv.SentinelSet
	Cluster  *testenv.Cluster
}

// addr is host:port of a single Redis.
func (r Redis) addr() string {
	_, rest, _ := strings.Cut(r.URL, "://")
	addr, _, _ := strings.Cut(rest, "/")
	return addr
}

// Harness is one locker and a Redis of its own, for one scenario.
type Harness struct {
	Subject
	Env   Env
	redis Redis
	spy   redis.UniversalClient // looks at Redis from outside

	// shortLease, soon and late are those above, and requestTimeout is that of the locks, scaled.
	shortLease, soon, late, requestTimeout time.Duration
	slowness                               float64

	instances atomic.Int64
}

func newHarness(t testing.TB, env Env, s Subject, slowness float64) *Harness {
	t.Helper()
	h := &Harness{Subject: s, Env: env, redis: env.Start(t), slowness: slowness}
	h.shortLease, h.soon, h.late = h.scaled(shortLease), min(h.scaled(soon), longWait/2), min(h.scaled(late), longWait/2)
	h.requestTimeout = h.scaled(lock.RequestTimeout)
	h.spy = connect(t, h.redis.URL)
	return h
}

// scaled is a duration as the machine can keep it that the scenario runs on: a lease that is shorter ends although nothing is
// wrong.
func (h *Harness) scaled(d time.Duration) time.Duration {
	return time.Duration(float64(d) * h.slowness).Round(time.Millisecond)
}

func connect(t testing.TB, url string) redis.UniversalClient {
	t.Helper()
	r, err := clients.OpenRedis(context.WithoutCancel(t.Context()), clients.RedisOptions{URL: setting.URL(url), PoolSize: 8})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r.Client
}

// Instance is a locker as a process has it, with a connection to Redis of its own.
type Instance struct {
	lock.Locker
	name string
	wire *wire
}

type option func(*options)

type options struct {
	settings lock.Settings
	addr     string // instead of the Redis itself: a proxy
}

func wait(d time.Duration) option  { return func(o *options) { o.settings.Wait = d } }
func lease(d time.Duration) option { return func(o *options) { o.settings.Lease = d } }
func polling(d time.Duration) option {
	return func(o *options) { o.settings.Poll = d }
}
func through(p *proxy) option { return func(o *options) { o.addr = p.addr } }

// tryOnce asks a single time.
func tryOnce() option { return wait(0) }

// open starts an instance that ends with the test.
func (h *Harness) open(t testing.TB, opts ...option) *Instance {
	t.Helper()
	o := h.options(opts)
	i := &Instance{name: fmt.Sprintf("i%d", h.instances.Add(1)), wire: &wire{}}
	client := h.client(t, o.addr, i.wire)
	locker, closeLocker, err := h.Open(Config{Redis: client, Settings: o.settings, Instance: i.name, RequestTimeout: h.requestTimeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = closeLocker() // of a Redis that may be gone
		_ = client.Close()
	})
	i.Locker = locker
	return i
}

func (h *Harness) options(opts []option) options {
	o := options{settings: lock.Settings{Wait: longWait, Lease: longLease, Poll: 10 * time.Millisecond}}
	if h.Traits.Listens {
		o.settings.Poll = 300 * time.Millisecond // what it is for is a lost message
	}
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

func (h *Harness) client(t testing.TB, addr string, w *wire) redis.UniversalClient {
	t.Helper()
	if h.Env.Sentinel || h.Env.Cluster {
		r, err := clients.OpenRedis(context.WithoutCancel(t.Context()), clients.RedisOptions{URL: setting.URL(h.redis.URL)})
		if err != nil {
			t.Fatal(err)
		}
		r.Client.AddHook(w)
		return r.Client
	}
	if addr == "" {
		addr = h.redis.addr()
	}
	// As clients.OpenRedis has it, with a dialer that knows which connection is the subscription, and with the time that this machine
	// needs: a Redis that is slow because everything is has not failed.
	timeout := 3 * h.requestTimeout
	client := redis.NewClient(&redis.Options{
		Addr: addr, MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true, PoolSize: 64, Dialer: w.dial,
		DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout,
	})
	client.AddHook(w)
	return client
}

// outcome is the end of a call of Lock.
type outcome struct {
	held  context.Context //nolint:containedctx // It is what Lock returned.
	lease lock.Lease
	err   error
	at    time.Time
}

// waiter is a call of Lock under way.
type waiter struct {
	done  chan struct{}
	again func() *waiter // the same call once more
	outcome
}

// begin calls Lock and does not wait for it.
func (i *Instance) begin(ctx context.Context, keys ...string) *waiter {
	w := &waiter{done: make(chan struct{}), again: func() *waiter { return i.begin(ctx, keys...) }}
	go func() {
		defer close(w.done)
		w.held, w.lease, w.err = i.Lock(ctx, keys)
		w.at = time.Now()
	}()
	return w
}

// end waits for the call to return.
func (w *waiter) end(t testing.TB) outcome {
	t.Helper()
	await(t, w.done, "Lock to return")
	return w.outcome
}

// repeats is how often a call that must succeed is repeated because Redis took too long to answer. Lockers bound each question
// by less than a second, which Redis on a busy machine may exceed although nothing is wrong.
const repeats = 5

// patientEnd is end of a call that is repeated if Redis took too long to answer.
func (w *waiter) patientEnd(t testing.TB) outcome {
	t.Helper()
	for n := 0; ; n++ {
		o := w.end(t)
		if o.err == nil || !tookTooLong(o.err) || n == repeats {
			return o
		}
		t.Logf("Lock: %v; once more", o.err)
		w = w.again()
	}
}

// mustEnd is patientEnd of a call that succeeds. The lock is released with the test, if not before.
func (w *waiter) mustEnd(t testing.TB) outcome {
	t.Helper()
	o := w.patientEnd(t)
	if o.err != nil {
		t.Fatalf("Lock: %v", o.err)
	}
	t.Cleanup(func() { _ = o.lease.Unlock(context.Background()) })
	return o
}

// tookTooLong tells a Redis that was slow from one that is away, or that answered with an error.
func tookTooLong(err error) bool {
	var network net.Error
	return errors.Is(err, lock.ErrUnavailable) &&
		(errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network) && network.Timeout())
}

// mustLock takes the keys.
func (i *Instance) mustLock(t testing.TB, keys ...string) outcome {
	t.Helper()
	return i.begin(context.WithoutCancel(t.Context()), keys...).mustEnd(t)
}

func mustUnlock(t testing.TB, o outcome) {
	t.Helper()
	if err := o.lease.Unlock(t.Context()); err != nil {
		t.Fatalf("Unlock: %v", err)
	}
}

// checkFree takes the keys and gives them back. What somebody has given up may be on its way to Redis still; a lease is not
// waited for.
func (h *Harness) checkFree(t testing.TB, keys ...string) {
	t.Helper()
	i := h.open(t, wait(h.soon))
	for _, key := range keys {
		o := i.begin(t.Context(), key).patientEnd(t)
		if o.err != nil {
			t.Errorf("%s is not free: %v", key, o.err)
			continue
		}
		if err := o.lease.Unlock(t.Context()); err != nil && !tookTooLong(err) {
			t.Errorf("unlock %s: %v", key, err)
		}
	}
}

// checkTaken: nobody gets the key without waiting.
func (h *Harness) checkTaken(t testing.TB, key string) {
	t.Helper()
	_, lease, err := h.open(t, tryOnce()).Lock(t.Context(), []string{key})
	switch {
	case err == nil:
		t.Errorf("%s is free, and somebody holds it", key)
		_ = lease.Unlock(t.Context())
	case !errors.Is(err, lock.ErrTimeout):
		t.Errorf("try-once: %v, want ErrLockTimeout", err)
	}
}

// checkLost: the held context has ended because the lease has.
func checkLost(t testing.TB, held context.Context) {
	t.Helper()
	await(t, held.Done(), "the held context to end")
	if cause := context.Cause(held); !errors.Is(cause, lock.ErrLost) {
		t.Errorf("the held context ended with %v, want ErrLockLost", cause)
	}
}

// snapshot are the keys in Redis with their times to live in milliseconds, -1 for ever.
func (h *Harness) snapshot(t testing.TB) map[string]time.Duration {
	t.Helper()
	all := map[string]time.Duration{}
	for iter := h.spy.Scan(t.Context(), 0, "*", 1000).Iterator(); iter.Next(t.Context()); {
		ttl, err := h.spy.PTTL(t.Context(), iter.Val()).Result()
		if err != nil {
			t.Fatal(err)
		}
		if ttl != -2 { // it has gone meanwhile
			all[iter.Val()] = ttl
		}
	}
	return all
}

// checkNoResidue compares with the key space before. Keys that remember a token may be new; they must have a TTL.
func (h *Harness) checkNoResidue(t testing.TB, before map[string]time.Duration) {
	t.Helper()
	var residue []string
	for end := time.Now().Add(h.soon); ; <-time.After(pollEvery) {
		residue = nil
		for key, ttl := range h.snapshot(t) {
			if _, ok := before[key]; !ok && (!h.Traits.Remembers || ttl <= 0) {
				residue = append(residue, fmt.Sprintf("%s, TTL %v", key, ttl))
			}
		}
		if len(residue) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Errorf("left in Redis: %v", residue)
			return
		}
	}
}

func (h *Harness) keys(t testing.TB) []string {
	t.Helper()
	return slices.Sorted(maps.Keys(h.snapshot(t)))
}

// rounds scales what takes a poll or more a round where nobody is told of a release.
func (h *Harness) rounds(ordinary, campaign int) int {
	n := size(ordinary, campaign)
	if !h.Traits.Listens {
		n /= 4
	}
	return n
}

// size scales a scenario: the campaign is long, the ordinary tests are short.
func size(ordinary, campaign int) int {
	if long() {
		return campaign
	}
	return ordinary
}

func await(t testing.TB, done <-chan struct{}, what string) {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		t.Fatalf("waited %v for %s", patience, what)
	}
}

func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", patience, what)
		}
		<-ticker.C
	}
}

// within fails where something took longer than a bound that a busy machine keeps as well.
func within(t testing.TB, what string, took, bound time.Duration) {
	t.Helper()
	t.Logf("%s took %v", what, took.Round(100*time.Microsecond))
	if took > bound {
		t.Errorf("%s took %v, want at most %v", what, took, bound)
	}
}

// all runs n functions at once and waits for them.
func all(n int, run func(int)) {
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() { run(i) })
	}
	running.Wait()
}
