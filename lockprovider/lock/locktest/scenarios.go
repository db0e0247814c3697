package locktest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/lockprovider/lock"
)

var exclusionScenarios = []Scenario{
	{
		Name: "one_holder_at_a_time", run: oneHolder,
		Why: "two processes work on the same thing at once, the one thing that a lock is for",
	},
	{
		Name: "keys_are_independent", run: keysAreIndependent,
		Why: "work on one thing waits for work on another",
	},
	{
		Name: "release_frees_no_other_lock", run: releaseFreesNoOther,
		Why: "a release that is called twice lets a third holder in beside the second",
	},
}

var waitScenarios = []Scenario{
	{
		Name: "waiters_are_served", run: waitersAreServed,
		Why: "a waiter that nobody wakes waits for ever",
	},
	{
		Name: "try_once_does_not_wait", Needs: []Trait{BoundedWait}, run: tryOnceDoesNotWait,
		Why: "a caller that would rather do something else hangs",
	},
	{
		Name: "wait_is_bounded", Needs: []Trait{BoundedWait}, run: waitIsBounded,
		Why: "callers wait for longer than they were told",
	},
	{
		Name: "canceled_wait_ends", Needs: []Trait{Cancellation}, run: canceledWaitEnds,
		Why: "a request that has ended goes on waiting, or takes a lock that nobody releases",
	},
	{
		Name: "cancel_races_the_release", Needs: []Trait{Cancellation}, run: cancelRacesRelease,
		Why: "a waiter that leaves just when it is woken takes the wake-up with it: the others are stranded",
	},
}

var leaseScenarios = []Scenario{
	{
		Name: "held_context", run: heldContext,
		Why: "work goes on after the unlock, or the lock is freed under work that goes on",
	},
	{
		Name: "lease_is_renewed", Needs: []Trait{Renewal}, paced: true, run: leaseIsRenewed,
		Why: "work that takes longer than a lease loses its lock",
	},
	{
		Name: "loss_is_told", Forgets: true, paced: true, run: lossIsTold,
		Why: "a holder goes on working without a lock",
	},
}

var keyScenarios = []Scenario{
	{
		Name: "nested_lock_is_refused", Needs: []Trait{Nesting}, run: nestedLock,
		Why: "a caller waits for itself",
	},
	{
		Name: "several_keys_all_or_none", Needs: []Trait{MultiKey, BoundedWait}, run: allOrNone,
		Why: "a caller that could not have all keys keeps some of them",
	},
	{
		Name: "several_keys_do_not_deadlock", Needs: []Trait{MultiKey}, run: noDeadlock,
		Why: "two callers wait for each other's keys",
	},
}

var orderScenarios = []Scenario{
	{
		Name: "first_in_first_out", Needs: []Trait{FIFO}, paced: true, run: firstInFirstOut,
		Why: "a process that has waited longest waits on, and the slowest requests time out",
	},
	{
		Name: "tokens_increase", Needs: []Trait{Fencing}, run: tokensIncrease,
		Why: "a store that remembers the greatest token refuses the holder",
	},
}

// holders watches who is in a section.
type holders struct{ inside, sections atomic.Int64 }

func (h *holders) work(t testing.TB, length time.Duration) {
	if n := h.inside.Add(1); n != 1 {
		t.Errorf("%d hold the lock", n)
	}
	h.sections.Add(1)
	if length > 0 {
		pause(length)
	}
	h.inside.Add(-1)
}

func oneHolder(t testing.TB, l *lab) {
	const processes, goroutines, rounds = 3, 4, 5
	key := l.key()
	var section holders
	var running sync.WaitGroup
	for range processes {
		p := l.open(t)
		for range goroutines {
			running.Go(func() {
				for n := range rounds {
					_, lease, err := p.Lock(context.WithoutCancel(t.Context()), []string{key})
					if err != nil {
						t.Errorf("Lock: %v", err)
						return
					}
					section.work(t, time.Duration(n)*time.Millisecond)
					if err := lease.Unlock(context.WithoutCancel(t.Context())); err != nil {
						t.Errorf("Unlock: %v", err)
					}
				}
			})
		}
	}
	running.Wait()
	if n := section.sections.Load(); n != processes*goroutines*rounds && !t.Failed() {
		t.Errorf("%d sections", n)
	}
	l.checkFree(t, key)
}

