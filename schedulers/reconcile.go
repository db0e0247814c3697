package schedulers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"holdfast/ent"
	"holdfast/ent/balance"
	"holdfast/ent/driftreport"
	"holdfast/lockprovider"
	"holdfast/lockprovider/ledger"
	"holdfast/lockprovider/redisfirst"
)

// reconcile compares every balance that is in Redis as well with the database, and puts Redis right where it has
// drifted: somebody wrote to it, or it lost its last moments in a crash. The database is what counts; a wrong number in Redis
// sells nothing twice, but it turns customers away, or admits them only to be refused.
//
// Most balances are at rest, and a look at both sides tells that they agree. Those with changes in flight are looked at a few
// times more, as those changes arrive. What still does not agree is either very busy or has drifted: there, the database's
// row is locked for a moment, in which the two can be told apart exactly; see redisfirst.Store.Reconcile.
type reconcile struct {
	client    *ent.Client
	ledger    *lockprovider.Ledger
	providers *lockprovider.Providers
	settings  Settings
	metrics   *Metrics
	log       *slog.Logger
	now       func() time.Time

	mu     sync.Mutex
	resume map[lockprovider.Family]string // where a run was cut off: the next one goes on there
}

func newReconcile(d Deps) *reconcile {
	return &reconcile{
		client: d.Client, ledger: d.Ledger, providers: d.Providers, settings: d.Settings, metrics: d.Metrics, log: d.Log,
		now:    microseconds(d.Now),
		resume: map[lockprovider.Family]string{},
	}
}

// What a run counts.
const (
	countBalances = "balances" // compared
	countMissing  = "missing"  // that Redis lacks: prime creates them, or the first customer
	countLocked   = "locked"   // that had to be locked to be compared
	countSkipped  = "skipped"  // that could not be compared now, such as because too much waits to be persisted
	countDrifts   = "drifts"
	countRepaired = "repaired"
)

func (j *reconcile) runOnce(ctx context.Context) (Result, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	result := Result{countBalances: 0, countMissing: 0, countLocked: 0, countSkipped: 0, countDrifts: 0, countRepaired: 0}
	var errs []error
	for family, r := range reconcilers(j.providers) {
		if err := j.family(ctx, family, r, result); err != nil {
			errs = append(errs, fmt.Errorf("reconcile %s: %w", family, err))
		}
	}
	return result, errors.Join(errs...)
}

func (j *reconcile) family(ctx context.Context, family lockprovider.Family, r lockprovider.Reconciler, result Result) error {
	began := j.now()
	if active, err := r.Active(ctx); err != nil || !active {
		return err
	}
	skipped, whole := result[countSkipped], j.resume[family] == ""
	var errs []error
	for {
		rows, err := j.client.Balance.Query().
			Where(balance.Family(string(family)), balance.IDGT(j.resume[family])).
			Order(balance.ByID()).Limit(j.settings.Page).All(ctx)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		if len(rows) == 0 {
			break
		}
		err = j.page(ctx, family, r, rows, result)
		if ctx.Err() != nil || errors.Is(err, lockprovider.ErrUnavailable) {
			return errors.Join(append(errs, err)...) // this page is compared again
		}
		if err != nil { // of single balances: the others are compared
			errs = append(errs, err)
		}
		j.resume[family] = rows[len(rows)-1].ID
	}
	delete(j.resume, family)
	if whole && errs == nil && result[countSkipped] == skipped {
		errs = append(errs, j.close(ctx, family, began))
	}
	return errors.Join(errs...)
}

// page compares one page of balances.
func (j *reconcile) page(
	ctx context.Context, family lockprovider.Family, r lockprovider.Reconciler, rows []*ent.Balance, result Result,
) error {
	result[countBalances] += int64(len(rows))
	database := make(map[string]ledger.Level, len(rows))
	for _, row := range rows {
		database[row.ID] = ledger.Level{Amount: row.Amount, Floor: row.Floor, Ceiling: row.Ceiling, Seq: row.Applied}
	}
	for look := 1; ; look++ {
		open, missing, err := differing(ctx, r, database)
		if err != nil {
			return err
		}
		if look == 1 && len(missing) > 0 {
			result[countMissing] += int64(len(missing))
			if open, err = j.withStuck(ctx, r, open, missing); err != nil {
				return err
			}
		}
		if len(open) == 0 {
			return nil
		}
		if look >= j.settings.Looks {
			return j.lockAndCompare(ctx, family, r, open, result)
		}
		if err := pause(ctx, j.settings.LookPause); err != nil {
			return err
		}
		moves := make([]lockprovider.Move, len(open))
		for i, key := range open {
			moves[i].Balance = key
		}
		if database, err = j.ledger.Levels(ctx, moves); err != nil {
			return err
		}
	}
}

