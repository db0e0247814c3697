package commerce

import (
	"cmp"
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"holdfast/ent"
	"holdfast/ent/order"
	"holdfast/ent/payment"
	"holdfast/lockprovider"
)

// An order that comes by ticket waits in the queue of the stock, and no request waits for it. The worker of the queue places it.
// If steps follow, because the customer wants to spend a coupon or to pay, the order is unattended: [Orders.Run] takes the
// steps as soon as the worker says that the order is placed, and [Orders.ExpireOverdue] takes those that Run has missed, or that
// have failed. Looking at a ticket takes none.

// Ticket is a position in the queue for an order, if the strategy of the stock has a queue.
type Ticket struct {
	ID       string
	Status   TicketStatus
	Position int           // 1 is served next; 0 if it does not wait any more
	ETA      time.Duration // estimated; 0 if unknown
	// ExpiresAt is when the position is given up, to a moment: Redis decides by its own clock. Each look at the ticket moves it
	// into the future.
	ExpiresAt time.Time
}

// TicketStatus is how far the order of a ticket has come.
type TicketStatus string

// The statuses of a ticket.
const (
	TicketWaiting TicketStatus = "WAITING"
	TicketServing TicketStatus = "SERVING" // its position cannot be given up any more
	TicketDone    TicketStatus = "DONE"    // and so are the steps that the customer wanted
	TicketFailed  TicketStatus = "FAILED"
	TicketExpired TicketStatus = "EXPIRED" // the client had stopped looking at it
)

// ticketTTL is how long a position is kept without a look at its ticket: clients that left must not hold up the others.
const ticketTTL = time.Minute

const prefixTicket = "qt_"

// enqueue puts an order in the queue and returns its ticket. If the stock is sold out, it says so at once.
func (s *Orders) enqueue(ctx context.Context, tickets lockprovider.Ticketer, d *draft) (OrderResult, error) {
	meta := s.ticketMeta()
	d.payload.Ticket = true
	d.change.Record.Payload = mustJSON(d.payload)
	until := s.now().Add(ticketTTL)
	position, err := tickets.Enter(ctx, d.change, ticketTTL)
	if err != nil {
		err = nameHold(refusals(translate(err, lockprovider.Receipt{Strategy: meta.Strategy}), d.stockRefused))
		receipt, rerr := s.replayedOr(ctx, lockprovider.Stock, d.change.ID, KindOrderPlaced, d.change.Record.Fingerprint, err)
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

// Ticket looks at an order in the queue and keeps its position. It changes nothing else. Errors: NOT_FOUND if the ticket is
// unknown or another customer's, and those of Place if the order was refused or has failed.
func (s *Orders) Ticket(ctx context.Context, v Viewer, id string) (OrderResult, error) {
	if err := v.customer(); err != nil {
		return OrderResult{}, err
	}
	change, ok := uuidOf(prefixTicket, id)
	tickets, queued := lockprovider.As[lockprovider.Ticketer](s.Providers.For(lockprovider.Stock))
	if !ok || !queued {
		return OrderResult{}, notFound([]string{"id"}, "ticket", id)
	}
	until, meta := s.now().Add(ticketTTL), s.ticketMeta()
	position, err := tickets.Look(ctx, change, ticketTTL)
	if err != nil {
		return OrderResult{}, translate(err, lockprovider.Receipt{Strategy: meta.Strategy})
	}
	var p orderPlaced
	if position.State == lockprovider.PositionUnknown || json.Unmarshal(position.Payload, &p) != nil || !v.may(p.UserID) {
		return OrderResult{}, notFound([]string{"id"}, "ticket", id)
	}
	return s.ticketResult(ctx, change, position, until, meta)
}

// ticketResult returns what a position in the queue means for its order. It reads.
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
		err := s.placed(ctx, p.OrderID, &result)
		return result, err
	case lockprovider.PositionFailed:
		result.Ticket.Status = TicketFailed
		return result, nameHold(refusals(translate(position.Reason, lockprovider.Receipt{Strategy: meta.Strategy}), p.stockRefused))
	}
	result.Ticket.Status = TicketExpired
	return result, nil
}

// placed completes the result of a ticket whose order has been placed. Until its steps are taken, the ticket is being served.
func (s *Orders) placed(ctx context.Context, orderID string, result *OrderResult) error {
	row, err := s.load(ctx, orderID)
	if err != nil {
		return err
	}
	if row.Unattended && row.Status == order.StatusPENDING {
		result.Ticket.Status = TicketServing
		return nil
	}
	result.Order, result.Persistence, result.Ticket.Status = row, Persisted, TicketDone
	if row.Status == order.StatusFAILED || row.Unattended && row.Status == order.StatusEXPIRED {
		result.Ticket.Status = TicketFailed
		code := Code(cmp.Or(row.FailureCode, string(Unavailable))) // it has expired while the gateway or a store was away
		return &Error{Code: code, Message: row.FailureReason, Field: failureField(string(code))}
	}
	return nil
}

