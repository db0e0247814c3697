package graph_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"holdfast/commerce"
)

// list is a connection in one order: its field, and the path of its page.
type list struct{ name, field, query, path string }

var lists = []list{
	{"products", "Query.products", `query($first: Int, $after: String) { page: products(first: $first, after: $after) %s }`, "page"},
	{"products by name", "Query.products", `query($first: Int, $after: String) { page: products(first: $first, after: $after, orderBy: NAME) %s }`, "page"},
	{"products by price", "Query.products", `query($first: Int, $after: String) { page: products(first: $first, after: $after, orderBy: PRICE_ASC) %s }`, "page"},
	{"coupons", "Query.coupons", `query($first: Int, $after: String) { page: coupons(first: $first, after: $after) %s }`, "page"},
	{"adjustments", "Query.adjustments", `query($first: Int, $after: String) { page: adjustments(first: $first, after: $after) %s }`, "page"},
	{"orders", "Customer.orders", `query($first: Int, $after: String) { me { page: orders(first: $first, after: $after) %s } }`, "me.page"},
	{"wallet", "Wallet.entries", `query($first: Int, $after: String) { me { wallet { page: entries(first: $first, after: $after) %s } } }`, "me.wallet.page"},
	{"account", "Account.entries", `query($first: Int, $after: String) { account(id: "acct_alice") { page: entries(first: $first, after: $after) %s } }`, "account.page"},
}

// document is a query for a page of the list. A correction has no identifier but that of its change.
func (l list) document() string {
	if l.name == "adjustments" {
		return fmt.Sprintf(l.query, strings.ReplaceAll(page, "{ id }", "{ id: changeId }"))
	}
	return fmt.Sprintf(l.query, page)
}

// user is somebody who may read the list.
func (l list) user() string {
	if l.name == "adjustments" {
		return admin
	}
	return alice
}

const page = `{ edges { cursor node { id } } nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } }`

// stocked gives alice enough of everything to page through.
func stocked(t *testing.T) *api {
	t.Helper()
	a := newAPI(t, settings{})
	ctx, v := a.as(admin)
	for i := range 9 {
		_, err := a.services.Catalog.Create(ctx, v, commerce.CreateProduct{ // equal names and prices: the ID decides
			SKU: fmt.Sprintf("SAME-%d", i), Name: "Same", Price: commerce.Money{Minor: 100, Currency: "USD"}, Stock: 10,
		})
		must(t, err)
		a.coupon(t, commerce.CreateCoupon{Name: "Coupon", Quota: 10, PerUserLimit: 10})
		a.ok(admin, pointsAdjust, vars(object{"idempotencyKey": key(), "userId": "user_bob", "delta": 1, "reason": "a test"}))
	}
	ctx, v = a.as(alice)
	coupon := a.coupon(t, commerce.CreateCoupon{Name: "Coupon", Quota: 10, PerUserLimit: 10})
	for range 9 {
		held, err := a.services.Coupons.Issue(ctx, v, commerce.IssueCoupon{Key: uuid.New(), CouponID: coupon})
		must(t, err)
		_, err = a.services.Orders.Place(ctx, v, commerce.PlaceOrder{
			Key: uuid.New(), CouponIssueID: held.Issue.ID, Lines: []commerce.Line{{ProductID: "prod_1", Quantity: 1}, {ProductID: "prod_2", Quantity: 1}},
		})
		must(t, err)
		_, err = a.services.Points.Charge(ctx, v, commerce.ChargePoints{Key: uuid.New(), Amount: 1})
		must(t, err)
		_, err = a.services.Accounts.Transfer(ctx, v, commerce.Transfer{
			Key: uuid.New(), From: "acct_alice", To: "acct_bob", Amount: commerce.Money{Minor: 1, Currency: "USD"},
		})
		must(t, err)
	}
	return a
}

