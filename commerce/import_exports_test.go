package commerce_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	"holdfast/commerce"
	"holdfast/commerce/shopifycsv"
	"holdfast/lockprovider"
)

// exportsDir names a folder with CSV files of shops, which are nobody's to publish here.
const exportsDir = "HOLDFAST_TEST_EXPORTS"

// TestRealExports imports each file of a folder into a shop of its own, twice, and compares what is in the shop with what package
// csv alone finds in the file. docs/import.md says of which files its count is.
func TestRealExports(t *testing.T) {
	dir := os.Getenv(exportsDir)
	if dir == "" {
		t.Skip("set " + exportsDir + " to a folder with exports")
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*.csv"))
	must(t, err)
	var files, whole, inFiles, inShops int
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			raw, err := os.ReadFile(path)
			must(t, err)
			format := shopifycsv.Format{Currency: "USD"}
			if !utf8.Valid(raw) && !strings.HasPrefix(string(raw), "\xff\xfe") {
				format.Encoding = "windows-1252"
			}
			products, variants := countExport(t, raw)
			s := newShop(t, lockprovider.RowLock)
			file, err := shopifycsv.Read(bytes.NewReader(raw), format)
			must(t, err)
			for _, problem := range file.Problems {
				t.Log(problem)
			}
			var created int
			for _, again := range []bool{false, true} {
				for _, batch := range commerce.ImportBatches(file.Rows, commerce.MaxImport) {
					results, err := s.Catalog.Import(t.Context(), admin, batch, commerce.StockDifference)
					must(t, err)
					for i, r := range results {
						switch {
						case r.Err != nil:
							t.Errorf("line %d: %v", batch[i].Line, r.Err)
						case r.Outcome == commerce.ImportCreated:
							created++
						case !again || r.Outcome != commerce.ImportUnchanged:
							t.Errorf("line %d is %s, again: %t", batch[i].Line, r.Outcome, again)
						}
					}
				}
			}
			n, err := s.db.Ent.ProductVariant.Query().Count(t.Context())
			must(t, err)
			made, err := s.db.Ent.Product.Query().Count(t.Context())
			must(t, err)
			files++
			inFiles += variants
			inShops += n
			if n == variants && created == variants && made == products {
				whole++
			} else {
				t.Errorf("%d of %d variants, of %d products, want %d", n, variants, made, products)
			}
			t.Logf("%d products, %d variants in the file; %d and %d in the shop", products, variants, made, n)
		})
	}
	t.Logf("%d of %d files came in whole, %d of %d variants", whole, files, inShops, inFiles)
}

// countExport counts handles of lines with a price, and those lines that are not the same in all of their cells.
func countExport(t *testing.T, raw []byte) (products, variants int) {
	t.Helper()
	text := string(raw)
	if !utf8.ValidString(text) {
		var err error
		text, err = charmap.Windows1252.NewDecoder().String(text)
		must(t, err)
	}
	header, _, _ := strings.Cut(text, "\n")
	text = regexp.MustCompile(`" +,`).ReplaceAllString(strings.TrimPrefix(text, "\ufeff"), `",`) // as of editors that align columns
	reader := csv.NewReader(strings.NewReader(text))
	reader.FieldsPerRecord, reader.LazyQuotes = -1, true
	if strings.Count(header, ";") > strings.Count(header, ",") {
		reader.Comma = ';'
	}
	records, err := reader.ReadAll()
	must(t, err)
	column := func(names ...string) int {
		return slices.IndexFunc(records[0], func(cell string) bool {
			return slices.Contains(names, strings.ToLower(strings.TrimSpace(cell)))
		})
	}
	handle, price := column("handle", "url handle"), column("variant price", "price")
	handles, lines := map[string]bool{}, map[string]bool{}
	for _, record := range records[1:] {
		if handle >= len(record) || price >= len(record) {
			continue
		}
		if strings.TrimSpace(record[price]) != "" {
			handles[strings.ToLower(strings.TrimSpace(record[handle]))] = true
			lines[fmt.Sprintf("%q", record)] = true
		}
	}
	delete(handles, "")
	return len(handles), len(lines)
}
