package graph

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/redis/go-redis/v9"
	"github.com/vektah/gqlparser/v2/ast"

	"holdfast/auth"
	"holdfast/commerce"
	"holdfast/events"
	"holdfast/graph/generated"
	"holdfast/lockprovider"
)

// Options is what the API is built from.
type Options struct {
	Services *commerce.Services
	// Strategies tell which strategy serves which family, for those who ask.
	Strategies map[lockprovider.Family]lockprovider.Strategy
	// Operations answer what the jobs and the events know.
	Operations Operations
	// Verifier checks access tokens; without one, none is valid.
	Verifier *auth.Verifier
	// Limits bound a request; zero fields take their default.
	Limits Limits
	// Streams bound subscriptions; zero fields take their default.
	Streams Streams
	// Rates bound how often one may ask; they need Redis.
	Rates Rates
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

// Handler is the GraphQL endpoint, at whatever path it is asked.
type Handler struct {
	http.Handler
	open *openStreams
}

// Close ends the subscriptions and returns when they have ended, or with ctx. No more are taken from then on.
func (h *Handler) Close(ctx context.Context) error { return h.open.close(ctx) }

// NewHandler returns the handler of the GraphQL endpoint. Close it when the server stops: http.Server knows nothing of web
// sockets, and waits for event streams.
func NewHandler(o Options) *Handler {
	limits, streams := o.Limits.withDefaults(), o.Streams.withDefaults()
	r := &Resolver{
		services: o.Services, operations: o.Operations, strategies: o.Strategies, introspection: o.Introspection,
		live: o.Live, streams: streams, logger: o.Logger,
	}
	if r.logger == nil {
		r.logger = slog.New(slog.DiscardHandler)
	}
	if r.live == nil {
		r.live = events.NewLive(nil, "", r.logger)
	}
	schema := generated.NewExecutableSchema(generated.Config{
		Resolvers:  r,
		Directives: generated.DirectiveRoot{Auth: authDirective},
		Complexity: complexities(),
	})
	limiter, open := newLimiter(o.Redis, o.Rates, r.logger), newOpenStreams(streams.MaxConnections)
	plain := transport{limits: limits, limiter: limiter}
	s := handler.New(schema)
	s.AddTransport(webSocket{
		limits: limits, streams: streams, origins: originHosts(o.Origins), open: open, verifier: o.Verifier, limiter: limiter,
		recovered: r.recoverPanic, log: r.logger,
	})
	s.AddTransport(eventStream{transport: plain, streams: streams, open: open})
	s.AddTransport(plain) // the last: it takes what the others leave
	s.SetParserTokenLimit(limits.MaxTokens)
	s.SetQueryCache(boundedCache{lru.New[*ast.QueryDocument](limits.CachedQueries), limits.CachedQueryBytes})
	s.SetDisableSuggestion(!o.Introspection)
	s.SetErrorPresenter(r.presentError)
	s.SetRecoverFunc(r.recoverPanic)
	s.Use(&guard{limits: limits, introspection: o.Introspection})
	s.Use(newPersisted(o.Redis, limits, r.logger)) // after the guard, so that it stores what has passed
	s.AroundOperations(r.aroundOperation)
	s.AroundResponses(r.aroundResponse)
	s.AroundRootFields(r.aroundRootField)

	return &Handler{withRequest(o.Proxies, withOrigins(o.Origins, auth.Middleware(o.Verifier, refuseToken, s))), open}
}

// refuseToken answers a request whose token is not valid.
func refuseToken(w http.ResponseWriter, r *http.Request, reason string) {
	w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	media, ok := negotiate(r.Header.Values("Accept"))
	if !ok {
		media = mediaJSON
	}
	refuseWith(w, media, http.StatusUnauthorized, codeUnauthenticated, reason)
}

var errRequestTimeout = errors.New("the request took longer than it may")
