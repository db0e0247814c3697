package commerce_test

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/ent/balance"
	"holdfast/ent/entry"
	"holdfast/ent/limitdrift"
	"holdfast/ent/order"
	"holdfast/ent/orderline"
	"holdfast/ent/paymentattempt"
	"holdfast/ent/product"
	"holdfast/ent/refund"
	"holdfast/ent/user"
	"holdfast/lockprovider"
)

// TestProductFilters compares each list of products with the products that it has to leave out, in each order, on every database. Many have
// equal names, prices and moments.
func TestProductFilters(t *testing.T) {
	everyCatalog(t, func(t *testing.T, s *shop) {
		ctx := t.Context()
		stocks := map[string]int64{}
		for i := range 40 {
			sku := fmt.Sprint("F-", i)
			stocks[sku] = int64(i % 3)
			row, err := s.Catalog.Create(ctx, admin, commerce.CreateProduct{
				SKU: sku, Name: []string{"Lamp", "lamp", "Desk lamp", "Désk"}[i%4], Stock: stocks[sku],
				Price: commerce.Money{Minor: int64(i % 7 * 100), Currency: "USD"},
			})
			must(t, err)
			if i%9 == 0 {
				_, err = s.Catalog.Archive(ctx, admin, commerce.ArchiveProduct{ID: row.ID})
				must(t, err)
			}
			if i%5 == 0 {
				s.clock.advance(time.Millisecond)
			}
		}
		s.settle(t)
		rows, err := s.db.Ent.Product.Query().All(ctx)
		must(t, err)
		sorted := map[commerce.ProductOrder]func(a, b *ent.Product) int{
			commerce.NewestFirst: func(a, b *ent.Product) int { return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.ID, a.ID)) },
			commerce.ByName:      func(a, b *ent.Product) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) },
			commerce.PriceAscending: func(a, b *ent.Product) int {
				return cmp.Or(cmp.Compare(a.PriceMinor, b.PriceMinor), cmp.Compare(a.ID, b.ID))
			},
		}
		for of, reversed := range map[commerce.ProductOrder]commerce.ProductOrder{
			commerce.NewestFirst: commerce.OldestFirst, commerce.ByName: commerce.ByNameReversed, commerce.PriceAscending: commerce.PriceDescending,
		} {
			sorted[reversed] = func(a, b *ent.Product) int { return sorted[of](b, a) }
		}
		yes, no, low, high := true, false, int64(200), int64(400)
		filters := []commerce.ProductFilter{
			{},
			{IncludeArchived: true},
			{Available: &yes},
			{Available: &no},
			{MinPrice: &low},
			{MaxPrice: &high},
			{MinPrice: &low, MaxPrice: &low},
			{MinPrice: &low, MaxPrice: &high, Available: &yes, IncludeArchived: true},
		}
		for by, compare := range sorted {
			slices.SortFunc(rows, compare)
			for _, filter := range filters {
				for _, search := range []string{"", "lamp", "desk"} {
					var want []string
					for _, p := range rows {
						switch {
						case p.ArchivedAt != nil && !filter.IncludeArchived,
							filter.MinPrice != nil && p.PriceMinor < *filter.MinPrice, filter.MaxPrice != nil && p.PriceMinor > *filter.MaxPrice,
							filter.Available != nil && *filter.Available != (stocks[p.Sku] > 0),
							search != "" && !hasWords(p.Name, search):
							continue
						}
						want = append(want, p.Sku)
					}
					q := commerce.ProductQuery{Search: search, ProductFilter: filter, Order: by}
					if got := s.found(t, q, 7); !slices.Equal(got, want) {
						t.Errorf("%q by %s, %+v:\n got %v\nwant %v", search, by, filter, got, want)
					}
					q.Page = commerce.Page{First: 1}
					page, err := s.Catalog.Products(ctx, q)
					must(t, err)
					if count, err := page.Count(ctx); err != nil || count != (commerce.Count{Items: len(want), IsExact: true}) {
						t.Errorf("%q, %+v: counted %+v, %v, want %d", search, filter, count, err, len(want))
					}
				}
			}
		}
		_, err = s.Catalog.Products(ctx, commerce.ProductQuery{
			ProductFilter: commerce.ProductFilter{MinPrice: &high, MaxPrice: &low}, Page: commerce.Page{First: 1},
		})
		wantCodes(t, err, "INVALID_INPUT:filter.price")
	})
}

