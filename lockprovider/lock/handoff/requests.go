package handoff

import (
	"context"
	"sync"
	"time"

	"holdfast/lockprovider/lock"
)

// sharedContext bounds requests. Those that begin at about the same time share a context, so that not each of them starts
// and stops a timer.
type sharedContext struct {
	timeout time.Duration // of a request

	mu      sync.Mutex
	context context.Context //nolint:containedctx // It is shared.
	cancel  context.CancelFunc
	renewAt time.Time
}

// timeouts bound what a client asks of Redis.
type timeouts struct {
	request time.Duration // one request
	unlock  time.Duration // an unlock, which repeats its request and runs even if the caller has gone
}

// timeoutsOf returns the timeouts of a client whose requests may take so long.
func timeoutsOf(request time.Duration) timeouts {
	if request <= 0 {
		request = lock.RequestTimeout
	}
	return timeouts{request: request, unlock: 2 * request} // as [lock.UnlockTimeout]
}

// sharedFor is for how long requests share a context.
func (s *sharedContext) sharedFor() time.Duration { return s.timeout / 10 }

// at returns a context for a request that begins now. It ends after the timeout, or up to a tenth earlier.
func (s *sharedContext) at(now time.Time) context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !now.Before(s.renewAt) {
		s.context, s.cancel = context.WithDeadline(context.Background(), now.Add(s.timeout))
		s.renewAt = now.Add(s.sharedFor())
	}
	return s.context
}

// end stops the timer of the last context. No request may be under way.
func (s *sharedContext) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancel != nil {
		s.cancel()
		s.renewAt = time.Time{}
	}
}
