// Package locktest proves anybody's lock: it holds an implementation of [lock.Locker] to what the interface promises.
//
// An author of a lock writes one test. It says how to open the lock, and which [Trait] the lock lacks:
//
//	func TestLock(t *testing.T) {
//		store := startStore(t)
//		locktest.Run(t, locktest.Harness{
//			Open: func(t testing.TB, s lock.Settings) lock.Locker {
//				client := mylock.Connect(store.Addr)
//				t.Cleanup(client.Close)
//				return mylock.New(client, s)
//			},
//			Lacks: []locktest.Trait{locktest.FIFO},
//		})
//	}
//
// Each scenario is a subtest. It opens several lockers, which stand for several processes: each should have connections of
// its own. A scenario that needs a trait that the lock lacks is skipped, so that the output of the test says what the lock
// cannot do. What is not listed in Lacks is proven.
//
// The scenarios need nothing but the interface. Whether a lock survives a failing network, store or process depends on
// what it is built of. For locks in Redis, package redistest in the module lockprovider/lock/peers has those scenarios.
//
// No scenario decides by how fast the machine is. A scenario about leases or order that fails is tried again with longer
// times, and only the last failure counts.
package locktest

import (
	"slices"
	"testing"
	"time"

	"holdfast/lockprovider/lock"
)

// Harness is a lock under test.
type Harness struct {
	// Open returns a locker with these bounds, as another process would have it: on the same store as all others that
	// Open returns, and with connections of its own. It registers with t.Cleanup what ends the locker.
	Open func(t testing.TB, s lock.Settings) lock.Locker
	// Lacks lists what the lock cannot do by its design.
	Lacks []Trait
	// Forget has the store forget who holds a lock, as a store does that is restarted without its data. A lock without
	// it is not held to [lock.ErrLost].
	Forget func(t testing.TB, key string)
	// Poll is [lock.Settings.Poll] in all scenarios, 10 ms if it is 0.
	Poll time.Duration

	// What the tests of this package shorten, since they wait for scenarios to fail.
	patience time.Duration
	attempts int
}

// Trait is something that not every lock can do.
type Trait string

// The traits that a lock may lack.
const (
	// MultiKey: several keys are acquired together, all or none, and callers with overlapping keys do not deadlock.
	MultiKey Trait = "several keys"
	// Fencing: each grant of a key has a token greater than those before.
	Fencing Trait = "fencing tokens"
	// FIFO: waiters in different processes get the lock in the order in which they came.
	FIFO Trait = "first in, first out"
	// Renewal: a lock stays held for longer than its lease, as long as its holder lives.
	Renewal Trait = "renewal"
	// Nesting: locking a key again with the context that holds it is [lock.ErrNested].
	Nesting Trait = "refusal of nested locks"
	// Cancellation: a wait ends with the caller's context.
	Cancellation Trait = "cancellation of a wait"
	// BoundedWait: a wait ends with [lock.ErrTimeout] after [lock.Settings.Wait]; 0 means to try once.
	BoundedWait Trait = "bound of a wait"
)

// Scenario is one promise of a lock.
type Scenario struct {
	Name string
	// Why is what a user sees if the promise is broken.
	Why string
	// Needs are the traits without which the scenario makes no sense.
	Needs []Trait
	// Forgets: the scenario needs [Harness.Forget].
	Forgets bool
	// paced: the scenario depends on times, and is tried again with longer ones.
	paced bool
	run   func(t testing.TB, l *lab)
}

// Scenarios returns all scenarios.
func Scenarios() []Scenario {
	return slices.Concat(exclusionScenarios, waitScenarios, leaseScenarios, keyScenarios, orderScenarios)
}

// Run proves a lock. It fails t if the lock breaks a promise.
func Run(t *testing.T, h Harness) {
	for _, s := range Scenarios() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			h.run(t, s)
		})
	}
}

// paces are the factors by which times are longer in each attempt at a scenario that depends on them.
var paces = []int{1, 4, 16}

// run runs one scenario.
func (h Harness) run(t testing.TB, s Scenario) {
	t.Helper()
	for _, trait := range s.Needs {
		if slices.Contains(h.Lacks, trait) {
			t.Skipf("the lock lacks %s", trait)
		}
	}
	if s.Forgets && h.Forget == nil {
		t.Skip("the harness cannot have the store forget a lock")
	}
	if h.patience == 0 {
		h.patience, h.attempts = patience, len(paces)
	}
	factors := paces[:1]
	if s.paced {
		factors = paces[:h.attempts]
	}
	for n, factor := range factors {
		a := attempt(t, func(t testing.TB) { s.run(t, &lab{Harness: h, factor: factor}) })
		if !a.failed {
			return
		}
		if n == len(factors)-1 {
			t.Errorf("%s\nwhy it matters: %s", a.log(), s.Why)
			return
		}
		t.Logf("failed, and is tried again with longer times:\n%s", a.log())
	}
}