func at(moment time.Time) commerce.Bound { return commerce.BoundAt(&moment) }

// TestOrderAndEntryFilters compares lists of orders and of a journal with what they have to leave out, on every database.
func TestOrderAndEntryFilters(t *testing.T) {
	everyCatalog(t, func(t *testing.T, s *shop) {
		ctx := t.Context()
		thing, from, to := s.product(t, 100, 100), s.account(t, alice, 1000), s.account(t, bob, 0)
		began := s.clock.Now()
		for i := range 12 {
			result, err := s.Orders.Place(ctx, alice, commerce.PlaceOrder{Key: uuid.New(), Lines: []commerce.Line{{ProductID: thing, Quantity: 1}}})
			must(t, err)
			if i%3 == 0 {
				_, err = s.Orders.Cancel(ctx, alice, commerce.CancelOrder{Key: uuid.New(), OrderID: result.Order.ID})
				must(t, err)
			}
			_, err = s.Accounts.Transfer(ctx, alice, commerce.Transfer{Key: uuid.New(), From: from, To: to, Amount: commerce.Money{Minor: 1, Currency: "USD"}})
			must(t, err)
			_, err = s.Accounts.Adjust(ctx, admin, commerce.AdjustAccount{Key: uuid.New(), AccountID: from, Delta: 1, Reason: "test"})
			must(t, err)
			if i%4 == 3 {
				_, err = s.Orders.Place(ctx, bob, commerce.PlaceOrder{Key: uuid.New(), Lines: []commerce.Line{{ProductID: thing, Quantity: 1}}})
				must(t, err)
				s.clock.advance(time.Second)
			}
		}
		s.settle(t)
		rows, err := s.db.Ent.Order.Query().All(ctx)
		must(t, err)
		for i, o := range rows {
			if i%3 == 0 {
				must(t, s.db.Ent.Order.UpdateOne(o).SetFulfilment(order.FulfilmentFULFILLED).Exec(ctx))
			}
		}
		rows, err = s.db.Ent.Order.Query().All(ctx)
		must(t, err)
		ranges := []commerce.Range{
			{},
			{From: at(began.Add(time.Second))},
			{Until: at(began.Add(time.Second))},
			{From: at(began.Add(time.Second)), Until: at(began.Add(2 * time.Second))},
			{From: at(began.Add(time.Hour))},
			{Until: at(time.Time{})}, // a moment as others, before all
			{From: at(time.Time{})},
		}
		in := func(r commerce.Range, at time.Time) bool {
			return (!r.From.IsSet || !at.Before(r.From.Moment)) && (!r.Until.IsSet || at.Before(r.Until.Moment))
		}
		for _, oldest := range []bool{false, true} {
			slices.SortFunc(rows, func(a, b *ent.Order) int {
				if oldest {
					a, b = b, a
				}
				return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.ID, a.ID))
			})
			for _, statuses := range [][]order.Status{nil, {"PENDING"}, {"CANCELLED", "PENDING", "CANCELLED"}, {"PAID"}} {
				for i, created := range ranges {
					q := commerce.OrderQuery{Statuses: statuses, CreatedAt: created, OldestFirst: oldest}
					q.Fulfilment = []order.Fulfilment{"", order.FulfilmentFULFILLED, order.FulfilmentUNFULFILLED}[i%3]
					for whose, list := range map[string]func() (commerce.PageOf[*ent.Order], error){
						"alice": func() (commerce.PageOf[*ent.Order], error) { return s.Orders.List(ctx, alice, q) },
						"bob":   func() (commerce.PageOf[*ent.Order], error) { return s.Orders.ListAll(ctx, admin, "bob", q) },
						"":      func() (commerce.PageOf[*ent.Order], error) { return s.Orders.ListAll(ctx, admin, "", q) },
					} {
						var want []string
						for _, o := range rows {
							if (statuses == nil || slices.Contains(statuses, o.Status)) && in(created, o.CreatedAt) &&
								(q.Fulfilment == "" || o.Fulfilment == q.Fulfilment) && (whose == "" || o.UserID == whose) {
								want = append(want, o.ID)
							}
						}
						got := bothWays(t, "orders", 5, func(o *ent.Order) string { return o.ID }, func(p commerce.Page) (commerce.PageOf[*ent.Order], error) {
							q.Page = p
							return list()
						})
						if !slices.Equal(got, want) {
							t.Errorf("orders of %q, %+v:\n got %v\nwant %v", whose, q, got, want)
						}
					}
				}
			}
		}
		customers, err := s.db.Ent.User.Query().All(ctx)
		must(t, err)
		for _, created := range []commerce.Range{{}, {From: at(customers[0].CreatedAt)}, {Until: at(customers[0].CreatedAt)}} {
			for _, oldest := range []bool{false, true} {
				slices.SortFunc(customers, func(a, b *ent.User) int {
					if oldest {
						a, b = b, a
					}
					return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.ID, a.ID))
				})
				var want []string
				for _, u := range customers {
					if in(created, u.CreatedAt) {
						want = append(want, u.ID)
					}
				}
				got := bothWays(t, "customers", 1, func(u *ent.User) string { return u.ID }, func(p commerce.Page) (commerce.PageOf[*ent.User], error) {
					return s.Customers.List(ctx, admin, commerce.CustomerQuery{CreatedAt: created, OldestFirst: oldest, Page: p})
				})
				if !slices.Equal(got, want) {
					t.Errorf("customers %+v, oldest first %v:\n got %v\nwant %v", created, oldest, got, want)
				}
			}
		}
		for _, list := range []func() error{
			func() error { _, err := s.Orders.ListAll(ctx, bob, "", commerce.OrderQuery{}); return err },
			func() error { _, err := s.Orders.ListAll(ctx, bob, "bob", commerce.OrderQuery{}); return err },
			func() error { _, err := s.Customers.List(ctx, bob, commerce.CustomerQuery{}); return err },
		} {
			if err := list(); !errors.Is(err, commerce.ErrForbidden) {
				t.Errorf("a list for administrators answered bob with %v", err)
			}
		}
		entries, err := s.db.Ent.Entry.Query().All(ctx)
		must(t, err)
		slices.SortFunc(entries, func(a, b *ent.Entry) int { return cmp.Compare(b.ID, a.ID) })
		middle := entries[len(entries)/2].CreatedAt // by the clock of the database's writer
		for _, kinds := range [][]string{nil, {commerce.KindTransferCompleted}, {commerce.KindTransferCompleted, commerce.KindAccountAdjusted}, {commerce.KindOrderPaid}} {
			for _, created := range []commerce.Range{{}, {From: at(middle)}, {Until: at(middle)}, {Until: at(time.Time{})}} {
				var want []string
				for _, e := range entries {
					if e.Balance == "account:"+from && (kinds == nil || slices.Contains(kinds, e.Kind)) && in(created, e.CreatedAt) {
						want = append(want, entryID(e))
					}
				}
				filter := commerce.EntryFilter{Kinds: commerce.KindsOf(kinds...), CreatedAt: created}
				got := bothWays(t, "entries", 5, entryID, func(p commerce.Page) (commerce.PageOf[*ent.Entry], error) {
					pages, errs := s.Accounts.Statements(ctx, alice, []commerce.Statement{{AccountID: from, Filter: filter, Page: p}})
					return pages[0], errs[0]
				})
				if !slices.Equal(got, want) {
					t.Errorf("entries %v %+v:\n got %v\nwant %v", kinds, created, got, want)
				}
			}
		}
		_, err = s.Orders.List(ctx, alice, commerce.OrderQuery{CreatedAt: commerce.Range{From: at(began), Until: at(began)}, Page: commerce.Page{First: 1}})
		wantCodes(t, err, "INVALID_INPUT:filter.createdAt")
		_, err = s.Points.Entries(ctx, alice, alice.UserID, commerce.EntryFilter{CreatedAt: commerce.Range{From: at(began), Until: at(began)}}, commerce.Page{First: 1})
		wantCodes(t, err, "INVALID_INPUT:filter.createdAt")
	})
}

