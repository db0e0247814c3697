package handoff

import (
	"time"

	"holdfast/lockprovider/lock"
)

// wakeSoonAfter has the alarm ring soon after a time that need not be met exactly, so that it rings once for many.
func (c *Client) wakeSoonAfter(at time.Time) {
	c.alarm.set(c.opened.Add(at.Sub(c.opened).Truncate(timerStep) + timerStep))
}

// timerStep is by how much a wait may be longer than its bound.
const timerStep = 5 * time.Millisecond

// onTimer renews the leases that are due, together. It ends leases that could not be renewed in time, cached locks whose
// time is over, and waits that are over.
func (c *Client) onTimer() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.alarm.rung()
	now := time.Now()
	var due []*localQueue
	var requests []renewRequest
	c.releaseCached(func(q *localQueue) bool { return !now.Before(q.cachedUntil) })
	for _, q := range c.queues {
		q.expireWaits(now)
		if !q.owned() {
			continue
		}
		if !now.Before(q.expiry) {
			q.expire()
			continue
		}
		if !q.renewing && !now.Before(q.renewAt.Add(-q.bounds.lease/renewTogether)) {
			q.renewing = true
			due, requests = append(due, q), append(requests, q.renewRequest())
		}
		c.alarm.set(q.expiry)
		if q.state == cached {
			c.wakeSoonAfter(q.cachedUntil)
		}
		if !q.renewing {
			c.alarm.set(q.renewAt)
		}
	}
	for _, group := range groupsOf(due, func(q *localQueue) int { return c.store.node(q.name) }) {
		c.spawn(func() { c.renew(pick(due, group), pick(requests, group)) })
	}
}

// renewTogether is the part of a lease, one in so many, by which it is renewed early, together with another.
const renewTogether = 10

// renew prolongs leases. It ends those that Redis does not know any more.
func (c *Client) renew(due []*localQueue, requests []renewRequest) {
	sent := time.Now()
	results, err := c.store.renew(c.requests.at(sent), requests)
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, q := range due {
		if q.waiterID != requests[i].owner {
			continue // released meanwhile, and requested again
		}
		q.renewing = false
		if !q.owned() {
			continue // released meanwhile
		}
		switch {
		case err != nil:
			c.metrics.Renewed(err)
			q.renewalFailed(err)
		case results[i].lost:
			c.metrics.Renewed(lock.ErrLost)
			q.expire()
		default:
			c.metrics.Renewed(nil)
			c.clock.observe(sent, results[i].now)
			q.failures = 0
			q.contended = q.contended || results[i].waiting > 0
			q.prolong(sent, sent.Add(between(results[i].now, results[i].until)))
		}
	}
}

// renewalFailed tries again soon. The lease ends when it ends. Local waiters are told that Redis does not answer.
func (q *localQueue) renewalFailed(err error) {
	q.failures++
	if q.client.disconnected || q.failures >= maxFailures {
		q.failWaiters(err)
	}
	q.renewAt = time.Now().Add(q.bounds.lease / 10)
	q.client.alarm.set(q.renewAt)
}

// between is the time from one of Redis' times to another, both in µs.
func between(from, to int64) time.Duration { return time.Duration(to-from) * time.Microsecond }

// redisClock translates Redis' times to local times. It knows Redis' time as of the last exchange.
type redisClock struct {
	sent, received time.Time
	now            int64 // Redis' time at some moment between the two, in µs
}

// freshness is for how long an exchange tells Redis' time. The drift in that time is far below the margins by which leases
// end early.
const freshness = 5 * time.Second

// observe notes Redis' time in the reply to a request.
func (c *redisClock) observe(sent time.Time, now int64) {
	if sent.After(c.sent) {
		c.sent, c.received, c.now = sent, time.Now(), now
	}
}

// local returns a local time at which Redis' clock does not yet show redisTime. It returns false if the last exchange is
// too long ago.
func (c *redisClock) local(redisTime int64) (notAfter time.Time, ok bool) {
	return c.sent.Add(between(c.now, redisTime)), !c.sent.IsZero() && time.Since(c.sent) < freshness
}

// passed returns what Redis' clock shows at least by now, in µs.
func (c *redisClock) passed(now time.Time) int64 {
	elapsed := now.Sub(c.received)
	return c.now + (elapsed - elapsed/lock.ExpiryMargin).Microseconds()
}
