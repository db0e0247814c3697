package commerce

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"holdfast/ent"
	"holdfast/ent/cart"
	"holdfast/ent/order"
	"holdfast/ent/schema"
	"holdfast/lockprovider"
)

// A cart says what somebody means to buy. It promises nothing: prices and stock are looked up when
// it is shown and when it is checked out.
//
// The ID of a cart is a secret: a guest has nothing else. The database has its SHA-256, by which
// the cart is found, so that nobody who reads the database has a cart. As soon as a customer who
// has signed in changes the cart, or checks it out, it belongs to the customer: the secret is worth
// nothing to anybody else from then on.
//
// A cart is checked out once. The change that places its order has an ID made of the cart: whoever
// checks it out, however often and under whatever keys, places one order.

// Carts keeps what customers and guests mean to buy.
type Carts struct {
	*core
	catalog   *Catalog
	customers *Customers
	orders    *Orders
}

// Cart is a cart with its variants as they are now.
type Cart struct {
	ID         string // the secret, as the caller has given it
	CustomerID string // "" for a guest's
	OrderID    string // the order that it was checked out to, or ""
	Lines      []PricedLine
	// SubtotalMinor is the sum of the lines whose variants are on sale, in minor units of the
	// shop's currency.
	SubtotalMinor int64
	// TotalQuantity is the sum of the quantities of these lines.
	TotalQuantity        int64
	CreatedAt, UpdatedAt time.Time
}

// PricedLine is a line of a cart.
type PricedLine struct {
	Variant  *ent.ProductVariant // with its product
	Quantity int64
}

// cartSecretBytes is how many random bytes the ID of a cart has: 160 bits, which fill its
// characters, and are more than anybody can guess.
const cartSecretBytes = 20

func newCartID() string {
	secret := make([]byte, cartSecretBytes)
	_, _ = rand.Read(secret) // never fails: see crypto/rand
	return prefixCart + IDEncoding.EncodeToString(secret)
}

// cartKey is what the database knows a cart by.
func cartKey(id string) string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:])
}

// mayUse reports whether a viewer who knows the secret of a cart may use the cart.
func (v Viewer) mayUse(row *ent.Cart) bool { return row.UserID == nil || v.owns(*row.UserID) }

// noCart is the answer to everybody but those who may use a cart. It does not repeat the secret.
func noCart() *Error {
	return &Error{Code: NotFound, Field: input("cartId"), Message: "the cart does not exist, or belongs to somebody else"}
}

// usable returns the cart that was read if the viewer may use it, else NOT_FOUND.
func usable(v Viewer, row *ent.Cart, err error) (*ent.Cart, error) {
	row, err = orNil(row, err)
	if err == nil && (row == nil || !v.mayUse(row)) {
		return nil, noCart()
	}
	return row, err
}

// Get returns a cart, or nil if there is none or it belongs to somebody else.
func (s *Carts) Get(ctx context.Context, v Viewer, id string) (*Cart, error) {
	row, err := orNil(s.Client.Cart.Get(ctx, cartKey(id)))
	if err != nil || row == nil || !v.mayUse(row) {
		return nil, err
	}
	return s.price(ctx, id, row)
}

// price looks up what a cart costs now.
func (s *Carts) price(ctx context.Context, id string, row *ent.Cart) (*Cart, error) {
	c := &Cart{
		ID: id, CustomerID: deref(row.UserID), OrderID: deref(row.OrderID), CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt,
	}
	if len(row.Lines) == 0 {
		return c, nil
	}
	ids := make([]string, len(row.Lines))
	for i, l := range row.Lines {
		ids[i] = l.VariantID
	}
	known, err := s.catalog.shared(ctx, ids, nil)
	if err != nil {
		return nil, err
	}
	for _, l := range row.Lines {
		variant := known.byID[l.VariantID]
		if variant == nil { // variants are not deleted
			continue
		}
		c.Lines = append(c.Lines, PricedLine{Variant: variant, Quantity: l.Quantity})
		if onSale(variant) {
			c.SubtotalMinor += LineTotal(variant.PriceMinor, l.Quantity)
			c.TotalQuantity += l.Quantity
		}
	}
	return c, nil
}