func keysAreIndependent(t testing.TB, l *lab) {
	p := l.open(t)
	first, second := p.lock(t, l.key()), p.lock(t, l.key())
	first.unlock(t)
	second.unlock(t)
}

func releaseFreesNoOther(t testing.TB, l *lab) {
	key := l.key()
	first, second := l.open(t), l.open(t)
	old := first.lock(t, key)
	old.unlock(t)
	for _, p := range []*process{second, first} { // in another process, and in the same
		next := p.lock(t, key)
		if err := old.lease.Unlock(context.WithoutCancel(t.Context())); err != nil && !errors.Is(err, lock.ErrLost) {
			t.Errorf("a second Unlock: %v, want ErrLost or nil", err)
		}
		l.checkTaken(t, key)
		if next.held.Err() != nil {
			t.Errorf("the next holder's context ended: %v", context.Cause(next.held))
		}
		next.unlock(t)
	}
	l.checkFree(t, key)
}

func waitersAreServed(t testing.TB, l *lab) {
	key := l.key()
	p, other := l.open(t), l.open(t)
	holder := p.lock(t, key)
	var waiters []*call
	for n := range 6 {
		from := p
		if n%2 == 1 {
			from = other
		}
		waiters = append(waiters, from.begin(context.WithoutCancel(t.Context()), key))
	}
	holder.unlock(t)
	var running sync.WaitGroup
	for _, w := range waiters {
		running.Go(func() {
			<-w.done
			if w.err != nil {
				t.Errorf("Lock: %v", w.err)
				return
			}
			if err := w.lease.Unlock(context.WithoutCancel(t.Context())); err != nil {
				t.Errorf("Unlock: %v", err)
			}
		})
	}
	running.Wait()
	l.checkFree(t, key)
}

func tryOnceDoesNotWait(t testing.TB, l *lab) {
	key := l.key()
	asker := l.open(t, tryOnce())
	asker.lock(t, key).unlock(t)
	holder := l.open(t).lock(t, key)
	c := asker.begin(context.WithoutCancel(t.Context()), key).end(t) // the lease is minutes
	if !errors.Is(c.err, lock.ErrTimeout) {
		t.Errorf("a taken lock: %v, want ErrTimeout", c.err)
	}
	holder.unlock(t)
	l.checkFree(t, key)
}

func waitIsBounded(t testing.TB, l *lab) {
	key := l.key()
	holder := l.open(t).lock(t, key)
	began := time.Now()
	c := l.open(t, wait(shortWait)).begin(context.WithoutCancel(t.Context()), key).end(t)
	if !errors.Is(c.err, lock.ErrTimeout) {
		t.Errorf("error %v, want ErrTimeout", c.err)
	}
	if took := time.Since(began); took < shortWait*3/4 {
		t.Errorf("a wait of %v ended after %v", shortWait, took)
	}
	holder.unlock(t)
	l.checkFree(t, key) // the waiter left nothing behind
}

func canceledWaitEnds(t testing.TB, l *lab) {
	key := l.key()
	p := l.open(t)
	holder := l.open(t).lock(t, key)
	for what, end := range map[error]func() (context.Context, context.CancelFunc){
		context.Canceled: func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
			time.AfterFunc(shortWait, cancel)
			return ctx, cancel
		},
		context.DeadlineExceeded: func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.WithoutCancel(t.Context()), shortWait)
		},
	} {
		ctx, cancel := end()
		c := p.begin(ctx, key).end(t)
		cancel()
		if !errors.Is(c.err, what) || errors.Is(c.err, lock.ErrTimeout) {
			t.Errorf("error %v, want %v", c.err, what)
		}
	}
	before, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cancel()
	if c := p.begin(before, l.key()).end(t); c.err == nil {
		_ = c.lease.Unlock(context.WithoutCancel(t.Context()))
	} else if !errors.Is(c.err, context.Canceled) {
		t.Errorf("canceled before the call: %v, want context.Canceled", c.err)
	}
	l.checkTaken(t, key)
	holder.unlock(t)
	l.checkFree(t, key)
}

