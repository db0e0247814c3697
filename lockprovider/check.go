package lockprovider

// state is a balance as a strategy read it. One that does not exist yet has the bounds of its move's Open.
type state struct {
	amount, floor, ceiling int64
	version, applied       int64
	missing                bool
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
