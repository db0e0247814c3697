package commerce_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/commerce"
	"holdfast/ent/hold"
	"holdfast/lockprovider"
)

// What the database refused to end, though Redis may have admitted it, is ended when nothing is in the way any more: by its deadline, and by
// its customer. Its stock comes back once.
func TestAHoldEndsAfterARefusal(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		ctx, a := t.Context(), s.product(t, 1000, 10)
		expires, released := s.hold(t, alice, a, 2), s.hold(t, alice, a, 3)
		ceiling := func(n int64) { must(t, s.db.Ent.Balance.UpdateOneID(lockprovider.StockKey(a)).SetCeiling(n).Exec(ctx)) }
		ceiling(5)
		_, err := s.Holds.Release(ctx, alice, released.ID)
		if !isCode(err, commerce.Unavailable) {
			t.Errorf("the release is told %v", err)
		}
		s.settle(t)
		s.clock.advance(ttl)
		if _, failed, err := s.Holds.ExpireOverdue(ctx, expiryLimit); err != nil || failed != 2 {
			t.Errorf("%d could not be ended, want both; %v", failed, err)
		}
		s.wantStock(t, a, 5)
		s.wantHolds(t, alice, 2)
		ceiling(1000)
		s.nextAttempt()
		_, err = s.Holds.Release(ctx, alice, released.ID)
		must(t, err)
		if done, failed, err := s.Holds.ExpireOverdue(ctx, expiryLimit); err != nil || done != 1 || failed != 0 {
			t.Errorf("%d have ended and %d not, %v", done, failed, err)
		}
		s.wantHold(t, expires.ID, hold.StatusEXPIRED)
		s.wantHold(t, released.ID, hold.StatusRELEASED)
		s.wantStock(t, a, 10)
		s.wantHolds(t, alice, 0)
		s.audit(t)
	})
}

// A hold that has had all its time says so, and names no number of seconds that it would take.
func TestAHoldThatHasHadItsTime(t *testing.T) {
	s := newShop(t, lockprovider.RowLock)
	h := s.hold(t, alice, s.product(t, 1000, 3), 1)
	s.clock.advance(ttl - time.Second)
	_, err := s.Holds.Extend(t.Context(), alice, h.ID, 30*time.Minute-ttl+time.Second)
	must(t, err)
	s.clock.advance(30*time.Minute - ttl + time.Second/2) // half a second is left
	_, err = s.Holds.Extend(t.Context(), alice, h.ID, time.Second)
	wantCodes(t, err, "INVALID_INPUT:input.ttlSeconds")
	if text := err.Error(); strings.Contains(text, "1 to 0") || !strings.Contains(text, "cannot be extended") {
		t.Errorf("it says %q", text)
	}
}

// An instance whose database does not answer for a while says so once, and once that it goes on. Then it ends what has become due meanwhile.
func TestHoldsThatCannotBeReadAreToldOnce(t *testing.T) {
	s := newShop(t, lockprovider.RowLock)
	h := s.hold(t, alice, s.product(t, 1000, 3), 1)
	writer := s.db.Pools()["writer"]
	rename := func(from, to string) {
		_, err := writer.ExecContext(t.Context(), "ALTER TABLE "+from+" RENAME TO "+to)
		must(t, err)
	}
	rename("holds", "away")
	log := &looks{}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { s.Holds.Run(ctx, slog.New(slog.NewTextHandler(log, nil))) })
	defer running.Wait()
	defer stop()
	const failed, again = "holds cannot be ended at their deadlines", "holds end at their deadlines again"
	until(t, "told of the failure", func() bool { return log.count(failed) > 0 })
	reads := s.clock.reads.Load()
	until(t, "looked three times more", func() bool { return s.clock.reads.Load() >= reads+3 })
	s.clock.advance(ttl)
	rename("away", "holds")
	until(t, "told of the end", func() bool { return log.count(again) > 0 })
	until(t, "ended", func() bool { return s.db.Ent.Hold.GetX(t.Context(), h.ID).Status == hold.StatusEXPIRED })
	if f, a := log.count(failed), log.count(again); f != 1 || a != 1 {
		t.Errorf("it has told %d times of the failure, and %d times of its end", f, a)
	}
	stop()
	running.Wait() // it ends with its context
	s.audit(t)
}

// until returns when something is so, which a loop in the background brings about.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(longEnough); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not %s after %s", what, longEnough)
		}
	}
}

// looks is a log.
type looks struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *looks) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *looks) count(line string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), line)
}

// BenchmarkHoldEnds is how long it takes, after the deadline of a hold, until the loop of one instance has its stock for sale again. Deadlines
// fall anywhere between two looks.
func BenchmarkHoldEnds(b *testing.B) {
	for _, strategy := range []lockprovider.Strategy{lockprovider.AtomicSQL, lockprovider.PubSub, lockprovider.Lua, lockprovider.Queue} {
		b.Run(string(strategy), func(b *testing.B) {
			s := newShop(b, strategy)
			a := s.product(b, 1000, 10)
			ctx, stop := context.WithCancel(b.Context())
			var running sync.WaitGroup
			running.Go(func() { s.Holds.Run(ctx, slog.New(slog.DiscardHandler)) })
			defer running.Wait()
			defer stop()
			longest := time.Duration(0)
			b.ResetTimer()
			for i := range b.N {
				b.StopTimer()
				h := s.hold(b, alice, a, 1)
				time.Sleep(time.Duration(i%25) * 10 * time.Millisecond) // anywhere between two looks
				b.StartTimer()
				s.clock.advance(ttl)
				due := time.Now()
				until(b, "ended", func() bool { return s.db.Ent.Hold.GetX(b.Context(), h.ID).Status != hold.StatusACTIVE })
				longest = max(longest, time.Since(due))
			}
			b.ReportMetric(float64(longest.Milliseconds()), "longest-ms")
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "mean-ms")
		})
	}
}
