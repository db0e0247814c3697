package experiment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"holdfast/clients"
	"holdfast/config/setting"
	"holdfast/experiment/host"
	"holdfast/experiment/load"
	"holdfast/experiment/plans"
	"holdfast/lockprovider"
)

// target is a shop under test: its servers and its stores.
type target struct {
	shop      *load.Shop
	stores    *host.RunStores // nil if the servers ran before
	processes []*host.Process
	admin     []string          // where the servers tell their metrics
	redis     *clients.Redis    // nil if it is not known
	db        *clients.Database // nil if it is not known
	shared    bool              // others use the shop as well
}

// launch starts the servers of a case on stores of their own, or takes those that run.
func (r *Runner) launch(ctx context.Context, p plans.Plan, c plans.Case) (_ *target, err error) {
	if len(r.URLs) > 0 {
		return r.connect(ctx)
	}
	out := &target{}
	defer func() {
		if err != nil {
			err = errors.Join(err, out.close())
		}
	}()
	if out.stores, err = r.Stores.Open(ctx, c.Database, c.Redis); err != nil {
		return nil, err
	}
	env := append(host.ServerEnv(r.Environ), "DATABASE_URL="+out.stores.DatabaseURL, "REDIS_URL="+out.stores.RedisURL,
		"HOLDFAST_DEVELOPMENT=false", "HOLDFAST_AUTH_SECRET="+string(r.Secret))
	args := slices.Concat(r.Args, serverArgs(p, c))
	if out.processes, err = host.StartServers(ctx, r.Executable, env, args, c.Instances); err != nil {
		return nil, err
	}
	var urls []string
	for _, p := range out.processes {
		urls, out.admin = append(urls, p.URL), append(out.admin, p.Admin)
	}
	out.shop = load.NewShop(urls, r.Secret, r.Issuer, r.Audience, r.Currency, c.Clients)
	if out.redis, err = out.stores.OpenRedis(ctx); err != nil {
		return nil, err
	}
	out.db, err = clients.OpenDatabase(ctx, out.stores.DatabaseURL, clients.DatabaseOptions{MaxOpen: 2})
	return out, err
}

// serverArgs are what makes a server of a case. Later settings win: those of the plan cannot replace the strategy.
func serverArgs(p plans.Plan, c plans.Case) []string {
	args := []string{"serve", "--listen", "127.0.0.1:0", "--set", "admin.listen=127.0.0.1:0"}
	if info, _ := lockprovider.Lookup(c.Strategy); info.Control {
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
func (r *Runner) connect(ctx context.Context) (_ *target, err error) {
	out := &target{shop: load.NewShop(r.URLs, r.Secret, r.Issuer, r.Audience, r.Currency, r.connections), admin: r.AdminURLs, shared: true}
	if r.RunningDatabase != "" {
		if out.db, err = clients.OpenDatabase(ctx, r.RunningDatabase, clients.DatabaseOptions{MaxOpen: 2}); err != nil {
			return nil, err
		}
	}
	if r.RunningRedis != "" {
		if out.redis, err = clients.OpenRedis(ctx, clients.RedisOptions{URL: setting.URL(r.RunningRedis), PoolSize: 2}); err != nil {
			return nil, errors.Join(err, out.close())
		}
	}
	return out, nil
}

// stop ends the servers; their stores stay.
func (t *target) stop() error {
	if t.shop != nil {
		t.shop.Close()
	}
	errs := make([]error, len(t.processes))
	for i, p := range t.processes {
		if p != nil {
			errs[i] = p.Stop()
		}
	}
	t.processes = nil
	return errors.Join(errs...)
}

func (t *target) close() error {
	errs := []error{t.stop()}
	if t.db != nil {
		errs = append(errs, t.db.Close())
	}
	if t.redis != nil && (t.stores == nil || t.stores.Embedded == nil) {
		errs = append(errs, t.redis.Close())
	}
	if t.stores != nil {
		errs = append(errs, t.stores.Close())
	}
	return errors.Join(errs...)
}

// sources are where the counters of the shop are read.
func (t *target) sources() host.Sources {
	return host.Sources{HTTP: t.shop.HTTP, URLs: t.admin, Redis: t.redis, Stores: t.stores}
}
