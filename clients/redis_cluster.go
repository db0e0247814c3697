package clients

import (
	"context"
	"errors"
	"net"

	"github.com/redis/go-redis/v9"
)

// replyLostHook keeps go-redis's cluster client from repeating a command whose reply was lost. MaxRetries does not reach
// that: the loop that follows MOVED and ASK, bounded by MaxRedirects, repeats after network errors as well. So the
// hook, on the client of each node, gives such an error a type that the loop does not take for transient.
//
// Commands in a pipeline are repeated before the hook sees them: what must not run twice is not sent in one.
type replyLostHook struct{}

// errReplyLost hides its cause from errors.Is and errors.As, on purpose.
type errReplyLost struct{ cause error }

func (e errReplyLost) Error() string { return "reply lost: " + e.cause.Error() }

func (replyLostHook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (replyLostHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (replyLostHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if err == nil || notExecuted(err) {
			return err
		}
		return errReplyLost{err}
	}
}

// notExecuted tells that the server has answered, or that the command never left.
func notExecuted(err error) bool {
	if reply := redis.Error(nil); errors.As(err, &reply) {
		return true
	}
	if dial := new(net.OpError); errors.As(err, &dial) && dial.Op == "dial" {
		return true
	}
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrPoolExhausted) || errors.Is(err, redis.ErrClosed)
}
