package providertest

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/ent"
	"holdfast/lockprovider"
)

// What fails leaves nothing and says why.
var failureScenarios = []Scenario{
	{
		Name: "invalid_change", Func: invalidChange,
		Why: "a programming mistake becomes a wrong row instead of an error",
	},
	{
		Name: "unknown_balance", Func: unknownBalance,
		Why: "an order of a product that does not exist reserves the others",
	},
	{
		Name: "record_fails", Func: recordFails,
		Why: "stock is gone without an order, because the order could not be written",
	},
	{
		Name: "commit_fails", Func: commitFails,
		Why: "a buyer is told that the order is placed, and it is not",
	},
	{
		Name: "redis_down", Needs: func(h *Harness) bool { return h.Traits.NeedsRedis }, Func: redisDown,
		Why: "buyers hang while Redis is away, or are told something that makes them give up",
	},
	{
		Name: "redis_dies_under_the_lock", Needs: leases, Slow: true, Func: redisDiesUnderTheLock,
		Why: "a change that the caller may or may not have made",
	},
}

func invalidChange(t testing.TB, h *Harness) {
	balance := h.open(t, 10, 0, unlimited)
	next := slices.Index(lockprovider.Families, h.Family) + 1
	other := lockprovider.Families[next%len(lockprovider.Families)]
	foreign := keyOf(other, newID())
	opening := func(b lockprovider.Bounds) func(*lockprovider.Change) {
		absent := h.unopened()
		return func(c *lockprovider.Change) {
			c.Moves = append(c.Moves, lockprovider.Move{Balance: absent, Delta: 1, Open: &b})
		}
	}
	mistakes := map[string]func(*lockprovider.Change){
		"no ID":             func(c *lockprovider.Change) { c.ID = uuid.Nil },
		"no kind":           func(c *lockprovider.Change) { c.Record.Kind = "" },
		"no moves":          func(c *lockprovider.Change) { c.Moves = nil },
		"unknown family":    func(c *lockprovider.Change) { c.Family = "GHOSTS" },
		"family of another": func(c *lockprovider.Change) { c.Family = other },
		"all of another family": func(c *lockprovider.Change) {
			c.Family, c.Moves = other, []lockprovider.Move{move(foreign, 1)}
		},
		"balance of another":      func(c *lockprovider.Change) { c.Moves = append(c.Moves, move(foreign, 1)) },
		"unknown kind of balance": func(c *lockprovider.Change) { c.Moves = append(c.Moves, move("ghost:1", 1)) },
		"delta too high":          func(c *lockprovider.Change) { c.Moves[0].Delta = lockprovider.MaxAmount + 1 },
		"delta too low":           func(c *lockprovider.Change) { c.Moves[0].Delta = -lockprovider.MaxAmount - 1 },
		"sum too high":            func(c *lockprovider.Change) { c.Moves = append(c.Moves, move(balance, lockprovider.MaxAmount+2)) },
		"too many moves": func(c *lockprovider.Change) {
			for range lockprovider.MaxMoves {
				c.Moves = append(c.Moves, move(h.unopened(), 1))
			}
		},
		"opens below its floor":   opening(lockprovider.Bounds{Opening: -1, Floor: 0, Ceiling: 5}),
		"opens above its ceiling": opening(lockprovider.Bounds{Opening: 6, Floor: 0, Ceiling: 5}),
		"opens beyond all bounds": opening(lockprovider.Bounds{Opening: 0, Floor: 0, Ceiling: lockprovider.MaxAmount + 1}),
	}
	instance := h.start(t)
	for _, name := range sortedKeys(mistakes) {
		c := h.change(move(balance, -1))
		mistakes[name](&c)
		receipt, err := instance.Execute(t.Context(), c)
		if !errors.Is(err, lockprovider.ErrInvalidChange) || lockprovider.Retryable(err) {
			t.Errorf("%s: receipt %+v, error %v, want ErrInvalidChange", name, receipt, err)
		}
		h.checkApplied(t, c, 0)
	}
	h.checkAmount(t, balance, 10)
}

func unknownBalance(t testing.TB, h *Harness) {
	balance := h.open(t, 10, 0, unlimited)
	c := h.change(move(balance, -1), move(h.unopened(), +1))
	if _, err := h.start(t).Execute(t.Context(), c); !errors.Is(err, lockprovider.ErrUnknownBalance) ||
		lockprovider.Retryable(err) {
		t.Errorf("error %v, want ErrUnknownBalance", err)
	}
	h.checkApplied(t, c, 0)
	h.checkAmount(t, balance, 10)
}

func recordFails(t testing.TB, h *Harness) {
	balance, absent := h.open(t, 10, 0, unlimited), h.unopened()
	instance := h.start(t)
	c := h.change(move(balance, -1),
		lockprovider.Move{Balance: absent, Delta: 1, Open: &lockprovider.Bounds{Ceiling: 5}})
	failure := errors.New("the order cannot be written")
	var repaired atomic.Bool
	h.Env.onRecord(t, c, func(ctx context.Context, tx *ent.Tx) error {
		if repaired.Load() {
			return nil
		}
		row, err := tx.Balance.Get(ctx, balance)
		if err != nil || row.Amount != 9 {
			t.Errorf("the record is written without the move: amount %v, %v", row, err)
		}
		return failure
	})
	rejected := new(lockprovider.Rejected)
	receipt, err := persist(t.Context(), instance, c)
	switch {
	case h.Traits.Accepts && err == nil && receipt.State == lockprovider.Accepted: // a repeat will be told, below
	case err == failure: //nolint:errorlint // as it is, says the contract
	case h.Traits.Detached && errors.As(err, &rejected): // the word was lost, and found in Redis
	default:
		t.Errorf("error %v, want the record writer's own", err)
	}
	h.checkApplied(t, c, 0)
	h.checkAmount(t, balance, 10)
	if amounts, err := h.Env.ledger.Amounts(t.Context(), []string{absent}); err != nil || len(amounts) != 0 {
		t.Errorf("the failed change opened a balance: %v, %v", amounts, err)
	}

	repaired.Store(true)
	if h.Traits.Detached { // somebody else may have been told already what became of it
		if _, err := persist(t.Context(), instance, c); !errors.As(err, &rejected) {
			t.Errorf("repeat of a change that the database refused: error %v, want a rejection", err)
		}
		h.checkApplied(t, c, 0)
		return
	}
	instance.mustExecute(t, c) // the ID is not used up
	h.checkApplied(t, c, 2)
}

