package commerce

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"

	"holdfast/ent"
	"holdfast/ent/balance"
	"holdfast/ent/product"
	"holdfast/ent/productvariant"
	"holdfast/ent/schema"
	"holdfast/lockprovider"
)

// A product is sold in variants, such as the sizes of a shirt. Each has its own SKU, price, limit and stock. A product without options has
// one variant. What is ordered, held or put into a cart is a variant, and its stock is a balance of its own: no strategy knows of products.

// MaxVariants is the most variants of a product, those that are off sale included.
const MaxVariants = 100

// TitleOf is the title of a variant: its option values, such as "M / Red". It is "" if the product has no options.
func TitleOf(row *ent.ProductVariant) string {
	return strings.Join(row.OptionValues, schema.TitleSeparator)
}

// onSale reports whether a variant, which has its product, can be ordered if there are some.
func onSale(row *ent.ProductVariant) bool {
	return row != nil && row.ArchivedAt == nil && row.Edges.Product.ArchivedAt == nil
}

// variantColumns are those that variants reads, and productColumns those of their products.
var (
	variantColumns = []string{
		productvariant.FieldID, productvariant.FieldProductID, productvariant.FieldSku, productvariant.FieldOptionValues,
		productvariant.FieldPriceMinor, productvariant.FieldCurrency, productvariant.FieldPosition,
		productvariant.FieldLimitQuantity, productvariant.FieldLimitHours, productvariant.FieldVersion, productvariant.FieldArchivedAt,
		productvariant.FieldCreatedAt, productvariant.FieldUpdatedAt,
	}
	productColumns = []string{
		product.FieldSku, product.FieldName, product.FieldDescription, product.FieldOptions, product.FieldPriceMinor,
		product.FieldMaxPriceMinor, product.FieldVariantCount, product.FieldVersion, product.FieldLimitQuantity, product.FieldLimitHours,
		product.FieldArchivedAt, product.FieldCreatedAt, product.FieldUpdatedAt,
		product.FieldHandle, product.FieldVendor, product.FieldProductType, product.FieldTags,
	}
)

// variants reads the variants that a condition selects, each with its product, in one statement: it is on the way to every order. They have
// all but their combination and what imports have noted.
func (s *Catalog) variants(ctx context.Context, where func(v, p *entsql.SelectTable) *entsql.Predicate) ([]*ent.ProductVariant, error) {
	on := entsql.Dialect(s.Ledger.Dialect())
	v, p := on.Table(productvariant.Table).As("v"), on.Table(product.Table).As("p")
	query := on.Select(append(v.Columns(variantColumns...), p.Columns(productColumns...)...)...).
		From(v).Join(p).On(v.C(productvariant.FieldProductID), p.C(product.FieldID)).Where(where(v, p))
	text, args := query.Query()
	rows, err := s.Client.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, fmt.Errorf("read variants: %w", err)
	}
	defer rows.Close()
	var found []*ent.ProductVariant
	for rows.Next() {
		row, err := scanVariant(rows)
		if err != nil {
			return nil, fmt.Errorf("read a variant: %w", err)
		}
		found = append(found, row)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read variants: %w", err)
	}
	return found, nil
}

// scanVariant reads variantColumns and productColumns.
func scanVariant(rows *sql.Rows) (*ent.ProductVariant, error) {
	v, p := new(ent.ProductVariant), new(ent.Product)
	var (
		values, options, tags []byte
		archived, retired     sql.NullTime
	)
	if err := rows.Scan(
		&v.ID, &v.ProductID, &v.Sku, &values, &v.PriceMinor, &v.Currency, &v.Position,
		&v.LimitQuantity, &v.LimitHours, &v.Version, &archived, &v.CreatedAt, &v.UpdatedAt,
		&p.Sku, &p.Name, &p.Description, &options, &p.PriceMinor,
		&p.MaxPriceMinor, &p.VariantCount, &p.Version, &p.LimitQuantity, &p.LimitHours,
		&retired, &p.CreatedAt, &p.UpdatedAt,
		&p.Handle, &p.Vendor, &p.ProductType, &tags,
	); err != nil {
		return nil, err
	}
	for raw, into := range map[*[]byte]*[]string{&values: &v.OptionValues, &options: &p.Options, &tags: &p.Tags} {
		if len(*raw) > 0 {
			if err := json.Unmarshal(*raw, into); err != nil {
				return nil, err
			}
		}
	}
	if archived.Valid {
		v.ArchivedAt = &archived.Time
	}
	if retired.Valid {
		p.ArchivedAt = &retired.Time
	}
	p.ID, p.Currency = v.ProductID, v.Currency
	v.Edges.Product = p
	return v, nil
}

