package commerce_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/commerce/shopifycsv"
	"holdfast/ent"
	"holdfast/ent/entry"
	"holdfast/ent/product"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
)

const shopifyHeader = "Handle,Title,Body (HTML),Vendor,Published,Option1 Name,Option1 Value,Option2 Value,Variant SKU," +
	"Variant Inventory Qty,Variant Price,Image Src,Status\n"

// readCSV reads a file of the shop's currency, in which nothing is wrong.
func readCSV(t *testing.T, text string) []commerce.ImportRow {
	t.Helper()
	file, err := shopifycsv.Read(strings.NewReader(text), shopifycsv.Format{Currency: "USD"})
	must(t, err)
	for _, problem := range file.Problems {
		t.Error(problem)
	}
	return file.Rows
}

// TestImportThatIsAlwaysLate has somebody else change a product after each look at it. The refusal says when to come again: nothing
// has to be changed for that.
func TestImportThatIsAlwaysLate(t *testing.T) {
	s := newShop(t, lockprovider.AtomicSQL)
	id := s.sell(t, "LAMP", "Lamp", 100)
	s.db.Ent.Product.Intercept(ent.InterceptFunc(func(next ent.Querier) ent.Querier {
		return ent.QuerierFunc(func(ctx context.Context, q ent.Query) (ent.Value, error) {
			found, err := next.Query(ctx, q)
			if err == nil {
				err = s.db.Ent.Product.Update().Where(product.ID(id)).AddVersion(1).Exec(ctx)
			}
			return found, err
		})
	}))
	description := "of brass"
	results, err := s.Catalog.Import(t.Context(), admin, []commerce.ImportRow{
		{Line: 2, SKU: "LAMP", Name: "Lamp of brass", Description: &description, Price: &commerce.Money{Minor: 100, Currency: "USD"}},
	}, commerce.StockIgnore)
	must(t, err)
	refused, _ := commerce.UserErrors(results[0].Err)
	if len(refused) != 1 || refused[0].Code != commerce.VersionConflict || !refused[0].Retryable || refused[0].RetryAfter <= 0 {
		t.Errorf("got %+v, want VERSION_CONFLICT that says when to try again", refused)
	}
}

// TestImport twice: the second time finds nothing to do. Under lua, stock lives in Redis as well.
func TestImport(t *testing.T) {
	for _, strategy := range []lockprovider.Strategy{lockprovider.RowLock, lockprovider.Lua, lockprovider.Queue} {
		t.Run(string(strategy), func(t *testing.T) {
			s := newShop(t, strategy)
			imported := func(stock, price, status string) commerce.ImportOutcome {
				t.Helper()
				rows := readCSV(t, shopifyHeader+"mug,Mug,,,TRUE,,,,MUG,"+stock+","+price+",,"+status+"\n")
				outcome, err := s.importRow(t, rows[0], commerce.StockDifference)
				must(t, err)
				return outcome
			}
			check := func(what string, got, want commerce.ImportOutcome, price, stock int64) {
				t.Helper()
				page, err := s.Catalog.Products(t.Context(), commerce.ProductQuery{Page: commerce.Page{First: 10}})
				must(t, err)
				if len(page.Items) != 1 {
					t.Fatalf("%s: %d products", what, len(page.Items))
				}
				row := page.Items[0]
				amounts, err := s.Catalog.Stock(t.Context(), []string{row.ID})
				must(t, err)
				if got != want || row.PriceMinor != price || amounts[row.ID].Amount != stock {
					t.Errorf("%s: %s, price %d, stock %d; want %s, %d, %d", what, got, row.PriceMinor, amounts[row.ID].Amount, want, price, stock)
				}
			}
			adjustments := func() int {
				n, err := s.db.Ent.Entry.Query().Where(entry.Kind(commerce.KindStockAdjusted)).Count(t.Context())
				must(t, err)
				return n
			}

			check("first", imported("7", "12.00", "active"), commerce.ImportCreated, 1200, 7)
			check("again", imported("7", "12.00", "active"), commerce.ImportUnchanged, 1200, 7)
			check("price", imported("7", "13.50", "active"), commerce.ImportUpdated, 1350, 7)
			if n := adjustments(); n != 0 {
				t.Errorf("%d adjustments of a stock that was right", n)
			}
			check("stock", imported("4", "13.50", "active"), commerce.ImportUpdated, 1350, 4)
			check("no stock", imported("", "13.50", "active"), commerce.ImportUnchanged, 1350, 4)
			if n := adjustments(); n != 1 {
				t.Errorf("%d adjustments, want 1", n)
			}
			if outcome := imported("4", "13.50", "archived"); outcome != commerce.ImportArchived {
				t.Errorf("archiving: %s", outcome)
			}
			if outcome := imported("4", "13.50", "archived"); outcome != commerce.ImportUnchanged {
				t.Errorf("archiving again: %s", outcome)
			}
			check("back on sale", imported("5", "14", "active"), commerce.ImportUnarchived, 1400, 5)
			check("still on sale", imported("5", "14", "active"), commerce.ImportUnchanged, 1400, 5)
			if results, err := s.Catalog.Import(t.Context(), alice, nil, commerce.StockDifference); err == nil {
				t.Errorf("a customer may import: %v", results)
			}
		})
	}
}

