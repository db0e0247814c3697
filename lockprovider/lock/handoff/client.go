package handoff

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"holdfast/lockprovider/lock"
	"holdfast/lockprovider/lock/subscription"
)

// Client is what the Pub/Sub locks of a process share: the name under which it is told of grants, a line for each key that is
// in use here, and the renewal of what the process holds.
type Client struct {
	store    lockStore
	opened   time.Time
	instance string // unique among those that share Redis
	metrics  lock.Metrics
	closeEar func() error
	gates    gates

	mu     sync.Mutex
	lines  map[string]*line // by the lock's name in Redis
	serial uint64           // of the last waiter ID
	clock  redisClock
	// alarm rings when the next lease has to be renewed, or ends, or the next one who waits has waited long enough.
	alarm   *time.Timer
	alarmAt time.Time

	heard       bool          // a subscription has succeeded: each later one is a Redis that is back
	hearing     chan struct{} // closed then
	deaf        bool          // the subscription is broken
	reconnected func()

	closed  bool
	running sync.WaitGroup  // what goes on in the background
	life    context.Context //nolint:containedctx // It ends what would go on in the background for long.
	end     context.CancelFunc
}

// Options are what a client is opened with.
type Options struct {
	// Instance names this process among those that share Redis. It need not be unique.
	Instance string
	// Metrics counts what happens; nil counts nothing.
	Metrics lock.Metrics
}

// Open subscribes to what Redis has to tell this process. Retries of the Redis client must be off (MaxRetries: -1).
func Open(r redis.UniversalClient, o Options) *Client {
	if o.Metrics == nil {
		o.Metrics = lock.NoMetrics{}
	}
	h := newClient(newRedisLocks(r), o.Instance+"."+lock.NewToken()[:8], o.Metrics)
	h.closeEar = subscription.OpenEverywhere(r, lockChannel+h.instance, h.hear, h.gap)
	// A waiter that does not hear yet would be taken for dead.
	timer := time.NewTimer(subscribeTimeout)
	defer timer.Stop()
	select {
	case <-h.hearing:
	case <-timer.C: // Redis is away: those who ask will say so
	}
	return h
}

// OnReconnect has f called, and not waited for, whenever Redis is back after it was away.
func (h *Client) OnReconnect(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reconnected = func() { go f() }
}

// subscribeTimeout is how long the first subscription may take before locks are asked for without it.
const subscribeTimeout = lock.RequestTimeout

func newClient(s lockStore, instance string, m lock.Metrics) *Client {
	h := &Client{
		opened: time.Now(), store: s, instance: instance, metrics: m, closeEar: func() error { return nil }, lines: map[string]*line{},
		hearing: make(chan struct{}), gates: gates{at: map[string][]*passage{}},
	}
	h.life, h.end = context.WithCancel(context.Background())
	return h
}

// Close ends the subscription. What is still held can be unlocked; it is not renewed any more.
func (h *Client) Close() error {
	h.mu.Lock()
	for _, ln := range h.lines {
		ln.stopPolling()
	}
	h.freeKept(func(*line) bool { return true })
	h.closed = true
	h.mu.Unlock()
	h.end()
	err := h.closeEar()
	h.running.Wait()
	return err
}

// spawn runs f in the background, unless the hub has been closed. h.mu is held.
func (h *Client) spawn(f func()) {
	if !h.closed {
		h.running.Go(f)
	}
}

// nextID names a waiter: the instance, by which it is told, and a number, greater than those before.
func (h *Client) nextID() string {
	h.serial++
	return h.instance + "|" + strconv.FormatUint(h.serial, 10)
}

// names are the names of keys in Redis, in the same order.
func (h *Client) names(keys []string) []string {
	names := make([]string, len(keys))
	for i, key := range keys {
		names[i] = h.store.name(key)
	}
	return names
}

// line is the line of a lock; nil where this process has nothing to do with it. One that is kept and cannot be passed on is freed.
func (h *Client) line(name string) *line {
	ln := h.lines[name]
	if ln != nil && ln.kept && !ln.mayPassOn(time.Now()) {
		h.free(ln)
		return nil
	}
	return ln
}

// join stands in line for a lock and returns when it is its turn. The first in line asks Redis, for all of them.
func (h *Client) join(ctx context.Context, name string, c *claim) (*turn, error) {
	h.mu.Lock()
	ln := h.line(name)
	first := ln == nil
	if first {
		ln = h.newLine(name, c.bounds)
		ln.asked = ln.id
	}
	t, id := ln.append(c), ln.id
	switch {
	case ln.kept:
		ln.passOn()
	case h.deaf:
		ln.probe()
	}
	h.mu.Unlock()
	if first {
		h.inTime(ctx, c.until, func() { ln.request(id) })
	}
	err := t.await(ctx)
	return t, err
}

