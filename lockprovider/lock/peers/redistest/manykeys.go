package redistest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"holdfast/lockprovider/lock"
)

var keyScenarios = []Scenario{
	{
		Name: "keys_in_opposite_orders", Proves: SeveralKey, Func: oppositeOrders, Busy: true,
		Why: "two callers who name the same keys in another order wait for each other for ever",
	},
	{
		Name: "duplicate_keys", Proves: SeveralKey, Func: duplicateKeys,
		Why: "a caller waits for itself",
	},
	{
		Name: "all_keys_or_none", Proves: SeveralKey, Func: allOrNone,
		Why: "who could not have all keys keeps some of them",
	},
	{
		Name: "several_keys_exclude_each", Proves: SeveralKey, Func: severalExcludeEach,
		Why: "of several keys one is not locked",
	},
	{
		Name: "first_key_is_kept_while_waiting", Proves: SeveralKey, Func: firstKeyIsKept,
		Why: "a wait that is longer than a lease loses the first keys every time",
	},
	{
		Name: "lost_key_of_several", Proves: SeveralKey, Func: lostKeyOfSeveral,
		Why: "a holder works on though one of its keys is gone",
	},
	{
		Name: "nested", Proves: SeveralKey, Func: nested,
		Why: "a caller who asks for a key that it holds already waits for itself",
	},
	{
		Name: "chain_of_keys", Proves: SeveralKey, Func: chainOfKeys,
		Why: "one slow holder keeps callers waiting who want other keys",
	},
	{
		Name: "nothing_left_of_many_keys", Proves: Tidy, Func: nothingLeft, Busy: true,
		Why: "a process or a Redis that serves many keys grows until it dies",
	},
}

func nested(t testing.TB, h *Harness) {
	i := h.open(t)
	outer := i.mustLock(t, "a", "b")
	w := i.begin(outer.held, "b", "c").end(t)
	if !errors.Is(w.err, lock.ErrNested) {
		t.Errorf("Lock of a key that is held got %v, want ErrNestedLock", w.err)
	}
	inner := i.begin(outer.held, "c").mustEnd(t) // another key may be locked
	if w := i.begin(inner.held, "a").end(t); !errors.Is(w.err, lock.ErrNested) {
		t.Errorf("Lock of a key that is held further out got %v, want ErrNestedLock", w.err)
	}
	mustUnlock(t, inner)

	// Others want what it holds and what it will want. It goes first, since it has something already.
	other := h.open(t).begin(t.Context(), "a", "d")
	here := i.begin(t.Context(), "a", "e")
	inner = i.begin(outer.held, "c", "d", "e").mustEnd(t)
	mustUnlock(t, inner)
	mustUnlock(t, outer)
	next, last := other, here
	select {
	case <-other.done:
	case <-here.done:
		next, last = here, other
	}
	mustUnlock(t, next.mustEnd(t))
	mustUnlock(t, last.mustEnd(t))
	h.checkFree(t, "a", "b", "c", "d", "e")
}

// A caller who waits for one key does not keep others from keys that nobody has.
func chainOfKeys(t testing.TB, h *Harness) {
	i := h.open(t)
	first := i.mustLock(t, "a", "b")
	second := i.begin(t.Context(), "b", "c")
	third := i.begin(t.Context(), "c", "d").mustEnd(t)
	mustUnlock(t, third)
	mustUnlock(t, first)
	mustUnlock(t, second.mustEnd(t))
	h.checkFree(t, "a", "b", "c", "d")
}

func oppositeOrders(t testing.TB, h *Harness) {
	keys := []string{"a", "b", "c", "d"}
	one, other := h.open(t), h.open(t) // a deadlock would take a lease
	all(8, func(n int) {
		i := one
		if n%2 == 1 {
			i = other
		}
		for round := range h.rounds(40, 400) {
			mine := slices.Clone(keys)
			if n%2 == 1 {
				slices.Reverse(mine)
			}
			mine = append(mine[(round+n)%len(mine):], mine[:(round+n)%len(mine)]...)[:3]
			_, lease, err := i.Lock(t.Context(), mine)
			if err != nil {
				t.Errorf("%v: %v", mine, err)
				return
			}
			if err := lease.Unlock(t.Context()); err != nil {
				t.Errorf("unlock %v: %v", mine, err)
			}
		}
	})
	h.checkFree(t, keys...)
}

func duplicateKeys(t testing.TB, h *Harness) {
	i := h.open(t, wait(h.soon))
	began := time.Now()
	o := i.begin(t.Context(), "b", "a", "b", "a").end(t)
	if o.err != nil {
		t.Fatalf("after %v: %v", time.Since(began), o.err)
	}
	h.checkTaken(t, "a")
	h.checkTaken(t, "b")
	mustUnlock(t, o)
	h.checkFree(t, "a", "b")
}

