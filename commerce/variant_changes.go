package commerce

import (
	"context"
	"slices"
	"strconv"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"holdfast/ent"
	"holdfast/ent/product"
	"holdfast/ent/productvariant"
	"holdfast/ent/schema"
	"holdfast/lockprovider"
)

// Whoever changes variants has the row of their product locked, and writes what the product says of them: see summarise. So two changes of
// the variants of one product come one after the other.

// lockedProduct locks a product for a change of its variants, and returns it with them in their order, those that are off sale included.
// Errors: NOT_FOUND, which names the field of the input.
func (s *Catalog) lockedProduct(ctx context.Context, tx *ent.Tx, id string, field []string) (*ent.Product, []*ent.ProductVariant, error) {
	query := tx.Product.Query().Where(product.ID(id))
	if s.Ledger.Dialect() != dialect.SQLite { // SQLite has no row locks: BEGIN IMMEDIATE admits one writer at a time
		query.Where(func(rows *entsql.Selector) { rows.For(lockFor[rows.Dialect()]) })
	}
	row, err := orNil(lockRows(ctx, query.Only))
	if err != nil {
		return nil, nil, err
	}
	if row == nil || padded(id) {
		return nil, nil, notFound(field, "product", id)
	}
	variants, err := inOrder(ctx, tx.ProductVariant.Query().Where(productvariant.ProductID(id)))
	return row, variants, err
}

// summarise writes what a product says of its variants: SKU, prices, limit, and how many are on sale. It returns the product. The caller
// has it locked.
func (s *Catalog) summarise(ctx context.Context, tx *ent.Tx, productID string) (*ent.Product, error) {
	all, err := inOrder(ctx, tx.ProductVariant.Query().Where(productvariant.ProductID(productID)))
	if err != nil {
		return nil, err
	}
	listed := slices.DeleteFunc(slices.Clone(all), func(row *ent.ProductVariant) bool { return row.ArchivedAt != nil })
	if len(listed) == 0 {
		listed = all
	}
	low, high, limit := listed[0].PriceMinor, listed[0].PriceMinor, PurchaseLimit{}
	for _, row := range listed {
		low, high = min(low, row.PriceMinor), max(high, row.PriceMinor)
	}
	if len(listed) == 1 {
		limit = limitOf(listed[0])
	}
	return lockRows(ctx, tx.Product.UpdateOneID(productID).SetSku(listed[0].Sku).SetPriceMinor(low).SetMaxPriceMinor(high).
		SetVariantCount(len(listed)).SetLimitQuantity(limit.Quantity).SetLimitHours(limit.Hours).
		AddVersion(1).SetUpdatedAt(s.now()).Save)
}

// updateOnly changes price and limit of the only variant of a product. The caller has the product locked.
func (s *Catalog) updateOnly(ctx context.Context, tx *ent.Tx, row *ent.Product, in UpdateProduct) error {
	if row.VariantCount != 1 {
		field := input("priceMinor")
		if in.PriceMinor == nil {
			field = input("limitPerCustomer")
		}
		return invalid(field, "the product has %d variants: change their prices and limits by productVariantUpdate", row.VariantCount)
	}
	update := tx.ProductVariant.Update().Where(productvariant.ProductID(row.ID), productvariant.ArchivedAtIsNil()).
		SetNillablePriceMinor(in.PriceMinor).AddVersion(1).SetUpdatedAt(s.now())
	if in.Limit != nil {
		update.SetLimitQuantity(in.Limit.Quantity).SetLimitHours(in.Limit.Hours)
	}
	_, err := lockRows(ctx, update.Save)
	return err
}

