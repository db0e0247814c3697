package redistest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"holdfast/lockprovider/lock"
)

var processScenarios = []Scenario{
	{
		Name: "holder_killed", Proves: Unstuck, Func: holderKilled,
		Why: "a crash keeps everybody out for longer than the lease",
	},
	{
		Name: "waiter_killed", Proves: Unstuck, Func: waiterKilled,
		Why: "the lock is handed to somebody who is dead, and the living wait for a lease",
	},
	{
		Name: "waiter_stopped", Proves: Unstuck, Func: waiterStopped,
		Why: "the lock is handed to somebody who stands still, and the living wait for a lease",
	},
	{
		Name: "holder_stopped", Proves: TellsLoss, Func: holderStopped,
		Why: "a process that was asleep wakes up and goes on with a lock that is somebody else's",
	},
	{
		Name: "subscription_cut", Proves: Hears, Func: subscriptionCut,
		Why: "a waiter whose subscription broke waits for a lease",
	},
	{
		Name: "subscription_goes_dark", Proves: Hears, Func: subscriptionGoesDark,
		Why: "a waiter that hears nothing, and is not told, waits for a lease",
	},
	{
		Name: "slow_subscriber", Proves: Hears, Func: slowSubscriber,
		Why: "a process that is busy loses wake-ups, or gets the lock when its grant has ended",
	},
	{
		Name: "burst_of_messages", Proves: Hears, Func: burstOfMessages, Busy: true,
		Why: "a buffer between connection and waiters runs over, and one of them is never woken",
	},
}

func holderKilled(t testing.TB, h *Harness) {
	p := h.spawn(t, lease(h.shortLease))
	p.mustLock(t, key)
	next := h.open(t).begin(t.Context(), key)
	p.kill()
	killed := time.Now()
	o := next.mustEnd(t)
	within(t, "the next one's turn", o.at.Sub(killed), h.shortLease+h.late)
	mustUnlock(t, o)
	h.checkFree(t, key)
}

// inLine waits until an instance's Lock has asked Redis at least once.
func (i *Instance) inLine(t testing.TB, keys ...string) *waiter {
	t.Helper()
	answers := i.wire.answers.Load()
	w := i.begin(t.Context(), keys...)
	eventually(t, i.name+" to be in line", func() bool { return i.wire.answers.Load() > answers })
	return w
}

// helperInLine tells a helper to lock and waits until Redis has heard of it: of a change in the key space where there is a
// queue, and otherwise of its commands.
func (h *Harness) helperInLine(t testing.TB, p *process, k string) <-chan word {
	t.Helper()
	before := h.commands(t)
	_, answer := p.tell(t, order{Do: "lock", Keys: []string{k}})
	if before < 0 {
		_ = lock.Pause(t.Context(), h.scaled(300*time.Millisecond)) // the embedded Redis keeps no count
		return answer
	}
	eventually(t, "the helper to be in line", func() bool {
		// One look is a command as well.
		now := h.commands(t)
		queued := now > before+1
		before = now
		return queued
	})
	return answer
}

