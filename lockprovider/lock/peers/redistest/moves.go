package redistest

import (
	"context"
	"errors"
	"testing"

	"holdfast/lockprovider/lock"
)

// Redis itself goes away, comes back empty, or is somewhere else.
var restartScenarios = []Scenario{
	{
		Name: "scripts_are_loaded_again", Proves: Restarts, Needs: realRedis, Func: scriptsAreLoadedAgain,
		Why: "after a restart nobody can release: NOSCRIPT",
	},
	{
		Name: "restart_while_held", Proves: Restarts, Needs: realRedis, Func: restartWhileHeld,
		Why: "after a restart holders and waiters hang, or a lost lock is not reported",
	},
	{
		Name: "restart_with_waiters", Proves: Restarts, Needs: realRedis, Func: restartWithWaiters,
		Why: "those in line wait in a queue that is gone",
	},
	{
		Name: "emptied_with_waiters", Proves: Restarts, Func: emptiedWithWaiters,
		Why: "those in line wait in a queue that is gone",
	},
}

var topologyScenarios = []Scenario{
	{
		Name: "sentinel_promotion", Proves: Failover, Needs: anySentinel, Func: sentinelPromotion,
		Why: "after a failover nobody gets a lock",
	},
	{
		Name: "sentinel_master_killed", Proves: Failover, Needs: anySentinel, Func: sentinelMasterKilled,
		Why: "after a crash of the master holders are not told, and nobody gets a lock",
	},
	{
		Name: "cluster_slots", Proves: Cluster, Needs: anyCluster, Func: clusterSlots,
		Why: "keys of different slots cannot be locked, or not together",
	},
	{
		Name: "cluster_slot_moves", Proves: Cluster, Needs: anyCluster, Func: clusterSlotMoves,
		Why: "while a slot moves, a lock is lost or its waiters are stranded",
	},
	{
		Name: "cluster_slot_is_about_to_move", Proves: Cluster, Needs: anyCluster, Func: clusterSlotIsAboutToMove,
		Why: "a node that a slot is leaving writes no new keys: a lock that is deleted and written again there is lost",
	},
}

