package commerce

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"holdfast/commerce/shares"
	"holdfast/ent"
	"holdfast/ent/order"
	"holdfast/ent/orderline"
	"holdfast/ent/payment"
	"holdfast/ent/paymentattempt"
	"holdfast/ent/refund"
	"holdfast/ent/refundline"
	"holdfast/ent/schema"
	"holdfast/lockprovider"
	"holdfast/payments"
)

// A refund gives back a part of what an order was paid with, takes products back, or both. It is bounded by numbers of the database: those of
// a payment that are given back or about to be, and the returned units of a line. One transaction raises them and writes the row of the
// refund, with the key of the request. Only then is anything given back. Each of two steps is done once, whoever does it:
//
//	the money:    at the gateway under the ID of the refund, or by a change of the wallet or account, which marks the refund REFUNDED
//	the products: by a change of the stock, which marks them restocked
//
// What is cut off is found by its row, and a job goes on with it. If the money cannot be given back, the refund is FAILED and its amount free
// for another one; its products stay returned.
//
// A refund and the end of an order exclude each other: both begin with a write of the order that asks for its status, its fulfilment and
// the number of its refunds.

// Refunds are what administrators give back of paid orders.
type Refunds struct {
	*core
	orders *Orders
}

// CreateRefund asks for a refund of an amount, or of units of an order's lines at the price that was paid for them, or at what is left of the
// payment if that is less.
type CreateRefund struct {
	Key     uuid.UUID
	OrderID string
	Amount  *Money // nil if there are lines
	Lines   []Line // none if there is an amount
	Restock bool   // put the units of the lines back into stock; otherwise they are written off
	Reason  string // the customer sees it
}

// CreateReturn asks to take back products of a fulfilled order.
type CreateReturn struct {
	Key     uuid.UUID
	OrderID string
	Lines   []Line
	Restock bool // as in CreateRefund
	Refund  bool // give back what was paid for them
	Reason  string
}

// RefundResult is a refund and its order after an operation. Refund may be set together with an error: it exists then, and may be FAILED.
type RefundResult struct {
	Refund *ent.Refund // with lines
	Order  *ent.Order
	Meta   Meta
}

// refundRequest is what both kinds of requests have in common.
type refundRequest struct {
	orderID   string
	amount    *Money
	lines     []Line
	restock   bool
	pays      bool // an amount is given back
	fulfilled bool // the order must be fulfilled
	reason    string
}

// Create gives back an amount, or what was paid for units of an order's lines. Admins only. Errors: INVALID_INPUT, NOT_FOUND, INVALID_STATE if
// the order is not PAID; PAYMENT_DECLINED if the money cannot be given back, and UNAVAILABLE if it is not yet: a repeat with the same key goes on,
// and so does a job.
func (s *Refunds) Create(ctx context.Context, v Viewer, in CreateRefund) (RefundResult, error) {
	in.Reason = strings.TrimSpace(in.Reason)
	return s.create(ctx, v, newOperation(v, "refundCreate", in.Key, in), refundRequest{
		orderID: in.OrderID, amount: in.Amount, lines: in.Lines, restock: in.Restock, pays: true, reason: in.Reason,
	})
}

// Return takes back products of a fulfilled order. Admins only. Errors: those of Create, and INVALID_STATE if the order is not fulfilled.
func (s *Refunds) Return(ctx context.Context, v Viewer, in CreateReturn) (RefundResult, error) {
	in.Reason = strings.TrimSpace(in.Reason)
	return s.create(ctx, v, newOperation(v, "returnCreate", in.Key, in), refundRequest{
		orderID: in.OrderID, lines: in.Lines, restock: in.Restock, pays: in.Refund, fulfilled: true, reason: in.Reason,
	})
}