// differing are the balances of which Redis says something else, and those that it does not hold. That both sides agree,
// read one after the other, is no accident: seq and applied count the same moves.
func differing(
	ctx context.Context, r lockprovider.Reconciler, database map[string]ledger.Level,
) (open, missing []string, err error) {
	keys := make([]string, 0, len(database))
	for key := range database {
		keys = append(keys, key)
	}
	redis, err := r.Levels(ctx, keys)
	if err != nil {
		return nil, nil, err
	}
	for _, key := range keys {
		switch level, ok := redis[key]; {
		case !ok:
			missing = append(missing, key)
		case level != database[key]:
			open = append(open, key)
		}
	}
	return open, missing, nil
}

// withStuck adds the missing balances that are said to have changes in flight. If that is wrong, nothing ever creates them.
func (j *reconcile) withStuck(ctx context.Context, r lockprovider.Reconciler, open, missing []string) ([]string, error) {
	inFlight, err := r.InFlight(ctx)
	for _, key := range missing {
		if inFlight[key] > 0 {
			open = append(open, key)
		}
	}
	return open, err
}

// lockAndCompare compares balances one by one, and repairs and reports what has drifted.
func (j *reconcile) lockAndCompare(
	ctx context.Context, family lockprovider.Family, r lockprovider.Reconciler, keys []string, result Result,
) error {
	var errs []error
	for _, key := range keys {
		result[countLocked]++
		err := j.compare(ctx, family, r, key, result)
		if ctx.Err() != nil || errors.Is(err, lockprovider.ErrUnavailable) {
			return errors.Join(append(errs, err)...) // the others will fare no better
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("balance %s: %w", key, err))
		}
	}
	return errors.Join(errs...)
}

func (j *reconcile) compare(
	ctx context.Context, family lockprovider.Family, r lockprovider.Reconciler, key string, result Result,
) error {
	bounded, cancel := context.WithTimeout(ctx, j.settings.Freeze)
	defer cancel()
	c, err := r.Reconcile(bounded, key)
	late := errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil
	if late || errors.Is(err, redisfirst.ErrBacklogLong) || errors.Is(err, redisfirst.ErrNotActive) {
		j.log.InfoContext(ctx, "balance not compared", "balance", key, "reason", err)
		result[countSkipped]++
		return nil
	}
	if !c.Drifted() {
		return err
	}
	result[countDrifts]++
	if c.Repaired {
		result[countRepaired]++
	}
	j.metrics.drift(family, c.Repaired)
	j.log.WarnContext(ctx, "redis had drifted from the database", "balance", key, "redis", c.Redis, "database", c.Database,
		"in_flight", c.InFlight, "expected", c.Expected, "repaired", c.Repaired)
	return errors.Join(err, j.report(ctx, family, c))
}

// report keeps one row a balance for as long as it is not repaired.
func (j *reconcile) report(ctx context.Context, family lockprovider.Family, c lockprovider.Comparison) error {
	n, err := j.client.DriftReport.Update().
		Where(driftreport.Repaired(false), driftreport.Family(string(family)), driftreport.Balance(c.Balance)).
		SetRedisAmount(c.Redis.Amount).SetRedisSeq(c.Redis.Seq).
		SetDatabaseAmount(c.Database.Amount).SetDatabaseApplied(c.Database.Seq).
		SetExpectedAmount(c.Expected.Amount).SetInFlight(c.InFlight).SetRepaired(c.Repaired).SetSeenAt(j.now()).Save(ctx)
	if err != nil || n > 0 {
		return err
	}
	return j.client.DriftReport.Create().SetFamily(string(family)).SetBalance(c.Balance).
		SetRedisAmount(c.Redis.Amount).SetRedisSeq(c.Redis.Seq).
		SetDatabaseAmount(c.Database.Amount).SetDatabaseApplied(c.Database.Seq).
		SetExpectedAmount(c.Expected.Amount).SetInFlight(c.InFlight).SetRepaired(c.Repaired).SetSeenAt(j.now()).Exec(ctx)
}

// close marks what earlier runs could not repair and this one, which has compared everything, found in order.
func (j *reconcile) close(ctx context.Context, family lockprovider.Family, began time.Time) error {
	return j.client.DriftReport.Update().
		Where(driftreport.Repaired(false), driftreport.Family(string(family)), driftreport.SeenAtLT(began)).
		SetRepaired(true).Exec(ctx)
}

// pause waits, or returns ctx.Err() where the context ends first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
