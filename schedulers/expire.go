package schedulers

import (
	"context"

	"holdfast/commerce"
)

// expire ends orders that were not paid in time, and finishes orders that a crash left half-done; see Orders.ExpireOverdue.
type expire struct {
	orders *commerce.Orders
	batch  int
}

// runOnce finishes one batch after the other, until a batch is not full. After a failure the next run continues, so that a
// gateway that is down is not called all the time.
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
