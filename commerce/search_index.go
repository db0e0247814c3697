package commerce

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"

	"holdfast/ent"
	"holdfast/ent/product"
	"holdfast/ent/productvariant"
	"holdfast/ent/searchdocument"
)

// Index makes the search documents of products that a transaction has written or locked: each is found by what it is now. A product that
// has not changed since costs one read.
//
// The caller has the rows of the products locked. So no two transactions index one product at a time. It is the last thing that a
// transaction does. At the end of index, the transaction draws its revision: until its end, no other one can draw one, and so no other
// one can write products.
func (s *Catalog) Index(ctx context.Context, tx *ent.Tx, rows ...*ent.Product) error {
	ids := make([]string, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	found, err := tx.SearchDocument.Query().Where(searchdocument.ProductIDIn(ids...)).All(ctx)
	if err != nil {
		return fmt.Errorf("read search documents: %w", err)
	}
	documents := make(map[string]*ent.SearchDocument, len(found))
	for _, document := range found {
		documents[document.ProductID] = document
	}
	stale := slices.DeleteFunc(slices.Clone(rows), func(row *ent.Product) bool {
		document := documents[row.ID]
		return document != nil && document.Version == row.Version
	})
	if len(stale) == 0 {
		return nil
	}
	staleIDs := make([]string, len(stale))
	for i, row := range stale {
		staleIDs[i] = row.ID
	}
	variants, err := s.variantsIn(ctx, tx, staleIDs)
	if err != nil {
		return err
	}
	words, err := s.wordsOf(ctx, tx, stale, variants)
	if err != nil {
		return err
	}
	prices := make([]string, len(stale))
	for i, row := range stale {
		prices[i] = otherPrices(row, variants[row.ID])
	}
	var missing []*ent.SearchDocumentCreate
	for i, row := range stale {
		document := documents[row.ID]
		if document == nil {
			missing = append(missing, tx.SearchDocument.Create().SetProductID(row.ID).SetName(row.Name).SetPriceMinor(row.PriceMinor).
				SetOtherPrices(prices[i]).SetCreatedAt(row.CreatedAt).SetArchived(row.ArchivedAt != nil).SetVersion(row.Version).SetWords(words[i]))
			continue
		}
		if err := tx.SearchDocument.UpdateOne(document).SetName(row.Name).SetPriceMinor(row.PriceMinor).
			SetOtherPrices(prices[i]).SetArchived(row.ArchivedAt != nil).SetVersion(row.Version).SetWords(words[i]).Exec(ctx); err != nil {
			return fmt.Errorf("update a search document: %w", err)
		}
	}
	if len(missing) > 0 {
		if err := tx.SearchDocument.CreateBulk(missing...).Exec(ctx); err != nil {
			return fmt.Errorf("create search documents: %w", err)
		}
	}
	revision, err := s.nextRevision(ctx, tx)
	if err != nil {
		return err
	}
	if err := tx.SearchDocument.Update().Where(searchdocument.ProductIDIn(staleIDs...)).SetRevision(revision).Exec(ctx); err != nil {
		return fmt.Errorf("set the revision of search documents: %w", err)
	}
	return nil
}

// variantsIn returns the variants on sale of products, as a transaction sees them, in their order.
func (s *Catalog) variantsIn(ctx context.Context, tx *ent.Tx, products []string) (map[string][]*ent.ProductVariant, error) {
	rows, err := inOrder(ctx, tx.ProductVariant.Query().Where(productvariant.ProductIDIn(products...), productvariant.ArchivedAtIsNil()))
	if err != nil {
		return nil, fmt.Errorf("read the variants of search documents: %w", err)
	}
	return ofProducts(rows), nil
}

// searchText is what a product is found by: its name, and the SKUs and option values of its variants on sale.
func searchText(row *ent.Product, variants []*ent.ProductVariant) string {
	texts := []string{row.Name}
	if len(variants) == 0 {
		texts = append(texts, row.Sku)
	}
	for _, v := range variants {
		texts = append(append(texts, v.Sku), v.OptionValues...)
	}
	return strings.Join(texts, "\n")
}

// otherPrices is the column other_prices of a search document: each price of a variant on sale that is not the lowest one.
func otherPrices(row *ent.Product, variants []*ent.ProductVariant) string {
	var prices []int64
	for _, v := range variants {
		if v.PriceMinor != row.PriceMinor {
			prices = append(prices, v.PriceMinor)
		}
	}
	slices.Sort(prices)
	var text strings.Builder
	for _, price := range slices.Compact(prices) {
		text.WriteByte(' ')
		text.WriteString(strconv.FormatInt(price, 10))
	}
	return text.String()
}

// nextRevision returns the revision of the search documents that a transaction writes. No other transaction gets one until this one has
// ended.
func (s *Catalog) nextRevision(ctx context.Context, tx *ent.Tx) (int64, error) {
	row, err := lockRows(ctx, tx.SearchRevision.UpdateOneID(revisionID).AddRevision(1).SetToken(rand.Int64()).Save)
	if err != nil {
		return 0, fmt.Errorf("draw a search revision: %w", err)
	}
	return row.Revision, nil
}

// IndexProducts makes the search documents of up to limit products after an ID that lack theirs: products from before there was a
// search index, and what instances of a version without one have written. It returns the last product that it looked at, "" if there
// are no more, and how many it has indexed. Any number of instances may call it at the same time.
func (s *Catalog) IndexProducts(ctx context.Context, after string, limit int) (last string, indexed int, err error) {
	ids, err := s.Client.Product.Query().Where(product.IDGT(after), unindexed).Order(product.ByID()).Limit(limit).IDs(ctx)
	if err != nil || len(ids) == 0 {
		return "", 0, err
	}
	err = s.inTx(ctx, func(tx *ent.Tx) error {
		query := tx.Product.Query().Where(product.IDIn(ids...)).Order(product.ByID())
		if s.Ledger.Dialect() != dialect.SQLite { // SQLite has no row locks: BEGIN IMMEDIATE admits one writer at a time
			query = query.Where(func(s *entsql.Selector) { s.For(lockFor[s.Dialect()]) })
		}
		rows, err := lockRows(ctx, query.All)
		if err != nil {
			return err
		}
		return s.Index(ctx, tx, rows...)
	})
	if err != nil {
		return "", 0, err
	}
	return ids[len(ids)-1], len(ids), nil
}

// lockFor is how rows of products are locked for their documents to be written: so that no order of them has to wait, where the
// database can do that. An order locks the keys of its products.
var lockFor = map[string]entsql.LockStrength{dialect.Postgres: entsql.LockNoKeyUpdate, dialect.MySQL: entsql.LockUpdate}

// unindexed selects products that have no search document, or one of another version.
func unindexed(products *entsql.Selector) {
	documents := entsql.Dialect(products.Dialect()).Table(searchdocument.Table).As("document")
	products.LeftJoin(documents).On(products.C(product.FieldID), documents.C(searchdocument.FieldProductID))
	products.Where(entsql.Or(
		entsql.IsNull(documents.C(searchdocument.FieldVersion)),
		entsql.ColumnsNEQ(documents.C(searchdocument.FieldVersion), products.C(product.FieldVersion)),
	))
}
