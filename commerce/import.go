package commerce

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"

	"holdfast/ent"
	"holdfast/ent/product"
	"holdfast/ent/productvariant"
	"holdfast/lockprovider"
	"holdfast/lockprovider/lock"
)

// ImportRow is one variant of a file: a product with one variant here, unless a variant of another product has the SKU. What the file does not say, such as the price in a file of quantities, is
// left as it is.
type ImportRow struct {
	Line int
	// SKU is that of the variant, unique in the file: see package shopifycsv.
	SKU string
	// FormerSKUs are those under which an earlier file may have had the variant. A variant with one of them is this one if its
	// product has the name of the row.
	FormerSKUs  []string
	Name        string // "": the file does not say
	Description *string
	Price       *Money
	Stock       *int64
	OffSale     *bool // a draft, archived, or not published
	ImportAttributes
}

// ImportOutcome is what an import did about one product.
type ImportOutcome string

// The outcomes.
const (
	ImportCreated    ImportOutcome = "created" // on sale, or archived if the file has it off sale
	ImportUpdated    ImportOutcome = "updated"
	ImportUnchanged  ImportOutcome = "unchanged"
	ImportArchived   ImportOutcome = "archived"
	ImportUnarchived ImportOutcome = "unarchived" // and updated, if more differs
	ImportSkipped    ImportOutcome = "skipped"    // a quantity of a product that is not here
)

// StockMode is what an import does with the quantities of a file.
type StockMode string

// The modes.
const (
	// StockDifference moves the difference between this file and the one before. So what is sold in between stays sold, and a file
	// that gives the same quantity as the one before changes nothing. The first file that names a product sets its stock.
	StockDifference StockMode = "difference"
	// StockSet moves the difference between the file and what can be bought now.
	StockSet StockMode = "set"
	// StockIgnore leaves the stock of products alone that are there. New products get theirs.
	StockIgnore StockMode = "ignore"
)

// importTries bounds how often one product is compared anew, because somebody else changed it meanwhile.
const importTries = 10

// importPause is the first pause between such tries. The pauses grow: what another import has moved may be on its way from Redis
// into the database.
const importPause = 10 * time.Millisecond

// errImportedMeanwhile means that another import has changed the stock since the product was read.
var errImportedMeanwhile = &Error{
	Code: VersionConflict, Message: "somebody else changed this product at the same time",
	Retryable: true, RetryAfter: retrySoon,
	cause: &lockprovider.Rejected{Code: "IMPORTED_MEANWHILE", Message: "another import has changed the stock meanwhile"},
}

// MaxImport is the most rows of one call of Import. With it, each statement has fewer parameters than every database takes.
const MaxImport = 500

// maxFormerSKUs bounds those of one row. A file makes five at most.
const maxFormerSKUs = 10

const (
	// importParallel is how many stocks of one call move at the same time, each on its own. Chosen: more do not make a database of two
	// cores faster.
	importParallel = 8
	// importMoves is how many stocks move in one transaction. An order of one of them waits until it is committed. [lockprovider.MaxMoves] bounds them.
	importMoves = 100
	// importTogether is how many such transactions are under way: while one waits for the disk, another uses the processor.
	importTogether = 2
)

// ImportResult is what an import did, or would do, about one row.
type ImportResult struct {
	Outcome ImportOutcome
	// ProductID and SKU are those of the product here; the ID is "" if there is none yet.
	ProductID, SKU string
	// Delta is by how much the stock moves, and Available what could be bought before. For a new product, Delta is its stock.
	Delta, Available int64
	// Err tells why the row cannot be imported; then nothing but the SKU is set.
	Err error
}

