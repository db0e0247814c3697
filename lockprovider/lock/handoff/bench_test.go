package handoff_test

import (
	"context"
	"fmt"
	"math/rand/v2"
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
			options, err := redis.ParseURL(testenv.Redis(b).URL)
			if err != nil {
				b.Fatal(err)
			}
			client := redis.NewClient(options)
			defer client.Close()
			locks := handoff.Open(client, handoff.Options{Instance: "bench"})
			locker := locks.Locker(lock.Settings{Lease: 10 * time.Second, Wait: time.Minute, Poll: 300 * time.Millisecond})
			names := make([]string, c.of)
			for i := range names {
				names[i] = fmt.Sprintf("{many}%02d", i)
			}
			each := (b.N + c.goroutines - 1) / c.goroutines
			b.ReportAllocs()
			b.ResetTimer()
			var running sync.WaitGroup
			for range c.goroutines {
				running.Go(func() {
					ctx := context.Background()
					for range each {
						keys := make([]string, 0, c.keys)
						for _, n := range rand.Perm(c.of)[:c.keys] {
							keys = append(keys, names[n])
						}
						_, lease, err := locker.Lock(ctx, keys)
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
