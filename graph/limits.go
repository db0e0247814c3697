package graph

import (
	"cmp"
	"context"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"holdfast/commerce"
	"holdfast/graph/generated"
	"holdfast/graph/model"
)

// Limits bound what one request may cost. Zero fields take the value of [DefaultLimits].
type Limits struct {
	// MaxBodyBytes is the longest body of a POST.
	MaxBodyBytes int64
	// BodyTimeout is how long the body may take to arrive.
	BodyTimeout time.Duration
	// RequestTimeout is how long a request may take once it has arrived.
	RequestTimeout time.Duration
	// MaxTokens bounds the document before it is parsed: the parser recurses, and the stack has an end.
	MaxTokens int
	// MaxDepth is how deep selections may nest; introspection has a bound of its own.
	MaxDepth int
	// MaxAliases and MaxFields bound the document with its fragments expanded.
	MaxAliases, MaxFields int
	// MaxDirectives bounds @skip and @include, with fragments expanded.
	MaxDirectives int
	// MaxComplexity bounds the estimated number of fields of the answer.
	MaxComplexity int
	// CachedQueries and CachedQueryBytes bound the cache of parsed documents: how many, and how long each.
	CachedQueries, CachedQueryBytes int
	// PersistedQueries is how many documents Redis keeps for clients that send hashes, none longer than CachedQueryBytes.
	PersistedQueries int
}

// DefaultLimits leave room for GraphiQL and for pages of 100 with everything in them that a shop shows.
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

// The estimated lengths of lists that have no page size.
const (
	usualLines    = 5
	usualAccounts = 5
	usualIssues   = 20
	// Of experiments everything is in memory.
	usualRuns, usualExperiments = 20, 5
	// lookup is the cost of a field that asks the database for one object alone.
	lookup = 5
)

// complexities estimates the fields of an answer: a list costs its length times what is selected of each element.
// Everything else costs 1.
func complexities() generated.ComplexityRoot {
	var c generated.ComplexityRoot
	c.Query.Products = func(child int, first *int, _ *string, _ *model.ProductFilter, _ *model.ProductOrder) int {
		return pageCost(child, first)
	}
	c.Query.Coupons = pageOnly
	c.Customer.Orders = pageOnly
	c.Wallet.Entries = pageOnly
	c.Account.Entries = pageOnly
	c.Customer.Accounts = times(usualAccounts)
	c.Customer.CouponIssues = times(usualIssues)
	c.Order.Lines = times(usualLines)
	c.Order.CouponIssue = func(child int) int { return child + lookup }
	c.Subscription.StockChanged = func(child int, _ []string) int { return child + lookup }
	c.Subscription.OrderUpdated = func(child int, _ string) int { return child + lookup }
	c.Subscription.QueueTicketUpdated = func(child int, _ string) int { return child + lookup }
	c.ExperimentReport.Runs = times(usualRuns)
	c.ExperimentReport.Cases = times(usualRuns)
	c.Query.Experiments = times(usualExperiments)
	c.PlaceOrderPayload.Products = times(usualLines)
	c.PayOrderPayload.Products = times(usualLines)
	c.CancelOrderPayload.Products = times(usualLines)
	return c
}

func pageOnly(child int, first *int, _ *string) int { return pageCost(child, first) }

func pageCost(child int, first *int) int {
	n := defaultPage
	if first != nil {
		n = min(max(*first, 1), commerce.MaxPage) // what is beyond is refused later, and must not be cheap until then
	}
	return times(n)(child)
}

func times(n int) func(child int) int {
	return func(child int) int { return n * (min(child, tooMany) + 1) }
}

// boundedCache keeps long documents out of the cache of parsed queries, whose bound is a number of entries.
type boundedCache struct {
	graphql.Cache[*ast.QueryDocument]
	maxBytes int
}

func (c boundedCache) Add(ctx context.Context, query string, doc *ast.QueryDocument) {
	if len(query) <= c.maxBytes {
		c.Cache.Add(ctx, query, doc)
	}
}
