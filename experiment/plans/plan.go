package plans

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"entgo.io/ent/dialect"

	"holdfast/experiment/host"
	"holdfast/experiment/load"
	"holdfast/lockprovider"
)

// Plan is what an experiment runs: every combination of its lists, Rounds times.
type Plan struct {
	// Name titles the report.
	Name string `json:"name" yaml:"name"`
	// About says what the plan is meant to show.
	About string `json:"about,omitempty" yaml:"about,omitempty"`
	// Workloads are what customers do, see [Workloads].
	Workloads []string `json:"workloads" yaml:"workloads,flow"`
	// Strategies serve all four families of data, each in its turn. Empty for those of running servers.
	Strategies []lockprovider.Strategy `json:"strategies" yaml:"strategies,flow"`
	// Databases are sqlite, postgres or mariadb.
	Databases []string `json:"databases" yaml:"databases,flow"`
	// Redis is embedded or real.
	Redis string `json:"redis" yaml:"redis"`
	// Clients are how many customers ask at the same time: 1 to 10000.
	Clients []int `json:"clients" yaml:"clients,flow"`
	// Rates are operations per second of an open loop; 0 is a closed loop, in which each client asks as soon as it has been
	// answered. 0 to 100000.
	Rates []float64 `json:"rates" yaml:"rates,flow"`
	// Instances are how many server processes share the stores: 1 to 16.
	Instances []int `json:"instances" yaml:"instances,flow"`
	// Duration bounds the measured part of a run: up to 1h. 0 leaves that to Operations.
	Duration Duration `json:"duration" yaml:"duration"`
	// Operations bounds a run as well; 0 is no bound.
	Operations int `json:"operations,omitempty" yaml:"operations,omitempty"`
	// WarmUp is the same load on other objects before the measurement: 0s to 10m.
	WarmUp Duration `json:"warmUp" yaml:"warmUp"`
	// Rounds repeat all runs, interleaved: what the machine does besides hits all strategies alike. 1 to 100.
	Rounds int `json:"rounds" yaml:"rounds"`
	// Seed makes two experiments ask for the same things in the same order.
	Seed uint64 `json:"seed" yaml:"seed"`
	// Skew is the exponent of the Zipf distribution by which objects are picked: 0 is uniform, 1 the classic. 0 to 5.
	Skew float64 `json:"skew" yaml:"skew,omitempty"`
	// Objects, Units and Users replace the workload's own: how many products, accounts or wallets there are, what each
	// begins with, and how many customers share them. 0 leaves the workload's.
	Objects int   `json:"objects,omitempty" yaml:"objects,omitempty"`
	Units   int64 `json:"units,omitempty" yaml:"units,omitempty"`
	Users   int   `json:"users,omitempty" yaml:"users,omitempty"`
	// History records every request and answer, has clients read what they have moved, and checks the order of it all afterwards.
	History bool `json:"history,omitempty" yaml:"history,omitempty"`
	// Faults happen during a run, one after the other and again, see [Faults]. What an operation costs is not measured then.
	Faults []Fault `json:"faults,omitempty" yaml:"faults,omitempty,flow"`
	// Settings configure the servers, as key=value of config/example.yaml.
	Settings []string `json:"settings,omitempty" yaml:"settings,omitempty,flow"`
}

// Default returns the plan that runs if no other is named. It takes about half a minute on the embedded stores.
func Default() Plan {
	return Plan{
		Name: "default", About: "Every strategy under transfers between few accounts.",
		Workloads: []string{"transfers"}, Strategies: allStrategies(),
		Databases: []string{host.SQLite}, Redis: host.EmbeddedRedis, Clients: []int{16}, Rates: []float64{0}, Instances: []int{1},
		Duration: Duration(400 * time.Millisecond), WarmUp: Duration(100 * time.Millisecond), Rounds: 3, Seed: 1,
	}
}

// allStrategies are those that work on SQLite. They begin with the control.
func allStrategies() []lockprovider.Strategy {
	var names []lockprovider.Strategy
	for _, info := range lockprovider.Strategies {
		if info.Control {
			names = append(names, info.Name)
		}
	}
	return append(names, lockprovider.Usable(dialect.SQLite)...)
}

