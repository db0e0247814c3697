package lockprovider_test

import (
	"flag"
	"os"
	"testing"

	"go.uber.org/goleak"

	"holdfast/internal/testenv"
	"holdfast/lockprovider/lockertest"
)

var (
	printLockers  = flag.Bool("lockers.table", false, "print what each locker can do, as the suite has proven it")
	updateLockers = flag.Bool("lockers.update", false, "write what each locker can do into docs/strategies.md")
)

// singleRedis are the environments of most scenarios.
func singleRedis() []lockertest.Env {
	return []lockertest.Env{
		{Name: "embedded", Start: func(t testing.TB) lockertest.Redis {
			urls, _ := startEmbedded(t, 1)
			return lockertest.Redis{URL: urls[0]}
		}},
		{Name: "redis", Real: true, Start: func(t testing.TB) lockertest.Redis {
			server := testenv.Redis(t)
			return lockertest.Redis{URL: server.URL, Server: server}
		}},
	}
}

// severalServers are those in which Redis moves under a lock.
func severalServers() []lockertest.Env {
	return []lockertest.Env{
		{Name: "sentinel", Real: true, Sentinel: true, Start: func(t testing.TB) lockertest.Redis {
			set := testenv.RedisSentinel(t)
			return lockertest.Redis{URL: set.URL, Sentinel: set}
		}},
		{Name: "cluster", Real: true, Cluster: true, Start: func(t testing.TB) lockertest.Redis {
			cluster := testenv.RedisCluster(t)
			return lockertest.Redis{URL: cluster.URL, Cluster: cluster}
		}},
	}
}

// TestLockers runs every scenario with every locker on every Redis.
func TestLockers(t *testing.T) {
	lockertest.CheckDeclared(t)
	// What breaks the links leaves a goroutine behind now and then, where a link ends while it is being broken.
	proxies := goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2/toxics.(*ToxicStub).Run")
	defer goleak.VerifyNone(t, testenv.LeakOption(), proxies, goleak.IgnoreCurrent())
	results := lockertest.Run(t, append(singleRedis(), severalServers()...), lockertest.Subjects())
	if *printLockers {
		if err := lockertest.PrintMatrix(os.Stdout, results); err != nil {
			t.Error(err)
		}
	}
	lockertest.CheckProven(t, results)
}

// TestBrokenLockersAreCaught: a checker that accepts a lock without a lock proves nothing.
func TestBrokenLockersAreCaught(t *testing.T) {
	for _, env := range singleRedis() {
		lockertest.RunControls(t, env)
	}
}

// TestLockerMatrix: the table in the documentation is what the suite has been told to prove.
func TestLockerMatrix(t *testing.T) {
	lockertest.CheckDocument(t, "../docs/strategies.md", *updateLockers)
}

// TestLockerHelper is what this binary runs as a helper process of the scenarios.
func TestLockerHelper(t *testing.T) {
	if !lockertest.Helper(append(lockertest.Subjects(), lockertest.Controls()...)) {
		t.Skip("it runs as a process of its own, started by the others")
	}
}
