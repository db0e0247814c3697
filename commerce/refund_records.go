package commerce

import (
	"cmp"
	"context"
	"errors"

	"entgo.io/ent/dialect/sql"

	"holdfast/ent"
	"holdfast/ent/order"
	"holdfast/ent/payment"
	"holdfast/ent/paymentattempt"
	"holdfast/ent/predicate"
	"holdfast/ent/refund"
	"holdfast/ent/refundline"
	"holdfast/lockprovider"
	"holdfast/payments"
)

// refundDone notes that nobody has to look after a refund any more, if both of its steps are done.
func refundDone(ctx context.Context, tx *ent.Tx, id string) error {
	return tx.Refund.Update().
		Where(refund.ID(id), refund.Not(openRefund), refund.FailureReasonNEQ(madeAfterAll), refund.Or(refund.Restock(false), refund.RestockedAtNotNil())).
		ClearLookAt().SetLooks(0).SetLastError("").Exec(ctx)
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
