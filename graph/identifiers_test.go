package graph_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"

	"holdfast/lockprovider"
)

// TestEveryIDHasAKind walks the schema: each place where a client names an object says of which kind it is.
func TestEveryIDHasAKind(t *testing.T) {
	check := func(name string, of *ast.Type, directives ast.DirectiveList) {
		if of.Name() != "ID" || name == "Query.node.id" || name == "Query.nodes.ids" { // of any kind
			return
		}
		if d := directives.ForName("id"); d == nil || !strings.HasSuffix(d.Arguments.ForName("prefix").Value.Raw, "_") {
			t.Errorf("%s says not which objects it may name: @id(prefix:)", name)
		}
	}
	seen := 0
	for _, d := range schema.Types {
		for _, f := range d.Fields {
			if d.Kind == ast.InputObject {
				check(d.Name+"."+f.Name, f.Type, f.Directives)
				seen++
			}
			for _, argument := range f.Arguments {
				check(d.Name+"."+f.Name+"."+argument.Name, argument.Type, argument.Directives)
				seen++
			}
		}
	}
	if seen < 60 {
		t.Errorf("the test sees %d arguments", seen)
	}
}

// TestIdentifiersOfAnotherKind gives each kind of argument an identifier of another kind, one without anything behind its prefix, and
// one in other letters. Each is refused by name, before anything is looked for; what has the form is not found, as ever.
func TestIdentifiersOfAnotherKind(t *testing.T) {
	a := newAPI(t, settings{})
	input := func(of object) func(string) object {
		return func(id string) object {
			in := object{}
			for name, value := range of {
				if value == "?" {
					value = id
				}
				in[name] = value
			}
			return vars(in)
		}
	}
	argument := func(id string) object { return object{"id": id} }
	for name, test := range map[string]struct {
		query     string
		variables func(id string) object
		prefix    string
		field     string
	}{
		"product":     {`query($id: ID!) { r: product(id: $id) { id } }`, argument, "prod_", "id"},
		"category":    {`query($id: ID!) { r: category(id: $id) { id } }`, argument, "cat_", "id"},
		"a filter":    {`query($id: ID!) { r: products(filter: {categoryId: $id}) { nodes { id } } }`, argument, "cat_", "filter categoryId"},
		"coupon":      {`query($id: ID!) { r: coupon(id: $id) { id } }`, argument, "coup_", "id"},
		"order":       {`query($id: ID!) { r: order(id: $id) { id } }`, argument, "ord_", "id"},
		"account":     {`query($id: ID!) { r: account(id: $id) { id } }`, argument, "acct_", "id"},
		"ticket":      {`query($id: ID!) { r: queueTicket(id: $id) { id } }`, argument, "qt_", "id"},
		"payOrder":    {payOrder, input(object{"idempotencyKey": key(), "orderId": "?", "payment": object{"method": "POINTS"}}), "ord_", "input orderId"},
		"issueCoupon": {issueCoupon, input(object{"idempotencyKey": key(), "couponId": "?"}), "coup_", "input couponId"},
		"transfer": {transfer, input(object{
			"idempotencyKey": key(), "fromAccountId": "acct_alice", "toAccountId": "?", "amount": object{"amountMinor": 1, "currency": "USD"},
		}), "acct_", "input toAccountId"},
		"a line": {placeOrder, func(id string) object {
			return vars(object{"idempotencyKey": key(), "lines": []object{{"productId": "prod_1", "quantity": 1}, {"productId": id, "quantity": 1}}})
		}, "prod_", "input lines 1 productId"},
		"a coupon of an order": {placeOrder, input(object{"idempotencyKey": key(), "lines": line("prod_1", 1), "couponIssueId": "?"}), "cpi_", "input couponIssueId"},
	} {
		other := "acct_alice"
		if test.prefix == "acct_" {
			other = "prod_1"
		}
		for _, bad := range []string{other, test.prefix, strings.ToUpper(test.prefix) + "1", test.prefix + "A", test.prefix + "a.b", "x" + test.prefix + "1", ""} {
			r := a.do(alice, test.query, test.variables(bad))
			message := r.wantError("BAD_USER_INPUT")
			if got := fmt.Sprint(r.Errors[0].Extensions["field"]); got != "["+test.field+"]" {
				t.Errorf("%s %q: the field is %s, want [%s]: %s", name, bad, got, test.field, r.body)
			}
			if !strings.Contains(message, fmt.Sprintf("begins with %q", test.prefix)) {
				t.Errorf("%s %q: the message does not say what is wanted: %s", name, bad, message)
			}
		}
		r := a.do(alice, test.query, test.variables(test.prefix+"0nobody"))
		if len(r.Errors) != 0 || !slices.Contains([]any{nil, "NOT_FOUND"}, firstCode(r)) {
			t.Errorf("%s that has the form and does not exist: %s", name, r.body)
		}
	}
	for _, bad := range []string{"bob", "user_", "wallet_bob", "user_" + strings.Repeat("b", 57)} {
		r := a.do(admin, accountOpen, vars(object{"name": "A", "currency": "USD", "userId": bad}))
		r.wantError("BAD_USER_INPUT")
		if fmt.Sprint(r.Errors[0].Extensions["field"]) != "[input userId]" {
			t.Errorf("the customer %q: %s", bad, r.body)
		}
	}
	s := a.socket(alice)
	s.subscribe("1", `subscription { stockChanged(productIds: ["prod_1", "ord_1"]) { id } }`, nil)
	if f := s.next(); !regexp.MustCompile(`BAD_USER_INPUT.*"productIds","1"`).MatchString(string(f.Payload)) {
		t.Errorf("a subscription answers %s", f.Payload)
	}
}

// TestATicketHasOneID: the last character of an identifier has bits that name nothing. Whoever sets them must not get the object under
// a second name, which caches and lists of clients would take for another one.
func TestATicketHasOneID(t *testing.T) {
	a := newAPI(t, settings{stock: lockprovider.Queue})
	ticket := a.ok(alice, placeOrder, vars(object{"idempotencyKey": key(), "lines": line("prod_1", 1), "wait": false})).text("placeOrder.ticket.id")
	const query = `query($id: ID!) { queueTicket(id: $id) { id } }`
	a.ok(alice, query, object{"id": ticket}).want("queueTicket.id", ticket)
	for _, last := range "0123456789abcdefghjkmnpqrstvwxyz" {
		other := ticket[:len(ticket)-1] + string(last)
		if other == ticket {
			continue
		}
		a.ok(alice, query, object{"id": other}).want("queueTicket", nil)
		a.ok(alice, `query($id: ID!) { order(id: $id) { id } }`, object{"id": strings.Replace(other, "qt_", "ord_", 1)}).want("order", nil)
	}
}

// firstCode returns the code of the first user error, nil if there is none.
func firstCode(r result) any {
	for field := range r.Data {
		return r.at(field + ".userErrors.0.code")
	}
	return nil
}
