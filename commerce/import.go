package commerce

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"holdfast/ent"
	"holdfast/ent/product"
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

// Import brings one product in line with a file: its SKU tells which it is. So it may be repeated, and a second time finds
// nothing to do. Admins only. Errors: those of Create, Update and AdjustStock.
//
// Name, description and price are set if they differ. Stock is adjusted by the difference between the file and what can
// be bought now, through the same strategy as every sale: what is sold meanwhile stays sold.
func (s *Catalog) Import(ctx context.Context, v Viewer, in ImportRow) (ImportOutcome, error) {
	if err := v.admin(); err != nil {
		return "", err
	}
	row, err := s.Client.Product.Query().Where(product.Sku(in.SKU)).Only(ctx)
	if ent.IsNotFound(err) {
		return s.importNew(ctx, v, in)
	}
	switch {
	case err != nil:
		return "", err
	case in.Off && row.ArchivedAt != nil:
		return ImportUnchanged, nil
	case in.Off:
		_, err := s.Archive(ctx, v, row.ID)
		return ImportArchived, err
	case row.ArchivedAt != nil:
		return "", &Error{Code: InvalidState, Message: fmt.Sprintf("%q was taken off sale for good; use another SKU", in.SKU)}
	}
	return s.importChanges(ctx, v, row, in)
}

func (s *Catalog) importNew(ctx context.Context, v Viewer, in ImportRow) (ImportOutcome, error) {
	if in.Off {
		return ImportSkipped, nil
	}
	create := CreateProduct{SKU: in.SKU, Name: in.Name, Description: in.Description, Price: in.Price}
	if in.Stock != nil {
		create.Stock = *in.Stock
	}
	_, err := s.Create(ctx, v, create)
	return ImportCreated, err
}

func (s *Catalog) importChanges(ctx context.Context, v Viewer, row *ent.Product, in ImportRow) (ImportOutcome, error) {
	outcome := ImportUnchanged
	if row.Name != in.Name || row.Description != in.Description || row.PriceMinor != in.Price.Minor {
		outcome = ImportUpdated
		_, err := s.Update(ctx, v, UpdateProduct{
			ID: row.ID, Version: row.Version, Name: &in.Name, Description: &in.Description, PriceMinor: &in.Price.Minor,
		})
		if err != nil {
			return "", err
		}
	}
	if in.Stock == nil {
		return outcome, nil
	}
	stock, err := s.Stock(ctx, []string{row.ID})
	if err != nil || stock[row.ID] == *in.Stock {
		return outcome, err
	}
	// A new key each time: the difference is computed anew, and only where there is one.
	_, err = s.AdjustStock(ctx, v, AdjustStock{
		Key: uuid.Must(uuid.NewRandom()), ProductID: row.ID, Delta: *in.Stock - stock[row.ID], Reason: "import",
	})
	return ImportUpdated, err
}
