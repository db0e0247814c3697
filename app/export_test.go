package app

import (
	"context"
	"errors"
	"log/slog"

	"holdfast/clients"
	"holdfast/config"
)

// OpenOn opens a shop on stores that are open already and stay open: those of a simulation.
func OpenOn(ctx context.Context, cfg config.Config, log *slog.Logger, o Options, db *clients.Database, redis *clients.Redis) (*Shop, error) {
	s := &Shop{cfg: cfg, log: log, options: o, DB: db, Redis: redis}
	if err := s.openClock(ctx); err != nil {
		return nil, err
	}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}
