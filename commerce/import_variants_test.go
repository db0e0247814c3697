package commerce_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/ent/product"
	"holdfast/ent/productvariant"
	"holdfast/ent/searchdocument"
)

const variantsHeader = "Handle,Title,Body (HTML),Vendor,Tags,Status,Option1 Name,Option1 Value,Option2 Name,Option2 Value,Variant SKU," +
	"Variant Inventory Qty,Variant Price,Image Src,Variant Image\n"

// importFile imports a file as the command does, after it has told what it would do, and returns both as text: the outcome of each row, with ! for
// a refusal, and + for a variant that is elsewhere.
func (s *shop) importFile(t *testing.T, rows []commerce.ImportRow) (text string, results []commerce.ImportResult) {
	t.Helper()
	var told, done []string
	outcome := func(r commerce.ImportResult) string {
		switch {
		case r.Err != nil:
			return "!"
		case r.Elsewhere:
			return string(r.Outcome) + "+"
		}
		return string(r.Outcome)
	}
	for _, batch := range commerce.ImportBatches(rows, commerce.MaxImport) {
		planned, err := s.Catalog.PlanImport(t.Context(), admin, batch, commerce.StockDifference)
		must(t, err)
		some, err := s.Catalog.Import(t.Context(), admin, batch, commerce.StockDifference)
		must(t, err)
		for i := range batch {
			told, done = append(told, outcome(planned[i])), append(done, outcome(some[i]))
		}
		results = append(results, some...)
	}
	if !slices.Equal(told, done) {
		t.Errorf("told %v, done %v", told, done)
	}
	return strings.Join(done, " "), results
}

