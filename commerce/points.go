package commerce

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"holdfast/ent"
	"holdfast/ent/entry"
	"holdfast/ent/payment"
	"holdfast/ent/user"
	"holdfast/lockprovider"
	"holdfast/payments"
)

// Points are the customers' wallets. One point is worth one minor unit of the shop's currency.
type Points struct {
	*core
	customers *Customers
}

// ChargePoints buys points for the viewer's wallet.
type ChargePoints struct {
	Key    uuid.UUID
	Amount int64
}

// PointsResult is the wallet after a charge.
type PointsResult struct {
	Balance int64
	Meta    Meta
}

// Charge has the viewer buy points: the payment gateway takes their price, and then the points are added. Errors: INVALID_INPUT if the
// amount is not positive or the wallet would overflow, INVALID_STATE if the shop takes no cards, PAYMENT_DECLINED. UNAVAILABLE if the
// gateway or a store does not answer, or if others are in the way after the payment was taken: a repeat with the same key goes on from
// there. The gateway is not asked about a key whose points were added.
func (s *Points) Charge(ctx context.Context, v Viewer, in ChargePoints) (PointsResult, error) {
	if err := s.customers.ensure(ctx, v); err != nil {
		return PointsResult{}, err
	}
	if err := positive(in.Amount, input("amount")); err != nil {
		return PointsResult{}, err
	}
	id := operationID(v, "chargePoints", in.Key)
	receipt, found, err := s.replayed(ctx, id, KindPointsCharged, fingerprint(in))
	if err == nil && !found {
		// If Redis cannot say whether it holds the change, the fallback decides on it, as on every other change.
		if held, aerr := s.await(ctx, lockprovider.Points, id); aerr == nil && held {
			receipt, found, err = s.replayed(ctx, id, KindPointsCharged, fingerprint(in))
		}
	}
	if err != nil || found {
		return chargeResult(v, receipt, err)
	}
	if s.checkTaken(payment.MethodCARD) != nil {
		return PointsResult{}, &Error{Code: InvalidState, Message: "the shop sells no points, since it takes no card payments"}
	}
	attempt := idOf(prefixTopUp, id)
	made, err := s.pay(ctx, attempt, Money{Minor: s.priceOf(in.Amount), Currency: s.Shop.Currency})
	if err != nil {
		return PointsResult{}, err
	}
	result, err := s.credit(ctx, v, in, &made)
	switch {
	case hasCode(err, InvalidInput): // the wallet cannot take them
		if gerr := s.payBack(ctx, attempt, made); gerr != nil {
			err = gerr
		}
	case hasCode(err, LockTimeout), hasCode(err, LockLost): // which would say that this attempt has done nothing
		err = &Error{
			Code: Unavailable, Message: "the payment was taken, and the points are not added yet; repeat it with the same key",
			Retryable: true, RetryAfter: retrySoon, cause: err,
		}
	}
	return result, err
}

// payBack has the gateway give back what was paid for points that the wallet cannot take.
func (s *Points) payBack(ctx context.Context, attempt string, made paymentMade) error {
	ref := payments.Ref{Attempt: attempt, Reference: made.Reference}
	answer, err := s.callGateway(ctx, func(ctx context.Context) (payments.Answer, error) {
		return s.Gateway.Refund(ctx, ref, prefixRefund+attempt, payments.Amount{Minor: made.AmountMinor, Currency: made.Currency})
	})
	if err == nil && answer.State != payments.StateRefunded {
		err = fmt.Errorf("the payment is still %s", answer.State)
	}
	if err == nil {
		return nil
	}
	away := gatewayAway(err)
	away.Message = "the wallet cannot take the points, and the payment is not given back yet; repeat it with the same key"
	away.Field = nil // the input names no payment
	return away
}

// priceOf returns what points cost, in minor units. It is rounded up, so that no points are for nothing.
func (s *Points) priceOf(points int64) int64 {
	hundreds, rest := points/100, points%100 // the product of both factors could overflow
	return hundreds*s.Payment.PointsPrice + (rest*s.Payment.PointsPrice+99)/100
}

// pay has the gateway take the price of points. attempt is the idempotency key.
func (s *Points) pay(ctx context.Context, attempt string, price Money) (paymentMade, error) {
	amount := payments.Amount(price)
	answer, err := s.callGateway(ctx, func(ctx context.Context) (payments.Answer, error) {
		return s.Gateway.Authorize(ctx, payments.Authorization{Attempt: attempt, Subject: attempt, Amount: amount})
	})
	if err == nil && answer.State == payments.StateAuthorized {
		answer, err = s.callGateway(ctx, func(ctx context.Context) (payments.Answer, error) {
			return s.Gateway.Capture(ctx, payments.Ref{Attempt: attempt, Reference: answer.Reference}, amount)
		})
	}
	switch {
	case errors.Is(err, payments.ErrMismatch):
		return paymentMade{}, &Error{
			Code: IdempotencyMismatch, Field: input("idempotencyKey"),
			Message: "this key has begun a payment of another amount, for another number of points or before their price has changed; " +
				"use a new key for a new request",
		}
	case err != nil:
	case answer.State == payments.StateCaptured:
		return paymentMade{
			Method: payment.MethodCARD.String(), AmountMinor: price.Minor, Currency: price.Currency, Reference: answer.Reference,
		}, nil
	case answer.State == payments.StateDeclined:
		return paymentMade{}, &Error{Code: PaymentDeclined, Message: "the payment for the points was declined"}
	case answer.State == payments.StateVoided, answer.State == payments.StateRefunded:
		return paymentMade{}, &Error{Code: PaymentDeclined, Message: "the payment for the points was given back"}
	}
	away := undecided(answer.State)
	if err != nil {
		away = gatewayAway(err)
	}
	away.Field = nil // the input names no payment
	return paymentMade{}, away
}

