package commerce

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"time"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"holdfast/ent"
	"holdfast/ent/order"
	"holdfast/ent/orderline"
	"holdfast/ent/payment"
	"holdfast/ent/paymentattempt"
	"holdfast/ent/predicate"
	"holdfast/ent/refund"
	"holdfast/ent/refundline"
	"holdfast/ent/schema"
	"holdfast/lockprovider"
	"holdfast/lockprovider/lock"
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
	seen := map[string]bool{}
	for i, l := range in.lines {
		switch {
		case l.Quantity < 1 || l.Quantity > lockprovider.MaxAmount:
			errs = append(errs, invalid(lineField(i, "quantity"), "quantity must be at least 1, not %d", l.Quantity))
		case seen[l.ProductID]:
			errs = append(errs, invalid(lineField(i, "productId"), "the product is named twice; add the quantities up"))
		}
		seen[l.ProductID] = true
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
			Code: InvalidState, Field: input("orderId"),
			Message: fmt.Sprintf("the order is %s, not PAID: there is nothing to refund", row.Status),
		}
	case in.fulfilled && row.Fulfilment != order.FulfilmentFULFILLED:
		return &Error{
			Code: InvalidState, Field: input("orderId"),
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
		return invalid(input("amount", "amountMinor"), "%s of the order can be refunded, not %s", Money{Minor: left, Currency: row.Currency}, *in.amount)
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
		parts = split(amount, parts)
	}
	rows := make([]*ent.RefundLineCreate, len(back))
	for i, b := range back {
		if err := tx.OrderLine.Update().Where(orderline.ID(b.line.ID)).AddReturned(b.quantity).Exec(ctx); err != nil {
			return err
		}
		rows[i] = tx.RefundLine.Create().SetRefundID(id).SetOrderLineID(b.line.ID).SetProductID(b.line.ProductID).
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

// lineBack is units of an order's line that come back, and what was paid for them.
type lineBack struct {
	line            *ent.OrderLine
	quantity, worth int64
}

// linesBack finds the lines of an order that are to come back, and what was paid for their units.
func linesBack(row *ent.Order, lines []Line) (back []lineBack, worth int64, err error) {
	paid := PaidFor(row)
	var errs Errors
	for i, l := range lines {
		at := slices.IndexFunc(row.Edges.Lines, func(o *ent.OrderLine) bool { return o.ProductID == l.ProductID })
		if at < 0 {
			errs = append(errs, &Error{Code: NotFound, Field: lineField(i, "productId"), Message: "the order has no such product"})
			continue
		}
		line := row.Edges.Lines[at]
		if left := line.Quantity - line.Returned; l.Quantity > left {
			errs = append(errs, invalid(lineField(i, "quantity"), "%d of the %d units can come back, not %d", left, line.Quantity, l.Quantity))
			continue
		}
		b := lineBack{line: line, quantity: l.Quantity, worth: unitsWorth(paid[at], line.Quantity, line.Returned, l.Quantity)}
		back, worth = append(back, b), worth+b.worth
	}
	if errs != nil {
		return nil, 0, errs
	}
	return back, worth, nil
}

// PaidFor returns what was paid for each line of an order: its total, split by the prices of the lines. The sum is the total, to the
// last minor unit: the lines with the largest remainders get one more.
func PaidFor(row *ent.Order) []int64 {
	weights := make([]int64, len(row.Edges.Lines))
	for i, l := range row.Edges.Lines {
		weights[i] = l.UnitPriceMinor * l.Quantity
	}
	return split(row.TotalMinor, weights)
}

// split splits a total by weights, by the method of the largest remainder. Of equal remainders, the first gets more. No weight is negative, and the
// total is at most their sum.
func split(total int64, weights []int64) []int64 {
	var sum int64
	for _, w := range weights {
		sum += w
	}
	parts, remainders, order := make([]int64, len(weights)), make([]int64, len(weights)), make([]int, len(weights))
	if sum == 0 {
		return parts
	}
	left := total
	for i, w := range weights {
		parts[i], remainders[i] = mulDiv(total, w, sum)
		left -= parts[i]
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(remainders[b], remainders[a]) })
	for _, i := range order[:left] {
		parts[i]++
	}
	return parts
}

// unitsWorth returns what was paid for n units of a line, of which some came back before. All units together are worth what was paid for the line.
func unitsWorth(paid, quantity, before, n int64) int64 {
	to, _ := mulDiv(paid, before+n, quantity)
	from, _ := mulDiv(paid, before, quantity)
	return to - from
}

