package lockprovider

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"holdfast/lockprovider/ledger"
)

// Admission is the Redis side of one family under the strategy lua: the balances as Redis sees them, and the stream of
// changes that Redis has admitted and the database has still to confirm. Redis admits, the database confirms.
//
// All keys of a family and epoch share a hash tag, so that one script may touch them in Redis Cluster. A new epoch begins
// with no keys at all: what an earlier one left behind cannot be sold from.
type Admission struct {
	redis    redis.UniversalClient
	family   Family
	epoch    atomic.Int64
	instance string
	settings AdmissionSettings
	drain    func(ctx context.Context) error
}

// AdmissionSettings are the bounds of an Admission.
type AdmissionSettings struct {
	// Backlog bounds the changes that wait to be persisted; beyond it, new ones are refused as busy.
	Backlog int64
	// Remember is how long a change ID is known to Redis; the database's change log knows it for longer.
	Remember time.Duration
}

// NewAdmission returns the Redis side of a family. instance names this process to those who persist its changes.
func NewAdmission(r redis.UniversalClient, f Family, epoch int64, instance string, s AdmissionSettings) *Admission {
	a := &Admission{redis: r, family: f, instance: instance, settings: s}
	a.epoch.Store(epoch)
	return a
}

// DrainWith tells how to persist what is in the stream; it must be called before changes are served.
func (a *Admission) DrainWith(drain func(ctx context.Context) error) { a.drain = drain }

// enter goes on under another epoch, which begins with no keys at all, after what the one before had admitted has been
// persisted.
func (a *Admission) enter(ctx context.Context, epoch int64) error {
	if a.drain != nil {
		if err := a.drain(ctx); err != nil {
			return fmt.Errorf("drain %s: %w", a.family, err)
		}
	}
	a.epoch.Store(epoch)
	return nil
}

// group is the consumer group of the persisters.
const group = "persister"

// Family tells whose changes these are.
func (a *Admission) Family() Family { return a.family }

// keyspace is the names of an epoch's keys. A command takes it once: the epoch may change from one call of keys to the
// next, and a key of one epoch says nothing about another.
type keyspace struct {
	prefix string
	epoch  int64
}

func (a *Admission) keys() keyspace { return epochKeys(a.family, a.epoch.Load()) }

func epochKeys(f Family, epoch int64) keyspace {
	return keyspace{fmt.Sprintf("{holdfast:%s:%d}:", strings.ToLower(string(f)), epoch), epoch}
}

// of returns the keys of the epoch in which a change was admitted.
func (a *Admission) of(p ledger.Admitted) keyspace { return epochKeys(a.family, p.Epoch) }

func (a *Admission) stream() string            { return a.keys().stream() }
func (a *Admission) inFlight() string          { return a.keys().inFlight() }
func (a *Admission) memo(id uuid.UUID) string  { return a.keys().memo(id) }
func (a *Admission) balance(key string) string { return a.keys().balance(key) }

func (k keyspace) stream() string            { return k.prefix + "changes" }
func (k keyspace) inFlight() string          { return k.prefix + "inflight" }
func (k keyspace) memo(id uuid.UUID) string  { return k.prefix + "memo:" + id.String() }
func (k keyspace) balance(key string) string { return k.prefix + "balance:" + key }
func (k keyspace) balances(m []Move) []string {
	keys := make([]string, len(m))
	for i := range m {
		keys[i] = k.balance(m[i].Balance)
	}
	return keys
}

var (
	//go:embed scripts/admit.lua
	admitSource string
	//go:embed scripts/done.lua
	doneSource string
	//go:embed scripts/undo.lua
	undoSource string
	//go:embed scripts/prime.lua
	primeSource string
	//go:embed scripts/repair.lua
	repairSource string

	admitScript  = redis.NewScript(admitSource)
	doneScript   = redis.NewScript(doneSource)
	undoScript   = redis.NewScript(undoSource)
	primeScript  = redis.NewScript(primeSource)
	repairScript = redis.NewScript(repairSource)
)

// scriptTimeout bounds one script: a Redis that takes longer is as good as gone.
const scriptTimeout = time.Second

// admitted is what the script said of a change that may go on.
type admitted struct {
	amounts  map[string]int64
	replayed bool
}

// errMissing means that Redis lacks balances of the change; they are created from the database, and it is tried again.
var errMissing = errors.New("balances missing in redis")

