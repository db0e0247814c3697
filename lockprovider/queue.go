package lockprovider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"holdfast/lockprovider/lock"
)

// queue lets one worker at a time do everything: changes stand in line, in the order in which they arrived, and the worker
// takes them in batches, checks one after the other, and commits those that fit in one transaction. Nobody contends for
// anything, the first to come is the first served, and who finds the stock sold out is told without joining the line.
type queue struct {
	line     *Line
	waiters  *Waiters
	ledger   *Ledger
	settings Settings
}

func newQueue(d Deps) (Provider, error) {
	return &queue{line: d.line, waiters: d.waiters, ledger: d.Ledger, settings: d.Settings}, nil
}

func (p *queue) Execute(ctx context.Context, c Change) (Receipt, error) {
	verdict, forget := p.waiters.expect(c.ID) // before joining: the answer may come at once
	defer forget()
	began := time.Now()
	place, err := p.line.enqueue(ctx, c, time.Time{})
	if err != nil {
		return refusedUnlessApplied(ctx, p.ledger, c, err)
	}
	if place.state == lineFailed {
		return Receipt{Strategy: Queue}, place.failure
	}
	receipt, err := p.answer(ctx, c, place, verdict)
	receipt.Waited = time.Since(began)
	return receipt, err
}

// answer waits for the worker. Who waits longer than the bound leaves the line, unless he is being served by then.
func (p *queue) answer(ctx context.Context, c Change, place queued, verdict <-chan error) (Receipt, error) {
	patience := time.NewTimer(p.settings.Wait)
	defer patience.Stop()
	next := firstLook
	if place.state == lineDone {
		next = 0
	}
	look := time.NewTimer(next)
	defer look.Stop()
	leaving := false
	for {
		select {
		case err := <-verdict:
			if err != nil && !errors.Is(err, ErrAlreadyApplied) {
				return Receipt{}, err
			}
			receipt, found, rerr := p.ledger.Replay(ctx, c)
			if rerr == nil && !found {
				rerr = fmt.Errorf("%w: change %s was served and is not in the change log", ErrUnavailable, c.ID)
			}
			receipt.Replayed = place.replayed || err != nil
			return receipt, rerr
		case <-look.C:
			if receipt, done, err := p.look(ctx, c); done || err != nil {
				receipt.Replayed = place.replayed
				return receipt, err
			}
			next = max(2*next, firstLook)
			look.Reset(next)
		case <-patience.C:
			if leaving {
				return Receipt{}, fmt.Errorf("%w: being served, and the answer did not come", ErrUnavailable)
			}
			left, err := p.line.leave(context.WithoutCancel(ctx), c.ID, place.streamID)
			if left || err != nil {
				return Receipt{}, errors.Join(ErrLockTimeout, err)
			}
			leaving = true // too late to leave: the answer is on its way
			patience.Reset(p.settings.PersistWait)
		case <-ctx.Done():
			p.abandon(ctx, c, place)
			return Receipt{}, ctx.Err()
		}
	}
}

// abandon leaves the line for a caller who has gone.
func (p *queue) abandon(ctx context.Context, c Change, place queued) {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), lock.UnlockTimeout)
	defer cancel()
	_, _ = p.line.leave(bounded, c.ID, place.streamID) // too late to leave: the change is applied, as a repeat will tell
}

// look finds an answer whose word was lost.
func (p *queue) look(ctx context.Context, c Change) (Receipt, bool, error) {
	if receipt, found, err := p.ledger.Replay(ctx, c); found || errors.Is(err, ErrIDReused) {
		return receipt, found, err
	}
	place, err := p.line.Look(ctx, c.ID, time.Time{})
	switch {
	case err != nil:
		return Receipt{}, false, nil //nolint:nilerr // Redis does not answer: go on waiting, within the bound
	case place.State == PlaceFailed:
		return Receipt{}, false, place.Reason
	case place.State == PlaceExpired, place.State == PlaceUnknown:
		return Receipt{}, false, fmt.Errorf("%w: the place in the line is lost", ErrLockTimeout)
	}
	return Receipt{}, false, nil
}

// Worker serves the line of a family. Any number of instances may run one; a lock makes sure that one at a time serves,
// and change IDs and conditional updates keep the data right where that lock fails.
type Worker struct {
	line     *Line
	locker   lock.Locker
	ledger   *Ledger
	waiters  *Waiters
	instance string
	settings WorkerSettings
	log      *slog.Logger
}

// WorkerSettings are the bounds of a Worker.
type WorkerSettings struct {
	// Batch is the most changes of one transaction.
	Batch int64
	// Block is how long to wait for somebody to come before looking around.
	Block time.Duration
	// Retry is the pause after a failure of Redis or the database.
	Retry time.Duration
}

// Run serves whenever no other worker does, until ctx ends.
func (w *Worker) Run(ctx context.Context) {
	for ctx.Err() == nil {
		held, lease, err := w.locker.Lock(ctx, []string{"exclusive:queue:" + w.line.prefix})
		if errors.Is(err, ErrLockTimeout) {
			continue // another instance serves
		}
		if err == nil {
			err = w.serve(held)
			_ = lease.Unlock(ctx) // a lease that was lost has been taken over
		}
		if err != nil && ctx.Err() == nil {
			w.log.WarnContext(ctx, "the line waits", "family", w.line.family, "error", err)
			_ = pause(ctx, w.settings.Retry)
		}
	}
}

// serve takes batches for as long as the lock is held.
func (w *Worker) serve(ctx context.Context) error {
	for ctx.Err() == nil {
		batch, err := w.line.next(ctx, w.settings.Batch, w.settings.Block)
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
		w.line.pace(ctx, float64(len(batch))/time.Since(began).Seconds())
	}
	return nil
}

// serveBatch answers a batch: check in order → commit → remove from the line → tell.
func (w *Worker) serveBatch(ctx context.Context, batch []Pending) error {
	gone, err := w.line.expired(ctx, batch, time.Now())
	if err != nil {
		return err
	}
	verdicts := make([]error, len(batch))
	var todo []int
	for i, p := range batch {
		switch {
		case gone[i]:
			verdicts[i] = ErrLockTimeout
		case p.Malformed != nil:
			w.log.ErrorContext(ctx, "entry discarded", "error", p.Malformed)
			verdicts[i] = p.Malformed
		default:
			todo = append(todo, i)
		}
	}
	amounts, err := w.ledger.serve(ctx, Queue, batch, todo, verdicts)
	if err != nil {
		return err // nothing is known: they stay in line, first
	}
	// Marks before answers: who is told that something was given back must not find it still sold out.
	err = w.line.served(ctx, batch, verdicts, gone, amounts)
	w.waiters.Tell(ctx, w.instance, batch, verdicts)
	return err
}
