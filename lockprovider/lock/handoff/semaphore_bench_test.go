package handoff_test

import (
	"context"
	"testing"

	"holdfast/lockprovider/lock"
	"holdfast/lockprovider/lock/handoff"
)

// BenchmarkSemaphore is a section under a read-write lock or a semaphore, of goroutines of one process.
func BenchmarkSemaphore(b *testing.B) {
	keys := []string{"k"}
	read := func(c *handoff.Client) acquire {
		l := c.RWLocker(benchSettings)
		return func(ctx context.Context) (context.Context, lock.Lease, error) { return l.RLock(ctx, keys) }
	}
	write := func(c *handoff.Client) acquire {
		l := c.RWLocker(benchSettings)
		return func(ctx context.Context) (context.Context, lock.Lease, error) { return l.Lock(ctx, keys) }
	}
	of8 := func(c *handoff.Client) acquire {
		s := c.Semaphore(8, benchSettings)
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
		b.Run(c.name, func(b *testing.B) { benchmarkSections(b, c.goroutines, c.open) })
	}
}
