package graph

import (
	"log/slog"

	"github.com/redis/go-redis/v9"

	"holdfast/auth"
	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/events"
	"holdfast/graph/generated"
	"holdfast/graph/transport"
	"holdfast/lockprovider"
)

// Options is what the API is built from.
type Options struct {
	Services *commerce.Services
	// Client reads what the handlers of events have counted.
	Client *ent.Client
	// Strategies tell which strategy serves which family, for those who ask.
	Strategies map[lockprovider.Family]lockprovider.Strategy
	// Operations answer what the jobs and the events know.
	Operations Operations
	// Verifier checks access tokens; without one, none is valid.
	Verifier *auth.Verifier
	// Limits bound a request; zero fields take their default.
	Limits transport.Limits
	// Streams bound subscriptions; zero fields take their default.
	Streams transport.Streams
	// Rates bound how often one may ask; they need Redis.
	Rates transport.Rates
	// Redis keeps persisted queries and counts for Rates; nil where there are neither.
	Redis redis.UniversalClient
	// Live tells subscriptions what changes; nil where nothing does.
	Live *events.Live
	// Origins are the sites whose pages may use the API, such as https://shop.example, besides its own.
	Origins []string
	// Proxies is how many proxies of one's own stand before the server, and append to X-Forwarded-For.
	Proxies int
	// Introspection lets clients read the schema, and errors guess at what they meant.
	Introspection bool
	// Logger takes what callers are not told; nil discards it.
	Logger *slog.Logger
}

// NewHandler returns the GraphQL endpoint. Close it when the server stops: [transport.Handler].
func NewHandler(o Options) *transport.Handler {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Live == nil {
		o.Live = events.NewLive(nil, "", o.Logger)
	}
	r := &Resolver{
		services: o.Services, client: o.Client, operations: o.Operations, strategies: o.Strategies, introspection: o.Introspection,
		live: o.Live, streams: o.Streams.WithDefaults(), logger: o.Logger,
	}
	return transport.New(transport.Options{
		Schema: generated.NewExecutableSchema(generated.Config{
			Resolvers:  r,
			Directives: generated.DirectiveRoot{Auth: authDirective},
			Complexity: complexities(),
		}),
		PresentError: r.presentError, AroundOperations: r.aroundOperation, AroundResponses: r.aroundResponse,
		AroundRootFields: r.aroundRootField,
		Verifier:         o.Verifier, Limits: o.Limits, Streams: o.Streams, Rates: o.Rates, Redis: o.Redis,
		Origins: o.Origins, Proxies: o.Proxies, Introspection: o.Introspection, Logger: o.Logger,
	})
}
