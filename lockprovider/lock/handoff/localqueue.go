package handoff

import (
	"context"
	"errors"
	"slices"
	"time"

	"holdfast/lockprovider/lock"
)

// localQueue is one lock in one process: the callers of this process that wait for it, in order, and the one that holds
// it. To Redis they are one waiter. All fields are guarded by the client's mutex.
type localQueue struct {
	client *Client
	name   string // of the lock in Redis
	bounds bounds
	state  state // see state.go for what changes it

	// waiterID is the name under which Redis knows this process. Each grant of Redis begins with a new one.
	waiterID string
	waiters  []*waiter
	first    [1]*waiter // where waiters begins: most queues have one waiter
	poll     *time.Timer
	// known: Redis has replied before. Without that, the first failure is told to the callers at once.
	known    bool
	failures int // requests in a row that failed
	// uncertain: an acquire of waiterID was not answered in time, or was sent twice. It may still reach Redis.
	uncertain bool
	// contended: another process waits for the lock.
	contended bool

	// What follows is the grant. It means something while the lock is held or cached.

	holder       *waiter // nil while cached
	token        int64   // of the grant, 0 if no holder has asked for one
	tokenHandoff int64   // handoffs when the store made the token
	handoffs     int64   // how often the lock was handed off in this process since it was granted
	grantedAt    time.Time
	expiry       time.Time
	renewAt      time.Time
	renewing     bool
	replyPending bool // the lock was granted by a message, and the acquire is still in flight
	cachedUntil  time.Time
}

// acquireOptions are what a caller wants of each of its locks.
type acquireOptions struct {
	bounds   bounds
	deadline time.Time // when the wait is over
	lose     context.CancelCauseFunc
}

// waiter is one caller in a local queue. Once the lock is granted, it is that caller's hold on the lock.
type waiter struct {
	*acquireOptions
	queue *localQueue
	ready chan struct{} // closed when the lock is held, or err is set
	err   error
	// withdrawn is closed when Redis has forgotten a queue that this waiter was the last to leave, nil if it need not.
	withdrawn <-chan struct{}

	// What follows is the hold.

	owner     string // the waiter ID under which Redis granted the lock
	token     int64
	uncertain bool // as the queue's
}

// errTryFailed means that a lock is not free, to a caller that does not wait.
var errTryFailed = errors.New("lock is taken")

// newQueue adds a queue whose first request is about to be sent.
func (c *Client) newQueue(name string, b bounds) *localQueue {
	q := &localQueue{client: c, name: name, bounds: b, waiterID: c.nextWaiterID()}
	q.waiters = q.first[:0]
	c.queues[name] = q
	q.become(acquiring)
	return q
}

// add appends a caller to the queue.
func (q *localQueue) add(o *acquireOptions) *waiter {
	w := &waiter{acquireOptions: o, queue: q, ready: make(chan struct{})}
	q.waiters = append(q.waiters, w)
	q.client.wakeSoonAfter(o.deadline)
	return w
}

func (w *waiter) finish(err error) {
	w.err = err
	close(w.ready)
}

// wait returns when the lock is held, the wait is over, or the context ends. A lock that was granted nevertheless is then
// released.
func (w *waiter) wait(ctx context.Context) error {
	select {
	case <-w.ready: // the caller's own request was granted
	default:
		select {
		case <-w.ready:
		case <-ctx.Done():
			c := w.queue.client
			c.mu.Lock()
			canceled := w.queue.cancel(w, ctx.Err())
			c.mu.Unlock()
			if !canceled {
				if w.err == nil {
					c.releaseUnused(ctx, []*waiter{w})
				}
				return ctx.Err()
			}
		}
	}
	if w.withdrawn != nil {
		timer := time.NewTimer(withdrawWait)
		defer timer.Stop()
		select {
		case <-w.withdrawn:
		case <-timer.C:
		}
	}
	return w.err
}

