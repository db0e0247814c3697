package lock

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// This file has what implementations of [Locker] share, those outside of this module included.

const (
	// RequestTimeout bounds one request to the store of the locks. A store that takes longer is as good as gone.
	RequestTimeout = time.Second
	// UnlockTimeout bounds an unlock, which runs even if the caller has gone.
	UnlockTimeout = 2 * time.Second
	// ExpiryMargin is the part of a lease, one in so many, that a holder gives up: its context ends before the store
	// would release the lock, although their clocks run at slightly different speeds. Redlock reserves 1 % as well.
	ExpiryMargin = 50
)

// SortedKeys returns the keys in the order in which every locker acquires them, each once. If all callers keep to one
// order, no two of them wait for each other.
func SortedKeys(keys []string) []string {
	keys = slices.Clone(keys)
	slices.Sort(keys)
	return slices.Compact(keys)
}

// WaitBound returns how long a wait for locks may take. A caller that does not wait for a lock still waits for its store.
func WaitBound(wait time.Duration) time.Duration {
	if wait <= 0 {
		return RequestTimeout
	}
	return wait
}

// WithWait returns a context that ends after the bound of a wait, with the cause [ErrTimeout].
func WithWait(ctx context.Context, wait time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, WaitBound(wait), ErrTimeout)
}

// NewToken returns the name of one holder of one lock: unique, and not guessable by another client of the same store.
func NewToken() string { return rand.Text() }

// Pause waits for a time, or returns ctx.Err() if ctx ends first.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Jitter spreads a delay by ±50 %, so that callers that failed together do not come back together. It draws from crypto/rand, which a
// simulation can seed.
func Jitter(d time.Duration) time.Duration {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	spread := binary.LittleEndian.Uint64(b[:]) % uint64(d+1)
	return d/2 + time.Duration(spread)
}

// StoreError gives an error of a lock's store the meaning that a caller acts on. [ErrLost], [ErrTimeout], and
// [ErrUnavailable] stay as they are. If ctx has ended, that is the error, since it says nothing about the store. All
// other errors become [ErrUnavailable].
func StoreError(ctx context.Context, store string, err error) error {
	if err == nil || errors.Is(err, ErrLost) || errors.Is(err, ErrTimeout) || errors.Is(err, ErrUnavailable) {
		return err
	}
	// A connection with the deadline of ctx may time out before ctx's own timer fires: the caller caused that.
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		<-ctx.Done() // now
	}
	if ctx.Err() == nil {
		return fmt.Errorf("%w: %s: %w", ErrUnavailable, store, err)
	}
	if cause := context.Cause(ctx); errors.Is(cause, ErrTimeout) {
		return cause
	}
	return ctx.Err()
}

// heldKey marks a context with the keys that it holds.
type heldKey struct{}

// heldKeys are the keys that a context holds.
func heldKeys(ctx context.Context) []string {
	keys, _ := ctx.Value(heldKey{}).([]string)
	return keys
}

// HoldsAny reports whether ctx was returned by a Lock of this module, and so holds keys. A caller that holds keys must
// not queue behind a caller that may be waiting for them.
func HoldsAny(ctx context.Context) bool { return len(heldKeys(ctx)) > 0 }

// RefuseNesting returns a locker that notes the keys in the context of each lease. It returns [ErrNested] if such a
// context is used to lock one of its keys again, so that a caller does not deadlock with itself.
func RefuseNesting(l Locker) Locker { return refusesNesting{l} }

type refusesNesting struct{ Locker }

func (l refusesNesting) Lock(ctx context.Context, keys []string) (context.Context, Lease, error) {
	outer := heldKeys(ctx)
	for _, k := range keys {
		if slices.Contains(outer, k) {
			return nil, nil, fmt.Errorf("%w: %s", ErrNested, k)
		}
	}
	held, lease, err := l.Locker.Lock(ctx, keys)
	if err != nil {
		return nil, nil, err
	}
	// Not slices.Concat: it grows what it makes, at 120 ns for each lock.
	all := append(make([]string, 0, len(outer)+len(keys)), outer...)
	return context.WithValue(held, heldKey{}, append(all, keys...)), lease, nil
}
