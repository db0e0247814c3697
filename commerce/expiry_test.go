package commerce_test

import (
	"errors"
	"strings"
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
	s.expireSome(t, expiryLimit, want, 0)
}

// expireSome runs the job once, with a limit, and wants so many orders finished and so many postponed.
func (s *shop) expireSome(t *testing.T, limit, wantDone, wantFailed int) {
	t.Helper()
	done, failed, err := s.Orders.ExpireOverdue(t.Context(), limit)
	must(t, err)
	if done != wantDone || failed != wantFailed {
		t.Errorf("%d orders finished and %d postponed, want %d and %d", done, failed, wantDone, wantFailed)
	}
}

// nextAttempt moves the clock behind the longest pause of an order that could not be finished.
func (s *shop) nextAttempt() { s.clock.advance(time.Hour) }

func (s *shop) wantOrder(t *testing.T, id string, status order.Status, settled bool) {
	t.Helper()
	s.settle(t)
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
	everyStrategy(t, testExpiryGivesBackOnce)
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
		n, _, err := s.Orders.ExpireOverdue(t.Context(), expiryLimit)
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
		_, _, err := s.Orders.ExpireOverdue(t.Context(), 2)
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
	everyStrategy(t, testPayCancelAndExpiryRace)
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
				_, _, err := s.Orders.ExpireOverdue(t.Context(), expiryLimit)
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
		s.nextAttempt()
		_, _, err := s.Orders.ExpireOverdue(t.Context(), expiryLimit)
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
	everyStrategy(t, testExpiryFinishesAuthorizedPayments)
}

func testExpiryFinishesAuthorizedPayments(t *testing.T, s *shop) {
	a := s.product(t, 1000, 3)
	var down atomic.Value
	down.Store("capture")
	s.failing(errGatewayDown, &down)
	captured, refused := s.stuck(t, a), s.stuck(t, a)
	s.clock.advance(reservation)

	s.expireSome(t, expiryLimit, 0, 2) // while the gateway is down
	s.wantOrder(t, captured.ID, order.StatusPENDING, false)
	s.wantStock(t, a, 1)

	s.gateway.mu.Lock()
	s.gateway.fail = func(call, reference string) error {
		if call == "capture" && reference == refused.ID {
			return errDeclined
		}
		return nil
	}
	s.gateway.mu.Unlock()
	s.nextAttempt()
	s.expire(t, 2)
	s.wantOrder(t, captured.ID, order.StatusPAID, true)
	s.wantOrder(t, refused.ID, order.StatusFAILED, true)
	if got := s.gateway.stateOf(captured.ID) + " " + s.gateway.stateOf(refused.ID); got != "captured declined" {
		t.Errorf("the gateway says %s", got)
	}
	s.wantStock(t, a, 2)
	s.expire(t, 0)
	s.audit(t)
}

// What an order has to give back after it has ended is given back when that becomes possible, and only once.
func TestExpirySettlesWhatAnEndLeftOpen(t *testing.T) {
	everyStrategy(t, testExpirySettlesWhatAnEndLeftOpen)
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

	s.expireSome(t, expiryLimit, 0, 1)
	down.Store("")
	s.nextAttempt()
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

	s.expireSome(t, 1, 1, 1) // the one that can be finished is, and the gateway is asked for the oldest of the others
	s.wantOrder(t, plain.ID, order.StatusEXPIRED, true)
	for _, o := range stuck {
		s.wantOrder(t, o.ID, order.StatusPENDING, false)
	}
	down.Store("")
	s.nextAttempt()
	s.expire(t, 2)
	s.wantStock(t, a, 8)
	s.audit(t)
}

