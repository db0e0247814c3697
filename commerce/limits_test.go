package commerce_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/ent/order"
	"holdfast/lockprovider"
)

// limited creates a product with a stock of 100 and a limit.
func (s *shop) limited(t testing.TB, limit commerce.PurchaseLimit) string {
	t.Helper()
	row, err := s.Catalog.Create(t.Context(), admin, commerce.CreateProduct{
		SKU: uuid.NewString(), Name: "Limited", Price: commerce.Money{Minor: 1000, Currency: "USD"}, Stock: 100, Limit: &limit,
	})
	must(t, err)
	return row.ID
}

// order places an order of one product.
func (s *shop) order(t testing.TB, v commerce.Viewer, productID string, quantity int64) (string, error) {
	t.Helper()
	in := commerce.PlaceOrder{Key: uuid.New(), Lines: []commerce.Line{{ProductID: productID, Quantity: quantity}}}
	result, err := untilSettled(t, func() (commerce.OrderResult, error) { return s.Orders.Place(t.Context(), v, in) })
	if err != nil {
		return "", err
	}
	return result.Order.ID, nil
}

// wantLimit asserts that an order of one product is refused, and how many more the customer is told to have.
func (s *shop) wantLimit(t testing.TB, v commerce.Viewer, productID string, quantity, available int64) {
	t.Helper()
	_, err := s.order(t, v, productID, quantity)
	want := commerce.PurchaseLimitDetails{ProductID: productID, VariantID: lockprovider.FirstVariantID(productID), Requested: quantity, Available: available}
	if errs := wantCodes(t, err, "PURCHASE_LIMIT:input.lines.0.quantity"); errs[0].Details != want || !errs[0].Retryable {
		t.Errorf("told %+v, want %+v, retryable", errs[0], want)
	}
}

// A customer who orders many times at once gets as much as one may, and nobody else is held up by that.
func TestPurchaseLimitIsExact(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		const limit = 5
		a := s.limited(t, commerce.PurchaseLimit{Quantity: limit})
		var placed, refused atomic.Int64
		ids := make(chan string, 16)
		together(16, func(int) {
			id, err := s.order(t, alice, a, 1)
			if err == nil {
				placed.Add(1)
				ids <- id
				return
			}
			if errs, ok := commerce.UserErrors(err); !ok || errs[0].Code != commerce.PurchaseLimitReached {
				t.Errorf("refused with %v", err)
			}
			refused.Add(1)
		})
		if placed.Load() != limit || refused.Load() != 16-limit {
			t.Fatalf("%d orders placed and %d refused of 16 with a limit of %d", placed.Load(), refused.Load(), limit)
		}
		s.wantStock(t, a, 100-limit)
		if _, err := s.order(t, bob, a, limit); err != nil {
			t.Errorf("another customer: %v", err)
		}

		// What ends without being paid does not count any more.
		_, err := untilSettled(t, func() (commerce.OrderResult, error) {
			return s.Orders.Cancel(t.Context(), alice, commerce.CancelOrder{Key: uuid.New(), OrderID: <-ids})
		})
		must(t, err)
		s.wantLimit(t, alice, a, 2, 1)
		if _, err := s.order(t, alice, a, 1); err != nil {
			t.Errorf("after an order was cancelled: %v", err)
		}
		s.wantStock(t, a, 100-2*limit)
		s.audit(t)
	})
}

// A limit may change, and what was ordered before counts; in the next period it does not.
func TestPurchaseLimitChanges(t *testing.T) {
	everyDatabase(t, func(t *testing.T, url string) {
		s := openShop(t, lockprovider.FamilyConfig{Strategy: lockprovider.AtomicSQL}, url, clients.EmbeddedRedis)
		version := 1
		change := func(id string, limit commerce.PurchaseLimit) {
			t.Helper()
			row, err := s.Catalog.Update(t.Context(), admin, commerce.UpdateProduct{ID: id, Version: version, Limit: &limit})
			must(t, err)
			version++
			if row.LimitQuantity != limit.Quantity || row.LimitHours != limit.Hours {
				t.Errorf("the product has %d in %d h, want %+v", row.LimitQuantity, row.LimitHours, limit)
			}
		}
		a := s.limited(t, commerce.PurchaseLimit{Quantity: 3})
		first, err := s.order(t, alice, a, 3)
		must(t, err)
		change(a, commerce.PurchaseLimit{Quantity: 4})
		s.wantLimit(t, alice, a, 2, 1)
		_, err = s.order(t, alice, a, 1)
		must(t, err)
		change(a, commerce.PurchaseLimit{Quantity: 2})
		s.wantLimit(t, alice, a, 1, 0)
		change(a, commerce.PurchaseLimit{})
		if _, err := s.order(t, alice, a, 7); err != nil {
			t.Errorf("without a limit: %v", err)
		}
		change(a, commerce.PurchaseLimit{Quantity: 2, Hours: 24}) // another length counts on its own
		_, err = s.order(t, alice, a, 2)
		must(t, err)
		s.wantLimit(t, alice, a, 1, 0)
		s.clock.advance(24 * time.Hour)
		_, err = s.order(t, alice, a, 2)
		must(t, err)

		// An order gives back to the period that it was placed in.
		s.expire(t, 4)
		s.wantOrder(t, first, order.StatusEXPIRED, true)
		s.wantLimit(t, alice, a, 1, 0)
		s.audit(t)
	})
}

// An order is refused as a whole, and each product is named.
func TestPurchaseLimitOfACart(t *testing.T) {
	s := newShop(t, lockprovider.Lua)
	a, b := s.limited(t, commerce.PurchaseLimit{Quantity: 2}), s.product(t, 1000, 1)
	_, err := s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{Key: uuid.New(), Lines: []commerce.Line{
		{ProductID: b, Quantity: 2}, {ProductID: a, Quantity: 1}, {ProductID: a, Quantity: 2},
	}})
	errs, ok := commerce.UserErrors(err)
	told := map[commerce.Code]string{}
	for _, e := range errs {
		told[e.Code] = e.Field[2]
	}
	if !ok || len(errs) != 2 || told[commerce.OutOfStock] != "0" || told[commerce.PurchaseLimitReached] != "1" {
		t.Errorf("told %v", err)
	}
	s.wantStock(t, a, 100)
	s.wantStock(t, b, 1)
}

func TestPurchaseLimitsThatAreNone(t *testing.T) {
	s := newShop(t, lockprovider.RowLock)
	for _, limit := range []commerce.PurchaseLimit{{Quantity: -1}, {Quantity: 1_000_001}, {Quantity: 1, Hours: -1}, {Quantity: 1, Hours: 87_841}} {
		want := "INVALID_INPUT:input.limitPerCustomer.quantity"
		if limit.Hours != 0 {
			want = "INVALID_INPUT:input.limitPerCustomer.periodHours"
		}
		_, err := s.Catalog.Create(t.Context(), admin, commerce.CreateProduct{
			SKU: uuid.NewString(), Name: "Limited", Price: commerce.Money{Minor: 1000, Currency: "USD"}, Limit: &limit,
		})
		wantCodes(t, err, want)
		_, err = s.Catalog.Update(t.Context(), admin, commerce.UpdateProduct{ID: "prod_1", Version: 1, Limit: &limit})
		wantCodes(t, err, want)
	}
}
