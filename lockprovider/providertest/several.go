package providertest

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"holdfast/ent"
	"holdfast/ent/entry"
	"holdfast/lockprovider"
)

// Many changes in one transaction are applied all or none, and nobody waits for them longer than for that transaction.
var severalScenarios = []Scenario{
	{
		Name: "several_together", Needs: several, Func: severalTogether,
		Why: "an import of a hundred quantities commits a hundred times, or loses one of them",
	},
	{
		Name: "several_all_or_none", Needs: several, Func: severalAllOrNone,
		Why: "one quantity of an import that cannot be has others moved twice when they are tried alone",
	},
	{
		Name: "several_unanswered", Needs: several, Func: severalUnanswered,
		Why: "an import whose commit was not answered moves a hundred quantities twice, or not at all",
	},
	{
		Name: "several_in_opposite_order", Needs: several, Func: severalInOppositeOrder,
		Why: "two imports of the same products wait for each other",
	},
	{
		Name: "several_loss_is_noticed", Needs: severalUnderLeases, Slow: true, Func: severalLossIsNoticed,
		Why: "an import whose lock of one product is gone commits a hundred quantities under somebody else's",
	},
	{
		Name: "several_wait_for_nothing", Needs: severalBesideOthers, Func: severalWaitForNothing,
		Why: "an import that waits for one product in demand keeps the buyers of a hundred others waiting",
	},
}

// several: the strategy executes many changes in one transaction. Those that collect the changes of many callers do not.
func several(h *Harness) bool {
	return h.Traits.Excludes && !h.Traits.Detached && h.Strategy != lockprovider.GroupCommit
}

// severalBesideOthers: SQLite has one writer at a time, which a transaction waits for before it holds anything. Locks in Redis
// are held before.
func severalBesideOthers(h *Harness) bool {
	return several(h) && (h.Traits.Leases || !h.Env.oneWriter())
}

func severalUnderLeases(h *Harness) bool { return several(h) && h.Traits.Leases }

// executeSeveral executes changes in one transaction, or returns an error.
func (i *Instance) executeSeveral(ctx context.Context, changes ...lockprovider.Change) error {
	return i.Provider.(lockprovider.Several).ExecuteSeveral(ctx, changes)
}

// openSorted creates balances, and returns them in the order in which they are locked.
func (h *Harness) openSorted(t testing.TB, n int) []string {
	t.Helper()
	balances := make([]string, n)
	for i := range balances {
		balances[i] = h.open(t, 10, 0, unlimited)
	}
	slices.Sort(balances)
	return balances
}

// eachOnce is one change of each balance.
func (h *Harness) eachOnce(balances []string, delta int64) []lockprovider.Change {
	changes := make([]lockprovider.Change, len(balances))
	for i, balance := range balances {
		changes[i] = h.change(move(balance, delta))
	}
	return changes
}

func severalWaitForNothing(t testing.TB, h *Harness) {
	balances := h.openSorted(t, 3)
	held := h.change(move(balances[2], -1))
	stopped := h.Env.stopAtRecord(t, held)
	holder := h.start(t).beginUntil(t.Context(), t, held, stopped.reached, "its record")

	changes, told := h.eachOnce(balances, -2), make(chan error, 1)
	instance := h.start(t, waiting(2*patience))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		told <- instance.executeSeveral(t.Context(), changes...)
	}()
	await(t, ended, "several changes to give up, since somebody holds one of their balances")
	if err := <-told; err == nil {
		t.Error("several changes were executed beside the holder of one of their balances")
	}
	for _, c := range changes {
		h.checkApplied(t, c, 0)
	}
	if !h.Env.oneWriter() { // nobody is kept from the others
		h.start(t).mustExecute(t, h.change(move(balances[0], -3)))
		instance.mustExecute(t, changes[1])
	}
	stopped.release()
	holder.mustEnd(t)
	for _, c := range changes {
		instance.mustExecute(t, c)
		h.checkApplied(t, c, 1)
	}
	h.checkAmount(t, balances[2], 7)
}