func linesOf(row *ent.Cart) []Line {
	lines := make([]Line, len(row.Lines))
	for i, l := range row.Lines {
		lines[i] = Line{VariantID: l.VariantID, Quantity: l.Quantity}
	}
	return lines
}

// Preview returns what a coupon of the viewer would take off a cart now, and what its order would
// cost then, in minor units. Nothing is spent. Errors: those that [Carts.Checkout] would have
// before it reserves the stock, and INVALID_STATE if the cart was checked out.
func (s *Carts) Preview(ctx context.Context, v Viewer, c *Cart, couponIssueID string) (discount, total int64, err error) {
	if err := v.customer(); err != nil {
		return 0, 0, err
	}
	if c.OrderID != "" {
		if row, _, err := s.orders.Find(ctx, v, c.OrderID); err != nil || row != nil {
			return 0, 0, cmp.Or[error](err, cartCheckedOut())
		}
	}
	in := PlaceOrder{CouponIssueID: couponIssueID}
	for _, l := range c.Lines {
		in.Lines = append(in.Lines, Line{VariantID: l.Variant.ID, Quantity: l.Quantity})
	}
	d, err := s.orders.draft(ctx, v, in, uuid.Nil, "")
	if err != nil {
		return 0, 0, nameCart(err)
	}
	return d.payload.DiscountMinor, d.payload.TotalMinor, nil
}

// Create makes a cart. That of a customer who has signed in is the customer's. There is no key: a
// repeat makes another one, which nobody uses, and which is deleted with those that nobody touches.
// Errors: INVALID_INPUT, NOT_FOUND of a product.
func (s *Carts) Create(ctx context.Context, v Viewer, lines []Line) (*Cart, error) {
	return s.create(ctx, v, newCartID(), lines)
}

func (s *Carts) create(ctx context.Context, v Viewer, id string, lines []Line) (*Cart, error) {
	if err := s.ensure(ctx, v); err != nil {
		return nil, err
	}
	row := &ent.Cart{}
	if len(lines) > 0 {
		resolved, err := s.resolve(ctx, lines)
		if err != nil {
			return nil, err
		}
		if err := s.add(row, resolved); err != nil {
			return nil, err
		}
	}
	create := s.Client.Cart.Create().SetID(cartKey(id)).SetLines(orEmpty(row.Lines)).SetCreatedAt(s.now()).SetUpdatedAt(s.now())
	if v.UserID != "" {
		create.SetUserID(v.UserID)
	}
	row, err := create.Save(ctx)
	if err == nil {
		err = s.bound(ctx, v, row.ID)
	}
	if err != nil {
		return nil, err
	}
	return s.price(ctx, id, row)
}

// cartsDeleted is how many carts of a customer are deleted at a time. More are left to the next cart.
const cartsDeleted = 100

// bound deletes the open carts of a customer, beside the one that has just become the customer's, that are more than shop.maxCarts, those
// first that were not changed for longest. A cart that is being checked out, or is changed meanwhile, stays.
func (s *Carts) bound(ctx context.Context, v Viewer, newest string) error {
	if v.UserID == "" || s.Shop.MaxCarts == 0 {
		return nil
	}
	open := cart.And(cart.UserID(v.UserID), cart.OrderIDIsNil(), cart.IDNEQ(newest))
	old, err := s.Client.Cart.Query().Where(open).Order(cart.ByUpdatedAt(sql.OrderDesc()), cart.ByID()).
		Offset(s.Shop.MaxCarts-1).Limit(cartsDeleted).Select(cart.FieldID, cart.FieldUpdatedAt).All(ctx)
	if err != nil || len(old) == 0 {
		return err
	}
	ids := make([]string, len(old))
	for i, row := range old {
		ids[i] = row.ID
	}
	_, err = s.Client.Cart.Delete().Where(open, cart.IDIn(ids...), cart.UpdatedAtLTE(old[0].UpdatedAt)).Exec(ctx)
	return err
}

