package transport

import (
	"cmp"
	"context"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// Limits bound what one request may cost. Zero fields take the value of [DefaultLimits].
type Limits struct {
	// MaxBodyBytes is the longest body of a POST.
	MaxBodyBytes int64
	// BodyTimeout is how long the body may take to arrive.
	BodyTimeout time.Duration
	// RequestTimeout is how long a request may take once it has arrived.
	RequestTimeout time.Duration
	// MaxTokens bounds the document before it is parsed: the parser recurses, and its stack is
	// finite.
	MaxTokens int
	// MaxDepth is how deep selections may nest. Introspection has a bound of its own.
	MaxDepth int
	// MaxAliases and MaxFields bound the document with its fragments expanded.
	MaxAliases, MaxFields int
	// MaxDirectives bounds the uses of directives such as @skip, with fragments expanded.
	MaxDirectives int
	// MaxComplexity bounds the estimated number of fields of the response.
	MaxComplexity int
	// CachedQueries and CachedQueryBytes bound the cache of parsed documents: how many, and how
	// long each may be.
	CachedQueries, CachedQueryBytes int
	// PersistedQueries is how many documents Redis keeps for clients that send hashes, none longer
	// than CachedQueryBytes.
	PersistedQueries int
}

// DefaultLimits leave room for GraphiQL and for pages of 100 products with all that a shop shows of
// them.
func DefaultLimits() Limits {
	return Limits{
		MaxBodyBytes: 128 << 10, BodyTimeout: 10 * time.Second, RequestTimeout: 30 * time.Second,
		MaxTokens: 1000, MaxDepth: 12, MaxAliases: 30, MaxFields: 1000, MaxDirectives: 30, MaxComplexity: 10_000,
		CachedQueries: 1000, CachedQueryBytes: 8 << 10, PersistedQueries: maxPersisted,
	}
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	return Limits{
		MaxBodyBytes: cmp.Or(l.MaxBodyBytes, d.MaxBodyBytes), BodyTimeout: cmp.Or(l.BodyTimeout, d.BodyTimeout),
		RequestTimeout: cmp.Or(l.RequestTimeout, d.RequestTimeout), MaxTokens: cmp.Or(l.MaxTokens, d.MaxTokens),
		MaxDepth: cmp.Or(l.MaxDepth, d.MaxDepth), MaxAliases: cmp.Or(l.MaxAliases, d.MaxAliases), MaxFields: cmp.Or(l.MaxFields, d.MaxFields),
		MaxDirectives: cmp.Or(l.MaxDirectives, d.MaxDirectives),
		MaxComplexity: cmp.Or(l.MaxComplexity, d.MaxComplexity),
		CachedQueries: cmp.Or(l.CachedQueries, d.CachedQueries), CachedQueryBytes: cmp.Or(l.CachedQueryBytes, d.CachedQueryBytes),
		PersistedQueries: cmp.Or(l.PersistedQueries, d.PersistedQueries),
	}
}

// boundedCache keeps long documents out of the cache of parsed documents, which bounds the number
// of entries only.
type boundedCache struct {
	graphql.Cache[*ast.QueryDocument]
	maxBytes int
}

func (c boundedCache) Add(ctx context.Context, query string, doc *ast.QueryDocument) {
	if len(query) <= c.maxBytes {
		c.Cache.Add(ctx, query, doc)
	}
}
