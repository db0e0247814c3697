package commerce

import (
	"encoding/base64"
	"encoding/json"
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

// position is what a cursor says: the sort key of the last item, and its ID, because keys may be equal.
type position struct {
	Time   time.Time `json:"t,omitzero"`
	Number int64     `json:"n,omitempty"`
	Text   string    `json:"s,omitempty"`
	ID     string    `json:"i,omitempty"`
}

func (p position) cursor() string { return base64.RawURLEncoding.EncodeToString(mustJSON(p)) }

// from checks the page and decodes its cursor; nil means from the beginning.
func (p Page) from() (*position, error) {
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
	if err != nil {
		return nil, invalid([]string{"after"}, "after is not a cursor that this list gave out")
	}
	return &at, nil
}

// pageOf cuts rows, of which one more than asked was read, to a page.
func pageOf[T any](rows []T, first int, at func(T) position) PageOf[T] {
	var page PageOf[T]
	if len(rows) > first {
		rows, page.HasNext = rows[:first], true
	}
	page.Items, page.Cursors = rows, make([]string, len(rows))
	for i, row := range rows {
		page.Cursors[i] = at(row).cursor()
	}
	return page
}
