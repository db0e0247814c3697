package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/pprof/profile"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/config"
	"holdfast/config/setting"
	"holdfast/ent/changelog"
	"holdfast/experiment/host"
	"holdfast/experiment/load"
	"holdfast/experiment/plans"
	"holdfast/experiment/report"
	"holdfast/internal/servers"
)

// theCase is what is measured once a round.
type theCase struct {
	Name     string // of a strategy or a reference
	Build    string // of the shop, "" for the only one and for references
	Products int
}

// run is a case in one round. CPU times are milliseconds for each order, nil if they are not known.
type run struct {
	orders                               int64
	retries                              int64
	perSecond                            float64
	server, database, redis, client, sum *float64
	parts                                map[string]float64
	statements                           []Statement
}

// lab has what all runs share.
type lab struct {
	options
	program string // this one, to serve references
	secret  []byte
	stores  host.Stores
}

// measure runs all cases in each round. If one of them fails, it returns what was measured before, with the error.
func measure(ctx context.Context, o options) (_ Report, err error) {
	l := lab{options: o, secret: []byte(rand.Text() + rand.Text())}
	if l.program, err = os.Executable(); err != nil {
		return Report{}, err
	}
	stop, err := l.startStores(ctx)
	defer func() { err = errors.Join(err, stop()) }()
	if err != nil {
		return Report{}, err
	}
	out := Report{Machine: host.ThisMachine(ctx), Started: time.Now().UTC().Truncate(time.Second), Clients: o.Clients}
	cases := o.cases()
	runs := map[theCase][]run{}
	err = repeat(cases, o.Rounds, func(c theCase, round int) error {
		fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", round+1, o.Rounds, c)
		r, err := l.one(ctx, c, uint64(round)+1)
		if err == nil {
			runs[c] = append(runs[c], r)
		}
		return err
	})
	out.Cases = o.summaries(runs)
	return out, err
}

// repeat does all cases in each round, up to the first error.
func repeat(cases []theCase, rounds int, do func(c theCase, round int) error) error {
	for round := range rounds {
		for i := range cases {
			c := cases[(i+round*len(cases)/rounds)%len(cases)] // who comes first in a round is not always the same
			if err := do(c, round); err != nil {
				return fmt.Errorf("%s, round %d: %w", c, round+1, err)
			}
		}
	}
	return nil
}

// summaries are of all cases that were measured at least once.
func (o *options) summaries(runs map[theCase][]run) (all []Case) {
	for _, c := range o.cases() {
		if len(runs[c]) > 0 {
			all = append(all, summary(c, runs[c], runs[o.base(c)]))
		}
	}
	return all
}

func (c theCase) String() string {
	return fmt.Sprintf("%s, %s", c.label(), plans.Plural(c.Products, "product"))
}

func (c theCase) label() string {
	if c.Build == "" {
		return c.Name
	}
	return c.Name + " " + c.Build
}

// cases are all there are: for each number of products the references, and then each strategy in all builds.
func (o *options) cases() []theCase {
	var all []theCase
	for _, products := range o.Products {
		for _, name := range o.references() {
			all = append(all, theCase{Name: name, Products: products})
		}
		for _, name := range o.strategies() {
			for _, build := range slices.Sorted(maps.Keys(o.Build)) {
				all = append(all, theCase{name, build, products})
			}
		}
	}
	return all
}

// base is what a case is compared with: the same strategy in the first build if there are several, else the first case.
func (o *options) base(c theCase) theCase {
	if len(o.Build) > 1 && slices.Contains(o.strategies(), c.Name) {
		c.Build = slices.Sorted(maps.Keys(o.Build))[0]
		return c
	}
	first := o.cases()[0]
	first.Products = c.Products
	return first
}

// startStores starts the servers in which each run has a database of its own.
func (l *lab) startStores(ctx context.Context) (stop func() error, err error) {
	var started []*servers.Server
	stop = func() error {
		var errs []error
		for _, s := range started {
			errs = append(errs, s.Stop())
		}
		return errors.Join(errs...)
	}
	// As a shop runs it: commits are on the disk, and the tables fit into memory.
	postgres := []string{"-c", "fsync=on", "-c", "shared_buffers=512MB", "-c", "max_wal_size=4GB", "-c", "jit=off"}
	if l.Statements {
		postgres = append(postgres, "-c", "shared_preload_libraries=pg_stat_statements", "-c", "pg_stat_statements.track_planning=on")
	}
	for kind, args := range map[servers.Kind][]string{servers.KindPostgres: postgres, servers.KindRedis: nil} {
		s, err := servers.Start(ctx, kind, args...)
		if err != nil {
			return stop, err
		}
		started = append(started, s)
		if kind == servers.KindPostgres {
			l.stores.PostgresURL = s.URL
		} else {
			l.stores.RedisURL = s.URL
		}
	}
	return stop, nil
}

