package commerce_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/ent/order"
	"holdfast/ent/payment"
	"holdfast/lockprovider"
)

const (
	reservation = 15 * time.Minute // of the shop in these tests
	expiryLimit = 100
)

// unpaid places an order of one product that is not paid.
func (s *shop) unpaid(t *testing.T, productID string, quantity int64, issueID string) *ent.Order {
	t.Helper()
	placed, err := s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{
		Key: uuid.New(), Lines: []commerce.Line{{ProductID: productID, Quantity: quantity}}, CouponIssueID: issueID,
	})
	must(t, err)
	wantStatus(t, placed.Order, order.StatusPENDING)
	return placed.Order
}

// stuck places an order whose card payment is authorized and, because the gateway is down at some call, not finished.
func (s *shop) stuck(t *testing.T, productID string) *ent.Order {
	t.Helper()
	placed, err := s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{
		Key: uuid.New(), Lines: []commerce.Line{{ProductID: productID, Quantity: 1}}, Payment: byCard(),
	})
	wantCodes(t, err, "UNAVAILABLE")
	wantStatus(t, placed.Order, order.StatusPENDING)
	return placed.Order
}

func (s *shop) expire(t *testing.T, want int) {
	t.Helper()
	done, err := s.Orders.ExpireOverdue(t.Context(), expiryLimit)
	must(t, err)
	if done != want {
		t.Errorf("%d orders finished, want %d", done, want)
	}
}

func (s *shop) wantOrder(t *testing.T, id string, status order.Status, settled bool) {
	t.Helper()
	row, err := s.Orders.Get(t.Context(), alice, id)
	must(t, err)
	if row.Status != status || row.Settled != settled {
		t.Errorf("order is %s, settled %v; want %s, settled %v", row.Status, row.Settled, status, settled)
	}
}

// failing lets calls of the gateway fail while down holds their name.
func (s *shop) failing(err error, down *atomic.Value) {
	s.gateway.mu.Lock()
	defer s.gateway.mu.Unlock()
	s.gateway.fail = func(call, _ string) error {
		if call == down.Load() {
			return err
		}
		return nil
	}
}

func TestExpiryGivesBackOnce(t *testing.T) {
	under(t, testExpiryGivesBackOnce, lockprovider.PubSub, lockprovider.AtomicSQL, lockprovider.Lua)
}

func testExpiryGivesBackOnce(t *testing.T, s *shop) {
	a := s.product(t, 1000, 20)
	issue := s.issue(t, alice, s.coupon(t, commerce.CreateCoupon{}))
	overdue := []string{s.unpaid(t, a, 2, issue).ID}
	for range 9 {
		overdue = append(overdue, s.unpaid(t, a, 1, "").ID)
	}
	s.expire(t, 0)
	s.clock.advance(reservation / 2)
	later := s.unpaid(t, a, 3, "").ID
	s.clock.advance(reservation / 2)
	s.wantStock(t, a, 6)

	var done atomic.Int64
	together(4, func(int) { // of four instances
		n, err := s.Orders.ExpireOverdue(t.Context(), expiryLimit)
		done.Add(int64(n))
		if err != nil {
			t.Error(err)
		}
	})
	if n := int(done.Load()); n < len(overdue) {
		t.Errorf("%d orders finished, want %d or, where two were at the same one, more", n, len(overdue))
	}
	s.expire(t, 0)
	for _, id := range overdue {
		s.wantOrder(t, id, order.StatusEXPIRED, true)
	}
	s.wantOrder(t, later, order.StatusPENDING, false)
	s.wantStock(t, a, 17)
	s.wantCoupon(t, alice, issue, "ISSUED")
	if n := len(s.entriesOf(t, lockprovider.StockKey(a))); n != 2*len(overdue)+1 {
		t.Errorf("%d entries of the stock, want one for each sale and each return", n)
	}
	if n := len(s.entriesOf(t, lockprovider.CouponUseKey(issue))); n != 2 {
		t.Errorf("%d entries of the coupon's use, want 2", n)
	}
	_, err := s.Orders.Cancel(t.Context(), alice, commerce.CancelOrder{Key: uuid.New(), OrderID: overdue[0]})
	wantCodes(t, err, "INVALID_STATE")
	s.audit(t)
}