// credit adds points to the viewer's wallet. made is the payment that they were bought by, nil for those of demo data.
func (s *Points) credit(ctx context.Context, v Viewer, in ChargePoints, made *paymentMade) (PointsResult, error) {
	open := unbounded(0)
	receipt, err := s.execute(ctx, lockprovider.Change{
		ID: operationID(v, "chargePoints", in.Key), Family: lockprovider.Points,
		Moves:   []lockprovider.Move{{Balance: lockprovider.PointsKey(v.UserID), Delta: in.Amount, Open: &open}},
		Confirm: made != nil, // what is paid for is not lost with Redis
		Record: lockprovider.Record{
			Kind:        KindPointsCharged,
			Payload:     mustJSON(pointsCharged{UserID: v.UserID, Amount: in.Amount, Payment: made, At: s.now()}),
			Fingerprint: fingerprint(in),
		},
	})
	err = refusals(err, func(r lockprovider.Refusal) *Error {
		return invalid(input("amount"), "the wallet can take %d more points, not %d", r.Available, r.Delta)
	})
	return chargeResult(v, receipt, err)
}

func chargeResult(v Viewer, receipt lockprovider.Receipt, err error) (PointsResult, error) {
	return PointsResult{Balance: receipt.Balances[lockprovider.PointsKey(v.UserID)], Meta: metaOf(receipt)}, err
}

// AdjustPoints corrects the points of a customer.
type AdjustPoints struct {
	Key    uuid.UUID
	UserID string
	Delta  int64 // negative to take
	Reason string
}

// Adjust corrects the points of any customer, with a reason that is kept. Admins only. Errors: NOT_FOUND if no such customer has
// ever done anything, INVALID_INPUT, INSUFFICIENT_FUNDS if there are fewer points than are to be taken.
func (s *Points) Adjust(ctx context.Context, v Viewer, in AdjustPoints) (PointsResult, error) {
	if err := v.admin(); err != nil {
		return PointsResult{}, err
	}
	in.Reason = strings.TrimSpace(in.Reason)
	if err := checkAdjustment(in.Delta, input("delta"), in.Reason); err != nil {
		return PointsResult{}, err
	}
	known, err := s.Client.User.Query().Where(user.ID(in.UserID)).Exist(ctx)
	if err != nil {
		return PointsResult{}, err
	}
	if !known || !userIDPattern.MatchString(in.UserID) {
		return PointsResult{}, notFound(input("userId"), "customer", in.UserID)
	}
	key := lockprovider.PointsKey(in.UserID)
	open := unbounded(0)
	receipt, err := s.execute(ctx, lockprovider.Change{
		ID: operationID(v, "pointsAdjust", in.Key), Family: lockprovider.Points,
		Moves: []lockprovider.Move{{Balance: key, Delta: in.Delta, Open: &open}},
		Record: lockprovider.Record{
			Kind: KindPointsAdjusted, Fingerprint: fingerprint(in),
			Payload: mustJSON(pointsAdjusted{UserID: in.UserID, Delta: in.Delta, Reason: in.Reason, By: v.UserID, At: s.now()}),
		},
	})
	return PointsResult{Balance: receipt.Balances[key], Meta: metaOf(receipt)}, adjustmentRefused(err, input("delta"), "the wallet")
}

// Balance returns the points of a customer: the viewer's own, or anybody's for admins.
func (s *Points) Balance(ctx context.Context, v Viewer, userID string) (int64, error) {
	if err := v.mayAsk(userID); err != nil {
		return 0, err
	}
	key := lockprovider.PointsKey(userID)
	amounts, err := s.Ledger.Amounts(ctx, []string{key})
	return amounts[key], err
}

// Entries is the point history of a customer, newest first: the viewer's own, or anybody's for admins.
func (s *Points) Entries(ctx context.Context, v Viewer, userID string, page Page) (PageOf[*ent.Entry], error) {
	if err := v.mayAsk(userID); err != nil {
		return PageOf[*ent.Entry]{}, err
	}
	return s.entries(ctx, lockprovider.PointsKey(userID), page)
}

// entries is the journal of one balance, newest first.
func (c *core) entries(ctx context.Context, balance string, page Page) (PageOf[*ent.Entry], error) {
	listed := journal(balance)
	from, err := page.from(listed)
	if err != nil {
		return PageOf[*ent.Entry]{}, err
	}
	query := c.Client.Entry.Query().Where(entry.Balance(balance))
	if from != nil {
		query.Where(entry.IDLT(from.Number))
	}
	rows, err := query.Order(ent.Desc(entry.FieldID)).Limit(page.First + 1).All(ctx)
	if err != nil {
		return PageOf[*ent.Entry]{}, err
	}
	return pageOf(rows, page.First, listed, entryPosition), nil
}

// journal is the listing of the entries of one balance, newest first.
func journal(balance string) listing { return listing{"entries:" + balance, numberOnly} }

func entryPosition(e *ent.Entry) position { return position{Number: e.ID} }

// Entry returns an entry of the journal that the viewer may see, or nil if there is none.
func (c *core) entry(ctx context.Context, id string) (*ent.Entry, error) {
	number, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return nil, nil //nolint:nilerr // not an ID that was ever given out: there is no such entry
	}
	row, err := c.Client.Entry.Get(ctx, number)
	return orNil(row, err)
}

// orNil turns "not found" into nil.
func orNil[T any](row *T, err error) (*T, error) {
	if ent.IsNotFound(err) {
		return nil, nil
	}
	return row, err
}
