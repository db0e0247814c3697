package lock

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-redsync/redsync/v4"
	redsyncredis "github.com/go-redsync/redsync/v4/redis"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/redis/go-redis/v9"
)

// redsyncLocker is go-redsync (https://github.com/go-redsync/redsync), the Go implementation of Redlock, over one node
// or a quorum of N independent ones. The library takes, extends and releases; what is added here is what its users
// miss: a wait that ends with the caller's context and leaves no key behind, renewal, and a context that ends when the
// lease is lost.
type redsyncLocker struct {
	redsync  *redsync.Redsync
	settings Settings
	metrics  Metrics
}

// NewRedsync returns that lock over a quorum of the nodes, which is the one node if there is only one.
func NewRedsync(nodes []redis.UniversalClient, s Settings, m Metrics) Locker {
	pools := make([]redsyncredis.Pool, len(nodes))
	for i, node := range nodes {
		pools[i] = goredis.NewPool(node)
	}
	return RefuseNesting(&redsyncLocker{redsync: redsync.New(pools...), settings: s, metrics: m})
}

// Lock acquires one mutex a key, in an order that is the same for all callers.
func (l *redsyncLocker) Lock(ctx context.Context, keys []string) (context.Context, Lease, error) {
	keys = SortedKeys(keys)
	waiting, cancel := WithWait(ctx, l.settings.Wait)
	defer cancel()
	token := NewToken()
	var mutexes []*redsync.Mutex
	taken := partial{term: l.settings.Lease, extend: func(ctx context.Context, held int) error {
		return extendMutexes(ctx, mutexes[:held])
	}}
	for _, key := range keys {
		// A value of our own: a mutex whose reply was lost may have been set and can still be released.
		mutex := l.redsync.NewMutex(key, redsync.WithExpiry(l.settings.Lease),
			redsync.WithTimeoutFactor(l.timeoutFactor()), redsync.WithValue(token),
			redsync.WithGenValueFunc(func() (string, error) { return token, nil }))
		asked, err := l.lockOne(waiting, mutex, &taken)
		if err != nil {
			err = StoreError(waiting, "redis", err)
			giveUp(ctx, func(ctx context.Context) error { return releaseMutexes(ctx, append(mutexes, mutex)) })
			return nil, nil, err
		}
		taken.add(asked)
		mutexes = append(mutexes, mutex)
	}
	held, lease := KeepAlive(ctx, taken.asked, l.settings.Lease,
		func(ctx context.Context) error {
			err := extendMutexes(ctx, mutexes)
			l.metrics.Renewed(err)
			return err
		},
		func(ctx context.Context) error { return releaseMutexes(ctx, mutexes) })
	return held, lease, nil
}

// nodeTimeout is how long a node may take to answer.
const nodeTimeout = 500 * time.Millisecond

// timeoutFactor is the share of the lease after which the library gives a node up: its own 5 % of a short lease is so
// little that a busy machine looks like a Redis that is away.
func (l *redsyncLocker) timeoutFactor() float64 {
	return min(max(0.05, nodeTimeout.Seconds()/l.settings.Lease.Seconds()), 1.0/3)
}

// lockOne asks until the mutex is ours. The library bounds each attempt. An attempt is not canceled: it could not remove
// what it had set on some nodes.
func (l *redsyncLocker) lockOne(ctx context.Context, mutex *redsync.Mutex, taken *partial) (asked time.Time, err error) {
	for {
		asked = time.Now()
		err := mutex.TryLockContext(context.WithoutCancel(ctx))
		if err == nil {
			return asked, nil
		}
		if !isTaken(err) {
			return asked, err
		}
		if l.settings.Wait <= 0 {
			return asked, ErrTimeout
		}
		if err := Pause(ctx, Jitter(l.settings.Poll)); err != nil {
			return asked, err
		}
		if err := taken.keep(ctx); err != nil {
			return asked, err
		}
	}
}

// isTaken tells "somebody else holds it" (on one node at least, or the quorum came too late) from "Redis is away".
func isTaken(err error) bool {
	var taken *redsync.ErrTaken
	var nodeTaken *redsync.ErrNodeTaken
	return errors.As(err, &taken) || errors.As(err, &nodeTaken) || errors.Is(err, redsync.ErrFailed)
}

func extendMutexes(ctx context.Context, mutexes []*redsync.Mutex) error {
	for _, m := range mutexes {
		ok, err := m.ExtendContext(ctx)
		var taken *redsync.ErrTaken // so many nodes say "not yours" that no quorum is left
		switch {
		case errors.As(err, &taken):
			return fmt.Errorf("%w: %s", ErrLost, m.Name())
		case !ok:
			return fmt.Errorf("extend %s: %w", m.Name(), err)
		}
	}
	return nil
}

func releaseMutexes(ctx context.Context, mutexes []*redsync.Mutex) error {
	var errs []error
	for i := len(mutexes) - 1; i >= 0; i-- {
		m := mutexes[i]
		ok, err := m.UnlockContext(ctx)
		switch {
		case ok:
		case isTaken(err), errors.Is(err, redsync.ErrLockAlreadyExpired):
			errs = append(errs, fmt.Errorf("%w: %s", ErrLost, m.Name()))
		default:
			errs = append(errs, fmt.Errorf("unlock %s: %w", m.Name(), err))
		}
	}
	return errors.Join(errs...)
}
