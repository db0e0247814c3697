package commerce_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/ent/product"
	"holdfast/ent/schema"
	"holdfast/lockprovider"
)

// TestOddFiles reads what real exports have in them, and what spreadsheets make of exports.
func TestOddFiles(t *testing.T) {
	const plain = "Handle,Title,Body (HTML),Variant SKU,Variant Inventory Qty,Variant Price\ncafé,Café,<p>Noir</p>,C-1,5,9.00\n"
	const same = `2 C-1 "Café" "Noir" 900 5 ?`
	encoded := func(text string, err error) string {
		t.Helper()
		must(t, err)
		return text
	}
	forty := int64(40)
	for name, test := range map[string]struct {
		file     string
		format   commerce.ImportFormat
		want     []string // rows
		problems []string // their beginnings
		notes    []string
	}{
		"lines that end in CR":   {file: strings.ReplaceAll(plain, "\n", "\r"), want: []string{same}},
		"lines that end in CRLF": {file: strings.ReplaceAll(plain, "\n", "\r\n"), want: []string{same}},
		"tabs":                   {file: strings.ReplaceAll(plain, ",", "\t"), want: []string{same}},
		"tabs and empty cells":   {file: "Handle\tTitle\tVendor\tVariant SKU\tVariant Price\nmug\tMug\t\t\t9\n", want: []string{`2 mug "Mug" ? 900 ? ?`}, notes: []string{"2 the file gives no quantity, or its quantity is not tracked"}},
		"semicolons":             {file: strings.ReplaceAll(strings.ReplaceAll(plain, ",", ";"), "9.00", "1.009,00"), want: []string{`2 C-1 "Café" "Noir" 100900 5 ?`}},
		"a note for Excel":       {file: "sep=;\n" + strings.ReplaceAll(plain, ",", ";"), want: []string{`3 C-1 "Café" "Noir" 900 5 ?`}},
		"UTF-8 with a mark":      {file: "\ufeff" + plain, want: []string{same}},
		"UTF-16 with a mark": {
			file: encoded(unicode.UTF16(unicode.BigEndian, unicode.UseBOM).NewEncoder().String(plain)), want: []string{same},
		},
		"UTF-16 without one": {
			file: encoded(unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM).NewEncoder().String(plain)), want: []string{same},
		},
		"Latin-1": {
			file:     encoded(charmap.Windows1252.NewEncoder().String(plain)),
			problems: []string{`line 2, column "`},
		},
		"Latin-1 by its name": {
			file: encoded(charmap.Windows1252.NewEncoder().String(plain)), format: commerce.ImportFormat{Encoding: "windows-1252"},
			want: []string{same},
		},
		"Latin-1 in a column that is not used": {
			file: "Handle,Title,Vendor,Variant Inventory Qty,Variant Price\na,A,\xe9,1,1\n", want: []string{`2 a "A" ? 100 1 ?`},
		},
		"blanks before quotes": {
			file: "Handle, Title, Variant SKU, Variant Inventory Qty, Variant Price\nmug, \"Mug, blue\", \"M-1\", 5, \"9.00\"\n",
			want: []string{`2 M-1 "Mug, blue" ? 900 5 ?`},
		},
		"aligned columns": {
			file: "Handle ,Title       ,Variant SKU,Variant Inventory Qty,Variant Price\nmug    ,\"Mug, \"\"A\"\"\" ,\"M-1\"      ,5                    ,9.00\n",
			want: []string{`2 M-1 "Mug, \"A\"" ? 900 5 ?`},
		},
		"quotes that are not doubled": {
			file: "Handle,Title,Body (HTML),Variant SKU,Variant Inventory Qty,Variant Price\n" +
				"mug,Mug,\"<p class=\"x\">A</p>\n<p>B</p>\",M-1,5,9\ncup,Cup,,C-1,4,8\n",
			want: []string{`2 M-1 "Mug" "A B" 900 5 ?`, `4 C-1 "Cup" "" 800 4 ?`},
		},
		"a quote that is never closed": {
			file: "Handle,Title,Variant SKU,Variant Inventory Qty,Variant Price\na,A,A-1,1,1\nb,\"B,B-1,1,1\nc,C,C-1,1,1\nd,\"D\",D-1,1,1\n",
			want: []string{`2 A-1 "A" ? 100 1 ?`, `4 C-1 "C" ? 100 1 ?`, `5 D-1 "D" ? 100 1 ?`}, problems: []string{"line 3: not readable as CSV"},
		},
		"an SKU twice": {
			file: "Handle,Title,Option1 Value,Variant SKU,Variant Inventory Qty,Variant Price\nmat,Mat,S,MAT-1,5,10\nmat,,L,MAT-1,6,10\nrug,Rug,,MAT-1,7,9\n",
			want: []string{`2 MAT-1-mat-s "Mat – S" ? 1000 5 ?`, `3 MAT-1-mat-l "Mat – L" ? 1000 6 ?`, `4 MAT-1-rug "Rug" ? 900 7 ?`},
			notes: []string{
				"2 another variant has the same SKU: handle and options are added to it",
				"3 another variant has the same SKU: handle and options are added to it",
				"4 another variant has the same SKU: handle and options are added to it",
			},
		},
		"a line twice": {
			file:  "Handle,Title,Variant SKU,Variant Inventory Qty,Variant Price\nmug,Mug,M-1,5,10\nmug,Mug,M-1,5,10\n",
			want:  []string{`2 M-1 "Mug" ? 1000 5 ?`},
			notes: []string{"3 the line says the same as one before"},
		},
		"a negative quantity": {
			file: "Handle,Title,Variant SKU,Variant Inventory Qty,Variant Price\nmug,Mug,M-1,-3,10\n",
			want: []string{`2 M-1 "Mug" ? 1000 0 ?`}, notes: []string{"2 the quantity is negative: on sale with 0"},
		},
		"a quantity with a point": {
			file: "Handle,Title,Variant SKU,Variant Inventory Qty,Variant Price\nmug,Mug,M-1,3.0,10\n", want: []string{`2 M-1 "Mug" ? 1000 3 ?`},
		},
		"no quantities, and a number for them": {
			file: "Handle,Title,Variant SKU,Variant Price\nmug,Mug,M-1,10\n", format: commerce.ImportFormat{Stock: &forty},
			want: []string{`2 M-1 "Mug" ? 1000 40 ?`},
		},
		"quantities that are not tracked": {
			file: "Handle,Title,Variant SKU,Variant Inventory Tracker,Variant Inventory Qty,Variant Price\n" +
				"book,Book,B-1,,0,10\nmug,Mug,M-1,shopify,0,10\ncup,Cup,C-1,,4,10\n",
			want:  []string{`2 B-1 "Book" ? 1000 ? ?`, `3 M-1 "Mug" ? 1000 0 ?`, `4 C-1 "Cup" ? 1000 4 ?`},
			notes: []string{"2 the file gives no quantity, or its quantity is not tracked"},
		},
		"a title in a later line": {
			file: "Handle,Title,Option1 Value,Variant SKU,Variant Inventory Qty,Variant Price\nmug,,Blue,M-2,5,10\nmug,Mug,Red,M-1,5,10\n",
			want: []string{`2 M-2 "Mug – Blue" ? 1000 5 ?`, `3 M-1 "Mug – Red" ? 1000 5 ?`},
		},
		"today's header": {
			file: "Title,URL handle,Description,Vendor,Published on online store,Status,SKU,Option1 name,Option1 value,Price,Inventory tracker,Inventory quantity\n" +
				"Mug,mug,<p>x</p>,Acme,TRUE,Active,M-1,Title,Default Title,10.00,shopify,5\n,mug,,,,,,,,,,\n",
			want: []string{`2 M-1 "Mug" "x" 1000 5 on`},
		},
		"no handle, as in a template": {
			file: "Title,URL handle,SKU,Price,Inventory quantity\nBlue Mug,,,10.00,5\n", want: []string{`2 blue-mug "Blue Mug" ? 1000 5 ?`},
		},
		"an inventory export": {
			file: "Handle,Title,Option1 Name,Option1 Value,SKU,HS Code,COO,Location,Incoming,Unavailable,Committed,Available,On hand\n" +
				"mug,Mug,Title,Default Title,M-1,,,Shop,0,0,1,5,6\nmug,Mug,Title,Default Title,M-1,,,Warehouse,0,0,0,7,7\n" +
				"cup,Cup,Title,Default Title,C-1,,,Shop,,,,not stocked,not stocked\ncup,Cup,Title,Default Title,C-1,,,Warehouse,0,0,0,-2,1\n",
			want: []string{`2 M-1 "Mug" ? ? 12 ?`, `4 C-1 "Cup" ? ? 0 ?`}, notes: []string{"4 the quantity is negative: on sale with 0"},
		},
		"today's inventory export": {
			file: "Handle,Title,Option1 Value,SKU,Location,Committed (not editable),Available (not editable),On hand (current),On hand (new)\n" +
				"mug,Mug,Red,M-1,Shop,1,5,6,\n",
			want: []string{`2 M-1 "Mug – Red" ? ? 5 ?`},
		},
		"an older inventory export": {
			file: "Handle,Title,Option1 Name,Option1 Value,SKU,HS Code,COO,Shop,Warehouse\nmug,Mug,Title,Default Title,M-1,,,5,not stocked\n",
			want: []string{`2 M-1 "Mug" ? ? 5 ?`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := readFile(t, test.file, test.format)
			if got, want := rowsOf(file.Rows), strings.Join(test.want, "\n"); got != want {
				t.Errorf("read\n%s\nwant\n%s", got, want)
			}
			problems := problemsOf(file)
			if !slices.EqualFunc(problems, test.problems, strings.HasPrefix) {
				t.Errorf("refused\n%s\nwant\n%s", strings.Join(problems, "\n"), strings.Join(test.problems, "\n"))
			}
			var notes []string
			for _, n := range file.Notes {
				notes = append(notes, fmt.Sprintf("%d %s", n.Line, n.Text))
			}
			if !slices.Equal(notes, test.notes) {
				t.Errorf("noted\n%s\nwant\n%s", strings.Join(notes, "\n"), strings.Join(test.notes, "\n"))
			}
		})
	}
}

