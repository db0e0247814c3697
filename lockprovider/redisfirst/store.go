package redisfirst

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/singleflight"

	"holdfast/lockprovider/ledger"
)

// Store is the write-behind store of one family: its balances in Redis, and the stream of changes that are not in the
// database yet. It is safe for concurrent use.
type Store struct {
	redis    redis.UniversalClient
	family   ledger.Family
	epoch    atomic.Int64
	instance string
	settings StoreSettings
	current  WhileCurrent
	opening  singleflight.Group
}

// StoreSettings are the bounds of a Store.
type StoreSettings struct {
	// Backlog bounds the changes that wait to be persisted; beyond it, new ones are refused as busy.
	Backlog int64
	// Remember is how long a change ID is known to Redis; the database's change log knows it for longer.
	Remember time.Duration
	// Database is the identity of the database, which is a part of all keys: databases that use one Redis after the other do not
	// see what each other has left there.
	Database string
	// Timeout is how long one request may take; 0 is one second. A Redis that takes longer is as good as gone.
	Timeout time.Duration
}

// NewStore returns the store of a family in an epoch. instance names this process to those who persist its changes.
func NewStore(r redis.UniversalClient, f ledger.Family, epoch int64, instance string, s StoreSettings) *Store {
	store := &Store{redis: r, family: f, instance: instance, settings: s, current: always}
	store.epoch.Store(epoch)
	return store
}

// OpenWith sets who says whether an epoch is the current one. It must be called before changes are served.
func (s *Store) OpenWith(current WhileCurrent) { s.current = current }

// BeginEpoch goes on under another epoch.
func (s *Store) BeginEpoch(epoch int64) { s.epoch.Store(epoch) }

// Open opens the epoch if it is the current one, else it returns [ErrClosed].
func (s *Store) Open(ctx context.Context) error { return s.keys().ensureOpen(ctx) }

// Family returns the family whose changes these are.
func (s *Store) Family() ledger.Family { return s.family }

// keyspace is the names of an epoch's keys. A command takes it once: the epoch may change from one call of keys to the
// next, and a key of one epoch says nothing about another.
type keyspace struct{ epoch }

func (s *Store) keys() keyspace { return s.keysIn(s.epoch.Load()) }

// keysOf returns the keys of the epoch in which a change was admitted.
func (s *Store) keysOf(a ledger.Admitted) keyspace { return s.keysIn(a.Epoch) }

func (s *Store) keysIn(number int64) keyspace {
	return keyspace{epoch{
		redis: s.redis, prefix: prefixOf(s.family, s.settings.Database, number), number: number,
		timeout: cmp.Or(s.settings.Timeout, requestTimeout), current: s.current, opening: &s.opening, remember: s.settings.Remember,
	}}
}

// prefixOf begins the keys of a store.
func prefixOf(f ledger.Family, database string, number int64) string {
	return fmt.Sprintf("{holdfast:%s:%d}:", nameOf(f, database), number)
}

// nameOf names a family of a database in keys.
func nameOf(f ledger.Family, database string) string {
	name := strings.ToLower(string(f))
	if database != "" {
		name += ":" + database
	}
	return name
}

// streamName ends the key of the stream.
const streamName = "changes"

func (k keyspace) stream() string   { return k.prefix + streamName }
func (k keyspace) inFlight() string { return k.prefix + "inflight" }

// dedup is the dedup record of a change: what Redis remembers of its ID.
func (k keyspace) dedup(id uuid.UUID) string { return k.prefix + "memo:" + id.String() }

func (k keyspace) balance(key string) string { return k.prefix + "balance:" + key }

func (k keyspace) balances(names []string) []string {
	keys := make([]string, len(names))
	for i, name := range names {
		keys[i] = k.balance(name)
	}
	return keys
}

var (
	//go:embed scripts/admit.lua
	admitSource string
	//go:embed scripts/prime.lua
	primeSource string

	admitScript = redis.NewScript(admitSource)
	primeScript = redis.NewScript(primeSource)
)

// Admission is what Redis says of a change that it has admitted.
type Admission struct {
	// Amounts are those after the change, by balance.
	Amounts map[string]int64
	// Replayed is true if Redis had admitted the change before; the amounts are those of then.
	Replayed bool
	// StreamID is the entry of the change in the stream. It is empty if an earlier version admitted the change.
	StreamID string
	// Unsure is true if Redis may not know the IDs of all changes of the last time: the epoch began a short while ago, with a
	// database that had changes. Then the change may be a repeat all the same.
	Unsure bool
}

