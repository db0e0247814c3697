// Package providertest is the conformance suite that every strategy of [lockprovider.Strategies] passes, whatever the
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

	"holdfast/internal/testenv"
	"holdfast/lockprovider"
	"holdfast/lockprovider/ledger"
)

// Traits are what a variant promises, so that a scenario knows what to ask of it.
type Traits struct {
	lockprovider.Traits

	// Excludes: changes of one balance behave as if they ran one after another. False for the control alone, which must
	// be caught at losing updates.
	Excludes bool
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

// Variants are all variants of all strategies, sorted by name.
func Variants() []Variant {
	var list []Variant
	for _, info := range lockprovider.Strategies {
		list = append(list, Variant{Strategy: info.Name})
		if info.Traits.HeedsAck {
			list = append(list, Variant{Strategy: info.Name, Ack: lockprovider.AckAccepted})
		}
	}
	slices.SortFunc(list, func(a, b Variant) int { return cmp.Compare(a.String(), b.String()) })
	return list
}

// TraitsOf returns what a variant promises, by the table of strategies.
func TraitsOf(v Variant) Traits {
	info, _ := lockprovider.Lookup(v.Strategy)
	return Traits{
		Traits: info.Traits, Excludes: !info.Control, NeedsRedis: info.Needs.Redis, Accepts: v.Ack == lockprovider.AckAccepted,
	}
}

// Scenario is one situation that a strategy must get right.
type Scenario struct {
	Name string
	Why  string // what a user sees if it is wrong
	// Needs tells whether the scenario makes sense for a strategy; nil: for all, the control included.
	Needs func(*Harness) bool
	Func  func(testing.TB, *Harness)
	// Slow scenarios take as long as leases do, and begin again with longer ones if the machine keeps them waiting. They run with an environment's first family: the families share all code
	// but their keys.
	Slow bool
}

// Scenarios lists every scenario, in the order in which they run.
func Scenarios() []Scenario {
	return slices.Concat(
		boundScenarios, identityScenarios, failureScenarios, claimScenarios, waitingScenarios, leaseScenarios, unlockScenarios,
		acceptScenarios, severalScenarios, positionScenarios,
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
		if _, ok := lockprovider.Lookup(variant.Strategy); !ok {
			t.Fatalf("%s is not in the table of strategies", variant)
		}
		for _, family := range env.families() {
			h := &Harness{Env: env, Variant: variant, Family: family, Traits: TraitsOf(variant)}
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

// toleratedOf is the part of a lease for which a process may be kept waiting. If it waits for longer, a lease may end although
// nothing is wrong.
const toleratedOf = 100

func (h *Harness) run(t *testing.T) Result {
	result := Result{Env: h.Env.Name, Variant: h.Variant, Family: h.Family}
	for number, s := range Scenarios() {
		if s.Needs != nil && !s.Needs(h) || s.Slow && !h.first() || h.skips(number) {
			continue
		}
		passed := t.Run(s.Name, func(t *testing.T) {
			defer func() {
				if t.Failed() {
					t.Logf("why it matters: %s", s.Why)
				}
			}()
			run := func(t testing.TB, slowness float64) {
				h.slowness = slowness
				t.Cleanup(func() { h.checkNoLockLeft(t) }) // the last thing, when all instances have ended
				s.Func(t, h)
			}
			if s.Slow {
				testenv.Paced(t, shortLease/toleratedOf, run)
			} else {
				run(t, testenv.Slowness())
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
