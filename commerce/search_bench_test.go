package commerce_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"

	"holdfast/commerce"
	"holdfast/commerce/textsearch"
	"holdfast/ent/balance"
	"holdfast/ent/product"
	"holdfast/ent/productvariant"
	"holdfast/ent/searchdocument"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
)

// BenchmarkSearch searches among HOLDFAST_SEARCH_PRODUCTS products, 20,000 by default, on each database, for the first page of 20 in
// each order:
//
//	HOLDFAST_SEARCH_PRODUCTS=1000000 go test ./commerce -run - -bench Search -benchtime 50x -timeout 60m
//
// Names are a brand, three words and a number. Brands and words are as frequent as in a language: the n-th is n times as rare as the
// first. p95-ms is the time within which 19 of 20 searches are answered.
func BenchmarkSearch(b *testing.B) {
	products := 20_000
	if given := os.Getenv("HOLDFAST_SEARCH_PRODUCTS"); given != "" {
		var err error
		products, err = strconv.Atoi(given)
		must(b, err)
	}
	for _, database := range []struct {
		name string
		url  func(testing.TB) string
	}{
		{"sqlite", func(b testing.TB) string { return "sqlite://" + b.TempDir() + "/search.db" }},
		{"postgres", func(b testing.TB) string { return testenv.PostgresServer(b, "-c", "shared_buffers=512MB").URL }},
		{"mariadb", func(b testing.TB) string { return testenv.MariaDBServer(b, "--innodb-buffer-pool-size=1G").URL }},
	} {
		b.Run(database.name, func(b *testing.B) {
			url := database.url(b)
			s := openShop(b, lockprovider.FamilyConfig{Strategy: lockprovider.RowLock}, url, "")
			began := time.Now()
			goods := newGoods(products)
			goods.load(b, s)
			b.Logf("%d products with %d words loaded in %s", products, goods.postings, time.Since(began).Round(time.Second))
			b.Run("start", func(b *testing.B) {
				benchmarkStart(b, openShop(b, lockprovider.FamilyConfig{Strategy: lockprovider.RowLock}, url, ""))
			})
			_, err := s.Catalog.Products(b.Context(), commerce.ProductQuery{Search: "zzz", Page: commerce.Page{First: 1}}) // reads the index
			must(b, err)
			for _, search := range goods.searches() {
				for _, order := range []commerce.ProductOrder{commerce.NewestFirst, commerce.ByName, commerce.PriceAscending} {
					b.Run(search.name+"/"+string(order), func(b *testing.B) { benchmarkSearch(b, s, search, order) })
				}
			}
			b.Run("after-a-change", func(b *testing.B) { benchmarkChange(b, s, products) })
		})
	}
}

// benchmarkStart measures the first search of an instance, which reads all search documents, and the memory that they take after their segments were merged.
func benchmarkStart(b *testing.B, s *shop) {
	heap := func() float64 {
		same := 0
		for last := 0.0; ; {
			var stats runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&stats)
			now := float64(stats.HeapAlloc) / 1e6
			same++
			if now < 0.99*last || now > 1.01*last {
				same = 0
			}
			if same == 20 {
				return now
			}
			last = now
			time.Sleep(100 * time.Millisecond)
		}
	}
	before, began := heap(), time.Now()
	_, err := s.Catalog.Products(b.Context(), commerce.ProductQuery{Search: "zzz", Page: commerce.Page{First: 1}})
	must(b, err)
	took := time.Since(began)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(took.Seconds(), "start-s")
	b.ReportMetric(heap()-before, "heap-MB")
}

// benchmarkChange measures a search that comes right after a product was changed.
func benchmarkChange(b *testing.B, s *shop, n int) {
	times := make([]time.Duration, 0, b.N)
	for i := range b.N {
		id, name := fmt.Sprintf("prod_%026d", i%n), fmt.Sprintf("Novelty %d", i)
		row, err := s.Catalog.Product(b.Context(), id)
		must(b, err)
		_, err = s.Catalog.Update(b.Context(), admin, commerce.UpdateProduct{ID: id, Version: row.Version, Name: &name})
		must(b, err)
		began := time.Now()
		page, err := s.Catalog.Products(b.Context(), commerce.ProductQuery{Search: name, Page: commerce.Page{First: 20}})
		must(b, err)
		times = append(times, time.Since(began))
		if len(page.Items) == 0 || page.Items[0].Name != name && i < 10 {
			b.Fatalf("%q is not found", name)
		}
	}
	slices.Sort(times)
	b.ReportMetric(times[len(times)/2].Seconds()*1000, "median-ms")
	b.ReportMetric(times[(len(times)-1)*19/20].Seconds()*1000, "p95-ms")
}

