package providertest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"holdfast/ent"
	"holdfast/lockprovider"
)

// A lease that is lost writes nothing; one that is needed is kept.
var leaseScenarios = []Scenario{
	{
		Name: "stolen_before_the_write", Needs: leasesAboveRows, Func: stolenBeforeTheWrite,
		Why: "a holder that was overtaken writes what it computed from an old amount: an update is lost",
	},
	{
		Name: "stolen_while_writing", Needs: leases, Func: stolenWhileWriting,
		Why: "two holders at once: an update is lost",
	},
	{
		Name: "loss_is_noticed", Needs: leases, Slow: true, Func: lossIsNoticed,
		Why: "a holder whose lock is gone works on, and commits under somebody else's",
	},
	{
		Name: "cut_off", Needs: leases, Slow: true, Func: cutOff,
		Why: "a holder that Redis does not hear any more works on while the next one is in",
	},
	{
		Name: "paused_before_the_section", Needs: leases, Slow: true, Func: pausedBeforeTheSection,
		Why: "a process that was stopped right after it got the lock goes on as if it still had it",
	},
	{
		Name: "foreign_lock_is_left_alone", Needs: leases, Slow: true, Func: foreignLockIsLeftAlone,
		Why: "a late holder frees or prolongs the lock of the next one",
	},
	{
		Name: "renewal", Needs: leases, Slow: true, Func: renewal,
		Why: "work that takes longer than a lease is overtaken and thrown away",
	},
}

// shortLease is for those that must see a lease end or be renewed, on an idle machine: a third of it, at which it is renewed, is as
// long as a loaded machine may keep a timer waiting.
const shortLease = 1500 * time.Millisecond

func (h *Harness) shortLease() time.Duration { return h.scaled(shortLease) }

func stolenBeforeTheWrite(t testing.TB, h *Harness) {
	balance := h.open(t, 100, 0, unlimited)
	nodes := h.redisNodes(t)
	victim := h.start(t)
	stale := h.change(move(balance, -1))
	stopped := h.Env.newStop(t)
	running := victim.beginUntil(stopBeforeWrite(t.Context(), stopped), t, stale, stopped.reached, "its write")

	steal(t, nodes, balance)
	h.start(t).mustExecute(t, h.change(move(balance, -10)))
	stopped.release()

	// Its version is old: it must not write. It may start over by itself, or tell the caller to.
	receipt, err := running.end(t)
	checkRetryable(t, err)
	if err == nil && (receipt.Attempts < 2 || receipt.Balances[balance] != 89) {
		t.Errorf("the victim committed what it had read before: %+v", receipt)
	}
	if n := victim.violations(t); n != 1 {
		t.Errorf("%d violations counted, want 1", n)
	}
	if _, err := persist(t.Context(), victim, stale); err != nil {
		t.Error(err)
	}
	h.checkAmount(t, balance, 89)
	h.checkConsistent(t, balance)
}

func stolenWhileWriting(t testing.TB, h *Harness) {
	balance := h.open(t, 100, 0, unlimited)
	nodes := h.redisNodes(t)
	victim, thief := h.start(t), h.start(t)
	first, second := h.change(move(balance, -1)), h.change(move(balance, -10))
	stopped := h.Env.stopAtRecord(t, first)
	running := victim.beginUntil(t.Context(), t, first, stopped.reached, "its record")

	steal(t, nodes, balance)
	overtaking := thief.begin(t.Context(), second)
	eventually(t, "the thief to hold the lock", lockHeld(t, nodes, balance))
	stopped.release()

	// The row is the victim's until it commits: either of the two may be first, but each reads what the other wrote.
	if _, err := running.end(t); err != nil {
		checkRetryable(t, err)
	}
	if _, err := overtaking.end(t); err != nil {
		checkRetryable(t, err)
	}
	for _, c := range []lockprovider.Change{first, second} {
		if _, err := persist(t.Context(), victim, c); err != nil {
			t.Error(err)
		}
		h.checkApplied(t, c, 1)
	}
	h.checkAmount(t, balance, 89)
	h.checkConsistent(t, balance)
}

