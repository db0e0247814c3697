package providertest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"holdfast/ent"
	"holdfast/lockprovider"
)

// Commit before unlock, always.
var unlockScenarios = []Scenario{
	{
		Name: "commit_before_unlock", Needs: leases, Func: commitBeforeUnlock,
		Why: "the next one reads the amount of before: shows once in a hundred runs, and is then a lost update",
	},
	{
		Name: "hand_over", Needs: excludes, Func: handOver,
		Why: "two buyers who take turns get in each other's way",
	},
	{
		Name: "nested_lock", Needs: leases, Func: nestedLock,
		Why: "code that locks what it holds already waits for itself",
	},
	{
		Name: "nothing_lost_under_load", Needs: excludes, Func: nothingLostUnderLoad,
		Why: "the balance says something else than the statement",
	},
}

// once closes a channel at the first call.
func once(c chan struct{}) func(redis.Cmder) {
	closeIt := sync.OnceFunc(func() { close(c) })
	return func(redis.Cmder) { closeIt() }
}

func commitBeforeUnlock(t testing.TB, h *Harness) {
	balance, other := h.open(t, 10, 0, unlimited), h.open(t, 10, 0, unlimited)
	nodes := h.redisNodes(t)
	held, heldOther := lockHeld(t, nodes, balance), lockHeld(t, nodes, other)
	instance := h.start(t)
	c := h.change(move(balance, -1), move(other, +1))
	inside, freed := false, 0
	h.Env.onRecord(t, c, func(context.Context, *ent.Tx) error {
		inside = true
		if !held() || !heldOther() {
			t.Error("the record is written without the lock")
		}
		return nil
	})
	var mu sync.Mutex
	// Between Redis' answer and the provider's next step: as soon as a lock has gone, the change must be there.
	instance.redis.onReply(func(redis.Cmder) {
		mu.Lock()
		defer mu.Unlock()
		if !inside || (held() && heldOther()) {
			return
		}
		freed++
		logs, entries, err := h.footprint(t.Context(), c)
		if err != nil || logs != 1 || entries != 2 {
			t.Errorf("unlocked before the commit: %d log rows, %d entries, %v", logs, entries, err)
		}
	})
	instance.mustExecute(t, c)
	mu.Lock()
	defer mu.Unlock()
	if freed == 0 {
		t.Error("nobody saw the lock being freed")
	}
}

func handOver(t testing.TB, h *Harness) {
	rounds := h.size(100, 8)
	balance := h.open(t, 0, 0, unlimited)
	instances := []*Instance{h.start(t), h.start(t)}
	var contenders sync.WaitGroup
	for _, instance := range instances {
		contenders.Go(func() {
			for range rounds {
				receipt, err := persist(t.Context(), instance, h.change(move(balance, +1)))
				if err != nil {
					t.Error(err)
					return
				}
				// With a lock that is freed after the commit, the first read is never old.
				if h.Traits.Locks && receipt.Attempts != 1 {
					t.Errorf("%d attempts under a lock", receipt.Attempts)
				}
			}
		})
	}
	contenders.Wait()
	h.checkAmount(t, balance, int64(len(instances)*rounds))
	h.checkConsistent(t, balance)
	for _, instance := range instances {
		if n := instance.violations(t); n != 0 {
			t.Errorf("%d violations", n)
		}
	}
}

func nestedLock(t testing.TB, h *Harness) {
	balance := h.open(t, 10, 0, unlimited)
	instance := h.start(t)
	outer, inner := h.change(move(balance, -1)), h.change(move(balance, -1))
	h.Env.onRecord(t, outer, func(ctx context.Context, _ *ent.Tx) error {
		if _, err := instance.Execute(ctx, inner); !errors.Is(err, lockprovider.ErrNestedLock) {
			t.Errorf("error %v, want ErrNestedLock", err)
		}
		return nil
	})
	instance.mustExecute(t, outer)
	h.checkApplied(t, outer, 1)
	h.checkApplied(t, inner, 0)
	h.checkAmount(t, balance, 9)
}

// nothingLostUnderLoad mixes everything that can happen to changes of a few balances: takes, gives and transfers, those
// that do not fit, callers who go away, and repeats.
func nothingLostUnderLoad(t testing.TB, h *Harness) {
	const opening = 20
	var balances []string
	for range 3 {
		balances = append(balances, h.open(t, opening, 0, 2*opening))
	}
	instances := []*Instance{h.start(t), h.start(t)}
	var mu sync.Mutex
	want := map[string]int64{}
	var workers sync.WaitGroup
	for w := range 8 {
		workers.Go(func() {
			for round := range h.size(12, 3) {
				from, to := balances[(w+round)%3], balances[(w+2*round+1)%3]
				c := h.change(move(from, -int64(1+(w+round)%5)), move(to, int64(1+(w*round)%4)))
				if round%4 == 3 { // the caller may be gone at any point
					ctx, cancel := context.WithCancel(t.Context())
					running := instances[w%2].begin(ctx, c)
					cancel()
					<-running.done
				}
				_, err := persist(t.Context(), instances[(w+round)%2], c) // a repeat, where the caller came back
				if refused := new(lockprovider.Refused); errors.As(err, &refused) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for _, m := range c.Moves {
					want[m.Balance] += m.Delta
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	for _, b := range balances {
		h.checkAmount(t, b, opening+want[b])
		h.checkConsistent(t, b)
	}
}