// setOptions gives the options of a product names, and the product new options. An option stays for ever: without one, variants could have the
// same values. The caller has the product locked, and summarises it.
func (s *Catalog) setOptions(ctx context.Context, tx *ent.Tx, row *ent.Product, options []UpdateOption) error {
	if len(options) < len(row.Options) {
		return invalid(input("options"), "the product has %d options, which stay: name all of them, then new ones", len(row.Options))
	}
	names, added := make([]string, len(options)), []string(nil)
	var errs Errors
	for i, option := range options {
		field := input("options", strconv.Itoa(i), "value")
		names[i] = option.Name
		switch {
		case i < len(row.Options) && option.Value != nil:
			errs = append(errs, invalid(field, "the product has this option: change the values of its variants by productVariantUpdate"))
		case i >= len(row.Options) && option.Value == nil:
			errs = append(errs, invalid(field, "a new option needs the value that the variants of the product get for it"))
		case i >= len(row.Options):
			value := tidyOption(*option.Value)
			errs = append(errs, checkTextAt(field, "the value of an option", value, 1, schema.MaxOption)...)
			added = append(added, value)
		}
	}
	if errs != nil {
		return errs
	}
	if err := lockExec(ctx, tx.Product.UpdateOneID(row.ID).SetOptions(names).Exec); err != nil || added == nil {
		return err
	}
	variants, err := tx.ProductVariant.Query().Where(productvariant.ProductID(row.ID)).Order(productvariant.ByID()).All(ctx)
	if err != nil {
		return err
	}
	for _, v := range variants { // MaxVariants at most
		values := slices.Concat(v.OptionValues, added)
		update := tx.ProductVariant.UpdateOne(v).SetOptionValues(values).SetCombination(combination(values)).AddVersion(1).SetUpdatedAt(s.now())
		if err := lockExec(ctx, update.Exec); err != nil {
			return err
		}
	}
	return nil
}

// AddVariants describes new variants of a product that has options.
type AddVariants struct {
	Key       uuid.UUID // the nil UUID for none
	ProductID string
	Variants  []CreateVariant
}

// AddVariants adds variants to a product, with their stock. Admins only. It returns the product. A repeat with the same key adds none. Errors:
// NOT_FOUND, INVALID_INPUT, also for an SKU or options that exist, IDEMPOTENCY_MISMATCH.
func (s *Catalog) AddVariants(ctx context.Context, v Viewer, in AddVariants) (*ent.Product, error) {
	if err := v.admin(); err != nil {
		return nil, err
	}
	in.Variants = tidyVariants(in.Variants)
	op := newOperation(v, "productVariantsCreate", in.Key, in).waitingBriefly()
	row, err := changeOnce(ctx, s.core, op, in.ProductID, s.Client.Product.Get, func(tx *ent.Tx) (*ent.Product, error) {
		row, already, err := s.lockedProduct(ctx, tx, in.ProductID, input("productId"))
		if err != nil {
			return nil, err
		}
		if errs := s.checkVariants(in.Variants, len(row.Options), already); errs != nil {
			return nil, errs
		}
		next := already[len(already)-1].Position + 1
		creations := make([]*ent.ProductVariantCreate, len(in.Variants))
		stock := make(map[string]lockprovider.Bounds, len(in.Variants))
		for i, variant := range in.Variants {
			id := newID(prefixVariant)
			creations[i] = s.variantCreation(tx, row.ID, id, next+i, variant)
			stock[lockprovider.StockKey(id)] = unbounded(variant.Stock)
		}
		if err := s.insertVariants(ctx, tx, creations, stock); err != nil {
			return nil, err
		}
		if row, err = s.summarise(ctx, tx, row.ID); err != nil {
			return nil, err
		}
		return row, s.Index(ctx, tx, row)
	})
	if ent.IsConstraintError(err) {
		err = s.whichSKUExists(ctx, in.Variants)
	}
	return row, err
}

// UpdateVariant changes what is given; nil leaves as it is.
type UpdateVariant struct {
	Key        uuid.UUID // the nil UUID for none
	ID         string
	Version    int // the version that the caller saw
	Options    []string
	PriceMinor *int64
	Limit      *PurchaseLimit
}

