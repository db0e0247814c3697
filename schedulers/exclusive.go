package schedulers

import (
	"context"
	"errors"
	"time"

	"holdfast/ent"
	"holdfast/events"
	"holdfast/lockprovider/lock"
)

// ExclusiveLease is how long the row of [Exclusive] stays with an instance that has died.
const ExclusiveLease = 5 * time.Second

// Exclusive lets a function run on one instance of the deployment at a time, by a row of the database, as jobs do: the
// instances share the database for certain, and not Redis. If another instance is running the function, the error is
// [ErrElsewhere], after a pause. The instances must have the same clock now, such as that of the database.
func Exclusive(client *ent.Client, instance string, lease time.Duration, now func() time.Time) events.Exclusive {
	rows := &claims{client: client, now: microseconds(now), instance: instance, lease: lease, held: map[Job]bool{}}
	return func(ctx context.Context, name string, run func(ctx context.Context) error) error {
		claim, err := rows.claim(ctx, Job(name), false)
		if errors.Is(err, ErrElsewhere) {
			_ = lock.Pause(ctx, lease/3)
		}
		if err != nil {
			return err
		}
		held, stopRenewing := claim.keepRenewed(ctx)
		err = run(held)
		stopRenewing()
		return errors.Join(err, claim.release(ctx))
	}
}
