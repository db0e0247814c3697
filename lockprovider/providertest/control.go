package providertest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"holdfast/ent/balance"
	"holdfast/ent/changelog"
	"holdfast/ent/entry"
	"holdfast/lockprovider"
	"holdfast/lockprovider/ledger"
)

// catchRounds bounds how often the control is given the chance to lose an update.
const catchRounds = 20

// Catch fails the test unless the control is caught at losing updates: by the audit, by more winners than units, or by
// the database's referee. It proves that the suite would see a strategy that does not keep others out.
func Catch(t testing.TB, h *Harness) {
	const units, racers = 40, 64
	instances := []*Instance{h.start(t), h.start(t)}
	for round := range catchRounds {
		key := h.open(t, units, 0, unlimited)
		outcomes := make([]outcome, racers)
		start := make(chan struct{})
		var all sync.WaitGroup
		for r := range outcomes {
			o := &outcomes[r]
			o.change = h.change(move(key, -1))
			all.Go(func() {
				<-start
				o.receipt, o.err = instances[r%2].Execute(t.Context(), o.change)
			})
		}
		close(start)
		all.Wait()
		winners, broken := 0, 0
		for _, o := range outcomes {
			switch {
			case o.err == nil:
				winners++
			case errors.Is(o.err, lockprovider.ErrBroken):
				broken++
			}
		}
		amount, problems := h.amount(t, key), violationsOf(t, h, key)
		h.forget(t, key) // the audit of the environment is about the others
		if winners > units || broken > 0 || len(problems) > 0 {
			t.Logf("caught in round %d: %d winners for %d units, %d left, %d refused by the database, audit: %v",
				round+1, winners, units, amount, broken, problems)
			return
		}
	}
	t.Errorf("%s was not caught in %d rounds of %d racers", h.Strategy, catchRounds, racers)
}

func violationsOf(t testing.TB, h *Harness, key string) []ledger.Violation {
	t.Helper()
	all, err := ledger.Audit(t.Context(), h.Env.Client)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(v ledger.Violation) bool { return v.Balance != key })
}

// forget removes a balance and its history.
func (h *Harness) forget(t testing.TB, key string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	entries, err := h.Env.Client.Entry.Query().Where(entry.Balance(key)).All(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for chunk := range slices.Chunk(entries, 100) {
		for _, e := range chunk {
			if _, err := h.Env.Client.ChangeLog.Delete().Where(changelog.ChangeID(e.ChangeID)).Exec(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := h.Env.Client.Entry.Delete().Where(entry.Balance(key)).Exec(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Env.Client.Balance.Delete().Where(balance.ID(key)).Exec(ctx); err != nil {
		t.Fatal(err)
	}
}
