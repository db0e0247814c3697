package commerce

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	entsql "entgo.io/ent/dialect/sql"
	"github.com/google/uuid"
	"golang.org/x/sync/singleflight"

	"holdfast/commerce/textsearch"
	"holdfast/ent"
	"holdfast/ent/product"
	"holdfast/ent/productvariant"
	"holdfast/ent/schema"
	"holdfast/lockprovider"
)

// MaxPrice bounds a price, in minor units, so that an order of the greatest size still adds up exactly.
const MaxPrice = 1_000_000_000_00

// MaxStock bounds the stock a product is created with or adjusted by.
const MaxStock = 1_000_000_000_000

// maxSearch bounds what is searched for, in characters: databases refuse patterns that are too long, each in its own way.
const maxSearch = schema.MaxSKU

// maxAdjustReason is the most characters of the reason of an adjustment.
const maxAdjustReason = 200

// Catalog is the products, their stock, and their categories.
type Catalog struct {
	*core
	reads     singleflight.Group
	documents *searchDocuments
	tree      atomic.Pointer[CategoryTree] // as this instance has read it last
}

func checkTexts(name, description string) Errors {
	return append(checkText("name", name, 1, schema.MaxProductName), checkText("description", description, 0, schema.MaxDescription)...)
}

// checkText refuses a text of an input field that has too few characters or too many. A character is a Unicode code point.
func checkText(field, text string, atLeast, atMost int) Errors {
	return checkTextAt(input(field), field, text, atLeast, atMost)
}

// checkTextAt is checkText for a field anywhere in the input. what says which text it is.
func checkTextAt(field []string, what, text string, atLeast, atMost int) Errors {
	n := utf8.RuneCountInString(text)
	switch {
	case n >= atLeast && n <= atMost:
		return nil
	case atLeast == 0:
		return Errors{invalid(field, "%s must have at most %d characters, not %d", what, atMost, n)}
	}
	return Errors{invalid(field, "%s must have %d to %d characters, not %d", what, atLeast, atMost, n)}
}

func checkPrice(minor int64, field []string) Errors {
	if minor < 0 || minor > MaxPrice {
		return Errors{invalid(field, "price must be 0 to %d minor units, not %d", int64(MaxPrice), minor)}
	}
	return nil
}

// UpdateProduct changes what is given; nil leaves as it is.
type UpdateProduct struct {
	Key         uuid.UUID // the nil UUID for none
	ID          string
	Version     int // the version that the caller saw
	Name        *string
	Description *string
	PriceMinor  *int64         // of the only variant
	Limit       *PurchaseLimit `json:",omitempty"` // of the only variant
	Options     []UpdateOption `json:",omitempty"` // nil leaves them as they are
	Attributes
}

// UpdateOption is an option that a product is to have.
type UpdateOption struct {
	Name  string
	Value *string // that variants get for an option that is new
}