// mulDiv returns a × b ÷ c and the remainder. No factor is negative, and the quotient fits.
func mulDiv(a, b, c int64) (quotient, remainder int64) {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	q, r := bits.Div64(hi, lo, uint64(c))
	return int64(q), int64(r)
}

func (s *Refunds) load(ctx context.Context, id string) (*ent.Refund, error) {
	return withParts(s.Client.Refund.Query().Where(refund.ID(id))).Only(ctx)
}

// withParts has a query read the lines of refunds, and whose orders they are of.
func withParts(q *ent.RefundQuery) *ent.RefundQuery {
	return q.WithLines(func(q *ent.RefundLineQuery) { q.WithProduct().Order(refundline.ByID()) }).
		WithOrder(func(q *ent.OrderQuery) { q.Select(order.FieldID, order.FieldUserID) })
}

// carryOut does what is left to do for a refund: both steps, even if one of them fails.
func (s *Refunds) carryOut(ctx context.Context, f *ent.Refund) (money, goods error) {
	if f.Restock && f.RestockedAt == nil {
		goods = s.restock(ctx, f)
	}
	return s.pay(ctx, f), goods
}

// restock puts the units of a refund back into stock.
func (s *Refunds) restock(ctx context.Context, f *ent.Refund) error {
	p := orderReturned{RefundID: f.ID, OrderID: f.OrderID, UserID: f.Edges.Order.UserID, At: s.now()}
	var moves []lockprovider.Move
	for _, l := range f.Edges.Lines {
		p.Lines = append(p.Lines, returnedLine{ProductID: l.ProductID, Quantity: l.Quantity})
		moves = append(moves, lockprovider.Move{Balance: lockprovider.StockKey(l.ProductID), Delta: l.Quantity})
	}
	_, err := s.execute(ctx, lockprovider.Change{
		ID: stepID(f.ID, "restock"), Family: lockprovider.Stock, Moves: moves, Confirm: true,
		Record: lockprovider.Record{Kind: KindOrderReturned, Fingerprint: f.ID, Payload: mustJSON(p)},
	})
	return ignoreAdvanced(doneOtherwise(refusals(err, func(r lockprovider.Refusal) *Error {
		return &Error{
			Code: InvalidState, Field: input("restock"), Retryable: true,
			Message: fmt.Sprintf("the stock can take %d more, not %d; the shop tries again", r.Available, r.Delta),
		}
	})))
}

// pay gives back the money of a refund.
func (s *Refunds) pay(ctx context.Context, f *ent.Refund) error {
	switch {
	case f.Status == refund.StatusREFUNDED:
		return nil
	case f.Status == refund.StatusFAILED && f.FailureReason == madeAfterAll:
		return s.complete(ctx, f)
	case f.Status == refund.StatusFAILED:
		return refundFailed(f, f.FailureReason)
	case f.Method == refund.MethodCARD:
		return s.payByGateway(ctx, f)
	}
	row, err := s.orders.load(ctx, f.OrderID)
	if err != nil {
		return err
	}
	made := row.Edges.Payment
	change := s.completed(f)
	var move lockprovider.Move
	change.Family, move = s.orders.paymentMove(row.UserID, paymentMade{
		Method: made.Method.String(), AccountID: deref(made.AccountID),
	}, f.AmountMinor)
	change.Moves = []lockprovider.Move{move}
	_, err = s.execute(ctx, change)
	if refused := (*lockprovider.Refused)(nil); errors.As(err, &refused) {
		return s.fail(ctx, f, fmt.Sprintf("the wallet or account can take %d more", refused.Refusals[0].Available))
	}
	return ignoreAdvanced(doneOtherwise(err))
}

// completed is the change that marks a refund REFUNDED. A refund has one.
func (s *Refunds) completed(f *ent.Refund) lockprovider.Change {
	return lockprovider.Change{
		ID: stepID(f.ID, "refund"), Family: lockprovider.Stock, Confirm: true,
		Record: lockprovider.Record{
			Kind: KindRefundCompleted, Fingerprint: f.ID,
			Payload: mustJSON(refundCompleted{
				RefundID: f.ID, OrderID: f.OrderID, UserID: f.Edges.Order.UserID, Method: f.Method.String(), AmountMinor: f.AmountMinor, Currency: f.Currency,
				Reason: f.Reason, At: s.now(),
			}),
		},
	}
}