// Import brings products in line with a file, at most MaxImport of them; a product is known by its SKU. So it may be repeated, and
// a second time finds nothing to do, also if the first was cut off in its middle; but [StockSet] sets the stock once more. Imports of one file or of several may run at
// the same time: the stock is moved only if no other import has moved it since it was compared. Admins only.
//
// Name, description and price are set if they differ, and the product is archived or put back on sale. Stock is adjusted through
// the same strategy as every sale. A row that cannot be imported does not keep the others back: its result has the error, which
// is one of Create, Update and AdjustStock. Import itself fails if the system does; some rows may be imported by then.
func (s *Catalog) Import(ctx context.Context, v Viewer, rows []ImportRow, mode StockMode) ([]ImportResult, error) {
	if err := v.admin(); err != nil {
		return nil, err
	}
	if err := s.addCategories(ctx, rows[:min(len(rows), MaxImport)]); err != nil {
		return nil, err
	}
	plans, err := s.planImport(ctx, v, rows, mode)
	if err != nil {
		return nil, err
	}
	s.together(ctx, plans, func(p *importPlan) bool { return p.Outcome == ImportCreated }, s.createImported)
	s.together(ctx, plans, func(p *importPlan) bool { return p.withoutMove().writes() }, s.writeImported)
	s.moveTogether(ctx, plans)
	var locked atomic.Pointer[Error]
	var moving errgroup.Group
	moving.SetLimit(importParallel)
	for _, same := range byProduct(plans) {
		if len(same) == 1 && same[0].done {
			continue
		}
		moving.Go(func() error {
			for i, p := range same {
				if e := locked.Load(); e != nil {
					p.Err = e
					continue
				}
				if i > 0 { // the row before has changed the product
					p.Err = s.planAgain(ctx, v, p, mode)
				}
				if p.Err == nil && !p.done {
					p.Err = s.importAlone(ctx, v, p, mode)
				}
				if e := writersLocked(p.Err); e != nil {
					locked.Store(e)
				}
			}
			return nil // each row has its own error
		})
	}
	_ = moving.Wait()
	return importResults(plans)
}

// writersLocked returns the error if it is that a writer of products has waited for another one in vain, else nil. The rows that are left have
// the same error then: each of them would wait as long.
func writersLocked(err error) *Error {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Code != LockTimeout || e.Details != nil { // those of a strategy are about one stock
		return nil
	}
	return e
}

// byProduct returns the plans that can be carried out. Those of one product follow each other as their rows do: the last row is
// what the product is like then.
func byProduct(plans []*importPlan) [][]*importPlan {
	var products [][]*importPlan
	place := map[string]int{} // of a product in products
	for _, p := range plans {
		if p.Err != nil {
			continue
		}
		at, known := place[p.SKU]
		if !known {
			at = len(products)
			place[p.SKU], products = at, append(products, nil)
		}
		products[at] = append(products[at], p)
	}
	return products
}

// PlanImport tells what Import would do now, and does nothing. It compares each row with the product as it is now: if several rows
// are of one product, it does not tell what the rows before would change. A new SKU that is given twice, with two prices, is told
// as created twice, where Import would create the product and then update it. Admins only. Errors: those of Import that are known
// before.
func (s *Catalog) PlanImport(ctx context.Context, v Viewer, rows []ImportRow, mode StockMode) ([]ImportResult, error) {
	plans, err := s.planImport(ctx, v, rows, mode)
	if err != nil {
		return nil, err
	}
	return importResults(plans)
}

func importResults(plans []*importPlan) ([]ImportResult, error) {
	results := make([]ImportResult, len(plans))
	var failure error
	for i, p := range plans {
		results[i] = p.ImportResult
		if p.Err == nil {
			continue
		}
		refusals, refused := UserErrors(p.Err)
		if !refused && failure == nil {
			failure = fmt.Errorf("line %d: %w", p.in.Line, p.Err)
		}
		results[i] = ImportResult{SKU: p.in.SKU, Err: p.Err}
		if refused {
			results[i].Err = inProduct(i, refusals)
		}
	}
	return results, failure
}

