package commerce

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"

	"holdfast/ent"
	"holdfast/ent/order"
	"holdfast/ent/paymentattempt"
	"holdfast/ent/predicate"
	"holdfast/ent/refund"
	"holdfast/ent/schema"
	"holdfast/ent/webhookevent"
	"holdfast/lockprovider"
	"holdfast/payments"
)

// A gateway tells by messages what becomes of payments: late, several times, in any order, or never. What a message tells is an event of the
// attempts' table, as the answer of a look-up is. The message is recorded in the transaction of its effect, so that its repeats have
// none. Nobody waits for the steps that follow: the order is due at once, and the job takes it to its end.

// WebhookOutcome is what a message of the gateway has done.
type WebhookOutcome string

// The outcomes of a message.
const (
	WebhookApplied   WebhookOutcome = "applied"   // a payment attempt has moved
	WebhookUnchanged WebhookOutcome = "unchanged" // the shop knew it, or knew more, or the message is about something else
	WebhookDuplicate WebhookOutcome = "duplicate" // the message was received before
	WebhookUnknown   WebhookOutcome = "unknown"   // the shop has no such payment attempt
)

var (
	// ErrNoWebhook means that the shop does not take messages of this gateway.
	ErrNoWebhook = errors.New("no such webhook")
	// ErrBadWebhook means that a message is not to be trusted, or cannot be read.
	ErrBadWebhook = errors.New("not a message of the gateway")
)

// ReceiveWebhook takes a message that claims to be of a gateway. body is as it came.
//
// The errors are ErrNoWebhook, ErrBadWebhook, and those of the database and of a look-up: then the message has done nothing, and the
// gateway has to repeat it. They quote nothing of the message.
func (s *Orders) ReceiveWebhook(ctx context.Context, gateway string, header http.Header, body []byte) (WebhookOutcome, error) {
	if gateway != s.Payment.Gateway || gateway == GatewayNone {
		return "", ErrNoWebhook
	}
	list, err := s.Gateway.ParseWebhook(header, body, s.now())
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return "", ErrNoWebhook
	case err != nil:
		return "", fmt.Errorf("%w: %w", ErrBadWebhook, err)
	case len(list) == 0:
		return WebhookUnchanged, nil
	case list[0].ID == "" || len(list[0].ID) > schema.MaxWebhookID:
		return "", fmt.Errorf("%w: its ID is empty, or has more than %d bytes", ErrBadWebhook, schema.MaxWebhookID)
	}
	id := gateway + ":" + list[0].ID
	looked, err := s.confirmEnds(ctx, gateway, list)
	if err != nil {
		return "", err
	}
	failed := false
	for _, n := range list {
		if n.FailedRefund == "" {
			continue
		}
		now, err := s.refundFails(ctx, gateway, n)
		if err != nil {
			return "", err
		}
		failed = failed || now
	}
	var outcome WebhookOutcome
	err = s.inTx(ctx, func(tx *ent.Tx) error {
		outcome = WebhookUnchanged
		if failed {
			outcome = WebhookApplied
		}
		if err := tx.WebhookEvent.Create().SetID(id).SetReceivedAt(s.now()).Exec(ctx); err != nil {
			return err
		}
		for i, n := range list {
			if n.FailedRefund != "" {
				continue
			}
			effect, err := s.heed(ctx, tx, gateway, n, looked[i])
			if err != nil {
				return err
			}
			if outcome != WebhookApplied && effect != WebhookUnchanged {
				outcome = effect
			}
		}
		return nil
	})
	if err == nil {
		return outcome, nil
	}
	received, rerr := s.Client.WebhookEvent.Query().Where(webhookevent.ID(id)).Exist(ctx)
	if rerr != nil || !received {
		return "", errors.Join(err, rerr)
	}
	return WebhookDuplicate, nil
}

