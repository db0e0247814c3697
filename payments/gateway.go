// Package payments is the seam between the shop and what takes card payments: the port [Gateway], the states of a
// payment attempt with the one function that moves between them ([Next]), and the simulated adapter of the port.
//
// The package knows no orders and no database. Package gatewaytest has the conformance suite that any adapter passes.
package payments

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// Gateway is the port to what takes card payments. An adapter is safe for concurrent use.
//
// Each call names a payment attempt by the shop's own ID, which is the idempotency key at the gateway: a call that is
// repeated, at whichever instance and after a crash, has no second effect and returns the state of the payment.
//
// The answer is the state of the payment after the call. A call that does not fit the state of the payment, such as a
// capture of what was voided, changes nothing and returns the state as it is. That is no error.
//
// An error means that the outcome is unknown, unless it is [ErrMismatch]: the gateway may have done what it was asked
// for. The caller repeats the call, or asks Lookup.
type Gateway interface {
	// Authorize reserves an amount. The state is AUTHORIZED, DECLINED, REQUIRES_ACTION or PENDING. It returns
	// ErrMismatch if the attempt was made before with another amount.
	Authorize(ctx context.Context, a Authorization) (Answer, error)

	// Capture takes an authorized amount, or a part of it; the rest is released. The state is CAPTURED, DECLINED if the
	// gateway cannot take it any more, or PENDING.
	Capture(ctx context.Context, p Ref, amount Amount) (Answer, error)

	// Void ends an authorization, or an attempt that is not authorized yet. The state is VOIDED; CAPTURED if it is too
	// late; NOT_FOUND if the gateway knows no such attempt.
	Void(ctx context.Context, p Ref) (Answer, error)

	// Refund gives back an amount of what was captured. refund is the shop's ID of this refund: a repeat with the same ID
	// gives nothing back twice. More than what is left of the captured amount is not given back. The answer's Made says whether this refund
	// was given back, and Refunded how much was in all.
	Refund(ctx context.Context, p Ref, refund string, amount Amount) (Answer, error)

	// Lookup returns the state of a payment: NOT_FOUND if the gateway knows no such attempt.
	Lookup(ctx context.Context, p Ref) (Answer, error)

	// List returns what was captured and given back from one moment up to another one, the second excluded, by the clock of the gateway: one page of
	// it, in any order. The first page has the cursor "", the next one that of the page before; a cursor may be used again, after a restart too. What
	// changes while it is listed may be missing: the interval should have ended.
	List(ctx context.Context, from, to time.Time, cursor string) (Page, error)

	// Movements returns what was captured of a payment and given back of it until now: nothing if the gateway knows no such attempt.
	Movements(ctx context.Context, p Ref) ([]Movement, error)

	// ParseWebhook checks the signature of a message that the gateway has sent, over the body as it came, and returns what it
	// tells of payments: nothing if it is about something else. It asks nobody.
	//
	// It returns errors.ErrUnsupported if the gateway sends none. Any other error means that the message is not to be trusted:
	// its signature is missing, wrong, or too far from now, or the body cannot be read. The error quotes neither body nor secret.
	ParseWebhook(header http.Header, body []byte, now time.Time) ([]Notification, error)
}

// MovementKind says in which direction money has moved.
type MovementKind string

// The kinds of movements.
const (
	MovedCapture MovementKind = "CAPTURE"
	MovedRefund  MovementKind = "REFUND"
	// MovedBack is in lists only: a refund has failed, and its money is with the shop again.
	MovedBack MovementKind = "REFUND_FAILED"
)

// Movement is money that a gateway has taken or given back. A refund that has failed is none.
type Movement struct {
	Kind      MovementKind
	ID        string // the gateway's, of the capture or refund
	Attempt   string // the shop's ID of the attempt
	Reference string // the gateway's, of the payment
	Refund    string // the shop's ID of the refund; "" if it was made at the gateway by hand
	Amount    Amount
	At        time.Time
}

// Page is a part of a list of movements of payments that have a shop's ID.
type Page struct {
	Movements []Movement
	Next      string // the cursor of the next page; "" if this is the last one
}

// Stepped is a [Gateway] that does not take every amount of some currencies.
type Stepped interface {
	// Step returns what each amount of a currency must be a multiple of, in minor units: 1 for most.
	Step(currency string) int64
}

// Partial is a [Gateway] that may have moved more than it lists.
type Partial interface {
	Partial() bool
}

// IsPartial reports whether a gateway may have moved more than it lists, so that what its lists lack says nothing.
func IsPartial(g Gateway) bool {
	partial, ok := g.(Partial)
	return ok && partial.Partial()
}

// StepOf returns what each amount of a currency must be a multiple of for a gateway, in minor units.
func StepOf(g Gateway, currency string) int64 {
	if stepped, ok := g.(Stepped); ok {
		return stepped.Step(currency)
	}
	return 1
}

// ErrMismatch means that the idempotency key of a call was used for another request. The call has done nothing.
var ErrMismatch = errors.New("the payment attempt was made before with another amount")

// Amount is an amount of money in minor units of a currency (ISO 4217).
type Amount struct {
	Minor    int64
	Currency string
}

// Authorization is a payment that is to be authorized.
type Authorization struct {
	Attempt string // the shop's ID of the attempt, the idempotency key
	Subject string // what is paid, such as the ID of an order, for the gateway's own lists
	Amount  Amount
	// Token is the customer's payment method at the gateway, such as pm_card_visa of Stripe. If it is empty, the customer gives it to the gateway.
	Token string
}

// Ref names a payment at the gateway.
type Ref struct {
	Attempt   string // the shop's ID of the attempt
	Reference string // the gateway's, "" if no answer has told it yet
}

// State is what a gateway says of a payment.
type State string

// The states that a gateway tells.
const (
	StatePending        State = "PENDING"         // the gateway has taken over the call, and has not decided
	StateRequiresAction State = "REQUIRES_ACTION" // the customer has something to do, such as 3-D Secure
	StateAuthorized     State = "AUTHORIZED"
	StateCaptured       State = "CAPTURED" // also if a part was given back: see Refunded
	StateRefunded       State = "REFUNDED" // all that was captured was given back
	StateDeclined       State = "DECLINED"
	StateVoided         State = "VOIDED"
	StateNotFound       State = "NOT_FOUND" // the gateway knows no such attempt
)

// Answer is the state of a payment.
type Answer struct {
	State     State
	Reference string // the gateway's, "" if it has none
	Captured  int64  // minor units that were captured
	Refunded  int64  // minor units of these that were given back, in all
	Made      bool   // of Refund: this refund was given back, by this call or an earlier one
	Reason    string // why it was declined, for people
	// Held says of a VOIDED payment that the gateway had reserved its amount before. One that its customer has never confirmed was not held.
	Held bool
	// ClientSecret is what the customer's browser confirms the payment with, while it is REQUIRES_ACTION; "" if it needs none.
	ClientSecret string
	// RedirectURL is the page at which the customer confirms the payment, while it is REQUIRES_ACTION; "" if there is none.
	RedirectURL string
}

// Notification is what a webhook tells of one payment.
type Notification struct {
	ID      string // of the message; a repeat has the same, and so have all notifications of one message
	Attempt string
	Answer  Answer
	// FailedRefund is the shop's ID of a refund that the gateway had made, and that has failed later; "" for other messages. Then the
	// answer has nothing but a reason.
	FailedRefund string
}