func (s *Refunds) create(ctx context.Context, v Viewer, op operation, in refundRequest) (RefundResult, error) {
	if err := v.admin(); err != nil {
		return RefundResult{}, err
	}
	if !op.keyed() { // else a repeat would give back once more
		return RefundResult{}, invalid(input("idempotencyKey"), "a refund needs a key that is not the nil UUID")
	}
	if err := s.check(in); err != nil {
		return RefundResult{}, err
	}
	row, _, err := s.orders.owned(ctx, v, in.orderID)
	if err != nil {
		return RefundResult{}, err
	}
	id := op.objectID(prefixRefund)
	repeat, err := s.once(ctx, op, func(tx *ent.Tx) error { return s.open(ctx, tx, v, id, in) })
	if ent.IsConstraintError(err) || hasCode(err, InvalidInput) || hasCode(err, InvalidState) || hasCode(err, NotFound) {
		known, kerr := s.Client.Refund.Query().Where(refund.ID(id)).Exist(ctx)
		if kerr == nil && known {
			kerr = keyExpired() // the refund was made, and its key is forgotten
		}
		err = cmp.Or(kerr, err)
	}
	if err != nil {
		return RefundResult{Order: row}, err
	}
	f, err := s.load(ctx, id)
	if err != nil {
		return RefundResult{}, err
	}
	money, goods := s.carryOut(ctx, f)
	err = notCompleteYet(cmp.Or(money, goods))
	result := RefundResult{Meta: Meta{Replayed: repeat, Attempts: 1, Persistence: Persisted}}
	var lerr error
	if result.Refund, lerr = s.load(ctx, id); lerr == nil {
		result.Order, lerr = s.orders.load(ctx, in.orderID)
	}
	switch {
	case lerr != nil:
		err = unshown(err, lerr)
	case err == nil && result.Refund.Status == refund.StatusFAILED:
		err = refundFailed(result.Refund, result.Refund.FailureReason)
	}
	return result, err
}

// check refuses what no order allows.
func (s *Refunds) check(in refundRequest) error {
	errs := checkText("reason", in.reason, 1, schema.MaxReason)
	switch {
	case in.amount != nil && len(in.lines) > 0:
		errs = append(errs, invalid(input("amount"), "a refund is of an amount or of lines, not of both"))
	case in.amount == nil && len(in.lines) == 0 && in.fulfilled:
		errs = append(errs, invalid(input("lines"), "a return needs at least one line"))
	case in.amount == nil && len(in.lines) == 0:
		errs = append(errs, invalid(input("amount"), "a refund needs an amount or lines"))
	case in.amount != nil && (in.amount.Minor < 1 || in.amount.Minor > lockprovider.MaxAmount):
		errs = append(errs, invalid(input("amount", "amountMinor"), "amountMinor must be 1 to %d, not %d", int64(lockprovider.MaxAmount), in.amount.Minor))
	case in.amount != nil && in.restock:
		errs = append(errs, invalid(input("restock"), "restock goes with lines only: an amount says nothing about products"))
	}
	errs = append(errs, checkNamed(in.lines)...)
	seen := map[string]bool{}
	for i, l := range in.lines {
		switch {
		case l.Quantity < 1 || l.Quantity > lockprovider.MaxAmount:
			errs = append(errs, invalid(lineField(i, "quantity"), "quantity must be at least 1, not %d", l.Quantity))
		case seen[l.VariantID+l.ProductID]:
			errs = append(errs, invalid(lineField(i, l.named()), "the line of the order is named twice; add the quantities up"))
		}
		seen[l.VariantID+l.ProductID] = true
	}
	if errs != nil {
		return errs
	}
	return nil
}