// importRow imports one row.
func (s *shop) importRow(t *testing.T, row commerce.ImportRow, mode commerce.StockMode) (commerce.ImportOutcome, error) {
	t.Helper()
	results, err := s.Catalog.Import(t.Context(), admin, []commerce.ImportRow{row}, mode)
	if err != nil {
		return "", err
	}
	return results[0].Outcome, results[0].Err
}

// A draft comes in off sale with its stock, and is put on sale by the file that has it active.
func TestImportOfADraft(t *testing.T) {
	s := newShop(t, lockprovider.RowLock)
	for _, step := range []struct {
		status string
		want   commerce.ImportOutcome
		onSale int
	}{
		{"draft", commerce.ImportCreated, 0},
		{"draft", commerce.ImportUnchanged, 0},
		{"active", commerce.ImportUnarchived, 1},
		{"archived", commerce.ImportArchived, 0},
		{"active", commerce.ImportUnarchived, 1},
	} {
		rows := readCSV(t, shopifyHeader+"mug,Mug,,,TRUE,,,,MUG,7,12,,"+step.status+"\n")
		got, err := s.importRow(t, rows[0], commerce.StockDifference)
		must(t, err)
		page, err := s.Catalog.Products(t.Context(), commerce.ProductQuery{Page: commerce.Page{First: 10}})
		must(t, err)
		if _, stock := s.stockOf(t, "MUG"); got != step.want || len(page.Items) != step.onSale || stock != 7 {
			t.Errorf("%s: %s, %d on sale, stock %d", step.status, got, len(page.Items), stock)
		}
	}
	// A file that does not say leaves it as it is.
	rows := readCSV(t, "Handle,Title,Variant SKU,Variant Inventory Qty,Variant Price\nmug,Mug,MUG,9,12\n")
	_, err := s.Catalog.Archive(t.Context(), admin, commerce.ArchiveProduct{ID: s.idOf(t, "MUG")})
	must(t, err)
	got, err := s.importRow(t, rows[0], commerce.StockDifference)
	must(t, err)
	row, err := s.Catalog.Product(t.Context(), s.idOf(t, "MUG"))
	must(t, err)
	if got != commerce.ImportUpdated || row.ArchivedAt == nil {
		t.Errorf("%s, archived at %v", got, row.ArchivedAt)
	}
}

func (s *shop) idOf(t *testing.T, sku string) string {
	t.Helper()
	id, _ := s.stockOf(t, sku)
	return id
}

// file is a file of one product.
func file(t *testing.T, sku, stock string) commerce.ImportRow {
	t.Helper()
	rows := readCSV(t, shopifyHeader+"mug,Mug,,,TRUE,,,,"+sku+","+stock+",12,,active\n")
	return rows[0]
}

func (s *shop) stockOf(t *testing.T, sku string) (id string, stock int64) {
	t.Helper()
	row, err := s.db.Ent.Product.Query().Where(product.Sku(sku)).Only(t.Context())
	must(t, err)
	amounts, err := s.Catalog.Stock(t.Context(), []string{row.ID})
	must(t, err)
	return row.ID, amounts[row.ID].Amount
}

// Several imports of one file at the same time, the first of them of products that are not there yet, do what one does.
func TestParallelImports(t *testing.T) {
	for _, strategy := range []lockprovider.Strategy{lockprovider.RowLock, lockprovider.Lua, lockprovider.Queue} {
		for _, mode := range []commerce.StockMode{commerce.StockDifference, commerce.StockSet} {
			t.Run(string(strategy)+"/"+string(mode), func(t *testing.T) {
				s := newShop(t, strategy)
				for _, stock := range []string{"0", "100", "40"} {
					var running sync.WaitGroup
					for range 4 {
						running.Go(func() {
							for _, sku := range []string{"A", "B"} {
								if _, err := s.importRow(t, file(t, sku, stock), mode); err != nil {
									t.Errorf("%s: %v", stock, err)
								}
							}
						})
					}
					running.Wait()
					for _, sku := range []string{"A", "B"} {
						if _, got := s.stockOf(t, sku); fmt.Sprint(got) != stock {
							t.Errorf("%s: the stock is %d, and the file says %s", sku, got, stock)
						}
					}
				}
			})
		}
	}
}

