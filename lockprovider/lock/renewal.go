package lock

import (
	"context"
	"errors"
	"sync"
	"time"
)

// keptAlive is a lease that expires by itself and is renewed while the work runs.
//
// It needs no goroutine until a third of the term has passed, so that short sections cost one timer. A local deadline,
// counted from before the last request that Redis confirmed, ends the held context before the key can expire.
type keptAlive struct {
	term    time.Duration
	extend  func(ctx context.Context) error // returns ErrLost if the lock is not ours any more
	release func(ctx context.Context) error
	lose    context.CancelCauseFunc

	mu       sync.Mutex
	ended    bool
	renewing sync.WaitGroup
	renew    *time.Timer
	deadline *time.Timer
}

// KeepAlive renews a lock that a store granted for term, in answer to a request of the time asked, until it is unlocked. It calls
// extend after each third of the term, and again soon if extend fails. If extend returns [ErrLost], or the term ends before the
// store has confirmed a renewal, the returned context is canceled with the cause [ErrLost]. Unlock calls release, never beside
// extend. The lease has no fencing tokens.
func KeepAlive(
	ctx context.Context, asked time.Time, term time.Duration, extend, release func(ctx context.Context) error,
) (context.Context, Lease) {
	held, lose := context.WithCancelCause(ctx)
	k := &keptAlive{term: term, extend: extend, release: release, lose: lose}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.deadline = time.AfterFunc(time.Until(k.endOf(asked)), func() { lose(ErrLost) })
	k.renew = time.AfterFunc(term/3, k.renewOnce)
	return held, k
}

func (k *keptAlive) endOf(asked time.Time) time.Time {
	return asked.Add(k.term - k.term/ExpiryMargin)
}

func (k *keptAlive) renewOnce() {
	k.mu.Lock()
	if k.ended {
		k.mu.Unlock()
		return
	}
	k.renewing.Add(1)
	k.mu.Unlock()
	defer k.renewing.Done()

	asked := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), k.term/3)
	err := k.extend(ctx)
	cancel()

	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.ended:
	case errors.Is(err, ErrLost):
		k.lose(ErrLost)
	case err != nil: // unreachable: try again soon; the deadline stands and ends the context in time
		k.renew.Reset(k.term / 10)
	case k.deadline.Stop(): // false: the deadline has fired, and nothing takes that back
		k.deadline.Reset(time.Until(k.endOf(asked)))
		k.renew.Reset(k.term / 3)
	}
}

// Unlock ends renewal, waits for one under way (or it could extend what is being released), and frees the lock.
func (k *keptAlive) Unlock(ctx context.Context) error {
	k.mu.Lock()
	k.ended = true
	k.mu.Unlock()
	k.renew.Stop()
	k.deadline.Stop()
	k.renewing.Wait()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), UnlockTimeout)
	defer cancel()
	err := k.release(ctx)
	k.lose(nil)
	return err
}

// Fence is 0: a key with a random value has no order.
func (k *keptAlive) Fence(context.Context, string) (int64, error) { return 0, nil }

// partial renews the keys that a locker holds while it waits for the next one. Otherwise a wait that is longer than the
// lease would lose the first keys, in every attempt.
type partial struct {
	term   time.Duration
	asked  time.Time                                 // before the oldest reply for any key
	extend func(ctx context.Context, held int) error // renews the first so many keys
	held   int
}

// add notes that the next key, which was requested at a time, is held now.
func (p *partial) add(asked time.Time) {
	if p.held == 0 {
		p.asked = asked // the keys that are asked for later expire later
	}
	p.held++
}

// keep renews what is held if a third of the term has passed. A waiter calls it more often than that.
func (p *partial) keep(ctx context.Context) error {
	if p.held == 0 || time.Since(p.asked) < p.term/3 {
		return nil
	}
	asked := time.Now()
	if err := p.extend(ctx, p.held); err != nil {
		return err
	}
	p.asked = asked
	return nil
}

// giveUp releases what a failed Lock may have acquired, in a bounded time and even if the caller has gone.
func giveUp(ctx context.Context, release func(ctx context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), UnlockTimeout)
	defer cancel()
	_ = release(ctx) // what it cannot free expires
}
