package graph_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vektah/gqlparser/v2/ast"

	"holdfast/commerce"
	"holdfast/ent/changelog"
	entorder "holdfast/ent/order"
	"holdfast/ent/paymentattempt"
	"holdfast/ent/user"
	"holdfast/graph"
	"holdfast/graph/served"
	"holdfast/graph/transport"
	"holdfast/lockprovider"
	"holdfast/payments"
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

// TestUnsettledPayments shows administrators the payments and refunds that a job cannot finish, and none that is still young, or that waits
// for its customer.
func TestUnsettledPayments(t *testing.T) {
	a := newAPI(t, settings{})
	const query = `query($first: Int) {
		unsettledPayments(first: $first) { attempt { id status action { clientSecret } } order { id } customer { id } settlement attempts nextAttemptAt lastError }
		unsettledRefunds(first: $first) { refund { id reason lines { quantity } } order { id lines { quantity } } settlement attempts nextAttemptAt lastError }
	}`
	a.ok(admin, query, nil).want("unsettledPayments", "[]", "unsettledRefunds", "[]")

	order := a.ok(bob, placeOrder, vars(object{"idempotencyKey": key(), "lines": line("prod_2", 1), "payment": object{"method": "CARD"}})).text("placeOrder.order.id")
	a.ok(admin, refundCreate, vars(object{
		"idempotencyKey": key(), "orderId": order, "reason": "a scratch", "amount": object{"amountMinor": "1", "currency": "USD"},
	})).want("refundCreate.userErrors", "[]")
	a.ok(bob, `mutation($input: ChargePointsInput!) { chargePoints(input: $input) { attempt { id } } }`, vars(object{"idempotencyKey": key(), "amount": "100"}))
	ctx, db := t.Context(), a.db.Ent
	open := func(looks int, status paymentattempt.Status) {
		must(t, db.PaymentAttempt.Update().Where(paymentattempt.OrderID(order)).SetLookAt(time.Now()).SetLooks(looks).SetLastError("refused").SetStatus(status).Exec(ctx))
		must(t, db.Refund.Update().SetLookAt(time.Now()).SetLooks(looks).SetLastError("gone").Exec(ctx))
	}
	open(0, paymentattempt.StatusUNKNOWN) // the job has not looked yet
	a.ok(admin, query, nil).want("unsettledPayments", "[]", "unsettledRefunds", "[]")
	open(6, paymentattempt.StatusREQUIRES_ACTION)
	a.ok(admin, query, nil).want("unsettledPayments", "[]")
	open(2, paymentattempt.StatusUNKNOWN)
	must(t, db.PaymentAttempt.Update().Where(paymentattempt.UserIDNotNil()).SetLookAt(time.Now()).SetLooks(6).Exec(ctx))
	r := a.ok(admin, query, nil)
	r.want("unsettledPayments.0.customer.id", "user_bob", "unsettledPayments.0.order", nil, "unsettledPayments.0.settlement", "FAILED",
		"unsettledPayments.1.order.id", order, "unsettledPayments.1.customer", nil, "unsettledPayments.1.settlement", "RETRYING",
		"unsettledPayments.1.attempts", 2, "unsettledPayments.1.lastError", "refused", "unsettledPayments.1.attempt.action", nil,
		"unsettledRefunds.0.order.id", order, "unsettledRefunds.0.order.lines.0.quantity", "1", "unsettledRefunds.0.refund.reason", "a scratch",
		"unsettledRefunds.0.attempts", 2, "unsettledRefunds.0.lastError", "gone")
	if rows, _ := a.ok(admin, query, object{"first": 1}).at("unsettledPayments").([]any); len(rows) != 1 {
		t.Errorf("first: 1 gives %d payments", len(rows))
	}
	a.do(admin, query, object{"first": 0}).wantError("BAD_USER_INPUT")
}

