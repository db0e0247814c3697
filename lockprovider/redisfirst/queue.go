package redisfirst

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/singleflight"

	"holdfast/lockprovider/ledger"
)

// Queue is the queue of one family under the strategy queue: changes in the order in which they arrived, in a stream that
// one worker at a time serves. It is safe for concurrent use.
type Queue struct {
	epoch

	family   ledger.Family
	instance string
	settings QueueSettings
}

// QueueSettings are the bounds of a Queue.
type QueueSettings struct {
	// Length bounds the changes that wait; more are refused as busy.
	Length int64
	// Remember is how long a result is known to Redis; the database's change log knows it for longer.
	Remember time.Duration
	// Database is the identity of the database, as in [StoreSettings].
	Database string
	// Timeout is how long one request may take, as in [StoreSettings].
	Timeout time.Duration
}

// soldOutFor bounds how long a sold-out mark is believed without being renewed by a worker.
const soldOutFor = 10 * time.Second

// NewQueue returns the queue of a family in an epoch. instance names this process to the worker.
func NewQueue(r redis.UniversalClient, f ledger.Family, number int64, instance string, s QueueSettings) *Queue {
	return &Queue{
		family: f, instance: instance, settings: s, epoch: epoch{
			redis: r, prefix: queuePrefixOf(f, s.Database, number), number: number,
			timeout: cmp.Or(s.Timeout, requestTimeout), current: always, opening: &singleflight.Group{},
		},
	}
}

// queuePrefixOf begins the keys of a queue.
func queuePrefixOf(f ledger.Family, database string, number int64) string {
	return fmt.Sprintf("{holdfast:queue:%s:%d}:", nameOf(f, database), number)
}

// OpenWith sets who says whether the epoch is the current one. It must be called before changes are served.
func (q *Queue) OpenWith(current WhileCurrent) { q.current = current }

// Open opens the epoch if it is the current one, else it returns [ErrClosed].
func (q *Queue) Open(ctx context.Context) error { return q.ensureOpen(ctx) }

// Used reports whether anything waits here or may come to.
func (q *Queue) Used(ctx context.Context) (bool, error) { return q.used(ctx, q.stream()) }

// Close has Redis refuse to put anything more into the queue.
func (q *Queue) Close(ctx context.Context) error { return q.close(ctx) }

// Len returns how many changes are in the queue.
func (q *Queue) Len(ctx context.Context) (int64, error) {
	n, err := q.redis.XLen(ctx, q.stream()).Result()
	return n, failure(ctx, err)
}

// Forget removes the queue from Redis. It is only for one that has been closed, and is empty.
func (q *Queue) Forget(ctx context.Context) error { return q.forget(ctx) }

// Family returns the family whose changes these are.
func (q *Queue) Family() ledger.Family { return q.family }

// Name is the same for all processes that share this queue, and differs from that of every other.
func (q *Queue) Name() string { return q.prefix }

// lineName ends the key of the queue.
const lineName = "line"

func (q *Queue) stream() string                { return q.prefix + lineName }
func (q *Queue) rate() string                  { return q.prefix + "rate" }
func (q *Queue) dedup(id uuid.UUID) string     { return q.prefix + "memo:" + id.String() }
func (q *Queue) soldOut(balance string) string { return q.prefix + "soldout:" + balance }

var (
	//go:embed scripts/enqueue.lua
	enqueueSource string
	//go:embed scripts/leave.lua
	leaveSource string
	//go:embed scripts/serve.lua
	serveSource string
	//go:embed scripts/served.lua
	servedSource string
	//go:embed scripts/place.lua
	placeSource string

	enqueueScript = redis.NewScript(enqueueSource)
	leaveScript   = redis.NewScript(leaveSource)
	serveScript   = redis.NewScript(serveSource)
	servedScript  = redis.NewScript(servedSource)
	placeScript   = redis.NewScript(placeSource)
)

// EntryState is how far a change has come in the queue.
type EntryState string

// The states of an entry, as they stand in Redis.
const (
	EntryUnknown EntryState = ""
	EntryQueued  EntryState = "queued"
	EntryServing EntryState = "serving" // the worker has it: too late to leave
	EntryDone    EntryState = "done"
	EntryFailed  EntryState = "failed"
	EntryLeft    EntryState = "left" // its caller gave up, or its ticket expired
)

// Entry is what [Queue.Join] says of a change.
type Entry struct {
	State    EntryState
	StreamID string
	Replayed bool  // it had joined before
	Failure  error // of EntryFailed
}

