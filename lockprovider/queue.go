package lockprovider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"holdfast/lockprovider/ledger"
	"holdfast/lockprovider/lock"
	"holdfast/lockprovider/redisfirst"
)

// queue lets one worker at a time do everything: changes wait in a queue, in the order in which they arrived, and the worker
// takes them in batches, checks one after the other, and commits those that fit in one transaction. Nobody contends for
// anything, the first to come is the first served, and a caller who finds the stock sold out is told without joining.
type queue struct {
	changes       *redisfirst.Queue
	confirmations *redisfirst.Confirmations
	ledger        *Ledger
	settings      Settings
	worker        *worker
}

func newQueue(d Deps) (Provider, error) {
	changes := redisfirst.NewQueue(d.Redis, d.family, d.Epochs[d.family], d.Instance, redisfirst.QueueSettings{
		Length: d.Settings.Pipeline.Backlog, Remember: d.Settings.Pipeline.Remember,
	})
	return &queue{
		changes: changes, confirmations: d.confirmations, ledger: d.Ledger, settings: d.Settings,
		worker: &worker{
			changes: changes, locker: d.handoff.Locker(workerLock), ledger: d.Ledger, confirmations: d.confirmations,
			instance: d.Instance, settings: d.Worker, log: d.Log,
		},
	}, nil
}

func (p *queue) Execute(ctx context.Context, c Change) (Receipt, error) {
	result, forget := p.confirmations.Expect(c.ID) // before joining: the result may come at once
	defer forget()
	began := time.Now()
	entry, err := p.changes.Join(ctx, c, time.Time{})
	if err != nil {
		return refusedUnlessApplied(ctx, p.ledger, c, err)
	}
	if entry.State == redisfirst.EntryFailed {
		return Receipt{Strategy: Queue}, entry.Failure
	}
	receipt, err := p.served(ctx, c, entry, result)
	receipt.Waited = time.Since(began)
	return receipt, err
}

// Enter implements [Ticketer].
func (p *queue) Enter(ctx context.Context, c Change, until time.Time) (Position, error) {
	c, err := normalize(c)
	if err != nil {
		return Position{}, err
	}
	if _, err := p.changes.Join(ctx, c, until); err != nil {
		return Position{}, err
	}
	return p.Look(ctx, c.ID, until)
}

// Look implements [Ticketer].
func (p *queue) Look(ctx context.Context, id uuid.UUID, until time.Time) (Position, error) {
	return p.changes.Look(ctx, id, until)
}

// Run serves the queue whenever no other instance does, until ctx ends.
func (p *queue) Run(ctx context.Context) { p.worker.Run(ctx) }

// served waits for the worker. A caller that waits longer than the bound leaves the queue, unless its change is being served
// by then.
func (p *queue) served(ctx context.Context, c Change, entry redisfirst.Entry, result <-chan error) (Receipt, error) {
	patience := time.NewTimer(p.settings.Wait)
	defer patience.Stop()
	next := firstLook
	if entry.State == redisfirst.EntryDone {
		next = 0
	}
	look := time.NewTimer(next)
	defer look.Stop()
	leaving := false
	for {
		select {
		case err := <-result:
			if err != nil && !errors.Is(err, ledger.ErrAlreadyApplied) {
				return Receipt{}, err
			}
			receipt, found, rerr := p.ledger.Replay(ctx, c)
			if rerr == nil && !found {
				rerr = ledger.Unknown("a change that was served", errNotLogged)
			}
			receipt.Replayed = entry.Replayed || err != nil
			return receipt, rerr
		case <-look.C:
			if receipt, done, err := p.lookForResult(ctx, c); done || err != nil {
				receipt.Replayed = entry.Replayed
				return receipt, err
			}
			next = max(2*next, firstLook)
			look.Reset(next)
		case <-patience.C:
			if leaving {
				return Receipt{}, ledger.Unknown("the change is being served", errNoResult)
			}
			left, err := p.changes.Leave(context.WithoutCancel(ctx), c.ID, entry.StreamID)
			if err != nil {
				return Receipt{}, err
			}
			if left {
				return Receipt{}, ErrLockTimeout
			}
			leaving = true // too late to leave: the result is on its way
			patience.Reset(p.settings.Pipeline.PersistWait)
		case <-ctx.Done():
			p.abandon(ctx, c, entry)
			return Receipt{}, ctx.Err()
		}
	}
}

