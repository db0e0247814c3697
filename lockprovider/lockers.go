package lockprovider

import (
	"errors"
	"fmt"

	"holdfast/lockprovider/lock"
)

// The strategies setnx, redsync and pubsub are a lock of package lock around one transaction.

// lockers open the lock of each of these strategies. Of [Deps] they use Redis, RedisNodes, Settings and Metrics.
var lockers = map[Strategy]func(Deps) lock.Locker{
	SetNX: func(d Deps) lock.Locker {
		return lock.NewSetNX(d.Redis, d.Settings.lock(), d.Metrics.lock.of(SetNX))
	},
	Redsync: func(d Deps) lock.Locker {
		nodes := d.RedisNodes
		if len(nodes) == 0 {
			nodes = append(nodes, d.Redis)
		}
		return lock.NewRedsync(nodes, d.Settings.lock(), d.Metrics.lock.of(Redsync))
	},
	PubSub: func(d Deps) lock.Locker { return d.handoff.Locker(d.Settings.lock()) },
}

// lock returns the bounds that concern a lock.
func (s Settings) lock() lock.Settings {
	return lock.Settings{Wait: s.Wait, Lease: s.Lease, Poll: s.Poll}
}

func newSetNX(d Deps) (Provider, error)   { return newLocked(SetNX, d), nil }
func newRedsync(d Deps) (Provider, error) { return newLocked(Redsync, d), nil }
func newPubSub(d Deps) (Provider, error)  { return newLocked(PubSub, d), nil }

// lockError marks an error of a lock that opens the circuit: the lock's store does not answer.
func lockError(err error) error {
	if errors.Is(err, lock.ErrUnavailable) {
		return fmt.Errorf("%w: %w", errRedisDown, err)
	}
	return err
}
