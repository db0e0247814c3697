package app

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"holdfast/auth"
	"holdfast/config"
	"holdfast/ent"
	"holdfast/events"
	"holdfast/graph"
	"holdfast/graph/transport"
	"holdfast/lockprovider"
	"holdfast/schedulers"
)

// What the configuration means to packages that do not know it.

// broker are the settings of the events. broker.url is a kind of broker, or a kind and its
// addresses.
func broker(cfg config.Config) events.Settings {
	s := events.DefaultSettings()
	kind, addresses, _ := strings.Cut(cfg.Broker.URL, "://")
	s.Broker.Kind, s.Broker.Redelivery, s.Broker.MaxLen = events.BrokerKind(kind), cfg.Broker.Redelivery, cfg.Broker.MaxLen
	s.Broker.Partitions = int32(cfg.Broker.Partitions) // at most 1000
	if addresses != "" {
		s.Broker.Brokers = strings.Split(addresses, ",")
	}
	s.LowStock, s.Poll, s.Batch = cfg.Broker.LowStock, cfg.Broker.Poll, cfg.Broker.Batch
	return s
}

// worker are the bounds of what serves queues.
func worker(cfg config.Config) lockprovider.WorkerSettings {
	s := persister(cfg)
	return lockprovider.WorkerSettings{Batch: cfg.Pipeline.Batch, Block: s.Block, Retry: s.MaxRetry}
}

// persister are the settings of what writes Redis-first changes into the database.
func persister(cfg config.Config) events.PersisterSettings {
	s := events.DefaultPersisterSettings()
	s.Batch, s.Block, s.ClaimIdle = cfg.Pipeline.Batch, cfg.Pipeline.Block, cfg.Pipeline.ClaimIdle
	return s
}

// failover are the settings of the way out of an outage of Redis, and back.
func failover(cfg config.Config) lockprovider.FailoverSettings {
	return lockprovider.FailoverSettings{
		Failures: uint32(cfg.Failover.Failures), // at most 1000
		Retry:    cfg.Failover.Retry, Watch: cfg.Failover.Watch, Healthy: cfg.Failover.Healthy,
	}
}

// jobs are the settings of the schedulers. The database remembers a change for at least as long as
// Redis.
func jobs(cfg config.Config) schedulers.Settings {
	s := schedulers.DefaultSettings()
	s.ReconcileEvery, s.PrimeEvery = cfg.Jobs.Reconcile, cfg.Jobs.Prime
	s.ExpireEvery, s.RetainEvery = cfg.Jobs.Expire, cfg.Jobs.Retention
	s.Remember = max(s.Remember, cfg.Pipeline.Remember)
	return s
}

// streams are the bounds of subscriptions.
func streams(cfg config.Config) transport.Streams {
	s := cfg.Subscriptions
	return transport.Streams{
		MaxConnections: s.MaxConnections, MaxOperations: s.MaxOperations, MaxMessages: s.MaxMessages, InitTimeout: s.InitTimeout,
		Ping: s.Ping, WriteTimeout: s.WriteTimeout, Interval: s.Interval, Refresh: s.Refresh, TicketPoll: s.TicketPoll,
		MaxProducts: s.MaxProducts,
	}
}

// verifier checks access tokens: by the keys that the issuer publishes if auth.jwks is set, else by
// the secret.
func verifier(cfg config.Config, log *slog.Logger) (*auth.Verifier, error) {
	if cfg.Auth.JWKS == "" {
		return auth.NewVerifier(TokenSecret(cfg), cfg.Auth.Issuer)
	}
	keys := auth.NewKeySet(cfg.Auth.JWKS, auth.KeySettings{Refresh: cfg.Auth.JWKSRefresh}, log)
	return auth.NewKeyVerifier(keys, cfg.Auth.Issuer, cfg.Auth.Audience)
}

// operations are what the API shows of jobs and locks.
func operations(providers *lockprovider.Providers, runner *schedulers.Runner) graph.Operations {
	return graph.Operations{
		Locks:  providers.Locks,
		Runs:   runner.LastRuns,
		Drifts: runner.Drifts,
		Reconcile: func(ctx context.Context) (*ent.SchedulerRun, error) {
			run, err := runner.RunNow(ctx, schedulers.Reconcile)
			if errors.Is(err, schedulers.ErrElsewhere) {
				return nil, nil
			}
			return run, err
		},
	}
}

// redisIsBack returns what to do when Redis is back after an outage: create the balances that Redis
// has lost and compare the others with the database. If that fails, the next regular run of the
// jobs does it.
func redisIsBack(runner *schedulers.Runner, log *slog.Logger) func() {
	return func() {
		ctx := context.Background() // ends with the runner
		created, err := runner.Prime(ctx)
		if err == nil {
			_, err = runner.RunNow(ctx, schedulers.Reconcile)
		}
		if err != nil && !errors.Is(err, schedulers.ErrElsewhere) && !errors.Is(err, schedulers.ErrStopped) {
			log.WarnContext(ctx, "redis is back, its balances wait for the next run", "error", err)
			return
		}
		log.InfoContext(ctx, "redis is back", "primed", created)
	}
}
