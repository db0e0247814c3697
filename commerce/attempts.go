package commerce

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/ent"
	"holdfast/ent/order"
	"holdfast/ent/paymentattempt"
	"holdfast/ent/schema"
	"holdfast/lockprovider"
	"holdfast/payments"
)

// A payment by card is an attempt: a row that is committed before the gateway is asked, and whose ID is the idempotency key at the
// gateway. So whatever is cut off, by a crash or a lost answer, is found in the database, and is asked for again or looked up. It pays for
// an order (cards.go) or for points (topups.go). What nobody goes on with, a job takes to its end (sweep.go).
//
// payments.Next says what an answer makes of an attempt. All answers come through moveAttempt: those of calls, and those of look-ups.

// errUndecided means that the gateway has answered, and that what became of the payment is still open.
var errUndecided = errors.New("the payment is not decided yet")

// errAction means that the gateway waits for the customer, such as for 3-D Secure. It is no failure.
var errAction = errors.New("the customer has to confirm the payment")

// errClosed means that an attempt has come to an end, and has paid nothing.
var errClosed = errors.New("the payment attempt is closed")

// newAttempt is an attempt that is about to be made, by the gateway that the shop has. What it pays for is still to be set.
func (c *core) newAttempt(client *ent.PaymentAttemptClient, id string, price Money, now time.Time) *ent.PaymentAttemptCreate {
	status, _ := payments.Next(payments.Created, payments.OnAuthorize)
	return client.Create().SetID(id).SetGateway(c.Payment.Gateway).SetStatus(paymentattempt.Status(status)).SetLookAt(now).
		SetAmountMinor(price.Minor).SetCurrency(price.Currency).SetCreatedAt(now).SetUpdatedAt(now)
}

// payable is what an attempt pays for.
type payable interface {
	// subject names it for the gateway's own lists.
	subject() string
	// authorized notes that the gateway holds the amount, and that it is about to be asked to take it.
	authorized(ctx context.Context, a *ent.PaymentAttempt, answer payments.Answer) (*ent.PaymentAttempt, error)
	// captured notes that the gateway has taken the amount, and gives what was paid for.
	captured(ctx context.Context, a *ent.PaymentAttempt, answer payments.Answer) error
}

// goOn takes an attempt to its end. The error is errClosed if it has paid nothing, and errAction if the customer has to confirm it.
// authorized tells whether the shop knows already that the payment is authorized, or need not note it.
func (c *core) goOn(ctx context.Context, p payable, a *ent.PaymentAttempt, authorized bool) (err error) {
	for err == nil {
		status, answer := payments.Status(a.Status), payments.Answer{}
		ref, amount := payments.Ref{Attempt: a.ID, Reference: a.Reference}, payments.Amount{Minor: a.AmountMinor, Currency: a.Currency}
		switch status {
		case payments.Authorizing:
			answer, err = c.ask(ctx, a, func(ctx context.Context) (payments.Answer, error) {
				return c.Gateway.Authorize(ctx, payments.Authorization{Attempt: a.ID, Subject: p.subject(), Amount: amount, Token: a.Token})
			})
		case payments.Capturing:
			answer, err = c.ask(ctx, a, func(ctx context.Context) (payments.Answer, error) {
				return c.Gateway.Capture(ctx, ref, amount)
			})
		case payments.Unknown, payments.RequiresAction:
			answer, err = c.ask(ctx, a, func(ctx context.Context) (payments.Answer, error) { return c.Gateway.Lookup(ctx, ref) })
		case payments.Authorized, payments.Captured: // the answer came without this request
			answer = payments.Answer{State: payments.State(status), Reference: a.Reference}
		default:
			return errClosed
		}
		if err == nil {
			err = wrongAmount(a, answer)
		}
		if err != nil {
			return err
		}
		switch {
		case answer.State == payments.StateAuthorized && authorized: // the shop knows it, and has missed the answer to a capture
			a, err = c.moveAttempt(ctx, a.ID, answer, payments.OnAuthorized, payments.OnCapture)
		case answer.State == payments.StateAuthorized:
			authorized = true
			a, err = p.authorized(ctx, a, answer)
		case answer.State == payments.StateCaptured:
			return p.captured(ctx, a, answer)
		case answer.State == payments.StateNotFound: // the request has not reached the gateway
			a, err = c.moveAttempt(ctx, a.ID, answer, payments.OnAuthorize)
		default:
			a, err = c.moveAttempt(ctx, a.ID, answer, payments.Event(answer.State))
		}
		switch {
		case err != nil:
		case a.Status == paymentattempt.StatusREQUIRES_ACTION:
			err = errAction
		case payments.Status(a.Status) == status:
			err = undecided()
		}
	}
	return err
}

