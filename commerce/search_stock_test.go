package commerce_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	"github.com/google/uuid"

	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/ent/entry"
	"holdfast/lockprovider"
)

// wantInStock compares the SKUs of the lamps that can be bought, and of those that are sold out, with what a search and a list find. Both are sorted.
func (s *shop) wantInStock(t testing.TB, in, out []string) {
	t.Helper()
	for available, want := range map[bool][]string{true: in, false: out} {
		for _, search := range []string{"lamp", ""} {
			got := s.found(t, commerce.ProductQuery{Search: search, ProductFilter: commerce.ProductFilter{Available: &available}}, 100)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("%q, available %v: found %v, want %v", search, available, got, want)
			}
		}
	}
}

// lamp creates a product named Lamp that is sold out, and returns its ID.
func (s *shop) lamp(t testing.TB, sku string) string {
	t.Helper()
	row, err := s.Catalog.Create(t.Context(), admin, commerce.CreateProduct{
		SKU: sku, Name: "Lamp", Price: commerce.Money{Minor: 1, Currency: "USD"},
	})
	must(t, err)
	return row.ID
}

// restock moves the stock of a product.
func (s *shop) restock(t testing.TB, id string, delta int64) {
	t.Helper()
	_, err := s.Catalog.AdjustStock(t.Context(), admin, commerce.AdjustStock{Key: uuid.New(), ProductID: id, Delta: delta, Reason: "test"})
	must(t, err)
}

// Whatever instance sells or restocks a product, and however many do at once, a search of each instance knows at once whether it can be bought.
func TestSearchKnowsTheStockAtOnce(t *testing.T) {
	everyDatabase(t, func(t *testing.T, url string) {
		family := lockprovider.FamilyConfig{Strategy: lockprovider.RowLock}
		first := openShop(t, family, url, "")
		instances := []*shop{first, first}
		if first.db.Dialect != dialect.SQLite { // which has one instance
			instances[1] = openShop(t, family, url, "")
		}
		ctx := t.Context()
		var writers sync.WaitGroup
		for w := range 4 {
			word := fmt.Sprint("word", w)
			row, err := first.Catalog.Create(ctx, admin, commerce.CreateProduct{
				SKU: "SKU-" + word, Name: word, Price: commerce.Money{Minor: 1, Currency: "USD"},
			})
			must(t, err)
			writers.Go(func() {
				for i := range 12 {
					here, there := instances[(w+i/2)%2], instances[(w+i/2+1)%2]
					delta := int64(1 - 2*(i%2)) // to 1, and to 0 again
					if _, err := here.Catalog.AdjustStock(ctx, admin, commerce.AdjustStock{
						Key: uuid.New(), ProductID: row.ID, Delta: delta, Reason: "test",
					}); err != nil {
						t.Error(err)
						return
					}
					for _, available := range []bool{true, false} {
						want := 0
						if available == (delta > 0) {
							want = 1
						}
						page, err := there.Catalog.Products(ctx, commerce.ProductQuery{
							Search: word, ProductFilter: commerce.ProductFilter{Available: &available}, Page: commerce.Page{First: 10},
						})
						if err != nil || len(page.Items) != want {
							t.Errorf("after %+d, available %v finds %d, %v, want %d", delta, available, len(page.Items), err, want)
						}
					}
				}
			})
		}
		writers.Wait()
	})
}

// A transaction draws the IDs of its entries before it commits. A search that comes in between reads later entries first.
func TestSearchKnowsStockThatIsCommittedLate(t *testing.T) {
	everyCatalog(t, func(t *testing.T, s *shop) {
		if s.db.Dialect == dialect.SQLite {
			t.Skip("SQLite has one writer at a time")
		}
		ctx := t.Context()
		late, soon := s.lamp(t, "LATE"), s.lamp(t, "SOON")
		s.wantInStock(t, nil, []string{"LATE", "SOON"})
		tx, err := s.db.Ent.Tx(ctx)
		must(t, err)
		s.journal(t, tx.Client(), late, 5, nil)
		s.restock(t, soon, 1)
		s.wantInStock(t, []string{"SOON"}, []string{"LATE"})
		must(t, tx.Commit())
		s.wantInStock(t, []string{"LATE", "SOON"}, nil)
	})
}

