package commerce

import (
	"cmp"
	"context"
	"slices"

	"holdfast/ent"
	"holdfast/ent/product"
	"holdfast/ent/productvariant"
	"holdfast/lockprovider"
)

// writeGroup writes what rows say of a product with options that is here, but the moves of stock: the product, its variants, and new ones. The plans
// begin with those of the group. It reports whether there was something to write.
func (s *Catalog) writeGroup(ctx context.Context, tx *ent.Tx, g *importGroup, plans []*importPlan) (bool, error) {
	if end := slices.IndexFunc(plans, func(p *importPlan) bool { return p.group != g }); end >= 0 {
		plans = plans[:end]
	}
	if !slices.ContainsFunc(plans, (*importPlan).changes) {
		return false, nil
	}
	home, here, err := s.lockedProduct(ctx, tx, g.home.ID, nil)
	switch {
	case err != nil:
		return false, err
	case home.Version != g.home.Version:
		return false, errImportedMeanwhile
	}
	if err := s.writeHome(ctx, tx, g, plans); err != nil {
		return false, err
	}
	if err := s.addImported(ctx, tx, g, here, plans); err != nil {
		return false, err
	}
	for _, p := range plans {
		if p.row == nil || !p.changes() {
			continue
		}
		update := tx.ProductVariant.Update().Where(productvariant.ID(p.row.ID), productvariant.Version(p.row.Version))
		differs := false
		if p.texts && p.row.PriceMinor != p.in.Price.Minor {
			update.SetPriceMinor(p.in.Price.Minor)
			differs = true
		}
		switch {
		case p.Outcome == ImportUnarchived && p.row.ArchivedAt != nil:
			update.ClearArchivedAt()
			differs = true
		case p.Outcome == ImportArchived && !g.off:
			update.SetArchivedAt(s.now())
			differs = true
		}
		if !differs {
			continue
		}
		if n, err := lockRows(ctx, update.AddVersion(1).SetUpdatedAt(s.now()).Save); err != nil || n == 0 {
			return false, cmp.Or(err, error(errImportedMeanwhile))
		}
	}
	return true, s.summariseImported(ctx, tx, g.home.ID)
}

// writeHome writes what the first row says of the product, and whether it is on sale.
func (s *Catalog) writeHome(ctx context.Context, tx *ent.Tx, g *importGroup, plans []*importPlan) error {
	update := tx.Product.Update().Where(product.ID(g.home.ID))
	switch {
	case g.off && g.home.ArchivedAt == nil:
		update.SetArchivedAt(s.now())
	case slices.ContainsFunc(plans, func(p *importPlan) bool { return p.Outcome == ImportUnarchived }):
		update.ClearArchivedAt()
	}
	var attributes Attributes
	if g.lead.texts && slices.Contains(plans, g.lead) {
		attributes, _ = g.lead.attributes.tidied()
		attributes.set(update.SetName(g.lead.in.Name).SetDescription(*g.lead.in.Description))
	}
	if _, err := lockRows(ctx, update.SetUpdatedAt(s.now()).Save); err != nil {
		return err
	}
	return attributes.write(ctx, tx, g.home.ID)
}

// addImported adds variants to a product, behind those that it has.
func (s *Catalog) addImported(ctx context.Context, tx *ent.Tx, g *importGroup, here []*ent.ProductVariant, plans []*importPlan) error {
	next := here[len(here)-1].Position + 1
	var creations []*ent.ProductVariantCreate
	stock := map[string]lockprovider.Bounds{}
	for _, p := range plans {
		if p.row != nil {
			continue
		}
		id, variant := newID(prefixVariant), p.in.variant()
		create := s.variantCreation(tx, g.home.ID, id, next+len(creations), variant).SetNillableImportedStock(p.in.Stock)
		if p.isOff() && !g.off {
			create.SetArchivedAt(s.now())
		}
		creations = append(creations, create)
		stock[lockprovider.StockKey(id)] = unbounded(variant.Stock)
	}
	if creations == nil {
		return nil
	}
	return s.insertVariants(ctx, tx, creations, stock)
}

// summariseImported is summarise; but a product of which no variant is left on sale goes off sale.
func (s *Catalog) summariseImported(ctx context.Context, tx *ent.Tx, id string) error {
	left, err := tx.ProductVariant.Query().Where(productvariant.ProductID(id), productvariant.ArchivedAtIsNil()).Exist(ctx)
	if err != nil {
		return err
	}
	if !left {
		if err := lockExec(ctx, tx.Product.UpdateOneID(id).SetArchivedAt(s.now()).Exec); err != nil {
			return err
		}
	}
	_, err = s.summarise(ctx, tx, id)
	return err
}
