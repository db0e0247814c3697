package commerce_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/ent/product"
	"holdfast/ent/schema"
	"holdfast/lockprovider"
)

// TestVariantsStayTheSame imports files that change how a variant is known. None is lost, and none comes in twice.
func TestVariantsStayTheSame(t *testing.T) {
	const header = "Handle,Title,Option1 Value,Variant SKU,Variant Inventory Qty,Variant Price\n"
	s := newShop(t, lockprovider.RowLock)
	for _, step := range []struct {
		what, file string
		want       string // SKU and stock of all products
	}{
		{"no SKU", "mat,Mat,S,,5,10\n", "mat-s 5"},
		{"an SKU now", "mat,Mat,S,MAT-1,5,10\n", "mat-s 5"},
		{"no SKU again, and the price is another", "mat,Mat,S,,5,11\n", "mat-s 5"},
		{"another with an SKU", "mat,Mat,S,,5,10\nmat,,L,MAT-2,6,10\n", "MAT-2 6, mat-s 5"},
		{"it shares its SKU", "mat,Mat,S,,5,10\nmat,,L,MAT-2,6,10\nmat,,XL,MAT-2,7,10\n", "MAT-2 6, MAT-2-mat-xl 7, mat-s 5"},
		{"in another order", "mat,Mat,XL,MAT-2,8,10\nmat,,L,MAT-2,6,10\nmat,,S,,5,10\n", "MAT-2 6, MAT-2-mat-xl 8, mat-s 5"},
		{"the other one is gone", "mat,Mat,XL,MAT-2,9,10\nmat,,S,,5,10\n", "MAT-2 6, MAT-2-mat-xl 9, mat-s 5"},
		{"a new title", "mat,Big mat,XL,MAT-2-mat-xl,9,10\nmat,,S,,5,10\n", "MAT-2 6, MAT-2-mat-xl 9, mat-s 5"},
	} {
		rows := readCSV(t, header+step.file)
		results, err := s.Catalog.Import(t.Context(), admin, rows, commerce.StockDifference)
		must(t, err)
		for i, r := range results {
			if r.Err != nil {
				t.Errorf("%s, line %d: %v", step.what, rows[i].Line, r.Err)
			}
		}
		all, err := s.db.Ent.ProductVariant.Query().All(t.Context())
		must(t, err)
		var got []string
		for _, row := range all {
			stock, err := s.Catalog.VariantStock(t.Context(), []string{row.ID})
			must(t, err)
			got = append(got, fmt.Sprintf("%s %d", row.Sku, stock[row.ID].Amount))
		}
		slices.Sort(got)
		if n, err := s.db.Ent.Product.Query().Count(t.Context()); err != nil || n != 1 {
			t.Errorf("%s: %d products (%v), want 1", step.what, n, err)
		}
		if strings.Join(got, ", ") != step.want {
			t.Errorf("%s: %s, want %s", step.what, strings.Join(got, ", "), step.want)
		}
	}
}

