package lockprovider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
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
	changes       atomic.Pointer[redisfirst.Queue] // of the epoch that is current
	inEpoch       func(epoch int64) *redisfirst.Queue
	follow        func(ctx context.Context) error // adopts the epoch that is current
	confirmations *redisfirst.Confirmations
	ledger        *Ledger
	settings      Settings
	worker        *worker
}

func newQueue(d Deps) (Provider, error) {
	p := &queue{
		inEpoch:       func(epoch int64) *redisfirst.Queue { return d.queueOf(d.family, epoch) },
		confirmations: d.confirmations, ledger: d.Ledger, settings: d.Settings,
		worker: d.worker(d.confirmations),
	}
	p.BeginEpoch(d.Epochs[d.family])
	return p, nil
}

// BeginEpoch goes on under another epoch, in another queue.
func (p *queue) BeginEpoch(epoch int64) { p.changes.Store(p.inEpoch(epoch)) }

// Open opens the current epoch.
func (p *queue) Open(ctx context.Context) error { return p.changes.Load().Open(ctx) }

// queueOf returns the queue of a family in an epoch.
func (d Deps) queueOf(f Family, epoch int64) *redisfirst.Queue {
	changes := redisfirst.NewQueue(d.Redis, f, epoch, d.Instance, redisfirst.QueueSettings{
		Length: d.Settings.Pipeline.Backlog, Remember: d.Settings.Pipeline.Remember, Database: d.database(),
		Timeout: d.Settings.Pipeline.RequestTimeout,
	})
	d.openWith(f, changes)
	return changes
}

// worker returns what serves queues in this process.
func (d Deps) worker(confirmations *redisfirst.Confirmations) *worker {
	return &worker{
		locker: d.handoff.Locker(workerLock), drainer: d.handoff.Locker(drainLock), ledger: d.Ledger, confirmations: confirmations,
		instance: d.Instance, settings: d.Worker, log: d.Log, served: d.served,
	}
}

func (p *queue) Execute(ctx context.Context, c Change) (Receipt, error) {
	results, forget := p.confirmations.Expect(c.ID) // before joining: the result may come at once
	defer forget()
	began := time.Now()
	stale := ""
	for range staleTries {
		receipt, err := p.executeOver(ctx, c, stale, results)
		if !errors.Is(err, errStale) {
			receipt.Waited = time.Since(began)
			return receipt, err
		}
		stale = receipt.StreamID
	}
	return Receipt{}, ledger.Unknown("redis", errStale)
}

// executeOver executes a change. stale is the stream entry of what Redis remembers of it, and must not, or "".
func (p *queue) executeOver(ctx context.Context, c Change, stale string, results <-chan redisfirst.Result) (Receipt, error) {
	changes := p.changes.Load()
	entry, err := changes.Join(ctx, c, p.settings.Wait, stale)
	if err == nil && entry.State == redisfirst.EntryFailed {
		err = entry.Failure
	}
	if err != nil {
		if isMisfit(err, entry.StreamID) {
			return Receipt{StreamID: entry.StreamID}, errStale
		}
		if old, serr := isStale(ctx, p.ledger, changes, c.ID, entry.StreamID); serr == nil && old {
			return Receipt{StreamID: entry.StreamID}, errStale
		}
		return refusedUnlessApplied(ctx, p.ledger, c, err)
	}
	receipt, err := p.served(ctx, changes, c, entry, results)
	if errors.Is(err, errStale) {
		receipt.StreamID = entry.StreamID
	}
	return receipt, err
}

// join has a change join the queue for a ticket, unless Redis remembers it; see [errStale] for what is not believed.
func (p *queue) join(ctx context.Context, changes *redisfirst.Queue, c Change, keep time.Duration) error {
	entry, err := changes.Join(ctx, c, keep, "")
	ended := entry.State == redisfirst.EntryDone || entry.State == redisfirst.EntryFailed
	if !ended && !errors.Is(err, ErrIDReused) {
		return err
	}
	if !isMisfit(entry.Failure, entry.StreamID) {
		if old, serr := isStale(ctx, p.ledger, changes, c.ID, entry.StreamID); serr != nil || !old {
			return err
		}
	}
	_, err = changes.Join(ctx, c, keep, entry.StreamID)
	return err
}