// ensure makes sure that a viewer who has signed in has a row.
func (s *Carts) ensure(ctx context.Context, v Viewer) error {
	if v.UserID == "" {
		return nil
	}
	return s.customers.ensure(ctx, v)
}

// ChangeCart names the lines of a cart that are to be added or changed.
type ChangeCart struct {
	Key    uuid.UUID // the nil UUID for none
	CartID string    `json:"-"` // the key is that of the cart
	Lines  []Line
}

// AddLines puts products into a cart, more of them if they are there. Errors: NOT_FOUND of the cart
// or of a product, INVALID_INPUT, INVALID_STATE if the cart was checked out, IDEMPOTENCY_MISMATCH.
func (s *Carts) AddLines(ctx context.Context, v Viewer, in ChangeCart) (*Cart, error) {
	if len(in.Lines) == 0 {
		return nil, invalid(input("lines"), "lines must have at least one line")
	}
	lines, refused := s.resolve(ctx, in.Lines) // outside of the transaction
	return s.change(ctx, v, "cartLinesAdd", in, func(row *ent.Cart) error {
		if refused != nil { // unless it is the repeat of what was not refused
			return refused
		}
		return s.add(row, lines)
	})
}

// UpdateLines sets the quantities of products that are in a cart. 0 takes a product out. Errors:
// those of AddLines.
func (s *Carts) UpdateLines(ctx context.Context, v Viewer, in ChangeCart) (*Cart, error) {
	return s.change(ctx, v, "cartLinesUpdate", in, func(row *ent.Cart) error {
		if len(in.Lines) == 0 || len(in.Lines) > s.Shop.MaxLines {
			return invalid(input("lines"), "lines must be 1 to %d, not %d", s.Shop.MaxLines, len(in.Lines))
		}
		errs := checkNamed(in.Lines)
		for i, l := range in.Lines {
			if errs != nil {
				break
			}
			at, several := cartPlace(row.Lines, l)
			switch {
			case several > 1:
				errs = append(errs, severalVariants(lineField(i, "productId"), l.ProductID, several))
			case l.Quantity < 0 || l.Quantity > s.Shop.MaxQuantity:
				errs = append(errs, invalid(lineField(i, "quantity"), "quantity must be 0 to %d, not %d", s.Shop.MaxQuantity, l.Quantity))
			case at < 0:
				errs = append(errs, notFound(lineField(i, l.named()), "line of the cart with", cmp.Or(l.VariantID, l.ProductID)))
			case l.Quantity == 0:
				row.Lines = slices.Delete(row.Lines, at, at+1)
			default:
				row.Lines[at].Quantity = l.Quantity
			}
		}
		if errs != nil {
			return errs
		}
		return nil
	})
}

// cartPlace returns the place of the line of a cart that a line of a request names, -1 if there is none, and how many lines it could
// mean.
func cartPlace(lines []schema.CartLine, l Line) (at, several int) {
	at = -1
	for i, have := range lines {
		if l.means(have.VariantID, productOf(have)) {
			at, several = i, several+1
		}
	}
	return at, several
}

// productOf is the product of the variant in a line of a cart. When a line had none, a product had one variant.
func productOf(l schema.CartLine) string {
	return cmp.Or(l.ProductID, prefixProduct+strings.TrimPrefix(l.VariantID, prefixVariant))
}

// RemoveLines takes variants out of a cart; by a product, all of its variants. Those that are not there are not missed. Of the lines,
// quantities do not count. Errors: those of AddLines.
func (s *Carts) RemoveLines(ctx context.Context, v Viewer, in ChangeCart) (*Cart, error) {
	return s.change(ctx, v, "cartLinesRemove", in, func(row *ent.Cart) error {
		if len(in.Lines) == 0 || len(in.Lines) > s.Shop.MaxLines {
			return invalid(input("variantIds"), "variantIds must be 1 to %d, not %d", s.Shop.MaxLines, len(in.Lines))
		}
		row.Lines = slices.DeleteFunc(row.Lines, func(have schema.CartLine) bool {
			return slices.ContainsFunc(in.Lines, func(l Line) bool { return l.means(have.VariantID, productOf(have)) })
		})
		return nil
	})
}

