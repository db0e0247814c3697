package handoff

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/lockprovider/lock"
)

// inProcess are two processes at a model of Redis, and how to lock in each of them.
func inProcess(t *testing.T, f faults) (m *modelStore, locks [2]func(keys ...string) (unlock func())) {
	t.Helper()
	m = newModelStore(f)
	bounds := simBounds
	bounds.lease = time.Minute // whoever waits for its end, or for a renewRequest, waits for too long
	for p := range locks {
		link := m.open(string(rune('p'+p)), 1)
		locker := &locker{client: link.client, bounds: bounds, wait: 2 * time.Minute}
		t.Cleanup(func() {
			if err := link.client.Close(); err != nil {
				t.Error(err)
			}
		})
		locks[p] = func(keys ...string) func() {
			_, lease, err := locker.Lock(t.Context(), keys)
			if err != nil {
				t.Error(err)
				return func() {}
			}
			return func() {
				if err := lease.Unlock(t.Context()); err != nil {
					t.Error(err)
				}
			}
		}
	}
	return m, locks
}

// TestSeveralKeysAreCached: of the callers of a process that want several keys, the next acquires without Redis what the last held.
func TestSeveralKeysAreCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, locks := inProcess(t, faults{delay: time.Millisecond})
		const rounds = 10
		for n := range rounds {
			go func() {
				keys := []string{"a", "b", "c"}
				unlock := locks[0](keys[n%2], keys[1+n%2]) // b is everybody's
				time.Sleep(time.Millisecond)
				unlock()
			}()
			synctest.Wait()
		}
		time.Sleep(time.Second)
		m.mu.Lock()
		defer m.mu.Unlock()
		// b is acquired once and released once; a and c are cached as long as an entry waits for them.
		if m.calls > rounds {
			t.Errorf("%d requests for %d sections", m.calls, rounds)
		}
		if len(m.locks) > 0 {
			t.Errorf("left in Redis: %v", m.locks)
		}
	})
}

// TestHandedOffIsCached: a lock that was handed off in the process is cached for a time, and acquired again without Redis. One
// that was not is released at once.
func TestHandedOffIsCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, locks := inProcess(t, faults{delay: time.Millisecond})
		requests := func() int {
			m.mu.Lock()
			defer m.mu.Unlock()
			return m.calls
		}
		known := func() int {
			m.mu.Lock()
			defer m.mu.Unlock()
			return len(m.locks)
		}
		locks[0]("a")()
		if known() > 0 {
			t.Error("nobody else wanted it, and it is cached")
		}
		first := locks[0]("a")
		go func() { locks[0]("a")() }()
		synctest.Wait()
		first()
		synctest.Wait()
		before := requests()
		for range 3 {
			time.Sleep(simBounds.tenure - time.Millisecond)
			locks[0]("a")()
		}
		if n := requests() - before; n > 0 {
			t.Errorf("%d requests for what is cached", n)
		}
		time.Sleep(simBounds.tenure + timerStep + 5*time.Millisecond)
		if known() > 0 {
			t.Error("it is cached for longer than a turn")
		}
	})
}

// TestCachedIsReleasedForOthers: a lock that nobody holds, but is cached for a caller that waits for another one, goes to a process
// that wants it: at once, or when the turn is over if the message is lost.
func TestCachedIsReleasedForOthers(t *testing.T) {
	for _, test := range []struct {
		name   string
		faults faults
		within time.Duration
	}{
		{"asked for", faults{delay: time.Millisecond}, 10 * time.Millisecond},
		{"message lost", faults{delay: time.Millisecond, messageLost: 1}, simBounds.tenure + simBounds.poll + 10*time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, locks := inProcess(t, test.faults)
				first, second := locks[0]("a", "b"), locks[0]("c", "d")
				go func() { locks[0]("a", "c")() }() // behind both
				synctest.Wait()
				first() // caches a
				began := time.Now()
				unlock := locks[1]("a")
				if took := time.Since(began); took > test.within {
					t.Errorf("another process waited %v for a lock that nobody held", took)
				}
				unlock()
				second()
				time.Sleep(time.Second)
			})
		})
	}
}

// TestWantedIsRepeated: a process that passes locks on, and does not hear that another one waits, is told again.
func TestWantedIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, locks := inProcess(t, faults{delay: time.Millisecond, messageLost: 0.5})
		var busy sync.WaitGroup
		over := make(chan struct{})
		for range 4 {
			busy.Go(func() {
				for {
					select {
					case <-over:
						return
					default:
					}
					unlock := locks[0]("a", "b")
					time.Sleep(time.Millisecond)
					unlock()
				}
			})
		}
		for range 20 {
			time.Sleep(50 * time.Millisecond)
			began := time.Now()
			unlock := locks[1]("a")
			if took := time.Since(began); took > 10*simBounds.poll {
				t.Errorf("waited %v", took)
			}
			unlock()
		}
		close(over)
		busy.Wait()
		time.Sleep(time.Second)
	})
}

// TestTryOnceReleasesWhatIsCached: whoever does not wait is told that the lock is taken, and it is free when it asks again.
func TestTryOnceReleasesWhatIsCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, locks := inProcess(t, faults{delay: time.Millisecond})
		first, second := locks[0]("a", "b"), locks[0]("c", "d")
		go func() { locks[0]("a", "c")() }() // behind both
		synctest.Wait()
		first() // caches a
		once := &locker{client: m.links["q"].client, bounds: simBounds}
		if _, _, err := once.Lock(t.Context(), []string{"a"}); !errors.Is(err, lock.ErrTimeout) {
			t.Errorf("got %v: nothing is cached", err)
		}
		time.Sleep(5 * time.Millisecond)
		_, lease, err := once.Lock(t.Context(), []string{"a"})
		if err != nil {
			t.Fatal(err)
		}
		if err := lease.Unlock(t.Context()); err != nil {
			t.Error(err)
		}
		second()
		time.Sleep(time.Second)
	})
}

// TestCachedIsReleasedOnClose: a process that ends while it has cached a lock releases it.
func TestCachedIsReleasedOnClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, locks := inProcess(t, faults{delay: time.Millisecond})
		first, second := locks[0]("a", "b"), locks[0]("c", "d")
		go func() { locks[0]("a", "c")() }()
		synctest.Wait()
		first()
		cached := func() bool {
			m.mu.Lock()
			defer m.mu.Unlock()
			return m.locks["a"] != nil && m.locks["a"].owner != ""
		}
		if !cached() {
			t.Fatal("nothing is cached")
		}
		began := time.Now()
		if err := m.links["p"].client.Close(); err != nil {
			t.Error(err)
		}
		if cached() || time.Since(began) > 10*time.Millisecond {
			t.Errorf("after %v: cached %v", time.Since(began), cached())
		}
		second()
		time.Sleep(time.Minute)
	})
}
