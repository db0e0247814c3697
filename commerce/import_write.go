package commerce

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"entgo.io/ent/dialect"

	"holdfast/ent"
	"holdfast/ent/product"
	"holdfast/ent/productvariant"
	"holdfast/lockprovider"
	"holdfast/lockprovider/lock"
)

// together writes some of the plans in one transaction, or in few: of products that have one row. What is not written so is tried
// alone then, unless another writer was in the way for too long: then all rows that are left fail, see writersLocked.
func (s *Catalog) together(
	ctx context.Context, plans []*importPlan, which func(*importPlan) bool, write func(context.Context, *ent.Tx, []*importPlan) error,
) {
	var some []*importPlan
	for _, p := range plans {
		if !p.done && p.Err == nil && !p.shared && which(p) {
			some = append(some, p)
		}
	}
	if len(some) < 2 {
		return
	}
	slices.SortFunc(some, func(a, b *importPlan) int { return cmp.Compare(a.SKU, b.SKU) })
	size := len(some)
	if s.Ledger.Dialect() == dialect.MySQL {
		size = lockedTogether
	}
	for part := range slices.Chunk(some, size) {
		err := s.inTx(ctx, func(tx *ent.Tx) error { return write(ctx, tx, part) })
		if e := writersLocked(err); e != nil {
			for _, p := range plans {
				if !p.done && p.Err == nil {
					p.Err = e
				}
			}
			return
		}
		if err != nil {
			continue
		}
		for _, p := range part {
			p.wrote, p.done = true, p.row == nil || p.Delta == 0
		}
	}
}

// lockedTogether bounds the products that are written in one transaction of MySQL and MariaDB, where an order of a product waits for
// the end of a transaction that has written the product.
const lockedTogether = 25

// importAlone carries out one plan, and makes a new one if somebody else was faster.
func (s *Catalog) importAlone(ctx context.Context, v Viewer, p *importPlan, mode StockMode) error {
	for try := 1; ; try++ {
		err := s.carryOut(ctx, p)
		if err == nil || try == importTries || !ent.IsConstraintError(err) && !hasCode(err, VersionConflict) {
			return err
		}
		if err := lock.Pause(ctx, lock.Jitter(time.Duration(try)*importPause)); err != nil {
			return err
		}
		if err := s.planAgain(ctx, v, p, mode); err != nil || p.done {
			return err
		}
	}
}

// planAgain makes a new plan of the same row.
func (s *Catalog) planAgain(ctx context.Context, v Viewer, p *importPlan, mode StockMode) error {
	again, err := s.planImport(ctx, v, []ImportRow{p.file}, mode)
	if err != nil {
		return err
	}
	*p = *again[0]
	return p.Err
}

func (s *Catalog) carryOut(ctx context.Context, p *importPlan) error {
	if p.row == nil {
		return s.inTx(ctx, func(tx *ent.Tx) error { return s.createImported(ctx, tx, []*importPlan{p}) })
	}
	if !p.wrote && p.withoutMove().writes() {
		if err := s.inTx(ctx, func(tx *ent.Tx) error { return s.writeImported(ctx, tx, []*importPlan{p}) }); err != nil {
			return err
		}
	}
	if p.Delta == 0 {
		return nil
	}
	return s.moveImported(ctx, p)
}

func (s *Catalog) createImported(ctx context.Context, tx *ent.Tx, plans []*importPlan) error {
	attributes, err := s.creationAttributes(ctx, tx, plans)
	if err != nil {
		return err
	}
	ids := make([]string, len(plans))
	products := make([]*ent.ProductCreate, len(plans))
	variants := make([]*ent.ProductVariantCreate, len(plans))
	bounds := make(map[string]lockprovider.Bounds, len(plans))
	for i, p := range plans {
		product := p.in.product()
		product.id, product.Attributes = newID(prefixProduct), attributes[i]
		p.ProductID, ids[i] = product.id, product.id
		made := s.creation(tx, product)
		products[i], variants[i] = made.product, made.variants[0].SetNillableImportedStock(p.in.Stock)
		if p.in.OffSale != nil && *p.in.OffSale {
			products[i].SetArchivedAt(s.now())
		}
		maps.Copy(bounds, made.stock)
	}
	rows, err := lockRows(ctx, tx.Product.CreateBulk(products...).Save) // MaxImport at most
	if err != nil {
		return err
	}
	if err := lockExec(ctx, tx.ProductVariant.CreateBulk(variants...).Exec); err != nil {
		return err
	}
	if err := s.Ledger.Open(ctx, tx, bounds); err != nil {
		return err
	}
	if err := writeCreated(ctx, tx, ids, attributes); err != nil {
		return err
	}
	return s.Index(ctx, tx, rows...)
}

