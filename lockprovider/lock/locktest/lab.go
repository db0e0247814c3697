package locktest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/lockprovider/lock"
)

const (
	// patience is how long a scenario waits for what must happen. It is no measure: only a hang should fail.
	patience = 2 * time.Minute
	// longLease does not end while a scenario runs.
	longLease = 10 * time.Minute
	// shortLease is for scenarios that see a lease end or be renewed. It grows with each attempt.
	shortLease = time.Second
	// shortWait is for waits that are to end. It grows with each attempt.
	shortWait = 200 * time.Millisecond
	// arrival is how long a waiter takes to be in the queue. It grows with each attempt.
	arrival = 100 * time.Millisecond
)

// lab is what a scenario works with.
type lab struct {
	Harness
	factor int
}

// unique makes keys that no other scenario uses, also of another test at the same store.
var unique atomic.Int64

// key returns a key of its own.
func (l *lab) key() string {
	return fmt.Sprintf("locktest:%d:%d", time.Now().UnixNano(), unique.Add(1))
}

func (l *lab) scaled(d time.Duration) time.Duration { return time.Duration(l.factor) * d }

// option changes the bounds of a locker.
type option func(*lock.Settings)

func wait(d time.Duration) option  { return func(s *lock.Settings) { s.Wait = d } }
func lease(d time.Duration) option { return func(s *lock.Settings) { s.Lease = d } }

func tryOnce() option { return wait(0) }

// open returns a locker, as another process would have it.
func (l *lab) open(t testing.TB, options ...option) *process {
	t.Helper()
	s := lock.Settings{Wait: l.patience, Lease: longLease, Poll: l.Poll}
	if s.Poll == 0 {
		s.Poll = 10 * time.Millisecond
	}
	for _, o := range options {
		o(&s)
	}
	return &process{l.Open(t, s), l.patience}
}

// process is a locker that stands for a process.
type process struct {
	lock.Locker
	patience time.Duration
}

// call is a call of Lock.
type call struct {
	done  chan struct{}
	held  context.Context //nolint:containedctx // It is what Lock returned.
	lease lock.Lease
	err   error

	patience time.Duration
}

// begin calls Lock in the background.
func (p *process) begin(ctx context.Context, keys ...string) *call {
	c := &call{done: make(chan struct{}), patience: p.patience}
	go func() {
		defer close(c.done)
		c.held, c.lease, c.err = p.Lock(ctx, keys)
	}()
	return c
}

// end waits for the call to return.
func (c *call) end(t testing.TB) *call {
	t.Helper()
	c.await(t, c.done, "Lock to return")
	return c
}

// granted waits for a call that succeeds. The lock is released with the test, if not before.
func (c *call) granted(t testing.TB) *call {
	t.Helper()
	c.end(t)
	if c.err != nil {
		t.Fatalf("Lock: %v", c.err)
	}
	t.Cleanup(func() { _ = c.lease.Unlock(context.Background()) })
	return c
}

// lock acquires keys.
func (p *process) lock(t testing.TB, keys ...string) *call {
	t.Helper()
	return p.begin(context.WithoutCancel(t.Context()), keys...).granted(t)
}

func (c *call) unlock(t testing.TB) {
	t.Helper()
	if err := c.lease.Unlock(context.WithoutCancel(t.Context())); err != nil {
		t.Errorf("Unlock: %v", err)
	}
}

// checkFree acquires and releases each key.
func (l *lab) checkFree(t testing.TB, keys ...string) {
	t.Helper()
	for _, key := range keys {
		l.open(t).lock(t, key).unlock(t)
	}
}

// checkTaken fails if a process gets the key without waiting for long.
func (l *lab) checkTaken(t testing.TB, key string) {
	t.Helper()
	if l.lacks(BoundedWait) {
		return
	}
	c := l.open(t, tryOnce()).begin(context.WithoutCancel(t.Context()), key).end(t)
	switch {
	case c.err == nil:
		t.Errorf("%s is free, and somebody holds it", key)
		_ = c.lease.Unlock(context.Background())
	case !errors.Is(c.err, lock.ErrTimeout):
		t.Errorf("try once: %v, want ErrTimeout", c.err)
	}
}

func (l *lab) lacks(trait Trait) bool {
	for _, lacking := range l.Lacks {
		if lacking == trait {
			return true
		}
	}
	return false
}

// ended waits for the held context to end.
func (c *call) ended(t testing.TB, when string) {
	t.Helper()
	c.await(t, c.held.Done(), "the held context to end "+when)
}

func (c *call) await(t testing.TB, done <-chan struct{}, what string) {
	t.Helper()
	timer := time.NewTimer(c.patience)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		t.Fatalf("waited %v for %s", c.patience, what)
	}
}

func pause(d time.Duration) { <-time.After(d) }
