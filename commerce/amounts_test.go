package commerce_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/commerce"
	"holdfast/ent/order"
	"holdfast/ent/paymentattempt"
	"holdfast/lockprovider"
	"holdfast/payments"
)

// TestAPartPaysForNothing: a part of an authorized amount is captured at the gateway by hand. It pays no order and buys no points; a person
// is asked for. What was taken is given back when the order is cancelled.
func TestAPartPaysForNothing(t *testing.T) {
	s := newShop(t, lockprovider.AtomicSQL)
	id := s.unpaid(t, s.product(t, 1000, 3), 1, "").ID
	pay, points := payCard(id), commerce.ChargePoints{Key: uuid.New(), Amount: 250}
	s.gateway.lose = "authorize"
	_, err := s.Orders.Pay(t.Context(), alice, pay)
	wantCodes(t, err, "UNAVAILABLE")
	s.gateway.lose = "authorize"
	_, err = s.Points.Charge(t.Context(), alice, points)
	wantCodes(t, err, "UNAVAILABLE")
	attempt := s.attempts(t, id)[0].ID
	topUp := s.db.Ent.PaymentAttempt.Query().Where(paymentattempt.OrderIDIsNil()).OnlyX(t.Context()).ID
	s.gateway.state[attempt], s.gateway.state[topUp] = "captured", "captured"
	s.gateway.part = map[string]int64{attempt: 400, topUp: 100}

	part := s.message(t, payments.SimulatedMessage{ID: "1", Attempt: attempt, State: payments.StateCaptured, Captured: 400})
	s.wantDelivered(t, part, commerce.WebhookUnchanged)
	_, err = s.Orders.Pay(t.Context(), alice, pay)
	wantCodes(t, err, "UNAVAILABLE")
	_, err = s.Points.Charge(t.Context(), alice, points)
	wantCodes(t, err, "UNAVAILABLE")
	for range 6 {
		s.sweep(t, 0, 2)
		s.clock.advance(time.Hour)
	}
	s.wantOrder(t, id, order.StatusPENDING, false)
	s.wantPoints(t, alice, 0)
	stuck, err := s.Attempts.CountStuck(t.Context())
	must(t, err)
	row := s.attempts(t, id)[0]
	if stuck != 2 || row.Status != paymentattempt.StatusUNKNOWN || !strings.Contains(row.LastError, "400 instead of 1000") {
		t.Errorf("%d attempts need a person; that of the order is %s because of %q", stuck, row.Status, row.LastError)
	}

	_, err = s.Orders.Cancel(t.Context(), alice, commerce.CancelOrder{Key: uuid.New(), OrderID: id})
	must(t, err)
	s.wantOrder(t, id, order.StatusCANCELLED, true)
	s.wantAttempts(t, id, paymentattempt.StatusREFUNDED)
	if got := s.gateway.taken(); got != 100 {
		t.Errorf("the gateway has taken %d, want the 100 of the points", got)
	}
	s.audit(t)
}

// TestTheRestIsGivenBack: a part of a payment was given back at the gateway by hand. When the order is cancelled, the rest is.
func TestTheRestIsGivenBack(t *testing.T) {
	s := newShop(t, lockprovider.AtomicSQL)
	placed, err := s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{
		Key: uuid.New(), Lines: []commerce.Line{{ProductID: s.product(t, 1000, 3), Quantity: 1}}, Payment: byCard(),
	})
	must(t, err)
	id := placed.Order.ID
	s.gateway.back = map[string]int64{s.attempts(t, id)[0].ID: 300}
	_, err = s.Orders.Cancel(t.Context(), alice, commerce.CancelOrder{Key: uuid.New(), OrderID: id})
	must(t, err)
	s.wantOrder(t, id, order.StatusCANCELLED, true)
	s.wantAttempts(t, id, paymentattempt.StatusREFUNDED)
	if got := s.gateway.taken(); got != 0 {
		t.Errorf("the gateway has taken %d, want 0", got)
	}
	s.audit(t)
}
