// Command holdfast is a GraphQL commerce backend for people who must not oversell. Its contended operations run under a
// concurrency strategy that the configuration picks; see docs/architecture.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/config"
	"holdfast/events"
	"holdfast/graph"
	"holdfast/lockprovider"
	"holdfast/schedulers"
	"holdfast/web"
)

// serve runs the shop until ctx ends: configuration → clients → providers → services → router → HTTP. ready is called
// with the address once requests are answered.
func serve(ctx context.Context, cfg config.Config, log *slog.Logger, ready func(address string)) (err error) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var closers closers
	defer func() { err = errors.Join(err, closers.close()) }()

	// Clients.
	db, err := clients.OpenDatabase(ctx, cfg.Database.URL, clients.DatabaseOptions{MaxOpen: cfg.Database.MaxOpen})
	if err != nil {
		return err
	}
	closers.add("database", db.Close)
	if err := migrate(ctx, db, cfg, log); err != nil {
		return err
	}
	redis, err := clients.OpenRedis(ctx, clients.RedisOptions{URL: cfg.Redis.URL, PoolSize: cfg.Redis.PoolSize})
	if err != nil {
		return err
	}
	closers.add("redis", redis.Close)
	if err := neverEvicts(ctx, redis, cfg, log); err != nil {
		return err
	}

	// Providers: one strategy a family, the same on every live instance.
	deployment, err := lockprovider.Join(ctx, db.Ent, cfg.Strategies(), lockprovider.DeploymentSettings{
		Heartbeat: cfg.Deployment.Heartbeat, Expiry: cfg.Deployment.Expiry, Takeover: cfg.Deployment.Takeover,
	})
	if err != nil {
		return err
	}
	closers.add("deployment", func() error {
		leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.Deployment.Heartbeat)
		defer cancel()
		return deployment.Leave(leaving)
	})
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for name, pool := range db.Pools() {
		registry.MustRegister(collectors.NewDBStatsCollector(pool, name))
	}
	ledger := lockprovider.NewLedger(db.Ent, db.Dialect, commerce.WriteRecords, cfg.Database.TxRetries)
	providers, err := lockprovider.Build(lockprovider.Deps{
		Ledger: ledger, Redis: redis.Client, RedisNodes: redis.Nodes, Metrics: lockprovider.NewMetrics(registry),
		Instance: deployment.Instance(), Epochs: deployment.Epochs(), Deployment: deployment, Log: log,
		Failover: failover(cfg), Worker: worker(cfg),
	}, cfg.Families())
	if err != nil {
		return err
	}
	closers.add("providers", providers.Close)

	if cfg.Metrics.OTLP != "" {
		stop, err := reportMetrics(ctx, cfg.Metrics, registry, deployment.Instance())
		if err != nil {
			return err
		}
		closers.add("metrics", stop)
	}

	// Events: what was committed is published, and handled; subscribers of all instances are told of it.
	live := events.NewLive(redis.Client, deployment.Instance(), log)
	closers.add("live", events.Background(ctx, live.Run))
	happened, err := events.Start(ctx, events.Deps{
		Client: db.Ent, Redis: redis.Client, Exclusive: providers.Exclusive, Live: live, Instance: deployment.Instance(),
		Metrics: registry, Log: log, Settings: broker(cfg),
	})
	if err != nil {
		return err
	}
	closers.add("events", happened.Close)
	ledger.OnCommit(happened.Wake)

	// What strategies need in the background, such as persisters, after what earlier epochs left behind is persisted.
	persisting := events.PersisterDeps{
		Ledger: ledger, Instance: deployment.Instance(), Settings: persister(cfg),
		Metrics: events.NewPersisterMetrics(registry), Log: log, Poison: happened.Poison,
	}
	if err := runStrategies(ctx, redis, deployment, providers, persisting, &closers); err != nil {
		return err
	}

	// Services.
	services := commerce.New(commerce.Deps{
		Client: db.Ent, Ledger: ledger, Providers: providers,
		Gateway: commerce.SimulatedGateway{
			Latency:                  cfg.Payment.Latency,
			AuthorizationFailureRate: cfg.Payment.AuthorizationFailureRate,
			CaptureFailureRate:       cfg.Payment.CaptureFailureRate,
		},
		Shop: commerce.ShopSettings{
			Currency: cfg.Shop.Currency, Reservation: cfg.Shop.Reservation, MaxLines: cfg.Shop.MaxLines,
			MaxQuantity: cfg.Shop.MaxQuantity, PaymentTimeout: cfg.Payment.Timeout,
		},
	})
	if cfg.Development {
		if err := demo(ctx, services); err != nil {
			return err
		}
	}

	// Schedulers.
	runner, err := schedulers.New(schedulers.Deps{
		Client: db.Ent, Ledger: ledger, Providers: providers, Orders: services.Orders,
		Instance: deployment.Instance(), Settings: jobs(cfg), Metrics: schedulers.NewMetrics(registry), Log: log,
	})
	if err != nil {
		return err
	}
	closers.add("schedulers", func() error {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.HTTP.ShutdownTimeout)
		defer cancel()
		return runner.Stop(stopping)
	})
	runner.Start()
	providers.OnReconnect(redisIsBack(runner, log))

	// Experiments that administrators start.
	ops := operations(db.Ent, providers, runner)
	if ops.Experiments, err = lab(cfg); err != nil {
		return err
	}
	if ops.Experiments != nil {
		closers.add("experiments", ops.Experiments.Close)
	}

	// Router and HTTP.
	api, err := endpoint(cfg, log, graph.Options{
		Services: services, Operations: ops, Strategies: providers.Strategies(), Live: live,
		Redis: redis.Client,
	})
	if err != nil {
		return err
	}
	handler, err := router(cfg, log, api, registry,
		func(ctx context.Context) error { return errors.Join(db.Ping(ctx), redis.Ping(ctx), happened.Check()) })
	if err != nil {
		return err
	}
	return listen(ctx, cfg, log, handler, api, deployment.Replaced(), ready)
}

