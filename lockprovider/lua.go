package lockprovider

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"holdfast/lockprovider/ledger"
	"holdfast/lockprovider/lock"
	"holdfast/lockprovider/redisfirst"
)

// lua keeps nobody out: one script in Redis checks and applies all moves at once, and appends the change to a stream that
// persisters write to the database in groups. Redis admits, the database confirms: with AckPersisted, Execute returns
// after the commit; with AckAccepted right after the script.
type lua struct {
	*redisfirst.Store // is a Tracker, and most of a Reconciler

	confirmations *redisfirst.Confirmations
	persister     Persister // nil: other processes persist
	ledger        *Ledger
	settings      Settings
}

// Ack says when a Redis-first change returns.
type Ack string

const (
	// AckPersisted returns after the commit.
	AckPersisted Ack = "persisted"
	// AckAccepted returns when Redis has admitted the change; a crash of Redis before the commit loses it.
	AckAccepted Ack = "accepted"
)

// Persister writes what a store has admitted into the database. Package events has one.
type Persister interface {
	// Run persists until ctx ends.
	Run(ctx context.Context)
	// Drain persists what is in the stream, and returns when the stream is empty.
	Drain(ctx context.Context) error
}

// firstLook is when a caller first looks for its result on its own, in case that the message was lost; each further look
// waits twice as long.
const firstLook = 250 * time.Millisecond

func newLua(d Deps) (Provider, error) {
	store := redisfirst.NewStore(d.Redis, d.family, d.Epochs[d.family], d.Instance, redisfirst.StoreSettings{
		Backlog: d.Settings.Pipeline.Backlog, Remember: d.Settings.Pipeline.Remember,
	})
	d.openWith(d.family, store)
	return &lua{Store: store, confirmations: d.confirmations, ledger: d.Ledger, settings: d.Settings}, nil
}

func (p *lua) Execute(ctx context.Context, c Change) (Receipt, error) {
	results, forget := p.confirmations.Expect(c.ID) // before the script: the result may come at once
	defer forget()
	receipt, err := p.admit(ctx, c)
	if err != nil {
		return refusedUnlessApplied(ctx, p.ledger, c, err)
	}
	if p.settings.Ack == AckAccepted && !c.Confirm && !receipt.Replayed {
		return receipt, nil
	}
	return p.confirmed(ctx, c, receipt, results)
}

// Run persists until ctx ends, if this process is to do so.
func (p *lua) Run(ctx context.Context) {
	if p.persister != nil {
		p.persister.Run(ctx)
	}
}

// Active implements [Reconciler].
func (p *lua) Active(ctx context.Context) (bool, error) { return p.Store.Active(ctx, p.ledger) }

// Reconcile implements [Reconciler].
func (p *lua) Reconcile(ctx context.Context, balance string) (Comparison, error) {
	return p.Store.Reconcile(ctx, p.ledger, balance)
}

// admit runs the script, and first creates from the database what Redis lacks.
func (p *lua) admit(ctx context.Context, c Change) (Receipt, error) {
	bounded, cancel := context.WithTimeoutCause(ctx, p.settings.Wait, ErrLockTimeout)
	defer cancel()
	for {
		admission, err := p.Admit(bounded, c)
		if err == nil {
			return Receipt{
				ChangeID: c.ID, State: Accepted, Strategy: Lua, Attempts: 1, Replayed: admission.Replayed,
				Balances: admission.Amounts, Payload: c.Record.Payload, StreamID: admission.StreamID,
			}, nil
		}
		if !errors.Is(err, redisfirst.ErrMissing) {
			return Receipt{}, err
		}
		_, inFlight, err := p.Prime(bounded, c.Balances(), func(ctx context.Context, balances []string) (map[string]Level, error) {
			return p.ledger.Levels(ctx, slices.DeleteFunc(slices.Clone(c.Moves), func(m Move) bool {
				return !slices.Contains(balances, m.Balance)
			}))
		})
		if err != nil {
			return Receipt{}, err
		}
		if inFlight == 0 {
			continue
		}
		if lock.Pause(bounded, lock.Jitter(p.settings.Poll)) != nil { // until they are persisted
			return Receipt{}, ledger.Ended(bounded)
		}
	}
}

// Await implements [Awaiter].
func (p *lua) Await(ctx context.Context, id uuid.UUID) (bool, error) {
	results, forget := p.confirmations.Expect(id) // before the first look: the result may come at once
	defer forget()
	held, err := awaitResult(ctx, p.settings.Pipeline.PersistWait, results, func(ctx context.Context) (open, held bool, err error) {
		state, reason, err := p.State(ctx, id)
		switch {
		case err != nil:
			return false, false, err
		case state == OutcomeFailed:
			return false, false, reason
		case state == OutcomeUnknown:
			return false, false, nil
		}
		_, held, err = p.ledger.Payload(ctx, id)
		return !held, held, err
	})
	if !errors.Is(err, errNoResult) {
		return held, err
	}
	// What is not in the stream any more is committed, or was lost: an entry that cannot be read is discarded.
	if waiting, werr := p.Waiting(ctx, id); werr != nil || waiting != nil {
		return false, err
	}
	_, held, err = p.ledger.Payload(ctx, id)
	return held, err
}

