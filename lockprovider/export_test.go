package lockprovider

import "holdfast/lockprovider/lock"

// NewLocked is the lock-shaped strategy around any locker: for the tests that build a broken one.
func NewLocked(s Strategy, f Family, locker lock.Locker, d Deps) Provider {
	return &middleware{
		next: newLocked(s, locker, d), strategy: s, family: f, metrics: d.Metrics,
	}
}
