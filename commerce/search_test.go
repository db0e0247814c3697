package commerce_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"holdfast/commerce"
	"holdfast/commerce/textsearch"
	"holdfast/ent"
	"holdfast/ent/product"
	"holdfast/ent/searchdocument"
	"holdfast/lockprovider"
)

// everyCatalog runs a test with a shop on each database.
func everyCatalog(t *testing.T, test func(t *testing.T, s *shop)) {
	t.Helper()
	everyDatabase(t, func(t *testing.T, url string) {
		test(t, openShop(t, lockprovider.FamilyConfig{Strategy: lockprovider.RowLock}, url, ""))
	})
}

// sell creates a product and returns its ID.
func (s *shop) sell(t testing.TB, sku, name string, minor int64) string {
	t.Helper()
	row, err := s.Catalog.Create(t.Context(), admin, commerce.CreateProduct{
		SKU: sku, Name: name, Price: commerce.Money{Minor: minor, Currency: "USD"},
	})
	must(t, err)
	return row.ID
}

// found returns the SKUs of all products that a search finds, in the order of the list, read in pages of a size. From the end of the
// list they must be the same.
func (s *shop) found(t testing.TB, q commerce.ProductQuery, size int) []string {
	t.Helper()
	sku := func(p *ent.Product) string { return p.Sku }
	return bothWays(t, fmt.Sprintf("search %q", q.Search), size, sku, func(page commerce.Page) (commerce.PageOf[*ent.Product], error) {
		q.Page = page
		return s.Catalog.Products(t.Context(), q)
	})
}

// bothWays reads a list in pages of a size, from the beginning and from the end, and returns what a name tells of each item. It fails if
// the two differ.
func bothWays[T any](
	t testing.TB, what string, size int, name func(T) string, read func(commerce.Page) (commerce.PageOf[T], error),
) (forwards []string) {
	t.Helper()
	names := func(asked commerce.Page) (list []string, page commerce.PageOf[T]) {
		page, err := read(asked)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		for _, item := range page.Items {
			list = append(list, name(item))
		}
		if more := asked.Backward && page.HasPrevious || !asked.Backward && page.HasNext; more && len(list) != size {
			t.Fatalf("%s: a page of %d with another beside it", what, len(list))
		}
		return list, page
	}
	for asked := (commerce.Page{First: size}); ; {
		list, page := names(asked)
		forwards = append(forwards, list...)
		if !page.HasNext {
			break
		}
		asked.After = page.Cursors[size-1]
	}
	var backwards []string
	for asked := (commerce.Page{Backward: true, Last: size}); ; {
		list, page := names(asked)
		backwards = append(list, backwards...)
		if !page.HasPrevious {
			break
		}
		asked.Before = page.Cursors[0]
	}
	if !slices.Equal(forwards, backwards) {
		t.Errorf("%s: the list is\n%v, and from its end\n%v", what, forwards, backwards)
	}
	return forwards
}

// inEveryScript are products, by SKU.
var inEveryScript = map[string]string{
	"RU-1": "Лампа настольная", "RU-2": "Ёлка", "FR-1": "ÉCLAIR au chocolat", "FR-2": "L’eau de Chloé", "DE-1": "Straßenkarte",
	"TR-1": "IŞIK, İstanbul", "GR-1": "Ὀδός, ΟΔΟΣ", "VN-1": "Điện thoại", "PL-1": "Łódź",
	"JP-1": "ガラスコップ", "JP-2": "カラス", "JP-3": "ＤＥＳＫ　ＬＡＭＰ", "KR-1": "한국 김치", "CN-1": "机械键盘",
	"IN-1": "हिन्दी किताब", "TH-1": "น้ำปลา", "SA-1": "مَرْحَبًا", "IL-1": "שָׁלוֹם",
	"CRAB": "🦀 Crab", "GIFT": "🎁 Gift box", "ASTRO": "👩🏽‍🚀 Astronaut", "FLAG": "🇩🇪 Flag",
	"USB-C7": `Hub, 100% metal_body \o/`, "CPP": "C++ in a week", "LONG": strings.Repeat("w", 70),
}