// withdrawWait is how long a caller that gives up waits for Redis to forget it: long enough for a Redis that is there.
const withdrawWait = 25 * time.Millisecond

// cancel removes a waiter from the queue. It returns false if the waiter had left the queue before.
func (q *localQueue) cancel(w *waiter, err error) bool {
	i := slices.Index(q.waiters, w)
	if i < 0 {
		return false
	}
	q.waiters = slices.Delete(q.waiters, i, i+1)
	w.withdrawn = q.removeIfUnused()
	w.finish(err)
	return true
}

// expireWaits cancels the waiters whose time is over. Each has its own.
func (q *localQueue) expireWaits(now time.Time) {
	var over []*waiter
	for _, w := range q.waiters {
		if now.Before(w.deadline) {
			q.client.wakeSoonAfter(w.deadline)
		} else {
			over = append(over, w)
		}
	}
	for _, w := range over {
		q.cancel(w, lock.ErrTimeout)
	}
}

// removeIfUnused removes a queue that nobody waits in any more. It returns nil if Redis has nothing to forget.
func (q *localQueue) removeIfUnused() (withdrawn <-chan struct{}) {
	if len(q.waiters) > 0 || q.owned() || q.state == idle {
		return nil
	}
	inFlight := q.state == acquiring
	q.remove()
	if inFlight {
		return nil // the reply handler finds that the queue is idle, and withdraws
	}
	return q.client.withdraw(q, q.waiterID, q.uncertain)
}