// confirmEnds replaces what a message tells of payments that it takes to be over, and the shop does not, by what a look-up tells. It returns which of
// the notifications were looked up.
func (s *Orders) confirmEnds(ctx context.Context, gateway string, list []payments.Notification) (looked map[int]bool, err error) {
	looked = map[int]bool{}
	for i, n := range list {
		if n.FailedRefund != "" {
			continue
		}
		if n.Answer.State == payments.StateRefunded {
			// A refund that has failed since may be told of late.
			failed, err := hasFailedLater(s.Client.Refund.Query(), n.Attempt).Exist(ctx)
			if err != nil {
				return looked, translate(err, lockprovider.Receipt{})
			}
			a, err := orNil(s.Client.PaymentAttempt.Query().Where(paymentattempt.ID(n.Attempt), paymentattempt.Gateway(gateway)).Only(ctx))
			if err != nil {
				return looked, translate(err, lockprovider.Receipt{})
			}
			if !failed || a == nil {
				continue
			}
			ref := payments.Ref{Attempt: a.ID, Reference: a.Reference}
			looked[i] = true
			if list[i].Answer, err = s.callGateway(ctx, a, func(ctx context.Context) (payments.Answer, error) { return s.Gateway.Lookup(ctx, ref) }); err != nil {
				return looked, gatewayAway(err)
			}
			continue
		}
		if n.Answer.State != payments.StateDeclined && n.Answer.State != payments.StateVoided {
			continue
		}
		a, err := s.Client.PaymentAttempt.Query().Where(paymentattempt.ID(n.Attempt), paymentattempt.Gateway(gateway)).Only(ctx)
		if ent.IsNotFound(err) || err == nil && !payments.Status(a.Status).Pays() {
			continue
		}
		if err != nil {
			return looked, translate(err, lockprovider.Receipt{})
		}
		ref := payments.Ref{Attempt: a.ID, Reference: cmp.Or(a.Reference, n.Answer.Reference)}
		looked[i] = true
		list[i].Answer, err = s.callGateway(ctx, a, func(ctx context.Context) (payments.Answer, error) { return s.Gateway.Lookup(ctx, ref) })
		if err != nil {
			return looked, gatewayAway(err)
		}
	}
	return looked, nil
}

// hasFailedLater selects the refunds of an attempt that were made, and have failed since.
func hasFailedLater(q *ent.RefundQuery, attempt string) *ent.RefundQuery {
	return q.Where(refund.AttemptID(attempt), refund.FailureReason(failedLater))
}

// noneHasFailed returns an error if a refund of an attempt has failed since a message that tells that all was given back was compared with the shop: the
// message may be older. When it is repeated, the gateway is asked.
func noneHasFailed(ctx context.Context, tx *ent.Tx, a *ent.PaymentAttempt) error {
	if a.OrderID == nil {
		return nil
	}
	// This changes nothing. It waits for a transaction that notes such a failure, which has the row of the order.
	if err := tx.Order.Update().Where(order.ID(*a.OrderID)).AddRefundCount(0).Exec(ctx); err != nil {
		return err
	}
	failed, err := hasFailedLater(tx.Refund.Query(), a.ID).Exist(ctx)
	if err == nil && failed {
		err = &Error{
			Code: Unavailable, Retryable: true, RetryAfter: retrySoon,
			Message: "a refund of this payment has failed while the message was read; its repeat is compared with the payment gateway",
		}
	}
	return err
}

// endsByTheJob reports whether a message about an attempt only has the job look at it: the shop is ending it already, and whoever asks the
// gateway for that records and tells what was given back. A message that took the attempt to its end would leave that out.
func endsByTheJob(status payments.Status, told payments.State) bool {
	switch told {
	case payments.StateRefunded, payments.StateVoided, payments.StateDeclined:
		return status == payments.Voiding || status == payments.Refunding
	}
	return false
}

