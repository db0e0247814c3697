package commerce

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/google/uuid"

	"holdfast/ent"
	"holdfast/ent/productvariant"
	"holdfast/ent/schema"
)

// importPlan is what an import is going to do about one row.
type importPlan struct {
	ImportResult
	file   ImportRow           // as the file has it
	in     ImportRow           // with what the file does not say, as it is here
	row    *ent.ProductVariant // with its product; nil if there is none yet
	texts  bool                // name, description, price or attributes differ
	counts bool                // the quantity of the file is to be noted
	shared bool                // another row is of the same variant
	group  *importGroup        // of a row with options; nil if the variant is elsewhere
	wrote  bool                // what is not stock is written
	done   bool

	attributes Attributes // those that differ

	// The change that moves the stock. It stays the same if it is tried again.
	change uuid.UUID
	moved  json.RawMessage
}

// withoutMove is the part of a plan that is not a move of stock. The quantity of the file is noted together with the move, if there is
// one.
func (p *importPlan) withoutMove() *importPlan {
	part := *p
	part.counts = p.counts && p.Delta == 0
	return &part
}

// writes reports whether the product that is there, or what is noted of it, is to be changed.
func (p *importPlan) writes() bool {
	return p.changes() || p.row != nil && p.counts
}

// changes reports whether the product that is there, or one of its variants, is to be changed, or gets a new one.
func (p *importPlan) changes() bool {
	return p.productRow() != nil && (p.texts || p.Outcome == ImportArchived || p.Outcome == ImportUnarchived || p.row == nil && p.Outcome == ImportCreated)
}

func (s *Catalog) planImport(ctx context.Context, v Viewer, rows []ImportRow, mode StockMode) ([]*importPlan, error) {
	if err := v.admin(); err != nil {
		return nil, err
	}
	if len(rows) > MaxImport {
		return nil, invalid(input("products"), "at most %d products come in at once, not %d", MaxImport, len(rows))
	}
	plans, err := s.findVariants(ctx, completed(rows))
	if err != nil {
		return nil, err
	}
	if err := s.group(ctx, plans); err != nil {
		return nil, err
	}
	var ids []string
	for _, p := range plans {
		if p.row != nil && p.in.Stock != nil && mode != StockIgnore {
			ids = append(ids, p.row.ID)
		}
	}
	var stock map[string]Reading
	if len(ids) > 0 {
		if stock, err = s.VariantStock(ctx, ids); err != nil {
			return nil, err
		}
	}
	here, err := s.readAttributes(ctx, plans)
	if err != nil {
		return nil, err
	}
	for _, p := range plans {
		if p.Err != nil { // its options are wrong
			continue
		}
		var differs bool
		p.attributes, differs = p.differing(here)
		p.Err = s.decide(p, differs, stock, mode)
		p.done = p.Err == nil && (p.Outcome == ImportSkipped || p.Outcome == ImportUnchanged && !p.writes())
	}
	s.checkGroups(plans)
	for _, units := range unitsOf(plans) {
		for _, unit := range units {
			for _, p := range unit {
				p.shared = len(units) > 1
			}
		}
	}
	return plans, nil
}

// findVariants begins the plan of each row with the variant that it is about.
func (s *Catalog) findVariants(ctx context.Context, rows []ImportRow) ([]*importPlan, error) {
	var skus []string
	for _, row := range rows {
		if len(row.FormerSKUs) > maxFormerSKUs {
			return nil, invalid(input("products"), "a product has at most %d former SKUs, not %d", maxFormerSKUs, len(row.FormerSKUs))
		}
		skus = append(append(skus, row.SKU), row.FormerSKUs...)
	}
	found, err := s.Client.ProductVariant.Query().Where(productvariant.SkuIn(skus...)).WithProduct().All(ctx)
	if err != nil {
		return nil, err
	}
	bySKU := make(map[string]*ent.ProductVariant, len(found))
	for _, row := range found {
		bySKU[row.Sku] = row
	}
	plans := make([]*importPlan, len(rows))
	for i, in := range rows {
		plans[i] = &importPlan{file: in, in: in, row: in.find(bySKU)}
	}
	return plans, nil
}

// find returns the variant of a row, or nil if there is none yet: the one that has one of its SKUs and is it by its options or its name,
// or else the one that has its SKU.
func (r ImportRow) find(bySKU map[string]*ent.ProductVariant) *ent.ProductVariant {
	name, key := r.NameAlone(), combination(r.OptionValues)
	for _, sku := range append([]string{r.SKU}, r.FormerSKUs...) {
		row := bySKU[sku]
		switch {
		case row == nil:
		case len(row.Edges.Product.Options) == 0 && row.Edges.Product.Name == name:
			return row
		case len(row.Edges.Product.Options) > 0 && len(r.OptionValues) > 0 && row.Combination == key:
			return row
		}
	}
	return bySKU[r.SKU]
}

