package events

import "time"

// The payloads of the events, as docs/events.md promises them to consumers outside of this program. They are not the
// types that package commerce writes, on purpose: a test compares the two, so that nobody changes the promise unawares.
type (
	// OrderPlaced is an order whose stock is reserved until it is paid, ends, or ExpiresAt.
	OrderPlaced struct {
		OrderID       string      `json:"orderId"`
		UserID        string      `json:"userId"`
		Lines         []OrderLine `json:"lines"`
		SubtotalMinor int64       `json:"subtotalMinor"`
		DiscountMinor int64       `json:"discountMinor"`
		TotalMinor    int64       `json:"totalMinor"`
		Currency      string      `json:"currency"`
		CouponIssueID string      `json:"couponIssueId,omitempty"`
		CreatedAt     time.Time   `json:"createdAt"`
		ExpiresAt     time.Time   `json:"expiresAt"`
		// Payment is how the customer wants to pay. It is nil if the order is to be paid later.
		Payment *PaymentRequest `json:"payment,omitempty"`
		// Ticket is true if the order came by a ticket of the queue.
		Ticket bool `json:"ticket,omitempty"`
		// MaxPending is shop.maxPending when the order was placed. It is 0 if orders that wait for payment are not counted.
		MaxPending int64 `json:"maxPending,omitempty"`
		// HoldID is the hold that the order has taken over. Its stock was reserved when the hold was created.
		HoldID string `json:"holdId,omitempty"`
	}
	// HoldCreated is products that are held for a customer, until an order takes the hold over, or until it ends.
	HoldCreated struct {
		HoldID string     `json:"holdId"`
		UserID string     `json:"userId"`
		Lines  []HeldLine `json:"lines"`
		// MaxHolds is shop.maxHolds when the hold was created.
		MaxHolds  int64     `json:"maxHolds"`
		CreatedAt time.Time `json:"createdAt"`
		ExpiresAt time.Time `json:"expiresAt"` // its deadline at first: extensions have no event
	}
	// HeldLine is units of one variant.
	HeldLine struct {
		ProductID string `json:"productId"`
		VariantID string `json:"variantId,omitempty"` // absent in an event from before there were variants
		Quantity  int64  `json:"quantity"`
	}
	// HoldEnded is a hold without an order: its stock is given back.
	HoldEnded struct {
		HoldID    string     `json:"holdId"`
		UserID    string     `json:"userId"`
		Status    string     `json:"status"` // RELEASED or EXPIRED
		Lines     []HeldLine `json:"lines"`
		ExpiresAt time.Time  `json:"expiresAt"` // the deadline that it had
		At        time.Time  `json:"at"`
	}
	// PaymentRequest is how an order is to be paid.
	PaymentRequest struct {
		Method    string `json:"method"` // POINTS, ACCOUNT or CARD
		AccountID string `json:"accountId,omitempty"`
	}
	// OrderLine is one variant of an order.
	OrderLine struct {
		ProductID      string `json:"productId"`
		VariantID      string `json:"variantId,omitempty"`    // absent in an event from before there were variants
		VariantTitle   string `json:"variantTitle,omitempty"` // absent if the product had no options
		Quantity       int64  `json:"quantity"`
		UnitPriceMinor int64  `json:"unitPriceMinor"`
	}
	// OrderPaid is an order that is paid, or whose payment a gateway has authorized.
	OrderPaid struct {
		OrderID string      `json:"orderId"`
		UserID  string      `json:"userId"`
		Payment PaymentMade `json:"payment"`
		At      time.Time   `json:"at"`
	}
	// PaymentMade is how an order was paid.
	PaymentMade struct {
		Method      string `json:"method"` // POINTS, ACCOUNT or CARD
		AmountMinor int64  `json:"amountMinor"`
		Currency    string `json:"currency"`
		AccountID   string `json:"accountId,omitempty"`
		Reference   string `json:"reference,omitempty"` // of the payment gateway
		AttemptID   string `json:"attemptId,omitempty"` // the payment attempt of a card
	}
	// OrderEnded is an order that will not be fulfilled: its stock is given back.
	OrderEnded struct {
		OrderID string      `json:"orderId"`
		UserID  string      `json:"userId"`
		Status  string      `json:"status"` // FAILED, CANCELLED or EXPIRED
		Code    string      `json:"code,omitempty"`
		Reason  string      `json:"reason,omitempty"`
		Lines   []OrderLine `json:"lines"`
		At      time.Time   `json:"at"`
	}
	// PaymentReturned is a payment by card for which nothing was sold, and which the gateway has given back: it has voided the
	// authorization, or refunded what it had captured.
	PaymentReturned struct {
		AttemptID   string    `json:"attemptId"`
		OrderID     string    `json:"orderId,omitempty"` // absent if it was made for points
		UserID      string    `json:"userId"`
		Status      string    `json:"status"` // VOIDED or REFUNDED
		AmountMinor int64     `json:"amountMinor"`
		Currency    string    `json:"currency"`
		Reference   string    `json:"reference,omitempty"`
		Reason      string    `json:"reason"`
		At          time.Time `json:"at"`
	}
	// OrderRefunded is a paid order whose payment is given back.
	OrderRefunded struct {
		OrderID string    `json:"orderId"`
		UserID  string    `json:"userId"`
		At      time.Time `json:"at"`
	}
	// OrderReleased is an order that does not wait for payment any more, of a customer whose waiting orders are counted.
	OrderReleased struct {
		OrderID string    `json:"orderId"`
		UserID  string    `json:"userId"`
		At      time.Time `json:"at"`
	}
	// LimitCorrected is a count of what a customer has ordered or holds that has differed from the orders and holds, and is right again.
	LimitCorrected struct {
		UserID    string    `json:"userId"`
		ProductID string    `json:"productId,omitempty"` // the product that is counted; absent if it is orders that wait for payment, or holds
		VariantID string    `json:"variantId,omitempty"` // the variant of the product
		Period    string    `json:"period,omitempty"`    // of the limit of the variant; absent if it has one period only
		Holds     bool      `json:"holds,omitempty"`     // true if holds are counted
		Delta     int64     `json:"delta"`
		At        time.Time `json:"at"`
	}
	// OrderFulfilled is a paid order whose products were handed over or sent.
	OrderFulfilled struct {
		OrderID  string    `json:"orderId"`
		UserID   string    `json:"userId"`
		Tracking string    `json:"tracking,omitempty"`
		By       string    `json:"by"` // the administrator
		At       time.Time `json:"at"`
	}
	// OrderReturned is products of an order that are in stock again.
	OrderReturned struct {
		RefundID string         `json:"refundId"`
		OrderID  string         `json:"orderId"`
		UserID   string         `json:"userId"`
		Lines    []ReturnedLine `json:"lines"`
		At       time.Time      `json:"at"`
	}
	// ReturnedLine is units of one variant.
	ReturnedLine struct {
		ProductID string `json:"productId"`
		VariantID string `json:"variantId,omitempty"` // absent in an event from before there were variants
		Quantity  int64  `json:"quantity"`
	}
	// RefundCompleted is a part of the payment of an order that was given back.
	RefundCompleted struct {
		RefundID    string    `json:"refundId"`
		OrderID     string    `json:"orderId"`
		UserID      string    `json:"userId"`
		Method      string    `json:"method"` // how the order was paid: POINTS, ACCOUNT or CARD
		AmountMinor int64     `json:"amountMinor"`
		Currency    string    `json:"currency"`
		Reason      string    `json:"reason"`
		At          time.Time `json:"at"`
	}
	// CouponIssued is a coupon that was issued to a customer.
	CouponIssued struct {
		IssueID  string    `json:"issueId"`
		CouponID string    `json:"couponId"`
		UserID   string    `json:"userId"`
		At       time.Time `json:"at"`
	}
	// CouponUsed is an issued coupon that an order has spent, or given back.
	CouponUsed struct {
		IssueID string    `json:"issueId"`
		OrderID string    `json:"orderId"`
		UserID  string    `json:"userId"`
		At      time.Time `json:"at"`
	}
	// PointsCharged is points that a customer has bought.
	PointsCharged struct {
		UserID string `json:"userId"`
		Amount int64  `json:"amount"`
		// Payment is how they were paid for. It is nil for points of demo data.
		Payment *PaymentMade `json:"payment,omitempty"`
		At      time.Time    `json:"at"`
	}
	// TransferCompleted is money moved from one account to another.
	TransferCompleted struct {
		TransferID    string    `json:"transferId"`
		UserID        string    `json:"userId"`
		FromAccountID string    `json:"fromAccountId"`
		ToAccountID   string    `json:"toAccountId"`
		AmountMinor   int64     `json:"amountMinor"`
		Currency      string    `json:"currency"`
		At            time.Time `json:"at"`
	}
	// StockAdjusted is stock added or taken by an administrator.
	StockAdjusted struct {
		ProductID string    `json:"productId"`
		VariantID string    `json:"variantId,omitempty"` // absent in an event from before there were variants
		Delta     int64     `json:"delta"`
		Reason    string    `json:"reason,omitempty"`
		By        string    `json:"by,omitempty"` // the administrator
		At        time.Time `json:"at"`
	}
	// PointsAdjusted is a correction of a customer's points by an administrator.
	PointsAdjusted struct {
		UserID string    `json:"userId"`
		Delta  int64     `json:"delta"`
		Reason string    `json:"reason"`
		By     string    `json:"by"` // the administrator
		At     time.Time `json:"at"`
	}
	// AccountAdjusted is a correction of the money in an account by an administrator.
	AccountAdjusted struct {
		AccountID  string    `json:"accountId"`
		UserID     string    `json:"userId"`
		DeltaMinor int64     `json:"deltaMinor"`
		Currency   string    `json:"currency"`
		Reason     string    `json:"reason"`
		By         string    `json:"by"` // the administrator
		At         time.Time `json:"at"`
	}
	// StockChanged is the stock of one variant after one change.
	StockChanged struct {
		ProductID   string `json:"productId"`
		VariantID   string `json:"variantId,omitempty"` // absent in an event from before there were variants
		Delta       int64  `json:"delta"`
		AmountAfter int64  `json:"amountAfter"`
		// Position rises with every change of the variant's stock. An event with a lower position than the last is out of date.
		// It is not the position of the API: it is the number of the entry among those of all balances.
		Position int64     `json:"position"`
		ChangeID string    `json:"changeId"`
		Cause    string    `json:"cause"` // the kind of the change, such as order.placed
		At       time.Time `json:"at"`
	}
)
