package lockprovider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"holdfast/lockprovider/lock"
)

// Errors a caller acts on; see [Provider] for what each means.
var (
	ErrInsufficient   = errors.New("balance would fall below its floor")
	ErrLimit          = errors.New("balance would rise above its ceiling")
	ErrLockTimeout    = lock.ErrTimeout
	ErrLockLost       = lock.ErrLost
	ErrConflict       = errors.New("balance changed meanwhile, attempts exhausted")
	ErrUnavailable    = lock.ErrUnavailable
	ErrIDReused       = errors.New("change ID already used for another request")
	ErrUnknownBalance = errors.New("unknown balance")
	ErrInvalidChange  = errors.New("invalid change")
	// ErrNestedLock is returned instead of a self-deadlock where the context already holds one of the keys.
	ErrNestedLock = lock.ErrNested
	// ErrBroken means that a strategy failed to keep others out and the database's referee caught it.
	ErrBroken = errors.New("strategy broken: the database refused its write")
)

// Refusal is one move that a bound forbids.
type Refusal struct {
	Balance   string
	Delta     int64 // asked
	Available int64 // how much the bound still allows in this direction, at least 0
	Reason    error // ErrInsufficient or ErrLimit
}

// Refused tells every move of a change that was refused. errors.Is finds ErrInsufficient and ErrLimit in it.
type Refused struct{ Refusals []Refusal }

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

// Rejected is the refusal of a change by the [RecordWriter] under a Redis-first strategy, or by the database after Redis
// had admitted it: a failure with a code that survives the way through Redis to the process that waits.
type Rejected struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (r *Rejected) Error() string { return r.Code + ": " + r.Message }

// rejectedByDatabase is the code of a rejection that is no business failure.
const rejectedByDatabase = "REJECTED"

// rejection is how a reason is remembered in Redis and sent to other processes: a Rejected, or the moves that did not fit.
type rejection struct {
	Rejected *Rejected         `json:"rejected,omitempty"`
	Refusals []rejectedRefusal `json:"refusals,omitempty"`
}

type rejectedRefusal struct {
	Balance   string `json:"balance"`
	Delta     int64  `json:"delta"`
	Available int64  `json:"available"`
}

func encodeRejection(reason error) string {
	if reason == nil {
		return ""
	}
	var refused *Refused
	var rejected *Rejected
	var r rejection
	switch {
	case errors.As(reason, &refused):
		for _, f := range refused.Refusals {
			r.Refusals = append(r.Refusals, rejectedRefusal{Balance: f.Balance, Delta: f.Delta, Available: f.Available})
		}
	case errors.As(reason, &rejected):
		r.Rejected = rejected
	default:
		r.Rejected = &Rejected{Code: rejectedByDatabase, Message: reason.Error()}
	}
	body, err := json.Marshal(r)
	if err != nil {
		panic(err) // plain values
	}
	return string(body)
}

func decodeRejection(body string) error {
	var r rejection
	if err := json.Unmarshal([]byte(body), &r); err != nil || r.Rejected == nil && r.Refusals == nil {
		return fmt.Errorf("rejection %q cannot be read: %w", body, err)
	}
	if r.Rejected != nil {
		return r.Rejected
	}
	refused := &Refused{}
	for _, f := range r.Refusals {
		reason := ErrInsufficient // only a move downwards falls below a floor
		if f.Delta > 0 {
			reason = ErrLimit
		}
		refused.Refusals = append(refused.Refusals, Refusal{
			Balance: f.Balance, Delta: f.Delta, Available: f.Available, Reason: reason,
		})
	}
	return refused
}
