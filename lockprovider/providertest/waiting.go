package providertest

import (
	"context"
	"errors"
	"testing"
	"time"

	"holdfast/lockprovider"
)

// Nobody waits longer than the caller or the configuration allows, and who gives up leaves nothing.
var waitingScenarios = []Scenario{
	{
		Name: "cancelled_before", Func: cancelledBefore,
		Why: "work is done for a caller who has gone",
	},
	{
		Name: "cancelled_while_waiting", Needs: queues, Func: cancelledWhileWaiting,
		Why: "a buyer who has gone keeps a connection, or leaves a lock that blocks the others",
	},
	{
		Name: "deadline_while_waiting", Needs: own, Func: deadlineWhileWaiting,
		Why: "the caller's deadline is reported as if the lock had been the reason",
	},
	{
		Name: "cancelled_under_the_lock", Needs: own, Func: cancelledUnderTheLock,
		Why: "a cancelled change commits all the same, or keeps its lock until the lease ends",
	},
	{
		Name: "bounded_wait", Needs: queues, Func: boundedWait,
		Why: "buyers pile up behind one that hangs",
	},
	{
		Name: "giving_up_frees_the_rest", Needs: queues, Func: givingUpFreesTheRest,
		Why: "a cart that gave up on its second product keeps everybody from the first",
	},
	{
		Name: "waiting_keeps_the_rest", Needs: leases, Slow: true, Func: waitingKeepsTheRest,
		Why: "a cart that waits for its second product longer than a lease loses the first and never finishes",
	},
}

// promptly is how long a caller whose wait has ended may have to wait for the answer. Generous, for a loaded machine, and
// yet far from the bounds that it is told apart from.
func (h *Harness) promptly() time.Duration { return h.scaled(5 * time.Second) }

func (h *Harness) checkPrompt(t testing.TB, since time.Time) {
	t.Helper()
	if took := time.Since(since); took > h.promptly() {
		t.Errorf("the answer took %v", took)
	}
}