// Each column that is not read is named once.
func TestUnusedColumns(t *testing.T) {
	file := readFile(t, "Handle,Title,Vendor,Option1 Name,Variant Price,Variant SKU,Tags,Variant Price,\nmug,Mug,Acme,Title,9,M-1,a,8,\n", commerce.ImportFormat{})
	if got := strings.Join(file.Unused, ", "); got != "Vendor, Option1 Name, Tags, Variant Price" {
		t.Errorf("not used: %s", got)
	}
	if file.Rows[0].Price.Minor != 900 {
		t.Errorf("the price is %d", file.Rows[0].Price.Minor)
	}
}

// TestSKUsOfAFile: each variant has one of its own, the same in whatever order the lines are.
func TestSKUsOfAFile(t *testing.T) {
	const header = "Handle,Title,Option1 Value,Option2 Value,Variant SKU,Variant Inventory Qty,Variant Price\n"
	long := strings.Repeat("x", schema.MaxSKU)
	lines := []string{
		"a,A,S,,X-1,1,1\n", "a,A,L,,X-1,1,1\n", // an SKU of two
		"b,B,Red,,,1,1\n", "b,B,Blue,,,1,1\n", // none
		"c,C,,,b-red,1,1\n",                  // an SKU as another would get it
		"d-e,D,f,,,1,1\n", "d,D,e-f,,,1,1\n", // what comes to the same
		"e,E,Red S,,,1,1\n", "e,E,red-s,,,1,1\n", // likewise
		"f,F,,," + long + "-1,1,1\n",                 // too long
		"f,F,,," + long + "-2,1,1\n",                 // too long, and alike in the beginning
		long + ",G," + long + "," + long + ",,1,1\n", // a handle and options that are too long
		"h,H,,,X-1-a-s,1,1\n",                        // as one of the first would get it
	}
	skus := func(lines []string) string {
		t.Helper()
		rows, problems := readCSV(t, header+strings.Join(lines, ""))
		if problems != nil || len(rows) != len(lines) {
			t.Fatalf("%d of %d lines; refused: %q", len(rows), len(lines), problems)
		}
		seen := map[string]bool{}
		var all []string
		for _, row := range rows {
			if n := len([]rune(row.SKU)); seen[row.SKU] || n > schema.MaxSKU {
				t.Errorf("%q of %d characters", row.SKU, n)
			}
			if len([]rune(row.Name)) > schema.MaxProductName {
				t.Errorf("a name of %d bytes", len(row.Name))
			}
			seen[row.SKU] = true
			all = append(all, row.Name+"\t"+row.SKU)
		}
		slices.Sort(all)
		return strings.Join(all, "\n")
	}
	first := skus(lines)
	slices.Reverse(lines)
	if again := skus(lines); again != first {
		t.Errorf("in another order:\n%s\nbefore:\n%s", again, first)
	}
}

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
		rows, problems := readCSV(t, header+step.file)
		if problems != nil {
			t.Fatalf("%s: %q", step.what, problems)
		}
		results, err := s.Catalog.Import(t.Context(), admin, rows, commerce.StockDifference)
		must(t, err)
		for i, r := range results {
			if r.Err != nil {
				t.Errorf("%s, line %d: %v", step.what, rows[i].Line, r.Err)
			}
		}
		all, err := s.db.Ent.Product.Query().Order(product.BySku()).All(t.Context())
		must(t, err)
		var got []string
		for _, row := range all {
			_, stock := s.stockOf(t, row.Sku)
			got = append(got, fmt.Sprintf("%s %d", row.Sku, stock))
		}
		slices.Sort(got)
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