func lossIsNoticed(t testing.TB, h *Harness) {
	balance := h.open(t, 100, 0, unlimited)
	nodes := h.redisNodes(t)
	victim := h.start(t, lease(h.shortLease()))
	c := h.change(move(balance, -1))
	inside, noticed := make(chan struct{}), make(chan struct{})
	h.Env.onRecord(t, c, func(ctx context.Context, _ *ent.Tx) error {
		close(inside)
		<-ctx.Done() // patience is the test's, which waits for noticed
		if !errors.Is(context.Cause(ctx), lockprovider.ErrLockLost) {
			t.Errorf("the held context ended with %v, want ErrLockLost", context.Cause(ctx))
		}
		close(noticed)
		return nil // and works on, as if it had not noticed
	})
	running := victim.beginUntil(t.Context(), t, c, inside, "its record")
	steal(t, nodes, balance)
	next := h.start(t, waiting(patience)).begin(t.Context(), h.change(move(balance, -10)))
	await(t, noticed, "the victim to notice")
	if _, err := running.end(t); !errors.Is(err, lockprovider.ErrLockLost) {
		t.Errorf("error %v, want ErrLockLost", err)
	}
	if n := victim.counter(t, "holdfast_lock_lost_total"); n != 1 {
		t.Errorf("%d leases counted as lost, want 1", n)
	}
	next.mustEnd(t)
	h.checkApplied(t, c, 0)
	h.checkAmount(t, balance, 90)
	h.checkConsistent(t, balance)
}

func cutOff(t testing.TB, h *Harness) {
	balance := h.open(t, 100, 0, unlimited)
	victim := h.start(t, lease(h.shortLease()))
	c := h.change(move(balance, -1))
	inside, noticed := make(chan struct{}), make(chan struct{})
	h.Env.onRecord(t, c, func(ctx context.Context, _ *ent.Tx) error {
		victim.redis.cut.Store(true)
		close(inside)
		<-ctx.Done()
		close(noticed)
		return nil
	})
	running := victim.beginUntil(t.Context(), t, c, inside, "its record")
	next := h.start(t, waiting(patience)).begin(t.Context(), h.change(move(balance, -10))) // gets in when the lease has expired
	await(t, noticed, "the held context to end by itself")
	if _, err := running.end(t); !errors.Is(err, lockprovider.ErrLockLost) {
		t.Errorf("error %v, want ErrLockLost", err)
	}
	next.mustEnd(t)
	h.checkApplied(t, c, 0)
	h.checkAmount(t, balance, 90)
	h.checkConsistent(t, balance)
	// The next one needs a quorum only: on the other nodes the victim's lock is left, which cannot release it, until it expires.
	if nodes := h.redisNodes(t); len(nodes) > 1 {
		for _, node := range nodes {
			eventually(t, "the lock of the victim to expire", func() bool {
				keys, err := lockKeys(t.Context(), node, "")
				return err == nil && len(keys) == 0
			})
		}
	}
}

func pausedBeforeTheSection(t testing.TB, h *Harness) {
	balance := h.open(t, 100, 0, unlimited)
	nodes := h.redisNodes(t)
	victim := h.start(t, lease(h.shortLease()))
	stopped := h.Env.newStop(t)
	granted := lockHeld(t, nodes, balance)
	victim.redis.onReply(func(redis.Cmder) {
		if granted() {
			stopped.here() // the grant is on the wire; the process does not see it yet
		}
	})
	c := h.change(move(balance, -1))
	running := victim.beginUntil(t.Context(), t, c, stopped.reached, "the grant of its lock")
	h.start(t).mustExecute(t, h.change(move(balance, -10))) // gets in when the lease has expired
	stopped.release()
	receipt, err := running.end(t)
	checkRetryable(t, err)
	if err == nil && receipt.Balances[balance] != 89 {
		t.Errorf("the victim committed %+v over 90", receipt)
	}
	if n := victim.violations(t); n != 0 {
		t.Errorf("the victim went on with a lease that had ended: %d violations", n)
	}
	if _, err := persist(t.Context(), victim, c); err != nil {
		t.Error(err)
	}
	h.checkAmount(t, balance, 89)
	h.checkConsistent(t, balance)
}

