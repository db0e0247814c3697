package graph_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"holdfast/commerce"
	"holdfast/ent/changelog"
)

// TestObjectsInsteadOfIDs asks for the objects that other objects name, as their customers, as others and as an administrator: who sees an
// object by a field sees it by its identifier as well, and nobody else does.
func TestObjectsInsteadOfIDs(t *testing.T) {
	a := newAPI(t, settings{})
	pay := func(payment object, coupon any) string {
		return a.ok(alice, placeOrder, vars(object{
			"idempotencyKey": key(), "lines": line("prod_1", 1), "payment": payment, "couponIssueId": coupon,
		})).text("placeOrder.order.id")
	}
	byPoints := pay(object{"method": "POINTS"}, commerce.DemoIssueID)
	byAccount := pay(object{"method": "ACCOUNT", "accountId": "acct_alice"}, nil)
	moved := a.ok(alice, transfer, vars(object{
		"idempotencyKey": key(), "fromAccountId": "acct_alice", "toAccountId": "acct_bob", "amount": object{"amountMinor": "1", "currency": "USD"},
	})).text("transfer.transfer.id")
	a.ok(admin, accountAdjust, vars(object{"idempotencyKey": key(), "accountId": "acct_alice", "deltaMinor": 1, "reason": "a secret of the shop"}))

	const transferred = `query($id: ID!) { node(id: $id) { ... on Transfer { fromAccountId toAccountId from { id balance { amount } } to { id balance { amount } } } } }`
	for user, sees := range map[string][2]any{alice: {"acct_alice", nil}, bob: {nil, "acct_bob"}, admin: {"acct_alice", "acct_bob"}} {
		a.ok(user, transferred, object{"id": moved}).want("node.fromAccountId", "acct_alice", "node.toAccountId", "acct_bob",
			"node.from.id", sees[0], "node.to.id", sees[1])
	}
	const spent = `query($id: ID!) { node(id: $id) { ... on CouponIssue { orderId order { id status couponIssue { id } } } } }`
	a.ok(alice, spent, object{"id": commerce.DemoIssueID}).want("node.orderId", byPoints, "node.order.id", byPoints, "node.order.status", "PAID",
		"node.order.couponIssue.id", commerce.DemoIssueID)
	a.ok(bob, spent, object{"id": commerce.DemoIssueID}).want("node", nil)
	const paid = `query($id: ID!) { order(id: $id) { payment { accountId account { id name } } } }`
	a.ok(alice, paid, object{"id": byAccount}).want("order.payment.accountId", "acct_alice", "order.payment.account.id", "acct_alice")
	a.ok(alice, paid, object{"id": byPoints}).want("order.payment.account", nil)

	const source = `source { __typename ... on Order { id lines { quantity } } ... on Transfer { id } ... on Adjustment { reason } }`
	const account = `query($id: ID!, $kind: [EntryKind!]) { account(id: $id) { entries(first: 1, filter: {kind: $kind}) { nodes { kind ` + source + ` } } } }`
	of := func(user, id, kind string) result {
		t.Helper()
		return a.ok(user, account, object{"id": id, "kind": []string{kind}}).want("account.entries.nodes.0.kind", kind)
	}
	at := "account.entries.nodes.0.source"
	of(alice, "acct_alice", "ORDER_PAID").want(at+".__typename", "Order", at+".id", byAccount, at+".lines.0.quantity", 1)
	of(alice, "acct_alice", "TRANSFER_COMPLETED").want(at+".__typename", "Transfer", at+".id", moved)
	of(bob, "acct_bob", "TRANSFER_COMPLETED").want(at+".id", moved)
	of(alice, "acct_alice", "ACCOUNT_ADJUSTED").want(at, nil)
	of(admin, "acct_alice", "ACCOUNT_ADJUSTED").want(at+".reason", "a secret of the shop")
	const wallet = `{ me { wallet { entries(filter: {kind: [ORDER_PAID]}) { nodes { ` + source + ` } } } } }`
	a.ok(alice, wallet, nil).want("me.wallet.entries.nodes.0.source.id", byPoints)

	// What the shop has forgotten is null; what is made of the change itself stays.
	_, err := a.db.Ent.ChangeLog.Delete().Where(changelog.IDGT(0)).Exec(t.Context())
	must(t, err)
	a.ok(alice, wallet, nil).want("me.wallet.entries.nodes.0.source", nil)
	of(alice, "acct_alice", "TRANSFER_COMPLETED").want(at+".id", moved)
}

// TestEntriesOfStrangers asks for an entry whose change names what belongs to somebody else: administrators see it, and nobody else.
func TestEntriesOfStrangers(t *testing.T) {
	a := newAPI(t, settings{})
	a.ok(alice, placeOrder, vars(object{"idempotencyKey": key(), "lines": line("prod_1", 1)}))
	row := a.db.Ent.Entry.Query().AllX(t.Context())
	var stock string
	for _, e := range row {
		if e.Kind == commerce.KindOrderPlaced {
			stock = fmt.Sprint("entry_", e.ID)
		}
	}
	const query = `query($id: ID!) { node(id: $id) { ... on Entry { source { ... on Order { id } } } } }`
	if id := a.ok(admin, query, object{"id": stock}).text("node.source.id"); !strings.HasPrefix(id, "ord_") {
		t.Errorf("the source is %s", id)
	}
	a.ok(alice, query, object{"id": stock}).want("node", nil)
}

// TestMoneyAsADecimal asks for amounts in currencies of different decimals.
func TestMoneyAsADecimal(t *testing.T) {
	a := newAPI(t, settings{})
	for currency, want := range map[string]string{"USD": "12.34", "JPY": "1234", "KWD": "1.234", "CLF": "0.1234"} {
		r := a.ok(admin, `mutation($input: AccountOpenInput!) { accountOpen(input: $input) {
			account { balance { amount amountMinor currency minorDigits } } userErrors { message } } }`,
			vars(object{"name": "Savings", "currency": currency, "userId": "user_alice", "openingMinor": 1234}))
		r.want("accountOpen.account.balance.amount", want, "accountOpen.account.balance.amountMinor", 1234, "accountOpen.account.balance.currency", currency)
	}
	a.ok(alice, `{ order(id: "`+commerce.DemoOrderID+`") { discount { amount } } }`, nil).want("order.discount.amount", "0.00")
}

// TestDeprecations: what is deprecated says what to use instead, and until when it stays.
func TestDeprecations(t *testing.T) {
	reason := regexp.MustCompile(`^Use (\w+); removed after (\d{4}-\d{2}-\d{2})$`)
	seen := 0
	for _, d := range schema.Types {
		for _, f := range d.Fields {
			deprecated := f.Directives.ForName("deprecated")
			if deprecated == nil {
				continue
			}
			seen++
			text := deprecated.Arguments.ForName("reason").Value.Raw
			parts := reason.FindStringSubmatch(text)
			if parts == nil {
				t.Errorf("%s.%s: %q says not what to use instead, and until when", d.Name, f.Name, text)
				continue
			}
			if d.Fields.ForName(parts[1]) == nil {
				t.Errorf("%s.%s: there is no %s", d.Name, f.Name, parts[1])
			}
			if _, err := time.Parse(time.DateOnly, parts[2]); err != nil {
				t.Errorf("%s.%s: %v", d.Name, f.Name, err)
			}
		}
	}
	if seen == 0 {
		t.Error("nothing is deprecated, so this test sees nothing")
	}
}
