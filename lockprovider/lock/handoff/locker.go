// Package handoff is a lock in Redis whose holders hand it off to the next waiter.
package handoff

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"holdfast/lockprovider/lock"
)

// pubsub is our own Redis lock. A release makes the next in line the owner and tells it, so there is no herd and nobody barges
// in; those who wait in one process pass the lock on among themselves. docs/pubsub-lock.md tells how and why; the hub
// (pubsub_hub.go) is what the locks of a process share, and a line (pubsub_line.go) is one key in one process.
type pubsub struct {
	hub    *Client
	bounds lockBounds
	wait   time.Duration
}

// lockBounds are the bounds of a Pub/Sub lock.
type lockBounds struct {
	// lease is how long Redis keeps the lock for a holder that does not renew it.
	lease time.Duration
	// grant is the lease of a lock that was handed over, until its new holder has shown that it is alive.
	grant time.Duration
	// poll is how long a waiter goes without news before it asks: what a lost message costs.
	poll time.Duration
	// heartbeat is how long a place in line is kept for a process that does not ask.
	heartbeat time.Duration
	// passes bounds how often, and turn for how long, a process passes the lock on to its own waiters while another waits. While
	// nobody does, turn is how long it is kept for those to come.
	passes int
	turn   time.Duration
}

// Bounds that are not configured: what they bound is inside of one wait or lease.
const (
	longestGrant = 1500 * time.Millisecond
	heartbeats   = 4 // polls for which a place in line is kept, but at least
	shortestBeat = time.Second
	passesInTurn = 16
	longestTurn  = 20 * time.Millisecond
)

// Locker returns a lock with these bounds. All lockers of a client share their locks.
func (h *Client) Locker(s lock.Settings) lock.Locker {
	return lock.RefuseNesting(&pubsub{hub: h, wait: s.Wait, bounds: lockBounds{
		lease: s.Lease, grant: min(longestGrant, s.Lease), poll: s.Poll,
		heartbeat: max(heartbeats*s.Poll, shortestBeat), passes: passesInTurn, turn: longestTurn,
	}})
}

// Lock takes several keys at once where nobody holds or waits for any of them; else one by one in their order, which is the
// same for everyone.
func (l *pubsub) Lock(ctx context.Context, keys []string) (context.Context, lock.Lease, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	keys = lock.SortedKeys(keys)
	names := l.hub.names(keys)
	until := time.Now().Add(lock.WaitBound(l.wait))
	lease := &pubsubLease{hub: l.hub, keys: keys, leaveGates: func() {}}
	var err error
	if len(keys) > 1 && l.wait > 0 && !lock.HoldsAny(ctx) { // else those in front may wait for what it holds
		if lease.leaveGates, err = l.hub.gates.enter(ctx, until, names, l.bounds.poll); err != nil {
			return nil, nil, lock.StoreError(ctx, "redis", err)
		}
	}
	held, err := l.take(ctx, names, until, lease)
	if err != nil {
		lease.leaveGates()
		return nil, nil, lock.StoreError(ctx, "redis", err)
	}
	return held, lease, nil
}

// take takes the locks for a lease, or returns lock.ErrTimeout.
func (l *pubsub) take(ctx context.Context, names []string, until time.Time, lease *pubsubLease) (context.Context, error) {
	if len(names) > 1 || l.wait <= 0 {
		held, err := l.attempt(ctx, names, until, lease, (*Client).takeAll)
		switch {
		case held != nil || err != nil:
			return held, err
		case l.wait <= 0:
			return nil, lock.ErrTimeout
		}
	}
	return l.attempt(ctx, names, until, lease, (*Client).joinEach)
}

// attempt takes the locks for a lease, or returns nil. The context that it returns is its own: of what another attempt had to give
// up again, something may have been lost.
func (l *pubsub) attempt(ctx context.Context, names []string, until time.Time, lease *pubsubLease,
	ask func(*Client, context.Context, []string, *claim) ([]*turn, error),
) (context.Context, error) {
	held, lose := context.WithCancelCause(ctx)
	turns, err := ask(l.hub, ctx, names, &claim{bounds: l.bounds, until: until, lose: lose})
	if turns == nil {
		lose(nil)
		return nil, err
	}
	lease.turns, lease.lose = turns, lose
	return held, nil
}

// pubsubLease is a lock on some keys that is held.
type pubsubLease struct {
	hub   *Client
	keys  []string
	turns []*turn // one a key
	lose  context.CancelCauseFunc
	// leaveGates lets others of this process go on to Redis.
	leaveGates func()

	mu       sync.Mutex
	unlocked bool
}

// Unlock passes each key on, or frees it in Redis.
func (l *pubsubLease) Unlock(ctx context.Context) error {
	l.mu.Lock()
	again := l.unlocked
	l.unlocked = true
	l.mu.Unlock()
	if again {
		return fmt.Errorf("%w: it has been unlocked before", lock.ErrLost)
	}
	err := l.hub.leave(ctx, l.turns, true)
	l.leaveGates()
	l.lose(nil)
	return err
}

// Fence is the token of a key.
func (l *pubsubLease) Fence(key string) int64 {
	if i, ok := slices.BinarySearch(l.keys, key); ok {
		return l.turns[i].token
	}
	return 0
}
