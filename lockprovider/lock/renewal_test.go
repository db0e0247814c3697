package lock

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// These tests run on a fake clock: time passes at once when everybody waits, and durations are exact.

const term = 900 * time.Millisecond // a third and a tenth of it are whole

// fakeRedis is the other side of a lease.
type fakeRedis struct {
	extend         func(ctx context.Context) error // nil: always succeeds
	releaseFailure error

	extended, released atomic.Int64
	releaseBound       time.Duration
}

func (r *fakeRedis) doExtend(ctx context.Context) error {
	r.extended.Add(1)
	if r.extend == nil {
		return nil
	}
	return r.extend(ctx)
}

func (r *fakeRedis) doRelease(ctx context.Context) error {
	r.released.Add(1)
	if deadline, ok := ctx.Deadline(); ok {
		r.releaseBound = time.Until(deadline)
	}
	return errors.Join(ctx.Err(), r.releaseFailure)
}

// checkLost: the held context has ended because the lease has.
func checkLost(t *testing.T, held context.Context) {
	t.Helper()
	if held.Err() == nil {
		t.Fatal("the held context has not ended")
	}
	if cause := context.Cause(held); !errors.Is(cause, ErrLost) {
		t.Errorf("cause %v, want ErrLost", cause)
	}
}

func TestKeepAliveRenews(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		redis := &fakeRedis{}
		held, lease := KeepAlive(t.Context(), time.Now(), term, redis.doExtend, redis.doRelease)
		time.Sleep(10*term + time.Millisecond)
		synctest.Wait()
		if err := held.Err(); err != nil {
			t.Fatalf("held context ended: %v", context.Cause(held))
		}
		if redis.extended.Load() != 30 {
			t.Errorf("%d renewals in ten terms, want one every third of a term", redis.extended.Load())
		}
		if err := lease.Unlock(t.Context()); err != nil {
			t.Error(err)
		}
		if held.Err() == nil {
			t.Error("the held context outlives the unlock")
		}
		time.Sleep(10 * term)
		synctest.Wait()
		if redis.extended.Load() != 30 || redis.released.Load() != 1 {
			t.Errorf("%d renewals, %d releases after the unlock", redis.extended.Load()-30, redis.released.Load())
		}
	})
}

func TestHeldContextEndsBeforeTheTerm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		redis := &fakeRedis{extend: func(context.Context) error { return errors.New("unreachable") }}
		asked := time.Now()
		time.Sleep(50 * time.Millisecond) // the answer took this long: the term counts from the question
		held, lease := KeepAlive(t.Context(), asked, term, redis.doExtend, redis.doRelease)
		<-held.Done()
		if took := time.Since(asked); took >= term || took < term-term/ExpiryMargin {
			t.Errorf("the held context ended after %v of %v", took, term)
		}
		checkLost(t, held)
		if redis.extended.Load() < 3 {
			t.Errorf("%d attempts at renewal in a term", redis.extended.Load())
		}
		redis.releaseFailure = ErrLost
		if err := lease.Unlock(t.Context()); !errors.Is(err, ErrLost) {
			t.Errorf("unlock = %v, want what Redis said", err)
		}
	})
}

func TestHeldContextEndsBeforeTheTermThoughRenewalHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		redis := &fakeRedis{extend: func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}}
		asked := time.Now()
		held, lease := KeepAlive(t.Context(), asked, term, redis.doExtend, redis.doRelease)
		<-held.Done()
		if took := time.Since(asked); took >= term {
			t.Errorf("the held context ended after %v of %v", took, term)
		}
		checkLost(t, held)
		_ = lease.Unlock(t.Context())
	})
}

func TestRenewalRecovers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		redis := &fakeRedis{}
		redis.extend = func(context.Context) error {
			if redis.extended.Load()%4 != 0 { // three of four fail: at 0.33, 0.43 and 0.53 of the term
				return errors.New("unreachable")
			}
			return nil
		}
		held, lease := KeepAlive(t.Context(), time.Now(), term, redis.doExtend, redis.doRelease)
		time.Sleep(20 * term)
		synctest.Wait()
		if held.Err() != nil {
			t.Errorf("held context ended: %v", context.Cause(held))
		}
		if err := lease.Unlock(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestLossIsToldAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		redis := &fakeRedis{extend: func(context.Context) error { return ErrLost }}
		began := time.Now()
		held, lease := KeepAlive(t.Context(), began, term, redis.doExtend, redis.doRelease)
		<-held.Done()
		if took := time.Since(began); took != term/3 {
			t.Errorf("told after %v, want at the first renewal, %v", took, term/3)
		}
		checkLost(t, held)
		time.Sleep(10 * term)
		if redis.extended.Load() != 1 {
			t.Errorf("%d renewals of a lock that is not ours", redis.extended.Load())
		}
		_ = lease.Unlock(t.Context())
	})
}

func TestLateGrantIsNoLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		redis := &fakeRedis{}
		held, lease := KeepAlive(t.Context(), time.Now().Add(-term), term, redis.doExtend, redis.doRelease)
		synctest.Wait()
		checkLost(t, held)
		_ = lease.Unlock(t.Context())
	})
}

func TestLateRenewalBringsNothingBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		redis := &fakeRedis{extend: func(context.Context) error {
			time.Sleep(term) // and does not heed its context
			return nil
		}}
		held, lease := KeepAlive(t.Context(), time.Now(), term, redis.doExtend, redis.doRelease)
		time.Sleep(3 * term)
		synctest.Wait()
		checkLost(t, held)
		if redis.extended.Load() != 1 {
			t.Errorf("%d renewals of a lease that had ended", redis.extended.Load())
		}
		_ = lease.Unlock(t.Context())
	})
}

func TestUnlockWaitsForTheRenewalUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		redis := &fakeRedis{extend: func(context.Context) error {
			<-answer
			return nil
		}}
		_, lease := KeepAlive(t.Context(), time.Now(), term, redis.doExtend, redis.doRelease)
		time.Sleep(term / 3)
		synctest.Wait() // the renewal is under way
		unlocked := make(chan error, 1)
		go func() { unlocked <- lease.Unlock(t.Context()) }()
		synctest.Wait()
		if redis.released.Load() != 0 {
			t.Error("released while a renewal was under way: it may set what was just deleted")
		}
		close(answer)
		if err := <-unlocked; err != nil {
			t.Error(err)
		}
		time.Sleep(5 * term)
		synctest.Wait()
		if redis.released.Load() != 1 || redis.extended.Load() != 1 {
			t.Errorf("%d releases, %d renewals, want 1 and 1", redis.released.Load(), redis.extended.Load())
		}
	})
}

func TestUnlockServesACallerWhoHasGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		redis := &fakeRedis{}
		ctx, cancel := context.WithCancel(t.Context())
		held, lease := KeepAlive(ctx, time.Now(), term, redis.doExtend, redis.doRelease)
		cancel()
		if !errors.Is(context.Cause(held), context.Canceled) {
			t.Errorf("cause %v, want the caller's", context.Cause(held))
		}
		time.Sleep(2 * term)
		synctest.Wait()
		if redis.extended.Load() == 0 {
			t.Error("a cancelled caller's lock is not kept until it is unlocked")
		}
		redis.releaseFailure = errors.New("unreachable")
		if err := lease.Unlock(ctx); !errors.Is(err, redis.releaseFailure) {
			t.Errorf("unlock = %v, want what Redis said", err)
		}
		if redis.releaseBound != UnlockTimeout {
			t.Errorf("the release is bounded by %v, want %v", redis.releaseBound, UnlockTimeout)
		}
	})
}

// TestHeldContextNeverOutlivesTheLock lets renewals fail, hang and succeed at random, and keeps Redis' side of the books.
func TestHeldContextNeverOutlivesTheLock(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			var expires atomic.Int64 // in nanoseconds
			expires.Store(time.Now().Add(term).UnixNano())
			redis := &fakeRedis{}
			redis.extend = func(ctx context.Context) error {
				there, back := time.Duration(random.IntN(200))*time.Millisecond, time.Duration(random.IntN(200))*time.Millisecond
				if random.IntN(3) == 0 {
					<-ctx.Done() // hangs
					return ctx.Err()
				}
				time.Sleep(there)
				if time.Now().UnixNano() >= expires.Load() {
					return ErrLost
				}
				expires.Store(time.Now().Add(term).UnixNano())
				time.Sleep(back)
				if random.IntN(3) == 0 {
					return errors.New("the answer was lost")
				}
				return nil
			}
			held, lease := KeepAlive(t.Context(), time.Now(), term, redis.doExtend, redis.doRelease)
			select {
			case <-held.Done():
				if late := time.Now().UnixNano() - expires.Load(); late >= 0 {
					t.Errorf("seed %d: held %v longer than the lock", seed, time.Duration(late))
				}
			case <-time.After(20 * term):
			}
			_ = lease.Unlock(t.Context())
		})
	}
}

func TestPartialKeepsWhatIsHeld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var extended []int
		var failure error
		p := partial{term: term, extend: func(_ context.Context, held int) error {
			extended = append(extended, held)
			return failure
		}}
		keep := func() {
			t.Helper()
			if err := p.keep(t.Context()); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(term)
		keep() // nothing is held: nothing to keep
		first := time.Now()
		p.add(first)
		time.Sleep(term/3 - time.Millisecond)
		keep() // not yet
		p.add(time.Now())
		if !p.asked.Equal(first) || len(extended) != 0 {
			t.Errorf("asked %v ago, extended %v before a third of the term", time.Since(p.asked), extended)
		}
		time.Sleep(time.Millisecond)
		keep()
		if len(extended) != 1 || extended[0] != 2 || !p.asked.Equal(time.Now()) {
			t.Errorf("extended %v, asked %v ago, want both keys now", extended, time.Since(p.asked))
		}
		time.Sleep(term)
		failure = ErrLost
		if err := p.keep(t.Context()); !errors.Is(err, ErrLost) {
			t.Errorf("error %v, want ErrLost", err)
		}
	})
}
