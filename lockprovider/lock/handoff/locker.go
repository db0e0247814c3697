package handoff

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"holdfast/lockprovider/lock"
)

// locker implements [lock.Locker].
type locker struct {
	client *Client
	bounds bounds
	wait   time.Duration
}

// bounds are the times and numbers that a lock keeps to.
type bounds struct {
	// lease is how long Redis keeps the lock for a holder that does not renew it.
	lease time.Duration
	// grant is the lease of a lock that was handed off to another process. Its renewal shows that the process is alive.
	grant time.Duration
	// poll is how long a waiter waits for a message before it asks Redis: what a lost message costs.
	poll time.Duration
	// heartbeat is how long Redis keeps an entry in the wait queue for a process that does not ask again.
	heartbeat time.Duration
	// handoffs bounds how often a process hands off the lock to its own waiters while another process waits; tenure
	// bounds for how long. tenure is also how long a lock is cached.
	handoffs int
	tenure   time.Duration
}

// Bounds that are not configured. They matter within one wait or lease.
const (
	longestGrant = 1500 * time.Millisecond
	// An entry in the wait queue is kept for four polls, so that three may be lost, and for a second at least.
	heartbeats        = 4
	shortestHeartbeat = time.Second
	maxHandoffs       = 16
	maxTenure         = 20 * time.Millisecond
)

// Locker returns a lock with these bounds. All lockers of a client share their locks.
func (c *Client) Locker(s lock.Settings) lock.Locker {
	return lock.RefuseNesting(&locker{client: c, wait: s.Wait, bounds: bounds{
		lease: s.Lease, grant: min(longestGrant, s.Lease), poll: s.Poll,
		heartbeat: max(heartbeats*s.Poll, shortestHeartbeat), handoffs: maxHandoffs, tenure: maxTenure,
	}})
}

// Lock acquires several keys with one request if nobody holds or waits for any of them. Otherwise it acquires one after
// the other, in an order that is the same for all callers.
func (l *locker) Lock(ctx context.Context, keys []string) (context.Context, lock.Lease, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	keys = lock.SortedKeys(keys)
	names := l.client.names(keys)
	deadline := time.Now().Add(lock.WaitBound(l.wait))
	lease := &lease{client: l.client, keys: keys, leaveQueue: func() {}}
	// A caller that holds keys does not queue: the callers in front may be waiting for what it holds.
	if len(keys) > 1 && l.wait > 0 && !lock.HoldsAny(ctx) {
		leave, err := l.client.multiKeys.enter(ctx, deadline, names, l.bounds.poll)
		if err != nil {
			return nil, nil, lock.StoreError(ctx, "redis", err)
		}
		lease.leaveQueue = leave
	}
	held, err := l.acquire(ctx, names, deadline, lease)
	if err != nil {
		lease.leaveQueue()
		return nil, nil, lock.StoreError(ctx, "redis", err)
	}
	return held, lease, nil
}

// acquire acquires the locks of a lease, or returns [lock.ErrTimeout].
func (l *locker) acquire(ctx context.Context, names []string, deadline time.Time, lease *lease) (context.Context, error) {
	if len(names) > 1 || l.wait <= 0 {
		held, err := l.attempt(ctx, names, deadline, lease, l.client.acquireAll)
		switch {
		case held != nil || err != nil:
			return held, err
		case l.wait <= 0:
			return nil, lock.ErrTimeout
		}
	}
	return l.attempt(ctx, names, deadline, lease, l.client.acquireEach)
}

// attempt acquires the locks of a lease in one way, or returns nil. Each attempt has a context of its own: an attempt that
// gave up may have lost a lock.
func (l *locker) attempt(ctx context.Context, names []string, deadline time.Time, lease *lease,
	acquire func(context.Context, []string, *acquireOptions) ([]*waiter, error),
) (context.Context, error) {
	held, lose := context.WithCancelCause(ctx)
	holds, err := acquire(ctx, names, &acquireOptions{bounds: l.bounds, deadline: deadline, lose: lose})
	if holds == nil {
		lose(nil)
		return nil, err
	}
	lease.holds, lease.lose = holds, lose
	return held, nil
}

// errUnlockedBefore is what a second Unlock of a lease returns.
var errUnlockedBefore = fmt.Errorf("%w: it has been unlocked before", lock.ErrLost)

// lease implements [lock.Lease].
type lease struct {
	client *Client
	keys   []string
	holds  []*waiter // one a key
	lose   context.CancelCauseFunc
	// leaveQueue lets other callers of this process that want several keys go on.
	leaveQueue func()

	unlocked atomic.Bool
}

// Unlock hands each lock off to the next waiter, caches it, or releases it in Redis.
func (l *lease) Unlock(ctx context.Context) error {
	if l.unlocked.Swap(true) {
		return errUnlockedBefore
	}
	err := l.client.unlock(ctx, l.holds, true)
	l.leaveQueue()
	l.lose(nil)
	return err
}

// Fence returns the token of a key, 0 if the lease does not hold it. It asks Redis in the first call, unless the lock came
// with a token: from a queue, or with several locks.
func (l *lease) Fence(ctx context.Context, key string) (int64, error) {
	if i, ok := slices.BinarySearch(l.keys, key); ok {
		return l.client.fence(ctx, l.holds[i])
	}
	return 0, nil
}
