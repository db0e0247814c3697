// Package app puts a whole shop together for its three kinds of callers: the server, the commands
// that work in a shop, and tests.
//
// [Open] reads from top to bottom: stores (database, Redis), the deployment that instances agree
// on, the providers of the concurrency strategies, events, what persists Redis-first changes, and
// the services of package commerce. What only some processes do is an explicit field of [Options].
// A server then starts the jobs ([Shop.StartJobs]) and serves what [Shop.Handler] returns.
//
// The package also holds what surrounds the API of a server: the routes, the pages for development,
// the experiments of the page /lab and the report of metrics. Only this package, cli and server.go
// know all the others; settings.go says what the configuration means to packages that do not know
// it.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/config"
	"holdfast/events"
	"holdfast/lockprovider"
	"holdfast/payments"
	"holdfast/payments/stripe"
	"holdfast/schedulers"
)

// Options say what a process does in its shop beside opening it. The zero value suits a command,
// such as an import: it measures nothing, leaves the publication of events to the servers, and
// replaces no live instance.
type Options struct {
	// Takeover replaces the strategies of live instances, which then stop. Without it, Open fails
	// if a live instance runs another strategy.
	Takeover bool

	// StockOnly says that the process changes nothing but stock: only the strategy of stock decides
	// whether it must share the Redis of live instances.
	StockOnly bool

	// Metrics receives the instruments of all parts; see [NewMetrics]. It is also sent to the
	// collector that metrics.otlp names. If it is nil, nothing is counted and nothing is sent.
	Metrics *prometheus.Registry

	// Events publishes what is committed, runs the handlers of it, and tells live subscribers.
	// Without it, committed events wait in the database for an instance that does so.
	Events bool

	// Gateway takes card payments. If it is nil, the one that the configuration names does.
	Gateway payments.Gateway

	// Now replaces the clock of the services, which is that of the database.
	Now func() time.Time

	// Local is the clock of this process; nil means time.Now. It need not be right.
	Local func() time.Time
}

// Shop is one open shop. Its fields are for reading; Close ends what uses them.
type Shop struct {
	DB *clients.Database
	// Clock is that of the database, which all instances go by.
	Clock      *clients.Clock
	Redis      *clients.Redis
	Deployment *lockprovider.Deployment
	Ledger     *lockprovider.Ledger
	Providers  *lockprovider.Providers
	Services   *commerce.Services
	// Live and Events are nil without [Options.Events].
	Live   *events.Live
	Events *events.Events

	cfg     config.Config
	log     *slog.Logger
	options Options
	closers closers
}

// Open opens the shop that the configuration names: clients → providers → events → services. It
// first brings the database up to date, unless database.migrate forbids that. The caller closes the
// shop; ctx bounds only the opening. If Open fails, it has closed what it had opened.
func Open(ctx context.Context, cfg config.Config, log *slog.Logger, o Options) (_ *Shop, err error) {
	s := &Shop{cfg: cfg, log: log, options: o}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := s.openStores(ctx); err != nil {
		return nil, err
	}
	if err := s.start(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// start builds on open stores what a shop consists of besides, and starts it.
func (s *Shop) start(ctx context.Context) error {
	if err := s.buildProviders(ctx); err != nil {
		return err
	}
	if err := s.startReport(ctx); err != nil {
		return err
	}
	if err := s.startEvents(ctx); err != nil {
		return err
	}
	s.openServices()
	return s.runStrategies(ctx)
}

// Close ends everything that Open and the methods of the shop have started, in reverse order. It
// returns the errors of all parts.
func (s *Shop) Close() error { return s.closers.close() }

// NewMetrics returns a registry with the instruments of the Go runtime and the process.
func NewMetrics() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return registry
}

// registerer returns the registry of the instruments, or a nil interface if there is none. The
// parts compare it with nil.
func (s *Shop) registerer() prometheus.Registerer {
	if s.options.Metrics == nil {
		return nil
	}
	return s.options.Metrics
}

// buildProviders joins the other instances: one strategy a family, the same on every live instance.
func (s *Shop) buildProviders(ctx context.Context) error {
	membership := s.cfg.Deployment
	membership.Takeover = s.options.Takeover
	shared := lockprovider.SharedRedis{Nodes: s.Redis.Nodes, Embedded: s.Redis.Embedded}
	if s.options.StockOnly {
		shared.Families = []lockprovider.Family{lockprovider.Stock}
	}
	deployment, err := lockprovider.Join(ctx, s.DB.Ent, s.cfg.Strategies(), membership,
		lockprovider.ByClock(s.Clock.Now), lockprovider.Sharing(shared), lockprovider.LogTo(s.log))
	if err != nil {
		return err
	}
	s.closers.add("deployment", func() error {
		leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Deployment.Expiry) // then it has left anyway
		defer cancel()
		return deployment.Leave(leaving)
	})
	err = deployment.AwaitReplaced(ctx, func(others []string) {
		s.log.Info("waiting for the instances that were replaced to stop", "instances", others)
	})
	if err != nil {
		return err
	}
	ledger := lockprovider.NewLedger(s.DB.Ent, s.DB.Dialect, commerce.WriteRecords, s.cfg.Database.Ledger)
	ledger.UseClock(s.Clock.Now)
	pipeline := s.cfg.Pipeline
	providers, err := lockprovider.Build(lockprovider.Deps{
		Ledger: ledger, Redis: s.Redis.Client, RedisNodes: s.Redis.Nodes, Metrics: lockprovider.NewMetrics(s.registerer()),
		Instance: deployment.Instance(), Epochs: deployment.Epochs(), Deployment: deployment, Log: s.log,
		Failover: s.cfg.Failover, Worker: lockprovider.WorkerSettings{
			Batch: pipeline.Batch, Block: pipeline.Block, Retry: pipeline.MaxRetry,
		},
	}, s.cfg.Families())
	if err != nil {
		return err
	}
	s.closers.add("providers", providers.Close)
	s.Deployment, s.Ledger, s.Providers = deployment, ledger, providers
	return nil
}

