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
	"holdfast/lockprovider/lock"
	"holdfast/lockprovider/redisfirst"
)

// reconcile compares every balance in Redis with the database, and repairs balances that have drifted: somebody wrote to
// Redis, or Redis lost its last moments in a crash. The database is right. A wrong number in Redis sells nothing twice, but it
// turns customers away, or admits changes that the database then refuses.
//
// Most balances are at rest, and one look at both sides shows that they agree. reconcile looks a few times more at those with
// changes in flight, until these changes have arrived. A balance that still differs is either very busy or has drifted. To
// tell which, reconcile locks the row of the database for a moment; see redisfirst.Store.Reconcile.
//
// It goes through the balances in the order of their keys and begins again after the last. So no balance waits for another: one
// that cannot be compared is skipped, or named in the error of the run.
type reconcile struct {
	client    *ent.Client
	ledger    *lockprovider.Ledger
	providers *lockprovider.Providers
	settings  Settings
	metrics   *Metrics
	log       *slog.Logger
	now       func() time.Time

	mu     sync.Mutex
	resume map[lockprovider.Family]string // the last key that a run compared before it was cut off; the next run continues there
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
	countMissing  = "missing"  // not in Redis: prime creates them, or the first change
	countLocked   = "locked"   // locked to be compared
	countSkipped  = "skipped"  // not compared, for example because too many changes wait to be persisted
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
		if err != nil { // it is about single balances; the others have been compared
			errs = append(errs, err)
		}
		j.resume[family] = rows[len(rows)-1].ID
	}
	delete(j.resume, family)
	if whole && errs == nil && result[countSkipped] == skipped {
		errs = append(errs, j.closeReports(ctx, family, began))
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
	var unreadable error
	for look := 1; ; look++ {
		differing, missing, err := compareLevels(ctx, r, database)
		if errors.Is(err, redisfirst.ErrUnreadable) { // it says nothing about the others
			unreadable, err = errors.Join(unreadable, err), nil
		}
		if err != nil {
			return err
		}
		if look == 1 && len(missing) > 0 {
			result[countMissing] += int64(len(missing))
			if differing, err = j.withStuck(ctx, r, differing, missing); err != nil {
				return err
			}
		}
		if len(differing) == 0 {
			return unreadable
		}
		if look >= j.settings.Looks {
			return errors.Join(unreadable, j.lockAndCompare(ctx, family, r, differing, result))
		}
		if err := lock.Pause(ctx, j.settings.LookPause); err != nil {
			return err
		}
		moves := make([]lockprovider.Move, len(differing))
		for i, key := range differing {
			moves[i].Balance = key
		}
		if database, err = j.ledger.Levels(ctx, moves); err != nil {
			return err
		}
	}
}

// compareLevels returns the balances that differ in Redis, and those that Redis does not hold. If both sides agree although they
// were read one after the other, that is no accident: seq and applied count the same moves. A balance that cannot be read counts
// as missing; the error names it, and is [redisfirst.ErrUnreadable].
func compareLevels(
	ctx context.Context, r lockprovider.Reconciler, database map[string]ledger.Level,
) (differing, missing []string, err error) {
	keys := make([]string, 0, len(database))
	for key := range database {
		keys = append(keys, key)
	}
	redis, err := r.Levels(ctx, keys)
	if err != nil && !errors.Is(err, redisfirst.ErrUnreadable) {
		return nil, nil, err
	}
	for _, key := range keys {
		switch level, ok := redis[key]; {
		case !ok:
			missing = append(missing, key)
		case level != database[key]:
			differing = append(differing, key)
		}
	}
	return differing, missing, err
}

// withStuck adds the missing balances that Redis counts changes in flight for. If that count is wrong, nothing else ever creates
// these balances.
func (j *reconcile) withStuck(ctx context.Context, r lockprovider.Reconciler, differing, missing []string) ([]string, error) {
	inFlight, err := r.InFlight(ctx)
	for _, key := range missing {
		if inFlight[key] > 0 {
			differing = append(differing, key)
		}
	}
	return differing, err
}

// lockAndCompare locks and compares balances one by one. It repairs and reports those that have drifted.
func (j *reconcile) lockAndCompare(
	ctx context.Context, family lockprovider.Family, r lockprovider.Reconciler, keys []string, result Result,
) error {
	var errs []error
	for _, key := range keys {
		result[countLocked]++
		err := j.compare(ctx, family, r, key, result)
		if ctx.Err() != nil || errors.Is(err, lockprovider.ErrUnavailable) {
			return errors.Join(append(errs, err)...) // the others would fail as well
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

// report writes a drift report. A balance has one report until it is repaired.
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

// closeReports marks reports of earlier runs as repaired. This run has compared every balance, and did not report these again.
func (j *reconcile) closeReports(ctx context.Context, family lockprovider.Family, began time.Time) error {
	return j.client.DriftReport.Update().
		Where(driftreport.Repaired(false), driftreport.Family(string(family)), driftreport.SeenAtLT(began)).
		SetRepaired(true).Exec(ctx)
}
