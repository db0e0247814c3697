package lockprovider

import (
	"context"
	"errors"

	"holdfast/lockprovider/lock"
)

// NewLocked is the lock-shaped strategy around any locker: for the tests that build a broken one.
func NewLocked(s Strategy, f Family, locker lock.Locker, d Deps) Provider {
	return &middleware{
		next: newLocked(s, func(Deps) lock.Locker { return locker }, d), strategy: s, family: f, metrics: d.Metrics,
	}
}

// failoverOf is what switches a family of an instance. Every family that needs Redis has one.
func failoverOf(p *Providers, f Family) *failover {
	fo, _ := As[*failover](p.For(f))
	return fo
}

// FallBack has an instance switch a family to its fallback, as an outage of Redis does.
func FallBack(ctx context.Context, p *Providers, f Family) error {
	return failoverOf(p, f).switchTo(ctx, true)
}

// FallBackAndReturn has an instance switch a family to its fallback and back, as an outage of Redis does.
func FallBackAndReturn(ctx context.Context, p *Providers, f Family) error {
	return errors.Join(FallBack(ctx, p, f), Return(ctx, p, f))
}

// Return has an instance end the fallback of a family, as when Redis is back.
func Return(ctx context.Context, p *Providers, f Family) error {
	return failoverOf(p, f).switchTo(ctx, false)
}

// Follow has an instance adopt the active mode of a family.
func Follow(ctx context.Context, p *Providers, f Family) error {
	return failoverOf(p, f).follow(ctx)
}

// HostAndProcess is what an instance of this process tells of where it runs.
func HostAndProcess() string { return hostAndProcess() }

// IsZombie tells whether a process has ended without its parent having noticed.
func IsZombie(pid int) bool { return isZombie(pid) }

// Waiting returns how many changes wait for a group of groupcommit.
func Waiting(p Provider) int {
	g, _ := As[*groupcommit](p)
	return int(g.committers[0].backlog.taken.Load())
}

// MostMoves bounds the moves of a group of groupcommit, and so the balances that it locks.
const MostMoves = mostMoves

// LimitBacklog sets how many changes may wait for a group of groupcommit.
func LimitBacklog(p Provider, size int64) {
	g, _ := As[*groupcommit](p)
	g.committers[0].backlog.size = size
}
