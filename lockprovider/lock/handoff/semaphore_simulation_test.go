package handoff

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/lockprovider/lock"
)

// semaphoreWorld is one simulated run: processes with goroutines that read, write, and acquire units.
type semaphoreWorld struct {
	poll time.Duration

	mu       sync.Mutex
	failures []string
	keys     map[string]*semaphoreUse
	entered  int
}

// semaphoreUse is what the holders of one key see.
type semaphoreUse struct {
	limit  int64 // units
	inside holders
	// The greatest tokens of all holders, and of those that held all units.
	token, exclusive int64
}

func (w *semaphoreWorld) fail(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failures = append(w.failures, fmt.Sprintf(format, args...))
}

// TestSemaphoreSimulation explores what TestSimulation does, with read-write locks and semaphores. Never are more units in use
// than there are, by holders whose leases still last; a writer is alone; waiters are served in their order, or have an error;
// no units go to a waiter that gave up; tokens grow; and nothing is left behind.
func TestSemaphoreSimulation(t *testing.T) {
	first, last := uint64(1), uint64(*simulations)
	if *simulated != 0 {
		first, last = *simulated, *simulated
	}
	entered := 0
	for seed := first; seed <= last; seed++ {
		w := simulateSemaphores(t, seed, "")
		entered += w.entered
		for _, failure := range w.failures {
			t.Error(failure)
		}
		if t.Failed() {
			t.Fatalf("again: go test ./lockprovider/lock/handoff -run TestSemaphoreSimulation -simulation %d", seed)
		}
	}
	if runs := int(last - first + 1); entered < 20*runs {
		t.Errorf("%d sections in %d runs: the simulation does not simulate", entered, runs)
	}
}

// TestSemaphoreSimulationSeesFlaws: a semaphore with a mistake fails in the simulation.
func TestSemaphoreSimulationSeesFlaws(t *testing.T) {
	const seeds = 200 // the rarest is seen after some tens
	for _, f := range []flaw{overbooks, barges, skipsLarge, forgets, leaks, endsEarly, repeatsToken, neverAsks} {
		t.Run(string(f), func(t *testing.T) {
			for seed := uint64(1); seed <= seeds; seed++ {
				if w := simulateSemaphores(t, seed, f); len(w.failures) > 0 {
					t.Logf("seen with seed %d: %s", seed, w.failures[0])
					return
				}
			}
			t.Errorf("not seen with %d seeds", seeds)
		})
	}
}

func simulateSemaphores(t *testing.T, seed uint64, f flaw) *semaphoreWorld {
	t.Helper()
	w := &semaphoreWorld{poll: 300 * time.Millisecond, keys: map[string]*semaphoreUse{}}
	if f == neverAsks {
		w.poll = time.Hour
	}
	synctest.Test(t, func(t *testing.T) { w.run(t, seed, f) })
	return w
}

func (w *semaphoreWorld) run(t *testing.T, seed uint64, f flaw) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 0))
	model := newModelStore(drawFaults(random))
	sems := newModelSemaphores(model, f, w.fail)
	var links []*modelLink
	for p := range 2 + random.IntN(3) {
		link := model.open(fmt.Sprintf("p%d", p), seed)
		link.client.semaphores.store = semaphoreLink{link, sems}
		links = append(links, link)
	}
	var running sync.WaitGroup
	for p, link := range links {
		if random.IntN(4) == 0 {
			cutOff(&running, random, link)
		}
		for g := range 1 + random.IntN(4) {
			mine := rand.New(rand.NewPCG(seed, uint64(100*(p+1)+g)))
			running.Go(func() { w.live(link.client, mine) })
		}
	}
	running.Wait()
	time.Sleep(time.Minute) // what was cut off expires
	for _, link := range links {
		if err := link.client.Close(); err != nil {
			t.Error(err)
		}
		if n := len(link.client.semaphores.holds); n != 0 {
			w.fail("%d holds left in %s", n, link.client.instance)
		}
	}
	model.mu.Lock()
	defer model.mu.Unlock()
	for name, s := range sems.all {
		s.expire(model.stamp(time.Now()))
		if !s.idle() {
			w.fail("%s: owners %v, queue %v", name, s.owners, s.queue)
		}
	}
}

