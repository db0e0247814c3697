package graph_test

import (
	"strings"
	"testing"

	"holdfast/commerce"
)

const (
	cartFields = ` cart { id customer { id } totalQuantity subtotal { amountMinor currency } order { id }
		lines { product { id archivedAt } quantity unitPrice { amountMinor } total { amountMinor } availableForSale } } `
	cartCreate              = `mutation($input: CartCreateInput!) { cartCreate(input: $input) {` + cartFields + failures + `} }`
	cartLinesAdd            = `mutation($input: CartLinesAddInput!) { cartLinesAdd(input: $input) {` + cartFields + failures + `} }`
	cartLinesUpdate         = `mutation($input: CartLinesUpdateInput!) { cartLinesUpdate(input: $input) {` + cartFields + failures + `} }`
	cartLinesRemove         = `mutation($input: CartLinesRemoveInput!) { cartLinesRemove(input: $input) {` + cartFields + failures + `} }`
	cartBuyerIdentityUpdate = `mutation($input: CartBuyerIdentityUpdateInput!) { cartBuyerIdentityUpdate(input: $input) {` + cartFields + failures + `} }`
	cartCheckout            = `mutation($input: CartCheckoutInput!) { cartCheckout(input: $input) {` + cartFields + order + ` attempt { id } ` + meta + failures + `} }`
	readCart                = `query($id: ID!) { cart(id: $id) { id lines { quantity } order { id status } } }`
	couponPreview           = `query($id: ID!, $issue: ID!) { cart(id: $id) { couponPreview(couponIssueId: $issue) { discount { amountMinor } total { amountMinor } ` + failures + ` } } }`
)

// TestCart goes from the cart of a guest to the order of a customer.
func TestCart(t *testing.T) {
	a := newAPI(t, settings{})
	made := a.ok(nobody, cartCreate, vars(object{"lines": []object{{"productId": "prod_7", "quantity": 2}, {"productId": "prod_2"}}})).want(
		"cartCreate.cart.customer", nil, "cartCreate.cart.totalQuantity", 3, "cartCreate.cart.subtotal.amountMinor", 2*3900+2400,
		"cartCreate.cart.lines.0.availableForSale", true, "cartCreate.cart.lines.1.quantity", 1)
	id := made.text("cartCreate.cart.id")
	a.ok(nobody, cartLinesAdd, vars(object{"cartId": id, "lines": []object{{"productId": "prod_7", "quantity": 9}}})).want(
		"cartLinesAdd.cart.lines.0.quantity", 11, "cartLinesAdd.cart.lines.0.availableForSale", false)
	a.do(nobody, cartLinesAdd, vars(object{"cartId": id, "lines": []object{{"productId": "prod_0"}}})).want(
		"cartLinesAdd.cart", nil, "cartLinesAdd.userErrors.0.code", "NOT_FOUND", "cartLinesAdd.userErrors.0.field", []any{"input", "lines", "0", "productId"})
	a.ok(nobody, cartLinesUpdate, vars(object{"cartId": id, "lines": []object{{"productId": "prod_7", "quantity": 1}}})).want(
		"cartLinesUpdate.cart.lines.0.total.amountMinor", 3900)
	a.do(nobody, `mutation($input: CartLinesRemoveInput!) { cartLinesRemove(input: $input) { cart { id } } }`,
		vars(object{"cartId": id, "productIds": []string{"prod_7", "coup_half"}})).wantError("BAD_USER_INPUT")
	a.do(nobody, cartLinesUpdate, vars(object{"cartId": id, "lines": []object{{"productId": "prod_7"}}})).wantError("GRAPHQL_VALIDATION_FAILED") // no quantity is none
	a.ok(nobody, cartLinesRemove, vars(object{"cartId": id, "productIds": []string{"prod_2"}})).want("cartLinesRemove.cart.totalQuantity", 1)

	a.do(nobody, cartCheckout, vars(object{"idempotencyKey": key(), "cartId": id})).wantError("UNAUTHENTICATED")
	a.do(nobody, couponPreview, object{"id": id, "issue": commerce.DemoIssueID}).want("cart.couponPreview", nil).wantError("UNAUTHENTICATED")
	a.ok(alice, couponPreview, object{"id": id, "issue": commerce.DemoIssueID}).want(
		"cart.couponPreview.discount.amountMinor", 500, "cart.couponPreview.total.amountMinor", 3400, "cart.couponPreview.userErrors", []any{})
	a.ok(bob, couponPreview, object{"id": id, "issue": commerce.DemoIssueID}).want("cart.couponPreview.total", nil,
		"cart.couponPreview.userErrors.0.code", "NOT_FOUND", "cart.couponPreview.userErrors.0.field", []any{"couponIssueId"})

	a.ok(alice, cartBuyerIdentityUpdate, vars(object{"cartId": id})).want("cartBuyerIdentityUpdate.cart.customer.id", "user_alice")
	for _, user := range []string{nobody, bob, admin} {
		a.ok(user, readCart, object{"id": id}).want("cart", nil)
	}
	input := object{
		"idempotencyKey": key(), "cartId": id, "couponIssueId": commerce.DemoIssueID, "payment": object{"method": "POINTS"},
		"expectedTotal": object{"amountMinor": 3401, "currency": "USD"}, "shippingAddress": inCity("Ulm"),
	}
	a.do(alice, cartCheckout, vars(input)).want("cartCheckout.userErrors.0.__typename", "PriceChangedError", "cartCheckout.order", nil,
		"cartCheckout.cart.order", nil)
	input["expectedTotal"] = object{"amountMinor": 3400, "currency": "USD"}
	first := a.ok(alice, cartCheckout, vars(input)).want("cartCheckout.order.status", "PAID", "cartCheckout.order.total.amountMinor", 3400,
		"cartCheckout.products.0.stock.available", 9, "cartCheckout.couponIssue.status", "USED", "cartCheckout.meta.replayed", false,
		"cartCheckout.meta.strategy", "SETNX")
	placed := first.text("cartCheckout.order.id")
	first.want("cartCheckout.cart.order.id", placed)
	a.ok(alice, cartCheckout, vars(object{"idempotencyKey": key(), "cartId": id})).want("cartCheckout.order.id", placed, "cartCheckout.meta.replayed", true)
	a.do(alice, cartLinesAdd, vars(object{"cartId": id, "lines": []object{{"productId": "prod_7"}}})).want("cartLinesAdd.userErrors.0.code", "INVALID_STATE")
	a.ok(alice, couponPreview, object{"id": id, "issue": commerce.DemoIssueID}).want("cart.couponPreview.userErrors.0.code", "INVALID_STATE",
		"cart.couponPreview.total", nil)
	if strings.Contains(a.log.String(), id) {
		t.Errorf("the log has the secret: %s", a.log)
	}
}
