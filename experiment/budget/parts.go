package main

import (
	"slices"
	"strings"

	"github.com/google/pprof/profile"
)

// The parts of the server's CPU time, by what is on the stack of a sample.
const (
	partGC       = "garbage collection"
	partPersist  = "persist"
	partRelay    = "relay"
	partHandlers = "handlers"
	partStrategy = "strategy"
	partCommerce = "commerce"
	partTokens   = "tokens"
	partGraphQL  = "GraphQL"
	partHTTP     = "HTTP"
	partRuntime  = "scheduler"
	partOther    = "other"
)

// rules say which part a stack belongs to: the first rule with a function on the stack counts. What is called stands before what
// calls it. The transaction that a persister commits is its own, and that of a request is the strategy's; a provider of a lock or
// of a group has its rows written by commerce. The clients of database and Redis belong to whoever calls them.
var rules = []struct {
	part      string
	functions []string // prefixes of their names
}{
	{partGC, []string{"runtime.gcBgMarkWorker", "runtime.gcAssistAlloc", "runtime.gcStart", "runtime.bgsweep", "runtime.bgscavenge"}},
	{partPersist, []string{"holdfast/events.(*Persister)", "holdfast/events.(*streamSubscriber)", "holdfast/events.(*collector)"}},
	{partRelay, []string{"holdfast/events.(*Relay)"}},
	{partHandlers, []string{"holdfast/events.", "github.com/ThreeDotsLabs/watermill/"}},
	{partStrategy, []string{"holdfast/lockprovider", "main.transaction", "main.statement", "main.script"}},
	{partCommerce, []string{"holdfast/commerce."}},
	{partTokens, []string{"holdfast/auth.(*Verifier)"}},
	{partGraphQL, []string{"holdfast/graph", "github.com/99designs/gqlgen/", "github.com/vektah/gqlparser/"}},
	{partHTTP, []string{"net/http."}},
}

// partOf returns the part of a stack, given by the names of its functions.
func partOf(stack []string) string {
	for _, rule := range rules {
		for _, function := range rule.functions {
			if slices.ContainsFunc(stack, func(name string) bool { return strings.HasPrefix(name, function) }) {
				return rule.part
			}
		}
	}
	if slices.ContainsFunc(stack, func(name string) bool { return !strings.HasPrefix(name, "runtime.") }) {
		return partOther
	}
	return partRuntime
}

// shares returns the share of each part in the CPU time of a profile.
func shares(p *profile.Profile) map[string]float64 {
	sums, total := map[string]float64{}, 0.0
	for _, sample := range p.Sample {
		var stack []string
		for _, location := range sample.Location {
			for _, line := range location.Line {
				if line.Function != nil {
					stack = append(stack, line.Function.Name)
				}
			}
		}
		spent := float64(sample.Value[len(sample.Value)-1]) // nanoseconds; before them are numbers of samples
		sums[partOf(stack)] += spent
		total += spent
	}
	for part := range sums {
		sums[part] /= total
	}
	return sums
}
