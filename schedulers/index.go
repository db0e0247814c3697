package schedulers

import (
	"context"

	"holdfast/commerce"
)

// index makes the search documents of products that lack theirs: see Catalog.IndexProducts.
type index struct {
	catalog *commerce.Catalog
	batch   int
}

// runOnce looks at all products once. Each batch is a transaction of its own, so that a run that is cut off has done its part, and
// no order waits for the products of a batch for long.
func (j *index) runOnce(ctx context.Context) (Result, error) {
	result := Result{"products": 0}
	for after := ""; ; {
		last, indexed, err := j.catalog.IndexProducts(ctx, after, j.batch)
		result["products"] += int64(indexed)
		if err != nil || last == "" {
			return result, err
		}
		after = last
	}
}