// payByGateway has the gateway give back the money of a refund. The ID of the refund is the key there: the gateway does it once.
func (s *Refunds) payByGateway(ctx context.Context, f *ent.Refund) error {
	a, err := s.Client.PaymentAttempt.Get(ctx, deref(f.AttemptID))
	if err != nil {
		return err
	}
	now, err := s.Client.Refund.Get(ctx, f.ID) // another call may have come to its end
	switch {
	case err != nil:
		return err
	case now.Status == refund.StatusREFUNDED:
		return nil
	case now.Status == refund.StatusFAILED:
		return refundFailed(f, now.FailureReason)
	}
	answer, err := s.callGateway(ctx, a, func(ctx context.Context) (payments.Answer, error) {
		return s.Gateway.Refund(ctx, payments.Ref{Attempt: a.ID, Reference: a.Reference}, f.ID, payments.Amount{Minor: f.AmountMinor, Currency: f.Currency})
	})
	switch {
	case errors.Is(err, errOtherGateway):
		return gatewayAway(err)
	case err != nil:
		// Best effort: without the note, the refund is asked for again as well.
		_ = s.Client.Refund.Update().Where(refund.ID(f.ID), refund.StatusEQ(refund.StatusREFUNDING)).
			SetStatus(refund.StatusUNKNOWN).SetUpdatedAt(s.now()).Exec(ctx)
		return gatewayAway(err)
	case !answer.Made && answer.State == payments.StatePending:
		return undecided()
	case !answer.Made:
		return s.fail(ctx, f, cmp.Or(answer.Reason, "the payment gateway does not give it back; the payment is "+string(answer.State)+" there"))
	}
	return s.complete(ctx, f)
}

// complete notes that the gateway has given back the money of a refund. If the gateway has refused it before, to a call at the same time, another
// refund may have its amount. Then the refund stays FAILED, and the job goes on with it: the other one may fail yet.
func (s *Refunds) complete(ctx context.Context, f *ent.Refund) error {
	_, err := s.Ledger.Apply(ctx, s.completed(f))
	if err = doneOtherwise(translate(err, lockprovider.Receipt{})); !errors.Is(err, errOrderAdvanced) {
		return err
	}
	n, err := s.Client.Refund.Update().Where(refund.ID(f.ID), refund.StatusEQ(refund.StatusFAILED), refund.FailureReasonNotIn(madeAfterAll, failedLater)).
		SetFailureReason(madeAfterAll).SetLookAt(s.now()).SetUpdatedAt(s.now()).Save(ctx)
	if err != nil || n == 0 && f.FailureReason != madeAfterAll {
		return err
	}
	return &Error{Code: Unavailable, Message: madeAfterAll, Retryable: true, RetryAfter: retryLater}
}

// madeAfterAll is the failure reason of a refund that was made after it had failed, while another refund, or the end of the order, had its amount.
const madeAfterAll = "the payment gateway has given it back after all, and its amount was refunded otherwise meanwhile, or is about to be"

// fail notes that the money of a refund cannot be given back: its amount is free for another one. If it takes nothing back, it binds the order no more.
func (s *Refunds) fail(ctx context.Context, f *ent.Refund, why string) error {
	why = Truncate(why, schema.MaxReason)
	err := s.inTx(ctx, func(tx *ent.Tx) error {
		if len(f.Edges.Lines) == 0 { // the order comes first, as everywhere
			if err := tx.Order.Update().Where(order.ID(f.OrderID)).AddRefundCount(-1).SetUpdatedAt(s.now()).Exec(ctx); err != nil {
				return err
			}
		}
		n, err := tx.Refund.Update().Where(refund.ID(f.ID), openRefund).
			SetStatus(refund.StatusFAILED).SetFailureReason(why).SetUpdatedAt(s.now()).Save(ctx)
		if err != nil || n == 0 { // then another one has completed it, or was as fast
			return cmp.Or[error](err, errOrderAdvanced)
		}
		if err := refundDone(ctx, tx, f.ID); err != nil {
			return err
		}
		return tx.Payment.Update().Where(payment.OrderID(f.OrderID)).AddRefundingMinor(-f.AmountMinor).SetUpdatedAt(s.now()).Exec(ctx)
	})
	if err := ignoreAdvanced(err); err != nil {
		return err
	}
	now, err := s.Client.Refund.Get(ctx, f.ID)
	if err != nil || now.Status == refund.StatusREFUNDED {
		return err
	}
	return refundFailed(f, now.FailureReason)
}