// TestCountsAreBounded counts lists around the bound, on every database.
func TestCountsAreBounded(t *testing.T) {
	everyCatalog(t, func(t *testing.T, s *shop) {
		ctx := t.Context()
		count := func(q commerce.ProductQuery) commerce.Count {
			t.Helper()
			q.Page.First = 1
			page, err := s.Catalog.Products(ctx, q)
			must(t, err)
			n, err := page.Count(ctx)
			must(t, err)
			return n
		}
		add := func(from, to int) {
			t.Helper()
			price := commerce.Money{Minor: 1, Currency: "USD"}
			var rows []commerce.ImportRow
			for i := from; i < to; i++ {
				rows = append(rows, commerce.ImportRow{SKU: fmt.Sprint("C-", i), Name: "Counted", Price: &price})
			}
			for some := range slices.Chunk(rows, 500) {
				results, err := s.Catalog.Import(ctx, admin, some, commerce.StockIgnore)
				must(t, err)
				for _, result := range results {
					must(t, result.Err)
				}
			}
		}
		add(0, commerce.MaxCount)
		for _, search := range []string{"", "counted"} {
			if got := count(commerce.ProductQuery{Search: search}); got != (commerce.Count{Items: commerce.MaxCount, IsExact: true}) {
				t.Errorf("search %q of %d: counted %+v", search, commerce.MaxCount, got)
			}
		}
		add(commerce.MaxCount, commerce.MaxCount+2)
		for _, search := range []string{"", "counted"} {
			if got := count(commerce.ProductQuery{Search: search}); got != (commerce.Count{Items: commerce.MaxCount}) {
				t.Errorf("search %q of %d: counted %+v", search, commerce.MaxCount+2, got)
			}
		}
	})
}

