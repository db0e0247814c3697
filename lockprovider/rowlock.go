package lockprovider

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/ent"
)

// rowlock lets the database keep others out: SELECT ... FOR UPDATE in key order, held until the commit. On SQLite, which
// has no row locks, BEGIN IMMEDIATE admits one writer at a time and serves the same end.
type rowlock struct {
	ledger   *Ledger
	metrics  *Metrics
	settings Settings
}

func newRowLock(d Deps) (Provider, error) {
	return &rowlock{ledger: d.Ledger, metrics: d.Metrics, settings: d.Settings}, nil
}

func (p *rowlock) Execute(ctx context.Context, c Change) (Receipt, error) {
	return p.ledger.settle(ctx, c, func() (Receipt, error) {
		bounded, cancel := context.WithTimeoutCause(ctx, p.settings.Wait, ErrLockTimeout)
		defer cancel()
		for attempt := 1; ; attempt++ {
			receipt, err := p.once(bounded, c)
			receipt.Attempts = max(receipt.Attempts, attempt)
			if !errors.Is(err, errStale) {
				return receipt, err
			}
			// Only a row that was not there to be locked can change: now it is there.
			if attempt >= p.settings.Attempts {
				return receipt, fmt.Errorf("%w: %w", ErrConflict, err)
			}
		}
	})
}

func (p *rowlock) once(ctx context.Context, c Change) (Receipt, error) {
	began, waited := time.Now(), time.Duration(0)
	receipt, err := p.ledger.transact(ctx, RowLock, func(tx *ent.Tx) (map[string]int64, error) {
		read, err := p.ledger.read(ctx, tx.Balance, c.Moves, true) // locks
		if err != nil {
			return nil, err
		}
		waited = time.Since(began)
		p.metrics.waited(RowLock, c.Family, waited)
		after, err := check(read, c.Moves)
		if err != nil {
			return nil, err
		}
		return p.ledger.writeAmounts(ctx, tx, c, RowLock, read, after, sameVersion)
	})
	receipt.Waited = waited
	return receipt, err
}
