package transport

import (
	"context"
	"log/slog"
	"math"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"holdfast/auth"
)

// Rates are how many operations a minute are answered, all instances together. Each mutation of an operation counts as one, and so do
// a web socket's handshake and a token that is refused.
type Rates struct {
	// User is how many operations a minute are answered to one user, all instances together. A fifth of them may come at once. 0 is
	// no limit.
	User int `key:"userRate" production:"600" min:"0" max:"1000000"`
	// Address is how many operations a minute are answered to one address, which many users may share. A fifth of them may come at
	// once. 0 is no limit.
	Address int `key:"addressRate" production:"6000" min:"0" max:"1000000"`
}

// rateTimeout bounds how long a request waits for Redis to count it.
const rateTimeout = 200 * time.Millisecond

// limiter counts operations in Redis. If Redis does not answer, it allows them: a limiter must not
// close the shop.
type limiter struct {
	counts *redis_rate.Limiter
	rates  Rates
	log    *slog.Logger
}

// newLimiter returns a limiter, or nil if there is no limit or no Redis. A nil limiter allows
// everything.
func newLimiter(client redis.UniversalClient, rates Rates, log *slog.Logger) *limiter {
	if client == nil || rates == (Rates{}) {
		return nil
	}
	return &limiter{redis_rate.NewLimiter(client), rates, log}
}

// allow counts something for the caller's user and address. It returns an error if one is over its limit. What is refused to a user
// does not count for the address.
func (l *limiter) allow(ctx context.Context) *gqlerror.Error { return l.allowN(ctx, 1) }

// allowMutations counts the mutations of an operation but the first, for which the operation was counted.
func (l *limiter) allowMutations(ctx context.Context, op *graphql.OperationContext) *gqlerror.Error {
	if l == nil || op.Operation.Operation != ast.Mutation {
		return nil
	}
	return l.allowN(ctx, rootFields(op.Operation.SelectionSet)-1)
}

// rootFields returns how many fields a selection has, with fragments expanded. The guard bounds it.
func rootFields(set ast.SelectionSet) (n int) {
	for _, selection := range set {
		switch s := selection.(type) {
		case *ast.Field:
			n++
		case *ast.InlineFragment:
			n += rootFields(s.SelectionSet)
		case *ast.FragmentSpread:
			n += rootFields(s.Definition.SelectionSet)
		}
	}
	return n
}

func (l *limiter) allowN(ctx context.Context, n int) *gqlerror.Error {
	if l == nil || n < 1 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, rateTimeout)
	defer cancel()
	if user := auth.Viewer(ctx).UserID; user != "" {
		if err := l.count(ctx, "user:"+user, n, l.rates.User); err != nil {
			return err // before the address is counted, which others may share
		}
	}
	return l.count(ctx, "address:"+network(RequestOf(ctx).Address), n, l.rates.Address)
}

func (l *limiter) count(ctx context.Context, who string, n, perMinute int) *gqlerror.Error {
	if perMinute == 0 {
		return nil
	}
	burst := max(perMinute/5, 1)
	// More than a burst would never be allowed.
	result, err := l.counts.AllowN(ctx, who, redis_rate.Limit{Rate: perMinute, Burst: burst, Period: time.Minute}, min(n, burst))
	if err != nil {
		if ctx.Err() == nil {
			l.log.WarnContext(ctx, "operations are not counted", "error", err)
		}
		return nil
	}
	if result.Allowed > 0 {
		return nil
	}
	seconds := max(int(math.Ceil(result.RetryAfter.Seconds())), 1)
	limited := Errorf(CodeRateLimited, "too many operations; try again in %d seconds", seconds)
	limited.Extensions["retryAfter"] = seconds
	return limited
}
