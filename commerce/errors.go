package commerce

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"holdfast/lockprovider"
	"holdfast/lockprovider/ledger"
)

// Code names a business failure, as the GraphQL enum ErrorCode does.
type Code string

// The codes.
const (
	OutOfStock           Code = "OUT_OF_STOCK"
	PurchaseLimitReached Code = "PURCHASE_LIMIT"
	TooManyPending       Code = "TOO_MANY_PENDING_ORDERS"
	TooManyHolds         Code = "TOO_MANY_HOLDS"
	CouponExhausted      Code = "COUPON_EXHAUSTED"
	CouponAlreadyIssued  Code = "COUPON_ALREADY_ISSUED"
	CouponNotValid       Code = "COUPON_NOT_VALID"
	InsufficientFunds    Code = "INSUFFICIENT_FUNDS"
	VersionConflict      Code = "VERSION_CONFLICT"
	LockTimeout          Code = "LOCK_TIMEOUT"
	LockLost             Code = "LOCK_LOST"
	IdempotencyMismatch  Code = "IDEMPOTENCY_MISMATCH"
	IdempotencyExpired   Code = "IDEMPOTENCY_EXPIRED"
	PaymentDeclined      Code = "PAYMENT_DECLINED"
	PriceChanged         Code = "PRICE_CHANGED"
	InvalidState         Code = "INVALID_STATE"
	NotFound             Code = "NOT_FOUND"
	InvalidInput         Code = "INVALID_INPUT"
	Unavailable          Code = "UNAVAILABLE"
)

// Error is a business failure: data for the caller, no fault of the system.
type Error struct {
	Code    Code
	Message string
	// Field is the path of the input field at fault, from the mutation's argument on. It is nil if no field is at fault.
	Field []string
	// Retryable tells that the same request, with the same idempotency key, may succeed later: a refusal is no result of the key.
	Retryable bool
	// RetryAfter is how much later it may succeed by itself. 0 means that something must change first, such as the stock.
	RetryAfter time.Duration
	// Details is one of the *Details types below, or nil.
	Details any

	cause error // for the log; clients see the other fields
}

func (e *Error) Error() string {
	if e.cause != nil {
		return string(e.Code) + ": " + e.Message + ": " + e.cause.Error()
	}
	return string(e.Code) + ": " + e.Message
}

// Unwrap gives the cause, which is meant for logs.
func (e *Error) Unwrap() error { return e.cause }

// OutOfStockDetails names the variant that is short.
type OutOfStockDetails struct {
	ProductID, VariantID string
	Requested, Available int64
}

// CouponExhaustedDetails names the coupon whose quota is used up.
type CouponExhaustedDetails struct{ CouponID string }

// InsufficientFundsDetails tells how much was requested and how much there is, in points or minor units.
type InsufficientFundsDetails struct{ Requested, Available int64 }

// PriceChangedDetails tells which total was expected, and what the order would cost.
type PriceChangedDetails struct{ Expected, Actual Money }

// VersionConflictDetails tells the version to start from.
type VersionConflictDetails struct{ Current int }

// ContentionDetails tells which strategy could not get through, and how long it waited.
type ContentionDetails struct {
	Strategy lockprovider.Strategy
	Waited   time.Duration
}

// Errors are several business failures of one request.
type Errors []*Error

func (es Errors) Error() string {
	parts := make([]string, len(es))
	for i, e := range es {
		parts[i] = e.Error()
	}
	return strings.Join(parts, "; ")
}

// UserErrors returns the business failures in err. It returns false if err is a failure of the system, a lack of rights, or
// the end of the request's time. A store that does not answer is a business failure too: nothing is wrong with the request,
// nor with this program.
func UserErrors(err error) ([]*Error, bool) {
	var several Errors
	if errors.As(err, &several) {
		return several, true
	}
	var one *Error
	if errors.As(err, &one) {
		return []*Error{one}, true
	}
	if errors.Is(err, lockprovider.ErrUnavailable) || ledger.DatabaseDown(err) {
		return []*Error{unavailable(err)}, true
	}
	return nil, false
}

func unavailable(cause error) *Error {
	e := &Error{
		Code: Unavailable, Message: "the shop cannot complete this at the moment; try again with the same key",
		Retryable: true, RetryAfter: retryLater, cause: cause,
	}
	if errors.Is(cause, lockprovider.ErrUnknown) {
		e.Message = "it is not known whether this was done; repeat it with the same key to find out"
	}
	return e
}