// admit asks Redis. Errors: *Refused, ErrIDReused, *Rejected (a repeat of a change that the database refused),
// ErrLockTimeout where the backlog is full, errMissing, ErrUnavailable.
func (a *Admission) admit(ctx context.Context, c Change) (admitted, error) {
	body, err := json.Marshal(c)
	if err != nil {
		return admitted{}, fmt.Errorf("%w: %w", ErrInvalidChange, err)
	}
	k := a.keys()
	keys := append([]string{k.stream(), k.inFlight(), k.memo(c.ID)}, k.balances(c.Moves)...)
	args := []any{
		c.ID.String(), c.Record.Fingerprint, body, a.instance, a.settings.Backlog, a.settings.Remember.Milliseconds(),
	}
	for _, m := range c.Moves {
		args = append(args, m.Delta)
	}
	bounded, cancel := context.WithTimeout(ctx, scriptTimeout)
	defer cancel()
	reply, err := admitScript.Run(bounded, a.redis, keys, args...).StringSlice()
	if err != nil {
		return admitted{}, redisFailure(ctx, err)
	}
	switch reply[0] {
	case "admitted":
		return amountsAfter(c.Moves, reply[2:], false)
	case "replayed":
		if reply[1] == "failed" {
			return admitted{}, decodeRejection(reply[2])
		}
		return amountsAfter(c.Moves, strings.Split(reply[2], ","), true)
	case "reused":
		return admitted{}, ErrIDReused
	case "backlog":
		return admitted{}, fmt.Errorf("%w: %d changes wait to be persisted", ErrLockTimeout, a.settings.Backlog)
	case "missing":
		return admitted{}, errMissing
	case "refused":
		return admitted{}, refusedBy(c.Moves, reply[1:])
	}
	return admitted{}, fmt.Errorf("script admit said %q", reply)
}

func amountsAfter(moves []Move, amounts []string, replayed bool) (admitted, error) {
	a := admitted{amounts: make(map[string]int64, len(moves)), replayed: replayed}
	for i, m := range moves {
		n, err := strconv.ParseInt(amounts[i], 10, 64)
		if err != nil {
			return admitted{}, fmt.Errorf("script admit: amount: %w", err)
		}
		a.amounts[m.Balance] = n
	}
	return a, nil
}

// refusedBy puts the script's refusal into the words of the check in Go, which the suite holds it to.
func refusedBy(moves []Move, reply []string) error {
	states, asked := make([]ledger.Balance, 0, len(moves)), make([]Move, 0, len(moves))
	for ; len(reply) >= 4; reply = reply[4:] {
		n := make([]int64, 4)
		for i := range n {
			var err error
			if n[i], err = strconv.ParseInt(reply[i], 10, 64); err != nil {
				return fmt.Errorf("script admit: refusal: %w", err)
			}
		}
		states = append(states, ledger.Balance{Amount: n[1], Floor: n[2], Ceiling: n[3]})
		asked = append(asked, moves[n[0]-1])
	}
	if _, err := ledger.Check(states, asked); err != nil {
		return err
	}
	return fmt.Errorf("script admit refused what fits: %v", asked)
}

// Prime creates balances that Redis lacks. It returns how many could not be created because changes of them are in
// flight.
func (a *Admission) Prime(ctx context.Context, levels map[string]ledger.Level) (created, inFlight int, err error) {
	k := a.keys()
	keys, args := []string{k.inFlight()}, []any{}
	for key, l := range levels {
		keys = append(keys, k.balance(key))
		args = append(args, l.Amount, l.Floor, l.Ceiling, l.Seq)
	}
	counts, err := primeScript.Run(ctx, a.redis, keys, args...).Int64Slice()
	if err != nil {
		return 0, 0, redisFailure(ctx, err)
	}
	return int(counts[0]), int(counts[2]), nil
}

