package clients_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"holdfast/clients"
	"holdfast/config/setting"
	"holdfast/internal/testenv"
)

// longEnough bounds what must happen, on a loaded machine too.
const longEnough = 2 * time.Minute

func openRedis(t *testing.T, address string) *clients.Redis {
	t.Helper()
	r, err := clients.OpenRedis(t.Context(), clients.RedisOptions{URL: setting.URL(address)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func TestEmbeddedRedisExpiresInRealTime(t *testing.T) {
	r := openRedis(t, "")
	if !r.Embedded || len(r.Nodes) != 1 || r.Nodes[0] != r.Client {
		t.Errorf("%+v, want one embedded node", r)
	}
	ctx := t.Context()
	const lease = 300 * time.Millisecond
	began := time.Now()
	if err := r.Client.Set(ctx, "lock", "mine", lease).Err(); err != nil {
		t.Fatal(err)
	}
	for r.Client.Exists(ctx, "lock").Val() == 1 {
		if time.Since(began) > longEnough {
			t.Fatalf("in vain waited %s for the key to expire", longEnough)
		}
	}
	if lived := time.Since(began); lived < lease-100*time.Millisecond {
		t.Errorf("lived for %s, want %s", lived, lease)
	}
	now, err := r.Client.Time(ctx).Result()
	if err != nil || time.Since(now).Abs() > time.Minute {
		t.Errorf("TIME says %s, %v", now, err)
	}
}

func TestEmbeddedRedisLeavesNothing(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent(), testenv.LeakOption())
	r, err := clients.OpenRedis(t.Context(), clients.RedisOptions{URL: clients.EmbeddedRedis})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func TestIndependentNodes(t *testing.T) {
	a, b, c := testenv.Redis(t), testenv.Redis(t), testenv.Redis(t)
	r := openRedis(t, a.URL+", "+b.URL+","+c.URL)
	if len(r.Nodes) != 3 || r.Client != r.Nodes[0] || r.Embedded {
		t.Fatalf("%+v, want three nodes", r)
	}
	for i, dead := range []*testenv.Server{a, b} {
		if err := dead.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := r.Ping(t.Context()); (err == nil) != (i == 0) {
			t.Errorf("%d of 3 dead: %v", i+1, err)
		}
	}
}

// oneNodeCluster is a Redis that owns all slots.
func oneNodeCluster(t *testing.T) *testenv.Server {
	t.Helper()
	server := testenv.Redis(t, "--cluster-enabled", "yes")
	admin := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer admin.Close()
	ctx, cancel := context.WithTimeout(t.Context(), longEnough)
	defer cancel()
	if err := admin.ClusterAddSlotsRange(ctx, 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	for !strings.Contains(admin.ClusterInfo(ctx).Val(), "cluster_state:ok") {
		if ctx.Err() != nil {
			t.Fatal("the cluster does not come up")
		}
	}
	return server
}

// openConnections leaves connections in the pool that have shaken hands: a repetition on a new one would get no further
// than that while its server is paused.
func openConnections(t *testing.T, r *clients.Redis, n int) {
	t.Helper()
	var blocked sync.WaitGroup
	for range n {
		blocked.Go(func() {
			if err := r.Client.BLPop(t.Context(), time.Second, "nothing").Err(); !errors.Is(err, redis.Nil) {
				t.Error(err)
			}
		})
	}
	blocked.Wait()
}

// A command whose reply is lost may have been executed: whoever sends it again executes it twice.
func TestLostRepliesAreNotRetried(t *testing.T) {
	for _, topology := range []string{"single", "cluster"} {
		t.Run(topology, func(t *testing.T) {
			var server *testenv.Server
			address := "redis://"
			if topology == "cluster" {
				server, address = oneNodeCluster(t), "redis+cluster://"
			} else {
				server = testenv.Redis(t)
			}
			address += server.Addr
			r := openRedis(t, address+"?read_timeout="+testenv.Scaled(200*time.Millisecond).String())
			script := redis.NewScript(`return redis.call('INCR', KEYS[1])`)
			if err := script.Run(t.Context(), r.Client, []string{"n"}).Err(); err != nil {
				t.Fatal(err)
			}
			openConnections(t, r, 8)
			if err := server.Pause(); err != nil {
				t.Fatal(err)
			}
			if err := script.Run(t.Context(), r.Client, []string{"n"}).Err(); err == nil {
				t.Error("no error from a Redis that does not answer")
			}
			if err := server.Resume(); err != nil {
				t.Fatal(err)
			}
			// What lay in its sockets is executed in the order of its choice, before or after this question.
			n := 0
			for began := time.Now(); n < 2 && time.Since(began) < longEnough; {
				var err error
				if n, err = r.Client.Get(t.Context(), "n").Int(); err != nil {
					t.Fatal(err)
				}
			}
			if n, err := r.Client.Get(t.Context(), "n").Int(); n != 2 || err != nil {
				t.Errorf("ran %d times, %v, want 2: once answered, once not", n, err)
			}
		})
	}
}

func TestDeadlineEndsACommand(t *testing.T) {
	server := testenv.Redis(t)
	r := openRedis(t, server.URL+"?read_timeout="+longEnough.String()) // it must not be what ends the command
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := r.Client.Incr(ctx, "n").Err(); err == nil {
		t.Error("no error from a Redis that does not answer")
	}
	if took := time.Since(began); took > longEnough/2 {
		t.Errorf("took %s, want the deadline, 100ms", took)
	}
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
}

func TestClusterAnswersPassTheHook(t *testing.T) {
	r := openRedis(t, "redis+cluster://"+oneNodeCluster(t).Addr)
	if err := r.Client.Get(t.Context(), "none").Err(); !errors.Is(err, redis.Nil) {
		t.Errorf("%v, want redis.Nil", err)
	}
	if err := r.Client.Incr(t.Context(), "n").Err(); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Client.Incr(ctx, "n").Err(); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
}

func TestOpenRedisErrors(t *testing.T) {
	live := testenv.Redis(t).URL
	for address, want := range map[string]string{
		"localhost:6379":                            "not a URL",
		"http://u:hunter2@h":                        `unknown scheme "http"`,
		"redis+ring://u:hunter2@h":                  `unknown scheme "redis+ring"`,
		"redis+://u:hunter2@h":                      `unknown scheme "redis+"`,
		"redis://u:hunter2@127.0.0.1:1":             "redis://u:xxxxx@127.0.0.1:1",
		"redis://u:hunter2@127.0.0.1:port":          "port",
		"redis+sentinel://h:1":                      "no master named",
		"redis+sentinel://127.0.0.1:1/0?master=m":   "sentinel",
		"redis+cluster://u:hunter2@127.0.0.1:1":     "127.0.0.1:1",
		live + ",redis+cluster://127.0.0.1:1":       "independent nodes are single servers",
		live + "," + "redis://:hunter2@127.0.0.1:1": "redis://:xxxxx@127.0.0.1:1",
		live + "?no_such=1":                         "no_such",
	} {
		r, err := clients.OpenRedis(t.Context(), clients.RedisOptions{URL: setting.URL(address)})
		if err == nil {
			_ = r.Close()
			t.Errorf("%s: opened", address)
			continue
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q and no password", address, err, want)
		}
	}
}