// Join puts a change at the end of the queue. keep is after what time, by the clock of Redis, its place is given up unless a caller
// looks at it: for as long as a ticket lives, or as a caller waits who then calls [Queue.Leave]. A place without such a bound could be
// served after its caller has left, from a Redis that was restored to the time before.
//
// If Redis remembers the change, or another one of the same ID, the entry has the stream entry of that one, with an error or without.
// stale is as for [Store.Admit].
//
// Errors: *[ledger.Refused] if what is asked is known to be sold out; [ledger.ErrIDReused]; [ledger.ErrLockTimeout] if the
// queue is full; [ErrClosed]; [ledger.ErrUnknown] if Redis does not answer; the end of ctx, if it came before anything was sent.
func (q *Queue) Join(ctx context.Context, c ledger.Change, keep time.Duration, stale string) (Entry, error) {
	body, err := json.Marshal(c)
	if err != nil {
		return Entry{}, fmt.Errorf("%w: %w", ledger.ErrInvalidChange, err)
	}
	keys := []string{q.stream(), q.dedup(c.ID), q.mark()}
	var taking []ledger.Move
	for _, m := range c.Moves {
		if m.Delta < 0 {
			taking = append(taking, m)
			keys = append(keys, q.soldOut(m.Balance))
		}
	}
	var reply []any
	err = q.opened(ctx, func() (err error) {
		reply, err = q.ask(ctx, enqueueScript, keys, c.ID.String(), c.Record.Fingerprint, body, q.instance,
			q.settings.Length, q.settings.Remember.Milliseconds(), keep.Milliseconds(), []byte(c.Record.Payload), stale).Slice()
		return err
	})
	if err != nil {
		return Entry{}, err
	}
	switch reply[0] {
	case "queued":
		return Entry{State: EntryQueued, StreamID: fmt.Sprint(reply[1])}, nil
	case "replayed":
		e := Entry{State: EntryState(fmt.Sprint(reply[1])), StreamID: fmt.Sprint(reply[3]), Replayed: true}
		if e.State == EntryFailed {
			e.Failure = ledger.DecodeRejection(fmt.Sprint(reply[2]))
		}
		return e, nil
	case "reused":
		return Entry{StreamID: fmt.Sprint(reply[1])}, ledger.ErrIDReused
	case "full":
		return Entry{}, fmt.Errorf("%w: %d wait in the queue already", ledger.ErrLockTimeout, q.settings.Length)
	case "soldout":
		refused := &ledger.Refused{}
		for _, index := range reply[1:] {
			i, err := strconv.Atoi(fmt.Sprint(index))
			if err != nil {
				return Entry{}, fmt.Errorf("script enqueue: %w", err)
			}
			m := taking[i-1]
			refused.Refusals = append(refused.Refusals, ledger.Refusal{Balance: m.Balance, Delta: m.Delta, Reason: ledger.ErrInsufficient})
		}
		return Entry{}, refused
	}
	return Entry{}, fmt.Errorf("script enqueue said %q", reply)
}

// Leave gives up a change's position. It returns true if the change will not be served from there. It returns false if it is
// too late: the change is being served, or has been. If Redis does not answer, the error is [ledger.ErrUnknown].
func (q *Queue) Leave(ctx context.Context, id uuid.UUID, streamID string) (bool, error) {
	n, err := q.ask(ctx, leaveScript, []string{q.stream(), q.dedup(id)}, streamID).Int()
	return n == 1, err
}

// Has reports whether an entry is in the queue.
func (q *Queue) Has(ctx context.Context, streamID string) (bool, error) {
	return q.has(ctx, q.stream(), streamID)
}

// Next returns the first changes of the queue, in their order. It waits up to block for the queue to have any.
func (q *Queue) Next(ctx context.Context, limit int64, block time.Duration) ([]ledger.Admitted, error) {
	streams, err := q.redis.XRead(ctx, &redis.XReadArgs{
		Streams: []string{q.stream(), "0"}, Count: limit, Block: block,
	}).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, failure(ctx, err)
	}
	batch := make([]ledger.Admitted, len(streams[0].Messages))
	for i, m := range streams[0].Messages {
		body, _ := m.Values["payload"].(string)
		if err := json.Unmarshal([]byte(body), &batch[i]); err != nil || batch[i].Change.ID == uuid.Nil {
			batch[i] = ledger.Admitted{Malformed: fmt.Errorf("entry %s of the queue: %w: %.200q", m.ID, err, body)}
		}
		batch[i].StreamID, batch[i].Epoch = m.ID, q.number
	}
	return batch, nil
}