// oneByOne executes changes as the callers of ExecuteSeveral do when it has failed, and checks that each of them is applied once.
func (h *Harness) oneByOne(t testing.TB, instance *Instance, changes ...lockprovider.Change) {
	t.Helper()
	for _, c := range changes {
		instance.mustExecute(t, c)
		h.checkApplied(t, c, len(c.Moves))
	}
}

func (h *Harness) checkAmounts(t testing.TB, balances []string, want int64) {
	t.Helper()
	for _, balance := range balances {
		h.checkAmount(t, balance, want)
	}
}

func severalTogether(t testing.TB, h *Harness) {
	balances := h.openSorted(t, 4)
	changes := h.eachOnce(balances, -2)
	changes = append(changes, h.change(move(balances[0], -3), move(balances[3], +3))) // after those before it
	transactions := map[*ent.Tx]int{}
	for _, c := range changes {
		h.Env.onRecord(t, c, func(_ context.Context, tx *ent.Tx) error {
			transactions[tx]++
			return nil
		})
	}
	instance := h.start(t)
	if err := instance.executeSeveral(t.Context(), changes...); err != nil {
		t.Fatalf("several changes: %v", err)
	}
	if len(transactions) != 1 {
		t.Errorf("%d changes were written in %d transactions, want one", len(changes), len(transactions))
	}
	counted, alone, together := instance.counter(t, "holdfast_changes_total"), instance.observations(t, "holdfast_change_seconds"),
		instance.observations(t, "holdfast_changes_together_seconds")
	if counted != len(changes) || alone != 0 || together != 1 {
		t.Errorf("%d changes are counted, with the times of %d changes and of %d transactions, want %d, 0 and 1",
			counted, alone, together, len(changes))
	}
	h.checkAmount(t, balances[0], 5)
	h.checkAmounts(t, balances[1:3], 8)
	h.checkAmount(t, balances[3], 11)
	for i, c := range changes {
		receipt := instance.mustExecute(t, c)
		if want := h.amountsAfter(balances, i); !receipt.Replayed || !maps.Equal(receipt.Balances, want) {
			t.Errorf("repeat of change %d: %+v, want the amounts %v", i, receipt, want)
		}
		h.checkApplied(t, c, len(c.Moves))
	}
}

// amountsAfter are the amounts of severalTogether after its change of that number.
func (h *Harness) amountsAfter(balances []string, change int) map[string]int64 {
	if change == len(balances) {
		return map[string]int64{balances[0]: 5, balances[3]: 11}
	}
	return map[string]int64{balances[change]: 8}
}

func severalAllOrNone(t testing.TB, h *Harness) {
	balances := h.openSorted(t, 3)
	instance := h.start(t)
	changes := h.eachOnce(balances, -2)
	changes[2].Moves[0].Delta = -11 // there are 10
	if err := instance.executeSeveral(t.Context(), changes...); !errors.Is(err, lockprovider.ErrInsufficient) {
		t.Errorf("the last change does not fit: error %v, want ErrInsufficient", err)
	}
	for _, c := range changes {
		h.checkApplied(t, c, 0)
	}
	h.checkAmounts(t, balances, 10)

	used := changes[1]
	instance.mustExecute(t, used)
	again := h.eachOnce(balances, -2)
	again[1] = used
	if err := instance.executeSeveral(t.Context(), again...); err == nil {
		t.Error("several changes were executed, one of which was applied before")
	}
	h.checkApplied(t, again[0], 0)
	h.checkApplied(t, again[2], 0)
	h.oneByOne(t, instance, again...)
	h.checkAmounts(t, balances, 8)
}