func benchmarkSearch(b *testing.B, s *shop, search benchmarkedSearch, order commerce.ProductOrder) {
	times := make([]time.Duration, 0, b.N)
	found := 0
	for b.Loop() {
		began := time.Now()
		page, err := s.Catalog.Products(b.Context(), commerce.ProductQuery{
			Search: search.query, ProductFilter: search.filter, Order: order, Page: commerce.Page{First: 20},
		})
		must(b, err)
		times, found = append(times, time.Since(began)), len(page.Items)
	}
	slices.Sort(times)
	b.ReportMetric(times[(len(times)-1)*19/20].Seconds()*1000, "p95-ms")
	b.ReportMetric(float64(found), "found")
}

// goods are products that are made up.
type goods struct {
	n             int
	brands, words []string
	names         []string
	postings      int
}

func newGoods(n int) *goods {
	random := rand.New(rand.NewPCG(1, 2))
	g := &goods{n: n, names: make([]string, n)}
	syllables := []string{"ka", "lo", "mi", "ser", "tan", "ru", "bel", "do", "fin", "gra", "ho", "jet", "nu", "pol", "qua", "vi"}
	invent := func(count int) []string {
		seen := map[string]bool{}
		for len(seen) < count {
			word := ""
			for range 2 + random.IntN(3) {
				word += syllables[random.IntN(len(syllables))]
			}
			seen[word] = true
		}
		list := make([]string, 0, count)
		for word := range seen {
			list = append(list, word)
		}
		slices.Sort(list)
		random.Shuffle(count, func(i, j int) { list[i], list[j] = list[j], list[i] })
		return list
	}
	g.brands, g.words = invent(500), invent(20_000)
	brand, word := rand.NewZipf(random, 1.01, 1, 499), rand.NewZipf(random, 1.01, 1, 19_999)
	for i := range g.names {
		g.names[i] = fmt.Sprintf("%s %s %s %s %d", g.brands[brand.Uint64()], g.words[word.Uint64()], g.words[word.Uint64()],
			g.words[word.Uint64()], random.IntN(1000))
	}
	return g
}

func (g *goods) sku(i int) string { return fmt.Sprintf("ART-%07d", i) }

type benchmarkedSearch struct {
	name, query string
	filter      commerce.ProductFilter
}

// isAvailable reports whether a product can be bought: one of 100,000.
func (g *goods) isAvailable(i int) bool { return i%100_000 == 1 }

// searches are what is searched for. The first words are the most frequent ones.
func (g *goods) searches() []benchmarkedSearch {
	above := int64(100_000)                                               // all prices
	dear, notDearer, yes, no := int64(99_990), int64(99_995), true, false // a few prices
	var (
		tooDear   = commerce.ProductFilter{MinPrice: &above}
		few       = commerce.ProductFilter{MinPrice: &dear, MaxPrice: &notDearer}
		available = commerce.ProductFilter{Available: &yes}
		soldOut   = commerce.ProductFilter{Available: &no}
		all       = commerce.ProductFilter{Available: &yes, MinPrice: &dear, MaxPrice: &notDearer, IncludeArchived: true}
	)
	list := []benchmarkedSearch{
		{"too-dear", g.words[0], tooDear},
		{"too-dear-of-all", "art", tooDear},
		{"few-prices", g.words[0], few},
		{"few-prices-of-all", "art", few},
		{"few-prices-without-search", "", few},
		{"available-of-a-word", g.words[0], available},
		{"available-of-all", "art", available},
		{"available-of-three-beginnings", g.words[0][:3] + " " + g.words[1][:3] + " " + g.words[2][:3], available},
		{"available-without-search", "", available},
		{"sold-out-of-all", "art", soldOut},
		{"sold-out-without-search", "", soldOut},
		{"available-of-few-prices-of-all", "art", all},
		{"available-of-few-prices-without-search", "", all},
	}
	for _, s := range []struct{ name, query string }{
		{"rare-word", g.words[15_000]},
		{"word-of-a-thousandth", g.words[100]},
		{"most-frequent-word", g.words[0]},
		{"one-letter", g.words[1][:1]},
		{"every-letter", "b d f g h j k l m n p q r s t v"}, // the first letters of all words
		{"frequent-and-rare", g.words[0] + " " + g.words[3000]},
		{"two-frequent", g.words[0] + " " + g.words[1]},
		{"three-beginnings", g.words[0][:3] + " " + g.words[1][:3] + " " + g.words[2][:3]},
		{"most-frequent-brand", g.brands[0]},
		{"brand", g.brands[10]}, // by name, its products lie close together
		{"rare-brand", g.brands[400]},
		{"one-sku", g.sku(g.n / 2)},
		{"begin-of-sku", g.sku(g.n / 2)[:len(g.sku(0))-4]}, // by time, its products lie close together
		{"every-sku", "art"},
		{"nothing", "zzz"},
		{"nothing-and-frequent", "zzz " + g.words[0]},
		{"no-search", ""},
	} {
		list = append(list, benchmarkedSearch{s.name, s.query, commerce.ProductFilter{}})
	}
	return list
}