// refundFailed is the error of a refund, with lines, whose money could not be given back. Its products have come back all the same: whoever
// asked for the lines again would take other units back, and raise the stock once more.
func refundFailed(f *ent.Refund, why string) *Error {
	e := &Error{Code: PaymentDeclined, Field: input("orderId"), Message: "the money could not be given back: " + why + "; "}
	if len(f.Edges.Lines) == 0 {
		e.Message += "try another refund with a new key"
	} else {
		e.Message += fmt.Sprintf("the products are returned already: refund %s as an amount, with a new key, and not these lines again",
			Money{Minor: f.AmountMinor, Currency: f.Currency})
	}
	return e
}

// openRefund are the refunds whose money is still to be given back.
var openRefund = refund.StatusIn(refund.StatusREFUNDING, refund.StatusUNKNOWN)

// refundDone notes that nobody has to look after a refund any more, if both of its steps are done.
func refundDone(ctx context.Context, tx *ent.Tx, id string) error {
	return tx.Refund.Update().
		Where(refund.ID(id), refund.Not(openRefund), refund.FailureReasonNEQ(madeAfterAll), refund.Or(refund.Restock(false), refund.RestockedAtNotNil())).
		ClearLookAt().SetLooks(0).SetLastError("").Exec(ctx)
}

// notCompleteYet is the error of a request whose refund is recorded and not complete. An error that says that nothing was done would be untrue.
func notCompleteYet(err error) error {
	if err == nil || hasCode(err, PaymentDeclined) || hasCode(err, InvalidState) {
		return err
	}
	if _, ok := UserErrors(err); !ok {
		return err
	}
	e := &Error{
		Code: Unavailable, Retryable: true, RetryAfter: retryLater, cause: err,
		Message: "the refund is recorded, and not complete yet: repeat it with the same key to learn what became of it; the shop goes on by itself",
	}
	if errors.Is(err, errOtherGateway) {
		e.RetryAfter = 0
	}
	return e
}

// writeRefundCompleted notes that the money of a refund was given back. A gateway may do so after it has refused it to a call at the same time.
func writeRefundCompleted(ctx context.Context, tx *ent.Tx, p refundCompleted) error {
	n, err := tx.Refund.Update().Where(refund.ID(p.RefundID), openRefund).SetStatus(refund.StatusREFUNDED).SetUpdatedAt(p.At).Save(ctx)
	if err != nil {
		return err
	}
	asked := p.AmountMinor
	if n == 0 {
		asked = 0
		lines, err := tx.RefundLine.Query().Where(refundline.RefundID(p.RefundID)).Exist(ctx)
		if err != nil {
			return err
		}
		paid := tx.Order.Update().Where(order.ID(p.OrderID), order.StatusEQ(order.StatusPAID)).SetUpdatedAt(p.At)
		if !lines { // it binds the order again, if that was not cancelled meanwhile
			paid.AddRefundCount(1)
		}
		if n, err := paid.Save(ctx); err != nil || n == 0 {
			return cmp.Or[error](err, errOrderAdvanced)
		}
		n, err = tx.Refund.Update().Where(refund.ID(p.RefundID), refund.StatusEQ(refund.StatusFAILED), refund.FailureReasonNEQ(failedLater)).
			SetStatus(refund.StatusREFUNDED).SetFailureReason("").SetUpdatedAt(p.At).Save(ctx)
		if err != nil || n == 0 {
			return cmp.Or[error](err, errOrderAdvanced)
		}
	}
	room := predicate.Payment(func(s *sql.Selector) {
		s.Where(sql.P(func(b *sql.Builder) {
			b.Ident(payment.FieldRefundingMinor).WriteString(" + ").Ident(payment.FieldRefundedMinor).WriteString(" + ").Arg(p.AmountMinor - asked)
			b.WriteString(" <= ").Ident(payment.FieldAmountMinor)
		}))
	})
	n, err = tx.Payment.Update().Where(payment.OrderID(p.OrderID), room).
		AddRefundingMinor(-asked).AddRefundedMinor(p.AmountMinor).SetUpdatedAt(p.At).Save(ctx)
	if err != nil || n == 0 {
		return cmp.Or[error](err, errOrderAdvanced) // another refund has the amount: the books show the difference
	}
	if err := refundDone(ctx, tx, p.RefundID); err != nil {
		return err
	}
	all := predicate.Payment(func(s *sql.Selector) { s.Where(sql.ColumnsEQ(payment.FieldRefundedMinor, payment.FieldAmountMinor)) })
	n, err = tx.Payment.Update().Where(payment.OrderID(p.OrderID), payment.StatusEQ(payment.StatusCAPTURED), all).
		SetStatus(payment.StatusREFUNDED).Save(ctx)
	if err != nil || n == 0 || p.Method != payment.MethodCARD.String() {
		return err
	}
	made, err := tx.Payment.Query().Where(payment.OrderID(p.OrderID)).Only(ctx)
	if err != nil || made.AttemptID == nil {
		return err
	}
	_, err = moveAttempt(ctx, tx, *made.AttemptID, p.At, payments.Answer{Reason: p.Reason}, payments.OnRefunded)
	return err
}

