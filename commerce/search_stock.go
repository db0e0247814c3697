package commerce

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	entsql "entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"holdfast/commerce/searchindex"
	"holdfast/ent"
	"holdfast/ent/entry"
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
// Entries of one balance have ascending IDs in the order of their commits, as the row of the balance is locked. Those of several balances
// do not: an ID is drawn before its transaction commits. So IDs that are left out are remembered as gaps, and looked for again. Most
// are of transactions that did not commit.
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

// beginJournal returns the end of the journal. The stock is to be read after it.
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

// forget drops gaps that are too old, and the earliest ones if there are too many.
func (j *stockJournal) forget() {
	maps.DeleteFunc(j.gaps, func(_ int64, seen time.Time) bool { return time.Since(seen) > maxGapAge })
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
	var turns []*ent.Entry
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
		turns = append(turns, turnsOf(page)...)
		if isLast {
			break
		}
	}
	// Those in gaps are asked for after the new ones: if the latter have a later entry of a balance, its earlier one is there, too.
	late, err := s.readGaps(ctx, &j)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range late {
		delete(j.gaps, e.ID)
	}
	j.forget()
	stock, err := s.stockAfter(ctx, append(turns, turnsOf(late)...))
	return stock, &j, err
}

// turnsOf returns the entries that have sold a product out, or that have made its stock more than 0.
func turnsOf(entries []*ent.Entry) []*ent.Entry {
	var turns []*ent.Entry
	for _, e := range entries {
		if (e.AmountAfter > 0) != (e.AmountAfter-e.Delta > 0) && strings.HasPrefix(e.Balance, lockprovider.StockKey("")) {
			turns = append(turns, e)
		}
	}
	return turns
}

// readGaps reads what has come into gaps.
func (s *Catalog) readGaps(ctx context.Context, j *stockJournal) (late []*ent.Entry, err error) {
	all := time.Since(j.askedAt) >= searchRefresh
	var asked []int64
	for id, seen := range j.gaps {
		if all || time.Since(seen) < freshGap {
			asked = append(asked, id)
		}
	}
	if all {
		j.askedAt = time.Now()
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
	return late, nil
}

// stockAfter returns which products can be bought after these turns, and which cannot.
func (s *Catalog) stockAfter(ctx context.Context, turns []*ent.Entry) (*searchindex.Stock, error) {
	slices.SortFunc(turns, func(a, b *ent.Entry) int { return cmp.Compare(a.ID, b.ID) })
	available := map[string]bool{}
	for _, e := range turns {
		available[strings.TrimPrefix(e.Balance, lockprovider.StockKey(""))] = e.AmountAfter > 0
	}
	stock := new(searchindex.Stock)
	for some := range slices.Chunk(slices.Sorted(maps.Keys(available)), gapsAtOnce) {
		rows, err := s.Client.SearchDocument.Query().Where(searchdocument.ProductIDIn(some...)).
			Select(searchdocument.FieldID, searchdocument.FieldProductID).All(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the documents of products: %w", err)
		}
		for _, row := range rows {
			stock.Set(row.ID, available[row.ProductID])
		}
	}
	return stock, nil
}
