package commerce_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/config"
	"holdfast/ent/coupon"
	"holdfast/ent/order"
	"holdfast/ent/payment"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
)

var guest = commerce.Viewer{}

// cart is a new cart of a viewer.
func (s *shop) cart(t testing.TB, v commerce.Viewer, lines ...commerce.Line) *commerce.Cart {
	t.Helper()
	c, err := s.Carts.Create(t.Context(), v, lines)
	must(t, err)
	return c
}

// wantCart reads a cart and compares the quantities of its products.
func (s *shop) wantCart(t testing.TB, v commerce.Viewer, id string, want ...commerce.Line) *commerce.Cart {
	t.Helper()
	c, err := s.Carts.Get(t.Context(), v, id)
	must(t, err)
	if c == nil {
		t.Fatalf("%q has no cart", v.UserID)
		return nil
	}
	same := len(c.Lines) == len(want)
	for i := range min(len(c.Lines), len(want)) {
		same = same && c.Lines[i].Variant.ProductID == want[i].ProductID && c.Lines[i].Quantity == want[i].Quantity
	}
	if !same {
		t.Errorf("the cart has %d lines %+v, want %+v", len(c.Lines), c.Lines, want)
	}
	return c
}

func (s *shop) wantNoCart(t testing.TB, v commerce.Viewer, id string) {
	t.Helper()
	if c, err := s.Carts.Get(t.Context(), v, id); err != nil || c != nil {
		t.Errorf("%q has the cart: %+v, %v", v.UserID, c, err)
	}
}

// Many check out one cart at the same time, each under a key of its own and with wishes of its own.
// One order is placed. Who wants it to be as it is, is told of it; who wants it to cost something
// else, or to be paid otherwise, is told that it is not so.
func TestACartIsCheckedOutOnce(t *testing.T) {
	everyStrategyOnServers(t, func(t *testing.T, s *shop) {
		ctx := t.Context()
		first, second := s.product(t, 1000, 100), s.product(t, 500, 100)
		s.points(t, alice, 100_000)
		off := s.issue(t, alice, s.coupon(t, commerce.CreateCoupon{DiscountKind: coupon.DiscountKindFIXED, DiscountValue: 300}))
		s.settle(t)
		lines := []commerce.Line{{ProductID: first, Quantity: 2}, {ProductID: second, Quantity: 3}}
		c := s.cart(t, guest, lines...)
		const full, less = 3500, 3200
		var mu sync.Mutex
		orders, placed, away := map[string]int{}, 0, 0
		requests := make([]commerce.CheckoutCart, 64)
		together(len(requests), func(i int) {
			in := commerce.CheckoutCart{Key: uuid.New(), CartID: c.ID}
			total := int64(full)
			if i%2 == 0 {
				in.Payment = byPoints()
			}
			if i%3 == 0 {
				in.CouponIssueID, total = off, less
			}
			if i%5 < 2 {
				in.ExpectedTotal = &commerce.Money{Minor: total, Currency: "USD"}
			}
			if i%7 == 0 {
				address := elm()
				in.ShippingAddress = &address
			}
			requests[i] = in
			result, err := untilSettled(t, func() (commerce.OrderResult, error) {
				result, err := s.Carts.Checkout(ctx, alice, in)
				if isCode(err, commerce.Unavailable) {
					mu.Lock()
					defer mu.Unlock()
					away++
				}
				return result, err
			})
			if result.Order == nil {
				t.Errorf("checkout: %v", err)
				return
			}
			switch got := result.Order; {
			case err == nil:
			case isCode(err, commerce.PriceChanged) && in.ExpectedTotal != nil && in.ExpectedTotal.Minor != got.TotalMinor:
			case isCode(err, commerce.InvalidState) && in.Payment != nil && got.Status == order.StatusPENDING:
			default:
				t.Errorf("checkout: %v, of an order that is %s and costs %d", err, got.Status, got.TotalMinor)
			}
			if err == nil && (in.ExpectedTotal != nil && in.ExpectedTotal.Minor != result.Order.TotalMinor || in.Payment != nil && result.Order.Status != order.StatusPAID) {
				t.Errorf("told of success: the order is %s and costs %d", result.Order.Status, result.Order.TotalMinor)
			}
			mu.Lock()
			defer mu.Unlock()
			orders[result.Order.ID]++
			if !result.Meta.Replayed {
				placed++
			}
		})
		if len(orders) != 1 || placed != 1 {
			t.Fatalf("%d orders, %d of them told as new: %v", len(orders), placed, orders)
		}
		if away > 0 {
			t.Errorf("%d were told to come again", away)
		}
		s.settle(t)
		all, err := s.Orders.List(ctx, alice, commerce.OrderQuery{Lines: true, Page: commerce.Page{First: 10}})
		must(t, err)
		if len(all.Items) != 1 || orders[all.Items[0].ID] != len(requests) {
			t.Fatalf("the database has %d orders", len(all.Items))
		}
		made := all.Items[0]
		for _, in := range []commerce.CheckoutCart{requests[1], {Key: uuid.New(), CartID: c.ID}} { // neither wants it to be paid
			in.ExpectedTotal = nil
			in.Key = uuid.New()
			result, err := untilSettled(t, func() (commerce.OrderResult, error) { return s.Carts.Checkout(ctx, alice, in) })
			must(t, err)
			if result.Order.ID != made.ID || !result.Meta.Replayed {
				t.Errorf("a repeat is told of %s", result.Order.ID)
			}
		}
		if got := s.wantCart(t, alice, c.ID, lines...); got.OrderID != made.ID {
			t.Errorf("the cart has the order %q", got.OrderID)
		}
		paid := int64(0)
		if made.Status == order.StatusPAID {
			paid = made.TotalMinor
		}
		s.wantStock(t, first, 98)
		s.wantStock(t, second, 97)
		s.wantPoints(t, alice, 100_000-paid)
		s.audit(t)
	})
}

