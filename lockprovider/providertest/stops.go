package providertest

import (
	"context"
	"errors"
	"net"
	"slices"
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

func (e *Env) newStop(t testing.TB) *stop {
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
func (e *Env) stopAtRecord(t testing.TB, c lockprovider.Change) *stop {
	s := e.newStop(t)
	e.onRecord(t, c, func(ctx context.Context, tx *ent.Tx) error {
		rows, err := tx.QueryContext(ctx, "SELECT 1") // what waits on PostgreSQL to be sent with the next statement is sent with it
		if err != nil {
			return err
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return err
		}
		s.here()
		return nil
	})
	return s
}

// stopAtCommit holds a change in its commit: its COMMIT counts as sent, and the answer has not come.
func (e *Env) stopAtCommit(t testing.TB, c lockprovider.Change) *stop {
	s := e.newStop(t)
	e.onRecord(t, c, func(_ context.Context, tx *ent.Tx) error {
		tx.OnCommit(func(next ent.Committer) ent.Committer {
			return ent.CommitFunc(func(ctx context.Context, tx *ent.Tx) error {
				s.here()
				return next.Commit(ctx, tx)
			})
		})
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
	held  atomic.Pointer[heldReply]
	cut   atomic.Bool
}

// heldReply is the first reply to a command with an argument. It is held until the stop is released, and comes if lost is nil.
type heldReply struct {
	*stop

	argument string
	lost     error
}

// holdReply holds the reply of Redis to the script that decides about a change; see [heldReply].
func (h *redisHook) holdReply(s *stop, c lockprovider.Change, lost error) {
	h.held.Store(&heldReply{stop: s, argument: c.ID.String(), lost: lost})
}

// pass waits for a reply that is held. If the context ends before, the caller does not get the reply.
func (r *heldReply) pass(ctx context.Context, cmd redis.Cmder) {
	if r == nil || cmd.Err() != nil || !slices.Contains(cmd.Args(), any(r.argument)) || !r.first.CompareAndSwap(false, true) {
		return
	}
	close(r.reached)
	select {
	case <-r.resume:
		if r.lost != nil {
			cmd.SetErr(r.lost)
		}
	case <-ctx.Done():
		cmd.SetErr(ctx.Err())
	}
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
		if err == nil {
			h.held.Load().pass(ctx, cmd)
			err = cmd.Err()
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
