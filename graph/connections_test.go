package graph_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/internal/testenv"
)

// list is a connection in one order: its field, and the path of its page.
type list struct{ name, field, query, path string }

var lists = []list{
	{"products", "Query.products", `query($first: Int, $after: String, $last: Int, $before: String) { page: products(first: $first, after: $after, last: $last, before: $before) %s }`, "page"},
	{"products by name", "Query.products", `query($first: Int, $after: String, $last: Int, $before: String) { page: products(first: $first, after: $after, last: $last, before: $before, orderBy: NAME) %s }`, "page"},
	{"products by price", "Query.products", `query($first: Int, $after: String, $last: Int, $before: String) { page: products(first: $first, after: $after, last: $last, before: $before, orderBy: PRICE_ASC) %s }`, "page"},
	{"products backwards by name", "Query.products", `query($first: Int, $after: String, $last: Int, $before: String) { page: products(first: $first, after: $after, last: $last, before: $before, orderBy: NAME_DESC) %s }`, "page"},
	{"dear products", "Query.products", `query($first: Int, $after: String, $last: Int, $before: String) { page: products(first: $first, after: $after, last: $last, before: $before, orderBy: PRICE_DESC) %s }`, "page"},
	{"old products", "Query.products", `query($first: Int, $after: String, $last: Int, $before: String) { page: products(first: $first, after: $after, last: $last, before: $before, orderBy: OLDEST) %s }`, "page"},
	{"filtered products", "Query.products", `query($first: Int, $after: String, $last: Int, $before: String) { page: products(first: $first, after: $after, last: $last, before: $before, orderBy: PRICE_DESC, filter: {search: "same", available: true, price: {minMinor: 100}}) %s }`, "page"},
	{"products of a vendor", "Query.products", `query($first: Int, $after: String, $last: Int, $before: String) { page: products(first: $first, after: $after, last: $last, before: $before, orderBy: NAME, filter: {vendor: "SAME", tag: "Tag", productType: "type"}) %s }`, "page"},
	{"products beneath a category", "Category.products", `query($first: Int, $after: String, $last: Int, $before: String) { category(id: "cat_1") { page: products(first: $first, after: $after, last: $last, before: $before, orderBy: PRICE_ASC) %s } }`, "category.page"},
	{"categories", "Query.categories", `query($first: Int, $after: String, $last: Int, $before: String) { page: categories(first: $first, after: $after, last: $last, before: $before) %s }`, "page"},
	{"categories at the top", "Query.categories", `query($first: Int, $after: String, $last: Int, $before: String) { page: categories(first: $first, after: $after, last: $last, before: $before, topLevel: true) %s }`, "page"},
	{"categories of a category", "Category.children", `query($first: Int, $after: String, $last: Int, $before: String) { category(handle: "displays") { page: children(first: $first, after: $after, last: $last, before: $before) %s } }`, "category.page"},
	{"old orders", "Customer.orders", `query($first: Int, $after: String, $last: Int, $before: String) { me { page: orders(first: $first, after: $after, last: $last, before: $before, orderBy: OLDEST) %s } }`, "me.page"},
	{"pending orders", "Customer.orders", `query($first: Int, $after: String, $last: Int, $before: String) { me { page: orders(first: $first, after: $after, last: $last, before: $before, filter: {status: [PENDING], createdAt: {from: "2020-01-01T00:00:00Z"}}) %s } }`, "me.page"},
	{"charges", "Wallet.entries", `query($first: Int, $after: String, $last: Int, $before: String) { me { wallet { page: entries(first: $first, after: $after, last: $last, before: $before, filter: {kind: [POINTS_CHARGED]}) %s } } }`, "me.wallet.page"},
	{"transfers", "Account.entries", `query($first: Int, $after: String, $last: Int, $before: String) { account(id: "acct_alice") { page: entries(first: $first, after: $after, last: $last, before: $before, filter: {kind: [TRANSFER_COMPLETED, ACCOUNT_ADJUSTED]}) %s } }`, "account.page"},
	{"coupons", "Query.coupons", `query($first: Int, $after: String, $last: Int, $before: String) { page: coupons(first: $first, after: $after, last: $last, before: $before) %s }`, "page"},
	{"adjustments", "Query.adjustments", `query($first: Int, $after: String, $last: Int, $before: String) { page: adjustments(first: $first, after: $after, last: $last, before: $before) %s }`, "page"},
	{"orders", "Customer.orders", `query($first: Int, $after: String, $last: Int, $before: String) { me { page: orders(first: $first, after: $after, last: $last, before: $before) %s } }`, "me.page"},
	{"all orders", "Query.orders", `query($first: Int, $after: String, $last: Int, $before: String) { page: orders(first: $first, after: $after, last: $last, before: $before) %s }`, "page"},
	{"old orders of all", "Query.orders", `query($first: Int, $after: String, $last: Int, $before: String) { page: orders(first: $first, after: $after, last: $last, before: $before, orderBy: OLDEST, filter: {fulfilment: UNFULFILLED}) %s }`, "page"},
	{"customers", "Query.customers", `query($first: Int, $after: String, $last: Int, $before: String) { page: customers(first: $first, after: $after, last: $last, before: $before) %s }`, "page"},
	{"old customers", "Query.customers", `query($first: Int, $after: String, $last: Int, $before: String) { page: customers(first: $first, after: $after, last: $last, before: $before, orderBy: OLDEST, filter: {createdAt: {from: "2020-01-01T00:00:00Z"}}) %s }`, "page"},
	{"accounts", "Customer.accounts", `query($first: Int, $after: String, $last: Int, $before: String) { me { page: accounts(first: $first, after: $after, last: $last, before: $before) %s } }`, "me.page"},
	{"coupon issues", "Customer.couponIssues", `query($first: Int, $after: String, $last: Int, $before: String) { me { page: couponIssues(first: $first, after: $after, last: $last, before: $before) %s } }`, "me.page"},
	{"holds", "Customer.holds", `query($first: Int, $after: String, $last: Int, $before: String) { me { page: holds(first: $first, after: $after, last: $last, before: $before) %s } }`, "me.page"},
	{"released holds", "Customer.holds", `query($first: Int, $after: String, $last: Int, $before: String) { me { page: holds(first: $first, after: $after, last: $last, before: $before, status: RELEASED) %s } }`, "me.page"},
	{"stock", "Product.stockHistory", `query($first: Int, $after: String, $last: Int, $before: String) { product(id: "prod_1") { page: stockHistory(first: $first, after: $after, last: $last, before: $before) %s } }`, "product.page"},
	{"variants", "Product.variants", `query($first: Int, $after: String, $last: Int, $before: String) { product(id: "prod_8") { page: variants(first: $first, after: $after, last: $last, before: $before) %s } }`, "product.page"},
	{"stock of a variant", "ProductVariant.stockHistory", `query($first: Int, $after: String, $last: Int, $before: String) { productVariant(id: "var_2") { page: stockHistory(first: $first, after: $after, last: $last, before: $before) %s } }`, "productVariant.page"},
	{"wallet", "Wallet.entries", `query($first: Int, $after: String, $last: Int, $before: String) { me { wallet { page: entries(first: $first, after: $after, last: $last, before: $before) %s } } }`, "me.wallet.page"},
	{"account", "Account.entries", `query($first: Int, $after: String, $last: Int, $before: String) { account(id: "acct_alice") { page: entries(first: $first, after: $after, last: $last, before: $before) %s } }`, "account.page"},
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
	if l.name == "adjustments" || l.field == "Product.stockHistory" || l.field == "ProductVariant.stockHistory" || l.field == "Query.orders" || l.field == "Query.customers" {
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
			Attributes: commerce.Attributes{
				Vendor: new("Same"), ProductType: new("Type"), Tags: []string{"tag", "other"}, CategoryIDs: []string{"cat_6", "cat_2"},
				Images: []commerce.Image{{URL: "https://cdn.example.com/1.jpg"}, {URL: "https://cdn.example.com/2.jpg"}},
			},
		})
		must(t, err)
		_, err = a.services.Catalog.CreateCategory(ctx, v, commerce.CreateCategory{Name: "Same", Position: new(7), ParentID: new("cat_3")})
		must(t, err)
		_, err = a.services.Catalog.CreateCategory(ctx, v, commerce.CreateCategory{Name: "Another"})
		must(t, err)
		a.coupon(t, commerce.CreateCoupon{Name: "Coupon", Quota: 10, PerUserLimit: 10})
		_, other := a.as(fmt.Sprintf("customer%d", i))
		_, err = a.services.Accounts.Open(ctx, other, commerce.OpenAccount{Key: uuid.New(), Name: "One of another", Currency: "USD"})
		must(t, err)
		a.ok(admin, pointsAdjust, vars(object{"idempotencyKey": key(), "userId": "user_bob", "delta": 1, "reason": "a test"}))
	}
	sizes := commerce.AddVariants{ProductID: "prod_8"}
	for i := range 10 {
		sizes.Variants = append(sizes.Variants, commerce.CreateVariant{
			SKU: fmt.Sprintf("SIZE-%d", i), Options: []string{fmt.Sprint(i)}, Price: commerce.Money{Minor: 100, Currency: "USD"},
		})
	}
	none := "none"
	_, err := a.services.Catalog.Update(ctx, v, commerce.UpdateProduct{ID: "prod_8", Version: 1, Options: []commerce.UpdateOption{{Name: "Size", Value: &none}}})
	must(t, err)
	_, err = a.services.Catalog.AddVariants(ctx, v, sizes)
	must(t, err)
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
		products, err := a.services.Holds.Create(ctx, v, commerce.CreateHold{
			Key: uuid.New(), TTL: time.Minute, Lines: []commerce.Line{{ProductID: "prod_1", Quantity: 1}},
		})
		must(t, err)
		_, err = a.services.Holds.Release(ctx, v, products.Hold.ID)
		must(t, err)
		_, err = a.services.Accounts.Open(ctx, v, commerce.OpenAccount{Key: uuid.New(), Name: "One of many", Currency: "USD"})
		must(t, err)
		_, err = a.services.Accounts.Transfer(ctx, v, commerce.Transfer{
			Key: uuid.New(), From: "acct_alice", To: "acct_bob", Amount: commerce.Money{Minor: 1, Currency: "USD"},
		})
		must(t, err)
	}
	return a
}

