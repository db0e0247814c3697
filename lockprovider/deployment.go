package lockprovider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"holdfast/ent"
	"holdfast/ent/familystrategy"
	"holdfast/ent/instance"
	"holdfast/lockprovider/ledger"
	"holdfast/lockprovider/lock"
	"holdfast/lockprovider/redisfirst"
)

// ErrStrategyMismatch means that a live instance of the same deployment runs another strategy for a family. Two
// strategies on the same balances do not see each other's locks.
var ErrStrategyMismatch = errors.New("strategies differ from those of a live instance")

// Deployment is this process's membership in the group of instances that share a database.
type Deployment struct {
	client     *ent.Client
	id         string
	strategies map[Family]Strategy
	epochs     map[Family]int64
	settings   DeploymentSettings
	clock      func() time.Time
	redis      SharedRedis
	log        *slog.Logger
	database   string // its name
	joined     atomic.Bool
	beatsApart int // of the heartbeat's own goroutine

	stop     context.CancelFunc
	stopped  sync.WaitGroup
	replaced chan error
}

// DeploymentSettings are the bounds of the membership.
type DeploymentSettings struct {
	// Heartbeat is how often an instance says that it lives.
	Heartbeat time.Duration `key:"heartbeat" default:"5s" min:"100ms" max:"1m"`
	// Expiry is how long after its last heartbeat an instance counts as live, at least twice the heartbeat.
	Expiry time.Duration `key:"expiry" default:"15s" max:"10m"`
	// Takeover replaces the strategies of live instances, which then stop, instead of refusing to start. For one start, use
	// --takeover.
	Takeover bool `key:"takeover"`
}

// JoinOption is an option of Join.
type JoinOption func(*Deployment)

// ByClock sets the clock that heartbeats are written and compared by: all instances need the same, such as that of their
// database. Without it, that is time.Now.
func ByClock(now func() time.Time) JoinOption { return func(d *Deployment) { d.clock = now } }

// LogTo sets who is told what operators should know. Without it, nobody is.
func LogTo(log *slog.Logger) JoinOption { return func(d *Deployment) { d.log = log } }

// Join registers this process with its strategies. It returns ErrStrategyMismatch if a live instance runs others,
// ErrRedisNotShared if one has another Redis than that of [Sharing], and ErrRedisOfAnotherDatabase if one of another database
// works with this Redis. If Redis or the database was restored, all families begin a new epoch.
func Join(
	ctx context.Context, client *ent.Client, strategies map[Family]Strategy, settings DeploymentSettings, options ...JoinOption,
) (*Deployment, error) {
	d := &Deployment{
		client: client, id: "inst_" + uuid.NewString(), strategies: strategies, settings: settings, clock: time.Now,
		replaced: make(chan error, 1), log: slog.New(slog.DiscardHandler),
	}
	for _, o := range options {
		o(d)
	}
	if err := d.openFamilies(ctx); err != nil {
		return nil, err
	}
	if err := d.identify(ctx); err != nil {
		return nil, err
	}
	// In Redis before it is in the database: who finds it there looks for it in Redis.
	if err := d.mark(ctx); err != nil {
		return nil, fmt.Errorf("register with Redis: %w", err)
	}
	instancesHere.Store(d.id, nil)
	if err := d.enter(ctx); err != nil {
		d.forget(ctx)
		return nil, err
	}
	beating, stop := context.WithCancel(context.WithoutCancel(ctx))
	d.stop = stop
	d.stopped.Go(func() { d.beat(beating) })
	return d, nil
}

// enter makes the instance one of the deployment.
func (d *Deployment) enter(ctx context.Context) error {
	if err := d.alone(ctx); err != nil {
		return err
	}
	if err := d.serve(ctx); err != nil {
		return err
	}
	if err := d.redis.patiently(ctx, d.settings.Heartbeat, func() error { return d.register(ctx) }); err != nil {
		return err
	}
	d.joined.Store(true)
	_, _ = d.mark(ctx), d.renew(ctx) // the next heartbeat does it otherwise
	return nil
}

// now is the time, with the precision that every database keeps.
func (d *Deployment) now() time.Time { return d.clock().UTC().Truncate(time.Microsecond) }

// Instance is the name of this process among the instances.
func (d *Deployment) Instance() string { return d.id }

// Epochs tell how often each family's strategy has been switched. What an earlier epoch left behind in Redis is not to be
// sold from.
func (d *Deployment) Epochs() map[Family]int64 { return maps.Clone(d.epochs) }

