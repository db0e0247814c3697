package commerce_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	"github.com/google/uuid"

	"holdfast/commerce"
	"holdfast/ent/changelog"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
	"holdfast/lockprovider/ledger"
)

// While Redis is away, a family with a fallback goes on selling from the database, and goes back when Redis is there
// again; nothing is sold twice on the way, whatever became of what Redis knew.
func TestFallbackServesAnOutageOfRedis(t *testing.T) {
	for _, lost := range []string{"restarted", "emptied"} {
		t.Run(lost, func(t *testing.T) {
			redis := testenv.Redis(t, "--appendonly", "yes")
			s := openShop(t, lockprovider.FamilyConfig{Strategy: lockprovider.Lua, Fallback: lockprovider.RowLock},
				"sqlite://:memory:", redis.URL)
			hot := s.product(t, 100, 1_000_000)
			var placed atomic.Int64
			stop := make(chan struct{})
			var customers sync.WaitGroup
			for i := range 8 {
				viewer := commerce.Viewer{UserID: "user" + string(rune('a'+i)), Name: "User"}
				customers.Go(func() {
					for {
						in := commerce.PlaceOrder{Key: uuid.New(), Lines: []commerce.Line{{ProductID: hot, Quantity: 1}}}
						_, err := untilSettled(t, func() (commerce.OrderResult, error) { return s.Orders.Place(t.Context(), viewer, in) })
						if err != nil {
							t.Error(err)
							return
						}
						placed.Add(1)
						select {
						case <-stop:
							return
						default:
						}
					}
				})
			}
			s.waitForChanges(t, lockprovider.Lua, 20)
			must(t, redis.Kill())
			s.waitForChanges(t, lockprovider.RowLock, 20)
			before := s.changes(t, lockprovider.Lua)
			must(t, redis.Restart())
			if lost == "emptied" {
				must(t, s.redis.FlushAll(t.Context()).Err())
			}
			s.waitForChanges(t, lockprovider.Lua, before+20)
			close(stop)
			customers.Wait()
			s.wantStock(t, hot, 1_000_000-placed.Load())
			s.audit(t)
		})
	}
}

// Without a fallback, the answer to an outage is quick, honest and retryable, and afterwards everything goes on.
func TestOutageWithoutFallbackIsHonest(t *testing.T) {
	for _, v := range variants(dialect.SQLite) {
		if info, _ := lockprovider.Lookup(v.strategy); !info.Needs.Redis {
			continue
		}
		t.Run(v.String(), func(t *testing.T) {
			redis := testenv.Redis(t, "--appendonly", "yes")
			s := v.open(t, "sqlite://:memory:", redis.URL)
			a := s.product(t, 100, 10)
			place := func() (commerce.OrderResult, error) {
				return s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{
					Key: uuid.New(), Lines: []commerce.Line{{ProductID: a, Quantity: 1}},
				})
			}
			_, err := place()
			must(t, err)
			must(t, redis.Kill())
			for range 5 { // the circuit opens on the way
				_, err := place()
				var e *commerce.Error
				if !errors.As(err, &e) || e.Code != commerce.Unavailable || !e.Retryable {
					t.Fatalf("got %v", err)
				}
			}
			must(t, redis.Restart())
			_, err = untilSettled(t, place)
			must(t, err)
			s.wantStock(t, a, 8)
			s.audit(t)
		})
	}
}

// changes counts what a strategy has applied.
func (s *shop) changes(t *testing.T, strategy lockprovider.Strategy) int {
	t.Helper()
	n, err := s.db.Ent.ChangeLog.Query().Where(changelog.Strategy(string(strategy)), changelog.KindNEQ(ledger.KindRefused)).Count(t.Context())
	must(t, err)
	return n
}

func (s *shop) waitForChanges(t *testing.T, strategy lockprovider.Strategy, n int) {
	t.Helper()
	bound := testenv.Scaled(time.Minute) // all customers may wait for their commits at the moment, for pipeline.persistWait
	for deadline := time.Now().Add(bound); s.changes(t, strategy) < n; {
		if time.Now().After(deadline) {
			t.Fatalf("%d changes by %s after %s, want %d", s.changes(t, strategy), strategy, bound, n)
		}
	}
}
