package graph

import (
	"log/slog"

	"github.com/redis/go-redis/v9"

	"holdfast/auth"
	"holdfast/commerce"
	"holdfast/config/setting"
	"holdfast/ent"
	"holdfast/events"
	"holdfast/graph/generated"
	"holdfast/graph/served"
	"holdfast/graph/transport"
	"holdfast/lockprovider"
)

// Options is what the API is built from.
type Options struct {
	Services *commerce.Services
	// Client reads what the handlers of events have counted.
	Client *ent.Client
	// Strategies are shown to clients: which strategy serves which family.
	Strategies map[lockprovider.Family]lockprovider.Strategy
	// Operations tell administrators how the shop is run.
	Operations Operations
	// Live sends subscriptions news of changes. If it is nil, subscriptions read at a steady rate only.
	Live *events.Live

	// Served is which part of the schema is served.
	Served served.Options

	// The fields below are for the transport, see [transport.Options].

	Safelist      transport.SafelistSettings
	OwnOperations map[string][]byte
	Verifier      *auth.Verifier
	Limits        transport.Limits
	Streams       transport.Streams
	Rates         transport.Rates
	Redis         redis.UniversalClient
	Origins       []string
	OriginHeaders []string
	Proxies       int
	Introspection bool
	Logger        *slog.Logger
}

// NewHandler returns the GraphQL endpoint. Close it when the server stops: [transport.Handler]. It returns an error if there is no such
// part of the schema, or the manifest of the safelist cannot be served.
func NewHandler(o Options) (*transport.Handler, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Live == nil {
		o.Live = events.NewLive(nil, "", o.Logger)
	}
	schema, err := served.Schema(fullSchema(), o.Served)
	if err != nil {
		return nil, err
	}
	setting.Fill(&o.Streams)
	r := &Resolver{
		services: o.Services, client: o.Client, operations: o.Operations, strategies: o.Strategies, introspection: o.Introspection,
		live: o.Live, streams: o.Streams, logger: o.Logger, schema: schema,
	}
	return transport.New(transport.Options{
		Schema: generated.NewExecutableSchema(generated.Config{
			Schema:     schema,
			Resolvers:  r,
			Directives: directives(),
			Complexity: complexities(o.Services.Shop()),
		}),
		PresentError: r.presentError, AroundOperations: r.aroundOperation, AroundResponses: r.aroundResponse,
		AroundRootFields: r.aroundRootField, AroundFields: r.aroundField,
		Verifier: o.Verifier, Limits: o.Limits, Streams: o.Streams, Rates: o.Rates, Redis: o.Redis, Safelist: o.Safelist, OwnOperations: o.OwnOperations,
		Origins: o.Origins, OriginHeaders: o.OriginHeaders, Proxies: o.Proxies, Introspection: o.Introspection, Logger: o.Logger,
	})
}