// writeOrderReturned notes that the units of a refund are in stock again.
func writeOrderReturned(ctx context.Context, tx *ent.Tx, p orderReturned) error {
	n, err := tx.Refund.Update().Where(refund.ID(p.RefundID), refund.Restock(true), refund.RestockedAtIsNil()).
		SetRestockedAt(p.At).SetUpdatedAt(p.At).Save(ctx)
	if err != nil || n == 0 {
		return cmp.Or[error](err, errOrderAdvanced)
	}
	return refundDone(ctx, tx, p.RefundID)
}

// failedLater is the failure reason of a refund that the gateway had made, and that has failed since. It is not made after all: its key is used up.
const failedLater = "the refund has failed at the payment gateway"

// refundFails notes that a refund has failed later, of which a message tells, if the gateway says so too. Its amount may be refunded anew. It does so
// once: the step has one ID, however many messages tell of it. It returns whether it was this call.
func (s *Orders) refundFails(ctx context.Context, gateway string, n payments.Notification) (bool, error) {
	f, err := orNil(withParts(s.Client.Refund.Query().Where(refund.ID(n.FailedRefund))).Only(ctx))
	if err != nil {
		return false, translate(err, lockprovider.Receipt{})
	}
	if f == nil || f.Status == refund.StatusFAILED && f.FailureReason == failedLater || f.AttemptID == nil {
		return false, nil // what was given back of an order that has ended is found by the job paymentDrift
	}
	a, err := orNil(s.Client.PaymentAttempt.Query().Where(paymentattempt.ID(*f.AttemptID), paymentattempt.Gateway(gateway)).Only(ctx))
	if err != nil || a == nil {
		return false, translate(err, lockprovider.Receipt{})
	}
	bounded, cancel := context.WithTimeout(ctx, s.Payment.Timeout)
	defer cancel()
	moved, err := s.Gateway.Movements(bounded, payments.Ref{Attempt: a.ID, Reference: a.Reference})
	if err != nil {
		return false, gatewayAway(err)
	}
	for _, m := range moved {
		if m.Refund == f.ID {
			return false, nil // it was made once more
		}
	}
	_, err = s.Ledger.Apply(ctx, lockprovider.Change{
		ID: stepID(f.ID, "failed"), Family: lockprovider.Stock, Confirm: true,
		Record: lockprovider.Record{
			Kind: KindRefundFailed, Fingerprint: f.ID,
			Payload: mustJSON(refundCompleted{
				RefundID: f.ID, OrderID: f.OrderID, UserID: f.Edges.Order.UserID, Method: f.Method.String(), AmountMinor: f.AmountMinor, Currency: f.Currency,
				Reason: failedLater, At: s.now(),
			}),
		},
	})
	err = doneOtherwise(translate(err, lockprovider.Receipt{}))
	if !errors.Is(err, errOrderAdvanced) {
		return err == nil, err
	}
	now, err := s.Client.Refund.Get(ctx, f.ID)
	if err != nil {
		return false, translate(err, lockprovider.Receipt{})
	}
	if now.Status != refund.StatusFAILED { // or what the message tells would be lost: no other one tells it
		return false, &Error{Code: Unavailable, Message: "the refund changes while it fails", Retryable: true, RetryAfter: retryLater}
	}
	return false, nil
}

