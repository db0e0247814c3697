package schedulers

import (
	"context"
	"log/slog"
	"time"

	"holdfast/commerce"
)

// sweep looks payment attempts up at the gateway that nobody goes on with, and takes them to their ends; see Attempts.Sweep.
type sweep struct {
	attempts *commerce.Attempts
	after    time.Duration
	batch    int
	metrics  *Metrics
	log      *slog.Logger
}

// runOnce looks up one batch after the other, until a batch is not full. As with orders, an attempt that cannot be ended is due again
// after a pause, and does not make the run fail.
func (j *sweep) runOnce(ctx context.Context) (Result, error) {
	result := Result{"ended": 0, "postponed": 0}
	for {
		ended, postponed, err := j.attempts.Sweep(ctx, j.after, j.batch)
		result["ended"] += int64(ended)
		result["postponed"] += int64(postponed)
		if err != nil || ended+postponed < j.batch {
			return result, err
		}
	}
}

// observe counts the attempts that cannot be ended, as expire does with orders.
func (j *sweep) observe(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, afterRunTimeout)
	defer cancel()
	stuck, err := j.attempts.CountStuck(ctx)
	if err != nil {
		return // the database is away: the claim of the job has said so
	}
	if before := j.metrics.stuck.Swap(int64(stuck)); int64(stuck) > before {
		j.log.WarnContext(ctx, "payment attempts cannot be ended", "attempts", stuck)
	}
}
