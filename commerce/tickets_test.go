package commerce_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/ent/order"
	"holdfast/lockprovider"
)

// followTicket looks at a ticket until the order has been served, refused or given up.
func followTicket(t *testing.T, s *shop, v commerce.Viewer, id string) (commerce.OrderResult, error) {
	t.Helper()
	for {
		result, err := s.Orders.Ticket(t.Context(), v, id)
		if err != nil || result.Ticket.Status != commerce.TicketWaiting && result.Ticket.Status != commerce.TicketServing {
			return result, err
		}
	}
}

func TestTickets(t *testing.T) {
	s := newShop(t, lockprovider.Queue)
	a := s.product(t, 1000, 2)
	s.points(t, alice, 10_000)
	order1 := commerce.PlaceOrder{
		Key: uuid.New(), Lines: []commerce.Line{{ProductID: a, Quantity: 2}}, Payment: byPoints(), NoWait: true,
	}
	placed, err := s.Orders.Place(t.Context(), alice, order1)
	must(t, err)
	if placed.Ticket == nil {
		t.Fatal("no ticket")
	}
	_, err = s.Orders.Ticket(t.Context(), bob, placed.Ticket.ID)
	wantCodes(t, err, "NOT_FOUND:id")
	_, err = s.Orders.Ticket(t.Context(), alice, "qt_no")
	wantCodes(t, err, "NOT_FOUND:id")
	done, err := followTicket(t, s, alice, placed.Ticket.ID)
	must(t, err)
	wantStatus(t, done.Order, order.StatusPAID) // the payment that was wanted has been taken
	s.wantPoints(t, alice, 8000)

	again, err := s.Orders.Place(t.Context(), alice, order1) // the same key, however it is to be answered
	must(t, err)
	wantStatus(t, again.Order, order.StatusPAID)
	order1.NoWait = false
	again, err = s.Orders.Place(t.Context(), alice, order1)
	must(t, err)
	if !again.Meta.Replayed || again.Order.ID != done.Order.ID {
		t.Errorf("repeated as %+v", again)
	}

	// Sold out: whether told at the door or by the worker, the answer is the same.
	for range 3 {
		late, err := s.Orders.Place(t.Context(), bob, commerce.PlaceOrder{
			Key: uuid.New(), Lines: []commerce.Line{{ProductID: a, Quantity: 1}}, NoWait: true,
		})
		if err == nil {
			_, err = followTicket(t, s, bob, late.Ticket.ID)
		}
		wantCodes(t, err, "OUT_OF_STOCK")
	}

	// What is given back is sold again.
	_, err = s.Orders.Cancel(t.Context(), alice, commerce.CancelOrder{Key: uuid.New(), OrderID: done.Order.ID})
	must(t, err)
	result, err := s.Orders.Place(t.Context(), bob, commerce.PlaceOrder{
		Key: uuid.New(), Lines: []commerce.Line{{ProductID: a, Quantity: 1}},
	})
	must(t, err)
	wantStatus(t, result.Order, order.StatusPENDING)
	s.wantStock(t, a, 1)
	s.audit(t)
}

// byTicket places an order of one piece by ticket.
func (s *shop) byTicket(t *testing.T, productID string, pay *commerce.Payment) *commerce.Ticket {
	t.Helper()
	placed, err := s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{
		Key: uuid.New(), Lines: []commerce.Line{{ProductID: productID, Quantity: 1}}, Payment: pay, NoWait: true,
	})
	must(t, err)
	if placed.Ticket == nil {
		t.Fatal("no ticket")
	}
	return placed.Ticket
}

// awaitOrder waits until the database has the only order as a test wants it. It looks at no ticket.
func (s *shop) awaitOrder(t *testing.T, what string, wanted func(*ent.Order) bool) *ent.Order {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(longEnough); ; <-ticker.C {
		rows, err := s.db.Ent.Order.Query().All(t.Context())
		must(t, err)
		if len(rows) == 1 && wanted(rows[0]) {
			return rows[0]
		}
		if time.Now().After(deadline) {
			t.Fatalf("still waiting for %s: %v", what, rows)
		}
	}
}

// An order that came by ticket is paid although nobody looks at the ticket.
func TestTicketsAreFinishedByThemselves(t *testing.T) {
	s := newShop(t, lockprovider.Queue)
	a := s.product(t, 1000, 2)
	ticket := s.byTicket(t, a, byCard())
	row := s.awaitOrder(t, "the order to be paid", func(o *ent.Order) bool { return o.Status == order.StatusPAID })
	if got := s.gateway.stateOf(row.ID); got != "captured" {
		t.Errorf("the gateway says %s", got)
	}
	result, err := s.Orders.Ticket(t.Context(), alice, ticket.ID)
	must(t, err)
	wantStatus(t, result.Order, order.StatusPAID)
	if result.Ticket.Status != commerce.TicketDone {
		t.Errorf("the ticket is %s", result.Ticket.Status)
	}
}