// Update changes a product. Admins only. A repeat with the same key changes nothing and returns the product as it is now. Errors:
// NOT_FOUND, INVALID_INPUT, IDEMPOTENCY_MISMATCH, VERSION_CONFLICT if somebody else changed it since the caller looked.
func (s *Catalog) Update(ctx context.Context, v Viewer, in UpdateProduct) (*ent.Product, error) {
	if err := v.admin(); err != nil {
		return nil, err
	}
	var errs Errors
	in.Attributes, errs = in.tidied()
	if in.Name != nil || in.Description != nil {
		name, description := "kept", ""
		if in.Name != nil {
			name = strings.TrimSpace(*in.Name)
			in.Name = &name
		}
		if in.Description != nil {
			description = *in.Description
		}
		errs = append(errs, checkTexts(name, description)...)
	}
	if in.PriceMinor != nil {
		errs = append(errs, checkPrice(*in.PriceMinor, input("priceMinor"))...)
	}
	if in.Limit != nil {
		errs = append(errs, in.Limit.check(input)...)
	}
	in.Options = slices.Clone(in.Options)
	names := make([]string, len(in.Options))
	for i := range in.Options {
		in.Options[i].Name = tidyOption(in.Options[i].Name)
		names[i] = in.Options[i].Name
	}
	errs = append(errs, checkOptionNames(names, func(i int) []string { return input("options", strconv.Itoa(i), "name") })...)
	if errs != nil {
		return nil, errs
	}
	op := newOperation(v, "productUpdate", in.Key, in).waitingBriefly()
	row, err := changeOnce(ctx, s.core, op, in.ID, s.Client.Product.Get, func(tx *ent.Tx) (*ent.Product, error) {
		if err := in.checkDerived(ctx, tx, in.ID); err != nil {
			return nil, err
		}
		update := tx.Product.Update().Where(product.ID(in.ID), product.Version(in.Version)).
			SetNillableHandle(in.Handle).
			SetNillableName(in.Name).SetNillableDescription(in.Description).SetUpdatedAt(s.now())
		ofVariants := in.PriceMinor != nil || in.Limit != nil || in.Options != nil
		if !ofVariants { // else the summary counts the update
			update.AddVersion(1)
		}
		n, err := lockRows(ctx, in.set(update).Save)
		if err != nil {
			return nil, err
		}
		row, err := existingProduct(ctx, tx, in.ID)
		switch {
		case err != nil:
			return nil, err
		case n == 0:
			return nil, versionConflict("product", row.Version)
		}
		if err := in.write(ctx, tx, row.ID); err != nil {
			return nil, err
		}
		if in.Options != nil {
			if err := s.setOptions(ctx, tx, row, in.Options); err != nil {
				return nil, err
			}
		}
		if in.PriceMinor != nil || in.Limit != nil {
			if err := s.updateOnly(ctx, tx, row, in); err != nil {
				return nil, err
			}
		}
		if ofVariants {
			if row, err = s.summarise(ctx, tx, row.ID); err != nil {
				return nil, err
			}
		}
		return row, s.Index(ctx, tx, row)
	})
	return row, s.refused(ctx, in.Attributes, in.ID, err)
}

// existingProduct returns a product as a transaction sees it, or NOT_FOUND.
func existingProduct(ctx context.Context, tx *ent.Tx, id string) (*ent.Product, error) {
	row, err := tx.Product.Get(ctx, id)
	return existing(row, err, "product", id)
}

// ArchiveProduct names a product to take off sale, or to put back on sale.
type ArchiveProduct struct {
	Key uuid.UUID // the nil UUID for none
	ID  string
}

// Archive takes a product off sale; its history stays. Admins only. It does nothing to one that is off sale. Errors:
// NOT_FOUND, IDEMPOTENCY_MISMATCH.
func (s *Catalog) Archive(ctx context.Context, v Viewer, in ArchiveProduct) (*ent.Product, error) {
	return s.setArchived(ctx, v, "productArchive", in, true)
}

// Unarchive puts a product back on sale, with the stock that it has. Admins only. It does nothing to one that is on sale. Errors:
// NOT_FOUND, IDEMPOTENCY_MISMATCH.
func (s *Catalog) Unarchive(ctx context.Context, v Viewer, in ArchiveProduct) (*ent.Product, error) {
	return s.setArchived(ctx, v, "productUnarchive", in, false)
}

func (s *Catalog) setArchived(ctx context.Context, v Viewer, operation string, in ArchiveProduct, archived bool) (*ent.Product, error) {
	if err := v.admin(); err != nil {
		return nil, err
	}
	op := newOperation(v, operation, in.Key, in).waitingBriefly()
	return changeOnce(ctx, s.core, op, in.ID, s.Client.Product.Get, func(tx *ent.Tx) (*ent.Product, error) {
		update := tx.Product.Update().Where(product.ID(in.ID)).AddVersion(1).SetUpdatedAt(s.now())
		if archived {
			update.Where(product.ArchivedAtIsNil()).SetArchivedAt(s.now())
		} else {
			update.Where(product.ArchivedAtNotNil()).ClearArchivedAt()
		}
		changed, err := lockRows(ctx, update.Save)
		if err != nil {
			return nil, err
		}
		row, err := existingProduct(ctx, tx, in.ID)
		if err != nil || changed == 0 { // then the row is not locked
			return row, err
		}
		return row, s.Index(ctx, tx, row)
	})
}

// AdjustStock adds to the stock of a variant, or takes from it. It names the variant, or the product if that has one variant only.
type AdjustStock struct {
	Key       uuid.UUID
	ProductID string
	VariantID string `json:",omitempty"`
	Delta     int64
	Reason    string
}

// StockResult is a variant, with its product, after its stock was adjusted.
type StockResult struct {
	Variant *ent.ProductVariant
	Meta    Meta
}

