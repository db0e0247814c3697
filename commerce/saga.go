package commerce

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/google/uuid"

	"holdfast/ent"
	"holdfast/ent/order"
	"holdfast/ent/payment"
	"holdfast/ent/paymentattempt"
	"holdfast/ent/schema"
	"holdfast/lockprovider"
	"holdfast/payments"
)

// An order is a saga over families of balances:
//
//	stock reserved (PENDING) → coupon spent → payment taken (PAID)
//	                         ↘ a step refused → stock released (FAILED) → coupon and payment given back (settled)
//
// Each step is one change whose ID is derived from the order. So nothing happens twice if the client, another instance, or a
// job after a crash repeats the step. Each transition is conditional on the order's status, in the transaction that moves
// the balance. So of payment, cancellation and expiry only one happens. No lock is held from one step to the next, nor
// during a call of the payment gateway.

// proceed does the steps of an order that are still to be done. It is called after the stock was reserved, and again by every
// repeat. request is the fingerprint of the request that pays.
func (s *Orders) proceed(ctx context.Context, orderID string, pay *Payment, request string, meta Meta) (OrderResult, error) {
	row, err := s.load(ctx, orderID)
	if err != nil {
		return OrderResult{Meta: meta}, err
	}
	var refused *stepRefused
	advanced := row.Status != order.StatusPENDING
	if row.Status == order.StatusPENDING {
		err = s.complete(ctx, row, pay, request, &meta)
		if errors.As(err, &refused) {
			err = errOrderAdvanced // unless this request ends it
			if !refused.stays {
				_, err = s.end(ctx, row, ending{
					status: order.StatusFAILED, code: refused.why.Code, reason: refused.why.Message, fingerprint: row.ID,
				})
			}
		}
		advanced = errors.Is(err, errOrderAdvanced)
		if err = ignoreAdvanced(err); errors.Is(err, errAction) {
			err = nil // the order waits for its customer; its attempt says for what
		}
	}
	var owed error
	if err == nil {
		owed = s.giveBack(ctx, orderID)
	}
	row, lerr := s.load(ctx, orderID)
	if lerr != nil {
		return OrderResult{Meta: meta}, unshown(cmp.Or(err, owed), lerr)
	}
	if err == nil && row.Status != order.StatusPAID { // what is owed of a paid order is not the customer's: the job does it
		err = owedToCustomer(owed)
	}
	switch {
	case err != nil:
	case refused != nil && (row.Status == order.StatusPENDING || row.Status == order.StatusFAILED):
		err = refused.why // with its details
	case row.Status == order.StatusFAILED:
		err = &Error{Code: Code(row.FailureCode), Message: row.FailureReason, Field: failureField(row.FailureCode)}
	}
	return OrderResult{Order: row, Meta: meta, Persistence: Persisted, advanced: advanced}, err
}

// unshown is the error of an operation whose order cannot be read. A step may have been done: the step that was not must not speak
// for all, as a LOCK_TIMEOUT would.
func unshown(step, load error) error {
	if step == nil {
		return load
	}
	return fmt.Errorf("%w; before that: %v", load, step) //nolint:errorlint // see above
}

// ignoreAdvanced drops the error of a step that came after another one: the order's status tells the result.
func ignoreAdvanced(err error) error {
	if errors.Is(err, errOrderAdvanced) {
		return nil
	}
	return err
}

func failureField(code string) []string {
	if Code(code) == CouponNotValid {
		return input("couponIssueId")
	}
	return input("payment")
}

// stepRefused is the refusal of a step for good: the order has failed, unless it stays PENDING because it may be paid otherwise.
type stepRefused struct {
	why   *Error
	stays bool
}

func (r *stepRefused) Error() string { return r.why.Error() }

// complete spends the coupon and takes the payment of a pending order.
func (s *Orders) complete(ctx context.Context, row *ent.Order, pay *Payment, request string, meta *Meta) error {
	if row.CouponIssueID != nil && !row.CouponSpent {
		if err := s.spendCoupon(ctx, row, meta); err != nil {
			return err
		}
	}
	switch {
	case row.TotalMinor == 0: // a discount may cover everything
		return s.recordPaid(ctx, row, stepID(row.ID, "payment"),
			paymentMade{Method: payment.MethodPOINTS.String(), Currency: row.Currency}, request)
	case pay != nil && pay.begun:
		return s.finishTold(ctx, row)
	case row.Edges.Payment != nil && (pay == nil || pay.Method == payment.MethodCARD || request == row.ID):
		// Authorized before: finish that payment, even if the order was to be paid otherwise when it was placed.
		return s.payByCard(ctx, row, deref(pay), request)
	case pay == nil:
		return nil // stays PENDING until it is paid or expires
	}
	if err := s.checkTaken(pay.Method); err != nil {
		return err // the shop took it when the order was placed; the order may still be paid otherwise
	}
	if pay.Method == payment.MethodCARD {
		return s.payByCard(ctx, row, *pay, request)
	}
	open, err := s.hasOpenAttempt(ctx, row.ID)
	if err == nil && !open {
		if err = s.payByBalance(ctx, row, *pay, request, meta); !errors.Is(err, errOrderAdvanced) {
			return err
		}
		open, err = s.hasOpenAttempt(ctx, row.ID) // since then
	}
	switch {
	case err != nil:
		return err
	case open:
		return underWay()
	}
	return errOrderAdvanced
}

