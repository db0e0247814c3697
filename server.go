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
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"holdfast/app"
	"holdfast/cli"
	"holdfast/config"
	"holdfast/internal/httpserver"
)

func main() { cli.Main(serve) }

// serve runs the shop until ctx ends: configuration → shop → jobs → router → HTTP. It calls ready
// with its addresses as soon as requests are answered.
func serve(ctx context.Context, cfg config.Config, log *slog.Logger, ready func(cli.Addresses)) (err error) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	collectLessOften()
	boundMemory(ctx, log, memlimit.FromCgroup)

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
	handlers, err := shop.Handler(jobs)
	if err != nil {
		return err
	}
	return listen(ctx, cfg, log, handlers, shop.Deployment.Replaced(), func(at cli.Addresses) {
		if err := shop.Deployment.Announce(ctx, at.Public); err != nil { // then imports have to be told with --server
			log.InfoContext(ctx, "the address of this server is not in the database", "error", err)
		}
		ready(at)
	})
}

// gcPercent is GOGC unless the environment sets it: the heap grows to so many percent of what is in use before it is collected. With
// Go's own 100, a quarter of the CPU time of an order went into collections, of a heap of a few megabytes; more than this gains
// little, and takes memory. Measured: go run ./experiment/budget.
const gcPercent = 400

// collectLessOften sets gcPercent. Near to the limit that boundMemory sets, Go collects more often.
func collectLessOften() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

// memoryShare is how much of what a container may use the memory of Go may take. The rest is for what Go does not count.
const memoryShare = 0.9

// boundMemory sets GOMEMLIMIT to memoryShare of what the process may use, unless the environment sets it: a heap that grows as gcPercent
// allows would be ended by the kernel in a small container. Without a limit of the container there is none.
func boundMemory(ctx context.Context, log *slog.Logger, container memlimit.Provider) {
	bytes, err := memlimit.SetGoMemLimitWithOpts(memlimit.WithRatio(memoryShare), memlimit.WithProvider(container))
	switch {
	case errors.Is(err, memlimit.ErrNoCgroup) || errors.Is(err, memlimit.ErrCgroupsNotSupported): // as on a machine of developers
	case err != nil:
		log.InfoContext(ctx, "no limit of memory is known: set GOMEMLIMIT if there is one", "error", err)
	case bytes > 0:
		log.InfoContext(ctx, "GOMEMLIMIT is a share of what the container may use", "bytes", bytes, "share", memoryShare)
	}
}

// listen answers requests until ctx ends or another deployment takes over. It then lets the
// requests in flight finish: they release their locks, after their commit.
func listen(
	ctx context.Context, cfg config.Config, log *slog.Logger, handlers app.Handlers, replaced <-chan error, ready func(cli.Addresses),
) error {
	admin, adminAddress, err := listenAdmin(ctx, cfg, log, handlers.Admin)
	if err != nil {
		return err
	}
	// It ends last: it tells how the others are drained. Whoever reads a profile then is cut off, which is no failure of the shop.
	defer func() { _ = admin.Shutdown(context.WithoutCancel(ctx), adminDrain) }()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", cfg.Listen, err)
	}
	server := httpserver.New(handlers.Public, cfg.HTTP.Limits.RequestTimeout, log)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	ready(cli.Addresses{Public: listener.Addr().String(), Admin: adminAddress})

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
	go func() { ended <- handlers.API.Close(stopping) }()
	err = server.Shutdown(unbounded, cfg.HTTP.ShutdownTimeout)
	if err := <-ended; err != nil {
		log.WarnContext(ctx, "subscriptions were cut off", "error", err)
	}
	return errors.Join(reason, err)
}

// adminDrain is how long a scrape may take that has begun when the server stops.
const adminDrain = time.Second

// listenAdmin serves operators at admin.listen until the server that it returns is shut down. The address is "" if that is off.
func listenAdmin(ctx context.Context, cfg config.Config, log *slog.Logger, handler http.Handler) (*httpserver.Server, string, error) {
	server := httpserver.New(handler, cfg.HTTP.Limits.RequestTimeout, log)
	if cfg.Admin.Listen == "" {
		return server, "", nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Admin.Listen)
	if err != nil {
		return nil, "", fmt.Errorf("listen on admin.listen, %s (another port, or \"\" to serve no metrics): %w", cfg.Admin.Listen, err)
	}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.ErrorContext(ctx, "metrics are served no more", "error", err)
		}
	}()
	return server, listener.Addr().String(), nil
}
