package commerce

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"holdfast/ent"
	"holdfast/ent/product"
)

// importGroup is the rows of one product with options.
type importGroup struct {
	home  *ent.Product          // nil if it is to be made
	here  []*ent.ProductVariant // its variants, if some are to be added
	plans []*importPlan         // in the order of the rows: those of its variants, and those that become some
	lead  *importPlan           // the row that tells what the product is
	off   bool                  // all rows have it off sale
}

// IsOfProduct reports whether two rows are variants of one product with options.
func (r ImportRow) IsOfProduct(other ImportRow) bool {
	key := r.productKey()
	return key != "" && key == other.productKey()
}

// productKey tells products with options of a file apart; "" for a row without option values.
func (r ImportRow) productKey() string {
	if len(r.OptionValues) == 0 {
		return ""
	}
	return strings.ToLower(strings.TrimSpace(r.Handle))
}

// ImportBatches returns the rows in parts of most rows at most, as Import takes them. The rows of one product stay together, unless they are
// more than that.
func ImportBatches(rows []ImportRow, most int) [][]ImportRow {
	var batches [][]ImportRow
	start, unit := 0, 0 // where the batch and the product begin
	for i := range rows {
		if i > 0 && !rows[i].IsOfProduct(rows[i-1]) {
			unit = i
		}
		if i-start == most {
			end := i
			if unit > start {
				end = unit
			}
			batches, start = append(batches, rows[start:end]), end
		}
	}
	if start < len(rows) {
		batches = append(batches, rows[start:])
	}
	return batches
}

// completed fills in what the first row of a product says for the later ones.
func completed(rows []ImportRow) []ImportRow {
	rows = slices.Clone(rows)
	first := map[string]ImportRow{}
	for i := range rows {
		r := &rows[i]
		r.SKU, r.Name = strings.TrimSpace(r.SKU), strings.TrimSpace(r.Name)
		r.Options, r.OptionValues = tidyOptions(r.Options), tidyOptions(r.OptionValues)
		key := r.productKey()
		f, known := first[key]
		switch {
		case key == "":
			continue
		case !known:
			first[key] = *r
			continue
		}
		r.Name = cmp.Or(r.Name, f.Name)
		r.Description, r.OffSale = cmp.Or(r.Description, f.Description), cmp.Or(r.OffSale, f.OffSale)
		r.Vendor, r.ProductType = cmp.Or(r.Vendor, f.Vendor), cmp.Or(r.ProductType, f.ProductType)
		if r.Options == nil {
			r.Options = f.Options
		}
		if r.Tags == nil {
			r.Tags = f.Tags
		}
		if r.Images == nil {
			r.Images = f.Images
		}
		if r.Category == nil {
			r.Category = f.Category
		}
	}
	return rows
}

// group finds the products of rows with option values. A product is known by the SKUs of its variants, or else by its handle. A row stays with
// the variant that has its SKU, of whatever product that is.
func (s *Catalog) group(ctx context.Context, plans []*importPlan) error {
	claimRows(plans)
	var groups []*importGroup
	byKey := map[string]*importGroup{}
	for _, p := range plans {
		key := p.in.productKey()
		if len(p.in.OptionValues) == 0 && len(p.in.Options) > 0 {
			p.Err = invalid(input("optionValues"), "a row that names the options of its product needs a value for each")
		}
		if p.Err != nil || len(p.in.OptionValues) == 0 {
			continue
		}
		if key == "" {
			p.Err = invalid(input("handle"), "a row with option values needs the handle of its product")
			continue
		}
		g := byKey[key]
		if g == nil {
			g = &importGroup{}
			byKey[key], groups = g, append(groups, g)
		}
		g.plans = append(g.plans, p)
	}
	if groups == nil {
		return nil
	}
	if err := s.findHomes(ctx, groups); err != nil {
		return err
	}
	return s.settle(ctx, groups)
}

// claimRows refuses a second row of one variant if one of the two has options: which of them is first would matter.
func claimRows(plans []*importPlan) {
	first := map[string]*importPlan{}
	for _, p := range plans {
		key := p.in.SKU
		if p.row != nil {
			key = p.row.Sku
		}
		switch other := first[key]; {
		case other == nil:
			first[key] = p
		case len(p.in.OptionValues)+len(other.in.OptionValues) > 0:
			p.Err = invalid(input("sku"), "another row is of the variant with the SKU %.64q already: leave one of the two", key)
		}
	}
}

// findHomes finds the product of each group, and leaves each product to one group.
func (s *Catalog) findHomes(ctx context.Context, groups []*importGroup) error {
	claimed := map[string]bool{}
	var handles []string
	for _, g := range groups {
		for _, p := range g.plans {
			if p.row == nil || p.isOne() || claimed[p.row.ProductID] {
				continue
			}
			if of := p.row.Edges.Product; g.home == nil || of.Handle != nil && *of.Handle == p.in.productKey() {
				g.home = of
			}
		}
		if g.home != nil {
			claimed[g.home.ID] = true
			continue
		}
		if key := g.plans[0].in.productKey(); key == HandleFrom(key, "") { // else other handles come to the same
			handles = append(handles, key)
		}
	}
	if handles == nil {
		return nil
	}
	found, err := s.Client.Product.Query().Where(product.HandleIn(handles...)).All(ctx)
	if err != nil {
		return err
	}
	for _, g := range groups {
		at := slices.IndexFunc(found, func(row *ent.Product) bool { return *row.Handle == g.plans[0].in.productKey() })
		if g.home == nil && at >= 0 && len(found[at].Options) > 0 && !claimed[found[at].ID] {
			g.home = found[at]
		}
	}
	return nil
}

