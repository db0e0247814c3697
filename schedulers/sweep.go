package schedulers

import "context"

// sweep publishes changes that were left unpublished.
type sweep func(ctx context.Context) error

func (j sweep) runOnce(ctx context.Context) (Result, error) { return Result{}, j(ctx) }