// The first checkout stands in line, and others come: they wait for its order, and none is told to
// come again.
func TestACheckoutWaitsForAnother(t *testing.T) {
	family := lockprovider.FamilyConfig{Strategy: lockprovider.Queue}
	s := openShop(t, family, postgres(t), testenv.Redis(t).URL)
	ctx := t.Context()
	product := s.product(t, 1000, 10)
	c := s.cart(t, alice, commerce.Line{ProductID: product, Quantity: 1})
	before := s.db.Ent.Operation.Query().CountX(ctx)
	resume := s.stall(t)
	const many = 8
	answers := make(chan error, many)
	for range many {
		go func() {
			_, err := s.Carts.Checkout(ctx, alice, commerce.CheckoutCart{Key: uuid.New(), CartID: c.ID})
			answers <- err
		}()
	}
	for deadline := time.Now().Add(longEnough); s.db.Ent.Operation.Query().CountX(ctx) == before; {
		if time.Now().After(deadline) {
			t.Fatalf("no checkout has begun after %s", longEnough)
		}
	}
	resume()
	for range many {
		must(t, testenv.Receive(t, answers, "a checkout"))
	}
	s.wantStock(t, product, 9)
	s.audit(t)
}

// The order of a cart has been placed by another request than the one that is answered. What that
// one wants otherwise is not told as done.
func TestAnotherRequestHasCheckedTheCartOut(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		ctx := t.Context()
		product := s.product(t, 1000, 10)
		s.points(t, alice, 10_000)
		usd := func(minor int64) *commerce.Money { return &commerce.Money{Minor: minor, Currency: "USD"} }
		c := s.cart(t, alice, commerce.Line{ProductID: product, Quantity: 2})
		placed, err := s.Carts.Checkout(ctx, alice, commerce.CheckoutCart{Key: uuid.New(), CartID: c.ID})
		must(t, err)
		s.settle(t)
		try := func(in commerce.CheckoutCart, want ...string) {
			t.Helper()
			in.CartID = c.ID
			in.Key = uuid.New()
			for range 2 { // its repeat, too
				result, err := s.Carts.Checkout(ctx, alice, in)
				if len(want) == 0 {
					must(t, err)
				} else {
					wantCodes(t, err, want...)
				}
				if result.Order == nil || result.Order.ID != placed.Order.ID || !result.Meta.Replayed {
					t.Errorf("told of %+v", result)
				}
			}
		}
		try(commerce.CheckoutCart{ExpectedTotal: usd(2000)})
		try(commerce.CheckoutCart{ExpectedTotal: usd(1700)}, "PRICE_CHANGED:input.expectedTotal")
		try(commerce.CheckoutCart{Payment: byPoints()}, "INVALID_STATE:input.payment")
		_, err = s.Orders.Pay(ctx, alice, commerce.PayOrder{Key: uuid.New(), OrderID: placed.Order.ID, Payment: *byPoints()})
		must(t, err)
		try(commerce.CheckoutCart{Payment: byPoints()})
		try(commerce.CheckoutCart{Payment: byCard()}, "INVALID_STATE:input.payment")

		// A key under which the order was told is that of this cart.
		used := commerce.CheckoutCart{Key: uuid.New(), CartID: c.ID}
		_, err = s.Carts.Checkout(ctx, alice, used)
		must(t, err)
		used.CartID = s.cart(t, alice, commerce.Line{ProductID: product, Quantity: 1}).ID
		_, err = s.Carts.Checkout(ctx, alice, used)
		wantCodes(t, err, "IDEMPOTENCY_MISMATCH")

		_, err = s.Orders.Cancel(ctx, alice, commerce.CancelOrder{Key: uuid.New(), OrderID: placed.Order.ID})
		must(t, err)
		try(commerce.CheckoutCart{})
		try(commerce.CheckoutCart{Payment: byPoints()}, "INVALID_STATE:input.payment")
		s.wantStock(t, product, 10)
		s.audit(t)
	})
}

