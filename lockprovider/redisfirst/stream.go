package redisfirst

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"holdfast/lockprovider/ledger"
)

// The stream of admitted changes, as those who persist them read it.

// group is the consumer group of the persisters.
const group = "persister"

var (
	//go:embed scripts/done.lua
	doneSource string
	//go:embed scripts/undo.lua
	undoSource string
	//go:embed scripts/dismiss.lua
	dismissSource string

	doneScript    = redis.NewScript(doneSource)
	undoScript    = redis.NewScript(undoSource)
	dismissScript = redis.NewScript(dismissSource)
)

// OpenGroup makes sure that the stream's consumer group exists; it is lost with the stream when Redis is emptied.
func (s *Store) OpenGroup(ctx context.Context) error {
	err := s.redis.XGroupCreateMkStream(ctx, s.keys().stream(), group, "0").Err()
	if err != nil && strings.HasPrefix(err.Error(), "BUSYGROUP") {
		return nil
	}
	return failure(ctx, err)
}

// ErrNoGroup means that the consumer group is gone: Redis was emptied. OpenGroup creates it again.
var ErrNoGroup = errors.New("consumer group is gone")

// Read waits up to block for new changes and returns at most limit of them.
func (s *Store) Read(ctx context.Context, consumer string, limit int64, block time.Duration) ([]ledger.Admitted, error) {
	return s.read(ctx, consumer, ">", limit, block)
}

// ReadAgain returns the first of what the consumer has read and not confirmed.
func (s *Store) ReadAgain(ctx context.Context, consumer string, limit int64) ([]ledger.Admitted, error) {
	return s.read(ctx, consumer, "0", limit, -1)
}

func (s *Store) read(ctx context.Context, consumer, from string, limit int64, block time.Duration) ([]ledger.Admitted, error) {
	k := s.keys()
	streams, err := s.redis.XReadGroup(ctx, &redis.XReadGroupArgs{
		Group: group, Consumer: consumer, Streams: []string{k.stream(), from}, Count: limit, Block: block,
	}).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return nil, nil
	case err != nil && strings.HasPrefix(err.Error(), "NOGROUP"):
		return nil, ErrNoGroup
	case err != nil:
		return nil, failure(ctx, err)
	}
	return k.parse(streams[0].Messages), nil
}

// Claim takes over changes that another consumer, or an earlier life of this one, read at least idle ago and never
// confirmed.
func (s *Store) Claim(ctx context.Context, consumer string, limit int64, idle time.Duration) ([]ledger.Admitted, error) {
	k := s.keys()
	messages, _, err := s.redis.XAutoClaim(ctx, &redis.XAutoClaimArgs{
		Stream: k.stream(), Group: group, Consumer: consumer, MinIdle: idle, Start: "0", Count: limit,
	}).Result()
	if err != nil && strings.HasPrefix(err.Error(), "NOGROUP") {
		return nil, ErrNoGroup
	}
	return k.parse(messages), failure(ctx, err)
}

func (k keyspace) parse(messages []redis.XMessage) []ledger.Admitted {
	pending := make([]ledger.Admitted, len(messages))
	for i, m := range messages {
		text, _ := m.Values["payload"].(string)
		body := []byte(text)
		if err := json.Unmarshal(body, &pending[i]); err != nil {
			pending[i] = ledger.Admitted{Malformed: fmt.Errorf("stream entry %s: %w", m.ID, err), Raw: rawEntry(m)}
		} else if n := len(pending[i].Change.Moves); n == 0 || n != len(pending[i].Seq) || n != len(pending[i].After) {
			pending[i] = ledger.Admitted{Malformed: fmt.Errorf("stream entry %s is incomplete", m.ID), Raw: rawEntry(m)}
		} else {
			pending[i].Raw = body
		}
		pending[i].StreamID, pending[i].Epoch = m.ID, k.number
	}
	return pending
}

