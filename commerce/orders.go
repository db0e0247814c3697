package commerce

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"holdfast/ent"
	"holdfast/ent/coupon"
	"holdfast/ent/couponissue"
	"holdfast/ent/order"
	"holdfast/ent/orderline"
	"holdfast/ent/payment"
	"holdfast/ent/paymentattempt"
	"holdfast/ent/predicate"
	"holdfast/lockprovider"
)

// Orders places, pays and cancels orders; the steps are in saga.go.
type Orders struct {
	*core
	catalog   *Catalog
	customers *Customers
	served    chan string // IDs of unattended orders; see Run
}

// PlaceOrder requests variants of products. Lines of the same variant are merged.
type PlaceOrder struct {
	Key           uuid.UUID
	Lines         []Line
	CouponIssueID string   // a coupon that was issued to the viewer, or ""
	Payment       *Payment // nil leaves the order PENDING until it is paid or expires
	// ExpectedTotal is the total that the customer has seen. If the order would cost anything else, it is not placed.
	ExpectedTotal *Money `json:",omitempty"` // without it, the fingerprint is as it was before there was such a field
	// ShippingAddress is where the products go, and Contact how the customer can be reached. The order keeps a copy.
	ShippingAddress *Address `json:",omitempty"`
	Contact         *Contact `json:",omitempty"`
	// HoldID is a hold of the viewer that the order takes over: it has the lines of the hold, and takes no other stock.
	HoldID string `json:",omitempty"`
	// NoWait requests a ticket instead of an answer, if the strategy of the stock has a queue.
	NoWait bool `json:"-"` // not in the fingerprint: it is the same order either way

	reservation time.Duration // demo data keep theirs for longer; 0 means the shop's
}

// Payment says how to pay.
type Payment struct {
	Method    payment.Method
	AccountID string // for ACCOUNT
	// Token is the customer's payment method at the gateway, for CARD. If it is empty, the customer gives it to the gateway.
	Token string `json:",omitempty"` // without it, the fingerprint is as it was before there was such a field
	// AttemptID is the attempt that Pay goes on with, for CARD. No other is begun.
	AttemptID string `json:",omitempty"`

	begun bool // a webhook has told that the gateway holds the money: the payment is finished, whatever the shop takes now
}

// OrderResult is an order after an operation. Order may be set together with an error: an order whose payment failed
// exists, with status FAILED and everything given back.
type OrderResult struct {
	Order       *ent.Order // with lines and their products, and payment
	Meta        Meta
	Persistence Persistence
	Ticket      *Ticket // instead of the order, while it waits in the queue

	advanced bool // a step came after that of another request
}

// Persistence tells whether the database has confirmed what an operation did.
type Persistence string

// The states of persistence; database-first strategies know only Persisted.
const (
	Persisted         Persistence = "PERSISTED"
	PersistAccepted   Persistence = "ACCEPTED"
	FailedCompensated Persistence = "FAILED_COMPENSATED"
)

func persistenceOf(r lockprovider.Receipt) Persistence {
	if r.State == lockprovider.Accepted {
		return PersistAccepted
	}
	return Persisted
}

// draft is an order that has been checked and priced, before anything is contended for.
type draft struct {
	change   lockprovider.Change
	payload  orderPlaced
	products map[string]*ent.Product
	at       map[string]int // the place of each variant in the request, for errors that name the field
}

// Place reserves the stock of all lines or of none, spends the coupon, and takes the payment. If a
// step is refused, it gives everything back. Errors: INVALID_INPUT, NOT_FOUND, PRICE_CHANGED,
// OUT_OF_STOCK (one for each line that is short), PURCHASE_LIMIT, TOO_MANY_PENDING_ORDERS,
// COUPON_NOT_VALID, INSUFFICIENT_FUNDS, PAYMENT_DECLINED, INVALID_STATE if the order was cancelled
// or has expired before it was paid, or if its hold has ended; LOCK_TIMEOUT and the like leave an order that a repeat with
// the same key continues.
func (s *Orders) Place(ctx context.Context, v Viewer, in PlaceOrder) (OrderResult, error) {
	if err := s.customers.ensure(ctx, v); err != nil {
		return OrderResult{}, err
	}
	id, fp := operationID(v, "placeOrder", in.Key), fingerprint(in)
	d, err := s.draft(ctx, v, in, id, fp)
	return s.placeDraft(ctx, in, id, fp, d, err)
}

