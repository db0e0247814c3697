package locktest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"holdfast/lockprovider/lock"
)

// memory is a lock of a program that has one process: an implementation of [lock.Locker] without Redis. With a fault it is
// one that breaks a promise.
type memory struct {
	fault string

	mu    sync.Mutex
	locks map[string]*memoryLock
}

type memoryLock struct {
	owner *memoryLease
	queue []*memoryWaiter
	token int64
}

type memoryWaiter struct {
	lease *memoryLease
	ready chan struct{}
}

func newMemory(fault string) *memory { return &memory{fault: fault, locks: map[string]*memoryLock{}} }

func (m *memory) lock(key string) *memoryLock {
	if m.fault == "one lock" {
		key = ""
	}
	l := m.locks[key]
	if l == nil {
		l = &memoryLock{}
		m.locks[key] = l
	}
	return l
}

// open implements [Harness.Open].
func (m *memory) open(_ testing.TB, s lock.Settings) lock.Locker {
	l := &memoryLocker{memory: m, settings: s}
	if m.fault == "nests" {
		return l
	}
	return lock.RefuseNesting(l)
}

// forget implements [Harness.Forget].
func (m *memory) forget(_ testing.TB, key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	owner := m.lock(key).owner
	if owner != nil && m.fault != "tells no loss" {
		owner.lose(lock.ErrLost)
	}
	m.pass(key)
}

// pass gives a lock to the next waiter.
func (m *memory) pass(key string) {
	l := m.lock(key)
	l.owner = nil
	if len(l.queue) == 0 {
		return
	}
	n := 0
	if m.fault == "last in, first out" {
		n = len(l.queue) - 1
	}
	w := l.queue[n]
	l.queue = slices.Delete(l.queue, n, n+1)
	if m.fault == "forgets waiters" {
		return
	}
	l.owner = w.lease
	close(w.ready)
}

type memoryLocker struct {
	memory   *memory
	settings lock.Settings
}

type memoryLease struct {
	memory *memory
	keys   []string
	tokens map[string]int64
	lose   context.CancelCauseFunc
}

func (l *memoryLocker) Lock(ctx context.Context, keys []string) (context.Context, lock.Lease, error) {
	held, lose := context.WithCancelCause(ctx)
	lease := &memoryLease{memory: l.memory, tokens: map[string]int64{}, lose: lose}
	waiting, cancel := lock.WithWait(ctx, l.settings.Wait)
	defer cancel()
	switch l.memory.fault {
	case "waits":
		waiting = ctx
	case "ignores cancellation":
		waiting, cancel = context.WithTimeoutCause(context.WithoutCancel(ctx), 2*shortWait, lock.ErrTimeout)
		defer cancel()
	}
	if l.memory.fault != "unsorted" {
		keys = lock.SortedKeys(keys)
	}
	for _, key := range keys {
		if err := l.lockOne(waiting, lease, key); err != nil {
			if l.memory.fault != "keeps some" {
				_ = lease.Unlock(ctx)
			}
			return nil, nil, lock.StoreError(waiting, "memory", err)
		}
		lease.keys = append(lease.keys, key)
	}
	if l.memory.fault == "does not renew" {
		time.AfterFunc(l.settings.Lease, func() {
			lose(lock.ErrLost)
			_ = lease.Unlock(ctx)
		})
	}
	return held, lease, nil
}

func (l *memoryLocker) lockOne(ctx context.Context, lease *memoryLease, key string) error {
	m := l.memory
	m.mu.Lock()
	lk := m.lock(key)
	if lk.owner == nil || m.fault == "open door" {
		lk.owner = lease
		m.grant(lease, key)
		m.mu.Unlock()
		return nil
	}
	if m.fault == "gives up at once" || l.settings.Wait <= 0 && m.fault != "waits" {
		m.mu.Unlock()
		return lock.ErrTimeout
	}
	w := &memoryWaiter{lease: lease, ready: make(chan struct{})}
	lk.queue = append(lk.queue, w)
	m.mu.Unlock()
	select {
	case <-w.ready:
		if m.fault == "takes the wake-up along" {
			if lock.Pause(ctx, time.Millisecond) != nil {
				return ctx.Err()
			}
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		m.grant(lease, key)
		return nil
	case <-ctx.Done():
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := slices.Index(lk.queue, w); i >= 0 {
		lk.queue = slices.Delete(lk.queue, i, i+1)
	} else if lk.owner == lease {
		m.pass(key)
	}
	return context.Cause(ctx)
}

func (m *memory) grant(lease *memoryLease, key string) {
	l := m.lock(key)
	if m.fault != "repeats tokens" || l.token == 0 {
		l.token++
	}
	lease.tokens[key] = l.token
}

func (l *memoryLease) Unlock(context.Context) error {
	m := l.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	var err error
	for _, key := range l.keys {
		if m.lock(key).owner != l {
			err = lock.ErrLost
			if m.fault != "frees others" {
				continue
			}
		}
		m.pass(key)
	}
	if m.fault != "outlives the unlock" {
		l.lose(nil)
	}
	return err
}

func (l *memoryLease) Fence(_ context.Context, key string) (int64, error) { return l.tokens[key], nil }

// TestOutside: a lock that has nothing to do with Redis can be implemented, and proven.
func TestOutside(t *testing.T) {
	t.Parallel()
	m := newMemory("")
	Run(t, Harness{Open: m.open, Forget: m.forget})
}

// TestFaultsAreCaught: a suite that accepts a broken lock proves nothing. Each scenario has a fault that it catches.
func TestFaultsAreCaught(t *testing.T) {
	t.Parallel()
	faults := []struct{ fault, scenario string }{
		{"open door", "one_holder_at_a_time"},
		{"one lock", "keys_are_independent"},
		{"frees others", "release_frees_no_other_lock"},
		{"forgets waiters", "waiters_are_served"},
		{"waits", "try_once_does_not_wait"},
		{"gives up at once", "wait_is_bounded"},
		{"ignores cancellation", "canceled_wait_ends"},
		{"takes the wake-up along", "cancel_races_the_release"},
		{"outlives the unlock", "held_context"},
		{"does not renew", "lease_is_renewed"},
		{"tells no loss", "loss_is_told"},
		{"nests", "nested_lock_is_refused"},
		{"keeps some", "several_keys_all_or_none"},
		{"unsorted", "several_keys_do_not_deadlock"},
		{"last in, first out", "first_in_first_out"},
		{"repeats tokens", "tokens_increase"},
	}
	caught := map[string]bool{}
	for _, f := range faults {
		caught[f.scenario] = true
	}
	for _, s := range Scenarios() {
		if !caught[s.Name] {
			t.Errorf("no fault shows that %s can fail", s.Name)
		}
	}
	scenarios := map[string]Scenario{}
	for _, s := range Scenarios() {
		scenarios[s.Name] = s
	}
	for _, f := range faults {
		t.Run(f.fault, func(t *testing.T) {
			t.Parallel()
			// A fault that is a race shows itself only if the scenario meets it: on a busy machine, not every time.
			const tries = 20
			for try := 1; ; try++ {
				m := newMemory(f.fault)
				h := Harness{Open: m.open, Forget: m.forget, patience: time.Second, attempts: 1}
				a := attempt(t, func(t testing.TB) { h.run(t, scenarios[f.scenario]) })
				if a.failed {
					return
				}
				if try == tries {
					t.Fatalf("%s accepts it %d times: %s", f.scenario, tries, a.log())
				}
			}
		})
	}
}