// Checking out a cart is placing its order, with the same refusals. A refusal checks out nothing.
func TestCheckout(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		ctx := t.Context()
		product := s.product(t, 1000, 3)
		s.points(t, alice, 10_000)
		off := s.issue(t, alice, s.coupon(t, commerce.CreateCoupon{DiscountKind: coupon.DiscountKindFIXED, DiscountValue: 300, Quota: 10, PerUserLimit: 1}))
		c := s.cart(t, alice, commerce.Line{ProductID: product, Quantity: 4})
		in := commerce.CheckoutCart{Key: uuid.New(), CartID: c.ID, CouponIssueID: off, Payment: &commerce.Payment{Method: payment.MethodPOINTS}}
		_, err := s.Carts.Checkout(ctx, alice, in)
		wantCodes(t, err, "OUT_OF_STOCK:input.cartId")
		_, err = s.Carts.UpdateLines(ctx, alice, commerce.ChangeCart{CartID: c.ID, Lines: []commerce.Line{{ProductID: product, Quantity: 2}}})
		must(t, err)
		other := in
		other.Key, other.ExpectedTotal = uuid.New(), &commerce.Money{Minor: 2000, Currency: "USD"}
		_, err = s.Carts.Checkout(ctx, alice, other)
		wantCodes(t, err, "PRICE_CHANGED:input.expectedTotal")

		result, err := s.Carts.Checkout(ctx, alice, in) // the same request: a refusal is no result of its key
		must(t, err)
		wantStatus(t, result.Order, order.StatusPAID)
		if result.Order.TotalMinor != 1700 || result.Meta.Replayed {
			t.Errorf("the order costs %d, replayed: %v", result.Order.TotalMinor, result.Meta.Replayed)
		}
		changed := in
		changed.CouponIssueID = ""
		_, err = s.Carts.Checkout(ctx, alice, changed)
		wantCodes(t, err, "IDEMPOTENCY_MISMATCH")
		for name, change := range map[string]func(context.Context, commerce.Viewer, commerce.ChangeCart) (*commerce.Cart, error){
			"add": s.Carts.AddLines, "update": s.Carts.UpdateLines, "remove": s.Carts.RemoveLines, "claim": s.Carts.Claim,
		} {
			if _, err := change(ctx, alice, commerce.ChangeCart{CartID: c.ID, Lines: []commerce.Line{{ProductID: product, Quantity: 1}}}); !isCode(err, commerce.InvalidState) {
				t.Errorf("%s after the checkout: %v", name, err)
			}
		}
		s.wantStock(t, product, 1)
		s.wantPoints(t, alice, 8300)

		// The order that a cart was checked out to is told when the cart is gone.
		must(t, s.db.Ent.Cart.DeleteOneID(s.db.Ent.Cart.Query().OnlyIDX(ctx)).Exec(ctx))
		again, err := s.Carts.Checkout(ctx, alice, in)
		must(t, err)
		if again.Order.ID != result.Order.ID || !again.Meta.Replayed {
			t.Error("the repeat is not told of its order")
		}
		in.Key = uuid.New()
		again, err = s.Carts.Checkout(ctx, alice, in)
		must(t, err)
		if again.Order.ID != result.Order.ID {
			t.Error("the cart that is gone is checked out twice")
		}
		_, err = s.Carts.Checkout(ctx, bob, in)
		wantCodes(t, err, "NOT_FOUND:input.cartId")
		s.audit(t)
	})
}