// TestQueriesChangeNothing asks every query and every subscription for all of their fields, over POST and GET, as customers with
// and without a past and as an administrator, in a shop with one object of each type. Among them is the ticket of an order that
// is to be paid, which nobody but a worker may do. The database counts what its only writer writes.
func TestQueriesChangeNothing(t *testing.T) {
	a := newAPI(t, settings{
		stock: lockprovider.Queue, streams: quick, gateway: noGateway{t: t}, limits: transport.Limits{MaxComplexity: 2_000_000, MaxTokens: 3000}, // all fields at once
	})
	const card = "CARD"
	ticket := a.ok(alice, placeOrder, vars(object{
		"idempotencyKey": key(), "lines": line("prod_1", 1), "wait": false, "payment": object{"method": card},
	})).text("placeOrder.ticket.id")
	orderID := a.ok(alice, placeOrder, vars(object{"idempotencyKey": key(), "lines": line("prod_1", 1), "payment": object{"method": "POINTS"}})).
		text("placeOrder.order.id")
	moved := a.ok(alice, transfer, vars(object{
		"idempotencyKey": key(), "fromAccountId": "acct_alice", "toAccountId": "acct_bob",
		"amount": object{"amountMinor": "1", "currency": "USD"},
	})).text("transfer.transfer.id")
	held := a.ok(alice, holdCreate, vars(object{"idempotencyKey": key(), "lines": line("prod_1", 1), "ttlSeconds": 60})).text("holdCreate.hold.id")
	entry := a.ok(alice, `{ me { wallet { entries { nodes { id } } } } }`, nil).text("me.wallet.entries.nodes.0.id")
	until(t, "the order of the ticket to be placed", func() bool {
		return a.db.Ent.Order.Query().Where(entorder.Unattended(true)).ExistX(t.Context())
	})
	until(t, "all events to be handled", func() bool {
		return !a.db.Ent.ChangeLog.Query().Where(changelog.PublishedAtIsNil()).ExistX(t.Context())
	})
	arguments := map[string][]string{
		"node": {
			"prod_1", "var_1", "coup_half", commerce.DemoIssueID, orderID, strings.Replace(orderID, "ord_", "pay_", 1), ticket,
			"acct_alice", moved, entry, "user_alice", "user_bob", "user_carol", "wallet_alice", "wallet_carol", "ord_0", held, "cat_1",
		},
		"product": {"prod_1"}, "productVariant": {"var_1"}, "category": {"cat_1"}, "coupon": {"coup_half"}, "order": {orderID, strings.Replace(ticket, "qt_", "ord_", 1)},
		"queueTicket": {ticket}, "account": {"acct_alice"}, "customer": {"user_alice", "user_carol"},
		"cart":         {commerce.DemoCartID},
		"hold":         {held},
		"stockChanged": {"prod_1"}, "orderUpdated": {orderID}, "queueTicketUpdated": {ticket}, "experimentProgress": {"exp_0"},
	}
	arguments["nodes"] = arguments["node"]
	schema := graph.Served(served.Options{})
	written := func() (n int64) {
		t.Helper()
		must(t, a.db.Pools()["writer"].QueryRowContext(t.Context(), "SELECT total_changes()").Scan(&n))
		return n
	}
	check := func(what string, ask func()) {
		t.Helper()
		before := written()
		ask()
		if n := written() - before; n != 0 {
			t.Errorf("%d rows were written by %s", n, what)
		}
	}
	for _, root := range []*ast.Definition{schema.Query, schema.Subscription} {
		for _, field := range root.Fields {
			if strings.HasPrefix(field.Name, "__") {
				continue
			}
			var documents []string
			depth := 4
			if field.Name == "cart" { // all of its customer and its order is asked for elsewhere, and would be a document too long
				depth = 3
			}
			selection := strings.Replace(everything(schema, field.Type, depth),
				"couponPreview {", fmt.Sprintf("couponPreview(couponIssueId: %q) {", commerce.DemoIssueID), 1)
			for _, id := range arguments[field.Name] {
				argument := fmt.Sprintf("(id: %q)", id)
				if field.Name == "nodes" {
					argument = fmt.Sprintf("(ids: [%q])", id)
				}
				if field.Name == "stockChanged" {
					argument = fmt.Sprintf("(productIds: [%q])", id)
				}
				if field.Name == "node" || field.Name == "nodes" { // fields of several types do not fit into one selection
					selection = " { __typename }"
					for _, user := range []string{alice, carol} {
						check("{ node"+argument+" } as "+user, func() {
							if name, ok := a.do(user, "{ node"+argument+" { __typename } }", nil).at("node.__typename").(string); ok {
								selection = " { ... on " + name + everything(schema, ast.NamedType(name, nil), 4) + " }"
							}
						})
					}
				}
				documents = append(documents, fmt.Sprintf("{ %s%s%s }", field.Name, argument, selection))
			}
			if documents == nil {
				documents = []string{fmt.Sprintf("{ %s%s }", field.Name, selection)}
			}
			for _, document := range documents {
				for _, user := range []string{alice, carol, admin} {
					what := fmt.Sprintf("%s as %s", document, user)
					if root == schema.Subscription {
						check(what, func() {
							s := a.socket(user)
							s.subscribe("1", "subscription "+document, nil)
							s.next()
						})
						continue
					}
					check("POST "+what, func() { wantValid(t, what, a.do(user, document, nil)) })
					check("GET "+what, func() {
						header := http.Header{"Authorization": {"Bearer " + token(t, user)}}
						wantValid(t, what, a.send(http.MethodGet, url.Values{"query": {document}}.Encode(), header, nil))
					})
				}
			}
		}
	}
	a.ok(carol, `{ me { id name } }`, nil).want("me.id", "user_carol", "me.name", "carol")
	if a.db.Ent.User.Query().Where(user.ID(carol)).ExistX(t.Context()) {
		t.Error("looking has made a customer of carol")
	}
	a.ok(alice, `query($id: ID!) { queueTicket(id: $id) { status result { id } } }`, object{"id": ticket}).
		want("queueTicket.status", "SERVING", "queueTicket.result", nil)
	before := written()
	must(t, a.db.Ent.User.Create().SetID("somebody").SetName("S").Exec(t.Context()))
	if written() != before+1 {
		t.Error("the test does not see what is written")
	}
}