// Levels reads balances; those that Redis does not hold are absent.
func (a *Admission) Levels(ctx context.Context, keys []string) (map[string]ledger.Level, error) {
	pipe := a.redis.Pipeline()
	replies := make([]*redis.SliceCmd, len(keys))
	for i, key := range keys {
		replies[i] = pipe.HMGet(ctx, a.balance(key), "amount", "floor", "ceiling", "seq")
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, redisFailure(ctx, err)
	}
	levels := make(map[string]ledger.Level, len(keys))
	for i, key := range keys {
		var row struct {
			Amount  *int64 `redis:"amount"`
			Floor   int64  `redis:"floor"`
			Ceiling int64  `redis:"ceiling"`
			Seq     int64  `redis:"seq"`
		}
		if err := replies[i].Scan(&row); err != nil {
			return nil, fmt.Errorf("balance %s in redis: %w", key, err)
		}
		if row.Amount != nil {
			levels[key] = ledger.Level{Amount: *row.Amount, Floor: row.Floor, Ceiling: row.Ceiling, Seq: row.Seq}
		}
	}
	return levels, nil
}

// Repair replaces what Redis says of a balance by what is right, unless it has changed since it was seen.
func (a *Admission) Repair(ctx context.Context, key string, seen, right ledger.Level) (bool, error) {
	n, err := repairScript.Run(ctx, a.redis, []string{a.balance(key)},
		seen.Seq, seen.Amount, right.Amount, right.Floor, right.Ceiling, right.Seq).Int()
	return n == 1, redisFailure(ctx, err)
}

// Backlog tells how many changes wait to be persisted.
func (a *Admission) Backlog(ctx context.Context) (int64, error) {
	n, err := a.redis.XLen(ctx, a.stream()).Result()
	return n, redisFailure(ctx, err)
}

// Used tells whether anything has ever been admitted here, and not been forgotten since.
func (a *Admission) Used(ctx context.Context) (bool, error) {
	n, err := a.redis.Exists(ctx, a.stream()).Result()
	return n > 0, redisFailure(ctx, err)
}

// InFlight tells how many changes of each balance wait to be persisted; balances without any are absent.
func (a *Admission) InFlight(ctx context.Context) (map[string]int, error) {
	counts, err := a.redis.HGetAll(ctx, a.inFlight()).Result()
	if err != nil {
		return nil, redisFailure(ctx, err)
	}
	byKey := make(map[string]int, len(counts))
	for key, count := range counts {
		n, err := strconv.Atoi(count)
		if err != nil {
			return nil, fmt.Errorf("count in flight of %s: %w", key, err)
		}
		byKey[strings.TrimPrefix(key, a.balance(""))] = n
	}
	return byKey, nil
}

// OpenGroup makes sure that the stream's consumer group exists; it is lost with the stream when Redis is emptied.
func (a *Admission) OpenGroup(ctx context.Context) error {
	err := a.redis.XGroupCreateMkStream(ctx, a.stream(), group, "0").Err()
	if err != nil && strings.HasPrefix(err.Error(), "BUSYGROUP") {
		return nil
	}
	return redisFailure(ctx, err)
}

// ErrNoGroup means that the consumer group is gone: Redis was emptied. OpenGroup creates it again.
var ErrNoGroup = errors.New("consumer group is gone")

// Read waits up to block for new changes and returns at most limit of them.
func (a *Admission) Read(ctx context.Context, consumer string, limit int64, block time.Duration) ([]ledger.Admitted, error) {
	return a.read(ctx, consumer, ">", limit, block)
}

// ReadAgain returns the first of what the consumer has read and not confirmed.
func (a *Admission) ReadAgain(ctx context.Context, consumer string, limit int64) ([]ledger.Admitted, error) {
	return a.read(ctx, consumer, "0", limit, -1)
}

func (a *Admission) read(ctx context.Context, consumer, from string, limit int64, block time.Duration) ([]ledger.Admitted, error) {
	k := a.keys()
	streams, err := a.redis.XReadGroup(ctx, &redis.XReadGroupArgs{
		Group: group, Consumer: consumer, Streams: []string{k.stream(), from}, Count: limit, Block: block,
	}).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return nil, nil
	case err != nil && strings.HasPrefix(err.Error(), "NOGROUP"):
		return nil, ErrNoGroup
	case err != nil:
		return nil, redisFailure(ctx, err)
	}
	return k.parse(streams[0].Messages), nil
}

// Claim takes over changes that another consumer, or an earlier life of this one, read at least idle ago and never
// confirmed.
func (a *Admission) Claim(ctx context.Context, consumer string, limit int64, idle time.Duration) ([]ledger.Admitted, error) {
	k := a.keys()
	messages, _, err := a.redis.XAutoClaim(ctx, &redis.XAutoClaimArgs{
		Stream: k.stream(), Group: group, Consumer: consumer, MinIdle: idle, Start: "0", Count: limit,
	}).Result()
	if err != nil && strings.HasPrefix(err.Error(), "NOGROUP") {
		return nil, ErrNoGroup
	}
	return k.parse(messages), redisFailure(ctx, err)
}

