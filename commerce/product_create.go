package commerce

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"holdfast/ent"
	"holdfast/ent/productvariant"
	"holdfast/ent/schema"
	"holdfast/lockprovider"
)

// CreateProduct describes a new product. It has either what the only variant is, or options and variants.
type CreateProduct struct {
	Key                    uuid.UUID // the nil UUID for none
	SKU, Name, Description string
	Price                  Money
	Stock                  int64
	Limit                  *PurchaseLimit  `json:",omitempty"` // nil for none
	Options                []string        `json:",omitempty"` // their names
	Variants               []CreateVariant `json:",omitempty"`
	Attributes
	id string // demo data choose theirs
}

// CreateVariant describes a new variant of a product.
type CreateVariant struct {
	SKU     string
	Options []string // their values, one for each option of the product
	Price   Money
	Stock   int64
	Limit   *PurchaseLimit // nil for none
	id      string         // demo data choose theirs, but for the first one
}

var errSKUExists = errors.New("the SKU is taken")

// Create adds a product with its variants and their stock. Admins only. A repeat with the same key returns the first one, as it is now.
// Errors: INVALID_INPUT, also for an SKU that exists, IDEMPOTENCY_MISMATCH, IDEMPOTENCY_EXPIRED.
func (s *Catalog) Create(ctx context.Context, v Viewer, in CreateProduct) (*ent.Product, error) {
	if err := v.admin(); err != nil {
		return nil, err
	}
	in.SKU, in.Name = strings.TrimSpace(in.SKU), strings.TrimSpace(in.Name)
	in.Options, in.Variants = tidyOptions(in.Options), tidyVariants(in.Variants)
	var errs Errors
	in.Attributes, errs = in.tidied()
	if err := s.checkProduct(in, errs); err != nil {
		return nil, err
	}
	op := newOperation(v, "productCreate", in.Key, in).waitingBriefly()
	if in.id == "" {
		in.id = op.objectID(prefixProduct)
	}
	for try := 1; ; try++ {
		row, err := s.createOnce(ctx, op, in, try)
		if !ent.IsConstraintError(err) {
			return row, err
		}
		if refusal := s.refusedCreation(ctx, op, in, err); !errors.Is(refusal, err) || try == handleTries {
			return nil, refusal
		}
	}
}

// handleTries bounds how often a handle is made, because another product has got it meanwhile.
const handleTries = 10

func (s *Catalog) createOnce(ctx context.Context, op operation, in CreateProduct, try int) (row *ent.Product, err error) {
	repeat, err := s.once(ctx, op, func(tx *ent.Tx) (err error) {
		if err := in.chooseHandle(ctx, tx, try); err != nil {
			return err
		}
		made := s.creation(tx, in)
		if row, err = lockRows(ctx, made.product.Save); err != nil {
			return err
		}
		if err := s.insertVariants(ctx, tx, made.variants, made.stock); err != nil {
			return err
		}
		if err := in.write(ctx, tx, row.ID); err != nil {
			return err
		}
		return s.Index(ctx, tx, row)
	})
	if repeat {
		return s.Client.Product.Get(ctx, in.id)
	}
	return row, err
}

// refusedCreation returns the refusal that a violated constraint stands for, or err if it is none: then a handle that was made of the
// name has got taken meanwhile.
func (s *Catalog) refusedCreation(ctx context.Context, op operation, in CreateProduct, err error) error {
	made, merr := s.Product(ctx, in.id)
	switch {
	case merr != nil:
		return merr
	case made != nil && op.keyed():
		return keyExpired()
	}
	taken, terr := s.takenSKUs(ctx, in)
	if terr != nil {
		return terr
	}
	if taken != nil {
		return taken
	}
	return s.refused(ctx, in.Attributes, in.id, err)
}

// takenSKUs names the SKUs of a new product that others have; nil if there are none.
func (s *Catalog) takenSKUs(ctx context.Context, in CreateProduct) (taken Errors, err error) {
	if len(in.Variants) > 0 {
		return s.existingSKUs(ctx, in.Variants)
	}
	taken, err = s.existingSKUs(ctx, []CreateVariant{{SKU: in.SKU}})
	for _, e := range taken {
		e.Field = input("sku")
	}
	return taken, err
}

