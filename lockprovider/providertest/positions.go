package providertest

import (
	"context"
	"errors"
	"maps"
	"testing"

	"github.com/google/uuid"

	"holdfast/ent"
	"holdfast/ent/entry"
	"holdfast/lockprovider"
)

// A position that was told is the one in the journal, for good.
var positionScenarios = []Scenario{
	{
		Name: "positions", Needs: excludes, Func: positionsOfRaces,
		Why: "two customers are told the same position, or one that another change has in the journal",
	},
	{
		Name: "positions_without_gaps", Needs: excludes, Func: positionsWithoutGaps,
		Why: "a refused change has taken a position, so that the journal lacks one, or has one twice",
	},
}

// positionsOfRaces moves two balances in both directions at once, at two instances.
func positionsOfRaces(t testing.TB, h *Harness) {
	racers := h.size(40, 8)
	x, y := h.open(t, 100, 0, unlimited), h.open(t, 100, 0, unlimited)
	one, other := h.start(t), h.start(t)
	changes := make([]lockprovider.Change, racers)
	for i := range changes {
		changes[i] = h.change(move(x, -1), move(y, +1))
		if i%2 == 1 {
			changes[i] = h.change(move(y, -2), move(x, +2))
		}
	}
	outcomes := race(t, racers, func(i int) lockprovider.Change { return changes[i] }, one, other)
	h.settle(t)
	journal := h.positions(t, x, y)
	told := map[uuid.UUID]lockprovider.Receipt{}
	for _, o := range outcomes {
		if o.err != nil {
			t.Fatal(o.err)
		}
		told[o.receipt.ChangeID] = o.receipt
	}
	for i, c := range changes {
		h.checkPositions(t, told[c.ID], journal[c.ID])
		if i%5 == 0 { // a repeat, at another instance too
			h.checkPositions(t, one.mustExecute(t, c), journal[c.ID])
			h.checkPositions(t, other.mustExecute(t, c), journal[c.ID])
		}
	}
}

// positionsWithoutGaps has the record writer refuse every third change, whose moves fit.
func positionsWithoutGaps(t testing.TB, h *Harness) {
	balance := h.open(t, 100, 0, unlimited)
	instance := h.start(t)
	errRecord := errors.New("the record is refused")
	for i := range 9 {
		c := h.change(move(balance, -1))
		if i%3 == 1 {
			h.Env.onRecord(t, c, func(context.Context, *ent.Tx) error { return errRecord })
		}
		receipt, err := instance.Execute(t.Context(), c)
		h.settle(t)
		if refused := i%3 == 1 && !h.Traits.Accepts; refused != (err != nil) {
			t.Fatalf("change %d: %v", i, err)
		}
		if err == nil && i%3 != 1 {
			h.checkPositions(t, receipt, h.positions(t, balance)[c.ID])
		}
	}
	h.checkAmount(t, balance, 94)
}

// positions returns the positions of all changes of some balances, by the journal, and makes sure that they are 1, 2, 3 and so on in
// its order, that the amounts follow from each other, and that a read of a balance tells the last one.
func (h *Harness) positions(t testing.TB, balances ...string) map[uuid.UUID]map[string]int64 {
	t.Helper()
	out := map[uuid.UUID]map[string]int64{}
	readings, err := h.Env.ledger.Readings(t.Context(), balances)
	if err != nil {
		t.Fatal(err)
	}
	for _, balance := range balances {
		rows, err := h.Env.Client.Entry.Query().Where(entry.Balance(balance)).Order(entry.ByID()).All(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		amount := h.Env.Client.Balance.GetX(t.Context(), balance).Opening
		for i, row := range rows {
			amount += row.Delta
			if row.Position != int64(i+1) || row.AmountAfter != amount {
				t.Errorf("entry %d of %s has the position %d and leaves %d, not %d", i+1, balance, row.Position, row.AmountAfter, amount)
			}
			if out[row.ChangeID] == nil {
				out[row.ChangeID] = map[string]int64{}
			}
			out[row.ChangeID][balance] = row.Position
		}
		if r := readings[balance]; r.Position != int64(len(rows)) || r.Amount != amount {
			t.Errorf("a read of %s says %+v, after %d entries, which leave %d", balance, r, len(rows), amount)
		}
	}
	return out
}

// checkPositions: what the database has confirmed has the positions of the journal, and what it has not confirmed has none.
func (h *Harness) checkPositions(t testing.TB, r lockprovider.Receipt, journal map[string]int64) {
	t.Helper()
	switch {
	case r.State == lockprovider.Accepted && r.Positions != nil:
		t.Errorf("positions %v of what the database has not confirmed", r.Positions)
	case r.State == lockprovider.Committed && !maps.Equal(r.Positions, journal):
		t.Errorf("told the positions %v, and the journal has %v", r.Positions, journal)
	}
}
