package commerce

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/ent"
	"holdfast/ent/order"
	"holdfast/ent/payment"
	"holdfast/ent/refund"
	"holdfast/ent/schema"
	"holdfast/lockprovider"
	"holdfast/lockprovider/lock"
	"holdfast/payments"
)

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
		p.Lines = append(p.Lines, returnedLine{ProductID: l.ProductID, VariantID: l.VariantID, Quantity: l.Quantity})
		moves = append(moves, lockprovider.Move{Balance: lockprovider.StockKey(l.VariantID), Delta: l.Quantity})
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