// Claim makes a cart the viewer's. It does nothing if it is. Errors: NOT_FOUND of the cart,
// INVALID_STATE if the cart was checked out.
func (s *Carts) Claim(ctx context.Context, v Viewer, in ChangeCart) (*Cart, error) {
	if err := v.customer(); err != nil {
		return nil, err
	}
	return s.change(ctx, v, "cartBuyerIdentityUpdate", in, func(*ent.Cart) error { return nil })
}

// add adds lines, which have both IDs, to those of a cart, within the bounds of an order.
func (s *Carts) add(row *ent.Cart, lines []Line) error {
	var errs Errors
	for i, l := range lines {
		if l.Quantity < 1 || l.Quantity > s.Shop.MaxQuantity {
			errs = append(errs, invalid(lineField(i, "quantity"), "quantity must be 1 to %d, not %d", s.Shop.MaxQuantity, l.Quantity))
			continue
		}
		at, _ := cartPlace(row.Lines, Line{VariantID: l.VariantID})
		switch {
		case at < 0:
			row.Lines = append(row.Lines, schema.CartLine{VariantID: l.VariantID, ProductID: l.ProductID, Quantity: l.Quantity})
		case row.Lines[at].Quantity+l.Quantity > s.Shop.MaxQuantity:
			errs = append(errs, invalid(lineField(i, "quantity"),
				"the cart would have %d of this product, at most %d", row.Lines[at].Quantity+l.Quantity, s.Shop.MaxQuantity))
		default:
			row.Lines[at].Quantity += l.Quantity
		}
	}
	if n := len(row.Lines); n > s.Shop.MaxLines {
		errs = append(errs, invalid(input("lines"), "a cart has at most %d lines, and would have %d", s.Shop.MaxLines, n))
	}
	if errs != nil {
		return errs
	}
	return nil
}

// resolve finds the variants of lines that are put into a cart. Errors: INVALID_INPUT, NOT_FOUND of what does not exist or is off sale.
func (s *Carts) resolve(ctx context.Context, lines []Line) ([]Line, error) {
	if len(lines) > s.Shop.MaxLines {
		return nil, invalid(input("lines"), "a cart has at most %d lines, not %d", s.Shop.MaxLines, len(lines))
	}
	resolved, _, err := s.catalog.resolve(ctx, lines)
	return resolved, err
}

// change changes a cart that the viewer may use, once under its key. A cart that nobody owns
// becomes that of a viewer who has signed in.
func (s *Carts) change(ctx context.Context, v Viewer, name string, in ChangeCart, change func(row *ent.Cart) error) (*Cart, error) {
	if err := s.ensure(ctx, v); err != nil {
		return nil, err
	}
	key := cartKey(in.CartID)
	op := newOperation(Viewer{UserID: "cart:" + key}, name, in.Key, in) // no user has a colon
	get := func(ctx context.Context, key string) (*ent.Cart, error) {
		row, err := s.Client.Cart.Get(ctx, key)
		return usable(v, row, err)
	}
	claims := false
	write := func(tx *ent.Tx) (*ent.Cart, error) {
		row, err := lockCart(ctx, tx, v, key, s.now())
		if err != nil {
			return nil, err
		}
		claims = row.UserID == nil
		if row.OrderID != nil {
			return nil, beingCheckedOut()
		}
		if err := change(row); err != nil {
			return nil, err
		}
		update := tx.Cart.UpdateOne(row).SetLines(orEmpty(row.Lines))
		if v.UserID != "" {
			update.SetUserID(v.UserID)
		}
		return update.Save(ctx)
	}
	row, err := changeOnce(ctx, s.core, op, key, get, write)
	if errors.Is(err, errMarked) { // outside of the transaction, since it may wait for the order
		if err = s.reopenOld(ctx, v, key); err == nil {
			row, err = changeOnce(ctx, s.core, op, key, get, write)
		}
	}
	if err == nil && claims {
		err = s.bound(ctx, v, key)
	}
	if err != nil {
		return nil, err
	}
	return s.price(ctx, in.CartID, row)
}

