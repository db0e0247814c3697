package handoff

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/lockprovider/lock"
)

var (
	simulations = flag.Int("simulations", 300, "how many seeds the simulation of the Pub/Sub lock tries")
	simulated   = flag.Uint64("simulation", 0, "the one seed to simulate, as a failure has told; 0 for all")
)

// enoughSeeds is how many seeds see every transition of a local queue.
const enoughSeeds = 300

// world is one simulated run: processes with goroutines that want the same few keys, and what they may not see.
type world struct {
	t     *testing.T
	seed  uint64
	model *modelStore

	mu      sync.Mutex
	inside  map[string]holders
	fences  map[string]int64
	entered int
}

// holders are those who are in the section of a key, and how many units each holds there.
type holders map[context.Context]int64

// enter adds a holder, and returns how many units are held now. One whose context has ended holds none, though its goroutine may not have
// run since.
func (h holders) enter(held context.Context, units int64) (inUse int64) {
	h[held] = units
	for ctx, n := range h {
		if ctx.Err() == nil {
			inUse += n
		}
	}
	return inUse
}

var simBounds = bounds{
	lease: 2 * time.Second, grant: time.Second, poll: 300 * time.Millisecond, heartbeat: 1200 * time.Millisecond,
	handoffs: 4, tenure: 20 * time.Millisecond,
}

// TestSimulation explores interleavings of grants, cancellations, lost requests, replies and messages, late answers, expired
// leases, processes that are cut off, and a clock of Redis that is set back. Never are two in a section whose leases both still last; tokens only grow; whoever
// waits without being cancelled has its turn, or an error; and nothing is left behind.
//
// Time is simulated, and every delay and fault is drawn from the seed: -simulation N runs one again.
func TestSimulation(t *testing.T) {
	seeds := make([]uint64, 0, *simulations)
	for seed := range uint64(*simulations) {
		seeds = append(seeds, seed+1)
	}
	if *simulated != 0 {
		seeds = []uint64{*simulated}
	}
	entered := 0
	for _, seed := range seeds {
		ok := t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { entered += simulate(t, seed) })
		})
		if !ok {
			t.Fatalf("again: go test ./lockprovider/lock/handoff -run TestSimulation -simulation %d", seed)
		}
	}
	if *simulated == 0 && *simulations >= enoughSeeds {
		checkTransitionsSeen(t)
	}
	if entered < 20*len(seeds) {
		t.Errorf("%d sections in %d runs: the simulation does not simulate", entered, len(seeds))
	}
}

// drawFaults draws the faults of a network.
func drawFaults(random *rand.Rand) faults {
	f := faults{delay: time.Duration(1+random.IntN(40)) * time.Millisecond}
	if random.IntN(3) > 0 {
		f.messageLost = random.Float64() / 2
	}
	if random.IntN(3) == 0 {
		f.requestLost, f.replyLost = random.Float64()/10, random.Float64()/10
	}
	return f
}

// cutOff cuts a process off once, for longer than a lease or shorter.
func cutOff(running *sync.WaitGroup, random *rand.Rand, link *modelLink) {
	after, length := time.Duration(random.Int64N(int64(5*time.Second))), time.Duration(random.Int64N(int64(5*time.Second)))
	running.Go(func() {
		time.Sleep(after)
		link.setCut(true)
		link.client.onGap(false)
		time.Sleep(length)
		link.setCut(false)
		link.client.onGap(true)
	})
}

func simulate(t *testing.T, seed uint64) (entered int) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 0))
	w := &world{t: t, seed: seed, model: newModelStore(drawFaults(random)), inside: map[string]holders{}, fences: map[string]int64{}}
	if random.IntN(3) == 0 {
		after, by := time.Duration(random.Int64N(int64(3*time.Second))), time.Duration(random.Int64N(int64(time.Second)))
		time.AfterFunc(after, func() { w.setBack(by) })
	}
	var links []*modelLink
	for p := range 2 + random.IntN(2) {
		links = append(links, w.model.open(fmt.Sprintf("p%d", p), seed))
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
	for _, link := range w.model.links {
		if err := link.client.Close(); err != nil {
			t.Error(err)
		}
		if n := len(link.client.queues); n != 0 {
			t.Errorf("%d queues left in %s", n, link.client.instance)
		}
	}
	w.model.mu.Lock()
	defer w.model.mu.Unlock()
	for name, lock := range w.model.locks {
		if lock.owner != "" && time.Now().Before(lock.until) {
			t.Errorf("%s is held by %s", name, lock.owner)
		}
	}
	return w.entered
}