func cancelledBefore(t testing.TB, h *Harness) {
	balance := h.open(t, 10, 0, unlimited)
	c := h.change(move(balance, -1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.start(t).Execute(ctx, c); !errors.Is(err, context.Canceled) || lockprovider.Retryable(err) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	h.checkApplied(t, c, 0)
	h.checkAmount(t, balance, 10)
}

// contend starts a change that holds everything, stopped before its commit, and another one that waits for it, with
// the context. It returns once the waiter has begun to wait.
func contend(
	ctx context.Context, t testing.TB, h *Harness, balance string, adjust ...func(*lockprovider.Settings),
) (holder *call, stopped *stop, waiter *call, waiting lockprovider.Change) {
	t.Helper()
	held := h.change(move(balance, -1))
	stopped = h.Env.stopAtRecord(t, held)
	holder = h.start(t).beginUntil(t.Context(), t, held, stopped.reached, "its record")
	waiting = h.change(move(balance, -2))
	instance := h.start(t, adjust...)
	asked := make(chan struct{})
	if h.Traits.NeedsRedis {
		instance.redis.onReply(once(asked))
	} else {
		close(asked) // waits in the database; that it does not get through is what the scenarios check
	}
	waiter = instance.begin(ctx, waiting)
	select {
	case <-asked:
	case <-waiter.done: // its time was over before it had come to ask
	case <-time.After(patience):
		t.Fatal("the waiter neither asked Redis nor gave up")
	}
	return holder, stopped, waiter, waiting
}

func cancelledWhileWaiting(t testing.TB, h *Harness) {
	balance := h.open(t, 10, 0, unlimited)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	holder, stopped, waiter, queued := contend(ctx, t, h, balance)
	cancelled := time.Now()
	cancel()
	if _, err := waiter.end(t); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	h.checkPrompt(t, cancelled)
	checkOnlyHolder(t, h, balance, holder, stopped, queued)
}

func deadlineWhileWaiting(t testing.TB, h *Harness) {
	balance := h.open(t, 10, 0, unlimited)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	holder, stopped, waiter, queued := contend(ctx, t, h, balance)
	_, err := waiter.end(t)
	if !errors.Is(err, context.DeadlineExceeded) || lockprovider.Retryable(err) {
		t.Errorf("error %v, want context.DeadlineExceeded", err)
	}
	deadline, _ := ctx.Deadline()
	h.checkPrompt(t, deadline)
	checkOnlyHolder(t, h, balance, holder, stopped, queued)
}

func boundedWait(t testing.TB, h *Harness) {
	const bound = 200 * time.Millisecond
	balance := h.open(t, 10, 0, unlimited)
	began := time.Now()
	holder, stopped, waiter, queued := contend(t.Context(), t, h, balance, waiting(bound))
	_, err := waiter.end(t)
	if !errors.Is(err, lockprovider.ErrLockTimeout) || !lockprovider.Retryable(err) {
		t.Errorf("error %v, want ErrLockTimeout", err)
	}
	if took := time.Since(began); took < bound {
		t.Errorf("gave up after %v, before its bound of %v", took, bound)
	}
	h.checkPrompt(t, began.Add(bound))
	checkOnlyHolder(t, h, balance, holder, stopped, queued)
}

// checkOnlyHolder: who gave up has left nothing and freed nothing, and the holder goes on as if it had not been there.
func checkOnlyHolder(
	t testing.TB, h *Harness, balance string, holder *call, stopped *stop, gaveUp lockprovider.Change,
) {
	t.Helper()
	if h.Traits.Leases && !lockHeld(t, h.redisNodes(t), balance)() {
		t.Error("who gave up freed the holder's lock")
	}
	stopped.release()
	if receipt := holder.mustEnd(t); receipt.Attempts != 1 {
		t.Errorf("the holder needed %d attempts", receipt.Attempts)
	}
	// Somebody who comes now gets in at once, so nothing of the waiter is in the way.
	next := h.change(move(balance, -3))
	h.start(t).mustExecute(t, next)
	h.checkApplied(t, gaveUp, 0)
	h.checkAmount(t, balance, 6)
	h.checkConsistent(t, balance)
}

func cancelledUnderTheLock(t testing.TB, h *Harness) {
	balance := h.open(t, 10, 0, unlimited)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := h.change(move(balance, -1))
	stopped := h.Env.stopAtRecord(t, c)
	running := h.start(t).beginUntil(ctx, t, c, stopped.reached, "its record")
	cancel()
	stopped.release()
	if _, err := running.end(t); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	if h.Traits.Leases && lockHeld(t, h.redisNodes(t), balance)() {
		t.Error("the cancelled change has not freed its lock")
	}
	h.checkApplied(t, c, 0)
	h.checkAmount(t, balance, 10)
	h.start(t).mustExecute(t, c) // the ID is not used up
	h.checkApplied(t, c, 1)
}

func givingUpFreesTheRest(t testing.TB, h *Harness) {
	first, second := h.open(t, 10, 0, unlimited), h.open(t, 10, 0, unlimited)
	if first > second {
		first, second = second, first // the order in which locks are taken
	}
	held := h.change(move(second, -1))
	stopped := h.Env.stopAtRecord(t, held)
	holder := h.start(t).beginUntil(t.Context(), t, held, stopped.reached, "its record")

	both := h.change(move(first, -1), move(second, -1))
	waiter := h.start(t, waiting(300*time.Millisecond)).begin(t.Context(), both)
	if _, err := waiter.end(t); !errors.Is(err, lockprovider.ErrLockTimeout) {
		t.Errorf("error %v, want ErrLockTimeout", err)
	}
	if h.Traits.Leases && lockHeld(t, h.redisNodes(t), first)() {
		t.Error("who gave up on the second balance still locks the first")
	}
	stopped.release()
	holder.mustEnd(t)
	h.start(t).mustExecute(t, h.change(move(first, -1)))
	h.checkApplied(t, both, 0)
	h.checkAmount(t, first, 9)
	h.checkAmount(t, second, 9)
}

func waitingKeepsTheRest(t testing.TB, h *Harness) {
	first, second := h.open(t, 10, 0, unlimited), h.open(t, 10, 0, unlimited)
	if first > second {
		first, second = second, first // the order in which locks are taken
	}
	nodes := h.redisNodes(t)
	held := h.change(move(second, -1))
	stopped := h.Env.stopAtRecord(t, held)
	holder := h.start(t).beginUntil(t.Context(), t, held, stopped.reached, "its record")

	instance := h.start(t, lease(h.shortLease()), waiting(patience))
	both := h.change(move(first, -1), move(second, -1))
	waiter := instance.begin(t.Context(), both)
	watchLock(t, nodes[0], first).renewals(t, 5) // more than a term, at a third each
	stopped.release()
	holder.mustEnd(t)
	waiter.mustEnd(t)
	h.checkAmount(t, first, 9)
	h.checkAmount(t, second, 8)
	if n := instance.counter(t, "holdfast_lock_lost_total"); n != 0 {
		t.Errorf("%d leases lost", n)
	}
}
