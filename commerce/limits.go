package commerce

import (
	"strconv"
	"time"

	"holdfast/ent"
	"holdfast/lockprovider"
)

// What one customer may order of a product is bounded by a second balance in the change that reserves the stock: it counts the units
// of the customer's orders that were not cancelled, and have not expired or failed. So the limit is as exact as the stock, under every strategy. The limit itself
// goes with the move, since it may change while the count stays.

const (
	maxLimit      = 1_000_000
	maxLimitHours = 10 * 366 * 24
)

// PurchaseLimit is how much of a product one customer may order.
type PurchaseLimit struct {
	Quantity int64 // at most this many, in all orders of a period together; 0 for no limit
	Hours    int   // how long a period is; 0 if there is one period, without an end
}

func (l PurchaseLimit) check() Errors {
	var errs Errors
	if l.Quantity < 0 || l.Quantity > maxLimit {
		errs = append(errs, invalid(input("limitPerCustomer", "quantity"), "quantity must be 0 (no limit) to %d, not %d", maxLimit, l.Quantity))
	}
	if l.Hours < 0 || l.Hours > maxLimitHours {
		errs = append(errs, invalid(input("limitPerCustomer", "periodHours"), "periodHours must be 1 to %d, not %d", maxLimitHours, l.Hours))
	}
	return errs
}

// limitOf is the limit of a product. Its quantity is 0 if it has none.
func limitOf(row *ent.Product) PurchaseLimit {
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
func (l PurchaseLimit) move(productID, userID string, quantity int64, at time.Time) lockprovider.Move {
	open := unbounded(0)
	return lockprovider.Move{
		Balance: lockprovider.BuyerKey(productID, userID, l.period(at)), Delta: quantity, Limit: &l.Quantity, Open: &open,
	}
}

// PurchaseLimitDetails names the product of which a customer may not order that many, and how many more one may.
type PurchaseLimitDetails struct {
	ProductID            string
	Requested, Available int64
}

func limitReached(productID string, requested, available int64, field []string) *Error {
	e := invalid(field, "one customer may order %d more of this product, not %d", available, requested)
	e.Code, e.Retryable = PurchaseLimitReached, true // after an order of the customer was cancelled, or in the next period
	e.Details = PurchaseLimitDetails{ProductID: productID, Requested: requested, Available: available}
	return e
}