// migrate brings the schema up to date, or refuses to run on an old one.
func migrate(ctx context.Context, db *clients.Database, cfg config.Config, log *slog.Logger) error {
	if !cfg.Database.Migrate {
		pending, err := db.Pending(ctx)
		if err == nil && len(pending) > 0 {
			err = fmt.Errorf("%d migrations are pending: run `holdfast migrate`, or set database.migrate", len(pending))
		}
		return err
	}
	applied, err := db.Migrate(ctx)
	if err == nil && len(applied) > 0 {
		log.InfoContext(ctx, "database migrated", "versions", applied)
	}
	return err
}

// runStrategies starts what the strategies of this process need in the background, after what earlier epochs have left
// behind is persisted.
func runStrategies(
	ctx context.Context, redis *clients.Redis, deployment *lockprovider.Deployment, providers *lockprovider.Providers,
	d events.PersisterDeps, closers *closers,
) error {
	if err := events.DrainEarlier(ctx, redis.Client, deployment, d); err != nil {
		return err
	}
	providers.PersistWith(events.Persisting(d))
	closers.add("strategies", events.Background(ctx, providers.Run))
	return nil
}

// neverEvicts refuses a Redis that may forget what only it knows: changes of lua and queue that are not in the database yet.
func neverEvicts(ctx context.Context, redis *clients.Redis, cfg config.Config, log *slog.Logger) error {
	strategies := cfg.Strategies()
	for _, family := range lockprovider.Families {
		if !lockprovider.KeepsInRedis(strategies[family]) {
			continue
		}
		err := redis.NeverEvicts(ctx)
		if errors.Is(err, clients.ErrPolicyUnknown) {
			log.WarnContext(ctx, "make sure that maxmemory-policy is noeviction: redis does not tell", "error", err)
			return nil
		}
		if err != nil {
			return fmt.Errorf("family %s, strategy %s: %w", family, strategies[family], err)
		}
		return nil
	}
	return nil
}

