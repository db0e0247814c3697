package ledger

import (
	"fmt"

	"holdfast/ent"
)

// Balance is a balance as it was read. One that does not exist yet has the bounds of its move's Open.
type Balance struct {
	Amount, Floor, Ceiling int64
	// Version counts writes, Applied counts moves.
	Version, Applied int64
	// Missing is true if the balance has no row yet.
	Missing bool
}

// Level is what the balance says in terms that Redis has, too.
func (b Balance) Level() Level {
	return Level{Amount: b.Amount, Floor: b.Floor, Ceiling: b.Ceiling, Seq: b.Applied}
}

func balanceOf(row *ent.Balance) Balance {
	return Balance{
		Amount: row.Amount, Floor: row.Floor, Ceiling: row.Ceiling, Version: row.Version, Applied: row.Applied,
	}
}

// balancesFor returns the balances of moves, in their order. What is not known opens, if its move says how.
func balancesFor(moves []Move, known map[string]Balance) ([]Balance, error) {
	read := make([]Balance, len(moves))
	for i, m := range moves {
		b, ok := known[m.Balance]
		switch {
		case ok:
			read[i] = b
		case m.Open != nil:
			read[i] = Balance{Amount: m.Open.Opening, Floor: m.Open.Floor, Ceiling: m.Open.Ceiling, Missing: true}
		default:
			return nil, fmt.Errorf("%w: %s", ErrUnknownBalance, m.Balance)
		}
	}
	return read, nil
}

// Check is the business rule of every strategy: each move must leave its balance within its bounds and its limit. It returns the
// amounts after the moves, or a *[Refused] that names every move that does not fit. read is in the order of the moves.
func Check(read []Balance, moves []Move) ([]int64, error) {
	after := make([]int64, len(moves))
	var refusals []Refusal
	for i, m := range moves {
		b := read[i]
		after[i] = b.Amount + m.Delta // both within ±2^53: cannot overflow
		switch {
		case after[i] < b.Floor:
			refusals = append(refusals, Refusal{
				Balance: m.Balance, Delta: m.Delta, Available: max(0, b.Amount-b.Floor), Reason: ErrInsufficient,
			})
		case after[i] > m.most(b.Ceiling):
			refusals = append(refusals, Refusal{
				Balance: m.Balance, Delta: m.Delta, Available: max(0, m.most(b.Ceiling)-b.Amount), Reason: ErrLimit,
			})
		}
	}
	if refusals != nil {
		return nil, &Refused{Refusals: refusals}
	}
	return after, nil
}

// fit checks the moves of one change, and if they fit has balances be what they leave. It returns that in the order of the moves,
// with Missing set if a balance was missing before.
func fit(balances map[string]Balance, moves []Move) ([]Balance, error) {
	read, err := balancesFor(moves, balances)
	if err != nil {
		return nil, err
	}
	after, err := Check(read, moves)
	if err != nil {
		return nil, err
	}
	for i, m := range moves {
		read[i].Amount = after[i]
		read[i].Applied++
		left := read[i]
		left.Missing = false
		balances[m.Balance] = left
	}
	return read, nil
}
