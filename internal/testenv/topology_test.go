package testenv

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

func TestRedisSentinel(t *testing.T) {
	t.Parallel()
	set := RedisSentinel(t)
	u, err := url.Parse(set.URL)
	if err != nil || u.Scheme != "redis+sentinel" || u.Host != set.Sentinels[0].Addr ||
		len(u.Query()["addr"]) != 2 || u.Query().Get("master") != sentinelMaster {
		t.Errorf("URL = %q, %v", set.URL, err)
	}
	first, err := set.Master(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if first != set.Data[0] {
		t.Errorf("%s is the master, want the first, %s", first.Addr, set.Data[0].Addr)
	}
	client := openRedis(t, first)
	if err := client.Set(t.Context(), "key", "1", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if n, err := client.Wait(t.Context(), 2, queryTimeout).Result(); err != nil || n != 2 {
		t.Fatalf("%d replicas have the write, %v", n, err)
	}

	second, err := set.Promote(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if second == first {
		t.Fatal("the master is the same after a promotion")
	}
	if got, err := openRedis(t, second).Get(t.Context(), "key").Result(); err != nil || got != "1" {
		t.Errorf("value after the promotion %q, %v", got, err)
	}

	// A master that dies is replaced without being asked.
	if err := second.Kill(); err != nil {
		t.Fatal(err)
	}
	third, err := set.AwaitPromotion(t.Context(), second)
	if err != nil {
		t.Fatal(err)
	}
	if err := openRedis(t, third).Set(t.Context(), "key", "2", 0).Err(); err != nil {
		t.Errorf("the new master refuses a write: %v", err)
	}
}

func TestRedisCluster(t *testing.T) {
	t.Parallel()
	cluster := RedisCluster(t)
	options, err := redis.ParseClusterURL(strings.Replace(cluster.URL, "redis+cluster", "redis", 1))
	if err != nil {
		t.Fatal(err)
	}
	if len(options.Addrs) != len(cluster.Masters) {
		t.Errorf("%s names %d servers", cluster.URL, len(options.Addrs))
	}
	client := redis.NewClusterClient(options)
	t.Cleanup(func() { client.Close() })
	const key, neighbour, elsewhere = "{a}1", "{a}2", "b"
	for _, k := range []string{key, neighbour, elsewhere} {
		if err := client.Set(t.Context(), k, k, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}

	before, err := cluster.Owner(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	for range len(cluster.Masters) { // all the way round
		moved, err := cluster.MoveSlot(t.Context(), key, nil)
		if err != nil {
			t.Fatal(err)
		}
		if moved == before {
			t.Fatal("the slot is where it was")
		}
		if owner, err := cluster.Owner(t.Context(), neighbour); err != nil || owner != moved {
			t.Errorf("the slot is served by %v, %v, want %s", owner, err, moved.Addr)
		}
		for _, k := range []string{key, neighbour, elsewhere} {
			if got, err := client.Get(t.Context(), k).Result(); err != nil || got != k {
				t.Errorf("%s = %q, %v after the move", k, got, err)
			}
		}
		if err := openRedis(t, before).Get(t.Context(), key).Err(); err == nil || errors.Is(err, redis.Nil) {
			t.Errorf("%s still serves the slot: %v", before.Addr, err)
		}
		before = moved
	}
}
