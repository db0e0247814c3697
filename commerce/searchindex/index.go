// Package searchindex finds products by beginnings of words, in each order of a list, in the memory of the process. It knows nothing of a
// database: package commerce gives it search documents, and those that have changed.
//
// An Index has segments. Documents that come together make a segment, which never changes. A document that comes again is dead in the
// segment that had it. Segments of like sizes are merged, so that there are few, and a document is copied a few times in its life.
// This is how Lucene does it: https://lucene.apache.org/core/9_0_0/core/org/apache/lucene/index/package-summary.html
//
// A search sets a bit for each document that a word of the query finds, for all words that begin with it. The documents that have the
// bits of all words are read along the order of the list, or are sorted if they are few. So the time of a search has a bound that
// depends on how many documents and postings there are, not on which documents have the words, nor where these are in the list.
package searchindex

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Document is what a search needs of a product.
type Document struct {
	Number          int64 // of the document. Another document of the same number replaces this one.
	ProductID, Name string
	PriceMinor      int64   // what the list is sorted by
	OtherPrices     []int64 // a range of prices finds these, too
	CreatedAt       time.Time
	Archived        bool
	Available       bool   // can be bought. PutStock tells what becomes of it
	Words           string // with spaces between them
}

// Order is a sort key of lists. Products of one key are sorted by ID.
type Order int

// The orders.
const (
	ByTime Order = iota
	ByName
	ByPrice
	orderCount
)

// Position is a place in an order.
type Position struct {
	Text      string // of ByName
	Number    int64  // of ByPrice, and of ByTime: microseconds since 1970
	ProductID string
}

func (p Position) compare(q Position) int {
	if c := cmp.Compare(p.Number, q.Number); c != 0 { // cmp.Or would compare the texts all the same
		return c
	}
	if c := strings.Compare(p.Text, q.Text); c != 0 {
		return c
	}
	return strings.Compare(p.ProductID, q.ProductID)
}

const (
	// maxSegment is the most documents of a segment that merges make. The offsets of its texts have 32 bits: so many documents may have
	// 8 KB each. A product has less than 4 KB.
	maxSegment = 1 << 19
	// maxBuilt is the most documents that are held in memory in another form than a segment's.
	maxBuilt = 1 << 18
	// maxMergedAtOnce is the most documents, dead ones included, that are merged before Put returns. That takes a few milliseconds.
	maxMergedAtOnce = 4096
)

// Index is an index of documents. Its methods may be called at the same time.
type Index struct {
	current atomic.Pointer[Snapshot]

	mu      sync.Mutex // of those who replace current
	merging []*live    // the two segments that are merged while others search and put; nil for none
}

// live is a segment, and which of its documents are dead. It never changes either.
type live struct {
	*segment
	dead  bitset
	alive int
}

// Revision is a state of the documents. The zero value is that of no documents.
type Revision struct {
	Number int64 // greater than those before
	Token  int64 // random: of two states of one number, one may have been lost
}

// New returns an index without documents, of the zero revision.
func New() *Index {
	x := new(Index)
	x.current.Store(new(Snapshot))
	return x
}

// Snapshot returns the documents as they are now.
func (x *Index) Snapshot() *Snapshot { return x.current.Load() }

// Batch is documents that are put into an index together.
type Batch struct {
	documents []Document
	segments  []*segment
	stock     Stock
}

// Add adds a document. A batch has one of a number.
func (b *Batch) Add(d Document) {
	b.documents = append(b.documents, d)
	b.stock.Set(d.Number, d.Available)
	if len(b.documents) == maxBuilt {
		b.seal()
	}
}

func (b *Batch) seal() {
	if len(b.documents) > 0 {
		b.segments = append(b.segments, build(b.documents))
		b.documents = b.documents[:0]
	}
}

