package ledger

import (
	"encoding/json"

	"github.com/google/uuid"
)

// MaxAmount bounds every amount and delta: beyond 2^53 - 1 a Lua number is no longer exact.
const MaxAmount = 1<<53 - 1

// MaxMoves bounds the moves of one change. The largest is an order: two for each of its lines, and one for the customer.
const MaxMoves = 201

// Family is a group of balances that one strategy serves: operations that share balances must agree on who keeps
// others out.
type Family string

// Strategy names a way of keeping concurrent changes apart.
type Strategy string

// Bounds are the limits of a balance and the amount it opens with.
type Bounds struct {
	Opening int64 `json:"opening"`
	Floor   int64 `json:"floor"`
	Ceiling int64 `json:"ceiling"`
}

// Move adds Delta to one balance. It is refused if that would leave the balance's bounds, or what its Limit allows.
type Move struct {
	Balance string `json:"balance"`
	Delta   int64  `json:"delta"`
	// Open creates the balance with these bounds if it does not exist yet, such as what one user holds of a coupon.
	// Without it, an unknown balance is [ErrUnknownBalance].
	Open *Bounds `json:"open,omitempty"`
	// Limit refuses the move if it would leave the balance above it, whatever the ceiling of the balance. It is for limits that
	// change while balances stay, such as how many units of a product one customer may order. Nil: only the ceiling counts.
	Limit *int64 `json:"limit,omitempty"`
}

// Tighter returns the lower of two limits; nil is none.
func Tighter(a, b *int64) *int64 {
	if a == nil || b != nil && *b < *a {
		return b
	}
	return a
}

// most is the amount that the move may leave at most in a balance of this ceiling.
func (m Move) most(ceiling int64) int64 {
	if m.Limit != nil {
		return min(ceiling, *m.Limit)
	}
	return ceiling
}

// Record says what a change means. It is stored with the change, relayed as its event, and turned into rows by the
// [RecordWriter] in the same transaction as the moves.
type Record struct {
	Kind    string          `json:"kind"`
	Payload json.RawMessage `json:"payload"`
	// Fingerprint stands for the caller's request: the same change ID with another fingerprint is refused with
	// [ErrIDReused]. Empty means: the hash of payload and moves. Callers whose payload holds derived values, such as a
	// price of the moment, give the request's own hash.
	Fingerprint string `json:"fingerprint,omitempty"`
}

// Change is moves of one family that happen together or not at all, at most once per ID.
type Change struct {
	ID     uuid.UUID `json:"id"` // the idempotency key
	Family Family    `json:"family"`
	Moves  []Move    `json:"moves"`
	Record Record    `json:"record"`
	// Confirm asks for a commit before Execute returns, even if the strategy would return earlier: the next step needs it.
	Confirm bool `json:"-"`
}

// Balances returns the keys of the moves, in their order.
func (c Change) Balances() []string {
	keys := make([]string, len(c.Moves))
	for i, m := range c.Moves {
		keys[i] = m.Balance
	}
	return keys
}