// one measures a case once.
func (l *lab) one(ctx context.Context, c theCase, seed uint64) (_ run, err error) {
	stores, err := l.stores.Open(ctx, host.Postgres, host.RealRedis)
	if err != nil {
		return run{}, err
	}
	defer func() { err = errors.Join(err, stores.Close()) }()
	process, err := l.start(ctx, c, stores)
	if err != nil {
		return run{}, err
	}
	defer func() { err = errors.Join(err, process.Stop()) }()
	db, err := clients.OpenDatabase(ctx, stores.DatabaseURL, clients.DatabaseOptions{MaxOpen: 1})
	if err != nil {
		return run{}, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	redis, err := stores.OpenRedis(ctx)
	if err != nil {
		return run{}, err
	}
	defer func() { err = errors.Join(err, redis.Close()) }()
	authentication := setting.Default[config.Auth]()
	shop := load.NewShop([]string{process.URL}, l.secret, authentication.Issuer, authentication.Audience,
		setting.Default[commerce.ShopSettings]().Currency, l.Clients)
	defer shop.Close()
	workload, err := load.WorkloadByName("catalogue")
	if err != nil {
		return run{}, err
	}
	dataset, err := load.Prepare(ctx, shop, workload, load.Size{Objects: c.Products, Units: units}, l.Clients, "customer")
	if err != nil {
		return run{}, err
	}
	generator := load.Generator{
		Shop: shop, Dataset: dataset, Clients: l.Clients, Duration: l.WarmUp, Operations: l.Orders, Seed: seed, Label: "warm",
	}
	var placed int64
	settled := func() error { return l.settled(ctx, c, db, placed) }
	if l.WarmUp > 0 {
		warm := generator.Run(ctx)
		placed += warm.Granted + warm.Late
		if err := settled(); err != nil {
			return run{}, err
		}
		// Plans are then those of tables with rows, of the shop as of references.
		if _, err := db.Ent.ExecContext(ctx, "VACUUM ANALYZE"); err != nil {
			return run{}, err
		}
	}
	watched, err := watchStatements(ctx, l.Statements, stores.DatabaseURL)
	if err != nil {
		return run{}, err
	}
	defer watched.close()
	sources := host.Sources{HTTP: shop.HTTP, URLs: []string{process.Admin}, Redis: redis, Stores: stores}
	generator.Duration, generator.Label = l.Duration, "load"
	before := host.ReadCounters(ctx, sources)
	profiled := profileOf(ctx, process.Admin, l.profileSeconds())
	recorded := generator.Run(ctx)
	orders := recorded.Granted + recorded.Late
	placed += orders
	if err := settled(); err != nil {
		return run{}, err
	}
	after := host.ReadCounters(ctx, sources)
	if orders == 0 || recorded.Refused+recorded.Unanswered > 0 {
		return run{}, fmt.Errorf("%d orders, %d refused (%v), %d unanswered: the cost of an order is that of one that is placed",
			orders, recorded.Refused, recorded.RefusedByCode, recorded.Unanswered)
	}
	out := run{orders: orders, perSecond: float64(recorded.Granted) / recorded.Active.Seconds()}
	for _, n := range recorded.Retries {
		out.retries += n
	}
	per := func(after, before *float64) *float64 {
		d := host.Difference(after, before)
		if d == nil {
			return nil
		}
		ms := *d * 1000 / float64(orders)
		return &ms
	}
	out.server, out.database = per(after.ServerCPU, before.ServerCPU), per(after.DatabaseCPU, before.DatabaseCPU)
	out.redis, out.client = per(after.RedisCPU, before.RedisCPU), per(after.OwnCPU, before.OwnCPU)
	if out.server != nil && out.database != nil && out.redis != nil {
		sum := *out.server + *out.database + *out.redis
		out.sum = &sum
	}
	answer := <-profiled
	if answer.err != nil {
		return run{}, answer.err
	}
	if out.server != nil {
		out.parts = shares(answer.profile)
		for part := range out.parts {
			out.parts[part] *= *out.server
		}
	}
	out.statements, err = watched.dearest(ctx, orders)
	return out, err
}

// start runs the server of a case.
func (l *lab) start(ctx context.Context, c theCase, stores *host.RunStores) (*host.Process, error) {
	env := host.ServerEnv(os.Environ())
	if slices.Contains(l.references(), c.Name) {
		return host.Start(ctx, l.program, env, []string{
			"reference", c.Name, "--products", strconv.Itoa(c.Products),
			"--database-url", stores.DatabaseURL, "--redis-url", stores.RedisURL,
		})
	}
	env = append(env, "DATABASE_URL="+stores.DatabaseURL, "REDIS_URL="+stores.RedisURL, "HOLDFAST_AUTH_SECRET="+string(l.secret))
	strategy, answersEarly := strings.CutSuffix(c.Name, accepted)
	settings := []string{
		"profile=production", "http.userRate=0", "http.addressRate=0", "http.shop=false", "admin.listen=127.0.0.1:0",
		"log.format=text", "log.level=info", // the line that says that it is ready
		"shop.reservation=1h",     // no order expires meanwhile
		"shop.maxPending=1000000", // orders that wait for payment are counted, and none is refused
		"pipeline.backlog=100000", // no order is refused because the database is behind
		"locks.stock.wait=1m",     // no order is refused because others are before it
		"locks.stock.provider=" + strategy,
	}
	if answersEarly {
		settings = append(settings, "locks.stock.ack=accepted")
	}
	args := []string{"serve", "--listen", "127.0.0.1:0"}
	for _, s := range slices.Concat(settings, l.Set) {
		args = append(args, "--set", s)
	}
	return host.Start(ctx, l.Build[c.Build], env, args)
}

const (
	// settleTimeout bounds the wait until the shop has done all that orders have given it to do.
	settleTimeout = 5 * time.Minute
	// settlePoll is how often it is looked at.
	settlePoll = 50 * time.Millisecond
)

// settled returns when the database has so many orders, and all of their events are published and handled.
func (l *lab) settled(ctx context.Context, c theCase, db *clients.Database, orders int64) error {
	if slices.Contains(l.references(), c.Name) {
		return nil // they have nothing to do after the answer
	}
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	tick := time.NewTicker(settlePoll)
	defer tick.Stop()
	for {
		waiting, err := db.Ent.ChangeLog.Query().Where(changelog.PublishedAtIsNil()).Exist(ctx)
		if err == nil && !waiting {
			var n int
			if n, err = db.Ent.Order.Query().Count(ctx); err == nil && int64(n) >= orders {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("the events of %d orders are not published: %w", orders, ctx.Err()), err)
		}
	}
}

// profiled is the answer to a request for a profile.
type profiled struct {
	profile *profile.Profile
	err     error
}

// profileSeconds is for how long a server is profiled: the measured time, or its beginning if a number of orders may end it.
func (o *options) profileSeconds() int {
	if o.Orders > 0 {
		return 1
	}
	return int(o.Duration.Seconds())
}

// profileOf asks a server for a profile of its CPU time of the next seconds.
func profileOf(ctx context.Context, admin string, seconds int) <-chan profiled {
	out := make(chan profiled, 1)
	go func() {
		p, err := fetchProfile(ctx, admin, seconds)
		if err != nil {
			err = fmt.Errorf("profile the server: %w", err)
		}
		out <- profiled{p, err}
	}()
	return out
}

func fetchProfile(ctx context.Context, admin string, seconds int) (*profile.Profile, error) {
	address := fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", admin, seconds)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", resp.Status, bytes.TrimSpace(text))
	}
	return profile.ParseData(text)
}

