package searchindex

import (
	"cmp"
	"slices"
	"sort"
	"sync"
)

// Snapshot is the documents of an index at one moment. It never changes.
type Snapshot struct {
	segments  []*live
	revision  Revision
	available numberSet
}

// Revision is what the last Put said.
func (s *Snapshot) Revision() Revision { return s.revision }

// Query says which documents are found: those that have a word beginning with each of the words, and are within the rest. No words
// find all documents.
type Query struct {
	Words []string
	// AnyOf leaves those that have a word beginning with one of these; nil leaves all.
	AnyOf              []string
	IncludeArchived    bool
	Available          *bool  // whether the product can be bought; nil for either
	MinPrice, MaxPrice *int64 // nil for none. They belong to the range.
}

// Matches are the documents that a query finds. They are to be closed.
type Matches struct {
	query Query
	parts []match
}

// match is the documents of one segment.
type match struct {
	*live
	found *bitset // of bitsets
	count int
}

// fewMatches is how many documents are sorted, rather than found along the order of the list.
const fewMatches = 2000

// bitsets are those that closed matches have had.
var bitsets = sync.Pool{New: func() any { return new(bitset) }}

// emptyBitset returns a bitset of n bits. It goes back to bitsets.
func emptyBitset(n int) *bitset {
	b, _ := bitsets.Get().(*bitset) // it has nothing else
	if size := words64(n); cap(*b) < size {
		*b = make(bitset, size)
	} else {
		*b = (*b)[:size]
		clear(*b)
	}
	return b
}

// Match finds the documents of a query. The time that it takes is in proportion to the postings of the words, and to how many words are in
// AnyOf; without words, to the documents.
func (s *Snapshot) Match(q Query) *Matches {
	m := &Matches{query: q}
	for _, l := range s.segments {
		found := emptyBitset(l.len())
		l.match(q, *found)
		if q.Available != nil {
			l.leave(*found, s.available, *q.Available)
		}
		if count := found.count(); count > 0 {
			m.parts = append(m.parts, match{l, found, count})
		} else {
			bitsets.Put(found)
		}
	}
	return m
}

// Close gives back what the matches need.
func (m *Matches) Close() {
	for _, part := range m.parts {
		bitsets.Put(part.found)
	}
	m.parts = nil
}

// match sets the bits of the documents that a query finds, but for their prices. The rarest words are the first, as nothing may be left
// after them.
func (l *live) match(q Query, found bitset) {
	postings := make([][]uint32, len(q.Words))
	for i, word := range q.Words {
		postings[i] = l.beginning(word)
	}
	slices.SortFunc(postings, func(a, b []uint32) int { return cmp.Compare(len(a), len(b)) })
	for i, list := range postings {
		if i == 0 {
			for _, ordinal := range list {
				found.set(ordinal)
			}
			continue
		}
		other := emptyBitset(l.len())
		for _, ordinal := range list {
			other.set(ordinal)
		}
		some := found.and(*other)
		bitsets.Put(other)
		if !some {
			return
		}
	}
	if len(q.Words) == 0 && q.AnyOf == nil {
		found.fill(l.len())
	}
	if q.AnyOf != nil {
		l.leaveAnyOf(q.AnyOf, found, len(q.Words) == 0)
	}
	found.without(l.dead)
	if !q.IncludeArchived {
		found.without(l.archived)
	}
}

// leaveAnyOf leaves the bits of those documents that have a word beginning with one of some; if all are wanted, it sets these bits.
func (l *live) leaveAnyOf(words []string, found bitset, all bool) {
	some := found
	if !all {
		other := emptyBitset(l.len())
		defer bitsets.Put(other)
		some = *other
	}
	for _, word := range words {
		for _, ordinal := range l.beginning(word) {
			some.set(ordinal)
		}
	}
	if !all {
		found.and(some)
	}
}

// leave leaves the bits of those documents that are in a set, or that are not.
func (l *live) leave(found bitset, set numberSet, in bool) {
	last, bits := int64(-1), (*numberPage)(nil) // of numbers that follow each other, most are on one page
	for ordinal := range found.all() {
		page, word, bit := place(l.numbers[ordinal])
		if page != last {
			last, bits = page, set[page]
		}
		if isIn := bits != nil && bits[word]&bit != 0; isIn != in {
			found.clear(ordinal)
		}
	}
}

// Read returns the positions of up to limit documents behind one position and before another one, in the direction in which they are
// read. Neither belongs to what is read; nil stands for an end of the list.
func (m *Matches) Read(order Order, descending bool, behind, before *Position, limit int) []Position {
	var list []Position
	for _, part := range m.parts {
		if part.count <= fewMatches {
			list = append(list, part.few(order, descending, behind, before, m.query)...)
		} else {
			list = append(list, part.along(order, descending, behind, before, m.query, limit)...)
		}
	}
	slices.SortFunc(list, func(a, b Position) int { return directed(a.compare(b), descending) })
	return list[:min(len(list), limit)]
}

// directed turns a comparison round if the greatest is the first.
func directed(comparison int, descending bool) int {
	if descending {
		return -comparison
	}
	return comparison
}

func (m match) hasPrice(ordinal uint32, q Query) bool {
	within := func(price int64) bool {
		return (q.MinPrice == nil || price >= *q.MinPrice) && (q.MaxPrice == nil || price <= *q.MaxPrice)
	}
	return within(m.prices[ordinal]) || slices.ContainsFunc(m.otherPrices[ordinal], within)
}

// few returns all documents between two positions, in no order.
func (m match) few(order Order, descending bool, behind, before *Position, q Query) []Position {
	var list []Position
	for ordinal := range m.found.all() {
		if !m.hasPrice(ordinal, q) {
			continue
		}
		p := m.position(order, ordinal)
		if (behind == nil || directed(p.compare(*behind), descending) > 0) && (before == nil || directed(p.compare(*before), descending) < 0) {
			list = append(list, p)
		}
	}
	return list
}

// along walks along an order.
func (m match) along(order Order, descending bool, behind, before *Position, q Query, limit int) []Position {
	all := m.orders[order]
	at := func(i int) uint32 { // the i-th document in the direction in which they are read
		if descending {
			return all[len(all)-1-i]
		}
		return all[i]
	}
	first, end := 0, len(all)
	if behind != nil {
		first = sort.Search(len(all), func(i int) bool { return directed(m.position(order, at(i)).compare(*behind), descending) > 0 })
	}
	if before != nil {
		end = sort.Search(len(all), func(i int) bool { return directed(m.position(order, at(i)).compare(*before), descending) >= 0 })
	}
	var list []Position
	for i := first; i < end && len(list) < limit; i++ {
		if ordinal := at(i); m.found.has(ordinal) && m.hasPrice(ordinal, q) {
			list = append(list, m.position(order, ordinal))
		}
	}
	return list
}
