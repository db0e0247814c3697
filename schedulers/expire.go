package schedulers

import (
	"context"
	"errors"
	"log/slog"

	"holdfast/commerce"
)

// expire ends orders that were not paid in time, and finishes orders that a crash left half-done; see Orders.ExpireOverdue. It ends
// holds whose deadline has passed, too, which Holds.Run usually has done before.
type expire struct {
	orders  *commerce.Orders
	holds   *commerce.Holds
	batch   int
	metrics *Metrics
	log     *slog.Logger
}

// runOnce finishes one batch after the other, until a batch is not full. An order or hold that cannot be finished is not tried again in
// this run: it is due after a pause. So it does not make the run fail either; whoever wants to know looks at the metric, and at
// the order. After a failure of a store the next run continues.
func (j *expire) runOnce(ctx context.Context) (Result, error) {
	result := Result{"orders": 0, "postponed": 0, "holds": 0, "postponedHolds": 0}
	err := j.all(ctx, j.holds.ExpireOverdue, result, "holds", "postponedHolds")
	return result, errors.Join(err, j.all(ctx, j.orders.ExpireOverdue, result, "orders", "postponed"))
}

// all calls expire until it finds less than a batch.
func (j *expire) all(
	ctx context.Context, expire func(ctx context.Context, limit int) (done, failed int, err error), result Result, ended, postponed string,
) error {
	for {
		done, failed, err := expire(ctx, j.batch)
		result[ended] += int64(done)
		result[postponed] += int64(failed)
		if err != nil || done+failed < j.batch {
			return err
		}
	}
}

// observe counts the orders that cannot be finished, and the holds that cannot be ended. Each instance looks, whichever runs the job: they
// tell the same.
func (j *expire) observe(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, afterRunTimeout)
	defer cancel()
	failed, err := j.orders.CountFailed(ctx)
	stuck, herr := j.holds.CountStuck(ctx)
	if err != nil || herr != nil {
		return // the database is away: the claim of the job has said so
	}
	if before := j.metrics.failed.Swap(int64(failed)); int64(failed) > before {
		j.log.WarnContext(ctx, "orders cannot be settled", "orders", failed)
	}
	if before := j.metrics.stuckHolds.Swap(int64(stuck)); int64(stuck) > before {
		j.log.WarnContext(ctx, "holds cannot be ended", "holds", stuck)
	}
}