// Replaced delivers an error once another instance has taken over with other strategies: this one must stop.
func (d *Deployment) Replaced() <-chan error { return d.replaced }

// Announce tells other processes the address at which this one answers requests, host and port.
func (d *Deployment) Announce(ctx context.Context, address string) error {
	return d.client.Instance.UpdateOneID(d.id).SetAddress(address).Exec(ctx)
}

// mark tells those that share Redis that this instance lives, for longer than its heartbeat in the database does.
func (d *Deployment) mark(ctx context.Context) error {
	ttl := d.settings.Expiry + d.settings.Heartbeat
	err := d.redis.mark(ctx, d.id, ttl)
	return errors.Join(err, d.present(ctx, ttl))
}

// forget takes back what mark has told.
func (d *Deployment) forget(ctx context.Context) {
	instancesHere.Delete(d.id)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.settings.Heartbeat)
	defer cancel()
	d.redis.unmark(ctx, d.id)
	if node := d.redis.node(); node != nil {
		_ = node.HDel(ctx, instancesKey, d.id).Err() // it would end by itself
	}
}

// Leave ends the membership.
func (d *Deployment) Leave(ctx context.Context) error {
	d.stop()
	d.stopped.Wait()
	err := d.client.Instance.DeleteOneID(d.id).Exec(ctx) // first: a Redis that hangs takes all the time that there is
	_ = d.renew(ctx)                                     // so that a backup from before can be told from this end
	d.forget(ctx)
	if err != nil && !ent.IsNotFound(err) {
		return fmt.Errorf("leave the deployment: %w", err)
	}
	return nil
}

// openFamilies makes sure that each family has its row, which register locks: two instances that start at the same
// moment must see each other.
func (d *Deployment) openFamilies(ctx context.Context) error {
	for _, f := range Families {
		_, err := d.client.FamilyStrategy.Get(ctx, string(f))
		if err == nil {
			continue
		}
		if ent.IsNotFound(err) {
			err = d.client.FamilyStrategy.Create().SetID(string(f)).SetStrategy(string(d.strategies[f])).Exec(ctx)
		}
		if err != nil && !ent.IsConstraintError(err) { // a constraint error: somebody was faster
			return fmt.Errorf("register strategies: %w", err)
		}
	}
	return nil
}

func (d *Deployment) register(ctx context.Context) error {
	tx, err := d.client.Tx(ctx)
	if err != nil {
		return fmt.Errorf("register strategies: %w", err)
	}
	if err := d.registerIn(ctx, tx); err != nil {
		_ = tx.Rollback()
		return err
	}
	return tx.Commit()
}

func (d *Deployment) registerIn(ctx context.Context, tx *ent.Tx) error {
	rows, err := d.lockFamilies(ctx, tx)
	if err != nil {
		return fmt.Errorf("register strategies: %w", err)
	}
	live, err := d.live(ctx, tx.Instance.Query())
	if err != nil {
		return fmt.Errorf("register strategies: %w", err)
	}
	if err := d.redis.check(ctx, d.strategies, live); err != nil {
		return err
	}
	if err := d.meet(ctx, tx, rows, len(live) > 0); err != nil {
		return fmt.Errorf("compare Redis with the database: %w", err)
	}
	var differences []string
	d.epochs = make(map[Family]int64, len(rows))
	for _, row := range rows {
		mine := d.strategies[Family(row.ID)]
		d.epochs[Family(row.ID)] = row.Epoch
		if Strategy(row.Strategy) == mine {
			continue
		}
		others := holders(live, row.ID, row.Strategy)
		if len(others) > 0 && !d.settings.Takeover {
			differences = append(differences, fmt.Sprintf("%s is %q on %s, %q here",
				row.ID, row.Strategy, strings.Join(others, ", "), mine))
			continue
		}
		d.epochs[Family(row.ID)]++
		if err := tx.FamilyStrategy.UpdateOneID(row.ID).SetStrategy(string(mine)).SetFallback(false).
			AddEpoch(1).Exec(ctx); err != nil {
			return fmt.Errorf("register strategies: %w", err)
		}
	}
	if differences != nil {
		return fmt.Errorf("%w: %s; configure the same, stop the others, or start with --takeover",
			ErrStrategyMismatch, strings.Join(differences, "; "))
	}
	return d.row(tx.Instance).Exec(ctx)
}

