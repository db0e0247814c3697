package lockprovider

import (
	"context"
	"errors"

	"holdfast/lockprovider/lock"
)

// NewLocked is the lock-shaped strategy around any locker: for the tests that build a broken one.
func NewLocked(s Strategy, f Family, locker lock.Locker, d Deps) Provider {
	return &middleware{
		next: newLocked(s, locker, d), strategy: s, family: f, metrics: d.Metrics,
	}
}

// FallBack has an instance switch a family to its fallback, as an outage of Redis does.
func FallBack(ctx context.Context, p *Providers, f Family) error {
	fo, ok := As[*failover](p.For(f))
	if !ok {
		return errors.New("no fallback")
	}
	return fo.switchTo(ctx, true)
}

// FallBackAndReturn has an instance switch a family to its fallback and back, as an outage of Redis does.
func FallBackAndReturn(ctx context.Context, p *Providers, f Family) error {
	return errors.Join(FallBack(ctx, p, f), Return(ctx, p, f))
}

// Return has an instance end the fallback of a family, as when Redis is back.
func Return(ctx context.Context, p *Providers, f Family) error {
	fo, ok := As[*failover](p.For(f))
	if !ok {
		return errors.New("no fallback")
	}
	return fo.switchTo(ctx, false)
}

// HostAndProcess is what an instance of this process tells of where it runs.
func HostAndProcess() string { return hostAndProcess() }

// IsZombie tells whether a process has ended without its parent having noticed.
func IsZombie(pid int) bool { return isZombie(pid) }
