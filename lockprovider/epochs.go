package lockprovider

import (
	"context"
	"errors"
	"fmt"

	"holdfast/lockprovider/redisfirst"
)

// earlierEpochs is how many epochs are looked at before those that the database does not know to be drained: Redis may have been restored.
const earlierEpochs = 8

// openWith has what a family keeps in Redis ask the deployment, if there is one, before it opens an epoch there.
func (d Deps) openWith(f Family, kept interface{ OpenWith(redisfirst.WhileCurrent) }) {
	if d.Deployment == nil {
		return
	}
	kept.OpenWith(func(ctx context.Context, epoch int64, do func(context.Context, bool) error) error {
		return d.Deployment.WhileCurrent(ctx, f, epoch, do)
	})
}

// database is the name of the database in keys of Redis.
func (d Deps) database() string {
	if d.Deployment == nil {
		return ""
	}
	return d.Deployment.Database()
}

// EndEarlier ends what the epochs before the current ones have left in Redis: nothing is admitted into them any more, by
// whichever instance; what they admitted is persisted, who waits in their queues is served; then they are removed. It opens the
// current epochs. It is to be called after [Providers.PersistWith], and before changes are served.
func (p *Providers) EndEarlier(ctx context.Context) error {
	for _, f := range Families {
		if err := p.endEpochs(ctx, f, p.deps.Epochs[f]); err != nil {
			return err
		}
		if b, ok := As[beginner](p.byFamily[f]); ok {
			if err := b.Open(ctx); err != nil { // as while a fallback serves the family; else the first change opens it
				p.deps.Log.InfoContext(ctx, "an epoch is not open yet", "family", f, "error", err)
			}
		}
	}
	return nil
}

// endEpochs ends the epochs of a family before the current one. Several instances may do so at once.
func (p *Providers) endEpochs(ctx context.Context, f Family, current int64) error {
	if p.deps.Redis == nil {
		return nil
	}
	d := p.deps
	d.handoff = p.handoff
	// Redis may have gone away each time before an epoch was drained: then more than the last one is left.
	drained, err := p.drained(ctx, f)
	if err != nil {
		return err
	}
	oldest := max(1, min(current, drained)-earlierEpochs)
	for number := current - 1; number >= oldest; number-- {
		store := redisfirst.NewStore(d.Redis, f, number, d.Instance, redisfirst.StoreSettings{Database: d.database()})
		last := number == current-1
		err := p.endEpoch(ctx, f, number, last, store, func(c *redisfirst.Confirmations) error {
			if p.persister == nil {
				return errors.New("no persister in this process")
			}
			return p.persister(store, c).Drain(ctx)
		})
		if err != nil {
			return fmt.Errorf("persist what %s admitted in epoch %d: %w", f, number, err)
		}
		queue := d.queueOf(f, number)
		err = p.endEpoch(ctx, f, number, last, queue, func(c *redisfirst.Confirmations) error {
			return d.worker(c).Drain(ctx, queue)
		})
		if err != nil {
			return fmt.Errorf("serve the queue of %s of epoch %d: %w", f, number, err)
		}
	}
	if d.Deployment == nil {
		return nil
	}
	return d.Deployment.setDrained(ctx, f, current)
}

// drained returns the first epoch of a family that may not be drained.
func (p *Providers) drained(ctx context.Context, f Family) (int64, error) {
	if p.deps.Deployment == nil {
		return 0, nil
	}
	return p.deps.Deployment.drained(ctx, f)
}

// withConfirmations runs a function that tells callers their results, with confirmations of its own if no strategy here has any.
func (p *Providers) withConfirmations(run func(*redisfirst.Confirmations) error) error {
	if p.confirmations != nil {
		return run(p.confirmations)
	}
	confirmations := redisfirst.NewConfirmations(p.deps.Redis, p.deps.Instance)
	defer func() { _ = confirmations.Close() }()
	return run(confirmations)
}

// leftover is what an epoch that has ended has left in Redis.
type leftover interface {
	Used(ctx context.Context) (bool, error)
	Close(ctx context.Context) error
	Forget(ctx context.Context) error
}

// endEpoch closes, drains and forgets, in this order.
func (p *Providers) endEpoch(
	ctx context.Context, f Family, number int64, last bool, l leftover, drain func(*redisfirst.Confirmations) error,
) error {
	for {
		used, err := l.Used(ctx)
		if err != nil {
			return err
		}
		// The last one is closed in any case: an instance may be about to open it.
		if used || last {
			if err := l.Close(ctx); err != nil {
				return err
			}
		}
		if !used {
			return nil
		}
		p.deps.Log.InfoContext(ctx, "an earlier epoch is ended", "family", f, "epoch", number)
		switch err := p.withConfirmations(drain); {
		case err == nil:
			return l.Forget(ctx)
		case !errors.Is(err, redisfirst.ErrNoGroup): // else another instance was faster, and has removed it
			return err
		}
	}
}
