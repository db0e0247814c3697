package commerce

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"holdfast/ent"
	"holdfast/ent/payment"
	"holdfast/ent/paymentattempt"
	"holdfast/lockprovider"
	"holdfast/payments"
)

// Charge has the viewer buy points: the payment gateway takes their price, and then the points are added. The price is the one of the
// first request with the key, whatever points cost at a repeat. If the customer has to confirm the payment, the result has the attempt
// with status REQUIRES_ACTION, and a repeat after that goes on.
//
// Errors: INVALID_INPUT if the amount is not positive, the token is not valid or the wallet would overflow, INVALID_STATE if the shop takes no cards,
// PAYMENT_DECLINED. UNAVAILABLE if the gateway or a store does not answer, or if others are in the way after the payment was taken: a
// repeat with the same key goes on from there, and so does a job. The gateway is not asked about a key whose points were added.
func (s *Points) Charge(ctx context.Context, v Viewer, in ChargePoints) (PointsResult, error) {
	if err := s.customers.ensure(ctx, v); err != nil {
		return PointsResult{}, err
	}
	if err := positive(in.Amount, input("amount")); err != nil {
		return PointsResult{}, err
	}
	if !validToken(in.Token) {
		return PointsResult{}, invalidToken(input("token"))
	}
	id := operationID(v, "chargePoints", in.Key)
	receipt, found, err := s.replayed(ctx, id, KindPointsCharged, topUpFingerprint(in.Amount))
	if err == nil && !found {
		// If Redis cannot say whether it holds the change, the fallback decides on it, as on every other change.
		if held, aerr := s.await(ctx, lockprovider.Points, id); aerr == nil && held {
			receipt, found, err = s.replayed(ctx, id, KindPointsCharged, topUpFingerprint(in.Amount))
		}
	}
	a, aerr := orNil(s.Client.PaymentAttempt.Get(ctx, idOf(prefixTopUp, id)))
	switch {
	case err != nil || found:
		return chargeResult(v.UserID, receipt, a, err)
	case aerr != nil:
		return PointsResult{}, aerr
	case a == nil:
		if a, err = s.openTopUp(ctx, v, in, id); err != nil {
			return PointsResult{}, err
		}
	}
	if *a.Points != in.Amount || a.Token != in.Token {
		return PointsResult{}, keyReused()
	}
	if a.CreditedAt != nil { // since the look above, or long ago
		if receipt, found, err = s.replayed(ctx, id, KindPointsCharged, topUpFingerprint(in.Amount)); err == nil && !found {
			err = keyExpired()
		}
		return chargeResult(v.UserID, receipt, a, err)
	}
	t := &topUp{Points: s, id: a.ID, userID: v.UserID}
	err = s.goOn(ctx, t, a, true)
	return s.charged(ctx, t, a, err)
}

// openTopUp commits the attempt to pay for points, which the gateway does not know yet.
func (s *Points) openTopUp(ctx context.Context, v Viewer, in ChargePoints, id uuid.UUID) (*ent.PaymentAttempt, error) {
	if s.checkTaken(payment.MethodCARD) != nil {
		return nil, &Error{Code: InvalidState, Message: "the shop sells no points, since it takes no card payments"}
	}
	price := Money{Minor: s.priceOf(in.Amount), Currency: s.Shop.Currency}
	a, err := s.newAttempt(s.Client.PaymentAttempt, idOf(prefixTopUp, id), price, s.now()).
		SetUserID(v.UserID).SetPoints(in.Amount).SetToken(in.Token).Save(ctx)
	if ent.IsConstraintError(err) { // a repeat was faster
		return s.Client.PaymentAttempt.Get(ctx, idOf(prefixTopUp, id))
	}
	return a, err
}

// charged turns the end of a request to buy points into its answer.
func (s *Points) charged(ctx context.Context, t *topUp, a *ent.PaymentAttempt, err error) (PointsResult, error) {
	now, aerr := s.Client.PaymentAttempt.Get(ctx, a.ID)
	if aerr != nil {
		return PointsResult{}, unshown(err, aerr)
	}
	var told *Error
	switch {
	case errors.Is(err, errAction):
		err = nil
	case errors.Is(err, errClosed):
		err = s.closed(ctx, now)
	case hasCode(err, LockTimeout), hasCode(err, LockLost): // which would say that this attempt has done nothing
		err = &Error{
			Code: Unavailable, Message: "the payment was taken, and the points are not added yet; repeat it with the same key",
			Retryable: true, RetryAfter: retrySoon, cause: err,
		}
	}
	if errors.As(err, &told) && len(told.Field) > 1 && told.Field[1] == "payment" {
		other := *told
		other.Field, err = nil, &other // the input names no payment
	}
	t.result.Attempt = now
	return t.result, err
}

