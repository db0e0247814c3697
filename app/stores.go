package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"holdfast/clients"
	"holdfast/config"
	"holdfast/events"
	"holdfast/lockprovider"
)

// openStores opens the database and Redis, and refuses what the shop could not be safe on.
func (s *Shop) openStores(ctx context.Context) error {
	cfg := s.cfg
	db, err := clients.OpenDatabase(ctx, string(cfg.Database.URL), cfg.Database.DatabaseOptions)
	if err != nil {
		return err
	}
	s.closers.add("database", db.Close)
	if err := migrate(ctx, db, cfg, s.log); err != nil {
		return err
	}
	s.DB = db
	if err := s.openClock(ctx); err != nil {
		return err
	}
	redis, err := clients.OpenRedis(ctx, cfg.Redis)
	if err != nil {
		return err
	}
	s.closers.add("redis", redis.Close)
	if err := requireNoEviction(ctx, redis, cfg, s.log); err != nil {
		return err
	}
	if s.options.Metrics != nil {
		for name, pool := range db.Pools() {
			s.options.Metrics.MustRegister(collectors.NewDBStatsCollector(pool, name))
		}
		s.options.Metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "holdfast_clock_offset_seconds", Help: "By how much the clock of the database is ahead of that of this instance.",
		}, func() float64 { return s.Clock.Offset().Seconds() }))
	}
	s.Redis = redis
	return nil
}

// openClock follows the clock of the database.
func (s *Shop) openClock(ctx context.Context) error {
	clock, err := clients.OpenClock(ctx, s.DB, s.options.Local)
	if err != nil {
		return err
	}
	s.closers.add("clock", events.Background(ctx, clock.Run))
	s.Clock = clock
	return nil
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

// requireNoEviction fails unless Redis runs with maxmemory-policy noeviction. Strategies that
// write behind keep changes there before the database has them. If Redis does not tell its policy, it warns.
func requireNoEviction(ctx context.Context, redis *clients.Redis, cfg config.Config, log *slog.Logger) error {
	strategies := cfg.Strategies()
	for _, family := range lockprovider.Families {
		if info, _ := lockprovider.Lookup(strategies[family]); !info.WritesBehind {
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