// TestListsReadTheirIndex asks SQLite, whose planner goes by the statement alone, how it reads lists: along an index, from both ends and
// between two cursors, without sorting.
func TestListsReadTheirIndex(t *testing.T) {
	s := newShop(t, lockprovider.RowLock)
	mine, theirs := s.account(t, alice, 100), s.account(t, bob, 100)
	for range 3 {
		s.unpaid(t, s.product(t, 1000, 1), 1, "")
		_, err := s.Accounts.Transfer(t.Context(), alice, commerce.Transfer{
			Key: uuid.New(), From: mine, To: theirs, Amount: commerce.Money{Minor: 1, Currency: "USD"},
		})
		must(t, err)
		s.points(t, commerce.Viewer{UserID: uuid.NewString()}, 1)
	}
	seen := s.recorded()

	lists := map[string]func(page commerce.Page) ([]string, error){
		"order_user_id_created_at_id": func(page commerce.Page) ([]string, error) {
			list, err := s.Orders.List(t.Context(), alice, commerce.OrderQuery{Page: page})
			return list.Cursors, err
		},
		"order_created_at_id": func(page commerce.Page) ([]string, error) {
			list, err := s.Orders.ListAll(t.Context(), admin, "", commerce.OrderQuery{Page: page})
			return list.Cursors, err
		},
		"user_created_at_id": func(page commerce.Page) ([]string, error) {
			list, err := s.Customers.List(t.Context(), admin, commerce.CustomerQuery{Page: page})
			return list.Cursors, err
		},
		"entry_balance_id": func(page commerce.Page) ([]string, error) {
			list, err := s.Accounts.Entries(t.Context(), alice, mine, page)
			return list.Cursors, err
		},
	}
	for order, index := range map[commerce.ProductOrder]string{
		commerce.NewestFirst: "product_created_at_id", commerce.OldestFirst: "product_created_at_id", commerce.ByName: "product_name_id",
		commerce.ByNameReversed: "product_name_id", commerce.PriceAscending: "product_price_minor_id", commerce.PriceDescending: "product_price_minor_id",
	} {
		lists[index+" "+string(order)] = func(page commerce.Page) ([]string, error) {
			list, err := s.Catalog.Products(t.Context(), commerce.ProductQuery{Page: page, Order: order})
			return list.Cursors, err
		}
	}
	for name, list := range lists {
		index, _, _ := strings.Cut(name, " ")
		cursors, err := list(commerce.Page{First: 20})
		must(t, err)
		if len(cursors) < 3 {
			t.Fatalf("%s: %d rows", name, len(cursors))
		}
		for _, page := range []commerce.Page{
			{First: 20},
			{Backward: true, Last: 20},
			{First: 20, After: cursors[0], Before: cursors[2]},
			{Backward: true, Last: 20, After: cursors[0], Before: cursors[2]},
		} {
			plan := seen.plan(t, index, func() {
				_, err := list(page)
				must(t, err)
			})
			if !strings.Contains(plan, "INDEX "+index) || strings.Contains(plan, "TEMP B-TREE") {
				t.Errorf("%s, %+v: %s", name, page, plan)
			}
			if page.After != "" && !strings.Contains(plan, "SEARCH") {
				t.Errorf("%s, %+v: does not begin at the cursor: %s", name, page, plan)
			}
		}
	}
}