// However often its ticket is looked at, an order stays as it is. The job goes on with it when it is due.
func TestLookingAtATicketTakesNothing(t *testing.T) {
	s := newShop(t, lockprovider.Queue)
	a := s.product(t, 1000, 2)
	var asked atomic.Int64
	var up atomic.Bool
	s.gateway.fail = func(string, string) error {
		asked.Add(1)
		if up.Load() {
			return nil
		}
		return errGatewayDown
	}
	ticket := s.byTicket(t, a, byCard())
	before := s.awaitOrder(t, "the first attempt to pay", func(o *ent.Order) bool { return o.Attempts == 1 })
	up.Store(true) // whoever asks now, gets the money
	asked.Store(0)
	for range 3 {
		result, err := s.Orders.Ticket(t.Context(), alice, ticket.ID)
		must(t, err)
		if result.Ticket.Status != commerce.TicketServing || result.Order != nil {
			t.Errorf("the ticket of an order that is to be paid is %+v, %v", result.Ticket, result.Order)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the gateway was asked %d times", n)
	}
	if after := s.awaitOrder(t, "the order", func(*ent.Order) bool { return true }); after.String() != before.String() {
		t.Errorf("the order was\n%v\nand is now\n%v", before, after)
	}
	s.clock.advance(time.Minute) // behind the first pause, and long before the end of the reservation
	s.expire(t, 1)
	s.wantOrder(t, before.ID, order.StatusPAID, true)
	result, err := s.Orders.Ticket(t.Context(), alice, ticket.ID)
	must(t, err)
	if result.Ticket.Status != commerce.TicketDone {
		t.Errorf("the ticket is %s", result.Ticket.Status)
	}
	s.audit(t)
}

// A payment that is refused, or that cannot be made in time, is told by the ticket, and everything is given back.
func TestTicketsThatFail(t *testing.T) {
	for name, test := range map[string]struct {
		fails error
		code  string
		is    order.Status
	}{
		"declined": {errDeclined, "PAYMENT_DECLINED", order.StatusFAILED},
		"away":     {errGatewayDown, "UNAVAILABLE", order.StatusEXPIRED},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t, lockprovider.Queue)
			a := s.product(t, 1000, 2)
			s.gateway.fail = func(string, string) error { return test.fails }
			ticket := s.byTicket(t, a, byCard())
			s.awaitOrder(t, "the first attempt to pay", func(o *ent.Order) bool { return o.Attempts == 1 || o.Settled })
			s.clock.advance(reservation)
			_, _, err := s.Orders.ExpireOverdue(t.Context(), expiryLimit)
			must(t, err)
			result, err := s.Orders.Ticket(t.Context(), alice, ticket.ID)
			wantCodes(t, err, test.code)
			wantStatus(t, result.Order, test.is)
			settled := test.fails == errDeclined //nolint:errorlint // else the gateway has still to say that it holds no money
			if result.Ticket.Status != commerce.TicketFailed || result.Order.Settled != settled {
				t.Errorf("the ticket is %s, the order settled: %v, want %v", result.Ticket.Status, result.Order.Settled, settled)
			}
			s.wantStock(t, a, 2)
			s.audit(t)
		})
	}
}

// The job, Run and a customer who repeats the request are at the same order at the same time: it is paid once.
func TestTicketsAreFinishedOnce(t *testing.T) {
	s := newShop(t, lockprovider.Queue)
	a := s.product(t, 1000, 100)
	s.points(t, alice, 100_000)
	const rounds = 20
	for range rounds {
		in := commerce.PlaceOrder{
			Key: uuid.New(), Lines: []commerce.Line{{ProductID: a, Quantity: 1}}, Payment: byPoints(), NoWait: true,
		}
		placed, err := s.Orders.Place(t.Context(), alice, in)
		must(t, err)
		again := in
		again.NoWait = false
		racers := []func(){
			func() {
				_, _, err := s.Orders.ExpireOverdue(t.Context(), expiryLimit)
				must(t, err)
			},
			func() {
				result, err := s.Orders.Place(t.Context(), alice, again)
				must(t, err)
				wantStatus(t, result.Order, order.StatusPAID)
			},
		}
		together(len(racers), func(i int) { racers[i]() })
		done, err := followTicket(t, s, alice, placed.Ticket.ID)
		must(t, err)
		wantStatus(t, done.Order, order.StatusPAID)
	}
	s.wantPoints(t, alice, 100_000-rounds*1000)
	s.wantStock(t, a, 100-rounds)
	s.audit(t)
}

// An order without payment that came by ticket is left to its customer.
func TestTicketWithoutPayment(t *testing.T) {
	s := newShop(t, lockprovider.Queue)
	a := s.product(t, 1000, 2)
	done, err := followTicket(t, s, alice, s.byTicket(t, a, nil).ID)
	must(t, err)
	wantStatus(t, done.Order, order.StatusPENDING)
	issue := s.issue(t, alice, s.coupon(t, commerce.CreateCoupon{}))
	placed, err := s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{
		Key: uuid.New(), Lines: []commerce.Line{{ProductID: a, Quantity: 1}}, CouponIssueID: issue, NoWait: true,
	})
	must(t, err)
	done, err = followTicket(t, s, alice, placed.Ticket.ID)
	must(t, err)
	wantStatus(t, done.Order, order.StatusPENDING)
	s.wantCoupon(t, alice, issue, "USED")
	s.expire(t, 0) // nothing is due before the reservation ends
	s.clock.advance(reservation)
	s.expire(t, 2)
	s.wantCoupon(t, alice, issue, "ISSUED")
	s.wantStock(t, a, 2)
	s.audit(t)
}
