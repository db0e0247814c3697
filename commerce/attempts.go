package commerce

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/ent"
	"holdfast/ent/order"
	"holdfast/ent/payment"
	"holdfast/ent/paymentattempt"
	"holdfast/ent/schema"
	"holdfast/lockprovider"
	"holdfast/payments"
)

// A payment by card is an attempt: a row that is committed before the gateway is asked, and whose ID is the idempotency key at the
// gateway. So whatever is cut off, by a crash or a lost answer, is found in the database, and is asked for again or looked up. An
// order has one attempt at a time that may still pay it; a declined one may be followed by another.
//
// payments.Next says what an answer makes of an attempt. All answers come through moveAttempt: those of calls, and those of look-ups.

// attemptID names the attempt that a request makes to pay an order. A request makes one, however often it is repeated.
func attemptID(orderID, request string) string {
	return idOf(prefixAttempt, stepID(orderID, "attempt\x00"+request))
}

// errUndecided means that the gateway has answered, and that what became of the payment is still open.
var errUndecided = errors.New("the payment is not decided yet")

// errClosed means that an attempt has come to an end, and has not paid the order.
var errClosed = errors.New("the payment attempt is closed")

// openAttempt returns the attempt that a request goes on with, and whether its payment is known to be authorized. That is the attempt of
// the request, or the one that is open, or else a new one, which the database has then and the gateway does not know yet. An order whose
// payment was authorized is paid by that payment or not at all: it gets no new attempt. The error is errOrderAdvanced if the order is not
// PENDING any more.
func (s *Orders) openAttempt(
	ctx context.Context, row *ent.Order, request string,
) (a *ent.PaymentAttempt, authorized bool, err error) {
	id, now := attemptID(row.ID, request), s.now()
	err = s.inTx(ctx, func(tx *ent.Tx) error {
		// The order first: so one request at a time opens an attempt, and none does while another one pays or ends the order.
		n, err := tx.Order.Update().Where(order.ID(row.ID), order.StatusEQ(order.StatusPENDING)).SetUpdatedAt(now).Save(ctx)
		if err != nil {
			return err
		}
		if n == 0 {
			return errOrderAdvanced
		}
		if authorized, err = tx.Payment.Query().Where(payment.OrderID(row.ID)).Exist(ctx); err != nil {
			return err
		}
		known, err := tx.PaymentAttempt.Query().Where(paymentattempt.OrderID(row.ID)).All(ctx)
		if err != nil {
			return err
		}
		var own, open, captured *ent.PaymentAttempt
		for _, k := range known {
			if k.ID == id {
				own = k
			}
			if k.OpenOrderID != nil {
				open = k
			}
			if k.Status == paymentattempt.StatusCAPTURED {
				captured = k
			}
		}
		a = nil
		switch {
		case open != nil && (own == nil || request == row.ID): // the order itself goes on with whatever pays it
			a = open
		case open != nil:
			a, authorized = own, authorized && own.ID == open.ID
		case authorized, captured != nil: // what is captured pays the order, even if only a webhook has told so
			a = captured
		case own != nil:
			a = own
		default:
			status, _ := payments.Next(payments.Created, payments.OnAuthorize)
			a, err = tx.PaymentAttempt.Create().SetID(id).SetOrderID(row.ID).SetOpenOrderID(row.ID).
				SetGateway(s.Payment.Gateway).SetStatus(paymentattempt.Status(status)).
				SetAmountMinor(row.TotalMinor).SetCurrency(row.Currency).SetCreatedAt(now).SetUpdatedAt(now).Save(ctx)
		}
		return err
	})
	if err == nil && (a == nil || !payments.Status(a.Status).Pays() && a.Status != paymentattempt.StatusCAPTURED) {
		err = errClosed
	}
	return a, authorized, err
}

