package handoff

import (
	"context"
	"errors"
	"fmt"
	"math"

	"holdfast/lockprovider/lock"
)

// Semaphore is a counting semaphore in Redis: at any time, callers in all processes hold at most its limit of units of a key.
type Semaphore struct {
	semaphores *semaphores
	limit      int64
	settings   lock.Settings
}

// ErrLimit is returned by [Semaphore.Acquire] if the semaphore is in use with another limit. A limit may change when nobody
// holds or waits for units of the key.
var ErrLimit = errors.New("semaphore is in use with another limit")

// maxLimit is the greatest limit of a semaphore. The scripts count exactly up to 2^53.
const maxLimit = math.MaxInt32

// Semaphore returns a semaphore with a limit of 1 to 2^31-1 units for each key. All clients give the same limit for a key.
func (c *Client) Semaphore(limit int64, s lock.Settings) *Semaphore {
	return &Semaphore{semaphores: c.semaphores, limit: limit, settings: s}
}

// semaphorePrefix begins the names of semaphores in Redis. Names of locks begin with "holdfast:".
const semaphorePrefix = "holdfast-semaphore:"

// Acquire acquires units of a key, 1 to the limit. It waits at most the bound configured for the semaphore, then returns
// [lock.ErrTimeout]. A bound of 0 means to try once. Waiters are served in their order: a waiter for whom too few units are
// free keeps all that come after it waiting, or it might wait for ever.
//
// The returned context, and the errors, are those of [lock.Locker]. If the context is used to acquire more units of the key,
// Acquire returns [lock.ErrNested]: two callers that each hold a part of what they need would wait for each other.
//
// The fencing tokens of a key grow with each grant. Several callers hold units at once, so a store that remembers the
// greatest token refuses holders that have lost nothing. Tokens of a semaphore with a limit above 1 tell the order of the
// grants only.
func (s *Semaphore) Acquire(ctx context.Context, key string, units int64) (context.Context, lock.Lease, error) {
	if units < 1 || units > s.limit || s.limit > maxLimit {
		return nil, nil, fmt.Errorf("semaphore %s: %d units of a limit of %d; want 1 to the limit, and a limit of at most %d",
			key, units, s.limit, maxLimit)
	}
	return s.semaphores.locker(semaphorePrefix, units, s.limit, s.settings).Lock(ctx, []string{key})
}