// refusedUnlessApplied makes sure that a refusal by Redis is not one of a change that succeeded before Redis forgot it.
func refusedUnlessApplied(ctx context.Context, l *Ledger, c Change, err error) (Receipt, error) {
	if cerr := ctx.Err(); cerr != nil && !errors.Is(err, ErrUnknown) {
		return Receipt{}, cerr
	}
	if errors.Is(err, ErrLockTimeout) || ledger.IDUsed(err) {
		return Receipt{}, err
	}
	first, found, rerr := l.ReplayAfter(ctx, c, err)
	switch {
	case ledger.IDUsed(rerr):
		return Receipt{}, rerr
	case rerr == nil && found:
		return first, nil
	case rerr != nil && EffectOf(err) == EffectRefused: // which would be wrong if this is a repeat of a change that was applied
		return Receipt{}, ledger.Unknown("whether the change was applied before", rerr)
	}
	return Receipt{}, err
}

// firstReceipt returns the receipt of a change that is said to be applied. If the change log does not have it, the error is
// ErrUnknown, and what says why it should.
func firstReceipt(ctx context.Context, l *Ledger, c Change, what string) (Receipt, error) {
	first, found, err := l.Replay(ctx, c)
	if err == nil && !found {
		err = ledger.Unknown(what, errNotLogged)
	}
	return first, err
}

// errNotLogged is what a caller knows of a change that is said to be applied.
var errNotLogged = errors.New("it is not in the change log")

// confirmed waits for the database's result, which the persister delivers. If the message is lost, the result is found in
// the change log. After the bound, the answer is that the change is accepted.
func (p *lua) confirmed(
	ctx context.Context, c Change, receipt Receipt, results <-chan redisfirst.Result,
) (Receipt, error) {
	deadline := time.NewTimer(p.settings.Pipeline.PersistWait)
	defer deadline.Stop()
	next := firstLook
	if receipt.Replayed {
		next = 0 // the result has most likely been delivered already
	}
	look := time.NewTimer(next)
	defer look.Stop()
	for {
		select {
		case result := <-results:
			switch {
			case result.StreamID == "" || result.StreamID != receipt.StreamID:
				look.Reset(0) // it is of another entry, perhaps of an attempt before, or nobody knows of which
			case result.Err == nil && receipt.Replayed:
				look.Reset(0) // the record that was written is that of the first request, not of this repeat
			case result.Err == nil:
				receipt.State = Committed
				return receipt, nil
			case errors.Is(result.Err, ledger.ErrAlreadyApplied):
				return firstReceipt(ctx, p.ledger, c, "a change that was applied before")
			default:
				return Receipt{}, result.Err
			}
		case <-look.C:
			if first, found, err := p.ledger.Replay(ctx, c); ledger.IDUsed(err) {
				return Receipt{}, err
			} else if err == nil && found && !receipt.Replayed && first.StreamID != receipt.StreamID {
				return first, nil // applied before, by another strategy or when Redis had not forgotten it
			} else if err == nil && found {
				// The amounts stay those that Redis told: persisters on several instances commit in another order.
				receipt.State, receipt.Payload, receipt.StreamID = Committed, first.Payload, first.StreamID
				return receipt, nil
			}
			if err := p.Refusal(ctx, c.ID); err != nil {
				return Receipt{}, err
			}
			next = max(2*next, firstLook)
			look.Reset(next)
		case <-deadline.C:
			return p.unconfirmed(ctx, c, receipt)
		case <-ctx.Done():
			return Receipt{}, ctx.Err()
		}
	}
}

// unconfirmed is the answer to a change that the database has not confirmed in time: it is accepted. There are two
// exceptions. If the next step needs the commit, or if Redis has lost the change meanwhile, so that nobody is left to
// persist it, the answer is ErrUnavailable.
func (p *lua) unconfirmed(ctx context.Context, c Change, receipt Receipt) (Receipt, error) {
	if c.Confirm {
		return Receipt{}, ledger.Unknown("the change is accepted and not committed", errNoResult)
	}
	known, err := p.Known(ctx, c.ID)
	if err != nil {
		return Receipt{}, accepted(err)
	}
	if !known {
		return Receipt{}, ledger.Unknown("redis has lost the change, perhaps before its commit", errNoResult)
	}
	if !receipt.Replayed {
		return receipt, nil
	}
	first, err := p.Waiting(ctx, c.ID)
	if err != nil {
		return Receipt{}, accepted(err)
	}
	if first != nil {
		receipt.Payload = first
		return receipt, nil
	}
	return firstReceipt(ctx, p.ledger, c, "the change was accepted") // it has left the stream this very moment
}

// accepted is the answer to a change that was accepted, if Redis does not say what became of it. It counts as a failure of Redis.
func accepted(err error) error {
	unknown := ledger.Unknown("the change was accepted", err)
	if errors.Is(err, errRedisDown) {
		return fmt.Errorf("%w: %w", errRedisDown, unknown)
	}
	return unknown
}
