package commerce

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"holdfast/ent"
	"holdfast/ent/productvariant"
	"holdfast/lockprovider"
)

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

// variantID is the variant whose stock was adjusted.
func (p stockAdjusted) variantID() string { return variantIn(p.VariantID, p.ProductID) }

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
