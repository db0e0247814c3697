package lockprovider_test

import (
	"slices"
	"testing"
	"time"

	"holdfast/internal/testenv"
	"holdfast/lockprovider"
	"holdfast/lockprovider/lock"
	"holdfast/lockprovider/lock/handoff"
)

// Whoever looks for what is stuck sees who holds a lock, since when, until when, and who waits.
func TestLocks(t *testing.T) {
	t.Parallel()
	for _, kind := range []redisKind{embedded, realRedis} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			urls, _ := kind.start(t)
			nodes := connectTo(urls)(t)
			t.Cleanup(func() {
				for _, node := range nodes {
					_ = node.Close()
				}
			})
			settings := lockprovider.Settings{Wait: time.Minute, Lease: time.Minute, Poll: 300 * time.Millisecond, Pipeline: lockprovider.PipelineSettings{Backlog: 1}}
			families := map[lockprovider.Family]lockprovider.FamilyConfig{}
			for _, f := range lockprovider.Families {
				families[f] = lockprovider.FamilyConfig{Strategy: lockprovider.PubSub, Settings: settings}
			}
			providers, err := lockprovider.Build(lockprovider.Deps{Redis: nodes[0], RedisNodes: nodes, Instance: "shop"}, families)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = providers.Close() }()
			bounds := lock.Settings{Wait: settings.Wait, Lease: settings.Lease, Poll: settings.Poll}
			open := func(instance string) lock.Locker {
				client := handoff.Open(nodes[0], handoff.Options{Instance: instance})
				t.Cleanup(func() { _ = client.Close() })
				return client.Locker(bounds)
			}
			before := time.Now().Add(-time.Second)
			_, held, err := open("holder").Lock(t.Context(), []string{"lock:product:a"})
			if err != nil {
				t.Fatal(err)
			}
			token, err := held.Fence(t.Context(), "lock:product:a")
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := lock.NewSetNX(nodes[0], bounds, lock.NoMetrics{}).Lock(t.Context(), []string{"lock:product:b"}); err != nil {
				t.Fatal(err)
			}
			next := make(chan lock.Lease)
			go func() {
				_, lease, _ := open("waiter").Lock(t.Context(), []string{"lock:product:a"})
				next <- lease
			}()
			look := func() []lockprovider.HeldLock {
				locks, err := providers.Locks(t.Context(), 10)
				if err != nil {
					t.Fatal(err)
				}
				return locks
			}
			var locks []lockprovider.HeldLock
			for deadline := time.Now().Add(time.Minute); ; {
				if locks = look(); len(locks) == 2 && len(locks[0].Waiting) > 0 {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("nobody waits: %+v", locks)
				}
			}
			a, b := locks[0], locks[1]
			if a.Key != "lock:product:a" || a.Holder != "holder" || !slices.Equal(a.Waiting, []string{"waiter"}) ||
				a.Fence != token {
				t.Errorf("the first: %+v, its token is %d", a, token)
			}
			if a.Since.Before(before) || !a.Until.After(a.Since) {
				t.Errorf("held from %v to %v", a.Since, a.Until)
			}
			if b.Key != "lock:product:b" || b.Holder != "" || !b.Until.After(time.Now()) {
				t.Errorf("the second: %+v", b)
			}
			if err := held.Unlock(t.Context()); err != nil {
				t.Error(err)
			}
			if err := testenv.Receive(t, next, "the second holder").Unlock(t.Context()); err != nil {
				t.Error(err)
			}
			if locks := look(); len(locks) != 1 {
				t.Errorf("left: %+v", locks)
			}
			if locks, err := providers.Locks(t.Context(), 1); err != nil || len(locks) != 1 {
				t.Errorf("at most one: %v, %v", locks, err)
			}
		})
	}
}
