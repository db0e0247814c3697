package commerce

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/lockprovider"
)

// ImportRow is one variant of a file. Rows that have one handle and option values are variants of one product: what the later ones do not
// say of it, such as its name, the first one says for them. A row without option values is a product with one variant, unless a variant of
// another product has the SKU. What the file does not say, such as the price in a file of quantities, is left as it is.
type ImportRow struct {
	Line int
	// SKU is that of the variant, unique in the file: see package shopifycsv.
	SKU string
	// FormerSKUs are those under which an earlier file may have had the variant. A variant with one of them is this one if it has the option
	// values of the row, or if its product has no options and the name of the row: see NameAlone.
	FormerSKUs   []string
	Name         string   // of the product; "": the file does not say
	Options      []string // the names of the options of the product; nil: those that it has here
	OptionValues []string // those of the variant, one for each option
	Description  *string
	Price        *Money
	Stock        *int64
	OffSale      *bool // a draft, archived, or not published
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
	// Elsewhere tells that the variant with the SKU is not one of the product of the row, or has other options than the row says. Its price,
	// stock and whether it is on sale are brought in line; what the row says of its product is not.
	Elsewhere bool
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
	s.together(ctx, plans, (*importPlan).makesProduct, s.createImported)
	s.together(ctx, plans, func(p *importPlan) bool { return !p.makesProduct() && p.withoutMove().writes() }, s.writeImported)
	s.moveTogether(ctx, plans)
	var locked atomic.Pointer[Error]
	var moving errgroup.Group
	moving.SetLimit(importParallel)
	for _, units := range unitsOf(plans) {
		moving.Go(func() error {
			for i, unit := range units {
				if i > 0 && locked.Load() == nil { // the row before has changed the variant
					s.planAgain(ctx, v, unit, mode)
				}
				s.importUnit(ctx, v, unit, mode, &locked)
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
