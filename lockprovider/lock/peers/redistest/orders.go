package redistest

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/lockprovider/lock"
)

var orderScenarios = []Scenario{
	{
		Name: "processes_are_served_in_order", Proves: FIFO, Func: processesInOrder,
		Why: "who has waited longest waits on, and the slowest requests time out",
	},
	{
		Name: "goroutines_are_served_in_order", Proves: FIFO, Func: goroutinesInOrder,
		Why: "within a process the latest request may be the first",
	},
	{
		Name: "overtaking_is_bounded", Proves: FIFO, Func: overtakingIsBounded, Busy: true,
		Why: "a busy process keeps the lock to itself",
	},
	{
		Name: "no_barging", Proves: FIFO, Func: noBarging,
		Why: "somebody who has just come takes the lock before those who wait",
	},
	{
		Name: "dead_waiters_do_not_block_the_queue", Proves: FIFO, Func: deadWaiters,
		Why: "a crash of several instances stops the queue for a heartbeat each",
	},
	{
		Name: "tokens_increase", Proves: Fences, Func: tokensIncrease,
		Why: "a store that remembers the greatest token refuses the holder",
	},
	{
		Name: "tokens_increase_over_expiry", Proves: Fences, Func: tokensOverExpiry,
		Why: "a holder that came late has a token as good as its successor's",
	},
	{
		Name: "tokens_increase_over_flushall", Proves: Fences, Func: tokensOverFlush,
		Why: "a Redis that was emptied begins to count anew: the store refuses everybody",
	},
	{
		Name: "tokens_increase_over_restart", Proves: Fences, Needs: realRedis, Func: tokensOverRestart,
		Why: "a Redis that was restarted begins to count anew: the store refuses everybody",
	},
	{
		Name: "tokens_increase_over_promotion", Proves: Fences, Needs: anySentinel, Func: tokensOverPromotion,
		Why: "a promoted replica that lagged behind gives a token twice",
	},
}

// finishers note the order in which they get the lock.
type finishers struct {
	mu    sync.Mutex
	order []int
}

func (f *finishers) add(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.order = append(f.order, n)
}

func (f *finishers) check(t testing.TB, want int) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.order) != want {
		t.Errorf("%d were served, want %d", len(f.order), want)
	}
	for n, who := range f.order {
		if who != n {
			t.Errorf("served in the order %v", f.order)
			return
		}
	}
}

