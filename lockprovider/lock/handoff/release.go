package handoff

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"holdfast/lockprovider/lock"
)

// releaseUnused unlocks holds of which no caller has made use. What it cannot release expires.
func (c *Client) releaseUnused(ctx context.Context, holds []*waiter) {
	if len(holds) > 0 {
		_ = c.unlock(ctx, holds, false)
	}
}

// unlock ends holds. Each lock is handed off to the next local waiter. Without one it stays cached, if mayCache, or is
// released in Redis. It returns [lock.ErrLost] if any lock was no longer held.
func (c *Client) unlock(ctx context.Context, holds []*waiter, mayCache bool) error {
	pending, err := c.endHolds(holds, mayCache)
	if len(pending) == 0 {
		return err
	}
	replies := c.release(context.Background(), c.timeouts.unlock, pending) // even if the caller has gone
	var failed error
	for i, reply := range replies {
		request := &pending[i]
		if request.requeued != nil {
			c.mu.Lock()
			request.onReply(reply)
			c.mu.Unlock()
		}
		switch {
		case reply.err != nil:
			failed = lock.StoreError(ctx, "redis", reply.err)
		case reply.lost && !request.acquireInFlight && err == nil:
			err = fmt.Errorf("%w: %s", lock.ErrLost, request.key)
		}
	}
	if err == nil {
		err = failed
	}
	return err
}

// endHolds ends holds in this process, and returns what is to be released in Redis.
func (c *Client) endHolds(holds []*waiter, mayCache bool) (pending []releaseRequest, lost error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	for _, w := range slices.Backward(holds) {
		q := w.queue
		switch {
		case q.holder != w || !now.Before(q.expiry): // lost: release what Redis may still keep for the holder
			lost = fmt.Errorf("%w: %s", lock.ErrLost, q.name)
			if q.holder == w {
				q.expire()
			}
			pending = append(pending, releaseRequest{
				key: q.name, owner: w.owner, lastToken: w.token, refuseLate: w.uncertain, bounds: q.bounds,
			})
		case len(q.waiters) > 0 && q.canHandOff(now):
			q.handOff()
		case mayCache && c.canCache(q):
			q.cache(now)
		default:
			request := q.releaseRequest()
			request.acquireInFlight = q.replyPending
			if len(q.waiters) > 0 {
				q.requeue()
				request.enqueue, request.requeued = q.waiterID, q
			} else {
				q.remove()
			}
			pending = append(pending, request)
		}
	}
	return pending, lost
}

