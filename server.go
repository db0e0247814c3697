// Command holdfast is a GraphQL commerce backend for people who must not oversell. Its contended
// operations run under a concurrency strategy that the configuration picks; see
// docs/architecture.md.
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

	"holdfast/app"
	"holdfast/cli"
	"holdfast/config"
	"holdfast/graph/transport"
	"holdfast/internal/httpserver"
)

func main() { cli.Main(serve) }

// serve runs the shop until ctx ends: configuration → shop → jobs → router → HTTP. It calls ready
// with its address as soon as requests are answered.
func serve(ctx context.Context, cfg config.Config, log *slog.Logger, ready func(address string)) (err error) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()

	shop, err := app.Open(ctx, cfg, log, app.Options{
		Takeover: cfg.Deployment.Takeover, Metrics: app.NewMetrics(), Events: true,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, shop.Close()) }()
	if cfg.Development {
		if err := shop.SeedDemo(ctx); err != nil {
			return err
		}
	}
	jobs, err := shop.StartJobs(ctx)
	if err != nil {
		return err
	}
	handler, api, err := shop.Handler(jobs)
	if err != nil {
		return err
	}
	return listen(ctx, cfg, log, handler, api, shop.Deployment.Replaced(), func(address string) {
		if err := shop.Deployment.Announce(ctx, address); err != nil { // then imports have to be told with --server
			log.InfoContext(ctx, "the address of this server is not in the database", "error", err)
		}
		ready(address)
	})
}

// listen answers requests until ctx ends or another deployment takes over. It then lets the
// requests in flight finish: they release their locks, after their commit.
func listen(
	ctx context.Context, cfg config.Config, log *slog.Logger, handler http.Handler, api *transport.Handler, replaced <-chan error,
	ready func(address string),
) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", cfg.Listen, err)
	}
	server := httpserver.New(handler, cfg.HTTP.Limits.RequestTimeout, log)
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
	unbounded := context.WithoutCancel(ctx)
	stopping, cancel := context.WithTimeout(unbounded, cfg.HTTP.ShutdownTimeout)
	defer cancel()
	// Subscriptions end at once, each with a message. Otherwise Shutdown would wait for event
	// streams, which do not end by themselves, and would not tell web sockets.
	ended := make(chan error, 1)
	go func() { ended <- api.Close(stopping) }()
	err = server.Shutdown(unbounded, cfg.HTTP.ShutdownTimeout)
	if err := <-ended; err != nil {
		log.WarnContext(ctx, "subscriptions were cut off", "error", err)
	}
	return errors.Join(reason, err)
}
