package lockprovider

import (
	"fmt"
	"maps"
	"slices"
)

// lockers are the strategies that are a [Locker] around a transaction, and work without the database.
var lockers = map[Strategy]func(Deps) Locker{
	SetNX:   func(d Deps) Locker { return &setnx{redis: d.Redis, settings: d.Settings, metrics: d.Metrics.lock} },
	Redsync: newRedsyncLocker,
	PubSub:  newPubSubLocker,
}

// Lockers are the strategies that [OpenLocker] opens, sorted.
func Lockers() []Strategy { return slices.Sorted(maps.Keys(lockers)) }

// OpenLocker returns the lock of a strategy on its own, without a ledger: for experiments with locks. Of d it uses Redis,
// RedisNodes, Settings, Instance and Metrics. Close it when nobody holds a lock or waits for one any more.
func OpenLocker(s Strategy, d Deps) (locker Locker, closeLocker func() error, err error) {
	open, ok := lockers[s]
	if !ok {
		return nil, nil, fmt.Errorf("%s is not a lock; have %v", s, Lockers())
	}
	if d.Redis == nil {
		return nil, nil, fmt.Errorf("lock %s needs Redis", s)
	}
	if d.Metrics == nil {
		d.Metrics = NewMetrics(nil)
	}
	d.hub = openLockHub(d.Redis, d.Instance, d.Metrics.lock)
	return noNesting{open(d)}, d.hub.close, nil
}