// errAmount means that the gateway has taken another amount than the shop has asked for, such as a part by hand.
var errAmount = errors.New("the payment gateway has taken another amount")

// wrongAmount returns the error of a payment of which another amount was captured than it is for. It pays for nothing; a person has to
// decide what becomes of it. An answer that tells no amount says nothing about it.
func wrongAmount(a *ent.PaymentAttempt, answer payments.Answer) error {
	if answer.State != payments.StateCaptured || answer.Captured == 0 || answer.Captured == a.AmountMinor {
		return nil
	}
	e := undecided()
	e.cause = fmt.Errorf("%w: %w: %d instead of %d minor units", errGateway, errAmount, answer.Captured, a.AmountMinor)
	return e
}

// undecided is the answer to a request whose payment the gateway has not decided yet.
func undecided() *Error {
	e := gatewayAway(errUndecided)
	e.Message = "the payment is not decided yet; repeat it with the same key to learn what became of it"
	return e
}

// ask makes one call of the gateway, within its bound. If no answer comes, the attempt notes that.
func (c *core) ask(
	ctx context.Context, a *ent.PaymentAttempt, call func(ctx context.Context) (payments.Answer, error),
) (payments.Answer, error) {
	answer, err := c.callGateway(ctx, a, call)
	if errors.Is(err, errOtherGateway) {
		return answer, gatewayAway(err) // nothing was asked
	}
	if err != nil {
		_, _ = c.moveAttempt(ctx, a.ID, payments.Answer{}, payments.OnNoAnswer) // else a repeat asks again, which is as good
		return answer, gatewayAway(err)
	}
	return answer, nil
}

// givingBack says why an attempt is ended, and whom to tell.
type givingBack struct {
	owner string // the customer
	why   string // for the customer
	told  bool   // another event tells of it
}

// errOnItsWay means that the gateway does not know an attempt that is to be ended, and that the call which makes it may still reach the
// gateway.
var errOnItsWay = errors.New("the payment has not reached the payment gateway, and may still do so")

// endAttempt ends one attempt. That the gateway refuses it does not end anything: the shop still owes the payment, and a job goes
// on asking.
//
// If the gateway knows nothing of the attempt, a call that is to make it may have been overtaken. Since the attempt is VOIDING, no request
// begins such a call; one that had begun ends within its bound. So the attempt is VOIDED if the gateway does not know it twice that bound
// later. Until then the error is errOnItsWay.
func (c *core) endAttempt(ctx context.Context, a *ent.PaymentAttempt, g givingBack) error {
	var err error
	for err == nil {
		status, answer := payments.Status(a.Status), payments.Answer{}
		ref := payments.Ref{Attempt: a.ID, Reference: a.Reference}
		switch status {
		case payments.Refunded, payments.Voided, payments.Declined:
			return nil
		case payments.Captured:
			if a.CreditedAt != nil {
				return nil // the customer has the points
			}
			a, err = c.giveUp(ctx, a, g.why, payments.OnRefund)
			continue
		case payments.Refunding:
			answer, err = c.refundAll(ctx, a, ref)
		case payments.Voiding:
			answer, err = c.callGateway(ctx, a, func(ctx context.Context) (payments.Answer, error) { return c.Gateway.Void(ctx, ref) })
		default:
			a, err = c.giveUp(ctx, a, g.why, payments.OnVoid)
			continue
		}
		if err != nil {
			return gatewayAway(err)
		}
		switch {
		case status == payments.Voiding && answer.State == payments.StateNotFound && c.now().Before(a.UpdatedAt.Add(c.callsEnd())):
			return errOnItsWay
		case answer.State == payments.StateRefunded || answer.State == payments.StateVoided:
			a, err = c.recordReturned(ctx, a, answer, g)
		default:
			a, err = c.moveAttempt(ctx, a.ID, answer, payments.Event(answer.State))
		}
		if err == nil && payments.Status(a.Status) == status {
			return notGivenBack(answer)
		}
	}
	return err
}

