// Package lockprovider is the seam between commerce and concurrency control.
//
// A service describes what it wants as data, a [Change]: moves of bounded numbers plus one record that says what they
// mean. A [Provider] executes changes so that those that share a balance behave as if they ran one after another; how it
// does that is its strategy. `ls` of this directory is the comparison: one file a strategy, and [Registry] names them all.
package lockprovider

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// MaxAmount bounds every amount and delta: beyond 2^53 - 1 a Lua number is no longer exact.
const MaxAmount = 1<<53 - 1

// MaxMoves bounds the moves of one change.
const MaxMoves = 200

// Family is a group of balances that one strategy serves: operations that share balances must agree on who keeps
// others out.
type Family string

// The families.
const (
	Stock    Family = "STOCK"
	Coupons  Family = "COUPONS"
	Points   Family = "POINTS"
	Accounts Family = "ACCOUNTS"
)

// Families lists all families in display order.
var Families = []Family{Stock, Coupons, Points, Accounts}

// Strategy names a way of keeping concurrent changes apart; see [Registry].
type Strategy string

// The strategies.
const (
	None       Strategy = "none"
	SetNX      Strategy = "setnx"
	Redsync    Strategy = "redsync"
	PubSub     Strategy = "pubsub"
	RowLock    Strategy = "rowlock"
	Optimistic Strategy = "optimistic"
	AtomicSQL  Strategy = "atomicsql"
	Queue      Strategy = "queue"
	Lua        Strategy = "lua"
)

// Bounds are the limits of a balance and the amount it opens with.
type Bounds struct {
	Opening int64 `json:"opening"`
	Floor   int64 `json:"floor"`
	Ceiling int64 `json:"ceiling"`
}

// Move adds Delta to one balance, or is refused where that would leave its bounds.
type Move struct {
	Balance string `json:"balance"`
	Delta   int64  `json:"delta"`
	// Open creates the balance with these bounds where it does not exist yet, such as what one user holds of a coupon.
	// Without it, an unknown balance is [ErrUnknownBalance].
	Open *Bounds `json:"open,omitempty"`
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
	// Confirm asks for a commit before Execute returns, where the strategy would return earlier: the next step needs it.
	Confirm bool `json:"-"`
}

// normalize merges the moves of one balance, sorts them by key (every path writes in this order, or two changes could
// deadlock), and refuses what no strategy could execute.
func (c Change) normalize() (Change, error) {
	if c.ID == uuid.Nil {
		return c, fmt.Errorf("%w: change without an ID", ErrInvalidChange)
	}
	if !slices.Contains(Families, c.Family) {
		return c, fmt.Errorf("%w: unknown family %q", ErrInvalidChange, c.Family)
	}
	if c.Record.Kind == "" {
		return c, fmt.Errorf("%w: record without a kind", ErrInvalidChange)
	}
	if len(c.Moves) > MaxMoves {
		return c, fmt.Errorf("%w: %d moves, at most %d", ErrInvalidChange, len(c.Moves), MaxMoves)
	}
	moves := slices.Clone(c.Moves)
	slices.SortStableFunc(moves, func(a, b Move) int { return cmp.Compare(a.Balance, b.Balance) })
	merged := moves[:0]
	for _, m := range moves {
		if FamilyOf(m.Balance) != c.Family {
			return c, fmt.Errorf("%w: balance %q is not of family %s", ErrInvalidChange, m.Balance, c.Family)
		}
		if b := m.Open; b != nil && (b.Opening < b.Floor || b.Opening > b.Ceiling || b.Floor < -MaxAmount || b.Ceiling > MaxAmount) {
			return c, fmt.Errorf("%w: %q cannot open with %+v", ErrInvalidChange, m.Balance, *b)
		}
		if n := len(merged); n > 0 && merged[n-1].Balance == m.Balance {
			merged[n-1].Delta += m.Delta
			merged[n-1].Open = cmp.Or(merged[n-1].Open, m.Open)
		} else {
			merged = append(merged, m)
		}
		if d := merged[len(merged)-1].Delta; d < -MaxAmount || d > MaxAmount {
			return c, fmt.Errorf("%w: delta %d of %q is beyond ±%d", ErrInvalidChange, d, m.Balance, int64(MaxAmount))
		}
	}
	c.Moves = merged
	if c.Record.Payload == nil {
		c.Record.Payload = json.RawMessage("{}")
	}
	if c.Record.Fingerprint == "" {
		c.Record.Fingerprint = c.hash()
	}
	return c, nil
}

func (c Change) hash() string {
	var b strings.Builder
	b.WriteString(string(c.Family) + "\n" + c.Record.Kind + "\n")
	for _, m := range c.Moves {
		b.WriteString(m.Balance + " " + strconv.FormatInt(m.Delta, 10) + "\n")
	}
	b.Write(c.Record.Payload)
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:])
}

// balances are the keys of the moves, sorted.
func (c Change) balances() []string {
	keys := make([]string, len(c.Moves))
	for i, m := range c.Moves {
		keys[i] = m.Balance
	}
	return keys
}

// State says how far a change has come when Execute returns.
type State string

const (
	// Committed is in the database.
	Committed State = "COMMITTED"
	// Accepted is admitted by Redis and still to be persisted.
	Accepted State = "ACCEPTED"
)

// Receipt is what a change did.
type Receipt struct {
	ChangeID uuid.UUID
	State    State
	Strategy Strategy
	// Attempts counts executions: more than one where a conflict or deadlock made the provider try again.
	Attempts int
	// Waited is the time spent waiting for locks.
	Waited time.Duration
	// Replayed is true where the change had been applied before; the receipt then tells the first result.
	Replayed bool
	// Balances are the amounts after the change, by key.
	Balances map[string]int64
	// Payload is the record's payload as first applied.
	Payload json.RawMessage
	// Admission is the stream entry that a Redis-first change was persisted from, "" for others.
	Admission string
}

// Provider executes changes so that those that share a balance behave as if they ran one after another.
//
// Execute applies all moves and the record, or nothing. It applies a change ID at most once: a repeat returns the first
// result with Replayed set, a repeat with another fingerprint is [ErrIDReused]. When it returns a nil error with state
// Committed, the change has been committed to the database. It never holds a lock beyond its return.
//
// Errors: a [*Refused] where a bound would be broken ([ErrInsufficient], [ErrLimit]); [ErrLockTimeout] and
// [ErrConflict] where others were in the way for longer than the configured bound; [ErrLockLost] where the lease ended
// before the commit; [ErrUnavailable] where Redis or the database cannot be reached; ctx.Err() as itself; and what the
// [RecordWriter] returned. All but the refusals leave it to the caller to repeat with the same ID; see [Retryable].
//
// Execute must be safe for concurrent use.
type Provider interface {
	Execute(ctx context.Context, c Change) (Receipt, error)
}