// hasOpenAttempt reports whether an attempt may still pay a pending order, or has taken the money for it.
func (s *Orders) hasOpenAttempt(ctx context.Context, orderID string) (bool, error) {
	return s.Client.PaymentAttempt.Query().Where(inHand(orderID)).Exist(ctx)
}

// underWay refuses another payment of an order that an attempt may still pay.
func underWay() *Error {
	return &Error{
		Code: InvalidState, Field: input("payment", "method"),
		Message: "a card payment of this order is under way: repeat it to learn what became of it, or wait for its end",
	}
}

// payByCard makes an attempt to pay, or goes on with the one that is open, whatever this request says. If that one was another request's
// and does not pay the order, this request makes its own. The order is PAID when the gateway has captured the payment.
func (s *Orders) payByCard(ctx context.Context, row *ent.Order, request string) error {
	for {
		a, authorized, err := s.openAttempt(ctx, row, request)
		if errors.Is(err, errClosed) {
			message := "the payment was not authorized"
			if authorized {
				message = "the authorized payment could not be captured"
			}
			return &stepRefused{
				why: &Error{Code: PaymentDeclined, Field: input("payment"), Message: message},
				// The customer of payOrder may try another card. An order that was to be paid when it was placed is all or nothing.
				stays: request != row.ID && !authorized,
			}
		}
		if err == nil {
			err = s.goOn(ctx, row, a, authorized, request)
		}
		if !errors.Is(err, errClosed) {
			return err
		}
	}
}

// goOn takes an attempt to its end. The error is errClosed if it has not paid the order. authorized tells whether the shop knows already
// that the payment is authorized.
func (s *Orders) goOn(ctx context.Context, row *ent.Order, a *ent.PaymentAttempt, authorized bool, request string) (err error) {
	for err == nil {
		status, answer := payments.Status(a.Status), payments.Answer{}
		ref, amount := payments.Ref{Attempt: a.ID, Reference: a.Reference}, payments.Amount{Minor: a.AmountMinor, Currency: a.Currency}
		switch status {
		case payments.Authorizing:
			answer, err = s.ask(ctx, a, func(ctx context.Context) (payments.Answer, error) {
				return s.Gateway.Authorize(ctx, payments.Authorization{Attempt: a.ID, Subject: row.ID, Amount: amount})
			})
		case payments.Capturing:
			answer, err = s.ask(ctx, a, func(ctx context.Context) (payments.Answer, error) {
				return s.Gateway.Capture(ctx, ref, amount)
			})
		case payments.Unknown, payments.RequiresAction:
			answer, err = s.ask(ctx, a, func(ctx context.Context) (payments.Answer, error) { return s.Gateway.Lookup(ctx, ref) })
		case payments.Authorized, payments.Captured: // the answer came without this request
			answer = payments.Answer{State: payments.State(status), Reference: a.Reference}
		default:
			return errClosed
		}
		if err != nil {
			return err
		}
		switch {
		case answer.State == payments.StateAuthorized && authorized: // the shop knows it, and has missed the answer to a capture
			a, err = s.moveAttempt(ctx, a.ID, answer, payments.OnAuthorized, payments.OnCapture)
		case answer.State == payments.StateAuthorized:
			authorized = true
			a, err = s.recordAuthorized(ctx, row, a, answer)
		case answer.State == payments.StateCaptured:
			return s.recordCaptured(ctx, row, a, answer, request)
		case answer.State == payments.StateNotFound: // the request has not reached the gateway
			a, err = s.moveAttempt(ctx, a.ID, answer, payments.OnAuthorize)
		default:
			a, err = s.moveAttempt(ctx, a.ID, answer, payments.Event(answer.State))
		}
		if err == nil && payments.Status(a.Status) == status {
			err = undecided(answer.State)
		}
	}
	return err
}

