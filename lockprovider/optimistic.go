package lockprovider

import (
	"context"
	"errors"
	"fmt"

	"holdfast/lockprovider/ledger"
	"holdfast/lockprovider/lock"
)

// optimistic keeps nobody out either, but writes only where the versions are still those it read, and otherwise starts
// over, a bounded number of times. It is cheap where conflicts are rare and wasteful where they are not.
type optimistic struct {
	ledger   *Ledger
	settings Settings
}

func newOptimistic(d Deps) (Provider, error) {
	return &optimistic{ledger: d.Ledger, settings: d.Settings}, nil
}

func (p *optimistic) Execute(ctx context.Context, c Change) (Receipt, error) {
	return p.ledger.Once(ctx, c, func(ctx context.Context) (Receipt, error) {
		// It takes no lock, but its write waits for the row, or for SQLite's one writer, as every write does.
		bounded, cancel := context.WithTimeoutCause(ctx, p.settings.Wait, ErrLockTimeout)
		defer cancel()
		for attempt := 1; ; attempt++ {
			receipt, err := p.once(bounded, c)
			receipt.Attempts = attempt
			if !errors.Is(err, ledger.ErrStale) {
				return receipt, err
			}
			if attempt >= p.settings.Attempts {
				return receipt, fmt.Errorf("%w: %w", ErrConflict, err)
			}
			if err := lock.Pause(bounded, lock.Jitter(p.settings.Backoff)); err != nil {
				return Receipt{}, ledger.Failure(bounded, err)
			}
		}
	})
}

func (p *optimistic) once(ctx context.Context, c Change) (Receipt, error) {
	read, err := p.ledger.Read(ctx, c.Moves)
	if err != nil {
		return Receipt{}, err
	}
	after, err := ledger.Check(read, c.Moves)
	if err != nil {
		return Receipt{}, err
	}
	return p.ledger.Run(ctx, Optimistic, func(tx *ledger.Tx) error {
		return tx.Write(ctx, c, read, after, ledger.SameVersionUnlocked)
	})
}
