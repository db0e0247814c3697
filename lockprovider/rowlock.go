package lockprovider

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/lockprovider/ledger"
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
	return p.ledger.Once(ctx, c, func(ctx context.Context) (Receipt, error) {
		bounded, cancel := context.WithTimeoutCause(ctx, p.settings.Wait, ErrLockTimeout)
		defer cancel()
		for attempt := 1; ; attempt++ {
			receipt, err := p.once(bounded, c)
			receipt.Attempts = max(receipt.Attempts, attempt)
			if !errors.Is(err, ledger.ErrStale) {
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
	receipt, err := p.ledger.Run(ctx, RowLock, func(tx *ledger.Tx) error {
		read, err := tx.Read(ctx, c.Moves, ledger.ForUpdate)
		if err != nil {
			return err
		}
		waited = time.Since(began)
		p.metrics.waited(RowLock, c.Family, waited)
		after, err := ledger.Check(read, c.Moves)
		if err != nil {
			return err
		}
		return tx.Write(ctx, c, read, after, ledger.SameVersion)
	})
	receipt.Waited = waited
	return receipt, err
}
