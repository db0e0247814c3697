package audit

import (
	"context"
	"maps"
	"slices"

	"holdfast/ent/hold"
	"holdfast/lockprovider"
)

// held returns the units that active holds have, by the stock of the product, and checks that as many holds are counted of each customer as there
// are.
func (a *Auditor) held(ctx context.Context) (map[string]int64, error) {
	rows, err := a.DB.Hold.Query().Where(hold.StatusEQ(hold.StatusACTIVE)).WithLines().All(ctx)
	if err != nil {
		return nil, err
	}
	units, counts := map[string]int64{}, map[string]int64{} // the latter by their balance
	for key := range a.books.balances {
		if owner, _ := lockprovider.CountOf(key); owner.Holds {
			counts[key] = 0
		}
	}
	for _, row := range rows {
		counts[lockprovider.HoldsKey(row.UserID)]++
		for _, l := range row.Edges.Lines {
			units[lockprovider.StockKey(l.VariantID)] += l.Quantity
		}
	}
	for _, key := range slices.Sorted(maps.Keys(counts)) {
		counted := int64(0)
		if row := a.books.balances[key]; row != nil {
			counted = row.Amount
		}
		if off := counted - counts[key]; off != 0 {
			a.find(LostUnits, key, max(off, -off), "counts %d holds, and there are %d", counted, counts[key])
		}
	}
	return units, nil
}
