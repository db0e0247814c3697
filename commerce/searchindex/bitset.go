package searchindex

import (
	"iter"
	"math/bits"
)

// bitset has a bit for each ordinal of a segment. A nil one has none.
type bitset []uint64

// words64 returns how many numbers of 64 bits have n bits.
func words64(n int) int { return (n + 63) / 64 }

func (b bitset) has(i uint32) bool { return b != nil && b[i/64]&(1<<(i%64)) != 0 }

func (b bitset) set(i uint32) { b[i/64] |= 1 << (i % 64) }

func (b bitset) clear(i uint32) { b[i/64] &^= 1 << (i % 64) }

// fill sets the first n bits.
func (b bitset) fill(n int) {
	for i := range n / 64 {
		b[i] = ^uint64(0)
	}
	if rest := n % 64; rest > 0 {
		b[n/64] |= 1<<rest - 1
	}
}

func (b bitset) count() int {
	n := 0
	for _, word := range b {
		n += bits.OnesCount64(word)
	}
	return n
}

// and leaves the bits that another one has, too, and reports whether there are any.
func (b bitset) and(other bitset) bool {
	rest := uint64(0)
	for i, word := range other {
		b[i] &= word
		rest |= b[i]
	}
	return rest != 0
}

// without takes away the bits that another one has.
func (b bitset) without(other bitset) {
	for i, word := range other {
		b[i] &^= word
	}
}

// all are the ordinals whose bits are set.
func (b bitset) all() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for i, word := range b {
			for ; word != 0; word &= word - 1 {
				if !yield(uint32(i*64 + bits.TrailingZeros64(word))) {
					return
				}
			}
		}
	}
}