// live is one goroutine that reads, writes, or acquires units.
func (w *semaphoreWorld) live(c *Client, random *rand.Rand) {
	const limit = 3
	for range 12 {
		settings := lock.Settings{Wait: 2 * time.Minute, Lease: 2 * time.Second, Poll: w.poll}
		if random.IntN(8) == 0 {
			settings.Wait = 0
		}
		var keys []string
		var units, most int64
		var acquire func(ctx context.Context) (context.Context, lock.Lease, error)
		switch random.IntN(3) {
		case 0, 1:
			keys, units, most = []string{"a", "b", "c"}, 1, maxReaders
			random.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
			keys = keys[:1+random.IntN(2)*random.IntN(3)]
			l := c.RWLocker(settings)
			acquire = func(ctx context.Context) (context.Context, lock.Lease, error) { return l.RLock(ctx, keys) }
			if random.IntN(3) == 0 {
				units = maxReaders
				acquire = func(ctx context.Context) (context.Context, lock.Lease, error) { return l.Lock(ctx, keys) }
			}
		default:
			keys, units, most = []string{"s"}, 1+random.Int64N(limit), limit
			acquire = func(ctx context.Context) (context.Context, lock.Lease, error) {
				return c.Semaphore(limit, settings).Acquire(ctx, keys[0], units)
			}
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancelled := random.IntN(3) == 0
		if cancelled {
			time.AfterFunc(time.Duration(random.Int64N(int64(200*time.Millisecond))), cancel)
		}
		length := time.Duration(random.Int64N(int64(30*time.Millisecond))) * time.Duration(1+random.IntN(2)*random.IntN(100))
		before := w.tokens(keys, most)
		held, lease, err := acquire(ctx)
		switch {
		case err == nil:
			w.work(held, lease, keys, units, before, length)
		case errors.Is(err, lock.ErrTimeout) && settings.Wait > 0:
			w.fail("stranded: waited for %v", keys)
		case errors.Is(err, context.Canceled) != cancelled && !errors.Is(err, lock.ErrUnavailable) && !errors.Is(err, lock.ErrTimeout):
			w.fail("%v", err)
		}
		cancel()
		time.Sleep(time.Duration(random.Int64N(int64(20 * time.Millisecond))))
	}
}

// tokens returns the greatest tokens that holders of the keys have had so far.
func (w *semaphoreWorld) tokens(keys []string, limit int64) map[string]int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	tokens := map[string]int64{}
	for _, key := range keys {
		if w.keys[key] == nil {
			w.keys[key] = &semaphoreUse{limit: limit, inside: holders{}}
		}
		tokens[key] = w.keys[key].token
	}
	return tokens
}

// work holds units for a time. before has the tokens that were known before the units were asked for.
func (w *semaphoreWorld) work(
	held context.Context, lease lock.Lease, keys []string, units int64, before map[string]int64, length time.Duration,
) {
	w.mu.Lock()
	counted := held.Err() == nil
	var wrong []string
	for _, key := range keys {
		if !counted {
			break
		}
		use := w.keys[key]
		token, _ := lease.Fence(held, key) // units come with their tokens
		w.entered++
		if n := use.inside.enter(held, units); n > use.limit {
			wrong = append(wrong, fmt.Sprintf("%d units of %d of %s are in use", n, use.limit, key))
		}
		last := max(before[key], use.exclusive)
		if units == use.limit {
			last = use.token
			use.exclusive = max(use.exclusive, token)
		}
		if token <= last {
			wrong = append(wrong, fmt.Sprintf("token %d of %s after %d", token, key, last))
		}
		use.token = max(use.token, token)
	}
	w.failures = append(w.failures, wrong...)
	w.mu.Unlock()
	timer := time.NewTimer(length)
	select {
	case <-held.Done(): // lost, or the caller has gone
	case <-timer.C:
	}
	timer.Stop()
	w.mu.Lock()
	if counted {
		for _, key := range keys {
			delete(w.keys[key].inside, held)
		}
	}
	w.mu.Unlock()
	_ = lease.Unlock(held) // lost ones say so
}
