package graph_test

import "testing"

// TestRefundsAndFulfilment walks through the mutations of administrators, and looks at what the customer is shown.
func TestRefundsAndFulfilment(t *testing.T) {
	a := newAPI(t, settings{})
	placed := a.ok(alice, placeOrder, vars(object{
		"idempotencyKey": key(), "lines": line("prod_2", 3), "payment": object{"method": "CARD"},
	}))
	id := placed.text("placeOrder.order.id")
	refund := object{
		"idempotencyKey": key(), "orderId": id, "reason": "late", "amount": object{"amountMinor": "200", "currency": "USD"},
	}
	for range 2 {
		a.ok(admin, refundCreate, vars(refund)).want(
			"refundCreate.refund.status", "REFUNDED", "refundCreate.refund.amount.amountMinor", 200, "refundCreate.refund.restock", false,
			"refundCreate.refund.administratorId", "user_"+admin, "refundCreate.order.status", "PAID", "refundCreate.order.payment.status", "CAPTURED",
			"refundCreate.order.payment.refunded.amountMinor", 200, "refundCreate.order.payment.refundable.amountMinor", 7000,
		)
	}
	a.do(admin, refundCreate, vars(object{
		"idempotencyKey": key(), "orderId": id, "reason": "too much", "amount": object{"amountMinor": "7001", "currency": "USD"},
	})).want("refundCreate.refund", nil, "refundCreate.userErrors.0.code", "INVALID_INPUT", "refundCreate.userErrors.0.field.1", "amount")
	a.do(alice, cancelOrder, vars(object{"idempotencyKey": key(), "orderId": id})).want("cancelOrder.userErrors.0.code", "INVALID_STATE")

	parcel := object{"idempotencyKey": key(), "orderId": id, "tracking": "parcel 7"}
	for range 2 {
		a.ok(admin, orderFulfil, vars(parcel)).want(
			"orderFulfil.order.fulfilment", "FULFILLED", "orderFulfil.order.tracking", "parcel 7", "orderFulfil.userErrors", []any{},
		)
	}
	a.do(alice, cancelOrder, vars(object{"idempotencyKey": key(), "orderId": id})).want("cancelOrder.userErrors.0.code", "INVALID_STATE")
	a.ok(admin, returnCreate, vars(object{
		"idempotencyKey": key(), "orderId": id, "lines": line("prod_2", 2), "restock": true, "refund": true, "reason": "broken",
	})).want(
		"returnCreate.refund.status", "REFUNDED", "returnCreate.refund.lines.0.quantity", 2, "returnCreate.refund.lines.0.amount.amountMinor", 4800,
		"returnCreate.order.lines.0.returned", 2, "returnCreate.order.lines.0.paid.amountMinor", 7200,
		"returnCreate.order.payment.refundable.amountMinor", 2200,
	)
	const shown = `query($id: ID!) { order(id: $id) { refunds { reason status administratorId amount { amountMinor } } } }`
	a.ok(alice, shown, object{"id": id}).want(
		"order.refunds.0.reason", "broken", "order.refunds.1.reason", "late", "order.refunds.1.administratorId", nil,
	)
	a.ok(admin, shown, object{"id": id}).want("order.refunds.1.administratorId", "user_"+admin)
	a.do(bob, shown, object{"id": id}).want("order", nil)
}
