package load

import (
	"encoding/base32"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/google/uuid"

	"holdfast/experiment/claims"
)

// Request is one request of a customer under one idempotency key, and its outcome.
type Request struct {
	Operation string // the mutation
	User      string
	Key       uuid.UUID
	Change    uuid.UUID // what the shop calls it
	Lines     []Line    // of an order
	Coupon    string    // to take
	issue     string    // the coupon in hand, to spend on an order
	Payment   string    // means of payment of an order, "" to pay later
	From, To  string    // accounts
	Amount    int64     // points or money
	Order     *Request  // that placed the order to pay, cancel or refund
	Followed  bool      // another request pays or cancels the order that this one places

	rival *Request      // is sent at the same moment
	twice bool          // it is sent twice at the same moment, under its key, as by a double click
	leave time.Duration // if positive, the customer goes away so long after the first attempt was sent
	back  bool          // who went away comes back, and asks again

	Outcome Outcome
	Code    string        // of a refusal
	Told    claims.Record // every answer
	Began   time.Time     // when it was meant to be asked; zero if its time is of no interest
}

// Line is a product of an order.
type Line struct {
	Product  string
	Quantity int64
}

// Outcome tells how the shop has answered a request.
type Outcome int

// The outcomes.
const (
	Unanswered Outcome = iota // either may be true
	Granted                   // answered with success
	Refused                   // answered with a refusal for good
	Abandoned                 // the customer has gone away: either may be true
)

// Mutations.
const (
	PlaceOrder   = "placeOrder"
	IssueCoupon  = "issueCoupon"
	ChargePoints = "chargePoints"
	Transfer     = "transfer"
	PayOrder     = "payOrder"
	CancelOrder  = "cancelOrder"
	RefundCreate = "refundCreate"
)

// NewRequest returns a request under an idempotency key of its own.
func NewRequest(operation, user string) *Request {
	a := &Request{Operation: operation, User: user, Key: uuid.New()}
	a.Change = changeID(operation, user, a.Key)
	return a
}

func (w *Dataset) order(dice *rand.Rand, issue string, products ...string) []*Request {
	a := w.orderOf(w.user(dice), products...)
	a.issue = issue
	return []*Request{a}
}

// orderOf is an order of one of each product.
func (w *Dataset) orderOf(user string, products ...string) *Request {
	a := NewRequest(PlaceOrder, user)
	for _, product := range products {
		a.Lines = append(a.Lines, Line{product, 1})
	}
	return a
}

func (w *Dataset) take(user, coupon string) *Request {
	a := NewRequest(IssueCoupon, user)
	a.Coupon = coupon
	return a
}

func (w *Dataset) charge(user string, amount int64) *Request {
	a := NewRequest(ChargePoints, user)
	a.Amount = amount
	return a
}

func (w *Dataset) transfer(from, to int, amount int64) *Request {
	a := NewRequest(Transfer, w.owners[from])
	a.From, a.To, a.Amount = w.accounts[from], w.accounts[to], amount
	return a
}

// follow returns a request about the order that another one places.
func (a *Request) follow(operation string) *Request {
	user := a.User
	if operation == RefundCreate {
		user = administrator
	}
	next := NewRequest(operation, user)
	next.Order, next.Lines = a, a.Lines
	return next
}

// pays returns a request that pays the order of another one.
func (a *Request) pays(means string) *Request {
	next := a.follow(PayOrder)
	next.Payment, a.Followed = means, true
	return next
}

// Claims returns what the answers to the request are about.
func (a *Request) Claims() claims.Request {
	switch a.Operation {
	case PayOrder: // who cancels it at the same moment may be later
		return claims.Request{Object: a.ID(), Pays: true, Placed: true, Followed: a.rival != nil}
	case CancelOrder:
		return claims.Request{Object: a.ID(), Unmarked: true}
	}
	return claims.Request{Object: a.ID(), Pays: a.Payment != "", Followed: a.Followed, Unmarked: a.twice}
}

// changeID is how the shop derives the ID of a change from who asks for what under which key: the audit finds each
// request in the change log by it, answered or not.
func changeID(operation, user string, key uuid.UUID) uuid.UUID {
	namespace := uuid.NewSHA1(uuid.NameSpaceURL, []byte("holdfast"))
	return uuid.NewSHA1(namespace, []byte(strings.Join([]string{"op", operation, user, key.String()}, "\x00")))
}

var lowerBase32 = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// ID returns the identifier of the object that the request creates, derived from its change, or "" if the request creates
// none, as a charge of points. A request that pays or cancels an order has the order's.
func (a *Request) ID() string {
	switch a.Operation {
	case PayOrder, CancelOrder:
		return a.Order.ID()
	}
	prefix := map[string]string{PlaceOrder: "ord_", IssueCoupon: "cpi_", Transfer: "tr_", RefundCreate: "re_"}[a.Operation]
	if prefix == "" {
		return ""
	}
	return prefix + lowerBase32.EncodeToString(a.Change[:])
}

// seeded is the dice of one client: the same for the same seed.
func seeded(seed uint64, label string, client int) *rand.Rand {
	var name [8]byte
	copy(name[:], label)
	return rand.New(rand.NewPCG(seed, binary.LittleEndian.Uint64(name[:])+uint64(client)))
}
