package lockprovider

import (
	"context"
	"time"

	"github.com/google/uuid"

	"holdfast/lockprovider/ledger"
	"holdfast/lockprovider/redisfirst"
)

// What some providers can do beyond Execute. Callers ask for it by the interface, with [As], and never by the strategy.

// As finds what a provider can do beyond Execute: the provider itself, or one that it wraps, as a T. It returns false if
// there is none, as it is with a nil provider.
func As[T any](p Provider) (found T, ok bool) {
	for p != nil {
		if found, ok = p.(T); ok {
			return found, true
		}
		wrapper, isWrapper := p.(interface{ Unwrap() Provider })
		if !isWrapper {
			break
		}
		p = wrapper.Unwrap()
	}
	return found, false
}

type (
	// Position and the types below are the words of these interfaces. Package redisfirst documents them.
	Position      = redisfirst.Position
	PositionState = redisfirst.PositionState
	Outcome       = redisfirst.Outcome
	OutcomeState  = redisfirst.OutcomeState
	Comparison    = redisfirst.Comparison
	Level         = ledger.Level
)

// How far a change has come; see [Position] and [Outcome].
const (
	PositionUnknown = redisfirst.PositionUnknown
	PositionWaiting = redisfirst.PositionWaiting
	PositionServing = redisfirst.PositionServing
	PositionDone    = redisfirst.PositionDone
	PositionFailed  = redisfirst.PositionFailed
	PositionExpired = redisfirst.PositionExpired

	OutcomeUnknown  = redisfirst.OutcomeUnknown
	OutcomeAdmitted = redisfirst.OutcomeAdmitted
	OutcomeFailed   = redisfirst.OutcomeFailed
)

// Ticketer is implemented by providers that execute changes in the order in which they came, and whose callers need not
// wait for that.
type Ticketer interface {
	// Enter puts a change in the queue and returns its position. The change's ticket expires after the given time, and
	// then the change is not executed.
	//
	// Errors: those of Execute that say what is known at once: *[Refused] if what is asked is known to be sold out,
	// [ErrIDReused], [ErrLockTimeout] if the queue is full, [ErrUnavailable].
	Enter(ctx context.Context, c Change, keep time.Duration) (Position, error)
	// Look returns the position of a change, and keeps its ticket for the given time from now.
	Look(ctx context.Context, id uuid.UUID, keep time.Duration) (Position, error)
}

// Tracker is implemented by providers that may accept a change before the database has it.
type Tracker interface {
	// Outcome returns what is known of a change that was accepted. A change that was committed is found in the change
	// log, and need not be known here any more.
	Outcome(ctx context.Context, id uuid.UUID) (Outcome, error)
}

// Awaiter is implemented by providers that take a change over before the database has it.
type Awaiter interface {
	// Await waits until it is decided what becomes of a change that was taken over, and reports whether the database holds it.
	// It returns false and no error if nothing is known of such a change.
	//
	// The wait is bounded by [PipelineSettings.PersistWait]; then the error is [ErrUnknown]. Other errors: why the change was
	// refused; [ErrUnavailable]; ctx.Err().
	Await(ctx context.Context, id uuid.UUID) (held bool, err error)
}

// Reconciler is implemented by providers that keep balances in Redis as well, which may therefore differ from the
// database. The database is what counts.
type Reconciler interface {
	// Active reports whether the balances in Redis are what the family is served from at the moment. If not, there is
	// nothing to compare.
	Active(ctx context.Context) (bool, error)
	// Levels reads balances in Redis; those that it does not hold are absent.
	Levels(ctx context.Context, balances []string) (map[string]Level, error)
	// InFlight returns how many changes of each balance the database does not hold yet; balances without any are absent.
	InFlight(ctx context.Context) (map[string]int, error)
	// Prime creates those of some balances that Redis lacks, as read returns them. It returns how many it created, and how many
	// it could not create because changes of them are in flight.
	Prime(ctx context.Context, balances []string, read redisfirst.ReadLevels) (created, inFlight int, err error)
	// Reconcile compares one balance exactly, and repairs Redis if it has drifted. Errors: redisfirst.ErrBacklogLong,
	// redisfirst.ErrNotActive, [ErrUnknownBalance], [ErrUnavailable].
	Reconcile(ctx context.Context, balance string) (Comparison, error)
	// DismissIdle removes what instances that are gone have left behind, after the given time. It returns how many.
	DismissIdle(ctx context.Context, idle time.Duration) (int, error)
}

// runner is implemented by providers that need something done in the background; see [Providers.Run].
type runner interface {
	Run(ctx context.Context)
}

// beginner is implemented by providers that leave something behind when an epoch ends.
type beginner interface {
	BeginEpoch(epoch int64)
	// Open opens the current epoch in Redis, so that the first change needs no database for that.
	Open(ctx context.Context) error
}
