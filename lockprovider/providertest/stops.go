package providertest

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"holdfast/ent"
	"holdfast/lockprovider"
)

// stop holds the first that comes there until it is released. Later ones pass.
type stop struct {
	reached chan struct{}
	resume  chan struct{}
	first   atomic.Bool
	release func()
}

func (e *Env) newStop(t *testing.T) *stop {
	s := &stop{reached: make(chan struct{}), resume: make(chan struct{})}
	s.release = sync.OnceFunc(func() { close(s.resume) })
	e.stops = append(e.stops, s)
	t.Cleanup(e.releaseAll)
	return s
}

// releaseAll sees to it that, whatever becomes of a test, nobody stays where it stopped him.
func (e *Env) releaseAll() {
	for _, s := range e.stops {
		s.release()
	}
	e.stops = nil
}

func (s *stop) here() {
	if s.first.CompareAndSwap(false, true) {
		close(s.reached)
		<-s.resume
	}
}

// stopAtRecord holds a change in its transaction, after the balances have been written and before the commit.
func (e *Env) stopAtRecord(t *testing.T, c lockprovider.Change) *stop {
	s := e.newStop(t)
	e.onRecord(t, c, func(context.Context, *ent.Tx) error {
		s.here()
		return nil
	})
	return s
}

type beforeWriteKey struct{}

// stopBeforeWrite holds a change that runs with the context in its transaction, after it has read and before it writes.
func stopBeforeWrite(ctx context.Context, s *stop) context.Context {
	return context.WithValue(ctx, beforeWriteKey{}, s)
}

// beforeWrite is the hook behind stopBeforeWrite.
func beforeWrite(next ent.Mutator) ent.Mutator {
	return ent.MutateFunc(func(ctx context.Context, m ent.Mutation) (ent.Value, error) {
		if s, ok := ctx.Value(beforeWriteKey{}).(*stop); ok && m.Op().Is(ent.OpUpdate) {
			s.here()
		}
		return next.Mutate(ctx, m)
	})
}

// redisHook is between an instance and its Redis.
type redisHook struct {
	after atomic.Pointer[func(cmd redis.Cmder)]
	cut   atomic.Bool
}

// onReply calls a function after each reply, before the instance sees it.
func (h *redisHook) onReply(f func(redis.Cmder)) { h.after.Store(&f) }

// errCut is what a connection that was cut says.
var errCut = &net.OpError{Op: "read", Net: "tcp", Err: net.ErrClosed}

// DialHook implements redis.Hook.
func (h *redisHook) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook implements redis.Hook.
func (h *redisHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if h.cut.Load() {
			cmd.SetErr(errCut)
			return errCut
		}
		err := next(ctx, cmd)
		if f := h.after.Load(); f != nil {
			(*f)(cmd)
		}
		return err
	}
}

// ProcessPipelineHook implements redis.Hook.
func (h *redisHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if h.cut.Load() {
			return errCut
		}
		err := next(ctx, cmds)
		if f := h.after.Load(); f != nil {
			for _, cmd := range cmds {
				(*f)(cmd)
			}
		}
		return err
	}
}
