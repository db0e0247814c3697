package providertest

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"sync/atomic"
	"testing"

	"holdfast/ent"
	"holdfast/ent/changelog"
	"holdfast/lockprovider"
)

// A change happens at most once, however often it is sent.
var identityScenarios = []Scenario{
	{
		Name: "same_id_again", Func: sameIDAgain,
		Why: "a client that repeats after a lost answer orders twice, or is told something else the second time",
	},
	{
		Name: "same_id_at_once", Needs: excludes, Func: sameIDAtOnce,
		Why: "a double click orders twice",
	},
	{
		Name: "last_unit_again", Func: lastUnitAgain,
		Why: "the buyer of the last unit who asks again is told that it is sold out",
	},
	{
		Name: "id_of_another_request", Func: idOfAnotherRequest,
		Why: "a client that reuses an ID is told that its order exists, while it is a different one",
	},
	{
		Name: "id_of_long_ago", Func: idOfLongAgo,
		Why: "a client that repeats a request of last week orders twice, or is told that it was refused",
	},
	{
		Name: "id_of_a_refused_request", Func: idOfARefusedRequest,
		Why: "the end of an order was refused once, and then nobody can cancel the order any more",
	},
}

// checkReplay: the answer is the first one.
func checkReplay(t testing.TB, got, first lockprovider.Receipt) {
	t.Helper()
	if !got.Replayed || got.State != lockprovider.Committed {
		t.Errorf("the repeat is not marked as one, or not committed: %+v", got)
	}
	checkSameAnswer(t, got, first)
}

func checkSameAnswer(t testing.TB, got, first lockprovider.Receipt) {
	t.Helper()
	if !maps.Equal(got.Balances, first.Balances) || string(got.Payload) != string(first.Payload) ||
		got.ChangeID != first.ChangeID || got.Strategy != first.Strategy {
		t.Errorf("repeat answers %+v, first was %+v", got, first)
	}
	if got.State == lockprovider.Committed && (len(got.Positions) != len(got.Balances) ||
		first.State == lockprovider.Committed && !maps.Equal(got.Positions, first.Positions)) {
		t.Errorf("repeat answers with positions %v, first were %v", got.Positions, first.Positions)
	}
}

func sameIDAgain(t testing.TB, h *Harness) {
	from, to := h.open(t, 100, 0, unlimited), h.open(t, 0, 0, unlimited)
	instance := h.start(t)
	c := h.change(move(from, -30), move(to, +30))
	first := instance.mustExecute(t, c)
	if want := map[string]int64{from: 70, to: 30}; !maps.Equal(first.Balances, want) {
		t.Errorf("balances %v, want %v", first.Balances, want)
	}
	if first.Replayed || first.ChangeID != c.ID || first.State != h.state(first) ||
		first.Strategy != h.Strategy || first.Attempts != 1 || string(first.Payload) != string(c.Record.Payload) {
		t.Errorf("receipt %+v of change %s", first, c.ID)
	}

	instance.mustExecute(t, h.change(move(from, -1), move(to, +1))) // the amounts of today are not those of the replay
	checkReplay(t, instance.mustExecute(t, c), first)
	checkReplay(t, h.start(t).mustExecute(t, c), first) // after a restart, or at another instance
	c.Moves[0], c.Moves[1] = c.Moves[1], c.Moves[0]     // the same request, listed in another order
	checkReplay(t, instance.mustExecute(t, c), first)
	h.checkApplied(t, c, 2)
	h.checkAmount(t, from, 69)
	h.checkAmount(t, to, 31)
}

func sameIDAtOnce(t testing.TB, h *Harness) {
	balance := h.open(t, 1, 0, unlimited) // one unit: those that come second would also be refused
	c := h.change(move(balance, -1))
	outcomes := race(t, h.size(32, 6), func(int) lockprovider.Change { return c }, h.start(t), h.start(t))
	applied := 0
	for _, o := range outcomes {
		if o.err != nil {
			t.Errorf("repeat failed: %v", o.err)
			continue
		}
		if !o.receipt.Replayed {
			applied++
		}
		if want := h.state(o.receipt); o.receipt.State != want {
			t.Errorf("receipt %+v, want it %s", o.receipt, want)
		}
		checkSameAnswer(t, o.receipt, outcomes[0].receipt)
	}
	if applied != 1 {
		t.Errorf("%d racers say that they were the first", applied)
	}
	h.checkApplied(t, c, 1)
	h.checkAmount(t, balance, 0)
}

