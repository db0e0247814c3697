package ledger

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	at := func(amount, floor, ceiling int64) Balance {
		return Balance{Amount: amount, Floor: floor, Ceiling: ceiling}
	}
	for name, test := range map[string]struct {
		read    []Balance
		deltas  []int64
		after   []int64
		refused []Refusal // Balance is filled in
	}{
		"fits":                   {read: []Balance{at(10, 0, 20)}, deltas: []int64{-3}, after: []int64{7}},
		"last unit":              {read: []Balance{at(1, 0, 20)}, deltas: []int64{-1}, after: []int64{0}},
		"one too many":           {read: []Balance{at(1, 0, 20)}, deltas: []int64{-2}, refused: []Refusal{{Delta: -2, Available: 1, Reason: ErrInsufficient}}},
		"nothing left":           {read: []Balance{at(0, 0, 20)}, deltas: []int64{-1}, refused: []Refusal{{Delta: -1, Reason: ErrInsufficient}}},
		"up to the ceiling":      {read: []Balance{at(10, 0, 20)}, deltas: []int64{10}, after: []int64{20}},
		"over the ceiling":       {read: []Balance{at(18, 0, 20)}, deltas: []int64{3}, refused: []Refusal{{Delta: 3, Available: 2, Reason: ErrLimit}}},
		"floor above zero":       {read: []Balance{at(7, 5, 20)}, deltas: []int64{-3}, refused: []Refusal{{Delta: -3, Available: 2, Reason: ErrInsufficient}}},
		"floor below zero":       {read: []Balance{at(0, -5, 20)}, deltas: []int64{-5}, after: []int64{-5}},
		"no change":              {read: []Balance{at(0, 0, 0)}, deltas: []int64{0}, after: []int64{0}},
		"below its floor before": {read: []Balance{at(-2, 0, 20)}, deltas: []int64{-1}, refused: []Refusal{{Delta: -1, Reason: ErrInsufficient}}},
		"all or nothing": {
			read: []Balance{at(5, 0, 9), at(5, 0, 9), at(5, 0, 9)}, deltas: []int64{-6, 1, 5},
			refused: []Refusal{{Delta: -6, Available: 5, Reason: ErrInsufficient}, {Balance: "2", Delta: 5, Available: 4, Reason: ErrLimit}},
		},
		"extremes": {
			read:   []Balance{at(MaxAmount, -MaxAmount, MaxAmount), at(-MaxAmount, -MaxAmount, MaxAmount)},
			deltas: []int64{MaxAmount, -MaxAmount},
			refused: []Refusal{
				{Delta: MaxAmount, Reason: ErrLimit}, {Balance: "1", Delta: -MaxAmount, Reason: ErrInsufficient},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i := range test.refused {
				if test.refused[i].Balance == "" {
					test.refused[i].Balance = "0"
				}
			}
			after, err := Check(test.read, movesOf(test.deltas))
			if got := refusalsIn(err); !slices.Equal(got, test.refused) {
				t.Errorf("refusals %+v, want %+v", got, test.refused)
			}
			if !slices.Equal(after, test.after) {
				t.Errorf("after %v, want %v", after, test.after)
			}
		})
	}
}

func movesOf(deltas []int64) []Move {
	moves := make([]Move, len(deltas))
	for i, d := range deltas {
		moves[i] = Move{Balance: fmt.Sprint(i), Delta: d}
	}
	return moves
}

func refusalsIn(err error) []Refusal {
	refused := new(Refused)
	if !errors.As(err, &refused) {
		return nil
	}
	return refused.Refusals
}

// TestCheckAgainstModel compares Check with what anybody would do by hand: move unit by unit and look.
func TestCheckAgainstModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		read := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Balance {
			floor := rapid.Int64Range(-4, 4).Draw(t, "floor")
			ceiling := rapid.Int64Range(floor, floor+8).Draw(t, "ceiling")
			return Balance{Floor: floor, Ceiling: ceiling, Amount: rapid.Int64Range(floor, ceiling).Draw(t, "amount")}
		}), 1, 4).Draw(t, "read")
		deltas := make([]int64, len(read))
		for i := range deltas {
			deltas[i] = rapid.Int64Range(-10, 10).Draw(t, "delta")
		}

		var after []int64
		var refused []Refusal
		for i, b := range read {
			amount, taken := b.Amount, int64(0)
			step, reason := int64(1), ErrLimit
			if deltas[i] < 0 {
				step, reason = -1, ErrInsufficient
			}
			for amount != b.Amount+deltas[i] && amount+step >= b.Floor && amount+step <= b.Ceiling {
				amount += step
				taken++
			}
			if amount != b.Amount+deltas[i] {
				refused = append(refused, Refusal{Balance: fmt.Sprint(i), Delta: deltas[i], Available: taken, Reason: reason})
			}
			after = append(after, amount)
		}
		if refused != nil {
			after = nil
		}

		got, err := Check(read, movesOf(deltas))
		if !slices.Equal(got, after) || !slices.Equal(refusalsIn(err), refused) || (err == nil) != (refused == nil) {
			t.Fatalf("Check(%+v, %v) = %v, %v; by hand %v, %v", read, deltas, got, err, after, refused)
		}
	})
}