// wantValid fails if a document was refused before it was executed: it would prove nothing.
func wantValid(t *testing.T, what string, r result) {
	t.Helper()
	for _, e := range r.Errors {
		switch e.Extensions["code"] {
		case "GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED", "BAD_REQUEST", "INTERNAL_SERVER_ERROR", "UNAUTHENTICATED":
			t.Errorf("%s: %s", what, r.body)
		}
	}
}

// everything selects all fields of a type that need no argument, so many levels deep.
func everything(schema *ast.Schema, of *ast.Type, depth int) string {
	definition := schema.Types[of.Name()]
	var parts []string
	switch definition.Kind {
	case ast.Scalar, ast.Enum:
		return ""
	case ast.Interface, ast.Union:
		parts = append(parts, "__typename")
		types := map[string]string{} // of fields, by name: two members may not have one name for two types
		for _, possible := range schema.GetPossibleTypes(definition) {
			if slices.ContainsFunc(possible.Fields, func(f *ast.FieldDefinition) bool { return types[f.Name] != "" && types[f.Name] != f.Type.String() }) {
				continue
			}
			for _, f := range possible.Fields {
				types[f.Name] = f.Type.String()
			}
			parts = append(parts, "... on "+possible.Name+everything(schema, ast.NamedType(possible.Name, nil), depth))
		}
	default:
		for _, field := range definition.Fields {
			if depth <= 3 && (field.Name == "variant" || field.Name == "variants") { // a document too long; they are asked for elsewhere
				continue
			}
			arguments, nested := "", everythingOf(schema, field, depth)
			if field.Arguments.ForName("first") != nil {
				arguments = "(first: 1)"
			}
			if nested == "" && isObject(schema, field) {
				continue
			}
			parts = append(parts, field.Name+arguments+nested)
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return " { " + strings.Join(parts, " ") + " }"
}

func isObject(schema *ast.Schema, field *ast.FieldDefinition) bool {
	kind := schema.Types[field.Type.Name()].Kind
	return kind != ast.Scalar && kind != ast.Enum
}

func everythingOf(schema *ast.Schema, field *ast.FieldDefinition, depth int) string {
	if depth == 0 || !isObject(schema, field) {
		return ""
	}
	return everything(schema, field.Type, depth-1)
}

// noGateway is a payment gateway that no query may call.
type noGateway struct {
	payments.Gateway
	t *testing.T
}

func (g noGateway) Authorize(context.Context, payments.Authorization) (payments.Answer, error) {
	return payments.Answer{}, g.called()
}

func (g noGateway) Capture(context.Context, payments.Ref, payments.Amount) (payments.Answer, error) {
	return payments.Answer{}, g.called()
}

func (g noGateway) Void(context.Context, payments.Ref) (payments.Answer, error) {
	return payments.Answer{}, g.called()
}

func (g noGateway) Refund(context.Context, payments.Ref, string, payments.Amount) (payments.Answer, error) {
	return payments.Answer{}, g.called()
}

func (g noGateway) Lookup(context.Context, payments.Ref) (payments.Answer, error) {
	return payments.Answer{}, g.called()
}

func (g noGateway) called() error {
	g.t.Error("the payment gateway was called")
	return errors.New("the payment gateway was called")
}

// until waits for what other goroutines bring about.
func until(t *testing.T, what string, happened func() bool) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(longEnough); !happened(); <-ticker.C {
		if time.Now().After(deadline) {
			t.Fatalf("still waiting for %s", what)
		}
	}
}
