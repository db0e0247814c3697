package commerce_test

import (
	"testing"

	"github.com/google/uuid"

	"holdfast/commerce"
	"holdfast/ent/hold"
	"holdfast/ent/order"
	"holdfast/ent/payment"
	"holdfast/lockprovider"
)

// An order that fails by the payment that comes with it gives back once what the hold had, and its coupon: the customer may hold the same
// again. One that is placed first, and paid then, keeps its stock when a card is declined.
func TestAHoldWhosePaymentIsRefused(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		ctx, a := t.Context(), s.product(t, 1000, 2)
		coupon := s.issue(t, alice, s.coupon(t, commerce.CreateCoupon{}))
		h := s.hold(t, alice, a, 2)
		in := commerce.PlaceOrder{
			Key: uuid.New(), HoldID: h.ID, CouponIssueID: coupon, Lines: []commerce.Line{{ProductID: a, Quantity: 2}}, Payment: byPoints(),
		}
		var failed string
		for range 2 {
			result, err := untilSettled(t, func() (commerce.OrderResult, error) { return s.Orders.Place(ctx, alice, in) })
			wantCodes(t, err, "INSUFFICIENT_FUNDS:input.payment")
			wantStatus(t, result.Order, order.StatusFAILED)
			failed = result.Order.ID
		}
		if row := s.wantHold(t, h.ID, hold.StatusCONSUMED); row.OrderID == nil || *row.OrderID != failed {
			t.Errorf("the hold has the order %v, want %s", row.OrderID, failed)
		}
		s.wantStock(t, a, 2)
		s.wantHolds(t, alice, 0)
		s.wantCoupon(t, alice, coupon, "ISSUED")

		h = s.hold(t, alice, a, 2)
		s.gateway.fail = func(string, string) error { return errDeclined }
		in.Key, in.HoldID, in.Payment = uuid.New(), h.ID, &commerce.Payment{Method: payment.MethodCARD}
		result, err := untilSettled(t, func() (commerce.OrderResult, error) { return s.Orders.Place(ctx, alice, in) })
		wantCodes(t, err, "PAYMENT_DECLINED:input.payment")
		wantStatus(t, result.Order, order.StatusFAILED)
		s.wantHold(t, h.ID, hold.StatusCONSUMED)
		s.wantStock(t, a, 2)

		h = s.hold(t, alice, a, 2)
		in.Key, in.HoldID, in.Payment = uuid.New(), h.ID, nil
		result, err = untilSettled(t, func() (commerce.OrderResult, error) { return s.Orders.Place(ctx, alice, in) })
		must(t, err)
		_, err = s.Orders.Pay(ctx, alice, payCard(result.Order.ID))
		wantCodes(t, err, "PAYMENT_DECLINED:input.payment")
		s.wantHold(t, h.ID, hold.StatusCONSUMED)
		s.wantStock(t, a, 0)
		s.gateway.fail = nil
		result, err = s.Orders.Pay(ctx, alice, payCard(result.Order.ID))
		must(t, err)
		wantStatus(t, result.Order, order.StatusPAID)
		s.wantStock(t, a, 0)
		s.wantHolds(t, alice, 0)
		if got := s.gateway.taken(); got != 1900 {
			t.Errorf("the gateway has taken %d, want 1900", got)
		}
		s.audit(t)
	})
}

// A checkout that has taken a hold over is answered with its order again: under its key and under another one, after the deadline of the
// hold, and after the hold was deleted.
func TestTheCheckoutOfAHoldIsRepeated(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		ctx, a := t.Context(), s.product(t, 1000, 5)
		two := commerce.Line{ProductID: a, Quantity: 2}
		c, h := s.cart(t, alice, two), s.hold(t, alice, a, 2)
		in := commerce.CheckoutCart{Key: uuid.New(), CartID: c.ID, HoldID: h.ID}
		placed := ""
		checkout := func(when string) {
			t.Helper()
			result, err := untilSettled(t, func() (commerce.OrderResult, error) { return s.Carts.Checkout(ctx, alice, in) })
			must(t, err)
			if placed == "" {
				placed = result.Order.ID
			}
			if result.Order.ID != placed {
				t.Errorf("%s: checked out to %s, and to %s before", when, result.Order.ID, placed)
			}
		}
		checkout("at first")
		checkout("at once")
		s.clock.advance(ttl)
		checkout("after the deadline")
		must(t, s.db.Ent.Hold.DeleteOneID(h.ID).Exec(ctx))
		checkout("after the hold was deleted")
		in.Key = uuid.New()
		checkout("under another key")
		s.wantStock(t, a, 3)
		s.wantHolds(t, alice, 0)
		s.audit(t)
	})
}

