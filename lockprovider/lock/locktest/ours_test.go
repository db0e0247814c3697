package locktest_test

import (
	"context"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"holdfast/internal/testenv"
	"holdfast/lockprovider/lock"
	"holdfast/lockprovider/lock/handoff"
	"holdfast/lockprovider/lock/locktest"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// TestOurs proves the locks of this module, on the embedded Redis and on a real one.
func TestOurs(t *testing.T) {
	t.Parallel()
	for _, kind := range []struct {
		name  string
		start func(t *testing.T) (addr string)
	}{
		{"embedded", func(t *testing.T) string { return miniredis.RunT(t).Addr() }},
		{"redis", func(t *testing.T) string {
			options, err := redis.ParseURL(testenv.Redis(t).URL)
			if err != nil {
				t.Fatal(err)
			}
			return options.Addr
		}},
	} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			addr := kind.start(t)
			t.Run("setnx", func(t *testing.T) {
				t.Parallel()
				proveInRedis(t, addr, []locktest.Trait{locktest.Fencing, locktest.FIFO},
					func(_ testing.TB, r redis.UniversalClient, s lock.Settings) lock.Locker {
						return lock.NewSetNX(r, s, lock.NoMetrics{})
					})
			})
			t.Run("redsync", func(t *testing.T) {
				t.Parallel()
				proveInRedis(t, addr, []locktest.Trait{locktest.Fencing, locktest.FIFO},
					func(_ testing.TB, r redis.UniversalClient, s lock.Settings) lock.Locker {
						return lock.NewRedsync([]redis.UniversalClient{r}, s, lock.NoMetrics{})
					})
			})
			t.Run("handoff", func(t *testing.T) {
				t.Parallel()
				proveHandOff(t, addr, nil, func(c *handoff.Client, s lock.Settings) lock.Locker { return c.Locker(s) })
			})
			t.Run("rw writer", func(t *testing.T) {
				t.Parallel()
				proveHandOff(t, addr, nil, func(c *handoff.Client, s lock.Settings) lock.Locker { return c.RWLocker(s) })
			})
			t.Run("semaphore", func(t *testing.T) {
				t.Parallel()
				proveHandOff(t, addr, []locktest.Trait{locktest.MultiKey}, func(c *handoff.Client, s lock.Settings) lock.Locker {
					return exclusive{c.Semaphore(3, s)}
				})
			})
		})
	}
}

// proveHandOff proves a lock of a client of its own for each instance.
func proveHandOff(
	t *testing.T, addr string, lacks []locktest.Trait, open func(c *handoff.Client, s lock.Settings) lock.Locker,
) {
	t.Helper()
	proveInRedis(t, addr, lacks, func(t testing.TB, r redis.UniversalClient, s lock.Settings) lock.Locker {
		client := handoff.Open(r, handoff.Options{Instance: "locktest"})
		t.Cleanup(func() {
			if err := client.Close(); err != nil {
				t.Error(err)
			}
		})
		return open(client, s)
	})
}

// exclusive is a semaphore as a lock: of three units, only one caller can have two.
type exclusive struct{ *handoff.Semaphore }

func (e exclusive) Lock(ctx context.Context, keys []string) (context.Context, lock.Lease, error) {
	return e.Acquire(ctx, keys[0], 2)
}

func proveInRedis(
	t *testing.T, addr string, lacks []locktest.Trait, open func(testing.TB, redis.UniversalClient, lock.Settings) lock.Locker,
) {
	t.Helper()
	connect := func(t testing.TB) redis.UniversalClient {
		client := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, ContextTimeoutEnabled: true})
		t.Cleanup(func() { _ = client.Close() })
		return client
	}
	locktest.Run(t, locktest.Harness{
		Lacks: lacks,
		Open:  func(t testing.TB, s lock.Settings) lock.Locker { return open(t, connect(t), s) },
		Forget: func(t testing.TB, key string) {
			for _, name := range []string{key, "holdfast:{" + key + "}", "holdfast-rw:{" + key + "}", "holdfast-semaphore:{" + key + "}"} {
				if err := connect(t).Del(context.WithoutCancel(t.Context()), name).Err(); err != nil {
					t.Error(err)
				}
			}
		},
	})
}