// VariantsByID returns those of the variants that exist, on sale or not, with their products.
func (s *Catalog) VariantsByID(ctx context.Context, ids []string) (map[string]*ent.ProductVariant, error) {
	found, err := s.lookUp(ctx, ids, nil)
	return found.byID, err
}

// Variant returns a variant with its product, on sale or not, or nil if there is none.
func (s *Catalog) Variant(ctx context.Context, id string) (*ent.ProductVariant, error) {
	byID, err := s.VariantsByID(ctx, []string{id})
	return byID[id], err
}

// ShowVariants returns those of the variants that the viewer may look up, by their IDs: what is off sale is for administrators. Orders
// show it to their customers all the same.
func (s *Catalog) ShowVariants(ctx context.Context, v Viewer, ids []string) (map[string]*ent.ProductVariant, error) {
	byID, err := s.VariantsByID(ctx, ids)
	maps.DeleteFunc(byID, func(_ string, row *ent.ProductVariant) bool { return !onSale(row) && !v.Admin })
	return byID, err
}

// VariantsOf returns the variants of products, on sale or not, in their order and with their products, by the IDs of the products. A product has
// MaxVariants at most.
func (s *Catalog) VariantsOf(ctx context.Context, products []string) (map[string][]*ent.ProductVariant, error) {
	rows, err := inOrder(ctx, s.Client.ProductVariant.Query().Where(productvariant.ProductIDIn(products...)).WithProduct())
	return ofProducts(rows), err
}

// ofProducts groups variants by the IDs of their products, in the order that they have.
func ofProducts(rows []*ent.ProductVariant) map[string][]*ent.ProductVariant {
	byProduct := map[string][]*ent.ProductVariant{}
	for _, row := range rows {
		byProduct[row.ProductID] = append(byProduct[row.ProductID], row)
	}
	return byProduct
}

// inOrder reads variants, in the order that they have in their product.
func inOrder(ctx context.Context, query *ent.ProductVariantQuery) ([]*ent.ProductVariant, error) {
	rows, err := query.All(ctx)
	slices.SortFunc(rows, byPosition)
	return rows, err
}

func byPosition(a, b *ent.ProductVariant) int {
	return cmp.Or(cmp.Compare(a.Position, b.Position), strings.Compare(a.ID, b.ID))
}

// PageOfVariants is one page of the variants of a product, of which rows are all. Errors: INVALID_INPUT of the page.
func PageOfVariants(productID string, rows []*ent.ProductVariant, includeArchived bool, page Page) (PageOf[*ent.ProductVariant], error) {
	l := listing{"variants:" + productID, numberAndID, productvariant.FieldPosition, false}
	asked, err := page.of(filtered(l, includeArchived))
	if err != nil {
		return PageOf[*ent.ProductVariant]{}, err
	}
	listed := slices.DeleteFunc(slices.Clone(rows), func(row *ent.ProductVariant) bool { return row.ArchivedAt != nil && !includeArchived })
	count := len(listed)
	list := pageOf(cut(asked, listed, variantPosition), asked, variantPosition)
	list.Count = func(context.Context) (Count, error) { return Count{Items: count, IsExact: true}, nil }
	return list, nil
}

func variantPosition(row *ent.ProductVariant) position {
	return position{Number: int64(row.Position), ID: row.ID}
}

// looked are variants that lines name.
type looked struct {
	byID map[string]*ent.ProductVariant
	// byProduct has the first variant on sale of each product that a line names. Product.VariantCount tells whether it is the only one.
	byProduct map[string]*ent.ProductVariant
}