// placeDraft places an order that was drafted, under the ID of its change. If it could not be drafted, because of refused, the request may
// still be the repeat of one that could.
func (s *Orders) placeDraft(ctx context.Context, in PlaceOrder, id uuid.UUID, fp string, d *draft, refused error) (OrderResult, error) {
	err := refused
	var receipt lockprovider.Receipt
	tickets, queued := lockprovider.As[lockprovider.Ticketer](s.Providers.For(lockprovider.Stock))
	switch {
	case err == nil && in.NoWait && queued:
		return s.enqueue(ctx, tickets, d)
	case err == nil:
		receipt, err = s.execute(ctx, d.change)
		err = nameHold(refusals(err, d.stockRefused))
	default:
		// A request that the catalogue does not allow any more may be the repeat of one that it allowed.
		receipt, err = s.replayedOr(ctx, lockprovider.Stock, id, KindOrderPlaced, fp, err)
	}
	if err != nil {
		return OrderResult{Meta: metaOf(receipt)}, err
	}
	if d != nil && !d.change.Confirm && (!receipt.Replayed || receipt.State == lockprovider.Accepted) {
		return s.result(ctx, d, receipt)
	}
	result, err := s.proceed(ctx, idOf(prefixOrder, id), in.Payment, idOf(prefixOrder, id), metaOf(receipt))
	if err == nil && in.Payment != nil && !receipt.Replayed && endedUnpaid(result.Order) {
		err = &Error{
			Code: InvalidState, Message: "the order is " + result.Order.Status.String() + ": it came to its end before it was paid",
		}
	}
	return result, err
}

// result returns the order that has just been placed as the database has it, or will have it if only Redis has accepted it,
// now or before. Reading it back would say nothing new, or find nothing yet.
func (s *Orders) result(ctx context.Context, d *draft, receipt lockprovider.Receipt) (OrderResult, error) {
	placed, products := d.payload, d.products
	if receipt.Replayed { // the first request's: prices may have changed since
		placed = orderPlaced{}
		if err := json.Unmarshal(receipt.Payload, &placed); err != nil {
			return OrderResult{Meta: metaOf(receipt)}, err
		}
		if slices.ContainsFunc(placed.Lines, func(l orderLine) bool { return products[l.ProductID] == nil }) { // a cart's may have changed, too
			var err error
			if products, err = s.catalog.ProductsByID(ctx, placed.productIDs()); err != nil {
				return OrderResult{Meta: metaOf(receipt)}, err
			}
		}
	}
	return OrderResult{Order: placed.order(products), Meta: metaOf(receipt), Persistence: persistenceOf(receipt)}, nil
}

// order is the order that the record makes.
func (p orderPlaced) order(products map[string]*ent.Product) *ent.Order {
	row := &ent.Order{
		ID: p.OrderID, UserID: p.UserID, Status: order.StatusPENDING, SubtotalMinor: p.SubtotalMinor,
		DiscountMinor: p.DiscountMinor, TotalMinor: p.TotalMinor, Currency: p.Currency,
		ExpiresAt: p.ExpiresAt, CreatedAt: p.CreatedAt, UpdatedAt: p.CreatedAt, Fulfilment: order.FulfilmentUNFULFILLED,
		ShippingAddress: p.ShippingAddress, Contact: p.Contact,
	}
	if p.CouponIssueID != "" {
		row.CouponIssueID = &p.CouponIssueID
	}
	for i, l := range p.Lines {
		row.Edges.Lines = append(row.Edges.Lines, &ent.OrderLine{
			OrderID: p.OrderID, ProductID: l.ProductID, VariantID: l.variantID(), VariantTitle: l.Title, Position: i,
			Quantity: l.Quantity, UnitPriceMinor: l.UnitPriceMinor,
			Edges: ent.OrderLineEdges{Product: products[l.ProductID]},
		})
	}
	return row
}

