package graph

import (
	"context"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vikstrous/dataloadgen"

	"holdfast/auth"
	"holdfast/commerce"
	"holdfast/ent"
)

const (
	// loaderWait is how long a loader collects keys before it queries all of them at once. The
	// elements of a list arrive within some ten microseconds. A single object waits as long for
	// nothing, so the time is short.
	loaderWait = 300 * time.Microsecond
	// loaderBatch bounds the keys of one query.
	loaderBatch = 500
)

// loaders read the balances of objects and the coupons of orders for a whole list in one query.
// They cache what they read. So they live for one query, or for one field of a mutation: the next
// field must see what this one changed.
type loaders struct {
	stock    *dataloadgen.Loader[string, stockRead]
	issued   *dataloadgen.Loader[string, int64]
	balances *dataloadgen.Loader[string, int64]
	issues   *dataloadgen.Loader[string, *ent.CouponIssue]
}

type stockRead struct {
	available int64
	asOf      time.Time
}

func newLoaders(s *commerce.Services) *loaders {
	options := []dataloadgen.Option{dataloadgen.WithWait(loaderWait), dataloadgen.WithBatchCapacity(loaderBatch)}
	return &loaders{
		stock: dataloadgen.NewMappedLoader(func(ctx context.Context, ids []string) (map[string]stockRead, error) {
			asOf := time.Now() // before reading: the amount is not older than this
			amounts, err := s.Catalog.Stock(ctx, ids)
			reads := make(map[string]stockRead, len(amounts))
			for id, amount := range amounts {
				reads[id] = stockRead{available: amount, asOf: asOf}
			}
			return reads, err
		}, options...),
		issued:   dataloadgen.NewMappedLoader(s.Coupons.Issued, options...),
		balances: dataloadgen.NewMappedLoader(s.Accounts.Balances, options...),
		issues: dataloadgen.NewMappedLoader(func(ctx context.Context, ids []string) (map[string]*ent.CouponIssue, error) {
			return s.Coupons.Issues(ctx, auth.Viewer(ctx), ids) // an operation has one viewer
		}, options...),
	}
}

type loadersKey struct{}

// loadersOf returns the loaders of the context. The functions below put them there for every
// operation.
func loadersOf(ctx context.Context) *loaders {
	l, _ := ctx.Value(loadersKey{}).(*loaders)
	return l
}

// aroundOperation gives each operation loaders.
func (r *Resolver) aroundOperation(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	return next(context.WithValue(ctx, loadersKey{}, newLoaders(r.services)))
}

// aroundResponse gives each event of a subscription its own loaders: an event means that something
// has changed.
func (r *Resolver) aroundResponse(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	op := graphql.GetOperationContext(ctx)
	if op.Operation != nil && op.Operation.Operation == ast.Subscription {
		ctx = context.WithValue(ctx, loadersKey{}, newLoaders(r.services))
	}
	return next(ctx)
}

// aroundRootField gives each field of a mutation its own loaders.
func (r *Resolver) aroundRootField(ctx context.Context, next graphql.RootResolver) graphql.Marshaler {
	if graphql.GetOperationContext(ctx).Operation.Operation == ast.Mutation {
		ctx = context.WithValue(ctx, loadersKey{}, newLoaders(r.services))
	}
	return next(ctx)
}