// closed tells why an attempt has paid for no points. It has the gateway give back what it is still to give back.
func (s *Points) closed(ctx context.Context, a *ent.PaymentAttempt) error {
	switch payments.Status(a.Status) {
	case payments.Captured: // credited by another request since
		return &Error{
			Code: Unavailable, Message: "the points are being added; repeat it with the same key", Retryable: true, RetryAfter: retrySoon,
		}
	case payments.Declined:
		return &Error{Code: PaymentDeclined, Message: "the payment for the points was declined"}
	case payments.Refunding, payments.Voiding:
		if err := s.giveBack(ctx, a, a.Reason); err != nil {
			return err
		}
		now, err := s.Client.PaymentAttempt.Get(ctx, a.ID)
		if err != nil {
			return err
		}
		a = now
	}
	message := "the payment for the points was given back"
	if payments.Status(a.Status) != payments.Refunded {
		message = "the payment for the points has ended, and nothing was taken"
	}
	if a.Reason != "" {
		message += ": " + a.Reason
	}
	return &Error{Code: PaymentDeclined, Message: message}
}

// giveBack has the gateway give back what was paid for points that are not added.
func (s *Points) giveBack(ctx context.Context, a *ent.PaymentAttempt, why string) error {
	err := s.endAttempt(ctx, a, givingBack{owner: deref(a.UserID), why: why})
	if err == nil || isStoreAway(err) || errors.Is(err, errOtherGateway) {
		return err
	}
	away := gatewayAway(err)
	away.Message = "the points are not added, and the payment is not given back or ended yet; the shop goes on trying"
	return away
}

// priceOf returns what points cost, in minor units. It is rounded up, so that no points are for nothing.
func (s *Points) priceOf(points int64) int64 {
	hundreds, rest := points/100, points%100 // the product of both factors could overflow
	return hundreds*s.Payment.PointsPrice + (rest*s.Payment.PointsPrice+99)/100
}

// topUp is a purchase of points as what an attempt pays for.
type topUp struct {
	*Points
	id, userID string // of the attempt, and whose wallet
	result     PointsResult
}

func (t *topUp) subject() string { return t.id }

func (t *topUp) authorized(ctx context.Context, a *ent.PaymentAttempt, answer payments.Answer) (*ent.PaymentAttempt, error) {
	return t.moveAttempt(ctx, a.ID, answer, payments.OnAuthorized, payments.OnCapture)
}

// captured adds the points, or has the payment given back if the wallet cannot take them.
func (t *topUp) captured(ctx context.Context, a *ent.PaymentAttempt, answer payments.Answer) error {
	a, err := t.moveAttempt(ctx, a.ID, answer, payments.OnCaptured)
	if err != nil {
		return err
	}
	id, ok := uuidOf(prefixTopUp, a.ID)
	if !ok || a.Status != paymentattempt.StatusCAPTURED {
		return errClosed
	}
	made := cardPayment(a, answer)
	t.result, err = t.credit(ctx, t.userID, id, *a.Points, &made, topUpFingerprint(*a.Points))
	switch {
	case errors.Is(err, errTopUpAdvanced):
		return errClosed
	case hasCode(err, InvalidInput): // the wallet cannot take them
		refused, _ := UserErrors(err)
		if gerr := t.giveBack(ctx, a, refused[0].Message); gerr != nil {
			return gerr
		}
	}
	return err
}

// topUpFingerprint stands for a request to buy points. What it is paid by stands in the row of the attempt.
func topUpFingerprint(points int64) string {
	return fingerprint(struct{ Points int64 }{points})
}

// give adds points that nobody has paid for, for demo data.
func (s *Points) give(ctx context.Context, v Viewer, key uuid.UUID, points int64) (PointsResult, error) {
	return s.credit(ctx, v.UserID, operationID(v, "chargePoints", key), points, nil, fingerprint(ChargePoints{Key: key, Amount: points}))
}

// credit adds points to a wallet. made is the payment that they were bought by, nil for those of demo data.
func (s *Points) credit(
	ctx context.Context, userID string, id uuid.UUID, points int64, made *paymentMade, request string,
) (PointsResult, error) {
	open := unbounded(0)
	receipt, err := s.execute(ctx, lockprovider.Change{
		ID: id, Family: lockprovider.Points,
		Moves:   []lockprovider.Move{{Balance: lockprovider.PointsKey(userID), Delta: points, Open: &open}},
		Confirm: made != nil, // what is paid for is not lost with Redis
		Record: lockprovider.Record{
			Kind:        KindPointsCharged,
			Payload:     mustJSON(pointsCharged{UserID: userID, Amount: points, Payment: made, At: s.now()}),
			Fingerprint: request,
		},
	})
	err = refusals(err, func(r lockprovider.Refusal) *Error {
		return invalid(input("amount"), "the wallet can take %d more points, not %d", r.Available, r.Delta)
	})
	return chargeResult(userID, receipt, nil, err)
}

func chargeResult(userID string, receipt lockprovider.Receipt, a *ent.PaymentAttempt, err error) (PointsResult, error) {
	return PointsResult{Balance: receipt.Balances[lockprovider.PointsKey(userID)], Meta: metaOf(receipt), Attempt: a}, err
}
