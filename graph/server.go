package graph

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/vektah/gqlparser/v2/ast"

	"holdfast/commerce"
	"holdfast/graph/auth"
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
	// Introspection lets clients read the schema, and errors guess at what they meant.
	Introspection bool
	// Logger takes what callers are not told; nil discards it.
	Logger *slog.Logger
}

// NewHandler returns the handler of the GraphQL endpoint, at whatever path it is asked.
func NewHandler(o Options) http.Handler {
	limits := o.Limits.withDefaults()
	r := &Resolver{services: o.Services, operations: o.Operations, strategies: o.Strategies, introspection: o.Introspection, logger: o.Logger}
	if r.logger == nil {
		r.logger = slog.New(slog.DiscardHandler)
	}
	schema := generated.NewExecutableSchema(generated.Config{
		Resolvers:  r,
		Directives: generated.DirectiveRoot{Auth: authDirective},
		Complexity: complexities(),
	})
	s := handler.New(schema)
	s.AddTransport(transport{limits: limits})
	s.SetParserTokenLimit(limits.MaxTokens)
	s.SetQueryCache(boundedCache{lru.New[*ast.QueryDocument](limits.CachedQueries), limits.CachedQueryBytes})
	s.SetDisableSuggestion(!o.Introspection)
	s.SetErrorPresenter(r.presentError)
	s.SetRecoverFunc(r.recoverPanic)
	s.Use(&guard{limits: limits, introspection: o.Introspection})
	s.AroundOperations(r.aroundOperation)
	s.AroundRootFields(r.aroundRootField)

	return withRequest(auth.Middleware(o.Verifier, refuseToken, withTimeout(limits.RequestTimeout, s)))
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

func withTimeout(limit time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeoutCause(r.Context(), limit, errRequestTimeout)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}