// What is found is the same on all databases, and knows neither case nor accents.
func TestSearchInEveryScript(t *testing.T) {
	everyCatalog(t, func(t *testing.T, s *shop) {
		for sku, name := range inEveryScript {
			s.sell(t, sku, name, 100)
		}
		for query, want := range map[string]string{
			"лампа": "RU-1", "ЛАМПА": "RU-1", "лам": "RU-1", "ампа": "", "настол лампа": "RU-1", "елка": "RU-2", "ЁЛКА": "RU-2",
			"eclair": "FR-1", "Éclair": "FR-1", "e\u0301clair": "FR-1", "ecl choco": "FR-1", "choco ecl": "FR-1", "eclair vanille": "",
			"eau": "FR-2", "l'eau": "FR-2", "leau": "FR-2", "chloe": "FR-2",
			"strasse": "DE-1", "STRAẞE": "DE-1", "isik": "TR-1", "ışık": "TR-1", "istanbul": "TR-1", "ISTANBUL": "TR-1",
			"οδος": "GR-1", "οδοσ": "GR-1", "dien thoai": "VN-1", "lodz": "PL-1",
			"ガラス": "JP-1", "ｶﾞﾗｽ": "JP-1", "カラス": "JP-2", "desk lamp": "JP-3", "한국": "KR-1", "\u1112\u1161\u11ab국": "KR-1", "键盘": "CN-1", "盘": "CN-1",
			"हिन्दी": "IN-1", "हन": "", "น้ำ": "TH-1", "مرحبا": "SA-1", "שלום": "IL-1",
			"🦀": "CRAB", "🎁": "GIFT", "🦞": "", "👩‍🚀": "ASTRO", "🚀": "ASTRO", "🇩🇪": "FLAG", "🇫🇷": "",
			"usb-c7": "USB-C7", "c7": "USB-C7", "usbc7": "USB-C7", "usb": "USB-C7", "100%": "USB-C7", "metal": "USB-C7", "body": "USB-C7",
			"l%mp": "", "l_mp": "", `\o`: "USB-C7", "c++": "CPP", "'; DROP TABLE products": "",
			"ecl -- choco!": "FR-1", "\u200beclair\u00a0": "FR-1", strings.Repeat("a", 255): "",
			strings.Repeat("w", 64) + "x": "LONG", strings.Repeat("w", 63) + "x": "", // 64 characters of a word are compared
		} {
			if got := strings.Join(s.found(t, commerce.ProductQuery{Search: query, Order: commerce.ByName}, 100), " "); got != want {
				t.Errorf("%q finds %q, want %q", query, got, want)
			}
		}
		for _, query := range []string{"", " \t\n"} {
			want := len(inEveryScript)
			if got := len(s.found(t, commerce.ProductQuery{Search: query}, 100)); got != want {
				t.Errorf("%q finds %d, want %d", query, got, want)
			}
		}
		for _, query := range []string{"%", "_", `\`, "%%", "?!", "'", "\u200d", "\u0301", strings.Repeat("a", 256), strings.Repeat("ё", 256)} {
			_, err := s.Catalog.Products(t.Context(), commerce.ProductQuery{Search: query, Page: commerce.Page{First: 1}})
			if errs, ok := commerce.UserErrors(err); !ok || errs[0].Code != commerce.InvalidInput || strings.Join(errs[0].Field, ".") != "filter.search" {
				t.Errorf("%q: %v, want INVALID_INPUT of filter.search", query, err)
			}
		}
	})
}

// However a search reads, its pages are the list without what does not have the words, in the same order.
func TestSearchIsAFilteredList(t *testing.T) {
	vocabulary := []string{"lamp", "Lampion", "LÁMPARA", "desk", "🦀", "red", "c++", "лампа", "l"}
	queries := []string{"l", "lam", "lamp", "lampa", "lamp desk", "l red 🦀", "desk red lamp c", "лам", "+", "x", "9", "p-1 lamp"}
	everyCatalog(t, func(t *testing.T, s *shop) {
		random := rand.New(rand.NewPCG(1, 2))
		texts := map[string]string{}
		for i := range 60 {
			words := []string{vocabulary[i/10]} // of neighbours by time and by name, the first is alike
			for range random.IntN(4) {
				words = append(words, vocabulary[random.IntN(len(vocabulary))])
			}
			sku, name := fmt.Sprint("P-", i), strings.Join(words, " ")
			texts[sku] = name + "\n" + sku
			id := s.sell(t, sku, name, int64(random.IntN(3)))
			if i%7 == 0 {
				_, err := s.Catalog.Archive(t.Context(), admin, commerce.ArchiveProduct{ID: id})
				must(t, err)
			}
			if i%5 == 0 {
				s.clock.advance(time.Millisecond)
			}
		}
		for _, order := range []commerce.ProductOrder{commerce.NewestFirst, commerce.ByName, commerce.PriceAscending} {
			for _, archived := range []bool{false, true} {
				all := s.found(t, commerce.ProductQuery{Order: order, ProductFilter: commerce.ProductFilter{IncludeArchived: archived}}, 100)
				for _, query := range queries {
					want := slices.DeleteFunc(slices.Clone(all), func(sku string) bool { return !hasWords(texts[sku], query) })
					got := s.found(t, commerce.ProductQuery{Search: query, Order: order, ProductFilter: commerce.ProductFilter{IncludeArchived: archived}}, 3)
					if !slices.Equal(got, want) {
						t.Errorf("%q by %s, archived %v:\n got %v\nwant %v", query, order, archived, got, want)
					}
				}
			}
		}
	})
}

func hasWords(text, query string) bool {
	words := textsearch.Words(text)
	return !slices.ContainsFunc(textsearch.Query(query), func(asked string) bool {
		return !slices.ContainsFunc(words, func(word string) bool { return strings.HasPrefix(word, asked) })
	})
}

// The index says what the product says, after each change.
func TestSearchFollowsTheProduct(t *testing.T) {
	everyCatalog(t, func(t *testing.T, s *shop) {
		ctx := t.Context()
		want := func(query string, archived bool, skus ...string) {
			t.Helper()
			if got := s.found(t, commerce.ProductQuery{Search: query, ProductFilter: commerce.ProductFilter{IncludeArchived: archived}}, 100); !slices.Equal(got, skus) {
				t.Errorf("%q finds %v, want %v", query, got, skus)
			}
		}
		id := s.sell(t, "A-1", "Green lamp", 100)
		want("lamp", false, "A-1")

		name := "Green chair"
		_, err := s.Catalog.Update(ctx, admin, commerce.UpdateProduct{ID: id, Version: 1, Name: &name})
		must(t, err)
		want("lamp", false)
		want("chair green a", false, "A-1")
		_, err = s.Catalog.Update(ctx, admin, commerce.UpdateProduct{ID: id, Version: 1, Name: &name})
		wantCodes(t, err, "VERSION_CONFLICT")
		price := int64(5)
		_, err = s.Catalog.Update(ctx, admin, commerce.UpdateProduct{ID: id, Version: 2, PriceMinor: &price})
		must(t, err)
		s.sell(t, "A-2", "Chair", 7)
		if got := s.found(t, commerce.ProductQuery{Search: "chair", Order: commerce.PriceAscending}, 100); !slices.Equal(got, []string{"A-1", "A-2"}) {
			t.Errorf("by price: %v", got)
		}

		five, off := commerce.Money{Minor: 5, Currency: "USD"}, true
		load := func(rows ...commerce.ImportRow) {
			t.Helper()
			results, err := s.Catalog.Import(ctx, admin, rows, commerce.StockDifference)
			must(t, err)
			for _, result := range results {
				must(t, result.Err)
			}
		}
		load(commerce.ImportRow{SKU: "A-1", Name: "Sofa", Price: &five}, commerce.ImportRow{SKU: "A-3", Name: "Stool", Price: &five},
			commerce.ImportRow{SKU: "A-5", Name: "Shelf", Price: &five})
		want("green", false)
		want("sofa", false, "A-1")
		want("stool", false, "A-3")
		load(commerce.ImportRow{SKU: "A-5", OffSale: &off})
		want("shelf", false)
		want("shelf", true, "A-5")

		_, err = s.Catalog.Archive(ctx, admin, commerce.ArchiveProduct{ID: id})
		must(t, err)
		want("sofa", false)
		want("sofa", true, "A-1")

		_, err = s.Catalog.Create(ctx, admin, commerce.CreateProduct{SKU: "A-4", Name: "Desk", Description: "Hidden", Price: five})
		must(t, err)
		want("hidden", true)

		_, err = s.Catalog.Create(ctx, admin, commerce.CreateProduct{SKU: "A-3", Name: "Bed", Price: five})
		wantCodes(t, err, "INVALID_INPUT:input.sku")
		want("bed", true)
		s.wantIndexed(t)
	})
}

// wantIndexed compares documents with the products.
func (s *shop) wantIndexed(t testing.TB) {
	t.Helper()
	ctx := t.Context()
	products, err := s.db.Ent.Product.Query().All(ctx)
	must(t, err)
	for _, p := range products {
		document, err := s.db.Ent.SearchDocument.Query().Where(searchdocument.ProductID(p.ID)).Only(ctx)
		must(t, err)
		words := textsearch.Words(strings.Join(append([]string{p.Name, p.Sku, p.Vendor, p.ProductType}, p.Tags...), "\n"))
		text := slices.DeleteFunc(strings.Fields(document.Words), func(word string) bool { return strings.HasPrefix(word, "#") })
		if document.Version != p.Version || document.Name != p.Name || document.PriceMinor != p.PriceMinor ||
			document.Archived != (p.ArchivedAt != nil) || !document.CreatedAt.Equal(p.CreatedAt) ||
			!slices.Equal(text, words) {
			t.Errorf("%v\nhas the document %v", p, document)
		}
	}
}

// indexAll is a run of the job.
func (s *shop) indexAll(ctx context.Context, batch int) (indexed int, err error) {
	for after := ""; ; {
		last, n, err := s.Catalog.IndexProducts(ctx, after, batch)
		indexed += n
		if err != nil || last == "" {
			return indexed, err
		}
		after = last
	}
}

// Products that a version without a search index has written are found after a run of the job, whoever else writes meanwhile.
func TestIndexProducts(t *testing.T) {
	everyCatalog(t, func(t *testing.T, s *shop) {
		ctx := t.Context()
		var ids []string
		for i := range 30 {
			ids = append(ids, s.sell(t, fmt.Sprint("OLD-", i), fmt.Sprint("Old lamp ", i), 100))
		}
		// An old version creates a product without a document, and changes one without changing its document.
		must(t, s.db.Ent.SearchDocument.Update().Where(searchdocument.IDGT(0)).SetWords("").Exec(ctx))
		_, err := s.db.Ent.SearchDocument.Delete().Where(searchdocument.ProductIDIn(ids[:20]...)).Exec(ctx)
		must(t, err)
		must(t, s.db.Ent.Product.Update().Where(product.IDIn(ids[20:]...)).SetName("Änderung").AddVersion(1).Exec(ctx))
		if got := s.found(t, commerce.ProductQuery{Search: "old"}, 100); got != nil {
			t.Fatalf("found %v", got)
		}
		var instances sync.WaitGroup
		for range 2 {
			instances.Go(func() {
				if _, err := s.indexAll(ctx, 7); err != nil {
					t.Error(err)
				}
			})
		}
		instances.Go(func() {
			name := "Renamed"
			for _, id := range ids[15:25] {
				row, err := s.Catalog.Product(ctx, id)
				if err == nil {
					_, err = s.Catalog.Update(ctx, admin, commerce.UpdateProduct{ID: id, Version: row.Version, Name: &name})
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
		instances.Wait()
		s.wantIndexed(t)
		for query, want := range map[string]int{"old lamp": 15, "renamed": 10, "anderung": 5, "OLD": 30} {
			if got := s.found(t, commerce.ProductQuery{Search: query}, 100); len(got) != want {
				t.Errorf("%q finds %v, want %d", query, got, want)
			}
		}
		if n, err := s.indexAll(ctx, 7); n != 0 || err != nil {
			t.Errorf("indexed %d again: %v", n, err)
		}
	})
}

// Whatever instance writes a product, and however many write at once, each instance finds it as soon as it is written.
func TestSearchFindsWhatIsWrittenAtOnce(t *testing.T) {
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
			writers.Go(func() {
				for i := range 15 {
					here, there := instances[(w+i)%2], instances[(w+i+1)%2]
					word, renamed := fmt.Sprintf("word%dx%d", w, i), fmt.Sprintf("other%dx%d", w, i)
					finds := func(query string, want int) {
						page, err := there.Catalog.Products(ctx, commerce.ProductQuery{Search: query, Page: commerce.Page{First: 10}})
						if err != nil || len(page.Items) != want {
							t.Errorf("%q finds %d, %v, want %d", query, len(page.Items), err, want)
						}
					}
					row, err := here.Catalog.Create(ctx, admin, commerce.CreateProduct{
						SKU: "SKU-" + word, Name: word, Price: commerce.Money{Minor: 1, Currency: "USD"},
					})
					if err != nil {
						t.Error(err)
						return
					}
					finds(word, 1)
					if _, err := here.Catalog.Update(ctx, admin, commerce.UpdateProduct{ID: row.ID, Version: 1, Name: &renamed}); err != nil {
						t.Error(err)
					}
					finds(renamed, 1)
					if _, err := here.Catalog.Archive(ctx, admin, commerce.ArchiveProduct{ID: row.ID}); err != nil {
						t.Error(err)
					}
					finds(renamed, 0)
				}
			})
		}
		writers.Wait()
		instances[0].wantIndexed(t)
	})
}

// A database that was restored under a running instance is searched as it is, even if products were written before the next search: then
// the revision is that which the instance has read, or a greater one.
func TestSearchFollowsARestore(t *testing.T) {
	everyCatalog(t, func(t *testing.T, s *shop) {
		ctx := t.Context()
		want := []string{"R-0"}
		s.sell(t, "R-0", "Lamp", 100)
		for written := range 4 {
			backup, err := s.db.Ent.SearchRevision.Query().Only(ctx)
			must(t, err)
			lost := s.sell(t, "LOST", "Lamp", 100)
			if got := s.found(t, commerce.ProductQuery{Search: "lamp"}, 10); len(got) != len(want)+1 {
				t.Fatalf("found %v", got)
			}
			_, err = s.db.Ent.SearchDocument.Delete().Where(searchdocument.ProductID(lost)).Exec(ctx)
			must(t, err)
			must(t, s.db.Ent.ProductVariant.DeleteOneID(lockprovider.FirstVariantID(lost)).Exec(ctx))
			must(t, s.db.Ent.Product.DeleteOneID(lost).Exec(ctx))
			must(t, s.db.Ent.SearchRevision.UpdateOne(backup).SetRevision(backup.Revision).SetToken(backup.Token).Exec(ctx))
			for i := range written {
				sku := fmt.Sprintf("R-%d%d", written, i)
				s.sell(t, sku, "Lamp", 100)
				want = append(want, sku)
			}
			got := s.found(t, commerce.ProductQuery{Search: "lamp"}, 20)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("found %v after %d writes, want %v", got, written, want)
			}
		}
	})
}

// A page is what the index has at one moment: a product that is changed while it is read has the cursor of the place where it was found.
// It is left out if it does not belong to the list any more.
func TestSearchWhileProductsChange(t *testing.T) {
	everyCatalog(t, func(t *testing.T, s *shop) {
		ids := map[string]string{}
		for _, sku := range []string{"A", "B", "C", "D", "E", "F"} {
			ids[sku] = s.sell(t, sku, "Lamp "+sku, 100)
		}
		most := int64(100)
		q := commerce.ProductQuery{Search: "lamp", Order: commerce.ByName, Page: commerce.Page{First: 2}}
		read := func(ctx context.Context, q commerce.ProductQuery, skus ...string) commerce.PageOf[*ent.Product] {
			t.Helper()
			page, err := s.Catalog.Products(ctx, q)
			must(t, err)
			var got []string
			for _, row := range page.Items {
				got = append(got, row.Sku)
			}
			if !slices.Equal(got, skus) || !page.HasNext {
				t.Errorf("found %v, and more: %v, want %v and more", got, page.HasNext, skus)
			}
			return page
		}
		read(t.Context(), q, "A", "B")

		name := "Zoo lamp"
		page := read(s.afterRead(t, "Only", "SearchRevision", func() {
			_, err := s.Catalog.Update(t.Context(), admin, commerce.UpdateProduct{ID: ids["B"], Version: 1, Name: &name})
			must(t, err)
		}), q, "A", "B")
		next := q
		next.Page.After = page.Cursors[1]
		read(t.Context(), next, "C", "D")

		read(s.afterRead(t, "Only", "SearchRevision", func() {
			_, err := s.Catalog.Archive(t.Context(), admin, commerce.ArchiveProduct{ID: ids["A"]})
			must(t, err)
		}), q, "C", "D")

		q.MaxPrice = &most
		read(s.afterRead(t, "Only", "SearchRevision", func() {
			price := int64(101)
			_, err := s.Catalog.Update(t.Context(), admin, commerce.UpdateProduct{ID: ids["C"], Version: 1, PriceMinor: &price})
			must(t, err)
		}), q, "D", "E")
	})
}

// writerWaits is how often a transaction of SQLite has waited for the only writer.
func (s *shop) writerWaits() int64 {
	if writer := s.db.Pools()["writer"]; writer != nil {
		return writer.Stats().WaitCount
	}
	return 0
}

// number is what a query selects.
func (s *shop) number(t *testing.T, query string) int {
	t.Helper()
	rows, err := s.db.Ent.QueryContext(t.Context(), query)
	must(t, err)
	defer rows.Close()
	n, err := entsql.ScanInt(rows)
	must(t, errors.Join(err, rows.Err()))
	return n
}

// waitsForLock returns when a transaction of the database waits for another one. On SQLite, writerWaits has grown then.
func (s *shop) waitsForLock(t *testing.T, before int64) {
	t.Helper()
	waiting := map[string]string{
		dialect.Postgres: "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
		// Not innodb_trx: MariaDB does not refresh it for a reader that asks again within 0.1 s.
		dialect.MySQL: "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'INNODB_ROW_LOCK_CURRENT_WAITS'",
	}[s.db.Dialect]
	for began := time.Now(); time.Since(began) < longEnough; {
		if s.db.Dialect == dialect.SQLite { // its only writer is a connection
			if s.writerWaits() > before {
				return
			}
			continue
		}
		if s.number(t, waiting) > 0 {
			return
		}
	}
	t.Fatalf("no transaction waits after %s", longEnough)
}

// An instance that is frozen while it writes products keeps others from writing any. They do not wait for it for ever: they are told to try
// again, and have changed nothing.
func TestWritersOfProductsDoNotWaitForAFrozenInstance(t *testing.T) {
	everyCatalog(t, func(t *testing.T, s *shop) {
		if s.db.Dialect == dialect.SQLite {
			t.Skip("SQLite has one instance")
		}
		t.Parallel()
		ctx := t.Context()
		frozen, other, archived := s.sell(t, "FROZEN", "Thing", 100), s.sell(t, "OTHER", "Thing", 100), s.sell(t, "ARCHIVED", "Thing", 100)
		name, price, key := "Novelty", commerce.Money{Minor: 1, Currency: "USD"}, uuid.New()
		writers := map[string]func() error{
			"an update of the same product": func() error {
				_, err := s.Catalog.Update(ctx, admin, commerce.UpdateProduct{ID: frozen, Version: 1, Name: &name})
				return err
			},
			"an update of another product": func() error {
				_, err := s.Catalog.Update(ctx, admin, commerce.UpdateProduct{ID: other, Version: 1, Name: &name})
				return err
			},
			"an archived product": func() error {
				_, err := s.Catalog.Archive(ctx, admin, commerce.ArchiveProduct{Key: uuid.New(), ID: archived})
				return err
			},
			"a new product": func() error {
				_, err := s.Catalog.Create(ctx, admin, commerce.CreateProduct{Key: uuid.New(), SKU: "NEW", Name: "Thing", Price: price})
				return err
			},
			"an import": func() error {
				results, err := s.Catalog.Import(ctx, admin, []commerce.ImportRow{{SKU: "IMPORTED", Name: "Thing", Price: &price}}, commerce.StockDifference)
				if err != nil {
					return err
				}
				return results[0].Err
			},
			"a repeat of what the frozen instance does": func() error {
				_, err := s.Catalog.Unarchive(ctx, admin, commerce.ArchiveProduct{Key: key, ID: other})
				return err
			},
			"a new product with the SKU of a new one": func() error {
				_, err := s.Catalog.Create(ctx, admin, commerce.CreateProduct{Key: uuid.New(), SKU: "HELD", Name: "Thing", Price: price})
				return err
			},
			"an import of the SKU of a new one": func() error {
				results, err := s.Catalog.Import(ctx, admin, []commerce.ImportRow{{SKU: "HELD TOO", Name: "Thing", Price: &price}}, commerce.StockDifference)
				if err != nil {
					return err
				}
				return results[0].Err
			},
			"an import of a quantity": func() error {
				results, err := s.Catalog.Import(ctx, admin, []commerce.ImportRow{{SKU: "FROZEN", Stock: new(int64)}}, commerce.StockDifference)
				if err != nil {
					return err
				}
				return results[0].Err
			},
		}
		held, err := s.db.Ent.Tx(ctx)
		must(t, err)
		row, err := held.Product.UpdateOneID(frozen).SetName("Frozen").AddVersion(1).Save(ctx)
		must(t, err)
		must(t, held.Operation.Create().SetID(commerce.OperationID(admin, "productUnarchive", key)).SetFingerprint("").SetCreatedAt(s.clock.Now()).Exec(ctx))
		for _, sku := range []string{"HELD", "HELD TOO"} {
			must(t, held.Product.Create().SetID(uuid.NewString()).SetSku(sku).SetName("Thing").SetPriceMinor(1).SetMaxPriceMinor(1).SetCurrency("USD").
				SetCreatedAt(s.clock.Now()).SetUpdatedAt(s.clock.Now()).Exec(ctx))
		}
		must(t, held.ProductVariant.UpdateOneID(lockprovider.FirstVariantID(frozen)).AddVersion(1).Exec(ctx))
		must(t, s.Catalog.Index(ctx, held, row))
		bounds := s.boundsOf(ent.TypeProduct, ent.TypeOperation, ent.TypeSearchRevision) // MariaDB has a bound of its own
		type answer struct {
			writer string
			err    error
		}
		answers := make(chan answer, len(writers))
		for writer, write := range writers {
			go func() { answers <- answer{writer, write()} }()
		}
		for range writers {
			select {
			case a := <-answers:
				errs, ok := commerce.UserErrors(a.err)
				if !ok || errs[0].Code != commerce.LockTimeout || !errs[0].Retryable || errs[0].RetryAfter == 0 {
					t.Errorf("%s is answered by %v, want LOCK_TIMEOUT, retryable", a.writer, a.err)
				}
			case <-time.After(longEnough):
				t.Fatalf("not all writers have an answer after %s", longEnough)
			}
		}
		for kind, b := range bounds() {
			if b.bounded == 0 || b.unbounded > 0 {
				t.Errorf("%d writes of a %s have a bound, and %d have none", b.bounded, kind, b.unbounded)
			}
		}
		must(t, held.Rollback())
		for writer, write := range writers {
			if err := write(); err != nil {
				t.Errorf("%s, when nobody is frozen: %v", writer, err)
			}
		}
		s.wantIndexed(t)
	})
}

// bounds counts writes that wait for others for a time at most, and those that do not.
type bounds struct{ bounded, unbounded int }

// boundsOf counts the writes of some kinds of rows from now on.
func (s *shop) boundsOf(kinds ...string) func() map[string]bounds {
	var mu sync.Mutex
	seen := map[string]bounds{}
	for _, kind := range kinds {
		seen[kind] = bounds{}
	}
	hook := func(next ent.Mutator) ent.Mutator {
		return ent.MutateFunc(func(ctx context.Context, m ent.Mutation) (ent.Value, error) {
			mu.Lock()
			if b, counts := seen[m.Type()]; counts {
				if _, has := ctx.Deadline(); has {
					b.bounded++
				} else {
					b.unbounded++
				}
				seen[m.Type()] = b
			}
			mu.Unlock()
			return next.Mutate(ctx, m)
		})
	}
	// Not that of all clients: an instance writes its heartbeat meanwhile.
	s.db.Ent.Product.Use(hook)
	s.db.Ent.Operation.Use(hook)
	s.db.Ent.SearchRevision.Use(hook)
	return func() map[string]bounds {
		mu.Lock()
		defer mu.Unlock()
		return maps.Clone(seen)
	}
}

// Nobody who pays is told LOCK_TIMEOUT by the record of a key: only writers of products have that bound.
func TestOnlyWritersOfProductsAreBounded(t *testing.T) {
	s := newShop(t, lockprovider.RowLock)
	ctx, id := t.Context(), s.product(t, 1000, 5)
	s.points(t, alice, 5000)
	written := s.boundsOf(ent.TypeOperation)
	paid := s.unpaid(t, id, 1, "").ID
	_, err := s.Orders.Pay(ctx, alice, commerce.PayOrder{Key: uuid.New(), OrderID: paid, Payment: *byPoints()})
	must(t, err)
	_, err = s.Refunds.Create(ctx, admin, amountOf(paid, 1))
	must(t, err)
	_, err = s.Orders.Cancel(ctx, alice, commerce.CancelOrder{Key: uuid.New(), OrderID: s.unpaid(t, id, 1, "").ID})
	must(t, err)
	if b := written()[ent.TypeOperation]; b.bounded > 0 || b.unbounded != 3 {
		t.Errorf("%d records of keys have a bound, and %d have none, want none and 3", b.bounded, b.unbounded)
	}
}

// An import beside a frozen instance waits for it once, not with each of its rows.
func TestImportsWaitOnceForAFrozenInstance(t *testing.T) {
	everyCatalog(t, func(t *testing.T, s *shop) {
		if s.db.Dialect == dialect.SQLite {
			t.Skip("SQLite has one instance")
		}
		t.Parallel()
		ctx, price := t.Context(), commerce.Money{Minor: 1, Currency: "USD"}
		var once, twice []commerce.ImportRow
		for i := range 100 {
			once = append(once, commerce.ImportRow{SKU: fmt.Sprint("ONCE-", i), Name: "Thing", Price: &price})
			twice = append(twice, commerce.ImportRow{SKU: fmt.Sprint("TWICE-", i/2), Name: "Thing", Price: &price})
		}
		dear := commerce.Money{Minor: 2, Currency: "USD"}
		for i := range 50 { // of which these are there already
			s.sell(t, fmt.Sprint("ONCE-", i), "Thing", 1)
			once[i].Price = &dear
		}
		frozen := s.sell(t, "FROZEN", "Thing", 100)
		held, err := s.db.Ent.Tx(ctx)
		must(t, err)
		row, err := held.Product.UpdateOneID(frozen).SetName("Frozen").AddVersion(1).Save(ctx)
		must(t, err)
		must(t, s.Catalog.Index(ctx, held, row))
		for _, c := range []struct {
			rows []commerce.ImportRow
			most int // that wait: in one transaction, or each on its own, as many as do at a time
		}{{once, 1}, {twice, 8}} {
			written := s.boundsOf(ent.TypeSearchRevision)
			results, err := s.Catalog.Import(ctx, admin, c.rows, commerce.StockDifference)
			must(t, err)
			for _, result := range results {
				if e := wantCodes(t, result.Err, "LOCK_TIMEOUT")[0]; !e.Retryable || e.RetryAfter == 0 {
					t.Errorf("%s: %+v, want a retryable error", result.SKU, e)
				}
			}
			if n := written()[ent.TypeSearchRevision].bounded; n < 1 || n > c.most {
				t.Errorf("the import has waited %d times, want 1 to %d", n, c.most)
			}
		}
		must(t, held.Rollback())
		for _, rows := range [][]commerce.ImportRow{once, twice} {
			results, err := s.Catalog.Import(ctx, admin, rows, commerce.StockDifference)
			must(t, err)
			for _, result := range results {
				must(t, result.Err)
			}
		}
	})
}

// Revisions are committed in their order: while a transaction that has drawn one is open, no other one draws the next, and searches find
// neither product. Its end, whichever it is, lets the other one go on, and what is committed is found.
func TestRevisionsAreCommittedInTheirOrder(t *testing.T) {
	everyCatalog(t, func(t *testing.T, s *shop) {
		ctx := t.Context()
		first, second := s.sell(t, "FIRST", "Thing", 100), s.sell(t, "SECOND", "Thing", 100)
		for i, commits := range []bool{true, false} {
			name := fmt.Sprint("Novelty", i)
			held, err := s.db.Ent.Tx(ctx)
			must(t, err)
			row, err := held.Product.UpdateOneID(first).SetName(name).AddVersion(1).Save(ctx)
			must(t, err)
			must(t, s.Catalog.Index(ctx, held, row))

			done, waits := make(chan error, 1), s.writerWaits()
			go func() {
				_, err := s.Catalog.Update(ctx, admin, commerce.UpdateProduct{ID: second, Version: i + 1, Name: &name})
				done <- err
			}()
			s.waitsForLock(t, waits)
			select {
			case err := <-done:
				t.Fatalf("the second transaction has ended while the first is open: %v", err)
			default:
			}
			if got := s.found(t, commerce.ProductQuery{Search: name}, 10); got != nil {
				t.Errorf("found %v before a commit", got)
			}
			end, want := held.Rollback, []string{"SECOND"}
			if commits {
				end, want = held.Commit, []string{"FIRST", "SECOND"}
			}
			must(t, end())
			select {
			case err := <-done:
				must(t, err)
			case <-time.After(longEnough):
				t.Fatalf("the second transaction has not ended %s after the first", longEnough)
			}
			got := s.found(t, commerce.ProductQuery{Search: name}, 10)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("the first commits: %v; found %v, want %v", commits, got, want)
			}
		}
		s.wantIndexed(t)
	})
}

// A transaction draws its revision, which keeps others waiting, after it has written its documents. One statement follows for all of them.
func TestRevisionIsDrawnLast(t *testing.T) {
	s := openShop(t, lockprovider.FamilyConfig{Strategy: lockprovider.RowLock}, "sqlite://:memory:", "")
	rows := []commerce.ImportRow{}
	for i := range 5 {
		rows = append(rows, commerce.ImportRow{SKU: fmt.Sprint("I-", i), Name: "Lamp", Price: &commerce.Money{Minor: 1, Currency: "USD"}})
	}
	load := func() {
		results, err := s.Catalog.Import(t.Context(), admin, rows, commerce.StockDifference)
		must(t, err)
		for i, result := range results {
			must(t, result.Err)
			rows[i].Name += " and chair"
		}
	}
	load()
	var written []string
	s.db.Ent.Use(func(next ent.Mutator) ent.Mutator {
		return ent.MutateFunc(func(ctx context.Context, m ent.Mutation) (ent.Value, error) {
			written = append(written, m.Type())
			return next.Mutate(ctx, m)
		})
	})
	load()
	drawn := slices.Index(written, "SearchRevision")
	if drawn < 0 || !slices.Equal(written[drawn:], []string{"SearchRevision", "SearchDocument"}) {
		t.Errorf("written: %v, want a revision and one statement behind it", written)
	}
}

// A search that is cut off does not cut off the reading of the search documents: others wait for that.
func TestReadingOutlivesItsSearch(t *testing.T) {
	s := openShop(t, lockprovider.FamilyConfig{Strategy: lockprovider.RowLock}, postgres(t), "")
	ctx := t.Context()
	s.sell(t, "A", "Lamp", 100)
	held, err := s.db.Ent.Tx(ctx)
	must(t, err)
	defer func() { _ = held.Rollback() }()
	_, err = held.ExecContext(ctx, "LOCK TABLE search_documents IN ACCESS EXCLUSIVE MODE")
	must(t, err)

	cut, leave := context.WithCancel(ctx)
	q := commerce.ProductQuery{Search: "lamp", Page: commerce.Page{First: 1}}
	first := make(chan error, 1)
	go func() {
		_, err := s.Catalog.Products(cut, q)
		first <- err
	}()
	s.waitsForLock(t, 0)
	leave()
	select {
	case err := <-first:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the first search: %v, want that it was canceled", err)
		}
	case <-time.After(longEnough):
		t.Fatalf("the first search has not left %s after it was canceled", longEnough)
	}
	must(t, held.Rollback())
	for began := time.Now(); s.Catalog.IndexedRevision() == 0; { // nobody else reads
		if time.Since(began) > longEnough {
			t.Fatalf("the documents are not read after %s", longEnough)
		}
	}
	if got := s.found(t, q, 1); !slices.Equal(got, []string{"A"}) {
		t.Errorf("found %v", got)
	}
}

// logLines is a handler that keeps the messages of log lines.
type logLines chan string

func (logLines) Enabled(context.Context, slog.Level) bool { return true }
func (l logLines) Handle(_ context.Context, r slog.Record) error {
	l <- r.Level.String() + " " + r.Message
	return nil
}
func (l logLines) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l logLines) WithGroup(string) slog.Handler      { return l }

// The log tells when an instance that starts can search, and of a series of failures the first.
func TestFollowSearchDocumentsTells(t *testing.T) {
	s := openShop(t, lockprovider.FamilyConfig{Strategy: lockprovider.RowLock}, "sqlite://:memory:", "")
	var asked atomic.Int64
	s.db.Ent.SearchRevision.Intercept(ent.InterceptFunc(func(next ent.Querier) ent.Querier {
		return ent.QuerierFunc(func(ctx context.Context, q ent.Query) (ent.Value, error) {
			asked.Add(1)
			return next.Query(ctx, q)
		})
	}))
	_, err := s.db.Ent.ExecContext(t.Context(), "ALTER TABLE search_revisions RENAME TO gone")
	must(t, err)
	lines := make(logLines, 100)
	following, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Catalog.FollowSearchDocuments(following, slog.New(lines))
	}()
	for began := time.Now(); asked.Load() < 3; {
		if time.Since(began) > longEnough {
			t.Fatalf("%d attempts after %s", asked.Load(), longEnough)
		}
	}
	_, err = s.db.Ent.ExecContext(t.Context(), "ALTER TABLE gone RENAME TO search_revisions")
	must(t, err)
	for _, want := range []string{"WARN search documents cannot be read", "INFO search documents are read"} {
		select {
		case got := <-lines:
			if got != want {
				t.Errorf("%q, want %q", got, want)
			}
		case <-time.After(longEnough):
			t.Fatalf("no line %q after %s", want, longEnough)
		}
	}
	stop()
	<-done
}
