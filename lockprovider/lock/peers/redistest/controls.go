package redistest

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/redis/go-redis/v9"

	"holdfast/internal/testenv"
	"holdfast/lockprovider/lock"
)

// Controls are locks with a fault: the checker of histories must not accept what they do.
func Controls() []Subject {
	return []Subject{
		{Name: "open door", Open: func(Config) (lock.Locker, func() error, error) {
			return openDoor{}, func() error { return nil }, nil
		}},
		{Name: "ownerless", Open: func(d Config) (lock.Locker, func() error, error) {
			return &ownerless{redis: d.Redis, settings: d.Settings}, func() error { return nil }, nil
		}},
	}
}

// controlAttempts: a fault that shows only when three meet in the wrong order may hide in one history, not in all.
const controlAttempts = 10

// RunControls fails the test where a control is not caught.
func RunControls(t *testing.T, env Env) {
	for _, control := range Controls() {
		t.Run(env.Name+"/"+control.Name, func(t *testing.T) {
			h := newHarness(t, env, control, testenv.Slowness())
			for range controlAttempts {
				if checkHistory(h.compete(t, 2)) == porcupine.Illegal {
					return
				}
			}
			t.Errorf("the checker accepted %d histories of a lock that does not exclude", controlAttempts)
		})
	}
}

// openDoor keeps nobody out.
type openDoor struct{}

func (openDoor) Lock(ctx context.Context, _ []string) (context.Context, lock.Lease, error) {
	return ctx, openDoor{}, ctx.Err()
}

func (openDoor) Unlock(context.Context) error { return nil }

func (openDoor) Fence(context.Context, string) (int64, error) { return 0, nil }

// ownerless does everything right but one thing: it keeps to its lease, and tells its holder when that ends; but its
// release frees whatever is held by then.
type ownerless struct {
	redis    redis.UniversalClient
	settings lock.Settings
}

type ownerlessLease struct {
	*ownerless
	key  string
	lose context.CancelCauseFunc
	end  *time.Timer
}

func (l *ownerless) Lock(ctx context.Context, keys []string) (context.Context, lock.Lease, error) {
	waiting, cancel := context.WithTimeoutCause(ctx, l.settings.Wait, lock.ErrTimeout)
	defer cancel()
	for {
		asked := time.Now()
		err := l.redis.SetArgs(waiting, keys[0], rand.Text(), redis.SetArgs{Mode: "NX", TTL: l.settings.Lease}).Err()
		if err == nil {
			held, lose := context.WithCancelCause(ctx)
			end := time.AfterFunc(time.Until(asked.Add(l.settings.Lease*9/10)), func() { lose(lock.ErrLost) })
			return held, &ownerlessLease{ownerless: l, key: keys[0], lose: lose, end: end}, nil
		}
		if !errors.Is(err, redis.Nil) {
			return nil, nil, err
		}
		if err := lock.Pause(waiting, l.settings.Poll); err != nil {
			return nil, nil, context.Cause(waiting)
		}
	}
}

func (l *ownerlessLease) Unlock(ctx context.Context) error {
	l.end.Stop()
	l.lose(nil)
	return l.redis.Del(ctx, l.key).Err()
}

func (*ownerlessLease) Fence(context.Context, string) (int64, error) { return 0, nil }
