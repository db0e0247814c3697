package redisfirst

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"holdfast/ent"
	"holdfast/ent/changelog"
	"holdfast/lockprovider/ledger"
)

var (
	//go:embed scripts/look.lua
	lookSource string
	//go:embed scripts/repair.lua
	repairSource string

	lookScript   = redis.NewScript(lookSource)
	repairScript = redis.NewScript(repairSource)
)

// Comparison is one balance in Redis and in the database at one moment.
type Comparison struct {
	Balance string
	// Missing is true if Redis does not hold the balance; Redis is zero then.
	Missing         bool
	Redis, Database ledger.Level
	// Expected is what Redis has to say: the database, and on top of it the changes in flight.
	Expected ledger.Level
	// InFlight counts the changes that Redis has admitted and the database does not hold yet.
	InFlight int
	// Repaired is true if Redis says what is expected now, and did not before.
	Repaired bool
}

// Drifted reports whether Redis says what cannot be.
func (c Comparison) Drifted() bool { return !c.Missing && c.Redis != c.Expected }

const (
	// compareEntries bounds the stream that is looked through for the changes of one balance: Redis does nothing else
	// meanwhile, some 5 to 10 ms a thousand entries.
	compareEntries = 2_000
	// repairTries bounds how often one balance is looked at anew, because Redis admitted a change of it before the repair.
	repairTries = 50
)

// ErrBacklogLong means that too many changes wait to be persisted to look through all of them.
var ErrBacklogLong = errors.New("too many changes in flight to compare")

// ErrNotActive means that this store does not serve its family at the moment: another epoch has begun, or a fallback
// serves it. The database then moves on without Redis, and there is nothing to compare.
var ErrNotActive = errors.New("another strategy or epoch is active")

// Active reports whether this store serves its family at the moment; see [ErrNotActive].
func (s *Store) Active(ctx context.Context, l *ledger.Ledger) (bool, error) {
	active, err := isActive(ctx, l.Ent().FamilyStrategy, s.family, s.keys())
	if err != nil {
		return false, ledger.Failure(ctx, err)
	}
	return active, nil
}

// isActive reports whether the keyspace is of the epoch that is active, and no fallback serves the family.
func isActive(ctx context.Context, c *ent.FamilyStrategyClient, f ledger.Family, k keyspace) (bool, error) {
	row, err := c.Get(ctx, string(f))
	if ent.IsNotFound(err) { // no deployment: one process, and no epochs
		return true, nil
	}
	return err == nil && !row.Fallback && row.Epoch == k.number, err
}

// Reconcile compares a balance in Redis with the database, and repairs Redis if it has drifted.
//
// It is exact however busy the balance is. While the database's row is locked, nothing of the balance is persisted. What
// Redis has admitted is then what the database holds, plus those changes in the stream that the change log does not know:
// a change leaves the stream only after its commit, or when it is taken back. So no change in flight is ever mistaken for
// drift, or overwritten: the repair goes through only if Redis has admitted nothing since it was looked at. The lock also
// keeps two repairs of the same balance apart.
//
// The price is that the balance is not persisted to for the time of a few requests to Redis: it is for balances that look
// wrong. The caller bounds that time by ctx. Errors: [ErrBacklogLong], [ErrNotActive], [ledger.ErrUnknownBalance],
// [ledger.ErrUnavailable].
func (s *Store) Reconcile(ctx context.Context, l *ledger.Ledger, key string) (Comparison, error) {
	var c Comparison
	k := s.keys()
	if err := k.ensureOpen(ctx); err != nil { // before the transaction, since it asks the database
		if errors.Is(err, ErrClosed) {
			err = ErrNotActive
		}
		return c, err
	}
	_, err := l.Run(ctx, reconciling, func(tx *ledger.Tx) error {
		c = Comparison{Balance: key}
		locked, err := tx.Read(ctx, []ledger.Move{{Balance: key}}, ledger.ForUpdate)
		if err != nil {
			return err
		}
		active, err := isActive(ctx, tx.Ent.FamilyStrategy, s.family, k)
		if err != nil {
			return err
		}
		if !active {
			return ErrNotActive
		}
		c.Database = locked[0].Level()
		for range repairTries {
			inStream, err := s.look(ctx, k, &c)
			if err != nil {
				return err
			}
			if err := expect(ctx, tx.Ent, &c, inStream); err != nil {
				return err
			}
			if err := s.put(ctx, k, &c); err != nil || c.Repaired || !c.Drifted() {
				return err
			}
		}
		return nil
	})
	return c, err
}