// open writes a refund, and takes what it gives back off what can be. The order comes first, as everywhere, so that refunds of one order come one
// after another, and none meets the end of the order.
func (s *Refunds) open(ctx context.Context, tx *ent.Tx, v Viewer, id string, in refundRequest) error {
	now := s.now()
	n, err := tx.Order.Update().Where(order.ID(in.orderID), order.StatusEQ(order.StatusPAID)).AddRefundCount(1).SetUpdatedAt(now).Save(ctx)
	if err != nil {
		return err
	}
	row, err := withDetails(tx.Order.Query().Where(order.ID(in.orderID))).Only(ctx)
	if err != nil {
		return err
	}
	made := row.Edges.Payment
	switch {
	case n == 0 || made == nil:
		return &Error{
			Code: InvalidState, Field: input("orderId"), Retryable: row.Status == order.StatusPENDING, // when it is paid
			Message: fmt.Sprintf("the order is %s, not PAID: there is nothing to refund", row.Status),
		}
	case in.fulfilled && row.Fulfilment != order.FulfilmentFULFILLED:
		return &Error{
			Code: InvalidState, Field: input("orderId"), Retryable: true, // when it is fulfilled
			Message: "the order is not fulfilled, so that nothing of it can come back; use refundCreate",
		}
	}
	back, worth, err := linesBack(row, in.lines)
	if err != nil {
		return err
	}
	left := made.AmountMinor - made.RefundedMinor - made.RefundingMinor
	amount := min(worth, left) // of an order of which an amount was refunded before, the rest: the units come back in any case
	switch {
	case !in.pays:
		amount = 0
	case in.amount != nil:
		if amount = in.amount.Minor; in.amount.Currency != row.Currency {
			return invalid(input("amount", "currency"), "the order was paid in %s, not %s", row.Currency, Truncate(in.amount.Currency, 10))
		}
	}
	if step := payments.StepOf(s.Gateway, row.Currency); made.Method == payment.MethodCARD && amount%step != 0 {
		if in.amount != nil {
			return invalid(input("amount", "amountMinor"), "the payment gateway takes multiples of %d minor units of %s only, not %d", step, row.Currency, amount)
		}
		amount -= amount % step // what is left over can be refunded as an amount
	}
	if amount > left {
		e := invalid(input("amount", "amountMinor"), "%s of the order can be refunded, not %s", Money{Minor: left, Currency: row.Currency}, *in.amount)
		e.Retryable = amount <= made.AmountMinor-refundedForGood(made) // when another refund fails
		return e
	}
	create := tx.Refund.Create().SetID(id).SetOrderID(row.ID).SetMethod(refund.Method(made.Method)).SetStatus(refund.StatusREFUNDED).
		SetAmountMinor(amount).SetCurrency(row.Currency).SetRestock(in.restock).SetReason(in.reason).SetAdministrator(v.UserID).
		SetCreatedAt(now).SetUpdatedAt(now)
	if amount > 0 {
		create.SetStatus(refund.StatusREFUNDING)
		if made.Method == payment.MethodCARD {
			a, err := s.attemptOf(ctx, tx, row)
			if err != nil {
				return err
			}
			create.SetAttemptID(a.ID)
		}
		if err := tx.Payment.Update().Where(payment.ID(made.ID)).AddRefundingMinor(amount).SetUpdatedAt(now).Exec(ctx); err != nil {
			return err
		}
	}
	if amount > 0 || in.restock {
		create.SetLookAt(now)
	}
	if err := create.Exec(ctx); err != nil {
		return err
	}
	parts := make([]int64, len(back))
	for i, b := range back {
		parts[i] = b.worth
	}
	if in.amount == nil {
		parts = shares.Split(amount, parts)
	}
	rows := make([]*ent.RefundLineCreate, len(back))
	for i, b := range back {
		if err := tx.OrderLine.Update().Where(orderline.ID(b.line.ID)).AddReturned(b.quantity).Exec(ctx); err != nil {
			return err
		}
		rows[i] = tx.RefundLine.Create().SetRefundID(id).SetOrderLineID(b.line.ID).SetProductID(b.line.ProductID).SetVariantID(b.line.VariantID).
			SetQuantity(b.quantity).SetAmountMinor(parts[i])
	}
	return insert(ctx, rows, tx.RefundLine.CreateBulk)
}

