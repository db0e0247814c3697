package schedulers

import (
	"time"

	"holdfast/config/setting"
)

// Settings are the periods and bounds of the jobs.
type Settings struct {
	// ReconcileEvery is how often the balances that lua keeps in Redis are compared with the database, and repaired.
	ReconcileEvery time.Duration `key:"reconcile" default:"1m" min:"1s" max:"1h"`
	// PrimeEvery is how often balances that Redis lacks are created from the database.
	PrimeEvery time.Duration `key:"prime" default:"5m" min:"1s" max:"24h"`
	// ExpireEvery is how often orders that were not paid in time are ended, and orders finished that a crash left half-done. Holds that no
	// instance has ended at their deadline are ended, too.
	ExpireEvery time.Duration `key:"expire" default:"10s" min:"100ms" max:"1h"`
	// RetainEvery is how often rows that nobody needs any more are deleted.
	RetainEvery time.Duration `key:"retention" default:"24h" min:"1m" max:"168h"`

	// IndexEvery is how often products are looked for that the search does not know yet: those from before an upgrade, and what
	// instances of a version without a search index write.
	IndexEvery time.Duration `key:"index" default:"10m" min:"1s" max:"24h"`

	// SweepEvery is how often payment attempts are looked for that nobody goes on with, to look them up at the payment gateway.
	SweepEvery time.Duration `key:"sweep" default:"30s" min:"1s" max:"1h"`
	// SweepAfter is how long nobody has moved such an attempt. It is at least twice payment.timeout, whatever is set.
	SweepAfter time.Duration `key:"sweepAfter" default:"1m" min:"1s" max:"1h"`

	// PaymentDriftEvery is how often it is seen whether a day has ended whose payments are to be compared with those of the payment gateway, and
	// whether the differences that were found are gone.
	PaymentDriftEvery time.Duration `key:"paymentDrift" default:"1h" min:"1s" max:"24h"`

	// LimitDriftEvery is how often what is counted of the orders and holds of each customer, for shop.maxPending, shop.maxHolds and limits of
	// products, is compared with them, and corrected.
	LimitDriftEvery time.Duration `key:"limitDrift" default:"1h" min:"1s" max:"24h"`

	// KeepCarts is how long a cart is kept that nobody changes or checks out.
	KeepCarts time.Duration `key:"keepCarts" default:"720h" min:"1h" max:"8760h"`
	// KeepGuestCarts is how long a cart is kept that nobody changes, if it belongs to no customer. Anybody can make such carts.
	KeepGuestCarts time.Duration `key:"keepGuestCarts" default:"168h" min:"1h" max:"8760h"`

	// KeepHolds is how long a hold is kept that has ended.
	KeepHolds time.Duration `key:"keepHolds" default:"168h" min:"1h" max:"8760h"`

	// Timeout bounds one run. The next run does what is left over.
	Timeout time.Duration `default:"5m" min:"1s" max:"1h"`
	// Lease is how long a job is blocked after the instance that ran it has died. A run that takes longer renews it.
	Lease time.Duration `default:"30s" min:"1s" max:"10m"`

	// Page is how many balances are compared at a time.
	Page int `default:"500" min:"1" max:"5000"`
	// Looks is how often reconcile looks at a balance that differs before it locks and compares it.
	Looks int `default:"3" min:"1" max:"100"`
	// LookPause is the time between these looks, in which a group commit should end.
	LookPause time.Duration `default:"10ms" min:"0s" max:"10s"`
	// Freeze is how long comparing one balance may keep the persister from writing to it.
	Freeze time.Duration `default:"1s" min:"10ms" max:"1m"`

	// ExpireBatch is how many orders are finished, and holds ended, at a time.
	ExpireBatch int `default:"200" min:"1" max:"1000"`

	// SweepBatch is how many payment attempts are looked up at a time.
	SweepBatch int `default:"200" min:"1" max:"1000"`

	// IndexBatch is how many products are indexed at a time.
	IndexBatch int `default:"200" min:"1" max:"1000"`

	// DeleteBatch is how many rows are deleted at a time.
	DeleteBatch int `default:"500" min:"1" max:"5000"`
	// Remember is how long the database knows idempotency keys, and so how long a repeated request is told the first
	// result. It must not be shorter than Redis remembers.
	Remember time.Duration `default:"24h" min:"1m" max:"720h"`
	// KeepEvents is how long the database knows that a handler has processed an event. The broker must have stopped
	// redelivering the event by then.
	KeepEvents time.Duration `default:"168h" min:"1h" max:"8760h"`
	// KeepWebhooks is how long the database knows that a message of a payment gateway was received. It should be longer than the gateway
	// repeats a message: Stripe does so for 3 days.
	KeepWebhooks time.Duration `default:"720h" min:"1h" max:"8760h"`
	// KeepHistory is how long runs and drift reports are kept.
	KeepHistory time.Duration `default:"168h" min:"1h" max:"8760h"`
	// KeepInstances is how long after its last sign of life an instance, and what it read streams as, is kept.
	KeepInstances time.Duration `default:"24h" min:"1m" max:"8760h"`
}

// DefaultSettings suit a shop of any size.
func DefaultSettings() Settings { return setting.Default[Settings]() }

// Validate names every setting that is out of bounds.
func (s Settings) Validate() error { return setting.Check(&s) }
