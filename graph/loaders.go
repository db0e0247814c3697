package graph

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/google/uuid"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vikstrous/dataloadgen"

	"holdfast/auth"
	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/graph/model"
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
	balances *dataloadgen.Loader[string, commerce.Reading] // of accounts
	wallets  *dataloadgen.Loader[string, commerce.Reading] // by the customer
	issues   *dataloadgen.Loader[string, *ent.CouponIssue]
	attempts *dataloadgen.Loader[string, []*ent.PaymentAttempt]
	refunds  *dataloadgen.Loader[string, []*ent.Refund]
	books    *dataloadgen.Loader[string, []*ent.CustomerAddress] // addresses by the customer
	products *dataloadgen.Loader[string, *ent.Product]           // off sale or not
	variants *dataloadgen.Loader[string, *ent.ProductVariant]    // off sale or not
	ranges   *dataloadgen.Loader[string, []*ent.ProductVariant]  // all variants of a product
	units    *dataloadgen.Loader[string, stockRead]              // of variants
	entries  *dataloadgen.Loader[commerce.Statement, commerce.PageOf[*ent.Entry]]
	// These are by the product.
	images     *dataloadgen.Loader[string, []*ent.ProductImage]
	featured   *dataloadgen.Loader[string, *ent.ProductImage] // nil if there is none
	categories *dataloadgen.Loader[string, []*ent.Category]
	// tree returns the categories as they were when it was called first.
	tree func(ctx context.Context) (*commerce.CategoryTree, error)
	// These load nil for what does not exist or belongs to another user.
	accounts    *dataloadgen.Loader[string, *ent.Account]
	customers   *dataloadgen.Loader[string, *ent.User]
	transfers   *dataloadgen.Loader[string, *ent.Transfer]
	orders      map[bool]*dataloadgen.Loader[string, commerce.FoundOrder] // by whether they have their lines
	holds       *dataloadgen.Loader[string, *ent.Hold]
	adjustments *dataloadgen.Loader[uuid.UUID, *ent.Adjustment]
	sources     *dataloadgen.Loader[commerce.EntryRef, string]
	// running bounds the resolvers of the operation that run at the same time; see aroundField.
	running chan struct{}
}

// resolversAtOnce bounds the resolvers of one operation that run at the same time. Chosen: an operation of many fields is hardly
// slower, and leaves connections of the pool to other customers.
const resolversAtOnce = 8

type stockRead struct {
	commerce.Reading
	asOf time.Time
}

