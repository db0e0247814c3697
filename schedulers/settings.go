package schedulers

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// Settings are the periods and bounds of the jobs.
type Settings struct {
	// ReconcileEvery is how often Redis is compared with the database: 1s to 1h.
	ReconcileEvery time.Duration
	// PrimeEvery is how often balances that Redis lacks are created from the database: 1s to 24h.
	PrimeEvery time.Duration
	// ExpireEvery is how often orders that were not paid in time are ended: 100ms to 1h.
	ExpireEvery time.Duration
	// SweepEvery is how often Deps.Sweep is called: 100ms to 1h.
	SweepEvery time.Duration
	// RetainEvery is how often rows that nobody needs any more are deleted: 1m to 168h.
	RetainEvery time.Duration

	// Timeout bounds one run; what it leaves over is done by the next: 1s to 1h.
	Timeout time.Duration
	// Lease is how long a job is blocked that its instance died of: 1s to 10m. A run that takes longer renews it.
	Lease time.Duration

	// Page is how many balances are compared at a time: 1 to 5000.
	Page int
	// Looks is how often balances with changes in flight are looked at before they are locked and compared: 1 to 100.
	Looks int
	// LookPause is the time between these looks, in which a group commit should end: 0s to 10s.
	LookPause time.Duration
	// Freeze is how long one balance may be kept from being persisted to while it is compared: 10ms to 1m.
	Freeze time.Duration

	// ExpireBatch is how many orders are finished at a time: 1 to 1000.
	ExpireBatch int

	// DeleteBatch is how many rows are deleted at a time: 1 to 5000.
	DeleteBatch int
	// Remember is how long the database knows an applied change, and so how long a repeated request is told the first
	// result: 1m to 720h. It must not be shorter than Redis remembers.
	Remember time.Duration
	// Unrelayed tells that no relay publishes changes; otherwise those are kept that are not published yet.
	Unrelayed bool
	// KeepEvents is how long it is known that a handler has taken effect for an event: 1h to 8760h. Until then, the broker
	// must have stopped delivering it again.
	KeepEvents time.Duration
	// KeepHistory is how long runs and drift reports are kept: 1h to 8760h.
	KeepHistory time.Duration
	// KeepInstances is how long after its last sign of life an instance, and what it read streams as, is kept: 1m to 8760h.
	KeepInstances time.Duration
}

// DefaultSettings suit a shop of any size.
func DefaultSettings() Settings {
	return Settings{
		ReconcileEvery: time.Minute, PrimeEvery: 5 * time.Minute, ExpireEvery: 10 * time.Second,
		SweepEvery: 10 * time.Second, RetainEvery: 24 * time.Hour,
		Timeout: 5 * time.Minute, Lease: 30 * time.Second,
		Page: 500, Looks: 3, LookPause: 10 * time.Millisecond, Freeze: time.Second,
		ExpireBatch: 200,
		DeleteBatch: 500, Remember: 24 * time.Hour,
		KeepEvents: 7 * 24 * time.Hour, KeepHistory: 7 * 24 * time.Hour, KeepInstances: 24 * time.Hour,
	}
}

// Validate names every setting that is out of bounds.
func (s Settings) Validate() error {
	const year = 8760 * time.Hour
	return errors.Join(
		within("reconcileEvery", s.ReconcileEvery, time.Second, time.Hour),
		within("primeEvery", s.PrimeEvery, time.Second, 24*time.Hour),
		within("expireEvery", s.ExpireEvery, 100*time.Millisecond, time.Hour),
		within("sweepEvery", s.SweepEvery, 100*time.Millisecond, time.Hour),
		within("retainEvery", s.RetainEvery, time.Minute, 168*time.Hour),
		within("timeout", s.Timeout, time.Second, time.Hour),
		within("lease", s.Lease, time.Second, 10*time.Minute),
		within("page", s.Page, 1, 5000),
		within("looks", s.Looks, 1, 100),
		within("lookPause", s.LookPause, 0, 10*time.Second),
		within("freeze", s.Freeze, 10*time.Millisecond, time.Minute),
		within("expireBatch", s.ExpireBatch, 1, 1000),
		within("deleteBatch", s.DeleteBatch, 1, 5000),
		within("remember", s.Remember, time.Minute, 720*time.Hour),
		within("keepEvents", s.KeepEvents, time.Hour, year),
		within("keepHistory", s.KeepHistory, time.Hour, year),
		within("keepInstances", s.KeepInstances, time.Minute, year),
	)
}

func within[T cmp.Ordered](name string, value, least, most T) error {
	if value < least || value > most {
		return fmt.Errorf("%s: %v, want %v to %v", name, value, least, most)
	}
	return nil
}
