package lock

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// setnx is the lock everybody writes first: SET key token NX PX lease, asked for again and again (a spin lock), and a
// release that deletes the key only while it still holds the token. The pattern is Redis' own:
// https://redis.io/docs/latest/develop/use/patterns/distributed-locks/ (single instance).
type setnx struct {
	redis    redis.UniversalClient
	settings Settings
	metrics  Metrics
}

// NewSetNX returns that lock. Retries of the client must be off (MaxRetries: -1).
func NewSetNX(r redis.UniversalClient, s Settings, m Metrics) Locker {
	return RefuseNesting(&setnx{redis: r, settings: s, metrics: m})
}

// Lock acquires the keys one after the other, in an order that is the same for all callers. If it cannot have all, it
// releases those that it has.
func (l *setnx) Lock(ctx context.Context, keys []string) (context.Context, Lease, error) {
	keys = SortedKeys(keys)
	waiting, cancel := WithWait(ctx, l.settings.Wait)
	defer cancel()
	token := NewToken()
	taken := partial{term: l.settings.Lease, extend: func(ctx context.Context, held int) error {
		return extendKeys(ctx, l.redis, keys[:held], token, l.settings.Lease)
	}}
	for i, key := range keys {
		asked, err := l.lockOne(waiting, key, token, &taken)
		if err != nil {
			err = StoreError(waiting, "redis", err)
			// The key that failed is released too: its reply may have been lost after Redis had set it.
			giveUp(ctx, func(ctx context.Context) error { return releaseKeys(ctx, l.redis, keys[:i+1], token) })
			return nil, nil, err
		}
		taken.add(asked)
	}
	held, lease := KeepAlive(ctx, taken.asked, l.settings.Lease,
		func(ctx context.Context) error {
			err := extendKeys(ctx, l.redis, keys, token, l.settings.Lease)
			l.metrics.Renewed(err)
			return err
		},
		func(ctx context.Context) error { return releaseKeys(ctx, l.redis, keys, token) })
	return held, lease, nil
}

func (l *setnx) lockOne(ctx context.Context, key, token string, taken *partial) (asked time.Time, err error) {
	for {
		// Not canceled: a SET that reached Redis after the release that follows would hold the key for a lease.
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), RequestTimeout)
		asked = time.Now()
		err := l.redis.SetArgs(bounded, key, token, redis.SetArgs{Mode: "NX", TTL: l.settings.Lease}).Err()
		cancel()
		if err == nil {
			return asked, ctx.Err()
		}
		if !errors.Is(err, redis.Nil) {
			return asked, err
		}
		if l.settings.Wait <= 0 {
			return asked, ErrTimeout
		}
		if err := Pause(ctx, Jitter(l.settings.Poll)); err != nil {
			return asked, err
		}
		if err := taken.keep(ctx); err != nil {
			return asked, err
		}
	}
}

// Both scripts act only on a key that still holds the caller's token: a lock that has expired may be another holder's.
var (
	releaseScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`)
	extendScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0`)
)

// releaseKeys releases the keys in reverse order. It tries all of them, and returns ErrLost if one was not held.
func releaseKeys(ctx context.Context, r redis.UniversalClient, keys []string, token string) error {
	var errs []error
	for i := len(keys) - 1; i >= 0; i-- {
		n, err := releaseScript.Run(ctx, r, keys[i:i+1], token).Int()
		switch {
		case err != nil:
			errs = append(errs, err)
		case n == 0:
			errs = append(errs, fmt.Errorf("%w: %s", ErrLost, keys[i]))
		}
	}
	return errors.Join(errs...)
}

func extendKeys(ctx context.Context, r redis.UniversalClient, keys []string, token string, lease time.Duration) error {
	for _, key := range keys {
		n, err := extendScript.Run(ctx, r, []string{key}, token, lease.Milliseconds()).Int()
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("%w: %s", ErrLost, key)
		}
	}
	return nil
}