// lockCart locks a cart that the viewer may use, and reads it.
func lockCart(ctx context.Context, tx *ent.Tx, v Viewer, key string, now time.Time) (*ent.Cart, error) {
	if err := tx.Cart.Update().Where(cart.ID(key)).AddVersion(1).SetUpdatedAt(now).Exec(ctx); err != nil {
		return nil, err
	}
	row, err := tx.Cart.Get(ctx, key)
	return usable(v, row, err)
}

// orEmpty is what the database has of lines: no lines are a list, too.
func orEmpty(lines []schema.CartLine) []schema.CartLine {
	if lines == nil {
		return []schema.CartLine{}
	}
	return lines
}

// CheckoutCart requests the order of a cart.
type CheckoutCart struct {
	Key             uuid.UUID
	CartID          string `json:"-"` // Cart stands for it
	Cart            string // what the database knows the cart by
	CouponIssueID   string
	Payment         *Payment
	ExpectedTotal   *Money
	ShippingAddress *Address
	Contact         *Contact
	HoldID          string `json:",omitempty"` // a hold of the lines of the cart, which the order takes over
}

// checkoutTime bounds a checkout. A cart that was marked longer ago is not being checked out any
// more. Chosen: several times what a checkout takes.
const checkoutTime = 2 * time.Minute

// checkoutTries is how often a checkout starts again because the cart, or what another request does
// with it, has changed meanwhile.
const checkoutTries = 5

// errCartMoved means that a cart has changed since its order was drafted.
var errCartMoved = errors.New("the cart has changed meanwhile")

// errMarked means that a cart has the mark of a checkout.
var errMarked = errors.New("the cart is marked as checked out")

// Checkout places the order of a cart, as [Orders.Place] does, with the products and prices of now.
// A cart is checked out once: a repeat, under whatever key, answers its order, or refuses what the
// order is not: PRICE_CHANGED if it costs something else than is expected, and INVALID_STATE if it
// is not paid as is wanted. The cart is the viewer's from then on. Errors: NOT_FOUND and those of
// Place.
//
// The order's ID is written to the cart before the order is placed, and taken away if the order is
// refused. In between, the cart does not change.
func (s *Carts) Checkout(ctx context.Context, v Viewer, in CheckoutCart) (OrderResult, error) {
	if err := s.customers.ensure(ctx, v); err != nil {
		return OrderResult{}, err
	}
	ctx, stop := context.WithTimeout(ctx, checkoutTime)
	defer stop()
	in.Cart = cartKey(in.CartID)
	op := newOperation(v, "cartCheckout", in.Key, in)
	for range checkoutTries {
		result, err := s.tryCheckout(ctx, v, in, op)
		if !errors.Is(err, errCartMoved) {
			return result, nameCart(err)
		}
	}
	return OrderResult{}, notConfirmed(errCartMoved)
}

