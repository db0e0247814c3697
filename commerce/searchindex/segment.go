package searchindex

import (
	"cmp"
	"slices"
	"sort"
	"strings"
)

// segment is an index of some documents. It never changes. A document has an ordinal, its place among the numbers of the documents.
type segment struct {
	numbers           []int64 // ascending
	productIDs, names texts
	prices, created   []int64
	otherPrices       map[uint32][]int64 // by ordinal: most documents have none
	archived          bitset
	words             texts    // ascending, each once
	starts            []uint32 // where the postings of each word begin, and where the last ones end
	postings          []uint32 // the ordinals of the documents that have a word, ascending
	orders            [orderCount][]uint32
}

// texts are many texts in one: a slice of strings would take 16 bytes more for each, and the garbage collector would look at them all.
type texts struct {
	all  string
	ends []uint32
}

func (t texts) len() int { return len(t.ends) }

func (t texts) at(i int) string {
	begin := uint32(0)
	if i > 0 {
		begin = t.ends[i-1]
	}
	return t.all[begin:t.ends[i]]
}

// textsOf returns n texts.
func textsOf(n int, at func(int) string) texts {
	size := 0
	for i := range n {
		size += len(at(i))
	}
	var all strings.Builder
	all.Grow(size)
	ends := make([]uint32, n)
	for i := range n {
		all.WriteString(at(i))
		ends[i] = uint32(all.Len())
	}
	return texts{all.String(), ends}
}

func (s *segment) len() int { return len(s.numbers) }

// ordinal finds a document by its number.
func (s *segment) ordinal(number int64) (uint32, bool) {
	i, found := slices.BinarySearch(s.numbers, number)
	return uint32(i), found
}

// position returns where a document stands in an order.
func (s *segment) position(o Order, ordinal uint32) Position {
	p := Position{ProductID: s.productIDs.at(int(ordinal))}
	switch o {
	case ByTime:
		p.Number = s.created[ordinal]
	case ByName:
		p.Text = s.names.at(int(ordinal))
	case ByPrice:
		p.Number = s.prices[ordinal]
	}
	return p
}

// compare compares the positions of two documents, without making them.
func (s *segment) compare(o Order, a uint32, other *segment, b uint32) int {
	c := 0
	switch o {
	case ByTime:
		c = cmp.Compare(s.created[a], other.created[b])
	case ByName:
		c = strings.Compare(s.names.at(int(a)), other.names.at(int(b)))
	case ByPrice:
		c = cmp.Compare(s.prices[a], other.prices[b])
	}
	if c == 0 {
		c = strings.Compare(s.productIDs.at(int(a)), other.productIDs.at(int(b)))
	}
	return c
}

// beginning returns the range of the postings of all words that begin with a text.
func (s *segment) beginning(text string) []uint32 {
	from := sort.Search(s.words.len(), func(i int) bool { return s.words.at(i) >= text })
	n := sort.Search(s.words.len()-from, func(i int) bool { return !strings.HasPrefix(s.words.at(from+i), text) })
	return s.postings[s.starts[from]:s.starts[from+n]]
}

// build indexes documents, each of another number. It sorts the slice.
func build(documents []Document) *segment {
	slices.SortFunc(documents, func(a, b Document) int { return cmp.Compare(a.Number, b.Number) })
	n := len(documents)
	s := &segment{
		numbers: make([]int64, n), otherPrices: map[uint32][]int64{}, prices: make([]int64, n), created: make([]int64, n), archived: make(bitset, words64(n)),
		productIDs: textsOf(n, func(i int) string { return documents[i].ProductID }),
		names:      textsOf(n, func(i int) string { return documents[i].Name }),
	}
	var (
		places  = map[string]uint32{} // of the words, in the order in which they are met
		lengths []uint32              // how many postings each word has
		pairs   [][2]uint32           // the place of a word, an ordinal
	)
	for i, d := range documents {
		s.numbers[i], s.prices[i], s.created[i] = d.Number, d.PriceMinor, d.CreatedAt.UnixMicro()
		if d.OtherPrices != nil {
			s.otherPrices[uint32(i)] = d.OtherPrices
		}
		if d.Archived {
			s.archived.set(uint32(i))
		}
		for word := range strings.FieldsSeq(d.Words) {
			place, known := places[word]
			if !known {
				place = uint32(len(lengths))
				places[word], lengths = place, append(lengths, 0)
			}
			lengths[place]++
			pairs = append(pairs, [2]uint32{place, uint32(i)})
		}
	}
	sorted := make([]string, 0, len(places))
	for word := range places {
		sorted = append(sorted, word)
	}
	slices.Sort(sorted)
	s.words = textsOf(len(sorted), func(i int) string { return sorted[i] })
	s.starts = make([]uint32, len(sorted)+1)
	next := make([]uint32, len(sorted)) // by place: where the next posting goes
	for i, word := range sorted {
		next[places[word]] = s.starts[i]
		s.starts[i+1] = s.starts[i] + lengths[places[word]]
	}
	s.postings = make([]uint32, len(pairs))
	for _, pair := range pairs {
		s.postings[next[pair[0]]] = pair[1]
		next[pair[0]]++
	}
	for o := range s.orders {
		order := make([]uint32, n)
		for i := range order {
			order[i] = uint32(i)
		}
		slices.SortFunc(order, func(a, b uint32) int { return s.compare(Order(o), a, s, b) })
		s.orders[o] = order
	}
	return s
}