// settle gives each row its group, unless its variant is elsewhere, and reads the variants of the products that get new ones.
func (s *Catalog) settle(ctx context.Context, groups []*importGroup) error {
	var homes []string
	for _, g := range groups {
		var plans []*importPlan
		adds := false
		for _, p := range g.plans {
			fits := g.home == nil || fitting(g.home.Options, p.in)
			switch {
			case p.row == nil && fits:
				adds = true
			case p.row == nil:
				p.Err = invalid(input("options"), "the product %.80q has the options %.200q here, and the row has %.200q: bring the two in line, here by productUpdate",
					g.home.Name, strings.Join(g.home.Options, ", "), strings.Join(p.in.optionNames(), ", "))
				continue
			case g.home == nil || p.row.ProductID != g.home.ID || !fits:
				p.Elsewhere = true
				continue
			case p.row.Combination != combination(p.in.OptionValues):
				p.Elsewhere = true
			}
			p.group, plans = g, append(plans, p)
		}
		if g.plans = plans; plans == nil {
			continue
		}
		g.lead = plans[max(0, slices.IndexFunc(plans, func(p *importPlan) bool { return p.row != nil }))]
		g.off = allOff(plans)
		if adds && g.home != nil {
			homes = append(homes, g.home.ID)
		}
	}
	if homes == nil {
		return nil
	}
	variants, err := s.VariantsOf(ctx, homes)
	for _, g := range groups {
		if g.home != nil {
			g.here = variants[g.home.ID]
		}
	}
	return err
}

// allOff reports whether the file has all rows off sale.
func allOff(plans []*importPlan) bool {
	return !slices.ContainsFunc(plans, func(p *importPlan) bool { return !p.isOff() })
}

// fitting reports whether a row has a value for each of the options, and names no others.
func fitting(options []string, r ImportRow) bool {
	return len(options) == len(r.OptionValues) && (r.Options == nil || slices.EqualFunc(options, r.Options, strings.EqualFold))
}

// optionNames are those of a row, made up if it has none.
func (r ImportRow) optionNames() []string {
	if r.Options != nil {
		return r.Options
	}
	names := make([]string, len(r.OptionValues))
	for i := range names {
		names[i] = fmt.Sprint("Option ", i+1)
	}
	return names
}

// checkGroups refuses new variants that their product cannot have.
func (s *Catalog) checkGroups(plans []*importPlan) {
	checked := map[*importGroup]bool{}
	for _, p := range plans {
		if p.group != nil && !checked[p.group] {
			checked[p.group] = true
			p.group.check()
		}
	}
}

func (g *importGroup) check() {
	var added []*importPlan
	seen := map[string]string{} // the SKU by the combination
	for _, row := range g.here {
		seen[row.Combination] = row.Sku
	}
	options := g.plans[0].in.optionNames()
	if g.home != nil {
		options = g.home.Options
	}
	for _, p := range g.plans {
		if p.row != nil || p.Err != nil || p.Outcome != ImportCreated {
			continue
		}
		if g.home == nil && !slices.EqualFunc(options, p.in.optionNames(), strings.EqualFold) {
			p.Err = invalid(input("options"), "the first row of the product has the options %.200q, and this one %.200q",
				strings.Join(options, ", "), strings.Join(p.in.optionNames(), ", "))
			continue
		}
		errs := checkOptionNames(options, func(i int) []string { return input("options", fmt.Sprint(i)) })
		errs = append(errs, checkOptionValues(p.in.OptionValues, len(options), input("optionValues"))...)
		key := combination(p.in.OptionValues)
		sku, exists := seen[key]
		if exists && sku == p.in.SKU { // another import has added it since the variants were looked up: that is found out when it is added
			continue
		}
		if exists && errs == nil {
			errs = Errors{invalid(input("optionValues"), "the variant with the SKU %.64q of this product, perhaps one that is off sale, has the options %.200q: "+
				"give the row that SKU, or other options", sku, strings.Join(p.in.OptionValues, ", "))}
		}
		if errs != nil {
			p.Err = errs
			continue
		}
		seen[key], added = p.in.SKU, append(added, p)
	}
	if n := len(g.here) + len(added); n > MaxVariants && len(added) > 0 {
		for _, p := range added {
			p.Err = invalid(input("handle"), "the product with the handle %.80q would have %d variants, and may have %d: none is added; divide them among several handles",
				p.in.Handle, n, MaxVariants)
		}
	}
}

// makesProduct reports whether the row comes in as a new product, or as a part of one.
func (p *importPlan) makesProduct() bool {
	return p.Outcome == ImportCreated && p.productRow() == nil
}

// describes reports whether the row tells what its product is. A row that has its variant elsewhere does not, nor one of a variant of a product
// with options.
func (p *importPlan) describes() bool {
	if p.group != nil && p.group.home != nil {
		return p.group.lead == p
	}
	return p.row == nil || p.isOne() && !p.Elsewhere
}

// unitsOf returns the plans that can be carried out, in units that are written together: the rows of one product with options, or one row. Units
// of one variant follow each other as their rows do: the last row is what it is like then.
func unitsOf(plans []*importPlan) [][][]*importPlan {
	var all [][][]*importPlan
	place := map[any]int{} // in all
	for _, p := range plans {
		if p.Err != nil {
			continue
		}
		var key any = p.SKU
		if p.group != nil {
			key = p.group
		}
		at, known := place[key]
		switch {
		case !known:
			place[key], all = len(all), append(all, [][]*importPlan{{p}})
		case p.group != nil:
			all[at][0] = append(all[at][0], p)
		default:
			all[at] = append(all[at], []*importPlan{p})
		}
	}
	return all
}
