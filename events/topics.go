package events

import (
	"fmt"

	"holdfast/commerce"
)

// The topics. Within a topic, events with the same key stay in order; see docs/events.md for what is in them.
const (
	TopicOrders   = "holdfast.orders"   // keyed by user
	TopicStock    = "holdfast.stock"    // keyed by product
	TopicCoupons  = "holdfast.coupons"  // keyed by user
	TopicPoints   = "holdfast.points"   // keyed by user
	TopicAccounts = "holdfast.accounts" // keyed by user
	// TopicPoison takes the messages that no retry could handle, with the reason in their metadata.
	TopicPoison = "holdfast.poison"
)

// Topics lists all topics.
var Topics = []string{TopicOrders, TopicStock, TopicCoupons, TopicPoints, TopicAccounts, TopicPoison}

// KindStockChanged is derived: one event for each stock that a change has moved, whatever the change was.
const KindStockChanged = "stock.changed"

// kind describes a kind of event.
type kind struct {
	topic   string
	payload func() any // a pointer to the type of the payload
}

// kinds is every kind of event. A record of a kind that is missing here goes to the poison topic, with an ERROR in the log.
var kinds = map[string]kind{
	commerce.KindOrderPlaced:       {TopicOrders, func() any { return new(OrderPlaced) }},
	commerce.KindHoldCreated:       {TopicOrders, func() any { return new(HoldCreated) }},
	commerce.KindHoldEnded:         {TopicOrders, func() any { return new(HoldEnded) }},
	commerce.KindOrderPaid:         {TopicOrders, func() any { return new(OrderPaid) }},
	commerce.KindOrderEnded:        {TopicOrders, func() any { return new(OrderEnded) }},
	commerce.KindOrderRefunded:     {TopicOrders, func() any { return new(OrderRefunded) }},
	commerce.KindOrderReleased:     {TopicOrders, func() any { return new(OrderReleased) }},
	commerce.KindLimitCorrected:    {TopicOrders, func() any { return new(LimitCorrected) }},
	commerce.KindOrderFulfilled:    {TopicOrders, func() any { return new(OrderFulfilled) }},
	commerce.KindOrderReturned:     {TopicOrders, func() any { return new(OrderReturned) }},
	commerce.KindRefundCompleted:   {TopicOrders, func() any { return new(RefundCompleted) }},
	commerce.KindRefundFailed:      {TopicOrders, func() any { return new(RefundCompleted) }},
	commerce.KindPaymentAuthorized: {TopicOrders, func() any { return new(OrderPaid) }},
	commerce.KindPaymentReturned:   {TopicOrders, func() any { return new(PaymentReturned) }},
	commerce.KindCouponIssued:      {TopicCoupons, func() any { return new(CouponIssued) }},
	commerce.KindCouponSpent:       {TopicCoupons, func() any { return new(CouponUsed) }},
	commerce.KindCouponReturned:    {TopicCoupons, func() any { return new(CouponUsed) }},
	commerce.KindPointsCharged:     {TopicPoints, func() any { return new(PointsCharged) }},
	commerce.KindTransferCompleted: {TopicAccounts, func() any { return new(TransferCompleted) }},
	commerce.KindStockAdjusted:     {TopicStock, func() any { return new(StockAdjusted) }},
	commerce.KindPointsAdjusted:    {TopicPoints, func() any { return new(PointsAdjusted) }},
	commerce.KindAccountAdjusted:   {TopicAccounts, func() any { return new(AccountAdjusted) }},
	KindStockChanged:               {TopicStock, func() any { return new(StockChanged) }},
}

// subject has the fields of a payload that give its message a key and a correlation ID. Each payload has some of them.
type subject struct {
	UserID    string `json:"userId"`
	ProductID string `json:"productId"`
	OrderID   string `json:"orderId"`
}

// key returns the key of a message. Events of a topic with the same key stay in order.
func (s subject) key(topic string) (string, error) {
	key, name := s.UserID, "userId"
	if topic == TopicStock {
		key, name = s.ProductID, "productId"
	}
	if key == "" {
		return "", fmt.Errorf("payload without %s", name)
	}
	return key, nil
}
