package redistest

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/lockprovider/lock"
)

var waitScenarios = []Scenario{
	{
		Name: "try_once_does_not_wait", Proves: Bounded, Func: tryOnceDoesNotWait,
		Why: "a caller who would rather do something else hangs",
	},
	{
		Name: "wait_ends_in_time", Proves: Bounded, Func: waitEndsInTime,
		Why: "callers wait longer than they were told, or give up while they still had time",
	},
	{
		Name: "timed_out_waiters_leave_nothing", Proves: Bounded, Func: timedOutWaitersLeaveNothing,
		Why: "a queue fills with those who have gone, or a key stays that nobody holds",
	},
	{
		Name: "deadline_of_the_caller_counts", Proves: Bounded, Func: deadlineOfTheCaller,
		Why: "a request that has ended goes on waiting",
	},
	{
		Name: "cancel_races_the_grant", Proves: Cancelled, Func: cancelRacesTheGrant, Busy: true,
		Why: "a waiter that leaves just when it is woken takes the wake-up with it: the others are stranded",
	},
	{
		Name: "storm_of_cancels", Proves: Cancelled, Func: stormOfCancels, Busy: true,
		Why: "under load with short deadlines the lock is lost to nobody",
	},
	{
		Name: "cancelled_wait_keeps_the_lock", Proves: Cancelled, Func: cancelledWaitKeepsTheLock,
		Why: "the work goes on after the request's deadline, and somebody else is let in",
	},
	{
		Name: "cancelled_before_it_begins", Proves: Cancelled, Func: cancelledBefore,
		Why: "a caller who has gone takes a lock that nobody will release",
	},
}

const key = "key"

func tryOnceDoesNotWait(t testing.TB, h *Harness) {
	other := h.open(t)
	asker := h.open(t, tryOnce())
	_, lease, err := asker.Lock(t.Context(), []string{key})
	if err != nil {
		t.Fatalf("a free lock: %v", err)
	}
	if err := lease.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	holder := other.mustLock(t, key)
	before := h.snapshot(t)
	for range 5 {
		began := time.Now()
		_, lease, err := asker.Lock(t.Context(), []string{key})
		if err == nil {
			_ = lease.Unlock(t.Context())
		}
		if !errors.Is(err, lock.ErrTimeout) {
			t.Fatalf("a taken lock: %v, want ErrLockTimeout", err)
		}
		// The lease of the holder is minutes: whoever waits at all waits for ever.
		within(t, "try-once", time.Since(began), h.soon)
	}
	h.checkNoResidue(t, before)
	mustUnlock(t, holder)
	h.checkFree(t, key)
}

func waitEndsInTime(t testing.TB, h *Harness) {
	holder := h.open(t).mustLock(t, key)
	for _, bound := range []time.Duration{100 * time.Millisecond, 400 * time.Millisecond} {
		began := time.Now()
		w := h.open(t, wait(bound)).begin(t.Context(), key).end(t)
		took := w.at.Sub(began)
		t.Logf("a wait of %v took %v", bound, took)
		if !errors.Is(w.err, lock.ErrTimeout) {
			t.Errorf("error %v, want ErrLockTimeout", w.err)
		}
		if took < bound-50*time.Millisecond || took > bound+h.late {
			t.Errorf("a wait of %v took %v", bound, took)
		}
	}
	mustUnlock(t, holder)
}

func timedOutWaitersLeaveNothing(t testing.TB, h *Harness) {
	holder := h.open(t).mustLock(t, key)
	before := h.snapshot(t)
	waiters := h.open(t, wait(150*time.Millisecond))
	elsewhere := h.open(t, wait(150*time.Millisecond))
	all(16, func(n int) {
		i := waiters
		if n%2 == 1 {
			i = elsewhere
		}
		if _, _, err := i.Lock(t.Context(), []string{key}); !errors.Is(err, lock.ErrTimeout) {
			t.Errorf("error %v, want ErrLockTimeout", err)
		}
	})
	h.checkNoResidue(t, before)
	if !h.Traits.Remembers && len(h.keys(t)) != len(before) {
		t.Errorf("keys %v, before %v", h.keys(t), before)
	}
	mustUnlock(t, holder)
	if !h.Traits.Remembers {
		if keys := h.keys(t); len(keys) > 0 {
			t.Errorf("%v left after the release", keys)
		}
	}
	h.checkFree(t, key)
}

