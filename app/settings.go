package app

import (
	"context"
	"errors"
	"log/slog"

	"holdfast/auth"
	"holdfast/config"
	"holdfast/ent"
	"holdfast/graph"
	"holdfast/lockprovider"
	"holdfast/schedulers"
)

// What the configuration means to packages that do not know it.

// jobs are the settings of the schedulers. The database remembers a change for at least as long as
// Redis.
func jobs(cfg config.Config) schedulers.Settings {
	s := cfg.Jobs
	s.Remember = max(s.Remember, cfg.Pipeline.Remember)
	return s
}

// verifier checks access tokens: by the keys that the issuer publishes if auth.jwks is set, else by
// the secret.
func verifier(cfg config.Config, log *slog.Logger) (*auth.Verifier, error) {
	if cfg.Auth.JWKS == "" {
		return auth.NewVerifier(TokenSecret(cfg), cfg.Auth.Issuer, cfg.Auth.Audience)
	}
	keys := auth.NewKeySet(string(cfg.Auth.JWKS), cfg.Auth.Keys, log)
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
