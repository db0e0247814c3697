package events

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"holdfast/lockprovider"
	"holdfast/lockprovider/redisfirst"
)

// earlierEpochs bounds how many ended epochs are looked at: each was drained when the next began, but for crashes.
const earlierEpochs = 8

// DrainEarlier persists what Redis admitted before a family's strategy was last switched, and then removes the ended
// epochs from Redis. It is to be called before changes are served.
func DrainEarlier(ctx context.Context, r redis.UniversalClient, d *lockprovider.Deployment, p PersisterDeps) error {
	log := p.Log
	p.confirmations = redisfirst.NewConfirmations(r, d.Instance())
	defer func() { _ = p.confirmations.Close() }()
	for family, current := range d.Epochs() {
		for epoch := current - 1; epoch > 0 && epoch >= current-earlierEpochs; epoch-- {
			store := redisfirst.NewStore(r, family, epoch, d.Instance(), redisfirst.StoreSettings{})
			p.Log = log.With("epoch", epoch)
			if err := drainEpoch(ctx, store, p); err != nil {
				return fmt.Errorf("drain what %s admitted in epoch %d: %w", family, epoch, err)
			}
		}
	}
	return nil
}

// drainEpoch persists what an ended epoch has admitted, and removes it. Instances that start together do so together.
func drainEpoch(ctx context.Context, store *redisfirst.Store, p PersisterDeps) error {
	for {
		used, err := store.Used(ctx)
		if err != nil || !used {
			return err
		}
		p.Log.InfoContext(ctx, "draining an earlier epoch", "family", store.Family())
		switch err := NewPersister(store, p).Drain(ctx); {
		case err == nil:
			return store.Forget(ctx)
		case !errors.Is(err, redisfirst.ErrNoGroup): // else another instance was faster, and has removed it
			return err
		}
	}
}