// draft checks the request against the catalogue and prices it.
func (s *Orders) draft(ctx context.Context, v Viewer, in PlaceOrder, id uuid.UUID, fp string) (*draft, error) {
	w, err := s.wanted(ctx, "an order", in.Lines)
	if err != nil {
		return nil, err
	}
	if err := s.checkPayment(ctx, v, in.Payment, s.Shop.Currency); err != nil {
		return nil, err
	}
	if in.Payment != nil && in.Payment.AttemptID != "" {
		return nil, invalid(input("payment", "attemptId"), "attemptId goes with payOrder only: an order that is not placed has no attempt yet")
	}
	address, contact, err := tidyDelivery(in)
	if err != nil {
		return nil, err
	}
	now := s.now()
	p := orderPlaced{
		OrderID: idOf(prefixOrder, id), UserID: v.UserID, Currency: s.Shop.Currency,
		CouponIssueID: in.CouponIssueID, CreatedAt: now, ExpiresAt: now.Add(cmp.Or(in.reservation, s.Shop.Reservation)), ShippingAddress: address, Contact: contact,
	}
	if in.Payment != nil {
		p.Payment = &paymentRequest{Method: in.Payment.Method.String(), AccountID: in.Payment.AccountID, Token: in.Payment.Token}
	}
	r := reserve(v.UserID, w, now)
	p.Lines, p.SubtotalMinor = r.lines, r.subtotal
	moves := r.moves
	if in.HoldID != "" {
		if moves, err = s.takeOver(ctx, v, in.HoldID, &p); err != nil {
			return nil, err
		}
	}
	if most := s.Shop.MaxPending; most > 0 {
		p.MaxPending, moves = most, append(moves, pendingMove(v.UserID, most))
	}
	if p.SubtotalMinor > lockprovider.MaxAmount {
		return nil, invalid(input("lines"), "the order's total is beyond %d minor units", int64(lockprovider.MaxAmount))
	}
	if p.DiscountMinor, err = s.discount(ctx, v, in.CouponIssueID, p.SubtotalMinor); err != nil {
		return nil, err
	}
	p.TotalMinor = p.SubtotalMinor - p.DiscountMinor
	if err := priceUnchanged(in.ExpectedTotal, Money{Minor: p.TotalMinor, Currency: p.Currency}); err != nil {
		return nil, err
	}
	return &draft{
		payload: p, products: w.products(), at: w.at,
		change: lockprovider.Change{
			ID: id, Family: lockprovider.Stock, Moves: moves,
			Record:  lockprovider.Record{Kind: KindOrderPlaced, Payload: mustJSON(p), Fingerprint: fp},
			Confirm: p.hasSteps() || p.HoldID != "", // steps need the row, and the row of the hold decides
		},
	}, nil
}

// tidyDelivery returns where an order goes and how its customer can be reached, or what is wrong with these.
func tidyDelivery(in PlaceOrder) (address *Address, contact *Contact, err error) {
	var errs, wrong Errors
	if in.ShippingAddress != nil {
		address, errs = tidyAddress(*in.ShippingAddress, "shippingAddress")
	}
	if contact, wrong = tidyContact(in.Contact, "contact"); len(errs)+len(wrong) > 0 {
		return nil, nil, append(errs, wrong...)
	}
	return address, contact, nil
}

// priceUnchanged refuses an order that costs anything else than the customer has seen.
func priceUnchanged(expected *Money, actual Money) error {
	if expected == nil || *expected == actual {
		return nil
	}
	return &Error{
		Code: PriceChanged, Field: input("expectedTotal"), Details: PriceChangedDetails{Expected: *expected, Actual: actual},
		Retryable: expected.Currency == actual.Currency, // when the price has changed back
		Message:   fmt.Sprintf("the order costs %s, not %s; nothing was ordered", actual, *expected),
	}
}

// stockRefused names the variant that is short or limited, and the line of the request that asked for it.
func (d *draft) stockRefused(r lockprovider.Refusal) *Error {
	e := d.payload.stockRefused(r)
	switch details := e.Details.(type) {
	case OutOfStockDetails:
		e.Field = lineField(d.at[details.VariantID], "quantity")
	case PurchaseLimitDetails:
		e.Field = lineField(d.at[details.VariantID], "quantity")
	}
	return e
}

