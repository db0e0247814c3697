// Package commerce holds the business rules: what may be ordered, issued, charged and transferred, by whom, and what
// has to be given back when a later step fails. Services describe their effect on contended numbers as a
// [lockprovider.Change] and leave it to the family's provider to execute it safely.
package commerce

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"holdfast/config/setting"
	"holdfast/ent"
	"holdfast/lockprovider"
	"holdfast/lockprovider/ledger"
	"holdfast/payments"
)

// Deps is what the services work with.
type Deps struct {
	Client    *ent.Client
	Ledger    *lockprovider.Ledger
	Providers *lockprovider.Providers
	Gateway   payments.Gateway // nil for none
	Shop      ShopSettings
	Payment   PaymentSettings
	// TakesNoMoney says that the gateway is for rehearsals: card payments are simulated.
	TakesNoMoney bool
	// Now is the clock of all instances, such as that of their database; nil means time.Now.
	Now func() time.Time
}

// ShopSettings are the bounds of the shop.
type ShopSettings struct {
	// Currency is that of prices and of payments by points: three upper-case letters (ISO 4217). One point is worth one minor
	// unit of it.
	Currency string `key:"currency" default:"USD"`
	// Reservation is how long an unpaid order keeps its stock.
	Reservation time.Duration `key:"reservation" default:"15m" min:"1s" max:"168h"`
	// MaxLines is how many products one order or cart may have. Each takes up to two moves of the change: stock, and the limit of the customer.
	// The cost of the lines of an order or cart is counted as if none had more, and the API shows no more of them: lower it only while none has.
	MaxLines int `key:"maxLines" default:"50" min:"1" max:"100"`
	// MaxPending is how many orders that wait for payment one customer may have at a time, so that nobody keeps the stock from others without
	// paying. Every order counts from its placement until it is paid or has ended. 0 means any number. A shop that sells what is scarce sets it, to 10
	// for example; it costs one more change for each order.
	MaxPending int64 `key:"maxPending" default:"0" min:"0" max:"1000000"`
	// MaxHolds is how many holds one customer may have at a time.
	MaxHolds int64 `key:"maxHolds" default:"5" min:"1" max:"1000"`
	// MaxHold is how long a hold lasts at most, all of its extensions included. A customer may hold the same again after that: limitPerCustomer of a product bounds
	// what one customer keeps from others.
	MaxHold time.Duration `key:"maxHold" default:"30m" min:"1s" max:"168h"`
	// MaxCarts is how many open carts one customer may have. When there is another one, the one that was not changed for longest is deleted.
	// 0 means any number.
	MaxCarts int `key:"maxCarts" default:"20" min:"0" max:"1000"`
	// MaxQuantity is the largest quantity of one order line. maxLines × maxQuantity is at most 90000: the dearest order still adds
	// up in 64 bits.
	MaxQuantity int64 `key:"maxQuantity" default:"1000" min:"1" max:"90000"`
	// MaxAccounts is how many accounts one customer may have. The cost of a list of accounts is counted as if nobody had more: lower it
	// only while nobody has.
	MaxAccounts int `key:"maxAccounts" default:"20" min:"1" max:"200"`
	// MaxAddresses is how many addresses one customer may keep. The cost of a list of addresses is counted as if nobody had more: lower it
	// only while nobody has.
	MaxAddresses int `key:"maxAddresses" default:"20" min:"1" max:"100"`
}

// PaymentSettings say how customers may pay, and bound the calls of the payment gateway.
type PaymentSettings struct {
	// Methods are the payment methods that the shop takes, separated by commas: POINTS, ACCOUNT, CARD. CARD, by which points are
	// bought as well, needs a gateway. If it is empty, nothing can be paid.
	Methods PaymentMethods `key:"methods" default:"POINTS,ACCOUNT,CARD" production:""`
	// Gateway is what takes card payments. The simulated one takes no money: whoever pays by it gets the goods for nothing. The
	// profile production refuses it unless payment.allowSimulated is true. stripe needs the settings of payment.stripe.
	Gateway string `key:"gateway" default:"simulated" production:"none" oneof:"none simulated stripe"`
	// AllowSimulated lets the profile production run with the simulated gateway, or with a test key of Stripe, for a rehearsal without
	// real goods. The log, /readyz and the API then say that payments are simulated.
	AllowSimulated bool `key:"allowSimulated"`
	// PointsPrice is what customers pay for 100 points, in minor units of shop.currency. What a purchase costs is rounded up.
	PointsPrice int64 `key:"pointsPrice" default:"100" min:"1" max:"10000"`
	// Timeout bounds one call of the gateway.
	Timeout time.Duration `key:"timeout" default:"5s" min:"1ms" max:"5m"`
}

