package lockprovider

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"holdfast/lockprovider/ledger"
)

// Line is the waiting line of one family under the strategy queue: changes in the order in which they arrived, in a stream
// that one worker at a time serves.
type Line struct {
	redis    redis.UniversalClient
	family   Family
	prefix   string
	instance string
	settings LineSettings
}

// LineSettings are the bounds of a Line.
type LineSettings struct {
	// Length bounds those who wait; more are refused as busy.
	Length int64
	// Remember is how long an answer is known to Redis; the database's change log knows it for longer.
	Remember time.Duration
}

// soldOutFor bounds how long a sold-out mark is believed without being renewed by a worker.
const soldOutFor = 10 * time.Second

// NewLine returns the line of a family. instance names this process to the worker.
func NewLine(r redis.UniversalClient, f Family, epoch int64, instance string, s LineSettings) *Line {
	return &Line{
		redis: r, family: f, instance: instance, settings: s,
		prefix: fmt.Sprintf("{holdfast:queue:%s:%d}:", strings.ToLower(string(f)), epoch),
	}
}

// Family tells whose line this is.
func (l *Line) Family() Family { return l.family }

func (l *Line) stream() string                { return l.prefix + "line" }
func (l *Line) rate() string                  { return l.prefix + "rate" }
func (l *Line) memo(id uuid.UUID) string      { return l.prefix + "memo:" + id.String() }
func (l *Line) soldOut(balance string) string { return l.prefix + "soldout:" + balance }

var (
	//go:embed scripts/enqueue.lua
	enqueueSource string
	//go:embed scripts/leave.lua
	leaveSource string
	//go:embed scripts/served.lua
	servedSource string
	//go:embed scripts/place.lua
	placeSource string

	enqueueScript = redis.NewScript(enqueueSource)
	leaveScript   = redis.NewScript(leaveSource)
	servedScript  = redis.NewScript(servedSource)
	placeScript   = redis.NewScript(placeSource)
)

// lineState is how far a change has come in the line.
type lineState string

const (
	lineUnknown lineState = ""
	lineQueued  lineState = "queued"
	lineDone    lineState = "done"
	lineFailed  lineState = "failed"
	lineLeft    lineState = "left" // gave up, or was not asked for any more
)

// queued is a place in the line.
type queued struct {
	state    lineState
	streamID string
	replayed bool  // it was in line before
	failure  error // of lineFailed
}

// enqueue joins the line. until bounds the wait of a ticket that nobody asks for; the zero time means that somebody
// stands in line himself. Errors: *Refused where what is asked is known to be sold out, ErrIDReused, ErrLockTimeout where
// the line is full, ErrUnavailable.
func (l *Line) enqueue(ctx context.Context, c Change, until time.Time) (queued, error) {
	body, err := json.Marshal(c)
	if err != nil {
		return queued{}, fmt.Errorf("%w: %w", ErrInvalidChange, err)
	}
	keys := []string{l.stream(), l.memo(c.ID)}
	var taking []Move
	for _, m := range c.Moves {
		if m.Delta < 0 {
			taking = append(taking, m)
			keys = append(keys, l.soldOut(m.Balance))
		}
	}
	reply, err := enqueueScript.Run(ctx, l.redis, keys, c.ID.String(), c.Record.Fingerprint, body, l.instance,
		l.settings.Length, l.settings.Remember.Milliseconds(), deadline(until), []byte(c.Record.Payload)).Slice()
	if err != nil {
		return queued{}, redisFailure(ctx, err)
	}
	switch reply[0] {
	case "queued":
		return queued{state: lineQueued, streamID: fmt.Sprint(reply[1])}, nil
	case "replayed":
		q := queued{state: lineState(fmt.Sprint(reply[1])), streamID: fmt.Sprint(reply[3]), replayed: true}
		if q.state == lineFailed {
			q.failure = decodeRejection(fmt.Sprint(reply[2]))
		}
		return q, nil
	case "reused":
		return queued{}, ErrIDReused
	case "full":
		return queued{}, fmt.Errorf("%w: %d stand in line already", ErrLockTimeout, l.settings.Length)
	case "soldout":
		refused := &Refused{}
		for _, index := range reply[1:] {
			i, err := strconv.Atoi(fmt.Sprint(index))
			if err != nil {
				return queued{}, fmt.Errorf("script enqueue: %w", err)
			}
			m := taking[i-1]
			refused.Refusals = append(refused.Refusals, Refusal{Balance: m.Balance, Delta: m.Delta, Reason: ErrInsufficient})
		}
		return queued{}, refused
	}
	return queued{}, fmt.Errorf("script enqueue said %q", reply)
}

func deadline(until time.Time) int64 {
	if until.IsZero() {
		return 0
	}
	return until.UnixMilli()
}

// leave gives up a place. False means that it is too late: the change is being served, or has been.
func (l *Line) leave(ctx context.Context, id uuid.UUID, streamID string) (bool, error) {
	n, err := leaveScript.Run(ctx, l.redis, []string{l.stream(), l.memo(id)}, streamID).Int()
	return n == 1, redisFailure(ctx, err)
}