// checkPayment refuses a way to pay that cannot work, before stock is reserved.
func (s *Orders) checkPayment(ctx context.Context, v Viewer, p *Payment, currency string) error {
	if p == nil {
		return nil
	}
	if err := s.checkTaken(p.Method); err != nil {
		return err
	}
	switch {
	case p.Method != payment.MethodCARD && p.Token != "":
		return invalid(input("payment", "token"), "token goes with the method CARD only")
	case !validToken(p.Token):
		return invalidToken(input("payment", "token"))
	case p.Method != payment.MethodACCOUNT && p.AccountID != "":
		return invalid(input("payment", "accountId"), "accountId goes with the method ACCOUNT only")
	case p.Method != payment.MethodACCOUNT:
		return nil
	case p.AccountID == "":
		return invalid(input("payment", "accountId"), "the method ACCOUNT needs an accountId")
	}
	row, err := orNil(s.Client.Account.Get(ctx, p.AccountID))
	switch {
	case err != nil:
		return err
	case row == nil || padded(p.AccountID) || row.UserID != v.UserID: // even admins pay from their own
		return notFound(input("payment", "accountId"), "account", p.AccountID)
	case row.Currency != currency:
		return invalid(input("payment", "accountId"), "the account holds %s, the order costs %s", row.Currency, currency)
	}
	return nil
}

// checkAttempt refuses a payment that is to go on with an attempt of something else than the order.
func (s *Orders) checkAttempt(ctx context.Context, p Payment, orderID string) error {
	if p.AttemptID == "" {
		return nil
	}
	field := input("payment", "attemptId")
	switch {
	case p.Method != payment.MethodCARD:
		return invalid(field, "attemptId goes with the method CARD only")
	case p.Token != "":
		return invalid(field, "attemptId names the attempt to go on with, and token the card of a new one: leave one out")
	}
	known, err := s.Client.PaymentAttempt.Query().Where(paymentattempt.ID(p.AttemptID), paymentattempt.OrderID(orderID)).Exist(ctx)
	if err == nil && (!known || padded(p.AttemptID)) {
		return notFound(field, "payment attempt of the order", p.AttemptID)
	}
	return err
}

// discount returns what a coupon of the viewer takes off, in minor units. Spending the coupon decides whether it is unspent.
func (s *Orders) discount(ctx context.Context, v Viewer, issueID string, subtotal int64) (int64, error) {
	if issueID == "" {
		return 0, nil
	}
	row, err := s.couponIssue(ctx, issueID)
	field := input("couponIssueId")
	switch {
	case err != nil:
		return 0, err
	case row == nil || padded(issueID) || row.UserID != v.UserID:
		return 0, notFound(field, "coupon", issueID)
	case row.Status != couponissue.StatusISSUED:
		// Retryable: when the order that has used it is cancelled, the coupon can be used again.
		return 0, &Error{Code: CouponNotValid, Field: field, Retryable: true, Message: "this coupon has been used"}
	}
	if err := validAt(row.Edges.Coupon, s.now()); err != nil {
		refused, _ := UserErrors(err)
		refused[0].Field = field
		return 0, err
	}
	c := row.Edges.Coupon
	if c.DiscountKind == coupon.DiscountKindPERCENT {
		// Whole hundreds first: subtotal × 100 would overflow near the upper bound.
		return subtotal/100*c.DiscountValue + subtotal%100*c.DiscountValue/100, nil
	}
	return min(c.DiscountValue, subtotal), nil
}

// PayOrder pays a pending order.
type PayOrder struct {
	Key     uuid.UUID
	OrderID string
	Payment Payment
}