// giveUp notes that an attempt is about to be voided or refunded. That was decided some time ago, and its order may have been paid by it
// since: then the error is errStillOwed, and nothing is given back. While the order is pending, an attempt is only given up in the state
// in which the caller has seen it, and never if it has taken the money: that pays the order.
func (c *core) giveUp(ctx context.Context, a *ent.PaymentAttempt, why string, event payments.Event) (moved *ent.PaymentAttempt, err error) {
	err = c.inTx(ctx, func(tx *ent.Tx) error {
		if a.OrderID != nil {
			// The order first, as everywhere: it is locked by a write that changes nothing.
			if err := tx.Order.Update().Where(order.ID(*a.OrderID)).AddAttempts(0).Exec(ctx); err != nil {
				return err
			}
			row, err := tx.Order.Query().Where(order.ID(*a.OrderID)).WithPayment().Only(ctx)
			if err != nil {
				return err
			}
			now, err := tx.PaymentAttempt.Get(ctx, a.ID)
			switch {
			case err != nil:
				return err
			case row.Status == order.StatusPAID && paidBy(row, a),
				row.Status == order.StatusPENDING && (now.Status != a.Status || now.Status == paymentattempt.StatusCAPTURED):
				return errStillOwed
			}
		}
		moved, err = moveAttempt(ctx, tx, a.ID, c.now(), payments.Answer{Reason: why}, event)
		return err
	})
	return moved, err
}

// refundAll has the gateway give back what an attempt has taken. If a part was given back by hand, or only a part was taken, the gateway
// refuses the whole amount, and its answer says what is left: this is asked for then, under a key of its own, so that it is another refund.
func (c *core) refundAll(ctx context.Context, a *ent.PaymentAttempt, ref payments.Ref) (payments.Answer, error) {
	refund := func(key string, minor int64) (payments.Answer, error) {
		return c.callGateway(ctx, a, func(ctx context.Context) (payments.Answer, error) {
			return c.Gateway.Refund(ctx, ref, key, payments.Amount{Minor: minor, Currency: a.Currency})
		})
	}
	answer, err := refund(prefixRefund+a.ID, a.AmountMinor)
	if left := answer.Captured - answer.Refunded; err == nil && answer.State == payments.StateCaptured && left > 0 && left < a.AmountMinor {
		return refund(fmt.Sprintf("%s%s/%d", prefixRefund, a.ID, left), left)
	}
	return answer, err
}

// callsEnd is the time after which no call of the gateway is under way that had begun before: its bound, and as much for the request
// and the gateway to notice its end.
func (c *core) callsEnd() time.Duration { return 2 * c.Payment.Timeout }

// recordReturned notes that the gateway has given an amount back that it held or had taken, and tells of it by an event. There is no
// event of what the gateway has never held.
func (c *core) recordReturned(
	ctx context.Context, a *ent.PaymentAttempt, answer payments.Answer, g givingBack,
) (*ent.PaymentAttempt, error) {
	if !g.told && (answer.State == payments.StateRefunded || answer.Held) {
		family := lockprovider.Stock
		if a.OrderID == nil {
			family = lockprovider.Points
		}
		_, err := c.Ledger.Apply(ctx, lockprovider.Change{
			ID: stepID(a.ID, "returned"), Family: family,
			Record: lockprovider.Record{
				Kind: KindPaymentReturned, Fingerprint: a.ID,
				Payload: mustJSON(paymentReturned{
					AttemptID: a.ID, OrderID: deref(a.OrderID), UserID: g.owner, Status: string(answer.State),
					AmountMinor: cmp.Or(answer.Refunded, a.AmountMinor), Currency: a.Currency, Reference: cmp.Or(answer.Reference, a.Reference), Reason: g.why, At: c.now(),
				}),
			},
		})
		if err := ignoreAdvanced(doneOtherwise(translate(err, lockprovider.Receipt{}))); err != nil {
			return a, err
		}
	}
	return c.moveAttempt(ctx, a.ID, answer, payments.Event(answer.State)) // in any case: it may have been told of before
}

// notGivenBack is the answer to a request whose payment the gateway refuses to give back, or has not given back yet.
func notGivenBack(answer payments.Answer) *Error {
	if answer.State == payments.StatePending {
		return undecided()
	}
	return &Error{
		Code: PaymentDeclined, Message: "the payment could not be given back yet; the shop goes on trying",
		cause: fmt.Errorf("%w: declined: the payment is still %s", errGateway, answer.State),
	}
}

