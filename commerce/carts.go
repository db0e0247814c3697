package commerce

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"holdfast/ent"
	"holdfast/ent/cart"
	"holdfast/ent/order"
	"holdfast/ent/schema"
)

// A cart says what somebody means to buy. It promises nothing: prices and stock are looked up when it is shown and when it is checked out.
//
// The ID of a cart is a secret: a guest has nothing else. The database has its SHA-256, by which the cart is found, so that nobody who reads
// the database has a cart. As soon as a customer who has signed in changes the cart, or checks it out, it belongs to the customer: the
// secret is worth nothing to anybody else from then on.
//
// A cart is checked out once. The change that places its order has an ID made of the cart: whoever checks it out, however often and under
// whatever keys, places one order.

// Carts keeps what customers and guests mean to buy.
type Carts struct {
	*core
	catalog   *Catalog
	customers *Customers
	orders    *Orders
}

// Cart is a cart with its products as they are now.
type Cart struct {
	ID         string // the secret, as the caller has given it
	CustomerID string // "" for a guest's
	OrderID    string // the order that it was checked out to, or ""
	Lines      []PricedLine
	// SubtotalMinor is the sum of the lines whose products are on sale, in minor units of the shop's currency.
	SubtotalMinor        int64
	CreatedAt, UpdatedAt time.Time
}

// PricedLine is a line of a cart.
type PricedLine struct {
	Product  *ent.Product
	Quantity int64
}

// cartSecretBytes is how many random bytes the ID of a cart has: 160 bits, which fill its characters, and are more than anybody can guess.
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

// Get returns a cart, or nil if there is none or it belongs to somebody else.
func (s *Carts) Get(ctx context.Context, v Viewer, id string) (*Cart, error) {
	row, err := orNil(s.Client.Cart.Get(ctx, cartKey(id)))
	if err != nil || row == nil || !v.mayUse(row) {
		return nil, err
	}
	return s.priced(ctx, id, row)
}

// priced looks up what a cart costs now.
func (s *Carts) priced(ctx context.Context, id string, row *ent.Cart) (*Cart, error) {
	c := &Cart{
		ID: id, CustomerID: deref(row.UserID), OrderID: deref(row.OrderID), CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt,
	}
	if len(row.Lines) == 0 {
		return c, nil
	}
	products, err := s.catalog.shared(ctx, productIDs(linesOf(row)))
	if err != nil {
		return nil, err
	}
	for _, l := range row.Lines {
		product := products[l.ProductID]
		if product == nil { // products are not deleted
			continue
		}
		c.Lines = append(c.Lines, PricedLine{Product: product, Quantity: l.Quantity})
		if product.ArchivedAt == nil {
			c.SubtotalMinor += product.PriceMinor * l.Quantity // bounded as that of an order
		}
	}
	return c, nil
}

func linesOf(row *ent.Cart) []Line {
	lines := make([]Line, len(row.Lines))
	for i, l := range row.Lines {
		lines[i] = Line{ProductID: l.ProductID, Quantity: l.Quantity}
	}
	return lines
}

// Discount returns what a coupon of the viewer would take off a cart now, in minor units. Nothing is spent. Errors: NOT_FOUND and
// COUPON_NOT_VALID, as those of [Orders.Place].
func (s *Carts) Discount(ctx context.Context, v Viewer, c *Cart, couponIssueID string) (int64, error) {
	if err := v.customer(); err != nil {
		return 0, err
	}
	return s.orders.discount(ctx, v, couponIssueID, c.SubtotalMinor)
}

// Create makes a cart. That of a customer who has signed in is the customer's. There is no key: a repeat makes another one, which nobody
// uses, and which is deleted with those that nobody touches. Errors: INVALID_INPUT, NOT_FOUND of a product.
func (s *Carts) Create(ctx context.Context, v Viewer, lines []Line) (*Cart, error) {
	return s.create(ctx, v, newCartID(), lines)
}

