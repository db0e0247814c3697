package history

import (
	"time"

	"github.com/google/uuid"
)

// History is what happened.
type History struct {
	// Operations are those of all clients, in any order.
	Operations []Operation
	// Journal has the effects. Those of one balance are in the order of their commits.
	Journal []Entry
	// Balances are the amounts that balances began with, and how many moves they count. A balance that is not here opened with 0.
	Balances map[string]Balance
}

// Balance is what is known of a balance besides its journal.
type Balance struct {
	// Opening is the amount before the first effect.
	Opening int64
	// Moves is how many effects the balance counts at the end; 0 if this is not known.
	Moves int64
}

// Entry is one effect on one balance.
type Entry struct {
	Balance string
	// Position is the number of the effect in its balance, from 1, as the change that made it computed it: it was made of the
	// position before. It is 0 if this is not known.
	Position int64
	// Change is the ID of the change. Operations with the same Change are attempts at it.
	Change uuid.UUID
	// Delta is what the change added, After the amount that it left.
	Delta, After int64
}

// Operation is one request of a client, from its sending to its answer. A repeat is an operation of its own, with the same Change.
type Operation struct {
	// Name is what was asked for, for people.
	Name string
	// Client is who asked. A client sends one request after the other.
	Client int
	// Start and End are when the request was sent and when its answer had come, by one monotonic clock for all clients. End is of
	// no meaning if the outcome is Unknown.
	Start, End time.Duration
	Outcome    Outcome
	// Change is the ID of the change that a mutation asks for. It is zero for a read.
	Change uuid.UUID
	// Writes is how many effects the change may have on one balance; 0 is one.
	Writes int
	// Observed is what a read was told, or the positions at which a mutation was told its effects are.
	Observed []Observation
	// Reads is what a change saw of balances that it has no effect on, at the moment of its effects.
	Reads []Observation
}

// Observation is what an operation was told of a balance.
type Observation struct {
	Balance string
	// Position is the last effect that the answer includes; 0 is none.
	Position int64
	// Amount is the amount that was read. It is of no meaning in what a mutation observed.
	Amount int64
}

// Outcome is what the answer to an operation says.
type Outcome uint8

// The outcomes.
const (
	// Unknown says nothing, or did not come: the effect may be there or not.
	Unknown Outcome = iota
	// Persisted says that the effect is in the database. A read that was answered is Persisted.
	Persisted
	// Accepted says that the effect will be in the database. Whoever reads the database may not see it yet.
	Accepted
	// Refused says that there is no effect and will be none.
	Refused
)

// IsRead reports whether the operation asks for no effect.
func (o *Operation) IsRead() bool { return o.Change == uuid.Nil }
