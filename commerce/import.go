package commerce

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"holdfast/ent"
	"holdfast/ent/product"
	"holdfast/lockprovider"
	"holdfast/lockprovider/lock"
)

// ImportOutcome is what an import did about one product.
type ImportOutcome string

// The outcomes.
const (
	ImportCreated   ImportOutcome = "created"
	ImportUpdated   ImportOutcome = "updated"
	ImportUnchanged ImportOutcome = "unchanged"
	ImportArchived  ImportOutcome = "archived"
	ImportSkipped   ImportOutcome = "skipped" // off sale, and unknown here
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
	Code: VersionConflict, Message: "another import changed this product at the same time", Retryable: true,
	cause: &lockprovider.Rejected{Code: "IMPORTED_MEANWHILE", Message: "another import has changed the stock meanwhile"},
}

// Import brings one product in line with a file: its SKU tells which it is. So it may be repeated, and a second time finds
// nothing to do. Imports of one file or of several may run at the same time: the stock is moved only if no other import has
// moved it since it was compared. Admins only. Errors: those of Create, Update and AdjustStock.
//
// Name, description and price are set if they differ. Stock is adjusted through the same strategy as every sale.
func (s *Catalog) Import(ctx context.Context, v Viewer, in ImportRow, mode StockMode) (ImportOutcome, error) {
	if err := v.admin(); err != nil {
		return "", err
	}
	for try := 1; ; try++ {
		outcome, err := s.importOnce(ctx, v, in, mode)
		if try == importTries || !errors.Is(err, errSKUExists) && !hasCode(err, VersionConflict) {
			return outcome, err
		}
		if err := lock.Pause(ctx, lock.Jitter(time.Duration(try)*importPause)); err != nil {
			return "", err
		}
	}
}

// ImportPlan is what an import would do about one product.
type ImportPlan struct {
	Outcome ImportOutcome
	// Delta is by how much the stock of a product that is there would move, and Available what can be bought now.
	Delta, Available int64

	row    *ent.Product // nil if there is none yet
	texts  bool         // name, description or price differ
	counts bool         // the quantity of the file is to be noted
}

// PlanImport tells what Import would do now, and does nothing. Admins only. Errors: those of Import that are known before.
func (s *Catalog) PlanImport(ctx context.Context, v Viewer, in ImportRow, mode StockMode) (ImportPlan, error) {
	if err := v.admin(); err != nil {
		return ImportPlan{}, err
	}
	row, err := s.Client.Product.Query().Where(product.Sku(in.SKU)).Only(ctx)
	switch {
	case ent.IsNotFound(err) && in.Off:
		return ImportPlan{Outcome: ImportSkipped}, nil
	case ent.IsNotFound(err):
		create := in.product()
		return ImportPlan{Outcome: ImportCreated}, s.checkProduct(create)
	case err != nil:
		return ImportPlan{}, err
	case in.Off && row.ArchivedAt != nil:
		return ImportPlan{Outcome: ImportUnchanged, row: row}, nil
	case in.Off:
		return ImportPlan{Outcome: ImportArchived, row: row}, nil
	case row.ArchivedAt != nil:
		return ImportPlan{}, &Error{Code: InvalidState, Message: fmt.Sprintf("%q was taken off sale for good; use another SKU", in.SKU)}
	}
	plan := ImportPlan{
		Outcome: ImportUnchanged, row: row,
		texts: row.Name != in.Name || row.Description != in.Description || row.PriceMinor != in.Price.Minor,
	}
	if in.Stock != nil && mode != StockIgnore {
		if err := s.planStock(ctx, &plan, *in.Stock, mode); err != nil {
			return ImportPlan{}, err
		}
	}
	if plan.texts || plan.Delta != 0 {
		plan.Outcome = ImportUpdated
	}
	return plan, nil
}

func (s *Catalog) planStock(ctx context.Context, plan *ImportPlan, quantity int64, mode StockMode) error {
	stock, err := s.Stock(ctx, []string{plan.row.ID})
	if err != nil {
		return err
	}
	plan.Available = stock[plan.row.ID]
	before := plan.row.ImportedStock
	plan.counts = before == nil || *before != quantity
	if mode == StockSet || before == nil {
		before = &plan.Available
	}
	plan.Delta = quantity - *before
	return nil
}

