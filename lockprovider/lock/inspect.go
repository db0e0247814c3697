package lock

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Held is a lock that somebody holds or waits for, as it was at one moment.
type Held struct {
	Key string
	// Holder and Waiting name instances. The locks of setnx and redsync do not tell the holder, and have no queue.
	Holder  string
	Waiting []string
	// Since is when the lock was granted, zero if it does not tell. Until is when its lease ends unless it is renewed.
	Since, Until time.Time
	// Fence is the token of the grant, 0 if there is none, or none yet.
	Fence int64
}

// Inspect finds locks of setnx and redsync whose keys begin with a prefix, at most limit of them, in no order. It goes
// through all keys of Redis in small steps: it is for people who look for what is stuck.
func Inspect(ctx context.Context, r redis.UniversalClient, prefix string, limit int) ([]Held, error) {
	return Scan(ctx, r, prefix+"*", limit, func(ctx context.Context, node redis.UniversalClient, name string) (*Held, error) {
		left, err := node.PTTL(ctx, name).Result()
		if err != nil || left <= 0 { // gone by now
			return nil, err
		}
		return &Held{Key: name, Until: time.Now().Add(left)}, nil
	})
}

// scanPage is how many keys one step of a search looks at.
const scanPage = 1000

// Scan goes through the keys of Redis that match a pattern, of every master of a cluster, and collects at most limit of
// the locks that read returns. read returns nil for a key that is no lock. It may run on several nodes at once.
func Scan(
	ctx context.Context, r redis.UniversalClient, pattern string, limit int,
	read func(ctx context.Context, node redis.UniversalClient, name string) (*Held, error),
) ([]Held, error) {
	var mu sync.Mutex
	var locks []Held
	collect := func(lock *Held) (full bool) {
		mu.Lock()
		defer mu.Unlock()
		if lock != nil && len(locks) < limit {
			locks = append(locks, *lock)
		}
		return len(locks) >= limit
	}
	scan := func(ctx context.Context, node redis.UniversalClient) error {
		keys := node.Scan(ctx, 0, pattern, scanPage).Iterator()
		for keys.Next(ctx) {
			lock, err := read(ctx, node, keys.Val())
			if err != nil {
				return err
			}
			if collect(lock) {
				return nil
			}
		}
		return keys.Err()
	}
	var err error
	if cluster, ok := r.(*redis.ClusterClient); ok {
		err = cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error { return scan(ctx, node) })
	} else {
		err = scan(ctx, r)
	}
	return locks, StoreError(ctx, "redis", err)
}