// setBack sets Redis' clock back. Tokens grow nevertheless if Redis knows a token of the lock at that moment.
func (w *world) setBack(by time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fences := map[string]int64{}
	w.model.setBack(by, func(known string) { fences[known] = w.fences[known] })
	w.fences = fences
}

// live is one goroutine that locks, works and unlocks.
func (w *world) live(h *Client, random *rand.Rand) {
	all := []string{"a", "b", "c"}
	for range 12 {
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		keys := append([]string(nil), all[:1+random.IntN(2)*random.IntN(3)]...)
		locker := &locker{client: h, bounds: simBounds, wait: 2 * time.Minute}
		ctx, cancel := context.WithCancel(context.Background())
		cancelled := random.IntN(3) == 0
		if cancelled {
			time.AfterFunc(time.Duration(random.Int64N(int64(200*time.Millisecond))), cancel)
		}
		if random.IntN(8) == 0 {
			locker.wait = 0
		}
		held, lease, err := locker.Lock(ctx, keys)
		switch {
		case err == nil:
			w.work(held, lease, keys, time.Duration(random.Int64N(int64(30*time.Millisecond)))*time.Duration(1+random.IntN(2)*random.IntN(100)), random.IntN(3) > 0)
		case errors.Is(err, lock.ErrTimeout) && locker.wait > 0:
			w.t.Errorf("seed %d: stranded: waited for %v", w.seed, keys)
		case errors.Is(err, context.Canceled) != cancelled && !errors.Is(err, lock.ErrUnavailable) && !errors.Is(err, lock.ErrTimeout):
			w.t.Errorf("seed %d: %v", w.seed, err)
		}
		cancel()
		time.Sleep(time.Duration(random.Int64N(int64(20 * time.Millisecond))))
	}
}

func (w *world) work(held context.Context, lease lock.Lease, keys []string, length time.Duration, fenced bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	counted := held.Err() == nil
	for _, key := range keys {
		if counted {
			w.entered++
			if w.inside[key] == nil {
				w.inside[key] = holders{}
			}
			if n := w.inside[key].enter(held, 1); n > 1 {
				w.t.Errorf("seed %d: %d hold %s", w.seed, n, key)
			}
		}
	}
	w.mu.Unlock()
	if fenced {
		for _, key := range keys {
			w.takeFence(held, lease, key)
		}
	}
	timer := time.NewTimer(length)
	select {
	case <-held.Done(): // lost, or the caller has gone
	case <-timer.C:
	}
	timer.Stop()
	w.mu.Lock()
	if counted {
		for _, key := range keys {
			delete(w.inside[key], held)
		}
	}
	w.mu.Unlock()
	_ = lease.Unlock(held) // lost ones say so
	w.mu.Lock()
}

// takeFence compares the token of a holder with those of the holders before. A lease that ends meanwhile has none.
func (w *world) takeFence(held context.Context, lease lock.Lease, key string) {
	fence, err := lease.Fence(context.WithoutCancel(held), key)
	w.mu.Lock()
	defer w.mu.Unlock()
	switch last := w.fences[key]; {
	case errors.Is(err, lock.ErrUnavailable), errors.Is(err, lock.ErrLost) && held.Err() != nil:
	case err != nil:
		w.t.Errorf("seed %d: the token of %s: %v", w.seed, key, err)
	case fence <= last && held.Err() == nil:
		w.t.Errorf("seed %d: token %d of %s after %d", w.seed, fence, key, last)
	default:
		w.fences[key] = max(last, fence)
	}
}