func newLoaders(s *commerce.Services) *loaders {
	options := []dataloadgen.Option{dataloadgen.WithWait(loaderWait), dataloadgen.WithBatchCapacity(loaderBatch)}
	return &loaders{
		stock:    dataloadgen.NewMappedLoader(stockReads(s.Catalog.Stock), options...),
		units:    dataloadgen.NewMappedLoader(stockReads(s.Catalog.VariantStock), options...),
		issued:   dataloadgen.NewMappedLoader(s.Coupons.Issued, options...),
		balances: dataloadgen.NewMappedLoader(s.Accounts.Balances, options...),
		wallets:  orNone(s.Points.Balances, options),
		issues: dataloadgen.NewMappedLoader(func(ctx context.Context, ids []string) (map[string]*ent.CouponIssue, error) {
			issues, err := s.Coupons.Issues(ctx, auth.Viewer(ctx), ids) // an operation has one viewer
			var failed commerce.ErrorsByID
			if errors.As(err, &failed) {
				err = dataloadgen.MappedFetchError[string](failed)
			}
			return issues, err
		}, options...),
		attempts: dataloadgen.NewMappedLoader(func(ctx context.Context, orders []string) (map[string][]*ent.PaymentAttempt, error) {
			return s.Orders.Attempts(ctx, auth.Viewer(ctx), orders)
		}, options...),
		refunds: dataloadgen.NewMappedLoader(func(ctx context.Context, orders []string) (map[string][]*ent.Refund, error) {
			return s.Refunds.OfOrders(ctx, auth.Viewer(ctx), orders)
		}, options...),
		entries: dataloadgen.NewLoader(func(ctx context.Context, asked []commerce.Statement) ([]commerce.PageOf[*ent.Entry], []error) {
			return s.Accounts.Statements(ctx, auth.Viewer(ctx), asked)
		}, options...),
		products:    orNone(anybodys(s.Catalog.ProductsByID), options),
		variants:    orNone(anybodys(s.Catalog.VariantsByID), options),
		ranges:      orNone(anybodys(s.Catalog.VariantsOf), options),
		images:      orNone(anybodys(s.Catalog.ImagesOf), options),
		featured:    orNone(anybodys(s.Catalog.FeaturedImages), options),
		categories:  orNone(anybodys(s.Catalog.CategoriesOf), options),
		tree:        readOnce(s.Catalog.Categories),
		holds:       orNone(s.Holds.GetAll, options),
		books:       orNone(s.Customers.AddressesOf, options),
		accounts:    orNone(s.Accounts.GetAll, options),
		customers:   orNone(s.Customers.GetAll, options),
		transfers:   orNone(s.Accounts.GetTransfers, options),
		adjustments: orNone(s.Adjustments.ByChange, options),
		orders: map[bool]*dataloadgen.Loader[string, commerce.FoundOrder]{
			true: orNone(func(ctx context.Context, v commerce.Viewer, ids []string) (map[string]commerce.FoundOrder, error) {
				return s.Orders.FindAll(ctx, v, ids, true)
			}, options),
			false: orNone(func(ctx context.Context, v commerce.Viewer, ids []string) (map[string]commerce.FoundOrder, error) {
				return s.Orders.FindAll(ctx, v, ids, false)
			}, options),
		},
		sources: orNone(func(ctx context.Context, _ commerce.Viewer, refs []commerce.EntryRef) (map[commerce.EntryRef]string, error) {
			return s.Accounts.SourceIDs(ctx, refs)
		}, options),
		running: make(chan struct{}, resolversAtOnce),
	}
}

// anybodys is a function that loads the same for all viewers, as one that orNone takes.
func anybodys[Key comparable, Value any](
	load func(ctx context.Context, keys []Key) (map[Key]Value, error),
) func(ctx context.Context, _ commerce.Viewer, keys []Key) (map[Key]Value, error) {
	return func(ctx context.Context, _ commerce.Viewer, keys []Key) (map[Key]Value, error) {
		return load(ctx, keys)
	}
}

// readOnce returns a function that reads when it is called first, and returns what it has read from then on.
func readOnce[T any](read func(ctx context.Context) (T, error)) func(ctx context.Context) (T, error) {
	var (
		once  sync.Once
		value T
		err   error
	)
	return func(ctx context.Context) (T, error) {
		once.Do(func() { value, err = read(ctx) })
		return value, err
	}
}

// stockReads is a reading of stocks that says when it was made.
func stockReads(
	read func(ctx context.Context, ids []string) (map[string]commerce.Reading, error),
) func(ctx context.Context, ids []string) (map[string]stockRead, error) {
	return func(ctx context.Context, ids []string) (map[string]stockRead, error) {
		asOf := time.Now() // before reading: the amount is not older than this
		readings, err := read(ctx, ids)
		reads := make(map[string]stockRead, len(readings))
		for id, reading := range readings {
			reads[id] = stockRead{Reading: reading, asOf: asOf}
		}
		return reads, err
	}
}

// orNone returns a loader that loads the zero value for keys that load leaves out. Keys of which some may fail alone are identifiers; see
// [commerce.ErrorsByID].
func orNone[Key comparable, Value any](
	load func(ctx context.Context, v commerce.Viewer, keys []Key) (map[Key]Value, error), options []dataloadgen.Option,
) *dataloadgen.Loader[Key, Value] {
	return dataloadgen.NewLoader(func(ctx context.Context, keys []Key) ([]Value, []error) {
		found, err := load(ctx, auth.Viewer(ctx), keys)
		return each(keys, func(key Key) Value { return found[key] }), each(keys, func(key Key) error {
			id, _ := any(key).(string)
			return commerce.ErrorOf(err, id)
		})
	}, options...)
}

