package lockprovider

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sony/gobreaker/v2"

	"holdfast/lockprovider/ledger"
)

// Several is implemented by strategies that can execute many changes in one transaction, each with its own record. The strategies that
// collect the changes of many callers by themselves do not need it.
type Several interface {
	// ExecuteSeveral applies all of the changes, or none of them. The changes have IDs that differ, and at most [MaxMoves] moves
	// together. It excludes others as Execute does, but it waits for nobody: if somebody has the lock of a balance, or if a balance
	// does not exist, it gives up. Otherwise whoever wants one of the balances would wait until the last of them is free.
	//
	// An error does not say which change is to blame, and after some errors, such as [ErrUnknown], all of them may be applied. So the
	// caller then executes the changes one by one, with the same IDs: Execute says of each what has become of it.
	ExecuteSeveral(ctx context.Context, changes []Change) error
}

// ErrOneByOne means that changes have to be executed one by one: the strategy has no other way, or not at the moment.
var ErrOneByOne = errors.New("the strategy executes one change at a time")

// ExecuteSeveral checks the changes as Execute does.
func (m *middleware) ExecuteSeveral(ctx context.Context, changes []Change) error {
	next, ok := m.next.(Several)
	if !ok {
		return ErrOneByOne
	}
	checked, moves := make([]Change, len(changes)), 0
	for i, c := range changes {
		var err error
		if checked[i], err = m.check(c); err != nil {
			return err
		}
		moves += len(c.Moves)
	}
	if moves > MaxMoves {
		return fmt.Errorf("%w: %d moves together, at most %d", ErrInvalidChange, moves, MaxMoves)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	began := time.Now()
	if err := next.ExecuteSeveral(ctx, checked); err != nil { // Execute counts what becomes of them
		return err
	}
	m.metrics.appliedTogether(m.strategy, m.family, len(checked), time.Since(began))
	return nil
}

// ExecuteSeveral has the strategy do it while Redis answers.
func (p *failover) ExecuteSeveral(ctx context.Context, changes []Change) error {
	primary, ok := p.primary.(Several)
	if !ok || p.active.Load().fallback || p.breaker.State() != gobreaker.StateClosed {
		return ErrOneByOne
	}
	return primary.ExecuteSeveral(ctx, changes)
}

// ExecuteSeveral takes the locks of all changes, in the order in which everybody takes them, if all of them are free.
func (p *locked) ExecuteSeveral(ctx context.Context, changes []Change) error {
	began := time.Now()
	held, lease, err := p.atOnce.Lock(ctx, lockKeys(balancesOfAll(changes)))
	waited := time.Since(began)
	if err != nil {
		return lockError(err)
	}
	family := changes[0].Family
	defer func() {
		if uerr := lease.Unlock(ctx); errors.Is(uerr, ErrLockLost) {
			p.metrics.lost(p.strategy, family)
		}
		p.metrics.held(p.strategy, family, time.Since(began)-waited)
	}()
	err = writeSeveral(held, p.ledger, p.strategy, changes)
	if errors.Is(err, ledger.ErrStale) {
		p.metrics.violation(p.strategy, family)
	}
	return err
}

// ExecuteSeveral locks the rows of all balances if they are free.
func (p *rowlock) ExecuteSeveral(ctx context.Context, changes []Change) error {
	return writeSeveralWithin(ctx, p.settings.Wait, p.ledger, RowLock, changes)
}

// ExecuteSeveral locks the rows of all balances if they are free, which the statements of single changes wait for.
func (p *atomicsql) ExecuteSeveral(ctx context.Context, changes []Change) error {
	return writeSeveralWithin(ctx, p.settings.Wait, p.ledger, AtomicSQL, changes)
}

// ExecuteSeveral locks the rows of all balances if they are free. Single changes find then that the versions of the rows have changed.
func (p *optimistic) ExecuteSeveral(ctx context.Context, changes []Change) error {
	return writeSeveralWithin(ctx, p.settings.Wait, p.ledger, Optimistic, changes)
}

// writeSeveralWithin is [writeSeveral] for as long as a single change may wait.
func writeSeveralWithin(ctx context.Context, wait time.Duration, l *Ledger, s Strategy, changes []Change) error {
	bounded, cancel := context.WithTimeoutCause(ctx, wait, ErrLockTimeout)
	defer cancel()
	return writeSeveral(bounded, l, s, changes)
}

// writeSeveral writes changes in one transaction, which holds the rows of their balances locked. If somebody else has one of them
// locked, it returns [ErrOneByOne]. An ID that is in use already breaks a unique index, and nothing is written.
func writeSeveral(ctx context.Context, l *Ledger, s Strategy, changes []Change) error {
	_, err := l.Run(ctx, s, func(tx *ledger.Tx) error {
		group, all, err := tx.GroupAtOnce(ctx, balancesOfAll(changes))
		if err != nil {
			return err
		}
		if !all {
			return fmt.Errorf("%w: somebody else has the row of a balance, or there is none", ErrOneByOne)
		}
		for _, c := range changes {
			if _, _, err := group.Add(ctx, c); err != nil {
				return err
			}
		}
		return group.Write(ctx)
	})
	return err
}

// balancesOfAll returns the balances of all changes, sorted.
func balancesOfAll(changes []Change) []string {
	var keys []string
	for _, c := range changes {
		keys = append(keys, c.Balances()...)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
