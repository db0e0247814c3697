package commerce

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
)

// MaxPage bounds a page.
const MaxPage = 100

// Page asks for the first items after a cursor.
type Page struct {
	First int    // 1 to MaxPage
	After string // a cursor that a page gave out; "" begins
}

// PageOf is one page of a list.
type PageOf[T any] struct {
	Items   []T
	Cursors []string // of the items, in their order
	HasNext bool
}

// listing is one list in one order. A cursor belongs to one listing: in another one, its position means nothing. Filters do not
// make another listing, since they leave out items and keep the order.
type listing struct {
	// name is unique among all listings. That of a list within an object, such as a journal, has the name of the object in it.
	name string
	by   sortKey
}

// sortKey is what a listing is sorted by.
type sortKey int

const (
	timeAndID sortKey = iota
	textAndID
	numberAndID
	numberOnly // of rows whose number is unique
)

// position is what a cursor says: a listing, the sort key of the last item, and its ID, because keys may be equal.
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

// storable reports whether the position can be written as a cursor, and every database can compare with it. PostgreSQL has no NUL,
// and no year before 1 as Go writes it; JSON has no year after 9999. The year is that of UTC, in which cursors are.
func (p position) storable() bool {
	year := p.Time.UTC().Year()
	return !strings.ContainsRune(p.Text+p.ID, 0) && year >= 1 && year <= 9999
}

func (p position) cursor() string { return base64.RawURLEncoding.EncodeToString(mustJSON(p)) }

// from checks the page and decodes its cursor, which must be one that the listing gives out; nil means from the beginning.
func (p Page) from(l listing) (*position, error) {
	if p.First < 1 || p.First > MaxPage {
		return nil, invalid([]string{"first"}, "first must be 1 to %d, not %d", MaxPage, p.First)
	}
	if p.After == "" {
		return nil, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(p.After)
	var at position
	if err == nil {
		err = json.Unmarshal(raw, &at)
	}
	// A cursor has one spelling: what is encoded again is another text if there was anything else in it.
	if err != nil || !at.storable() || at.in(l).cursor() != p.After {
		return nil, invalid([]string{"after"}, "after is not a cursor of this list in this order; leave it out to begin at the first page")
	}
	return &at, nil
}

// pageOf cuts rows, of which one more than asked was read, to a page.
func pageOf[T any](rows []T, first int, l listing, at func(T) position) PageOf[T] {
	var page PageOf[T]
	if len(rows) > first {
		rows, page.HasNext = rows[:first], true
	}
	page.Items, page.Cursors = rows, make([]string, len(rows))
	for i, row := range rows {
		page.Cursors[i] = at(row).in(l).cursor()
	}
	return page
}
