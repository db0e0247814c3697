package lockprovider

import (
	"errors"
	"fmt"

	"holdfast/lockprovider/lock"
)

// The strategies setnx, redsync and pubsub are a lock of package lock around one transaction. Of [Deps] a lock uses Redis,
// RedisNodes, Settings and Metrics.

func openSetNX(d Deps) lock.Locker {
	return lock.NewSetNX(d.Redis, d.Settings.lock(), d.Metrics.lock.of(SetNX))
}

func openRedsync(d Deps) lock.Locker {
	nodes := d.RedisNodes
	if len(nodes) == 0 {
		nodes = append(nodes, d.Redis)
	}
	return lock.NewRedsync(nodes, d.Settings.lock(), d.Metrics.lock.of(Redsync))
}

func openPubSub(d Deps) lock.Locker { return d.handoff.Locker(d.Settings.lock()) }

// lock returns the bounds that concern a lock.
func (s Settings) lock() lock.Settings {
	return lock.Settings{Wait: s.Wait, Lease: s.Lease, Poll: s.Poll}
}

// lockError marks an error of a lock that opens the circuit: the lock's store does not answer.
func lockError(err error) error {
	if errors.Is(err, lock.ErrUnavailable) {
		return fmt.Errorf("%w: %w", errRedisDown, err)
	}
	return err
}