func (s *Orders) spendCoupon(ctx context.Context, row *ent.Order, meta *Meta) error {
	err := s.step(ctx, meta, lockprovider.Change{
		ID: stepID(row.ID, "coupon"), Family: lockprovider.Coupons,
		Moves: []lockprovider.Move{{
			Balance: lockprovider.CouponUseKey(*row.CouponIssueID), Delta: 1, Open: &lockprovider.Bounds{Ceiling: 1},
		}},
		Record: lockprovider.Record{
			Kind: KindCouponSpent, Fingerprint: row.ID,
			Payload: mustJSON(couponUsed{IssueID: *row.CouponIssueID, OrderID: row.ID, UserID: row.UserID, At: s.now()}),
		},
	})
	if errors.Is(err, lockprovider.ErrLimit) {
		return &stepRefused{why: &Error{Code: CouponNotValid, Field: input("couponIssueId"), Message: "this coupon has been used"}}
	}
	return err
}

// payByBalance takes points or money of an account, and marks the order paid, in one change.
func (s *Orders) payByBalance(ctx context.Context, row *ent.Order, pay Payment, request string, meta *Meta) error {
	made := paymentMade{
		Method: pay.Method.String(), AmountMinor: row.TotalMinor, Currency: row.Currency, AccountID: pay.AccountID,
	}
	family, move := s.paymentMove(row.UserID, made, -row.TotalMinor)
	err := s.step(ctx, meta, lockprovider.Change{
		ID: stepID(row.ID, "payment"), Family: family, Moves: []lockprovider.Move{move},
		Record: lockprovider.Record{
			Kind: KindOrderPaid, Fingerprint: request,
			Payload: mustJSON(orderPaid{OrderID: row.ID, UserID: row.UserID, Payment: made, At: s.now()}),
		},
	})
	var refused *lockprovider.Refused
	if errors.As(err, &refused) {
		r := refused.Refusals[0]
		why := insufficientFunds(r, input("payment"), "the wallet or account")
		why.Retryable = false // the order fails
		return &stepRefused{why: why}
	}
	return err
}

// doneOtherwise returns errOrderAdvanced if another request has done the step, or one so long ago that nobody knows which.
func doneOtherwise(err error) error {
	if hasCode(err, IdempotencyMismatch) || hasCode(err, IdempotencyExpired) {
		return errOrderAdvanced
	}
	return err
}

// paymentMove is the move of the balance that a payment is made from.
func (s *Orders) paymentMove(userID string, made paymentMade, delta int64) (lockprovider.Family, lockprovider.Move) {
	if made.Method == payment.MethodPOINTS.String() {
		open := unbounded(0)
		return lockprovider.Points, lockprovider.Move{Balance: lockprovider.PointsKey(userID), Delta: delta, Open: &open}
	}
	return lockprovider.Accounts, lockprovider.Move{Balance: lockprovider.AccountKey(made.AccountID), Delta: delta}
}

// recordPaid marks an order paid whose payment moves no balance.
func (s *Orders) recordPaid(ctx context.Context, row *ent.Order, id uuid.UUID, made paymentMade, request string) error {
	_, err := s.Ledger.Apply(ctx, lockprovider.Change{
		ID: id, Family: lockprovider.Stock,
		Record: lockprovider.Record{
			Kind: KindOrderPaid, Fingerprint: request,
			Payload: mustJSON(orderPaid{OrderID: row.ID, UserID: row.UserID, Payment: made, At: s.now()}),
		},
	})
	return doneOtherwise(translate(err, lockprovider.Receipt{}))
}

// errOtherGateway means that a payment was made by a gateway that is not the configured one. No other gateway knows the payment, and what
// another one would answer is not true of it.
var errOtherGateway = errors.New("the payment was made by another payment gateway")