// AdjustStock changes the stock through the same strategy as every sale. Admins only. Errors: NOT_FOUND, INVALID_INPUT,
// OUT_OF_STOCK if less is left than is to be taken.
func (s *Catalog) AdjustStock(ctx context.Context, v Viewer, in AdjustStock) (StockResult, error) {
	if err := v.admin(); err != nil {
		return StockResult{}, err
	}
	if in.Delta == 0 || in.Delta > MaxStock || in.Delta < -MaxStock {
		return StockResult{}, invalid(input("delta"), "delta must be 1 to %d, up or down, not %d", int64(MaxStock), in.Delta)
	}
	if errs := checkText("reason", in.Reason, 0, maxAdjustReason); errs != nil {
		return StockResult{}, errs
	}
	row, err := s.variantToAdjust(ctx, in)
	if err != nil {
		return StockResult{}, err
	}
	receipt, err := s.execute(ctx, lockprovider.Change{
		ID: operationID(v, "stockAdjust", in.Key), Family: lockprovider.Stock,
		Moves: []lockprovider.Move{{Balance: lockprovider.StockKey(row.ID), Delta: in.Delta}},
		Record: lockprovider.Record{
			Kind: KindStockAdjusted,
			Payload: mustJSON(stockAdjusted{
				ProductID: row.ProductID, VariantID: row.ID, Delta: in.Delta, Reason: in.Reason, By: v.UserID, At: s.now(),
			}),
			Fingerprint: fingerprint(in),
		},
	})
	err = refusals(err, func(r lockprovider.Refusal) *Error {
		if r.Delta > 0 {
			return noRoom(input("delta"), "the stock can take %d more, not %d", r.Available, r.Delta)
		}
		return outOfStock(row.ProductID, row.ID, -r.Delta, r.Available, input("delta"))
	})
	return StockResult{Variant: row, Meta: metaOf(receipt)}, err
}

// variantToAdjust returns the variant that an adjustment names, on sale or not.
func (s *Catalog) variantToAdjust(ctx context.Context, in AdjustStock) (*ent.ProductVariant, error) {
	switch {
	case in.ProductID == "" && in.VariantID == "":
		return nil, invalid(input("variantId"), "variantId is needed: whose stock is it?")
	case in.ProductID != "" && in.VariantID != "":
		return nil, invalid(input("productId"), "give a variantId or a productId, not both: leave productId out")
	case in.VariantID != "":
		row, err := s.Variant(ctx, in.VariantID)
		if err == nil && row == nil {
			return nil, notFound(input("variantId"), "variant", in.VariantID)
		}
		return row, err
	}
	found, err := s.lookUp(ctx, nil, []string{in.ProductID})
	row := found.byProduct[in.ProductID]
	switch {
	case err != nil:
		return nil, err
	case row == nil:
		return nil, notFound(input("productId"), "product", in.ProductID)
	case row.Edges.Product.VariantCount > 1:
		return nil, severalVariants(input("productId"), in.ProductID, row.Edges.Product.VariantCount)
	}
	return row, nil
}

func outOfStock(productID, variantID string, requested, available int64, field []string) *Error {
	e := invalid(field, "%d are left, %d were asked", available, requested)
	e.Code, e.Retryable = OutOfStock, true // after a restock
	e.Details = OutOfStockDetails{ProductID: productID, VariantID: variantID, Requested: requested, Available: available}
	return e
}

// Product returns a product, archived ones included, or nil if there is none.
func (s *Catalog) Product(ctx context.Context, id string) (*ent.Product, error) {
	if padded(id) {
		return nil, nil
	}
	return orNil(s.Client.Product.Get(ctx, id))
}

// Show returns a product that the viewer may look up, or nil if there is none: one that is off sale is for administrators. Orders
// show it to their customers all the same.
func (s *Catalog) Show(ctx context.Context, v Viewer, id string) (*ent.Product, error) {
	byID, err := s.ShowAll(ctx, v, []string{id})
	return byID[id], err
}

// ShowAll is Show for several products. It returns those that the viewer may look up, by their IDs.
func (s *Catalog) ShowAll(ctx context.Context, v Viewer, ids []string) (map[string]*ent.Product, error) {
	byID, err := s.ProductsByID(ctx, ids)
	maps.DeleteFunc(byID, func(_ string, row *ent.Product) bool { return row.ArchivedAt != nil && !v.Admin })
	return byID, err
}