// requestIdle sends the first acquire of a queue, for a lock that is probably idle, and handles its reply. The client's mutex
// is not held.
func (q *localQueue) requestIdle(id string) {
	c := q.client
	sent := time.Now()
	ctx := c.requests.at(sent)
	owned, err := c.store.acquireIdle(ctx, q.name, id, q.bounds)
	if !owned && (err == nil || ctx.Err() == nil) { // it is taken, or another attempt may help
		q.request(id, err != nil)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	q.replied(id)
	q.onReply(id, sent, acquireResult{owned: owned, until: q.bounds.lease.Milliseconds() * 1000}, err, err != nil)
}

// request sends an acquire and handles its reply. repeated means that another acquire of the waiter ID may still reach Redis.
// The client's mutex is not held.
func (q *localQueue) request(id string, repeated bool) {
	c := q.client
	var result acquireResult
	var err error
	var sent time.Time
	for ; ; repeated = true { // the first request may have met a connection that broke while it was idle
		sent = time.Now()
		ctx := c.requests.at(sent)
		result, err = c.store.acquire(ctx, q.name, id, q.bounds)
		if err == nil || ctx.Err() != nil || repeated {
			break
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	q.replied(id)
	q.onReply(id, sent, result, err, err != nil || repeated)
}

// maxFailures is how many requests in a row may fail before the local waiters are told that Redis does not answer. The
// first request of a queue has no such patience: its callers are told at once.
const maxFailures = 2

// onReply handles the reply to an acquire of a waiter ID. uncertain means that an acquire of that ID may still reach Redis.
func (q *localQueue) onReply(id string, sent time.Time, result acquireResult, err error, uncertain bool) {
	c := q.client
	if err == nil {
		if result.now != 0 {
			c.clock.observe(sent, result.now)
		}
		q.known, q.failures = true, 0
	}
	if q.waiterID == id {
		q.uncertain = q.uncertain || uncertain
		uncertain = q.uncertain
	}
	switch {
	case q.state == idle || q.waiterID != id:
		// The lock was granted by a message and released since. The acquire may have reached Redis after the release.
		c.withdraw(q, id, uncertain)
	case q.owned():
	case err != nil:
		q.failures++
		if !q.known || q.failures >= maxFailures {
			q.fail(err)
			return
		}
		q.pollLater()
	case result.owned:
		c.metrics.Granted(lock.GrantReply)
		q.granted(result.token, sent, sent.Add(between(result.now, result.until)), result.waiting)
	default:
		q.pollLater()
	}
}

// tryFailed removes a waiter that does not queue in Redis: the lock is not free. Waiters that came after it ask.
func (q *localQueue) tryFailed(w *waiter) {
	if i := slices.Index(q.waiters, w); i >= 0 {
		q.waiters = slices.Delete(q.waiters, i, i+1)
		w.finish(errTryFailed)
	}
	switch {
	case q.state == idle:
	case len(q.waiters) > 0:
		q.ask()
	default:
		q.remove()
	}
}

// probe renews a held lock to see whether Redis is there. Local waiters behind a local holder would not notice otherwise.
func (q *localQueue) probe() {
	if q.holder != nil && len(q.waiters) > 0 && !q.renewing {
		q.renewing = true
		request := q.renewRequest()
		q.client.spawn(func() { q.client.renew([]*localQueue{q}, []renewRequest{request}) })
	}
}

func (q *localQueue) renewRequest() renewRequest {
	return renewRequest{key: q.name, owner: q.waiterID, lease: q.bounds.lease}
}

// fence returns the token of the holder, or of the last holder, 0 if it is not known.
func (q *localQueue) fence() int64 {
	if q.token == 0 {
		return 0
	}
	return q.token + q.handoffs - q.tokenHandoff
}

func (q *localQueue) releaseRequest() releaseRequest {
	return releaseRequest{
		key: q.name, owner: q.waiterID, token: q.token, lastToken: q.fence(), refuseLate: q.uncertain, bounds: q.bounds,
	}
}

// fail ends a queue that waits for a Redis that does not answer.
func (q *localQueue) fail(err error) {
	q.remove()
	q.failWaiters(err)
	q.client.withdraw(q, q.waiterID, q.uncertain)
}

// failWaiters tells all local waiters that Redis does not answer.
func (q *localQueue) failWaiters(err error) {
	for _, w := range q.waiters {
		w.finish(lock.StoreError(context.Background(), "redis", err))
	}
	q.waiters = nil
}

// withMargin returns when a lease ends for its holder. That is earlier than in Redis, by a margin for clocks that run at
// slightly different speeds.
func withMargin(from, until time.Time) time.Time {
	return until.Add(-until.Sub(from) / lock.ExpiryMargin)
}

// prolong notes that the lease lasts from one local time until another.
func (q *localQueue) prolong(from, until time.Time) {
	q.expiry = withMargin(from, until)
	q.renewAt = from.Add(until.Sub(from) / 3)
	q.client.alarm.set(q.renewAt)
}

// canHandOff reports whether the next holder may be in this process. It always may while no other process waits. If one
// does, a process may hand off the lock a number of times, for a limited time.
//
// Each holder needs a token of its own. The grant reserves some. Beyond these, a token is good if Redis' clock has passed
// it, since the next grant begins with what the clock shows.
func (q *localQueue) canHandOff(now time.Time) bool {
	switch n := q.handoffs + 1; {
	case !now.Before(q.expiry):
		return false
	case q.contended && (n >= int64(q.bounds.handoffs) || now.Sub(q.grantedAt) >= q.bounds.tenure):
		return false
	case q.token != 0 && n-q.tokenHandoff >= tokensReserved:
		return q.fence()+1 < q.client.clock.passed(now)
	}
	return true
}

// tokensReserved is how many tokens a grant reserves. RESERVED in scripts/lock.lua is the same number.
const tokensReserved = 64

func (q *localQueue) pollLater() {
	if q.client.closed {
		return
	}
	q.poll = time.AfterFunc(q.bounds.poll, func() {
		q.client.mu.Lock()
		defer q.client.mu.Unlock()
		q.ask()
	})
}

func (q *localQueue) stopPolling() {
	if q.poll != nil {
		q.poll.Stop()
		q.poll = nil
	}
}