// ErrMissing means that Redis lacks balances of the change. They are to be created with [Store.Prime] from what the
// database says; then the change may be tried again.
var ErrMissing = errors.New("balances missing in redis")

// Admit checks and applies all moves of a change in Redis, or none, and appends the change to the stream.
//
// Errors: *[ledger.Refused]; [ledger.ErrIDReused]; *[ledger.Rejected] if it is a repeat of a change that the database refused;
// [ledger.ErrLockTimeout] if the backlog is full; [ErrMissing]; [ErrClosed]; [ledger.ErrUnknown] if Redis does not answer; the end of ctx, if
// it came before anything was sent.
//
// If Redis remembers the change, or another one of the same ID, the admission has the stream entry of that one, with an error or
// without. What it remembers may be of a time that the database has forgotten, since it was restored. stale is the stream entry of a
// memory that the caller has found to be so, or "": Redis then forgets it, unless the entry is still in the stream.
func (s *Store) Admit(ctx context.Context, c ledger.Change, stale string) (Admission, error) {
	body, err := json.Marshal(c)
	if err != nil {
		return Admission{}, fmt.Errorf("%w: %w", ledger.ErrInvalidChange, err)
	}
	k := s.keys()
	keys := append([]string{k.stream(), k.inFlight(), k.dedup(c.ID), k.mark()}, k.balances(c.Balances())...)
	args := []any{
		c.ID.String(), c.Record.Fingerprint, body, s.instance, s.settings.Backlog, s.settings.Remember.Milliseconds(),
		stale,
	}
	for _, m := range c.Moves {
		limit := any("")
		if m.Limit != nil {
			limit = *m.Limit
		}
		args = append(args, m.Delta, limit)
	}
	var reply []string
	err = k.opened(ctx, func() (err error) {
		reply, err = k.ask(ctx, admitScript, keys, args...).StringSlice()
		return err
	})
	if err != nil {
		return Admission{}, err
	}
	switch reply[0] {
	case "admitted":
		return amountsAfter(c.Moves, reply[3:], Admission{StreamID: reply[1], Unsure: reply[2] == "0"})
	case "replayed":
		if reply[1] == "failed" {
			return Admission{StreamID: reply[3]}, ledger.DecodeRejection(reply[2])
		}
		return amountsAfter(c.Moves, strings.Split(reply[2], ","), Admission{StreamID: reply[3], Replayed: true})
	case "reused":
		return Admission{StreamID: reply[1]}, ledger.ErrIDReused
	case "backlog":
		return Admission{}, fmt.Errorf("%w: %d changes wait to be persisted", ledger.ErrLockTimeout, s.settings.Backlog)
	case "missing":
		return Admission{}, ErrMissing
	case "refused":
		return Admission{}, refusedBy(c.Moves, reply[1:])
	}
	return Admission{}, fmt.Errorf("script admit said %q", reply)
}

func amountsAfter(moves []ledger.Move, amounts []string, a Admission) (Admission, error) {
	a.Amounts = make(map[string]int64, len(moves))
	for i, m := range moves {
		n, err := strconv.ParseInt(amounts[i], 10, 64)
		if err != nil {
			return Admission{}, fmt.Errorf("script admit: amount: %w", err)
		}
		a.Amounts[m.Balance] = n
	}
	return a, nil
}

