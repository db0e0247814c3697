package lockprovider

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// HeldLock is a lock in Redis that somebody holds or waits for, as it was at one moment.
type HeldLock struct {
	Key string
	// Holder and Waiting name instances; the locks of setnx and redsync do not tell, and nobody stands in line for them.
	Holder  string
	Waiting []string
	// Since is when it was granted, zero where the lock does not tell. Until is when its lease ends, unless it is renewed.
	Since, Until time.Time
	// Fence is the token of the grant; 0 where there is none.
	Fence int64
}

// lockPage is how many keys one step of a search for locks looks at.
const lockPage = 1000

// Locks finds the locks in Redis, at most limit of them, by key. It goes through all keys of Redis in small steps: it is for
// people who look for what is stuck.
func (p *Providers) Locks(ctx context.Context, limit int) ([]HeldLock, error) {
	if p.deps.Redis == nil {
		return nil, nil
	}
	var mu sync.Mutex
	var locks []HeldLock
	find := func(ctx context.Context, node redis.UniversalClient) error {
		for _, pattern := range []string{"holdfast:{lock:*", "holdfast:{exclusive:*", "lock:*"} {
			keys := node.Scan(ctx, 0, pattern, lockPage).Iterator()
			for keys.Next(ctx) {
				lock, err := lookAtLock(ctx, node, keys.Val())
				if err != nil {
					return err
				}
				mu.Lock()
				full := len(locks) >= limit
				if lock != nil && !full {
					locks = append(locks, *lock)
				}
				mu.Unlock()
				if full {
					return nil
				}
			}
			if err := keys.Err(); err != nil {
				return err
			}
		}
		return nil
	}
	var err error
	if cluster, ok := p.deps.Redis.(*redis.ClusterClient); ok {
		err = cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error { return find(ctx, node) })
	} else {
		err = find(ctx, p.deps.Redis)
	}
	slices.SortFunc(locks, func(a, b HeldLock) int { return cmp.Compare(a.Key, b.Key) })
	return locks, redisFailure(ctx, err)
}

// lookAtLock reads one lock; nil where it is gone by now, or only its last token is kept.
func lookAtLock(ctx context.Context, r redis.UniversalClient, name string) (*HeldLock, error) {
	if !strings.HasPrefix(name, "holdfast:") {
		left, err := r.PTTL(ctx, name).Result()
		if err != nil || left <= 0 {
			return nil, err
		}
		return &HeldLock{Key: name, Until: time.Now().Add(left)}, nil
	}
	lock := &HeldLock{Key: strings.TrimSuffix(strings.TrimPrefix(name, "holdfast:{"), "}")}
	held := func(owner, token string, until int64) {
		lock.Holder, lock.Fence = instanceOf(owner), number(token)
		lock.Since, lock.Until = time.UnixMicro(lock.Fence).UTC(), time.UnixMicro(until).UTC()
	}
	var plain *redis.SliceCmd
	var hash *redis.MapStringStringCmd
	_, _ = r.TxPipelined(ctx, func(p redis.Pipeliner) error { // at one moment: it is either
		plain, hash = p.MGet(ctx, name), p.HGetAll(ctx, name)
		return nil
	})
	values, err := plain.Result()
	if err != nil {
		return nil, err
	}
	if text, ok := values[0].(string); ok {
		words := strings.SplitN(text, " ", 3)
		if len(words) == 3 {
			held(words[2], words[0], number(words[0])+1000*number(words[1]))
		}
	} else {
		fields, err := hash.Result()
		if err != nil {
			return nil, err
		}
		lock.Waiting = inLine(fields)
		if owner := fields["o"]; owner != "" {
			held(owner, fields["t"], number(fields["u"]))
		}
	}
	if lock.Holder == "" && len(lock.Waiting) == 0 {
		return nil, nil
	}
	return lock, nil
}

// inLine are the instances that wait for a Pub/Sub lock, the next one first.
func inLine(fields map[string]string) []string {
	type place struct {
		n      int64
		waiter string
	}
	var line []place
	for name, waiter := range fields {
		if n, ok := strings.CutPrefix(name, "q"); ok {
			line = append(line, place{number(n), waiter})
		}
	}
	slices.SortFunc(line, func(a, b place) int { return cmp.Compare(a.n, b.n) })
	var waiting []string
	for _, p := range line {
		waiting = append(waiting, instanceOf(p.waiter))
	}
	return waiting
}

// instanceOf is the instance in a waiter's name: what follows makes the name unique.
func instanceOf(waiter string) string {
	hub, _, _ := strings.Cut(waiter, "|")
	if i := strings.LastIndexByte(hub, '.'); i >= 0 {
		return hub[:i]
	}
	return hub
}

// number reads a number that the scripts have written.
func number(text string) int64 {
	n, _ := strconv.ParseInt(text, 10, 64) // nobody else writes there; 0 shows that somebody did
	return n
}