func (s *Carts) create(ctx context.Context, v Viewer, id string, lines []Line) (*Cart, error) {
	if err := s.known(ctx, v); err != nil {
		return nil, err
	}
	row := &ent.Cart{}
	if len(lines) > 0 {
		if err := s.onSale(ctx, lines); err != nil {
			return nil, err
		}
		if err := s.add(row, lines); err != nil {
			return nil, err
		}
	}
	create := s.Client.Cart.Create().SetID(cartKey(id)).SetLines(stored(row.Lines)).SetCreatedAt(s.now()).SetUpdatedAt(s.now())
	if v.UserID != "" {
		create.SetUserID(v.UserID)
	}
	row, err := create.Save(ctx)
	if err != nil {
		return nil, err
	}
	return s.priced(ctx, id, row)
}

// known makes sure that a viewer who has signed in has a row.
func (s *Carts) known(ctx context.Context, v Viewer) error {
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

// AddLines puts products into a cart, more of them if they are there. Errors: NOT_FOUND of the cart or of a product, INVALID_INPUT,
// INVALID_STATE if the cart was checked out, IDEMPOTENCY_MISMATCH.
func (s *Carts) AddLines(ctx context.Context, v Viewer, in ChangeCart) (*Cart, error) {
	if len(in.Lines) == 0 {
		return nil, invalid(input("lines"), "lines must have at least one line")
	}
	if err := s.onSale(ctx, in.Lines); err != nil {
		return nil, err
	}
	return s.change(ctx, v, "cartLinesAdd", in, func(row *ent.Cart) error { return s.add(row, in.Lines) })
}

// UpdateLines sets the quantities of products that are in a cart. 0 takes a product out. Errors: those of AddLines.
func (s *Carts) UpdateLines(ctx context.Context, v Viewer, in ChangeCart) (*Cart, error) {
	if len(in.Lines) == 0 || len(in.Lines) > s.Shop.MaxLines {
		return nil, invalid(input("lines"), "lines must be 1 to %d, not %d", s.Shop.MaxLines, len(in.Lines))
	}
	return s.change(ctx, v, "cartLinesUpdate", in, func(row *ent.Cart) error {
		var errs Errors
		for i, l := range in.Lines {
			at := slices.IndexFunc(row.Lines, func(have schema.CartLine) bool { return have.ProductID == l.ProductID })
			switch {
			case l.Quantity < 0 || l.Quantity > s.Shop.MaxQuantity:
				errs = append(errs, invalid(lineField(i, "quantity"), "quantity must be 0 to %d, not %d", s.Shop.MaxQuantity, l.Quantity))
			case at < 0:
				errs = append(errs, notFound(lineField(i, "productId"), "line of the cart with the product", l.ProductID))
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

// RemoveLines takes products out of a cart. Those that are not there are not missed. Of the lines, the products count. Errors: those of
// AddLines.
func (s *Carts) RemoveLines(ctx context.Context, v Viewer, in ChangeCart) (*Cart, error) {
	if len(in.Lines) == 0 || len(in.Lines) > s.Shop.MaxLines {
		return nil, invalid(input("productIds"), "productIds must be 1 to %d, not %d", s.Shop.MaxLines, len(in.Lines))
	}
	return s.change(ctx, v, "cartLinesRemove", in, func(row *ent.Cart) error {
		row.Lines = slices.DeleteFunc(row.Lines, func(have schema.CartLine) bool {
			return slices.ContainsFunc(in.Lines, func(l Line) bool { return l.ProductID == have.ProductID })
		})
		return nil
	})
}

// Claim makes a cart the viewer's. It does nothing if it is. Errors: NOT_FOUND of the cart, INVALID_STATE if the cart was checked out.
func (s *Carts) Claim(ctx context.Context, v Viewer, in ChangeCart) (*Cart, error) {
	if err := v.customer(); err != nil {
		return nil, err
	}
	return s.change(ctx, v, "cartBuyerIdentityUpdate", in, func(*ent.Cart) error { return nil })
}

// add adds lines to those of a cart, within the bounds of an order.
func (s *Carts) add(row *ent.Cart, lines []Line) error {
	var errs Errors
	for i, l := range lines {
		if l.Quantity < 1 || l.Quantity > s.Shop.MaxQuantity {
			errs = append(errs, invalid(lineField(i, "quantity"), "quantity must be 1 to %d, not %d", s.Shop.MaxQuantity, l.Quantity))
			continue
		}
		at := slices.IndexFunc(row.Lines, func(have schema.CartLine) bool { return have.ProductID == l.ProductID })
		switch {
		case at < 0:
			row.Lines = append(row.Lines, schema.CartLine{ProductID: l.ProductID, Quantity: l.Quantity})
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

// onSale refuses products that do not exist or are off sale.
func (s *Carts) onSale(ctx context.Context, lines []Line) error {
	if len(lines) > s.Shop.MaxLines {
		return invalid(input("lines"), "a cart has at most %d lines, not %d", s.Shop.MaxLines, len(lines))
	}
	products, err := s.catalog.shared(ctx, productIDs(lines))
	if err != nil {
		return err
	}
	var errs Errors
	for i, l := range lines {
		if row := products[l.ProductID]; row == nil || row.ArchivedAt != nil {
			errs = append(errs, notFound(lineField(i, "productId"), "product", l.ProductID))
		}
	}
	if errs != nil {
		return errs
	}
	return nil
}

// change changes a cart that the viewer may use, once under its key. A cart that nobody owns becomes that of a viewer who has signed in.
func (s *Carts) change(ctx context.Context, v Viewer, name string, in ChangeCart, change func(row *ent.Cart) error) (*Cart, error) {
	if err := s.known(ctx, v); err != nil {
		return nil, err
	}
	key := cartKey(in.CartID)
	op := newOperation(Viewer{UserID: "cart:" + key}, name, in.Key, in) // no user has a colon
	get := func(ctx context.Context, key string) (*ent.Cart, error) {
		row, err := orNil(s.Client.Cart.Get(ctx, key))
		if err == nil && (row == nil || !v.mayUse(row)) {
			return nil, noCart()
		}
		return row, err
	}
	row, err := changeOnce(ctx, s.core, op, key, get, func(tx *ent.Tx) (*ent.Cart, error) {
		row, err := lockCart(ctx, tx, v, key, s.now())
		if err != nil {
			return nil, err
		}
		if row.OrderID != nil {
			return nil, &Error{Code: InvalidState, Field: input("cartId"), Message: "the cart was checked out: make another one"}
		}
		if err := change(row); err != nil {
			return nil, err
		}
		update := tx.Cart.UpdateOne(row).SetLines(stored(row.Lines))
		if v.UserID != "" {
			update.SetUserID(v.UserID)
		}
		return update.Save(ctx)
	})
	if err != nil {
		return nil, err
	}
	return s.priced(ctx, in.CartID, row)
}

// lockCart locks a cart that the viewer may use, and reads it.
func lockCart(ctx context.Context, tx *ent.Tx, v Viewer, key string, now time.Time) (*ent.Cart, error) {
	if err := tx.Cart.Update().Where(cart.ID(key)).AddVersion(1).SetUpdatedAt(now).Exec(ctx); err != nil {
		return nil, err
	}
	row, err := orNil(tx.Cart.Get(ctx, key))
	if err == nil && (row == nil || !v.mayUse(row)) {
		return nil, noCart()
	}
	return row, err
}

// stored is what the database has of lines: no lines are a list, too.
func stored(lines []schema.CartLine) []schema.CartLine {
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
}

// Checkout places the order of a cart, as [Orders.Place] does, with the products and prices of now. A cart is checked out once: a repeat,
// under whatever key, answers its order. The cart is the viewer's from then on. Errors: NOT_FOUND and those of Place.
func (s *Carts) Checkout(ctx context.Context, v Viewer, in CheckoutCart) (OrderResult, error) {
	if err := s.customers.ensure(ctx, v); err != nil {
		return OrderResult{}, err
	}
	in.Cart = cartKey(in.CartID)
	op := newOperation(v, "cartCheckout", in.Key, in)
	repeat, err := s.recorded(ctx, op)
	if err != nil {
		return OrderResult{}, err
	}
	row, err := s.claimed(ctx, v, in.Cart)
	var missing *Error
	switch {
	case errors.As(err, &missing): // perhaps deleted since it was checked out
	case err != nil:
		return OrderResult{}, err
	case row.OrderID != nil && !repeat:
		return s.checkedOut(ctx, v, *row.OrderID)
	}
	id := operationID(v, "cartCheckout", uuid.NewSHA1(namespace, []byte("cart\x00"+in.Cart)))
	place := PlaceOrder{
		CouponIssueID: in.CouponIssueID, Payment: in.Payment, ExpectedTotal: in.ExpectedTotal,
		ShippingAddress: in.ShippingAddress, Contact: in.Contact,
	}
	var d *draft
	if missing == nil {
		place.Lines = linesOf(row)
		if d, err = s.orders.draft(ctx, v, place, id, op.request()); err == nil && !repeat {
			if _, err := s.begin(ctx, op); err != nil {
				return OrderResult{}, err
			}
		}
	}
	result, err := s.orders.placeDraft(ctx, place, id, op.request(), d, err)
	if hasCode(err, IdempotencyMismatch) || hasCode(err, IdempotencyExpired) { // another request has checked the cart out
		result, err = s.checkedOut(ctx, v, idOf(prefixOrder, id))
	}
	if result.Order != nil {
		// If it fails, the cart does not show its order yet. The next checkout finds the order by the ID of the change.
		_ = s.Client.Cart.Update().Where(cart.ID(in.Cart), cart.OrderIDIsNil()).SetOrderID(result.Order.ID).SetUpdatedAt(s.now()).Exec(ctx)
	}
	return result, ofCart(err)
}

// claimed returns a cart that belongs to the viewer, who has signed in, and makes it so if it belongs to nobody.
func (s *Carts) claimed(ctx context.Context, v Viewer, key string) (*ent.Cart, error) {
	row, err := orNil(s.Client.Cart.Get(ctx, key))
	if err == nil && row != nil && row.UserID == nil {
		if err := s.Client.Cart.Update().Where(cart.ID(key), cart.UserIDIsNil()).SetUserID(v.UserID).Exec(ctx); err != nil {
			return nil, err
		}
		row, err = orNil(s.Client.Cart.Get(ctx, key)) // somebody else may have been faster
	}
	if err == nil && (row == nil || !v.mayUse(row)) {
		return nil, noCart()
	}
	return row, err
}

// checkedOut answers a request for a cart that another request has checked out, with the order as it is now.
func (s *Carts) checkedOut(ctx context.Context, v Viewer, orderID string) (OrderResult, error) {
	row, persistence, err := s.orders.Find(ctx, v, orderID)
	switch {
	case err != nil:
		return OrderResult{}, err
	case row == nil: // it is on its way
		return OrderResult{}, notConfirmed(nil)
	}
	result := OrderResult{Order: row, Meta: Meta{Replayed: true, Persistence: persistence}, Persistence: persistence}
	if row.Status == order.StatusFAILED {
		return result, &Error{Code: Code(row.FailureCode), Message: row.FailureReason, Field: failureField(row.FailureCode)}
	}
	return result, nil
}

// ofCart has the failures of an order's lines name the cart, which the request has instead.
func ofCart(err error) error {
	failures, _ := UserErrors(err)
	for _, e := range failures {
		if len(e.Field) > 1 && e.Field[1] == "lines" {
			e.Field = input("cartId")
		}
	}
	return err
}
