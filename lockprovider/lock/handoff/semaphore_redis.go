package handoff

import (
	"context"
	_ "embed"
	"time"
)

// semaphoreStore is the other side of the holds: Redis, or a model of it in the simulation. If a method returns an error, its
// request may have been served or not.
type semaphoreStore interface {
	// acquire requests units. If the heartbeat is positive, the waiter enters the wait queue if too few are free.
	acquire(ctx context.Context, r holdRequest) (holdResult, error)
	// release releases units, or takes waiters out of the wait queue. It returns for each request whether it was an owner.
	release(ctx context.Context, requests []holdRelease) (released []bool, err error)
	// renew prolongs leases, and returns one result for each.
	renew(ctx context.Context, requests []renewRequest) ([]renewResult, error)
	// node returns a number that is the same for semaphores that are on one server for certain.
	node(name string) int
}

// holdRequest is what a waiter wants of a semaphore.
type holdRequest struct {
	name, waiter string
	units, limit int64
	// lease is how long Redis keeps the units for an owner that does not renew.
	lease time.Duration
	// shortLease is the lease of units that were granted by a message. Its renewal shows that the process is alive.
	shortLease time.Duration
	// poll is how long a waiter waits for a message before it asks Redis: what a lost message costs.
	poll time.Duration
	// heartbeat is how long Redis keeps an entry in the wait queue for a waiter that does not ask again, 0 not to queue.
	heartbeat time.Duration
}

// holdResult is the reply to an acquire. Times are Redis' own, in µs.
type holdResult struct {
	now, until, token int64
	owned             bool
	limit             int64 // with which the semaphore is in use, if that is not the one in the request
}

// holdRelease releases units, or takes a waiter out of the wait queue.
type holdRelease struct {
	name, waiter string
	// refuseLate: an acquire of the waiter was not answered in time and may still reach Redis, which then refuses it.
	refuseLate bool
}

var (
	//go:embed scripts/semaphore.lua
	semaphoreSource string
	//go:embed scripts/semaphore_acquire.lua
	semaphoreAcquireSource string
	//go:embed scripts/semaphore_release.lua
	semaphoreReleaseSource string
	//go:embed scripts/semaphore_renew.lua
	semaphoreRenewSource string

	semaphoreAcquireScript = withShared(semaphoreAcquireSource)
	semaphoreReleaseScript = withShared(semaphoreReleaseSource)
	semaphoreRenewScript   = withShared(semaphoreRenewSource)
)

// redisSemaphores is the semaphoreStore that the scripts are.
type redisSemaphores struct{ redis *redisStore }

func (s redisSemaphores) node(name string) int { return s.redis.node(name) }

func (s redisSemaphores) acquire(ctx context.Context, q holdRequest) (holdResult, error) {
	r := s.redis.run(ctx, "semaphore_acquire", semaphoreAcquireScript, []string{q.name}, q.waiter, q.units, q.limit,
		q.lease.Milliseconds(), q.shortLease.Milliseconds(), q.heartbeat.Milliseconds())
	a := holdResult{now: r.number()}
	switch r.next() {
	case "owned":
		a.owned, a.token, a.until = true, r.number(), r.number()
	case "limit":
		a.limit = r.number()
	}
	return a, r.err
}

func (s redisSemaphores) release(ctx context.Context, requests []holdRelease) ([]bool, error) {
	released := make([]bool, 0, len(requests))
	for len(requests) > 0 {
		n := s.redis.together(len(requests), func(i int) string { return requests[i].name })
		keys, args := make([]string, n), make([]any, 0, 2*n)
		for i, q := range requests[:n] {
			keys[i] = q.name
			late := ""
			if q.refuseLate {
				late = "1"
			}
			args = append(args, q.waiter, late)
		}
		r := s.redis.run(ctx, "semaphore_release", semaphoreReleaseScript, keys, args...)
		r.number() // now
		for range n {
			released = append(released, r.next() == "released")
		}
		if r.err != nil {
			return nil, r.err
		}
		requests = requests[n:]
	}
	return released, nil
}

func (s redisSemaphores) renew(ctx context.Context, requests []renewRequest) ([]renewResult, error) {
	return s.redis.renewBy(ctx, "semaphore_renew", semaphoreRenewScript, requests, func(*replyReader, *renewResult) {})
}
