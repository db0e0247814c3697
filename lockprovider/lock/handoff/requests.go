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
	mu      sync.Mutex
	context context.Context //nolint:containedctx // It is shared.
	cancel  context.CancelFunc
	renewAt time.Time
}

// sharedFor is for how long requests share a context.
const sharedFor = lock.RequestTimeout / 10

// at returns a context for a request that begins now. It ends after [lock.RequestTimeout], or up to a tenth earlier.
func (s *sharedContext) at(now time.Time) context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !now.Before(s.renewAt) {
		s.context, s.cancel = context.WithDeadline(context.Background(), now.Add(lock.RequestTimeout))
		s.renewAt = now.Add(sharedFor)
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
