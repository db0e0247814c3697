package schedulers

import (
	"context"
	"log/slog"

	"holdfast/commerce"
	"holdfast/lockprovider"
)

// limitDrift compares what is counted of each customer's orders with the orders, and corrects what differs; see commerce.LimitDrifts.
type limitDrift struct {
	limits  *commerce.LimitDrifts
	page    int
	metrics *Metrics
	log     *slog.Logger
}

// What a balance counts.
const (
	countsPending = "pending" // orders that wait for payment
	countsProduct = "product" // units of a product with a limit
)

func (j *limitDrift) runOnce(ctx context.Context) (Result, error) {
	result := Result{"compared": 0, "drifts": 0, "reopened": 0}
	for _, compare := range []func(context.Context, string, int) (commerce.LimitStep, error){j.limits.Counting, j.limits.Waiting} {
		for after := ""; ; {
			done, err := compare(ctx, after, j.page)
			j.note(ctx, done, result)
			if err != nil {
				return result, err
			}
			if after = done.Continues; after == "" {
				break
			}
		}
	}
	return result, nil
}

// note counts what a step has done, and tells of each balance that was wrong.
func (j *limitDrift) note(ctx context.Context, done commerce.LimitStep, result Result) {
	result["compared"] += int64(done.Compared)
	result["drifts"] += int64(len(done.Found))
	result["reopened"] += int64(done.Reopened)
	if done.Reopened > 0 {
		j.log.WarnContext(ctx, "orders counted as waiting for payment after their end", "orders", done.Reopened)
	}
	for _, d := range done.Found {
		counts := countsPending
		if owner, _ := lockprovider.CountOf(d.Balance); owner.ProductID != "" {
			counts = countsProduct
		}
		j.metrics.limitDrifts.WithLabelValues(counts).Inc()
		j.log.WarnContext(ctx, "a count of a customer's orders differed from the orders", "balance", d.Balance, "counted", d.Counted, "ordered", d.Ordered)
	}
}
