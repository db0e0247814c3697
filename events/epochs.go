package events

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"holdfast/lockprovider"
)

// earlierEpochs bounds how many ended epochs are looked at: each was drained when the next began, but for crashes.
const earlierEpochs = 8

// DrainEarlier persists what Redis admitted before a family's strategy was last switched, and then removes the ended
// epochs from Redis. It is to be called before changes are served.
func DrainEarlier(ctx context.Context, r redis.UniversalClient, d *lockprovider.Deployment, p PersisterDeps) error {
	p.Waiters = lockprovider.NewWaiters(r, d.Instance())
	defer func() { _ = p.Waiters.Close() }()
	for family, current := range d.Epochs() {
		for epoch := current - 1; epoch > 0 && epoch >= current-earlierEpochs; epoch-- {
			admission := lockprovider.NewAdmission(r, family, epoch, d.Instance(), lockprovider.AdmissionSettings{})
			used, err := admission.Used(ctx)
			if err == nil && used {
				p.Log.InfoContext(ctx, "draining an earlier epoch", "family", family, "epoch", epoch)
				err = NewPersister(admission, p).Drain(ctx)
				if err == nil {
					err = admission.Forget(ctx)
				}
			}
			if err != nil {
				return fmt.Errorf("drain what %s admitted in epoch %d: %w", family, epoch, err)
			}
		}
	}
	return nil
}
