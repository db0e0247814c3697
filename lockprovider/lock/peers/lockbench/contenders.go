package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bsm/redislock"
	"github.com/go-redsync/redsync/v4"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
	"github.com/redis/rueidis/rueidislock"

	"holdfast/lockprovider/lock"
	"holdfast/lockprovider/lock/handoff"
)

// Bounds of every contender: nobody gives up, and no lease ends, within a measurement.
const (
	leaseTerm = 10 * time.Second
	waitBound = 60 * time.Second
	pollDelay = 5 * time.Millisecond
)

// contender is one lock, in one process.
type contender interface {
	// lock takes the keys, which are sorted and distinct.
	lock(ctx context.Context, keys []string) (unlock func() error, err error)
	// requests is what has been sent to Redis, -1 if only Redis knows or the store is another one.
	requests() int64
	close()
}

// The names that the check compares.
const (
	nameOurs      = "pubsub (ours)"
	nameRedsync   = "redsync, default delay"
	nameRueidis   = "rueidislock"
	nameMutex     = "in-process mutex"
	nameRoundTrip = "two bare round trips"
	nameFloor     = "mutex + two bare round trips"
)

type entry struct {
	name string
	// local does not reach over processes: it is the ideal, or the floor.
	local bool
	store store
	open  func(url string, name string) (contender, error)
}

// entries are measured in this order: ours right after what it is compared with most closely.
var entries = []entry{
	{name: nameMutex, local: true, open: func(string, string) (contender, error) { return &mutexes{}, nil }},
	{name: nameRoundTrip, local: true, open: openRoundTrips},
	{name: nameFloor, local: true, open: openFloor},
	{name: nameOurs, open: openOurs(openHandoff, 300*time.Millisecond)},
	{name: "setnx, 5 ms", open: openOurs(openSetNX, pollDelay)},
	{name: nameRedsync, open: openRedsync()},
	{name: "redsync, 5 ms", open: openRedsync(redsync.WithRetryDelay(pollDelay))},
	{name: "bsm/redislock, 5 ms", open: openRedislock},
	{name: nameRueidis, open: openRueidis},
	{name: "postgresql", store: inPostgres, open: openPostgres},
	{name: "mariadb", store: inMariaDB, open: openMariaDB},
	{name: "etcd", store: inEtcd, open: openEtcd},
}

func open(name, url, instance string) (contender, error) {
	for _, e := range entries {
		if e.name == name {
			c, err := e.open(url, instance)
			if err != nil {
				return nil, fmt.Errorf("open %s: %w", name, err)
			}
			return c, nil
		}
	}
	return nil, fmt.Errorf("no contender %q", name)
}

// counter counts what a go-redis client sends.
type counter struct{ n atomic.Int64 }

func (c *counter) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *counter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.count(cmd)
		return next(ctx, cmd)
	}
}

func (c *counter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			c.count(cmd)
		}
		return next(ctx, cmds)
	}
}

// count leaves out how a connection introduces itself: that is once a connection, not a section.
func (c *counter) count(cmd redis.Cmder) {
	switch cmd.Name() {
	case "hello", "client", "auth", "select":
	default:
		c.n.Add(1)
	}
}

// goRedis is what contenders over go-redis have in common.
type goRedis struct {
	client *redis.Client
	sent   counter
	ears   *ears // nil: those of the client itself
}

func (g *goRedis) connect(url string) error {
	options, err := redis.ParseURL(url)
	if err != nil {
		return err
	}
	options.MaxRetries, options.PoolSize, options.ContextTimeoutEnabled = -1, 64, true
	if g.ears != nil {
		options.Dialer = g.ears.dial
	}
	g.client = redis.NewClient(options)
	g.client.AddHook(&g.sent)
	return nil
}

func (g *goRedis) requests() int64 { return g.sent.n.Load() }
func (g *goRedis) close()          { _ = g.client.Close() }

// ours is a locker of this repository.
type ours struct {
	goRedis
	locker      lock.Locker
	closeLocker func() error
}

// opener opens one of our locks.
type opener func(r redis.UniversalClient, instance string, s lock.Settings) (locker lock.Locker, closeLocker func() error)

func openHandoff(r redis.UniversalClient, instance string, s lock.Settings) (lock.Locker, func() error) {
	client := handoff.Open(r, handoff.Options{Instance: instance})
	return client.Locker(s), client.Close
}

func openSetNX(r redis.UniversalClient, _ string, s lock.Settings) (lock.Locker, func() error) {
	return lock.NewSetNX(r, s, lock.NoMetrics{}), func() error { return nil }
}

func openOurs(open opener, poll time.Duration) func(url, instance string) (contender, error) {
	return func(url, instance string) (contender, error) {
		return openLocker(open, url, instance, lock.Settings{Wait: waitBound, Lease: leaseTerm, Poll: poll})
	}
}

func openLocker(open opener, url, instance string, settings lock.Settings) (*ours, error) {
	o := &ours{}
	err := o.open(open, url, instance, settings)
	return o, err
}

func (o *ours) open(open opener, url, instance string, settings lock.Settings) error {
	if err := o.connect(url); err != nil {
		return err
	}
	o.locker, o.closeLocker = open(o.client, instance, settings)
	return nil
}

func (o *ours) lock(ctx context.Context, keys []string) (func() error, error) {
	_, lease, err := o.locker.Lock(ctx, keys)
	if err != nil {
		return nil, err
	}
	return func() error { return lease.Unlock(ctx) }, nil
}

func (o *ours) close() {
	_ = o.closeLocker()
	o.goRedis.close()
}