// product is the product that a row makes if there is none yet.
func (r ImportRow) product() CreateProduct {
	create := CreateProduct{SKU: r.SKU, Name: r.Name, Description: r.Description, Price: r.Price, imported: r.Stock}
	if r.Stock != nil {
		create.Stock = *r.Stock
	}
	return create
}

func (s *Catalog) importOnce(ctx context.Context, v Viewer, in ImportRow, mode StockMode) (ImportOutcome, error) {
	plan, err := s.PlanImport(ctx, v, in, mode)
	if err != nil {
		return "", err
	}
	switch plan.Outcome {
	case ImportCreated:
		_, err = s.Create(ctx, v, in.product())
	case ImportArchived:
		_, err = s.Archive(ctx, v, ArchiveProduct{ID: plan.row.ID})
	}
	if plan.texts {
		_, err = s.Update(ctx, v, UpdateProduct{
			ID: plan.row.ID, Version: plan.row.Version, Name: &in.Name, Description: &in.Description, PriceMinor: &in.Price.Minor,
		})
	}
	if err == nil && (plan.Delta != 0 || plan.counts) {
		err = s.moveImported(ctx, plan.row, importedStock{Quantity: *in.Stock, Import: plan.row.Imports}, plan.Delta)
	}
	return plan.Outcome, err
}

// moveImported moves the stock of a product and notes the quantity of the file, unless another import was faster.
func (s *Catalog) moveImported(ctx context.Context, row *ent.Product, imported importedStock, delta int64) error {
	if delta == 0 {
		return s.inTx(ctx, func(tx *ent.Tx) error { return writeImported(ctx, tx, row.ID, imported, s.now()) })
	}
	_, err := s.execute(ctx, lockprovider.Change{
		ID: uuid.Must(uuid.NewRandom()), Family: lockprovider.Stock,
		Moves: []lockprovider.Move{{Balance: lockprovider.StockKey(row.ID), Delta: delta}},
		Record: lockprovider.Record{
			Kind: KindStockAdjusted,
			Payload: mustJSON(stockAdjusted{
				ProductID: row.ID, Delta: delta, Reason: "import", At: s.now(), Imported: &imported,
			}),
		},
		Confirm: true, // the database decides which of two imports was faster
	})
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
			return &Error{Code: InvalidInput, Message: fmt.Sprintf("the stock can take %d more, not %d", r.Available, r.Delta)}
		}
		return &Error{
			Code: OutOfStock, Details: OutOfStockDetails{ProductID: row.ID, Requested: -r.Delta, Available: r.Available},
			Message: fmt.Sprintf("the file takes %d from the stock, and %d are left", -r.Delta, r.Available),
		}
	})
}

// importedMeanwhile tells whether a difference does not fit because another import has moved the stock since the product was
// read. Under lua, that import may be on its way into the database, where the difference fits until then.
func (s *Catalog) importedMeanwhile(ctx context.Context, row *ent.Product, delta int64) (bool, error) {
	stock, err := s.Stock(ctx, []string{row.ID}) // first: it is written together with the count of imports
	if err != nil {
		return false, err
	}
	same, err := s.Client.Product.Query().Where(product.ID(row.ID), product.Imports(row.Imports)).Exist(ctx)
	after := stock[row.ID] + delta
	return !same || after >= 0 && after <= lockprovider.MaxAmount, err
}

// writeImported notes the quantity of a file, unless another import has done so since the product was read.
func writeImported(ctx context.Context, tx *ent.Tx, productID string, imported importedStock, at time.Time) error {
	n, err := tx.Product.Update().Where(product.ID(productID), product.Imports(imported.Import)).
		SetImportedStock(imported.Quantity).AddImports(1).SetUpdatedAt(at).Save(ctx)
	if err == nil && n == 0 {
		return errImportedMeanwhile
	}
	return err
}