// load fills tables as Catalog.Create does, many rows a statement.
func (g *goods) load(b testing.TB, s *shop) {
	b.Helper()
	random := rand.New(rand.NewPCG(3, 4))
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	insert := func(table string, columns []string, rows [][]any) {
		query := entsql.Dialect(s.db.Dialect).Insert(table).Columns(columns...)
		for _, row := range rows {
			query.Values(row...)
		}
		text, args := query.Query()
		_, err := s.db.Ent.ExecContext(context.WithoutCancel(b.Context()), text, args...)
		must(b, err)
	}
	const chunk = 2000
	for from := 0; from < g.n; from += chunk {
		var products, variants, documents, balances [][]any
		for i := from; i < min(from+chunk, g.n); i++ {
			id, sku, price, created := fmt.Sprintf("prod_%026d", i), g.sku(i), int64(random.IntN(100_000)), began.Add(time.Duration(i)*time.Second)
			words := textsearch.Words(g.names[i] + "\n" + sku)
			g.postings += len(words)
			products = append(products, []any{id, sku, g.names[i], "", price, price, "USD", 1, created, created})
			variants = append(variants, []any{lockprovider.FirstVariantID(id), id, sku, price, "USD", 0, created, created})
			stock := int64(0)
			if g.isAvailable(i) {
				stock = 1
			}
			balances = append(balances, []any{
				lockprovider.StockKey(id), string(lockprovider.Stock), stock, 0, int64(lockprovider.MaxAmount), stock, 0, 0,
			})
			documents = append(documents, []any{i + 1, id, g.names[i], price, created, false, 1, " " + strings.Join(words, " "), 0})
		}
		insert(product.Table, []string{
			product.FieldID, product.FieldSku, product.FieldName, product.FieldDescription, product.FieldPriceMinor, product.FieldMaxPriceMinor,
			product.FieldCurrency, product.FieldVersion, product.FieldCreatedAt, product.FieldUpdatedAt,
		}, products)
		insert(productvariant.Table, []string{
			productvariant.FieldID, productvariant.FieldProductID, productvariant.FieldSku, productvariant.FieldPriceMinor,
			productvariant.FieldCurrency, productvariant.FieldPosition, productvariant.FieldCreatedAt, productvariant.FieldUpdatedAt,
		}, variants)
		insert(searchdocument.Table, []string{
			searchdocument.FieldID, searchdocument.FieldProductID, searchdocument.FieldName, searchdocument.FieldPriceMinor,
			searchdocument.FieldCreatedAt, searchdocument.FieldArchived, searchdocument.FieldVersion, searchdocument.FieldWords,
			searchdocument.FieldRevision,
		}, documents)
		insert(balance.Table, []string{
			balance.FieldID, balance.FieldFamily, balance.FieldAmount, balance.FieldFloor, balance.FieldCeiling, balance.FieldOpening,
			balance.FieldVersion, balance.FieldApplied,
		}, balances)
	}
	analyze := map[string]string{
		dialect.SQLite: "ANALYZE", dialect.Postgres: "VACUUM ANALYZE", dialect.MySQL: "ANALYZE TABLE products, product_variants, search_documents, balances",
	}
	_, err := s.db.Ent.ExecContext(b.Context(), analyze[s.db.Dialect])
	must(b, err)
}
