package lockprovider

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/lockprovider/ledger"
	"holdfast/lockprovider/lock"
	"holdfast/lockprovider/redisfirst"
)

// Errors that a caller acts on; see [Provider] for what each means.
var (
	ErrInsufficient   = ledger.ErrInsufficient
	ErrLimit          = ledger.ErrLimit
	ErrLockTimeout    = ledger.ErrLockTimeout
	ErrLockLost       = ledger.ErrLockLost
	ErrConflict       = ledger.ErrConflict
	ErrUnavailable    = ledger.ErrUnavailable
	ErrIDReused       = ledger.ErrIDReused
	ErrUnknownBalance = ledger.ErrUnknownBalance
	ErrInvalidChange  = ledger.ErrInvalidChange
	ErrBroken         = ledger.ErrBroken
	// ErrNestedLock is returned instead of a self-deadlock where the context already holds one of the keys.
	ErrNestedLock = lock.ErrNested
)

type (
	// Refusal and the types below say what a refused change tells. Packages ledger and redisfirst document them.
	Refusal  = ledger.Refusal
	Refused  = ledger.Refused
	Rejected = redisfirst.Rejected
)

// Retryable tells whether the same change, with the same ID, may succeed when it is sent again.
func Retryable(err error) bool {
	return errors.Is(err, ErrLockTimeout) || errors.Is(err, ErrLockLost) || errors.Is(err, ErrConflict) ||
		errors.Is(err, ErrUnavailable)
}

// ended is ctx.Err(), except that it counts a deadline that has passed: a connection with that deadline may time out
// before the context's own timer has fired, and that is the caller's doing and not the store's.
func ended(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		<-ctx.Done() // now
	}
	return ctx.Err()
}

// unavailable wraps an error of a store that cannot be reached, but lets the caller's own cancellation through.
func unavailable(ctx context.Context, store string, err error) error {
	if cerr := ended(ctx); cerr != nil {
		return cerr
	}
	return fmt.Errorf("%w: %s: %w", ErrUnavailable, store, err)
}