// An ID of the journal may be drawn minutes before its transaction commits, as of an instance that was frozen. Then it is not asked for by each
// search, but once a second.
func TestSearchKnowsStockThatIsCommittedMuchLater(t *testing.T) {
	everyCatalog(t, func(t *testing.T, s *shop) {
		if s.db.Dialect == dialect.SQLite {
			t.Skip("SQLite has one writer at a time")
		}
		ctx := t.Context()
		late, soon, turned := s.lamp(t, "LATE"), s.lamp(t, "SOON"), s.lamp(t, "TURNED")
		s.wantInStock(t, nil, []string{"LATE", "SOON", "TURNED"})
		first, err := s.db.Ent.Tx(ctx)
		must(t, err)
		s.journal(t, first.Client(), late, 5, nil)
		second, err := s.db.Ent.Tx(ctx)
		must(t, err)
		s.journal(t, second.Client(), turned, 5, nil)
		s.restock(t, soon, 1)
		s.wantInStock(t, []string{"SOON"}, []string{"LATE", "TURNED"})

		const rare, notNow = time.Minute, -time.Hour
		s.Catalog.AgeGaps(rare, commerce.SearchRefresh)
		must(t, first.Commit())
		s.wantInStock(t, []string{"LATE", "SOON"}, []string{"TURNED"})

		// The product is sold out right after its late restock. A search reads the later entry first.
		s.Catalog.AgeGaps(0, notNow)
		must(t, second.Commit())
		s.restock(t, turned, -5)
		s.wantInStock(t, []string{"LATE", "SOON"}, []string{"TURNED"})
		s.Catalog.AgeGaps(0, commerce.SearchRefresh)
		s.wantInStock(t, []string{"LATE", "SOON"}, []string{"TURNED"})
	})
}

// journal moves the stock of a product from 0, as the ledger does, and returns the entry. The ID is given, or nil.
func (s *shop) journal(t testing.TB, client *ent.Client, productID string, delta int64, id *int64) *ent.Entry {
	t.Helper()
	key := lockprovider.StockKey(productID)
	must(t, client.Balance.UpdateOneID(key).AddAmount(delta).AddApplied(1).AddVersion(1).Exec(t.Context()))
	create := client.Entry.Create().SetBalance(key).SetChangeID(uuid.New()).SetDelta(delta).SetAmountAfter(delta).SetPosition(1).
		SetKind(commerce.KindStockAdjusted).SetCreatedAt(s.clock.Now())
	if id != nil {
		create.SetID(*id)
	}
	row, err := create.Save(t.Context())
	must(t, err)
	return row
}

// A database that was restored under a running instance has another journal, maybe with the same IDs.
func TestSearchFollowsARestoredJournal(t *testing.T) {
	everyCatalog(t, func(t *testing.T, s *shop) {
		lost, other := s.lamp(t, "LOST"), s.lamp(t, "OTHER")
		s.wantInStock(t, nil, []string{"LOST", "OTHER"})
		row := s.journal(t, s.db.Ent, lost, 5, nil)
		s.wantInStock(t, []string{"LOST"}, []string{"OTHER"})

		_, err := s.db.Ent.Entry.Delete().Where(entry.ID(row.ID)).Exec(t.Context())
		must(t, err)
		must(t, s.db.Ent.Balance.UpdateOneID(lockprovider.StockKey(lost)).SetAmount(0).Exec(t.Context()))
		s.wantInStock(t, nil, []string{"LOST", "OTHER"})

		row = s.journal(t, s.db.Ent, lost, 5, nil)
		s.wantInStock(t, []string{"LOST"}, []string{"OTHER"})
		_, err = s.db.Ent.Entry.Delete().Where(entry.ID(row.ID)).Exec(t.Context())
		must(t, err)
		must(t, s.db.Ent.Balance.UpdateOneID(lockprovider.StockKey(lost)).SetAmount(0).Exec(t.Context()))
		s.journal(t, s.db.Ent, other, 5, &row.ID)
		s.wantInStock(t, []string{"OTHER"}, []string{"LOST"})
	})
}

