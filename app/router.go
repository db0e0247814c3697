package app

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/pprof"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"holdfast/config"
	"holdfast/graph"
	"holdfast/graph/served"
	"holdfast/graph/transport"
	"holdfast/payments"
	"holdfast/schedulers"
	"holdfast/webhooks"
)

// Handlers are what a server answers over HTTP.
type Handlers struct {
	// Public is for customers: the API, the pages, and whether the server lives and is ready.
	Public http.Handler
	// Admin is for operators, at another address: it needs no token.
	Admin http.Handler
	// API is the GraphQL endpoint in Public, which the caller closes when it stops to serve.
	API *transport.Handler
}

// Handler returns everything that answers over HTTP. The shop must have been opened with metrics and events.
func (s *Shop) Handler(runner *schedulers.Runner) (Handlers, error) {
	if s.cfg.Profile == config.Production && s.Services.Payments.Simulated() {
		s.log.Warn("payments are simulated: no money is taken, and all goods are for nothing", "setting", "payment.gateway")
	}
	ops := operations(s.Providers, runner)
	var err error
	if ops.Experiments, err = newLab(s.cfg); err != nil {
		return Handlers{}, err
	}
	if ops.Experiments != nil {
		s.closers.add("experiments", ops.Experiments.Close)
	}
	api, err := endpoint(s.cfg, s.log, graph.Options{
		Services: s.Services, Client: s.DB.Ent, Operations: ops, Strategies: s.Providers.Strategies(), Live: s.Live,
		Redis: s.Redis.Client,
	})
	if err != nil {
		return Handlers{}, err
	}
	check := readiness(s.log, map[string]func(context.Context) error{
		"database": s.DB.Ping, "redis": s.Redis.Ping, "events": func(context.Context) error { return s.Events.Check() },
	})
	var confirm http.Handler
	if simulated, ok := s.Services.Payments.Gateway.(*payments.Simulated); ok {
		confirm = simulated.Page()
	}
	hooks := webhooks.New(s.Services.Orders, s.log, s.registerer())
	public, err := router(s.cfg, api, hooks, confirm, check)
	return Handlers{Public: public, Admin: adminRouter(s.cfg, s.options.Metrics, check), API: api}, err
}

// router is what the public is answered. confirm is the page at which payments are confirmed, nil for none.
func router(cfg config.Config, api, hooks, confirm http.Handler, check func(context.Context) []string) (http.Handler, error) {
	mux := http.NewServeMux() // of our own: importing pprof publishes it on the default one
	mux.Handle("/graphql", api)
	mux.Handle(webhooks.Pattern, hooks)
	if confirm != nil {
		mux.Handle("GET "+payments.SimulatedPath, confirm)
		mux.Handle("POST "+payments.SimulatedPath, confirm)
	}
	if err := servePages(mux, cfg); err != nil {
		return nil, err
	}
	mux.HandleFunc("GET /livez", live)
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if len(check(r.Context())) > 0 { // for what reason is the operators' business
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		writeText(w, "ready\n")
	})
	if cfg.Development && !cfg.AllowRemoteDevelopment {
		return onlyLoopback(mux), nil
	}
	return mux, nil
}

// adminRouter is what operators are answered at admin.listen.
func adminRouter(cfg config.Config, registry *prometheus.Registry, check func(context.Context) []string) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /livez", live)
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if failures := check(r.Context()); len(failures) > 0 {
			http.Error(w, "not ready\n"+strings.Join(failures, "\n"), http.StatusServiceUnavailable)
			return
		}
		text := "ready\n"
		if cfg.Payment.TakesNoMoney() {
			text += "warning: payments are simulated, no money is taken (payment.gateway: " + cfg.Payment.Gateway + ")\n"
		}
		writeText(w, text)
	})
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", http.NotFound) // arguments may hold secrets
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol) // as go tool pprof asks
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	if host, _, err := net.SplitHostPort(cfg.Admin.Listen); err == nil && config.Loopback(host) {
		return onlyLoopback(mux)
	}
	return mux
}

func live(http.ResponseWriter, *http.Request) {}

func writeText(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, text)
}

// readiness returns what asks all parts, and returns a line for each that fails. It logs them.
func readiness(log *slog.Logger, parts map[string]func(context.Context) error) func(context.Context) []string {
	return func(ctx context.Context) (failures []string) {
		for _, part := range slices.Sorted(maps.Keys(parts)) {
			if err := parts[part](ctx); err != nil {
				failures = append(failures, part+": "+err.Error())
			}
		}
		if len(failures) > 0 {
			log.WarnContext(ctx, "not ready", "error", strings.Join(failures, "; "))
		}
		return failures
	}
}

// servedSchema is which part of the schema the server serves.
func servedSchema(cfg config.Config) served.Options {
	return served.Options{Audiences: cfg.Schema.AudienceList(), Federation: cfg.Schema.Federation}
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
	o.Safelist, o.OwnOperations, o.Served = cfg.Safelist, pageOperations(cfg), servedSchema(cfg)
	return graph.NewHandler(o)
}