// Services are all services of the shop.
type Services struct {
	Catalog   *Catalog
	Coupons   *Coupons
	Points    *Points
	Accounts  *Accounts
	Orders    *Orders
	Customers *Customers
	Carts     *Carts
	Holds     *Holds
	// Adjustments are the corrections by hand.
	Adjustments *Adjustments
	// Payments are the ways to pay.
	Payments *Payments
	// Attempts are the payments by card that are under way.
	Attempts *Attempts
	// Refunds are what administrators give back of paid orders.
	Refunds *Refunds
	// Drifts compares the payments of the gateway with those of the shop.
	Drifts *PaymentDrifts
	// LimitDrifts compares what is counted of the orders of a customer with the orders.
	LimitDrifts *LimitDrifts

	shop ShopSettings
}

// New wires the services.
func New(d Deps) *Services {
	if d.Now == nil {
		d.Now = time.Now
	}
	setting.Fill(&d.Shop)
	if d.Gateway == nil {
		d.Gateway = noGateway{}
	}
	c := &core{Deps: d}
	customers := newCustomers(c)
	catalog := &Catalog{core: c, documents: newSearchDocuments()}
	points := &Points{core: c, customers: customers}
	orders := &Orders{core: c, catalog: catalog, customers: customers, served: make(chan string, maxServed)}
	return &Services{
		Catalog:  catalog,
		Coupons:  &Coupons{core: c, customers: customers},
		Points:   points,
		Accounts: &Accounts{core: c, customers: customers},
		Orders:   orders,
		Attempts: &Attempts{core: c, orders: orders, points: points},
		Refunds:  &Refunds{core: c, orders: orders},
		Drifts:   &PaymentDrifts{core: c},
		Carts:    &Carts{core: c, catalog: catalog, customers: customers, orders: orders},
		Holds:    &Holds{core: c, catalog: catalog, customers: customers, orders: orders},

		LimitDrifts: &LimitDrifts{core: c}, Customers: customers, Adjustments: &Adjustments{core: c}, Payments: &Payments{core: c}, shop: d.Shop,
	}
}

// Shop is what customers may do.
func (s *Services) Shop() ShopSettings { return s.shop }

// core is what the services share.
type core struct{ Deps }

func (c *core) now() time.Time { return c.Now().UTC().Truncate(time.Microsecond) }

// Meta tells how a contended operation went.
type Meta struct {
	Strategy lockprovider.Strategy
	Attempts int
	Waited   time.Duration
	Replayed bool
	// Persistence is "" if nothing was done.
	Persistence Persistence
	// Positions are the numbers of the moves in their balances, by key, of what the database has confirmed.
	Positions map[string]int64
}

// Reading is a balance as it was read: its amount, and how many moves that includes.
type Reading = ledger.Reading

// execute hands a change to its family's provider and translates the refusals into the shop's words.
func (c *core) execute(ctx context.Context, change lockprovider.Change) (lockprovider.Receipt, error) {
	receipt, err := c.Providers.For(change.Family).Execute(ctx, change)
	return receipt, translate(err, receipt)
}

func metaOf(r lockprovider.Receipt) Meta {
	return Meta{
		Strategy: r.Strategy, Attempts: r.Attempts, Waited: r.Waited, Replayed: r.Replayed, Persistence: persistenceOf(r),
		Positions: r.Positions,
	}
}

// replayed returns the receipt of an operation that has been done before under the same key.
func (c *core) replayed(ctx context.Context, id uuid.UUID, kind, fingerprint string) (lockprovider.Receipt, bool, error) {
	receipt, found, err := c.Ledger.Replay(ctx, lockprovider.Change{
		ID: id, Record: lockprovider.Record{Kind: kind, Fingerprint: fingerprint},
	})
	return receipt, found, translate(err, receipt)
}

// repeated is replayed for an operation that a strategy may have taken over: if the database does not have it yet, repeated waits for that.
func (c *core) repeated(
	ctx context.Context, family lockprovider.Family, id uuid.UUID, kind, fingerprint string,
) (receipt lockprovider.Receipt, found bool, err error) {
	if receipt, found, err = c.replayed(ctx, id, kind, fingerprint); err != nil || found {
		return receipt, found, err
	}
	held, err := c.await(ctx, family, id)
	if err != nil || !held {
		return receipt, false, err
	}
	return c.replayed(ctx, id, kind, fingerprint)
}

// replayedOr returns err unless the operation has been done before, see repeated: what was valid then (a coupon, an archived product)
// need not be valid now.
func (c *core) replayedOr(
	ctx context.Context, family lockprovider.Family, id uuid.UUID, kind, fingerprint string, err error,
) (lockprovider.Receipt, error) {
	receipt, found, rerr := c.repeated(ctx, family, id, kind, fingerprint)
	if rerr != nil || found {
		return receipt, rerr
	}
	return receipt, err
}