func deadlineOfTheCaller(t testing.TB, h *Harness) {
	holder := h.open(t).mustLock(t, key)
	i := h.open(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	w := i.begin(ctx, key).end(t)
	if !errors.Is(w.err, context.DeadlineExceeded) || errors.Is(w.err, lock.ErrTimeout) {
		t.Errorf("error %v, want the caller's", w.err)
	}
	within(t, "the deadline of 100 ms", w.at.Sub(began), h.late)

	ctx, stop := context.WithCancel(t.Context())
	waiter := i.begin(ctx, key)
	stop()
	if o := waiter.end(t); !errors.Is(o.err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", o.err)
	}
	mustUnlock(t, holder)
	h.checkFree(t, key)
}

// cancelRacesTheGrant releases and cancels at the same moment: somebody gets the lock, or nobody does and it is free.
func cancelRacesTheGrant(t testing.TB, h *Harness) {
	holders, leaver, stayer := h.open(t), h.open(t), h.open(t)
	for round := range h.rounds(100, 1000) {
		holder := holders.mustLock(t, key)
		ctx, cancel := context.WithCancel(t.Context())
		answers := leaver.wire.answers.Load()
		leaving := leaver.begin(ctx, key)
		eventually(t, "the leaver to be in line", func() bool { return leaver.wire.answers.Load() > answers })
		staying := stayer.begin(t.Context(), key)
		// Together, and a little before and after: the cancel crosses the release, the grant, and the message.
		go func() {
			_ = lock.Pause(t.Context(), time.Duration(round%20)*20*time.Microsecond)
			cancel()
		}()
		mustUnlock(t, holder)
		if o := leaving.end(t); o.err == nil {
			mustUnlock(t, o)
		} else if !errors.Is(o.err, context.Canceled) {
			t.Fatalf("round %d: %v", round, o.err)
		}
		mustUnlock(t, staying.mustEnd(t))
		cancel()
	}
	h.checkFree(t, key)
}

// stormOfCancels: crowds with deadlines about as long as their turn takes. In each round one waiter has no deadline, and
// must be served.
func stormOfCancels(t testing.TB, h *Harness) {
	crowd := []*Instance{h.open(t), h.open(t), h.open(t)}
	rounds := h.rounds(200, 1000)
	var served, left atomic.Int64
	for round := range rounds {
		last := crowd[round%len(crowd)].begin(t.Context(), key)
		all(9, func(n int) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration((round*7+n*5)%40)*100*time.Microsecond)
			defer cancel()
			_, lease, err := crowd[n%len(crowd)].Lock(ctx, []string{key})
			switch {
			case err == nil:
				served.Add(1)
				if err := lease.Unlock(ctx); err != nil && !tookTooLong(err) {
					t.Errorf("round %d: unlock: %v", round, err)
				}
			case ctx.Err() == nil:
				t.Errorf("round %d: %v", round, err)
			default:
				left.Add(1)
			}
		})
		if o := last.patientEnd(t); o.err != nil {
			t.Fatalf("round %d: a waiter without a deadline: %v", round, o.err)
		} else if err := o.lease.Unlock(t.Context()); err != nil && !tookTooLong(err) { // it is repeated behind the caller's back
			t.Errorf("round %d: unlock: %v", round, err)
		}
	}
	t.Logf("%d served, %d left", served.Load(), left.Load())
	h.checkFree(t, key)
}

func cancelledWaitKeepsTheLock(t testing.TB, h *Harness) {
	i := h.open(t, lease(h.shortLease))
	ctx, cancel := context.WithCancel(t.Context())
	o := i.begin(ctx, key).mustEnd(t)
	cancel()
	other := h.open(t, wait(2*h.shortLease))
	if w := other.begin(t.Context(), key).end(t); !errors.Is(w.err, lock.ErrTimeout) {
		t.Errorf("within two leases after the cancel somebody else got %v, want ErrLockTimeout", w.err)
	}
	if errors.Is(context.Cause(o.held), lock.ErrLost) {
		t.Error("the lease was lost though it is held")
	}
	mustUnlock(t, o)
	h.checkFree(t, key)
}

func cancelledBefore(t testing.TB, h *Harness) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	before := h.snapshot(t)
	_, lease, err := h.open(t).Lock(ctx, []string{key})
	switch {
	case err == nil:
		if err := lease.Unlock(ctx); err != nil {
			t.Error(err)
		}
	case !errors.Is(err, context.Canceled):
		t.Errorf("error %v, want context.Canceled", err)
	}
	h.checkNoResidue(t, before)
	h.checkFree(t, key)
}
