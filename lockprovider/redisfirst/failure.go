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

// scriptTimeout bounds one script: a Redis that takes longer is as good as gone.
const scriptTimeout = time.Second

// ask runs a script that decides about a change, for at most [scriptTimeout]. What bounds the wait of the caller does not cut
// it off: once the script has been sent, Redis may run it, and only its reply tells. If there is none, the error is
// [ErrRedisDown] and [ledger.ErrUnknown]. If ctx has ended before, nothing is sent.
func ask(ctx context.Context, r redis.Scripter, script *redis.Script, keys []string, args ...any) *redis.Cmd {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), scriptTimeout)
	defer cancel()
	if ended := ledger.Ended(ctx); ended != nil {
		refused := redis.NewCmd(bounded)
		refused.SetErr(ended)
		return refused
	}
	reply := script.Run(bounded, r, keys, args...)
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
