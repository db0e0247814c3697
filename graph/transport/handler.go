package transport

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/redis/go-redis/v9"
	"github.com/vektah/gqlparser/v2/ast"

	"holdfast/auth"
	"holdfast/config/setting"
)

// Options is what a handler is built from.
type Options struct {
	// Schema resolves what it is asked.
	Schema graphql.ExecutableSchema
	// PresentError turns an error of a resolver, of gqlgen or of this package into an entry of
	// errors[].
	PresentError graphql.ErrorPresenterFunc
	// AroundOperations, AroundResponses, AroundRootFields and AroundFields run around each of these;
	// each may be nil.
	AroundOperations graphql.OperationMiddleware
	AroundResponses  graphql.ResponseMiddleware
	AroundRootFields graphql.RootFieldMiddleware
	AroundFields     graphql.FieldMiddleware
	// Verifier checks access tokens. A nil verifier refuses every token.
	Verifier *auth.Verifier
	// Limits bound a request; zero fields take their default.
	Limits Limits
	// Streams bound connections that stay open; zero fields take their default.
	Streams Streams
	// Rates bound how often one may ask; they need Redis.
	Rates Rates
	// Safelist is which operations clients may send.
	Safelist SafelistSettings
	// OwnOperations are manifests that the safelist has besides, of what the program itself sends: those of its pages, by their names.
	OwnOperations map[string][]byte
	// Redis keeps persisted queries and counts for Rates. It is nil if there are neither.
	Redis redis.UniversalClient
	// Origins are the sites whose pages may use the API besides its own, such as
	// https://shop.example.
	Origins []string
	// OriginHeaders are headers that these pages may send besides those that GraphQL clients send by
	// default.
	OriginHeaders []string
	// Proxies is how many of the operator's own proxies stand before the server and append to
	// X-Forwarded-For.
	Proxies int
	// Introspection lets clients read the schema. Without it, errors do not suggest names of the
	// schema either.
	Introspection bool
	// Logger takes what callers are not told; nil discards it.
	Logger *slog.Logger
}

// Handler is the GraphQL endpoint, at whatever path it is asked.
type Handler struct {
	http.Handler
	open *openStreams
}

// New returns a handler. Close it when the server stops: [http.Server.Shutdown] waits for event
// streams, which do not end by themselves, and does not know WebSocket connections. It returns an
// error if the manifest of the safelist cannot be served.
func New(o Options) (*Handler, error) {
	log := o.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	limits, streams := o.Limits, o.Streams
	setting.Fill(&limits)
	setting.Fill(&streams)
	safelist, err := newSafelist(o.Safelist, o.OwnOperations, o.Schema.Schema(), limits.MaxTokens)
	if err != nil {
		return nil, err
	}
	limiter, open, recovered := newLimiter(o.Redis, o.Rates, log), newOpenStreams(streams), recoverWith(log)
	plain := plainHTTP{limits: limits, limiter: limiter}
	s := handler.New(o.Schema)
	s.AddTransport(webSocket{
		limits: limits, streams: streams, origins: originHosts(o.Origins), open: open, verifier: o.Verifier, limiter: limiter,
		recovered: recovered, log: log,
	})
	s.AddTransport(eventStream{plainHTTP: plain, streams: streams, open: open})
	s.AddTransport(plain) // the last: it takes what the others leave
	s.SetParserTokenLimit(limits.MaxTokens)
	s.SetQueryCache(boundedCache{lru.New[*ast.QueryDocument](limits.CachedQueries), limits.CachedQueryBytes})
	s.SetDisableSuggestion(!o.Introspection)
	s.SetRecoverFunc(recovered)
	s.Use(&guard{limits: limits, introspection: o.Introspection})
	s.Use(newPersisted(o.Redis, limits, safelist, log)) // after the guard, so that it stores what has passed
	if o.PresentError != nil {
		s.SetErrorPresenter(o.PresentError)
	}
	if o.AroundOperations != nil {
		s.AroundOperations(o.AroundOperations)
	}
	if o.AroundResponses != nil {
		s.AroundResponses(o.AroundResponses)
	}
	if o.AroundRootFields != nil {
		s.AroundRootFields(o.AroundRootFields)
	}
	if o.AroundFields != nil {
		s.AroundFields(o.AroundFields)
	}
	return &Handler{withRequest(o.Proxies, log, withOrigins(o.Origins, o.OriginHeaders, auth.Middleware(o.Verifier, refuseToken(limiter), s))), open}, nil
}

// Close ends all connections that stay open, and refuses new ones from then on. It returns when
// they have ended, or with the error of ctx.
func (h *Handler) Close(ctx context.Context) error { return h.open.close(ctx) }

// refuseToken returns what answers a request whose token is not valid. It counts such requests: somebody
// may try many tokens.
func refuseToken(limiter *limiter) func(w http.ResponseWriter, r *http.Request, reason string) {
	return func(w http.ResponseWriter, r *http.Request, reason string) {
		media, ok := negotiate(r.Header.Values("Accept"))
		if !ok {
			media = mediaJSON
		}
		if err := limiter.allow(r.Context()); err != nil {
			refuseLimited(w, media, err)
			return
		}
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		refuseWith(w, media, http.StatusUnauthorized, CodeUnauthenticated, reason)
	}
}
