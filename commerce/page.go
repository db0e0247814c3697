package commerce

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	entsql "entgo.io/ent/dialect/sql"
)

// MaxPage bounds a page.
const MaxPage = 100

// Page asks for the first items of a list, or for the last ones, between two cursors.
type Page struct {
	First int    // 1 to MaxPage; 0 for the last items
	After string // a cursor that a page gave out; "" begins at the beginning of the list
	// Backward asks for the last items. Otherwise Last means nothing.
	Backward bool
	Last     int    // 1 to MaxPage
	Before   string // a cursor that a page gave out; "" ends at the end of the list
}

// PageOf is one page of a list, in the order of the list.
type PageOf[T any] struct {
	Items   []T
	Cursors []string // of the items, in their order
	// HasNext and HasPrevious are as the Relay specification of cursor connections has them: in the direction in which the page was
	// asked for, whether more items are there; in the other direction, whether the page begins at a cursor.
	HasNext, HasPrevious bool
	// Count counts the whole list; nil if the list is not counted.
	Count Counter
}

// MaxCount is how far lists are counted. Chosen: so many index entries are read in some milliseconds, and nobody pages further.
const MaxCount = 1000

// Counter counts the items of a list with its filter, not those of a page. It counts once, however often it is called.
type Counter func(ctx context.Context) (Count, error)

// Count is how many items a list has. If it is not exact, there are more.
type Count struct {
	Items   int
	IsExact bool
}

// counting returns a counter. read reads the items of the list, up to a limit, and returns how many it has read.
func counting(read func(ctx context.Context, limit int) (int, error)) Counter {
	var (
		once  sync.Once
		count Count
		err   error
	)
	return func(ctx context.Context) (Count, error) {
		once.Do(func() {
			var n int
			n, err = read(ctx, MaxCount+1)
			count = Count{Items: min(n, MaxCount), IsExact: n <= MaxCount}
		})
		return count, err
	}
}

// counts returns a counter of a query.
func counts[ID any, Query interface {
	Limit(limit int) Query
	IDs(ctx context.Context) ([]ID, error)
}](query func() Query) Counter {
	return counting(func(ctx context.Context, limit int) (int, error) {
		ids, err := query().Limit(limit).IDs(ctx)
		return len(ids), err
	})
}

// listing is one list in one order, with one filter. A cursor belongs to one listing: in another one, its position means nothing, or
// pages of two filters would be taken for one list.
type listing struct {
	// name is unique among all listings. That of a list within an object, such as a journal, has the name of the object in it, and
	// that of a list with a filter a fingerprint of the filter.
	name string
	by   sortKey
	// column is what rows are sorted by, and then by the column id; "" if they are sorted by the column id alone.
	column     string
	descending bool
}

// filtered returns the listing with a filter. The zero value of a filter is none.
func filtered[Filter comparable](l listing, filter Filter) listing {
	var none Filter
	if filter != none {
		l.name += ":" + fingerprint(filter)[:16]
	}
	return l
}

// Range is a range of time. Ranges are compared by what is in them.
type Range struct {
	From  Bound `json:",omitzero"` // the first moment
	Until Bound `json:",omitzero"` // the first moment behind the range
}

// Bound is an end of a range. The zero value is none, which the zero time is not: it is a moment of the year 1.
type Bound struct {
	IsSet  bool
	Moment time.Time // in UTC
}

// BoundAt is the bound at a moment; nil stands for none.
func BoundAt(moment *time.Time) Bound {
	if moment == nil {
		return Bound{}
	}
	return Bound{IsSet: true, Moment: moment.UTC()}
}

// check refuses a range that has no moment.
func (r Range) check(field ...string) error {
	if r.From.IsSet && r.Until.IsSet && !r.From.Moment.Before(r.Until.Moment) {
		return invalid(field, "%s must begin before it ends; until is the first moment that does not belong to it", field[len(field)-1])
	}
	return nil
}

// within returns a condition on a column. It fits Where of each query of ent.
func (r Range) within(column string) func(*entsql.Selector) {
	return func(rows *entsql.Selector) {
		if r.From.IsSet {
			rows.Where(entsql.GTE(rows.C(column), r.From.Moment))
		}
		if r.Until.IsSet {
			rows.Where(entsql.LT(rows.C(column), r.Until.Moment))
		}
	}
}

// sortKey is what a listing is sorted by.
type sortKey int

const (
	timeAndID sortKey = iota
	textAndID
	numberAndID
	numberOnly // of rows whose number is unique
)

// columnID is what all tables name their identifiers.
const columnID = "id"

// position is what a cursor says: a listing, the sort key of an item, and its ID, because keys may be equal.
type position struct {
	List   string    `json:"l"`
	Time   time.Time `json:"t,omitzero"`
	Number int64     `json:"n,omitempty"`
	Text   string    `json:"s,omitempty"`
	ID     string    `json:"i,omitempty"`
}

// in returns the position with no other parts than the listing has, in the form that its cursors have.
func (p position) in(l listing) position {
	own := position{List: l.name}
	switch l.by {
	case timeAndID:
		own.Time, own.ID = p.Time.UTC(), p.ID
	case textAndID:
		own.Text, own.ID = p.Text, p.ID
	case numberAndID:
		own.Number, own.ID = p.Number, p.ID
	case numberOnly:
		own.Number = p.Number
	}
	return own
}

