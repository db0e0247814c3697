package redistest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"holdfast/internal/testenv"
	"holdfast/lockprovider/lock"
)

var leaseScenarios = []Scenario{
	{
		Name: "renewed_over_five_terms", Proves: Renews, Func: renewedOverFiveTerms,
		Why: "work that takes longer than a lease is overtaken",
	},
	{
		Name: "no_renewal_after_the_release", Proves: Renews, Func: noRenewalAfterRelease,
		Why: "a lock comes back to life after its release, and nobody will ever free it",
	},
	{
		Name: "renewal_survives_a_slow_link", Proves: Renews, Func: renewalSurvivesSlowLink,
		Why: "a link that is slow for a moment costs all locks",
	},
}

var lossScenarios = []Scenario{
	{
		Name: "link_goes_dark", Proves: TellsLoss, Func: linkGoesDark,
		Why: "a holder that Redis does not hear any more works on while the next one is in",
	},
	{
		Name: "answers_get_lost", Proves: TellsLoss, Func: answersGetLost,
		Why: "a holder that does not hear Redis any more goes on as if its lease were renewed",
	},
	{
		Name: "redis_stands_still", Proves: TellsLoss, Needs: realRedis, Func: redisStandsStill,
		Why: "a holder trusts a Redis that says nothing",
	},
	{
		Name: "given_up_while_redis_stands_still", Proves: Late, Needs: realRedis, Func: givenUpWhileRedisStands,
		Why: "requests of callers who have gone take the lock for nobody, when Redis serves them at last",
	},
	{
		Name: "client_pause", Proves: TellsLoss, Needs: realRedis, Func: clientPause,
		Why: "a holder trusts a Redis that serves nobody, and gives the lock away when it goes on",
	},
	{
		Name: "key_deleted", Proves: TellsLoss, Func: keyDeleted,
		Why: "a holder whose lock is gone works on for as long as it likes",
	},
	{
		Name: "fault_trials", Proves: TellsLoss, Needs: realRedis, Func: faultTrials, Busy: true,
		Why: "a few times in a thousand, two are in at once",
	},
}

func renewedOverFiveTerms(t testing.TB, h *Harness) {
	o := h.open(t, lease(h.shortLease)).mustLock(t, key)
	began := time.Now()
	w := h.open(t, wait(5*h.shortLease)).begin(t.Context(), key).end(t)
	if !errors.Is(w.err, lock.ErrTimeout) {
		t.Errorf("after %v somebody else got %v, want ErrLockTimeout", time.Since(began), w.err)
	}
	if o.held.Err() != nil {
		t.Errorf("the held context has ended: %v", context.Cause(o.held))
	}
	mustUnlock(t, o)
	h.checkFree(t, key)
}

func noRenewalAfterRelease(t testing.TB, h *Harness) {
	i := h.open(t, lease(h.shortLease))
	for range 20 {
		mustUnlock(t, i.mustLock(t, key))
	}
	answers := i.wire.answers.Load()
	other := h.open(t).mustLock(t, "other")
	_ = lock.Pause(t.Context(), h.shortLease) // in which a renewal would be due three times
	if n := i.wire.answers.Load() - answers; n != 0 {
		t.Errorf("%d requests after the last release", n)
	}
	mustUnlock(t, other)
	h.checkFree(t, key)
}

func renewalSurvivesSlowLink(t testing.TB, h *Harness) {
	network := h.proxy(t)
	o := h.open(t, lease(3*h.shortLease), through(network)).mustLock(t, key)
	network.slowDown(t, 200*time.Millisecond)
	w := h.open(t, wait(6*h.shortLease)).begin(t.Context(), key).end(t)
	if !errors.Is(w.err, lock.ErrTimeout) {
		t.Errorf("somebody else got %v, want ErrLockTimeout", w.err)
	}
	if o.held.Err() != nil {
		t.Errorf("the held context has ended: %v", context.Cause(o.held))
	}
	network.heal(t)
	mustUnlock(t, o)
}

// endsBefore: the held context ends, because the lease is lost, before the next one has the lock. It looks at the context
// when Lock has returned to the next one: had it not ended by then, both would be in.
func endsBefore(t testing.TB, o outcome, next *waiter) {
	t.Helper()
	w := next.mustEnd(t)
	if o.held.Err() == nil {
		t.Error("the next one has the lock, and the holder was told nothing")
	}
	checkLost(t, o.held)
	_ = w.lease.Unlock(t.Context())
}

func linkGoesDark(t testing.TB, h *Harness)   { dark(t, h, "") }
func answersGetLost(t testing.TB, h *Harness) { dark(t, h, "downstream") }

func dark(t testing.TB, h *Harness, stream string) {
	t.Helper()
	network := h.proxy(t)
	o := h.open(t, lease(h.shortLease), through(network)).mustLock(t, key)
	next := h.open(t).begin(t.Context(), key)
	network.blackhole(t, stream)
	endsBefore(t, o, next)
}

func redisStandsStill(t testing.TB, h *Harness) {
	o := h.open(t, lease(h.shortLease)).mustLock(t, key)
	if err := h.redis.Server.Pause(); err != nil {
		t.Fatal(err)
	}
	checkLost(t, o.held) // by its own clock: nobody can have told it
	if err := h.redis.Server.Resume(); err != nil {
		t.Fatal(err)
	}
	h.useful(t)
}