func commitFails(t testing.TB, h *Harness) {
	balance := h.open(t, 10, 0, unlimited)
	c := h.change(move(balance, -1))
	failure := refusedCommit()
	h.Env.onRecord(t, c, func(_ context.Context, tx *ent.Tx) error {
		tx.OnCommit(func(ent.Committer) ent.Committer {
			return ent.CommitFunc(func(_ context.Context, tx *ent.Tx) error { return errors.Join(failure, tx.Rollback()) })
		})
		return nil
	})
	receipt, err := persist(t.Context(), h.start(t), c)
	if h.Traits.Accepts && err == nil && receipt.State == lockprovider.Accepted {
		h.settle(t)
		receipt, err = persist(t.Context(), h.start(t), c) // what became of it, a repeat is told
	}
	if rejected := new(lockprovider.Rejected); !errors.Is(err, failure) && (!h.Traits.Detached || !errors.As(err, &rejected)) {
		t.Errorf("receipt %+v, error %v, want that of the commit", receipt, err)
	}
	h.checkApplied(t, c, 0)
	h.checkAmount(t, balance, 10)
}

// downBound is how long a caller may wait for the news that Redis is away.
func (h *Harness) downBound() time.Duration { return h.scaled(8 * time.Second) }

func redisDown(t testing.TB, h *Harness) {
	connect, kill := h.Env.Doomed(t)
	balance := h.open(t, 10, 0, unlimited)
	instance := h.startOn(t, connect)
	instance.mustExecute(t, h.change(move(balance, -1)))
	if h.Traits.Accepts { // until then, Redis alone has it: that is what accepted means
		nodes := connect(t)
		h.drained(t, h.streamOf(nodes[0]))
		for _, node := range nodes {
			_ = node.Close()
		}
	}
	if !h.Traits.Leases {
		kill()
		checkDown(t, h, instance, balance)
		h.checkAmount(t, balance, 9)
		return
	}
	nodes := connect(t)
	held := h.change(move(balance, -1))
	stopped := h.Env.stopAtRecord(t, held)
	holder := instance.beginUntil(t.Context(), t, held, stopped.reached, "its record")
	queued := h.change(move(balance, -1))
	waiter := h.startOn(t, connect).begin(t.Context(), queued)
	if !lockHeld(t, nodes, balance)() {
		t.Fatal("nobody holds the lock")
	}

	kill()
	if _, err := waiter.end(t); !errors.Is(err, lockprovider.ErrUnavailable) || !lockprovider.Retryable(err) {
		t.Errorf("waiter: error %v, want ErrUnavailable", err)
	}
	h.checkApplied(t, queued, 0)
	checkDown(t, h, instance, balance)

	// The holder's lease is still running: it may commit, and that it cannot unlock changes nothing.
	stopped.release()
	holder.mustEnd(t)
	h.checkApplied(t, held, 1)
	h.checkAmount(t, balance, 8)
	h.checkConsistent(t, balance)
	for _, node := range nodes {
		_ = node.Close()
	}
}

// checkDown: a change is told in time that Redis is away, and has done nothing.
func checkDown(t testing.TB, h *Harness, instance *Instance, balance string) {
	t.Helper()
	c := h.change(move(balance, -1))
	asked := time.Now()
	if _, err := instance.begin(t.Context(), c).end(t); !errors.Is(err, lockprovider.ErrUnavailable) {
		t.Errorf("error %v, want ErrUnavailable", err)
	}
	if took := time.Since(asked); took > h.downBound() {
		t.Errorf("it took %v to say that Redis is away", took)
	}
	h.checkApplied(t, c, 0)
}

func redisDiesUnderTheLock(t testing.TB, h *Harness) {
	connect, kill := h.Env.Doomed(t)
	balance := h.open(t, 10, 0, unlimited)
	instance := h.startOn(t, connect, lease(h.shortLease()))
	c := h.change(move(balance, -1))
	lost := make(chan struct{})
	h.Env.onRecord(t, c, func(ctx context.Context, _ *ent.Tx) error {
		kill()
		<-ctx.Done() // it cannot be renewed, and ends by itself
		if !errors.Is(context.Cause(ctx), lockprovider.ErrLockLost) {
			t.Errorf("the held context ended with %v, want ErrLockLost", context.Cause(ctx))
		}
		close(lost)
		return nil // and works on, as if it had not noticed
	})
	running := instance.beginUntil(t.Context(), t, c, lost, "the end of its lease")
	if _, err := running.end(t); !errors.Is(err, lockprovider.ErrLockLost) {
		t.Errorf("error %v, want ErrLockLost", err)
	}
	h.checkApplied(t, c, 0)
	h.checkAmount(t, balance, 10)
}
