// Package redistest is the conformance suite of locks in Redis: what a [lock.Locker] promises to those who hold it, wait
// for it and die with it, while Redis, the network and processes fail.
//
// A bug of a lock first becomes a [Scenario] here, then it is fixed. What a locker cannot do by its design is declared in
// its [Traits]; what is not declared away is proven by the scenarios.
package redistest

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"holdfast/internal/testenv"
	"holdfast/lockprovider/lock"
)

// Traits are what not every locker can do, so that a scenario knows what to ask of it.
type Traits struct {
	// FIFO: waiters are served in the order in which they came, except that a process may pass the lock on among its own
	// waiters up to Cohort times in a row while another one waits.
	FIFO   bool
	Cohort int
	// Fences: every grant has a token greater than those of all grants of the key before.
	Fences bool
	// RepeatsRelease: a release whose reply was lost can be sent again, and says then that the lock has been released.
	RepeatsRelease bool
	// Remembers: after a release, keys with a TTL stay in Redis for a while, to remember the last token.
	Remembers bool
	// RefusesLate: a request that Redis serves after its caller has given up takes no lock.
	RefusesLate bool
	// Listens: waiters are told of a release by a message. The others ask again and again.
	Listens bool
}

// Subject is a locker under test.
type Subject struct {
	Name   string
	Traits Traits
	Open   func(Config) (lock.Locker, func() error, error)
}

// Config is what a locker is opened with.
type Config struct {
	// Redis is a client of the instance's own. Its retries are off.
	Redis    redis.UniversalClient
	Settings lock.Settings
	// Instance names the locker among those that share Redis.
	Instance string
	// RequestTimeout is how long one request to Redis may take on this machine, for lockers that can be told.
	RequestTimeout time.Duration
}

// Capability is what a user gets from a locker: a row of the matrix. Every scenario proves one.
type Capability string

// The capabilities, in the order of the matrix.
const (
	Excludes   Capability = "one holder at a time, also when holders are killed"
	Bounded    Capability = "the wait is bounded, try-once included, and leaves nothing behind"
	OwnRelease Capability = "a release frees nobody else's lock"
	Cancelled  Capability = "cancelled callers lose no lock and leave none"
	Renews     Capability = "the lease is renewed while the work runs"
	TellsLoss  Capability = "the holder is told of a lost lease before another can have the lock"
	Unstuck    Capability = "killed and stopped processes hold up the others for a bounded time"
	SeveralKey Capability = "several keys: all or none, without deadlock"
	Restarts   Capability = "a restarted or emptied Redis is used again"
	Tidy       Capability = "nothing is left behind: goroutines, subscriptions, keys without a TTL"
	Failover   Capability = "works on after a Sentinel failover"
	Cluster    Capability = "works in Redis Cluster, also while a slot moves"
	Hears      Capability = "a lost wake-up costs a poll, not a lease"
	Repeats    Capability = "a release whose reply was lost can be repeated"
	Late       Capability = "a Redis that stood still takes no lock for callers who have gone"
	FIFO       Capability = "waiters are served in their order"
	Fences     Capability = "fencing tokens that always increase"
)

// Capabilities lists the rows of the matrix.
func Capabilities() []Capability {
	return []Capability{
		Excludes, Bounded, OwnRelease, Cancelled, Renews, TellsLoss, Unstuck, SeveralKey, Restarts, Tidy, Failover, Cluster,
		Hears, Repeats, Late, FIFO, Fences,
	}
}

// has tells whether a locker with these traits promises a capability.
func (traits Traits) has(c Capability) bool {
	switch c {
	case FIFO:
		return traits.FIFO
	case Fences:
		return traits.Fences
	case Repeats:
		return traits.RepeatsRelease
	case Late:
		return traits.RefusesLate
	}
	return true
}

// Scenario is one situation that a locker must get right.
type Scenario struct {
	Name   string
	Proves Capability
	Why    string // what a user sees if it is wrong
	// Needs is what the environment must be for the scenario; 0: any single Redis.
	Needs needs
	Func  func(testing.TB, *Harness)
	// Busy scenarios load the processors; few of them run at a time, or they would end the leases of the others.
	Busy bool
}

// needs is what a scenario asks of its environment.
type needs int

const (
	anyRedis    needs = iota // one Redis, embedded or real
	realRedis                // redis-server, because it is paused, killed, or asked what the embedded one lacks
	anySentinel              // a Sentinel set
	anyCluster               // a Redis Cluster
)

// Scenarios lists every scenario.
func Scenarios() []Scenario {
	return slices.Concat(
		exclusionScenarios, waitScenarios, releaseScenarios, leaseScenarios, lossScenarios, processScenarios, orderScenarios,
		keyScenarios, restartScenarios, topologyScenarios,
	)
}

// Result is how one scenario went with one locker in one environment.
type Result struct {
	Env, Locker string
	Scenario    string
	Proves      Capability
	Passed      bool
	Skipped     bool
}

// A lease is lost by the clock. A holder learns of it from a timer of its process, some hundredths of the lease before Redis
// gives the lock away. If the machine keeps the process waiting for longer than that, the holder learns of it late, whatever
// the lock does. That is what fencing tokens are for, and no fault of the lock: such a scenario begins again, with longer leases.
// toleratedOf is the part of a lease for which a process may be kept waiting: half of the margin that lockers leave.
const toleratedOf = 100

// busyAtATime and waitingAtATime bound how many scenarios run side by side: most of them wait for a lease to end. More busy ones
// than processors only keep each other waiting.
const (
	busyAtATime    = 2
	waitingAtATime = 12
)

// Run runs every scenario that the environments allow with every subject, as subtests env/locker/scenario, side by side.
func Run(t *testing.T, envs []Env, subjects []Subject) []Result {
	var (
		mu      sync.Mutex
		results []Result
		running sync.WaitGroup
		busy    = make(chan struct{}, busyAtATime)
		waiting = make(chan struct{}, waitingAtATime)
	)
	// Busy ones first: their queue is the longest.
	scenarios := Scenarios()
	slices.SortStableFunc(scenarios, func(a, b Scenario) int { return -cmp.Compare(b2i(a.Busy), b2i(b.Busy)) })
	for _, s := range scenarios {
		for _, env := range envs {
			for _, subject := range subjects {
				if !env.fits(s.Needs) || !subject.Traits.has(s.Proves) {
					continue
				}
				places := waiting
				if s.Busy {
					places = busy
				}
				running.Go(func() {
					places <- struct{}{}
					defer func() { <-places }()
					skipped := false
					passed := t.Run(fmt.Sprintf("%s/%s/%s", env.Name, subject.Name, s.Name), func(t *testing.T) {
						defer func() {
							skipped = t.Skipped()
							if t.Failed() {
								t.Logf("why it matters: %s", s.Why)
							}
						}()
						testenv.Paced(t, shortLease/toleratedOf, func(t testing.TB, slowness float64) {
							s.Func(t, newHarness(t, env, subject, slowness))
						})
					})
					mu.Lock()
					defer mu.Unlock()
					results = append(results, Result{
						Env: env.Name, Locker: subject.Name, Scenario: s.Name, Proves: s.Proves,
						Passed: passed && !skipped, Skipped: skipped,
					})
				})
			}
		}
	}
	running.Wait()
	return results
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