// TestPaging walks every list in pages of every size: together they are the list, without gap or duplicate.
func TestPaging(t *testing.T) {
	a := stocked(t)
	for _, list := range lists {
		query := list.document()
		var all []string
		for _, size := range []int{100, 1, 2, 3, 7} {
			var seen []string
			for after := any(nil); ; {
				r := a.ok(list.user(), query, object{"first": size, "after": after})
				nodes, _ := r.at(list.path + ".nodes").([]any)
				for i := range nodes {
					seen = append(seen, r.text(fmt.Sprintf("%s.nodes.%d.id", list.path, i)))
					r.want(fmt.Sprintf("%s.edges.%d.node.id", list.path, i), seen[len(seen)-1])
				}
				r.want(list.path+".pageInfo.hasPreviousPage", after != nil, list.path+".pageInfo.startCursor", r.at(list.path+".edges.0.cursor"))
				if r.at(list.path+".pageInfo.hasNextPage") == false {
					break
				}
				if len(nodes) != size {
					t.Fatalf("%s: a page of %d has %d and says that more follow", list.name, size, len(nodes))
				}
				after = r.text(list.path + ".pageInfo.endCursor")
			}
			if all == nil {
				all = seen
				if unique := slices.Compact(slices.Sorted(slices.Values(all))); len(all) < 9 || len(unique) != len(all) {
					t.Errorf("%s: %d, %d of them different", list.name, len(all), len(unique))
				}
			}
			if !slices.Equal(seen, all) {
				t.Errorf("%s in pages of %d: got %v, want %v", list.name, size, seen, all)
			}
		}
	}
}

func TestPageBounds(t *testing.T) {
	a := newAPI(t, settings{})
	for _, list := range lists {
		query := list.document()
		for _, first := range []int{0, -1, 101, 2147483647} {
			if message := a.do(list.user(), query, object{"first": first}).wantError("BAD_USER_INPUT"); !strings.Contains(message, "1 to 100") {
				t.Errorf("%s: first %d: %s", list.name, first, message)
			}
		}
		a.ok(list.user(), query, nil)                               // the default
		a.ok(list.user(), query, object{"first": nil, "after": ""}) // null is the default, and "" the beginning
	}
	r := a.ok(carol, `{ me { orders `+page+` accounts { id } couponIssues { id } wallet { balance entries { nodes { id } } } } }`, nil)
	r.want("me.orders.nodes", []any{}, "me.orders.edges", []any{}, "me.orders.pageInfo.startCursor", nil,
		"me.orders.pageInfo.hasNextPage", false, "me.accounts", []any{}, "me.couponIssues", []any{}, "me.wallet.balance", 0)
}

// TestCursors gives every list the cursors of all others, and some that nobody gave out: each is refused by the name of its
// argument. An answer would begin anew, or leave something out, and nobody would notice.
func TestCursors(t *testing.T) {
	tested := map[string]bool{}
	for _, list := range lists {
		tested[list.field] = true
	}
	for _, d := range schema.Types {
		for _, f := range d.Fields {
			if strings.HasSuffix(f.Type.Name(), "Connection") && !tested[d.Name+"."+f.Name] {
				t.Errorf("no test pages through %s.%s", d.Name, f.Name)
			}
		}
	}

	a := stocked(t)
	cursors := map[string]string{}
	for _, list := range lists {
		r := a.ok(list.user(), list.document(), object{"first": 1})
		cursors[list.name] = r.text(list.path + ".pageInfo.endCursor")
	}
	for _, list := range lists {
		query := list.document()
		refused := func(what, cursor string) {
			t.Helper()
			r := a.do(list.user(), query, object{"first": 1, "after": cursor})
			message := r.wantError("BAD_USER_INPUT")
			if got := fmt.Sprint(r.Errors[0].Extensions["field"]); got != "[after]" || !strings.Contains(message, "after is not a cursor") {
				t.Errorf("%s, %s: field %s: %s", list.name, what, got, message)
			}
		}
		own := cursors[list.name]
		if r := a.do(list.user(), query, object{"first": 1, "after": own}); len(r.Errors) > 0 {
			t.Errorf("%s: its own cursor: %s", list.name, r.body)
		}
		for other, cursor := range cursors {
			if other != list.name {
				refused("of "+other, cursor)
			}
		}
		for _, garbage := range []string{"x", "%", "e30", "bnVsbA", "eyJ0IjoieCJ9", own + "=", own + "A", " " + own, strings.Repeat("A", 50_000)} {
			refused("garbage", garbage)
		}
		raw, err := base64.RawURLEncoding.DecodeString(own)
		must(t, err)
		refused("spaced", base64.RawURLEncoding.EncodeToString(append(raw, ' ')))
		for _, forged := range []struct {
			part  string
			value any
		}{
			{"i", "a\x00b"}, {"i", 1}, {"s", "a\x00b"}, {"s", []any{}}, {"t", "0000-01-01T00:00:00Z"}, {"t", "soon"}, {"n", 1.5}, {"n", "7"},
		} {
			refused(fmt.Sprintf("%q as %s", forged.value, forged.part), forgedCursor(t, raw, forged.part, forged.value))
		}
	}
	// The lists of another customer, and another journal, are other lists.
	for name, list := range map[string]string{
		"orders": `query($after: String) { me { orders(after: $after) { nodes { id } } } }`,
		"wallet": `query($after: String) { me { wallet { entries(after: $after) { nodes { id } } } } }`,
	} {
		a.do(bob, list, object{"after": cursors[name]}).wantError("BAD_USER_INPUT")
	}
	// A filter leaves out products and keeps the order.
	a.ok(alice, `query($after: String) { products(after: $after, filter: {search: "same"}) { nodes { id } } }`, object{"after": cursors["products"]})
}