// callGateway makes one call of the payment gateway about an attempt, and bounds it. The error is errOtherGateway, and nobody is asked, if
// the attempt was made by another gateway.
func (c *core) callGateway(
	ctx context.Context, a *ent.PaymentAttempt, call func(ctx context.Context) (payments.Answer, error),
) (payments.Answer, error) {
	if a.Gateway != c.Payment.Gateway {
		return payments.Answer{}, &otherGateway{a.Gateway}
	}
	ctx, cancel := context.WithTimeout(ctx, c.Payment.Timeout)
	defer cancel()
	return call(ctx)
}

// errGateway marks what went wrong at the payment gateway, whose connection fails with the same errors as that of a store.
var errGateway = errors.New("payment gateway")

// otherGateway is errOtherGateway with the name of the gateway.
type otherGateway struct{ name string }

func (e *otherGateway) Error() string { return fmt.Sprintf("%v: %s", errOtherGateway, e.name) }
func (e *otherGateway) Unwrap() error { return errOtherGateway }

func gatewayAway(err error) *Error {
	if other := (*otherGateway)(nil); errors.As(err, &other) {
		return &Error{ // without a time to repeat it: the configuration must change first
			Code: Unavailable, Field: input("payment"), Retryable: true,
			Message: fmt.Sprintf("this payment was made by the gateway %s, which the shop does not use any more; ask the shop", other.name),
			cause:   fmt.Errorf("%w: %w", errGateway, err),
		}
	}
	return &Error{
		Code: Unavailable, Field: input("payment"), Retryable: true, RetryAfter: retryLater,
		Message: "the payment gateway did not answer; try again with the same key",
		cause:   fmt.Errorf("%w: %w", errGateway, err),
	}
}

// ending is how an order ends that is not fulfilled.
type ending struct {
	status      order.Status // FAILED, CANCELLED or EXPIRED
	code        Code
	reason      string
	fingerprint string
}

// end gives the stock back and ends the order, in one change. An order has one such change, whoever makes it.
func (s *Orders) end(ctx context.Context, row *ent.Order, e ending) (lockprovider.Receipt, error) {
	p := orderEnded{
		OrderID: row.ID, UserID: row.UserID, Status: e.status.String(), Code: string(e.code),
		Reason: Truncate(e.reason, schema.MaxReason), At: s.now(),
	}
	var moves []lockprovider.Move
	for _, l := range row.Edges.Lines {
		p.Lines = append(p.Lines, orderLine{ProductID: l.ProductID, VariantID: l.VariantID, Title: l.VariantTitle, Quantity: l.Quantity, UnitPriceMinor: l.UnitPriceMinor})
		moves = append(moves, lockprovider.Move{Balance: lockprovider.StockKey(l.VariantID), Delta: l.Quantity})
		if l.LimitBalance != nil {
			moves = append(moves, lockprovider.Move{Balance: *l.LimitBalance, Delta: -l.Quantity})
		}
	}
	receipt, err := s.execute(ctx, lockprovider.Change{
		ID: stepID(row.ID, "end"), Family: lockprovider.Stock, Moves: moves, Confirm: true,
		Record: lockprovider.Record{Kind: KindOrderEnded, Payload: mustJSON(p), Fingerprint: e.fingerprint},
	})
	return receipt, doneOtherwise(err)
}

// giveBack returns the coupon and the payment of an order that has ended, and settles the order. An order that is paid or has ended does
// not count as waiting any more. It does nothing if the order is pending or settled. The error is [errStillCounted] if all was given back.
func (s *Orders) giveBack(ctx context.Context, orderID string) error {
	row, err := s.load(ctx, orderID)
	if err != nil {
		return err
	}
	if row.Settled || row.Status == order.StatusPENDING {
		return nil
	}
	var counted error
	if row.Counted {
		if err := s.release(ctx, row); err != nil {
			counted = fmt.Errorf("%w: %w", errStillCounted, err)
		}
	}
	if row.Status == order.StatusPAID {
		return counted
	}
	if row.CouponSpent {
		if err := s.returnCoupon(ctx, row); err != nil {
			return err
		}
	}
	if err := s.endAttempts(ctx, row); err != nil {
		return err
	}
	if made := row.Edges.Payment; made != nil {
		if err := s.refund(ctx, row, made); err != nil {
			return err
		}
	}
	err = s.Client.Order.Update().
		Where(order.ID(row.ID), order.CouponSpent(false), order.Counted(false), order.Not(order.HasPaymentAttemptsWith(owed))).
		SetSettled(true).SetUpdatedAt(s.now()).Exec(ctx)
	return cmp.Or(err, counted)
}