func (k keyspace) parse(messages []redis.XMessage) []ledger.Admitted {
	pending := make([]ledger.Admitted, len(messages))
	for i, m := range messages {
		body, _ := m.Values["payload"].(string)
		if err := json.Unmarshal([]byte(body), &pending[i]); err != nil {
			pending[i] = ledger.Admitted{Malformed: fmt.Errorf("stream entry %s: %w", m.ID, err), Raw: rawEntry(m)}
		} else if n := len(pending[i].Change.Moves); n == 0 || n != len(pending[i].Seq) || n != len(pending[i].After) {
			pending[i] = ledger.Admitted{Malformed: fmt.Errorf("stream entry %s is incomplete", m.ID), Raw: rawEntry(m)}
		}
		pending[i].StreamID, pending[i].Epoch = m.ID, k.epoch
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

// Behind tells, by stream ID, which of some pending changes have moves of the same balances before them in the stream:
// admitted earlier and not confirmed yet. All of them must be of the epoch that is in force; those of an earlier one have
// nobody before them that will still be confirmed.
func (a *Admission) Behind(ctx context.Context, pending []ledger.Admitted) (map[string]bool, error) {
	k := a.keys()
	messages, err := a.redis.XRange(ctx, k.stream(), "-", "+").Result() // as long as the backlog
	if err != nil {
		return nil, redisFailure(ctx, err)
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
func (a *Admission) Done(ctx context.Context, confirmed []ledger.Admitted) error {
	byEpoch := map[keyspace][]any{} // a batch may have been read right before a switch
	for _, p := range confirmed {
		k := a.of(p)
		args := append(byEpoch[k], p.StreamID, len(p.Change.Moves))
		for _, m := range p.Change.Moves {
			args = append(args, k.balance(m.Balance))
		}
		byEpoch[k] = args
	}
	var errs []error
	for k, args := range byEpoch {
		err := doneScript.Run(ctx, a.redis, []string{k.stream(), k.inFlight()}, append([]any{group}, args...)...).Err()
		errs = append(errs, redisFailure(ctx, err))
	}
	return errors.Join(errs...)
}

// Undo takes back the moves of a change that the database refused; repeats of the change are told the reason. A nil
// reason takes back an admission of a change that had been applied before, which stays applied.
func (a *Admission) Undo(ctx context.Context, p ledger.Admitted, reason error) error {
	k := a.of(p)
	keys := append([]string{k.stream(), k.inFlight(), k.memo(p.Change.ID)}, k.balances(p.Change.Moves)...)
	args := []any{group, p.StreamID, encodeRejection(reason), []byte(p.Change.Record.Payload)}
	for _, m := range p.Change.Moves {
		args = append(args, m.Delta)
	}
	return redisFailure(ctx, undoScript.Run(ctx, a.redis, keys, args...).Err())
}

// Discard removes an entry that cannot be read.
func (a *Admission) Discard(ctx context.Context, p ledger.Admitted) error {
	stream := a.of(p).stream()
	pipe := a.redis.TxPipeline()
	pipe.XAck(ctx, stream, group, p.StreamID)
	pipe.XDel(ctx, stream, p.StreamID)
	_, err := pipe.Exec(ctx)
	return redisFailure(ctx, err)
}

// Forget removes all that this family and epoch have in Redis. Only for an epoch that has ended, after its stream has been
// drained.
func (a *Admission) Forget(ctx context.Context) error {
	k := a.keys()
	remove := func(ctx context.Context, node redis.UniversalClient) error {
		keys := node.Scan(ctx, 0, k.prefix+"*", forgetPage).Iterator()
		for keys.Next(ctx) {
			if err := node.Unlink(ctx, keys.Val()).Err(); err != nil {
				return err
			}
		}
		return keys.Err()
	}
	if cluster, ok := a.redis.(*redis.ClusterClient); ok {
		return redisFailure(ctx, cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
			return remove(ctx, node)
		}))
	}
	return redisFailure(ctx, remove(ctx, a.redis))
}

// forgetPage is how many keys one step of a scan looks at.
const forgetPage = 1000