// UpdateVariant changes a variant. Admins only. A repeat with the same key changes nothing and returns the variant as it is now. Errors:
// NOT_FOUND, INVALID_INPUT, IDEMPOTENCY_MISMATCH, VERSION_CONFLICT if somebody else changed it since the caller looked.
func (s *Catalog) UpdateVariant(ctx context.Context, v Viewer, in UpdateVariant) (*ent.ProductVariant, error) {
	if err := v.admin(); err != nil {
		return nil, err
	}
	in.Options = tidyOptions(in.Options)
	var errs Errors
	if in.PriceMinor != nil {
		errs = append(errs, checkPrice(*in.PriceMinor, input("priceMinor"))...)
	}
	if in.Limit != nil {
		errs = append(errs, in.Limit.check(input)...)
	}
	if errs != nil {
		return nil, errs
	}
	op := newOperation(v, "productVariantUpdate", in.Key, in).waitingBriefly()
	return s.changeVariant(ctx, op, in.ID, func(tx *ent.Tx, of *ent.Product, row *ent.ProductVariant, all []*ent.ProductVariant) (bool, error) {
		if row.Version != in.Version {
			return false, versionConflict("variant", row.Version)
		}
		update := tx.ProductVariant.UpdateOne(row).SetNillablePriceMinor(in.PriceMinor).AddVersion(1).SetUpdatedAt(s.now())
		if in.Limit != nil {
			update.SetLimitQuantity(in.Limit.Quantity).SetLimitHours(in.Limit.Hours)
		}
		if in.Options != nil {
			if errs := checkOptionValues(in.Options, len(of.Options), input("options")); errs != nil {
				return false, errs
			}
			key := combination(in.Options)
			if slices.ContainsFunc(all, func(other *ent.ProductVariant) bool { return other.ID != row.ID && other.Combination == key }) {
				return false, combinationExists(input("options"), in.Options)
			}
			update.SetOptionValues(in.Options).SetCombination(key)
		}
		_, err := lockRows(ctx, update.Save)
		return true, err
	})
}

// ArchiveVariant takes a variant off sale; its history stays, and so does its stock. Admins only. It does nothing to one that is off sale.
// Errors: NOT_FOUND, INVALID_STATE of the last variant that is on sale, IDEMPOTENCY_MISMATCH.
func (s *Catalog) ArchiveVariant(ctx context.Context, v Viewer, in ArchiveProduct) (*ent.ProductVariant, error) {
	return s.setVariantArchived(ctx, v, "productVariantArchive", in, true)
}

// UnarchiveVariant puts a variant back on sale, with the stock that it has. Admins only. It does nothing to one that is on sale. Errors:
// NOT_FOUND, IDEMPOTENCY_MISMATCH.
func (s *Catalog) UnarchiveVariant(ctx context.Context, v Viewer, in ArchiveProduct) (*ent.ProductVariant, error) {
	return s.setVariantArchived(ctx, v, "productVariantUnarchive", in, false)
}

func (s *Catalog) setVariantArchived(ctx context.Context, v Viewer, operation string, in ArchiveProduct, archived bool) (*ent.ProductVariant, error) {
	if err := v.admin(); err != nil {
		return nil, err
	}
	op := newOperation(v, operation, in.Key, in).waitingBriefly()
	return s.changeVariant(ctx, op, in.ID, func(tx *ent.Tx, of *ent.Product, row *ent.ProductVariant, _ []*ent.ProductVariant) (bool, error) {
		update := tx.ProductVariant.UpdateOne(row).AddVersion(1).SetUpdatedAt(s.now())
		switch {
		case archived == (row.ArchivedAt != nil):
			return false, nil
		case archived && of.VariantCount == 1:
			return false, &Error{
				Code: InvalidState, Field: input("id"), Retryable: true, // when another one is on sale
				Message: "this is the last variant of the product that is on sale: archive the product, by productArchive",
			}
		case archived:
			update.SetArchivedAt(s.now())
		default:
			update.ClearArchivedAt()
		}
		_, err := lockRows(ctx, update.Save)
		return true, err
	})
}

// changeVariant changes a variant, of which the product is locked and whose siblings are known, once under the key of the operation. change
// reports whether it has changed anything.
func (s *Catalog) changeVariant(
	ctx context.Context, op operation, id string,
	change func(tx *ent.Tx, of *ent.Product, row *ent.ProductVariant, all []*ent.ProductVariant) (bool, error),
) (*ent.ProductVariant, error) {
	known, err := s.Variant(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case known == nil:
		return nil, notFound(input("id"), "variant", id)
	}
	if _, err := s.once(ctx, op, func(tx *ent.Tx) error {
		of, all, err := s.lockedProduct(ctx, tx, known.ProductID, input("id"))
		if err != nil {
			return err
		}
		row := all[slices.IndexFunc(all, func(row *ent.ProductVariant) bool { return row.ID == id })]
		changed, err := change(tx, of, row, all)
		if err != nil || !changed {
			return err
		}
		if of, err = s.summarise(ctx, tx, of.ID); err != nil {
			return err
		}
		return s.Index(ctx, tx, of)
	}); err != nil {
		return nil, err
	}
	return s.Variant(ctx, id)
}