// A search for what can be bought asks the database for as many products as it finds, however many are sold out.
func TestSearchOfAFewThatAreAvailableReadsAFew(t *testing.T) {
	s := newShop(t, lockprovider.RowLock)
	price, some := commerce.Money{Minor: 1, Currency: "USD"}, int64(1)
	rows := make([]commerce.ImportRow, 3000)
	for i := range rows {
		rows[i] = commerce.ImportRow{SKU: fmt.Sprint("S-", i), Name: "Lamp", Price: &price}
		if i%1000 == 0 {
			rows[i].Stock = &some
		}
	}
	for part := range slices.Chunk(rows, 500) {
		results, err := s.Catalog.Import(t.Context(), admin, part, commerce.StockDifference)
		must(t, err)
		for _, result := range results {
			must(t, result.Err)
		}
	}
	available := true
	for _, search := range []string{"lamp", ""} {
		q := commerce.ProductQuery{Search: search, ProductFilter: commerce.ProductFilter{Available: &available}}
		if got := s.found(t, q, 100); len(got) != 3 { // and the index is read
			t.Fatalf("%q finds %v", search, got)
		}
		seen := s.recorded()
		if got := s.found(t, q, 100); len(got) != 3 {
			t.Errorf("%q finds %v", search, got)
		}
		asked := 0
		for i, query := range seen.queries {
			asked += len(seen.args[i])
			if strings.Contains(query, "`products`") && len(seen.args[i]) > 10 {
				t.Errorf("%q asks for %d products: %.200s", search, len(seen.args[i]), query)
			}
		}
		if len(seen.queries) == 0 || asked > 50 {
			t.Errorf("%q: %d queries with %d arguments", search, len(seen.queries), asked)
		}
	}
}

// An instance that was frozen has a long journal to read: it does so in pages.
func TestSearchKnowsTheStockAfterALongJournal(t *testing.T) {
	s := newShop(t, lockprovider.RowLock)
	ctx := t.Context()
	early, often := s.lamp(t, "EARLY"), s.lamp(t, "OFTEN")
	s.wantInStock(t, nil, []string{"EARLY", "OFTEN"})
	s.journal(t, s.db.Ent, early, 3, nil)
	const moves = 25_001 // of which the last one is up again
	var entries []*ent.EntryCreate
	for i := range moves {
		delta, after := int64(1), int64(1)
		if i%2 == 1 {
			delta, after = -1, 0
		}
		entries = append(entries, s.db.Ent.Entry.Create().SetBalance(lockprovider.StockKey(often)).SetChangeID(uuid.New()).SetDelta(delta).
			SetAmountAfter(after).SetPosition(int64(i+1)).SetKind(commerce.KindStockAdjusted).SetCreatedAt(s.clock.Now()))
	}
	for some := range slices.Chunk(entries, 1000) {
		must(t, s.db.Ent.Entry.CreateBulk(some...).Exec(ctx))
	}
	must(t, s.db.Ent.Balance.UpdateOneID(lockprovider.StockKey(often)).SetAmount(1).Exec(ctx))
	seen := s.recorded()
	s.wantInStock(t, []string{"EARLY", "OFTEN"}, nil)
	pages := 0
	for i, query := range seen.queries {
		if !strings.Contains(query, "FROM `"+entry.Table+"`") {
			continue
		}
		if !strings.Contains(query, " LIMIT ") && len(seen.args[i]) > 1024 {
			t.Errorf("reads entries without a bound: %.200s", query)
		}
		if strings.Contains(query, ">=") {
			pages++
			if !strings.Contains(query, " LIMIT ") {
				t.Errorf("reads the journal in one: %.200s", query)
			}
		}
	}
	if pages < 3 {
		t.Errorf("%d entries are read by %d queries", moves, pages)
	}
}