// What is sold between one file and the next stays sold: a file is compared with the file before.
func TestImportAfterSales(t *testing.T) {
	for _, strategy := range []lockprovider.Strategy{lockprovider.RowLock, lockprovider.Lua, lockprovider.Queue} {
		t.Run(string(strategy), func(t *testing.T) {
			s := newShop(t, strategy)
			for _, step := range []struct {
				stock string
				mode  commerce.StockMode
				sell  int64
				want  int64
				err   commerce.Code
			}{
				{"10", commerce.StockDifference, 4, 6, ""},
				{"10", commerce.StockDifference, 0, 6, ""}, // the same file again, perhaps with another price
				{"12", commerce.StockDifference, 0, 8, ""},
				{"30", commerce.StockIgnore, 0, 8, ""},
				{"12", commerce.StockSet, 2, 10, ""},
				{"11", commerce.StockDifference, 0, 9, ""},
				{"0", commerce.StockDifference, 0, 9, commerce.OutOfStock}, // 11 less than before, and 9 are left
				{"11", commerce.StockDifference, 0, 9, ""},
				{"0", commerce.StockSet, 0, 0, ""},
				{"5", commerce.StockDifference, 0, 5, ""},
			} {
				_, err := s.importRow(t, file(t, "MUG", step.stock), step.mode)
				if step.err != "" {
					wantCodes(t, err, string(step.err))
				} else {
					must(t, err)
				}
				id, _ := s.stockOf(t, "MUG")
				if step.sell > 0 {
					_, err := s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{
						Key: uuid.New(), Lines: []commerce.Line{{ProductID: id, Quantity: step.sell}},
					})
					must(t, err)
				}
				if _, got := s.stockOf(t, "MUG"); got != step.want {
					t.Errorf("after %s (%s): %d, want %d", step.stock, step.mode, got, step.want)
				}
			}
		})
	}
}

// Redis goes away in the middle of an import. Until the circuit opens, rows ask for a repeat; then the fallback serves stock. When the
// file was imported again, each quantity has been moved once.
func TestImportOfMovesWhileRedisGoesAway(t *testing.T) {
	redis := testenv.Redis(t)
	s := openShop(t, lockprovider.FamilyConfig{Strategy: lockprovider.SetNX, Fallback: lockprovider.RowLock}, postgres(t), redis.URL)
	const products = 320
	load := func(more int64) []commerce.ImportResult {
		rows := make([]commerce.ImportRow, products)
		for i := range rows {
			stock := int64(i) + more
			rows[i] = commerce.ImportRow{
				SKU: fmt.Sprint("M-", i), Name: fmt.Sprint("Thing ", i), Price: &commerce.Money{Minor: 100, Currency: "USD"}, Stock: &stock,
			}
		}
		results, err := s.Catalog.Import(t.Context(), admin, rows, commerce.StockDifference)
		must(t, err)
		return results
	}
	load(5)
	var gone sync.Once
	s.opened.Ledger.OnCommit(func() { gone.Do(func() { must(t, redis.Kill()) }) }) // after the first of several transactions
	again := map[int]bool{}                                                        // the rows that ask for a repeat
	for i, r := range load(7) {
		errs, _ := commerce.UserErrors(r.Err)
		switch {
		case len(errs) == 1 && errs[0].Code == commerce.Unavailable && errs[0].Retryable:
			again[i] = true
		case r.Err != nil || r.Outcome != commerce.ImportUpdated || r.Delta != 2:
			t.Errorf("row %d: %+v", i, r)
		}
	}
	if failures := lockprovider.DefaultFailoverSettings().Failures; len(again) > int(failures) {
		t.Errorf("%d rows ask for a repeat, want %d at most", len(again), failures)
	}
	for i, r := range load(7) {
		if want := again[i]; r.Err != nil || want != (r.Outcome == commerce.ImportUpdated) {
			t.Errorf("row %d, which asked for a repeat: %v: %+v", i, want, r)
		}
	}
	if s.changes(t, lockprovider.SetNX) == 0 || s.changes(t, lockprovider.RowLock) == 0 {
		t.Errorf("%d moves by the strategy and %d by its fallback, want some of both", s.changes(t, lockprovider.SetNX), s.changes(t, lockprovider.RowLock))
	}
	rows, err := s.db.Ent.Product.Query().All(t.Context())
	must(t, err)
	for _, row := range rows {
		var number int64
		_, err := fmt.Sscanf(row.Sku, "M-%d", &number)
		must(t, err)
		s.wantStock(t, row.ID, number+7)
		if entries := s.entriesOf(t, lockprovider.StockKey(row.ID)); len(entries) != 1 {
			t.Errorf("%s: %d entries, want 1", row.Sku, len(entries))
		}
	}
	must(t, redis.Restart())
}