func lastUnitAgain(t testing.TB, h *Harness) {
	balance, full := h.open(t, 3, 0, unlimited), h.open(t, 4, 0, 5)
	instance := h.start(t)
	for _, c := range []lockprovider.Change{h.change(move(balance, -3)), h.change(move(full, +1))} {
		first := instance.mustExecute(t, c)
		checkReplay(t, instance.mustExecute(t, c), first)
		h.checkApplied(t, c, 1)
	}
}

func idOfAnotherRequest(t testing.TB, h *Harness) {
	balance := h.open(t, 10, 0, unlimited)
	instance := h.start(t)
	first := h.change(move(balance, -1))
	instance.mustExecute(t, first)

	others := map[string]func(*lockprovider.Change){
		"payload": func(c *lockprovider.Change) { c.Record.Payload = json.RawMessage(`{"other":true}`) },
		"delta":   func(c *lockprovider.Change) { c.Moves = []lockprovider.Move{move(balance, -2)} },
		"kind":    func(c *lockprovider.Change) { c.Record.Kind = "test.other" },
		"refused": func(c *lockprovider.Change) { c.Moves = []lockprovider.Move{move(balance, -100)} },
	}
	for _, name := range sortedKeys(others) {
		c := first
		others[name](&c)
		if _, err := instance.Execute(t.Context(), c); !errors.Is(err, lockprovider.ErrIDReused) {
			t.Errorf("another %s: error %v, want ErrIDReused", name, err)
		}
	}
	h.checkAmount(t, balance, 9)

	// The caller's own fingerprint tells what the same request is: the payload may hold a price of the moment.
	stamped := h.change(move(balance, -1))
	stamped.Record.Fingerprint = "the-request"
	receipt := instance.mustExecute(t, stamped)
	repriced := stamped
	repriced.Record.Payload = json.RawMessage(`{"price":2}`)
	checkReplay(t, instance.mustExecute(t, repriced), receipt)
	stamped.Record.Fingerprint = "another-request"
	if _, err := instance.Execute(t.Context(), stamped); !errors.Is(err, lockprovider.ErrIDReused) {
		t.Errorf("another fingerprint: error %v, want ErrIDReused", err)
	}
	h.checkAmount(t, balance, 8)
}

func idOfLongAgo(t testing.TB, h *Harness) {
	balance := h.open(t, 5, 0, unlimited)
	instance := h.start(t)
	c := h.change(move(balance, -3))
	instance.mustExecute(t, c)
	h.checkApplied(t, c, 1)
	h.forgetID(t, c)
	repeat := func(i *Instance, when string) {
		t.Helper()
		receipt, err := persist(t.Context(), i, c)
		if err == nil && receipt.State == lockprovider.Accepted { // Redis cannot know; the database does
			h.settle(t)
			receipt, err = persist(t.Context(), i, c)
		}
		if !errors.Is(err, lockprovider.ErrIDExpired) || lockprovider.EffectOf(err) != lockprovider.EffectApplied {
			t.Errorf("%s: receipt %+v, error %v, want ErrIDExpired", when, receipt, err)
		}
	}
	repeat(instance, "while it would be refused")
	instance.mustExecute(t, h.change(move(balance, +10)))
	repeat(instance, "while it would fit")
	repeat(h.start(t), "at another instance")
	h.settle(t)
	if logs, entries, err := h.footprint(t.Context(), c); err != nil || logs != 0 || entries != 1 {
		t.Errorf("%d log rows, %d entries, %v", logs, entries, err)
	}
	h.checkAmount(t, balance, 12)
	h.checkConsistent(t, balance)
}

// forgetID removes what knows the ID of a change, but for the journal, as time does.
func (h *Harness) forgetID(t testing.TB, c lockprovider.Change) {
	t.Helper()
	if _, err := h.Env.Client.ChangeLog.Delete().Where(changelog.ChangeID(c.ID)).Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !h.Traits.NeedsRedis {
		return
	}
	for _, node := range h.redisNodes(t) {
		keys, err := node.Keys(t.Context(), "*"+c.ID.String()).Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			if err := node.Del(t.Context(), key).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func idOfARefusedRequest(t testing.TB, h *Harness) {
	balance := h.open(t, 10, 0, unlimited)
	first := h.change(move(balance, -1))
	var repaired atomic.Bool
	h.Env.onRecord(t, first, func(context.Context, *ent.Tx) error {
		if repaired.Load() {
			return nil
		}
		return errors.New("refused")
	})
	if receipt, err := persist(t.Context(), h.start(t), first); err == nil && !h.Traits.Accepts {
		t.Errorf("receipt %+v, want a refusal", receipt)
	}
	h.checkApplied(t, first, 0)

	repaired.Store(true)
	other := h.change(move(balance, -2))
	other.ID = first.ID
	h.start(t).mustExecute(t, other)
	h.checkApplied(t, other, 1)
	h.checkAmount(t, balance, 8)
}