// commands is how many commands Redis has executed, -1 where it does not count.
func (h *Harness) commands(t testing.TB) int64 {
	t.Helper()
	if !h.Env.Real {
		return -1
	}
	n, err := infoNumber(t.Context(), h.spy, "stats", "total_commands_processed")
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// doomedLease is the lease of a waiter that will not see its turn. Where the lock is handed over, that must cost less than
// a lease, so it is long. Where everybody asks for himself, the last question of the doomed may still be under way, be
// answered with the lock, and cost one lease.
func (h *Harness) doomedLease() option {
	if h.Traits.FIFO {
		return lease(longLease)
	}
	return lease(h.shortLease)
}

func waiterKilled(t testing.TB, h *Harness) {
	holder := h.open(t).mustLock(t, key)
	p := h.spawn(t, h.doomedLease())
	h.helperInLine(t, p, key)
	next := h.open(t).inLine(t, key) // behind it
	p.kill()
	began := time.Now()
	mustUnlock(t, holder)
	o := next.mustEnd(t)
	within(t, "the turn of the one behind a dead waiter", o.at.Sub(began), h.soon)
	mustUnlock(t, o)
	h.checkFree(t, key)
}

func waiterStopped(t testing.TB, h *Harness) {
	holder := h.open(t).mustLock(t, key)
	p := h.spawn(t, h.doomedLease())
	answer := h.helperInLine(t, p, key)
	next := h.open(t).inLine(t, key) // behind it
	p.stop(t)
	began := time.Now()
	mustUnlock(t, holder)
	o := next.mustEnd(t)
	within(t, "the turn of the one behind a stopped waiter", o.at.Sub(began), h.soon)

	// When it goes on it may have lost its turn, but it waits as before, and is not let in beside the other.
	p.resume(t)
	_ = lock.Pause(t.Context(), h.shortLease)
	h.checkTaken(t, key)
	select {
	case w := <-answer:
		t.Errorf("the stopped waiter returned %q while somebody else held the lock", w.Err)
	default:
	}
	mustUnlock(t, o)
	w := answered(t, answer, "lock")
	if w.Err != "" {
		t.Errorf("the stopped waiter: %s", w.Err)
	}
	if w := p.unlock(t, w.ID); w.Err != "" {
		t.Errorf("the stopped waiter's unlock: %s", w.Err)
	}
	h.checkFree(t, key)
}

func holderStopped(t testing.TB, h *Harness) {
	p := h.spawn(t, lease(h.shortLease))
	id := p.mustLock(t, key)
	p.stop(t)
	o := h.open(t).mustLock(t, key) // gets in when the lease has ended
	p.resume(t)
	await(t, p.lostOf(id), "the stopped holder to be told")
	if w := p.unlock(t, id); w.Err == "" {
		t.Error("the stopped holder's unlock says that all is well")
	}
	h.checkTaken(t, key)
	mustUnlock(t, o)
	h.checkFree(t, key)
}

// handOver releases a lock for which one waiter stands in line, and looks at how long that takes.
func (h *Harness) handOver(t testing.TB, holder outcome, next *waiter) {
	t.Helper()
	began := time.Now()
	mustUnlock(t, holder)
	o := next.mustEnd(t)
	within(t, "the hand-over", o.at.Sub(began), h.soon)
	if o.held.Err() != nil {
		t.Errorf("the new holder was told at once: %v", o.held.Err())
	}
	mustUnlock(t, o)
}

func subscriptionCut(t testing.TB, h *Harness) {
	i, waiting := h.open(t), h.open(t)
	for range 3 {
		holder := i.mustLock(t, key)
		next := waiting.inLine(t, key)
		n := waiting.wire.cutSubscriptions()
		if h.Traits.Listens && n == 0 {
			t.Log("no subscription to cut")
		}
		h.handOver(t, holder, next)
	}
	h.checkFree(t, key)
}

func subscriptionGoesDark(t testing.TB, h *Harness) {
	i, waiting := h.open(t), h.open(t, polling(300*time.Millisecond))
	holder := i.mustLock(t, key)
	next := waiting.inLine(t, key)
	waiting.wire.deafen(true)
	h.handOver(t, holder, next)
	// It is no different for the second time, when the first message is long gone.
	h.handOver(t, i.mustLock(t, key), waiting.inLine(t, key))
	h.checkFree(t, key)
}

func slowSubscriber(t testing.TB, h *Harness) {
	i, waiting := h.open(t), h.open(t, polling(300*time.Millisecond))
	waiting.wire.slowDown(200 * time.Millisecond)
	for range 5 {
		h.handOver(t, i.mustLock(t, key), waiting.inLine(t, key))
	}
	h.checkFree(t, key)
}

func burstOfMessages(t testing.TB, h *Harness) {
	keys := 500
	if !h.Env.Real {
		keys = 100 // the embedded Redis is slow
	}
	i, waiting := h.open(t), h.open(t, polling(5*time.Second))
	holders, heirs := make([]outcome, keys), make([]outcome, keys)
	name := func(n int) string { return fmt.Sprintf("burst-%d", n) }
	all(keys, func(n int) { holders[n] = i.begin(t.Context(), name(n)).patientEnd(t) })
	for _, holder := range holders {
		if holder.err != nil {
			t.Fatal(holder.err)
		}
	}
	var served sync.WaitGroup
	for n := range keys {
		served.Go(func() { heirs[n] = waiting.begin(t.Context(), name(n)).patientEnd(t) })
	}
	eventually(t, "all to be in line", func() bool { return waiting.wire.answers.Load() >= int64(keys) })
	all(keys, func(n int) {
		if err := holders[n].lease.Unlock(t.Context()); err != nil && !tookTooLong(err) { // it is repeated behind the caller's back
			t.Errorf("unlock: %v", err)
		}
	})
	served.Wait()
	all(keys, func(n int) {
		o := heirs[n]
		if o.err == nil {
			o.err = o.lease.Unlock(t.Context())
		}
		if o.err != nil && !errors.Is(o.err, lock.ErrLost) && !tookTooLong(o.err) {
			t.Errorf("waiter %d: %v", n, o.err)
		}
	})
	h.checkFree(t, name(0), name(keys-1))
}

// lostOf is closed when the helper has been told that a lock is lost.
func (p *process) lostOf(id int) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost[id]
}
