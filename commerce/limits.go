package commerce

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"holdfast/ent"
	"holdfast/lockprovider"
)

// What one customer may order of a variant is bounded by a second balance in the change that reserves the stock: it counts the units
// of the customer's orders that were not cancelled, and have not expired or failed. So the limit is as exact as the stock, under every strategy. The limit itself
// goes with the move, since it may change while the count stays.

const (
	maxLimit      = 1_000_000
	maxLimitHours = 10 * 366 * 24
)

// PurchaseLimit is how much of a variant one customer may order.
type PurchaseLimit struct {
	Quantity int64 // at most this many, in all orders of a period together; 0 for no limit
	Hours    int   // how long a period is; 0 if there is one period, without an end
}

// check refuses a limit that is out of bounds. at names the fields of the input that the limit is in.
func (l PurchaseLimit) check(at func(path ...string) []string) Errors {
	var errs Errors
	if l.Quantity < 0 || l.Quantity > maxLimit {
		errs = append(errs, invalid(at("limitPerCustomer", "quantity"), "quantity must be 0 (no limit) to %d, not %d", maxLimit, l.Quantity))
	}
	if l.Hours < 0 || l.Hours > maxLimitHours {
		errs = append(errs, invalid(at("limitPerCustomer", "periodHours"), "periodHours must be 1 to %d, not %d", maxLimitHours, l.Hours))
	}
	return errs
}

// limitOf is the limit of a variant. Its quantity is 0 if it has none.
func limitOf(row *ent.ProductVariant) PurchaseLimit {
	return PurchaseLimit{Quantity: row.LimitQuantity, Hours: row.LimitHours}
}

// period names the period of a moment: how many periods have ended since 1970 (UTC). Periods of another length count on their own.
func (l PurchaseLimit) period(at time.Time) string {
	if l.Hours == 0 {
		return ""
	}
	length := time.Duration(l.Hours) * time.Hour
	return strconv.Itoa(l.Hours) + "h" + strconv.FormatInt(at.Unix()/int64(length/time.Second), 10)
}

// move counts what a customer orders at a moment.
func (l PurchaseLimit) move(variantID, userID string, quantity int64, at time.Time) lockprovider.Move {
	open := unbounded(0)
	return lockprovider.Move{
		Balance: lockprovider.BuyerKey(variantID, userID, l.period(at)), Delta: quantity, Limit: &l.Quantity, Open: &open,
	}
}

// How many orders of one customer wait for payment is a balance too, which the change that places an order raises. It is lowered by a change
// of its own after the order was paid or has ended, since a payment moves balances of another family. Until then the order is not settled, so
// that a job makes that change if a crash has cut it off.

// pendingMove counts an order that is placed.
func pendingMove(userID string, most int64) lockprovider.Move {
	open := unbounded(0)
	return lockprovider.Move{Balance: lockprovider.PendingKey(userID), Delta: 1, Limit: &most, Open: &open}
}

// tooManyPending refuses an order of a customer who has as many that wait for payment as one may have.
func tooManyPending(most int64) *Error {
	return &Error{
		Code: TooManyPending, Retryable: true, // after one was paid or has ended
		Message: fmt.Sprintf("at most %d orders of one customer may wait for payment; pay or cancel one first", most),
	}
}

// holdsMove counts a hold that begins.
func holdsMove(userID string, most int64) lockprovider.Move {
	open := unbounded(0)
	return lockprovider.Move{Balance: lockprovider.HoldsKey(userID), Delta: 1, Limit: &most, Open: &open}
}

// tooManyHolds refuses a hold of a customer who has as many as one may have.
func tooManyHolds(most int64) *Error {
	return &Error{
		Code: TooManyHolds, Retryable: true, // after one has ended
		Message: fmt.Sprintf("one customer may have at most %d holds at a time; order what one of them has, release one, or wait until one ends", most),
	}
}

// release notes that an order does not wait for payment any more. It does so once, whoever calls it.
func (s *Orders) release(ctx context.Context, row *ent.Order) error {
	return ignoreAdvanced(s.step(ctx, nil, lockprovider.Change{
		ID: stepID(row.ID, "release"), Family: lockprovider.Stock,
		Moves: []lockprovider.Move{{Balance: lockprovider.PendingKey(row.UserID), Delta: -1}},
		Record: lockprovider.Record{
			Kind: KindOrderReleased, Fingerprint: row.ID,
			Payload: mustJSON(orderReleased{OrderID: row.ID, UserID: row.UserID, At: s.now()}),
		},
	}))
}

// PurchaseLimitDetails names the variant of which a customer may not order that many, and how many more one may.
type PurchaseLimitDetails struct {
	ProductID, VariantID string
	Requested, Available int64
}

func limitReached(productID, variantID string, requested, available int64, field []string) *Error {
	e := invalid(field, "one customer may order %d more of this product, not %d", available, requested)
	e.Code, e.Retryable = PurchaseLimitReached, true // after an order of the customer was cancelled, or in the next period
	e.Details = PurchaseLimitDetails{ProductID: productID, VariantID: variantID, Requested: requested, Available: available}
	return e
}
