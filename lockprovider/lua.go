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
		Backlog: d.Settings.Pipeline.Backlog, Remember: d.Settings.Pipeline.Remember, Database: d.database(),
		Timeout: d.Settings.Pipeline.RequestTimeout,
	})
	d.openWith(d.family, store)
	return &lua{Store: store, confirmations: d.confirmations, ledger: d.Ledger, settings: d.Settings}, nil
}

func (p *lua) Execute(ctx context.Context, c Change) (Receipt, error) {
	results, forget := p.confirmations.Expect(c.ID) // before the script: the result may come at once
	defer forget()
	stale := ""
	for range staleTries {
		receipt, err := p.executeOver(ctx, c, stale, results)
		if !errors.Is(err, errStale) {
			return receipt, err
		}
		stale = receipt.StreamID
	}
	return Receipt{}, ledger.Unknown("redis", errStale)
}

// errStale means that what Redis remembers of a change is no answer to its repeat. The database knows nothing of the change, and it
// is not on its way there, since Redis or the database was restored; or it did not fit. The receipt that comes with it names the
// stream entry that Redis remembers.
var errStale = errors.New("what redis remembers of the change is no answer")

// isMisfit reports whether Redis remembers, by its stream entry, that a change did not fit. That is no result of its ID: the repeat is
// tried anew, as by the strategies that remember nothing.
func isMisfit(err error, streamID string) bool {
	var refused *Refused
	return streamID != "" && errors.As(err, &refused)
}

// staleTries bounds how often a change is sent to Redis because of what it remembers.
const staleTries = 3

// waiters tell whether a change, by its entry, waits to be written into the database: a [redisfirst.Store] or a [redisfirst.Queue].
type waiters interface {
	Has(ctx context.Context, streamID string) (bool, error)
}

// isStale reports whether what Redis remembers of a change is of a time that the database has forgotten. The entry is looked for first:
// it leaves when the database knows the change.
func isStale(ctx context.Context, l *Ledger, in waiters, id uuid.UUID, streamID string) (bool, error) {
	if streamID == "" {
		return false, nil
	}
	if waits, err := in.Has(ctx, streamID); err != nil || waits {
		return false, err
	}
	known, err := l.Knows(ctx, id)
	return err == nil && !known, err
}

// executeOver executes a change. stale is the stream entry of what Redis remembers of it, and must not, or "".
func (p *lua) executeOver(ctx context.Context, c Change, stale string, results <-chan redisfirst.Result) (Receipt, error) {
	receipt, unsure, err := p.admit(ctx, c, stale)
	if err != nil {
		if isMisfit(err, receipt.StreamID) {
			if !p.accepts(c) {
				return receipt, errStale
			}
			err = p.refusal(c, err)
		}
		if old, serr := isStale(ctx, p.ledger, p.Store, c.ID, receipt.StreamID); serr == nil && old {
			return receipt, errStale
		}
		return refusedUnlessApplied(ctx, p.ledger, c, err)
	}
	if p.accepts(c) && !receipt.Replayed {
		if unsure { // or a repeat would be told that it is the first
			if first, before, err := p.firstResult(ctx, c, receipt); before || ledger.IDUsed(err) {
				return first, err
			}
		}
		return receipt, nil
	}
	return p.confirmed(ctx, c, receipt, results)
}

// refusal is why the database refused a change. If the change had been accepted, that it did not fit is what became of it.
func (p *lua) refusal(c Change, err error) error {
	var refused *Refused
	if p.accepts(c) && errors.As(err, &refused) {
		return &Refused{Refusals: refused.Refusals, Final: true}
	}
	return err
}

// accepts reports whether a change is answered as soon as Redis has admitted it.
func (p *lua) accepts(c Change) bool { return p.settings.Ack == AckAccepted && !c.Confirm }

