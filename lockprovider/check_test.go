package lockprovider

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	at := func(amount, floor, ceiling int64) state { return state{amount: amount, floor: floor, ceiling: ceiling} }
	for name, test := range map[string]struct {
		read    []state
		deltas  []int64
		after   []int64
		refused []Refusal // Balance is filled in
	}{
		"fits":                   {read: []state{at(10, 0, 20)}, deltas: []int64{-3}, after: []int64{7}},
		"last unit":              {read: []state{at(1, 0, 20)}, deltas: []int64{-1}, after: []int64{0}},
		"one too many":           {read: []state{at(1, 0, 20)}, deltas: []int64{-2}, refused: []Refusal{{Delta: -2, Available: 1, Reason: ErrInsufficient}}},
		"nothing left":           {read: []state{at(0, 0, 20)}, deltas: []int64{-1}, refused: []Refusal{{Delta: -1, Reason: ErrInsufficient}}},
		"up to the ceiling":      {read: []state{at(10, 0, 20)}, deltas: []int64{10}, after: []int64{20}},
		"over the ceiling":       {read: []state{at(18, 0, 20)}, deltas: []int64{3}, refused: []Refusal{{Delta: 3, Available: 2, Reason: ErrLimit}}},
		"floor above zero":       {read: []state{at(7, 5, 20)}, deltas: []int64{-3}, refused: []Refusal{{Delta: -3, Available: 2, Reason: ErrInsufficient}}},
		"floor below zero":       {read: []state{at(0, -5, 20)}, deltas: []int64{-5}, after: []int64{-5}},
		"no change":              {read: []state{at(0, 0, 0)}, deltas: []int64{0}, after: []int64{0}},
		"below its floor before": {read: []state{at(-2, 0, 20)}, deltas: []int64{-1}, refused: []Refusal{{Delta: -1, Reason: ErrInsufficient}}},
		"all or nothing": {
			read: []state{at(5, 0, 9), at(5, 0, 9), at(5, 0, 9)}, deltas: []int64{-6, 1, 5},
			refused: []Refusal{{Delta: -6, Available: 5, Reason: ErrInsufficient}, {Balance: "2", Delta: 5, Available: 4, Reason: ErrLimit}},
		},
		"extremes": {
			read:   []state{at(MaxAmount, -MaxAmount, MaxAmount), at(-MaxAmount, -MaxAmount, MaxAmount)},
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
			after, err := check(test.read, movesOf(test.deltas))
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

// TestCheckAgainstModel compares check with what anybody would do by hand: move unit by unit and look.
func TestCheckAgainstModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		read := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) state {
			floor := rapid.Int64Range(-4, 4).Draw(t, "floor")
			ceiling := rapid.Int64Range(floor, floor+8).Draw(t, "ceiling")
			return state{floor: floor, ceiling: ceiling, amount: rapid.Int64Range(floor, ceiling).Draw(t, "amount")}
		}), 1, 4).Draw(t, "read")
		deltas := make([]int64, len(read))
		for i := range deltas {
			deltas[i] = rapid.Int64Range(-10, 10).Draw(t, "delta")
		}

		var after []int64
		var refused []Refusal
		for i, b := range read {
			amount, taken := b.amount, int64(0)
			step, reason := int64(1), ErrLimit
			if deltas[i] < 0 {
				step, reason = -1, ErrInsufficient
			}
			for amount != b.amount+deltas[i] && amount+step >= b.floor && amount+step <= b.ceiling {
				amount += step
				taken++
			}
			if amount != b.amount+deltas[i] {
				refused = append(refused, Refusal{Balance: fmt.Sprint(i), Delta: deltas[i], Available: taken, Reason: reason})
			}
			after = append(after, amount)
		}
		if refused != nil {
			after = nil
		}

		got, err := check(read, movesOf(deltas))
		if !slices.Equal(got, after) || !slices.Equal(refusalsIn(err), refused) || (err == nil) != (refused == nil) {
			t.Fatalf("check(%+v, %v) = %v, %v; by hand %v, %v", read, deltas, got, err, after, refused)
		}
	})
}