// refusedRefunds cancels paid orders whose cards take nothing back any more, and counts how often the gateway is asked. It takes
// the payments back once taken is true.
func (s *shop) refusedRefunds(t *testing.T, productID string, n int) (ids []string, asked *atomic.Int64, taken *atomic.Bool) {
	t.Helper()
	asked, taken = new(atomic.Int64), new(atomic.Bool)
	closed := map[string]bool{}
	for range n {
		placed, err := s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{
			Key: uuid.New(), Lines: []commerce.Line{{ProductID: productID, Quantity: 1}}, Payment: byCard(),
		})
		must(t, err)
		ids, closed[placed.Order.ID] = append(ids, placed.Order.ID), true
	}
	s.gateway.mu.Lock()
	s.gateway.fail = func(call, reference string) error {
		if call == "capture" && !closed[reference] && !taken.Load() {
			return errGatewayDown
		}
		if call != "cancel" || !closed[reference] || taken.Load() {
			return nil
		}
		asked.Add(1)
		return errDeclined
	}
	s.gateway.mu.Unlock()
	for _, id := range ids {
		_, err := s.Orders.Cancel(t.Context(), alice, commerce.CancelOrder{Key: uuid.New(), OrderID: id})
		if errs := wantCodes(t, err, "PAYMENT_DECLINED"); errs[0].Retryable {
			t.Error("a refund that the gateway refuses is said to be retryable")
		}
		s.wantOrder(t, id, order.StatusCANCELLED, false)
	}
	return ids, asked, taken
}

// Refunds that fail for ever keep nobody waiting, although they are the oldest and as many as the job takes at a time.
func TestOrdersThatFailBlockNobody(t *testing.T) {
	s := newShop(t, lockprovider.AtomicSQL)
	a := s.product(t, 1000, 10)
	ids, _, _ := s.refusedRefunds(t, a, 2)
	s.clock.advance(time.Minute)
	later := s.stuck(t, a) // authorized, and not captured: the gateway was away
	s.clock.advance(reservation)
	s.gateway.mu.Lock()
	s.gateway.fail = func(call, _ string) error {
		if call == "cancel" {
			return errDeclined
		}
		return nil
	}
	s.gateway.mu.Unlock()
	s.expireSome(t, 2, 0, 2)
	s.expireSome(t, 2, 1, 0)
	s.wantOrder(t, later.ID, order.StatusPAID, true)
	for _, id := range ids {
		s.wantOrder(t, id, order.StatusCANCELLED, false) // and not forgotten
	}
}

// An order that cannot be finished is tried after pauses that grow to a bound, is shown to administrators as FAILED after some
// attempts, and is finished when that becomes possible.
func TestFailedSettlement(t *testing.T) {
	s := newShop(t, lockprovider.AtomicSQL)
	a := s.product(t, 1000, 10)
	ids, asked, taken := s.refusedRefunds(t, a, 1)
	unsettled := func() []*ent.Order {
		t.Helper()
		rows, err := s.Orders.Unsettled(t.Context(), admin, 10)
		must(t, err)
		return rows
	}
	if _, err := s.Orders.Unsettled(t.Context(), alice, 10); !errors.Is(err, commerce.ErrForbidden) {
		t.Errorf("a customer sees them: %v", err)
	}
	if rows := unsettled(); len(rows) != 0 { // the customer's request was no attempt of the job's
		t.Errorf("unsettled before the first attempt: %v", rows)
	}
	asked.Store(0)
	var pauses []time.Duration
	failedAfter := 0
	for attempt := 1; attempt <= 12; attempt++ {
		s.expireSome(t, 1, 0, 1)
		s.expireSome(t, 1, 0, 0) // not again before the pause is over
		if n := asked.Load(); n != int64(attempt) {
			t.Fatalf("the gateway was asked %d times in %d attempts", n, attempt)
		}
		rows := unsettled()
		if len(rows) != 1 || rows[0].ID != ids[0] || rows[0].Attempts != attempt || !strings.Contains(rows[0].LastError, "declined") {
			t.Fatalf("after %d attempts: %+v", attempt, rows)
		}
		failed, err := s.Orders.CountFailed(t.Context())
		must(t, err)
		if isFailed := commerce.SettlementAfter(rows[0].Attempts) == commerce.SettlementFailed; isFailed != (failed == 1) {
			t.Errorf("after %d attempts: %s, and %d are counted as failed", attempt, commerce.SettlementAfter(rows[0].Attempts), failed)
		} else if isFailed && failedAfter == 0 {
			failedAfter = attempt
		}
		pause := rows[0].NextAttemptAt.Sub(s.clock.Now())
		pauses = append(pauses, pause)
		s.clock.advance(pause)
	}
	t.Logf("pauses: %v", pauses)
	if first, last := pauses[0], pauses[len(pauses)-1]; first > 15*time.Second || last < 5*time.Minute || last > 15*time.Minute {
		t.Errorf("the pauses are %v, want 10 s at first and 10 min at last, ±50 %%", pauses)
	}
	if failedAfter < 3 || failedAfter > 10 {
		t.Errorf("FAILED after %d attempts", failedAfter)
	}

	taken.Store(true)
	s.expire(t, 1)
	s.wantOrder(t, ids[0], order.StatusCANCELLED, true)
	if failed, err := s.Orders.CountFailed(t.Context()); err != nil || failed != 0 || len(unsettled()) != 0 {
		t.Errorf("%d are failed after the last one is settled, %v", failed, err)
	}
	if got := s.gateway.stateOf(ids[0]); got != "cancelled" {
		t.Errorf("the gateway says %s", got)
	}
	s.audit(t)
}

