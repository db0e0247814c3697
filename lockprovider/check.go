package lockprovider

import (
	"fmt"

	"holdfast/ent"
)

// state is a balance as a strategy read it. One that does not exist yet has the bounds of its move's Open.
type state struct {
	amount, floor, ceiling int64
	version, applied       int64
	missing                bool
}

func stateOf(row *ent.Balance) state {
	return state{
		amount: row.Amount, floor: row.Floor, ceiling: row.Ceiling, version: row.Version, applied: row.Applied,
	}
}

// statesFor are the states of the moves' balances, in their order; what is not known opens, where the move says how.
func statesFor(moves []Move, known map[string]state) ([]state, error) {
	read := make([]state, len(moves))
	for i, m := range moves {
		s, ok := known[m.Balance]
		switch {
		case ok:
			read[i] = s
		case m.Open != nil:
			read[i] = state{amount: m.Open.Opening, floor: m.Open.Floor, ceiling: m.Open.Ceiling, missing: true}
		default:
			return nil, fmt.Errorf("%w: %s", ErrUnknownBalance, m.Balance)
		}
	}
	return read, nil
}

// check is the business rule of every strategy: each move must leave its balance within its bounds. It returns the
// amounts after, or a *Refused that names every move that does not fit.
func check(read []state, moves []Move) ([]int64, error) {
	after := make([]int64, len(moves))
	var refusals []Refusal
	for i, m := range moves {
		b := read[i]
		after[i] = b.amount + m.Delta // both within ±2^53: cannot overflow
		switch {
		case after[i] < b.floor:
			refusals = append(refusals, Refusal{
				Balance: m.Balance, Delta: m.Delta, Available: max(0, b.amount-b.floor), Reason: ErrInsufficient,
			})
		case after[i] > b.ceiling:
			refusals = append(refusals, Refusal{
				Balance: m.Balance, Delta: m.Delta, Available: max(0, b.ceiling-b.amount), Reason: ErrLimit,
			})
		}
	}
	if refusals != nil {
		return nil, &Refused{Refusals: refusals}
	}
	return after, nil
}