// Put replaces documents of the same numbers by those of the batch, all at one moment. Revision says which state of the documents the
// index has from then on.
func (x *Index) Put(b *Batch, revision Revision) {
	b.seal()
	x.mu.Lock()
	defer x.mu.Unlock()
	before := x.current.Load()
	segments := make([]*live, 0, len(before.segments)+len(b.segments))
	for _, old := range before.segments {
		segments = append(segments, old.without(b.segments))
	}
	for _, s := range b.segments {
		segments = append(segments, &live{segment: s, alive: s.len()})
	}
	x.store(segments, revision, before.available.with(&b.stock))
}

// PutStock says of products whether they can be bought. A number that no document has is without effect until one has it.
func (x *Index) PutStock(s *Stock) {
	x.mu.Lock()
	defer x.mu.Unlock()
	now := x.current.Load()
	x.current.Store(&Snapshot{segments: now.segments, revision: now.revision, available: now.available.with(s)})
}

// store makes segments the current ones, and merges those that are to be merged: small ones at once, great ones while others search and
// put. The caller holds mu.
func (x *Index) store(segments []*live, revision Revision, available numberSet) {
	for {
		segments = settled(segments)
		a, b := x.toMerge(segments)
		if a == nil {
			break
		}
		if a.len()+b.len() > maxMergedAtOnce { // a merge looks at the dead ones, too
			if x.merging == nil {
				x.merging = []*live{a, b}
				go x.mergeAside(a, b)
			}
			break
		}
		segments = replaced(segments, a, b, merge(a, b))
	}
	x.current.Store(&Snapshot{segments: segments, revision: revision, available: available})
}

// mergeAside merges two segments while others search and put.
func (x *Index) mergeAside(a, b *live) {
	merged := merge(a, b)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.merging = nil
	now := x.current.Load()
	x.store(replaced(slices.Clone(now.segments), a, b, merged), now.revision, now.available)
}

// replaced replaces two segments by the merged one. What has died since they were merged is dead there, too.
func replaced(segments []*live, a, b *live, merged *segment) []*live {
	result := &live{segment: merged, dead: make(bitset, words64(merged.len())), alive: merged.len()}
	for _, before := range []*live{a, b} {
		i := slices.IndexFunc(segments, func(l *live) bool { return l.segment == before.segment })
		for ordinal, number := range before.numbers {
			o := uint32(ordinal)
			if !before.dead.has(o) && (i < 0 || segments[i].dead.has(o)) {
				died, _ := merged.ordinal(number)
				result.dead.set(died)
				result.alive--
			}
		}
		if i >= 0 {
			segments = slices.Delete(segments, i, i+1)
		}
	}
	return append(segments, result)
}

// without returns the segment with those documents dead that other segments have.
func (l *live) without(segments []*segment) *live {
	var dead bitset
	alive := l.alive
	for _, s := range segments {
		for _, number := range s.numbers {
			ordinal, found := l.ordinal(number)
			if !found || l.dead.has(ordinal) || dead.has(ordinal) {
				continue
			}
			if dead == nil {
				dead = make(bitset, words64(l.len()))
				copy(dead, l.dead)
			}
			dead.set(ordinal)
			alive--
		}
	}
	if dead == nil {
		return l
	}
	return &live{l.segment, dead, alive}
}

// settled leaves out segments without documents, and sorts them: the greatest first.
func settled(segments []*live) []*live {
	segments = slices.DeleteFunc(segments, func(l *live) bool { return l.alive == 0 })
	slices.SortStableFunc(segments, func(a, b *live) int { return b.alive - a.alive })
	return segments
}

// toMerge finds the smallest segment that is to be merged with the next smaller one, and the latter; nil if there is none. Of those that
// stay, each has more than twice as many documents as the next one, or the two would be too large together: so there are few. Dead ones
// do not count, as a merged segment does not have them.
func (x *Index) toMerge(segments []*live) (a, b *live) {
	for _, l := range slices.Backward(segments) {
		if slices.ContainsFunc(x.merging, func(m *live) bool { return m.segment == l.segment }) {
			continue
		}
		if b != nil && l.alive <= 2*b.alive && l.alive+b.alive <= maxSegment {
			return l, b
		}
		b = l
	}
	return nil, nil
}