func cancelRacesRelease(t testing.TB, l *lab) {
	const rounds = 30
	key := l.key()
	holders, leaver, stayer := l.open(t), l.open(t), l.open(t)
	for round := range rounds {
		holder := holders.lock(t, key)
		ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
		leaving := leaver.begin(ctx, key)
		staying := stayer.begin(context.WithoutCancel(t.Context()), key)
		pause(arrival / 10) // mostly enough for both to be waiting
		time.AfterFunc(time.Duration(round%10)*300*time.Microsecond, cancel)
		holder.unlock(t)
		leaving.end(t)
		switch {
		case leaving.err == nil:
			leaving.unlock(t)
		case !errors.Is(leaving.err, context.Canceled):
			t.Errorf("round %d: %v", round, leaving.err)
		}
		staying.granted(t).unlock(t)
		cancel()
	}
	l.checkFree(t, key)
}

func heldContext(t testing.TB, l *lab) {
	key := l.key()
	p := l.open(t)
	c := p.lock(t, key)
	if err := c.held.Err(); err != nil {
		t.Errorf("the held context has ended: %v", context.Cause(c.held))
	}
	c.unlock(t)
	c.ended(t, "after the unlock")

	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	c = p.begin(ctx, key).granted(t)
	cancel()
	c.ended(t, "with the caller's")
	if cause := context.Cause(c.held); !errors.Is(cause, context.Canceled) {
		t.Errorf("the held context ended with %v, want context.Canceled", cause)
	}
	l.checkTaken(t, key) // only Unlock releases it
	if err := c.lease.Unlock(ctx); err != nil {
		t.Errorf("Unlock with a canceled context: %v", err)
	}
	l.checkFree(t, key)
}

func leaseIsRenewed(t testing.TB, l *lab) {
	key, term := l.key(), l.scaled(shortLease)
	c := l.open(t, lease(term)).lock(t, key)
	pause(3 * term)
	if c.held.Err() != nil {
		t.Errorf("after three leases the held context has ended: %v", context.Cause(c.held))
	}
	l.checkTaken(t, key)
	c.unlock(t)
	l.checkFree(t, key)
}

func lossIsTold(t testing.TB, l *lab) {
	key, term := l.key(), l.scaled(shortLease)
	c := l.open(t, lease(term)).lock(t, key)
	l.Forget(t, key)
	c.ended(t, "since the lock is lost")
	if cause := context.Cause(c.held); !errors.Is(cause, lock.ErrLost) {
		t.Errorf("the held context ended with %v, want ErrLost", cause)
	}
	next := l.open(t).lock(t, key)
	if err := c.lease.Unlock(context.WithoutCancel(t.Context())); !errors.Is(err, lock.ErrLost) {
		t.Errorf("Unlock of a lost lock: %v, want ErrLost", err)
	}
	l.checkTaken(t, key)
	next.unlock(t)
}

func nestedLock(t testing.TB, l *lab) {
	p, key, other := l.open(t), l.key(), l.key()
	outer := p.lock(t, key)
	if c := p.begin(outer.held, key).end(t); !errors.Is(c.err, lock.ErrNested) {
		t.Errorf("the same key: %v, want ErrNested", c.err)
	}
	inner := p.begin(outer.held, other).granted(t)
	if c := p.begin(inner.held, key).end(t); !errors.Is(c.err, lock.ErrNested) {
		t.Errorf("the outer key: %v, want ErrNested", c.err)
	}
	inner.unlock(t)
	if outer.held.Err() != nil {
		t.Error("the end of the inner lock ended the outer one")
	}
	outer.unlock(t)
	l.checkFree(t, key, other)
}

