package commerce

import (
	"holdfast/commerce/shares"
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
	seen := map[int]bool{}
	for i, l := range lines {
		places := placesOf(row, l)
		switch {
		case len(places) == 0:
			errs = append(errs, &Error{Code: NotFound, Field: lineField(i, l.named()), Message: "the order has no line of this"})
			continue
		case len(places) > 1:
			errs = append(errs, severalVariants(lineField(i, "productId"), l.ProductID, len(places)))
			continue
		case seen[places[0]]:
			errs = append(errs, invalid(lineField(i, l.named()), "the line of the order is named twice; add the quantities up"))
			continue
		}
		at := places[0]
		seen[at] = true
		line := row.Edges.Lines[at]
		if left := line.Quantity - line.Returned; l.Quantity > left {
			errs = append(errs, invalid(lineField(i, "quantity"), "%d of the %d units can come back, not %d", left, line.Quantity, l.Quantity))
			continue
		}
		b := lineBack{line: line, quantity: l.Quantity, worth: shares.Worth(paid[at], line.Quantity, line.Returned, l.Quantity)}
		back, worth = append(back, b), worth+b.worth
	}
	if errs != nil {
		return nil, 0, errs
	}
	return back, worth, nil
}

// placesOf returns which lines of an order a line names.
func placesOf(row *ent.Order, l Line) (at []int) {
	for i, o := range row.Edges.Lines {
		if l.means(o.VariantID, o.ProductID) {
			at = append(at, i)
		}
	}
	return at
}

// PaidFor returns what was paid for each line of an order: its total, split by the prices of the lines. The sum is the total, to the
// last minor unit: the lines with the largest remainders get one more.
func PaidFor(row *ent.Order) []int64 {
	weights := make([]int64, len(row.Edges.Lines))
	for i, l := range row.Edges.Lines {
		weights[i] = LineTotal(l.UnitPriceMinor, l.Quantity)
	}
	return shares.Split(row.TotalMinor, weights)
}