// fence returns the token of a hold, which Redis makes if there is none yet.
func (c *Client) fence(ctx context.Context, w *waiter) (int64, error) {
	c.mu.Lock()
	token := w.token
	c.mu.Unlock()
	if token != 0 {
		return token, nil
	}
	q := w.queue
	bounded, cancel := context.WithTimeout(ctx, c.timeouts.request)
	defer cancel()
	token, err := c.store.fence(bounded, q.name, w.owner)
	if err != nil {
		return 0, lock.StoreError(ctx, "redis", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if q.holder != w { // the next holder may have the same token by now
		return 0, lock.ErrLost
	}
	q.token, q.tokenHandoff, w.token = token, q.handoffs, token
	return token, nil
}

// onReply handles the part of a reply that is about the queue that was put into the wait queue again.
func (request *releaseRequest) onReply(r releaseReply) {
	q, id := request.requeued, request.enqueue
	q.replied(id)
	switch {
	case q.waiterID == id || q.state == idle:
		q.onReply(id, r.sent, r.acquireResult, r.err, r.repeated)
	case r.repeated: // a message was faster, that hold is over, and the repeated request has enqueued the waiter again
		q.client.withdraw(q, id, true)
	}
}

// canCache reports whether a lock that no local caller waits for stays cached instead of being released: if a caller in
// the multi-key queue wants it, or if it was handed off here, and so may be wanted here again. It is not cached while
// another process waits, or if this process would not hear that one does.
func (c *Client) canCache(q *localQueue) bool {
	return len(q.waiters) == 0 && !q.contended && c.wasSubscribed && !c.disconnected && !c.closed &&
		(q.handoffs > 0 || c.multiKeys.wanted(q.name))
}

// releaseCached releases the cached locks that match. c.mu is held.
func (c *Client) releaseCached(match func(*localQueue) bool) {
	var queues []*localQueue
	for _, q := range c.queues {
		if q.state == cached && match(q) {
			queues = append(queues, q)
		}
	}
	c.releaseInBackground(queues...)
}

// releaseInBackground releases cached locks. c.mu is held.
func (c *Client) releaseInBackground(queues ...*localQueue) {
	if len(queues) == 0 {
		return
	}
	requests := make([]releaseRequest, len(queues))
	for i, q := range queues {
		requests[i] = q.releaseRequest()
		q.remove()
	}
	c.spawn(func() { c.release(context.Background(), c.timeouts.unlock, requests) })
}

// withdraw releases, in the background, a waiter ID that may be in the wait queue in Redis, or own the lock by now. If
// refuseLate, Redis is told to refuse acquires of that ID that are still to come. withdrawn is closed when that is done.
func (c *Client) withdraw(q *localQueue, id string, refuseLate bool) (withdrawn <-chan struct{}) {
	done := make(chan struct{})
	request := releaseRequest{key: q.name, owner: id, refuseLate: refuseLate, bounds: q.bounds}
	ctx, limit := context.Background(), c.timeouts.unlock
	if refuseLate && !c.closed {
		// Redis stands still. What it grants when it goes on would be nobody's for a lease, so try for that long.
		ctx, limit = c.lifetime, c.timeouts.unlock+q.bounds.lease
	}
	c.background.Go(func() { // even when closing: a request in flight may have acquired the lock for nobody
		defer close(done)
		c.release(ctx, limit, []releaseRequest{request})
	})
	return done
}

// releaseReply is the reply to a release request.
type releaseReply struct {
	releaseResult
	sent time.Time
	err  error
	// repeated: the request was sent more than once, or failed. An earlier copy may still reach Redis.
	repeated bool
}

// release sends release requests until they are answered, for a limited time or until the context ends. What it cannot
// release expires. A server that does not answer keeps it from no other server.
func (c *Client) release(ctx context.Context, limit time.Duration, requests []releaseRequest) []releaseReply {
	type group struct {
		node   int
		bounds bounds
	}
	now := time.Now()
	until := now.Add(limit)
	if len(requests) == 1 {
		return c.releaseTogether(ctx, now, until, requests)
	}
	groups := groupsOf(requests, func(r releaseRequest) group { return group{c.store.node(r.key), r.bounds} })
	if len(groups) == 1 {
		return c.releaseTogether(ctx, now, until, requests)
	}
	replies := make([]releaseReply, len(requests))
	var running sync.WaitGroup
	for _, indices := range groups {
		running.Go(func() {
			for n, reply := range c.releaseTogether(ctx, now, until, pick(requests, indices)) {
				replies[indices[n]] = reply
			}
		})
	}
	running.Wait()
	return replies
}

// releaseTogether sends requests that one script may serve.
func (c *Client) releaseTogether(ctx context.Context, sent, until time.Time, requests []releaseRequest) []releaseReply {
	replies := make([]releaseReply, len(requests))
	for wait := releaseRetry; ; wait = min(2*wait, max(releaseRetry, requests[0].bounds.poll)) {
		results, err := c.releaseOnce(ctx, sent, until, requests)
		for i := range replies {
			r := &replies[i]
			r.sent, r.err = sent, err
			if err != nil {
				r.repeated = true
				continue
			}
			r.releaseResult = results[i]
			r.lost = r.lost && !r.repeated // the copy whose reply was lost may have released it
		}
		if err == nil || time.Until(until) < wait || lock.Pause(ctx, wait) != nil {
			return replies
		}
		sent = time.Now()
	}
}

// releaseOnce sends requests that one script may serve, once.
func (c *Client) releaseOnce(ctx context.Context, sent, until time.Time, requests []releaseRequest) ([]releaseResult, error) {
	if ctx.Done() == nil && until.Sub(sent) >= c.timeouts.request {
		return c.store.release(c.requests.at(sent), requests)
	}
	bounded, stop := context.WithDeadline(ctx, earlier(until, sent.Add(c.timeouts.request)))
	defer stop()
	return c.store.release(bounded, requests)
}

// releaseRetry is the first pause before a release is sent again. A broken connection is replaced at once.
const releaseRetry = 10 * time.Millisecond

// groupsOf returns the indices of all elements, those with the same key together.
func groupsOf[T any, K comparable](all []T, key func(T) K) [][]int {
	var groups [][]int
	index := map[K]int{}
	for i, x := range all {
		g, ok := index[key(x)]
		if !ok {
			g = len(groups)
			index[key(x)] = g
			groups = append(groups, nil)
		}
		groups[g] = append(groups[g], i)
	}
	return groups
}

func pick[T any](all []T, indices []int) []T {
	picked := make([]T, len(indices))
	for n, i := range indices {
		picked[n] = all[i]
	}
	return picked
}