// next returns the first in line, in their order, waiting up to block for somebody to come.
func (l *Line) next(ctx context.Context, limit int64, block time.Duration) ([]ledger.Admitted, error) {
	streams, err := l.redis.XRead(ctx, &redis.XReadArgs{
		Streams: []string{l.stream(), "0"}, Count: limit, Block: block,
	}).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, redisFailure(ctx, err)
	}
	batch := make([]ledger.Admitted, len(streams[0].Messages))
	for i, m := range streams[0].Messages {
		body, _ := m.Values["payload"].(string)
		if err := json.Unmarshal([]byte(body), &batch[i]); err != nil || batch[i].Change.ID == uuid.Nil {
			batch[i] = ledger.Admitted{Malformed: fmt.Errorf("entry %s of the line: %w: %.200q", m.ID, err, body)}
		}
		batch[i].StreamID = m.ID
	}
	return batch, nil
}

// expired tells whose tickets nobody has asked for any more.
func (l *Line) expired(ctx context.Context, batch []ledger.Admitted, now time.Time) ([]bool, error) {
	pipe := l.redis.Pipeline()
	replies := make([]*redis.StringCmd, len(batch))
	for i, p := range batch {
		replies[i] = pipe.HGet(ctx, l.memo(p.Change.ID), "until")
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return nil, redisFailure(ctx, err)
	}
	gone := make([]bool, len(batch))
	for i, reply := range replies {
		until, err := reply.Int64()
		gone[i] = err == nil && until != 0 && until < now.UnixMilli()
	}
	return gone, nil
}

// served takes changes out of the line and remembers their answers, and marks what is sold out.
func (l *Line) served(ctx context.Context, batch []ledger.Admitted, verdicts []error, left []bool, amounts map[string]ledger.Balance) error {
	pipe := l.redis.Pipeline()
	for i, p := range batch {
		state, answer := lineDone, ""
		switch verdict := verdicts[i]; {
		case left[i]:
			state = lineLeft
		case verdict != nil && !errors.Is(verdict, ledger.ErrAlreadyApplied):
			state, answer = lineFailed, encodeRejection(verdict)
		}
		servedScript.Eval(ctx, pipe, []string{l.stream(), l.memo(p.Change.ID)},
			p.StreamID, string(state), answer)
	}
	for balance, s := range amounts {
		if s.Amount <= s.Floor && !s.Missing {
			pipe.Set(ctx, l.soldOut(balance), "1", soldOutFor)
		} else {
			pipe.Del(ctx, l.soldOut(balance))
		}
	}
	_, err := pipe.Exec(ctx)
	return redisFailure(ctx, err)
}

// pace remembers how many changes a second are served, for estimates.
func (l *Line) pace(ctx context.Context, perSecond float64) {
	_ = l.redis.Set(ctx, l.rate(), strconv.FormatFloat(perSecond, 'f', 3, 64), time.Minute).Err() // an estimate may be missing
}

// Place is where a change stands in the line.
type Place struct {
	State    PlaceState
	Position int             // 1 is served next; 0 where it does not wait any more
	ETA      time.Duration   // estimated; 0 where nothing is known
	Reason   error           // of PlaceFailed
	Payload  json.RawMessage // the record's; empty where the change is not known
}

// PlaceState is how far a change in the line has come.
type PlaceState string

// The states of a place.
const (
	PlaceUnknown PlaceState = "UNKNOWN"
	PlaceWaiting PlaceState = "WAITING"
	PlaceDone    PlaceState = "DONE"
	PlaceFailed  PlaceState = "FAILED"
	PlaceExpired PlaceState = "EXPIRED"
)

// Enter puts a change in line without waiting for it; its ticket is kept until the given time, which Look prolongs.
func (l *Line) Enter(ctx context.Context, c Change, until time.Time) (Place, error) {
	c, err := normalize(c)
	if err != nil {
		return Place{}, err
	}
	if _, err := l.enqueue(ctx, c, until); err != nil {
		return Place{}, err
	}
	return l.Look(ctx, c.ID, until)
}

// Look tells where a change stands, and keeps its ticket until the given time.
func (l *Line) Look(ctx context.Context, id uuid.UUID, until time.Time) (Place, error) {
	reply, err := placeScript.Run(ctx, l.redis, []string{l.stream(), l.memo(id)}, deadline(until)).Slice()
	if err != nil {
		return Place{}, redisFailure(ctx, err)
	}
	place := Place{State: PlaceUnknown, Payload: json.RawMessage(fmt.Sprint(reply[2]))}
	switch lineState(fmt.Sprint(reply[0])) {
	case lineQueued:
		before, _ := reply[3].(int64)
		place.State, place.Position = PlaceWaiting, int(before)+1
		if rate, err := l.redis.Get(ctx, l.rate()).Float64(); err == nil && rate > 0 {
			place.ETA = time.Duration(float64(place.Position) / rate * float64(time.Second))
		}
	case lineDone:
		place.State = PlaceDone
	case lineFailed:
		place.State, place.Reason = PlaceFailed, decodeRejection(fmt.Sprint(reply[1]))
	case lineLeft:
		place.State = PlaceExpired
	}
	return place, nil
}
