package handoff_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"holdfast/internal/testenv"
	"holdfast/lockprovider/lock"
	"holdfast/lockprovider/lock/handoff"
)

// patience is how long a test waits for what must happen. It is no measure: only a hang should fail.
const patience = 2 * time.Minute

// inMessages are settings with which nobody is served who is not told by a message, and no lease ends.
var inMessages = lock.Settings{Wait: patience, Lease: time.Hour, Poll: time.Hour}

// onEachRedis runs a test on a real Redis, and on the one that is embedded. open opens the client of another process.
func onEachRedis(t *testing.T, test func(t *testing.T, r *redis.Client, open func() *handoff.Client)) {
	t.Helper()
	for name, addr := range handoff.RedisAddresses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := addr(t)
			connect := func() *redis.Client {
				client := redis.NewClient(&redis.Options{Addr: at, MaxRetries: -1})
				t.Cleanup(func() { _ = client.Close() })
				return client
			}
			test(t, connect(), func() *handoff.Client {
				client := handoff.Open(connect(), handoff.Options{Instance: "test"})
				t.Cleanup(func() {
					if err := client.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
						t.Error(err)
					}
				})
				return client
			})
		})
	}
}

// acquisition is a call under way of something that acquires.
type acquisition struct {
	done  chan struct{}
	held  context.Context
	lease lock.Lease
	err   error
}

func begin(acquire func() (context.Context, lock.Lease, error)) *acquisition {
	a := &acquisition{done: make(chan struct{})}
	go func() {
		defer close(a.done)
		a.held, a.lease, a.err = acquire()
	}()
	return a
}

func await(t *testing.T, done <-chan struct{}, what string) {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		t.Fatalf("waited %v for %s", patience, what)
	}
}

func (a *acquisition) granted(t *testing.T, what string) *acquisition {
	t.Helper()
	await(t, a.done, what)
	if a.err != nil {
		t.Fatalf("%s: %v", what, a.err)
	}
	return a
}

func (a *acquisition) unlock(t *testing.T) {
	t.Helper()
	if err := a.lease.Unlock(context.Background()); err != nil {
		t.Error(err)
	}
}

func (a *acquisition) waits(t *testing.T, what string) {
	t.Helper()
	select {
	case <-a.done:
		t.Errorf("%s does not wait: %v", what, a.err)
	default:
	}
}

// eventually waits for something that can only be looked at.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// queued returns how many waiters are in the queue of a key, as Redis has it.
func queued(t *testing.T, r *redis.Client, name string) int {
	t.Helper()
	fields, err := r.HKeys(context.Background(), name).Result()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, field := range fields {
		if strings.HasPrefix(field, "q") {
			n++
		}
	}
	return n
}

// TestReadersAndWriters: readers that follow each other hold the lock together. A writer waits for them, readers that come
// after it wait behind it, and all are told by messages.
func TestReadersAndWriters(t *testing.T) {
	onEachRedis(t, func(t *testing.T, r *redis.Client, open func() *handoff.Client) {
		keys := []string{"k"}
		read := func() *acquisition {
			l := open().RWLocker(inMessages)
			return begin(func() (context.Context, lock.Lease, error) { return l.RLock(context.Background(), keys) })
		}
		write := func() *acquisition {
			l := open().RWLocker(inMessages)
			return begin(func() (context.Context, lock.Lease, error) { return l.Lock(context.Background(), keys) })
		}
		const name = "holdfast-rw:{k}"
		inLine := func(n int) {
			t.Helper()
			eventually(t, "the next one to be in line", func() bool { return queued(t, r, name) == n })
		}
		first, second := read().granted(t, "a reader"), read().granted(t, "a second reader")
		writer := write()
		inLine(1)
		third := read()
		inLine(2)
		fourth := read()
		inLine(3)
		last := write()
		inLine(4)
		first.unlock(t)
		writer.waits(t, "a writer beside a reader")
		third.waits(t, "a reader behind a writer")
		second.unlock(t)
		writer.granted(t, "the writer")
		third.waits(t, "a reader beside a writer")
		writer.unlock(t)
		third.granted(t, "the reader after the writer")
		fourth.granted(t, "the reader after that")
		last.waits(t, "a writer beside readers")
		fence := func(lease lock.Lease) int64 {
			token, err := lease.Fence(t.Context(), "k")
			if err != nil {
				t.Error(err)
			}
			return token
		}
		r0, w, r1, r2 := fence(second.lease), fence(writer.lease), fence(third.lease), fence(fourth.lease)
		if w <= r0 || r1 <= w || r2 <= r1 {
			t.Errorf("tokens: second reader %d, writer %d, readers after it %d and %d", r0, w, r1, r2)
		}
		fourth.unlock(t)
		third.unlock(t)
		last.granted(t, "the last writer").unlock(t)
		if n := r.Exists(context.Background(), name).Val(); n != 0 {
			t.Error("an idle lock is left in Redis")
		}
	})
}