// notConfirmed is the answer to a request about something that was accepted, and that the database does not confirm in time.
func notConfirmed(cause error) *Error {
	return &Error{
		Code: Unavailable, Message: "what this needs was accepted, and is not confirmed yet; try again with the same key",
		Retryable: true, RetryAfter: retryLater, cause: cause,
	}
}

func invalid(field []string, format string, args ...any) *Error {
	return &Error{Code: InvalidInput, Field: field, Message: fmt.Sprintf(format, args...)}
}

func notFound(field []string, what, id string) *Error {
	return &Error{Code: NotFound, Field: field, Message: fmt.Sprintf("%s %q does not exist", what, Truncate(id, 80))}
}

// noRoom refuses what a balance has no room for.
func noRoom(field []string, format string, args ...any) *Error {
	e := invalid(field, format, args...)
	e.Retryable = true // after something was taken from it
	return e
}

// input is the path of a field of a mutation's input.
func input(path ...string) []string { return append([]string{"input"}, path...) }

// retrySoon is the hint given with contention. Chosen: several transactions long, and short for a customer.
const retrySoon = 200 * time.Millisecond

// retryLater is the hint given while a store is away.
const retryLater = 2 * time.Second

// translate turns an error of a provider into a business failure. Refusals stay as they are: only the service that built the
// change knows what a refused balance means.
func translate(err error, r lockprovider.Receipt) error {
	var contention any // nil if no strategy was in it, as in a write of a product
	if r.Strategy != "" {
		contention = ContentionDetails{Strategy: r.Strategy, Waited: r.Waited}
	}
	var rejected, advanced *lockprovider.Rejected
	switch {
	case err == nil:
		return nil
	case errors.As(err, &rejected):
		for _, known := range []*Error{errOrderAdvanced, errHoldAdvanced, errTopUpAdvanced, errImportedMeanwhile} { // perhaps from another process
			if errors.As(known, &advanced) && rejected.Code == advanced.Code {
				return known
			}
		}
	case errors.Is(err, lockprovider.ErrUnknown):
		return unavailable(err)
	case errors.Is(err, lockprovider.ErrLockTimeout):
		return &Error{
			Code: LockTimeout, Message: "too many others want the same at the moment; this attempt changed nothing, try again",
			Retryable: true, RetryAfter: retrySoon, Details: contention,
		}
	case errors.Is(err, lockprovider.ErrLockLost), errors.Is(err, lockprovider.ErrConflict):
		return &Error{
			Code: LockLost, Message: "somebody else changed the same meanwhile; this attempt changed nothing, try again",
			Retryable: true, RetryAfter: retrySoon, Details: contention,
		}
	case errors.Is(err, lockprovider.ErrUnavailable):
		return unavailable(err)
	case errors.Is(err, lockprovider.ErrIDReused):
		return keyReused()
	case errors.Is(err, lockprovider.ErrIDExpired):
		return keyExpired()
	}
	return err
}

func keyReused() *Error {
	return &Error{
		Code: IdempotencyMismatch, Field: input("idempotencyKey"),
		Message: "this idempotency key was used for another request; use a new key for a new request",
	}
}

func keyExpired() *Error {
	return &Error{
		Code: IdempotencyExpired, Field: input("idempotencyKey"),
		Message: "this idempotency key was used long ago, for a request that was carried out; look at what there is, and use a new key for a new request",
	}
}

// refusals gives each refused balance of a change its meaning; other errors pass.
func refusals(err error, meaning func(r lockprovider.Refusal) *Error) error {
	var refused *lockprovider.Refused
	if !errors.As(err, &refused) {
		return err
	}
	var all Errors
	for _, r := range refused.Refusals {
		e := meaning(r)
		e.Retryable = e.Retryable && !refused.Final
		all = append(all, e)
	}
	if len(all) == 1 {
		return all[0]
	}
	return all
}

func hasCode(err error, code Code) bool {
	errs, ok := UserErrors(err)
	return ok && errs[0].Code == code
}

// Truncate returns the first n characters of a text, or all if it has no more.
func Truncate(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n])
	}
	return s
}