// moveAttempt moves an attempt, in a transaction of its own.
func (c *core) moveAttempt(
	ctx context.Context, id string, answer payments.Answer, events ...payments.Event,
) (a *ent.PaymentAttempt, err error) {
	err = c.inTx(ctx, func(tx *ent.Tx) (err error) {
		a, err = moveAttempt(ctx, tx, id, c.now(), answer, events...)
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
	return moveAttemptFrom(ctx, tx, id, at, func(payments.Status) bool { return true }, answer, events...)
}

// moveAttemptFrom is moveAttempt that leaves the attempt as it is if its status does not fit.
func moveAttemptFrom(
	ctx context.Context, tx *ent.Tx, id string, at time.Time, fits func(from payments.Status) bool, answer payments.Answer,
	events ...payments.Event,
) (*ent.PaymentAttempt, error) {
	for range maxMoves {
		a, err := tx.PaymentAttempt.Get(ctx, id)
		if err != nil {
			return nil, err
		}
		from := payments.Status(a.Status)
		if !fits(from) {
			return a, nil
		}
		to := from
		for _, event := range events {
			to, _ = payments.Next(to, event)
		}
		if a.Points != nil && to == payments.Captured && from != to && !from.Pays() {
			to, _ = payments.Next(to, payments.OnRefund) // its customer may know that it has ended, and have bought the points otherwise
		}
		if to == payments.Refunding && a.CreditedAt != nil {
			to = from // the customer has the points
		}
		if to == from && !says(answer, a) {
			return a, nil
		}
		update := tx.PaymentAttempt.Update().
			Where(paymentattempt.ID(id), paymentattempt.StatusEQ(a.Status)).
			SetStatus(paymentattempt.Status(to)).SetUpdatedAt(at)
		if to == payments.Refunding {
			update.Where(paymentattempt.CreditedAtIsNil())
		}
		noteAnswer(update, to, at, answer)
		n, err := update.Save(ctx)
		if err != nil {
			return nil, err
		}
		if n == 0 { // another one was faster
			continue
		}
		if a.OrderID != nil && (to.Open() || to == payments.Captured) && !from.Open() && from != payments.Captured {
			// What was over is not: the job gives it back.
			if err := tx.Order.Update().
				Where(order.ID(*a.OrderID), order.StatusNotIn(order.StatusPENDING, order.StatusPAID)).
				SetSettled(false).SetNextAttemptAt(at).Exec(ctx); err != nil {
				return nil, err
			}
		}
		return tx.PaymentAttempt.Get(ctx, id)
	}
	return nil, fmt.Errorf("attempt %s: changed %d times while it was written", id, maxMoves)
}

// says reports whether an answer tells something else of an attempt than is known, besides its status.
func says(answer payments.Answer, a *ent.PaymentAttempt) bool {
	return answer.Reference != "" && answer.Reference != a.Reference || a.Status == paymentattempt.StatusREQUIRES_ACTION &&
		(answer.ClientSecret != "" && answer.ClientSecret != a.ClientSecret || answer.RedirectURL != "" && answer.RedirectURL != a.RedirectURL)
}

// noteAnswer writes what goes with a status: what the answer says, and whether a job has to look the attempt up.
func noteAnswer(update *ent.PaymentAttemptUpdate, to payments.Status, at time.Time, answer payments.Answer) {
	if !to.Pays() {
		update.ClearOpenOrderID()
	}
	switch {
	case to.Open() || to == payments.Captured: // who gives what was paid for clears it
		update.SetLookAt(at)
	default:
		update.ClearLookAt().SetLooks(0).SetLastError("")
	}
	switch {
	case to != payments.RequiresAction:
		update.SetClientSecret("").SetRedirectURL("")
	default:
		if answer.ClientSecret != "" && len(answer.ClientSecret) <= schema.MaxClientSecret {
			update.SetClientSecret(answer.ClientSecret)
		}
		if answer.RedirectURL != "" && len(answer.RedirectURL) <= schema.MaxRedirectURL {
			update.SetRedirectURL(answer.RedirectURL)
		}
	}
	if answer.Reference != "" {
		update.SetReference(answer.Reference)
	}
	if answer.Reason != "" {
		update.SetReason(Truncate(answer.Reason, schema.MaxReason))
	}
}

// lookedAfter notes that nothing is to be done any more for an attempt that was captured. It returns 0 if the attempt is not captured.
func lookedAfter(ctx context.Context, c *ent.PaymentAttemptClient, id string) (int, error) {
	return c.Update().Where(paymentattempt.ID(id), paymentattempt.StatusEQ(paymentattempt.StatusCAPTURED)).
		ClearLookAt().SetLooks(0).SetLastError("").Save(ctx)
}
