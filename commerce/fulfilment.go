package commerce

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"holdfast/ent"
	"holdfast/ent/order"
	"holdfast/ent/orderline"
	"holdfast/ent/payment"
	"holdfast/ent/predicate"
	"holdfast/ent/schema"
	"holdfast/lockprovider"
)

// FulfilOrder says that the products of a paid order were handed over or sent.
type FulfilOrder struct {
	Key      uuid.UUID
	OrderID  string
	Tracking string // where the parcel can be followed, if there is one
}

// Fulfil marks a paid order fulfilled, once. A fulfilled order is not cancelled any more, but returned. Admins only. Errors: INVALID_INPUT,
// NOT_FOUND, INVALID_STATE if the order is not PAID, is fulfilled already, or all of it was refunded or came back.
func (s *Orders) Fulfil(ctx context.Context, v Viewer, in FulfilOrder) (OrderResult, error) {
	if err := v.admin(); err != nil {
		return OrderResult{}, err
	}
	in.Tracking = strings.TrimSpace(in.Tracking)
	if errs := checkText("tracking", in.Tracking, 0, schema.MaxTracking); errs != nil {
		return OrderResult{}, errs
	}
	row, _, err := s.owned(ctx, v, in.OrderID)
	if err != nil {
		return OrderResult{}, err
	}
	receipt, err := s.Ledger.Apply(ctx, lockprovider.Change{
		ID: operationID(v, "orderFulfil", in.Key), Family: lockprovider.Stock,
		Record: lockprovider.Record{
			Kind: KindOrderFulfilled, Fingerprint: fingerprint(in),
			Payload: mustJSON(orderFulfilled{OrderID: row.ID, UserID: row.UserID, Tracking: in.Tracking, By: v.UserID, At: s.now()}),
		},
	})
	err = translate(err, receipt)
	result, lerr := s.load(ctx, row.ID)
	switch {
	case lerr != nil:
		err = unshown(err, lerr)
	case errors.Is(err, errOrderAdvanced):
		err = notFulfillable(result)
	}
	return OrderResult{Order: result, Meta: metaOf(receipt)}, err
}

// notFulfillable says why an order cannot be fulfilled.
func notFulfillable(row *ent.Order) *Error {
	e := &Error{
		Code: InvalidState, Field: input("orderId"), Message: "the order is " + row.Status.String() + ", not PAID",
		Retryable: row.Status == order.StatusPENDING, // when it is paid
	}
	switch {
	case row.Fulfilment == order.FulfilmentFULFILLED:
		e.Message = "the order is fulfilled already"
	case row.Status == order.StatusPAID:
		made := row.Edges.Payment
		e.Retryable = unitsLeft(row) && made != nil && refundedForGood(made) < made.AmountMinor // if a refund fails
		e.Message = "all of the order was refunded, or is about to be, or all of its products came back"
	}
	return e
}

func writeOrderFulfilled(ctx context.Context, tx *ent.Tx, p orderFulfilled) error {
	n, err := tx.Order.Update().
		Where(order.ID(p.OrderID), order.StatusEQ(order.StatusPAID), order.FulfilmentEQ(order.FulfilmentUNFULFILLED)).
		SetFulfilment(order.FulfilmentFULFILLED).SetFulfilledAt(p.At).SetTracking(p.Tracking).SetUpdatedAt(p.At).Save(ctx)
	if err != nil {
		return err
	}
	if n == 0 {
		return errOrderAdvanced
	}
	left := predicate.OrderLine(func(s *sql.Selector) { s.Where(sql.ColumnsLT(orderline.FieldReturned, orderline.FieldQuantity)) })
	if some, err := tx.OrderLine.Query().Where(orderline.OrderID(p.OrderID), left).Exist(ctx); err != nil || !some {
		return cmp.Or[error](err, errOrderAdvanced)
	}
	made, err := tx.Payment.Query().Where(payment.OrderID(p.OrderID)).Only(ctx)
	if err == nil && made.AmountMinor > 0 && made.RefundedMinor+made.RefundingMinor == made.AmountMinor {
		return errOrderAdvanced
	}
	return err
}
