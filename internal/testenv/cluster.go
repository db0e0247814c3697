package testenv

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	clusterMasters = 3
	clusterSlots   = 16384
	clusterTimeout = 60 * time.Second // until all masters agree, on a loaded machine
	migrateTimeout = 5 * time.Second  // of one MIGRATE
)

// Cluster is a Redis Cluster of three masters without replicas.
type Cluster struct {
	// URL is redis+cluster://..., as the product's configuration takes it.
	URL     string
	Masters []*Server

	ids []string // of the masters, in their order
}

// RedisCluster starts a private Redis Cluster that stops with the test, and waits until all masters serve all slots.
func RedisCluster(t testing.TB) *Cluster {
	t.Helper()
	cluster := &Cluster{}
	for range clusterMasters {
		cluster.Masters = append(cluster.Masters,
			Redis(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "5000"))
	}
	ctx, cancel := context.WithTimeout(t.Context(), clusterTimeout)
	defer cancel()
	if err := cluster.connect(ctx); err != nil {
		t.Fatalf("testenv: set up Redis Cluster: %v\n%s", err, cluster.Masters[0].LogTail())
	}
	return cluster
}

func (c *Cluster) connect(ctx context.Context) error {
	first := c.Masters[0]
	var others []string
	for i, s := range c.Masters {
		if i > 0 {
			others = append(others, s.Addr)
		}
		err := withClient(s, func(client *redis.Client) error {
			id, err := client.Do(ctx, "CLUSTER", "MYID").Text()
			if err != nil {
				return err
			}
			c.ids = append(c.ids, id)
			from, to := i*clusterSlots/clusterMasters, (i+1)*clusterSlots/clusterMasters-1
			if err := client.ClusterAddSlotsRange(ctx, from, to).Err(); err != nil {
				return err
			}
			// Distinct epochs from the start spare the masters the election in which they would settle them.
			if err := client.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err(); err != nil || i == 0 {
				return err
			}
			host, port, err := net.SplitHostPort(first.Addr)
			if err != nil {
				return err
			}
			return client.ClusterMeet(ctx, host, port).Err()
		})
		if err != nil {
			return err
		}
	}
	c.URL = "redis+cluster://" + first.Addr + "?" + url.Values{"addr": others}.Encode()
	return pollContext(ctx, func() error { return c.ready(ctx) })
}

func (c *Cluster) ready(ctx context.Context) error {
	for _, s := range c.Masters {
		err := withClient(s, func(client *redis.Client) error {
			shards, err := client.ClusterShards(ctx).Result()
			if err != nil {
				return err
			}
			served := int64(0)
			for _, shard := range shards {
				for _, r := range shard.Slots {
					served += r.End - r.Start + 1
				}
			}
			if served != clusterSlots {
				return fmt.Errorf("%s knows who serves %d slots", s.Addr, served)
			}
			return client.Get(ctx, "any").Err()
		})
		if err != nil && !answersCluster(err) {
			return err
		}
	}
	return nil
}

// answersCluster tells answers of a cluster that works from CLUSTERDOWN: not found, or found elsewhere.
func answersCluster(err error) bool {
	return errors.Is(err, redis.Nil) || strings.HasPrefix(err.Error(), "MOVED ")
}

// Owner returns the master that serves the slot of a key.
func (c *Cluster) Owner(ctx context.Context, key string) (*Server, error) {
	slot, err := c.slot(ctx, key)
	if err != nil {
		return nil, err
	}
	i, err := c.owner(ctx, slot)
	if err != nil {
		return nil, err
	}
	return c.Masters[i], nil
}

// MoveSlot moves the slot of a key, with all keys in it, to the next master and returns that. Clients are served
// throughout: redirected with ASK while the keys are on their way, with MOVED from then on. Before that, while the slot is
// about to be moved and all keys are where they were, it calls during, unless that is nil.
func (c *Cluster) MoveSlot(ctx context.Context, key string, during func()) (*Server, error) {
	slot, err := c.slot(ctx, key)
	if err != nil {
		return nil, err
	}
	from, err := c.owner(ctx, slot)
	if err != nil {
		return nil, err
	}
	to := (from + 1) % len(c.Masters)
	if err := c.moveSlot(ctx, slot, from, to, during); err != nil {
		return nil, fmt.Errorf("testenv: move slot %d from %s to %s: %w", slot, c.Masters[from].Addr, c.Masters[to].Addr, err)
	}
	return c.Masters[to], nil
}

func (c *Cluster) moveSlot(ctx context.Context, slot, from, to int, during func()) error {
	if err := c.setSlot(ctx, to, slot, "IMPORTING", c.ids[from]); err != nil {
		return err
	}
	if err := c.setSlot(ctx, from, slot, "MIGRATING", c.ids[to]); err != nil {
		return err
	}
	if during != nil {
		during()
	}
	host, port, err := net.SplitHostPort(c.Masters[to].Addr)
	if err != nil {
		return err
	}
	err = withClient(c.Masters[from], func(client *redis.Client) error {
		for {
			keys, err := client.ClusterGetKeysInSlot(ctx, slot, 100).Result()
			if err != nil || len(keys) == 0 {
				return err
			}
			migrate := []any{"MIGRATE", host, port, "", 0, migrateTimeout.Milliseconds(), "REPLACE", "KEYS"}
			for _, key := range keys {
				migrate = append(migrate, key)
			}
			if err := client.Do(ctx, migrate...).Err(); err != nil {
				return err
			}
		}
	})
	if err != nil {
		return err
	}
	// The new owner first: at no time does nobody claim the slot.
	for i := range c.Masters {
		if err := c.setSlot(ctx, (to+i)%len(c.Masters), slot, "NODE", c.ids[to]); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) setSlot(ctx context.Context, master, slot int, state, id string) error {
	return withClient(c.Masters[master], func(client *redis.Client) error {
		return client.Do(ctx, "CLUSTER", "SETSLOT", slot, state, id).Err()
	})
}

func (c *Cluster) slot(ctx context.Context, key string) (int, error) {
	var slot int64
	err := withClient(c.Masters[0], func(client *redis.Client) (err error) {
		slot, err = client.ClusterKeySlot(ctx, key).Result()
		return err
	})
	return int(slot), err
}

func (c *Cluster) owner(ctx context.Context, slot int) (int, error) {
	var id string
	err := withClient(c.Masters[0], func(client *redis.Client) error {
		shards, err := client.ClusterShards(ctx).Result()
		for _, shard := range shards {
			for _, r := range shard.Slots {
				if r.Start <= int64(slot) && int64(slot) <= r.End && len(shard.Nodes) > 0 {
					id = shard.Nodes[0].ID
				}
			}
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	if i := slices.Index(c.ids, id); i >= 0 {
		return i, nil
	}
	return 0, fmt.Errorf("testenv: slot %d is served by %q, which is none of the masters", slot, id)
}
