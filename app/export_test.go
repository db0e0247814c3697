package app

import (
	"context"
	"errors"
	"log/slog"

	"holdfast/clients"
	"holdfast/config"
	"holdfast/events"
)

// OpenOn opens a shop on stores that are open already and stay open: those of a simulation.
func OpenOn(ctx context.Context, cfg config.Config, log *slog.Logger, o Options, db *clients.Database, redis *clients.Redis) (*Shop, error) {
	s := &Shop{cfg: cfg, log: log, options: o, DB: db, Redis: redis}
	clock, err := clients.OpenClock(ctx, db, o.Local)
	if err != nil {
		return nil, err
	}
	s.Clock = clock
	s.closers.add("clock", events.Background(ctx, clock.Run))
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}