// refusedBy puts the refusal of the script into the words of ledger.Check. The conformance suite holds the script to it.
func refusedBy(moves []ledger.Move, reply []string) error {
	states, asked := make([]ledger.Balance, 0, len(moves)), make([]ledger.Move, 0, len(moves))
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

// ReadLevels reads what the database says of balances.
type ReadLevels func(ctx context.Context, balances []string) (map[string]ledger.Level, error)

// Prime creates those of some balances that Redis lacks. It returns how many it created, and how many it could not create
// because changes of them are in flight.
//
// A balance whose changes are in flight is not read at all. It must be seen to have none before it is read: else a change may
// be committed after the read, leave the stream, and be missing from the balance that is created.
func (s *Store) Prime(ctx context.Context, balances []string, read ReadLevels) (created, inFlight int, err error) {
	k := s.keys()
	counts, err := s.redis.HMGet(ctx, k.inFlight(), k.balances(balances)...).Result()
	if err != nil {
		return 0, 0, failure(ctx, err)
	}
	var quiet []string
	for i, balance := range balances {
		if counts[i] == nil {
			quiet = append(quiet, balance)
		}
	}
	before := len(balances) - len(quiet)
	if len(quiet) == 0 {
		return 0, before, nil
	}
	levels, err := read(ctx, quiet)
	if err != nil {
		return 0, 0, err
	}
	err = k.opened(ctx, func() (err error) {
		created, inFlight, err = s.prime(ctx, k, levels)
		return err
	})
	return created, before + inFlight, err
}

func (s *Store) prime(ctx context.Context, k keyspace, levels map[string]ledger.Level) (created, inFlight int, err error) {
	keys, args := []string{k.inFlight(), k.mark()}, []any{}
	for _, key := range slices.Sorted(maps.Keys(levels)) {
		l := levels[key]
		keys = append(keys, k.balance(key))
		args = append(args, l.Amount, l.Floor, l.Ceiling, l.Seq)
	}
	counts, err := primeScript.Run(ctx, s.redis, keys, args...).Int64Slice()
	if err != nil {
		return 0, 0, failure(ctx, err)
	}
	return int(counts[0]), int(counts[2]), nil
}

// ErrUnreadable means that a key of Redis that should hold a balance holds something else: a stranger has written to it.
var ErrUnreadable = errors.New("redis does not hold a balance there, delete the key")

// isWrongType reports whether a command met a key of another type, in a script or not.
func isWrongType(err error) bool { return err != nil && strings.Contains(err.Error(), "WRONGTYPE") }

// Levels reads balances; those that Redis does not hold are absent. If the error is [ErrUnreadable], the balances that it does
// not name have been read.
func (s *Store) Levels(ctx context.Context, keys []string) (map[string]ledger.Level, error) {
	k := s.keys()
	pipe := s.redis.Pipeline()
	replies := make([]*redis.SliceCmd, len(keys))
	for i, key := range keys {
		replies[i] = pipe.HMGet(ctx, k.balance(key), "amount", "floor", "ceiling", "seq")
	}
	if _, err := pipe.Exec(ctx); err != nil && !isWrongType(err) {
		return nil, failure(ctx, err)
	}
	levels := make(map[string]ledger.Level, len(keys))
	var unreadable []error
	for i, key := range keys {
		if err := replies[i].Err(); err != nil && !isWrongType(err) {
			return nil, failure(ctx, err)
		}
		var row struct {
			Amount  *int64 `redis:"amount"`
			Floor   int64  `redis:"floor"`
			Ceiling int64  `redis:"ceiling"`
			Seq     int64  `redis:"seq"`
		}
		if err := replies[i].Scan(&row); err != nil {
			unreadable = append(unreadable, fmt.Errorf("%w: %s: %w", ErrUnreadable, k.balance(key), err))
			continue
		}
		if row.Amount != nil {
			levels[key] = ledger.Level{Amount: *row.Amount, Floor: row.Floor, Ceiling: row.Ceiling, Seq: row.Seq}
		}
	}
	return levels, errors.Join(unreadable...)
}

// Backlog returns how many changes wait to be persisted.
func (s *Store) Backlog(ctx context.Context) (int64, error) {
	n, err := s.redis.XLen(ctx, s.keys().stream()).Result()
	return n, failure(ctx, err)
}

// Used reports whether anything has been admitted here or may be, and not been forgotten since.
func (s *Store) Used(ctx context.Context) (bool, error) {
	k := s.keys()
	return k.used(ctx, k.stream())
}

// InFlight returns how many changes of each balance wait to be persisted; balances without any are absent.
func (s *Store) InFlight(ctx context.Context) (map[string]int, error) {
	k := s.keys()
	counts, err := s.redis.HGetAll(ctx, k.inFlight()).Result()
	if err != nil {
		return nil, failure(ctx, err)
	}
	byKey := make(map[string]int, len(counts))
	for key, count := range counts {
		n, err := strconv.Atoi(count)
		if err != nil {
			return nil, fmt.Errorf("count in flight of %s: %w", key, err)
		}
		byKey[strings.TrimPrefix(key, k.balance(""))] = n
	}
	return byKey, nil
}

// Close has Redis refuse to admit anything more into the epoch.
func (s *Store) Close(ctx context.Context) error { return s.keys().close(ctx) }

// Forget removes all that this family and epoch have in Redis. It is only for an epoch that has been closed, after its
// stream has been drained.
func (s *Store) Forget(ctx context.Context) error { return s.keys().forget(ctx) }