// inProduct names the row in the fields of its refusals.
func inProduct(i int, refusals []*Error) Errors {
	named := make(Errors, len(refusals))
	for j, r := range refusals {
		e := *r
		if len(e.Field) > 0 {
			e.Field = append(input("products", strconv.Itoa(i)), e.Field[1:]...)
		}
		named[j] = &e
	}
	return named
}

// importPlan is what an import is going to do about one row.
type importPlan struct {
	ImportResult
	file   ImportRow           // as the file has it
	in     ImportRow           // with what the file does not say, as it is here
	row    *ent.ProductVariant // with its product; nil if there is none yet
	texts  bool                // name, description, price or attributes differ
	counts bool                // the quantity of the file is to be noted
	shared bool                // another row is of the same variant
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
	return p.row != nil && (p.texts || p.counts || p.Outcome == ImportArchived || p.Outcome == ImportUnarchived)
}

func (s *Catalog) planImport(ctx context.Context, v Viewer, rows []ImportRow, mode StockMode) ([]*importPlan, error) {
	if err := v.admin(); err != nil {
		return nil, err
	}
	if len(rows) > MaxImport {
		return nil, invalid(input("products"), "at most %d products come in at once, not %d", MaxImport, len(rows))
	}
	var skus, ids []string
	for _, row := range rows {
		if len(row.FormerSKUs) > maxFormerSKUs {
			return nil, invalid(input("products"), "a product has at most %d former SKUs, not %d", maxFormerSKUs, len(row.FormerSKUs))
		}
		skus = append(append(skus, strings.TrimSpace(row.SKU)), row.FormerSKUs...)
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
		in.SKU, in.Name = strings.TrimSpace(in.SKU), strings.TrimSpace(in.Name)
		plans[i] = &importPlan{file: rows[i], in: in, row: in.find(bySKU)}
		if plans[i].row != nil && in.Stock != nil && mode != StockIgnore {
			ids = append(ids, plans[i].row.ID)
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
		var differs bool
		p.attributes, differs = p.differing(here)
		p.Err = s.decide(p, differs, stock, mode)
		p.done = p.Err == nil && (p.Outcome == ImportSkipped || p.Outcome == ImportUnchanged && !p.writes())
	}
	for _, same := range byProduct(plans) {
		for _, p := range same {
			p.shared = len(same) > 1
		}
	}
	return plans, nil
}

// find returns the variant of a row, or nil if there is none yet: the one that has one of its SKUs and its name, or else the one
// that has its SKU.
func (r ImportRow) find(bySKU map[string]*ent.ProductVariant) *ent.ProductVariant {
	for _, sku := range append([]string{r.SKU}, r.FormerSKUs...) {
		if row := bySKU[sku]; row != nil && row.Edges.Product.Name == r.Name {
			return row
		}
	}
	return bySKU[r.SKU]
}

// isOne reports whether the variant of the row is the only one of its product, which has no options. Then the row says what the product is.
func (p *importPlan) isOne() bool { return len(p.row.Edges.Product.Options) == 0 }

// isOffSale reports whether what the row is about is off sale.
func (p *importPlan) isOffSale() bool {
	return p.row.Edges.Product.ArchivedAt != nil || !p.isOne() && p.row.ArchivedAt != nil
}

// decide compares a row with its variant and the stock of that. It returns why the row cannot be imported, if that is known.
func (s *Catalog) decide(p *importPlan, differs bool, stock map[string]Reading, mode StockMode) error {
	p.SKU, p.Outcome = p.in.SKU, ImportUnchanged
	_, wrong := p.attributes.tidied()
	wrong = append(wrong, p.in.checkCategoryNames()...)
	off := p.in.OffSale != nil && *p.in.OffSale
	if p.row == nil {
		if p.in.Price == nil {
			p.Outcome = ImportSkipped
			return nil
		}
		p.Outcome = ImportCreated
		if p.in.Stock != nil {
			p.Delta = *p.in.Stock
		}
		if p.in.Name == "" {
			missing := invalid(input("name"), "the product is not here yet, and no line gives its title")
			missing.Retryable = true // when it is here
			return missing
		}
		return s.checkProduct(p.in.product(), wrong)
	}
	p.ProductID, p.SKU = p.row.ProductID, p.row.Sku
	if off { // nothing else of it matters before it comes back
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
	of := p.row.Edges.Product
	if p.in.Name == "" || !p.isOne() {
		p.in.Name = of.Name
	}
	if p.in.Description == nil || !p.isOne() {
		p.in.Description = &of.Description
	}
	if p.in.Price == nil {
		p.in.Price = &Money{Minor: p.row.PriceMinor, Currency: s.Shop.Currency}
	}
	p.texts = of.Name != p.in.Name || of.Description != *p.in.Description || p.row.PriceMinor != p.in.Price.Minor || differs
	return s.checkProduct(p.in.product(), wrong)
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

// moveTogether moves stock of products that have one row, many in one transaction, if the strategy can do that. What is not moved so is
// tried alone then, with the same ID of its change: it may have been moved, and nobody has heard of it.
func (s *Catalog) moveTogether(ctx context.Context, plans []*importPlan) {
	several, ok := s.Providers.For(lockprovider.Stock).(lockprovider.Several)
	if !ok {
		return
	}
	var some []*importPlan
	for _, p := range plans {
		if !p.done && p.Err == nil && !p.shared && p.row != nil && p.Delta != 0 && (p.wrote || !p.withoutMove().writes()) {
			some = append(some, p)
		}
	}
	size := importMoves
	if s.Ledger.Dialect() == dialect.MySQL {
		size = lockedTogether
	}
	var moving errgroup.Group
	moving.SetLimit(importTogether)
	for part := range slices.Chunk(some, size) {
		moving.Go(func() error {
			changes := make([]lockprovider.Change, len(part))
			for i, p := range part {
				changes[i] = s.importMove(p)
			}
			if several.ExecuteSeveral(ctx, changes) == nil {
				for _, p := range part {
					p.done = true
				}
			}
			return nil // what has failed is tried alone, and has its own error then
		})
	}
	_ = moving.Wait()
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

// importMove is the change that moves the stock of a product and notes the quantity of the file, unless another import was faster.
func (s *Catalog) importMove(p *importPlan) lockprovider.Change {
	if p.change == uuid.Nil {
		p.change = uuid.Must(uuid.NewRandom())
		p.moved = mustJSON(stockAdjusted{
			ProductID: p.row.ProductID, VariantID: p.row.ID, Delta: p.Delta, Reason: "import", At: s.now(),
			Imported: &importedStock{Quantity: *p.in.Stock, Import: p.row.Imports},
		})
	}
	return lockprovider.Change{
		ID: p.change, Family: lockprovider.Stock,
		Moves:   []lockprovider.Move{{Balance: lockprovider.StockKey(p.row.ID), Delta: p.Delta}},
		Record:  lockprovider.Record{Kind: KindStockAdjusted, Payload: p.moved},
		Confirm: true, // the database decides which of two imports was faster
	}
}

func (s *Catalog) moveImported(ctx context.Context, p *importPlan) error {
	row, delta := p.row, p.Delta
	_, err := s.execute(ctx, s.importMove(p))
	var refused *lockprovider.Refused
	if errors.As(err, &refused) {
		switch moved, merr := s.importedMeanwhile(ctx, row, delta); {
		case merr != nil:
			return merr
		case moved:
			return errImportedMeanwhile
		}
	}
	return refusals(err, func(r lockprovider.Refusal) *Error {
		if r.Delta > 0 {
			return noRoom(nil, "the stock can take %d more, not %d", r.Available, r.Delta)
		}
		e := outOfStock(row.ProductID, row.ID, -r.Delta, r.Available, nil)
		e.Message = fmt.Sprintf("the file takes %d from the stock, and %d are left", -r.Delta, r.Available)
		return e
	})
}

// importedMeanwhile tells whether a difference does not fit because another import has moved the stock since the product was
// read. Under lua, that import may be on its way into the database, where the difference fits until then.
func (s *Catalog) importedMeanwhile(ctx context.Context, row *ent.ProductVariant, delta int64) (bool, error) {
	stock, err := s.VariantStock(ctx, []string{row.ID}) // first: it is written together with the count of imports
	if err != nil {
		return false, err
	}
	same, err := s.Client.ProductVariant.Query().Where(productvariant.ID(row.ID), productvariant.Imports(row.Imports)).Exist(ctx)
	after := stock[row.ID].Amount + delta
	return !same || after >= 0 && after <= lockprovider.MaxAmount, err
}

// noteImported notes the quantity of a file, unless another import has done so since the variant was read.
func noteImported(ctx context.Context, tx *ent.Tx, variantID string, imported importedStock, at time.Time) error {
	n, err := lockRows(ctx, tx.ProductVariant.Update().Where(productvariant.ID(variantID), productvariant.Imports(imported.Import)).
		SetImportedStock(imported.Quantity).AddImports(1).SetUpdatedAt(at).Save)
	if err == nil && n == 0 {
		return errImportedMeanwhile
	}
	return err
}

// noteAllImported is noteImported for many moves, in few statements.
func noteAllImported(ctx context.Context, tx *ent.Tx, moves []stockAdjusted) error {
	for len(moves) > 0 {
		some := firstOfEach(moves[:min(len(moves), importMoves)])
		ids := make([]string, len(some))
		for i, p := range some {
			ids[i] = p.variantID()
		}
		n, err := tx.ProductVariant.Update().Where(productvariant.IDIn(ids...), func(rows *entsql.Selector) {
			rows.Where(entsql.P(func(b *entsql.Builder) {
				b.Ident(rows.C(productvariant.FieldImports)).WriteString(" = ")
				byVariantID(b, rows.C(productvariant.FieldID), some, func(p stockAdjusted) int64 { return int64(p.Imported.Import) })
			}))
		}).AddImports(1).SetUpdatedAt(some[len(some)-1].At).Modify(func(update *entsql.UpdateBuilder) {
			update.Set(productvariant.FieldImportedStock, entsql.ExprFunc(func(b *entsql.Builder) {
				byVariantID(b, productvariant.FieldID, some, func(p stockAdjusted) int64 { return p.Imported.Quantity })
			}))
		}).Save(ctx)
		if err == nil && n != len(some) {
			err = errImportedMeanwhile
		}
		if err != nil {
			return err
		}
		moves = moves[len(some):]
	}
	return nil
}

// firstOfEach returns the moves before the second one of a variant, which is compared with what the first one has noted.
func firstOfEach(moves []stockAdjusted) []stockAdjusted {
	seen := map[string]bool{}
	for i, p := range moves {
		if seen[p.variantID()] {
			return moves[:i]
		}
		seen[p.variantID()] = true
	}
	return moves
}

// variantID is the variant whose stock was adjusted. When a record had none, a product had one variant.
func (p stockAdjusted) variantID() string {
	return cmp.Or(p.VariantID, lockprovider.FirstVariantID(p.ProductID))
}

// byVariantID writes an expression that has, in the row of each variant, its own value.
func byVariantID(b *entsql.Builder, id string, moves []stockAdjusted, value func(stockAdjusted) int64) {
	number := "" // PostgreSQL has to be told that a parameter is one
	if b.Dialect() == dialect.Postgres {
		number = "::bigint"
	}
	b.WriteString("CASE ").Ident(id)
	for _, p := range moves {
		b.WriteString(" WHEN ").Arg(p.variantID()).WriteString(" THEN ").Arg(value(p)).WriteString(number)
	}
	b.WriteString(" END")
}
