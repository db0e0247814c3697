package graph_test

import (
	"strings"
	"testing"
)

// TestWhatFailsAloneLeavesTheRest takes the balances away, from the database, and asks for all that is made of them beside what is not.
func TestWhatFailsAloneLeavesTheRest(t *testing.T) {
	a := newAPI(t, settings{})
	const query = `{
		shop { currency }
		products(first: 2, orderBy: NAME) { nodes { id name stock { available } } pageInfo { hasNextPage } }
		coupons(first: 1) { nodes { name issued } }
		me { name wallet { id balance entries { nodes { id } } } accounts { nodes { id name balance { amountMinor } } } orders { nodes { id } } couponIssues { nodes { id } } }
	}`
	before := a.ok(alice, query, nil)
	before.want("products.nodes.1.id", before.text("products.nodes.1.id")) // two products are there
	if before.at("products.nodes.1.stock.available") == nil || before.at("me.wallet.balance") == nil || before.at("coupons.nodes.0.issued") == nil {
		t.Fatalf("the test asks for nothing: %s", before.body)
	}
	_, err := a.db.Pools()["writer"].ExecContext(t.Context(), "ALTER TABLE balances RENAME TO taken_away")
	must(t, err)
	r := a.do(alice, query, nil)
	for _, path := range []string{
		"shop", "products.pageInfo", "products.nodes.0.id", "products.nodes.0.name", "products.nodes.1.name", "coupons.nodes.0.name", "me.name",
		"me.wallet.id", "me.wallet.entries", "me.accounts.nodes.0.id", "me.accounts.nodes.0.name", "me.orders", "me.couponIssues",
	} {
		if r.at(path) == nil {
			t.Fatalf("%s is lost with what could not be read: %s", path, r.body)
		}
		r.want(path, before.at(path))
	}
	failed := map[string]bool{}
	for _, e := range r.Errors {
		var path []string
		for _, step := range e.Path {
			if name, ok := step.(string); ok {
				path = append(path, name)
			}
		}
		failed[strings.Join(path, ".")] = true
	}
	for _, path := range []string{"products.nodes.stock", "coupons.nodes.issued", "me.wallet.balance", "me.accounts.nodes.balance"} {
		if !failed[path] {
			t.Errorf("no error says that %s could not be read: %s", path, r.body)
		}
	}
	r.want("products.nodes.0.stock", nil, "products.nodes.1.stock", nil, "me.wallet.balance", nil, "me.accounts.nodes.0.balance", nil)
}

// TestAnIdentifierThatIsNoneLeavesTheRest asks for objects by a text that cannot be an identifier, beside the shop.
func TestAnIdentifierThatIsNoneLeavesTheRest(t *testing.T) {
	a := newAPI(t, settings{})
	for _, query := range []string{
		`{ shop { currency } r: nodes(ids: ["prod 1"]) { id } }`, `{ shop { currency } r: node(id: "prod 1") { id } }`,
		`{ shop { currency } r: product(id: "prod 1") { id } }`,
	} {
		r := a.do(alice, query, nil)
		r.want("shop.currency", "USD", "r", nil)
		r.wantError("BAD_USER_INPUT")
	}
}

// TestWhatIsForAnotherRoleLeavesTheRest asks for what is public together with all that is for administrators.
func TestWhatIsForAnotherRoleLeavesTheRest(t *testing.T) {
	a := newAPI(t, settings{})
	const query = `{
		products(first: 1) { nodes { id } }
		schedulerRuns { job } stockDrift { balance } paymentDrift { kind } lowStock { threshold } unsettledOrders { attempts }
		unsettledPayments { attempts } unsettledRefunds { attempts } adjustments { nodes { reason } }
		locks { key } experiment { id } experiments { id } me { id } account(id: "acct_alice") { id }
	}`
	r := a.do(nobody, query, nil)
	if r.at("products.nodes.0.id") == nil {
		t.Errorf("nothing is left of the answer: %s", r.body)
	}
	if len(r.Errors) != 13 {
		t.Errorf("%d errors: %s", len(r.Errors), r.body)
	}
	a.do(alice, query, nil).want("me.id", "user_alice", "account.id", "acct_alice", "locks", nil)
}