// ProductsByID returns those of the products that exist.
func (s *Catalog) ProductsByID(ctx context.Context, ids []string) (map[string]*ent.Product, error) {
	rows, err := s.Client.Product.Query().Where(product.IDIn(ids...)).All(ctx)
	if err != nil {
		return nil, err
	}
	byID := make(map[string]*ent.Product, len(rows))
	for _, row := range rows {
		byID[row.ID] = row
	}
	return byID, nil
}

// ProductOrder is what a list of products is sorted by.
type ProductOrder string

// The orders.
const (
	NewestFirst     ProductOrder = "NEWEST"
	OldestFirst     ProductOrder = "OLDEST"
	ByName          ProductOrder = "NAME"
	ByNameReversed  ProductOrder = "NAME_DESC"
	PriceAscending  ProductOrder = "PRICE_ASC"
	PriceDescending ProductOrder = "PRICE_DESC"
)

// ProductQuery asks for a list of products.
type ProductQuery struct {
	// Search finds the products that have, for each of its words, a word in their name, SKU, vendor, type or tags that begins with it,
	// whatever the case and the accents; see package textsearch. Nothing and blanks find all.
	Search string
	ProductFilter
	Order ProductOrder // "" means NewestFirst
	Page  Page
}

// ProductFilter leaves out products.
type ProductFilter struct {
	IncludeArchived bool `json:",omitempty"`
	// MinPrice and MaxPrice are in minor units, and belong to the range; nil for none.
	MinPrice, MaxPrice *int64 `json:",omitempty"`
	// Available leaves out what is sold out, or, if it is false, what is not; nil leaves out nothing. It goes by the database: under a
	// strategy that decides in Redis, it is behind by the changes that are in flight.
	Available *bool `json:",omitempty"`
	// CategoryID leaves out what is neither in the category nor in one beneath it; "" for all.
	CategoryID string `json:",omitempty"`
	// Vendor, ProductType and Tag leave out what has others, whatever the case; "" for all.
	Vendor, ProductType, Tag string `json:",omitempty"`
}

// cursorFilter is what cursors of a list of products are bound to. Filters are compared by what is in them.
type cursorFilter struct{ Words, Filter string }

func (q ProductQuery) bind(l listing, words []string) listing {
	filter := cursorFilter{Words: strings.Join(words, " ")}
	if q.ProductFilter != (ProductFilter{}) {
		filter.Filter = string(mustJSON(q.ProductFilter))
	}
	return filtered(l, filter)
}

// Products is one page of the catalogue. Errors: INVALID_INPUT of a page, of a range of prices that has no price, and of a search that is
// too long or has no words. Filters by a category, a vendor, a type or a tag are answered by the search index, too.
func (s *Catalog) Products(ctx context.Context, q ProductQuery) (PageOf[*ent.Product], error) {
	order := q.Order
	if _, known := productOrders[order]; !known {
		order = NewestFirst
	}
	if q.MinPrice != nil && q.MaxPrice != nil && *q.MinPrice > *q.MaxPrice {
		return PageOf[*ent.Product]{}, invalid([]string{"filter", "price"}, "minMinor must not be above maxMinor: %d, %d", *q.MinPrice, *q.MaxPrice)
	}
	words, err := searchWords(q.Search)
	if err != nil {
		return PageOf[*ent.Product]{}, err
	}
	if errs := q.checkTexts(); errs != nil {
		return PageOf[*ent.Product]{}, errs
	}
	sorting := productOrders[order]
	asked, err := q.Page.of(q.bind(listing{"products:" + string(order), sorting.by, sorting.column, sorting.descending}, words))
	if err != nil {
		return PageOf[*ent.Product]{}, err
	}
	if words != nil || q.byTerms() || q.Available != nil && s.documents.areRead() {
		return s.searched(ctx, words, q, asked)
	}
	rows, err := s.selected(q).Where(asked.within).Order(asked.sorted).Limit(asked.limit()).All(ctx)
	if err != nil {
		return PageOf[*ent.Product]{}, err
	}
	list := pageOf(rows, asked, sorting.at)
	list.Count = counts(func() *ent.ProductQuery { return s.selected(q) })
	return list, nil
}