// summary puts the rounds of a case together, and compares each with the same round of its base.
func summary(c theCase, runs, base []run) Case {
	out := Case{Name: c.Name, Build: c.Build, Products: c.Products, Parts: map[string]float64{}, Statements: runs[len(runs)-1].statements}
	over := func(of func(int) *float64) *report.Interval {
		var values []float64
		for round := range runs {
			if v := of(round); v != nil {
				values = append(values, *v)
			}
		}
		if len(values) == 0 {
			return nil
		}
		interval := report.IntervalOf(values)
		return &interval
	}
	out.PerSecond = *over(func(i int) *float64 { return &runs[i].perSecond })
	out.Server = over(func(i int) *float64 { return runs[i].server })
	out.Database = over(func(i int) *float64 { return runs[i].database })
	out.Redis = over(func(i int) *float64 { return runs[i].redis })
	out.Client = over(func(i int) *float64 { return runs[i].client })
	out.Sum = over(func(i int) *float64 { return runs[i].sum })
	// The base lacks the last round if that was cut short.
	out.CPURatio = over(func(i int) *float64 {
		if i >= len(base) {
			return nil
		}
		return ratio(runs[i].sum, base[i].sum)
	})
	out.RateRatio = over(func(i int) *float64 {
		if i >= len(base) {
			return nil
		}
		return ratio(&runs[i].perSecond, &base[i].perSecond)
	})
	parts := map[string][]float64{}
	for _, r := range runs {
		out.Orders += r.orders
		out.Retries += r.retries
		for part, ms := range r.parts {
			parts[part] = append(parts[part], ms)
		}
	}
	for part, ms := range parts { // a part without a sample in some rounds is too small to matter
		out.Parts[part] = report.IntervalOf(ms).Median
	}
	return out
}

func ratio(v, of *float64) *float64 {
	if v == nil || of == nil || *of == 0 {
		return nil
	}
	r := *v / *of
	return &r
}