// lookUp reads variants by their IDs, and the first ones on sale of products. The SKU of a product is that of this variant.
func (s *Catalog) lookUp(ctx context.Context, ids, products []string) (looked, error) {
	found := looked{byID: map[string]*ent.ProductVariant{}, byProduct: map[string]*ent.ProductVariant{}}
	if len(ids)+len(products) == 0 {
		return found, nil
	}
	rows, err := s.variants(ctx, func(v, p *entsql.SelectTable) *entsql.Predicate {
		byID := entsql.In(v.C(productvariant.FieldID), anyOf(ids)...)
		byProduct := entsql.And(
			entsql.In(p.C(product.FieldID), anyOf(products)...), entsql.ColumnsEQ(v.C(productvariant.FieldSku), p.C(product.FieldSku)),
		)
		switch {
		case len(products) == 0:
			return byID
		case len(ids) == 0:
			return byProduct
		}
		return entsql.Or(byID, byProduct)
	})
	if err != nil {
		return looked{}, err
	}
	for _, row := range rows {
		if slices.Contains(ids, row.ID) { // MariaDB takes "var_1 " for "var_1"
			found.byID[row.ID] = row
		}
		if row.Sku == row.Edges.Product.Sku && slices.Contains(products, row.ProductID) {
			found.byProduct[row.ProductID] = row
		}
	}
	return found, nil
}

func anyOf(texts []string) []any {
	list := make([]any, len(texts))
	for i, text := range texts {
		list[i] = text
	}
	return list
}

// shared is lookUp for the way to an order: those who ask for the same while it is being read get the same answer. In a flash sale, that is
// one query for hundreds of customers. The rows are not to be written to.
func (s *Catalog) shared(ctx context.Context, ids, products []string) (looked, error) {
	ch := s.reads.DoChan(fmt.Sprintf("%q%q", ids, products), func() (any, error) {
		return s.lookUp(context.WithoutCancel(ctx), ids, products) // the first to ask may leave; the others stay
	})
	select {
	case result := <-ch:
		found, _ := result.Val.(looked)
		return found, result.Err
	case <-ctx.Done():
		return looked{}, ctx.Err()
	}
}

// VariantStock tells how many of each variant are left.
func (s *Catalog) VariantStock(ctx context.Context, ids []string) (map[string]Reading, error) {
	return s.readings(ctx, ids, lockprovider.StockKey)
}

// Stock tells how many of each product are left: of all its variants on sale together. The position is the sum of theirs.
func (s *Catalog) Stock(ctx context.Context, products []string) (map[string]Reading, error) {
	on := entsql.Dialect(s.Ledger.Dialect())
	v, b := on.Table(productvariant.Table).As("v"), on.Table(balance.Table).As("b")
	text, args := on.Select(v.C(productvariant.FieldProductID), entsql.Sum(b.C(balance.FieldAmount)), entsql.Sum(b.C(balance.FieldApplied))).
		From(v).Join(b).OnP(entsql.ExprP(b.C(balance.FieldID) + " = " + stockKeyOf(s.Ledger.Dialect(), v.C(productvariant.FieldID)))).
		Where(entsql.And(entsql.In(v.C(productvariant.FieldProductID), anyOf(products)...), entsql.IsNull(v.C(productvariant.FieldArchivedAt)))).
		GroupBy(v.C(productvariant.FieldProductID)).Query()
	rows, err := s.Client.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, fmt.Errorf("read the stock of products: %w", err)
	}
	defer rows.Close()
	stock := make(map[string]Reading, len(products))
	for rows.Next() {
		var (
			id   string
			read Reading
		)
		if err := rows.Scan(&id, &read.Amount, &read.Position); err != nil {
			return nil, fmt.Errorf("read the stock of a product: %w", err)
		}
		stock[id] = read
	}
	return stock, rows.Err()
}

// stockKeyOf returns the key of the stock of a variant, whose ID is in a column.
func stockKeyOf(database, column string) string {
	prefix := "'" + lockprovider.StockKey(prefixVariant) + "'"
	suffix := fmt.Sprintf("SUBSTR(%s, %d)", column, len(prefixVariant)+1)
	if database == dialect.MySQL {
		return "CONCAT(" + prefix + ", " + suffix + ")"
	}
	return prefix + " || " + suffix
}

// canBeBought returns the condition that a variant on sale of a product, whose ID is in a column, is left.
func canBeBought(database, productColumn string) string {
	return "EXISTS (SELECT 1 FROM " + productvariant.Table + " sv JOIN " + balance.Table + " sb ON sb.id = " + stockKeyOf(database, "sv.id") +
		" WHERE sv.product_id = " + productColumn + " AND sv.archived_at IS NULL AND sb.amount > 0)"
}