// TestJobsReadTheirIndex does so with what jobs look for: one of their queries reads the index that
// is for it, and none goes through all rows of a table. Package schedulers counts what PostgreSQL
// and MariaDB read.
func TestJobsReadTheirIndex(t *testing.T) {
	s := openShop(t, lockprovider.FamilyConfig{Strategy: lockprovider.RowLock}, "sqlite://:memory:", clients.EmbeddedRedis, maxPending(10))
	_, err := s.order(t, alice, s.limited(t, commerce.PurchaseLimit{Quantity: 5}), 1)
	must(t, err)
	day := s.clock.Now().UTC().Add(-48 * time.Hour).Truncate(24 * time.Hour)
	must(t, s.db.Ent.PaymentReconciliation.Create().SetID(commerce.GatewaySimulated).SetDay(day).SetPhase(1).Exec(t.Context()))
	seen, ctx := s.recorded(), t.Context()
	compare := func() error { _, err := s.LimitDrifts.CompareCounts(ctx, "", 10); return err }
	step := func() error { _, err := s.Drifts.Step(ctx, 10); return err } // one phase each time
	for _, c := range []struct {
		index string
		job   func() error
	}{
		{"order_settled_next_attempt_at", func() error { _, _, err := s.Orders.ExpireOverdue(ctx, 10); return err }},
		{"order_settled_attempts", func() error { _, err := s.Orders.CountFailed(ctx); return err }},
		{"hold_status_next_attempt_at", func() error { _, _, err := s.Holds.ExpireOverdue(ctx, 10); return err }},
		{"hold_status_next_attempt_at", func() error { _, err := s.LimitDrifts.CompareHolds(ctx, "", 10); return err }},
		{"hold_status_attempts", func() error { _, err := s.Holds.CountStuck(ctx); return err }},
		{"holdline_limit_balance", compare},
		{"paymentattempt_look_at", func() error { _, _, err := s.Attempts.Sweep(ctx, time.Minute, 10); return err }},
		{"paymentattempt_look_at", func() error { _, err := s.Attempts.CountStuck(ctx); return err }},
		{"refund_look_at", func() error { _, _, err := s.Refunds.Sweep(ctx, time.Minute, 10); return err }},
		{"refund_look_at", func() error { _, err := s.Refunds.CountStuck(ctx); return err }},
		{"paymentattempt_look_at", func() error { _, err := s.Attempts.Unsettled(ctx, admin, 10); return err }},
		{"refund_look_at", func() error { _, err := s.Refunds.Unsettled(ctx, admin, 10); return err }},
		{"balance_family_id", compare},
		{"order_counted_user_id", compare},
		{"orderline_limit_balance", compare},
		{"order_settled_next_attempt_at", func() error { _, err := s.LimitDrifts.CompareUnsettled(ctx, "", 10); return err }},
		{"limitdrift_corrected_balance", func() error { _, err := s.LimitDrifts.Drifting(ctx); return err }},
		{"paymentattempt_updated_at", step},
		{"refund_updated_at", step},
		{"order_created_at_id", step},
	} {
		reads := false
		for query, steps := range seen.plans(t, func() { must(t, c.job()) }) {
			for _, step := range steps {
				reads = reads || strings.HasPrefix(step, "SEARCH") && strings.Contains(step, "INDEX "+c.index)
				if readsAll(step) {
					t.Errorf("%s: %q goes through all rows: %q", c.index, query, step)
				}
			}
		}
		if !reads {
			t.Errorf("%s: no query reads it", c.index)
		}
	}
	all := seen.plans(t, func() { _, err := s.Catalog.Client.Order.Query().All(ctx); must(t, err) })
	for query, steps := range all {
		if !slices.ContainsFunc(steps, readsAll) {
			t.Errorf("%q is not seen to go through all rows: %q", query, steps)
		}
	}
	if len(all) != 1 {
		t.Errorf("saw %d queries, want 1", len(all))
	}
}

