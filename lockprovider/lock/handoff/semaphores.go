package handoff

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"holdfast/lockprovider/lock"
)

// semaphores is what the semaphores and read-write locks of a process share: the holds of its callers, and their renewal.
// Each caller is a waiter of its own in Redis. It asks for its units in its own goroutine, one request after the other, and
// sleeps in between until a message wakes it.
type semaphores struct {
	store    semaphoreStore
	instance string
	metrics  lock.Metrics
	timeouts timeouts

	mu         sync.Mutex
	holds      map[string]*hold // by waiter ID: those that wait, and those that are held
	lastWaiter uint64
	alarm      alarm // rings when a lease has to be renewed or ends

	closed      bool
	background  sync.WaitGroup
	lifetime    context.Context //nolint:containedctx // It ends what would go on in the background for long.
	endLifetime context.CancelFunc
}

func newSemaphores(instance string, m lock.Metrics, bounds timeouts) *semaphores {
	s := &semaphores{instance: instance, metrics: m, timeouts: bounds, holds: map[string]*hold{}}
	s.alarm.ring = s.onTimer
	s.lifetime, s.endLifetime = context.WithCancel(context.Background())
	return s
}

// close ends renewal and what goes on in the background.
func (s *semaphores) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.endLifetime()
	s.background.Wait()
}

// onGranted handles a message of the scripts, units <token> <until> <waiter ID>, without its first word.
func (s *semaphores) onGranted(rest string) {
	r := replyReader{script: "units", rest: rest}
	m := grantMessage{token: r.number(), until: r.number()}
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.holds[r.rest]
	if r.err != nil || h == nil || h.held {
		return // the caller gave up, and its release is on the way; or the grant is known
	}
	h.message = &m
	h.wakeUp()
}

// onGap handles a time in which messages may have been missed: every waiter asks Redis. When the subscription is back,
// every lease is renewed, since Redis may have been restarted without its data.
func (s *semaphores) onGap(subscribed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for _, h := range s.holds {
		switch {
		case !h.held:
			h.wakeUp()
		case subscribed:
			h.renewAt = now
			s.alarm.set(now)
		}
	}
}

// add gives a hold its waiter ID and has messages find it. Each hold has an ID of its own, so that a late request of one hold
// cannot be taken for a request of another.
func (s *semaphores) add(h *hold) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastWaiter++
	h.waiter = s.instance + "|" + strconv.FormatUint(s.lastWaiter, 10)
	s.holds[h.waiter] = h
}

func (s *semaphores) remove(h *hold) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.holds, h.waiter)
}

// acquire returns when the units are held. If it returns an error, nothing is held, or will not be for long.
func (s *semaphores) acquire(ctx context.Context, h *hold) error {
	s.add(h)
	abandoned, err := h.acquire(ctx)
	if err == nil {
		return nil
	}
	s.remove(h)
	if abandoned {
		return err // what waits for the reply withdraws
	}
	if h.heartbeat > 0 || h.uncertain {
		s.withdrawAndWait(h)
	}
	return err
}

// withdrawAndWait withdraws a waiter, and waits for that for long enough for a Redis that is there.
func (s *semaphores) withdrawAndWait(h *hold) {
	withdrawn := s.withdraw(h)
	timer := time.NewTimer(withdrawWait)
	defer timer.Stop()
	select {
	case <-withdrawn:
	case <-timer.C:
	}
}

// withdraw releases, in the background, a waiter that may be in the wait queue in Redis, or be an owner by now. withdrawn is
// closed when that is done.
func (s *semaphores) withdraw(h *hold) (withdrawn <-chan struct{}) {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	ctx, limit := context.Background(), s.timeouts.unlock
	if h.uncertain && !closed {
		// Redis stands still. What it grants when it goes on would be nobody's for a lease, so try for that long.
		ctx, limit = s.lifetime, s.timeouts.unlock+h.lease
	}
	done := make(chan struct{})
	s.background.Go(func() { // even when closing
		defer close(done)
		_, _ = s.release(ctx, limit, []*hold{h}) // what it cannot release expires
	})
	return done
}

