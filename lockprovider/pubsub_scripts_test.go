package lockprovider

import (
	"context"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"holdfast/internal/testenv"
)

// eachRedis runs a test of the scripts on a real Redis, and on the one that is embedded.
func eachRedis(t *testing.T, test func(t *testing.T, s *redisLocks)) {
	t.Helper()
	for name, addr := range map[string]func(t *testing.T) string{
		"redis": func(t *testing.T) string {
			options, err := redis.ParseURL(testenv.Redis(t).URL)
			if err != nil {
				t.Fatal(err)
			}
			return options.Addr
		},
		"embedded": func(t *testing.T) string { return miniredis.RunT(t).Addr() },
	} {
		t.Run(name, func(t *testing.T) {
			client := redis.NewClient(&redis.Options{Addr: addr(t)})
			t.Cleanup(func() { _ = client.Close() })
			test(t, newRedisLocks(client))
		})
	}
}

// TestLateRequests: a request that comes to Redis after its waiter has been given up takes nothing, and stands in no line.
// What the same instance asks for later is served.
func TestLateRequests(t *testing.T) {
	eachRedis(t, func(t *testing.T, s *redisLocks) {
		ctx := context.Background()
		b := lockBounds{lease: time.Minute, grant: time.Second, heartbeat: time.Minute}
		name := s.name("k")
		acquire := func(waiter string) bool {
			t.Helper()
			a, err := s.acquire(ctx, name, waiter, b)
			if err != nil {
				t.Fatal(err)
			}
			return a.owned
		}
		release := func(owner string, late bool) released {
			t.Helper()
			all, err := s.release(ctx, []departure{{key: name, owner: owner, late: late, bounds: b}})
			if err != nil {
				t.Fatal(err)
			}
			return all[0]
		}
		if !release("p|9", true).lost {
			t.Error("what was never taken is not lost")
		}
		release("p|2", true) // an older one, which comes later still
		if acquire("p|9") || acquire("p|2") {
			t.Error("a late request took the lock")
		}
		if all, err := s.acquireAll(ctx, []string{name, s.name("other")}, []string{"p|9", "p|8"}, b); err != nil || all != nil {
			t.Errorf("a late request took several locks: %v, %v", all, err)
		}
		if !acquire("q|1") {
			t.Error("another instance waits for nobody")
		}
		if acquire("p|10") {
			t.Error("two hold the lock")
		}
		release("p|10", true)
		if acquire("p|10") {
			t.Error("two hold the lock")
		}
		if release("q|1", false).lost {
			t.Error("it was held")
		}
		if acquire("p|9") {
			t.Error("a late request took the lock after somebody else had released it")
		}
		if !acquire("p|11") {
			t.Error("the lock was passed to a late request")
		}
		release("p|11", false)
		release("q|2", true)
		if all, err := s.release(ctx, []departure{{key: name, owner: "q|1", again: "q|2", bounds: b}}); err != nil || all[0].owned {
			t.Errorf("a late release took the lock for one who had been given up: %v, %v", all, err)
		}
		for _, late := range []string{"p|9", "p|10", "q|1", "q|2"} {
			if acquire(late) {
				t.Errorf("late request %s took the lock", late)
			}
		}
		if ttl, err := s.redis.PTTL(ctx, name).Result(); err != nil || ttl > 10*time.Second || ttl == -1 {
			t.Errorf("what remembers the late ones expires in %v, %v", ttl, err)
		}
	})
}