// The limit of a product that is set, changed or removed while a hold lasts changes nothing of the hold: what it counts is what its order
// counts, and what is given back.
func TestLimitsThatChangeDuringAHold(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		ctx := t.Context()
		a, version := s.limited(t, commerce.PurchaseLimit{Quantity: 4}), 1
		change := func(limit commerce.PurchaseLimit) {
			t.Helper()
			row, err := s.Catalog.Update(ctx, admin, commerce.UpdateProduct{ID: a, Version: version, Limit: &limit})
			must(t, err)
			version = row.Version
		}
		counted := func(when string, want int64) {
			t.Helper()
			s.settle(t)
			got, err := s.db.Ent.Balance.Get(ctx, lockprovider.BuyerKey(a, alice.UserID, ""))
			must(t, err)
			if got.Amount != want {
				t.Errorf("%s: %d units count, want %d", when, got.Amount, want)
			}
			s.compareCounts(t, 0)
		}
		ordered, released := s.hold(t, alice, a, 2), s.hold(t, alice, a, 2)
		change(commerce.PurchaseLimit{Quantity: 1})
		placed, err := s.takeOver(t, alice, ordered) // which counts already
		must(t, err)
		counted("after a lower limit", 4)
		change(commerce.PurchaseLimit{})
		_, err = s.Holds.Release(ctx, alice, released.ID)
		must(t, err)
		counted("after the end of the limit", 2)
		free := s.hold(t, alice, a, 3) // nothing counts it
		change(commerce.PurchaseLimit{Quantity: 1})
		counted("after a new limit", 2)
		second, err := s.takeOver(t, alice, free)
		must(t, err)
		counted("after the order of what was held without a limit", 2)
		for _, id := range []string{placed.Order.ID, second.Order.ID} {
			_, err = s.Orders.Cancel(ctx, alice, commerce.CancelOrder{Key: uuid.New(), OrderID: id})
			must(t, err)
		}
		counted("after all was cancelled", 0)
		s.wantStock(t, a, 100)
		s.audit(t)
	})
}

// A product that is taken off sale stays held, cannot be ordered, and is given back.
func TestAHoldOfWhatIsOffSale(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		ctx, a := t.Context(), s.product(t, 1000, 5)
		in := commerce.CreateHold{Key: uuid.New(), TTL: ttl, Lines: []commerce.Line{{ProductID: a, Quantity: 2}}}
		made, err := untilSettled(t, func() (commerce.HoldResult, error) { return s.Holds.Create(ctx, alice, in) })
		must(t, err)
		_, err = s.Catalog.Archive(ctx, admin, commerce.ArchiveProduct{ID: a})
		must(t, err)
		again, err := s.Holds.Create(ctx, alice, in)
		must(t, err)
		if again.Hold.ID != made.Hold.ID || !again.Meta.Replayed {
			t.Errorf("the repeat is told of %s, replayed %v", again.Hold.ID, again.Meta.Replayed)
		}
		_, err = s.takeOver(t, alice, made.Hold)
		wantCodes(t, err, "NOT_FOUND:input.lines.0.productId")
		s.wantHold(t, made.Hold.ID, hold.StatusACTIVE)
		s.wantStock(t, a, 3)
		s.clock.advance(ttl)
		_, _, err = s.Holds.ExpireOverdue(ctx, expiryLimit)
		must(t, err)
		s.wantHold(t, made.Hold.ID, hold.StatusEXPIRED)
		s.wantStock(t, a, 5)
		s.audit(t)
	})
}