// NameAlone is the name of a product that has the variant alone, and no options. Before products came in with several variants, each of them
// made such a product.
func (r ImportRow) NameAlone() string {
	if r.Name == "" || len(r.OptionValues) == 0 {
		return r.Name
	}
	name := r.Name + " – " + strings.Join(r.OptionValues, schema.TitleSeparator)
	if len([]rune(name)) > schema.MaxProductName {
		name = Truncate(name, schema.MaxProductName-1) + "…"
	}
	return name
}

// isOne reports whether the variant of the row is the only one of its product, which has no options. Then the row says what the product is.
func (p *importPlan) isOne() bool { return len(p.row.Edges.Product.Options) == 0 }

// isOff reports whether the file has the row off sale.
func (p *importPlan) isOff() bool { return p.in.OffSale != nil && *p.in.OffSale }

// isOffSale reports whether what the row is about is off sale.
func (p *importPlan) isOffSale() bool {
	return p.row.Edges.Product.ArchivedAt != nil || !p.isOne() && p.row.ArchivedAt != nil && (p.group == nil || !p.group.off)
}

// decide compares a row with its variant and the stock of that. It returns why the row cannot be imported, if that is known.
func (s *Catalog) decide(p *importPlan, differs bool, stock map[string]Reading, mode StockMode) error {
	p.SKU, p.Outcome = p.in.SKU, ImportUnchanged
	_, wrong := p.attributes.tidied()
	wrong = append(wrong, p.in.checkCategoryNames()...)
	if p.row == nil {
		if p.in.Price == nil {
			p.Outcome = ImportSkipped
			return nil
		}
		p.Outcome = ImportCreated
		if p.in.Stock != nil {
			p.Delta = *p.in.Stock
		}
		if home := p.productRow(); home != nil {
			p.ProductID = home.ID
			p.completeTexts(home, differs)
		}
		if p.in.Name == "" {
			missing := invalid(input("name"), "the product is not here yet, and no line gives its title")
			missing.Retryable = true // when it is here
			return missing
		}
		return s.checkProduct(p.in.product(), wrong)
	}
	p.ProductID, p.SKU = p.row.ProductID, p.row.Sku
	if p.isOff() { // nothing else of it matters before it comes back
		if !p.isOffSale() {
			p.Outcome = ImportArchived
		}
		return nil
	}
	if err := s.completeImport(p, differs, wrong); err != nil {
		return err
	}
	if p.in.Stock != nil && mode != StockIgnore {
		p.Available = stock[p.row.ID].Amount
		before := p.row.ImportedStock
		p.counts = before == nil || *before != *p.in.Stock
		if mode == StockSet || before == nil {
			before = &p.Available
		}
		p.Delta = *p.in.Stock - *before
	}
	switch {
	case p.in.OffSale != nil && p.isOffSale():
		p.Outcome = ImportUnarchived
	case p.texts || p.Delta != 0:
		p.Outcome = ImportUpdated
	}
	return nil
}

// completeImport fills in what the file does not say, and tells whether the rest differs.
func (s *Catalog) completeImport(p *importPlan, differs bool, wrong Errors) error {
	if p.in.Price == nil {
		p.in.Price = &Money{Minor: p.row.PriceMinor, Currency: s.Shop.Currency}
	}
	p.completeTexts(p.row.Edges.Product, differs)
	p.texts = p.texts || p.row.PriceMinor != p.in.Price.Minor
	return s.checkProduct(p.in.product(), wrong)
}

// completeTexts fills in what the row does not say of its product, or what is not for it to say.
func (p *importPlan) completeTexts(of *ent.Product, differs bool) {
	if p.in.Name == "" || !p.describes() {
		p.in.Name = of.Name
	}
	if p.in.Description == nil || !p.describes() {
		p.in.Description = &of.Description
	}
	p.texts = of.Name != p.in.Name || of.Description != *p.in.Description || differs
}

// product is the product that a row makes if there is none yet.
func (r ImportRow) product() CreateProduct {
	create := CreateProduct{SKU: r.SKU, Name: r.Name, Price: *r.Price}
	if r.Description != nil {
		create.Description = *r.Description
	}
	if r.Stock != nil {
		create.Stock = *r.Stock
	}
	return create
}