// shelf tells what is in the shop: each product with its options, and its variants with price, stock and -, if they are off sale.
func (s *shop) shelf(t *testing.T) string {
	t.Helper()
	products, err := s.db.Ent.Product.Query().Order(product.ByName(), product.BySku()).All(t.Context())
	must(t, err)
	var lines []string
	for _, p := range products {
		line := p.Name + off(p.ArchivedAt != nil) + " [" + strings.Join(p.Options, " ") + "]"
		rows := s.variantsOf(t, p.ID)
		for i, left := range s.left(t, rows) {
			v := rows[i]
			line += fmt.Sprintf(", %s%s %s %d %d", v.Sku, off(v.ArchivedAt != nil), strings.Join(v.OptionValues, "/"), v.PriceMinor, left)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// wantDocuments compares the versions that the index has with those of the products.
func (s *shop) wantDocuments(t *testing.T) {
	t.Helper()
	products, err := s.db.Ent.Product.Query().All(t.Context())
	must(t, err)
	for _, p := range products {
		document, err := s.db.Ent.SearchDocument.Query().Where(searchdocument.ProductID(p.ID)).Only(t.Context())
		must(t, err)
		for _, v := range s.variantsOf(t, p.ID) {
			if v.ArchivedAt == nil && !strings.Contains(document.Words, strings.ToLower(strings.ReplaceAll(v.Sku, "-", ""))) {
				t.Errorf("the index does not know %s: %s", v.Sku, document.Words)
			}
		}
		if document.Version != p.Version || document.Archived != (p.ArchivedAt != nil) {
			t.Errorf("%v has the document %v", p, document)
		}
	}
}

func off(archived bool) string {
	if archived {
		return "-"
	}
	return ""
}

// The lines of one handle become one product with several variants, under each strategy of stock, which sell at once. A second import finds
// nothing to do, another file moves prices and quantities, new lines add variants, and what the file does not name stays.
func TestImportOfVariants(t *testing.T) {
	everyStrategy(t, importOfVariants)
}

// TestImportOfVariantsOnEveryDatabase is TestImportOfVariants for the statements of each database.
func TestImportOfVariantsOnEveryDatabase(t *testing.T) {
	everyCatalog(t, importOfVariants)
}

func importOfVariants(t *testing.T, s *shop) {
	t.Helper()
	const mug = "mug,Mug,,,,active,Title,Default Title,,,MUG,3,4,,\n"
	for _, step := range []struct{ what, file, outcomes, shelf string }{
		{
			"new", "shirt,Shirt,Warm,Acme,a,active,Size,M,Color,Red,S-M,5,10,https://e.com/1.jpg,https://e.com/9.jpg\nshirt,,,,,,,L,,Red,S-L,6,12,https://e.com/2.jpg,\n" + mug,
			"created created created", "Mug [], MUG  400 3\nShirt [Size Color], S-M M/Red 1000 5, S-L L/Red 1200 6",
		},
		{
			"again", "shirt,Shirt,Warm,Acme,a,active,Size,M,Color,Red,S-M,5,10,https://e.com/1.jpg,https://e.com/9.jpg\nshirt,,,,,,,L,,Red,S-L,6,12,https://e.com/2.jpg,\n" + mug,
			"unchanged unchanged unchanged", "Mug [], MUG  400 3\nShirt [Size Color], S-M M/Red 1000 5, S-L L/Red 1200 6",
		},
		{
			"quantities and a price", "shirt,Shirt,Warm,Acme,a,active,Size,M,Color,Red,S-M,4,10,https://e.com/1.jpg,https://e.com/9.jpg\nshirt,,,,,,,L,,Red,S-L,8,13,https://e.com/2.jpg,\n",
			"updated updated", "Mug [], MUG  400 3\nShirt [Size Color], S-M M/Red 1000 4, S-L L/Red 1300 8",
		},
		{
			"a new line, and one that is missing, with another title", "shirt,Warm shirt,Warm,Acme,a,active,Size,XL,Color,Red,S-XL,7,14,,\nshirt,,,,,,,L,,Red,S-L,8,13,,\n",
			"created updated", "Mug [], MUG  400 3\nWarm shirt [Size Color], S-M M/Red 1000 4, S-L L/Red 1300 8, S-XL XL/Red 1400 7",
		},
		{
			"new lines only: the handle tells the product", "shirt,Shirt,Warm,Acme,a,active,Size,S,Color,Red,S-S,1,9,,\n",
			"created", "Mug [], MUG  400 3\nShirt [Size Color], S-M M/Red 1000 4, S-L L/Red 1300 8, S-XL XL/Red 1400 7, S-S S/Red 900 1",
		},
		{
			"off sale", "shirt,Shirt,Warm,Acme,a,draft,Size,M,Color,Red,S-M,4,10,,\nshirt,,,,,,,L,,Red,S-L,8,13,,\n",
			"archived archived", "Mug [], MUG  400 3\nShirt- [Size Color], S-M M/Red 1000 4, S-L L/Red 1300 8, S-XL XL/Red 1400 7, S-S S/Red 900 1",
		},
		{
			"off sale again", "shirt,Shirt,Warm,Acme,a,draft,Size,M,Color,Red,S-M,4,10,,\n",
			"unchanged", "Mug [], MUG  400 3\nShirt- [Size Color], S-M M/Red 1000 4, S-L L/Red 1300 8, S-XL XL/Red 1400 7, S-S S/Red 900 1",
		},
		{
			"back on sale", "shirt,Shirt,Warm,Acme,a,active,Size,M,Color,Red,S-M,5,11,,\nshirt,,,,,,,L,,Red,S-L,8,13,,\n",
			"unarchived unarchived", "Mug [], MUG  400 3\nShirt [Size Color], S-M M/Red 1100 5, S-L L/Red 1300 8, S-XL XL/Red 1400 7, S-S S/Red 900 1",
		},
	} {
		outcomes, results := s.importFile(t, readCSV(t, variantsHeader+step.file))
		for _, r := range results {
			must(t, r.Err)
		}
		if shelf := s.shelf(t); outcomes != step.outcomes || shelf != step.shelf {
			t.Errorf("%s: %s, want %s; in the shop is\n%s\nwant\n%s", step.what, outcomes, step.outcomes, shelf, step.shelf)
		}
		s.wantDocuments(t)
	}
	row, err := s.db.Ent.Product.Query().Where(product.Name("Shirt")).Only(t.Context())
	must(t, err)
	if *row.Handle != "shirt" || row.Vendor != "Acme" || row.PriceMinor != 900 || row.MaxPriceMinor != 1400 || row.VariantCount != 4 || row.Sku != "S-M" {
		t.Errorf("the product is %v", row)
	}
	added, err := s.db.Ent.ProductVariant.Query().Where(productvariant.Sku("S-XL")).Only(t.Context())
	must(t, err)
	_, err = s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{Key: uuid.New(), Lines: []commerce.Line{{VariantID: added.ID, Quantity: 7}}})
	must(t, err)
	s.settle(t)
	if left := s.left(t, []*ent.ProductVariant{added}); left[0] != 0 {
		t.Errorf("%d are left, want 0", left[0])
	}
	s.audit(t)
}

// A shop that was imported when each variant became a product of its own keeps them: they go on to have price and stock of the file, and nothing
// moves between products. New lines make a product, which later lines are added to.
func TestImportIntoAShopOfSingleVariants(t *testing.T) {
	everyCatalog(t, func(t *testing.T, s *shop) {
		for i, size := range []string{"M", "L"} {
			results, err := s.Catalog.Import(t.Context(), admin, []commerce.ImportRow{{
				SKU: "S-" + size, Name: "Shirt – " + size, Price: new(price(1000)), Stock: new(int64(5 + i)), Description: new("old"),
				ImportAttributes: commerce.ImportAttributes{Handle: "shirt-" + strings.ToLower(size)},
			}}, commerce.StockDifference)
			must(t, err)
			must(t, results[0].Err)
		}
		// One without an SKU was called by handle and options.
		_, err := s.importRow(t, commerce.ImportRow{SKU: "shirt-s", Name: "Shirt – S", Price: new(price(1000)), Stock: new(int64(9))}, commerce.StockDifference)
		must(t, err)
		for _, step := range []struct{ what, file, outcomes, shelf string }{
			{
				"the same file", "shirt,Shirt,new,,,active,Size,M,,,S-M,5,10,,\nshirt,,,,,,,L,,,S-L,6,10,,\nshirt,,,,,,,S,,,,9,10,,\n", "unchanged+ unchanged+ unchanged+",
				"Shirt – L [], S-L  1000 6\nShirt – M [], S-M  1000 5\nShirt – S [], shirt-s  1000 9",
			},
			{
				"another price, quantity and SKU, and a new size", "shirt,Shirt,new,,,active,Size,M,,,S-M,4,10,,\nshirt,,,,,,,L,,,S-L,6,11,,\nshirt,,,,,,,S,,,S-S,9,10,,\nshirt,,,,,,,XL,,,S-XL,7,12,,\n",
				"updated+ updated+ unchanged+ created",
				"Shirt [Size], S-XL XL 1200 7\nShirt – L [], S-L  1100 6\nShirt – M [], S-M  1000 4\nShirt – S [], shirt-s  1000 9",
			},
			{
				"the remedy: another SKU", "shirt,Shirt,new,,,active,Size,M,,,S-M-2,4,10,,\nshirt,,,,,,,L,,,S-L,6,11,,\nshirt,,,,,,,XL,,,S-XL,7,12,,\n", "created unchanged+ unchanged",
				"Shirt [Size], S-XL XL 1200 7, S-M-2 M 1000 4\nShirt – L [], S-L  1100 6\nShirt – M [], S-M  1000 4\nShirt – S [], shirt-s  1000 9",
			},
			{
				"off sale", "shirt,Shirt,new,,,draft,Size,L,,,S-L,6,11,,\nshirt,,,,,,,XL,,,S-XL,7,12,,\n", "archived+ archived",
				"Shirt- [Size], S-XL XL 1200 7, S-M-2 M 1000 4\nShirt – L- [], S-L  1100 6\nShirt – M [], S-M  1000 4\nShirt – S [], shirt-s  1000 9",
			},
		} {
			outcomes, _ := s.importFile(t, readCSV(t, variantsHeader+step.file))
			if shelf := s.shelf(t); outcomes != step.outcomes || shelf != step.shelf {
				t.Errorf("%s: %s, want %s; in the shop is\n%s\nwant\n%s", step.what, outcomes, step.outcomes, shelf, step.shelf)
			}
		}
		row, err := s.db.Ent.Product.Query().Where(product.Name("Shirt – M")).Only(t.Context())
		must(t, err)
		if row.Description != "old" || *row.Handle != "shirt-m" {
			t.Errorf("the old product is %v", row)
		}
	})
}

// What a product cannot have is refused by row and field, and nothing of it is half done; the other rows come in.
func TestImportOfWrongVariants(t *testing.T) {
	s := openShop(t, everyRowLock, "sqlite://:memory:", "")
	row := func(handle, sku string, values ...string) commerce.ImportRow {
		r := commerce.ImportRow{SKU: sku, Name: "Shirt", Price: new(price(100)), Stock: new(int64(1)), OptionValues: values}
		r.Handle = handle
		return r
	}
	named := func(names []string, r commerce.ImportRow) commerce.ImportRow {
		r.Options = names
		return r
	}
	var many []commerce.ImportRow
	for i := range commerce.MaxVariants + 1 {
		many = append(many, row("many", fmt.Sprint("M-", i), fmt.Sprint(i)))
	}
	must(t, func() error {
		_, results := s.importFile(t, []commerce.ImportRow{named([]string{"Size"}, row("shirt", "S-M", "M")), row("shirt", "S-L", "L")})
		return results[1].Err
	}())
	for _, test := range []struct {
		what     string
		rows     []commerce.ImportRow
		outcomes string
		at       int
		field    string
	}{
		{"too many", many, strings.TrimSpace(strings.Repeat("! ", len(many))), 100, "input products 100 handle"},
		{"options of another variant", []commerce.ImportRow{row("shirt", "S-NEW", "m")}, "!", 0, "input products 0 optionValues"},
		{"the same options twice", []commerce.ImportRow{row("cap", "C-1", "M"), row("cap", "C-2", "m"), row("cap", "C-3", "L")}, "created ! created", 1, "input products 1 optionValues"},
		{"another option", []commerce.ImportRow{named([]string{"Fit"}, row("shirt", "S-XL", "XL"))}, "!", 0, "input products 0 options"},
		{"one option more", []commerce.ImportRow{row("shirt", "S-XL", "XL", "Red"), row("shirt", "S-M", "M", "Red")}, "! unchanged+", 0, "input products 0 options"},
		{"not the options of the first row", []commerce.ImportRow{row("hat", "H-1", "M"), row("hat", "H-2", "M", "Red")}, "created !", 1, "input products 1 options"},
		{"no handle", []commerce.ImportRow{row("", "H-3", "M")}, "!", 0, "input products 0 handle"},
		{"an SKU twice", []commerce.ImportRow{row("tie", "T-1", "M"), row("tie", "T-1", "L")}, "created !", 1, "input products 1 sku"},
		{"four options", []commerce.ImportRow{row("box", "B-1", "1", "2", "3", "4")}, "!", 0, "input products 0 options"},
		{"no values", []commerce.ImportRow{named([]string{"Size"}, row("box", "B-1"))}, "!", 0, "input products 0 optionValues"},
		{"an empty value", []commerce.ImportRow{row("box", "B-1", "1", " ")}, "!", 0, "input products 0 optionValues 1"},
	} {
		outcomes, results := s.importFile(t, test.rows)
		if outcomes != test.outcomes {
			t.Errorf("%s: %s, want %s", test.what, outcomes, test.outcomes)
		}
		wantRefusal(t, results[test.at].Err, commerce.InvalidInput, test.field)
	}
	if n, err := s.db.Ent.Product.Query().Where(product.Handle("many")).Count(t.Context()); err != nil || n != 0 {
		t.Errorf("%d products of too many variants: %v", n, err)
	}
	s.audit(t)
}

// A variant that an administrator has taken off sale, and rows of which some are off sale.
func TestImportOfVariantsOffSale(t *testing.T) {
	everyCatalog(t, func(t *testing.T, s *shop) {
		rows := func(sale ...bool) (rows []commerce.ImportRow) {
			for i, on := range sale {
				r := commerce.ImportRow{
					SKU: fmt.Sprint("S-", i), Name: "Shirt", Price: new(price(int64(100 + i))), OffSale: new(!on), OptionValues: []string{fmt.Sprint(i)},
				}
				r.Handle = "shirt"
				rows = append(rows, r)
			}
			return rows
		}
		for _, step := range []struct {
			rows            []commerce.ImportRow
			outcomes, shelf string
		}{
			{rows(false, true), "created created", "Shirt [Option 1], S-0- 0 100 0, S-1 1 101 0"},
			{rows(false, true), "unchanged unchanged", "Shirt [Option 1], S-0- 0 100 0, S-1 1 101 0"},
			{rows(true, true), "unarchived unchanged", "Shirt [Option 1], S-0 0 100 0, S-1 1 101 0"},
			{rows(true, false), "unchanged archived", "Shirt [Option 1], S-0 0 100 0, S-1- 1 101 0"},
			{rows(false, false), "archived archived", "Shirt- [Option 1], S-0 0 100 0, S-1- 1 101 0"},
			{rows(true, true, true), "unarchived unarchived created", "Shirt [Option 1], S-0 0 100 0, S-1 1 101 0, S-2 2 102 0"},
		} {
			outcomes, results := s.importFile(t, step.rows)
			for _, r := range results {
				must(t, r.Err)
			}
			if shelf := s.shelf(t); outcomes != step.outcomes || shelf != step.shelf {
				t.Errorf("%s, want %s; in the shop is\n%s\nwant\n%s", outcomes, step.outcomes, shelf, step.shelf)
			}
			s.wantDocuments(t)
		}
	})
}

// Several imports of one file at the same time, each in an order of its own, make each product once.
func TestParallelImportsOfVariants(t *testing.T) {
	everyCatalog(t, func(t *testing.T, s *shop) {
		for round, cost := range []int64{100, 200, 200} {
			var products [][]commerce.ImportRow
			for i := range 20 {
				var rows []commerce.ImportRow
				for j := range 3 + round {
					r := commerce.ImportRow{
						SKU: fmt.Sprintf("P-%d-%d", i, j), Name: "Product", Price: new(price(cost)), Stock: new(int64(j + 10*(round%2))), OptionValues: []string{fmt.Sprint(j)},
					}
					r.Handle = fmt.Sprint("p-", i)
					rows = append(rows, r)
				}
				products = append(products, rows)
			}
			var running sync.WaitGroup
			for i := range 4 {
				shuffled := slices.Concat(slices.Concat(products[5*i:]...), slices.Concat(products[:5*i]...))
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
			if n, err := s.db.Ent.Product.Query().Count(t.Context()); err != nil || n != len(products) {
				t.Errorf("round %d: %d products (%v), want %d", round, n, err, len(products))
			}
			for _, row := range slices.Concat(products...) {
				v, err := s.db.Ent.ProductVariant.Query().Where(productvariant.Sku(row.SKU)).Only(t.Context())
				must(t, err)
				if left := s.left(t, []*ent.ProductVariant{v}); left[0] != *row.Stock || v.PriceMinor != cost {
					t.Errorf("round %d, %s: stock %d, price %d", round, row.SKU, left[0], v.PriceMinor)
				}
			}
		}
		s.audit(t)
	})
}