// attemptOf returns the attempt that has paid an order by card.
func (s *Refunds) attemptOf(ctx context.Context, tx *ent.Tx, row *ent.Order) (*ent.PaymentAttempt, error) {
	query := tx.PaymentAttempt.Query().Where(paymentattempt.OrderID(row.ID), paymentattempt.StatusEQ(paymentattempt.StatusCAPTURED))
	if id := row.Edges.Payment.AttemptID; id != nil {
		query.Where(paymentattempt.ID(*id))
	}
	a, err := orNil(query.Order(paymentattempt.ByID()).First(ctx))
	switch {
	case err != nil:
		return nil, err
	case a == nil:
		return nil, &Error{
			Code: InvalidState, Field: input("orderId"),
			Message: "the payment of this order was given back at the payment gateway, or is not known there",
		}
	case a.Gateway != s.Payment.Gateway:
		return nil, &Error{
			Code: InvalidState, Field: input("orderId"),
			Message: fmt.Sprintf("the order was paid by the gateway %s, which the shop does not use any more: refund it there", a.Gateway),
		}
	}
	return a, nil
}

func (s *Refunds) load(ctx context.Context, id string) (*ent.Refund, error) {
	return withParts(s.Client.Refund.Query().Where(refund.ID(id))).Only(ctx)
}

// withParts has a query read the lines of refunds, and whose orders they are of.
func withParts(q *ent.RefundQuery) *ent.RefundQuery {
	return q.WithLines(func(q *ent.RefundLineQuery) { q.WithProduct().Order(refundline.ByID()) }).
		WithOrder(func(q *ent.OrderQuery) { q.Select(order.FieldID, order.FieldUserID) })
}

// MaxRefunds is how many refunds of an order are listed.
const MaxRefunds = 20

// newestOf selects the newest rows of a table for each of some orders, at most so many of each.
func newestOf(table string, orderIDs []string, most int) func(*sql.Selector) {
	return func(s *sql.Selector) {
		if len(orderIDs) == 0 {
			return
		}
		ids := make([]any, len(orderIDs))
		for i, id := range orderIDs {
			ids[i] = id
		}
		s.Where(sql.P(func(b *sql.Builder) {
			b.WriteString(s.C("id") + " IN (SELECT newest.id FROM (SELECT id, ROW_NUMBER() OVER (PARTITION BY order_id ORDER BY created_at DESC, id DESC) AS place FROM " +
				table + " WHERE order_id IN (").Args(ids...).WriteString(")) AS newest WHERE newest.place <= ").Arg(most).WriteString(")")
		}))
	}
}

// OfOrders returns the refunds of orders by the orders' IDs, the newest first, at most [MaxRefunds] of each. The caller has found these orders,
// so that the viewer may see them. Who has made a refund is for administrators.
func (s *Refunds) OfOrders(ctx context.Context, v Viewer, orderIDs []string) (map[string][]*ent.Refund, error) {
	rows, err := withParts(s.Client.Refund.Query().Where(refund.OrderIDIn(orderIDs...), newestOf(refund.Table, orderIDs, MaxRefunds))).
		Order(ent.Desc(refund.FieldCreatedAt, refund.FieldID)).All(ctx)
	list := make(map[string][]*ent.Refund, len(orderIDs))
	for _, id := range orderIDs {
		list[id] = nil
	}
	for _, f := range rows {
		if !v.may(f.Edges.Order.UserID) || len(list[f.OrderID]) == MaxRefunds {
			continue
		}
		if !v.Admin {
			f.Administrator = ""
		}
		list[f.OrderID] = append(list[f.OrderID], f)
	}
	return list, err
}

// refundedForGood is how much of a payment was refunded and stays so. A refund that is under way may fail, and one of a card may do so after
// it was made.
func refundedForGood(made *ent.Payment) int64 {
	if made.Method == payment.MethodCARD {
		return 0
	}
	return made.RefundedMinor
}

// unitsLeft reports whether some units of an order have not come back. Those that have stay so, also if the refund for them fails.
func unitsLeft(row *ent.Order) bool {
	return slices.ContainsFunc(row.Edges.Lines, func(l *ent.OrderLine) bool { return l.Returned < l.Quantity })
}

// unitsBack reports whether some units of an order have come back.
func unitsBack(row *ent.Order) bool {
	return slices.ContainsFunc(row.Edges.Lines, func(l *ent.OrderLine) bool { return l.Returned > 0 })
}