func scriptsAreLoadedAgain(t testing.TB, h *Harness) {
	i, other := h.open(t), h.open(t)
	flush := func() {
		t.Helper()
		if err := h.spy.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
	flush()
	o := i.mustLock(t, key)
	flush()
	w := other.inLine(t, key)
	flush()
	mustUnlock(t, o)
	o = w.mustEnd(t)
	flush()
	mustUnlock(t, o)
	flush()
	several := i.mustLock(t, "a", "b", "{a}c")
	flush()
	mustUnlock(t, several)
	// A renewal finds them missing as well.
	short := h.open(t, lease(h.shortLease)).mustLock(t, key)
	flush()
	_ = lock.Pause(t.Context(), 2*h.shortLease)
	if short.held.Err() != nil {
		t.Errorf("held: %v", context.Cause(short.held))
	}
	mustUnlock(t, short)
	h.checkFree(t, key, "a", "b", "{a}c")
}

func restartWhileHeld(t testing.TB, h *Harness) {
	i := h.open(t, lease(h.shortLease))
	o := i.mustLock(t, key)
	if err := h.redis.Server.Restart(); err != nil {
		t.Fatal(err)
	}
	checkLost(t, o.held) // Redis has forgotten it
	if err := o.lease.Unlock(t.Context()); err == nil {
		t.Error("the release of a lock that Redis has forgotten says that all is well")
	}
	eventually(t, "the same instance to lock again", func() bool {
		o := i.begin(t.Context(), key).end(t)
		return o.err == nil && o.lease.Unlock(t.Context()) == nil
	})
}

func restartWithWaiters(t testing.TB, h *Harness) {
	holder := h.open(t, lease(h.shortLease)).mustLock(t, key)
	var waiters []*waiter
	for range 4 {
		waiters = append(waiters, h.open(t, lease(h.shortLease)).inLine(t, key))
	}
	if err := h.redis.Server.Restart(); err != nil {
		t.Fatal(err)
	}
	checkLost(t, holder.held)
	served(t, waiters)
	h.useful(t)
}

func emptiedWithWaiters(t testing.TB, h *Harness) {
	holder := h.open(t, lease(h.shortLease)).mustLock(t, key)
	var waiters []*waiter
	for range 4 {
		waiters = append(waiters, h.open(t, lease(h.shortLease)).inLine(t, key))
	}
	if err := h.spy.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	checkLost(t, holder.held)
	all(len(waiters), func(n int) {
		if o := waiters[n].end(t); o.err != nil {
			t.Errorf("a waiter, whose Redis was never away: %v", o.err)
		} else {
			_ = o.lease.Unlock(t.Context())
		}
	})
	h.checkFree(t, key)
}

// served: every waiter gets the lock or is told that Redis was away; none hangs.
func served(t testing.TB, waiters []*waiter) {
	t.Helper()
	all(len(waiters), func(n int) {
		o := waiters[n].end(t)
		switch {
		case o.err == nil:
			_ = o.lease.Unlock(t.Context())
		case !errors.Is(o.err, lock.ErrUnavailable):
			t.Errorf("waiter %d: %v, want the lock or ErrUnavailable", n, o.err)
		}
	})
}

func (h *Harness) promote(t testing.TB) {
	t.Helper()
	if _, err := h.redis.Sentinel.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func sentinelPromotion(t testing.TB, h *Harness) {
	i, other := h.open(t, lease(h.shortLease)), h.open(t, lease(h.shortLease))
	o := i.mustLock(t, key)
	w := other.inLine(t, key)
	h.promote(t)
	// The lock may have been copied in time or not. The holder either keeps it or is told.
	if err := o.lease.Unlock(t.Context()); err == nil && errors.Is(context.Cause(o.held), lock.ErrLost) {
		t.Error("told that it was lost, and released it")
	}
	served(t, []*waiter{w})
	for _, each := range []*Instance{i, other} {
		eventually(t, "the lock to serve again", func() bool {
			o := each.begin(t.Context(), key).end(t)
			return o.err == nil && o.lease.Unlock(t.Context()) == nil
		})
	}
}

func sentinelMasterKilled(t testing.TB, h *Harness) {
	i := h.open(t, lease(h.shortLease))
	o := i.mustLock(t, "of the dead")
	master, err := h.redis.Sentinel.Master(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// No replica is promoted before the lease has ended: nobody can have renewed it.
	if err := h.redis.Sentinel.ReplaceAfter(t.Context(), 2*h.shortLease); err != nil {
		t.Fatal(err)
	}
	if err := master.Kill(); err != nil {
		t.Fatal(err)
	}
	await(t, o.held.Done(), "the holder to be told")
	if _, err := h.redis.Sentinel.AwaitPromotion(t.Context(), master); err != nil {
		t.Fatal(err)
	}
	_ = o.lease.Unlock(t.Context())
	eventually(t, "the lock to serve again", func() bool {
		o := i.begin(t.Context(), key).end(t)
		return o.err == nil && o.lease.Unlock(t.Context()) == nil
	})
}

func clusterSlots(t testing.TB, h *Harness) {
	keys := []string{"a", "b", "c", "d", "{a}e"} // of all three masters, two of one slot
	i, other := h.open(t), h.open(t)
	o := i.mustLock(t, keys...)
	for _, k := range keys {
		h.checkTaken(t, k)
	}
	w := other.inLine(t, keys...)
	mustUnlock(t, o)
	mustUnlock(t, w.mustEnd(t))
	for _, k := range keys {
		o := i.mustLock(t, k)
		w := other.inLine(t, k)
		mustUnlock(t, o)
		mustUnlock(t, w.mustEnd(t))
	}
	h.checkFree(t, keys...)
}

func clusterSlotMoves(t testing.TB, h *Harness) {
	i, other := h.open(t, lease(h.shortLease)), h.open(t, lease(h.shortLease))
	for range 3 {
		o := i.mustLock(t, key)
		w := other.inLine(t, key)
		if _, err := h.redis.Cluster.MoveSlot(t.Context(), key, nil); err != nil {
			t.Fatal(err)
		}
		h.checkTaken(t, key)
		_ = lock.Pause(t.Context(), h.shortLease) // it is renewed at the new place
		if o.held.Err() != nil {
			t.Errorf("held: %v", context.Cause(o.held))
		}
		mustUnlock(t, o)
		mustUnlock(t, w.mustEnd(t))
	}
	h.checkFree(t, key)
}

func clusterSlotIsAboutToMove(t testing.TB, h *Harness) {
	i, other := h.open(t, lease(h.shortLease)), h.open(t, lease(h.shortLease))
	var w *waiter
	for _, during := range []func(){
		func() { _ = lock.Pause(t.Context(), h.shortLease) }, // it is renewed
		func() { h.checkTaken(t, key) },
		func() { w = other.inLine(t, key) },
	} {
		o := i.mustLock(t, key)
		if _, err := h.redis.Cluster.MoveSlot(t.Context(), key, during); err != nil {
			t.Fatal(err)
		}
		h.checkTaken(t, key)
		if o.held.Err() != nil {
			t.Errorf("held: %v", context.Cause(o.held))
		}
		mustUnlock(t, o)
	}
	mustUnlock(t, w.mustEnd(t))
	h.checkFree(t, key)
}
