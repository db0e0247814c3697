package handoff_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"holdfast/internal/testenv"
	"holdfast/lockprovider/lock"
	"holdfast/lockprovider/lock/handoff"
)

// BenchmarkHandoff is the Pub/Sub lock in one process; lockbench compares it with others and over processes.
func BenchmarkHandoff(b *testing.B) {
	for _, c := range []struct {
		name       string
		goroutines int
		keys, of   int
	}{
		{"alone", 1, 1, 1},
		{"hot key", 64, 1, 1},
		{"3 keys alone", 1, 3, 20},
		{"3 of 20 keys", 64, 3, 20},
	} {
		b.Run(c.name, func(b *testing.B) {
			benchmarkSections(b, c.goroutines, func(locks *handoff.Client) acquire {
				locker := locks.Locker(benchSettings)
				names := make([]string, c.of)
				for i := range names {
					names[i] = fmt.Sprintf("{many}%02d", i)
				}
				return func(ctx context.Context) (context.Context, lock.Lease, error) {
					keys := make([]string, 0, c.keys)
					for _, n := range rand.Perm(c.of)[:c.keys] {
						keys = append(keys, names[n])
					}
					return locker.Lock(ctx, keys)
				}
			})
		})
	}
}

// acquire begins a section.
type acquire func(ctx context.Context) (context.Context, lock.Lease, error)

var benchSettings = lock.Settings{Lease: 10 * time.Second, Wait: time.Minute, Poll: 300 * time.Millisecond}

// benchmarkSections times b.N empty sections of goroutines of one process.
func benchmarkSections(b *testing.B, goroutines int, open func(*handoff.Client) acquire) {
	b.Helper()
	options, err := redis.ParseURL(testenv.Redis(b).URL)
	if err != nil {
		b.Fatal(err)
	}
	client := redis.NewClient(options)
	defer client.Close()
	locks := handoff.Open(client, handoff.Options{Instance: "bench"})
	begin := open(locks)
	each := (b.N + goroutines - 1) / goroutines
	b.ReportAllocs()
	b.ResetTimer()
	var running sync.WaitGroup
	for range goroutines {
		running.Go(func() {
			ctx := context.Background()
			for range each {
				_, lease, err := begin(ctx)
				if err == nil {
					err = lease.Unlock(ctx)
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	running.Wait()
	b.StopTimer()
	if err := locks.Close(); err != nil {
		b.Error(err)
	}
}

// BenchmarkUncontended compares an uncontended lock with what its requests cost at least, one after the other in each round:
// the load of the machine changes from round to round. It reports the 10th percentile and the median of each, in µs.
//
//	go test ./lockprovider/lock/handoff -run '^$' -bench Uncontended -benchtime 200x
func BenchmarkUncontended(b *testing.B) {
	options, err := redis.ParseURL(testenv.Redis(b).URL)
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	client := redis.NewClient(options)
	defer client.Close()
	locks := handoff.Open(client, handoff.Options{Instance: "bench"})
	locker := locks.Locker(benchSettings)
	compareAndDelete := redis.NewScript("if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0")
	sections := []struct {
		name  string
		run   func() error
		times []time.Duration
	}{
		{name: "round-trips", run: func() error {
			return errors.Join(client.Echo(ctx, "key").Err(), client.Echo(ctx, "key").Err())
		}},
		{name: "bare-lock", run: func() error { // without fencing tokens, a queue, or a bound on either request
			return errors.Join(client.SetNX(ctx, "bare", "owner", 10*time.Second).Err(),
				compareAndDelete.Run(ctx, client, []string{"bare"}, "owner").Err())
		}},
		{name: "lock", run: func() error {
			_, lease, err := locker.Lock(ctx, []string{"key"})
			if err != nil {
				return err
			}
			return lease.Unlock(ctx)
		}},
	}
	const round = 50 // sections of a kind in a row: the first of them find its code and data out of the caches
	for b.Loop() {
		for i := range sections {
			s := &sections[i]
			for range round {
				began := time.Now()
				if err := s.run(); err != nil {
					b.Fatal(s.name, err)
				}
				s.times = append(s.times, time.Since(began))
			}
		}
	}
	b.StopTimer()
	for _, s := range sections {
		slices.Sort(s.times)
		b.ReportMetric(float64(s.times[len(s.times)/10].Nanoseconds())/1000, s.name+"-p10-µs")
		b.ReportMetric(float64(s.times[len(s.times)/2].Nanoseconds())/1000, s.name+"-p50-µs")
	}
	if err := locks.Close(); err != nil {
		b.Error(err)
	}
}