// useful: the lock serves again, whatever has happened.
func (h *Harness) useful(t testing.TB) {
	t.Helper()
	i := h.open(t, lease(h.shortLease))
	eventually(t, "the lock to serve again", func() bool {
		_, lease, err := i.Lock(t.Context(), []string{key})
		if err != nil {
			return false
		}
		return lease.Unlock(t.Context()) == nil
	})
}

// The callers' requests are in Redis' hands when it stands still. It serves them when it goes on, and by then they have given up.
func givenUpWhileRedisStands(t testing.TB, h *Harness) {
	i := h.open(t, wait(h.soon))
	mustUnlock(t, i.mustLock(t, key)) // connections are open, scripts are loaded
	if err := h.redis.Server.Pause(); err != nil {
		t.Fatal(err)
	}
	all(8, func(int) {
		if w := i.begin(t.Context(), key).end(t); w.err == nil {
			t.Error("a Redis that stands still gave a lock")
		}
	})
	_ = lock.Pause(t.Context(), time.Duration(size(0, 4))*time.Second) // longer than a release is waited for
	if err := h.redis.Server.Resume(); err != nil {
		t.Fatal(err)
	}
	h.checkFree(t, key)
}

func clientPause(t testing.TB, h *Harness) {
	o := h.open(t, lease(h.shortLease)).mustLock(t, key)
	next := h.open(t).begin(t.Context(), key)
	pause := 4 * h.shortLease
	paused := time.Now()
	if err := h.spy.Do(t.Context(), "CLIENT", "PAUSE", pause.Milliseconds(), "ALL").Err(); err != nil {
		t.Fatal(err)
	}
	checkLost(t, o.held)
	// By its own clock: when Redis goes on, the next one is served at once.
	within(t, "being told", time.Since(paused), pause)
	// Whether the waiter outlives the pause depends on the read timeout of its client; somebody gets the lock.
	if w := next.end(t); w.err == nil {
		_ = w.lease.Unlock(t.Context())
	}
	h.useful(t)
}

func keyDeleted(t testing.TB, h *Harness) {
	o := h.open(t, lease(h.shortLease)).mustLock(t, key)
	if err := h.spy.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	checkLost(t, o.held)
	within(t, "being told", time.Since(began), h.shortLease+h.late)
	if err := o.lease.Unlock(t.Context()); !errors.Is(err, lock.ErrLost) {
		t.Errorf("unlock = %v, want ErrLockLost", err)
	}
	h.checkFree(t, key)
}

// attempts bounds how many trials are repeated because the process stood still in them.
const attempts = 5

// faultTrials breaks the link of a holder in several ways at a random time, and looks at its context when the next one
// gets the lock.
func faultTrials(t testing.TB, h *Harness) {
	const keysATime = 10
	term := h.scaled(600 * time.Millisecond)
	trials, lost, disturbed := 0, 0, 0
	meter := testenv.NewStallMeter()
	defer meter.Stop()
	var releases sync.WaitGroup
	for round := 0; trials < size(50, 500); round++ {
		network := h.proxy(t)
		victim := h.open(t, lease(term), through(network))
		heirs := h.open(t)
		var (
			mu    sync.Mutex
			held  = map[string]outcome{}
			wrong []string
		)
		meter.Worst()
		all(keysATime, func(n int) {
			// The leases of the trials are renewed at different times.
			_ = lock.Pause(t.Context(), rand.N(term/3))
			name := fmt.Sprintf("%d-%d", round, n)
			o := victim.begin(t.Context(), name).end(t)
			mu.Lock()
			defer mu.Unlock()
			held[name] = o
		})
		_ = lock.Pause(t.Context(), rand.N(term))
		switch round % 4 {
		case 0:
			network.blackhole(t, "")
		case 1:
			network.blackhole(t, "downstream")
		case 2:
			network.blackhole(t, "upstream")
		case 3:
			network.slowDown(t, term+rand.N(term))
		}
		var running sync.WaitGroup
		for name, o := range held {
			running.Go(func() {
				if errors.Is(o.err, lock.ErrUnavailable) {
					return // a busy machine: it was not held, and is no trial
				}
				if o.err != nil {
					t.Errorf("round %d: %v", round, o.err)
					return
				}
				next := heirs.begin(t.Context(), name).end(t)
				if next.err != nil {
					t.Errorf("round %d: the next one: %v", round, next.err)
					return
				}
				told := o.held.Err() != nil
				cause := context.Cause(o.held)
				_ = next.lease.Unlock(t.Context())
				mu.Lock()
				defer mu.Unlock()
				trials++
				if errors.Is(cause, lock.ErrLost) {
					lost++
				}
				if !told {
					wrong = append(wrong, name)
				}
			})
		}
		running.Wait()
		worst := meter.Worst()
		switch stalled := worst > term/toleratedOf; {
		case len(wrong) == 0:
		case stalled && disturbed < attempts*keysATime:
			t.Logf("round %d: this process was kept waiting for up to %v: %d trials prove nothing", round, worst, len(wrong))
			disturbed += len(wrong)
			trials -= len(wrong)
		default:
			t.Errorf("round %d, fault %d: the next ones have the locks %v, and the holders were told nothing; "+
				"this process was kept waiting for up to %v", round, round%4, wrong, worst)
		}
		network.heal(t)
		for _, o := range held {
			if o.err == nil {
				releases.Go(func() { _ = o.lease.Unlock(context.Background()) }) // it may take its bound
			}
		}
	}
	releases.Wait()
	t.Logf("%d trials, %d leases lost", trials, lost)
	if lost < trials {
		t.Errorf("%d of %d held contexts ended for another reason than the lost lease", trials-lost, trials)
	}
}
