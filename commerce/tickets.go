package commerce

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"holdfast/ent/payment"
	"holdfast/lockprovider"
)

// Ticket is a position in the queue for an order, if the strategy of the stock has a queue.
type Ticket struct {
	ID       string
	Status   TicketStatus
	Position int           // 1 is served next; 0 if it does not wait any more
	ETA      time.Duration // estimated; 0 if unknown
	// ExpiresAt is when the position is given up. Each look at the ticket moves it into the future.
	ExpiresAt time.Time
}

// TicketStatus is how far the order of a ticket has come.
type TicketStatus string

// The statuses of a ticket.
const (
	TicketWaiting TicketStatus = "WAITING"
	TicketServing TicketStatus = "SERVING" // its position cannot be given up any more
	TicketDone    TicketStatus = "DONE"
	TicketFailed  TicketStatus = "FAILED"
	TicketExpired TicketStatus = "EXPIRED" // the client had stopped looking at it
)

// ticketTTL is how long a position is kept without a look at its ticket: clients that left must not hold up the others.
const ticketTTL = time.Minute

const prefixTicket = "qt_"

// enqueue puts an order in the queue and returns its ticket. If the stock is sold out, it says so at once.
func (s *Orders) enqueue(ctx context.Context, tickets lockprovider.Ticketer, d *draft) (OrderResult, error) {
	meta := s.ticketMeta()
	until := time.Now().Add(ticketTTL) // Redis compares it with the wall clock
	position, err := tickets.Enter(ctx, d.change, until)
	if err != nil {
		err = refusals(translate(err, lockprovider.Receipt{Strategy: meta.Strategy}), d.stockRefused)
		receipt, rerr := s.replayedOr(ctx, d.change.ID, KindOrderPlaced, d.change.Record.Fingerprint, err)
		if rerr != nil {
			return OrderResult{Meta: meta}, rerr
		}
		return s.proceed(ctx, d.payload.OrderID, d.payload.payment(), d.payload.OrderID, metaOf(receipt))
	}
	return s.ticketResult(ctx, d.change.ID, position, until, meta)
}

// ticketMeta returns the meta of an order that waits in the queue.
func (s *Orders) ticketMeta() Meta {
	return Meta{Strategy: s.Providers.Strategies()[lockprovider.Stock], Attempts: 1}
}

// Ticket looks at an order in the queue and keeps its position. Once the worker has served the order, Ticket continues with
// coupon and payment. Errors: NOT_FOUND if the ticket is unknown or another customer's, and those of Place if the order was
// refused.
func (s *Orders) Ticket(ctx context.Context, v Viewer, id string) (OrderResult, error) {
	if err := v.customer(); err != nil {
		return OrderResult{}, err
	}
	change, ok := uuidOf(prefixTicket, id)
	tickets, queued := lockprovider.As[lockprovider.Ticketer](s.Providers.For(lockprovider.Stock))
	if !ok || !queued {
		return OrderResult{}, notFound([]string{"id"}, "ticket", id)
	}
	until, meta := time.Now().Add(ticketTTL), s.ticketMeta()
	position, err := tickets.Look(ctx, change, until)
	if err != nil {
		return OrderResult{}, translate(err, lockprovider.Receipt{Strategy: meta.Strategy})
	}
	var p orderPlaced
	if position.State == lockprovider.PositionUnknown || json.Unmarshal(position.Payload, &p) != nil || !v.may(p.UserID) {
		return OrderResult{}, notFound([]string{"id"}, "ticket", id)
	}
	return s.ticketResult(ctx, change, position, until, meta)
}

// ticketResult returns what a position in the queue means for its order.
func (s *Orders) ticketResult(
	ctx context.Context, change uuid.UUID, position lockprovider.Position, until time.Time, meta Meta,
) (OrderResult, error) {
	result := OrderResult{Meta: meta, Ticket: &Ticket{ID: idOf(prefixTicket, change), ExpiresAt: until.UTC()}}
	var p orderPlaced
	if err := json.Unmarshal(position.Payload, &p); err != nil {
		return result, err
	}
	switch position.State {
	case lockprovider.PositionWaiting:
		result.Ticket.Status, result.Ticket.Position, result.Ticket.ETA = TicketWaiting, position.Number, position.ETA
		return result, nil
	case lockprovider.PositionServing:
		result.Ticket.Status = TicketServing
		return result, nil
	case lockprovider.PositionDone:
		done, err := s.proceed(ctx, p.OrderID, p.payment(), p.OrderID, meta)
		result.Ticket.Status = TicketDone
		done.Ticket = result.Ticket
		return done, err
	case lockprovider.PositionFailed:
		result.Ticket.Status = TicketFailed
		return result, refusals(translate(position.Reason, lockprovider.Receipt{Strategy: meta.Strategy}), p.stockRefused)
	}
	result.Ticket.Status = TicketExpired
	return result, nil
}

// payment returns how the customer wants to pay, or nil if the order is to be paid later.
func (p orderPlaced) payment() *Payment {
	if p.Payment == nil {
		return nil
	}
	return &Payment{Method: payment.Method(p.Payment.Method), AccountID: p.Payment.AccountID}
}

// stockRefused names the product that is short. The line of the request is not known here.
func (p orderPlaced) stockRefused(r lockprovider.Refusal) *Error {
	for _, l := range p.Lines {
		if r.Balance == lockprovider.StockKey(l.ProductID) {
			return outOfStock(l.ProductID, -r.Delta, r.Available, input("lines"))
		}
	}
	return &Error{Code: OutOfStock, Message: "out of stock"}
}