func isCode(err error, code commerce.Code) bool {
	failures, _ := commerce.UserErrors(err)
	return len(failures) == 1 && failures[0].Code == code
}

// A checkout was cut off after the cart was marked. If its order was placed, whoever goes on is
// told of this order. If it was not, or is lost, the cart can be changed after a while, and whoever
// checks it out places the order.
func TestCheckoutThatWasCutOff(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		ctx := t.Context()
		product := s.product(t, 1000, 10)
		c := s.cart(t, alice, commerce.Line{ProductID: product, Quantity: 1})
		add := func() error {
			_, err := s.Carts.AddLines(ctx, alice, commerce.ChangeCart{CartID: c.ID, Lines: []commerce.Line{{ProductID: product, Quantity: 1}}})
			return err
		}
		mark := func() { // as a checkout does before it places the order
			t.Helper()
			must(t, s.db.Ent.Cart.Update().SetOrderID("ord_"+commerce.IDEncoding.EncodeToString(make([]byte, 16))).SetUpdatedAt(s.clock.Now()).Exec(ctx))
		}
		mark()
		wantCodes(t, add(), "UNAVAILABLE:input.cartId")
		s.wantCart(t, alice, c.ID, commerce.Line{ProductID: product, Quantity: 1})
		s.clock.advance(time.Hour)
		must(t, add())
		must(t, add())
		if got := s.wantCart(t, alice, c.ID, commerce.Line{ProductID: product, Quantity: 3}); got.OrderID != "" {
			t.Errorf("the cart has the order %q", got.OrderID)
		}
		mark()
		in := commerce.CheckoutCart{Key: uuid.New(), CartID: c.ID}
		placed, err := s.Carts.Checkout(ctx, alice, in)
		must(t, err)
		if placed.Meta.Replayed {
			t.Error("the order is told as one that was there")
		}
		s.clock.advance(time.Minute)
		wantCodes(t, add(), "INVALID_STATE:input.cartId")
		s.clock.advance(time.Hour)
		wantCodes(t, add(), "INVALID_STATE:input.cartId")
		for i, key := range []uuid.UUID{uuid.New(), in.Key, in.Key, uuid.New()} {
			if i == 2 {
				s.forgetKeys(t)
			}
			result, err := untilSettled(t, func() (commerce.OrderResult, error) {
				return s.Carts.Checkout(ctx, alice, commerce.CheckoutCart{Key: key, CartID: c.ID})
			})
			must(t, err)
			if result.Order.ID != placed.Order.ID || !result.Meta.Replayed {
				t.Errorf("told of %s, replayed %v, want %s", result.Order.ID, result.Meta.Replayed, placed.Order.ID)
			}
		}
		if got := s.wantCart(t, alice, c.ID, commerce.Line{ProductID: product, Quantity: 3}); got.OrderID != placed.Order.ID {
			t.Errorf("the cart has the order %q", got.OrderID)
		}
		s.wantStock(t, product, 7)
		s.audit(t)
	})
}

