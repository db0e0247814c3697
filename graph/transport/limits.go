package transport

import (
	"context"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// Limits bound what one request may cost. Zero fields take their default, which leaves room for GraphiQL and for pages of 100
// products with all that a shop shows of them.
type Limits struct {
	// RequestTimeout is how long a request may take once it has arrived.
	RequestTimeout time.Duration `key:"requestTimeout" default:"30s" min:"10ms" max:"10m"`
	// MaxBodyBytes is the size of the longest body of a request.
	MaxBodyBytes int64 `key:"maxBodyBytes" default:"131072" min:"1024" max:"16777216"`
	// MaxDepth is how deep a query may nest. Introspection has a bound of its own.
	MaxDepth int `key:"maxDepth" default:"12" min:"1" max:"100"`
	// MaxComplexity is the number of fields that a query may ask for, those of list items multiplied.
	MaxComplexity int `key:"maxComplexity" default:"10000" min:"1" max:"1000000"`

	// BodyTimeout is how long the body may take to arrive.
	BodyTimeout time.Duration `default:"10s"`
	// MaxTokens bounds the document before it is parsed: the parser recurses, and its stack is finite.
	MaxTokens int `default:"1000"`
	// MaxAliases and MaxFields bound the document with its fragments expanded.
	MaxAliases int `default:"30"`
	MaxFields  int `default:"1000"`
	// MaxDirectives bounds the uses of directives such as @skip, with fragments expanded.
	MaxDirectives int `default:"30"`
	// CachedQueries bounds the cache of parsed documents.
	CachedQueries int `default:"1000"`
	// CachedQueryBytes is the length of the longest document that is cached.
	CachedQueryBytes int `default:"8192"`
	// PersistedQueries is how many documents Redis keeps for clients that send hashes, those used last, none longer than
	// CachedQueryBytes: they fill 16 MB at most.
	PersistedQueries int `default:"2000"`
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