func (s *Carts) tryCheckout(ctx context.Context, v Viewer, in CheckoutCart, op operation) (OrderResult, error) {
	repeat, err := s.recorded(ctx, op)
	if err != nil {
		return OrderResult{}, err
	}
	row, err := s.claim(ctx, v, in.Cart)
	var missing *Error
	switch {
	case errors.As(err, &missing): // perhaps deleted since it was checked out
	case err != nil:
		return OrderResult{}, err
	case row.OrderID != nil && !repeat:
		if result, err := s.tellOrder(ctx, v, in, op, *row.OrderID); err != nil || result.Order != nil {
			return result, err
		}
		// The order was refused or lost, or its request was cut off before: this request places it.
	}
	id := operationID(v, "cartCheckout", uuid.NewSHA1(namespace, []byte("cart\x00"+in.Cart)))
	orderID := idOf(prefixOrder, id)
	place := PlaceOrder{
		CouponIssueID: in.CouponIssueID, Payment: in.Payment, ExpectedTotal: in.ExpectedTotal,
		ShippingAddress: in.ShippingAddress, Contact: in.Contact, HoldID: in.HoldID,
	}
	var d *draft
	var marked int // the version of the cart that this request has marked
	if missing == nil {
		place.Lines = linesOf(row)
		if d, err = s.orders.draft(ctx, v, place, id, op.request()); err == nil {
			if marked, err = s.mark(ctx, v, op, repeat, row, orderID); err != nil {
				return OrderResult{}, err
			}
		}
	}
	result, err := s.orders.placeDraft(ctx, place, id, op.request(), d, err)
	if hasCode(err, IdempotencyMismatch) || hasCode(err, IdempotencyExpired) { // another request has checked the cart out
		result, err = s.tellOrder(ctx, v, in, op, orderID)
		if err == nil && result.Order == nil { // it was refused meanwhile
			err = errCartMoved
		}
		return result, err
	}
	if _, refused := UserErrors(err); refused && marked > 0 && result.Order == nil && !hasCode(err, Unavailable) {
		// If this fails, the mark stays until somebody wants to change the cart, or to check it
		// out.
		_, _ = s.reopen(context.WithoutCancel(ctx), v, in.Cart, marked, orderID)
	}
	return result, err
}

// mark writes the order's ID to a cart, with the record of the operation, and returns the version
// of the cart that has it. The error is errCartMoved if the cart has other lines than were drafted.
func (s *Carts) mark(ctx context.Context, v Viewer, op operation, repeat bool, drafted *ent.Cart, orderID string) (version int, err error) {
	write := func(tx *ent.Tx) error {
		row, err := lockCart(ctx, tx, v, drafted.ID, s.now())
		if err != nil {
			return err
		}
		if !slices.Equal(row.Lines, drafted.Lines) {
			return errCartMoved
		}
		version = row.Version
		return tx.Cart.UpdateOne(row).SetOrderID(orderID).Exec(ctx)
	}
	if !repeat {
		if repeat, err = s.once(ctx, op, write); err != nil || !repeat {
			return version, err
		}
	}
	return version, s.inTx(ctx, write)
}

// reopen takes the mark off a version of a cart, unless the order exists, and reports whether it
// does.
func (s *Carts) reopen(ctx context.Context, v Viewer, key string, version int, orderID string) (exists bool, err error) {
	row, _, err := s.findOrder(ctx, v, orderID, false)
	if err != nil || row != nil {
		return row != nil, err
	}
	return false, s.Client.Cart.Update().Where(cart.ID(key), cart.Version(version)).ClearOrderID().AddVersion(1).Exec(ctx)
}

// reopenOld takes the mark off a cart that is to be changed, if it was left by a checkout that came
// to nothing. Errors: INVALID_STATE if the order exists, UNAVAILABLE if the cart may still be being
// checked out.
func (s *Carts) reopenOld(ctx context.Context, v Viewer, key string) error {
	row, err := s.Client.Cart.Get(ctx, key)
	if row, err = usable(v, row, err); err != nil {
		return err
	}
	switch {
	case row.OrderID == nil:
		return nil
	case s.now().Sub(row.UpdatedAt) <= checkoutTime:
		order, _, err := s.findOrder(ctx, v, *row.OrderID, false)
		if err == nil && order == nil {
			return beingCheckedOut()
		}
		return cmp.Or[error](err, cartCheckedOut())
	}
	exists, err := s.reopen(ctx, v, key, row.Version, *row.OrderID)
	if exists {
		return cartCheckedOut()
	}
	return err
}

func cartCheckedOut() *Error {
	return &Error{Code: InvalidState, Field: input("cartId"), Message: "the cart was checked out: make another one"}
}

func beingCheckedOut() *Error {
	return &Error{
		Code: Unavailable, Field: input("cartId"), Retryable: true, RetryAfter: retryLater, cause: errMarked,
		Message: "the cart is being checked out, and does not change meanwhile; try again",
	}
}

