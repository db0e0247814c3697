package commerce

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	entsql "entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"holdfast/commerce/searchindex"
	"holdfast/ent"
	"holdfast/ent/entry"
	"holdfast/ent/productvariant"
	"holdfast/ent/searchdocument"
	"holdfast/lockprovider"
)

const (
	// maxGaps is how many gaps in the IDs of the journal a process remembers, the latest ones. Chosen: more than any transactions that
	// run at a time write.
	maxGaps = 10_000
	// freshGap is for how long each reading asks for what may come into a gap: almost all transactions end in it. Later, one asks each
	// searchRefresh.
	freshGap = 5 * time.Second
	// maxGapAge is after which time nothing is expected in a gap any more. Chosen: no transaction of the shop takes so long, unless its
	// instance is frozen.
	maxGapAge = 10 * time.Minute
	// gapsAtOnce is how many gaps a query asks for.
	gapsAtOnce = 1000
	// journalPage is how many entries are read at a time. Chosen: some megabytes.
	journalPage = 10_000
)

// stockJournal is how far an index has read the journal, which tells when a product is sold out and when it can be bought again. So an
// index knows that of each product without reading its stock.
//
// An ID is drawn before its transaction commits, so an entry may be committed after others with greater IDs. IDs that are left out are
// remembered as gaps, and looked for again; most are of transactions that did not commit. So entries are not read in the order of their
// commits: they say which products have changed, and the balances say how many there are.
type stockJournal struct {
	index *searchindex.Index
	// last is the greatest ID that was read, and change the change of that entry; 0 if the journal had no entry. If another change has
	// the ID, the database was restored.
	last    int64
	change  uuid.UUID
	gaps    map[int64]time.Time // when each was seen
	askedAt time.Time           // when all of them were asked for
}

// errJournalRestored means that the journal is not the one that was read before.
var errJournalRestored = errors.New("the journal is another one")

// areRead reports whether the documents have been read once.
func (d *searchDocuments) areRead() bool {
	return d.index.Load().Snapshot().Revision() != searchindex.Revision{}
}

// beginJournal returns the end of the journal, with the gaps of its last maxGaps entries. The stock is to be read after it.
func (s *Catalog) beginJournal(ctx context.Context, index *searchindex.Index) (*stockJournal, error) {
	j := &stockJournal{index: index, gaps: map[int64]time.Time{}, askedAt: time.Now()}
	var latest []*ent.Entry
	err := s.Client.Entry.Query().Order(entry.ByID(entsql.OrderDesc())).Limit(maxGaps).Select(entry.FieldID, entry.FieldChangeID).Scan(ctx, &latest)
	if err != nil {
		return nil, fmt.Errorf("read the end of the journal: %w", err)
	}
	for i, e := range slices.Backward(latest) {
		if i < maxGaps-1 { // before that one, there may have been others
			j.remember(e.ID)
		}
		j.last, j.change = e.ID, e.ChangeID
	}
	return j, nil
}

// remember notes the gap between the last ID and the next one.
func (j *stockJournal) remember(next int64) {
	now := time.Now()
	for id := max(j.last+1, next-maxGaps); id < next; id++ {
		j.gaps[id] = now
	}
}

// boundGaps drops the earliest gaps if there are too many.
func (j *stockJournal) boundGaps() {
	if len(j.gaps) > maxGaps {
		ids := slices.Sorted(maps.Keys(j.gaps))
		for _, id := range ids[:len(ids)-maxGaps] {
			delete(j.gaps, id)
		}
	}
}

