package commerce

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	entsql "entgo.io/ent/dialect/sql"
	"golang.org/x/sync/singleflight"

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

// searchDocuments are the search documents of the database in the memory of this process. A search first reads the revision of the
// database, which says whether there are others; if so, it reads these. So a product is found as soon as it is committed, whichever
// instance has written it.
type searchDocuments struct {
	index   atomic.Pointer[searchindex.Index]
	reading singleflight.Group // reads for all searches at once
	journal *stockJournal      // of the index; only the one who reads uses it
	life    context.Context    //nolint:containedctx // It ends a reading, which is no caller's.
	end     context.CancelFunc
}

func newSearchDocuments() *searchDocuments {
	d := new(searchDocuments)
	d.life, d.end = context.WithCancel(context.Background())
	d.index.Store(searchindex.New())
	return d
}

// hit is a product that a search has found, and where. The position is that of the index: the cursor of the product stays where the
// search has found it, if the product was changed since.
type hit struct {
	*ent.Product
	at searchindex.Position
}

// errNoProduct means that a product has a search document and does not exist.
var errNoProduct = errors.New("a product has a search document and does not exist")

// search reads the products of a span of a list that have words beginning with each of the words.
func (s *Catalog) search(ctx context.Context, words []string, q ProductQuery, asked span) ([]hit, error) {
	index, err := s.currentIndex(ctx, q.Available != nil)
	if err != nil {
		return nil, err
	}
	hits, err := s.hits(ctx, index, words, q, asked)
	if errors.Is(err, errNoProduct) {
		// The database was restored, and has had other revisions since than this index has read.
		s.documents.index.CompareAndSwap(index, searchindex.New())
		if index, err = s.currentIndex(ctx, q.Available != nil); err != nil {
			return nil, err
		}
		hits, err = s.hits(ctx, index, words, q, asked)
	}
	return hits, err
}

// hits is search in an index.
func (s *Catalog) hits(ctx context.Context, index *searchindex.Index, words []string, q ProductQuery, asked span) (hits []hit, err error) {
	err = s.match(ctx, index, words, q, asked, func(found []searchindex.Position) (int, error) {
		byID, err := s.ProductsByID(ctx, productIDsOf(found))
		if err != nil {
			return 0, err
		}
		for _, at := range found {
			row := byID[at.ProductID]
			if row == nil {
				return 0, fmt.Errorf("search products: %q: %w", at.ProductID, errNoProduct)
			}
			if q.selects(row) { // it may have been changed since
				hits = append(hits, hit{row, at})
			}
		}
		return len(hits), nil
	})
	return hits, err
}

// countHits counts what a search finds, up to a limit.
func (s *Catalog) countHits(ctx context.Context, words []string, q ProductQuery, l listing, limit int) (n int, err error) {
	index, err := s.currentIndex(ctx, q.Available != nil)
	if err != nil {
		return 0, err
	}
	whole := span{listing: l, size: limit - 1} // of which one more is read
	err = s.match(ctx, index, words, q, whole, func(found []searchindex.Position) (int, error) {
		n += len(found)
		return n, nil
	})
	return n, err
}

// match calls take for what the index has in a span, some at a time, in the direction in which the span is read, until take has taken as
// many as the span has: take returns how many it has.
func (s *Catalog) match(
	ctx context.Context, index *searchindex.Index, words []string, q ProductQuery, asked span, take func([]searchindex.Position) (int, error),
) error {
	categories, err := s.categoryTerms(ctx, q.CategoryID)
	if err != nil {
		return err
	}
	matches := index.Snapshot().Match(searchindex.Query{
		Words: slices.Concat(words, q.terms()), AnyOf: categories,
		IncludeArchived: q.IncludeArchived, Available: q.Available, MinPrice: q.MinPrice, MaxPrice: q.MaxPrice,
	})
	defer matches.Close()
	from, end, taken := asked.searchPosition(asked.start()), asked.searchPosition(asked.end()), 0
	for few := asked.limit(); ; few = min(4*few, maxStocks) {
		read := matches.Read(asked.searchOrder(), asked.isDescending(), from, end, few)
		some, err := s.withStock(ctx, read, q)
		if err != nil {
			return err
		}
		if taken, err = take(some[:min(len(some), asked.limit()-taken)]); err != nil {
			return err
		}
		if len(read) < few || taken >= asked.limit() {
			return nil
		}
		from = &read[few-1]
	}
}

