package lockprovider

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"holdfast/ent"
	"holdfast/ent/changelog"
	"holdfast/lockprovider/ledger"
)

var (
	//go:embed scripts/look.lua
	lookSource string
	//go:embed scripts/dismiss.lua
	dismissSource string

	lookScript    = redis.NewScript(lookSource)
	dismissScript = redis.NewScript(dismissSource)
)

// Comparison is one balance in Redis and in the database at one moment.
type Comparison struct {
	Balance string
	// Missing tells that Redis does not hold the balance; Redis is zero then.
	Missing         bool
	Redis, Database ledger.Level
	// Expected is what Redis has to say: the database, and on top of it the changes in flight.
	Expected ledger.Level
	// InFlight counts the changes that Redis has admitted and the database does not hold yet.
	InFlight int
	// Repaired tells that Redis says what is expected now.
	Repaired bool
}

// Drifted tells that Redis says what cannot be.
func (c Comparison) Drifted() bool { return !c.Missing && c.Redis != c.Expected }

const (
	// compareEntries bounds the stream that is looked through for the changes of one balance: Redis does nothing else
	// meanwhile, some 5 to 10 ms a thousand entries.
	compareEntries = 2_000
	// repairTries bounds how often a balance is looked at anew that Redis has admitted a change of before the repair.
	repairTries = 50
)

// ErrBacklogLong means that too many changes wait to be persisted to look through all of them.
var ErrBacklogLong = errors.New("too many changes in flight to compare")

// ErrNotInForce means that a family is not served by this admission at the moment: another epoch has begun, or a fallback
// serves it. The database then moves on without Redis, and there is nothing to compare.
var ErrNotInForce = errors.New("another strategy or epoch is in force")

// InForce returns ErrNotInForce if another strategy or epoch serves the family at the moment.
func (a *Admission) InForce(ctx context.Context, client *ent.Client) error {
	return ledger.Failure(ctx, inForce(ctx, client.FamilyStrategy, a.family, a.keys()))
}

// inForce reports whether the keyspace is that of the epoch in which the family's strategy serves.
func inForce(ctx context.Context, c *ent.FamilyStrategyClient, f Family, k keyspace) error {
	row, err := c.Get(ctx, string(f))
	switch {
	case ent.IsNotFound(err): // no deployment: one process, and no epochs
		return nil
	case err == nil && (row.Fallback || k != epochKeys(f, row.Epoch)):
		return ErrNotInForce
	}
	return err
}

// Reconcile compares a balance in Redis with the database and puts Redis right where it has drifted.
//
// It is exact however busy the balance is. While the database's row is locked, nothing of the balance is persisted. What
// Redis has admitted is then what the database holds, plus those changes in the stream that the change log does not know:
// a change leaves the stream only after its commit, or when it is taken back. So no change in flight is ever mistaken for
// drift, or overwritten: the repair goes through only if Redis has admitted nothing since it was looked at. The lock also
// keeps two repairs of the same balance apart.
//
// The price is that the balance is not persisted to for the time of a few requests to Redis: it is for balances that look
// wrong. Bound it by ctx. Errors: ErrBacklogLong, ErrNotInForce, ErrUnknownBalance, ErrUnavailable.
func (a *Admission) Reconcile(ctx context.Context, l *ledger.Ledger, key string) (Comparison, error) {
	var c Comparison
	k := a.keys()
	_, err := l.Run(ctx, reconciling, func(tx *ledger.Tx) error {
		c = Comparison{Balance: key}
		locked, err := tx.Read(ctx, []ledger.Move{{Balance: key}}, ledger.ForUpdate)
		if err != nil {
			return err
		}
		if err := inForce(ctx, tx.Ent.FamilyStrategy, a.family, k); err != nil {
			return err
		}
		c.Database = locked[0].Level()
		for range repairTries {
			inStream, err := a.look(ctx, k, &c)
			if err != nil {
				return err
			}
			if err := expect(ctx, tx.Ent, &c, inStream); err != nil {
				return err
			}
			if err := a.put(ctx, k, &c); err != nil || c.Repaired || !c.Drifted() {
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
func (a *Admission) look(ctx context.Context, k keyspace, c *Comparison) ([]ledger.Admitted, error) {
	name, err := json.Marshal(c.Balance) // as in the entries, which admit encodes likewise
	if err != nil {
		return nil, err
	}
	reply, err := lookScript.Run(ctx, a.redis, []string{k.stream(), k.inFlight(), k.balance(c.Balance)},
		`"balance":`+string(name), min(a.settings.Backlog, compareEntries)).StringSlice()
	if err != nil {
		return nil, redisFailure(ctx, err)
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
		rows, err = tx.ChangeLog.Query().Where(changelog.ChangeIDIn(ids...)).
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
func (a *Admission) put(ctx context.Context, k keyspace, c *Comparison) error {
	switch {
	case c.Missing && c.InFlight == 0:
		created, _, err := a.Prime(ctx, map[string]ledger.Level{c.Balance: c.Database})
		c.Repaired = created == 1
		return err
	case c.Drifted():
		n, err := repairScript.Run(ctx, a.redis, []string{k.balance(c.Balance)}, c.Redis.Seq, c.Redis.Amount,
			c.Expected.Amount, c.Expected.Floor, c.Expected.Ceiling, c.Expected.Seq).Int()
		c.Repaired = n == 1
		return redisFailure(ctx, err)
	}
	return nil
}

// DismissIdle removes consumers of the stream that have read nothing for the given time and have nothing left to confirm:
// those of instances that are gone. It returns how many.
func (a *Admission) DismissIdle(ctx context.Context, idle time.Duration) (int, error) {
	n, err := dismissScript.Run(ctx, a.redis, []string{a.stream()}, group, idle.Milliseconds()).Int()
	return n, redisFailure(ctx, err)
}