// readJournal reads what was written since the last reading, and returns which products are sold out since, or can be bought again, and how
// far the journal is read then. errJournalRestored if the journal lacks what was read before.
func (s *Catalog) readJournal(ctx context.Context, before *stockJournal) (*searchindex.Stock, *stockJournal, error) {
	j := *before
	j.gaps = maps.Clone(before.gaps)
	variants := map[string]bool{}
	for {
		page, err := s.Client.Entry.Query().Where(entry.IDGTE(j.last)).Order(entry.ByID()).Limit(journalPage).
			Select(entry.FieldID, entry.FieldBalance, entry.FieldChangeID, entry.FieldDelta, entry.FieldAmountAfter).All(ctx)
		if err != nil {
			return nil, nil, fmt.Errorf("read the journal: %w", err)
		}
		isLast := len(page) < journalPage
		if j.last > 0 {
			if len(page) == 0 || page[0].ID != j.last || page[0].ChangeID != j.change {
				return nil, nil, errJournalRestored
			}
			page = page[1:]
		}
		for _, e := range page {
			j.remember(e.ID)
			j.last, j.change = e.ID, e.ChangeID
		}
		j.boundGaps()
		noteChanged(variants, page)
		if isLast {
			break
		}
	}
	late, err := s.readGaps(ctx, &j)
	if err != nil {
		return nil, nil, err
	}
	noteChanged(variants, late)
	stock, err := s.stockOf(ctx, variants)
	return stock, &j, err
}

// noteChanged adds the variants that these entries have sold out, and those that they have made available.
func noteChanged(variants map[string]bool, entries []*ent.Entry) {
	for _, e := range entries {
		id, isStock := lockprovider.VariantOf(e.Balance)
		if isStock && (e.AmountAfter > 0) != (e.AmountAfter-e.Delta > 0) {
			variants[id] = true
		}
	}
}

// readGaps reads what has come into gaps. After it has asked for all of them, it forgets those that are too old.
func (s *Catalog) readGaps(ctx context.Context, j *stockJournal) (late []*ent.Entry, err error) {
	began := time.Now()
	all := began.Sub(j.askedAt) >= searchRefresh
	var asked []int64
	for id, seen := range j.gaps {
		if all || time.Since(seen) < freshGap {
			asked = append(asked, id)
		}
	}
	slices.Sort(asked)
	for some := range slices.Chunk(asked, gapsAtOnce) {
		// Databases plan a query anew for each number of IDs: so there are few numbers.
		for n := len(some); n&(n-1) != 0; n++ {
			some = append(some[:n:n], some[0])
		}
		rows, err := s.Client.Entry.Query().Where(entry.IDIn(some...)).Order(entry.ByID()).
			Select(entry.FieldID, entry.FieldBalance, entry.FieldDelta, entry.FieldAmountAfter).All(ctx)
		if err != nil {
			return nil, fmt.Errorf("read late entries of the journal: %w", err)
		}
		late = append(late, rows...)
	}
	for _, e := range late {
		delete(j.gaps, e.ID)
	}
	if all {
		j.askedAt = began
		maps.DeleteFunc(j.gaps, func(_ int64, seen time.Time) bool { return began.Sub(seen) > maxGapAge })
	}
	return late, nil
}

// stockOf returns which of the products of variants can be bought, and which cannot. It goes by their balances, not by what the entries say: an entry that
// comes into a gap may be read after a later one of the same variant.
func (s *Catalog) stockOf(ctx context.Context, variants map[string]bool) (*searchindex.Stock, error) {
	stock := new(searchindex.Stock)
	for some := range slices.Chunk(slices.Sorted(maps.Keys(variants)), gapsAtOnce) {
		if err := s.readStock(ctx, stock, some); err != nil {
			return nil, fmt.Errorf("read the stocks of products: %w", err)
		}
	}
	return stock, nil
}

// readStock sets whether the products of some variants can be bought.
func (s *Catalog) readStock(ctx context.Context, stock *searchindex.Stock, variants []string) error {
	d := entsql.Dialect(s.Ledger.Dialect()).Table(searchdocument.Table).As("d")
	v := entsql.Dialect(s.Ledger.Dialect()).Table(productvariant.Table).As("v")
	text, args := entsql.Dialect(s.Ledger.Dialect()).Select(d.C("id")).
		AppendSelectExprAs(entsql.Expr(canBeBought(s.Ledger.Dialect(), d.C("product_id"))), "available").
		From(d).Join(v).On(v.C(productvariant.FieldProductID), d.C(searchdocument.FieldProductID)).
		Where(entsql.In(v.C(productvariant.FieldID), anyOf(variants)...)).Query()
	rows, err := s.Client.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			number    int64
			available bool
		)
		if err := rows.Scan(&number, &available); err != nil {
			return err
		}
		stock.Set(number, available)
	}
	return rows.Err()
}