// Pay pays an order that was placed without payment. Only its owner pays by points or from an account. Errors: NOT_FOUND,
// INVALID_INPUT, INVALID_STATE if the order is not PENDING or is being paid by card, and those of a payment. An order whose card is not
// authorized stays PENDING, and may be paid by another. One whose payment is refused otherwise becomes FAILED.
func (s *Orders) Pay(ctx context.Context, v Viewer, in PayOrder) (OrderResult, error) {
	row, persistence, err := s.owned(ctx, v, in.OrderID)
	if err != nil {
		return OrderResult{}, err
	}
	op := newOperation(v, "payOrder", in.Key, in)
	repeat, err := s.recorded(ctx, op)
	if err != nil {
		return OrderResult{}, err
	}
	if !repeat {
		if in.Payment.Method != payment.MethodCARD && !v.owns(row.UserID) { // an administrator
			return OrderResult{}, invalid(input("payment", "method"), "only the customer can pay this order by points or from an account")
		}
		if err := s.checkPayment(ctx, v, &in.Payment, row.Currency); err != nil {
			return OrderResult{}, err
		}
		if err := s.checkAttempt(ctx, in.Payment, row.ID); err != nil {
			return OrderResult{}, err
		}
		if in.Payment.AttemptID != "" && row.Status == order.StatusPAID && paidBy(row, &ent.PaymentAttempt{ID: in.Payment.AttemptID}) {
			return OrderResult{Order: row, Meta: Meta{Replayed: true}}, nil // a webhook or a job was faster
		}
		if row.Status != order.StatusPENDING {
			return OrderResult{Order: row, Persistence: persistence}, notPending(row)
		}
	}
	overdue := row.Status == order.StatusPENDING && row.Edges.Payment == nil && !s.now().Before(row.ExpiresAt)
	if overdue {
		told, err := s.toldOfMoney(ctx, row)
		if err != nil {
			return OrderResult{}, err
		}
		overdue = !told // else it is paid, as by the job
	}
	switch {
	case overdue:
		return OrderResult{Order: row}, &Error{
			Code: InvalidState, Field: input("orderId"), Message: "the reservation has expired",
		}
	case row.Status == order.StatusPAID: // a repeat
		return s.paidBefore(ctx, row, in.Payment, op)
	case row.Status != order.StatusPENDING && row.Status != order.StatusFAILED:
		return OrderResult{Order: row}, notPending(row)
	case !repeat:
		if repeat, err = s.begin(ctx, op); err != nil {
			return OrderResult{}, err
		}
	}
	result, err := s.proceed(ctx, row.ID, &in.Payment, op.request(), Meta{Replayed: repeat})
	switch {
	case err == nil && endedUnpaid(result.Order):
		err = notPending(result.Order)
	case err == nil && result.advanced && result.Order.Status == order.StatusPAID: // by whom?
		return s.paidBefore(ctx, result.Order, in.Payment, op)
	}
	return result, err
}

// endedUnpaid reports whether an order has come to another end than the payment that was requested: it was cancelled or has expired
// meanwhile, and the payment was given back.
func endedUnpaid(row *ent.Order) bool {
	return row.Status == order.StatusCANCELLED || row.Status == order.StatusEXPIRED
}

// paidBefore answers the repeat of a request to pay an order that is PAID by now: by this request, unless another request paid
// it first. A payment by card is one for each order, whichever request or job has finished it, unless the request names another attempt.
func (s *Orders) paidBefore(ctx context.Context, row *ent.Order, pay Payment, op operation) (OrderResult, error) {
	receipt, done, err := s.replayed(ctx, stepID(row.ID, "payment"), KindOrderPaid, op.request())
	byCard := pay.Method == payment.MethodCARD && row.Edges.Payment != nil && row.Edges.Payment.Method == payment.MethodCARD &&
		(pay.AttemptID == "" || paidBy(row, &ent.PaymentAttempt{ID: pay.AttemptID}))
	switch {
	case done:
		return OrderResult{Order: row, Meta: metaOf(receipt)}, nil
	case err != nil && !errors.Is(doneOtherwise(err), errOrderAdvanced):
		return OrderResult{}, err
	case byCard:
		return OrderResult{Order: row, Meta: Meta{Replayed: true}}, nil
	}
	return OrderResult{Order: row}, notPending(row)
}

func notPending(row *ent.Order) *Error {
	return &Error{
		Code: InvalidState, Field: input("orderId"), Message: "the order is " + row.Status.String() + ", not PENDING",
	}
}

// CancelOrder cancels an order of the viewer.
type CancelOrder struct {
	Key     uuid.UUID
	OrderID string
}