// row is what the database knows of the instance.
func (d *Deployment) row(in *ent.InstanceClient) *ent.InstanceCreate {
	now := d.now()
	return in.Create().SetID(d.id).SetHost(hostAndProcess()).SetStrategies(d.redis.used(d.strategies)).
		SetStartedAt(now).SetHeartbeatAt(now)
}

// lockFamilies locks the rows of all families, and returns them.
func (d *Deployment) lockFamilies(ctx context.Context, tx *ent.Tx) ([]*ent.FamilyStrategy, error) {
	for _, f := range Families { // an update locks the row in every database, SQLite included
		if err := tx.FamilyStrategy.UpdateOneID(string(f)).SetUpdatedAt(d.now()).Exec(ctx); err != nil {
			return nil, err
		}
	}
	return tx.FamilyStrategy.Query().Order(familystrategy.ByID()).All(ctx)
}

func holders(live []*ent.Instance, family, strategy string) []string {
	var ids []string
	for _, other := range live {
		if other.Strategies[family] == strategy {
			ids = append(ids, nameOf(other))
		}
	}
	slices.Sort(ids)
	return ids
}

// AwaitReplaced waits, after a takeover, until the instances that were replaced have stopped. It waits only for those that run
// another strategy for a family whose balances this instance keeps in Redis: such an instance sells from the database until it
// notices, and Redis does not know of it. So it would accept orders that the database refuses. What it waits for goes to waiting,
// which may be nil. It returns ErrStrategyMismatch if this instance is replaced itself.
func (d *Deployment) AwaitReplaced(ctx context.Context, waiting func(others []string)) error {
	for told := false; ; {
		if err := d.current(ctx); err != nil {
			return err
		}
		others, err := d.beside(ctx)
		if err != nil {
			return fmt.Errorf("look for the instances that were replaced: %w", err)
		}
		if len(others) == 0 {
			return nil
		}
		if !told && waiting != nil {
			waiting(others)
		}
		told = true
		if err := lock.Pause(ctx, d.settings.Heartbeat/looksPerHeartbeat); err != nil {
			return err
		}
	}
}

// looksPerHeartbeat is how often AwaitReplaced looks in the time in which an instance notices that it is replaced.
const looksPerHeartbeat = 50

// beside are the live instances that write to balances which this instance keeps in Redis, and do not keep them there.
func (d *Deployment) beside(ctx context.Context) ([]string, error) {
	live, err := d.live(ctx, d.client.Instance.Query())
	if err != nil {
		return nil, err
	}
	var others []string
	for _, other := range live {
		for family, mine := range d.redis.used(d.strategies) {
			theirs, used := other.Strategies[family]
			if info, _ := Lookup(Strategy(mine)); used && theirs != mine && info.BalancesInRedis {
				others = append(others, nameOf(other))
				break
			}
		}
	}
	slices.Sort(others)
	return others, nil
}

// live are the instances that have not ended, as far as their last heartbeat tells.
func (d *Deployment) live(ctx context.Context, q *ent.InstanceQuery) ([]*ent.Instance, error) {
	live, err := q.Where(instance.HeartbeatAtGT(d.now().Add(-d.settings.Expiry))).All(ctx)
	return slices.DeleteFunc(live, ended), err
}

// nameOf is what people call an instance by.
func nameOf(i *ent.Instance) string { return i.ID + " (" + i.Host + ")" }

func (d *Deployment) beat(ctx context.Context) {
	ticker := time.NewTicker(d.settings.Heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := d.beatOnce(ctx); errors.Is(err, ErrStrategyMismatch) {
			d.replaced <- err
			return
		}
	}
}

// beatOnce renews the heartbeat and looks whether the strategies are still this instance's. A database that does not
// answer is no reason to stop: changes fail by themselves then.
func (d *Deployment) beatOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, d.settings.Heartbeat)
	defer cancel()
	defer func() { _ = d.mark(ctx) }() // a Redis that does not answer is no reason to stop either
	err := d.client.Instance.UpdateOneID(d.id).SetHeartbeatAt(d.now()).Exec(ctx)
	if ent.IsNotFound(err) { // the database was restored, or it did not hear from this instance for long
		err = d.row(d.client.Instance).Exec(ctx)
	}
	if err != nil {
		return err
	}
	if err := d.current(ctx); err != nil {
		return err
	}
	d.watchStores(ctx)
	return nil
}

// current is [ErrStrategyMismatch] if another strategy has taken a family over.
func (d *Deployment) current(ctx context.Context) error {
	rows, err := d.client.FamilyStrategy.Query().All(ctx)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if err := d.switched(row); err != nil {
			return err
		}
	}
	return nil
}

