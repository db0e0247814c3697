package handoff

import (
	"context"
	"errors"
	"time"
)

// acquire queues for one lock and returns when the caller holds it. The first caller in a local queue requests the lock
// from Redis, on behalf of all of them.
func (c *Client) acquire(ctx context.Context, name string, o *acquireOptions) (*waiter, error) {
	c.mu.Lock()
	q := c.queue(name)
	first := q == nil
	if first {
		q = c.newQueue(name, o.bounds)
	}
	w, id := q.add(o), q.waiterID
	switch {
	case q.state == cached:
		q.handOff()
	case c.disconnected:
		q.probe()
	}
	c.mu.Unlock()
	if first {
		c.runWithin(ctx, o.deadline, func() { q.requestIdle(id) })
	}
	err := w.wait(ctx)
	return w, err
}

// acquireEach queues for one lock after the other. Their order is the same for all callers.
func (c *Client) acquireEach(ctx context.Context, names []string, o *acquireOptions) ([]*waiter, error) {
	holds := make([]*waiter, 0, len(names))
	for _, name := range names {
		w, err := c.acquire(ctx, name, o)
		if err != nil {
			c.releaseUnused(ctx, holds)
			return nil, err
		}
		holds = append(holds, w)
	}
	return holds, nil
}

// acquireAll acquires all locks with one request, without queueing. It returns nil if anybody in this process uses one of
// them, or if one of those that are not cached here is not free in Redis.
func (c *Client) acquireAll(ctx context.Context, names []string, o *acquireOptions) ([]*waiter, error) {
	c.mu.Lock()
	for _, name := range names {
		if q := c.queue(name); c.closed || q != nil && q.state != cached {
			c.mu.Unlock()
			return nil, nil
		}
	}
	waiters := make([]*waiter, len(names))
	var missing []*waiter
	for i, name := range names {
		q := c.queues[name]
		if q == nil {
			q = c.newQueue(name, o.bounds)
		}
		waiters[i] = q.add(o)
		if q.state == cached {
			q.handOff()
		} else {
			missing = append(missing, waiters[i])
		}
	}
	c.mu.Unlock()
	if len(missing) > 0 {
		c.runWithin(ctx, o.deadline, func() { c.requestAll(missing, o.bounds) })
	}
	return c.waitForAll(ctx, waiters)
}

// waitForAll waits for all waiters of [Client.acquireAll]. If one of them fails, it releases what the others hold.
func (c *Client) waitForAll(ctx context.Context, waiters []*waiter) ([]*waiter, error) {
	var failure error
	holds := make([]*waiter, 0, len(waiters))
	for _, w := range waiters {
		err := w.wait(ctx)
		switch {
		case err == nil:
			holds = append(holds, w)
		case failure == nil:
			failure = err
		}
	}
	if failure == nil {
		return waiters, nil
	}
	c.releaseUnused(ctx, holds)
	if errors.Is(failure, errTryFailed) {
		return nil, nil
	}
	return nil, failure
}

// requestAll sends one acquire for the locks of all waiters and handles its reply.
func (c *Client) requestAll(waiters []*waiter, b bounds) {
	names, ids := make([]string, len(waiters)), make([]string, len(waiters))
	c.mu.Lock()
	for i, w := range waiters {
		names[i], ids[i] = w.queue.name, w.queue.waiterID
	}
	c.mu.Unlock()
	sent := time.Now()
	results, err := c.store.acquireAll(c.requests.at(sent), names, ids, b)
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, w := range waiters {
		w.queue.replied(ids[i])
		switch {
		case err != nil:
			w.queue.onReply(ids[i], sent, acquireResult{}, err, true)
		case results == nil:
			w.queue.tryFailed(w)
		default:
			w.queue.onReply(ids[i], sent, results[i], nil, false)
		}
	}
}

// runWithin sends a request on behalf of a caller. The caller's goroutine sends it, since a switch to another goroutine
// costs as much again. If the caller may not have the time that Redis may take, a goroutine in the background does.
//
// A request is never canceled. One that reached Redis after the release that follows it would hold the lock for a lease.
func (c *Client) runWithin(ctx context.Context, deadline time.Time, request func()) {
	if d, ok := ctx.Deadline(); ok {
		deadline = earlier(deadline, d)
	}
	if time.Until(deadline) >= c.timeouts.request {
		request()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spawn(request)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
