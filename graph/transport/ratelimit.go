package transport

import (
	"context"
	"log/slog"
	"math"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"holdfast/auth"
)

// Rates are how many operations a minute are answered, all instances together; 0 is no limit. A fifth of it may come at once.
type Rates struct {
	// User is for each user.
	User int
	// Address is for each address, of which many users may share one.
	Address int
}

// rateTimeout bounds what a request waits for the count.
const rateTimeout = 200 * time.Millisecond

// limiter counts operations in Redis. Where Redis does not answer, it lets them pass: it is there to keep the shop open.
type limiter struct {
	counts *redis_rate.Limiter
	rates  Rates
	log    *slog.Logger
}

// newLimiter returns nil, which allows everything, where there is nothing to limit or nothing to count with.
func newLimiter(client redis.UniversalClient, rates Rates, log *slog.Logger) *limiter {
	if client == nil || rates == (Rates{}) {
		return nil
	}
	return &limiter{redis_rate.NewLimiter(client), rates, log}
}

// allow counts an operation of whoever asks.
func (l *limiter) allow(ctx context.Context) *gqlerror.Error {
	if l == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, rateTimeout)
	defer cancel()
	if err := l.count(ctx, "address:"+RequestOf(ctx).Address, l.rates.Address); err != nil {
		return err
	}
	if user := auth.Viewer(ctx).UserID; user != "" {
		return l.count(ctx, "user:"+user, l.rates.User)
	}
	return nil
}

func (l *limiter) count(ctx context.Context, who string, perMinute int) *gqlerror.Error {
	if perMinute == 0 {
		return nil
	}
	result, err := l.counts.Allow(ctx, who, redis_rate.Limit{Rate: perMinute, Burst: max(perMinute/5, 1), Period: time.Minute})
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