// key returns the sort key of a position in a listing.
func (p position) key(l listing) any {
	switch l.by {
	case timeAndID:
		return p.Time
	case textAndID:
		return p.Text
	default:
		return p.Number
	}
}

// storable reports whether the position can be written as a cursor, and every database can compare with it. PostgreSQL has no NUL,
// and no year before 1 as Go writes it; JSON has no year after 9999. The year is that of UTC, in which cursors are.
func (p position) storable() bool {
	year := p.Time.UTC().Year()
	return !strings.ContainsRune(p.Text+p.ID, 0) && year >= 1 && year <= 9999
}

func (p position) cursor() string { return base64.RawURLEncoding.EncodeToString(mustJSON(p)) }

// span is what a page reads of a listing: up to limit rows between two positions, from the first one on, or from the last one back.
type span struct {
	listing
	after, before *position // neither is in the span; nil stands for an end of the list
	backward      bool
	size          int
}

// of checks the page and decodes its cursors, which must be ones that the listing gives out.
func (p Page) of(l listing) (s span, err error) {
	s = span{listing: l, size: p.First, backward: p.Backward}
	argument := "first"
	if s.backward {
		if p.First != 0 {
			return s, invalid([]string{"last"}, "first and last cannot be given together; leave one of them out")
		}
		s.size, argument = p.Last, "last"
	}
	if s.size < 1 || s.size > MaxPage {
		return s, invalid([]string{argument}, "%s must be 1 to %d, not %d", argument, MaxPage, s.size)
	}
	if s.after, err = l.position("after", p.After); err != nil {
		return s, err
	}
	s.before, err = l.position("before", p.Before)
	return s, err
}

// position decodes a cursor of the listing; nil for none.
func (l listing) position(argument, cursor string) (*position, error) {
	if cursor == "" {
		return nil, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	var at position
	if err == nil {
		err = json.Unmarshal(raw, &at)
	}
	// A cursor has one spelling: what is encoded again is another text if there was anything else in it.
	if err != nil || !at.storable() || at.in(l).cursor() != cursor {
		return nil, invalid([]string{argument},
			"%s is not a cursor of this list in this order with this filter; leave it out to begin anew", argument)
	}
	return &at, nil
}

// limit is how many rows to read: one more than the page has, to know whether there are more.
func (s span) limit() int { return s.size + 1 }

// isDescending reports whether rows are read from the greatest key on.
func (s span) isDescending() bool { return s.descending != s.backward }

// start and end are where the rows that are read begin, and where they end at the latest.
func (s span) start() *position {
	if s.backward {
		return s.before
	}
	return s.after
}

func (s span) end() *position {
	if s.backward {
		return s.after
	}
	return s.before
}

// cut returns what the span reads of a whole list of numberAndID that is in memory, in its order.
func cut[T any](s span, list []T, at func(T) position) []T {
	outside := func(item T) bool {
		p := at(item)
		return s.after != nil && !p.behind(*s.after) || s.before != nil && !s.before.behind(p)
	}
	within := slices.DeleteFunc(slices.Clone(list), outside)
	if s.backward {
		slices.Reverse(within)
	}
	return within[:min(len(within), s.limit())]
}

// behind reports whether a position of numberAndID comes after another one, in ascending order.
func (p position) behind(other position) bool {
	return cmp.Or(cmp.Compare(p.Number, other.Number), strings.Compare(p.ID, other.ID)) > 0
}

// within selects the rows of the span. It fits Where of each query of ent.
func (s span) within(rows *entsql.Selector) {
	if s.after != nil {
		rows.Where(s.beyond(rows, s.after, !s.descending))
	}
	if s.before != nil {
		rows.Where(s.beyond(rows, s.before, s.descending))
	}
}

// beyond selects rows with a greater key, or with a less one, than a position. The first of the two conditions on the key is what an
// index can begin with.
func (s span) beyond(rows *entsql.Selector, at *position, greater bool) *entsql.Predicate {
	than, orEqual := entsql.LT, entsql.LTE
	if greater {
		than, orEqual = entsql.GT, entsql.GTE
	}
	id, key := rows.C(columnID), at.key(s.listing)
	if s.by == numberOnly {
		return than(id, key)
	}
	column := rows.C(s.column)
	return entsql.And(orEqual(column, key), entsql.Or(than(column, key), than(id, at.ID)))
}

// sorted reads the rows in the direction of the span. It fits Order of each query of ent.
func (s span) sorted(rows *entsql.Selector) {
	direction := entsql.Asc
	if s.isDescending() {
		direction = entsql.Desc
	}
	if s.by != numberOnly {
		rows.OrderBy(direction(rows.C(s.column)))
	}
	rows.OrderBy(direction(rows.C(columnID)))
}

// pageOf cuts rows of a span, of which one more than asked was read, to a page.
func pageOf[T any](rows []T, s span, at func(T) position) PageOf[T] {
	more := len(rows) > s.size
	rows = rows[:min(len(rows), s.size)]
	page := PageOf[T]{HasNext: more, HasPrevious: s.after != nil}
	if s.backward {
		slices.Reverse(rows)
		page.HasNext, page.HasPrevious = s.before != nil, more
	}
	page.Items, page.Cursors = rows, make([]string, len(rows))
	for i, row := range rows {
		page.Cursors[i] = at(row).in(s.listing).cursor()
	}
	return page
}
