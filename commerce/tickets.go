package commerce

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"holdfast/ent/payment"
	"holdfast/lockprovider"
)

// Ticket is a place in the waiting line for an order, under the strategy queue.
type Ticket struct {
	ID       string
	Status   TicketStatus
	Position int           // 1 is served next; 0 where it waits no more
	ETA      time.Duration // estimated; 0 where nothing is known
	// ExpiresAt is until when the place is kept; each look at the ticket prolongs it.
	ExpiresAt time.Time
}

// TicketStatus is how far the order of a ticket has come.
type TicketStatus string

// The statuses of a ticket.
const (
	TicketWaiting TicketStatus = "WAITING"
	TicketDone    TicketStatus = "DONE"
	TicketFailed  TicketStatus = "FAILED"
	TicketExpired TicketStatus = "EXPIRED" // nobody asked for it any more
)

// ticketTTL is how long a place is kept that nobody asks for: clients that left must not hold up the others.
const ticketTTL = time.Minute

const prefixTicket = "qt_"

// enter puts an order in line and returns its ticket. Who finds the stock sold out is told at once.
func (s *Orders) enter(ctx context.Context, line *lockprovider.Line, d *draft) (OrderResult, error) {
	meta := Meta{Strategy: lockprovider.Queue, Attempts: 1}
	until := time.Now().Add(ticketTTL) // Redis compares it with the wall clock
	place, err := line.Enter(ctx, d.change, until)
	if err != nil {
		err = refusals(translate(err, lockprovider.Receipt{Strategy: lockprovider.Queue}), d.stockRefused)
		receipt, rerr := s.replayedOr(ctx, d.change.ID, KindOrderPlaced, d.change.Record.Fingerprint, err)
		if rerr != nil {
			return OrderResult{Meta: meta}, rerr
		}
		return s.proceed(ctx, d.payload.OrderID, d.payload.payment(), d.payload.OrderID, metaOf(receipt))
	}
	return s.followed(ctx, d.change.ID, place, until, meta)
}

// Ticket looks after an order in line, keeps its place, and once it has been served goes on with coupon and payment.
// Errors: NOT_FOUND where the ticket is unknown or another's; those of Place where the order was refused.
func (s *Orders) Ticket(ctx context.Context, v Viewer, id string) (OrderResult, error) {
	if err := v.customer(); err != nil {
		return OrderResult{}, err
	}
	change, ok := uuidOf(prefixTicket, id)
	line := s.Providers.Lines()[lockprovider.Stock]
	if !ok || line == nil {
		return OrderResult{}, notFound([]string{"id"}, "ticket", id)
	}
	until := time.Now().Add(ticketTTL)
	place, err := line.Look(ctx, change, until)
	if err != nil {
		return OrderResult{}, translate(err, lockprovider.Receipt{Strategy: lockprovider.Queue})
	}
	var p orderPlaced
	if place.State == lockprovider.PlaceUnknown || json.Unmarshal(place.Payload, &p) != nil || !v.may(p.UserID) {
		return OrderResult{}, notFound([]string{"id"}, "ticket", id)
	}
	return s.followed(ctx, change, place, until, Meta{Strategy: lockprovider.Queue, Attempts: 1})
}

// followed is what a place in line means for its order.
func (s *Orders) followed(
	ctx context.Context, change uuid.UUID, place lockprovider.Place, until time.Time, meta Meta,
) (OrderResult, error) {
	result := OrderResult{Meta: meta, Ticket: &Ticket{ID: idOf(prefixTicket, change), ExpiresAt: until.UTC()}}
	var p orderPlaced
	if err := json.Unmarshal(place.Payload, &p); err != nil {
		return result, err
	}
	switch place.State {
	case lockprovider.PlaceWaiting:
		result.Ticket.Status, result.Ticket.Position, result.Ticket.ETA = TicketWaiting, place.Position, place.ETA
		return result, nil
	case lockprovider.PlaceDone:
		done, err := s.proceed(ctx, p.OrderID, p.payment(), p.OrderID, meta)
		result.Ticket.Status = TicketDone
		done.Ticket = result.Ticket
		return done, err
	case lockprovider.PlaceFailed:
		result.Ticket.Status = TicketFailed
		return result, refusals(translate(place.Reason, lockprovider.Receipt{Strategy: lockprovider.Queue}), p.stockRefused)
	}
	result.Ticket.Status = TicketExpired
	return result, nil
}

// payment is how the customer asked to pay; nil where he did not.
func (p orderPlaced) payment() *Payment {
	if p.Payment == nil {
		return nil
	}
	return &Payment{Method: payment.Method(p.Payment.Method), AccountID: p.Payment.AccountID}
}

// stockRefused names the product that is short; which line of the request it was is not known any more.
func (p orderPlaced) stockRefused(r lockprovider.Refusal) *Error {
	for _, l := range p.Lines {
		if r.Balance == lockprovider.StockKey(l.ProductID) {
			return outOfStock(l.ProductID, -r.Delta, r.Available, input("lines"))
		}
	}
	return &Error{Code: OutOfStock, Message: "out of stock"}
}
