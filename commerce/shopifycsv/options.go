package shopifycsv

import (
	"fmt"
	"slices"
	"strings"

	"holdfast/commerce"
	"holdfast/ent/schema"
)

const noteOptionName = "the file gives no name for an option of the product: it is called Option 1, 2 or 3"

// options are those that a product has by its lines.
type options struct {
	line   int // the first one of the product
	names  [schema.MaxOptions]string
	values int // how many of the options there are, by the values besides onlyVariant
	told   bool
}

// optionsOf takes the names of options of a line, which the first line of a product has, and notes for which it has values.
func (p *parser) optionsOf(l fileLine, product *fileProduct) {
	if product.line == 0 {
		product.line = l.number
	}
	for i := range schema.MaxOptions {
		if name := p.cell(l, optionNameColumns[i]); product.names[i] == "" {
			product.names[i] = name
		}
		if value := p.cell(l, optionColumns[i]); value != "" && value != onlyVariant {
			product.values = max(product.values, i+1)
		}
	}
}

// ownOptions are the names of the options of a product, and the values of a line. They are nil for a product without options. If the file has no
// name, the names are nil: then they may be as they are in the shop.
func (p *parser) ownOptions(l fileLine, product *fileProduct) (names, values []string) {
	count := product.values
	for i := range count {
		value := p.cell(l, optionColumns[i])
		if value == "" && p.isInventory() { // the SKU tells which variant it is
			return nil, nil
		}
		if value == "" {
			p.refuse(l.number, optionColumns[i], fmt.Sprintf("is empty, and the product %.80q has this option", l.handle),
				"give each variant of the product a value for each of its options")
		}
		values = append(values, value)
	}
	given := product.names[:count]
	if slices.Contains(given, "") && !product.told && !p.isInventory() {
		p.note(l.number, noteOptionName)
		product.told = true
	}
	if !slices.ContainsFunc(given, func(name string) bool { return name != "" }) {
		return nil, values
	}
	for i, name := range given {
		if name == "" {
			name = fmt.Sprint("Option ", i+1)
		}
		names = append(names, name)
	}
	return names, values
}

// apart refuses variants of one product with the same options: customers could not tell them apart. Lines of an inventory export make no variants.
func (p *parser) apart(variants []*fileVariant) []*fileVariant {
	if p.isInventory() {
		return variants
	}
	first, count := map[string]*fileVariant{}, map[string]int{}
	variants = slices.DeleteFunc(variants, func(v *fileVariant) bool {
		key := v.product()
		for _, value := range v.row.OptionValues {
			key += "\x00" + strings.ToLower(strings.Join(strings.Fields(value), " "))
		}
		other := first[key]
		switch {
		case other == nil:
			first[key] = v
			count[v.product()]++
			return false
		case len(v.row.OptionValues) == 0:
			p.refuse(v.row.Line, colHandle, fmt.Sprintf("the product %.80q has no options, and is in line %d already", v.handle, other.row.Line),
				"give its variants values of an option (Option1 Value), or each product a handle of its own")
		default:
			p.refuse(v.row.Line, optionColumns[0], fmt.Sprintf("the same options as in line %d of the product %.80q", other.row.Line, v.handle),
				"give each variant of the product other options")
		}
		return true
	})
	told := map[string]bool{}
	return slices.DeleteFunc(variants, func(v *fileVariant) bool {
		n := count[v.product()]
		if n > commerce.MaxImport && !told[v.product()] {
			told[v.product()] = true
			p.refuse(v.row.Line, colHandle, fmt.Sprintf("the product %.80q has %d variants, and may have %d: none of its lines is imported", v.handle, n, commerce.MaxVariants),
				"divide them among several handles")
		}
		return n > commerce.MaxImport
	})
}

// product tells the product of the variant from others of the file.
func (v *fileVariant) product() string { return strings.ToLower(v.handle) }

// grouped brings the rows of each product together: Shopify's exports have them so, and other files may not.
func grouped(rows []commerce.ImportRow) []commerce.ImportRow {
	first := map[string]int{} // place of the first row of a product
	places := make([]int, len(rows))
	apart := false
	for i, row := range rows {
		key := strings.ToLower(row.Handle)
		at, known := first[key]
		if !known {
			first[key], at = i, i
		}
		places[i], apart = at, apart || at < i && places[i-1] != at
	}
	if !apart {
		return rows
	}
	order := make([]int, len(rows))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return places[a] - places[b] })
	sorted := make([]commerce.ImportRow, len(rows))
	for i, at := range order {
		sorted[i] = rows[at]
	}
	return sorted
}
