package commerce

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync/atomic"
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
	size := MaxImport
	if s.Ledger.Dialect() == dialect.MySQL {
		size = lockedTogether
	}
	for _, part := range parts(some, size) {
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

// parts divides plans into what is written together, by size: the rows of one product stay in one part. All who write several products do so
// in one order.
func parts(plans []*importPlan, size int) [][]*importPlan {
	within := func(p *importPlan) string { // what sorts the plans of one product: those of a group stay as their rows are
		if p.group != nil {
			return p.in.productKey()
		}
		return p.SKU
	}
	slices.SortStableFunc(plans, func(a, b *importPlan) int {
		return cmp.Or(cmp.Compare(a.ProductID, b.ProductID), cmp.Compare(within(a), within(b)), compareGroups(a.group, b.group))
	})
	var all [][]*importPlan
	for start := 0; start < len(plans); {
		end := min(start+size, len(plans))
		for end < len(plans) && plans[end].group != nil && plans[end].group == plans[end-1].group {
			end++
		}
		all, start = append(all, plans[start:end]), end
	}
	return all
}

// compareGroups has the rows of a group follow each other, if the SKU of another row is the handle of the group.
func compareGroups(a, b *importGroup) int {
	switch a {
	case b:
		return 0
	case nil:
		return -1
	}
	return 1
}

// lockedTogether bounds the products that are written in one transaction of MySQL and MariaDB, where an order of a product waits for
// the end of a transaction that has written the product.
const lockedTogether = 25

// importUnit carries out the plans of one unit, and makes new ones if somebody else was faster.
func (s *Catalog) importUnit(ctx context.Context, v Viewer, unit []*importPlan, mode StockMode, locked *atomic.Pointer[Error]) {
	for try := 1; ; try++ {
		open := slices.DeleteFunc(slices.Clone(unit), func(p *importPlan) bool { return p.done || p.Err != nil })
		if len(open) == 0 {
			return
		}
		if e := locked.Load(); e != nil {
			fail(open, e)
			return
		}
		s.carryOut(ctx, open)
		var again []*importPlan
		for _, p := range open {
			if e := writersLocked(p.Err); e != nil {
				locked.Store(e)
			}
			if ent.IsConstraintError(p.Err) || hasCode(p.Err, VersionConflict) {
				again = append(again, p)
			}
		}
		if again == nil || try == importTries {
			return
		}
		if err := lock.Pause(ctx, lock.Jitter(time.Duration(try)*importPause)); err != nil {
			fail(again, err)
			return
		}
		s.planAgain(ctx, v, again, mode)
	}
}

func fail(plans []*importPlan, err error) {
	for _, p := range plans {
		p.Err = err
	}
}

// planAgain makes new plans of the same rows.
func (s *Catalog) planAgain(ctx context.Context, v Viewer, plans []*importPlan, mode StockMode) {
	rows := make([]ImportRow, len(plans))
	for i, p := range plans {
		rows[i] = p.file
	}
	made, err := s.planImport(ctx, v, rows, mode)
	if err != nil {
		fail(plans, err)
		return
	}
	for i, p := range plans {
		*p = *made[i]
		if g := p.group; g != nil {
			g.plans[slices.Index(g.plans, made[i])] = p
			if g.lead == made[i] {
				g.lead = p
			}
		}
	}
}

// carryOut carries out plans of one unit.
func (s *Catalog) carryOut(ctx context.Context, plans []*importPlan) {
	var writes []*importPlan
	create := false
	for _, p := range plans {
		if create = create || p.makesProduct(); !p.wrote && (p.makesProduct() || p.withoutMove().writes()) {
			writes = append(writes, p)
		}
	}
	if writes != nil {
		if err := s.inTx(ctx, func(tx *ent.Tx) error {
			if create {
				return s.createImported(ctx, tx, writes)
			}
			return s.writeImported(ctx, tx, writes)
		}); err != nil {
			fail(plans, err)
			return
		}
	}
	for _, p := range plans {
		p.wrote = true
		if p.row != nil && p.Delta != 0 {
			p.Err = s.moveImported(ctx, p)
		}
		p.done = p.Err == nil
	}
}

// createImported makes new products, and all variants of each.
func (s *Catalog) createImported(ctx context.Context, tx *ent.Tx, plans []*importPlan) error {
	var units [][]*importPlan // each of a product
	for _, p := range plans {
		if n := len(units); n > 0 && p.group != nil && p.group == units[n-1][0].group {
			units[n-1] = append(units[n-1], p)
			continue
		}
		units = append(units, []*importPlan{p})
	}
	first := make([]*importPlan, len(units))
	for i, unit := range units {
		first[i] = unit[0]
	}
	attributes, err := s.creationAttributes(ctx, tx, first)
	if err != nil {
		return err
	}
	ids := make([]string, len(units))
	products := make([]*ent.ProductCreate, len(units))
	var variants []*ent.ProductVariantCreate
	bounds := make(map[string]lockprovider.Bounds, len(plans))
	for i, unit := range units {
		product := newProduct(unit)
		product.id, product.Attributes = newID(prefixProduct), attributes[i]
		ids[i] = product.id
		made := s.creation(tx, product)
		products[i] = made.product
		archived := allOff(unit)
		if archived {
			products[i].SetArchivedAt(s.now())
		}
		for j, p := range unit {
			p.ProductID = product.id
			variants = append(variants, made.variants[j].SetNillableImportedStock(p.in.Stock))
			if p.isOff() && !archived {
				made.variants[j].SetArchivedAt(s.now())
			}
		}
		maps.Copy(bounds, made.stock)
	}
	rows, err := lockRows(ctx, tx.Product.CreateBulk(products...).Save) // MaxImport at most
	if err != nil {
		return err
	}
	if err := s.insertVariants(ctx, tx, variants, bounds); err != nil {
		return err
	}
	for i, unit := range units { // some variants off sale, and others not
		if rows[i].ArchivedAt == nil && slices.ContainsFunc(unit, (*importPlan).isOff) {
			if rows[i], err = s.summarise(ctx, tx, ids[i]); err != nil {
				return err
			}
		}
	}
	if err := writeCreated(ctx, tx, ids, attributes); err != nil {
		return err
	}
	return s.Index(ctx, tx, rows...)
}

// newProduct is the product that rows make.
func newProduct(plans []*importPlan) CreateProduct {
	in := plans[0].in
	create := in.product()
	if plans[0].group == nil {
		return create
	}
	create = CreateProduct{Name: create.Name, Description: create.Description, Options: in.optionNames()}
	for _, p := range plans {
		create.Variants = append(create.Variants, p.in.variant())
	}
	return create
}

// variant is the variant that a row adds to a product.
func (r ImportRow) variant() CreateVariant {
	product := r.product()
	return CreateVariant{SKU: r.SKU, Options: r.OptionValues, Price: product.Price, Stock: product.Stock}
}

// writeImported writes what is not a move of stock. It fails if somebody else has changed one of the products since it was read.
func (s *Catalog) writeImported(ctx context.Context, tx *ent.Tx, plans []*importPlan) error {
	var changed []string
	for i, plan := range plans {
		p := plan.withoutMove()
		if p.group != nil && (i == 0 || plans[i-1].group != p.group) {
			wrote, err := s.writeGroup(ctx, tx, p.group, plans[i:])
			if err != nil {
				return err
			}
			if wrote {
				changed = append(changed, p.group.home.ID)
			}
		}
		if p.group == nil && p.changes() {
			write := s.writeVariant
			if p.isOne() {
				write = s.writeProduct
			}
			if err := write(ctx, tx, p); err != nil {
				return err
			}
			changed = append(changed, p.row.ProductID)
		}
		if p.row != nil && p.counts {
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
