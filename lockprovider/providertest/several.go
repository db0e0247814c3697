package providertest

import (
	"context"
	"slices"
	"testing"

	"holdfast/lockprovider"
)

// Many changes in one transaction are applied all or none, and nobody waits for them longer than for that transaction.
var severalScenarios = []Scenario{
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
