package lockprovider

import (
	"maps"
	"slices"

	"holdfast/lockprovider/lock"
)

// NewLocked is the lock-shaped strategy around any locker: for the tests that build a broken one.
func NewLocked(s Strategy, f Family, locker lock.Locker, d Deps) Provider {
	return &front{
		next: &locked{
			strategy: s, locker: locker, ledger: d.Ledger, metrics: d.Metrics, attempts: d.Settings.Attempts,
		},
		strategy: s, family: f, metrics: d.Metrics,
	}
}

// Lockers are the strategies that are a lock around one transaction, sorted.
func Lockers() []Strategy { return slices.Sorted(maps.Keys(lockers)) }