// A declined card leaves the order to its customer, who pays it otherwise or cancels it.
func TestADeclinedCardLeavesTheOrderToItsCustomer(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		a := s.product(t, 1000, 1)
		s.points(t, alice, 1000)
		id := s.unpaid(t, a, 1, "").ID
		s.gateway.fail = func(call, _ string) error {
			if call == "authorize" {
				return errDeclined
			}
			return nil
		}
		_, err := s.Orders.Pay(t.Context(), alice, commerce.PayOrder{Key: uuid.New(), OrderID: id, Payment: *byCard()})
		wantCodes(t, err, string(commerce.PaymentDeclined))
		_, err = s.Orders.Pay(t.Context(), alice, commerce.PayOrder{Key: uuid.New(), OrderID: id, Payment: *byPoints()})
		must(t, err)
		s.wantOrder(t, id, order.StatusPAID, true)
		s.wantPoints(t, alice, 0)

		result, err := s.Orders.Cancel(t.Context(), alice, commerce.CancelOrder{Key: uuid.New(), OrderID: id})
		must(t, err)
		wantStatus(t, result.Order, order.StatusCANCELLED)
		s.wantStock(t, a, 1)
		s.wantPoints(t, alice, 1000)
		s.audit(t)
	})
}

// An order that is looked at too early, because a failed attempt was noted after a step had been done, keeps its reservation.
func TestNoOrderExpiresBeforeItsEnd(t *testing.T) {
	s := newShop(t, lockprovider.RowLock)
	placed, err := s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{
		Key: uuid.New(), Lines: []commerce.Line{{ProductID: s.product(t, 1000, 10), Quantity: 1}},
	})
	must(t, err)
	must(t, s.db.Ent.Order.UpdateOneID(placed.Order.ID).SetNextAttemptAt(s.clock.Now()).Exec(t.Context()))
	_, _, err = s.Orders.ExpireOverdue(t.Context(), 10)
	must(t, err)
	row := s.db.Ent.Order.GetX(t.Context(), placed.Order.ID)
	if row.Status != order.StatusPENDING || row.NextAttemptAt == nil || !row.NextAttemptAt.Equal(row.ExpiresAt) {
		t.Errorf("it is %s, and is looked at again at %v, want PENDING until %v", row.Status, row.NextAttemptAt, row.ExpiresAt)
	}
	s.clock.advance(16 * time.Minute)
	_, _, err = s.Orders.ExpireOverdue(t.Context(), 10)
	must(t, err)
	if row := s.db.Ent.Order.GetX(t.Context(), placed.Order.ID); row.Status != order.StatusEXPIRED {
		t.Errorf("it is %s after its end, want EXPIRED", row.Status)
	}
}