// joinEach stands in line for one lock after the other, in their order, which is the same for everyone.
func (h *Client) joinEach(ctx context.Context, names []string, c *claim) ([]*turn, error) {
	turns := make([]*turn, 0, len(names))
	for _, name := range names {
		t, err := h.join(ctx, name, c)
		if err != nil {
			h.giveUp(ctx, turns)
			return nil, err
		}
		turns = append(turns, t)
	}
	return turns, nil
}

// takeAll takes locks if nobody in this process uses any of them, and Redis says that those that are not kept here are free. It
// returns nil where they are not.
func (h *Client) takeAll(ctx context.Context, names []string, c *claim) ([]*turn, error) {
	h.mu.Lock()
	for _, name := range names {
		if ln := h.line(name); h.closed || ln != nil && !ln.kept {
			h.mu.Unlock()
			return nil, nil
		}
	}
	turns := make([]*turn, len(names))
	var missing []*turn
	for i, name := range names {
		ln := h.lines[name]
		if ln == nil {
			ln = h.newLine(name, c.bounds)
			ln.asked = ln.id
		}
		turns[i] = ln.append(c)
		if ln.kept {
			ln.passOn()
		} else {
			missing = append(missing, turns[i])
		}
	}
	h.mu.Unlock()
	if len(missing) > 0 {
		h.inTime(ctx, c.until, func() { h.requestAll(missing, c.bounds) })
	}
	var failure error
	held := make([]*turn, 0, len(turns))
	for _, t := range turns {
		err := t.await(ctx)
		switch {
		case err == nil:
			held = append(held, t)
		case failure == nil:
			failure = err
		}
	}
	if failure == nil {
		return turns, nil
	}
	h.giveUp(ctx, held)
	if errors.Is(failure, errTaken) {
		return nil, nil
	}
	return nil, failure
}

// requestAll asks Redis for the locks of turns, and takes its answer.
func (h *Client) requestAll(turns []*turn, b lockBounds) {
	names, waiters := make([]string, len(turns)), make([]string, len(turns))
	h.mu.Lock()
	for i, t := range turns {
		names[i], waiters[i] = t.line.name, t.line.id
	}
	h.mu.Unlock()
	sent := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), lock.RequestTimeout)
	all, err := h.store.acquireAll(ctx, names, waiters, b)
	cancel()
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, t := range turns {
		t.line.heard(waiters[i])
		switch {
		case err != nil:
			t.line.answered(waiters[i], sent, acquired{}, err, true)
		case all == nil:
			t.line.stepAside(t)
		default:
			t.line.answered(waiters[i], sent, all[i], nil, false)
		}
	}
}

// inTime runs a request of a caller's: by the caller itself, since a hop to another goroutine costs as much again; or in the
// background where the caller may not have the time that Redis may take. A request is never cancelled half-way: what came to
// Redis after the release that follows would keep the lock for a lease.
func (h *Client) inTime(ctx context.Context, until time.Time, request func()) {
	if deadline, ok := ctx.Deadline(); ok {
		until = earlier(until, deadline)
	}
	if time.Until(until) >= lock.RequestTimeout {
		request()
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.spawn(request)
}

// hear takes a message of the scripts.
func (h *Client) hear(message string) {
	kind, rest, _ := strings.Cut(message, " ")
	h.mu.Lock()
	defer h.mu.Unlock()
	switch kind {
	case "wanted":
		if ln := h.lines[rest]; ln != nil {
			ln.contended = true
			if ln.kept {
				h.free(ln)
			}
		}
	case "granted":
		r := replyReader{script: "granted", rest: rest}
		waiter, token, until, waiting := r.next(), r.number(), r.number(), r.number()
		ln := h.lines[r.rest]
		if r.err != nil || ln == nil || ln.id != waiter || ln.held() {
			return // given up, and the release is on its way; or known already
		}
		if deadline, ok := h.clock.local(until); ok {
			h.metrics.Granted(lock.GrantMessage)
			ln.granted(token, time.Now(), deadline, int(waiting))
		} else {
			ln.ask()
		}
	}
}

// gap is a time in which messages may have gone unheard: every line asks. Its end is a subscription that is not the first.
func (h *Client) gap(subscribed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deaf = !subscribed
	if h.deaf { // nobody would hear who wants them
		h.freeKept(func(*line) bool { return true })
	}
	for _, ln := range h.lines {
		if !ln.held() {
			ln.ask()
		} else {
			ln.probe()
		}
	}
	if subscribed && h.heard && h.reconnected != nil && !h.closed {
		h.reconnected()
	}
	if subscribed && !h.heard {
		h.heard = true
		close(h.hearing)
	}
}
