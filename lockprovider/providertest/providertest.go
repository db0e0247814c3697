// Package providertest is the conformance suite that every strategy of [lockprovider.Registry] passes, whatever the
// database and the Redis.
//
// A concurrency bug first becomes a [Scenario] here, then it is fixed. Scenarios wait for events (somebody has reached a
// point, a key has changed), never for time to pass, and each of them checks that it leaves no lock behind.
package providertest

import (
	"cmp"
	"maps"
	"slices"
	"testing"

	"holdfast/lockprovider"
	"holdfast/lockprovider/ledger"
)

// Traits are what a strategy promises, so that a scenario knows what to ask of it.
type Traits struct {
	// Excludes: changes of one balance behave as if they ran one after another. False for the control alone, which must
	// be caught at losing updates.
	Excludes bool
	// Locks: a change of existing balances reads them under a lock, and so never finds that they have changed.
	Locks bool
	// Detached: somebody else does the work, a persister or a worker: a change that has been taken up goes on when its caller
	// has gone, and one that the database has refused stays refused.
	Detached bool
	// Immediate: who comes second does not wait for the first.
	Immediate bool
	// KeepsRefusals: a refusal is the answer to its change ID for good, for those who ask for it later.
	KeepsRefusals bool
	// Leases: a lock in Redis keeps others out; it lives for a limited time, is renewed, and can be lost.
	Leases bool
	// NeedsRedis: the strategy does not work without Redis.
	NeedsRedis bool
	// Accepts: a change is answered before the database has it, unless its caller needs that. What the database then refuses
	// is taken back, and a repeat is told: the first answer cannot say so.
	Accepts bool
}

// Variant is a strategy, used in one of the ways of which each promises something else.
type Variant struct {
	Strategy lockprovider.Strategy
	// Ack is when lua answers; "" where that is as usual, after the commit.
	Ack lockprovider.Ack
}

// String is the name of the variant in the table.
func (v Variant) String() string {
	if v.Ack == "" {
		return string(v.Strategy)
	}
	return string(v.Strategy) + "/" + string(v.Ack)
}

// Variants are all that are declared, sorted by name.
func Variants() []Variant {
	return slices.SortedFunc(maps.Keys(Declared), func(a, b Variant) int { return cmp.Compare(a.String(), b.String()) })
}

// Declared are the traits of every strategy. A strategy that is registered and not declared here fails the suite.
var Declared = map[Variant]Traits{
	{Strategy: lockprovider.None}:       {},
	{Strategy: lockprovider.SetNX}:      {Excludes: true, Locks: true, Leases: true, NeedsRedis: true},
	{Strategy: lockprovider.Redsync}:    {Excludes: true, Locks: true, Leases: true, NeedsRedis: true},
	{Strategy: lockprovider.PubSub}:     {Excludes: true, Locks: true, Leases: true, NeedsRedis: true},
	{Strategy: lockprovider.RowLock}:    {Excludes: true, Locks: true},
	{Strategy: lockprovider.Optimistic}: {Excludes: true},
	{Strategy: lockprovider.AtomicSQL}:  {Excludes: true},
	{Strategy: lockprovider.Queue}:      {Excludes: true, Detached: true, KeepsRefusals: true, NeedsRedis: true},
	{Strategy: lockprovider.Lua}:        {Excludes: true, Detached: true, Immediate: true, NeedsRedis: true},
	{Strategy: lockprovider.Lua, Ack: lockprovider.AckAccepted}: {
		Excludes: true, Detached: true, Immediate: true, NeedsRedis: true, Accepts: true,
	},
}

// CheckDeclared fails the test where registry and traits disagree.
func CheckDeclared(t *testing.T) {
	t.Helper()
	for s := range lockprovider.Registry {
		if _, ok := Declared[Variant{Strategy: s}]; !ok {
			t.Errorf("strategy %s is registered, but its traits are not declared", s)
		}
	}
	for v, traits := range Declared {
		if _, ok := lockprovider.Registry[v.Strategy]; !ok {
			t.Errorf("traits of %s are declared, but it is not registered", v)
		}
		if needs := lockprovider.NeedsRedis(v.Strategy); traits.NeedsRedis != needs {
			t.Errorf("%s: needs Redis: declared %v, registered %v", v, traits.NeedsRedis, needs)
		}
		if accepts := v.Ack == lockprovider.AckAccepted; traits.Accepts != accepts {
			t.Errorf("%s: accepts: declared %v, want %v", v, traits.Accepts, accepts)
		}
	}
}

