package graph_test

import (
	"strconv"
	"testing"
	"time"

	"holdfast/lockprovider"
	"holdfast/lockprovider/lock"
	"holdfast/lockprovider/lock/handoff"
)

// TestHeldLocks: administrators see the locks that are held. A lock has a fencing token once its holder has asked for one.
func TestHeldLocks(t *testing.T) {
	a := newAPI(t, settings{stock: lockprovider.PubSub})
	const locks = `{ locks { key holder since until fence waiting } }`
	a.ok(admin, locks, nil).want("locks", []any{})

	client := handoff.Open(a.redis.Client, handoff.Options{Instance: "another"})
	t.Cleanup(func() { must(t, client.Close()) })
	const key = "lock:product:prod_1"
	began := time.Now()
	_, lease, err := client.Locker(lock.Settings{Wait: time.Minute, Lease: time.Minute, Poll: time.Second}).Lock(t.Context(), []string{key})
	must(t, err)
	held := a.ok(admin, locks, nil).want("locks.0.key", key, "locks.0.holder", "another", "locks.0.fence", nil, "locks.0.waiting", []any{})
	since, err := time.Parse(time.RFC3339, held.text("locks.0.since"))
	must(t, err)
	until, err := time.Parse(time.RFC3339, held.text("locks.0.until"))
	must(t, err)
	if since.Sub(began).Abs() > longEnough || until.Sub(since) != time.Minute {
		t.Errorf("held since %v, asked for at %v; until %v", since, began, until)
	}
	token, err := lease.Fence(t.Context(), key)
	must(t, err)
	a.ok(admin, locks, nil).want("locks.0.fence", strconv.FormatInt(token, 10))
	must(t, lease.Unlock(t.Context()))
	a.ok(admin, locks, nil).want("locks", []any{})
}