func allOrNone(t testing.TB, h *Harness) {
	for _, taken := range []string{"a", "b", "c"} {
		holder := h.open(t).mustLock(t, taken)
		before := h.snapshot(t)
		for _, bound := range []time.Duration{0, 200 * time.Millisecond} {
			o := h.open(t, wait(bound)).begin(t.Context(), "c", "b", "a").end(t)
			if !errors.Is(o.err, lock.ErrTimeout) {
				t.Errorf("%s is taken: %v, want ErrLockTimeout", taken, o.err)
			}
			h.checkNoResidue(t, before)
			for _, k := range []string{"a", "b", "c"} {
				if k != taken {
					h.checkFree(t, k)
				}
			}
		}
		mustUnlock(t, holder)
	}
	h.checkFree(t, "a", "b", "c")
}

func severalExcludeEach(t testing.TB, h *Harness) {
	keys := []string{"a", "b", "c", "{tag}d", "{tag}e"}
	o := h.open(t).mustLock(t, keys...)
	for _, k := range keys {
		h.checkTaken(t, k)
		if token := fence(t, o.lease, k); h.Traits.Fences != (token > 0) {
			t.Errorf("token of %s: %d", k, token)
		}
	}
	waiters := make([]*waiter, 0, len(keys))
	for _, k := range keys {
		waiters = append(waiters, h.open(t).inLine(t, k))
	}
	mustUnlock(t, o)
	for _, w := range waiters {
		mustUnlock(t, w.mustEnd(t))
	}
	h.checkFree(t, keys...)
}

func firstKeyIsKept(t testing.TB, h *Harness) {
	holder := h.open(t).mustLock(t, "b")
	i := h.open(t, lease(h.shortLease))
	w := i.begin(t.Context(), "a", "b")
	_ = lock.Pause(t.Context(), 2*h.shortLease) // more than the lease of the first key, which it may have
	mustUnlock(t, holder)
	o := w.mustEnd(t)
	if o.held.Err() != nil {
		t.Errorf("held: %v", context.Cause(o.held))
	}
	h.checkTaken(t, "a")
	h.checkTaken(t, "b")
	mustUnlock(t, o)
	h.checkFree(t, "a", "b")
}

// lostKeyOfSeveral deletes what Redis keeps of one key, whatever it is called.
func lostKeyOfSeveral(t testing.TB, h *Harness) {
	o := h.open(t, lease(h.shortLease)).mustLock(t, "left", "right")
	deleted := 0
	for _, k := range h.keys(t) {
		if strings.Contains(k, "right") {
			deleted++
			if err := h.spy.Del(t.Context(), k).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if deleted == 0 {
		t.Fatalf("none of %v is the lock", h.keys(t))
	}
	checkLost(t, o.held)
	if err := o.lease.Unlock(t.Context()); !errors.Is(err, lock.ErrLost) {
		t.Errorf("unlock = %v, want ErrLockLost", err)
	}
	h.checkFree(t, "left", "right")
}

// nothingLeft has a process of its own lock and release many keys: there, all goroutines are the locker's.
func nothingLeft(t testing.TB, h *Harness) {
	keys := 10_000
	if !h.Env.Real {
		keys = 1000 // the embedded Redis is slow, and what is counted here is the same
	}
	p := h.spawn(t)
	_, answer := p.tell(t, order{Do: "churn", N: 1})
	if w := answered(t, answer, "churn"); w.Err != "" {
		t.Fatal(w.Err)
	}
	channels := h.subscriptions(t)
	before := h.snapshot(t)
	_, answer = p.tell(t, order{Do: "churn", N: keys})
	w := answered(t, answer, "churn")
	if w.Err != "" {
		t.Fatal(w.Err)
	}
	if w.Leak != "" {
		t.Errorf("left in the process: %s", w.Leak)
	}
	if now := h.subscriptions(t); now != channels {
		t.Errorf("%d subscriptions after %d keys, %d before", now, keys, channels)
	}
	h.checkNoResidue(t, before)
}

// subscriptions counts channels and patterns, and connections where Redis tells.
func (h *Harness) subscriptions(t testing.TB) int64 {
	t.Helper()
	channels, err := h.spy.PubSubChannels(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	patterns, err := h.spy.PubSubNumPat(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	return int64(len(channels)) + patterns
}

// infoNumber reads one number of INFO.
func infoNumber(ctx context.Context, r redis.UniversalClient, section, field string) (int64, error) {
	text, err := r.Info(ctx, section).Result()
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		}
	}
	return 0, fmt.Errorf("INFO %s has no %s", section, field)
}