// writeRefundFailed notes that a refund has failed later, whether it was noted to be made or not. The payment is captured again.
func writeRefundFailed(ctx context.Context, tx *ent.Tx, p refundCompleted) error {
	lines, err := tx.RefundLine.Query().Where(refundline.RefundID(p.RefundID)).Exist(ctx)
	if err != nil {
		return err
	}
	row := tx.Order.Update().Where(order.ID(p.OrderID)).SetUpdatedAt(p.At) // the order comes first, as everywhere
	if !lines {
		row.AddRefundCount(-1)
	}
	if err := row.Exec(ctx); err != nil {
		return err
	}
	// This changes nothing. It waits for a transaction that notes at the same time that the refund was made: what is read below is not what was before it.
	if err := tx.Refund.Update().Where(refund.ID(p.RefundID)).AddLooks(0).Exec(ctx); err != nil {
		return err
	}
	pay := tx.Payment.Update().Where(payment.OrderID(p.OrderID)).SetUpdatedAt(p.At)
	noted, err := tx.Refund.Update().Where(refund.ID(p.RefundID), refund.StatusEQ(refund.StatusREFUNDED)).
		SetStatus(refund.StatusFAILED).SetFailureReason(failedLater).SetUpdatedAt(p.At).Save(ctx)
	if err != nil {
		return err
	}
	if noted > 0 {
		pay.AddRefundedMinor(-p.AmountMinor)
	} else {
		open, err := tx.Refund.Update().Where(refund.ID(p.RefundID), openRefund).
			SetStatus(refund.StatusFAILED).SetFailureReason(failedLater).SetUpdatedAt(p.At).Save(ctx)
		if err != nil || open == 0 {
			return cmp.Or[error](err, errOrderAdvanced)
		}
		pay.AddRefundingMinor(-p.AmountMinor)
	}
	if err := pay.Exec(ctx); err != nil {
		return err
	}
	if err := refundDone(ctx, tx, p.RefundID); err != nil {
		return err
	}
	if err := tx.Payment.Update().Where(payment.OrderID(p.OrderID), payment.StatusEQ(payment.StatusREFUNDED)).
		SetStatus(payment.StatusCAPTURED).Exec(ctx); err != nil {
		return err
	}
	f, err := tx.Refund.Get(ctx, p.RefundID)
	if err != nil || f.AttemptID == nil {
		return err
	}
	_, err = moveAttempt(ctx, tx, *f.AttemptID, p.At, payments.Answer{}, payments.OnRefundFailed)
	return err
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

// Sweep completes refunds that nobody goes on with, because a crash or a lost answer has cut them off. It takes at most limit of those that
// have waited for longest, for longer than idle and than any call of the gateway takes. It returns how many are complete or have failed now, and how
// many are due again after a pause. The error is that of a store, or the end of ctx. Calls may overlap, on any number of instances.
func (s *Refunds) Sweep(ctx context.Context, idle time.Duration, limit int) (done, postponed int, err error) {
	rows, err := withParts(s.Client.Refund.Query().Where(refund.LookAtLTE(s.now().Add(-max(idle, s.callsEnd()))))).
		Order(refund.ByLookAt(), refund.ByID()).Limit(limit).All(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("find refunds to complete: %w", err)
	}
	if len(rows) > 0 { // or a refund may be made at the gateway that is lost with this server
		if err := s.Ledger.Replicated(ctx); err != nil {
			return 0, 0, fmt.Errorf("refunds to complete: %w", err)
		}
	}
	return inParallel(ctx, rows, s.look, func(f *ent.Refund) string { return "refund " + f.ID })
}

// look completes a refund, or notes when to try again.
func (s *Refunds) look(ctx context.Context, f *ent.Refund) (done bool, err error) {
	money, goods := s.carryOut(ctx, f)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	now, gerr := s.Client.Refund.Get(ctx, f.ID)
	switch {
	case gerr != nil:
		return false, gerr
	case now.LookAt == nil:
		return true, nil
	case hasCode(money, PaymentDeclined): // which is no work of the job any more
		money = nil
	}
	err = cmp.Or[error](money, goods, errStillOwed)
	looks, away := f.Looks, isStoreAway(err)
	if !away {
		looks++
	}
	perr := s.Client.Refund.Update().
		Where(refund.ID(f.ID), refund.LookAt(*now.LookAt), refund.Looks(f.Looks)). // else another instance has looked as well
		SetLooks(looks).SetLastError(lastError(err)).
		SetLookAt(s.now().Add(lock.Jitter(pauseAfter(looks)).Truncate(time.Microsecond))).Exec(ctx)
	if away {
		return false, errors.Join(err, perr)
	}
	return false, perr
}

// CountStuck returns how many refunds there are that [Refunds.Sweep] has failed to complete several times.
func (s *Refunds) CountStuck(ctx context.Context) (int, error) {
	return s.Client.Refund.Query().Where(refund.LookAtNotNil(), refund.LooksGTE(failedAttempts)).Count(ctx)
}