// Cancel gives back stock, coupon and payment of a pending or paid order. Errors: NOT_FOUND, INVALID_STATE if the order
// has ended already, is fulfilled, or has a refund.
func (s *Orders) Cancel(ctx context.Context, v Viewer, in CancelOrder) (OrderResult, error) {
	row, persistence, err := s.owned(ctx, v, in.OrderID)
	if err != nil {
		return OrderResult{}, err
	}
	op := newOperation(v, "cancelOrder", in.Key, in)
	repeat, err := s.recorded(ctx, op)
	if err != nil {
		return OrderResult{}, err
	}
	if !repeat {
		if row.Status != order.StatusPENDING && row.Status != order.StatusPAID {
			return OrderResult{Order: row, Persistence: persistence}, &Error{
				Code: InvalidState, Field: input("orderId"), Message: "the order is " + row.Status.String() + " already",
			}
		}
		if err := notCancellable(row); err != nil {
			return OrderResult{Order: row, Persistence: persistence}, err
		}
		if repeat, err = s.begin(ctx, op); err != nil {
			return OrderResult{}, err
		}
	}
	receipt, err := s.end(ctx, row, ending{status: order.StatusCANCELLED, fingerprint: op.request()})
	if err == nil {
		err = owedToCustomer(s.giveBack(ctx, row.ID))
	}
	result, lerr := s.load(ctx, row.ID)
	if lerr != nil {
		err = unshown(err, lerr)
	} else if errors.Is(err, errOrderAdvanced) { // perhaps since the look above
		err = cmp.Or(notCancellable(result), err)
	}
	meta := metaOf(receipt)
	meta.Replayed = meta.Replayed || repeat
	return OrderResult{Order: result, Meta: meta}, err
}

// notCancellable refuses to cancel an order that was fulfilled, or of which something was refunded.
func notCancellable(row *ent.Order) error {
	var (
		message   string
		retryable bool
	)
	switch {
	case row.Fulfilment == order.FulfilmentFULFILLED:
		message = "the order is fulfilled: it is returned, not cancelled; ask the shop"
	case row.RefundCount > 0:
		made := row.Edges.Payment
		retryable = !unitsBack(row) && made != nil && refundedForGood(made) == 0 // if it fails
		message = "the order has a refund or a return: the shop refunds the rest, and it is not cancelled; ask the shop"
	default:
		return nil
	}
	return &Error{Code: InvalidState, Field: input("orderId"), Message: message, Retryable: retryable}
}

// owned returns an order of the viewer, or NOT_FOUND. It waits for the database to confirm an order that was accepted. One that
// the database has refused is FAILED, and only Redis knows of it.
func (s *Orders) owned(ctx context.Context, v Viewer, id string) (*ent.Order, Persistence, error) {
	row, persistence, err := s.Find(ctx, v, id)
	if change, ok := uuidOf(prefixOrder, id); ok && persistence == PersistAccepted {
		if _, err := s.await(ctx, lockprovider.Stock, change); err != nil {
			return nil, "", err
		}
		row, persistence, err = s.Find(ctx, v, id)
	}
	switch {
	case err != nil:
		return nil, "", err
	case row == nil:
		return nil, "", notFound(input("orderId"), "order", id)
	case persistence == PersistAccepted:
		return nil, "", notConfirmed(nil)
	}
	return row, persistence, nil
}

// Get returns an order of the viewer, with lines and payment. It returns nil if there is none or it is another customer's.
func (s *Orders) Get(ctx context.Context, v Viewer, id string) (*ent.Order, error) {
	row, _, err := s.Find(ctx, v, id)
	return row, err
}

// Find is Get that also finds an order which Redis has accepted, and the database has not confirmed yet or has refused. It
// tells which of them it is.
func (s *Orders) Find(ctx context.Context, v Viewer, id string) (*ent.Order, Persistence, error) {
	byID, err := s.FindAll(ctx, v, []string{id}, true)
	return byID[id].Order, byID[id].Persistence, ErrorOf(err, id)
}

// FoundOrder is an order, and whether the database has confirmed it.
type FoundOrder struct {
	Order       *ent.Order
	Persistence Persistence
}

