package handoff

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"holdfast/lockprovider/lock"
)

// Inspect finds hand-off locks whose keys begin with a prefix, at most limit of them, in no order. It goes through all
// keys of Redis in small steps: it is for people who look for what is stuck.
func Inspect(ctx context.Context, r redis.UniversalClient, prefix string, limit int) ([]lock.Held, error) {
	return lock.Scan(ctx, r, "holdfast:{"+prefix+"*", limit, readLock)
}

// readLock reads one lock. It returns nil if the lock is gone by now, or if Redis only remembers its last token.
func readLock(ctx context.Context, r redis.UniversalClient, name string) (*lock.Held, error) {
	found := &lock.Held{Key: strings.TrimSuffix(strings.TrimPrefix(name, "holdfast:{"), "}")}
	held := func(owner, token string, since, until time.Time) {
		found.Holder, found.Fence = instanceOf(owner), number(token)
		found.Since, found.Until = since.UTC(), until.UTC()
	}
	var plain *redis.SliceCmd
	var left *redis.DurationCmd
	var clock *redis.TimeCmd
	var hash *redis.MapStringStringCmd
	_, _ = r.TxPipelined(ctx, func(p redis.Pipeliner) error { // at one moment: the lock is a string or a hash
		plain, left, clock, hash = p.MGet(ctx, name), p.PTTL(ctx, name), p.Time(ctx), p.HGetAll(ctx, name)
		return nil
	})
	values, err := plain.Result()
	if err != nil {
		return nil, err
	}
	if text, ok := values[0].(string); ok {
		words := strings.SplitN(text, " ", 3)
		if len(words) == 3 {
			until := clock.Val().Add(left.Val())
			held(words[2], words[0], until.Add(-time.Duration(number(words[1]))*time.Millisecond), until)
		}
	} else {
		fields, err := hash.Result()
		if err != nil {
			return nil, err
		}
		found.Waiting = waitQueue(fields)
		if owner := fields["o"]; owner != "" {
			since := number(fields["t"])
			if begin, first, _ := strings.Cut(fields["s"], " "); first == owner {
				since = number(begin)
			}
			held(owner, fields["t"], time.UnixMicro(since), time.UnixMicro(number(fields["u"])))
		}
	}
	if found.Holder == "" && len(found.Waiting) == 0 {
		return nil, nil
	}
	return found, nil
}

// waitQueue returns the instances in the wait queue of a lock, the next one first.
func waitQueue(fields map[string]string) []string {
	type entry struct {
		n      int64
		waiter string
	}
	var queue []entry
	for name, waiter := range fields {
		if n, ok := strings.CutPrefix(name, "q"); ok {
			queue = append(queue, entry{number(n), waiter})
		}
	}
	slices.SortFunc(queue, func(a, b entry) int { return cmp.Compare(a.n, b.n) })
	var waiting []string
	for _, e := range queue {
		waiting = append(waiting, instanceOf(e.waiter))
	}
	return waiting
}

// instanceOf returns the instance in a waiter's name: what follows makes the name unique.
func instanceOf(waiter string) string {
	client, _, _ := strings.Cut(waiter, "|")
	if i := strings.LastIndexByte(client, '.'); i >= 0 {
		return client[:i]
	}
	return client
}

// number reads a number that the scripts have written. Nobody else writes there; 0 shows that somebody did.
func number(text string) int64 {
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}
