package lockprovider

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"
)

func changeOf(moves ...Move) Change {
	return Change{ID: uuid.New(), Family: Stock, Moves: moves, Record: Record{Kind: "test"}}
}

func TestNormalizeMergesAndSorts(t *testing.T) {
	t.Parallel()
	given := []Move{
		{Balance: "stock:product:b", Delta: -2},
		{Balance: "stock:product:a", Delta: 5},
		{Balance: "stock:product:b", Delta: -3, Open: &Bounds{Ceiling: 7}},
	}
	before := slices.Clone(given)
	got, err := normalize(changeOf(given...))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Moves) != 2 || got.Moves[0] != (Move{Balance: "stock:product:a", Delta: 5}) ||
		got.Moves[1].Balance != "stock:product:b" || got.Moves[1].Delta != -5 ||
		got.Moves[1].Open == nil || got.Moves[1].Open.Ceiling != 7 {
		t.Errorf("moves %+v", got.Moves)
	}
	if !slices.Equal(given, before) {
		t.Errorf("the caller's moves became %+v", given)
	}
	if string(got.Record.Payload) != "{}" || got.Record.Fingerprint == "" {
		t.Errorf("record %+v", got.Record)
	}
}

func TestNormalizeRefusesDeltas(t *testing.T) {
	t.Parallel()
	const key = "stock:product:a"
	for name, deltas := range map[string][]int64{
		"too high":            {MaxAmount + 1},
		"too low":             {-MaxAmount - 1},
		"sum too high":        {MaxAmount, 1},
		"sum too low":         {-MaxAmount, -1},
		"sum over int64":      {MaxAmount, math.MaxInt64},
		"sum under int64":     {-MaxAmount, math.MinInt64},
		"smallest of int64":   {math.MinInt64},
		"wraps around to fit": {math.MaxInt64, math.MaxInt64, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var moves []Move
			for _, d := range deltas {
				moves = append(moves, Move{Balance: key, Delta: d})
			}
			if c, err := normalize(changeOf(moves...)); !errors.Is(err, ErrInvalidChange) {
				t.Errorf("normalized to %+v, %v", c.Moves, err)
			}
		})
	}
	for _, d := range []int64{MaxAmount, -MaxAmount, 0} {
		if _, err := normalize(changeOf(Move{Balance: key, Delta: d})); err != nil {
			t.Errorf("delta %d: %v", d, err)
		}
	}
}

func TestNormalizeProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		moves := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Move {
			return Move{
				Balance: StockKey(rapid.StringMatching(`[a-d]{1,2}`).Draw(t, "id")),
				Delta:   rapid.Int64Range(-50, 50).Draw(t, "delta"),
			}
		}), 1, 12).Draw(t, "moves")
		want := map[string]int64{}
		for _, m := range moves {
			want[m.Balance] += m.Delta
		}

		c := changeOf(moves...)
		got, err := normalize(c)
		if err != nil {
			t.Fatal(err)
		}
		keys := got.Balances()
		if !slices.IsSorted(keys) || len(slices.Compact(slices.Clone(keys))) != len(keys) || len(keys) != len(want) {
			t.Fatalf("keys %q of %+v", keys, moves)
		}
		for _, m := range got.Moves {
			if m.Delta != want[m.Balance] {
				t.Fatalf("%s %+d, want %+d", m.Balance, m.Delta, want[m.Balance])
			}
		}
		if again, err := normalize(got); err != nil || !slices.Equal(again.Moves, got.Moves) ||
			again.Record.Fingerprint != got.Record.Fingerprint {
			t.Fatalf("normalized twice: %+v, %v", again, err)
		}

		// The same request in another order has the same fingerprint; another request has another one.
		shuffled := c
		shuffled.Moves = rapid.Permutation(moves).Draw(t, "shuffled")
		if other, err := normalize(shuffled); err != nil || other.Record.Fingerprint != got.Record.Fingerprint {
			t.Fatalf("the order of the moves changes the fingerprint: %v", err)
		}
		for name, alter := range map[string]func(*Change){
			"delta":   func(c *Change) { c.Moves = append(slices.Clone(c.Moves), Move{Balance: moves[0].Balance, Delta: 1}) },
			"balance": func(c *Change) { c.Moves = append(slices.Clone(c.Moves), Move{Balance: StockKey("new"), Delta: 1}) },
			"kind":    func(c *Change) { c.Record.Kind = "other" },
			"payload": func(c *Change) { c.Record.Payload = json.RawMessage(`{"other":1}`) },
		} {
			altered := c
			alter(&altered)
			if other, err := normalize(altered); err != nil || other.Record.Fingerprint == got.Record.Fingerprint {
				t.Fatalf("another %s has the same fingerprint, %v", name, err)
			}
		}
	})
}

// TestFingerprintsTellChangesApart: what one balance is called must not look like another move.
func TestFingerprintsTellChangesApart(t *testing.T) {
	t.Parallel()
	two := changeOf(Move{Balance: StockKey("a"), Delta: 1}, Move{Balance: StockKey("b"), Delta: 2})
	one := changeOf(Move{Balance: StockKey("a") + " 1\n" + StockKey("b"), Delta: 2})
	one.ID = two.ID
	a, err := normalize(two)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := normalize(one); err != nil || a.Record.Fingerprint == b.Record.Fingerprint {
		t.Errorf("one move of %q has the fingerprint of two moves, %v", one.Moves[0].Balance, err)
	}
}