// Stock of many products moves in one transaction. One that cannot move does not keep the others back, and each move has a change
// and an entry of its own.
func TestImportOfMovesTogether(t *testing.T) {
	for _, strategy := range []lockprovider.Strategy{
		lockprovider.RowLock, lockprovider.Optimistic, lockprovider.AtomicSQL, lockprovider.SetNX, lockprovider.GroupCommit,
	} {
		t.Run(string(strategy), func(t *testing.T) {
			everyDatabase(t, func(t *testing.T, url string) {
				redis := ""
				if strategy == lockprovider.SetNX {
					redis = clients.EmbeddedRedis
				}
				s := openShop(t, lockprovider.FamilyConfig{Strategy: strategy}, url, redis)
				var commits atomic.Int32 // of moves
				s.opened.Ledger.OnCommit(func() { commits.Add(1) })
				const products = 230 // more than move in one transaction
				load := func(price, more int64) []commerce.ImportResult {
					t.Helper()
					rows := make([]commerce.ImportRow, products)
					for i := range rows {
						stock := int64(i) + more
						rows[i] = commerce.ImportRow{
							SKU: fmt.Sprint("M-", i), Name: fmt.Sprint("Thing ", i), Price: &commerce.Money{Minor: price, Currency: "USD"}, Stock: &stock,
						}
					}
					results, err := s.Catalog.Import(t.Context(), admin, rows, commerce.StockDifference)
					must(t, err)
					return results
				}
				made := load(100, 5)
				sold := made[120].ProductID
				_, err := s.Catalog.AdjustStock(t.Context(), admin, commerce.AdjustStock{Key: uuid.New(), ProductID: sold, Delta: -123})
				must(t, err)
				commits.Store(0)
				for i, r := range load(200, 2) { // three less of each, and of one only two are left
					refused, _ := commerce.UserErrors(r.Err)
					switch {
					case i == 120 && (len(refused) != 1 || refused[0].Code != commerce.OutOfStock):
						t.Errorf("of the one that is sold: %v", r.Err)
					case i != 120 && (r.Err != nil || r.Outcome != commerce.ImportUpdated || r.Delta != -3):
						t.Errorf("row %d: %+v", i, r)
					}
				}
				// Only those in one transaction with the one that is sold are moved one by one, 99 at most. How many changes a group of
				// groupcommit has depends on how many come at a time.
				if n := commits.Load(); strategy != lockprovider.GroupCommit && n > products-100 {
					t.Errorf("%d moves in %d transactions, want many together", products-1, n)
				}
				stock, err := s.Catalog.Stock(t.Context(), []string{made[0].ProductID, sold, made[229].ProductID})
				must(t, err)
				if stock[made[0].ProductID].Amount != 2 || stock[sold].Amount != 2 || stock[made[229].ProductID].Amount != 231 {
					t.Errorf("the stock is %v", stock)
				}
				rows, err := s.db.Ent.ProductVariant.Query().All(t.Context())
				must(t, err)
				for _, row := range rows {
					entries := s.entriesOf(t, lockprovider.StockKey(row.ID))
					noted, imports := int64(-1), row.Imports
					if row.ImportedStock != nil {
						noted = *row.ImportedStock
					}
					var number int64
					_, err := fmt.Sscanf(row.Sku, "M-%d", &number)
					must(t, err)
					wantNoted, wantImports := number+2, 1
					if row.ProductID == sold {
						wantNoted, wantImports = number+5, 0
					}
					if len(entries) != 1 || row.PriceMinor != 200 || noted != wantNoted || imports != wantImports {
						t.Errorf("%s: %d entries, price %d, noted %d after %d imports", row.Sku, len(entries), row.PriceMinor, noted, imports)
					}
				}
				logged, err := s.db.Ent.ChangeLog.Query().Count(t.Context())
				must(t, err)
				if logged != products {
					t.Errorf("%d changes, want %d", logged, products)
				}
				for i, r := range load(200, 2) {
					if want := commerce.ImportUnchanged; i != 120 && (r.Err != nil || r.Outcome != want) {
						t.Errorf("row %d again: %+v", i, r)
					}
				}
				s.audit(t)
			})
		})
	}
}
