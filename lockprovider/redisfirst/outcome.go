package redisfirst

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"

	"holdfast/lockprovider/ledger"
)

// Outcome is what Redis knows of a change.
type Outcome struct {
	State   OutcomeState
	Reason  error           // of OutcomeFailed
	Payload json.RawMessage // the record's, if it is still known
}

// OutcomeState is how far a change has come in Redis.
type OutcomeState string

// What Redis may know of a change.
const (
	OutcomeUnknown  OutcomeState = ""
	OutcomeAdmitted OutcomeState = "admitted" // and perhaps persisted: the change log tells
	OutcomeFailed   OutcomeState = "failed"   // admitted, refused by the database, taken back
)

// Outcome looks up what became of a change.
func (s *Store) Outcome(ctx context.Context, id uuid.UUID) (Outcome, error) {
	o, err := s.outcome(ctx, id)
	if err == nil && o.State == OutcomeAdmitted && o.Payload == nil {
		return s.outcome(ctx, id) // its entry has gone since its state was read: it may have failed
	}
	return o, err
}

func (s *Store) outcome(ctx context.Context, id uuid.UUID) (Outcome, error) {
	k := s.keys()
	record, err := s.redis.HMGet(ctx, k.dedup(id), "state", "answer", "payload").Result()
	if err != nil {
		return Outcome{}, failure(ctx, err)
	}
	state, _ := record[0].(string)
	switch OutcomeState(state) {
	case OutcomeFailed:
		answer, _ := record[1].(string)
		payload, _ := record[2].(string)
		return Outcome{State: OutcomeFailed, Reason: ledger.DecodeRejection(answer), Payload: json.RawMessage(payload)}, nil
	case OutcomeAdmitted:
		payload, err := s.waiting(ctx, k, id)
		return Outcome{State: OutcomeAdmitted, Payload: payload}, err
	}
	return Outcome{}, nil
}

// Memory is what Redis remembers of a change, in short.
type Memory struct {
	State    OutcomeState
	Reason   error  // of OutcomeFailed
	StreamID string // of the entry
}

// State returns how far a change has come in Redis, in a bounded time.
func (s *Store) State(ctx context.Context, id uuid.UUID) (Memory, error) {
	k := s.keys()
	bounded, cancel := k.bounded(ctx)
	defer cancel()
	record, err := s.redis.HMGet(bounded, k.dedup(id), "state", "answer", "id").Result()
	if err != nil {
		return Memory{}, failure(ctx, err)
	}
	name, _ := record[0].(string)
	m := Memory{State: OutcomeState(name)}
	m.StreamID, _ = record[2].(string)
	if m.State == OutcomeFailed {
		answer, _ := record[1].(string)
		m.Reason = ledger.DecodeRejection(answer)
	}
	return m, nil
}

// Has reports whether an entry is in the stream, in a bounded time.
func (s *Store) Has(ctx context.Context, streamID string) (bool, error) {
	k := s.keys()
	return k.has(ctx, k.stream(), streamID)
}

func (e epoch) has(ctx context.Context, stream, id string) (bool, error) {
	bounded, cancel := e.bounded(ctx)
	defer cancel()
	entries, err := e.redis.XRangeN(bounded, stream, id, id, 1).Result()
	return len(entries) > 0, failure(ctx, err)
}

// Refusal returns why the database refused a change, or nil if Redis does not know of a refusal. A Redis that does not
// answer knows of none: the caller goes on waiting, within its bound.
func (s *Store) Refusal(ctx context.Context, id uuid.UUID) error {
	m, _ := s.State(ctx, id)
	return m.Reason
}

// Known reports whether Redis remembers a change, in a bounded time. A Redis that was emptied does not.
func (s *Store) Known(ctx context.Context, id uuid.UUID) (bool, error) {
	k := s.keys()
	bounded, cancel := k.bounded(ctx)
	defer cancel()
	n, err := s.redis.Exists(bounded, k.dedup(id)).Result()
	return n > 0, failure(ctx, err)
}

// Waiting returns the payload of a change that waits to be persisted, in a bounded time. It is nil if the change does not
// wait any more.
func (s *Store) Waiting(ctx context.Context, id uuid.UUID) (json.RawMessage, error) {
	k := s.keys()
	bounded, cancel := k.bounded(ctx)
	defer cancel()
	return s.waiting(bounded, k, id)
}

// waiting reads the whole stream, which is as long as the backlog.
func (s *Store) waiting(ctx context.Context, k keyspace, id uuid.UUID) (json.RawMessage, error) {
	messages, err := s.redis.XRangeN(ctx, k.stream(), "-", "+", s.settings.Backlog).Result()
	if err != nil {
		return nil, failure(ctx, err)
	}
	for _, a := range k.parse(messages) {
		if a.Change.ID == id {
			return a.Change.Record.Payload, nil
		}
	}
	return nil, nil
}