// rawEntry is all there is of an entry.
func rawEntry(m redis.XMessage) []byte {
	raw, err := json.Marshal(m.Values)
	if err != nil {
		panic(err) // strings
	}
	return raw
}

// Behind returns, by stream ID, which of some admitted changes have moves of the same balances before them in the stream:
// those were admitted earlier and are not confirmed yet. All of the changes must be of the active epoch. In an earlier
// epoch, no change waits for another that will still be confirmed.
func (s *Store) Behind(ctx context.Context, pending []ledger.Admitted) (map[string]bool, error) {
	k := s.keys()
	messages, err := s.redis.XRange(ctx, k.stream(), "-", "+").Result() // as long as the backlog
	if err != nil {
		return nil, failure(ctx, err)
	}
	asked := make(map[string]bool, len(pending))
	for _, p := range pending {
		asked[p.StreamID] = true
	}
	before, behind := map[string]bool{}, map[string]bool{}
	for _, p := range k.parse(messages) {
		for _, m := range p.Change.Moves {
			if asked[p.StreamID] && before[m.Balance] {
				behind[p.StreamID] = true
			}
		}
		for _, m := range p.Change.Moves {
			before[m.Balance] = true
		}
	}
	return behind, nil
}

// Done forgets changes that the database has confirmed.
func (s *Store) Done(ctx context.Context, confirmed []ledger.Admitted) error {
	var errs []error
	for len(confirmed) > 0 {
		epoch := confirmed[0].Epoch
		isOther := func(p ledger.Admitted) bool { return p.Epoch != epoch } // a batch may have been read right before a switch
		n := slices.IndexFunc(confirmed, isOther)
		if n < 0 {
			n = len(confirmed)
		}
		errs = append(errs, s.doneInEpoch(ctx, s.keysIn(epoch), confirmed[:n]))
		confirmed = confirmed[n:]
	}
	return errors.Join(errs...)
}

func (s *Store) doneInEpoch(ctx context.Context, k keyspace, confirmed []ledger.Admitted) error {
	args := make([]any, 0, 1+3*len(confirmed)) // most have one move
	args = append(args, group)
	for _, p := range confirmed {
		args = append(args, p.StreamID, len(p.Change.Moves))
		for _, m := range p.Change.Moves {
			args = append(args, k.balance(m.Balance))
		}
	}
	return failure(ctx, doneScript.Run(ctx, s.redis, []string{k.stream(), k.inFlight()}, args...).Err())
}

// Undo takes back the moves of a change that the database refused; repeats of the change are told the reason. A nil
// reason takes back an admission of a change that had been applied before, which stays applied.
func (s *Store) Undo(ctx context.Context, p ledger.Admitted, reason error) error {
	k := s.keysOf(p)
	keys := append([]string{k.stream(), k.inFlight(), k.dedup(p.Change.ID)}, k.balances(p.Change.Balances())...)
	args := []any{group, p.StreamID, ledger.EncodeRejection(reason), []byte(p.Change.Record.Payload)}
	for _, m := range p.Change.Moves {
		args = append(args, m.Delta)
	}
	return failure(ctx, undoScript.Run(ctx, s.redis, keys, args...).Err())
}

// Discard removes an entry that cannot be read.
func (s *Store) Discard(ctx context.Context, p ledger.Admitted) error {
	stream := s.keysOf(p).stream()
	pipe := s.redis.TxPipeline()
	pipe.XAck(ctx, stream, group, p.StreamID)
	pipe.XDel(ctx, stream, p.StreamID)
	_, err := pipe.Exec(ctx)
	return failure(ctx, err)
}

// DismissIdle removes consumers of the stream that have read nothing for the given time and have nothing left to confirm:
// those of instances that are gone. It returns how many.
func (s *Store) DismissIdle(ctx context.Context, idle time.Duration) (int, error) {
	n, err := dismissScript.Run(ctx, s.redis, []string{s.keys().stream()}, group, idle.Milliseconds()).Int()
	return n, failure(ctx, err)
}