// router is everything that answers over HTTP.
func router(
	cfg config.Config, log *slog.Logger, api http.Handler, registry *prometheus.Registry, check func(ctx context.Context) error,
) (http.Handler, error) {
	mux := http.NewServeMux() // of our own: importing pprof anywhere would publish it on the default one
	mux.Handle("/graphql", api)
	if cfg.HTTP.Playground {
		page, err := playground(cfg)
		if err != nil {
			return nil, err
		}
		mux.Handle("GET /{$}", page)
	}
	if cfg.HTTP.Shop {
		page, err := shop(cfg)
		if err != nil {
			return nil, err
		}
		mux.Handle("GET /shop", page)
	}
	if cfg.Experiments.Enabled {
		page, err := labPage(cfg)
		if err != nil {
			return nil, err
		}
		mux.Handle("GET /lab", page)
	}
	if cfg.HTTP.Playground || cfg.HTTP.Shop || cfg.Experiments.Enabled {
		mux.Handle("/assets/", web.Assets())
	}
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /livez", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := check(r.Context()); err != nil {
			log.WarnContext(r.Context(), "not ready", "error", err)
			http.Error(w, "not ready", http.StatusServiceUnavailable)
		}
	})
	if cfg.Development && !cfg.AllowRemoteDevelopment {
		return onlyLoopback(mux), nil
	}
	return mux, nil
}

// endpoint is the GraphQL endpoint.
func endpoint(cfg config.Config, log *slog.Logger, o graph.Options) (*graph.Handler, error) {
	var err error
	if o.Verifier, err = verifier(cfg, log); err != nil {
		return nil, err
	}
	o.Logger, o.Introspection = log, cfg.HTTP.Introspection
	o.Limits = graph.Limits{
		MaxBodyBytes: cfg.HTTP.MaxBodyBytes, MaxDepth: cfg.HTTP.MaxDepth, MaxComplexity: cfg.HTTP.MaxComplexity,
		RequestTimeout: cfg.HTTP.RequestTimeout,
	}
	o.Streams = streams(cfg)
	o.Rates = graph.Rates{User: cfg.HTTP.UserRate, Address: cfg.HTTP.AddressRate}
	o.Origins, o.Proxies = cfg.HTTP.OriginList(), cfg.HTTP.Proxies
	return graph.NewHandler(o), nil
}

// listen answers requests until ctx ends or another deployment takes over, then lets those in flight finish: their locks
// are released by them, after their commit.
func listen(
	ctx context.Context, cfg config.Config, log *slog.Logger, handler http.Handler, api *graph.Handler, replaced <-chan error,
	ready func(address string),
) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", cfg.Listen, err)
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       cfg.HTTP.RequestTimeout,
		IdleTimeout:       idleTimeout,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	ready(listener.Addr().String())

	var reason error
	select {
	case err := <-served:
		return err
	case reason = <-replaced:
		log.ErrorContext(ctx, "stopping: another instance has taken over", "error", reason)
	case <-ctx.Done():
		log.InfoContext(ctx, "stopping: requests in flight finish", "within", cfg.HTTP.ShutdownTimeout)
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.HTTP.ShutdownTimeout)
	defer cancel()
	// Subscriptions end at once, each with a message: http.Server would wait for event streams, and not for web sockets.
	ended := make(chan error, 1)
	go func() { ended <- api.Close(stopping) }()
	err = server.Shutdown(stopping)
	if err := <-ended; err != nil {
		log.WarnContext(ctx, "subscriptions were cut off", "error", err)
	}
	if err != nil {
		return errors.Join(reason, fmt.Errorf("requests were cut off after %s: %w", cfg.HTTP.ShutdownTimeout, err), server.Close())
	}
	return reason
}

// Bounds of a connection that nobody would want to change.
const (
	headerTimeout = 5 * time.Second
	idleTimeout   = 2 * time.Minute
)

// closers are closed in reverse order of opening.
type closers []func() error

func (c *closers) add(what string, f func() error) {
	*c = append(*c, func() error {
		if err := f(); err != nil {
			return fmt.Errorf("close %s: %w", what, err)
		}
		return nil
	})
}

func (c *closers) close() error {
	var errs []error
	for i := len(*c) - 1; i >= 0; i-- {
		errs = append(errs, (*c)[i]())
	}
	return errors.Join(errs...)
}