// heed makes the effect of one notification. If it moves an attempt whose order is not settled, the order is due now. That the gateway does
// not know an attempt, or has not decided on it, moves none: the call that makes it may be on its way. looked tells that the answer is that of a look-up.
func (s *Orders) heed(ctx context.Context, tx *ent.Tx, gateway string, n payments.Notification, looked bool) (WebhookOutcome, error) {
	before, err := tx.PaymentAttempt.Query().Where(paymentattempt.ID(n.Attempt), paymentattempt.Gateway(gateway)).Only(ctx)
	if ent.IsNotFound(err) {
		return WebhookUnknown, nil
	}
	if err != nil {
		return "", err
	}
	if n.Answer.State == payments.StateNotFound || n.Answer.State == payments.StatePending {
		return WebhookUnchanged, nil
	}
	if payments.Status(before.Status).Pays() && wrongAmount(before, n.Answer) != nil {
		return WebhookUnchanged, nil //nolint:nilerr // whoever looks it up notes why it is not ended
	}
	if n.Answer.State == payments.StateRefunded && !looked {
		if err := noneHasFailed(ctx, tx, before); err != nil {
			return "", err
		}
	}
	event, now := payments.Event(n.Answer.State), s.now()
	wake := func() error {
		if before.OrderID == nil { // points are added by the job that sweeps attempts
			return nil
		}
		return tx.Order.Update().Where(order.ID(*before.OrderID), order.Settled(false)).SetNextAttemptAt(now).Exec(ctx)
	}
	_, moves := payments.Next(payments.Status(before.Status), event)
	if moves { // the order is written before its attempt, as everywhere
		if err := wake(); err != nil {
			return "", err
		}
	}
	if endsByTheJob(payments.Status(before.Status), n.Answer.State) {
		return WebhookUnchanged, tx.PaymentAttempt.Update().Where(paymentattempt.ID(n.Attempt), paymentattempt.LookAtNotNil()).
			SetLookAt(before.CreatedAt).Exec(ctx) // which is long ago enough
	}
	fits := func(from payments.Status) bool { return !endsByTheJob(from, n.Answer.State) } // it may have changed since
	after, err := moveAttemptFrom(ctx, tx, n.Attempt, now, fits, n.Answer, event)
	if err != nil {
		return "", err
	}
	if after.Status == before.Status {
		return WebhookUnchanged, nil
	}
	if !moves { // it has changed in between
		if err := wake(); err != nil {
			return "", err
		}
	}
	return WebhookApplied, nil
}

// holdsMoney are the statuses of an attempt of which the gateway has told that it holds the money, and that nobody goes on with.
var holdsMoney = paymentattempt.StatusIn(paymentattempt.StatusAUTHORIZED, paymentattempt.StatusCAPTURED)

// inHand are the attempts of an order that may still pay it, or have taken the money for it. While it is pending, it is paid by nothing else.
func inHand(orderID string) predicate.PaymentAttempt {
	return paymentattempt.And(paymentattempt.OrderID(orderID), paymentattempt.Or(
		paymentattempt.OpenOrderIDNotNil(), paymentattempt.StatusEQ(paymentattempt.StatusCAPTURED)))
}

// toldOfMoney reports whether the gateway has told the shop, and no request yet, that it holds the money for a pending order.
func (s *Orders) toldOfMoney(ctx context.Context, row *ent.Order) (bool, error) {
	if row.Status != order.StatusPENDING || row.Edges.Payment != nil {
		return false, nil
	}
	return s.Client.PaymentAttempt.Query().Where(paymentattempt.OrderID(row.ID), holdsMoney).Exist(ctx)
}

// finishTold goes on with the attempt that holds the money for a pending order. It begins no attempt: if none holds any by now, nothing is
// to be done.
func (s *Orders) finishTold(ctx context.Context, row *ent.Order) error {
	a, err := s.Client.PaymentAttempt.Query().Where(paymentattempt.OrderID(row.ID), holdsMoney).
		Order(paymentattempt.ByID()).First(ctx)
	if err != nil {
		return ent.MaskNotFound(err)
	}
	if err = s.endOrPay(ctx, a); errors.Is(err, errClosed) {
		return nil // it has paid nothing after all
	}
	return err
}
