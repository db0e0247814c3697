package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"holdfast/lockprovider/lock"
)

// Errors that a caller acts on. Package lockprovider says in the contract of its Provider what each one means.
var (
	ErrInsufficient   = errors.New("balance would fall below its floor")
	ErrLimit          = errors.New("balance would rise above its ceiling")
	ErrLockTimeout    = lock.ErrTimeout
	ErrLockLost       = lock.ErrLost
	ErrConflict       = errors.New("balance changed meanwhile, attempts exhausted")
	ErrUnavailable    = lock.ErrUnavailable
	ErrIDReused       = errors.New("change ID already used for another request")
	ErrIDExpired      = errors.New("change ID already used, so long ago that the change log has forgotten for which request")
	ErrUnknownBalance = errors.New("unknown balance")
	ErrInvalidChange  = errors.New("invalid change")
	// ErrUnknown means that the change was sent to the store that decides about it, and that its answer did not come: it may be
	// applied now, be applied later, or never be. A repeat with the same ID finds out. It never comes without [ErrUnavailable].
	ErrUnknown = errors.New("outcome unknown")
	// ErrBroken means that a strategy failed to keep others out and the database's CHECK constraint caught it.
	ErrBroken = errors.New("strategy broken: the database refused its write")
)

// Errors that a strategy acts on. They do not reach callers alone.
var (
	// ErrStale means that a balance changed between read and write.
	ErrStale = errors.New("version changed since it was read")
	// ErrNoFit means that the database found a move that does not fit. The strategy then reads the balances and names
	// all moves that do not.
	ErrNoFit = errors.New("move does not fit")
	// ErrAlreadyApplied is the verdict on a change that the database held before, from another stream entry: Redis
	// forgot that it had seen the change.
	ErrAlreadyApplied = errors.New("change applied before")
)

// IDUsed reports whether an error says that the ID of a change was used before, for another request as far as is known.
func IDUsed(err error) bool { return errors.Is(err, ErrIDReused) || errors.Is(err, ErrIDExpired) }

// Refusal is one move that a bound forbids.
type Refusal struct {
	Balance   string
	Delta     int64 // asked
	Available int64 // how much the bound still allows in this direction, at least 0
	Reason    error // ErrInsufficient or ErrLimit
}

// Refused tells every move of a change that was refused. errors.Is finds ErrInsufficient and ErrLimit in it.
type Refused struct {
	Refusals []Refusal
	// Final is true if the refusal is what became of a change that had been accepted: a repeat with the same ID is told the same.
	Final bool
}

func (r *Refused) Error() string {
	parts := make([]string, len(r.Refusals))
	for i, f := range r.Refusals {
		parts[i] = fmt.Sprintf("%s: asked %+d, available %d: %v", f.Balance, f.Delta, f.Available, f.Reason)
	}
	return "refused: " + strings.Join(parts, "; ")
}

// Unwrap gives the reasons.
func (r *Refused) Unwrap() []error {
	errs := make([]error, len(r.Refusals))
	for i, f := range r.Refusals {
		errs[i] = f.Reason
	}
	return errs
}

// Ended returns why a context has ended, or nil if it has not. That is ErrLockTimeout or ErrLockLost if one of them
// is the cause, else ctx.Err(). A deadline that has passed counts as ended: a connection with that deadline may time
// out before the context's own timer fires, and the caller caused that, not the store.
func Ended(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		<-ctx.Done() // now
	}
	if cause := context.Cause(ctx); errors.Is(cause, ErrLockLost) || errors.Is(cause, ErrLockTimeout) {
		return cause
	}
	return ctx.Err()
}

// Unknown wraps the error that came instead of the answer to a change that had been sent: [ErrUnavailable] and
// [ErrUnknown]. What caused it is told as text only. It says nothing about the change, whichever error it is: the end of
// a wait for an answer must not pass for the end of a wait for a lock.
func Unknown(what string, err error) error {
	return fmt.Errorf("%w: %w: %s: %v", ErrUnavailable, ErrUnknown, what, err) //nolint:errorlint // see above
}

// Unavailable wraps the error of a store that cannot be reached. The end of ctx is returned as it is; see [Ended].
func Unavailable(ctx context.Context, store string, err error) error {
	if ended := Ended(ctx); ended != nil {
		return ended
	}
	return fmt.Errorf("%w: %s: %w", ErrUnavailable, store, err)
}
