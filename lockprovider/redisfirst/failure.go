package redisfirst

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"holdfast/lockprovider/ledger"
)

// ErrRedisDown marks the failures of Redis itself, as opposed to those of a caller who has left.
var ErrRedisDown = errors.New("redis does not answer")

// requestTimeout is how long one request may take if the settings do not say it: a Redis that takes longer is as good as gone.
const requestTimeout = time.Second

// bounded returns a context for one request.
func (e epoch) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, e.timeout)
}

// ask runs a script that decides about a change, for as long as a request may take. What bounds the wait of the caller does not cut
// it off: once the script has been sent, Redis may run it, and only its reply tells. If there is none, the error is
// [ErrRedisDown] and [ledger.ErrUnknown]. If ctx has ended before, nothing is sent.
func (e epoch) ask(ctx context.Context, script *redis.Script, keys []string, args ...any) *redis.Cmd {
	bounded, cancel := e.bounded(context.WithoutCancel(ctx))
	defer cancel()
	if ended := ledger.Ended(ctx); ended != nil {
		refused := redis.NewCmd(bounded)
		refused.SetErr(ended)
		return refused
	}
	reply := script.Run(bounded, e.redis, keys, args...)
	if err := reply.Err(); isClosed(err) {
		reply.SetErr(ErrClosed)
	} else if err != nil {
		reply.SetErr(fmt.Errorf("%w: %w", ErrRedisDown, ledger.Unknown("redis", err)))
	}
	return reply
}

// failure gives an error of Redis the meaning that a caller acts on: [ledger.ErrUnavailable] and [ErrRedisDown], unless
// ctx has ended. That says nothing about Redis: callers who leave in numbers must not count as an outage.
func failure(ctx context.Context, err error) error {
	if err == nil || errors.Is(err, ledger.ErrLockLost) || errors.Is(err, ledger.ErrLockTimeout) {
		return err
	}
	if isClosed(err) {
		return ErrClosed
	}
	if ended := ledger.Ended(ctx); ended != nil {
		return ended
	}
	return fmt.Errorf("%w: %w", ErrRedisDown, ledger.Unavailable(ctx, "redis", err))
}