// errStillCounted means that an order could not be taken off those that wait for payment.
var errStillCounted = errors.New("the order still counts as one that waits for payment")

// owedToCustomer is the error of giveBack for the customer of an order that has ended. That it still counts as waiting is not the customer's
// affair: the job goes on. An error that says that nothing was done would be untrue.
func owedToCustomer(err error) error {
	var refused *lockprovider.Refused
	switch {
	case err == nil, errors.Is(err, errStillCounted):
		return nil
	case hasCode(err, LockTimeout), hasCode(err, LockLost), errors.As(err, &refused):
		return &Error{
			Code: Unavailable, Retryable: true, RetryAfter: retryLater, cause: err,
			Message: "the order has ended, and not all is given back yet: repeat it with the same key to learn what became of it; the shop goes on by itself",
		}
	}
	return err
}

// owed are the attempts that the gateway has not ended yet.
var owed = paymentattempt.StatusNotIn(
	paymentattempt.StatusDECLINED, paymentattempt.StatusVOIDED, paymentattempt.StatusREFUNDED)

// OwesAttempt reports whether an attempt to pay an order is not ended, or holds money. If the order
// has ended, that is given back.
func (s *Orders) OwesAttempt(ctx context.Context, orderID string) (bool, error) {
	return s.Client.PaymentAttempt.Query().Where(paymentattempt.OrderID(orderID), owed).Exist(ctx)
}

func (s *Orders) returnCoupon(ctx context.Context, row *ent.Order) error {
	return ignoreAdvanced(s.step(ctx, nil, lockprovider.Change{
		ID: stepID(row.ID, "coupon-return"), Family: lockprovider.Coupons,
		Moves: []lockprovider.Move{{Balance: lockprovider.CouponUseKey(*row.CouponIssueID), Delta: -1}},
		Record: lockprovider.Record{
			Kind: KindCouponReturned, Fingerprint: row.ID,
			Payload: mustJSON(couponUsed{IssueID: *row.CouponIssueID, OrderID: row.ID, UserID: row.UserID, At: s.now()}),
		},
	}))
}

// refund notes that a payment is given back. What was paid by points or from an account is given back by that; what was paid by card
// has been.
func (s *Orders) refund(ctx context.Context, row *ent.Order, made *ent.Payment) error {
	if made.Status == payment.StatusREFUNDED || made.Status == payment.StatusDECLINED {
		return nil
	}
	if made.Status == payment.StatusAUTHORIZED { // never captured: nothing to journal
		return s.Client.Payment.Update().Where(payment.ID(made.ID), payment.StatusEQ(payment.StatusAUTHORIZED)).
			SetStatus(payment.StatusDECLINED).SetFailureReason(row.FailureReason).SetUpdatedAt(s.now()).Exec(ctx)
	}
	change := lockprovider.Change{
		ID: stepID(row.ID, "refund"), Family: lockprovider.Stock,
		Record: lockprovider.Record{
			Kind: KindOrderRefunded, Fingerprint: row.ID,
			Payload: mustJSON(orderRefunded{OrderID: row.ID, UserID: row.UserID, At: s.now()}),
		},
	}
	if made.Method == payment.MethodCARD || made.AmountMinor == 0 {
		_, err := s.Ledger.Apply(ctx, change)
		return ignoreAdvanced(translate(err, lockprovider.Receipt{}))
	}
	var move lockprovider.Move
	change.Family, move = s.paymentMove(row.UserID, paymentMade{
		Method: made.Method.String(), AccountID: deref(made.AccountID),
	}, made.AmountMinor)
	change.Moves = []lockprovider.Move{move}
	return ignoreAdvanced(s.step(ctx, nil, change))
}

// step executes a change of the saga and adds what it cost to the operation's meta.
func (s *Orders) step(ctx context.Context, meta *Meta, change lockprovider.Change) error {
	change.Confirm = true // the next step, and the order's status, are read from the database
	receipt, err := s.execute(ctx, change)
	if meta != nil {
		meta.Waited += receipt.Waited
		meta.Attempts = max(meta.Attempts, receipt.Attempts)
		if meta.Positions == nil {
			meta.Positions = receipt.Positions
		} else {
			maps.Copy(meta.Positions, receipt.Positions)
		}
	}
	return doneOtherwise(err)
}

func paymentID(orderID string) string { return prefixPayment + orderID[len(prefixOrder):] }

func deref[T any](p *T) (value T) {
	if p == nil {
		return value
	}
	return *p
}
