package graph_test

import (
	"testing"

	"holdfast/commerce"
)

// TestUnsettledOrders shows administrators what a job cannot finish.
func TestUnsettledOrders(t *testing.T) {
	a := newAPI(t, settings{})
	const query = `query($first: Int) { unsettledOrders(first: $first) { order { id } settlement attempts nextAttemptAt lastError } }`
	a.ok(admin, query, nil).want("unsettledOrders", "[]")
	must(t, a.db.Ent.Order.UpdateOneID(commerce.DemoOrderID).SetSettled(false).SetAttempts(2).SetLastError("refused").Exec(t.Context()))
	a.ok(admin, query, nil).want("unsettledOrders.0.order.id", commerce.DemoOrderID, "unsettledOrders.0.settlement", "RETRYING",
		"unsettledOrders.0.attempts", 2, "unsettledOrders.0.lastError", "refused")
	must(t, a.db.Ent.Order.UpdateOneID(commerce.DemoOrderID).SetAttempts(20).Exec(t.Context()))
	a.ok(admin, query, object{"first": 1}).want("unsettledOrders.0.settlement", "FAILED")
	a.do(admin, query, object{"first": 0}).wantError("BAD_USER_INPUT")
}