func allOrNone(t testing.TB, l *lab) {
	a, b, c := l.key(), l.key(), l.key()
	holder := l.open(t).lock(t, b)
	for _, bound := range []time.Duration{0, shortWait} {
		asker := l.open(t, wait(bound)).begin(context.WithoutCancel(t.Context()), c, a, b).end(t)
		if !errors.Is(asker.err, lock.ErrTimeout) {
			t.Errorf("one key is taken: %v, want ErrTimeout", asker.err)
		}
	}
	l.checkFree(t, a, c)
	holder.unlock(t)
	all := l.open(t).lock(t, c, a, b, a) // in no order, and one of them twice
	for _, key := range []string{a, b, c} {
		l.checkTaken(t, key)
	}
	all.unlock(t)
	l.checkFree(t, a, b, c)
}

func noDeadlock(t testing.TB, l *lab) {
	const rounds = 5
	keys := []string{l.key(), l.key(), l.key(), l.key()}
	sections := map[string]*holders{}
	for _, key := range keys {
		sections[key] = &holders{}
	}
	var running sync.WaitGroup
	for n := range 3 {
		p := l.open(t)
		for m := range 3 {
			running.Go(func() {
				for round := range rounds {
					i := n + m + round
					want := []string{keys[i%4], keys[(i+1+m)%4]} // in both orders
					_, lease, err := p.Lock(context.WithoutCancel(t.Context()), want)
					if err != nil {
						t.Errorf("Lock: %v", err)
						return
					}
					sections[want[0]].work(t, time.Millisecond)
					sections[want[1]].work(t, 0)
					if err := lease.Unlock(context.WithoutCancel(t.Context())); err != nil {
						t.Errorf("Unlock: %v", err)
					}
				}
			})
		}
	}
	running.Wait()
	l.checkFree(t, keys...)
}

func firstInFirstOut(t testing.TB, l *lab) {
	const waiters = 6
	key := l.key()
	holder := l.open(t).lock(t, key)
	var mu sync.Mutex
	var order []int
	var running sync.WaitGroup
	for n := range waiters {
		w := l.open(t).begin(context.WithoutCancel(t.Context()), key)
		pause(l.scaled(arrival))
		running.Go(func() {
			<-w.done
			if w.err != nil {
				t.Errorf("waiter %d: %v", n, w.err)
				return
			}
			mu.Lock()
			order = append(order, n)
			mu.Unlock()
			if err := w.lease.Unlock(context.WithoutCancel(t.Context())); err != nil {
				t.Errorf("Unlock: %v", err)
			}
		})
	}
	holder.unlock(t)
	running.Wait()
	mu.Lock()
	defer mu.Unlock()
	want := make([]int, waiters)
	for n := range want {
		want[n] = n
	}
	if fmt.Sprint(order) != fmt.Sprint(want) {
		t.Errorf("served in the order %v", order)
	}
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

func tokensIncrease(t testing.TB, l *lab) {
	key := l.key()
	processes := []*process{l.open(t), l.open(t)}
	last := int64(0)
	check := func(c *call) {
		t.Helper()
		token := fence(t, c.lease, key)
		if again := fence(t, c.lease, key); again != token {
			t.Errorf("the same lease has the tokens %d and %d", token, again)
		}
		if token <= last {
			t.Errorf("token %d after %d", token, last)
		}
		last = token
	}
	for n := range 20 {
		c := processes[n/3%2].lock(t, key)
		check(c)
		if token := fence(t, c.lease, "of another lock"); token != 0 {
			t.Errorf("a key that is not held has the token %d", token)
		}
		if n%4 == 3 { // handed to a waiter
			w := processes[n/4%2].begin(context.WithoutCancel(t.Context()), key)
			c.unlock(t)
			w.granted(t)
			check(w)
			w.unlock(t)
			continue
		}
		c.unlock(t)
	}
}
