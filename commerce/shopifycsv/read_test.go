package shopifycsv_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"holdfast/commerce"
	"holdfast/commerce/shopifycsv"
	"holdfast/ent/schema"
)

const header = "Handle,Title,Body (HTML),Vendor,Published,Option1 Name,Option1 Value,Option2 Value,Variant SKU," +
	"Variant Inventory Qty,Variant Price,Image Src,Status\n"

// readFile reads a file of the shop's currency.
func readFile(t *testing.T, text string, format shopifycsv.Format) *shopifycsv.File {
	t.Helper()
	format.Currency = "USD"
	file, err := shopifycsv.Read(strings.NewReader(text), format)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func problemsOf(file *shopifycsv.File) []string {
	var problems []string
	for _, p := range file.Problems {
		problems = append(problems, p.Error())
	}
	return problems
}

func readCSV(t *testing.T, text string) ([]commerce.ImportRow, []string) {
	t.Helper()
	file := readFile(t, text, shopifycsv.Format{})
	return file.Rows, problemsOf(file)
}

// rowsOf writes rows as text: line, SKU, name with options, description, price, stock, and "off" for what is off sale. "?" is what the file does
// not say.
func rowsOf(rows []commerce.ImportRow) string {
	var lines []string
	for _, r := range rows {
		description, price, stock, sale := "?", "?", "?", "?"
		if r.Description != nil {
			description = fmt.Sprintf("%q", *r.Description)
		}
		if r.Price != nil {
			price = fmt.Sprint(r.Price.Minor)
		}
		if r.Stock != nil {
			stock = fmt.Sprint(*r.Stock)
		}
		if r.OffSale != nil {
			sale = map[bool]string{true: "off", false: "on"}[*r.OffSale]
		}
		lines = append(lines, fmt.Sprintf("%d %s %q %s %s %s %s", r.Line, r.SKU, r.NameAlone(), description, price, stock, sale))
	}
	return strings.Join(lines, "\n")
}

func TestRead(t *testing.T) {
	rows, problems := readCSV(t, "\ufeff"+header+
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
	want := strings.Join([]string{
		`2 SH-M "Linen shirt – M / Sand" "Cool & light. Wash at 30°." 5990 5 on`,
		`4 SH-L "Linen shirt – L / Sand" "Cool & light. Wash at 30°." 5990 0 on`,
		`7 mug "Mug" "" 1200 ? on`,
		`8 LAMP "Old lamp" "" 1050 3 off`,
		`9 VASE "Vase" "" 1050 3 off`,
	}, "\n")
	if got := rowsOf(rows); got != want {
		t.Errorf("read\n%s\nwant\n%s", got, want)
	}
}

// TestReadNamesTheFault: line, column, and what to do about it; all that is right is read nevertheless.
func TestReadNamesTheFault(t *testing.T) {
	row := func(handle, title, sku, stock, price string) string {
		return fmt.Sprintf("%s,%s,,,TRUE,,,,%s,%s,%s,,active\n", handle, title, sku, stock, price)
	}
	good := row("good", "Good", "GOOD", "1", "1.00")
	better := row("better", "Better", "BETTER", "1", `"1,000.00"`)
	for name, test := range map[string]struct {
		bad  string
		want string // the beginning of the only problem
	}{
		"price with $":       {row("a", "A", "A", "1", "$5"), `line 3, column "Variant Price": "$5" is no price; write digits`},
		"no price":           {row("a", "A", "A", "1", ""), `line 3, column "Variant Price": "" is no price`},
		"thousands":          {row("a", "A", "A", "1", `"1,234"`), `line 3, column "Variant Price": "1,234" could be thousands or decimals`},
		"decimals":           {row("a", "A", "A", "1", "0.005"), `line 3, column "Variant Price": "0.005" has more decimals than USD has; use at most 2`},
		"a thousand, or one": {row("a", "A", "A", "1", "1.000"), `line 3, column "Variant Price": "1.000" could be thousands or decimals; write it without a mark, or with two decimals`},
		"2,500 pieces, or 2": {row("a", "A", "A", "2.500", "1.00"), `line 3, column "Variant Inventory Qty": "2.500" is no stock; write a whole number up to 1000000000000, or leave it empty to keep what there is`},
		"2,000 pieces, or 2": {row("a", "A", "A", "2.000", "1.00"), `line 3, column "Variant Inventory Qty": "2.000" is no stock; write a whole number up to 1000000000000, or leave it empty to keep what there is`},
		"high price":         {row("a", "A", "A", "1", "9999999999999"), `line 3, column "Variant Price": "9999999999999" is too much`},
		"stock":              {row("a", "A", "A", "many", "1"), `line 3, column "Variant Inventory Qty": "many" is no stock; write a whole number`},
		"fraction":           {row("a", "A", "A", "1.5", "1"), `line 3, column "Variant Inventory Qty": "1.5" is no stock`},
		"no handle":          {row("", "", "A", "1", "1"), `line 3, column "Handle": is empty; give`},
		"another price":      {row("good", "Good", "GOOD", "1", "1.01"), `line 3, column "Variant SKU": the same variant as in line 2, with another price`},
		"not UTF-8":          {row("a", "A\xff", "A", "1", "1"), `line 3, column "Title": the text is not UTF-8; save the file as CSV UTF-8, or name its encoding, as with --encoding windows-1252`},
		"a NUL":              {row("a", "A", "A\x00B", "1", "1"), `line 3, column "Variant SKU": the text has a NUL character; take it out`},
		"an open quote":      {"a,\"A\n", `line 3: not readable as CSV: `},
		"a stray quote":      {row("a", `"A"B`, "A", "1", "1"), `line 3: not readable as CSV: `},
	} {
		t.Run(name, func(t *testing.T) {
			rows, problems := readCSV(t, header+good+test.bad+better)
			if len(problems) != 1 || !strings.HasPrefix(problems[0], test.want) {
				t.Errorf("refused: %q, want %q", problems, test.want)
			}
			if len(rows) != 2 || rows[0].SKU != "GOOD" || rows[1].SKU != "BETTER" || rows[1].Price.Minor != 100000 {
				t.Errorf("read\n%s", rowsOf(rows))
			}
		})
	}
	if _, problems := readCSV(t, "Title;Vendor\n"); len(problems) != 1 ||
		!strings.HasPrefix(problems[0], `line 1, column "Variant Price": the column is missing; keep the header`) {
		t.Errorf("a file without columns: %q", problems)
	}
	if _, problems := readCSV(t, ""); len(problems) != 1 || !strings.Contains(problems[0], "the file is empty") {
		t.Errorf("an empty file: %q", problems)
	}
	if _, err := shopifycsv.Read(strings.NewReader(good), shopifycsv.Format{Currency: "USD", Encoding: "klingon"}); err == nil ||
		!strings.Contains(err.Error(), `"klingon" is no encoding that is known here`) {
		t.Errorf("an unknown encoding: %v", err)
	}
}

// TestOddFiles reads what real exports have in them, and what spreadsheets make of exports.
func TestOddFiles(t *testing.T) {
	const plain = "Handle,Title,Body (HTML),Variant SKU,Variant Inventory Qty,Variant Price\ncafe,Café,<p>Noir</p>,C-1,5,9.00\n"
	const same = `2 C-1 "Café" "Noir" 900 5 ?`
	encoded := func(text string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	forty := int64(40)
	for name, test := range map[string]struct {
		file     string
		format   shopifycsv.Format
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
			file: encoded(charmap.Windows1252.NewEncoder().String(plain)), format: shopifycsv.Format{Encoding: "windows-1252"},
			want: []string{same},
		},
		"Latin-1 in a column that is not used": {
			file: "Handle,Title,Gift Card,Variant Inventory Qty,Variant Price\na,A,\xe9,1,1\n", want: []string{`2 a "A" ? 100 1 ?`},
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
				"2 the file gives no name for an option of the product: it is called Option 1, 2 or 3",
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
			file: "Handle,Title,Variant SKU,Variant Price\nmug,Mug,M-1,10\n", format: shopifycsv.Format{Stock: &forty},
			want: []string{`2 M-1 "Mug" ? 1000 40 ?`},
		},
		"quantities that are not tracked": {
			file: "Handle,Title,Variant SKU,Variant Inventory Tracker,Variant Inventory Qty,Variant Price\n" +
				"book,Book,B-1,,0,10\nmug,Mug,M-1,shopify,0,10\ncup,Cup,C-1,,4,10\n",
			want:  []string{`2 B-1 "Book" ? 1000 ? ?`, `3 M-1 "Mug" ? 1000 0 ?`, `4 C-1 "Cup" ? 1000 4 ?`},
			notes: []string{"2 the file gives no quantity, or its quantity is not tracked"},
		},
		"a title in a later line": {
			file:  "Handle,Title,Option1 Value,Variant SKU,Variant Inventory Qty,Variant Price\nmug,,Blue,M-2,5,10\nmug,Mug,Red,M-1,5,10\n",
			want:  []string{`2 M-2 "Mug – Blue" ? 1000 5 ?`, `3 M-1 "Mug – Red" ? 1000 5 ?`},
			notes: []string{"2 the file gives no name for an option of the product: it is called Option 1, 2 or 3"},
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

// Each column that is not read is named once, with how many lines have something in it.
func TestUnusedColumns(t *testing.T) {
	file := readFile(t, "Handle,Title,Vendor,Option1 Name,Variant Price,Variant SKU,Gift Card,Variant Price,,Cost per item\n"+
		"mug,Mug,Acme,Title,9,M-1,,8,,\nmug,,,,,,,,,\ncup,Cup,Acme,Title,9,C-1, ,8,,4\n,,,,,,,,,5\n", shopifycsv.Format{})
	want := []shopifycsv.Unused{{"Gift Card", 0}, {"Variant Price", 2}, {"Cost per item", 2}}
	if !slices.Equal(file.Unused, want) {
		t.Errorf("not used: %v, want %v", file.Unused, want)
	}
	if file.Rows[0].Price.Minor != 900 {
		t.Errorf("the price is %d", file.Rows[0].Price.Minor)
	}
}

// What a file says of a product besides its texts, price and quantity goes to each of its variants.
func TestReadAttributes(t *testing.T) {
	long, deep := strings.Repeat("x", 300), strings.TrimSuffix(strings.Repeat("a > ", 9), " > ")
	var tags []string
	for i := range 60 {
		tags = append(tags, fmt.Sprint("t", i))
	}
	const header = "Handle,Title,Vendor,Type,Tags,Product Category,Option1 Value,Variant SKU,Variant Inventory Qty,Variant Price,Image Src,Image Position,Image Alt Text,Variant Image\n"
	const cdn = "https://cdn.example.com/"
	file := readFile(t, header+
		`shirt,Shirt,Acme,Tops,"Red, new ,RED",Apparel > Tops,M,S-M,1,5,`+cdn+`2.jpg,2,Two,`+"\n"+
		`shirt,,,,,,L,S-L,1,5,`+cdn+`3.jpg,3,,`+cdn+"4.jpg\n"+
		`shirt,,,,,,,,,,//cdn.example.com/1.jpg,1,One,`+"\n"+
		`shirt,,,,,,,,,,http://cdn.example.com/5.jpg,4,,`+"\n"+
		`Größe 7,Odd,`+long+`,`+long+`,"`+strings.Join(append(tags, long), ",")+`",`+deep+`,,O-1,1,5,,,,`+"\n"+
		"bare,Bare,,,,,,B-1,1,5,,,,\n", shopifycsv.Format{})
	if len(file.Problems) > 0 || len(file.Rows) != 4 || len(file.Unused) > 0 {
		t.Fatalf("%d rows; refused %v, unused %v", len(file.Rows), problemsOf(file), file.Unused)
	}
	pictures := func(row commerce.ImportRow) (text string) {
		for _, image := range row.Images {
			text += strings.TrimPrefix(image.URL, cdn) + " " + image.AltText + ", "
		}
		return text
	}
	for i, want := range []string{"1.jpg One, 2.jpg Two, 3.jpg , 4.jpg , ", "1.jpg One, 2.jpg Two, 3.jpg , 4.jpg , "} {
		row := file.Rows[i]
		if got := pictures(row); got != want {
			t.Errorf("row %d has the pictures %q, want %q", i, got, want)
		}
		if *row.Vendor != "Acme" || *row.ProductType != "Tops" || !slices.Equal(row.Tags, []string{"Red", "new"}) || strings.Join(row.Category, "/") != "Apparel/Tops" {
			t.Errorf("row %d: %+v", i, row.ImportAttributes)
		}
	}
	if odd := file.Rows[2]; len([]rune(*odd.Vendor)) != schema.MaxVendor || len(odd.Tags) != schema.MaxTags || len(odd.Category) != schema.MaxCategoryDepth {
		t.Errorf("%+v", odd.ImportAttributes)
	}
	if bare := file.Rows[3]; *bare.Vendor != "" || bare.Tags == nil || len(bare.Tags) > 0 || bare.Images == nil || len(bare.Images) > 0 || bare.Category != nil {
		t.Errorf("%+v", bare.ImportAttributes)
	}
	var notes []string
	for _, n := range file.Notes {
		notes = append(notes, fmt.Sprint(n.Line, " ", strings.Fields(n.Text)[1]))
	}
	if got := strings.Join(notes, ", "); got != "5 image, 6 vendor, 6 type, 6 are, 6 category, 6 handle, 2 file, 3 picture" {
		t.Errorf("noted: %s", got)
	}
	// A file that has no such columns says nothing about them.
	row := readFile(t, "Handle,Title,Variant SKU,Variant Price\nmug,Mug,M-1,5\n", shopifycsv.Format{}).Rows[0]
	if row.Vendor != nil || row.ProductType != nil || row.Tags != nil || row.Images != nil || row.Category != nil {
		t.Errorf("%+v", row.ImportAttributes)
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
		"f-2,F,,," + long + "-2,1,1\n",               // too long, and alike in the beginning
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
			all = append(all, row.NameAlone()+"\t"+row.SKU)
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
