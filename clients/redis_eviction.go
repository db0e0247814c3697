package clients

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// ErrPolicyUnknown means that Redis does not say what it does when its memory is full, such as a managed one that forbids
// CONFIG.
var ErrPolicyUnknown = errors.New("redis does not tell its maxmemory-policy")

// NeverEvicts returns an error where a server may throw away keys when its memory is full: what is nowhere else yet would be
// gone, and nobody would be told. Of Sentinels it asks the master; the replicas that may follow it are configured alike, or
// nothing can be promised. Errors: ErrPolicyUnknown.
func (r *Redis) NeverEvicts(ctx context.Context) error {
	if r.Embedded {
		return nil // it has no bound
	}
	if cluster, ok := r.Client.(*redis.ClusterClient); ok {
		var (
			mu   sync.Mutex
			errs []error
		)
		err := cluster.ForEachShard(ctx, func(ctx context.Context, node *redis.Client) error {
			if err := neverEvicts(ctx, node); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, fmt.Errorf("%s: %w", node.Options().Addr, err))
			}
			return nil
		})
		return errors.Join(append(errs, err)...)
	}
	return neverEvicts(ctx, r.Client)
}

func neverEvicts(ctx context.Context, node redis.Cmdable) error {
	config := map[string]string{}
	for _, setting := range []string{"maxmemory", "maxmemory-policy"} { // Redis before 7 takes one at a time
		found, err := node.ConfigGet(ctx, setting).Result()
		switch refused := redis.Error(nil); {
		case errors.As(err, &refused):
			return fmt.Errorf("%w: CONFIG GET %s: %w", ErrPolicyUnknown, setting, err)
		case err != nil:
			return fmt.Errorf("CONFIG GET %s: %w", setting, err)
		case found[setting] == "":
			return fmt.Errorf("%w: no answer to CONFIG GET %s", ErrPolicyUnknown, setting)
		}
		config[setting] = found[setting]
	}
	limit, policy := config["maxmemory"], config["maxmemory-policy"]
	if limit == "0" || strings.EqualFold(policy, "noeviction") {
		return nil
	}
	return fmt.Errorf("redis has maxmemory-policy %s with maxmemory %s, and so may throw away what is not in the database yet: "+
		"set it to noeviction (CONFIG SET maxmemory-policy noeviction, and the same in redis.conf), or maxmemory to 0", policy, limit)
}