// undecided is the answer to a request whose payment the gateway has not decided yet, or for which it waits for the customer.
func undecided(state payments.State) *Error {
	e := gatewayAway(errUndecided)
	e.Message = "the payment is not decided yet; repeat it with the same key to learn what became of it"
	if state == payments.StateRequiresAction {
		e.Message = "the customer has to confirm the payment; after that, repeat it with the same key"
		e.RetryAfter = 0 // waiting alone does not help
	}
	return e
}

// ask makes one call of the gateway, within its bound. If no answer comes, the attempt notes that.
func (s *Orders) ask(
	ctx context.Context, a *ent.PaymentAttempt, call func(ctx context.Context) (payments.Answer, error),
) (payments.Answer, error) {
	answer, err := s.callGateway(ctx, call)
	if err != nil {
		_, _ = s.moveAttempt(ctx, a.ID, payments.Answer{}, payments.OnNoAnswer) // else a repeat asks again, which is as good
		return answer, gatewayAway(err)
	}
	return answer, nil
}

// recordAuthorized notes that an attempt is authorized, and that it is about to be captured.
func (s *Orders) recordAuthorized(
	ctx context.Context, row *ent.Order, a *ent.PaymentAttempt, answer payments.Answer,
) (*ent.PaymentAttempt, error) {
	_, err := s.Ledger.Apply(ctx, lockprovider.Change{
		ID: stepID(a.ID, "authorization"), Family: lockprovider.Stock,
		Record: lockprovider.Record{
			Kind: KindPaymentAuthorized, Fingerprint: a.ID,
			Payload: mustJSON(orderPaid{OrderID: row.ID, UserID: row.UserID, Payment: cardPayment(a, answer), At: s.now()}),
		},
	})
	if err := doneOtherwise(translate(err, lockprovider.Receipt{})); err != nil {
		return a, s.keepAnswer(ctx, a, answer, err)
	}
	return s.Client.PaymentAttempt.Get(ctx, a.ID)
}

// recordCaptured marks the order paid.
func (s *Orders) recordCaptured(
	ctx context.Context, row *ent.Order, a *ent.PaymentAttempt, answer payments.Answer, request string,
) error {
	err := s.recordPaid(ctx, row, stepID(a.ID, "payment"), cardPayment(a, answer), request)
	return s.keepAnswer(ctx, a, answer, err)
}

// keepAnswer notes an answer about an order that was paid otherwise or has ended during the call: the attempt is then to be
// given back.
func (s *Orders) keepAnswer(ctx context.Context, a *ent.PaymentAttempt, answer payments.Answer, err error) error {
	if !errors.Is(err, errOrderAdvanced) {
		return err
	}
	if _, merr := s.moveAttempt(ctx, a.ID, answer, payments.Event(answer.State)); merr != nil {
		return merr
	}
	return err
}

func cardPayment(a *ent.PaymentAttempt, answer payments.Answer) paymentMade {
	made := paymentMade{
		Method: payment.MethodCARD.String(), AmountMinor: a.AmountMinor, Currency: a.Currency,
		Reference: answer.Reference, AttemptID: a.ID,
	}
	if made.Reference == "" {
		made.Reference = a.Reference
	}
	return made
}

// endAttempts has the gateway end what it has in hand for an order: authorizations are voided, captures are refunded.
func (s *Orders) endAttempts(ctx context.Context, orderID string) error {
	list, err := s.Client.PaymentAttempt.Query().Where(paymentattempt.OrderID(orderID)).All(ctx)
	for _, a := range list {
		if err == nil {
			err = s.endAttempt(ctx, a)
		}
	}
	return err
}