// users are the callers of TestSharedUse that are in a section.
type users struct{ readers, writers, units, sections atomic.Int64 }

// limitOfUsers is the limit of the semaphore of TestSharedUse.
const limitOfUsers = 4

// use reads, writes, or takes units, or gives up before.
func (u *users) use(t *testing.T, l *handoff.RWLocker, s *handoff.Semaphore, random *rand.Rand) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if random.IntN(4) == 0 {
		time.AfterFunc(time.Duration(random.IntN(3000))*time.Microsecond, cancel)
	}
	counter, n := &u.units, int64(1)
	var lease lock.Lease
	var err error
	switch random.IntN(3) {
	case 0:
		counter = &u.readers
		_, lease, err = l.RLock(ctx, []string{"k"})
	case 1:
		counter = &u.writers
		_, lease, err = l.Lock(ctx, []string{"k"})
	default:
		n += random.Int64N(limitOfUsers)
		_, lease, err = s.Acquire(ctx, "k", n)
	}
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("acquire: %v", err)
		}
		return
	}
	counter.Add(n)
	if r, w := u.readers.Load(), u.writers.Load(); counter != &u.units && (w > 1 || w == 1 && r > 0) {
		t.Errorf("%d writers and %d readers hold the lock", w, r)
	}
	if all := u.units.Load(); all > limitOfUsers {
		t.Errorf("%d units of %d are held", all, limitOfUsers)
	}
	u.sections.Add(1)
	<-time.After(time.Duration(random.IntN(1000)) * time.Microsecond)
	counter.Add(-n)
	if err := lease.Unlock(ctx); err != nil {
		t.Errorf("Unlock: %v", err)
	}
}

// TestSharedUse has several processes with many goroutines use a read-write lock and a semaphore, some of which give up.
func TestSharedUse(t *testing.T) {
	onEachRedis(t, func(t *testing.T, r *redis.Client, open func() *handoff.Client) {
		const processes, goroutines, rounds = 3, 8, 15
		settings := lock.Settings{Wait: patience, Lease: time.Hour, Poll: 300 * time.Millisecond}
		var u users
		var running sync.WaitGroup
		for p := range processes {
			client := open()
			l, s := client.RWLocker(settings), client.Semaphore(limitOfUsers, settings)
			for g := range goroutines {
				random := rand.New(rand.NewPCG(uint64(p), uint64(g)))
				running.Go(func() {
					for range rounds {
						u.use(t, l, s, random)
					}
				})
			}
		}
		running.Wait()
		if n := u.sections.Load(); n < processes*goroutines*rounds/2 {
			t.Errorf("%d sections", n)
		}
		eventually(t, "Redis to forget all", func() bool {
			return r.Exists(context.Background(), "holdfast-rw:{k}", "holdfast-semaphore:{k}").Val() == 0
		})
	})
}