func foreignLockIsLeftAlone(t testing.TB, h *Harness) {
	const foreign = "somebody else"
	balance := h.open(t, 100, 0, unlimited)
	nodes := h.redisNodes(t)
	victim := h.start(t, lease(h.shortLease()))
	c := h.change(move(balance, -1))
	inside, noticed := make(chan struct{}), make(chan struct{})
	h.Env.onRecord(t, c, func(ctx context.Context, _ *ent.Tx) error {
		close(inside)
		<-ctx.Done() // the next renewal finds somebody else's lock
		close(noticed)
		return nil
	})
	running := victim.beginUntil(t.Context(), t, c, inside, "its record")
	var keys []string
	for _, node := range nodes {
		keys = steal(t, []redis.UniversalClient{node}, balance)
		for _, key := range keys {
			if err := node.Set(t.Context(), key, foreign, 0).Err(); err != nil { // for ever: a renewal would show
				t.Fatal(err)
			}
		}
	}
	await(t, noticed, "the victim to notice")
	if _, err := running.end(t); !errors.Is(err, lockprovider.ErrLockLost) {
		t.Errorf("error %v, want ErrLockLost", err)
	}
	for _, node := range nodes {
		for _, key := range keys {
			value, err := node.Get(t.Context(), key).Result()
			if err != nil || value != foreign {
				t.Errorf("%s is %q, %v after the victim ended: it freed somebody else's lock", key, value, err)
			}
			if ttl := node.TTL(t.Context(), key).Val(); ttl > 0 {
				t.Errorf("%s expires in %v: the victim prolonged somebody else's lock", key, ttl)
			}
			node.Del(t.Context(), key)
		}
	}
	h.checkApplied(t, c, 0)
	h.checkAmount(t, balance, 100)
}

func renewal(t testing.TB, h *Harness) {
	balance := h.open(t, 100, 0, unlimited)
	nodes := h.redisNodes(t)
	worker, other := h.start(t, lease(h.shortLease())), h.start(t)
	c := h.change(move(balance, -1))
	stopped := h.Env.stopAtRecord(t, c)
	running := worker.beginUntil(t.Context(), t, c, stopped.reached, "its record")
	queued := h.change(move(balance, -10))
	next := other.begin(t.Context(), queued)

	watchLock(t, nodes[0], balance).renewals(t, 10) // more than three terms, at a third each
	if next.ended() && next.err == nil {
		t.Errorf("somebody else got in: %+v", next.receipt)
	}
	stopped.release()
	if receipt := running.mustEnd(t); receipt.Attempts != 1 {
		t.Errorf("the worker needed %d attempts", receipt.Attempts)
	}
	if _, err := next.end(t); err != nil {
		checkRetryable(t, err)
	}
	for _, i := range []*Instance{worker, other} {
		if n := i.violations(t); n != 0 {
			t.Errorf("%d violations", n)
		}
	}
	if n := worker.counter(t, "holdfast_lock_lost_total"); n != 0 {
		t.Errorf("%d leases lost", n)
	}
	h.checkApplied(t, c, 1)
	h.checkConsistent(t, balance)
}

// watch is an observer of one lock.
type watch struct {
	node   redis.UniversalClient
	key    string
	last   time.Duration
	holder string
}

// watchLock begins to watch the lock of a balance once somebody holds it.
func watchLock(t testing.TB, node redis.UniversalClient, balance string) *watch {
	t.Helper()
	w := &watch{node: node}
	eventually(t, "somebody to hold the lock", func() bool {
		keys, err := lockKeys(t.Context(), node, balance)
		if err != nil {
			t.Fatal(err)
		}
		if len(keys) == 0 {
			return false
		}
		w.key = keys[0]
		w.last, w.holder = node.PTTL(t.Context(), w.key).Val(), lockHolder(t.Context(), node, w.key)
		return w.last > 0
	})
	return w
}

// lockHolder is what tells one holder from another. A Pub/Sub lock becomes a hash when it is renewed.
func lockHolder(ctx context.Context, node redis.UniversalClient, key string) string {
	value, err := node.Get(ctx, key).Result()
	if err != nil {
		return node.HGet(ctx, key, "o").Val()
	}
	words := strings.Split(value, " ")
	return words[len(words)-1]
}

// renewals waits until the lock's time to live has been prolonged n times, by one holder without a gap.
func (w *watch) renewals(t testing.TB, n int) {
	t.Helper()
	seen := 0
	eventually(t, "the lock to be renewed", func() bool {
		ttl, err := w.node.PTTL(t.Context(), w.key).Result()
		if err != nil {
			t.Fatal(err)
		}
		if ttl <= 0 {
			t.Fatalf("%s expired after %d renewals", w.key, seen)
		}
		if holder := lockHolder(t.Context(), w.node, w.key); holder != w.holder {
			t.Fatalf("%s changed hands after %d renewals: %q, then %q", w.key, seen, w.holder, holder)
		}
		if ttl > w.last {
			seen++
		}
		w.last = ttl
		return seen >= n
	})
}