// unlock ends holds. It returns [lock.ErrLost] if any of them had ended before.
func (s *semaphores) unlock(ctx context.Context, holds []*hold) error {
	var lost error
	s.mu.Lock()
	now := time.Now()
	for _, h := range holds {
		if !h.held || !now.Before(h.expiry) {
			lost = fmt.Errorf("%w: %s", lock.ErrLost, h.name)
		}
		h.held = false
		delete(s.holds, h.waiter)
	}
	s.mu.Unlock()
	unknown, err := s.release(context.WithoutCancel(ctx), s.timeouts.unlock, holds) // even if the caller has gone
	switch {
	case lost != nil:
		return lost
	case unknown != "":
		return fmt.Errorf("%w: %s", lock.ErrLost, unknown)
	}
	return lock.StoreError(ctx, "redis", err)
}

// release sends releases until they are answered, for a limited time or until the context ends. A server that does not answer
// keeps it from no other server. It returns the name of a semaphore whose units Redis did not know as held, if there is any.
func (s *semaphores) release(ctx context.Context, limit time.Duration, holds []*hold) (unknown string, err error) {
	until := time.Now().Add(limit)
	groups := groupsOf(holds, func(h *hold) int { return s.store.node(h.name) })
	if len(groups) == 1 {
		return s.releaseTogether(ctx, until, holds)
	}
	var mu sync.Mutex
	var running sync.WaitGroup
	for _, indices := range groups {
		running.Go(func() {
			one, failure := s.releaseTogether(ctx, until, pick(holds, indices))
			mu.Lock()
			defer mu.Unlock()
			if one != "" {
				unknown = one
			}
			if failure != nil {
				err = failure
			}
		})
	}
	running.Wait()
	return unknown, err
}

// releaseTogether sends releases for semaphores on one server.
func (s *semaphores) releaseTogether(ctx context.Context, until time.Time, holds []*hold) (unknown string, err error) {
	requests := make([]holdRelease, len(holds))
	for i, h := range holds {
		requests[i] = holdRelease{name: h.name, waiter: h.waiter, refuseLate: h.uncertain}
	}
	for pause, repeated := releaseRetry, false; ; pause, repeated = min(2*pause, max(releaseRetry, holds[0].poll)), true {
		bounded, stop := context.WithDeadline(ctx, earlier(until, time.Now().Add(s.timeouts.request)))
		released, err := s.store.release(bounded, requests)
		stop()
		if err == nil {
			// A copy whose reply was lost may have released them.
			if i := slices.Index(released, false); i >= 0 && !repeated {
				unknown = holds[i].name
			}
			return unknown, nil
		}
		if time.Until(until) < pause || lock.Pause(ctx, pause) != nil {
			return "", err
		}
	}
}

// onTimer renews the leases that are due, together. It ends leases that could not be renewed in time.
func (s *semaphores) onTimer() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alarm.rung()
	now := time.Now()
	var due []*hold
	for _, h := range s.holds {
		if !h.held {
			continue
		}
		if !now.Before(h.expiry) {
			s.expire(h)
			continue
		}
		if !h.renewing && !s.closed && !now.Before(h.renewAt.Add(-h.lease/renewTogether)) {
			h.renewing = true
			due = append(due, h)
		}
		s.alarm.set(h.expiry)
		if !h.renewing && !s.closed {
			s.alarm.set(h.renewAt)
		}
	}
	for _, group := range groupsOf(due, func(h *hold) int { return s.store.node(h.name) }) {
		s.background.Go(func() { s.renew(pick(due, group)) })
	}
}

// renew prolongs leases. It ends those that Redis does not know any more.
func (s *semaphores) renew(due []*hold) {
	requests := make([]renewRequest, len(due))
	for i, h := range due {
		requests[i] = renewRequest{key: h.name, owner: h.waiter, lease: h.lease}
	}
	sent := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), s.timeouts.request)
	results, err := s.store.renew(ctx, requests)
	cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, h := range due {
		h.renewing = false
		if !h.held {
			continue // released meanwhile
		}
		switch {
		case err != nil: // the lease ends when it ends
			s.metrics.Renewed(err)
			h.renewAt = time.Now().Add(h.lease / 10)
		case results[i].lost:
			s.metrics.Renewed(lock.ErrLost)
			s.expire(h)
			continue
		default:
			s.metrics.Renewed(nil)
			h.prolong(sent, sent.Add(between(results[i].now, results[i].until)))
		}
		s.alarm.set(h.renewAt)
	}
}

// expire ends a lease that ran out, or that Redis no longer knows. s.mu is held.
func (s *semaphores) expire(h *hold) {
	h.held = false
	delete(s.holds, h.waiter)
	h.lose(lock.ErrLost)
}