// read asks for one page, and returns the identifiers and the cursors of its items.
func (l list) read(a *api, asked object) (r result, ids, cursors []string) {
	a.t.Helper()
	r = a.ok(l.user(), l.document(), asked)
	nodes, _ := r.at(l.path + ".nodes").([]any)
	for i := range nodes {
		ids = append(ids, r.text(fmt.Sprintf("%s.nodes.%d.id", l.path, i)))
		cursors = append(cursors, r.text(fmt.Sprintf("%s.edges.%d.cursor", l.path, i)))
		r.want(fmt.Sprintf("%s.edges.%d.node.id", l.path, i), ids[i])
	}
	if len(cursors) > 0 {
		r.want(l.path+".pageInfo.startCursor", cursors[0], l.path+".pageInfo.endCursor", cursors[len(cursors)-1])
	}
	return r, ids, cursors
}

// TestPaging walks every list in pages of every size, from both of its ends: together they are the list, without gap or duplicate.
func TestPaging(t *testing.T) {
	a := stocked(t)
	for _, list := range lists {
		_, all, cursors := list.read(a, object{"first": 100})
		if unique := slices.Compact(slices.Sorted(slices.Values(all))); len(all) < 9 || len(unique) != len(all) {
			t.Errorf("%s: %d, %d of them different", list.name, len(all), len(unique))
		}
		for _, size := range []int{1, 2, 3, 7, 100} {
			var forwards, backwards []string
			for after := any(nil); ; {
				r, ids, ends := list.read(a, object{"first": size, "after": after})
				forwards = append(forwards, ids...)
				r.want(list.path+".pageInfo.hasPreviousPage", after != nil)
				if r.at(list.path+".pageInfo.hasNextPage") == false {
					break
				}
				if len(ids) != size {
					t.Fatalf("%s: a page of %d has %d and says that more follow", list.name, size, len(ids))
				}
				after = ends[size-1]
			}
			for before := any(nil); ; {
				r, ids, ends := list.read(a, object{"last": size, "before": before})
				backwards = append(slices.Clone(ids), backwards...)
				r.want(list.path+".pageInfo.hasNextPage", before != nil)
				if r.at(list.path+".pageInfo.hasPreviousPage") == false {
					break
				}
				if len(ids) != size {
					t.Fatalf("%s: a page of %d from the end has %d and says that more come before", list.name, size, len(ids))
				}
				before = ends[0]
			}
			if !slices.Equal(forwards, all) || !slices.Equal(backwards, all) {
				t.Errorf("%s in pages of %d: got %v and, from the end, %v, want %v", list.name, size, forwards, backwards, all)
			}
		}
		// Between two cursors, from either end.
		for name, page := range map[string]struct {
			asked          object
			want           []string
			next, previous bool
		}{
			"first":           {object{"first": 2}, all[2:4], true, true},
			"last":            {object{"last": 2}, all[4:6], true, true},
			"all of them":     {object{"first": 4}, all[2:6], false, true},
			"the last of all": {object{"last": 4}, all[2:6], true, false},
			"by default":      {object{}, all[2:6], false, true},
		} {
			page.asked["after"], page.asked["before"] = cursors[1], cursors[6]
			r, ids, _ := list.read(a, page.asked)
			if !slices.Equal(ids, page.want) {
				t.Errorf("%s, %s between two cursors: got %v, want %v", list.name, name, ids, page.want)
			}
			r.want(list.path+".pageInfo.hasNextPage", page.next, list.path+".pageInfo.hasPreviousPage", page.previous)
		}
		_, ids, _ := list.read(a, object{"after": cursors[3], "before": cursors[4]})
		if len(ids) > 0 {
			t.Errorf("%s: %v is between two neighbours", list.name, ids)
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
		for _, last := range []int{0, -1, 101} {
			r := a.do(list.user(), query, object{"last": last})
			if message := r.wantError("BAD_USER_INPUT"); message != fmt.Sprintf("last must be 1 to 100, not %d", last) {
				t.Errorf("%s: last %d: %s", list.name, last, message)
			}
		}
		for _, first := range []int{0, 5, 101} {
			r := a.do(list.user(), query, object{"first": first, "last": 5})
			r.wantError("BAD_USER_INPUT")
			if got := fmt.Sprint(r.Errors[0].Extensions["field"]); got != "[last]" || !strings.Contains(r.body, "first and last cannot be given together") {
				t.Errorf("%s: first %d and last: %s", list.name, first, r.body)
			}
		}
		if ids, _ := a.ok(list.user(), query, object{"last": nil, "before": ""}).at(list.path + ".nodes").([]any); len(ids) > 20 {
			t.Errorf("%s: %d by default", list.name, len(ids))
		}
		a.ok(list.user(), query, nil)                               // the default
		a.ok(list.user(), query, object{"first": nil, "after": ""}) // null is the default, and "" the beginning
	}
	r := a.ok(carol, `{ me { orders `+page+` accounts { nodes { id } } couponIssues { nodes { id } } wallet { balance entries { nodes { id } } } } }`, nil)
	r.want("me.orders.nodes", []any{}, "me.orders.edges", []any{}, "me.orders.pageInfo.startCursor", nil,
		"me.orders.pageInfo.hasNextPage", false, "me.accounts.nodes", []any{}, "me.couponIssues.nodes", []any{}, "me.wallet.balance", 0)
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
			for _, argument := range []string{"after", "before"} {
				r := a.do(list.user(), query, object{"first": 1, argument: cursor})
				message := r.wantError("BAD_USER_INPUT")
				if got := fmt.Sprint(r.Errors[0].Extensions["field"]); got != "["+argument+"]" || !strings.Contains(message, argument+" is not a cursor") {
					t.Errorf("%s, %s: field %s: %s", list.name, what, got, message)
				}
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
			{"i", "a\x00b"},
			{"i", 1},
			{"s", "a\x00b"},
			{"s", []any{}},
			{"t", "0000-01-01T00:00:00Z"},
			{"t", "soon"},
			{"n", 1.5},
			{"n", "7"},
			{"t", "9999-12-31T23:59:59-01:00"},
			{"t", "0000-01-01T00:00:00+01:00"}, // in UTC, of years that JSON does not have
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
	// A list with a filter is another list.
	const filtered = `query($after: String, $filter: ProductFilter) { page: products(first: 1, after: $after, filter: $filter) { nodes { id } pageInfo { endCursor } } }`
	filters := []object{nil, {"search": "same"}, {"search": "sam"}, {"price": object{"minMinor": 1}}, {"price": object{"maxMinor": 1000}}, {"available": true}, {"vendor": "same"}, {"tag": "tag"}, {"categoryId": "cat_1"}, {"categoryId": "cat_5"}}
	for i, of := range filters {
		cursor := a.ok(alice, filtered, object{"filter": of}).text("page.pageInfo.endCursor")
		for j, in := range filters {
			if r := a.do(alice, filtered, object{"filter": in, "after": cursor}); (len(r.Errors) == 0) != (i == j) {
				t.Errorf("a cursor of %v in %v: %s", of, in, r.body)
			}
		}
	}
	a.ok(alice, filtered, object{"filter": object{}, "after": cursors["products"]}) // which leaves nothing out
}

// TestTotalCount counts lists, whatever page is asked for. What nobody asks for is not counted.
func TestTotalCount(t *testing.T) {
	a := stocked(t)
	for _, list := range lists {
		if strings.HasSuffix(list.field, ".entries") || strings.HasSuffix(list.field, ".stockHistory") {
			continue // journals are not counted
		}
		_, all, _ := list.read(a, object{"first": 100})
		counted := fmt.Sprintf(list.query, "{ totalCount { count precision } pageInfo { endCursor } }")
		for _, asked := range []object{nil, {"first": 1}, {"last": 2}, {"first": 100}} {
			a.ok(list.user(), counted, asked).want(list.path+".totalCount.count", len(all), list.path+".totalCount.precision", "EXACT")
		}
	}
	count := func(selection string) int64 {
		before := a.queries.Load()
		a.ok(alice, "{ me { orders "+selection+" } }", nil)
		return a.queries.Load() - before
	}
	count("{ nodes { id } }") // what is read once and remembered
	if without, with := count("{ nodes { id } }"), count("{ nodes { id } totalCount { count } }"); with != without+1 {
		t.Errorf("%d queries without a count, %d with one", without, with)
	}
	var again strings.Builder
	for i := range 29 {
		fmt.Fprintf(&again, " a%d: totalCount { count precision }", i)
	}
	if once, often := count("{ nodes { id } totalCount { count } }"), count("{ nodes { id } totalCount { count }"+again.String()+" }"); often != once {
		t.Errorf("%d queries for a count, %d for 30 of the same list", once, often)
	}
}

// TestTheFirstMomentIsABound asks for what was there before the first moment that a DateTime has: nothing was.
func TestTheFirstMomentIsABound(t *testing.T) {
	a := newAPI(t, settings{})
	const query = `query($created: DateTimeRangeFilter) { me { orders(filter: {createdAt: $created}) { nodes { id } } wallet { entries(filter: {createdAt: $created}) { nodes { id } } } } }`
	if all := a.ok(alice, query, object{"created": object{"from": "0001-01-01T00:00:00Z"}}); all.at("me.orders.nodes.0") == nil || all.at("me.wallet.entries.nodes.0") == nil {
		t.Errorf("nothing is there: %s", all.body)
	}
	a.ok(alice, query, object{"created": object{"until": "0001-01-01T00:00:00Z"}}).want("me.orders.nodes", "[]", "me.wallet.entries.nodes", "[]")
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

// TestListsHaveNoQueryPerElement counts the queries of the database for a list of two and of many.
func TestListsHaveNoQueryPerElement(t *testing.T) {
	a := stocked(t)
	ctx, v := a.as(alice)
	_, root := a.as(admin)
	_, err := a.services.Points.Charge(ctx, v, commerce.ChargePoints{Key: uuid.New(), Amount: 10_000})
	must(t, err)
	newest, err := a.services.Catalog.Products(ctx, commerce.ProductQuery{Page: commerce.Page{First: 9}})
	must(t, err)
	for _, product := range newest.Items {
		_, err = a.services.Orders.Place(ctx, v, commerce.PlaceOrder{
			Key: uuid.New(), Lines: []commerce.Line{{ProductID: product.ID, Quantity: 1}}, Payment: &commerce.Payment{Method: "POINTS"},
		})
		must(t, err)
		_, err = a.services.Catalog.AdjustStock(ctx, root, commerce.AdjustStock{Key: uuid.New(), ProductID: product.ID, Delta: 1, Reason: "a test"})
		must(t, err)
	}
	// What there has to be of the answer, so that the queries that are counted read something.
	sources := map[string][]string{
		"history": {`"source":{"reason":"a test"}`, `"source":{"id":"ord_`}, "sources": {`"source":{"id":"ord_`, `"source":{"id":"tr_`},
	}
	for name, query := range map[string]string{
		"stock":    `query($first: Int) { products(first: $first) { nodes { id stock { available } } } }`,
		"history":  `query($first: Int) { products(first: $first) { nodes { stockHistory(first: $first) { nodes { source { ... on Adjustment { reason } ... on Order { id } } } } } } }`,
		"pictures": `query($first: Int) { products(first: $first) { nodes { images { url } featuredImage { url } categories { name ancestors { name } parent { id } } } } }`,
		"tree":     `query($first: Int) { categories(first: $first) { nodes { parent { name } ancestors { id } children(first: 2) { nodes { id parent { id } } } } } }`,
		"variants": `query($first: Int) { products(first: $first) { nodes { options { values } variants(first: 5) { nodes { stock { available } availableForSale product { name } } } } } }`,
		"issued":   `query($first: Int) { coupons(first: $first) { nodes { id issued } } }`,
		"lines":    `query($first: Int) { me { orders(first: $first) { nodes { lines { product { name stock { available } } variant { sku stock { available } } } payment { id } } } } }`,
		"coupons":  `query($first: Int) { me { orders(first: $first) { nodes { couponIssue { id coupon { issued } } } } } }`,
		"entries":  `query($first: Int) { me { accounts { nodes { entries(first: $first) { nodes { id } } again: entries(first: 3) { nodes { id } } } } } }`,
		"sources":  `query($first: Int) { me { wallet { entries(first: $first) { nodes { source { ... on Order { id } } } } } account: accounts { nodes { entries(first: $first) { nodes { source { ... on Transfer { id from { name } to { name } } } } } } } } }`,
		"spent":    `query($first: Int) { me { couponIssues(first: $first) { nodes { order { id status } } } } }`,
		"balances": `{ me { accounts { nodes { balance { amountMinor } } } couponIssues { nodes { coupon { name issued } } } } }`,
	} {
		user := alice
		if name == "history" {
			user = admin
		}
		count := func(first int) int64 {
			before := a.queries.Load()
			a.ok(user, query, object{"first": first})
			return a.queries.Load() - before
		}
		body := a.ok(user, query, object{"first": 9}).body // what is read once and remembered
		for _, source := range sources[name] {
			if n := strings.Count(body, source); n < 9 {
				t.Errorf("%s: %d of %s: %s", name, n, source, body)
			}
		}
		few, many := count(2), count(9) // a product's first two lines are a correction and an order
		for range 20 {                  // a loader's wait may split a list on a busy machine, but not always
			many = min(many, count(9))
		}
		if few == 0 || many > few {
			t.Errorf("%s: %d queries for two, %d for nine", name, few, many)
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

// TestCostsOfLists sends what would read more than one customer may have read: by nested lists, or by many lists of few fields.
func TestCostsOfLists(t *testing.T) {
	a := newAPI(t, settings{})
	aliases := func(n int, field string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, " a%d: %s", i, field)
		}
		return b.String()
	}
	for _, query := range []string{
		`{ me { accounts { nodes {` + aliases(30, `entries { nodes { id } }`) + ` } } } }`,
		`{ me { couponIssues(first: 100) { nodes {` + aliases(30, `coupon { id name quota issued }`) + ` } } } }`,
		`{ me {` + aliases(30, `orders { nodes { lines { quantity } } }`) + ` } }`,
		`{ me { orders(first: 100) { nodes { lines { quantity product { id sku } } } } } }`,
	} {
		if message := a.do(alice, query, nil).wantError("GRAPHQL_VALIDATION_FAILED"); !strings.Contains(message, "complexity") {
			t.Errorf("%.60s: %s", query, message)
		}
	}

	// Lines that nobody asks for are not read.
	const orders = `{ me { orders { nodes { id %s } } } }`
	const fragments = ` fragment F on Order { ... on Node { id ... on Order { lines { quantity } } } }`
	count := func(query string) int64 {
		before := a.queries.Load()
		a.ok(alice, query, nil)
		return a.queries.Load() - before
	}
	count(fmt.Sprintf(orders, "")) // what is read once and remembered
	without, with := count(fmt.Sprintf(orders, "")), count(fmt.Sprintf(orders, "lines { quantity }"))
	if without >= with {
		t.Errorf("%d queries without lines, %d with them", without, with)
	}
	if hidden := fmt.Sprintf(orders, "...F") + fragments; count(hidden) != with {
		t.Error("lines within fragments are not read")
	}
	a.ok(alice, fmt.Sprintf(orders, "...F")+fragments, nil).want("me.orders.nodes.0.lines.0.quantity", 1)
}

// TestAccountsAreBounded opens as many accounts as one may have, several at the same time: none is one too many.
func TestAccountsAreBounded(t *testing.T) {
	const most = 20 // shop.maxAccounts
	a := newAPI(t, settings{bare: true})
	var opening sync.WaitGroup
	for range most + 5 {
		opening.Go(func() { a.with(t).do(alice, accountOpen, vars(object{"name": "One of many", "currency": "USD"})) })
	}
	opening.Wait()
	listed, _ := a.ok(alice, `{ me { accounts(first: 100) { nodes { id } } } }`, nil).at("me.accounts.nodes").([]any)
	if len(listed) != most {
		t.Errorf("%d accounts, want %d", len(listed), most)
	}
	for user, input := range map[string]object{
		alice: {"name": "One too many", "currency": "USD"}, admin: {"name": "One too many", "currency": "USD", "userId": "user_alice"},
	} {
		a.do(user, accountOpen, vars(input)).want("accountOpen.account", nil, "accountOpen.userErrors.0.code", "INVALID_STATE",
			"accountOpen.userErrors.0.message", "a customer has at most 20 accounts, and has as many already")
	}
	a.ok(bob, accountOpen, vars(object{"name": "The first", "currency": "USD"}))
}

// TestResolversAreBounded asks for many objects at once, and holds up the database until some resolvers wait for it. One customer
// must not take all connections.
func TestResolversAreBounded(t *testing.T) {
	const most = 8
	a := newAPI(t, settings{})
	release, waiting := make(chan struct{}), make(chan int)
	var now, highest atomic.Int64
	a.db.Ent.Product.Intercept(ent.InterceptFunc(func(next ent.Querier) ent.Querier {
		return ent.QuerierFunc(func(ctx context.Context, q ent.Query) (ent.Value, error) {
			n := now.Add(1)
			defer now.Add(-1)
			for h := highest.Load(); n > h && !highest.CompareAndSwap(h, n); h = highest.Load() {
			}
			waiting <- int(n)
			<-release
			return next.Query(ctx, q)
		})
	}))
	var query strings.Builder
	for i := range 30 {
		fmt.Fprintf(&query, " a%d: product(id: \"prod_1\") { id }", i)
	}
	answered := make(chan result, 1)
	go func() { answered <- a.with(t).do(nobody, "{"+query.String()+" }", nil) }()
	for range most {
		testenv.Receive(t, waiting, "a resolver to wait for the database")
	}
	for range 30 - most { // each that goes lets one come
		release <- struct{}{}
		testenv.Receive(t, waiting, "another resolver to wait for the database")
	}
	for range most {
		release <- struct{}{}
	}
	if r := testenv.Receive(t, answered, "the answer"); len(r.Errors) > 0 || r.at("a29.id") != "prod_1" {
		t.Errorf("the answer is %s", r.body)
	}
	if h := highest.Load(); h > most {
		t.Errorf("%d resolvers waited for the database at once, want at most %d", h, most)
	}
}