// readsAll reports whether a step of SQLite reads a table, or an index of it, from the first row to
// the last.
func readsAll(step string) bool { return strings.HasPrefix(step, "SCAN ") }

// recorder is a driver that keeps the queries.
type recorder struct {
	*entsql.Driver
	queries []string
	args    [][]any
}

// recorded has all services of a shop on SQLite use a recorder from now on.
func (s *shop) recorded() *recorder {
	r := &recorder{Driver: entsql.OpenDB(dialect.SQLite, s.db.Pools()["writer"])}
	s.Catalog.Client = ent.NewClient(ent.Driver(r)) // which all services share
	return r
}

func (r *recorder) Query(ctx context.Context, query string, args, v any) error {
	r.queries, r.args = append(r.queries, query), append(r.args, args.([]any))
	return r.Driver.Query(ctx, query, args, v)
}

func (r *recorder) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	r.queries, r.args = append(r.queries, query), append(r.args, args)
	return r.Driver.QueryContext(ctx, query, args...)
}

// plan returns how SQLite carries out the first query that f makes of the table of an index.
func (r *recorder) plan(t *testing.T, index string, f func()) (plan string) {
	t.Helper()
	r.queries, r.args = nil, nil
	f()
	table, _, _ := strings.Cut(index, "_")
	i := slices.IndexFunc(r.queries, func(query string) bool { return strings.Contains(query, "FROM `"+tables[table]+"`") })
	if i < 0 {
		t.Fatalf("no query of %s: %q", table, r.queries)
	}
	return strings.Join(r.explain(t, r.queries[i], r.args[i]), "; ")
}

// plans returns the steps in which SQLite carries out each query that f makes.
func (r *recorder) plans(t *testing.T, f func()) map[string][]string {
	t.Helper()
	r.queries, r.args = nil, nil
	f()
	plans := map[string][]string{}
	for i, query := range r.queries {
		plans[query] = r.explain(t, query, r.args[i])
	}
	return plans
}

func (r *recorder) explain(t *testing.T, query string, args []any) (steps []string) {
	t.Helper()
	var rows entsql.Rows
	must(t, r.Driver.Query(t.Context(), "EXPLAIN QUERY PLAN "+query, args, &rows))
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var step string
		must(t, rows.Scan(&id, &parent, &unused, &step))
		steps = append(steps, step)
	}
	must(t, rows.Err())
	return steps
}

var tables = map[string]string{
	"order": order.Table, "orderline": orderline.Table, "user": user.Table, "entry": entry.Table, "product": product.Table, "balance": balance.Table,
	"paymentattempt": paymentattempt.Table, "refund": refund.Table, "limitdrift": limitdrift.Table,
}
