package lockprovider

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/lockprovider/ledger"
	"holdfast/lockprovider/lock"
)

// locked is every strategy that is a lock around a transaction. Its Execute is the story of all of them.
type locked struct {
	strategy Strategy
	locker   lock.Locker
	atOnce   lock.Locker // of the same locks, but it tries once
	ledger   *Ledger
	metrics  *Metrics
	attempts int
}

// newLocked returns the strategy around the locks that open returns.
func newLocked(s Strategy, open func(Deps) lock.Locker, d Deps) *locked {
	p := &locked{strategy: s, locker: open(d), ledger: d.Ledger, metrics: d.Metrics, attempts: d.Settings.Attempts}
	d.Settings.Wait = 0
	p.atOnce = open(d)
	return p
}

// Execute: lock → begin → read → check → write → commit → unlock. Never unlock before the commit; the transaction begins
// after the lock is held.
func (p *locked) Execute(ctx context.Context, c Change) (Receipt, error) {
	return p.ledger.Once(ctx, c, func(ctx context.Context) (Receipt, error) {
		for attempt := 1; ; attempt++ {
			receipt, err := p.once(ctx, c)
			receipt.Attempts = attempt
			if !errors.Is(err, ledger.ErrStale) {
				return receipt, err
			}
			// Somebody wrote while we held the lock. The version comparison kept the data right; the lock failed.
			p.metrics.violation(p.strategy, c.Family)
			if attempt >= p.attempts {
				return receipt, fmt.Errorf("%w: %w", ErrConflict, err)
			}
		}
	})
}

func (p *locked) once(ctx context.Context, c Change) (receipt Receipt, err error) {
	began := time.Now()
	waiting := p.metrics.waiting.WithLabelValues(string(p.strategy), string(c.Family))
	waiting.Inc()
	held, lease, err := p.locker.Lock(ctx, lockKeys(c.Balances()))
	waiting.Dec()
	waited := time.Since(began)
	p.metrics.waited(p.strategy, c.Family, waited)
	if err != nil {
		return Receipt{Waited: waited}, lockError(err)
	}
	defer func() {
		// After the commit, the result stands whatever becomes of the lock.
		if uerr := lease.Unlock(ctx); errors.Is(uerr, ErrLockLost) {
			p.metrics.lost(p.strategy, c.Family)
		}
		p.metrics.held(p.strategy, c.Family, time.Since(began)-waited)
	}()

	receipt, err = p.ledger.Run(held, p.strategy, func(tx *ledger.Tx) error {
		read, err := tx.Read(held, c.Moves, ledger.Plain)
		if err != nil {
			return err
		}
		after, err := ledger.Check(read, c.Moves)
		if err != nil {
			return err
		}
		return tx.Write(held, c, read, after, ledger.SameVersion)
	})
	receipt.Waited = waited
	return receipt, err
}