// FindAll is Find for several orders. It returns those of the viewer, by their IDs. Without lines, it does not read those of orders
// in the database. If Redis does not tell of some, the error is [ErrorsByID] of these.
func (s *Orders) FindAll(ctx context.Context, v Viewer, ids []string, lines bool) (map[string]FoundOrder, error) {
	if err := v.customer(); err != nil {
		return nil, err
	}
	byID := make(map[string]FoundOrder, len(ids))
	load := func(ids []string) error {
		rows, err := s.detailed(s.Client.Order.Query().Where(order.IDIn(ids...)), lines).All(ctx)
		for _, row := range rows {
			byID[row.ID] = FoundOrder{row, Persisted}
		}
		return err
	}
	if err := load(ids); err != nil {
		return nil, err
	}
	missing := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return byID[id].Order != nil })
	accepted, unknown, failed := s.accepted(ctx, missing)
	maps.Copy(byID, accepted)
	if len(unknown) > 0 { // or persisted since we looked
		if err := load(unknown); err != nil {
			return nil, err
		}
	}
	maps.DeleteFunc(byID, func(_ string, found FoundOrder) bool { return !v.may(found.Order.UserID) })
	return byID, failed
}

// detailed has a query read what is shown of orders. Without lines, it does not read those: an order may have many.
func (s *Orders) detailed(query *ent.OrderQuery, lines bool) *ent.OrderQuery {
	if lines {
		return withDetails(query)
	}
	return query.WithPayment()
}

// outcomesAtOnce bounds how many orders Redis is asked for at the same time. Of one that waits to be persisted, it sends all that wait.
const outcomesAtOnce = 4

// accepted looks for orders that were accepted and that the database does not hold. It finds none if the strategy of the stock
// accepts nothing before the database has it. Of those that are unknown, Redis knows nothing, or nothing any more. If Redis does not tell
// of some, the error is [ErrorsByID] of these.
func (s *Orders) accepted(ctx context.Context, ids []string) (found map[string]FoundOrder, unknown []string, err error) {
	tracker, tracked := lockprovider.As[lockprovider.Tracker](s.Providers.For(lockprovider.Stock))
	if !tracked {
		return nil, nil, nil
	}
	ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		_, ok := uuidOf(prefixOrder, id)
		return !ok
	})
	type remembered struct {
		lockprovider.Outcome
		placed orderPlaced
	}
	outcomes, failed := Each(outcomesAtOnce, ids, func(id string) (r remembered, err error) {
		change, _ := uuidOf(prefixOrder, id)
		if r.Outcome, err = tracker.Outcome(ctx, change); err != nil {
			return r, translate(err, lockprovider.Receipt{})
		}
		if r.Payload != nil {
			err = json.Unmarshal(r.Payload, &r.placed)
		}
		return r, err
	})
	var ordered []string
	for id, outcome := range outcomes {
		if outcome.Payload == nil {
			unknown = append(unknown, id)
		}
		ordered = append(ordered, outcome.placed.productIDs()...)
	}
	if len(unknown) == len(outcomes) {
		return nil, unknown, failed
	}
	slices.Sort(ordered)
	products, err := s.catalog.ProductsByID(ctx, slices.Compact(ordered))
	if err != nil {
		return nil, nil, err
	}
	found = map[string]FoundOrder{}
	for id, outcome := range outcomes {
		if outcome.Payload != nil {
			found[id] = outcome.placed.found(outcome.Outcome, products)
		}
	}
	return found, unknown, failed
}

// found is the order that was accepted, as its outcome in Redis has it.
func (p orderPlaced) found(outcome lockprovider.Outcome, products map[string]*ent.Product) FoundOrder {
	row := p.order(products)
	if outcome.State != lockprovider.OutcomeFailed {
		return FoundOrder{row, PersistAccepted}
	}
	row.Status, row.Settled = order.StatusFAILED, true
	row.FailureCode, row.FailureReason = string(Unavailable), "the database refused the order; nothing was taken"
	var rejected *lockprovider.Rejected
	switch {
	case errors.As(outcome.Reason, &rejected) && errors.Is(translate(rejected, lockprovider.Receipt{}), errHoldAdvanced):
		row.FailureCode = string(InvalidState)
	case errors.Is(outcome.Reason, lockprovider.ErrInsufficient):
		row.FailureCode = string(OutOfStock)
	case errors.Is(outcome.Reason, lockprovider.ErrLimit):
		row.FailureCode = string(PurchaseLimitReached)
		if refused := (*lockprovider.Refused)(nil); errors.As(outcome.Reason, &refused) && refused.Refusals[0].Balance == lockprovider.PendingKey(p.UserID) {
			row.FailureCode = string(TooManyPending)
		}
	}
	return FoundOrder{row, FailedCompensated}
}