func processesInOrder(t testing.TB, h *Harness) {
	const waiters = 8
	holder := h.open(t).mustLock(t, key)
	var f finishers
	var running sync.WaitGroup
	for n := range waiters {
		w := h.open(t).inLine(t, key)
		running.Go(func() {
			o := w.end(t)
			f.add(n)
			if o.err != nil {
				t.Error(o.err)
			} else if err := o.lease.Unlock(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	mustUnlock(t, holder)
	running.Wait()
	f.check(t, waiters)
}

func goroutinesInOrder(t testing.TB, h *Harness) {
	const waiters = 8
	i := h.open(t)
	holder := i.mustLock(t, key)
	var f finishers
	var running sync.WaitGroup
	for n := range waiters {
		w := i.begin(t.Context(), key)
		// Inside one process only time tells that somebody stands in line: this is a hundred times what it takes.
		_ = lock.Pause(t.Context(), h.scaled(50*time.Millisecond))
		running.Go(func() {
			o := w.end(t)
			f.add(n)
			if o.err != nil {
				t.Error(o.err)
			} else if err := o.lease.Unlock(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	mustUnlock(t, holder)
	running.Wait()
	f.check(t, waiters)
}

// overtakingIsBounded: one process keeps the lock busy with many goroutines; another one comes now and then and counts how
// many sections pass before it has its turn.
func overtakingIsBounded(t testing.TB, h *Harness) {
	const goroutines = 12
	busy, visitor := h.open(t), h.open(t)
	// The slower the machine, the longer the sections: word of the visitor takes longer as well.
	section := time.Duration(h.slowness * float64(200*time.Microsecond))
	ctx, cancel := context.WithCancel(t.Context())
	var sections atomic.Int64
	var running sync.WaitGroup
	for range goroutines {
		running.Go(func() {
			for ctx.Err() == nil {
				_, lease, err := busy.Lock(ctx, []string{key})
				if err != nil {
					continue
				}
				sections.Add(1)
				_ = lock.Pause(ctx, section)
				_ = lease.Unlock(ctx)
			}
		})
	}
	most := int64(0)
	for range size(30, 300) {
		eventually(t, "the busy ones to be busy", func() bool { return sections.Load() > 0 })
		w := visitor.inLine(t, key)
		before := sections.Load()
		o := w.mustEnd(t)
		most = max(most, sections.Load()-before)
		mustUnlock(t, o)
		sections.Store(0)
	}
	cancel()
	running.Wait()
	// One for the section that is under way when the visitor comes in line, one for the hand-over that is decided, and those of
	// the time that word of the visitor takes to the busy process.
	// Where each goroutine stands in line for itself, all may stand in front of the visitor.
	bound := int64(max(2*h.Traits.Cohort+2, goroutines+1))
	t.Logf("overtaken %d times at most", most)
	if most > bound {
		t.Errorf("overtaken %d times, want at most %d", most, bound)
	}
}

func noBarging(t testing.TB, h *Harness) {
	holder, barger := h.open(t), h.open(t, tryOnce())
	for range 20 {
		o := holder.mustLock(t, key)
		w := h.open(t).inLine(t, key)
		mustUnlock(t, o)
		_, lease, err := barger.Lock(t.Context(), []string{key})
		if err == nil {
			t.Error("somebody who had not waited was served before one who had")
			_ = lease.Unlock(t.Context())
		}
		mustUnlock(t, w.mustEnd(t))
	}
}

func deadWaiters(t testing.TB, h *Harness) {
	holder := h.open(t).mustLock(t, key)
	var dead []*process
	for range 3 {
		p := h.spawn(t)
		h.helperInLine(t, p, key)
		dead = append(dead, p)
	}
	next := h.open(t).inLine(t, key)
	for _, p := range dead {
		p.kill()
	}
	began := time.Now()
	mustUnlock(t, holder)
	o := next.mustEnd(t)
	within(t, "the turn of the one behind three dead waiters", o.at.Sub(began), h.soon)
	mustUnlock(t, o)
}

// greater fails where a token is not greater than the last.
type greater struct{ last int64 }

func (g *greater) check(t testing.TB, o outcome, when string) {
	t.Helper()
	token := fence(t, o.lease, key)
	if token <= g.last {
		t.Errorf("%s: token %d after %d", when, token, g.last)
	}
	g.last = token
}

// fence returns the token of a lease that is held.
func fence(t testing.TB, lease lock.Lease, key string) int64 {
	t.Helper()
	token, err := lease.Fence(context.WithoutCancel(t.Context()), key)
	if err != nil {
		t.Errorf("Fence of %s: %v", key, err)
	}
	return token
}

func tokensIncrease(t testing.TB, h *Harness) {
	var tokens greater
	instances := []*Instance{h.open(t), h.open(t)}
	for n := range 200 {
		o := instances[n/3%2].mustLock(t, key)
		tokens.check(t, o, "after a release")
		mustUnlock(t, o)
	}
	// Handed over, within a process and between two.
	holder := instances[0].mustLock(t, key)
	tokens.check(t, holder, "after a release")
	waiters := []*waiter{
		instances[0].begin(t.Context(), key), instances[1].begin(t.Context(), key), instances[0].begin(t.Context(), key),
	}
	mustUnlock(t, holder)
	got := make(chan int64, len(waiters))
	all(len(waiters), func(n int) {
		o := waiters[n].end(t)
		if o.err != nil {
			t.Error(o.err)
			return
		}
		got <- fence(t, o.lease, key) // inside: the next one has not been served yet
		if err := o.lease.Unlock(t.Context()); err != nil {
			t.Error(err)
		}
	})
	close(got)
	for token := range got {
		if token <= tokens.last {
			t.Errorf("handed over: token %d after %d", token, tokens.last)
		}
		tokens.last = token
	}
}

func tokensOverExpiry(t testing.TB, h *Harness) {
	var tokens greater
	network := h.proxy(t)
	o := h.open(t, lease(h.shortLease), through(network)).mustLock(t, key)
	tokens.check(t, o, "first")
	network.blackhole(t, "")
	next := h.open(t).mustLock(t, key)
	tokens.check(t, next, "after the lease had ended")
	mustUnlock(t, next)
	network.heal(t)
}

func tokensOverFlush(t testing.TB, h *Harness) {
	var tokens greater
	i, other := h.open(t), h.open(t)
	for _, from := range []*Instance{i, other, i} {
		// Quickly, one after another: a token that is the time runs ahead of it.
		for range 50 {
			o := from.mustLock(t, key)
			tokens.check(t, o, "after FLUSHALL or a release")
			mustUnlock(t, o)
		}
		if err := h.spy.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func tokensOverRestart(t testing.TB, h *Harness) {
	var tokens greater
	i := h.open(t)
	for range 50 {
		o := i.mustLock(t, key)
		tokens.check(t, o, "after a release")
		mustUnlock(t, o)
	}
	if err := h.redis.Server.Restart(); err != nil {
		t.Fatal(err)
	}
	o := h.open(t).mustLock(t, key)
	tokens.check(t, o, "after a restart of Redis")
	mustUnlock(t, o)
}

func tokensOverPromotion(t testing.TB, h *Harness) {
	var tokens greater
	i := h.open(t)
	for range 50 {
		o := i.mustLock(t, key)
		tokens.check(t, o, "after a release")
		mustUnlock(t, o)
	}
	h.promote(t)
	eventually(t, "the lock to serve again", func() bool {
		o := i.begin(t.Context(), key).end(t)
		if o.err != nil {
			return false
		}
		tokens.check(t, o, "after a promotion")
		return o.lease.Unlock(t.Context()) == nil
	})
}