// A cart is changed while it is checked out: the order has the lines that the cart has after it.
func TestACartDoesNotChangeBehindItsOrder(t *testing.T) {
	everyDatabase(t, func(t *testing.T, url string) {
		s := openShop(t, lockprovider.FamilyConfig{Strategy: lockprovider.RowLock}, url, clients.EmbeddedRedis)
		ctx := t.Context()
		product := s.product(t, 1000, 10_000)
		for range 20 {
			c := s.cart(t, alice, commerce.Line{ProductID: product, Quantity: 1})
			var placed commerce.OrderResult
			together(9, func(i int) {
				if i > 0 {
					_, err := s.Carts.AddLines(ctx, alice, commerce.ChangeCart{CartID: c.ID, Lines: []commerce.Line{{ProductID: product, Quantity: 1}}})
					if err != nil && !isCode(err, commerce.InvalidState) && !isCode(err, commerce.Unavailable) {
						t.Errorf("add: %v", err)
					}
					return
				}
				var err error
				if placed, err = untilSettled(t, func() (commerce.OrderResult, error) {
					return s.Carts.Checkout(ctx, alice, commerce.CheckoutCart{Key: uuid.New(), CartID: c.ID})
				}); err != nil {
					t.Errorf("checkout: %v", err)
				}
			})
			if placed.Order == nil {
				t.Fatal("no order")
			}
			s.wantCart(t, alice, c.ID, commerce.Line{ProductID: product, Quantity: placed.Order.Edges.Lines[0].Quantity})
		}
		s.audit(t)
	})
}

// A repeat under a key is no new request: what has changed since refuses nothing.
func TestARepeatOfAnAddedLine(t *testing.T) {
	s := newShop(t, lockprovider.RowLock)
	ctx := t.Context()
	product := s.product(t, 1000, 10)
	line := commerce.Line{ProductID: product, Quantity: 1}
	c := s.cart(t, guest)
	in := commerce.ChangeCart{Key: uuid.New(), CartID: c.ID, Lines: []commerce.Line{line}}
	_, err := s.Carts.AddLines(ctx, guest, in)
	must(t, err)
	_, err = s.Catalog.Archive(ctx, admin, commerce.ArchiveProduct{ID: product})
	must(t, err)
	_, err = s.Carts.AddLines(ctx, guest, in)
	must(t, err)
	in.Key = uuid.New()
	_, err = s.Carts.AddLines(ctx, guest, in)
	wantCodes(t, err, "NOT_FOUND:input.lines.0.productId")
	s.wantCart(t, guest, c.ID, line)
}

