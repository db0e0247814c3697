// Package shares splits amounts of money to the last minor unit.
package shares

import (
	"cmp"
	"math/bits"
	"slices"
)

// Split splits a total by weights, by the method of the largest remainder. Of equal remainders, the first gets more. No weight is negative, and the
// total is at most their sum.
func Split(total int64, weights []int64) []int64 {
	var sum int64
	for _, w := range weights {
		sum += w
	}
	parts, remainders, order := make([]int64, len(weights)), make([]int64, len(weights)), make([]int, len(weights))
	if sum == 0 {
		return parts
	}
	left := total
	for i, w := range weights {
		parts[i], remainders[i] = mulDiv(total, w, sum)
		left -= parts[i]
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(remainders[b], remainders[a]) })
	for _, i := range order[:left] {
		parts[i]++
	}
	return parts
}

// Worth returns what was paid for n units of a line, of which some came back before. All units together are worth what was paid for the line.
func Worth(paid, quantity, before, n int64) int64 {
	to, _ := mulDiv(paid, before+n, quantity)
	from, _ := mulDiv(paid, before, quantity)
	return to - from
}

// mulDiv returns a × b ÷ c and the remainder. No factor is negative, and the quotient fits.
func mulDiv(a, b, c int64) (quotient, remainder int64) {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	q, r := bits.Div64(hi, lo, uint64(c))
	return int64(q), int64(r)
}