// Serve begins to serve a batch, and returns what is to be served: a caller may have left, and a ticket may have expired,
// which removes it from the queue. From now on nobody can leave. A worker that takes over from another one repeats it.
func (q *Queue) Serve(ctx context.Context, batch []ledger.Admitted) ([]ledger.Admitted, error) {
	pipe := q.redis.Pipeline()
	replies := make([]*redis.Cmd, len(batch))
	for i, a := range batch {
		replies[i] = serveScript.Eval(ctx, pipe, []string{q.stream(), q.dedup(a.Change.ID)}, a.StreamID)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, failure(ctx, err)
	}
	var serving []ledger.Admitted
	for i, reply := range replies {
		if n, err := reply.Int(); err != nil {
			return nil, failure(ctx, err)
		} else if n == 1 {
			serving = append(serving, batch[i])
		}
	}
	return serving, nil
}

// Served removes changes from the queue and remembers their results, and marks the balances that are sold out.
func (q *Queue) Served(
	ctx context.Context, batch []ledger.Admitted, results []error, balances map[string]ledger.Balance,
) error {
	pipe := q.redis.Pipeline()
	for i, a := range batch {
		state, answer := EntryDone, ""
		if result := results[i]; result != nil && !errors.Is(result, ledger.ErrAlreadyApplied) {
			state, answer = EntryFailed, ledger.EncodeRejection(result)
		}
		servedScript.Eval(ctx, pipe, []string{q.stream(), q.dedup(a.Change.ID)}, a.StreamID, string(state), answer)
	}
	for key, b := range balances {
		if b.Amount <= b.Floor && !b.Missing {
			pipe.Set(ctx, q.soldOut(key), "1", soldOutFor)
		} else {
			pipe.Del(ctx, q.soldOut(key))
		}
	}
	_, err := pipe.Exec(ctx)
	return failure(ctx, err)
}

// Pace remembers how many changes a second are served, for estimates.
func (q *Queue) Pace(ctx context.Context, perSecond float64) {
	_ = q.redis.Set(ctx, q.rate(), strconv.FormatFloat(perSecond, 'f', 3, 64), time.Minute).Err() // an estimate may be missing
}

// Position is where a change stands in the queue.
type Position struct {
	State   PositionState
	Number  int             // 1 is served next; 0 if the change does not wait any more
	ETA     time.Duration   // estimated; 0 if nothing is known
	Reason  error           // of PositionFailed
	Payload json.RawMessage // the record's; empty if the change is not known
}

// PositionState is how far a change in the queue has come.
type PositionState string

// The states of a position.
const (
	PositionUnknown PositionState = "UNKNOWN"
	PositionWaiting PositionState = "WAITING"
	PositionServing PositionState = "SERVING" // it cannot be left any more
	PositionDone    PositionState = "DONE"
	PositionFailed  PositionState = "FAILED"
	PositionExpired PositionState = "EXPIRED"
)

// Look returns where a change stands, and keeps its ticket for the given time from now. 0 leaves the ticket as it is.
func (q *Queue) Look(ctx context.Context, id uuid.UUID, keep time.Duration) (Position, error) {
	reply, err := placeScript.Run(ctx, q.redis, []string{q.stream(), q.dedup(id)}, keep.Milliseconds()).Slice()
	if err != nil {
		return Position{}, failure(ctx, err)
	}
	position := Position{State: PositionUnknown, Payload: json.RawMessage(fmt.Sprint(reply[2]))}
	switch EntryState(fmt.Sprint(reply[0])) {
	case EntryQueued:
		before, _ := reply[3].(int64)
		position.State, position.Number = PositionWaiting, int(before)+1
		if rate, err := q.redis.Get(ctx, q.rate()).Float64(); err == nil && rate > 0 {
			position.ETA = time.Duration(float64(position.Number) / rate * float64(time.Second))
		}
	case EntryServing:
		position.State = PositionServing
	case EntryDone:
		position.State = PositionDone
	case EntryFailed:
		position.State, position.Reason = PositionFailed, ledger.DecodeRejection(fmt.Sprint(reply[1]))
	case EntryLeft:
		position.State = PositionExpired
	}
	return position, nil
}
