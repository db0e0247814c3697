package commerce_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"entgo.io/ent/dialect"

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
		words := textsearch.Words(p.Name + "\n" + p.Sku)
		if document.Version != p.Version || document.Name != p.Name || document.PriceMinor != p.PriceMinor ||
			document.Archived != (p.ArchivedAt != nil) || !document.CreatedAt.Equal(p.CreatedAt) ||
			!slices.Equal(strings.Fields(document.Words), words) {
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

// A database that was restored under a running instance is searched as it is.
func TestSearchFollowsARestore(t *testing.T) {
	everyCatalog(t, func(t *testing.T, s *shop) {
		ctx := t.Context()
		s.sell(t, "R-1", "Lamp", 100)
		backup, err := s.db.Ent.SearchRevision.Query().Only(ctx)
		must(t, err)
		document, err := s.db.Ent.SearchDocument.Query().Only(ctx)
		must(t, err)
		id := s.sell(t, "R-2", "Lamp", 100)
		if got := s.found(t, commerce.ProductQuery{Search: "lamp"}, 10); len(got) != 2 {
			t.Fatalf("found %v", got)
		}
		_, err = s.db.Ent.SearchDocument.Delete().Where(searchdocument.IDNEQ(document.ID)).Exec(ctx)
		must(t, err)
		must(t, s.db.Ent.Product.DeleteOneID(id).Exec(ctx))
		must(t, s.db.Ent.SearchRevision.UpdateOne(backup).SetRevision(backup.Revision).Exec(ctx))
		if got := s.found(t, commerce.ProductQuery{Search: "lamp"}, 10); !slices.Equal(got, []string{"R-1"}) {
			t.Errorf("found %v, want R-1", got)
		}
		s.sell(t, "R-3", "Lamp", 100)
		if got := s.found(t, commerce.ProductQuery{Search: "lamp", Order: commerce.ByNameReversed}, 10); !slices.Equal(got, []string{"R-3", "R-1"}) {
			t.Errorf("found %v, want R-3 and R-1", got)
		}
	})
}
