// Package foreign is a module outside of holdfast that uses its lock, and brings one of its own.
package foreign

import (
	"context"
	"sync"

	"example.com/you/holdfast/lockprovider/lock"
)

// Memory is the store of a lock for the goroutines of one process.
type Memory struct{ holders sync.Map }

// Open returns a locker.
func (m *Memory) Open(s lock.Settings) lock.Locker {
	return lock.RefuseNesting(&locker{memory: m, settings: s})
}

type locker struct {
	memory   *Memory
	settings lock.Settings
}

// Lock implements [lock.Locker].
func (l *locker) Lock(ctx context.Context, keys []string) (context.Context, lock.Lease, error) {
	waiting, cancel := lock.WithWait(ctx, l.settings.Wait)
	defer cancel()
	held, end := context.WithCancel(ctx)
	lease := &lease{memory: l.memory, end: end}
	for _, key := range lock.SortedKeys(keys) {
		if err := l.lock(waiting, key, lease); err != nil {
			_ = lease.Unlock(ctx)
			return nil, nil, lock.StoreError(waiting, "memory", err)
		}
		lease.keys = append(lease.keys, key)
	}
	return held, lease, nil
}

func (l *locker) lock(ctx context.Context, key string, holder *lease) error {
	for {
		if _, taken := l.memory.holders.LoadOrStore(key, holder); !taken {
			return nil
		}
		if l.settings.Wait <= 0 {
			return lock.ErrTimeout
		}
		if err := lock.Pause(ctx, l.settings.Poll); err != nil {
			return err
		}
	}
}

type lease struct {
	memory *Memory
	keys   []string
	end    context.CancelFunc
}

// Unlock implements [lock.Lease].
func (l *lease) Unlock(context.Context) error {
	l.end()
	var err error
	for _, key := range l.keys {
		if !l.memory.holders.CompareAndDelete(key, l) {
			err = lock.ErrLost
		}
	}
	return err
}

// Fence implements [lock.Lease]: this lock has no tokens.
func (*lease) Fence(context.Context, string) (int64, error) { return 0, nil }