// Enter implements [Ticketer].
func (p *queue) Enter(ctx context.Context, c Change, keep time.Duration) (Position, error) {
	c, err := normalize(c)
	if err != nil {
		return Position{}, err
	}
	changes := p.changes.Load()
	err = p.join(ctx, changes, c, keep)
	if errors.Is(err, redisfirst.ErrClosed) && p.follow != nil {
		if ferr := p.follow(ctx); ferr != nil {
			return Position{}, fmt.Errorf("%w: %v", err, ferr) //nolint:errorlint // what became of the change, only the first tells
		}
		changes = p.changes.Load()
		err = p.join(ctx, changes, c, keep)
	}
	if err != nil {
		return Position{}, err
	}
	position, err := changes.Look(ctx, c.ID, keep)
	if err != nil {
		return Position{}, ledger.Unknown("the change has joined the queue", err)
	}
	return position, nil
}

// Look implements [Ticketer].
func (p *queue) Look(ctx context.Context, id uuid.UUID, keep time.Duration) (Position, error) {
	position, err := p.changes.Load().Look(ctx, id, keep)
	if err != nil || position.State != PositionUnknown && position.State != PositionDone {
		return position, err
	}
	// The queue of an epoch that has ended is forgotten; its changes were served before. A database that was restored does not
	// have what Redis calls done.
	payload, found, err := p.ledger.Payload(ctx, id)
	if found {
		return Position{State: PositionDone, Payload: payload}, nil
	}
	return Position{State: PositionUnknown}, err
}

// Await implements [Awaiter].
func (p *queue) Await(ctx context.Context, id uuid.UUID) (bool, error) {
	results, forget := p.confirmations.Expect(id) // before the first look: the result may come at once
	defer forget()
	changes := p.changes.Load()
	return awaitResult(ctx, p.settings.Pipeline.PersistWait, results, func(ctx context.Context) (open, held bool, err error) {
		position, err := changes.Look(ctx, id, 0) // the ticket is not this caller's to keep
		if err != nil {
			return false, false, err
		}
		switch position.State {
		case PositionWaiting, PositionServing:
			return true, false, nil
		case PositionFailed:
			return false, false, position.Reason
		}
		if position.State == PositionDone { // unless the database was restored since
			_, held, err = p.ledger.Payload(ctx, id)
		}
		return false, held, err
	})
}

// Run serves the queue whenever no other instance does, until ctx ends.
func (p *queue) Run(ctx context.Context) { p.worker.Run(ctx, p.changes.Load) }

// served waits for the worker. A caller that waits longer than the bound leaves the queue, unless its change is being served
// by then.
func (p *queue) served(
	ctx context.Context, changes *redisfirst.Queue, c Change, entry redisfirst.Entry,
	results <-chan redisfirst.Result,
) (Receipt, error) {
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
		case result := <-results:
			if result.StreamID != entry.StreamID {
				look.Reset(0) // it is of another entry, perhaps of an attempt before, or nobody knows of which
				continue
			}
			if result.Err != nil && !errors.Is(result.Err, ledger.ErrAlreadyApplied) {
				return Receipt{}, result.Err
			}
			receipt, err := firstReceipt(ctx, p.ledger, c, "a change that was served")
			receipt.Replayed = entry.Replayed || result.Err != nil
			return receipt, err
		case <-look.C:
			receipt, done, err := p.lookForResult(ctx, changes, c)
			if err != nil {
				return Receipt{}, err
			}
			if done { // by this entry, or before by another one or by another strategy
				receipt.Replayed = entry.Replayed || receipt.StreamID != entry.StreamID
				return receipt, nil
			}
			next = max(2*next, firstLook)
			look.Reset(next)
		case <-patience.C:
			if leaving {
				return Receipt{}, ledger.Unknown("the change is being served", errNoResult)
			}
			left, err := changes.Leave(context.WithoutCancel(ctx), c.ID, entry.StreamID)
			if err != nil {
				return Receipt{}, err
			}
			if left {
				return Receipt{}, ErrLockTimeout
			}
			leaving = true // too late to leave: the result is on its way, or the worker has given the place up this very moment
			patience.Reset(p.settings.Pipeline.PersistWait)
			look.Reset(0)
		case <-ctx.Done():
			abandon(ctx, changes, c, entry)
			return Receipt{}, ctx.Err()
		}
	}
}

// abandon leaves the queue for a caller that has gone.
func abandon(ctx context.Context, changes *redisfirst.Queue, c Change, entry redisfirst.Entry) {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), lock.UnlockTimeout)
	defer cancel()
	_, _ = changes.Leave(bounded, c.ID, entry.StreamID) // too late to leave: the change is applied, as a repeat will tell
}

