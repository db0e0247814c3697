package experiment

import (
	"encoding/base32"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/google/uuid"
)

// ask is one request of a customer under one idempotency key, and what became of it.
type ask struct {
	operation string // the mutation
	user      string
	key       uuid.UUID
	change    uuid.UUID // what the shop calls it
	lines     []line    // of an order
	coupon    string    // to take
	issue     string    // the coupon in hand, to spend on an order
	payment   string    // means of payment of an order, "" to pay later
	from, to  string    // accounts
	amount    int64     // points or money

	outcome  outcome
	code     string    // of a refusal
	answered string    // the identifier that the shop gave to what it made
	began    time.Time // when it was meant to be asked; zero where its time is of no interest
}

type line struct {
	product  string
	quantity int64
}

type outcome int

const (
	unanswered outcome = iota // either may be true
	granted                   // answered with success
	refused                   // answered with a refusal for good
)

// Mutations.
const (
	placeOrder   = "placeOrder"
	issueCoupon  = "issueCoupon"
	chargePoints = "chargePoints"
	transfer     = "transfer"
)

// newAsk makes up a request under a key of its own.
func newAsk(operation, user string) *ask {
	a := &ask{operation: operation, user: user, key: uuid.New()}
	a.change = changeID(operation, user, a.key)
	return a
}

func (w *world) order(dice *rand.Rand, issue string, products ...string) []*ask {
	a := newAsk(placeOrder, w.user(dice))
	a.issue = issue
	for _, product := range products {
		a.lines = append(a.lines, line{product, 1})
	}
	return []*ask{a}
}

func (w *world) take(user, coupon string) *ask {
	a := newAsk(issueCoupon, user)
	a.coupon = coupon
	return a
}

func (w *world) charge(user string, amount int64) *ask {
	a := newAsk(chargePoints, user)
	a.amount = amount
	return a
}

func (w *world) transfer(from, to int, amount int64) *ask {
	a := newAsk(transfer, w.owners[from])
	a.from, a.to, a.amount = w.objects[from], w.objects[to], amount
	return a
}

// changeID is how the shop derives the ID of a change from who asks for what under which key: the audit finds each
// request in the change log by it, answered or not.
func changeID(operation, user string, key uuid.UUID) uuid.UUID {
	namespace := uuid.NewSHA1(uuid.NameSpaceURL, []byte("holdfast"))
	return uuid.NewSHA1(namespace, []byte(strings.Join([]string{"op", operation, user, key.String()}, "\x00")))
}

var lowerBase32 = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// object is the identifier of what the request makes, derived from its change; "" of points, which make nothing.
func (a *ask) object() string {
	prefix := map[string]string{placeOrder: "ord_", issueCoupon: "cpi_", transfer: "tr_"}[a.operation]
	if prefix == "" {
		return ""
	}
	return prefix + lowerBase32.EncodeToString(a.change[:])
}

// seeded is the dice of one client: the same for the same seed.
func seeded(seed uint64, label string, client int) *rand.Rand {
	var name [8]byte
	copy(name[:], label)
	return rand.New(rand.NewPCG(seed, binary.LittleEndian.Uint64(name[:])+uint64(client)))
}
