package lockprovider_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"holdfast/lockprovider"
	"holdfast/lockprovider/lock"
)

// Broken lockers: what the comparison of versions must catch, and make good.

// openDoor keeps nobody out.
type openDoor struct{}

func (openDoor) Lock(ctx context.Context, _ []string) (context.Context, lock.Lease, error) {
	return ctx, openDoor{}, nil
}

func (openDoor) Unlock(context.Context) error { return nil }

func (openDoor) Fence(context.Context, string) (int64, error) { return 0, nil }

// ownerless is a lock with a lease that nobody renews, and a release that frees whatever is held by then.
type ownerless struct {
	mu    sync.Mutex
	until time.Time
}

const tooShort = time.Millisecond

func (l *ownerless) Lock(ctx context.Context, _ []string) (context.Context, lock.Lease, error) {
	ticker := time.NewTicker(tooShort / 4)
	defer ticker.Stop()
	for {
		l.mu.Lock()
		if now := time.Now(); now.After(l.until) {
			l.until = now.Add(tooShort)
			l.mu.Unlock()
			return ctx, l, nil
		}
		l.mu.Unlock()
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

func (l *ownerless) Unlock(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = time.Time{}
	return nil
}

func (*ownerless) Fence(context.Context, string) (int64, error) { return 0, nil }

// TestBrokenLockIsCaught: a lock that does not exclude is counted as such and still loses nothing. SQLite cannot show it:
// there, BEGIN IMMEDIATE excludes by itself.
func TestBrokenLockIsCaught(t *testing.T) {
	for _, db := range databases {
		if db.name == "sqlite" {
			continue
		}
		for name, locker := range map[string]lock.Locker{"open door": openDoor{}, "ownerless": &ownerless{}} {
			t.Run(db.name+"/"+name, func(t *testing.T) { catchBrokenLock(t, db.url(t), locker) })
		}
	}
}

func catchBrokenLock(t *testing.T, url string, locker lock.Locker) {
	t.Helper()
	const racers, rounds = 32, 20
	db := openDatabase(t, url)
	ledger := lockprovider.NewLedger(db.Ent, db.Dialect, nil, lockprovider.LedgerSettings{TxRetries: 5})
	registry := prometheus.NewRegistry()
	provider := lockprovider.NewLocked(lockprovider.SetNX, lockprovider.Stock, locker, lockprovider.Deps{
		Ledger: ledger, Metrics: lockprovider.NewMetrics(registry), Settings: lockprovider.Settings{Attempts: 1000},
	})
	key := lockprovider.StockKey("contended")
	tx, err := db.Ent.Tx(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := ledger.Open(t.Context(), tx, map[string]lockprovider.Bounds{key: {Ceiling: 1000}}); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}

	for round := range rounds {
		start := make(chan struct{})
		var all sync.WaitGroup
		for range racers {
			all.Go(func() {
				<-start
				_, err := provider.Execute(bounded(t), lockprovider.Change{
					ID: uuid.New(), Family: lockprovider.Stock, Moves: []lockprovider.Move{{Balance: key, Delta: 1}},
					Record: lockprovider.Record{Kind: "test"},
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		close(start)
		all.Wait()
		amounts, err := ledger.Amounts(t.Context(), []string{key})
		if err != nil {
			t.Fatal(err)
		}
		if want := int64((round + 1) * racers); amounts[key] != want {
			t.Fatalf("amount %d after %d changes: updates were lost", amounts[key], want)
		}
		if violations(t, registry) > 0 {
			return
		}
	}
	t.Errorf("no violation counted in %d changes", rounds*racers)
}

func violations(t *testing.T, registry *prometheus.Registry) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, family := range families {
		if family.GetName() == "holdfast_lock_violations_total" {
			for _, m := range family.GetMetric() {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}
