// Package experiment runs the same commerce workload under each concurrency strategy, through the GraphQL API of real
// server processes, measures what each one costs, and audits afterwards that nothing was lost or invented.
//
// A [plans.Plan] says what to run. A [Runner] runs it and returns a [report.Report], which writes itself as a table, JSON,
// CSV, HTML or Markdown. A [Lab] runs plans in the background of a server. Runs are repeated in rounds, and rounds interleaved, so that whatever else the machine does hits all
// strategies alike; comparisons are made of intervals, see [report.Interval.Against].
//
// The parts stand in packages of their own, and none of them imports this one: plans (what to run), load (customers who
// ask the shop), claims (what they were told), audit (answers against stores), history (their order), report (figures, tables, plots) and host (processes, stores, counters).
package experiment

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"holdfast/experiment/host"
	"holdfast/experiment/load"
	"holdfast/experiment/plans"
	"holdfast/experiment/report"
	"holdfast/lockprovider"
)

// Runner runs plans. Its zero value lacks Executable or URLs.
type Runner struct {
	// Executable is the program whose servers are started.
	Executable string
	// Environ is the environment in the form of os.Environ; what would configure a server is left out of it.
	Environ []string
	// Args come before the command of a server, such as --config FILE.
	Args []string
	// Stores are where runs have their data.
	Stores host.Stores

	// URLs are servers that run already, http://host:port, of one shop. Then no server is started, strategies, databases
	// and instances are theirs, and Secret, Issuer, Audience and Currency have to be.
	URLs []string
	// AdminURLs are the addresses of their admin.listen, for their metrics; none if these are not to be read.
	AdminURLs []string
	// RunningDatabase and RunningRedis are the stores of those servers, for the audit; "" if they are not to be audited.
	RunningDatabase, RunningRedis string

	// Secret signs the customers' tokens; random if it is empty and servers are started.
	Secret []byte
	// Issuer and Audience are those of the tokens, Currency that of the shop's prices: as the servers are configured.
	Issuer, Audience, Currency string

	// Progress is called before and during each run, from one goroutine at a time. It may be nil.
	Progress func(Progress)

	connections int
}

// Run runs a plan to its end. If ctx ends before, or a server or store fails, it returns what has been measured until
// then together with the error.
func (r *Runner) Run(ctx context.Context, p plans.Plan) (out report.Report, err error) {
	if len(r.URLs) > 0 {
		if p, err = r.adopt(ctx, p); err != nil {
			return report.Report{}, err
		}
	} else if err := errors.Join(p.Validate(), startsStores(p, &r.Stores)); err != nil {
		return report.Report{}, err
	}
	r.Stores.Durable = len(p.Faults) > 0
	if len(r.Secret) == 0 {
		r.Secret = []byte(rand.Text() + rand.Text())
	}
	out = report.Report{Plan: p, Machine: host.ThisMachine(ctx), Started: time.Now().UTC().Truncate(time.Second)}
	defer func() { err = errors.Join(err, r.Stores.Close()) }()
	defer out.Conclude()
	cases := p.Cases()
	total := len(cases) * p.Rounds
	for round := 1; round <= p.Rounds; round++ {
		for i := range cases {
			// Each round begins with another case: who comes first or last in a round is not always the same.
			c := cases[(i+(round-1)*len(cases)/p.Rounds)%len(cases)]
			progress := Progress{Case: c, Round: round, Run: (round-1)*len(cases) + i + 1, Runs: total}
			r.tell(progress)
			run, err := r.one(ctx, p, c, round, func(done int64) {
				progress.Operations = done
				r.tell(progress)
			})
			if err != nil {
				return out, fmt.Errorf("%s under %s, round %d: %w", c, c.Strategy, round, err)
			}
			out.Runs = append(out.Runs, run)
			progress.Finished = &run
			r.tell(progress)
		}
	}
	return out, nil
}

// mixed stands for the strategies of running servers if their families have several.
const mixed lockprovider.Strategy = "mixed"

// adopt replaces what a plan says of servers by what runs.
func (r *Runner) adopt(ctx context.Context, p plans.Plan) (plans.Plan, error) {
	for i, u := range r.URLs {
		r.URLs[i] = strings.TrimSuffix(strings.TrimSuffix(u, "/"), "/graphql")
	}
	s := load.NewShop(r.URLs, r.Secret, r.Issuer, r.Audience, r.Currency, 1)
	defer s.Close()
	strategies, err := s.Strategies(ctx)
	if err != nil {
		return p, fmt.Errorf("--url %s: %w", r.URLs[0], err)
	}
	p.Databases, p.Redis, p.Instances = []string{host.SQLite}, host.EmbeddedRedis, []int{len(r.URLs)}
	p.Strategies = []lockprovider.Strategy{lockprovider.RowLock}
	if err := p.Validate(); err != nil {
		return p, err
	}
	if len(p.Faults) > 0 {
		return p, errors.New("faults: they happen to servers and stores that the experiment starts: leave out --url")
	}
	p.Databases, p.Redis, p.Settings = []string{host.Running}, host.Running, nil
	p.Strategies = []lockprovider.Strategy{mixed}
	if len(strategies) == 1 {
		p.Strategies = strategies
	}
	for _, n := range p.Clients {
		r.connections = max(r.connections, n)
	}
	return p, nil
}
