package lock

import (
	"context"
	"errors"
	"time"
)

// Locker excludes others from a set of keys, in whatever process they run.
type Locker interface {
	// Lock acquires all keys or none. The order in which the caller names them does not matter: a locker acquires
	// them in sorted order. It waits at most the bound configured for the locker, then returns [ErrTimeout]. A bound
	// of 0 means to try once.
	//
	// The returned context is canceled with the cause [ErrLost] before the lock can pass to anyone else without
	// having been unlocked. If it is used to lock one of its keys again, Lock returns [ErrNested].
	//
	// Canceling ctx ends the wait; Lock then returns ctx.Err(). After Lock has returned, canceling ctx also cancels
	// the returned context. It does not release the lock: call Unlock.
	//
	// If the store of the locks does not answer, Lock returns [ErrUnavailable].
	Lock(ctx context.Context, keys []string) (held context.Context, lease Lease, err error)
}

// Lease is a lock that is held.
type Lease interface {
	// Unlock releases all keys. It runs for a bounded time, even if ctx has been canceled.
	//
	// It returns [ErrLost] if the lease had ended before. It never releases a lock that somebody else holds by now.
	Unlock(ctx context.Context) error
	// Fence returns the fencing token of a key that is held, or 0 if the lock has none. A token is greater than the
	// tokens of all earlier leases of that key. A store that remembers the greatest token it has seen can thus refuse
	// a holder that comes late. All calls for one key return the same token.
	//
	// A lock may ask its store for the token in the first call. So Fence returns [ErrLost] if the lease has ended, and
	// [ErrUnavailable] if the store of the locks does not answer.
	Fence(ctx context.Context, key string) (int64, error)
}

// Errors that a caller acts on.
var (
	ErrTimeout     = errors.New("lock not obtained within the configured wait")
	ErrLost        = errors.New("lock lost")
	ErrUnavailable = errors.New("store unavailable")
	// ErrNested is returned instead of a self-deadlock if the context already holds one of the keys.
	ErrNested = errors.New("lock already held by this context")
)

// Settings are the bounds of a locker.
type Settings struct {
	// Wait is the longest time to wait for a lock. 0 means to try once.
	Wait time.Duration
	// Lease is how long a lock lives without renewal: how long a dead holder blocks the others.
	Lease time.Duration
	// Poll is how long a waiter waits before it asks again. For a lock whose waiters are told of a release, it is what
	// a lost message costs.
	Poll time.Duration
}

// Grant is the way in which a lock came to its holder.
type Grant string

// The ways in which a lock comes to its holder.
const (
	// GrantReply is a lock that was granted by the reply to a request: it was free, or a message is late.
	GrantReply Grant = "answer"
	// GrantMessage is a lock that another process handed off; a message told the new holder.
	GrantMessage Grant = "message"
	// GrantLocal is a lock that another holder in the same process handed off.
	GrantLocal Grant = "local"
)

// Metrics counts what happens to locks. Its methods are called from many goroutines, and must return at once.
type Metrics interface {
	// Granted counts a lock that came to a holder. Only locks that are handed off report it.
	Granted(Grant)
	// Renewed counts the renewal of a lease. err is nil, [ErrLost] if the lock was no longer held, or else the reason
	// why the store did not answer.
	Renewed(err error)
}

// NoMetrics counts nothing.
type NoMetrics struct{}

// Granted does nothing.
func (NoMetrics) Granted(Grant) {}

// Renewed does nothing.
func (NoMetrics) Renewed(error) {}
