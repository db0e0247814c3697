package commerce

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"holdfast/commerce/searchindex"
	"holdfast/ent"
	"holdfast/ent/product"
	"holdfast/ent/searchdocument"
	"holdfast/ent/searchrevision"
	"holdfast/lockprovider/lock"
)

const (
	// revisionID is the ID of the only search revision.
	revisionID = 1
	// searchRefresh is how often an instance reads search documents without a search, so that the next search has few to read.
	searchRefresh = time.Second
	// maxStocks is of how many products a search asks at once whether they are available.
	maxStocks = 5000
)

// searchDocuments are the search documents of the database in the memory of this process. A search first reads one number from the
// database, which says whether there are others; if so, it reads these. So a product is found as soon as it is committed, whichever
// instance has written it.
type searchDocuments struct {
	index   atomic.Pointer[searchindex.Index]
	reading chan struct{} // has a value while a search reads documents
}

func newSearchDocuments() *searchDocuments {
	d := &searchDocuments{reading: make(chan struct{}, 1)}
	d.index.Store(searchindex.New())
	return d
}

// search reads the products of a span of a list that have words beginning with each of the words.
func (s *Catalog) search(ctx context.Context, words []string, q ProductQuery, asked span) ([]*ent.Product, error) {
	ids, err := s.searchIDs(ctx, words, q, asked)
	if err != nil {
		return nil, fmt.Errorf("search products: %w", err)
	}
	byID, err := s.ProductsByID(ctx, ids)
	if err != nil {
		return nil, err
	}
	rows := make([]*ent.Product, len(ids))
	for i, id := range ids {
		if rows[i] = byID[id]; rows[i] == nil {
			return nil, fmt.Errorf("search products: %q has a search document and does not exist", id)
		}
	}
	return rows, nil
}

// searchIDs returns the IDs of the span, in the direction in which it is read.
func (s *Catalog) searchIDs(ctx context.Context, words []string, q ProductQuery, asked span) ([]string, error) {
	now, err := s.searchable(ctx)
	if err != nil {
		return nil, err
	}
	matches := now.Match(searchindex.Query{
		Words: words, IncludeArchived: q.IncludeArchived, MinPrice: q.MinPrice, MaxPrice: q.MaxPrice,
	})
	defer matches.Close()
	from, end := asked.searchPosition(asked.start()), asked.searchPosition(asked.end())
	var ids []string
	for few := asked.limit(); ; few = min(4*few, maxStocks) {
		read := matches.Read(asked.searchOrder(), asked.isDescending(), from, end, few)
		some := make([]string, len(read))
		for i := range read {
			some[i] = read[i].ProductID
		}
		if q.Available != nil && len(read) > 0 {
			if some, err = s.withStock(ctx, some, q); err != nil {
				return nil, err
			}
		}
		ids = append(ids, some...)
		if len(read) < few || len(ids) >= asked.limit() {
			return ids[:min(len(ids), asked.limit())], nil
		}
		from = &read[few-1]
	}
}

// withStock returns those of the products that a filter leaves, in their order: the index does not know the stock.
func (s *Catalog) withStock(ctx context.Context, ids []string, q ProductQuery) ([]string, error) {
	left, err := s.selected(q).Where(product.IDIn(ids...)).IDs(ctx)
	if err != nil {
		return nil, err
	}
	isLeft := make(map[string]bool, len(left))
	for _, id := range left {
		isLeft[id] = true
	}
	some := make([]string, 0, len(left))
	for _, id := range ids {
		if isLeft[id] {
			some = append(some, id)
		}
	}
	return some, nil
}

// searchOrder is the order of the list in the index.
func (s span) searchOrder() searchindex.Order {
	switch s.by {
	case timeAndID:
		return searchindex.ByTime
	case textAndID:
		return searchindex.ByName
	default:
		return searchindex.ByPrice
	}
}

// searchPosition returns a position of the list in the order of the index, or nil for nil.
func (s span) searchPosition(at *position) *searchindex.Position {
	if at == nil {
		return nil
	}
	p := &searchindex.Position{ProductID: at.ID}
	switch s.by {
	case timeAndID:
		p.Number = at.Time.UnixMicro()
	case textAndID:
		p.Text = at.Text
	default:
		p.Number = at.Number
	}
	return p
}

// searchable returns the documents as the database has them now.
func (s *Catalog) searchable(ctx context.Context) (*searchindex.Snapshot, error) {
	had := s.documents.index.Load().Snapshot()
	revision, err := s.searchRevision(ctx)
	if err != nil {
		return nil, err
	}
	if had.Revision() == revision {
		return had, nil
	}
	select {
	case s.documents.reading <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-s.documents.reading }()
	index := s.documents.index.Load()
	has := index.Snapshot().Revision()
	switch {
	case has == had.Revision() && revision < has: // the database was restored
		index, has = searchindex.New(), 0
	case has >= revision:
		return index.Snapshot(), nil // somebody else has read them
	}
	if err := s.readDocuments(ctx, index, has, revision); err != nil {
		return nil, err
	}
	s.documents.index.Store(index)
	return index.Snapshot(), nil
}

// searchRevision returns how many transactions have written search documents.
func (s *Catalog) searchRevision(ctx context.Context) (int64, error) {
	row, err := s.Client.SearchRevision.Query().Where(searchrevision.ID(revisionID)).Only(ctx)
	if err != nil {
		return 0, fmt.Errorf("read the search revision: %w", err)
	}
	return row.Revision, nil
}

// readDocuments puts the documents into an index that others than those up to a revision have written. If it reads one of a later
// revision than is known to be committed, it reads all up to that one, as revisions are committed in their order.
func (s *Catalog) readDocuments(ctx context.Context, index *searchindex.Index, after, revision int64) error {
	query := "SELECT id, product_id, name, price_minor, created_at, archived, words, revision FROM " + searchdocument.Table
	if after > 0 { // else all: those from before there were revisions have none
		query += fmt.Sprintf(" WHERE revision > %d", after)
	}
	rows, err := s.Client.QueryContext(ctx, query)
	if err != nil {
		return fmt.Errorf("read search documents: %w", err)
	}
	defer rows.Close()
	batch := new(searchindex.Batch)
	for rows.Next() {
		var (
			d   searchindex.Document
			own int64
		)
		if err := rows.Scan(&d.Number, &d.ProductID, &d.Name, &d.PriceMinor, &d.CreatedAt, &d.Archived, &d.Words, &own); err != nil {
			return fmt.Errorf("read a search document: %w", err)
		}
		batch.Add(d)
		revision = max(revision, own)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read search documents: %w", err)
	}
	index.Put(batch, revision)
	return nil
}

// FollowSearchDocuments reads the search documents, and again and again those that have changed, until the context ends. Searches read
// them, too: after this they have few to read. A search that comes before all have been read waits for them.
func (s *Catalog) FollowSearchDocuments(ctx context.Context) {
	for {
		_, _ = s.searchable(ctx) // the next search tells its caller what fails
		if err := lock.Pause(ctx, searchRefresh); err != nil {
			return
		}
	}
}
