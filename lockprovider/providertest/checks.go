package providertest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"holdfast/ent/changelog"
	"holdfast/ent/entry"
	"holdfast/lockprovider"
	"holdfast/lockprovider/ledger"
)

// amount reads a balance from the database.
func (h *Harness) amount(t testing.TB, balance string) int64 {
	t.Helper()
	h.settle(t)
	amounts, err := h.Env.ledger.Amounts(t.Context(), []string{balance})
	if err != nil {
		t.Fatal(err)
	}
	amount, ok := amounts[balance]
	if !ok {
		t.Fatalf("balance %s does not exist", balance)
	}
	return amount
}

func (h *Harness) checkAmount(t testing.TB, balance string, want int64) {
	t.Helper()
	if got := h.amount(t, balance); got != want {
		t.Errorf("%s = %d, want %d", balance, got, want)
	}
}

// footprint counts what the database knows of a change.
func (h *Harness) footprint(ctx context.Context, c lockprovider.Change) (logs, entries int, err error) {
	logs, err = h.Env.Client.ChangeLog.Query().Where(changelog.ChangeID(c.ID), changelog.KindNEQ(ledger.KindRefused)).Count(ctx)
	if err != nil {
		return 0, 0, err
	}
	entries, err = h.Env.Client.Entry.Query().Where(entry.ChangeID(c.ID)).Count(ctx)
	return logs, entries, err
}

// checkApplied: a change is in the database once, with an entry for each of so many moves; with 0, not at all.
func (h *Harness) checkApplied(t testing.TB, c lockprovider.Change, moves int) {
	t.Helper()
	h.settle(t)
	logs, entries, err := h.footprint(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if want := min(1, moves); logs != want || entries != moves {
		t.Errorf("change %s: %d log rows and %d entries, want %d and %d", c.ID, logs, entries, want, moves)
	}
}

// checkConsistent: journal and amount of one balance agree. [Run] audits all of them in the end.
func (h *Harness) checkConsistent(t testing.TB, key string) {
	t.Helper()
	h.settle(t)
	row, err := h.Env.Client.Balance.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := h.Env.Client.Entry.Query().Where(entry.Balance(key)).All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	amount := row.Opening
	for _, e := range entries {
		amount += e.Delta
	}
	if row.Amount != amount || row.Applied != int64(len(entries)) {
		t.Errorf("%s is %d after %d moves, but its %d entries make %d", key, row.Amount, row.Applied, len(entries), amount)
	}
}

// redisNodes are connections of the observer's own, without the instance's hooks.
func (h *Harness) redisNodes(t testing.TB) []redis.UniversalClient {
	t.Helper()
	nodes := h.Env.Redis(t)
	t.Cleanup(func() {
		for _, node := range nodes {
			_ = node.Close()
		}
	})
	return nodes
}

// lockKeys are the keys in Redis that guard a balance, or all locks where the balance is "".
func lockKeys(ctx context.Context, node redis.UniversalClient, balance string) ([]string, error) {
	pattern := "*lock:*"
	if balance != "" {
		pattern += idOf(balance) + "*"
	}
	return node.Keys(ctx, pattern).Result()
}

// lockHeld is a function that tells whether somebody holds the lock of a balance, according to any node.
func lockHeld(t testing.TB, nodes []redis.UniversalClient, balance string) func() bool {
	return func() bool {
		for _, node := range nodes {
			keys, err := lockKeys(t.Context(), node, balance)
			if err != nil {
				t.Error(err) // not Fatal: it may be asked by another goroutine
			}
			if len(keys) > 0 {
				return true
			}
		}
		return false
	}
}

// steal deletes the lock of a balance from every node, as an operator or a failover would.
func steal(t testing.TB, nodes []redis.UniversalClient, balance string) []string {
	t.Helper()
	var stolen []string
	for _, node := range nodes {
		keys, err := lockKeys(t.Context(), node, balance)
		if err != nil {
			t.Fatal(err)
		}
		if len(keys) == 0 {
			t.Fatalf("no lock of %s to steal", balance)
		}
		if err := node.Del(t.Context(), keys...).Err(); err != nil {
			t.Fatal(err)
		}
		stolen = keys
	}
	return stolen
}

// checkNoLockLeft: once everybody is done, no lock is left in Redis. It leaves nothing at all there.
func (h *Harness) checkNoLockLeft(t testing.TB) {
	t.Helper()
	if !h.Traits.NeedsRedis {
		return
	}
	ctx := context.WithoutCancel(t.Context()) // the test has ended
	for _, node := range h.redisNodes(t) {
		keys, err := lockKeys(ctx, node, "")
		if err != nil {
			t.Error(err)
		}
		for _, key := range keys {
			// Of a Pub/Sub lock that nobody holds or waits for, what it has to remember may be left.
			lock, err := node.HGetAll(ctx, key).Result()
			if err != nil || lock["o"] != "" || lock["e"] != "" {
				t.Errorf("lock left in Redis: %s %v", key, lock)
			}
		}
		if err := node.FlushDB(ctx).Err(); err != nil { // each scenario begins with an empty Redis
			t.Error(err)
		}
	}
}

// await waits for an event.
func await(t testing.TB, event <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-event:
	case <-time.After(patience):
		t.Fatalf("waited %v for %s", patience, what)
	}
}

// eventually looks until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for deadline := time.Now().Add(patience); ; <-ticker.C {
		if holds() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// checkRetryable: a change that others were in the way of says so.
func checkRetryable(t testing.TB, err error) {
	t.Helper()
	if err != nil && !lockprovider.Retryable(err) {
		t.Errorf("error %v does not tell the caller to try again", err)
	}
}

// refusedOf is the refusal in an error.
func refusedOf(t testing.TB, err error) *lockprovider.Refused {
	t.Helper()
	refused := new(lockprovider.Refused)
	if !errors.As(err, &refused) {
		t.Fatalf("error %v, want a refusal", err)
	}
	return refused
}
