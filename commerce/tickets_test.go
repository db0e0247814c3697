package commerce_test

import (
	"testing"

	"github.com/google/uuid"

	"holdfast/commerce"
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
	wantStatus(t, done.Order, order.StatusPAID) // the payment that was asked for has been taken
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
