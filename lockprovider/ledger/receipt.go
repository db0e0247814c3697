package ledger

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

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
	// Attempts counts executions: it is above one if the provider tried again after a conflict or deadlock.
	Attempts int
	// Waited is the time spent waiting for locks.
	Waited time.Duration
	// Replayed is true if the change had been applied before; the receipt then tells the first result.
	Replayed bool
	// Balances are the amounts after the change, by key.
	Balances map[string]int64
	// Positions are the numbers of the change's moves in their balances, by key: 1 is the first move of a balance. The journal has
	// the same numbers. Nil if the database has not confirmed the change, or if an earlier version wrote it.
	Positions map[string]int64
	// Payload is the record's payload as first applied.
	Payload json.RawMessage
	// StreamID is the stream entry that a Redis-first change was persisted from, "" for others.
	StreamID string
}
