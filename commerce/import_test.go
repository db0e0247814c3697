package commerce_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"holdfast/commerce"
	"holdfast/ent/entry"
	"holdfast/ent/product"
	"holdfast/lockprovider"
)

const shopifyHeader = "Handle,Title,Body (HTML),Vendor,Published,Option1 Name,Option1 Value,Option2 Value,Variant SKU," +
	"Variant Inventory Qty,Variant Price,Image Src,Status\n"

func readCSV(t *testing.T, text string) ([]commerce.ImportRow, []string) {
	t.Helper()
	rows, refused := commerce.ReadShopifyCSV(strings.NewReader(text), "USD")
	var problems []string
	for _, r := range refused {
		problems = append(problems, r.Error())
	}
	return rows, problems
}

func TestReadShopifyCSV(t *testing.T) {
	rows, problems := readCSV(t, "\ufeff"+shopifyHeader+
		`shirt,Linen shirt,"<p>Cool &amp; light.</p><style>p{}</style>
<p>Wash at 30°.</p>",Acme,TRUE,Size,M,Sand,SH-M,5,59.90,https://example.com/1.jpg,active
shirt,,,,,,L,Sand,SH-L,0,59.90,https://example.com/2.jpg,
shirt,,,,,,,,,,,https://example.com/3.jpg,

mug,Mug,,Acme,TRUE,Title,Default Title,,,,12,,active
lamp,Old lamp,,Acme,TRUE,Title,Default Title,,LAMP,3,10.5,,draft
vase,Vase,,Acme,FALSE,Title,Default Title,,VASE,3,10.50,,active
`)
	if problems != nil {
		t.Fatalf("refused: %s", problems)
	}
	var got []string
	for _, r := range rows {
		stock := "?"
		if r.Stock != nil {
			stock = fmt.Sprint(*r.Stock)
		}
		got = append(got, fmt.Sprintf("%d %s %q %q %d %s off=%t", r.Line, r.SKU, r.Name, r.Description, r.Price.Minor, stock, r.Off))
	}
	want := []string{
		`2 SH-M "Linen shirt – M / Sand" "Cool & light. Wash at 30°." 5990 5 off=false`,
		`4 SH-L "Linen shirt – L / Sand" "Cool & light. Wash at 30°." 5990 0 off=false`,
		`7 mug "Mug" "" 1200 ? off=false`,
		`8 LAMP "Old lamp" "" 1050 3 off=true`,
		`9 VASE "Vase" "" 1050 3 off=true`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("read\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestReadShopifyCSVNamesTheFault: line, column, and what to do about it; all that is right is read nevertheless.
func TestReadShopifyCSVNamesTheFault(t *testing.T) {
	row := func(handle, title, sku, stock, price string) string {
		return fmt.Sprintf("%s,%s,,,TRUE,,,,%s,%s,%s,,active\n", handle, title, sku, stock, price)
	}
	good := row("good", "Good", "GOOD", "1", "1.00")
	for name, test := range map[string]struct {
		file string
		want string // the beginning of the only problem
		read int
	}{
		"price with $":  {good + row("a", "A", "A", "1", "$5"), `line 3, column "Variant Price": "$5" is no price; write digits`, 1},
		"no price":      {good + row("a", "A", "A", "1", ""), `line 3, column "Variant Price": "" is no price`, 1},
		"decimals":      {good + row("a", "A", "A", "1", "1.005"), `line 3, column "Variant Price": "1.005" has more decimals than USD has; use at most 2`, 1},
		"high price":    {good + row("a", "A", "A", "1", "9999999999999"), `line 3, column "Variant Price": "9999999999999" is too much`, 1},
		"stock":         {good + row("a", "A", "A", "-3", "1"), `line 3, column "Variant Inventory Qty": "-3" is no stock; write a whole number`, 1},
		"fraction":      {good + row("a", "A", "A", "1.5", "1"), `line 3, column "Variant Inventory Qty": "1.5" is no stock`, 1},
		"no handle":     {good + row("", "A", "A", "1", "1"), `line 3, column "Handle": is empty; give`, 1},
		"no title":      {good + row("a", "", "A", "1", "1"), `line 3, column "Title": no line up to here gives the title of "a"; give`, 1},
		"twice":         {good + row("a", "A", "GOOD", "1", "1"), `line 3, column "Variant SKU": "GOOD" is the SKU of line 2 as well; give`, 1},
		"long SKU":      {good + row("a", "A", strings.Repeat("S", 65), "1", "1"), `line 3, column "Variant SKU": "SSSSSSSSSSSSSSSSSSSS"… has 65 characters; use`, 1},
		"long title":    {good + row("a", strings.Repeat("T", 201), "A", "1", "1"), `line 3, column "Title": the name with its options has 201 characters; shorten`, 1},
		"not UTF-8":     {good + row("a", "A\xff", "A", "1", "1"), `line 3: the text is not UTF-8; save the file as CSV UTF-8`, 1},
		"an open quote": {good + "a,\"A\n" + good, `line 3: not readable as CSV: `, 1},
	} {
		t.Run(name, func(t *testing.T) {
			rows, problems := readCSV(t, shopifyHeader+test.file)
			if len(problems) != 1 || !strings.HasPrefix(problems[0], test.want) {
				t.Errorf("refused: %q, want %q", problems, test.want)
			}
			if len(rows) != test.read {
				t.Errorf("read %d products, want %d", len(rows), test.read)
			}
		})
	}
	if _, problems := readCSV(t, "Handle;Title\n"); len(problems) != 1 ||
		!strings.HasPrefix(problems[0], `line 1, column "Handle": the column is missing; keep the header`) {
		t.Errorf("a file without columns: %q", problems)
	}
	if _, problems := readCSV(t, ""); len(problems) != 1 || !strings.Contains(problems[0], "the file is empty") {
		t.Errorf("an empty file: %q", problems)
	}
}

// TestImport twice: the second time finds nothing to do. Under lua, stock lives in Redis as well.
func TestImport(t *testing.T) {
	for _, strategy := range []lockprovider.Strategy{lockprovider.RowLock, lockprovider.Lua, lockprovider.Queue} {
		t.Run(string(strategy), func(t *testing.T) {
			s := newShop(t, strategy)
			imported := func(stock, price, status string) commerce.ImportOutcome {
				t.Helper()
				rows, problems := readCSV(t, shopifyHeader+"mug,Mug,,,TRUE,,,,MUG,"+stock+","+price+",,"+status+"\n")
				if problems != nil {
					t.Fatal(problems)
				}
				outcome, err := s.Catalog.Import(t.Context(), admin, rows[0], commerce.StockDifference)
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
				if got != want || row.PriceMinor != price || amounts[row.ID] != stock {
					t.Errorf("%s: %s, price %d, stock %d; want %s, %d, %d", what, got, row.PriceMinor, amounts[row.ID], want, price, stock)
				}
			}
			adjustments := func() int {
				n, err := s.db.Ent.Entry.Query().Where(entry.Kind(commerce.KindStockAdjusted)).Count(t.Context())
				must(t, err)
				return n
			}

			if outcome := imported("7", "12", "draft"); outcome != commerce.ImportSkipped {
				t.Errorf("a draft was %s", outcome)
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
			rows, _ := readCSV(t, shopifyHeader+"mug,Mug,,,TRUE,,,,MUG,1,1,,active\n")
			_, err := s.Catalog.Import(t.Context(), admin, rows[0], commerce.StockDifference)
			wantCodes(t, err, string(commerce.InvalidState))
			if _, err := s.Catalog.Import(t.Context(), alice, rows[0], commerce.StockDifference); err == nil {
				t.Error("a customer may import")
			}
		})
	}
}

// file is a file of one product.
func file(t *testing.T, sku, stock string) commerce.ImportRow {
	t.Helper()
	rows, problems := readCSV(t, shopifyHeader+"mug,Mug,,,TRUE,,,,"+sku+","+stock+",12,,active\n")
	if problems != nil {
		t.Fatal(problems)
	}
	return rows[0]
}

func (s *shop) stockOf(t *testing.T, sku string) (id string, stock int64) {
	t.Helper()
	row, err := s.db.Ent.Product.Query().Where(product.Sku(sku)).Only(t.Context())
	must(t, err)
	amounts, err := s.Catalog.Stock(t.Context(), []string{row.ID})
	must(t, err)
	return row.ID, amounts[row.ID]
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
								if _, err := s.Catalog.Import(t.Context(), admin, file(t, sku, stock), mode); err != nil {
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
				_, err := s.Catalog.Import(t.Context(), admin, file(t, "MUG", step.stock), step.mode)
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