// gone is the new ordinal of a document that a merged segment does not have.
const gone = ^uint32(0)

// merge returns a segment of the documents of two segments that are not dead. It takes time in proportion to their sizes.
func merge(a, b *live) *segment {
	parts := [2]*live{a, b}
	var renumbered [2][]uint32 // the new ordinals
	type source struct{ part, ordinal uint32 }
	var from []source // by new ordinal
	for i, part := range parts {
		renumbered[i] = make([]uint32, part.len())
	}
	interleave(a.ordinals(), b.ordinals(), func(x, y uint32) bool { return a.numbers[x] < b.numbers[y] }, func(part int, ordinal uint32) {
		if parts[part].dead.has(ordinal) {
			renumbered[part][ordinal] = gone
			return
		}
		renumbered[part][ordinal] = uint32(len(from))
		from = append(from, source{uint32(part), ordinal})
	})
	n := len(from)
	s := &segment{
		numbers: make([]int64, n), otherPrices: map[uint32][]int64{}, prices: make([]int64, n), created: make([]int64, n), archived: make(bitset, words64(n)),
		productIDs: textsOf(n, func(i int) string { return parts[from[i].part].productIDs.at(int(from[i].ordinal)) }),
		names:      textsOf(n, func(i int) string { return parts[from[i].part].names.at(int(from[i].ordinal)) }),
	}
	for i, f := range from {
		part := parts[f.part]
		s.numbers[i], s.prices[i], s.created[i] = part.numbers[f.ordinal], part.prices[f.ordinal], part.created[f.ordinal]
		if others := part.otherPrices[f.ordinal]; others != nil {
			s.otherPrices[uint32(i)] = others
		}
		if part.archived.has(f.ordinal) {
			s.archived.set(uint32(i))
		}
	}
	for o := range s.orders {
		order := make([]uint32, 0, n)
		before := func(x, y uint32) bool { return a.compare(Order(o), x, b.segment, y) < 0 }
		interleave(a.orders[o], b.orders[o], before, func(part int, ordinal uint32) {
			if ordinal = renumbered[part][ordinal]; ordinal != gone {
				order = append(order, ordinal)
			}
		})
		s.orders[o] = order
	}
	s.mergePostings(parts, renumbered)
	return s
}

// mergePostings takes the postings of two segments over, and leaves out words that no document has any more.
func (s *segment) mergePostings(parts [2]*live, renumbered [2][]uint32) {
	s.postings = make([]uint32, 0, len(parts[0].postings)+len(parts[1].postings))
	var (
		words strings.Builder
		ends  []uint32
		at    [2]int // the next word of each part
		lists [2][]uint32
	)
	words.Grow(len(parts[0].words.all) + len(parts[1].words.all))
	s.starts = []uint32{0}
	for at[0] < parts[0].words.len() || at[1] < parts[1].words.len() {
		word, first := "", true
		for i, part := range parts {
			if at[i] < part.words.len() && (first || part.words.at(at[i]) < word) {
				word, first = part.words.at(at[i]), false
			}
		}
		for i, part := range parts {
			lists[i] = nil
			if at[i] < part.words.len() && part.words.at(at[i]) == word {
				lists[i] = part.postings[part.starts[at[i]]:part.starts[at[i]+1]]
				at[i]++
			}
		}
		before := func(x, y uint32) bool { return parts[0].numbers[x] < parts[1].numbers[y] }
		interleave(lists[0], lists[1], before, func(part int, ordinal uint32) {
			if ordinal = renumbered[part][ordinal]; ordinal != gone {
				s.postings = append(s.postings, ordinal)
			}
		})
		if end := uint32(len(s.postings)); end > s.starts[len(s.starts)-1] {
			words.WriteString(word)
			ends = append(ends, uint32(words.Len()))
			s.starts = append(s.starts, end)
		}
	}
	s.words = texts{words.String(), ends}
	s.postings = slices.Clip(s.postings)
}

// ordinals returns all ordinals of a segment.
func (l *live) ordinals() []uint32 {
	ordinals := make([]uint32, l.len())
	for i := range ordinals {
		ordinals[i] = uint32(i)
	}
	return ordinals
}

// interleave calls take for what two sorted lists have, in one order.
func interleave(a, b []uint32, before func(x, y uint32) bool, take func(part int, ordinal uint32)) {
	for len(a) > 0 && len(b) > 0 {
		if before(a[0], b[0]) {
			take(0, a[0])
			a = a[1:]
		} else {
			take(1, b[0])
			b = b[1:]
		}
	}
	for _, x := range a {
		take(0, x)
	}
	for _, y := range b {
		take(1, y)
	}
}