// insertVariants writes new variants, and opens their stock. They are few enough for one statement: [MaxVariants], or [MaxImport].
func (s *Catalog) insertVariants(ctx context.Context, tx *ent.Tx, variants []*ent.ProductVariantCreate, stock map[string]lockprovider.Bounds) error {
	if err := lockExec(ctx, tx.ProductVariant.CreateBulk(variants...).Exec); err != nil {
		return err
	}
	return s.Ledger.Open(ctx, tx, stock)
}

// lockExec is lockRows for a statement without a result.
func lockExec(ctx context.Context, statement func(ctx context.Context) error) error {
	_, err := lockRows(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, statement(ctx) })
	return err
}

func skuExists(field []string, sku string) *Error {
	exists := invalid(field, "a product with the SKU %.64q exists", sku)
	exists.cause = errSKUExists
	return exists
}

// existingSKUs names the new variants whose SKUs others have.
func (s *Catalog) existingSKUs(ctx context.Context, variants []CreateVariant) (Errors, error) {
	skus := make([]string, len(variants))
	for i, v := range variants {
		skus[i] = v.SKU
	}
	rows, err := s.Client.ProductVariant.Query().Where(productvariant.SkuIn(skus...)).All(ctx)
	if err != nil {
		return nil, err
	}
	var errs Errors
	for i, sku := range skus {
		if slices.ContainsFunc(rows, func(row *ent.ProductVariant) bool {
			return strings.TrimRight(row.Sku, " ") == strings.TrimRight(sku, " ")
		}) {
			errs = append(errs, skuExists(variantField(i, "sku"), sku))
		}
	}
	return errs, nil
}

// whichSKUExists is the refusal of new variants of a product: their SKUs that others have.
func (s *Catalog) whichSKUExists(ctx context.Context, variants []CreateVariant) error {
	switch errs, err := s.existingSKUs(ctx, variants); {
	case err != nil:
		return err
	case errs != nil:
		return errs
	default: // it was there a moment ago
		return &Error{Code: VersionConflict, Message: "somebody else has changed the variants at the same time", Retryable: true, RetryAfter: retrySoon}
	}
}

// creation is the rows of a new product.
type creation struct {
	product  *ent.ProductCreate
	variants []*ent.ProductVariantCreate
	stock    map[string]lockprovider.Bounds
}

func (s *Catalog) creation(tx *ent.Tx, in CreateProduct) creation {
	variants := in.Variants
	if len(variants) == 0 {
		variants = []CreateVariant{{SKU: in.SKU, Price: in.Price, Stock: in.Stock, Limit: in.Limit}}
	}
	low, high := variants[0].Price.Minor, variants[0].Price.Minor
	made := creation{stock: make(map[string]lockprovider.Bounds, len(variants))}
	for i, v := range variants {
		id := lockprovider.FirstVariantID(in.id)
		if i > 0 {
			id = cmp.Or(v.id, newID(prefixVariant))
		}
		low, high = min(low, v.Price.Minor), max(high, v.Price.Minor)
		made.variants = append(made.variants, s.variantCreation(tx, in.id, id, i, v))
		made.stock[lockprovider.StockKey(id)] = unbounded(v.Stock)
	}
	made.product = tx.Product.Create().SetID(in.id).SetSku(variants[0].SKU).SetName(in.Name).SetDescription(in.Description).
		SetPriceMinor(low).SetMaxPriceMinor(high).SetCurrency(s.Shop.Currency).SetVariantCount(len(variants)).
		SetCreatedAt(s.now()).SetUpdatedAt(s.now())
	if len(in.Options) > 0 {
		made.product.SetOptions(in.Options)
	}
	made.product.SetNillableHandle(in.Handle).SetNillableVendor(in.Vendor).SetNillableProductType(in.ProductType)
	if len(in.Tags) > 0 {
		made.product.SetTags(in.Tags)
	}
	if limit := variants[0].Limit; limit != nil && len(variants) == 1 {
		made.product.SetLimitQuantity(limit.Quantity).SetLimitHours(limit.Hours)
	}
	return made
}

