package lockprovider

import "holdfast/lockprovider/lock"

// NewLocked is the lock-shaped strategy around any locker: for the tests that build a broken one.
func NewLocked(s Strategy, f Family, locker lock.Locker, d Deps) Provider {
	return &front{
		next: newLocked(s, locker, d), strategy: s, family: f, metrics: d.Metrics,
	}
}

// Lockers are the strategies that are a lock around one transaction, sorted.
func Lockers() []Strategy { return sorted(func(i Info) bool { return i.Locker != nil }) }
