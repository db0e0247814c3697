package graph_test

import (
	"testing"
)

// TestAdministratorsSeeCustomers: who administers the shop finds everybody's orders and who has placed them, and spends nothing of theirs.
func TestAdministratorsSeeCustomers(t *testing.T) {
	a := newAPI(t, settings{})
	placed := a.ok(bob, placeOrder, vars(object{"idempotencyKey": key(), "lines": line("prod_2", 1), "payment": object{"method": "CARD"}}))
	id := placed.text("placeOrder.order.id")

	a.ok(admin, `query($id: ID!) { order(id: $id) { customer { id name orders(first: 1) { nodes { id } } } } }`, object{"id": id}).want(
		"order.customer.id", "user_bob", "order.customer.orders.nodes.0.id", id)
	a.ok(admin, `{ customer(id: "user_bob") { id wallet { id balance } accounts { nodes { id } } orders { nodes { id } } couponIssues { nodes { id } } } }`, nil).want(
		"customer.id", "user_bob", "customer.wallet.id", "wallet_bob", "customer.accounts.nodes.0.id", "acct_bob", "customer.orders.nodes.0.id", id)
	for _, id := range []string{"user_bob", "wallet_bob"} {
		a.ok(admin, `query($id: ID!) { node(id: $id) { id } }`, object{"id": id}).want("node.id", id)
		a.ok(alice, `query($id: ID!) { node(id: $id) { id } }`, object{"id": id}).want("node", nil)
	}
	a.ok(admin, `{ customer(id: "user_nobody") { id } }`, nil).want("customer", nil)

	// The owner is the owner's customer; another one finds neither.
	a.ok(bob, `query($id: ID!) { order(id: $id) { customer { id } } }`, object{"id": id}).want("order.customer.id", "user_bob")
	a.ok(alice, `{ node(id: "user_alice") { id } }`, nil).want("node.id", "user_alice")
}

// TestOrdersOfAll: the list of all orders, and its filters.
func TestOrdersOfAll(t *testing.T) {
	a := newAPI(t, settings{})
	place := func(user string, input object) string {
		input["idempotencyKey"], input["lines"] = key(), line("prod_2", 1)
		return a.ok(user, placeOrder, vars(input)).text("placeOrder.order.id")
	}
	pending := place(alice, object{})
	sent := place(bob, object{"payment": object{"method": "CARD"}})
	paid := place(bob, object{"payment": object{"method": "CARD"}})
	a.ok(admin, orderFulfil, vars(object{"idempotencyKey": key(), "orderId": sent}))

	const query = `query($customer: ID, $filter: OrderFilter) { orders(customerId: $customer, filter: $filter) { nodes { id } totalCount { count } } }`
	for _, c := range []struct {
		asked     object
		has, lack []string
	}{
		{object{}, []string{pending, sent, paid}, nil},
		{object{"customer": "user_bob"}, []string{sent, paid}, []string{pending}},
		{object{"customer": "user_carol"}, nil, []string{pending, sent, paid}},
		{object{"filter": object{"fulfilment": "FULFILLED"}}, []string{sent}, []string{pending, paid}},
		{object{"filter": object{"fulfilment": "UNFULFILLED", "status": []string{"PAID"}}}, []string{paid}, []string{pending, sent}},
		{object{"customer": "user_bob", "filter": object{"status": []string{"PENDING"}}}, nil, []string{pending, sent, paid}},
		{object{"filter": object{"createdAt": object{"until": "2000-01-01T00:00:00Z"}}}, nil, []string{pending, sent, paid}},
	} {
		r := a.ok(admin, query, c.asked)
		found := map[any]bool{}
		nodes, _ := r.at("orders.nodes").([]any)
		for _, node := range nodes {
			found[node.(map[string]any)["id"]] = true
		}
		r.want("orders.totalCount.count", len(nodes))
		for _, id := range c.has {
			if !found[id] {
				t.Errorf("%v lacks %s", c.asked, id)
			}
		}
		for _, id := range c.lack {
			if found[id] {
				t.Errorf("%v has %s", c.asked, id)
			}
		}
	}
}
