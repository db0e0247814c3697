package app

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"holdfast/config"
	"holdfast/graph"
	"holdfast/graph/transport"
	"holdfast/payments"
	"holdfast/schedulers"
	"holdfast/web"
	"holdfast/webhooks"
)

// Handler returns everything that answers over HTTP, and the GraphQL endpoint in it, which the
// caller closes when it stops to serve. The shop must have been opened with metrics and events.
func (s *Shop) Handler(runner *schedulers.Runner) (http.Handler, *transport.Handler, error) {
	if s.cfg.Profile == config.Production && s.Services.Payments.Simulated() {
		s.log.Warn("payments are simulated: no money is taken, and all goods are for nothing", "setting", "payment.gateway")
	}
	ops := operations(s.Providers, runner)
	var err error
	if ops.Experiments, err = newLab(s.cfg); err != nil {
		return nil, nil, err
	}
	if ops.Experiments != nil {
		s.closers.add("experiments", ops.Experiments.Close)
	}
	api, err := endpoint(s.cfg, s.log, graph.Options{
		Services: s.Services, Client: s.DB.Ent, Operations: ops, Strategies: s.Providers.Strategies(), Live: s.Live,
		Redis: s.Redis.Client,
	})
	if err != nil {
		return nil, nil, err
	}
	var confirm http.Handler
	if simulated, ok := s.Services.Payments.Gateway.(*payments.Simulated); ok {
		confirm = simulated.Page()
	}
	hooks := webhooks.New(s.Services.Orders, s.log, s.registerer())
	handler, err := router(s.cfg, s.log, api, hooks, confirm, s.options.Metrics, func(ctx context.Context) error {
		return errors.Join(s.DB.Ping(ctx), s.Redis.Ping(ctx), s.Events.Check())
	})
	return handler, api, err
}

// router is everything that answers over HTTP. confirm is the page at which payments are confirmed, nil for none.
func router(
	cfg config.Config, log *slog.Logger, api, hooks, confirm http.Handler, registry *prometheus.Registry, check func(ctx context.Context) error,
) (http.Handler, error) {
	mux := http.NewServeMux() // of our own: importing pprof anywhere would publish it on the default one
	mux.Handle("/graphql", api)
	mux.Handle(webhooks.Pattern, hooks)
	if confirm != nil {
		mux.Handle("GET "+payments.SimulatedPath, confirm)
		mux.Handle("POST "+payments.SimulatedPath, confirm)
	}
	if cfg.HTTP.Playground {
		page, err := playgroundPage(cfg)
		if err != nil {
			return nil, err
		}
		mux.Handle("GET /{$}", page)
	}
	if cfg.HTTP.Shop {
		page, err := shopPage(cfg)
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
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, readiness(cfg))
	})
	if cfg.Development && !cfg.AllowRemoteDevelopment {
		return onlyLoopback(mux), nil
	}
	return mux, nil
}

// readiness is what /readyz says of an instance that is ready.
func readiness(cfg config.Config) string {
	if cfg.Payment.TakesNoMoney() {
		return "ready\nwarning: payments are simulated, no money is taken (payment.gateway: " + cfg.Payment.Gateway + ")\n"
	}
	return "ready\n"
}

// endpoint is the GraphQL endpoint.
func endpoint(cfg config.Config, log *slog.Logger, o graph.Options) (*transport.Handler, error) {
	var err error
	if o.Verifier, err = verifier(cfg, log); err != nil {
		return nil, err
	}
	o.Logger, o.Introspection = log, cfg.HTTP.Introspection
	o.Limits, o.Rates, o.Streams = cfg.HTTP.Limits, cfg.HTTP.Rates, cfg.Subscriptions
	o.Origins, o.OriginHeaders, o.Proxies = cfg.HTTP.OriginList(), cfg.HTTP.OriginHeaderList(), cfg.HTTP.Proxies
	return graph.NewHandler(o), nil
}
