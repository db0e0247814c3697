package experiment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast/clients"
	"holdfast/lockprovider"
)

// running is a shop under test.
type running struct {
	shop      *shop
	site      *site // nil of servers that ran before
	processes []*process
	redis     *clients.Redis    // nil where it is not known
	db        *clients.Database // nil where it is not known
	shared    bool              // others use the shop as well
}

// launch starts the servers of a case on stores of their own, or takes those that run.
func (r *Runner) launch(ctx context.Context, p Plan, c Case) (_ *running, err error) {
	if len(r.URLs) > 0 {
		return r.connect(ctx)
	}
	out := &running{}
	defer func() {
		if err != nil {
			err = errors.Join(err, out.close())
		}
	}()
	if out.site, err = r.Stores.open(ctx, c.Database, c.Redis); err != nil {
		return nil, err
	}
	env := append(serverEnv(r.Environ), "DATABASE_URL="+out.site.databaseURL, "REDIS_URL="+out.site.redisURL,
		"HOLDFAST_DEVELOPMENT=false", "HOLDFAST_AUTH_SECRET="+string(r.Secret))
	args := slices.Concat(r.Args, serverArgs(p, c))
	if out.processes, err = startServers(ctx, r.Executable, env, args, c.Instances); err != nil {
		return nil, err
	}
	var urls []string
	for _, p := range out.processes {
		urls = append(urls, p.url)
	}
	out.shop = newShop(urls, r.Secret, r.Issuer, r.Currency, c.Clients)
	if out.redis, err = out.site.openRedis(ctx); err != nil {
		return nil, err
	}
	out.db, err = clients.OpenDatabase(ctx, out.site.databaseURL, clients.DatabaseOptions{MaxOpen: 2})
	return out, err
}

// serverArgs are what makes a server of a case. Later settings win: those of the plan cannot replace the strategy.
func serverArgs(p Plan, c Case) []string {
	args := []string{"serve", "--listen", "127.0.0.1:0"}
	if c.Strategy == lockprovider.None {
		args = append(args, "--allow-none") // what is refused everywhere else is the control here
	}
	settings := slices.Clone(p.Settings)
	for _, family := range lockprovider.Families {
		settings = append(settings, fmt.Sprintf("locks.%s.provider=%s", strings.ToLower(string(family)), c.Strategy))
	}
	settings = append(settings, "log.format=text", "log.level=info") // the line that says that it is ready
	for _, s := range settings {
		args = append(args, "--set", s)
	}
	return args
}

// connect takes servers that run already.
func (r *Runner) connect(ctx context.Context) (_ *running, err error) {
	out := &running{shop: newShop(r.URLs, r.Secret, r.Issuer, r.Currency, r.connections), shared: true}
	if r.RunningDatabase != "" {
		if out.db, err = clients.OpenDatabase(ctx, r.RunningDatabase, clients.DatabaseOptions{MaxOpen: 2}); err != nil {
			return nil, err
		}
	}
	if r.RunningRedis != "" {
		if out.redis, err = clients.OpenRedis(ctx, clients.RedisOptions{URL: r.RunningRedis, PoolSize: 2}); err != nil {
			return nil, errors.Join(err, out.close())
		}
	}
	return out, nil
}

// stop ends the servers; their stores stay.
func (r *running) stop() error {
	if r.shop != nil {
		r.shop.close()
	}
	errs := make([]error, len(r.processes))
	for i, p := range r.processes {
		if p != nil {
			errs[i] = p.stop()
		}
	}
	r.processes = nil
	return errors.Join(errs...)
}

func (r *running) close() error {
	errs := []error{r.stop()}
	if r.db != nil {
		errs = append(errs, r.db.Close())
	}
	if r.redis != nil && (r.site == nil || r.site.embedded == nil) {
		errs = append(errs, r.redis.Close())
	}
	if r.site != nil {
		errs = append(errs, r.site.close())
	}
	return errors.Join(errs...)
}

// one runs a case once: warm-up, load, audit.
func (r *Runner) one(ctx context.Context, p Plan, c Case, round int, tick func(done int64)) (_ Run, err error) {
	w, err := workloadOf(c.Workload)
	if err != nil {
		return Run{}, err
	}
	target, err := r.launch(ctx, p, c)
	if err != nil {
		return Run{}, err
	}
	defer func() { err = errors.Join(err, target.close()) }()

	label := "customer"
	if target.shared {
		label = fmt.Sprintf("customer%x-", time.Now().UnixNano()) // nobody who has been here before
	}
	audit := &auditor{shared: target.shared}
	as := size{objects: p.Objects, units: p.Units, users: p.Users, skew: p.Skew}
	if p.WarmUp > 0 {
		warm, err := newWorld(ctx, target.shop, w, as, c.Clients, label)
		if err != nil {
			return Run{}, err
		}
		l := load{
			shop: target.shop, world: warm, clients: c.Clients, rate: c.Rate, duration: time.Duration(p.WarmUp),
			seed: p.Seed, label: "warm",
		}
		audit.asks, audit.worlds = l.run(ctx).asks, []*world{warm}
		for _, a := range audit.asks {
			a.began = time.Time{} // audited, not measured
		}
	}
	measured, err := newWorld(ctx, target.shop, w, as, c.Clients, label)
	if err != nil {
		return Run{}, err
	}
	counter := newCounter(tick)
	l := load{
		shop: target.shop, world: measured, clients: c.Clients, rate: c.Rate, duration: time.Duration(p.Duration),
		operations: p.Operations, seed: p.Seed + uint64(round), label: "load", progress: counter.add,
	}
	before := readCounters(ctx, target.sources())
	rec := l.run(ctx)
	after := readCounters(ctx, target.sources())
	if ctx.Err() != nil {
		return Run{}, ctx.Err()
	}
	audit.asks, audit.worlds = append(audit.asks, rec.asks...), append(audit.worlds, measured)
	out := Run{Case: c, Round: round}
	measure(&out, rec)
	cost(&out, before, after, rec)
	found, err := target.audit(ctx, audit, &out)
	if err != nil {
		return Run{}, err
	}
	transactions(ctx, &out, target, before, rec)
	judge(&out, found, measured, rec)
	return out, nil
}

// audit proves the run, as far as the stores are known.
func (r *running) audit(ctx context.Context, a *auditor, out *Run) (auditResult, error) {
	if r.db == nil {
		out.Audit = notAudited + ": name the database of the running servers with --database-url"
		return auditResult{}, nil
	}
	out.Audit = "journal, answers"
	var different []Finding
	if r.redis != nil {
		var err error
		if different, err = settle(ctx, r.db.Ent, r.redis); err != nil {
			return auditResult{}, err
		}
		out.Audit = "journal, answers, stores"
	}
	if err := r.stop(); err != nil {
		return auditResult{}, err
	}
	a.db = r.db.Ent
	found, err := a.run(ctx)
	found.findings = append(different, found.findings...)
	return found, err
}

// sources are where the counters of the shop are read.
func (r *running) sources() sources {
	return sources{http: r.shop.http, urls: r.shop.urls, redis: r.redis, stores: r.site}
}