// startEvents has what was committed published and handled; subscribers of all instances are told
// of it.
func (s *Shop) startEvents(ctx context.Context) error {
	if !s.options.Events {
		return nil
	}
	live := events.NewLive(s.Redis.Client, s.Deployment.Instance(), s.log)
	s.closers.add("live", events.Background(ctx, live.Run))
	happened, err := events.Start(ctx, events.Deps{
		Client: s.DB.Ent, Redis: s.Redis.Client, Live: live, Durable: s.Ledger.Replicated,
		Exclusive: schedulers.Exclusive(s.DB.Ent, s.Deployment.Instance(), schedulers.ExclusiveLease, s.Clock.Now),
		Instance:  s.Deployment.Instance(), Metrics: s.registerer(), Log: s.log, Settings: s.cfg.Broker, Now: s.Clock.Now,
	})
	if err != nil {
		return err
	}
	s.closers.add("events", happened.Close)
	s.Ledger.OnCommit(happened.Wake)
	s.Live, s.Events = live, happened
	return nil
}

// runStrategies starts what the strategies need in the background, such as persisters and queue workers, after
// what earlier epochs have left behind is persisted. Even a command does so: it may be the only instance. Orders that came by
// ticket go on once the queue has served them.
func (s *Shop) runStrategies(ctx context.Context) error {
	persisting := events.PersisterDeps{
		Ledger: s.Ledger, Instance: s.Deployment.Instance(), Settings: s.cfg.Pipeline.PersisterSettings,
		Metrics: events.NewPersisterMetrics(s.registerer()), Log: s.log,
	}
	if s.Events != nil {
		persisting.Poison = s.Events.Poison()
	}
	s.Providers.PersistWith(events.Persisting(persisting))
	s.Providers.OnServed(s.Services.Orders.Served)
	if err := s.Providers.EndEarlier(ctx); err != nil {
		return err
	}
	s.closers.add("orders", events.Background(ctx, s.Services.Orders.Run))
	s.closers.add("strategies", events.Background(ctx, s.Providers.Run))
	return nil
}

func (s *Shop) openServices() {
	cfg, gateway, now := s.cfg, s.options.Gateway, s.options.Now
	if gateway == nil {
		switch cfg.Payment.Gateway {
		case commerce.GatewaySimulated:
			gateway = payments.NewSimulated(cfg.Payment.SimulatedSettings)
		case commerce.GatewayStripe:
			gateway = stripe.New(cfg.Payment.Stripe)
		}
	}
	if now == nil {
		now = s.Clock.Now
	}
	s.Services = commerce.New(commerce.Deps{
		Client: s.DB.Ent, Ledger: s.Ledger, Providers: s.Providers, Gateway: gateway, Now: now,
		Shop: cfg.Shop, Payment: cfg.Payment.PaymentSettings, TakesNoMoney: cfg.Payment.TakesNoMoney(),
	})
}

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
	*c = nil
	return errors.Join(errs...)
}