// await waits until the database has decided on a change that a strategy has taken over, and reports whether the database
// holds the change. The error is UNAVAILABLE if that takes too long. It does not wait for a change that nobody knows of.
func (c *core) await(ctx context.Context, family lockprovider.Family, id uuid.UUID) (held bool, err error) {
	awaiter, ok := lockprovider.As[lockprovider.Awaiter](c.Providers.For(family))
	if !ok {
		return false, nil
	}
	held, err = awaiter.Await(ctx, id)
	switch {
	case errors.Is(err, lockprovider.ErrUnknown):
		return false, notConfirmed(err)
	case lockprovider.EffectOf(err) == lockprovider.EffectRefused:
		return false, nil
	}
	return held, translate(err, lockprovider.Receipt{})
}

// awaited returns what load finds, or nil. If the database does not hold the object, and it is one that a change of the
// family makes, awaited waits for a change that was accepted, and then loads again.
func awaited[T any](
	ctx context.Context, c *core, family lockprovider.Family, prefix, id string, load func(ctx context.Context) (*T, error),
) (*T, error) {
	row, err := orNil(load(ctx))
	change, ok := uuidOf(prefix, id)
	if err != nil || row != nil || !ok {
		return row, err
	}
	if held, err := c.await(ctx, family, change); err != nil || !held {
		return nil, err
	}
	return orNil(load(ctx))
}

// allAwaited calls load with IDs. It calls load once more with those of them that load did not find, and that name objects of changes
// which a strategy had accepted. load returns the IDs that it found. If it is not known of some what becomes of their changes, the error
// is [ErrorsByID] of these, and the others are loaded.
func allAwaited(
	ctx context.Context, c *core, family lockprovider.Family, prefix string, ids []string,
	load func(ctx context.Context, ids []string) (found []string, err error),
) error {
	found, err := load(ctx, ids)
	if err != nil {
		return err
	}
	if _, waits := lockprovider.As[lockprovider.Awaiter](c.Providers.For(family)); !waits {
		return nil
	}
	missing := slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		_, ok := uuidOf(prefix, id)
		return !ok || slices.Contains(found, id)
	})
	// All at the same time: several that are not decided take no longer than one.
	held, failed := Each(len(missing), missing, func(id string) (bool, error) {
		change, _ := uuidOf(prefix, id)
		return c.await(ctx, family, change)
	})
	maps.DeleteFunc(held, func(_ string, isHeld bool) bool { return !isHeld })
	if len(held) > 0 {
		if _, err = load(ctx, slices.Sorted(maps.Keys(held))); err != nil {
			return err
		}
	}
	return failed
}

// rowWait is how long a statement waits for rows that another transaction has locked, if its caller has no shorter bound. Chosen: other
// transactions that write products have them for milliseconds. One that has them for longer is of an instance that is frozen, and the
// answer is to come within http.requestTimeout.
const rowWait = 5 * time.Second

// lockRows has a statement wait for rows for rowWait at most. After that, the error is [lockprovider.ErrLockTimeout], and the transaction is
// rolled back: nothing of it is ever committed. On MySQL and MariaDB, the server may wait for the row for some seconds more, up to
// innodb_lock_wait_timeout, and has the rows of the transaction locked as long: its driver closes the connection, which the server notices
// after the statement. SQLite has a bound of its own for writers.
func lockRows[T any](ctx context.Context, statement func(ctx context.Context) (T, error)) (T, error) {
	waiting, stop := context.WithTimeoutCause(ctx, rowWait, lockprovider.ErrLockTimeout)
	defer stop()
	result, err := statement(waiting)
	if err != nil && ctx.Err() == nil {
		err = ledger.Failure(waiting, err)
	}
	return result, err
}

// inTx runs f in a transaction of its own, for writes that move no existing balance. If the database aborts the
// transaction, as in a deadlock, f runs again.
func (c *core) inTx(ctx context.Context, f func(tx *ent.Tx) error) error {
	_, err := c.Ledger.Run(ctx, "", func(tx *ledger.Tx) error { return f(tx.Ent) })
	return translate(err, lockprovider.Receipt{})
}

// is selects rows by a column that is true or false. It compares the column with a literal: for a column alone, or for NOT, SQLite takes no
// index, and one that has a condition only where a query has the same words.
func is(column string, value bool) func(*sql.Selector) {
	return func(q *sql.Selector) { q.Where(sql.ExprP(q.C(column) + " = " + strconv.FormatBool(value))) }
}

// longAgo is before every time that a row has. A time that may be null is compared with it where an index is to be taken: SQLite takes none
// for IS NOT NULL.
var longAgo = time.Unix(0, 0).UTC()
