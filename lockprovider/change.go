// Package lockprovider is the seam between commerce and concurrency control.
//
// A service describes what it wants as data, a [Change]: moves of bounded numbers plus one record that says what they
// mean. A [Provider] executes changes so that those that share a balance behave as if they ran one after another; how it
// does that is its strategy. `ls` of this directory is the comparison: one file a strategy, and [Strategies] is the table of
// them all.
//
// Beneath it, package ledger writes changes into the database, and package redisfirst keeps in Redis what the strategies
// lua and queue admit before the database has it. Neither imports this package.
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

	"github.com/google/uuid"

	"holdfast/ent"
	"holdfast/lockprovider/ledger"
)

type (
	// Family and the types below are the words that this package shares with the ledger beneath it. Package ledger documents them.
	Family       = ledger.Family
	Strategy     = ledger.Strategy
	Bounds       = ledger.Bounds
	Move         = ledger.Move
	Record       = ledger.Record
	Change       = ledger.Change
	Receipt      = ledger.Receipt
	State        = ledger.State
	RecordWriter = ledger.RecordWriter
	Ledger       = ledger.Ledger
	// LedgerSettings are the bounds of the transactions of changes.
	LedgerSettings = ledger.Settings
)

// How far a change has come when Execute returns; see [State].
const (
	Committed = ledger.Committed
	Accepted  = ledger.Accepted
)

// Bounds of a change.
const (
	// MaxAmount bounds every amount and delta: beyond 2^53 - 1 a Lua number is no longer exact.
	MaxAmount = ledger.MaxAmount
	// MaxMoves bounds the moves of one change.
	MaxMoves = ledger.MaxMoves
)

// The families; see [FamilyTable].
const (
	Stock    Family = "STOCK"
	Coupons  Family = "COUPONS"
	Points   Family = "POINTS"
	Accounts Family = "ACCOUNTS"
)

// The strategies; see [Strategies].
const (
	None        Strategy = "none"
	SetNX       Strategy = "setnx"
	Redsync     Strategy = "redsync"
	PubSub      Strategy = "pubsub"
	RowLock     Strategy = "rowlock"
	Optimistic  Strategy = "optimistic"
	AtomicSQL   Strategy = "atomicsql"
	GroupCommit Strategy = "groupcommit"
	Queue       Strategy = "queue"
	Lua         Strategy = "lua"
)

// NewLedger returns the ledger of a database, for the families of this package.
func NewLedger(client *ent.Client, dialectName string, records RecordWriter, s LedgerSettings) *Ledger {
	return ledger.New(ledger.Config{
		Client: client, Dialect: dialectName, Records: records, Settings: s,
		FamilyOf: FamilyOf, Normalize: normalize,
	})
}

// normalize merges the moves of one balance, sorts them by key (every path writes in this order, or two changes could
// deadlock), and refuses what no strategy could execute.
func normalize(c Change) (Change, error) {
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
		if l := m.Limit; l != nil && (*l < -MaxAmount || *l > MaxAmount) {
			return c, fmt.Errorf("%w: the limit %d of %q is beyond ±%d", ErrInvalidChange, *l, m.Balance, int64(MaxAmount))
		}
		if n := len(merged); n > 0 && merged[n-1].Balance == m.Balance {
			merged[n-1].Delta += m.Delta
			merged[n-1].Limit = ledger.Tighter(merged[n-1].Limit, m.Limit)
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
		c.Record.Fingerprint = fingerprint(c)
	}
	return c, nil
}

// fingerprint is the hash of a change's moves and record, for callers that give none of their own.
func fingerprint(c Change) string {
	var b strings.Builder
	b.WriteString(strconv.Quote(string(c.Family)) + strconv.Quote(c.Record.Kind))
	for _, m := range c.Moves { // quoted, so that no two changes are written alike
		b.WriteString(strconv.Quote(m.Balance) + strconv.FormatInt(m.Delta, 10))
	}
	b.Write(c.Record.Payload)
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:])
}

// Provider executes changes so that those that share a balance behave as if they ran one after another.
//
// Execute applies all moves and the record, or nothing. It applies a change ID at most once: a repeat returns the first
// result with Replayed set, a repeat with another fingerprint is [ErrIDReused]. A repeat of a change that the change log has
// forgotten is [ErrIDExpired]. When it returns a nil error with state
// Committed, the change has been committed to the database. It never holds a lock beyond its return.
//
// Errors: a [*Refused] if a bound would be broken ([ErrInsufficient], [ErrLimit]); [ErrLockTimeout] or [ErrConflict] if
// others were in the way for longer than the configured bound; [ErrLockLost] if the lease ended before the commit was sent;
// [ErrUnavailable] if Redis or the database cannot be reached; [ErrUnknown] with it if the change had been sent and the
// answer did not come; ctx.Err() as itself; and what the [RecordWriter] returned. [EffectOf] says what an error means for the
// balances. All but the refusals leave it to the caller to repeat with the same ID; see [Retryable].
//
// The configured bound is one of the wait for others. It does not end a commit, or a script in Redis, that has been sent.
//
// Execute must be safe for concurrent use.
type Provider interface {
	Execute(ctx context.Context, c Change) (Receipt, error)
}
