// Package etcdlock is a lock in etcd, made of the mutexes of its client (go.etcd.io/etcd/client/v3/concurrency).
package etcdlock

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"

	"holdfast/lockprovider/lock"
)

// locker takes a lease of etcd for each call of Lock. The client's own session of one process would not do: its mutexes do not keep
// the goroutines of one process apart.
type locker struct {
	etcd     *clientv3.Client
	settings lock.Settings
	metrics  lock.Metrics
}

// New returns that lock. Waiters are told of a release, and served in the order in which they came. The fencing tokens are revisions
// of etcd. The lock is as safe as a quorum of etcd's servers is.
//
// etcd counts leases in whole seconds and has a minimum, 2 s with its own defaults: [lock.Settings.Lease] is rounded up.
// [lock.Settings.Poll] is not used. To free a lock by hand, revoke the lease of its key: a holder does not notice if only the key is
// deleted.
func New(etcd *clientv3.Client, s lock.Settings, m lock.Metrics) lock.Locker {
	return lock.RefuseNesting(&locker{etcd: etcd, settings: s, metrics: m})
}

// Prefix returns what the keys in etcd begin with that stand for a lock: one for its holder, the oldest, and one for each waiter. A
// slash in the key is escaped, since the mutex of "a" would wait for the holder of "a/b".
func Prefix(key string) string { return "holdfast/lock/" + url.PathEscape(key) + "/" }

// Lock acquires one mutex a key, in an order that is the same for all callers.
func (l *locker) Lock(ctx context.Context, keys []string) (context.Context, lock.Lease, error) {
	waiting, cancel := lock.WithWait(ctx, l.settings.Wait)
	defer cancel()
	asked := time.Now()
	granted, err := l.grant(waiting)
	if err != nil {
		return nil, nil, lock.StoreError(waiting, "etcd", err)
	}
	term := time.Duration(granted.TTL) * time.Second
	tokens, err := l.lockAll(waiting, granted.ID, lock.SortedKeys(keys))
	if err == nil && time.Since(asked) > term/3 { // The client has renewed it meanwhile, and does not say when.
		asked = time.Now()
		err = l.extend(waiting, granted.ID)
	}
	if err != nil {
		err = lock.StoreError(waiting, "etcd", err)
		revoking, cancel := context.WithTimeout(context.WithoutCancel(ctx), lock.UnlockTimeout)
		defer cancel()
		_ = l.revoke(revoking, granted.ID) // Otherwise it expires.
		return nil, nil, err
	}
	held, renewed := lock.KeepAlive(ctx, asked, term,
		func(ctx context.Context) error {
			err := l.extend(ctx, granted.ID)
			l.metrics.Renewed(err)
			return err
		},
		func(ctx context.Context) error { return l.revoke(ctx, granted.ID) })
	return held, &lease{Lease: renewed, tokens: tokens}, nil
}

// grant is not canceled with the caller: a lease that nobody knows of would stay until it expires.
func (l *locker) grant(ctx context.Context) (*clientv3.LeaseGrantResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lock.RequestTimeout)
	defer cancel()
	return l.etcd.Grant(ctx, int64(math.Ceil(l.settings.Lease.Seconds())))
}

// lockAll returns the fencing tokens of the keys. While it waits, the session of the client renews the lease.
func (l *locker) lockAll(ctx context.Context, id clientv3.LeaseID, keys []string) (tokens map[string]int64, err error) {
	session, err := concurrency.NewSession(l.etcd, concurrency.WithLease(id))
	if err != nil {
		return nil, err
	}
	defer session.Orphan()
	tokens = make(map[string]int64, len(keys))
	for _, key := range keys {
		prefix := Prefix(key)
		mutex := concurrency.NewMutex(session, prefix[:len(prefix)-1]) // It adds the slash.
		if err := l.lockOne(ctx, mutex); err != nil {
			return nil, err
		}
		tokens[key] = mutex.Header().Revision
	}
	return tokens, nil
}

func (l *locker) lockOne(ctx context.Context, mutex *concurrency.Mutex) error {
	if l.settings.Wait <= 0 {
		err := mutex.TryLock(ctx)
		if errors.Is(err, concurrency.ErrLocked) {
			return lock.ErrTimeout
		}
		return err
	}
	// A mutex whose wait is canceled leaves the queue by a request that nothing bounds. So this goroutine does not wait for long: the
	// end of the lease removes the key, too.
	locked := make(chan error, 1)
	go func() { locked <- mutex.Lock(ctx) }()
	select {
	case err := <-locked:
		return err
	case <-ctx.Done():
	}
	timer := time.NewTimer(lock.RequestTimeout)
	defer timer.Stop()
	select {
	case err := <-locked:
		return err
	case <-timer.C:
		return ctx.Err()
	}
}

func (l *locker) extend(ctx context.Context, id clientv3.LeaseID) error {
	_, err := l.etcd.KeepAliveOnce(ctx, id)
	return asLost(err)
}

// revoke ends the lease, and with it all keys at once.
func (l *locker) revoke(ctx context.Context, id clientv3.LeaseID) error {
	_, err := l.etcd.Revoke(ctx, id)
	return asLost(err)
}

func asLost(err error) error {
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return fmt.Errorf("%w: %w", lock.ErrLost, err)
	}
	return err
}

type lease struct {
	lock.Lease
	tokens map[string]int64
}

func (l *lease) Fence(_ context.Context, key string) (int64, error) { return l.tokens[key], nil }