// oneByOne takes several keys with a lock that knows one: in their order, so that nobody waits for each other.
func oneByOne(keys []string, lock func(string) (func() error, error)) (func() error, error) {
	var unlocks []func() error
	unlock := func() error {
		for _, each := range slices.Backward(unlocks) {
			if err := each(); err != nil {
				return err
			}
		}
		return nil
	}
	for _, key := range keys {
		each, err := lock(key)
		if err != nil {
			_ = unlock()
			return nil, err
		}
		unlocks = append(unlocks, each)
	}
	return unlock, nil
}

type redsyncLock struct {
	goRedis
	redsync *redsync.Redsync
	options []redsync.Option
}

func openRedsync(options ...redsync.Option) func(url, instance string) (contender, error) {
	return func(url, _ string) (contender, error) {
		l := &redsyncLock{}
		if err := l.connect(url); err != nil {
			return nil, err
		}
		l.redsync = redsync.New(goredis.NewPool(l.client))
		l.options = append([]redsync.Option{redsync.WithExpiry(leaseTerm), redsync.WithTries(1 << 30)}, options...)
		return l, nil
	}
}

func (l *redsyncLock) lock(ctx context.Context, keys []string) (func() error, error) {
	return oneByOne(keys, func(key string) (func() error, error) {
		m := l.redsync.NewMutex(key, l.options...)
		if err := m.LockContext(ctx); err != nil {
			return nil, err
		}
		return func() error {
			_, err := m.UnlockContext(ctx)
			return err
		}, nil
	})
}

type bsmRedislock struct {
	goRedis
	locks *redislock.Client
}

func openRedislock(url, _ string) (contender, error) {
	l := &bsmRedislock{}
	if err := l.connect(url); err != nil {
		return nil, err
	}
	l.locks = redislock.New(l.client)
	return l, nil
}

func (l *bsmRedislock) lock(ctx context.Context, keys []string) (func() error, error) {
	ctx, cancel := context.WithTimeout(ctx, waitBound) // without a deadline it gives up after its TTL
	defer cancel()
	unlock, err := oneByOne(keys, func(key string) (func() error, error) {
		lock, err := l.locks.Obtain(ctx, key, leaseTerm, &redislock.Options{RetryStrategy: redislock.LinearBackoff(pollDelay)})
		if err != nil {
			return nil, err
		}
		return func() error { return lock.Release(context.WithoutCancel(ctx)) }, nil
	})
	return unlock, err
}

type rueidisLock struct{ locker rueidislock.Locker }

func openRueidis(url, _ string) (contender, error) {
	options, err := rueidis.ParseURL(url)
	if err != nil {
		return nil, err
	}
	// One key, as the others have one, and its own recommendation for Redis 7.0.5 and later. It gives up an answer that takes longer
	// than TryNextAfter, 20 ms by default, and then waits to hear that the key is free. Because of NoLoopTracking it does not hear
	// so of what it has freed itself, and would wait for ever.
	locker, err := rueidislock.NewLocker(rueidislock.LockerOption{
		ClientOption: options, KeyMajority: 1, NoLoopTracking: true, KeyValidity: leaseTerm, TryNextAfter: leaseTerm,
	})
	if err != nil {
		return nil, err
	}
	return &rueidisLock{locker}, nil
}

func (l *rueidisLock) lock(ctx context.Context, keys []string) (func() error, error) {
	return oneByOne(keys, func(key string) (func() error, error) {
		_, cancel, err := l.locker.WithContext(ctx, key)
		if err != nil {
			return nil, err
		}
		return func() error { cancel(); return nil }, nil
	})
}

func (*rueidisLock) requests() int64 { return -1 }
func (l *rueidisLock) close()        { l.locker.Close() }

// mutexes are the ideal: no Redis at all.
type mutexes struct{ byKey sync.Map }

func (m *mutexes) lock(_ context.Context, keys []string) (func() error, error) {
	return oneByOne(keys, func(key string) (func() error, error) {
		entry, _ := m.byKey.LoadOrStore(key, &sync.Mutex{})
		mutex, _ := entry.(*sync.Mutex)
		mutex.Lock()
		return func() error { mutex.Unlock(); return nil }, nil
	})
}

func (*mutexes) requests() int64 { return 0 }
func (*mutexes) close()          {}

// roundTrips are the floor: what a lock sends at least, and nothing is locked.
type roundTrips struct{ goRedis }

func openRoundTrips(url, _ string) (contender, error) {
	r := &roundTrips{}
	err := r.connect(url)
	return r, err
}

func (r *roundTrips) lock(ctx context.Context, keys []string) (func() error, error) {
	key := strings.Join(keys, " ")
	if err := r.client.Echo(ctx, key).Err(); err != nil {
		return nil, err
	}
	return func() error { return r.client.Echo(ctx, key).Err() }, nil
}

// floor excludes for nothing, and sends what a lock sends at least. For several keys it is the fairer floor: who waits for
// a key cannot keep Redis busy meanwhile.
type floor struct {
	roundTrips
	mutexes mutexes
}

func openFloor(url, _ string) (contender, error) {
	f := &floor{}
	err := f.connect(url)
	return f, err
}

func (f *floor) lock(ctx context.Context, keys []string) (func() error, error) {
	release, err := f.mutexes.lock(ctx, keys)
	if err != nil {
		return nil, err
	}
	leave, err := f.roundTrips.lock(ctx, keys)
	if err != nil {
		return nil, errors.Join(err, release())
	}
	return func() error { return errors.Join(leave(), release()) }, nil
}
