package providertest

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"holdfast/ent"
	"holdfast/lockprovider"
)

// What a caller is told is true, whatever is cut off in the middle.
var claimScenarios = []Scenario{
	{
		Name: "wait_ends_in_the_transaction", Slow: true, Func: waitEndsInTheTransaction,
		Why: "a buyer is told that nothing was changed, by a queue whose worker is about to change it",
	},
	{
		Name: "wait_ends_in_the_commit", Slow: true, Func: waitEndsInTheCommit,
		Why: "a buyer is told that nothing was changed while the database commits it",
	},
	{
		Name: "commit_unanswered", Func: commitUnanswered,
		Why: "the connection breaks during the commit, and the buyer is told that nothing was changed",
	},
	{
		Name: "wait_ends_in_redis", Needs: decidedInRedis, Slow: true, Func: waitEndsInRedis,
		Why: "Redis stands still for a moment, and a buyer is told that nothing was changed of what it then admits",
	},
	{
		Name: "reply_of_redis_lost", Needs: decidedInRedis, Func: replyOfRedisLost,
		Why: "Redis admits a change, and a buyer is told that nothing was changed",
	},
}

// decidedInRedis: a script in Redis decides, or takes the change over.
func decidedInRedis(h *Harness) bool { return h.Traits.Detached }

// shortWait is a wait that ends during what a scenario stops.
func (h *Harness) shortWait() time.Duration { return h.scaled(100 * time.Millisecond) }

// beginBriefly starts a change that waits for shortWait at most, until it is stopped. It may have been answered by then, if it was accepted.
func beginBriefly(t testing.TB, h *Harness, c lockprovider.Change, at *stop, point string) *call {
	t.Helper()
	instance := h.start(t, waiting(h.shortWait()))
	if h.Ack != lockprovider.AckAccepted {
		return instance.beginUntil(t.Context(), t, c, at.reached, point)
	}
	running := instance.begin(t.Context(), c)
	await(t, at.reached, point)
	return running
}

// outlast holds a change at a stop until its wait of shortWait is over, lets it go on, and returns the answer.
func (h *Harness) outlast(t testing.TB, running *call, at *stop) error {
	t.Helper()
	over := time.NewTimer(2 * h.shortWait())
	defer over.Stop()
	select {
	case <-over.C:
	case <-running.done: // it was answered without what is stopped; then the answer must be true all the same
	}
	at.release()
	_, err := running.end(t)
	return err
}

// checkClaim compares an answer with what the database has, once all that was on its way has come. Then it repeats the
// change: a repeat is always told what the first request did.
func checkClaim(t testing.TB, h *Harness, c lockprovider.Change, err error) {
	t.Helper()
	effect := lockprovider.EffectOf(err)
	h.start(t).mustExecute(t, h.change(c.Moves...)) // behind c in any queue
	switch effect {
	case lockprovider.EffectApplied:
		h.checkApplied(t, c, len(c.Moves))
	case lockprovider.EffectNotStarted, lockprovider.EffectRefused:
		h.checkApplied(t, c, 0)
	case lockprovider.EffectUnknown:
		if !errors.Is(err, lockprovider.ErrUnavailable) || !lockprovider.Retryable(err) {
			t.Errorf("error %v, want one that asks for a repeat", err)
		}
	}
	if t.Failed() {
		t.Fatalf("the answer was %v: %s", err, effect)
	}
	h.start(t).mustExecute(t, c)
	h.checkApplied(t, c, len(c.Moves))
	h.checkAmount(t, c.Moves[0].Balance, 8)
	h.checkConsistent(t, c.Moves[0].Balance)
}

func waitEndsInTheTransaction(t testing.TB, h *Harness) {
	c := h.change(move(h.open(t, 10, 0, unlimited), -1))
	stopped := h.Env.stopAtRecord(t, c)
	running := beginBriefly(t, h, c, stopped, "its record")
	checkClaim(t, h, c, h.outlast(t, running, stopped))
}

func waitEndsInTheCommit(t testing.TB, h *Harness) {
	c := h.change(move(h.open(t, 10, 0, unlimited), -1))
	stopped := h.Env.stopAtCommit(t, c)
	running := beginBriefly(t, h, c, stopped, "its commit")
	err := h.outlast(t, running, stopped)
	if err != nil && !h.Traits.Detached {
		t.Errorf("error %v, want none: a commit that has begun is waited for", err)
	}
	checkClaim(t, h, c, err)
}

// commitUnanswered loses the answer to a commit, once after the database has committed and once before.
func commitUnanswered(t testing.TB, h *Harness) {
	for _, committed := range []bool{true, false} {
		c := h.change(move(h.open(t, 10, 0, unlimited), -1))
		var lost atomic.Bool
		h.Env.onRecord(t, c, func(_ context.Context, tx *ent.Tx) error {
			tx.OnCommit(func(next ent.Committer) ent.Committer {
				return ent.CommitFunc(func(ctx context.Context, tx *ent.Tx) error {
					if !lost.CompareAndSwap(false, true) {
						return next.Commit(ctx, tx)
					}
					if committed {
						return errors.Join(io.ErrUnexpectedEOF, next.Commit(ctx, tx))
					}
					return errors.Join(io.ErrUnexpectedEOF, tx.Rollback())
				})
			})
			return nil
		})
		_, err := h.start(t).begin(t.Context(), c).end(t)
		if !committed && !h.Traits.Detached && lockprovider.EffectOf(err) != lockprovider.EffectUnknown {
			t.Errorf("error %v, want one of an unknown outcome", err)
		}
		checkClaim(t, h, c, err)
	}
}

func waitEndsInRedis(t testing.TB, h *Harness) {
	c := h.change(move(h.open(t, 10, 0, unlimited), -1))
	instance := h.start(t, waiting(h.shortWait()))
	stopped := h.Env.newStop(t)
	instance.redis.holdReply(stopped, c, nil)
	running := instance.beginUntil(t.Context(), t, c, stopped.reached, "Redis")
	checkClaim(t, h, c, h.outlast(t, running, stopped))
}

func replyOfRedisLost(t testing.TB, h *Harness) {
	c := h.change(move(h.open(t, 10, 0, unlimited), -1))
	instance := h.start(t)
	stopped := h.Env.newStop(t)
	instance.redis.holdReply(stopped, c, errCut)
	running := instance.beginUntil(t.Context(), t, c, stopped.reached, "Redis")
	stopped.release()
	_, err := running.end(t)
	checkClaim(t, h, c, err)
}

// refusedCommit is the word of a database that has rolled back instead of committing.
func refusedCommit() error {
	return &pgconn.PgError{Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: "23503", Message: "the commit failed"}
}