// switched is [ErrStrategyMismatch] if another strategy than this instance's has a family.
func (d *Deployment) switched(row *ent.FamilyStrategy) error {
	if mine := d.strategies[Family(row.ID)]; Strategy(row.Strategy) != mine {
		return fmt.Errorf("%w: %s was switched from %q to %q", ErrStrategyMismatch, row.ID, mine, row.Strategy)
	}
	return nil
}

// familyStrategy reads what the instances agree on for a family.
func (d *Deployment) familyStrategy(ctx context.Context, f Family) (*ent.FamilyStrategy, error) {
	row, err := d.client.FamilyStrategy.Get(ctx, string(f))
	if err != nil {
		return nil, fmt.Errorf("read the active mode of %s: %w", f, err)
	}
	return row, nil
}

// activeMode says whether a family runs on its strategy or on its fallback, and under which epoch.
type activeMode struct {
	epoch    int64
	fallback bool
}

// activeMode reads the active mode of a family. It is [ErrStrategyMismatch] if another strategy has taken the family over.
func (d *Deployment) activeMode(ctx context.Context, f Family) (activeMode, error) {
	row, err := d.familyStrategy(ctx, f)
	if err != nil {
		return activeMode{}, err
	}
	if err := d.switched(row); err != nil {
		return activeMode{}, err
	}
	return activeMode{epoch: row.Epoch, fallback: row.Fallback}, nil
}

// switchMode switches a family from its strategy to its fallback, or back, under the next epoch. If the active mode is not
// from any more, it does nothing: another instance has switched.
func (d *Deployment) switchMode(ctx context.Context, f Family, from activeMode) error {
	err := d.client.FamilyStrategy.Update().
		Where(familystrategy.ID(string(f)), familystrategy.Epoch(from.epoch)).
		SetFallback(!from.fallback).AddEpoch(1).SetUpdatedAt(d.now()).Exec(ctx)
	if err != nil {
		return fmt.Errorf("switch the active mode of %s: %w", f, err)
	}
	return nil
}

// opened tells whether an instance has opened the epoch of a mode in Redis.
func (d *Deployment) opened(ctx context.Context, f Family, mode activeMode) (bool, error) {
	row, err := d.familyStrategy(ctx, f)
	return err == nil && row.OpenedEpoch >= mode.epoch, err
}

// drained returns the first epoch of a family that may have left something in Redis which the database does not hold.
func (d *Deployment) drained(ctx context.Context, f Family) (int64, error) {
	row, err := d.familyStrategy(ctx, f)
	if err != nil {
		return 0, err
	}
	return row.DrainedEpoch, nil
}

// setDrained notes that all epochs before the given one are drained.
func (d *Deployment) setDrained(ctx context.Context, f Family, epoch int64) error {
	err := d.client.FamilyStrategy.Update().
		Where(familystrategy.ID(string(f)), familystrategy.DrainedEpochLT(epoch)).SetDrainedEpoch(epoch).Exec(ctx)
	if err != nil {
		return fmt.Errorf("note which epochs of %s are drained: %w", f, err)
	}
	return nil
}

// WhileCurrent runs a function in a transaction that has locked the family's row, if its epoch is the current one and this
// instance's strategy serves it. Otherwise the error is [redisfirst.ErrClosed]. A switch waits for the function to end, so
// what the function does comes before all that follows the switch. fresh tells the function that the database knows of no change.
func (d *Deployment) WhileCurrent(
	ctx context.Context, f Family, epoch int64, do func(ctx context.Context, fresh bool) error,
) error {
	tx, err := d.client.Tx(ctx)
	if err != nil {
		return ledger.Failure(ctx, err)
	}
	n, err := tx.FamilyStrategy.Update().
		Where(familystrategy.ID(string(f)), familystrategy.Epoch(epoch), familystrategy.Fallback(false),
			familystrategy.Strategy(string(d.strategies[f]))).
		SetOpenedEpoch(epoch).SetUpdatedAt(d.now()).Save(ctx)
	if err == nil && n == 0 {
		err = redisfirst.ErrClosed
	}
	var used bool
	if err == nil {
		used, err = tx.ChangeLog.Query().Exist(ctx)
	}
	if err == nil {
		err = do(ctx, !used)
	}
	if err != nil {
		_ = tx.Rollback()
		return ledger.Failure(ctx, err)
	}
	if err := tx.Commit(); err != nil {
		return ledger.Failure(ctx, err)
	}
	return nil
}