// claim returns a cart that belongs to the viewer, who has signed in, and makes it so if it belongs
// to nobody.
func (s *Carts) claim(ctx context.Context, v Viewer, key string) (*ent.Cart, error) {
	row, err := s.Client.Cart.Get(ctx, key)
	if err == nil && row.UserID == nil {
		if err := s.Client.Cart.Update().Where(cart.ID(key), cart.UserIDIsNil()).SetUserID(v.UserID).Exec(ctx); err != nil {
			return nil, err
		}
		row, err = s.Client.Cart.Get(ctx, key) // somebody else may have been faster
	}
	return usable(v, row, err)
}

// findOrder returns the order of a cart, or nil if no change makes it. It waits for a change that
// is under way, and with confirmed also for the database to confirm what was accepted.
func (s *Carts) findOrder(ctx context.Context, v Viewer, orderID string, confirmed bool) (*ent.Order, Persistence, error) {
	row, persistence, err := s.orders.Find(ctx, v, orderID)
	change, ok := uuidOf(prefixOrder, orderID)
	if err != nil || !ok || row != nil && (!confirmed || persistence != PersistAccepted) {
		return row, persistence, err
	}
	if _, err := s.await(ctx, lockprovider.Stock, change); err != nil {
		return nil, "", err
	}
	return s.orders.Find(ctx, v, orderID) // also if it is not held: another instance may have placed it since we looked
}

// tellOrder answers a request for a cart that another request has checked out, with the order as it
// is now, or with none. What is answered as success is a result of the key.
func (s *Carts) tellOrder(ctx context.Context, v Viewer, in CheckoutCart, op operation, orderID string) (OrderResult, error) {
	row, persistence, err := s.findOrder(ctx, v, orderID, in.Payment != nil)
	if err != nil || row == nil {
		return OrderResult{}, err
	}
	result := OrderResult{Order: row, Meta: Meta{Replayed: true, Persistence: persistence}, Persistence: persistence}
	if row.Status == order.StatusFAILED {
		return result, &Error{Code: Code(row.FailureCode), Message: row.FailureReason, Field: failureField(row.FailureCode)}
	}
	if err := differsFrom(row, in); err != nil {
		return result, err
	}
	if _, err := s.begin(ctx, op); err != nil {
		return OrderResult{}, err
	}
	return result, nil
}

// differsFrom refuses a request that wants the order of its cart to be another one than it is.
func differsFrom(row *ent.Order, in CheckoutCart) error {
	actual := Money{Minor: row.TotalMinor, Currency: row.Currency}
	if in.ExpectedTotal != nil && *in.ExpectedTotal != actual {
		return &Error{
			Code: PriceChanged, Field: input("expectedTotal"), Details: PriceChangedDetails{Expected: *in.ExpectedTotal, Actual: actual},
			Message: fmt.Sprintf("another request has checked the cart out, to an order that costs %s, not %s", actual, *in.ExpectedTotal),
		}
	}
	made := row.Edges.Payment
	switch {
	case in.Payment == nil:
		return nil
	case row.Status == order.StatusPENDING:
		return &Error{
			Code: InvalidState, Field: input("payment"), Retryable: true, // when the order is paid
			Message: "another request has checked the cart out, and its order is not paid: look at the order again, or pay it by payOrder",
		}
	case row.Status != order.StatusPAID:
		return &Error{
			Code: InvalidState, Field: input("payment"),
			Message: "the cart was checked out, and its order is " + row.Status.String() + ": make another cart",
		}
	case row.TotalMinor > 0 && made != nil && (made.Method != in.Payment.Method || deref(made.AccountID) != in.Payment.AccountID):
		return &Error{
			Code: InvalidState, Field: input("payment"),
			Message: "another request has checked the cart out, and its order is paid otherwise, by " + made.Method.String(),
		}
	}
	return nil
}

// nameCart has the failures of an order's lines name the cart, which the request has instead.
func nameCart(err error) error {
	failures, _ := UserErrors(err)
	for _, e := range failures {
		if len(e.Field) > 1 && e.Field[1] == "lines" {
			e.Field, e.Retryable = input("cartId"), true // when the cart has changed
		}
	}
	return err
}