// A guest has a cart by its secret, which the database does not have. A customer who changes it,
// claims it or checks it out owns it, and nobody else has it from then on.
func TestWhoHasACart(t *testing.T) {
	s := newShop(t, lockprovider.RowLock)
	ctx := t.Context()
	product := s.product(t, 1000, 100)
	two := commerce.Line{ProductID: product, Quantity: 2}
	for name, claim := range map[string]func(id string) error{
		"change": func(id string) error {
			_, err := s.Carts.UpdateLines(ctx, alice, commerce.ChangeCart{CartID: id, Lines: []commerce.Line{two}})
			return err
		},
		"claim": func(id string) error {
			_, err := s.Carts.Claim(ctx, alice, commerce.ChangeCart{CartID: id})
			return err
		},
		"refused checkout": func(id string) error {
			_, err := s.Carts.Checkout(ctx, alice, commerce.CheckoutCart{Key: uuid.New(), CartID: id, ExpectedTotal: &commerce.Money{Minor: 1, Currency: "USD"}})
			if isCode(err, commerce.PriceChanged) {
				return nil // it is the viewer's all the same
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := s.cart(t, guest, two)
			if secret := strings.TrimPrefix(c.ID, "cart_"); len(secret) != 32 {
				t.Errorf("the secret has %d characters of 5 bits", len(secret))
			}
			for _, row := range s.db.Ent.Cart.Query().AllX(ctx) {
				if strings.Contains(row.String(), c.ID) || row.ID == c.ID {
					t.Error("the database has the secret")
				}
			}
			for _, v := range []commerce.Viewer{guest, bob, admin, alice} { // reading claims nothing
				s.wantCart(t, v, c.ID, two)
			}
			s.wantNoCart(t, guest, c.ID+"0")
			must(t, claim(c.ID))
			s.wantCart(t, alice, c.ID, two)
			for _, v := range []commerce.Viewer{guest, bob, admin} {
				s.wantNoCart(t, v, c.ID)
				in := commerce.ChangeCart{CartID: c.ID, Lines: []commerce.Line{two}}
				_, err := s.Carts.AddLines(ctx, v, in)
				wantCodes(t, err, "NOT_FOUND:input.cartId")
				_, err = s.Carts.UpdateLines(ctx, v, in)
				wantCodes(t, err, "NOT_FOUND:input.cartId")
				_, err = s.Carts.RemoveLines(ctx, v, in)
				wantCodes(t, err, "NOT_FOUND:input.cartId")
				if v.UserID != "" {
					_, err = s.Carts.Claim(ctx, v, in)
					wantCodes(t, err, "NOT_FOUND:input.cartId")
					_, err = s.Carts.Checkout(ctx, v, commerce.CheckoutCart{Key: uuid.New(), CartID: c.ID})
					wantCodes(t, err, "NOT_FOUND:input.cartId")
				}
			}
			s.wantCart(t, alice, c.ID, two)
		})
	}
	s.wantStock(t, product, 100)
}

// Two customers claim the cart of a guest at the same moment, or check it out: one has it, and to
// the other it does not exist.
func TestOneCustomerHasACart(t *testing.T) {
	everyDatabase(t, func(t *testing.T, url string) {
		s := openShop(t, lockprovider.FamilyConfig{Strategy: lockprovider.RowLock}, url, clients.EmbeddedRedis)
		ctx := t.Context()
		product := s.product(t, 1000, 1000)
		const rounds = 10
		for name, claim := range map[string]func(v commerce.Viewer, id string) error{
			"claim": func(v commerce.Viewer, id string) error {
				_, err := s.Carts.Claim(ctx, v, commerce.ChangeCart{CartID: id})
				return err
			},
			"checkout": func(v commerce.Viewer, id string) error {
				_, err := untilSettled(t, func() (commerce.OrderResult, error) {
					return s.Carts.Checkout(ctx, v, commerce.CheckoutCart{Key: uuid.New(), CartID: id})
				})
				return err
			},
		} {
			for range rounds {
				c := s.cart(t, guest, commerce.Line{ProductID: product, Quantity: 1})
				var errs [2]error
				together(2, func(i int) { errs[i] = claim([]commerce.Viewer{alice, bob}[i], c.ID) })
				if errs[0] != nil {
					errs[0], errs[1] = errs[1], errs[0]
				}
				if errs[0] != nil || !isCode(errs[1], commerce.NotFound) {
					t.Errorf("%s: %v and %v", name, errs[0], errs[1])
				}
			}
		}
		s.wantStock(t, product, 1000-rounds)
		s.audit(t)
	})
}

