package schedulers

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"holdfast/commerce"
)

// sweep looks payment attempts up at the gateway that nobody goes on with, and takes them to their ends; see Attempts.Sweep. Then it completes
// refunds; see Refunds.Sweep.
type sweep struct {
	attempts *commerce.Attempts
	refunds  *commerce.Refunds
	after    time.Duration
	batch    int
	metrics  *Metrics
	log      *slog.Logger
}

// runOnce looks up one batch after the other, until a batch is not full. As with orders, an attempt that cannot be ended is due again
// after a pause, and does not make the run fail.
func (j *sweep) runOnce(ctx context.Context) (Result, error) {
	result := Result{"ended": 0, "postponed": 0}
	var errs []error
	for _, batch := range []func(context.Context, time.Duration, int) (int, int, error){j.attempts.Sweep, j.refunds.Sweep} {
		for {
			ended, postponed, err := batch(ctx, j.after, j.batch)
			result["ended"] += int64(ended)
			result["postponed"] += int64(postponed)
			if err != nil || ended+postponed < j.batch {
				errs = append(errs, err)
				break
			}
		}
	}
	return result, errors.Join(errs...)
}

// observe counts the attempts and refunds that cannot be ended, as expire does with orders.
func (j *sweep) observe(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, afterRunTimeout)
	defer cancel()
	stuck, err := j.attempts.CountStuck(ctx)
	refunds, rerr := j.refunds.CountStuck(ctx)
	if err != nil || rerr != nil {
		return // the database is away: the claim of the job has said so
	}
	if before := j.metrics.stuck.Swap(int64(stuck)); int64(stuck) > before {
		j.log.WarnContext(ctx, "payment attempts cannot be ended", "attempts", stuck)
	}
	if before := j.metrics.stuckRefunds.Swap(int64(refunds)); int64(refunds) > before {
		j.log.WarnContext(ctx, "refunds cannot be completed", "refunds", refunds)
	}
}