// severalUnanswered loses the answer to a commit, once after the database has committed and once before.
func severalUnanswered(t testing.TB, h *Harness) {
	for _, committed := range []bool{true, false} {
		balances := h.openSorted(t, 3)
		changes := h.eachOnce(balances, -2)
		var lost atomic.Bool
		h.Env.onRecord(t, changes[0], func(_ context.Context, tx *ent.Tx) error {
			tx.OnCommit(func(next ent.Committer) ent.Committer {
				return ent.CommitFunc(func(ctx context.Context, tx *ent.Tx) error {
					switch {
					case !lost.CompareAndSwap(false, true):
						return next.Commit(ctx, tx)
					case committed:
						return errors.Join(io.ErrUnexpectedEOF, next.Commit(ctx, tx))
					}
					return errors.Join(io.ErrUnexpectedEOF, tx.Rollback())
				})
			})
			return nil
		})
		instance := h.start(t)
		if err := instance.executeSeveral(t.Context(), changes...); !errors.Is(err, lockprovider.ErrUnknown) {
			t.Errorf("error %v, want ErrUnknown", err)
		}
		applied := 0
		if committed {
			applied = 1
		}
		for _, c := range changes {
			h.checkApplied(t, c, applied)
		}
		h.oneByOne(t, instance, changes...)
		h.checkAmounts(t, balances, 8)
	}
}

// severalLossIsNoticed takes one of the locks away while all changes are written, and gives it to somebody else.
func severalLossIsNoticed(t testing.TB, h *Harness) {
	balances := h.openSorted(t, 3)
	nodes := h.redisNodes(t)
	victim := h.start(t, lease(h.shortLease()))
	changes := h.eachOnce(balances, -2)
	inside, noticed, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var entered atomic.Bool
	h.Env.onRecord(t, changes[0], func(ctx context.Context, _ *ent.Tx) error {
		if !entered.CompareAndSwap(false, true) {
			return nil // alone, afterwards
		}
		close(inside)
		<-ctx.Done() // patience is the test's, which waits for noticed
		if !errors.Is(context.Cause(ctx), lockprovider.ErrLockLost) {
			t.Errorf("the held context ended with %v, want ErrLockLost", context.Cause(ctx))
		}
		close(noticed)
		return nil // and works on, as if it had not noticed
	})
	told := make(chan error, 1)
	go func() {
		defer close(ended)
		told <- victim.executeSeveral(t.Context(), changes...)
	}()
	await(t, inside, "several changes to be written")
	steal(t, nodes, balances[1])
	next := h.start(t, waiting(patience)).begin(t.Context(), h.change(move(balances[1], -3)))
	await(t, noticed, "the victim to notice")
	await(t, ended, "several changes to give up")
	if err := <-told; !errors.Is(err, lockprovider.ErrLockLost) {
		t.Errorf("error %v, want ErrLockLost", err)
	}
	if n := victim.counter(t, "holdfast_lock_lost_total"); n != 1 {
		t.Errorf("%d leases counted as lost, want 1", n)
	}
	for _, c := range changes {
		h.checkApplied(t, c, 0)
	}
	next.mustEnd(t)
	h.oneByOne(t, h.start(t), changes...)
	h.checkAmount(t, balances[0], 8)
	h.checkAmount(t, balances[1], 5)
	h.checkAmount(t, balances[2], 8)
	for _, balance := range balances {
		h.checkConsistent(t, balance)
	}
}

func severalInOppositeOrder(t testing.TB, h *Harness) {
	balances := h.openSorted(t, 4)
	backwards := slices.Clone(balances)
	slices.Reverse(backwards)
	instances, orders := []*Instance{h.start(t), h.start(t)}, [][]string{balances, backwards}
	rounds := h.size(8, 3)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range rounds {
			var running sync.WaitGroup
			for i, instance := range instances {
				running.Go(func() {
					changes := h.eachOnce(orders[i], -1+2*int64(i)) // one takes what the other gives
					if instance.executeSeveral(t.Context(), changes...) == nil {
						return
					}
					for _, c := range changes {
						if _, err := persist(t.Context(), instance, c); err != nil {
							t.Errorf("change %s: %v", c.ID, err)
						}
					}
				})
			}
			running.Wait()
		}
	}()
	await(t, ended, "several changes of the same balances, in opposite order")
	h.checkAmounts(t, balances, 10)
	for _, balance := range balances {
		entries, err := h.Env.Client.Entry.Query().Where(entry.Balance(balance)).Count(t.Context())
		if err != nil || entries != 2*rounds {
			t.Errorf("%s: %d entries, error %v, want %d", balance, entries, err, 2*rounds)
		}
		h.checkConsistent(t, balance)
	}
}