// The oldest are finished first, and what does not fit waits for the next call.
func TestExpiryIsBounded(t *testing.T) {
	s := newShop(t, lockprovider.AtomicSQL)
	a := s.product(t, 1000, 10)
	var ids []string
	for range 5 {
		ids = append(ids, s.unpaid(t, a, 1, "").ID)
		s.clock.advance(time.Second)
	}
	s.clock.advance(reservation)
	for i := 0; i < len(ids); i += 2 {
		_, err := s.Orders.ExpireOverdue(t.Context(), 2)
		must(t, err)
		for n, id := range ids {
			if n < i+2 {
				s.wantOrder(t, id, order.StatusEXPIRED, true)
			} else {
				s.wantOrder(t, id, order.StatusPENDING, false)
			}
		}
	}
}

// Of payment, cancellation and expiry at the same moment one happens, and everything is where the order says it is.
func TestPayCancelAndExpiryRace(t *testing.T) {
	under(t, testPayCancelAndExpiryRace, lockprovider.PubSub, lockprovider.Lua)
}

func testPayCancelAndExpiryRace(t *testing.T, s *shop) {
	const rounds = 40
	a := s.product(t, 1000, 1000)
	s.points(t, alice, 1_000_000)
	sold, points := int64(0), int64(1_000_000)
	outcomes := map[order.Status]int{}
	for round := range rounds {
		pay := byPoints()
		if round%2 == 1 {
			pay = byCard()
		}
		id := s.unpaid(t, a, 1, "").ID
		racers := []func(){
			func() {
				_, _ = s.Orders.Pay(t.Context(), alice, commerce.PayOrder{Key: uuid.New(), OrderID: id, Payment: *pay})
			},
			func() {
				s.clock.advance(reservation)
				_, err := s.Orders.ExpireOverdue(t.Context(), expiryLimit)
				if err != nil {
					t.Error(err)
				}
			},
			func() {
				if round%4 < 2 {
					_, _ = s.Orders.Cancel(t.Context(), alice, commerce.CancelOrder{Key: uuid.New(), OrderID: id})
				}
			},
		}
		together(len(racers), func(i int) { racers[i]() })
		_, err := s.Orders.ExpireOverdue(t.Context(), expiryLimit)
		must(t, err)

		row, err := s.Orders.Get(t.Context(), alice, id)
		must(t, err)
		outcomes[row.Status]++
		switch row.Status {
		case order.StatusPAID:
			sold++
			if pay.Method == payment.MethodPOINTS {
				points -= 1000
			} else if got := s.gateway.stateOf(id); got != "captured" {
				t.Errorf("round %d: paid, but the gateway says %q", round, got)
			}
		case order.StatusEXPIRED, order.StatusCANCELLED:
			if got := s.gateway.stateOf(id); got == "captured" || got == "authorized" {
				t.Errorf("round %d: %s, but the gateway has the money", round, row.Status)
			}
		default:
			t.Errorf("round %d: order is %s", round, row.Status)
		}
		if !row.Settled {
			t.Errorf("round %d: not settled", round)
		}
	}
	t.Logf("outcomes: %v", outcomes)
	s.wantStock(t, a, 1000-sold)
	s.wantPoints(t, alice, points)
	s.audit(t)
}

// A card payment that was authorized when everything stopped is finished, one way or the other.
func TestExpiryFinishesAuthorizedPayments(t *testing.T) {
	under(t, testExpiryFinishesAuthorizedPayments, lockprovider.PubSub, lockprovider.Lua)
}

func testExpiryFinishesAuthorizedPayments(t *testing.T, s *shop) {
	a := s.product(t, 1000, 3)
	var down atomic.Value
	down.Store("capture")
	s.failing(errGatewayDown, &down)
	captured, refused := s.stuck(t, a), s.stuck(t, a)
	s.clock.advance(reservation)

	done, err := s.Orders.ExpireOverdue(t.Context(), expiryLimit)
	if errs := wantCodes(t, err, "UNAVAILABLE"); done != 0 || !errs[0].Retryable {
		t.Errorf("%d orders finished while the gateway is down", done)
	}
	s.wantOrder(t, captured.ID, order.StatusPENDING, false)
	s.wantStock(t, a, 1)

	s.gateway.mu.Lock()
	s.gateway.fail = func(call, reference string) error {
		if call == "capture" && reference == refused.ID {
			return commerce.ErrDeclined
		}
		return nil
	}
	s.gateway.mu.Unlock()
	s.expire(t, 2)
	s.wantOrder(t, captured.ID, order.StatusPAID, true)
	s.wantOrder(t, refused.ID, order.StatusFAILED, true)
	if got := s.gateway.stateOf(captured.ID) + " " + s.gateway.stateOf(refused.ID); got != "captured cancelled" {
		t.Errorf("the gateway says %s", got)
	}
	s.wantStock(t, a, 2)
	s.expire(t, 0)
	s.audit(t)
}