// Changes of a cart come at the same time, on every database: none is lost, and a key adds once.
func TestCartsAreExact(t *testing.T) {
	everyDatabase(t, func(t *testing.T, url string) {
		s := openShop(t, lockprovider.FamilyConfig{Strategy: lockprovider.RowLock}, url, "", func(cfg *config.Config) { cfg.Shop.MaxLines, cfg.Shop.MaxQuantity = 3, 100 })
		ctx := t.Context()
		var products []string
		for range 4 {
			products = append(products, s.product(t, 1000, 100))
		}
		line := func(i int, quantity int64) commerce.Line {
			return commerce.Line{ProductID: products[i], Quantity: quantity}
		}
		c := s.cart(t, guest)
		s.wantCart(t, guest, c.ID)
		keys := []uuid.UUID{uuid.New(), uuid.New()}
		together(16, func(i int) {
			in := commerce.ChangeCart{CartID: c.ID, Lines: []commerce.Line{line(0, 2)}}
			if i < 8 {
				in.Key = keys[i%2]
			}
			_, err := s.Carts.AddLines(ctx, guest, in)
			must(t, err)
		})
		s.wantCart(t, guest, c.ID, line(0, 20)) // 8 without a key, and 2 keys
		in := commerce.ChangeCart{Key: keys[0], CartID: c.ID, Lines: []commerce.Line{line(0, 3)}}
		_, err := s.Carts.AddLines(ctx, guest, in)
		wantCodes(t, err, "IDEMPOTENCY_MISMATCH")
		other := s.cart(t, guest)
		in.CartID = other.ID // another cart's key is another key
		_, err = s.Carts.AddLines(ctx, guest, in)
		must(t, err)
		s.wantCart(t, guest, other.ID, line(0, 3))

		for name, test := range map[string]struct {
			change func(context.Context, commerce.Viewer, commerce.ChangeCart) (*commerce.Cart, error)
			lines  []commerce.Line
			want   []string
		}{
			"nothing":               {s.Carts.AddLines, nil, []string{"INVALID_INPUT:input.lines"}},
			"none of it":            {s.Carts.AddLines, []commerce.Line{line(1, 0)}, []string{"INVALID_INPUT:input.lines.0.quantity"}},
			"too many of it":        {s.Carts.AddLines, []commerce.Line{line(1, 1), line(0, 81)}, []string{"INVALID_INPUT:input.lines.1.quantity"}},
			"too many lines":        {s.Carts.AddLines, []commerce.Line{line(1, 1), line(2, 1), line(3, 1)}, []string{"INVALID_INPUT:input.lines"}},
			"no product":            {s.Carts.AddLines, []commerce.Line{{ProductID: "prod_no", Quantity: 1}}, []string{"NOT_FOUND:input.lines.0.productId"}},
			"update nothing":        {s.Carts.UpdateLines, nil, []string{"INVALID_INPUT:input.lines"}},
			"update to too many":    {s.Carts.UpdateLines, []commerce.Line{line(0, 101)}, []string{"INVALID_INPUT:input.lines.0.quantity"}},
			"update what is absent": {s.Carts.UpdateLines, []commerce.Line{line(0, 1), line(1, 1)}, []string{"NOT_FOUND:input.lines.1.productId"}},
			"remove nothing":        {s.Carts.RemoveLines, nil, []string{"INVALID_INPUT:input.variantIds"}},
		} {
			t.Run(name, func(t *testing.T) {
				_, err := test.change(ctx, guest, commerce.ChangeCart{CartID: c.ID, Lines: test.lines})
				wantCodes(t, err, test.want...)
				s.wantCart(t, guest, c.ID, line(0, 20))
			})
		}
		_, err = s.Carts.Create(ctx, guest, []commerce.Line{line(0, 1), line(1, 1), line(2, 1), line(3, 1)})
		wantCodes(t, err, "INVALID_INPUT:input.lines")
		_, err = s.Carts.AddLines(ctx, guest, commerce.ChangeCart{CartID: c.ID, Lines: []commerce.Line{line(1, 1), line(2, 5)}})
		must(t, err)
		_, err = s.Carts.UpdateLines(ctx, guest, commerce.ChangeCart{CartID: c.ID, Lines: []commerce.Line{line(0, 0), line(2, 4)}})
		must(t, err)
		s.wantCart(t, guest, c.ID, line(1, 1), line(2, 4))
		_, err = s.Carts.RemoveLines(ctx, guest, commerce.ChangeCart{CartID: c.ID, Lines: []commerce.Line{line(1, 0), line(3, 0)}})
		must(t, err)
		s.wantCart(t, guest, c.ID, line(2, 4))
	})
}

