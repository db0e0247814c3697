package commerce

import (
	"cmp"
	"math/bits"
	"slices"

	"holdfast/ent"
)

// lineBack is units of an order's line that come back, and what was paid for them.
type lineBack struct {
	line            *ent.OrderLine
	quantity, worth int64
}

// linesBack finds the lines of an order that are to come back, and what was paid for their units.
func linesBack(row *ent.Order, lines []Line) (back []lineBack, worth int64, err error) {
	paid := PaidFor(row)
	var errs Errors
	for i, l := range lines {
		at := slices.IndexFunc(row.Edges.Lines, func(o *ent.OrderLine) bool { return o.ProductID == l.ProductID })
		if at < 0 {
			errs = append(errs, &Error{Code: NotFound, Field: lineField(i, "productId"), Message: "the order has no such product"})
			continue
		}
		line := row.Edges.Lines[at]
		if left := line.Quantity - line.Returned; l.Quantity > left {
			errs = append(errs, invalid(lineField(i, "quantity"), "%d of the %d units can come back, not %d", left, line.Quantity, l.Quantity))
			continue
		}
		b := lineBack{line: line, quantity: l.Quantity, worth: unitsWorth(paid[at], line.Quantity, line.Returned, l.Quantity)}
		back, worth = append(back, b), worth+b.worth
	}
	if errs != nil {
		return nil, 0, errs
	}
	return back, worth, nil
}

// PaidFor returns what was paid for each line of an order: its total, split by the prices of the lines. The sum is the total, to the
// last minor unit: the lines with the largest remainders get one more.
func PaidFor(row *ent.Order) []int64 {
	weights := make([]int64, len(row.Edges.Lines))
	for i, l := range row.Edges.Lines {
		weights[i] = l.UnitPriceMinor * l.Quantity
	}
	return split(row.TotalMinor, weights)
}

// split splits a total by weights, by the method of the largest remainder. Of equal remainders, the first gets more. No weight is negative, and the
// total is at most their sum.
func split(total int64, weights []int64) []int64 {
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

// unitsWorth returns what was paid for n units of a line, of which some came back before. All units together are worth what was paid for the line.
func unitsWorth(paid, quantity, before, n int64) int64 {
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
