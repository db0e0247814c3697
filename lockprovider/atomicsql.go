package lockprovider

import (
	"context"
	"errors"
	"fmt"

	"holdfast/ent"
)

// atomicsql lets the database check and write in one statement: UPDATE ... SET amount = amount + δ WHERE amount + δ is
// within the bounds. The row is locked from that statement to the commit, so it is the shortest of the row locks.
type atomicsql struct {
	ledger   *Ledger
	settings Settings
}

func newAtomicSQL(d Deps) (Provider, error) {
	return &atomicsql{ledger: d.Ledger, settings: d.Settings}, nil
}

func (p *atomicsql) Execute(ctx context.Context, c Change) (Receipt, error) {
	return p.ledger.settle(ctx, c, func() (Receipt, error) {
		bounded, cancel := context.WithTimeoutCause(ctx, p.settings.Wait, ErrLockTimeout)
		defer cancel()
		for attempt := 1; ; attempt++ {
			receipt, err := p.ledger.transact(bounded, AtomicSQL, func(tx *ent.Tx) (map[string]int64, error) {
				return p.ledger.addDeltas(bounded, tx, c, AtomicSQL)
			})
			receipt.Attempts = max(receipt.Attempts, attempt)
			if !errors.Is(err, errNoFit) {
				return receipt, err
			}
			// The statement only says that it did not fit. Read outside of the transaction to say what did not.
			read, err := p.ledger.read(bounded, p.ledger.client.Balance, c.Moves, false)
			if err != nil {
				return Receipt{}, p.ledger.failure(bounded, err)
			}
			if _, err := check(read, c.Moves); err != nil {
				return Receipt{}, err
			}
			if attempt >= p.settings.Attempts { // it fits by now: somebody gave back in between
				return receipt, fmt.Errorf("%w: %w", ErrConflict, errNoFit)
			}
		}
	})
}
