package handoff

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/lockprovider/lock"
)

// hold is units of one semaphore that a caller waits for, and then holds.
type hold struct {
	holdRequest
	semaphores *semaphores
	lose       context.CancelCauseFunc

	// What follows belongs to the caller's goroutine.

	clock redisClock // of the server that has the semaphore
	// uncertain: an acquire was not answered in time, or was sent twice. It may still reach Redis.
	uncertain bool
	token     int64

	// wake has an element if a message tells of a grant, or if messages may have been missed.
	wake chan struct{}

	// What follows is guarded by the mutex of the semaphores.

	message  *grantMessage // the last one that was not looked at
	held     bool
	expiry   time.Time
	renewAt  time.Time
	renewing bool
}

// grantMessage tells a waiter that it has become an owner. until is Redis' time in µs.
type grantMessage struct{ token, until int64 }

func (h *hold) wakeUp() {
	select {
	case h.wake <- struct{}{}:
	default: // it is about to look
	}
}

// acquire asks for the units until they are held. abandoned means that a request is still in flight, and that whoever waits
// for its reply withdraws the waiter.
func (h *hold) acquire(ctx context.Context) (abandoned bool, err error) {
	poll := time.NewTimer(h.poll)
	defer poll.Stop()
	known, failures := false, 0
	for {
		sent, result, err := h.request(ctx, known)
		switch {
		case errors.Is(err, errAbandoned):
			return true, ctx.Err()
		case err != nil:
			failures++
			if !known || failures >= maxFailures {
				return false, err
			}
		case result.limit > 0:
			return false, fmt.Errorf("%w: %s has a limit of %d, this client wants %d", ErrLimit, h.name, result.limit, h.limit)
		case result.owned && h.grant(sent, sent.Add(between(result.now, result.until)), result.token, lock.GrantReply):
			return false, nil
		case !result.owned && h.heartbeat <= 0:
			return false, lock.ErrTimeout
		}
		if err == nil {
			known, failures = true, 0
			h.clock.observe(sent, result.now)
		}
		poll.Reset(h.poll)
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-poll.C:
		case <-h.wake:
			if h.granted() {
				return false, nil
			}
		}
	}
}

// granted looks at a message. If it returns false, the waiter has to ask.
func (h *hold) granted() bool {
	s := h.semaphores
	s.mu.Lock()
	m := h.message
	h.message = nil
	s.mu.Unlock()
	if m == nil {
		return false
	}
	expiry, ok := h.clock.local(m.until)
	return ok && h.grant(time.Now(), expiry, m.token, lock.GrantMessage)
}

// grant notes that the units are held from one local time until another. It returns false if that is over.
func (h *hold) grant(from, until time.Time, token int64, way lock.Grant) bool {
	s := h.semaphores
	s.mu.Lock()
	defer s.mu.Unlock()
	h.prolong(from, until)
	if !time.Now().Before(h.expiry) {
		return false
	}
	h.held, h.token = true, token
	s.alarm.set(h.renewAt)
	s.metrics.Granted(way)
	return true
}

func (h *hold) prolong(from, until time.Time) {
	h.expiry = withMargin(from, until)
	h.renewAt = from.Add(until.Sub(from) / 3)
}

// errAbandoned means that the caller has gone while a request was in flight.
var errAbandoned = errors.New("request abandoned")

// request sends an acquire. The caller's goroutine sends the first one, since a switch to another goroutine costs as much
// again, unless the caller may not have the time that Redis may take. A goroutine in the background sends the others.
//
// A request is never canceled. One that reached Redis after the release that follows it would hold units for a lease.
func (h *hold) request(ctx context.Context, repeated bool) (sent time.Time, result holdResult, err error) {
	deadline, ok := ctx.Deadline()
	if !repeated && (!ok || time.Until(deadline) >= h.semaphores.timeouts.request) {
		return h.send()
	}
	type reply struct {
		sent   time.Time
		result holdResult
		err    error
	}
	replies := make(chan reply, 1)
	go func() {
		sent, result, err := h.send()
		replies <- reply{sent, result, err}
	}()
	select {
	case r := <-replies:
		return r.sent, r.result, r.err
	case <-ctx.Done():
	}
	h.semaphores.background.Go(func() {
		<-replies
		<-h.semaphores.withdraw(h)
	})
	return sent, result, errAbandoned
}

// send sends an acquire and handles its failure.
func (h *hold) send() (sent time.Time, result holdResult, err error) {
	for repeated := false; ; repeated = true { // the first request may have met a connection that broke while it was idle
		sent = time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), h.semaphores.timeouts.request)
		result, err = h.semaphores.store.acquire(ctx, h.holdRequest)
		late := ctx.Err() != nil
		cancel()
		h.uncertain = h.uncertain || err != nil
		if err == nil || late || repeated {
			return sent, result, err
		}
	}
}