// A cart promises nothing: it costs what its products cost now, and a product that is off sale
// costs nothing and cannot be ordered.
func TestACartHasThePricesOfNow(t *testing.T) {
	s := newShop(t, lockprovider.RowLock)
	ctx := t.Context()
	product, gone := s.product(t, 1000, 10), s.product(t, 50, 10)
	off := s.issue(t, alice, s.coupon(t, commerce.CreateCoupon{DiscountKind: coupon.DiscountKindPERCENT, DiscountValue: 10, Quota: 10, PerUserLimit: 1}))
	lines := []commerce.Line{{ProductID: product, Quantity: 2}, {ProductID: gone, Quantity: 1}}
	c := s.cart(t, alice, lines...)
	cost := func(subtotal, discount int64) {
		t.Helper()
		now := s.wantCart(t, alice, c.ID, lines...)
		less, total, err := s.Carts.Preview(ctx, alice, now, off)
		must(t, err)
		if now.SubtotalMinor != subtotal || less != discount || total != subtotal-discount {
			t.Errorf("it costs %d less %d, want %d less %d", now.SubtotalMinor, less, subtotal, discount)
		}
	}
	cost(2050, 205)
	price := int64(2000)
	_, err := s.Catalog.Update(ctx, admin, commerce.UpdateProduct{ID: product, Version: 1, PriceMinor: &price})
	must(t, err)
	_, err = s.Catalog.Archive(ctx, admin, commerce.ArchiveProduct{ID: gone})
	must(t, err)
	now := s.wantCart(t, alice, c.ID, lines...)
	if now.SubtotalMinor != 4000 || now.TotalQuantity != 2 {
		t.Errorf("%d products on sale cost %d", now.TotalQuantity, now.SubtotalMinor)
	}
	_, _, err = s.Carts.Preview(ctx, alice, now, off)
	wantCodes(t, err, "NOT_FOUND:input.cartId")
	_, _, err = s.Carts.Preview(ctx, alice, s.cart(t, alice), off)
	wantCodes(t, err, "INVALID_INPUT:input.cartId") // it is empty
	_, err = s.Carts.Checkout(ctx, alice, commerce.CheckoutCart{Key: uuid.New(), CartID: c.ID})
	wantCodes(t, err, "NOT_FOUND:input.cartId")
	for _, v := range []commerce.Viewer{bob, admin} {
		_, _, err = s.Carts.Preview(ctx, v, s.cart(t, guest, lines[0]), off)
		wantCodes(t, err, "NOT_FOUND:input.couponIssueId")
	}
	s.clock.advance(time.Hour)
	_, err = s.Carts.RemoveLines(ctx, alice, commerce.ChangeCart{CartID: c.ID, Lines: lines[1:]})
	must(t, err)
	result, err := s.Carts.Checkout(ctx, alice, commerce.CheckoutCart{Key: uuid.New(), CartID: c.ID, CouponIssueID: off, ExpectedTotal: &commerce.Money{Minor: 3600, Currency: "USD"}})
	must(t, err)
	if result.Order.TotalMinor != 3600 {
		t.Errorf("the order costs %d", result.Order.TotalMinor)
	}
}
