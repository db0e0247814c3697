package lockprovider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Errors a caller acts on; see [Provider] for what each means.
var (
	ErrInsufficient   = errors.New("balance would fall below its floor")
	ErrLimit          = errors.New("balance would rise above its ceiling")
	ErrLockTimeout    = errors.New("lock not obtained within the configured wait")
	ErrLockLost       = errors.New("lock lost before the commit")
	ErrConflict       = errors.New("balance changed meanwhile, attempts exhausted")
	ErrUnavailable    = errors.New("store unavailable")
	ErrIDReused       = errors.New("change ID already used for another request")
	ErrUnknownBalance = errors.New("unknown balance")
	ErrInvalidChange  = errors.New("invalid change")
	// ErrNestedLock is returned instead of a self-deadlock where the context already holds one of the keys.
	ErrNestedLock = errors.New("lock already held by this context")
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

// unavailable wraps an error of a store that cannot be reached, but lets the caller's own cancellation through.
func unavailable(ctx context.Context, store string, err error) error {
	if cerr := ctx.Err(); cerr != nil {
		return cerr
	}
	return fmt.Errorf("%w: %s: %w", ErrUnavailable, store, err)
}

// Rejected is the refusal of a change by the database after Redis had admitted it, or by the [RecordWriter]: a business
// failure with a code that survives the way through Redis to the process that waits.
type Rejected struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (r *Rejected) Error() string { return r.Code + ": " + r.Message }

// Is matches by code, since a rejection from another process is another value.
func (r *Rejected) Is(target error) bool {
	other, ok := target.(*Rejected)
	return ok && other.Code == r.Code && other.Message == r.Message
}

// RejectedByDatabase is the code of a change that Redis admitted although it does not fit: Redis was wrong.
const RejectedByDatabase = "REJECTED"

// rejectionOf is the reason as it is remembered in Redis and sent to other processes.
func rejectionOf(reason error) string {
	if reason == nil {
		return ""
	}
	var r *Rejected
	if !errors.As(reason, &r) {
		r = &Rejected{Code: RejectedByDatabase, Message: reason.Error()}
	}
	body, err := json.Marshal(r)
	if err != nil {
		panic(err) // two strings
	}
	return string(body)
}

func parseRejection(body string) error {
	var r Rejected
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		return fmt.Errorf("rejection %q: %w", body, err)
	}
	return &r
}
