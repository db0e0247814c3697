package providertest

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"holdfast/lockprovider"
	"holdfast/lockprovider/redisfirst"
)

// Who is answered before the database has the change is told so, and finds it there soon.
var acceptScenarios = []Scenario{
	{
		Name: "accepted_then_persisted", Needs: accepts, Func: acceptedThenPersisted,
		Why: "a buyer waits for the database all the same, or is told of a commit that there was not yet",
	},
	{
		Name: "accepted_and_taken_back", Needs: accepts, Func: acceptedAndTakenBack,
		Why: "an order that the database refused keeps its stock for good",
	},
	{
		Name: "confirm_waits", Needs: accepts, Func: confirmWaits,
		Why: "a payment is taken for an order that may still be refused",
	},
}

// accepts: the answer comes before the commit, so that there is something in between to look at.
func accepts(h *Harness) bool { return h.Traits.Accepts }

// state is how far a change has come that a receipt tells of for the first time, or again: a repeat waits for the commit.
func (h *Harness) state(r lockprovider.Receipt) lockprovider.State {
	if h.Traits.Accepts && !r.Replayed {
		return lockprovider.Accepted
	}
	return lockprovider.Committed
}

// settle waits until the database has said yes or no to everything that Redis has admitted, where an answer comes before
// that: from then on it can be asked.
func (h *Harness) settle(t testing.TB) {
	t.Helper()
	if !h.Traits.Accepts {
		return
	}
	if h.stream == nil {
		h.stream = h.streamOf(h.redisNodes(t)[0])
		t.Cleanup(func() { h.stream = nil }) // its connection ends with the test
	}
	h.drained(t, h.stream)
}

// streamOf is what a Redis has admitted of the harness's family.
func (h *Harness) streamOf(node redis.UniversalClient) *redisfirst.Store {
	return redisfirst.NewStore(node, h.Family, 0, "observer", redisfirst.StoreSettings{})
}

func (h *Harness) drained(t testing.TB, stream *redisfirst.Store) {
	t.Helper()
	eventually(t, "the stream to be persisted", func() bool {
		backlog, err := stream.Backlog(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return backlog == 0
	})
}

func acceptedThenPersisted(t testing.TB, h *Harness) {
	balance := h.open(t, 10, 0, unlimited)
	instance := h.start(t)
	c := h.change(move(balance, -1))
	c.Record.Fingerprint = "the-request"
	stopped := h.Env.stopAtRecord(t, c)
	first, err := instance.Execute(t.Context(), c) // comes back although the commit cannot
	if err != nil || first.State != lockprovider.Accepted || first.Replayed || first.Balances[balance] != 9 {
		t.Fatalf("receipt %+v, error %v, want accepted", first, err)
	}
	await(t, stopped.reached, "the persister")
	if logs, entries, err := h.footprint(t.Context(), c); err != nil || logs != 0 || entries != 0 {
		t.Errorf("before the commit: %d log rows, %d entries, %v", logs, entries, err)
	}
	repeat := c
	repeat.Record.Payload = json.RawMessage(`{"price":2}`) // of the moment: the first answer stands
	again := instance.begin(t.Context(), repeat)
	next := h.change(move(balance, -2)) // the next one is not held up
	if receipt, err := instance.Execute(t.Context(), next); err != nil || receipt.Balances[balance] != 7 {
		t.Errorf("the next one: receipt %+v, error %v", receipt, err)
	}
	if again.ended() {
		t.Error("a repeat was told of a commit that there was not yet")
	}
	stopped.release()
	checkReplay(t, again.mustEnd(t), first)
	h.checkApplied(t, c, 1)
	h.checkApplied(t, next, 1)
	h.checkAmount(t, balance, 7)
	h.checkConsistent(t, balance)
}

func acceptedAndTakenBack(t testing.TB, h *Harness) {
	balance := h.open(t, 1, 0, unlimited)
	instance := h.start(t)
	instance.mustExecute(t, h.change(move(balance, -1)))
	instance.mustExecute(t, h.change(move(balance, +1)))
	h.settle(t)

	// Somebody sells the last unit behind the back of Redis.
	behind := Variant{Strategy: lockprovider.AtomicSQL}
	other := &Harness{Env: h.Env, Variant: behind, Family: h.Family, Traits: TraitsOf(behind)}
	other.start(t).mustExecute(t, h.change(move(balance, -1)))
	c := h.change(move(balance, -1))
	if receipt, err := instance.Execute(t.Context(), c); err != nil || receipt.State != lockprovider.Accepted {
		t.Fatalf("receipt %+v, error %v, want accepted", receipt, err)
	}
	h.checkApplied(t, c, 0)
	_, err := instance.begin(t.Context(), c).end(t)
	if refused := new(lockprovider.Refused); !errors.As(err, &refused) || !errors.Is(err, lockprovider.ErrInsufficient) || !refused.Final {
		t.Errorf("repeat: error %v, want a final one that is ErrInsufficient", err)
	}
	levels, err := h.stream.Levels(t.Context(), []string{balance})
	if err != nil || levels[balance].Amount != 1 { // given back; that it is one too many is the reconciliation's business
		t.Errorf("Redis has %+v, %v", levels, err)
	}
	h.checkAmount(t, balance, 0)
	h.checkConsistent(t, balance)
}

func confirmWaits(t testing.TB, h *Harness) {
	balance := h.open(t, 10, 0, unlimited)
	instance := h.start(t)
	c := h.change(move(balance, -1))
	c.Confirm = true
	stopped := h.Env.stopAtRecord(t, c)
	running := instance.begin(t.Context(), c)
	await(t, stopped.reached, "the persister")
	if running.ended() {
		t.Error("it was answered before the commit")
	}
	stopped.release()
	if receipt := running.mustEnd(t); receipt.State != lockprovider.Committed {
		t.Errorf("receipt %+v, want committed", receipt)
	}
	if logs, _, err := h.footprint(t.Context(), c); err != nil || logs != 1 { // without waiting for it
		t.Errorf("%d log rows, %v", logs, err)
	}

	// What the database does not confirm in time has no answer, instead of one that the next step would build on.
	late := h.change(move(balance, -1))
	late.Confirm = true
	stopped = h.Env.stopAtRecord(t, late)
	impatient := h.start(t, func(s *lockprovider.Settings) { s.Pipeline.PersistWait = 100 * time.Millisecond })
	if receipt, err := impatient.begin(t.Context(), late).end(t); !errors.Is(err, lockprovider.ErrUnavailable) {
		t.Errorf("receipt %+v, error %v, want ErrUnavailable", receipt, err)
	}
	stopped.release()
	h.checkApplied(t, late, 1)
}
