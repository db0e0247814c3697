package handoff

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"holdfast/lockprovider/lock"
)

// locker returns a locker that acquires so many units of each key, of semaphores with a limit.
func (s *semaphores) locker(prefix string, units, limit int64, settings lock.Settings) lock.Locker {
	request := holdRequest{
		units: units, limit: limit, lease: settings.Lease, shortLease: min(longestGrant, settings.Lease), poll: settings.Poll,
	}
	if settings.Wait > 0 {
		request.heartbeat = max(heartbeats*settings.Poll, shortestHeartbeat)
	}
	return prefixed{prefix, lock.RefuseNesting(&unitsLocker{s, prefix, request, settings.Wait})}
}

// prefixed is a locker whose keys have a prefix in Redis. So a caller may hold a read-write lock and a lock of the same key.
type prefixed struct {
	prefix string
	lock.Locker
}

// Lock acquires all keys or none.
func (p prefixed) Lock(ctx context.Context, keys []string) (context.Context, lock.Lease, error) {
	names := make([]string, len(keys))
	for i, key := range keys {
		names[i] = nameOf(p.prefix, key)
	}
	return p.Locker.Lock(ctx, names)
}

// nameOf gives a key a hash tag of its own, unless it has one: keys with the same tag can be acquired at once in a cluster.
func nameOf(prefix, key string) string {
	if strings.Contains(key, "{") {
		return prefix + key
	}
	return prefix + "{" + key + "}"
}

// unitsLocker implements [lock.Locker] for the names of semaphores.
type unitsLocker struct {
	semaphores *semaphores
	prefix     string
	request    holdRequest
	wait       time.Duration
}

// Lock acquires units of each semaphore, one after the other. Their order is the same for all callers.
func (l *unitsLocker) Lock(ctx context.Context, names []string) (context.Context, lock.Lease, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	waiting, cancel := lock.WithWait(ctx, l.wait)
	defer cancel()
	held, lose := context.WithCancelCause(ctx)
	lease := &unitsLease{semaphores: l.semaphores, prefix: l.prefix, lose: lose}
	for _, name := range lock.SortedKeys(names) {
		h := &hold{holdRequest: l.request, semaphores: l.semaphores, lose: lose, wake: make(chan struct{}, 1)}
		h.name = name
		if err := l.semaphores.acquire(waiting, h); err != nil {
			if len(lease.holds) > 0 {
				_ = l.semaphores.unlock(ctx, lease.holds) // what it cannot release expires
			}
			lose(nil)
			if !errors.Is(err, ErrLimit) {
				err = lock.StoreError(waiting, "redis", err)
			}
			return nil, nil, err
		}
		lease.holds = append(lease.holds, h)
	}
	if cause := context.Cause(held); errors.Is(cause, lock.ErrLost) { // of one key, while the caller waited for the next
		_ = l.semaphores.unlock(ctx, lease.holds)
		return nil, nil, cause
	}
	return held, lease, nil
}

// unitsLease implements [lock.Lease].
type unitsLease struct {
	semaphores *semaphores
	prefix     string
	holds      []*hold
	lose       context.CancelCauseFunc

	unlocked atomic.Bool
}

// Unlock releases all units.
func (l *unitsLease) Unlock(ctx context.Context) error {
	if l.unlocked.Swap(true) {
		return errUnlockedBefore
	}
	err := l.semaphores.unlock(ctx, l.holds)
	l.lose(nil)
	return err
}

// Fence returns the token of a key, 0 if the lease does not hold it.
func (l *unitsLease) Fence(_ context.Context, key string) (int64, error) {
	name := nameOf(l.prefix, key)
	for _, h := range l.holds {
		if h.name == name {
			return h.token, nil
		}
	}
	return 0, nil
}
