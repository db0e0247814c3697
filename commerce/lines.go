package commerce

import (
	"context"
	"slices"
	"strconv"

	"holdfast/ent"
)

// Line is a quantity of one variant. It names the variant, or the product if that has one variant only.
type Line struct {
	ProductID string
	VariantID string `json:",omitempty"` // without it, fingerprints are as they were before there were variants
	Quantity  int64
}

// wanted are the lines of a request, each of another variant.
type wanted struct {
	lines    []Line         // with both IDs
	at       map[string]int // the place of each variant in the request
	variants map[string]*ent.ProductVariant
}

// products are the products of the variants, by their IDs.
func (w wanted) products() map[string]*ent.Product {
	byID := make(map[string]*ent.Product, len(w.variants))
	for _, row := range w.variants {
		byID[row.ProductID] = row.Edges.Product
	}
	return byID
}

func lineField(i int, name string) []string { return input("lines", strconv.Itoa(i), name) }

// checkNamed refuses lines that name no variant, or that name it twice.
func checkNamed(lines []Line) Errors {
	var errs Errors
	for i, l := range lines {
		switch {
		case l.ProductID == "" && l.VariantID == "":
			errs = append(errs, invalid(lineField(i, "variantId"), "a line needs a variantId"))
		case l.ProductID != "" && l.VariantID != "":
			errs = append(errs, invalid(lineField(i, "productId"), "a line has a variantId or a productId, not both: leave productId out"))
		}
	}
	return errs
}

// severalVariants refuses a productId that could mean one variant or another.
func severalVariants(field []string, productID string, count int) *Error {
	return invalid(field, "the product %q has %d variants: name one of them by variantId", Truncate(productID, 80), count)
}

// means reports whether the line names a variant, by itself or by its product.
func (l Line) means(variantID, productID string) bool {
	return variantID == l.VariantID || l.VariantID == "" && productID == l.ProductID
}

// named is what a line names a variant by, for the errors of the line.
func (l Line) named() string {
	if l.VariantID == "" {
		return "productId"
	}
	return "variantId"
}

// resolve finds the variants of lines. The lines that it returns have both IDs. Errors: INVALID_INPUT of a line that does not say which
// variant it means, NOT_FOUND of what does not exist or is off sale.
func (s *Catalog) resolve(ctx context.Context, lines []Line) (resolved []Line, found map[string]*ent.ProductVariant, err error) {
	if errs := checkNamed(lines); errs != nil {
		return nil, nil, errs
	}
	var ids, products []string
	for _, l := range lines {
		if l.VariantID != "" {
			ids = append(ids, l.VariantID)
		} else {
			products = append(products, l.ProductID)
		}
	}
	known, err := s.shared(ctx, ids, products)
	if err != nil {
		return nil, nil, err
	}
	var errs Errors
	resolved, found = slices.Clone(lines), make(map[string]*ent.ProductVariant, len(lines))
	for i, l := range lines {
		what, id, row := "variant", l.VariantID, known.byID[l.VariantID]
		if l.VariantID == "" {
			what, id, row = "product", l.ProductID, known.byProduct[l.ProductID]
		}
		switch {
		case !onSale(row):
			missing := notFound(lineField(i, l.named()), what, id)
			missing.Retryable = row != nil // when it is back on sale
			errs = append(errs, missing)
			continue
		case l.VariantID == "" && row.Edges.Product.VariantCount > 1:
			errs = append(errs, severalVariants(lineField(i, "productId"), id, row.Edges.Product.VariantCount))
			continue
		}
		resolved[i].ProductID, resolved[i].VariantID, found[row.ID] = row.ProductID, row.ID, row
	}
	if errs != nil {
		return nil, nil, errs
	}
	return resolved, found, nil
}

// wanted finds the variants of the lines of a request, and adds up the lines of the same variant. what has the lines: "an order".
// Errors: INVALID_INPUT, NOT_FOUND.
func (s *Orders) wanted(ctx context.Context, what string, lines []Line) (w wanted, err error) {
	if len(lines) == 0 {
		return w, invalid(input("lines"), "%s needs at least one line", what)
	}
	if len(lines) > s.Shop.MaxLines {
		return w, invalid(input("lines"), "%s has at most %d lines, not %d", what, s.Shop.MaxLines, len(lines))
	}
	var errs Errors
	for i, l := range lines {
		if l.Quantity < 1 || l.Quantity > s.Shop.MaxQuantity {
			errs = append(errs, invalid(lineField(i, "quantity"), "quantity must be 1 to %d, not %d", s.Shop.MaxQuantity, l.Quantity))
		}
	}
	if errs != nil {
		return w, errs
	}
	resolved, found, err := s.catalog.resolve(ctx, lines)
	if err != nil {
		return w, err
	}
	w.variants, w.at = found, make(map[string]int, len(lines))
	for i, l := range resolved {
		if _, again := w.at[l.VariantID]; !again {
			w.at[l.VariantID] = i
			w.lines = append(w.lines, l)
			continue
		}
		at := slices.IndexFunc(w.lines, func(m Line) bool { return m.VariantID == l.VariantID })
		w.lines[at].Quantity += l.Quantity
		if w.lines[at].Quantity > s.Shop.MaxQuantity {
			errs = append(errs, invalid(lineField(i, "quantity"),
				"the lines of one variant add up to %d, at most %d", w.lines[at].Quantity, s.Shop.MaxQuantity))
		}
	}
	if errs != nil {
		return w, errs
	}
	return w, nil
}
