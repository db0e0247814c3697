package handoff

import (
	"context"
	"time"

	"holdfast/lockprovider/lock"
)

// wakeAfter makes the alarm ring soon after a time that need not be met exactly: for many of them at once.
func (h *Client) wakeAfter(at time.Time) {
	h.wakeAt(h.opened.Add(at.Sub(h.opened).Truncate(alarmStep) + alarmStep))
}

// alarmStep is by how much a wait may be longer than it was meant to be.
const alarmStep = 5 * time.Millisecond

// wakeAt makes the alarm ring no later than that. h.mu is held.
func (h *Client) wakeAt(at time.Time) {
	if !h.alarmAt.IsZero() && !at.Before(h.alarmAt) {
		return
	}
	h.alarmAt = at
	if h.alarm == nil {
		h.alarm = time.AfterFunc(time.Until(at), h.ring)
	} else {
		h.alarm.Reset(time.Until(at))
	}
}

// ring renews the leases that are due, all at once, and ends those that could not be renewed in time, and waits that are over.
func (h *Client) ring() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.alarmAt = time.Time{}
	now := time.Now()
	var due []*line
	var leases []renewal
	h.freeKept(func(ln *line) bool { return !now.Before(ln.keptUntil) })
	for _, ln := range h.lines {
		ln.expire(now)
		if !ln.held() {
			continue
		}
		if !now.Before(ln.until) {
			ln.lapse()
			continue
		}
		if !ln.renewing && !now.Before(ln.renewAt.Add(-ln.bounds.lease/renewTogether)) {
			ln.renewing = true
			due, leases = append(due, ln), append(leases, ln.lease())
		}
		h.wakeAt(ln.until)
		if ln.kept {
			h.wakeAfter(ln.keptUntil)
		}
		if !ln.renewing {
			h.wakeAt(ln.renewAt)
		}
	}
	for _, group := range groupsOf(due, func(ln *line) int { return h.store.node(ln.name) }) {
		h.spawn(func() { h.renew(pick(due, group), pick(leases, group)) })
	}
}

// renewTogether is the share of a lease by which one is renewed early, together with another.
const renewTogether = 10

// renew prolongs leases, and ends those that Redis does not know any more.
func (h *Client) renew(due []*line, leases []renewal) {
	sent := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), lock.RequestTimeout)
	answers, err := h.store.renew(ctx, leases)
	cancel()
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, ln := range due {
		ln.renewing = false
		if !ln.held() || ln.id != leases[i].owner {
			continue // it has been released meanwhile
		}
		switch {
		case err != nil: // unreachable: try again soon; the lease ends when it ends
			h.metrics.Renewed(err)
			ln.failures++
			if h.deaf || ln.failures >= patience {
				ln.turnAway(err)
			}
			ln.renewAt = time.Now().Add(ln.bounds.lease / 10)
			h.wakeAt(ln.renewAt)
		case answers[i].lost:
			h.metrics.Renewed(lock.ErrLost)
			ln.lapse()
		default:
			h.metrics.Renewed(nil)
			h.clock.saw(sent, answers[i].now)
			ln.failures = 0
			ln.contended = ln.contended || answers[i].waiting > 0
			ln.prolong(sent, sent.Add(between(answers[i].now, answers[i].until)))
		}
	}
}

// between is the time from one time of Redis' to another.
func between(from, to int64) time.Duration { return time.Duration(to-from) * time.Microsecond }

// redisClock tells when, by the local clock, Redis' shows some time: not before that.
type redisClock struct {
	sent, received time.Time
	now            int64 // Redis' time between the two, in µs
}

// freshness is for how long an exchange with Redis tells its time: drift is far below the margins by which leases end early.
const freshness = 5 * time.Second

func (c *redisClock) saw(sent time.Time, now int64) {
	if sent.After(c.sent) {
		c.sent, c.received, c.now = sent, time.Now(), now
	}
}

func (c *redisClock) local(redisTime int64) (notBefore time.Time, ok bool) {
	return c.sent.Add(between(c.now, redisTime)), !c.sent.IsZero() && time.Since(c.sent) < freshness
}

// passed is what Redis' clock shows by now, at least.
func (c *redisClock) passed(now time.Time) int64 {
	elapsed := now.Sub(c.received)
	return c.now + (elapsed - elapsed/lock.ExpiryMargin).Microseconds()
}