// forgedCursor is a cursor in which one part is replaced, and which is spelled as cursors are.
func forgedCursor(t *testing.T, cursor []byte, part string, value any) string {
	t.Helper()
	var parts struct {
		List   json.RawMessage `json:"l"`
		Time   json.RawMessage `json:"t,omitempty"`
		Number json.RawMessage `json:"n,omitempty"`
		Text   json.RawMessage `json:"s,omitempty"`
		ID     json.RawMessage `json:"i,omitempty"`
	}
	must(t, json.Unmarshal(cursor, &parts))
	replaced, err := json.Marshal(value)
	must(t, err)
	*map[string]*json.RawMessage{"t": &parts.Time, "n": &parts.Number, "s": &parts.Text, "i": &parts.ID}[part] = replaced
	forged, err := json.Marshal(parts)
	must(t, err)
	return base64.RawURLEncoding.EncodeToString(forged)
}

// TestListsHaveNoQueryPerElement counts the queries of the database for a list of one and of many.
func TestListsHaveNoQueryPerElement(t *testing.T) {
	a := stocked(t)
	for name, query := range map[string]string{
		"stock":    `query($first: Int) { products(first: $first) { nodes { id stock { available } } } }`,
		"issued":   `query($first: Int) { coupons(first: $first) { nodes { id issued } } }`,
		"lines":    `query($first: Int) { me { orders(first: $first) { nodes { lines { product { name stock { available } } } payment { id } } } } }`,
		"coupons":  `query($first: Int) { me { orders(first: $first) { nodes { couponIssue { id coupon { issued } } } } } }`,
		"balances": `{ me { accounts { balance { amountMinor } } couponIssues { coupon { name issued } } } }`,
	} {
		count := func(first int) int64 {
			before := a.queries.Load()
			a.ok(alice, query, object{"first": first})
			return a.queries.Load() - before
		}
		count(1) // what is read once and remembered
		one, many := count(1), count(9)
		for range 20 { // a loader's wait may split a list on a busy machine, but not always
			many = min(many, count(9))
		}
		if one == 0 || many > one {
			t.Errorf("%s: %d queries for one, %d for nine", name, one, many)
		}
	}
}

// A search that cannot find anything for what it is says so; what looks like a pattern or like SQL is none.
func TestSearchInput(t *testing.T) {
	a := newAPI(t, settings{})
	const query = `query($search: String) { products(filter: {search: $search}) { nodes { sku } } }`
	for search, want := range map[string]string{
		"%": "letter, a digit or a symbol", `\_'"`: "letter, a digit or a symbol", strings.Repeat("ü", 256): "at most 255 characters, not 256",
	} {
		if message := a.do(nobody, query, object{"search": search}).wantError("BAD_USER_INPUT"); !strings.Contains(message, want) {
			t.Errorf("%.10q: %s, want %s", search, message, want)
		}
	}
	all := a.ok(nobody, query, nil).at("products.nodes")
	for search, want := range map[string]any{
		"": all, "  ": all, "kb-75": []any{object{"sku": "KB-75"}}, "KÉYBOARD mech": []any{object{"sku": "KB-75"}}, "k%b": []any{}, "%' OR 1=1 --": []any{},
	} {
		a.ok(nobody, query, object{"search": search}).want("products.nodes", want)
	}
}