// TestImportOfManyRows: what cannot be imported does not keep the others back, and comes in when it is corrected.
func TestImportOfManyRows(t *testing.T) {
	everyDatabase(t, func(t *testing.T, url string) {
		s := openShop(t, lockprovider.FamilyConfig{Strategy: lockprovider.RowLock}, url, clients.EmbeddedRedis)
		rows := make([]commerce.ImportRow, commerce.MaxImport)
		for i := range rows {
			stock := int64(i)
			rows[i] = commerce.ImportRow{
				Line: i + 2, SKU: fmt.Sprintf("M-%d", i), Name: strings.Repeat("ä", schema.MaxProductName),
				Price: &commerce.Money{Minor: int64(i), Currency: "USD"}, Stock: &stock,
			}
		}
		rows[7].Price, rows[8].Name = &commerce.Money{Minor: -1, Currency: "USD"}, ""
		rows[9].SKU = rows[10].SKU // the second one finds the first
		for i := 20; i < 30; i++ {
			rows[i].SKU = "TEN" // the last one counts
		}
		counts := func(what, want string) {
			t.Helper()
			results, err := s.Catalog.Import(t.Context(), admin, rows, commerce.StockDifference)
			must(t, err)
			done := map[commerce.ImportOutcome]int{}
			for _, r := range results {
				done[r.Outcome]++
			}
			if got := fmt.Sprint(done); got != want {
				t.Errorf("%s: %s, want %s", what, got, want)
			}
		}
		counts("first", "map[:2 created:488 updated:10]")
		rows[7].Price, rows[8].Name, rows[9].SKU = &commerce.Money{Minor: 1, Currency: "USD"}, "Eight", "M-9"
		if id, stock := s.stockOf(t, "TEN"); stock != 29 {
			t.Errorf("stock %d, want that of the last row", stock)
		} else if row, err := s.db.Ent.Product.Get(t.Context(), id); err != nil || row.PriceMinor != 29 {
			t.Errorf("price %d, want that of the last row (%v)", row.PriceMinor, err)
		}
		for i := 20; i < 29; i++ {
			rows[i].SKU = fmt.Sprintf("M-%d", i)
		}
		counts("corrected", "map[created:12 unchanged:488]")
		counts("again", "map[unchanged:500]")
		for i := range rows {
			stock := int64(i + i%2)
			rows[i].Stock = &stock
			if i%4 == 0 {
				rows[i].Price = &commerce.Money{Minor: 5, Currency: "USD"}
			}
		}
		counts("another file", "map[unchanged:125 updated:375]")
		rows[40].SKU, rows[40].Price = rows[41].SKU, &commerce.Money{Minor: 6, Currency: "USD"} // and row 41 says what is true now
		counts("there and back", "map[unchanged:498 updated:2]")
		counts("there and back again", "map[unchanged:498 updated:2]")
		rows[40].SKU = "M-40"
		for i, row := range rows {
			if _, stock := s.stockOf(t, row.SKU); stock != int64(i+i%2) {
				t.Errorf("%s: stock %d, want %d", row.SKU, stock, i+i%2)
			}
		}
		row, err := s.db.Ent.Product.Query().Where(product.Sku("M-41")).Only(t.Context())
		must(t, err)
		if row.PriceMinor != 41 {
			t.Errorf("price %d, want that of the last row", row.PriceMinor)
		}
		_, err = s.Catalog.Import(t.Context(), admin, slices.Concat(rows, rows[:1]), commerce.StockDifference)
		wantCodes(t, err, "INVALID_INPUT:input.products")
	})
}

// TestParallelBatches: several imports of one file at the same time, each in an order of its own, do what one does.
func TestParallelBatches(t *testing.T) {
	everyDatabase(t, func(t *testing.T, url string) {
		s := openShop(t, lockprovider.FamilyConfig{Strategy: lockprovider.RowLock}, url, clients.EmbeddedRedis)
		for round, price := range []int64{100, 200, 200} {
			rows := make([]commerce.ImportRow, 60)
			for i := range rows {
				stock := int64(i + 10*(round%2))
				rows[i] = commerce.ImportRow{
					SKU: fmt.Sprintf("M-%d", i), Name: "Mug", Price: &commerce.Money{Minor: price, Currency: "USD"}, Stock: &stock,
				}
			}
			var running sync.WaitGroup
			for i := range 4 {
				shuffled := append(slices.Clone(rows[15*i:]), rows[:15*i]...)
				running.Go(func() {
					results, err := s.Catalog.Import(t.Context(), admin, shuffled, commerce.StockDifference)
					if err != nil {
						t.Error(err)
					}
					for j, r := range results {
						if r.Err != nil {
							t.Errorf("round %d, %s: %v", round, shuffled[j].SKU, r.Err)
						}
					}
				})
			}
			running.Wait()
			all, err := s.db.Ent.Product.Query().All(t.Context())
			must(t, err)
			if len(all) != len(rows) {
				t.Errorf("%d products, want %d", len(all), len(rows))
			}
			for _, row := range rows {
				if _, stock := s.stockOf(t, row.SKU); stock != *row.Stock {
					t.Errorf("round %d, %s: stock %d, want %d", round, row.SKU, stock, *row.Stock)
				}
			}
		}
	})
}