// What an order has to give back after it has ended is given back when that becomes possible, and only once.
func TestExpirySettlesWhatAnEndLeftOpen(t *testing.T) {
	under(t, testExpirySettlesWhatAnEndLeftOpen, lockprovider.PubSub, lockprovider.Lua)
}

func testExpirySettlesWhatAnEndLeftOpen(t *testing.T, s *shop) {
	a := s.product(t, 1000, 1)
	issue := s.issue(t, alice, s.coupon(t, commerce.CreateCoupon{}))
	placed, err := s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{
		Key: uuid.New(), Lines: []commerce.Line{{ProductID: a, Quantity: 1}}, CouponIssueID: issue, Payment: byCard(),
	})
	must(t, err)
	wantStatus(t, placed.Order, order.StatusPAID)
	var down atomic.Value
	down.Store("cancel")
	s.failing(errGatewayDown, &down)
	_, err = s.Orders.Cancel(t.Context(), alice, commerce.CancelOrder{Key: uuid.New(), OrderID: placed.Order.ID})
	wantCodes(t, err, "UNAVAILABLE")
	s.wantOrder(t, placed.Order.ID, order.StatusCANCELLED, false)

	_, err = s.Orders.ExpireOverdue(t.Context(), expiryLimit)
	wantCodes(t, err, "UNAVAILABLE")
	down.Store("")
	s.expire(t, 1)
	s.expire(t, 0)
	s.wantOrder(t, placed.Order.ID, order.StatusCANCELLED, true)
	if got := s.gateway.stateOf(placed.Order.ID); got != "cancelled" {
		t.Errorf("the gateway has %s", got)
	}
	s.wantStock(t, a, 1)
	s.wantCoupon(t, alice, issue, "ISSUED")
	s.audit(t)
}

// Orders that cannot be finished keep nobody waiting, however many and old they are.
func TestExpiryPassesOrdersThatAreStuck(t *testing.T) {
	s := newShop(t, lockprovider.PubSub)
	a := s.product(t, 1000, 10)
	var down atomic.Value
	down.Store("capture")
	s.failing(errGatewayDown, &down)
	stuck := []*ent.Order{s.stuck(t, a), s.stuck(t, a)}
	s.clock.advance(time.Minute)
	plain := s.unpaid(t, a, 1, "")
	s.clock.advance(reservation)

	done, err := s.Orders.ExpireOverdue(t.Context(), 1)
	wantCodes(t, err, "UNAVAILABLE")
	if done != 1 {
		t.Errorf("%d orders finished, want the one that can be", done)
	}
	s.wantOrder(t, plain.ID, order.StatusEXPIRED, true)
	for _, o := range stuck {
		s.wantOrder(t, o.ID, order.StatusPENDING, false)
	}
	down.Store("")
	s.expire(t, 2)
	s.wantStock(t, a, 8)
	s.audit(t)
}

// That the end of an order was refused, because its payment was faster, does not keep the customer from cancelling it.
func TestARefusedEndLeavesTheOrderToItsCustomer(t *testing.T) {
	under(t, testARefusedEndLeavesTheOrderToItsCustomer, lockprovider.PubSub, lockprovider.Lua)
}

func testARefusedEndLeavesTheOrderToItsCustomer(t *testing.T, s *shop) {
	a := s.product(t, 1000, 1)
	s.points(t, alice, 1000)
	id := s.unpaid(t, a, 1, "").ID
	s.gateway.fail = func(call, _ string) error {
		if call != "authorize" {
			return nil
		}
		_, err := s.Orders.Pay(t.Context(), alice, commerce.PayOrder{Key: uuid.New(), OrderID: id, Payment: *byPoints()})
		must(t, err)
		return commerce.ErrDeclined // so that the order is to fail, which has just been paid
	}
	_, err := s.Orders.Pay(t.Context(), alice, commerce.PayOrder{Key: uuid.New(), OrderID: id, Payment: *byCard()})
	must(t, err)
	s.wantOrder(t, id, order.StatusPAID, true)

	result, err := s.Orders.Cancel(t.Context(), alice, commerce.CancelOrder{Key: uuid.New(), OrderID: id})
	must(t, err)
	wantStatus(t, result.Order, order.StatusCANCELLED)
	s.wantStock(t, a, 1)
	s.wantPoints(t, alice, 1000)
	s.audit(t)
}