// searched is one page of what a search finds.
func (s *Catalog) searched(ctx context.Context, words []string, q ProductQuery, asked span) (PageOf[*ent.Product], error) {
	hits, err := s.search(ctx, words, q, asked)
	if err != nil {
		return PageOf[*ent.Product]{}, err
	}
	found := pageOf(hits, asked, hit.position)
	list := PageOf[*ent.Product]{Cursors: found.Cursors, HasNext: found.HasNext, HasPrevious: found.HasPrevious}
	for _, h := range found.Items {
		list.Items = append(list.Items, h.Product)
	}
	list.Count = counting(func(ctx context.Context, limit int) (int, error) {
		return s.countHits(ctx, words, q, asked.listing, limit)
	})
	return list, nil
}

// searchWords returns the words of a search; nil if there is nothing to search for.
func searchWords(search string) ([]string, error) {
	field := []string{"filter", "search"}
	if n := utf8.RuneCountInString(search); n > maxSearch {
		return nil, invalid(field, "search must have at most %d characters, not %d", maxSearch, n)
	}
	if strings.TrimSpace(search) == "" {
		return nil, nil
	}
	words := textsearch.Query(search)
	if len(words) == 0 {
		return nil, invalid(field, "search must have a letter, a digit or a symbol; leave it out to list all products")
	}
	return words, nil
}

// selected returns a query for the products that a filter leaves.
func (s *Catalog) selected(q ProductQuery) *ent.ProductQuery {
	query := s.Client.Product.Query()
	if !q.IncludeArchived {
		query.Where(product.ArchivedAtIsNil())
	}
	if q.MinPrice != nil || q.MaxPrice != nil {
		query.Where(q.priced)
	}
	if q.Available != nil {
		query.Where(func(rows *entsql.Selector) {
			condition := canBeBought(rows.Dialect(), rows.C(product.FieldID))
			if !*q.Available {
				condition = "NOT " + condition
			}
			rows.Where(entsql.ExprP(condition))
		})
	}
	return query
}

// priced selects products of which the price of a variant on sale is in the range. Those of most are told by the product.
func (f ProductFilter) priced(rows *entsql.Selector) {
	low, high := int64(0), int64(MaxPrice)
	if f.MinPrice != nil {
		low = max(low, *f.MinPrice)
	}
	if f.MaxPrice != nil {
		high = *f.MaxPrice
	}
	v := entsql.Dialect(rows.Dialect()).Table(productvariant.Table).As("priced")
	inRange := entsql.Dialect(rows.Dialect()).Select(v.C(productvariant.FieldID)).From(v).Where(entsql.And(
		entsql.ColumnsEQ(v.C(productvariant.FieldProductID), rows.C(product.FieldID)), entsql.IsNull(v.C(productvariant.FieldArchivedAt)),
		entsql.GTE(v.C(productvariant.FieldPriceMinor), low), entsql.LTE(v.C(productvariant.FieldPriceMinor), high),
	))
	rows.Where(entsql.And(
		entsql.LTE(rows.C(product.FieldPriceMinor), high), entsql.GTE(rows.C(product.FieldMaxPriceMinor), low),
		entsql.Or(entsql.GTE(rows.C(product.FieldPriceMinor), low), entsql.LTE(rows.C(product.FieldMaxPriceMinor), high), entsql.Exists(inRange)),
	))
}

// productSorting is an order of a list of products.
type productSorting struct {
	by         sortKey
	column     string
	descending bool
	at         func(*ent.Product) position
}

var productOrders = map[ProductOrder]productSorting{
	NewestFirst:     {timeAndID, product.FieldCreatedAt, true, createdAt},
	OldestFirst:     {timeAndID, product.FieldCreatedAt, false, createdAt},
	ByName:          {textAndID, product.FieldName, false, nameOf},
	ByNameReversed:  {textAndID, product.FieldName, true, nameOf},
	PriceAscending:  {numberAndID, product.FieldPriceMinor, false, priceOf},
	PriceDescending: {numberAndID, product.FieldPriceMinor, true, priceOf},
}

func createdAt(p *ent.Product) position { return position{Time: p.CreatedAt, ID: p.ID} }

func nameOf(p *ent.Product) position { return position{Text: p.Name, ID: p.ID} }

func priceOf(p *ent.Product) position { return position{Number: p.PriceMinor, ID: p.ID} }
