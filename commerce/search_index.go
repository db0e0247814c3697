package commerce

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"

	"holdfast/commerce/textsearch"
	"holdfast/ent"
	"holdfast/ent/product"
	"holdfast/ent/searchdocument"
)

// The table of postings: a row says that a search document has a word. It is the index of the search. It has no type in package
// ent, whose tables all have an ID.
const (
	postingsTable   = "search_postings"
	postingWord     = "word"
	postingDocument = "document_id"
)

// maxPostings bounds the rows of one INSERT. SQLite takes 32,766 parameters, two of which are a row.
const maxPostings = 5000

// index makes the search documents and postings of products that a transaction has written or locked: each is found by what it is
// now. A product that has not changed since costs one read.
//
// Whoever calls index has the row of the product locked. So no two transactions index one product at a time.
func (s *Catalog) index(ctx context.Context, tx *ent.Tx, rows ...*ent.Product) error {
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
	var (
		missing []*ent.SearchDocumentCreate
		added   []posting
		fresh   = map[string][]string{} // the words of missing, by product
	)
	for _, row := range rows {
		words := textsearch.Words(row.Name + "\n" + row.Sku)
		document := documents[row.ID]
		switch {
		case document == nil:
			fresh[row.ID] = words
			missing = append(missing, tx.SearchDocument.Create().SetProductID(row.ID).SetName(row.Name).SetPriceMinor(row.PriceMinor).
				SetCreatedAt(row.CreatedAt).SetArchived(row.ArchivedAt != nil).SetVersion(row.Version).SetWords(joinWords(words)))
		case document.Version != row.Version:
			gained, err := s.indexAgain(ctx, tx, document, row, words)
			if err != nil {
				return err
			}
			added = append(added, gained...)
		}
	}
	if len(missing) > 0 {
		if err := tx.SearchDocument.CreateBulk(missing...).Exec(ctx); err != nil {
			return fmt.Errorf("create search documents: %w", err)
		}
		// Their numbers are read: where MySQL counts by more than one, as servers of a group do, ent takes them for consecutive.
		created, err := tx.SearchDocument.Query().Where(searchdocument.ProductIDIn(slices.Collect(maps.Keys(fresh))...)).
			Select(searchdocument.FieldID, searchdocument.FieldProductID).All(ctx)
		if err != nil {
			return fmt.Errorf("read search documents: %w", err)
		}
		for _, document := range created {
			added = append(added, postingsOf(document.ID, fresh[document.ProductID])...)
		}
	}
	return s.addPostings(ctx, tx, added)
}

// indexAgain brings a search document in line with its product, takes away the postings that it has lost, and returns those that
// it has gained.
func (s *Catalog) indexAgain(
	ctx context.Context, tx *ent.Tx, document *ent.SearchDocument, row *ent.Product, words []string,
) ([]posting, error) {
	before := strings.Fields(document.Words)
	if err := tx.SearchDocument.UpdateOne(document).SetName(row.Name).SetPriceMinor(row.PriceMinor).
		SetArchived(row.ArchivedAt != nil).SetVersion(row.Version).SetWords(joinWords(words)).Exec(ctx); err != nil {
		return nil, fmt.Errorf("update a search document: %w", err)
	}
	lost := slices.DeleteFunc(slices.Clone(before), func(word string) bool { return slices.Contains(words, word) })
	if len(lost) > 0 {
		build := entsql.Dialect(s.Ledger.Dialect())
		query, args := build.Delete(postingsTable).Where(entsql.And(
			entsql.In(postingWord, anys(lost)...), entsql.EQ(postingDocument, document.ID))).Query()
		if _, err := tx.ExecContext(ctx, query, args...); err != nil {
			return nil, fmt.Errorf("delete postings: %w", err)
		}
	}
	gained := slices.DeleteFunc(slices.Clone(words), func(word string) bool { return slices.Contains(before, word) })
	return postingsOf(document.ID, gained), nil
}

// joinWords is the column words of a search document.
func joinWords(words []string) string {
	var text strings.Builder
	for _, word := range words {
		text.WriteByte(' ')
		text.WriteString(word)
	}
	return text.String()
}

// posting says that a document has a word.
type posting struct {
	word     string
	document int64
}

func postingsOf(document int64, words []string) []posting {
	postings := make([]posting, len(words))
	for i, word := range words {
		postings[i] = posting{word, document}
	}
	return postings
}

// addPostings inserts postings in the order of their key.
func (s *Catalog) addPostings(ctx context.Context, tx *ent.Tx, postings []posting) error {
	slices.SortFunc(postings, func(a, b posting) int {
		return cmp.Or(strings.Compare(a.word, b.word), cmp.Compare(a.document, b.document))
	})
	for some := range slices.Chunk(postings, maxPostings) {
		insert := entsql.Dialect(s.Ledger.Dialect()).Insert(postingsTable).Columns(postingWord, postingDocument)
		for _, p := range some {
			insert.Values(p.word, p.document)
		}
		query, args := insert.Query()
		if _, err := tx.ExecContext(ctx, query, args...); err != nil {
			return fmt.Errorf("insert postings: %w", err)
		}
	}
	return nil
}

func anys[T any](values []T) []any {
	list := make([]any, len(values))
	for i, value := range values {
		list[i] = value
	}
	return list
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
		rows, err := query.All(ctx)
		if err != nil {
			return err
		}
		return s.index(ctx, tx, rows...)
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
