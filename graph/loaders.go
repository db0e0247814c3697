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
	attempts *dataloadgen.Loader[string, []*ent.PaymentAttempt]
	entries  *dataloadgen.Loader[commerce.Statement, commerce.PageOf[*ent.Entry]]
	// running bounds the resolvers of the operation that run at the same time; see aroundField.
	running chan struct{}
}

// resolversAtOnce bounds the resolvers of one operation that run at the same time. Chosen: an operation of many fields is hardly
// slower, and leaves connections of the pool to other customers.
const resolversAtOnce = 8

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
		attempts: dataloadgen.NewMappedLoader(func(ctx context.Context, orders []string) (map[string][]*ent.PaymentAttempt, error) {
			return s.Orders.Attempts(ctx, auth.Viewer(ctx), orders)
		}, options...),
		entries: dataloadgen.NewLoader(func(ctx context.Context, asked []commerce.Statement) ([]commerce.PageOf[*ent.Entry], []error) {
			return s.Accounts.Statements(ctx, auth.Viewer(ctx), asked)
		}, options...),
		running: make(chan struct{}, resolversAtOnce),
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

// batched are the fields whose resolvers wait for each other, so that a loader can ask for all of them at once. They are not counted:
// if some had to wait for the others, each loader would ask several times.
var batched = map[string]bool{
	"Product.stock": true, "Coupon.issued": true, "Account.balance": true, "Account.entries": true, "Order.couponIssue": true,
}

// aroundField bounds how many resolvers of an operation run at the same time. A resolver has returned before those of its fields
// run, so none waits for another with its place taken.
func (r *Resolver) aroundField(ctx context.Context, next graphql.Resolver) (any, error) {
	field, l := graphql.GetFieldContext(ctx), loadersOf(ctx)
	if !field.IsResolver || l == nil || batched[field.Object+"."+field.Field.Name] {
		return next(ctx)
	}
	select {
	case l.running <- struct{}{}:
		defer func() { <-l.running }()
		return next(ctx)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// aroundRootField gives each field of a mutation its own loaders.
func (r *Resolver) aroundRootField(ctx context.Context, next graphql.RootResolver) graphql.Marshaler {
	if graphql.GetOperationContext(ctx).Operation.Operation == ast.Mutation {
		ctx = context.WithValue(ctx, loadersKey{}, newLoaders(r.services))
	}
	return next(ctx)
}