// abandon leaves the queue for a caller that has gone.
func (p *queue) abandon(ctx context.Context, c Change, entry redisfirst.Entry) {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), lock.UnlockTimeout)
	defer cancel()
	_, _ = p.changes.Leave(bounded, c.ID, entry.StreamID) // too late to leave: the change is applied, as a repeat will tell
}

// lookForResult finds a result whose message was lost.
func (p *queue) lookForResult(ctx context.Context, c Change) (receipt Receipt, done bool, err error) {
	if receipt, found, err := p.ledger.Replay(ctx, c); found || errors.Is(err, ErrIDReused) {
		return receipt, found, err
	}
	position, err := p.changes.Look(ctx, c.ID, time.Time{})
	switch {
	case err != nil:
		return Receipt{}, false, nil //nolint:nilerr // Redis does not answer: go on waiting, within the bound
	case position.State == PositionFailed:
		return Receipt{}, false, position.Reason
	case position.State == PositionExpired:
		return Receipt{}, false, fmt.Errorf("%w: the position in the queue was given up", ErrLockTimeout)
	case position.State == PositionUnknown:
		return Receipt{}, false, ledger.Unknown("redis has forgotten the change", errNoResult)
	}
	return Receipt{}, false, nil
}

// errNotLogged is what a caller knows of a change that is said to be applied.
var errNotLogged = errors.New("it is not in the change log")

// errNoResult is what a caller knows of a change that it has handed over.
var errNoResult = errors.New("no result within the bound")

// worker serves the queue of a family. Any number of instances may run one. A lock makes sure that one at a time serves;
// change IDs and conditional updates keep the data right if that lock fails.
type worker struct {
	changes       *redisfirst.Queue
	confirmations *redisfirst.Confirmations
	locker        lock.Locker
	ledger        *Ledger
	instance      string
	settings      WorkerSettings
	log           *slog.Logger
}

// WorkerSettings are the bounds of the worker that serves a queue.
type WorkerSettings struct {
	// Batch is the most changes of one transaction.
	Batch int64
	// Block is how long to wait for a change to come before looking around.
	Block time.Duration
	// Retry is the pause after a failure of Redis or the database.
	Retry time.Duration
}

// DefaultWorkerSettings suit a database that commits in milliseconds.
func DefaultWorkerSettings() WorkerSettings {
	return WorkerSettings{Batch: 256, Block: 500 * time.Millisecond, Retry: time.Second}
}

// Run serves whenever no other worker does, until ctx ends.
func (w *worker) Run(ctx context.Context) {
	for ctx.Err() == nil {
		held, lease, err := w.locker.Lock(ctx, []string{"exclusive:queue:" + w.changes.Name()})
		if errors.Is(err, ErrLockTimeout) {
			continue // another instance serves
		}
		if err == nil {
			err = w.serve(held)
			_ = lease.Unlock(ctx) // a lease that was lost has been taken over
		}
		if err != nil && ctx.Err() == nil {
			w.log.WarnContext(ctx, "the queue waits", "family", w.changes.Family(), "error", err)
			_ = pause(ctx, w.settings.Retry)
		}
	}
}

// serve takes batches for as long as the lock is held.
func (w *worker) serve(ctx context.Context) error {
	for ctx.Err() == nil {
		batch, err := w.changes.Next(ctx, w.settings.Batch, w.settings.Block)
		if err != nil {
			return err
		}
		if len(batch) == 0 {
			continue
		}
		began := time.Now()
		if err := w.serveBatch(ctx, batch); err != nil {
			return err
		}
		w.changes.Pace(ctx, float64(len(batch))/time.Since(began).Seconds())
	}
	return nil
}

// serveBatch serves a batch: check in order → commit → remove from the queue → tell.
func (w *worker) serveBatch(ctx context.Context, batch []ledger.Admitted) error {
	batch, err := w.changes.Serve(ctx, batch, time.Now())
	if err != nil {
		return err
	}
	if len(batch) == 0 {
		return nil // all have left
	}
	results := make([]error, len(batch))
	var todo []int
	for i, a := range batch {
		switch {
		case a.Malformed != nil:
			w.log.ErrorContext(ctx, "entry discarded", "error", a.Malformed)
			results[i] = a.Malformed
		default:
			todo = append(todo, i)
		}
	}
	balances, err := w.ledger.ApplyInOrder(ctx, Queue, batch, todo, results)
	if err != nil {
		return err // nothing is known: they stay in the queue, first
	}
	// Marks before results: a caller that is told that something was given back must not find it still sold out.
	err = w.changes.Served(ctx, batch, results, balances)
	w.confirmations.Tell(ctx, w.instance, batch, results)
	return err
}
