package handoff_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"holdfast/internal/testenv"
	"holdfast/lockprovider/lock"
	"holdfast/lockprovider/lock/handoff"
)

// BenchmarkSemaphore is a section under a read-write lock or a semaphore, of goroutines of one process.
func BenchmarkSemaphore(b *testing.B) {
	type acquire func(ctx context.Context) (context.Context, lock.Lease, error)
	settings := lock.Settings{Lease: 10 * time.Second, Wait: time.Minute, Poll: 300 * time.Millisecond}
	keys := []string{"k"}
	read := func(c *handoff.Client) acquire {
		l := c.RWLocker(settings)
		return func(ctx context.Context) (context.Context, lock.Lease, error) { return l.RLock(ctx, keys) }
	}
	write := func(c *handoff.Client) acquire {
		l := c.RWLocker(settings)
		return func(ctx context.Context) (context.Context, lock.Lease, error) { return l.Lock(ctx, keys) }
	}
	of8 := func(c *handoff.Client) acquire {
		s := c.Semaphore(8, settings)
		return func(ctx context.Context) (context.Context, lock.Lease, error) { return s.Acquire(ctx, "k", 1) }
	}
	for _, c := range []struct {
		name       string
		goroutines int
		open       func(*handoff.Client) acquire
	}{
		{"write alone", 1, write},
		{"read alone", 1, read},
		{"64 read", 64, read},
		{"64 write", 64, write},
		{"64 take one of 8", 64, of8},
	} {
		b.Run(c.name, func(b *testing.B) {
			options, err := redis.ParseURL(testenv.Redis(b).URL)
			if err != nil {
				b.Fatal(err)
			}
			client := redis.NewClient(options)
			defer client.Close()
			locks := handoff.Open(client, handoff.Options{Instance: "bench"})
			section := c.open(locks)
			each := (b.N + c.goroutines - 1) / c.goroutines
			b.ReportAllocs()
			b.ResetTimer()
			var running sync.WaitGroup
			for range c.goroutines {
				running.Go(func() {
					ctx := context.Background()
					for range each {
						_, lease, err := section(ctx)
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
		})
	}
}