// Scenario is one situation that a strategy must get right.
type Scenario struct {
	Name string
	Why  string // what a user sees if it is wrong
	// Needs tells whether the scenario makes sense for a strategy; nil: for all, the control included.
	Needs func(*Harness) bool
	Func  func(*testing.T, *Harness)
	// Slow scenarios take as long as leases do. They run with an environment's first family: the families share all code
	// but their keys.
	Slow bool
}

// Scenarios lists every scenario, in the order in which they run.
func Scenarios() []Scenario {
	return slices.Concat(
		boundScenarios, identityScenarios, failureScenarios, waitingScenarios, leaseScenarios, unlockScenarios,
		acceptScenarios,
	)
}

func excludes(h *Harness) bool { return h.Traits.Excludes }

// queues: who comes second waits until the first has committed.
func queues(h *Harness) bool { return h.Traits.Excludes && !h.Traits.Immediate }

// own: the change is executed by its own caller, who takes it along when going.
func own(h *Harness) bool { return queues(h) && !h.Traits.Detached }

func leases(h *Harness) bool { return h.Traits.Leases }

// leasesAboveRows: two transactions can be open at a time, as they cannot on SQLite.
func leasesAboveRows(h *Harness) bool { return h.Traits.Leases && !h.Env.oneWriter() }

// Result is how the scenarios of one strategy and family went in one environment.
type Result struct {
	Env string
	Variant
	Family  lockprovider.Family
	Passed  int
	Failed  []string
	Skipped bool // the environment is not there
	Caught  bool // the control was caught, as it must be
}

// Run runs every scenario with every family as subtests variant/family/scenario, except those that [Env] leaves to others, and
// proves all balances from their journal in the end.
func Run(t *testing.T, env *Env, variant Variant) []Result {
	var results []Result
	t.Run(variant.String(), func(t *testing.T) {
		traits, ok := Declared[variant]
		if !ok {
			t.Fatalf("the traits of %s are not declared", variant)
		}
		for _, family := range env.families() {
			h := &Harness{Env: env, Variant: variant, Family: family, Traits: traits}
			t.Run(string(family), func(t *testing.T) { results = append(results, h.run(t)) })
		}
		violations, err := ledger.Audit(t.Context(), env.Client)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range violations {
			t.Errorf("audit: %s: %s", v.Balance, v.Problem)
		}
	})
	return results
}

func (h *Harness) run(t *testing.T) Result {
	result := Result{Env: h.Env.Name, Variant: h.Variant, Family: h.Family}
	for number, s := range Scenarios() {
		if s.Needs != nil && !s.Needs(h) || s.Slow && !h.first() || h.skips(number) {
			continue
		}
		passed := t.Run(s.Name, func(t *testing.T) {
			t.Cleanup(func() { h.checkNoLockLeft(t) }) // the last thing, when all instances have ended
			s.Func(t, h)
			if t.Failed() {
				t.Logf("why it matters: %s", s.Why)
			}
		})
		if passed {
			result.Passed++
		} else {
			result.Failed = append(result.Failed, s.Name)
		}
	}
	if !h.Traits.Excludes {
		result.Caught = t.Run("must_be_caught", func(t *testing.T) { Catch(t, h) })
	}
	return result
}

// sortResults orders by strategy and family, as the table shows them.
func sortResults(results []Result) {
	families := make(map[lockprovider.Family]int)
	for i, f := range lockprovider.Families {
		families[f] = i
	}
	slices.SortStableFunc(results, func(a, b Result) int {
		return cmp.Or(cmp.Compare(a.String(), b.String()), cmp.Compare(families[a.Family], families[b.Family]))
	})
}

// sortedKeys are the keys of a map in order.
func sortedKeys[M ~map[K]V, K cmp.Ordered, V any](m M) []K { return slices.Sorted(maps.Keys(m)) }
