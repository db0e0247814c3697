package redistest

import (
	"context"
	"errors"
	"testing"
	"time"

	"holdfast/lockprovider/lock"
)

var releaseScenarios = []Scenario{
	{
		Name: "double_release_frees_nothing", Proves: OwnRelease, Func: doubleRelease,
		Why: "a release that is called twice lets a third one in beside the second",
	},
	{
		Name: "late_release_frees_nothing", Proves: OwnRelease, Func: lateRelease,
		Why: "a holder that lost its lease frees the lock of the next one",
	},
	{
		Name: "release_after_a_lost_reply", Proves: OwnRelease, Func: releaseAfterLostReply,
		Why: "a release that is tried again because nobody answered frees somebody else's lock, or never ends",
	},
	{
		Name: "release_can_be_repeated", Proves: Repeats, Func: releaseCanBeRepeated,
		Why: "work that was done under the lock from start to end is reported as done under a lost one",
	},
	{
		Name: "release_for_a_cancelled_caller", Proves: Cancelled, Func: releaseForCancelledCaller,
		Why: "the lock stays until its lease ends because the request that held it is over",
	},
	{
		Name: "grant_whose_reply_is_lost", Proves: Cancelled, Func: grantWhoseReplyIsLost,
		Why: "Redis holds a lock for somebody who does not know, for a whole lease",
	},
}

func doubleRelease(t testing.TB, h *Harness) {
	first, second := h.open(t), h.open(t)
	o := first.mustLock(t, key)
	mustUnlock(t, o)
	next := second.mustLock(t, key)
	_ = o.lease.Unlock(t.Context()) // what it says is its own matter
	h.checkTaken(t, key)
	if next.held.Err() != nil {
		t.Errorf("the second holder was told %v", context.Cause(next.held))
	}
	// Its own process must not do it either: there, tokens may be all that tells one holder from the next.
	mustUnlock(t, next)
	same := first.mustLock(t, key)
	_ = o.lease.Unlock(t.Context())
	h.checkTaken(t, key)
	mustUnlock(t, same)
	h.checkFree(t, key)
}

func lateRelease(t testing.TB, h *Harness) {
	network := h.proxy(t)
	o := h.open(t, lease(h.shortLease), through(network)).mustLock(t, key)
	network.blackhole(t, "")
	checkLost(t, o.held)
	next := h.open(t).mustLock(t, key)
	network.heal(t)
	eventually(t, "the late release to be heard", func() bool {
		err := o.lease.Unlock(t.Context())
		if err == nil {
			t.Fatal("the release of a lost lock says that all is well")
		}
		return errors.Is(err, lock.ErrLost)
	})
	h.checkTaken(t, key)
	if next.held.Err() != nil {
		t.Errorf("the next holder was told %v", context.Cause(next.held))
	}
	mustUnlock(t, next)
	h.checkFree(t, key)
}

// loseReleases has the reply of the release lost so many times.
func loseReleases(t testing.TB, i *Instance, o outcome, times int64) error {
	t.Helper()
	i.wire.lose.Store(times)
	err := o.lease.Unlock(t.Context())
	i.wire.lose.Store(0)
	return err
}

func releaseAfterLostReply(t testing.TB, h *Harness) {
	i := h.open(t)
	o := i.mustLock(t, key)
	_ = loseReleases(t, i, o, 1)
	next := h.open(t).mustLock(t, key) // Redis has executed it
	_ = o.lease.Unlock(t.Context())
	h.checkTaken(t, key)
	mustUnlock(t, next)
	h.checkFree(t, key)

	// A release none of whose replies arrive still ends.
	o = i.mustLock(t, key)
	began := time.Now()
	if err := loseReleases(t, i, o, 1<<30); err == nil {
		t.Error("a release that nobody confirmed says that all is well")
	}
	within(t, "a release without an answer", time.Since(began), 2*h.soon)
	h.checkFree(t, key)
}

func releaseCanBeRepeated(t testing.TB, h *Harness) {
	i, other := h.open(t), h.open(t)
	o := i.mustLock(t, key)
	err := loseReleases(t, i, o, 1)
	next := other.mustLock(t, key) // and somebody else holds it by now
	if err != nil {
		err = o.lease.Unlock(t.Context())
	}
	if err != nil {
		t.Errorf("the release, said again: %v", err)
	}
	mustUnlock(t, next)
}

func releaseForCancelledCaller(t testing.TB, h *Harness) {
	i := h.open(t)
	ctx, cancel := context.WithCancel(t.Context())
	o := i.begin(ctx, key).mustEnd(t)
	next := h.open(t).begin(t.Context(), key)
	cancel()
	if err := o.lease.Unlock(ctx); err != nil {
		t.Errorf("unlock with a cancelled context: %v", err)
	}
	mustUnlock(t, next.mustEnd(t)) // the lease is minutes
	h.checkFree(t, key)
}

func grantWhoseReplyIsLost(t testing.TB, h *Harness) {
	i := h.open(t)
	i.wire.lose.Store(1)
	_, lease, err := i.Lock(t.Context(), []string{key})
	i.wire.lose.Store(0)
	if err == nil { // it asked again, and may
		if err := lease.Unlock(t.Context()); err != nil {
			t.Error(err)
		}
	}
	h.checkFree(t, key) // the lease is minutes
}
