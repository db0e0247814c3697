package redistest_test

import (
	"context"
	"flag"
	"os"
	"testing"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"holdfast/clients"
	"holdfast/internal/testenv"
	"holdfast/lockprovider/lock"
	"holdfast/lockprovider/lock/handoff"
	"holdfast/lockprovider/lock/peers/redistest"
)

var (
	printLockers  = flag.Bool("lockers.table", false, "print what each locker can do, as the suite has proven it")
	updateLockers = flag.Bool("lockers.update", false, "write what each locker can do into docs/strategies.md")
)

func TestMain(m *testing.M) {
	redis.SetLogger(quiet{}) // it reports every connection to a Redis that a test has killed
	testenv.Main(m)
}

type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// subjects are the lockers of this module, by name.
func subjects() []redistest.Subject {
	nothing := func() error { return nil }
	return []redistest.Subject{
		{
			Name: "pubsub",
			Traits: redistest.Traits{
				FIFO: true, Cohort: 16, Fences: true, RepeatsRelease: true, Remembers: true, RefusesLate: true, Listens: true,
			},
			Open: func(c redistest.Config) (lock.Locker, func() error, error) {
				client := handoff.Open(c.Redis, handoff.Options{Instance: c.Instance, RequestTimeout: c.RequestTimeout})
				return client.Locker(c.Settings), client.Close, nil
			},
		},
		{
			Name: "pubsub rw",
			Traits: redistest.Traits{
				FIFO: true, Fences: true, RepeatsRelease: true, Remembers: true, RefusesLate: true, Listens: true,
			},
			Open: func(c redistest.Config) (lock.Locker, func() error, error) {
				client := handoff.Open(c.Redis, handoff.Options{Instance: c.Instance, RequestTimeout: c.RequestTimeout})
				return client.RWLocker(c.Settings), client.Close, nil
			},
		},
		{
			Name: "redsync",
			Open: func(c redistest.Config) (lock.Locker, func() error, error) {
				return lock.NewRedsync([]redis.UniversalClient{c.Redis}, c.Settings, lock.NoMetrics{}), nothing, nil
			},
		},
		{
			Name: "setnx",
			Open: func(c redistest.Config) (lock.Locker, func() error, error) {
				return lock.NewSetNX(c.Redis, c.Settings, lock.NoMetrics{}), nothing, nil
			},
		},
	}
}

// singleRedis are the environments of most scenarios.
func singleRedis() []redistest.Env {
	return []redistest.Env{
		{Name: "embedded", Start: func(t testing.TB) redistest.Redis {
			server, err := clients.OpenRedis(t.Context(), clients.RedisOptions{URL: clients.EmbeddedRedis})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = server.Close() })
			client, _ := server.Client.(*redis.Client)
			return redistest.Redis{URL: "redis://" + client.Options().Addr}
		}},
		{Name: "redis", Real: true, Start: func(t testing.TB) redistest.Redis {
			server := testenv.Redis(t)
			return redistest.Redis{URL: server.URL, Server: server}
		}},
	}
}

// severalServers are those in which Redis moves under a lock.
func severalServers() []redistest.Env {
	return []redistest.Env{
		{Name: "sentinel", Real: true, Sentinel: true, Start: func(t testing.TB) redistest.Redis {
			set := testenv.RedisSentinel(t)
			return redistest.Redis{URL: set.URL, Sentinel: set}
		}},
		{Name: "cluster", Real: true, Cluster: true, Start: func(t testing.TB) redistest.Redis {
			cluster := testenv.RedisCluster(t)
			return redistest.Redis{URL: cluster.URL, Cluster: cluster}
		}},
	}
}

// TestLockers runs every scenario with every locker on every Redis.
func TestLockers(t *testing.T) {
	// What breaks the links leaves a goroutine behind now and then, where a link ends while it is being broken.
	proxies := goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2/toxics.(*ToxicStub).Run")
	defer goleak.VerifyNone(t, testenv.LeakOption(), proxies, goleak.IgnoreCurrent())
	results := redistest.Run(t, append(singleRedis(), severalServers()...), subjects())
	if *printLockers {
		if err := redistest.PrintMatrix(os.Stdout, subjects(), results); err != nil {
			t.Error(err)
		}
	}
	redistest.CheckProven(t, subjects(), results)
}

// TestBrokenLockersAreCaught: a checker that accepts a lock without a lock proves nothing.
func TestBrokenLockersAreCaught(t *testing.T) {
	for _, env := range singleRedis() {
		redistest.RunControls(t, env)
	}
}

// TestLockerMatrix: the table in the documentation is what the suite has been told to prove.
func TestLockerMatrix(t *testing.T) {
	redistest.CheckDocument(t, "../../../../docs/strategies.md", subjects(), *updateLockers)
}

// TestLockerHelper is what this binary runs as a helper process of the scenarios.
func TestLockerHelper(t *testing.T) {
	if !redistest.Helper(append(subjects(), redistest.Controls()...)) {
		t.Skip("it runs as a process of its own, started by the others")
	}
}