// endAttempt ends one attempt. That the gateway refuses it does not end anything: the order still owes the payment, and the job goes
// on asking.
func (s *Orders) endAttempt(ctx context.Context, a *ent.PaymentAttempt) error {
	var err error
	for err == nil {
		status, answer := payments.Status(a.Status), payments.Answer{}
		ref := payments.Ref{Attempt: a.ID, Reference: a.Reference}
		switch status {
		case payments.Refunded, payments.Voided, payments.Declined:
			return nil
		case payments.Captured:
			a, err = s.moveAttempt(ctx, a.ID, answer, payments.OnRefund)
			continue
		case payments.Refunding:
			answer, err = s.callGateway(ctx, func(ctx context.Context) (payments.Answer, error) {
				return s.Gateway.Refund(ctx, ref, prefixRefund+a.ID, payments.Amount{Minor: a.AmountMinor, Currency: a.Currency})
			})
		case payments.Voiding:
			answer, err = s.callGateway(ctx, func(ctx context.Context) (payments.Answer, error) { return s.Gateway.Void(ctx, ref) })
		default:
			a, err = s.moveAttempt(ctx, a.ID, answer, payments.OnVoid)
			continue
		}
		if err != nil {
			return gatewayAway(err)
		}
		a, err = s.moveAttempt(ctx, a.ID, answer, payments.Event(answer.State))
		if err == nil && payments.Status(a.Status) == status {
			return notGivenBack(answer)
		}
	}
	return err
}

// notGivenBack is the answer to a request whose payment the gateway refuses to give back, or has not given back yet.
func notGivenBack(answer payments.Answer) *Error {
	if answer.State == payments.StatePending {
		return undecided(answer.State)
	}
	return &Error{
		Code: PaymentDeclined, Message: "the payment could not be given back yet; the shop goes on trying",
		cause: fmt.Errorf("%w: declined: the payment is still %s", errGateway, answer.State),
	}
}

// moveAttempt moves an attempt, in a transaction of its own.
func (s *Orders) moveAttempt(
	ctx context.Context, id string, answer payments.Answer, events ...payments.Event,
) (a *ent.PaymentAttempt, err error) {
	err = s.inTx(ctx, func(tx *ent.Tx) (err error) {
		a, err = moveAttempt(ctx, tx, id, s.now(), answer, events...)
		return err
	})
	return a, err
}

// maxMoves bounds how often an attempt may change between reading and writing it. It is chosen: an attempt has a few states, and goes
// through most of them once.
const maxMoves = 20

// moveAttempt applies events to an attempt, one after the other, and returns the attempt as it is then. It is the only writer of the
// status of an attempt.
func moveAttempt(
	ctx context.Context, tx *ent.Tx, id string, at time.Time, answer payments.Answer, events ...payments.Event,
) (*ent.PaymentAttempt, error) {
	for range maxMoves {
		a, err := tx.PaymentAttempt.Get(ctx, id)
		if err != nil {
			return nil, err
		}
		from := payments.Status(a.Status)
		to := from
		for _, event := range events {
			to, _ = payments.Next(to, event)
		}
		if to == from && (answer.Reference == "" || answer.Reference == a.Reference) {
			return a, nil
		}
		update := tx.PaymentAttempt.Update().
			Where(paymentattempt.ID(id), paymentattempt.StatusEQ(a.Status)).
			SetStatus(paymentattempt.Status(to)).SetUpdatedAt(at)
		if !to.Pays() {
			update.ClearOpenOrderID()
		}
		if answer.Reference != "" {
			update.SetReference(answer.Reference)
		}
		if answer.Reason != "" {
			update.SetReason(truncate(answer.Reason, schema.MaxReason))
		}
		n, err := update.Save(ctx)
		if err != nil {
			return nil, err
		}
		if n == 0 { // another one was faster
			continue
		}
		if (to.Open() || to == payments.Captured) && !from.Open() && from != payments.Captured {
			// What was over is not: the job gives it back.
			if err := tx.Order.Update().
				Where(order.ID(a.OrderID), order.StatusNotIn(order.StatusPENDING, order.StatusPAID)).
				SetSettled(false).SetNextAttemptAt(at).Exec(ctx); err != nil {
				return nil, err
			}
		}
		return tx.PaymentAttempt.Get(ctx, id)
	}
	return nil, fmt.Errorf("attempt %s: changed %d times while it was written", id, maxMoves)
}