// writeImported writes what is not a move of stock. It fails if somebody else has changed one of the products since it was read.
func (s *Catalog) writeImported(ctx context.Context, tx *ent.Tx, plans []*importPlan) error {
	var changed []string
	for _, plan := range plans {
		p := plan.withoutMove()
		if p.texts || p.Outcome == ImportArchived || p.Outcome == ImportUnarchived {
			write := s.writeVariant
			if p.isOne() {
				write = s.writeProduct
			}
			if err := write(ctx, tx, p); err != nil {
				return err
			}
			changed = append(changed, p.row.ProductID)
		}
		if p.counts {
			imported := importedStock{Quantity: *p.in.Stock, Import: p.row.Imports}
			if err := noteImported(ctx, tx, p.row.ID, imported, s.now()); err != nil {
				return err
			}
		}
	}
	if changed == nil {
		return nil
	}
	rows, err := tx.Product.Query().Where(product.IDIn(changed...)).All(ctx)
	if err != nil {
		return err
	}
	return s.Index(ctx, tx, rows...)
}

// writeProduct writes what a row says of a product with one variant.
func (s *Catalog) writeProduct(ctx context.Context, tx *ent.Tx, p *importPlan) error {
	of := p.row.Edges.Product
	update := tx.Product.Update().Where(product.ID(of.ID), product.Version(of.Version)).AddVersion(1).SetUpdatedAt(s.now())
	switch p.Outcome {
	case ImportArchived:
		update.SetArchivedAt(s.now())
	case ImportUnarchived:
		update.ClearArchivedAt()
	}
	var attributes Attributes
	if p.texts {
		attributes, _ = p.attributes.tidied()
		attributes.set(update.SetName(p.in.Name).SetDescription(*p.in.Description).
			SetPriceMinor(p.in.Price.Minor).SetMaxPriceMinor(p.in.Price.Minor))
	}
	if n, err := lockRows(ctx, update.Save); err != nil || n == 0 {
		return cmp.Or(err, error(errImportedMeanwhile))
	}
	if err := attributes.write(ctx, tx, of.ID); err != nil {
		return err
	}
	if !p.texts || p.row.PriceMinor == p.in.Price.Minor {
		return nil
	}
	return lockExec(ctx, tx.ProductVariant.UpdateOneID(p.row.ID).SetPriceMinor(p.in.Price.Minor).AddVersion(1).SetUpdatedAt(s.now()).Exec)
}

// writeVariant writes what a row says of a variant of a product with options: its price, and whether it is on sale. The last one that is
// goes off sale with its product.
func (s *Catalog) writeVariant(ctx context.Context, tx *ent.Tx, p *importPlan) error {
	of, _, err := s.lockedProduct(ctx, tx, p.row.ProductID, nil)
	if err != nil {
		return err
	}
	update := tx.ProductVariant.Update().Where(productvariant.ID(p.row.ID), productvariant.Version(p.row.Version)).
		AddVersion(1).SetUpdatedAt(s.now())
	switch p.Outcome {
	case ImportArchived:
		update.SetArchivedAt(s.now())
	case ImportUnarchived:
		update.ClearArchivedAt()
	}
	if p.texts {
		update.SetPriceMinor(p.in.Price.Minor)
	}
	if p.Outcome == ImportUnarchived && of.ArchivedAt != nil {
		if err := lockExec(ctx, tx.Product.UpdateOne(of).ClearArchivedAt().Exec); err != nil {
			return err
		}
	}
	if p.Outcome == ImportArchived && of.VariantCount == 1 {
		return lockExec(ctx, tx.Product.UpdateOne(of).SetArchivedAt(s.now()).AddVersion(1).SetUpdatedAt(s.now()).Exec)
	}
	if n, err := lockRows(ctx, update.Save); err != nil || n == 0 {
		return cmp.Or(err, error(errImportedMeanwhile))
	}
	_, err = s.summarise(ctx, tx, of.ID)
	return err
}
