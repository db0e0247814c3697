package graph_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"holdfast/commerce"
	"holdfast/ent/changelog"
	"holdfast/ent/entry"
	"holdfast/lockprovider"
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

// TestEntriesOfStrangers puts lines into alice's journal whose changes name what belongs to bob: administrators see it, and alice does not,
// who sees the lines. A line of the stock, she does not see at all.
func TestEntriesOfStrangers(t *testing.T) {
	a := newAPI(t, settings{})
	for user, product := range map[string]string{alice: "prod_1", bob: "prod_2"} {
		a.ok(user, placeOrder, vars(object{"idempotencyKey": key(), "lines": line(product, 1)}))
	}
	coupon := a.coupon(t, commerce.CreateCoupon{Name: "Coupon", Quota: 10, PerUserLimit: 10})
	issued := a.ok(bob, issueCoupon, vars(object{"idempotencyKey": key(), "couponId": coupon})).text("issueCoupon.couponIssue.id")
	const source = `query($id: ID!) { node(id: $id) { ... on Entry { kind source { ... on Order { id } ... on CouponIssue { id } } } } }`
	next := int64(1_000_000)
	for _, at := range []struct{ balance, prefix string }{{lockprovider.StockKey("prod_2"), "ord_"}, {lockprovider.CouponKey(coupon), "cpi_"}} {
		row := a.db.Ent.Entry.Query().Where(entry.Balance(at.balance), entry.DeltaNEQ(0)).Order(entry.ByID(sql.OrderDesc())).FirstX(t.Context())
		next++
		a.db.Ent.Entry.Create().SetID(next).SetBalance("account:acct_alice").SetChangeID(row.ChangeID).SetKind(row.Kind).
			SetDelta(0).SetAmountAfter(1).ExecX(t.Context())
		id := object{"id": fmt.Sprint("entry_", next)}
		if of := a.ok(admin, source, id).text("node.source.id"); !strings.HasPrefix(of, at.prefix) || at.prefix == "cpi_" && of != issued {
			t.Errorf("the source of a line of %s is %s", at.balance, of)
		}
		a.ok(alice, source, id).want("node.kind", strings.ToUpper(strings.ReplaceAll(row.Kind, ".", "_")), "node.source", nil)
	}
	stock := a.db.Ent.Entry.Query().Where(entry.Balance(lockprovider.StockKey("prod_1")), entry.Kind(commerce.KindOrderPlaced)).FirstX(t.Context())
	id := object{"id": fmt.Sprint("entry_", stock.ID)}
	if of := a.ok(admin, source, id).text("node.source.id"); !strings.HasPrefix(of, "ord_") {
		t.Errorf("the source is %s", of)
	}
	a.ok(alice, source, id).want("node", nil)
}

// TestForgottenSourcesAreNamed: the description names the kinds of lines whose source only the change log knows, and no other kind.
func TestForgottenSourcesAreNamed(t *testing.T) {
	a := newAPI(t, settings{bare: true})
	description := strings.FieldsFunc(schema.Types["Entry"].Fields.ForName("source").Description, func(r rune) bool {
		return r != '_' && (r < 'A' || r > 'Z')
	})
	forgotten := 0
	for _, value := range schema.Types["EntryKind"].EnumValues {
		kind, change := strings.ToLower(strings.ReplaceAll(value.Name, "_", ".")), uuid.New()
		source := func() string {
			ref := commerce.EntryRef{Kind: kind, ChangeID: change}
			ids, err := a.services.Accounts.SourceIDs(t.Context(), []commerce.EntryRef{ref})
			must(t, err)
			return ids[ref]
		}
		without := source()
		a.db.Ent.ChangeLog.Create().SetID(time.Now().UnixNano()).SetChangeID(change).SetFamily("points").SetKind(kind).SetStrategy("rowlock").
			SetPayload(`{"orderId": "ord_1"}`).SetPayloadHash("").ExecX(t.Context())
		logged := source() != without
		if logged != slices.Contains(description, value.Name) {
			t.Errorf("%s has its source from the change log: %v, and the description says otherwise", value.Name, logged)
		}
		if logged {
			forgotten++
		}
	}
	if forgotten < 5 {
		t.Errorf("%d kinds have their source from the change log", forgotten)
	}
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
	seen := map[string]int{}
	check := func(what, name string, directives ast.DirectiveList, beside func(name string) bool) {
		deprecated := directives.ForName("deprecated")
		if deprecated == nil {
			return
		}
		seen[what]++
		text := ""
		if reason := deprecated.Arguments.ForName("reason"); reason != nil {
			text = reason.Value.Raw
		}
		for _, fault := range faultsOfReason(text, beside) {
			t.Errorf("%s %s: %s", what, name, fault)
		}
	}
	all := func(types map[string]*ast.Definition) {
		for _, d := range types {
			what := "the field"
			if d.Kind == ast.InputObject {
				what = "the input field"
			}
			for _, f := range d.Fields {
				check(what, d.Name+"."+f.Name, f.Directives, func(name string) bool { return d.Fields.ForName(name) != nil })
				for _, argument := range f.Arguments {
					check("the argument", d.Name+"."+f.Name+"."+argument.Name, argument.Directives, func(name string) bool {
						return f.Arguments.ForName(name) != nil
					})
				}
			}
			for _, value := range d.EnumValues {
				check("the value", d.Name+"."+value.Name, value.Directives, func(name string) bool { return d.EnumValues.ForName(name) != nil })
			}
		}
	}
	all(schema.Types)
	if len(seen) == 0 {
		t.Error("nothing is deprecated, so this test sees nothing")
	}

	// All places are looked at, though not all have something deprecated.
	const since = ` @deprecated(reason: "Use b; removed after 2027-06-30")`
	seen = map[string]int{}
	all(gqlparser.MustLoadSchema(&ast.Source{Input: `
		type Query { a(a: Int` + since + `, b: Int, in: In): E` + since + ` b: E }
		input In { a: Int` + since + ` b: Int }
		enum E { a` + since + ` b }`}).Types)
	for _, what := range []string{"the field", "the input field", "the argument", "the value"} {
		if seen[what] != 1 {
			t.Errorf("%s: %d were looked at", what, seen[what])
		}
	}
	for text, faults := range map[string]int{
		"Use b; removed after 2027-06-30": 0, "Use c; removed after 2027-06-30": 1, "Use b; removed after 2027-02-30": 1,
		"Use c; removed after 2027-13-01": 2, "Use b": 1, "": 1,
	} {
		if got := faultsOfReason(text, func(name string) bool { return name == "b" }); len(got) != faults {
			t.Errorf("%q: %q, want %d faults", text, got, faults)
		}
	}
}

var reasonOfDeprecation = regexp.MustCompile(`^Use (\w+); removed after (\d{4}-\d{2}-\d{2})$`)

// faultsOfReason says what is wrong with the reason of something deprecated. beside reports whether there is something of a name that may be
// used instead.
func faultsOfReason(text string, beside func(name string) bool) (faults []string) {
	parts := reasonOfDeprecation.FindStringSubmatch(text)
	if parts == nil {
		return []string{fmt.Sprintf("%q says not what to use instead, and until when", text)}
	}
	if !beside(parts[1]) {
		faults = append(faults, "there is no "+parts[1])
	}
	if _, err := time.Parse(time.DateOnly, parts[2]); err != nil {
		faults = append(faults, err.Error())
	}
	return faults
}
