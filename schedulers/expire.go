package schedulers

import (
	"context"

	"holdfast/commerce"
)

// expire ends orders that were not paid in time, and finishes what a crash left of others; see Orders.ExpireOverdue.
type expire struct {
	orders *commerce.Orders
	batch  int
}

// runOnce goes on while there is more and nothing stands in the way; after a failure the next run goes on, so that a gateway
// that is down is not asked all the time.
func (j *expire) runOnce(ctx context.Context) (Result, error) {
	result := Result{"orders": 0}
	for {
		done, err := j.orders.ExpireOverdue(ctx, j.batch)
		result["orders"] += int64(done)
		if err != nil || done < j.batch {
			return result, err
		}
	}
}
