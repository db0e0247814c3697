package shopifycsv_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"holdfast/commerce"
	"holdfast/commerce/shopifycsv"
)

const optionHeader = "Handle,Title,Option1 Name,Option1 Value,Option2 Name,Option2 Value,Variant SKU,Variant Inventory Qty,Variant Price\n"

// groupedOf writes rows with options: the handle, the names, and the SKU with the values.
func groupedOf(rows []commerce.ImportRow) string {
	var lines []string
	for _, r := range rows {
		lines = append(lines, fmt.Sprintf("%s %s %s %s=%s", r.Handle, r.Name, r.SKU, strings.Join(r.Options, "/"), strings.Join(r.OptionValues, "/")))
	}
	return strings.Join(lines, "\n")
}

// The lines of one handle are variants of one product: the first of them names the options, and all come one after the other.
func TestReadOptions(t *testing.T) {
	for name, test := range map[string]struct{ file, want string }{
		"two options": {
			"shirt,Shirt,Size,M,Color,Red,A,1,5\nmug,Mug,Title,Default Title,,,B,1,5\nshirt,,,L,,Red,C,1,5\n",
			"shirt Shirt A Size/Color=M/Red\nshirt Shirt C Size/Color=L/Red\nmug Mug B =",
		},
		"handles in other letters":       {"Shirt,Shirt,Size,M,,,A,1,5\nshirt,,,L,,,B,1,5\n", "shirt Shirt A Size=M\nshirt Shirt B Size=L"},
		"a value like that of no option": {"mug,Mug,Title,Default Title,,,A,1,5\nmug,,,Large,,,B,1,5\n", "mug Mug A Title=Default Title\nmug Mug B Title=Large"},
		"one of two names":               {"mug,Mug,Size,S,,Red,A,1,5\n", "mug Mug A Size/Option 2=S/Red"},
		"no name":                        {"mug,Mug,,S,,,A,1,5\n", "mug Mug A =S"},
		"a name without values":          {"mug,Mug,Size,,,,A,1,5\n", "mug Mug A ="},
	} {
		t.Run(name, func(t *testing.T) {
			rows, problems := readCSV(t, optionHeader+test.file)
			if got := groupedOf(rows); got != test.want || problems != nil {
				t.Errorf("read\n%s\nwant\n%s\nrefused: %q", got, test.want, problems)
			}
		})
	}
}

// Options that a product cannot have are told with line and column; the other lines of the product come in.
func TestReadWrongOptions(t *testing.T) {
	many := strings.Builder{}
	for i := range commerce.MaxImport + 1 {
		fmt.Fprintf(&many, "many,Many,Size,%d,,,N-%d,1,5\n", i, i)
	}
	for name, test := range map[string]struct {
		file, problem string
		rows          int
	}{
		"no value": {
			"shirt,Shirt,Size,M,Color,Red,A,1,5\nshirt,,,L,,,C,1,5\n",
			`line 3, column "Option2 Value": is empty, and the product "shirt" has this option; give each variant`, 1,
		},
		"the same options": {
			"shirt,Shirt,Size,M,,,A,1,5\nshirt,,,L,,,B,1,5\nshirt,,,m,,,C,1,5\n",
			`line 4, column "Option1 Value": the same options as in line 2 of the product "shirt"; give each variant`, 2,
		},
		"no options": {
			"shirt,Shirt,,,,,A,1,5\nshirt,,,,,,B,1,5\n",
			`line 3, column "Handle": the product "shirt" has no options, and is in line 2 already; give its variants values`, 1,
		},
		"too many": {many.String(), `line 2, column "Handle": the product "many" has 501 variants, and may have 100: none of its lines is imported; divide`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			rows, problems := readCSV(t, optionHeader+test.file)
			if len(rows) != test.rows || len(problems) != 1 || !strings.HasPrefix(problems[0], test.problem) {
				t.Errorf("%d rows, want %d; refused %q, want %q", len(rows), test.rows, problems, test.problem)
			}
		})
	}
	// An inventory export makes no variants: the SKU tells which one a line is of.
	file := readFile(t, "Handle,Title,Option1 Name,Option1 Value,SKU,Location,Available\n"+
		"a,A,Size,M,A-1,Shop,1\na,A,Size,M,A-2,Shop,2\na,A,Size,,A-3,Shop,3\n", shopifycsv.Format{})
	if len(file.Rows) != 3 || file.Problems != nil {
		t.Errorf("%s; refused %q", groupedOf(file.Rows), problemsOf(file))
	}
}

// The batches of an import do not divide a product.
func TestImportBatches(t *testing.T) {
	var text strings.Builder
	for i := range 5 {
		for j := range 3 {
			fmt.Fprintf(&text, "p-%d,P,Size,%d,,,S-%d-%d,1,5\n", i, j, i, j)
		}
	}
	text.WriteString("q,Q,,,,,Q,1,5\n")
	rows, _ := readCSV(t, optionHeader+text.String())
	for most, want := range map[int][]int{2: {2, 1, 2, 1, 2, 1, 2, 1, 2, 2}, 4: {3, 3, 3, 3, 4}, 7: {6, 6, 4}, 16: {16}, 100: {16}} {
		var got []int
		for _, batch := range commerce.ImportBatches(rows, most) {
			got = append(got, len(batch))
		}
		if !slices.Equal(got, want) {
			t.Errorf("of %d at most: %v, want %v", most, got, want)
		}
	}
	if len(commerce.ImportBatches(nil, 5)) != 0 {
		t.Error("a batch of nothing")
	}
}