// firstResult returns the receipt of a change that the database had before Redis admitted it now. A database that does not answer
// knows of none: what Redis has admitted is accepted meanwhile.
func (p *lua) firstResult(ctx context.Context, c Change, now Receipt) (first Receipt, before bool, err error) {
	bounded, cancel := context.WithTimeout(ctx, p.settings.Wait)
	defer cancel()
	first, found, err := p.ledger.Replay(bounded, c)
	return first, found && first.StreamID != now.StreamID, err
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
// stale is as for [redisfirst.Store.Admit]. unsure tells that Redis may have forgotten that the change was there before. With some
// errors, the receipt names the stream entry that Redis remembers.
func (p *lua) admit(ctx context.Context, c Change, stale string) (receipt Receipt, unsure bool, err error) {
	bounded, cancel := context.WithTimeoutCause(ctx, p.settings.Wait, ErrLockTimeout)
	defer cancel()
	for {
		admission, err := p.Admit(bounded, c, stale)
		if err == nil {
			return Receipt{
				ChangeID: c.ID, State: Accepted, Strategy: Lua, Attempts: 1, Replayed: admission.Replayed,
				Balances: admission.Amounts, Payload: c.Record.Payload, StreamID: admission.StreamID,
			}, admission.Unsure, nil
		}
		if !errors.Is(err, redisfirst.ErrMissing) {
			return Receipt{StreamID: admission.StreamID}, false, err
		}
		_, inFlight, err := p.Prime(bounded, c.Balances(), func(ctx context.Context, balances []string) (map[string]Level, error) {
			return p.ledger.Levels(ctx, slices.DeleteFunc(slices.Clone(c.Moves), func(m Move) bool {
				return !slices.Contains(balances, m.Balance)
			}))
		})
		if err != nil {
			return Receipt{}, false, err
		}
		if inFlight == 0 {
			continue
		}
		if lock.Pause(bounded, lock.Jitter(p.settings.Poll)) != nil { // until they are persisted
			return Receipt{}, false, ledger.Ended(bounded)
		}
	}
}

// Await implements [Awaiter].
func (p *lua) Await(ctx context.Context, id uuid.UUID) (bool, error) {
	results, forget := p.confirmations.Expect(id) // before the first look: the result may come at once
	defer forget()
	return awaitResult(ctx, p.settings.Pipeline.PersistWait, results, func(ctx context.Context) (open, held bool, err error) {
		memory, err := p.State(ctx, id)
		switch {
		case err != nil:
			return false, false, err
		case memory.State == OutcomeFailed:
			return false, false, memory.Reason
		case memory.State == OutcomeUnknown:
			return false, false, nil
		}
		// What is not in the stream any more is committed, or was lost: the database was restored, or the entry could not be read.
		if open, err = p.Has(ctx, memory.StreamID); err != nil || open {
			return open, false, err
		}
		if _, held, err = p.ledger.Payload(ctx, id); err != nil || held {
			return false, held, err
		}
		again, err := p.State(ctx, id) // it was refused this very moment, or sent again
		if err == nil && again.State == OutcomeFailed {
			err = again.Reason
		}
		return again.StreamID != memory.StreamID, false, err
	})
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
			case result.Err == nil && len(result.Positions) != len(c.Moves):
				look.Reset(0) // it was written before, and this is a message about it again; the journal has the positions
			case result.Err == nil:
				receipt.State, receipt.Positions = Committed, make(map[string]int64, len(c.Moves))
				for i, m := range c.Moves {
					receipt.Positions[m.Balance] = result.Positions[i]
				}
				return receipt, nil
			case errors.Is(result.Err, ledger.ErrAlreadyApplied):
				return firstReceipt(ctx, p.ledger, c, "a change that was applied before")
			default:
				return Receipt{}, p.refusal(c, result.Err)
			}
		case <-look.C:
			if first, found, err := p.ledger.Replay(ctx, c); ledger.IDUsed(err) {
				return Receipt{}, err
			} else if err == nil && found && !receipt.Replayed && first.StreamID != receipt.StreamID {
				return first, nil // applied before, by another strategy or when Redis had not forgotten it
			} else if err == nil && found {
				// The amounts stay those that Redis told: persisters on several instances commit in another order.
				receipt.State, receipt.Payload, receipt.StreamID = Committed, first.Payload, first.StreamID
				receipt.Positions = first.Positions
				return receipt, nil
			}
			if err := p.Refusal(ctx, c.ID); err != nil {
				return Receipt{}, p.refusal(c, err)
			}
			if receipt.Replayed {
				if old, err := isStale(ctx, p.ledger, p.Store, c.ID, receipt.StreamID); err == nil && old {
					return receipt, errStale
				}
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
	if known {
		var lost bool
		if lost, err = isStale(ctx, p.ledger, p.Store, c.ID, receipt.StreamID); err != nil {
			return Receipt{}, accepted(err)
		}
		known = !lost
	}
	if !known {
		return Receipt{}, ledger.Unknown("the change was lost, perhaps before its commit", errNoResult)
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