// withStock returns what the filter of the stock leaves by the database, in its order: since the index has read the stock, some may have
// been sold.
func (s *Catalog) withStock(ctx context.Context, read []searchindex.Position, q ProductQuery) ([]searchindex.Position, error) {
	if q.Available == nil || len(read) == 0 {
		return read, nil
	}
	left, err := s.selected(q).Where(product.IDIn(productIDsOf(read)...)).IDs(ctx)
	if err != nil {
		return nil, err
	}
	isLeft := make(map[string]bool, len(left))
	for _, id := range left {
		isLeft[id] = true
	}
	some := make([]searchindex.Position, 0, len(left))
	for _, at := range read {
		if isLeft[at.ProductID] {
			some = append(some, at)
		}
	}
	return some, nil
}

func productIDsOf(list []searchindex.Position) []string {
	ids := make([]string, len(list))
	for i, at := range list {
		ids[i] = at.ProductID
	}
	return ids
}

// selects reports whether a product is in the filter, as far as its row tells: stock and categories aside, and prices between the lowest
// and the highest one.
func (f ProductFilter) selects(row *ent.Product) bool {
	return (f.IncludeArchived || row.ArchivedAt == nil) &&
		(f.MinPrice == nil || row.MaxPriceMinor >= *f.MinPrice) && (f.MaxPrice == nil || row.PriceMinor <= *f.MaxPrice) &&
		alike(f.Vendor, row.Vendor) && alike(f.ProductType, row.ProductType) &&
		(f.Tag == "" || slices.ContainsFunc(row.Tags, func(tag string) bool { return alike(f.Tag, tag) }))
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

// position returns where the index has found the product, as a position of the list.
func (h hit) position() position {
	// Of the time and the number, a listing takes what it is sorted by.
	return position{Time: time.UnixMicro(h.at.Number).UTC(), Number: h.at.Number, Text: h.at.Text, ID: h.at.ProductID}
}

// currentIndex returns the index, with all documents that the database has; if withStock, with the stock that it has, too.
func (s *Catalog) currentIndex(ctx context.Context, withStock bool) (*searchindex.Index, error) {
	revision, err := s.searchRevision(ctx)
	if err != nil {
		return nil, err
	}
	// A reading that began before may lack what this search has to find. The second one begins after the first.
	for range 2 {
		if index := s.documents.index.Load(); !withStock && index.Snapshot().Revision() == revision {
			return index, nil
		}
		isOwn := false
		read := s.documents.reading.DoChan("", func() (any, error) {
			isOwn = true
			return nil, s.readDocuments(ctx)
		})
		select {
		case result := <-read:
			if result.Err != nil {
				return nil, result.Err
			}
			withStock = withStock && !isOwn
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return s.documents.index.Load(), nil
}

// searchRevision returns the revision that the search documents of the database have.
func (s *Catalog) searchRevision(ctx context.Context) (searchindex.Revision, error) {
	row, err := s.Client.SearchRevision.Query().Where(searchrevision.ID(revisionID)).Only(ctx)
	if err != nil {
		return searchindex.Revision{}, fmt.Errorf("read the search revision: %w", err)
	}
	return searchindex.Revision{Number: row.Revision, Token: row.Token}, nil
}

// readDocuments puts into the index what others have written since it was read: documents, and whether products can be bought. One reads at
// a time, for all who search: the reading goes on when the caller has left, until the shop closes.
func (s *Catalog) readDocuments(ctx context.Context) error {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	keep := context.AfterFunc(s.documents.life, stop)
	defer keep()
	revision, err := s.searchRevision(ctx)
	if err != nil {
		return err
	}
	before := s.documents.index.Load()
	index, journal := before, s.documents.journal
	has := before.Snapshot().Revision()
	wasRestored := revision.Number < has.Number || revision.Number == has.Number && revision.Token != has.Token
	if journal == nil || journal.index != before || wasRestored {
		index = nil
	}
	var stock *searchindex.Stock
	if index != nil {
		if err := s.putDocuments(ctx, index, revision); err != nil {
			return err
		}
		next, read, err := s.readJournal(ctx, journal)
		switch {
		case errors.Is(err, errJournalRestored):
			index = nil
		case err != nil:
			return err
		default:
			stock, journal = next, read
		}
	}
	if index == nil {
		index = searchindex.New()
		if journal, err = s.beginJournal(ctx, index); err != nil {
			return err
		}
		if err := s.putDocuments(ctx, index, revision); err != nil {
			return err
		}
		if stock, journal, err = s.readJournal(ctx, journal); err != nil {
			return err
		}
	}
	index.PutStock(stock)
	s.documents.journal = journal
	s.documents.index.CompareAndSwap(before, index) // unless a search has dropped it meanwhile
	return nil
}

// putDocuments puts the documents into an index that it has not read yet.
func (s *Catalog) putDocuments(ctx context.Context, index *searchindex.Index, revision searchindex.Revision) error {
	has := index.Snapshot().Revision()
	if has == revision {
		return nil
	}
	batch, err := s.documentsAfter(ctx, has.Number)
	if err != nil {
		return err
	}
	// Documents of a later revision may be among them. They are read again with that one.
	index.Put(batch, revision)
	return nil
}

// documentsAfter reads the documents of revisions that are greater than a number; all if it is 0.
func (s *Catalog) documentsAfter(ctx context.Context, number int64) (*searchindex.Batch, error) {
	if number == 0 {
		number = -1 // documents from before there were revisions have 0
	}
	d := entsql.Dialect(s.Ledger.Dialect()).Table(searchdocument.Table).As("d")
	query := entsql.Dialect(s.Ledger.Dialect()).
		Select(d.C("id"), d.C("product_id"), d.C("name"), d.C("price_minor"), d.C("other_prices"), d.C("created_at"), d.C("archived"), d.C("words")).
		AppendSelectExprAs(entsql.Expr(canBeBought(s.Ledger.Dialect(), d.C("product_id"))), "available").
		From(d).Where(entsql.GT(d.C(searchdocument.FieldRevision), number))
	text, args := query.Query()
	rows, err := s.Client.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, fmt.Errorf("read search documents: %w", err)
	}
	defer rows.Close()
	batch := new(searchindex.Batch)
	for rows.Next() {
		var (
			d      searchindex.Document
			others sql.NullString
		)
		if err := rows.Scan(&d.Number, &d.ProductID, &d.Name, &d.PriceMinor, &others, &d.CreatedAt, &d.Archived, &d.Words, &d.Available); err != nil {
			return nil, fmt.Errorf("read a search document: %w", err)
		}
		for price := range strings.FieldsSeq(others.String) {
			minor, err := strconv.ParseInt(price, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("read the prices of a search document: %w", err)
			}
			d.OtherPrices = append(d.OtherPrices, minor)
		}
		batch.Add(d)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read search documents: %w", err)
	}
	return batch, nil
}

// FollowSearchDocuments reads the search documents, and again and again those that have changed, until the context ends. Searches read
// them, too: after this they have few to read. A search that comes before all have been read waits for them. The log tells when they
// are read for the first time, and the first failure of a series. The end of the context ends a reading of a search, too.
func (s *Catalog) FollowSearchDocuments(ctx context.Context, log *slog.Logger) {
	defer s.documents.end()
	began, isRead := time.Now(), false
	for failing := false; ; {
		_, err := s.currentIndex(ctx, true)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && (failing || !isRead):
			failing, isRead = false, true
			log.Info("search documents are read", "after", time.Since(began).Round(time.Millisecond))
		case err != nil && !failing:
			failing = true
			log.Warn("search documents cannot be read", "error", err)
		}
		if err := lock.Pause(ctx, searchRefresh); err != nil {
			return
		}
	}
}

// IndexedRevision returns how many transactions have written the search documents that this instance has read; 0 if it has read none.
func (s *Catalog) IndexedRevision() int64 {
	return s.documents.index.Load().Snapshot().Revision().Number
}