// Validate returns all that is out of bounds, each with its key and what is allowed.
func (p Plan) Validate() error {
	c := planChecker{}
	workloads := load.Workloads()
	names := make([]string, 0, len(workloads))
	for _, w := range workloads {
		names = append(names, w.Name)
	}
	each(&c, "workloads", p.Workloads, func(w string) bool { return slices.Contains(names, w) }, strings.Join(names, ", "))
	known := make([]string, 0, len(lockprovider.Strategies))
	for _, s := range lockprovider.Names() {
		known = append(known, string(s))
	}
	each(&c, "strategies", p.Strategies, func(s lockprovider.Strategy) bool { return slices.Contains(known, string(s)) },
		strings.Join(known, ", "))
	databases := []string{host.SQLite, host.Postgres, host.MariaDB}
	each(&c, "databases", p.Databases, func(d string) bool { return slices.Contains(databases, d) }, strings.Join(databases, ", "))
	for _, s := range p.Strategies {
		info, _ := lockprovider.Lookup(s)
		for _, d := range p.Databases {
			c.that("strategies", info.Needs.Allow(dialects[d]), s, "a strategy that works on "+d)
		}
	}
	c.that("redis", p.Redis == host.EmbeddedRedis || p.Redis == host.RealRedis, p.Redis, "embedded or real")
	each(&c, "clients", p.Clients, func(n int) bool { return n >= 1 && n <= 10_000 }, "1 to 10000")
	each(&c, "rates", p.Rates, func(r float64) bool { return r >= 0 && r <= 100_000 }, "0 (closed loop) to 100000 a second")
	each(&c, "instances", p.Instances, func(n int) bool { return n >= 1 && n <= 16 }, "1 to 16")
	c.that("duration", p.Duration >= 0 && time.Duration(p.Duration) <= time.Hour, p.Duration, "0s to 1h")
	c.that("operations", p.Operations >= 0 && p.Operations <= 10_000_000, p.Operations, "0 to 10000000")
	c.that("duration", p.Duration > 0 || p.Operations > 0, p.Duration, "more than 0s, or operations: something has to end a run")
	c.that("warmUp", p.WarmUp >= 0 && time.Duration(p.WarmUp) <= 10*time.Minute, p.WarmUp, "0s to 10m")
	c.that("rounds", p.Rounds >= 1 && p.Rounds <= 100, p.Rounds, "1 to 100")
	c.that("skew", p.Skew >= 0 && p.Skew <= 5, p.Skew, "0 to 5")
	c.that("objects", p.Objects >= 0 && p.Objects <= 100_000, p.Objects, "0 (the workload's own) to 100000")
	c.that("objects", p.Objects != 1 || !slices.Contains(p.Workloads, "transfers"), p.Objects, "at least 2: transfers go from one to another")
	c.that("units", p.Units >= 0 && p.Units <= 1_000_000_000, p.Units, "0 (the workload's own) to 1000000000")
	c.that("users", p.Users >= 0 && p.Users <= 100_000, p.Users, "0 (the workload's own) to 100000")
	c.faults(p)
	for _, s := range p.Settings {
		key, _, found := strings.Cut(s, "=")
		c.that("settings", found, s, "key=value, such as payment.latency=20ms")
		c.that("settings", !slices.Contains(ownSettings, key) && !strings.HasSuffix(key, ".provider"), s,
			"another key: this one is set by the experiment, see strategies, databases and redis")
	}
	return errors.Join(c.errs...)
}

// dialects are ent's names of the databases.
var dialects = map[string]string{host.SQLite: dialect.SQLite, host.Postgres: dialect.Postgres, host.MariaDB: dialect.MySQL}

// ownSettings of servers are not a plan's business.
var ownSettings = []string{"database.url", "redis.url", "listen", "admin.listen", "development", "allowNone", "log.level", "log.format"}

type planChecker struct{ errs []error }

func (c *planChecker) that(key string, ok bool, value any, want string) {
	if !ok {
		c.errs = append(c.errs, fmt.Errorf("plan: %s: %v: want %s", key, value, want))
	}
}

// faults need stores that are processes of their own.
func (c *planChecker) faults(p Plan) {
	if len(p.Faults) == 0 {
		return
	}
	names := make([]string, 0, len(Faults()))
	for _, f := range Faults() {
		names = append(names, string(f))
	}
	each(c, "faults", p.Faults, func(f Fault) bool { return slices.Contains(Faults(), f) }, strings.Join(names, ", "))
	for _, f := range p.Faults {
		c.that("faults", f.Store() != host.RealRedis || p.Redis == host.RealRedis, f, "a Redis that is a process of its own: redis: real")
		c.that("faults", f.Store() != host.Database || !slices.Contains(p.Databases, host.SQLite), f,
			"a database that is a process of its own: postgres or mariadb")
	}
}

func each[T comparable](c *planChecker, key string, values []T, ok func(T) bool, want string) {
	c.that(key, len(values) > 0, "nothing", "at least one of "+want)
	seen := map[T]bool{}
	for _, v := range values {
		c.that(key, ok(v), v, "one of "+want)
		c.that(key, !seen[v], v, "each only once")
		seen[v] = true
	}
}