func (p orderPlaced) productIDs() []string {
	ids := make([]string, len(p.Lines))
	for i, l := range p.Lines {
		ids[i] = l.ProductID
	}
	return ids
}

func (s *Orders) load(ctx context.Context, id string) (*ent.Order, error) {
	return withDetails(s.Client.Order.Query().Where(order.ID(id))).Only(ctx)
}

func withDetails(q *ent.OrderQuery) *ent.OrderQuery {
	return q.WithPayment().WithLines(func(q *ent.OrderLineQuery) {
		q.WithProduct().Order(ent.Asc(orderline.FieldPosition))
	})
}

// OrderQuery asks for a list of orders.
type OrderQuery struct {
	Statuses    []order.Status // none for all
	CreatedAt   Range
	Fulfilment  order.Fulfilment // "" for both
	OldestFirst bool
	Page        Page
	// Lines reads the lines of the orders. An order may have many.
	Lines bool
}

// List is the viewer's orders, the newest first unless the query says otherwise. Errors: INVALID_INPUT of the page and of the filter.
func (s *Orders) List(ctx context.Context, v Viewer, q OrderQuery) (PageOf[*ent.Order], error) {
	if err := v.customer(); err != nil {
		return PageOf[*ent.Order]{}, err
	}
	return s.list(ctx, q, listing{name: "orders:" + v.UserID}, order.UserID(v.UserID))
}

// ListAll is everybody's orders, or those of one customer if customer is not "", for administrators. They are those that the database has.
// Errors: INVALID_INPUT of the page and of the filter.
func (s *Orders) ListAll(ctx context.Context, v Viewer, customer string, q OrderQuery) (PageOf[*ent.Order], error) {
	if err := v.admin(); err != nil {
		return PageOf[*ent.Order]{}, err
	}
	if customer != "" {
		return s.list(ctx, q, listing{name: "orders:" + customer}, order.UserID(customer))
	}
	return s.list(ctx, q, listing{name: "allOrders"})
}

// list reads one page of the orders that conditions select, of which the listing has the name.
func (s *Orders) list(ctx context.Context, q OrderQuery, listed listing, conditions ...predicate.Order) (PageOf[*ent.Order], error) {
	listed.by, listed.column, listed.descending = timeAndID, order.FieldCreatedAt, !q.OldestFirst
	if q.OldestFirst {
		listed.name += ":oldest"
	}
	if err := q.CreatedAt.check("filter", "createdAt"); err != nil {
		return PageOf[*ent.Order]{}, err
	}
	statuses := slices.Compact(slices.Sorted(slices.Values(q.Statuses)))
	asked, err := q.Page.of(filtered(listed, orderFilter{textOf(statuses), q.CreatedAt, q.Fulfilment}))
	if err != nil {
		return PageOf[*ent.Order]{}, err
	}
	selected := func() *ent.OrderQuery {
		query := s.Client.Order.Query().Where(conditions...).Where(q.CreatedAt.within(order.FieldCreatedAt))
		if len(statuses) > 0 {
			query.Where(order.StatusIn(statuses...))
		}
		if q.Fulfilment != "" {
			query.Where(order.FulfilmentEQ(q.Fulfilment))
		}
		return query
	}
	rows, err := s.detailed(selected(), q.Lines).Where(asked.within).Order(asked.sorted).Limit(asked.limit()).All(ctx)
	if err != nil {
		return PageOf[*ent.Order]{}, err
	}
	list := pageOf(rows, asked, func(o *ent.Order) position { return position{Time: o.CreatedAt, ID: o.ID} })
	list.Count = counts(selected)
	return list, nil
}

// orderFilter is what cursors of a list of orders are bound to.
type orderFilter struct {
	Statuses   string
	CreatedAt  Range
	Fulfilment order.Fulfilment
}

// textOf joins the values of a filter.
func textOf[T ~string](values []T) string {
	texts := make([]string, len(values))
	for i, value := range values {
		texts[i] = string(value)
	}
	return strings.Join(texts, ",")
}
