package lockprovider

import (
	"context"
	"errors"
	"fmt"

	"holdfast/lockprovider/ledger"
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
	return p.ledger.Once(ctx, c, func(ctx context.Context) (Receipt, error) {
		bounded, cancel := context.WithTimeoutCause(ctx, p.settings.Wait, ErrLockTimeout)
		defer cancel()
		for attempt := 1; ; attempt++ {
			receipt, err := p.ledger.Run(bounded, AtomicSQL, func(tx *ledger.Tx) error {
				return tx.Add(bounded, c)
			})
			receipt.Attempts = max(receipt.Attempts, attempt)
			if !errors.Is(err, ledger.ErrNoFit) {
				return receipt, err
			}
			// The statement only says that it did not fit. Read outside of the transaction to say what did not.
			read, err := p.ledger.Read(bounded, c.Moves)
			if err != nil {
				return Receipt{}, err
			}
			if _, err := ledger.Check(read, c.Moves); err != nil {
				return Receipt{}, err
			}
			if attempt >= p.settings.Attempts { // it fits by now: somebody gave back in between
				return receipt, fmt.Errorf("%w: %w", ErrConflict, ledger.ErrNoFit)
			}
		}
	})
}