// reconciling stands for a strategy in the ledger's transaction. It is not written anywhere: nothing is changed there.
const reconciling ledger.Strategy = "reconcile"

// look reads the balance into c, and returns the changes of it that are in the stream.
func (s *Store) look(ctx context.Context, k keyspace, c *Comparison) ([]ledger.Admitted, error) {
	name, err := json.Marshal(c.Balance) // as in the entries, which admit encodes likewise
	if err != nil {
		return nil, err
	}
	reply, err := lookScript.Run(ctx, s.redis, []string{k.stream(), k.inFlight(), k.balance(c.Balance)},
		`"balance":`+string(name), min(s.settings.Backlog, compareEntries)).StringSlice()
	if isWrongType(err) {
		return nil, fmt.Errorf("%w: %s: %w", ErrUnreadable, k.balance(c.Balance), err)
	}
	if err != nil {
		return nil, failure(ctx, err)
	}
	if reply[0] == "long" {
		return nil, ErrBacklogLong
	}
	c.Missing = reply[1] == ""
	c.Redis = ledger.Level{}
	for i, field := range []*int64{&c.Redis.Amount, &c.Redis.Floor, &c.Redis.Ceiling, &c.Redis.Seq} {
		if c.Missing {
			break
		}
		if *field, err = strconv.ParseInt(reply[1+i], 10, 64); err != nil {
			return nil, fmt.Errorf("balance %s in redis: %w", c.Balance, err)
		}
	}
	var messages []redis.XMessage
	for entries := reply[5:]; len(entries) >= 2; entries = entries[2:] {
		messages = append(messages, redis.XMessage{ID: entries[0], Values: map[string]any{"payload": entries[1]}})
	}
	return k.parse(messages), nil
}

// expect computes what Redis has to say, in the transaction that has locked the balance.
func expect(ctx context.Context, tx *ent.Tx, c *Comparison, inStream []ledger.Admitted) error {
	ids := make([]uuid.UUID, len(inStream))
	for i, p := range inStream {
		if p.Malformed != nil {
			return p.Malformed
		}
		ids[i] = p.Change.ID
	}
	var rows []*ent.ChangeLog
	if len(ids) > 0 {
		var err error
		rows, err = tx.ChangeLog.Query().Where(changelog.ChangeIDIn(ids...), changelog.KindNEQ(ledger.KindRefused)).
			Select(changelog.FieldChangeID, changelog.FieldAdmission).All(ctx)
		if err != nil {
			return err
		}
	}
	persisted := make(map[string]bool, len(rows)) // by stream ID: one change may have been admitted twice, and persisted once
	for _, row := range rows {
		persisted[row.Admission] = true
	}
	c.Expected, c.InFlight = c.Database, 0
	for _, p := range inStream {
		if persisted[p.StreamID] {
			continue
		}
		for _, m := range p.Change.Moves {
			if m.Balance == c.Balance {
				c.Expected.Amount += m.Delta
				c.Expected.Seq++
				c.InFlight++
			}
		}
	}
	return nil
}

// put makes Redis say what is expected, unless it has admitted a change since it was looked at.
func (s *Store) put(ctx context.Context, k keyspace, c *Comparison) error {
	switch {
	case c.Missing && c.InFlight == 0:
		created, _, err := s.prime(ctx, k, map[string]ledger.Level{c.Balance: c.Database})
		c.Repaired = created == 1
		return err
	case c.Drifted():
		n, err := repairScript.Run(ctx, s.redis, []string{k.balance(c.Balance), k.mark()}, c.Redis.Seq, c.Redis.Amount,
			c.Expected.Amount, c.Expected.Floor, c.Expected.Ceiling, c.Expected.Seq).Int()
		c.Repaired = n == 1
		return failure(ctx, err)
	}
	return nil
}
