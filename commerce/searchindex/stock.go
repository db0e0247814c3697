package searchindex

import "maps"

// Stock says of some documents whether their products can be bought. What it says last of a number counts.
type Stock struct{ told, available numberSet }

// Set says it of the document of a number.
func (s *Stock) Set(number int64, available bool) {
	s.told.set(number, true)
	s.available.set(number, available)
}

// numberSet is a set of the numbers of documents, by pages: numbers that follow each other take a bit each. In a snapshot, it never changes.
type numberSet map[int64]*numberPage

// numberPage has the bits of numbers that follow each other. Its size is chosen: a change copies one page, and 1,000,000 numbers have 250.
type numberPage [64]uint64

const pageBits = 64 * 64

// place returns the page of a number, the word in it and the bit. Numbers are not negative.
func place(number int64) (page int64, word int, bit uint64) {
	return number / pageBits, int(number % pageBits / 64), 1 << (number % 64)
}

func (s *numberSet) set(number int64, in bool) {
	page, word, bit := place(number)
	if *s == nil {
		*s = numberSet{}
	}
	p := (*s)[page]
	if p == nil {
		p = new(numberPage)
		(*s)[page] = p
	}
	p[word] &^= bit
	if in {
		p[word] |= bit
	}
}

// with returns the set as a stock changes it.
func (s numberSet) with(changes *Stock) numberSet {
	if len(changes.told) == 0 {
		return s
	}
	result := maps.Clone(s)
	if result == nil {
		result = numberSet{}
	}
	for page, told := range changes.told {
		var changed numberPage
		if before := s[page]; before != nil {
			changed = *before
		}
		for i := range changed {
			changed[i] = changed[i]&^told[i] | changes.available[page][i]
		}
		result[page] = &changed
	}
	return result
}
