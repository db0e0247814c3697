package graph_test

import (
	"testing"
	"time"
)

const (
	holdFields = ` hold { id status expiresAt extendableUntil createdAt order { id } lines { quantity product { id stock { available } } } } `

	holdCreate  = `mutation($input: HoldCreateInput!) { holdCreate(input: $input) {` + holdFields + meta + failures + `} }`
	holdExtend  = `mutation($input: HoldExtendInput!) { holdExtend(input: $input) {` + holdFields + failures + `} }`
	holdRelease = `mutation($input: HoldReleaseInput!) { holdRelease(input: $input) {` + holdFields + failures + `} }`
	readHold    = `query($id: ID!) {` + ` hold(id: $id) { id status order { id status } } node(id: $id) { ... on Hold { lines { quantity } } } }`
)

// TestHoldOfACart goes from a hold to the order that takes it over.
func TestHoldOfACart(t *testing.T) {
	a := newAPI(t, settings{})
	in := object{"idempotencyKey": key(), "lines": line("prod_7", 4), "ttlSeconds": 60}
	made := a.ok(alice, holdCreate, vars(in)).want(
		"holdCreate.hold.status", "ACTIVE", "holdCreate.hold.order", nil, "holdCreate.hold.lines.0.quantity", 4,
		"holdCreate.hold.lines.0.product.id", "prod_7", "holdCreate.hold.lines.0.product.stock.available", 6,
		"holdCreate.meta.replayed", false, "holdCreate.meta.strategy", "SETNX")
	id := made.text("holdCreate.hold.id")
	at := func(r result, path string) time.Time {
		t.Helper()
		moment, err := time.Parse(time.RFC3339Nano, r.text(path))
		must(t, err)
		return moment
	}
	created := at(made, "holdCreate.hold.createdAt")
	if kept, most := at(made, "holdCreate.hold.expiresAt").Sub(created), at(made, "holdCreate.hold.extendableUntil").Sub(created); kept != time.Minute || most != 30*time.Minute {
		t.Errorf("it is kept for %s, and for %s at most", kept, most)
	}
	a.ok(alice, holdCreate, vars(in)).want("holdCreate.hold.id", id, "holdCreate.meta.replayed", true)
	a.do(bob, placeOrder, vars(object{"idempotencyKey": key(), "lines": line("prod_7", 7)})).want("placeOrder.userErrors.0.code", "OUT_OF_STOCK",
		"placeOrder.userErrors.0.available", 6)

	a.ok(alice, readHold, object{"id": id}).want("hold.status", "ACTIVE", "node.lines.0.quantity", 4)
	a.ok(admin, readHold, object{"id": id}).want("hold.status", "ACTIVE")
	a.ok(bob, readHold, object{"id": id}).want("hold", nil, "node", nil)
	a.ok(bob, `{ me { holds { nodes { id } } } }`, nil).want("me.holds.nodes", []any{})
	a.do(bob, holdExtend, vars(object{"id": id, "ttlSeconds": 60})).want("holdExtend.hold", nil, "holdExtend.userErrors.0.code", "NOT_FOUND",
		"holdExtend.userErrors.0.field", []any{"input", "id"})
	a.do(bob, holdRelease, vars(object{"id": id})).want("holdRelease.userErrors.0.code", "NOT_FOUND")
	a.do(bob, placeOrder, vars(object{"idempotencyKey": key(), "lines": line("prod_7", 4), "holdId": id})).want("placeOrder.userErrors.0.code", "NOT_FOUND",
		"placeOrder.userErrors.0.field", []any{"input", "holdId"}, "placeOrder.order", nil)
	extended := a.ok(alice, holdExtend, vars(object{"id": id, "ttlSeconds": 600}))
	if got := at(extended, "holdExtend.hold.expiresAt").Sub(created); got < 10*time.Minute {
		t.Errorf("it ends %s after its beginning", got)
	}
	for _, seconds := range []int{0, 3600} {
		a.do(alice, holdExtend, vars(object{"id": id, "ttlSeconds": seconds})).want("holdExtend.userErrors.0.code", "INVALID_INPUT",
			"holdExtend.userErrors.0.field", []any{"input", "ttlSeconds"})
		a.do(alice, holdCreate, vars(object{"idempotencyKey": key(), "lines": line("prod_7", 1), "ttlSeconds": seconds})).want(
			"holdCreate.userErrors.0.field", []any{"input", "ttlSeconds"}, "holdCreate.hold", nil)
	}
	// No duration overflows: the largest number is refused as any other that is too large.
	a.do(alice, holdCreate, vars(object{"idempotencyKey": key(), "lines": line("prod_7", 1), "ttlSeconds": 2147483647})).want(
		"holdCreate.userErrors.0.field", []any{"input", "ttlSeconds"})

	cart := a.ok(alice, cartCreate, vars(object{"lines": line("prod_7", 4)})).text("cartCreate.cart.id")
	placed := a.ok(alice, cartCheckout, vars(object{"idempotencyKey": key(), "cartId": cart, "holdId": id})).want(
		"cartCheckout.order.status", "PENDING").text("cartCheckout.order.id")
	a.ok(alice, readHold, object{"id": id}).want("hold.status", "CONSUMED", "hold.order.id", placed, "hold.order.status", "PENDING")
	a.ok(alice, `{ product(id: "prod_7") { stock { available } } }`, nil).want("product.stock.available", 6)
	a.do(alice, holdRelease, vars(object{"id": id})).want("holdRelease.userErrors.0.code", "INVALID_STATE")

	second := a.ok(alice, holdCreate, vars(object{"idempotencyKey": key(), "lines": line("prod_7", 6), "ttlSeconds": 60})).text("holdCreate.hold.id")
	a.ok(alice, `{ me { holds { nodes { id status } totalCount { count } } active: holds(status: ACTIVE) { nodes { id } } } }`, nil).want(
		"me.holds.nodes.0.id", second, "me.holds.nodes.1.status", "CONSUMED", "me.holds.totalCount.count", 2, "me.active.nodes.0.id", second, "me.active.nodes.1", nil)
	a.do(alice, placeOrder, vars(object{"idempotencyKey": key(), "lines": line("prod_7", 5), "holdId": second})).want(
		"placeOrder.userErrors.0.field", []any{"input", "lines"}, "placeOrder.userErrors.0.code", "INVALID_INPUT")
	a.ok(alice, holdRelease, vars(object{"id": second})).want("holdRelease.hold.status", "RELEASED",
		"holdRelease.hold.lines.0.product.stock.available", 6)

	const history = `{ product(id: "prod_7") { stockHistory(filter: {kind: [HOLD_CREATED, HOLD_ENDED]}) { nodes { kind delta source { ... on Hold { id } } } } } }`
	a.ok(admin, history, nil).want("product.stockHistory.nodes.0.kind", "HOLD_ENDED", "product.stockHistory.nodes.0.delta", 6,
		"product.stockHistory.nodes.0.source.id", second, "product.stockHistory.nodes.1.kind", "HOLD_CREATED", "product.stockHistory.nodes.2.source.id", id)
}
