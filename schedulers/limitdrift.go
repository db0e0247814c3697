package schedulers

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/lockprovider"
)

// limitDrift compares what is counted of each customer's orders with the orders, and corrects what
// differs; see commerce.LimitDrifts. One balance that cannot be corrected holds up no other: the
// error of the run names it.
type limitDrift struct {
	limits  *commerce.LimitDrifts
	client  *ent.Client
	page    int
	most    int // balances that a run reads, besides those of orders that are not settled, and of reports
	metrics *Metrics
	log     *slog.Logger

	mu    sync.Mutex
	phase int    // where the next run begins: a run that is cut off has compared what is before
	after string // in the phase
}

// balancesARun bounds how many balances of the stock a run reads, besides those of orders that are
// not settled, however many customers have ordered in whatever period. It is chosen: one run of the
// hour reads all balances of most shops.
const balancesARun = 100_000

// What a balance counts.
const (
	countsPending = "pending" // orders that wait for payment
	countsHolds   = "holds"   // holds
	countsProduct = "product" // units of a product with a limit
)

func (j *limitDrift) runOnce(ctx context.Context) (Result, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	result := Result{"compared": 0, "drifts": 0, "reopened": 0}
	phases := []func(context.Context, string, int) (commerce.LimitStep, error){
		j.limits.CompareReported, j.limits.CompareUnsettled, j.limits.CompareHolds,
	}
	var errs []error
	for ; j.phase < len(phases); j.phase++ {
		for {
			done, err := phases[j.phase](ctx, j.after, j.page)
			j.note(ctx, done, result)
			errs = append(errs, done.Failed...)
			if err != nil {
				return result, errors.Join(append(errs, err)...) // the next run repeats this page
			}
			if j.after = done.Continues; j.after == "" {
				break
			}
		}
	}
	j.phase = 0 // counts keeps its place by itself
	err := j.counts(ctx, result, &errs)
	return result, errors.Join(append(errs, err)...)
}

// counts goes on where the run before has ended, on whatever instance. It ends after the last
// balance; the next run begins anew.
func (j *limitDrift) counts(ctx context.Context, result Result, failed *[]error) error {
	row, err := j.client.SchedulerJob.Get(ctx, string(LimitDrift))
	if err != nil {
		return err
	}
	for after, read := row.Position, 0; read < j.most; {
		done, err := j.limits.CompareCounts(ctx, after, min(j.page, j.most-read))
		j.note(ctx, done, result)
		*failed = append(*failed, done.Failed...)
		if err != nil {
			return err
		}
		read += done.Read
		isLast := done.Continues == "" && (read > 0 || after == "") // else the run before has ended at the last balance
		after = done.Continues
		if err := j.client.SchedulerJob.UpdateOne(row).SetPosition(after).Exec(ctx); err != nil {
			return err
		}
		if isLast {
			break
		}
	}
	return nil
}

// observe counts the balances that are wrong and could not be corrected, as expire does with orders.
func (j *limitDrift) observe(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, afterRunTimeout)
	defer cancel()
	wrong, err := j.limits.Drifting(ctx)
	if err != nil {
		return // the database is away: the claim of the job has said so
	}
	if before := j.metrics.uncorrected.Swap(int64(wrong)); int64(wrong) > before {
		j.log.WarnContext(ctx, "counts of customers' orders cannot be corrected", "balances", wrong)
	}
}

// note counts what a step has done, and tells once of each balance that was wrong.
func (j *limitDrift) note(ctx context.Context, done commerce.LimitStep, result Result) {
	result["compared"] += int64(done.Compared)
	result["drifts"] += int64(len(done.Found))
	result["reopened"] += int64(done.Reopened)
	if done.Reopened > 0 {
		j.log.WarnContext(ctx, "orders counted as waiting for payment after their end", "orders", done.Reopened)
	}
	for _, d := range done.Found {
		counts := countsPending
		switch owner, _ := lockprovider.CountOf(d.Balance); {
		case owner.Holds:
			counts = countsHolds
		case owner.VariantID != "":
			counts = countsProduct
		}
		j.metrics.limitDrifts.WithLabelValues(counts).Inc()
		j.log.WarnContext(ctx, "a count of a customer's orders differed from the orders",
			"balance", d.Balance, "counted", d.Counted, "ordered", d.Ordered)
	}
}