// maxServed is how many orders may wait for Run. More are left to ExpireOverdue.
const maxServed = 1024

// Served tells Run of a change that the worker of a queue has applied. It does not wait.
func (s *Orders) Served(c lockprovider.Change) {
	if c.Record.Kind != KindOrderPlaced {
		return
	}
	var p orderPlaced
	if err := json.Unmarshal(c.Record.Payload, &p); err != nil || !p.unattended() {
		return
	}
	select {
	case s.served <- p.OrderID:
	default:
	}
}

// Run takes the steps of unattended orders as soon as [Orders.Served] tells of them, until ctx ends. It is only faster than
// [Orders.ExpireOverdue], which finds in the database what Run misses.
func (s *Orders) Run(ctx context.Context) {
	var workers errgroup.Group
	workers.SetLimit(expiryWorkers)
	for {
		select {
		case id := <-s.served:
			workers.Go(func() error {
				row, err := s.load(ctx, id)
				if err == nil && row.Unattended && row.Status == order.StatusPENDING {
					_, _ = s.attempt(ctx, row) // the order notes why it failed
				}
				return nil
			})
		case <-ctx.Done():
			_ = workers.Wait()
			return
		}
	}
}

// resume takes the steps of a pending order that no request takes: of one that is unattended, or whose payment is authorized. told says
// that the shop knows the latter by a webhook alone. It returns whether nothing is left to be done for the order but by its customer.
func (s *Orders) resume(ctx context.Context, row *ent.Order, told bool) (bool, error) {
	orderID := row.ID
	pay, err := &Payment{Method: payment.MethodCARD, begun: true}, error(nil)
	if !told {
		pay, err = s.wantedPayment(ctx, orderID)
	}
	if err != nil {
		return false, err
	}
	result, err := s.proceed(ctx, orderID, pay, orderID, Meta{})
	if result.Order != nil && result.Order.Settled {
		return true, nil // a payment that was refused is an end as well
	}
	if err != nil || result.Order.Status != order.StatusPENDING || !s.now().Before(result.Order.ExpiresAt) {
		return false, err
	}
	if told && result.Order.Unattended {
		return false, nil // the attempt has paid nothing after all: what the customer wanted is still to be done
	}
	// The customer wants to pay later.
	err = s.Client.Order.Update().Where(order.ID(orderID), order.StatusEQ(order.StatusPENDING), stillDue(row)).
		SetUnattended(false).SetNextAttemptAt(result.Order.ExpiresAt).SetAttempts(0).SetLastError("").Exec(ctx)
	return err == nil, err
}

// wantedPayment returns how the customer of an order wanted to pay when the order was placed. It is nil if the customer has not
// said so, or if the database does not remember the request any more.
func (s *Orders) wantedPayment(ctx context.Context, orderID string) (*Payment, error) {
	change, ok := uuidOf(prefixOrder, orderID)
	if !ok {
		return nil, nil
	}
	payload, found, err := s.Ledger.Payload(ctx, change)
	if err != nil || !found {
		return nil, err
	}
	var p orderPlaced
	err = json.Unmarshal(payload, &p)
	return p.payment(), err
}

// payment returns how the customer wants to pay, or nil if the order is to be paid later.
func (p orderPlaced) payment() *Payment {
	if p.Payment == nil {
		return nil
	}
	return &Payment{Method: payment.Method(p.Payment.Method), AccountID: p.Payment.AccountID, Token: p.Payment.Token}
}

// stockRefused names the variant that is short, or of which the customer may not order that many. The line of the request is not known here.
func (p orderPlaced) stockRefused(r lockprovider.Refusal) *Error {
	if r.Balance == lockprovider.PendingKey(p.UserID) {
		return tooManyPending(p.MaxPending)
	}
	if r.Balance == lockprovider.HoldsKey(p.UserID) { // another order that takes the hold over is faster, and may still be refused
		return &Error{
			Code: InvalidState, Field: input("holdId"), Retryable: true, Message: "the hold has ended, or another order is taking it over; look at its status",
		}
	}
	for _, l := range p.Lines {
		if r.Balance == lockprovider.StockKey(l.variantID()) {
			return outOfStock(l.ProductID, l.variantID(), -r.Delta, r.Available, input("lines"))
		}
		if r.Balance == l.Limit {
			return limitReached(l.ProductID, l.variantID(), r.Delta, r.Available, input("lines"))
		}
	}
	return &Error{Code: OutOfStock, Message: "out of stock", Retryable: true}
}