// lookForResult finds a result whose message was lost.
func (p *queue) lookForResult(
	ctx context.Context, changes *redisfirst.Queue, c Change,
) (receipt Receipt, done bool, err error) {
	if receipt, found, err := p.ledger.Replay(ctx, c); found || ledger.IDUsed(err) {
		return receipt, found, err
	}
	position, err := changes.Look(ctx, c.ID, 0)
	switch {
	case err != nil:
		return Receipt{}, false, nil //nolint:nilerr // Redis does not answer: go on waiting, within the bound
	case position.State == PositionFailed:
		return Receipt{}, false, position.Reason
	case position.State == PositionExpired:
		return Receipt{}, false, fmt.Errorf("%w: the position in the queue was given up", ErrLockTimeout)
	case position.State == PositionUnknown:
		return Receipt{}, false, ledger.Unknown("redis has forgotten the change", errNoResult)
	case position.State == PositionDone:
		if known, err := p.ledger.Knows(ctx, c.ID); err == nil && !known {
			return Receipt{}, false, errStale
		}
	}
	return Receipt{}, false, nil
}

// errNoResult is what a caller knows of a change that it has handed over.
var errNoResult = errors.New("no result within the bound")

// worker serves the queue of a family. Any number of instances may run one. A lock makes sure that one at a time serves;
// change IDs and conditional updates keep the data right if that lock fails.
//
// No single change holds up the others. One that the database refuses gets its result, whatever the reason, and leaves the
// queue; so does one whose caller has left or whose ticket has expired. An entry that cannot be read is discarded.
type worker struct {
	confirmations *redisfirst.Confirmations
	locker        lock.Locker // waits for long, to take over
	drainer       lock.Locker // waits briefly: the one who has the lock serves as well
	ledger        *Ledger
	instance      string
	settings      WorkerSettings
	log           *slog.Logger
	served        func(Change)
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

// Run serves the current queue whenever no other worker does, until ctx ends.
func (w *worker) Run(ctx context.Context, current func() *redisfirst.Queue) {
	for ctx.Err() == nil {
		changes := current()
		err := w.alone(ctx, w.locker, changes, func(held context.Context) error {
			for held.Err() == nil && current() == changes {
				if _, err := w.serve(held, changes, w.settings.Block); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil && ctx.Err() == nil && !errors.Is(err, ErrLockTimeout) { // else another instance serves
			w.log.WarnContext(ctx, "the queue waits", "family", changes.Family(), "error", err)
			_ = lock.Pause(ctx, w.settings.Retry)
		}
	}
}

// Drain has a queue that nothing comes to any more served to its end, by this worker or another.
func (w *worker) Drain(ctx context.Context, changes *redisfirst.Queue) error {
	for {
		left, err := changes.Len(ctx)
		if err != nil || left == 0 {
			return err
		}
		err = w.alone(ctx, w.drainer, changes, func(held context.Context) error {
			for {
				if served, err := w.serve(held, changes, -1); err != nil || served == 0 {
					return err
				}
			}
		})
		if err != nil && !errors.Is(err, ErrLockTimeout) {
			return err
		}
	}
}

// alone serves a queue under its lock. It returns [ErrLockTimeout] if another worker has the lock.
func (w *worker) alone(
	ctx context.Context, locker lock.Locker, changes *redisfirst.Queue, serve func(held context.Context) error,
) error {
	held, lease, err := locker.Lock(ctx, []string{"exclusive:queue:" + changes.Name()})
	if err != nil {
		return err
	}
	err = serve(held)
	_ = lease.Unlock(ctx) // a lease that was lost has been taken over
	return err
}

// serve takes one batch, waits up to block for it, and returns how many changes it had.
func (w *worker) serve(ctx context.Context, changes *redisfirst.Queue, block time.Duration) (int, error) {
	batch, err := changes.Next(ctx, w.settings.Batch, block)
	if err != nil || len(batch) == 0 {
		return 0, err
	}
	began := time.Now()
	if err := w.serveBatch(ctx, changes, batch); err != nil {
		return 0, err
	}
	changes.Pace(ctx, float64(len(batch))/time.Since(began).Seconds())
	return len(batch), nil
}

// serveBatch serves a batch: check in order → commit → remove from the queue → tell, first those who wait, then the listener.
func (w *worker) serveBatch(ctx context.Context, changes *redisfirst.Queue, batch []ledger.Admitted) error {
	batch, err := changes.Serve(ctx, batch)
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
	err = changes.Served(ctx, batch, results, balances)
	w.confirmations.Tell(ctx, w.instance, batch, results)
	for i, a := range batch {
		if results[i] == nil || errors.Is(results[i], ledger.ErrAlreadyApplied) {
			w.served(a.Change)
		}
	}
	return err
}