// orderOf loads an order for a field. Lines that are not selected are not read.
func orderOf(ctx context.Context, id string) (*model.Order, error) {
	lines := selects(graphql.GetFieldContext(ctx).Field.Selections, "lines")
	found, err := loadersOf(ctx).orders[lines].Load(ctx, id)
	return toOrderAs(found.Order, found.Persistence), err
}

// accountOf loads an account for a field.
func accountOf(ctx context.Context, id string) (*model.Account, error) {
	row, err := loadersOf(ctx).accounts.Load(ctx, id)
	return toAccount(row), err
}

// sourceOf loads what a line of a journal comes from, with the rights of the viewer.
func (r *Resolver) sourceOf(ctx context.Context, entry *model.Entry) (model.EntrySource, error) {
	l := loadersOf(ctx)
	switch entry.Kind {
	case model.EntryKindPointsAdjusted, model.EntryKindAccountAdjusted, model.EntryKindStockAdjusted:
		row, err := l.adjustments.Load(ctx, entry.ChangeID)
		if err != nil || row == nil {
			return nil, err
		}
		return toAdjustment(row), nil
	default:
	}
	id, err := l.sources.Load(ctx, commerce.EntryRef{Kind: fromEntryKind(entry.Kind), ChangeID: entry.ChangeID})
	if err != nil {
		return nil, err
	}
	switch prefix, _, _ := strings.Cut(id, "_"); prefix {
	case "ord":
		if order, err := orderOf(ctx, id); err != nil || order != nil {
			return noneIf(err, order), err
		}
	case "hold":
		if row, err := l.holds.Load(ctx, id); err != nil || row != nil {
			return noneIf(err, r.toHold(row)), err
		}
	case "tr":
		if row, err := l.transfers.Load(ctx, id); err != nil || row != nil {
			return noneIf(err, toTransfer(row)), err
		}
	case "cpi":
		row, err := l.issues.Load(ctx, id)
		if err == nil && row != nil {
			return toCouponIssue(row), nil
		}
		if !errors.Is(err, dataloadgen.ErrNotFound) {
			return nil, err
		}
	}
	return nil, nil
}

// noneIf returns nil in place of an object that could not be loaded: an interface that holds a nil pointer is not nil.
func noneIf(err error, object model.EntrySource) model.EntrySource {
	if err != nil {
		return nil
	}
	return object
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
// Every field of which the resolver asks a loader is one, except fields of Query: an operation has few of those.
var batched = map[string]bool{
	"Product.stock": true, "Product.stockHistory": true, "Product.images": true, "Product.featuredImage": true, "Product.categories": true,
	"Product.options": true, "Product.variants": true,
	"ProductVariant.stock": true, "ProductVariant.availableForSale": true, "ProductVariant.stockHistory": true,
	"OrderLine.variant": true, "RefundLine.variant": true, "HoldLine.variant": true,
	"Category.parent": true, "Category.ancestors": true, "Category.children": true, "Coupon.issued": true, "CouponIssue.order": true,
	"Account.balance": true, "Account.position": true, "Account.entries": true, "Wallet.balance": true, "Wallet.position": true,
	"Transfer.from": true, "Transfer.to": true, "Payment.account": true, "Entry.source": true,
	"Order.couponIssue": true, "Order.customer": true, "Order.paymentAttempts": true, "Order.refunds": true,
	"Hold.lines": true, "Hold.order": true, "Cart.customer": true, "Cart.order": true, "CartLine.availableForSale": true, "Customer.addresses": true, "Customer.defaultAddress": true,
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