func (s *Catalog) variantCreation(tx *ent.Tx, productID, id string, position int, v CreateVariant) *ent.ProductVariantCreate {
	create := tx.ProductVariant.Create().SetID(id).SetProductID(productID).SetSku(v.SKU).SetPriceMinor(v.Price.Minor).
		SetCurrency(v.Price.Currency).SetPosition(position).SetCombination(combination(v.Options)).SetCreatedAt(s.now()).SetUpdatedAt(s.now())
	if len(v.Options) > 0 {
		create.SetOptionValues(v.Options)
	}
	if v.Limit != nil {
		create.SetLimitQuantity(v.Limit.Quantity).SetLimitHours(v.Limit.Hours)
	}
	return create
}

// checkProduct returns what is wrong with a product, besides what is known already.
func (s *Catalog) checkProduct(in CreateProduct, errs Errors) error {
	errs = append(errs, checkTexts(in.Name, in.Description)...)
	if len(in.Variants) == 0 && len(in.Options) == 0 {
		if in.SKU == "" && in.Price == (Money{}) {
			return append(errs, invalid(input("sku"), "a product has sku and price, or options and variants: give one or the other"))
		}
		errs = append(errs, s.checkVariant(CreateVariant{SKU: in.SKU, Price: in.Price, Stock: in.Stock, Limit: in.Limit}, input)...)
	} else {
		if in.SKU != "" || in.Price != (Money{}) || in.Stock != 0 || in.Limit != nil {
			errs = append(errs, invalid(input("variants"),
				"sku, price, stock and limitPerCustomer are of a product without variants: give them with each variant instead"))
		}
		errs = append(errs, checkOptionNames(in.Options, func(i int) []string { return input("options", strconv.Itoa(i)) })...)
		errs = append(errs, s.checkVariants(in.Variants, len(in.Options), nil)...)
	}
	if errs != nil {
		return errs
	}
	return nil
}

// checkVariants refuses new variants that a product, which has options and variants already, cannot have.
func (s *Catalog) checkVariants(variants []CreateVariant, options int, already []*ent.ProductVariant) (errs Errors) {
	switch n := len(variants) + len(already); {
	case len(variants) == 0:
		return Errors{invalid(input("variants"), "variants must have at least one variant")}
	case n > MaxVariants:
		return Errors{invalid(input("variants"), "a product has at most %d variants, those that are off sale included, and would have %d", MaxVariants, n)}
	case options == 0 && n > 1:
		return Errors{invalid(input("options"), "a product with several variants needs options, such as Size")}
	}
	seen, skus := map[string]bool{}, map[string]bool{}
	for _, row := range already {
		seen[row.Combination] = true
	}
	for i, v := range variants {
		at := func(path ...string) []string { return variantField(i, path...) }
		errs = append(errs, s.checkVariant(v, at)...)
		errs = append(errs, checkOptionValues(v.Options, options, at("options"))...)
		key := combination(v.Options)
		switch {
		case skus[v.SKU]:
			errs = append(errs, invalid(at("sku"), "another variant of the request has the SKU %.64q", v.SKU))
		case seen[key]:
			errs = append(errs, combinationExists(at("options"), v.Options))
		}
		skus[v.SKU], seen[key] = true, true
	}
	return errs
}

func variantField(i int, path ...string) []string {
	return append(input("variants", strconv.Itoa(i)), path...)
}

func combinationExists(field []string, values []string) *Error {
	return invalid(field, "another variant of the product, perhaps one that is off sale, has the options %.200q", strings.Join(values, schema.TitleSeparator))
}

// checkVariant refuses what no variant has. at names its fields.
func (s *Catalog) checkVariant(v CreateVariant, at func(path ...string) []string) (errs Errors) {
	errs = append(errs, checkTextAt(at("sku"), "sku", v.SKU, 1, schema.MaxSKU)...)
	errs = append(errs, checkPrice(v.Price.Minor, at("price", "amountMinor"))...)
	if v.Price.Currency != s.Shop.Currency {
		errs = append(errs, invalid(at("price", "currency"), "this shop sells in %s, not %.10q", s.Shop.Currency, v.Price.Currency))
	}
	if v.Limit != nil {
		errs = append(errs, v.Limit.check(at)...)
	}
	if v.Stock < 0 || v.Stock > MaxStock {
		errs = append(errs, invalid(at("stock"), "stock must be 0 to %d, not %d", int64(MaxStock), v.Stock))
	}
	return errs
}
