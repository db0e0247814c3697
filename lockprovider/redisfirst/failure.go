package redisfirst

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/lockprovider/ledger"
)

// ErrRedisDown marks the failures of Redis itself, as opposed to those of a caller who has left.
var ErrRedisDown = errors.New("redis does not answer")

// scriptTimeout bounds one script: a Redis that takes longer is as good as gone.
const scriptTimeout = time.Second

// failure gives an error of Redis the meaning that a caller acts on: [ledger.ErrUnavailable] and [ErrRedisDown], unless
// ctx has ended. That says nothing about Redis: callers who leave in numbers must not count as an outage.
func failure(ctx context.Context, err error) error {
	if err == nil || errors.Is(err, ledger.ErrLockLost) || errors.Is(err, ledger.ErrLockTimeout) {
		return err
	}
	if ended := ledger.Ended(ctx); ended != nil {
		return ended
	}
	return fmt.Errorf("%w: %w", ErrRedisDown, ledger.Unavailable(ctx, "redis", err))
}