// TestWaitersShareASubscription: the waiters of a process wait on one connection.
func TestWaitersShareASubscription(t *testing.T) {
	options, err := redis.ParseURL(testenv.Redis(t).URL)
	if err != nil {
		t.Fatal(err)
	}
	r := redis.NewClient(&redis.Options{Addr: options.Addr, MaxRetries: -1, PoolSize: 4})
	defer r.Close()
	client := handoff.Open(r, handoff.Options{Instance: "test"})
	defer client.Close()
	s := client.Semaphore(1, inMessages)
	acquire := func() (context.Context, lock.Lease, error) { return s.Acquire(context.Background(), "k", 1) }
	holder := begin(acquire).granted(t, "the first")
	const waiters = 50
	var all []*acquisition
	for range waiters {
		all = append(all, begin(acquire))
	}
	eventually(t, "all to be in line", func() bool { return queued(t, r, "holdfast-semaphore:{k}") == waiters })
	list, err := r.ClientList(context.Background()).Result()
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(list, "\n"); n > 5 {
		t.Errorf("%d connections for %d waiters, with a pool of 4:\n%s", n, waiters, list)
	}
	holder.unlock(t)
	var served sync.WaitGroup
	for _, a := range all {
		served.Go(func() {
			<-a.done
			if a.err != nil {
				t.Error(a.err)
				return
			}
			if err := a.lease.Unlock(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	served.Wait()
}

// TestDeadHoldersFreeTheirUnits: the units of a holder that is gone are free at the end of its lease, and others go on at once
// with those that it did not hold.
func TestDeadHoldersFreeTheirUnits(t *testing.T) {
	onEachRedis(t, func(t *testing.T, _ *redis.Client, open func() *handoff.Client) {
		lease := testenv.Scaled(time.Second)
		settings := lock.Settings{Wait: patience, Lease: lease, Poll: 100 * time.Millisecond}
		dead, living := open(), open()
		began := time.Now()
		_, _, err := dead.Semaphore(3, settings).Acquire(context.Background(), "k", 2)
		if err != nil {
			t.Fatal(err)
		}
		if err := dead.Close(); err != nil { // it renews nothing any more
			t.Fatal(err)
		}
		settings.Wait = 0
		s := living.Semaphore(3, settings)
		one := begin(func() (context.Context, lock.Lease, error) { return s.Acquire(context.Background(), "k", 1) }).granted(t, "1 of 3")
		if _, _, err := s.Acquire(context.Background(), "k", 2); !errors.Is(err, lock.ErrTimeout) && time.Since(began) < lease {
			t.Errorf("units of the dead: %v, want ErrTimeout", err)
		}
		settings.Wait = patience
		s = living.Semaphore(3, settings)
		begin(func() (context.Context, lock.Lease, error) { return s.Acquire(context.Background(), "k", 2) }).
			granted(t, "the units of the dead").unlock(t)
		one.unlock(t)
	})
}

// TestAllHoldersAreToldOfALoss: if Redis has forgotten a lock, the contexts of all its readers end.
func TestAllHoldersAreToldOfALoss(t *testing.T) {
	onEachRedis(t, func(t *testing.T, r *redis.Client, open func() *handoff.Client) {
		settings := lock.Settings{Wait: patience, Lease: testenv.Scaled(time.Second), Poll: 100 * time.Millisecond}
		var readers []*acquisition
		for range 4 {
			l := open().RWLocker(settings)
			readers = append(readers,
				begin(func() (context.Context, lock.Lease, error) { return l.RLock(context.Background(), []string{"a", "b"}) }).
					granted(t, "a reader"))
		}
		if err := r.Del(context.Background(), "holdfast-rw:{b}").Err(); err != nil {
			t.Fatal(err)
		}
		for _, reader := range readers {
			await(t, reader.held.Done(), "a reader to be told")
			if cause := context.Cause(reader.held); !errors.Is(cause, lock.ErrLost) {
				t.Errorf("the context ended with %v, want ErrLost", cause)
			}
			if err := reader.lease.Unlock(context.Background()); !errors.Is(err, lock.ErrLost) {
				t.Errorf("Unlock: %v, want ErrLost", err)
			}
		}
		if n := r.Exists(context.Background(), "holdfast-rw:{a}").Val(); n != 0 {
			t.Error("the key that was not lost is still held")
		}
	})
}

// TestRestartWhileWaiting: a Redis that comes back without its data serves the readers and writers that waited, and tells the
// holder.
func TestRestartWhileWaiting(t *testing.T) {
	server := testenv.Redis(t)
	options, err := redis.ParseURL(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	open := func() *handoff.RWLocker {
		r := redis.NewClient(&redis.Options{Addr: options.Addr, MaxRetries: -1})
		client := handoff.Open(r, handoff.Options{Instance: "test"})
		t.Cleanup(func() {
			_ = client.Close()
			_ = r.Close()
		})
		return client.RWLocker(lock.Settings{Wait: patience, Lease: time.Hour, Poll: 100 * time.Millisecond})
	}
	keys := []string{"k"}
	// A waiter may be told that Redis is away. It asks again, as its caller would.
	again := func(acquire func(context.Context, []string) (context.Context, lock.Lease, error)) *acquisition {
		return begin(func() (context.Context, lock.Lease, error) {
			for {
				held, lease, err := acquire(context.Background(), keys)
				if !errors.Is(err, lock.ErrUnavailable) {
					return held, lease, err
				}
			}
		})
	}
	spy := redis.NewClient(&redis.Options{Addr: options.Addr})
	t.Cleanup(func() { _ = spy.Close() })
	holder := again(open().Lock).granted(t, "the holder")
	readers := []*acquisition{again(open().RLock), again(open().RLock)}
	eventually(t, "the readers to be in line", func() bool { return queued(t, spy, "holdfast-rw:{k}") == len(readers) })
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	for _, reader := range readers {
		reader.granted(t, "a reader after the restart")
	}
	await(t, holder.held.Done(), "the holder to be told") // its lease is an hour: the reconnection tells
	if cause := context.Cause(holder.held); !errors.Is(cause, lock.ErrLost) {
		t.Errorf("the context ended with %v, want ErrLost", cause)
	}
	for _, reader := range readers {
		reader.unlock(t)
	}
}

// TestSemaphoreRefuses has what a caller did wrong.
func TestSemaphoreRefuses(t *testing.T) {
	onEachRedis(t, func(t *testing.T, _ *redis.Client, open func() *handoff.Client) {
		client := open()
		ctx := context.Background()
		s := client.Semaphore(3, inMessages)
		for _, units := range []int64{0, -1, 4} {
			if _, _, err := s.Acquire(ctx, "k", units); err == nil {
				t.Errorf("%d units of 3 were granted", units)
			}
		}
		if _, _, err := client.Semaphore(1<<40, inMessages).Acquire(ctx, "k", 1); err == nil {
			t.Error("a limit of 2^40 was taken")
		}
		held, lease, err := s.Acquire(ctx, "k", 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Acquire(held, "k", 1); !errors.Is(err, lock.ErrNested) {
			t.Errorf("more units of the same key: %v, want ErrNested", err)
		}
		_, _, err = open().Semaphore(5, inMessages).Acquire(ctx, "k", 1)
		if !errors.Is(err, handoff.ErrLimit) || !strings.Contains(err.Error(), "a limit of 3, this client wants 5") {
			t.Errorf("another limit: %v, want ErrLimit with both", err)
		}
		if err := lease.Unlock(ctx); err != nil {
			t.Error(err)
		}
		_, lease, err = open().Semaphore(5, inMessages).Acquire(ctx, "k", 5)
		if err != nil {
			t.Errorf("another limit when idle: %v", err)
		} else if err := lease.Unlock(ctx); err != nil {
			t.Error(err)
		}
	})
}

// TestRWLockerNesting: a context that reads a key can neither write it nor read it again. Locks of another kind are others.
func TestRWLockerNesting(t *testing.T) {
	onEachRedis(t, func(t *testing.T, _ *redis.Client, open func() *handoff.Client) {
		client := open()
		l, keys := client.RWLocker(inMessages), []string{"k"}
		held, lease, err := l.RLocker().Lock(context.Background(), keys)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := l.Lock(held, keys); !errors.Is(err, lock.ErrNested) {
			t.Errorf("an upgrade: %v, want ErrNested", err)
		}
		if _, _, err := l.RLock(held, keys); !errors.Is(err, lock.ErrNested) {
			t.Errorf("a second read: %v, want ErrNested", err)
		}
		_, other, err := client.Locker(inMessages).Lock(held, keys)
		if err != nil {
			t.Fatalf("the lock of that key: %v", err)
		}
		for _, lease := range []lock.Lease{other, lease} {
			if err := lease.Unlock(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
}
