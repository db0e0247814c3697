package lockprovider_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/clients"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
	"holdfast/lockprovider/providertest"
)

// wait polls until a condition holds.
func wait(t *testing.T, what string, done func() (bool, error)) {
	t.Helper()
	ctx, ticker := bounded(t), time.NewTicker(block)
	defer ticker.Stop()
	for {
		if ok, err := done(); err != nil {
			t.Fatal(err)
		} else if ok {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatalf("waited %v for %s", longEnough, what)
		}
	}
}

// withStandby runs a test under each strategy that differs from the others in what it does in the database, side by side: they
// mostly wait. The short form has three, which commit through a transaction of their own, a persister and a worker.
func withStandby(t *testing.T, test func(t *testing.T, strategy lockprovider.Strategy)) {
	t.Helper()
	strategies := []lockprovider.Strategy{lockprovider.AtomicSQL, lockprovider.Lua, lockprovider.Queue}
	if longCampaign() {
		strategies = append(strategies, lockprovider.RowLock, lockprovider.Optimistic, lockprovider.PubSub)
	}
	var tests sync.WaitGroup
	for _, strategy := range strategies {
		tests.Go(func() { t.Run(string(strategy), func(t *testing.T) { test(t, strategy) }) })
	}
	tests.Wait()
}

// TestStandbyIsLost: while a synchronous standby is away, a commit has no answer, and a repeat must not take what only the primary
// has for applied: the standby may come back as the new primary, without it.
func TestStandbyIsLost(t *testing.T) {
	withStandby(t, func(t *testing.T, strategy lockprovider.Strategy) {
		p := testenv.PostgresWithStandby(t)
		load := newLoad(t, openDatabase(t, p.URL), strategy)
		load.buy(t)
		if err := p.Standby.Kill(); err != nil {
			t.Fatal(err)
		}
		c := load.change()
		for i := range 3 {
			receipt, err := load.provider.Execute(bounded(t), c)
			effect := lockprovider.EffectOf(err)
			unknown := effect == lockprovider.EffectUnknown || i > 0 && effect == lockprovider.EffectNotStarted
			if !unknown || !lockprovider.Retryable(err) {
				t.Errorf("attempt %d without a standby: %+v, error %v, want an unknown outcome that asks for a repeat", i+1, receipt, err)
			}
		}
		if err := p.Primary.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := p.Standby.Restart(); err != nil {
			t.Fatal(err)
		}
		p.Promote(t)
		load.repeat(t, c)
		load.check(t)
	})
}

// TestStandbyComesBack: commits that had no answer are there when the standby is back, and repeats are told so.
func TestStandbyComesBack(t *testing.T) {
	p := testenv.PostgresWithStandby(t)
	db := openDatabase(t, p.URL)
	provider, ledger, c := oneChange(t, db, lockprovider.RowLock, longEnough, testenv.Scaled(500*time.Millisecond))
	if err := p.Standby.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := provider.Execute(bounded(t), c); lockprovider.EffectOf(err) != lockprovider.EffectUnknown {
		t.Errorf("without a standby: %v, want an unknown outcome", err)
	}
	if err := p.Standby.Restart(); err != nil {
		t.Fatal(err)
	}
	if err := untilKnown(t, provider, c); err != nil {
		t.Error(err)
	}
	checkOnce(t, ledger, c)
}

// TestWaitForStandbyIsCanceled: an administrator who ends the wait of a commit for the standby does not make it a success.
func TestWaitForStandbyIsCanceled(t *testing.T) {
	p := testenv.PostgresWithStandby(t)
	db := openDatabase(t, p.URL)
	provider, _, c := oneChange(t, db, lockprovider.RowLock, longEnough, longEnough)
	if err := p.Standby.Kill(); err != nil {
		t.Fatal(err)
	}
	admin, err := sql.Open("pgx", p.Primary.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	ctx, cancel := context.WithCancel(bounded(t))
	defer cancel()
	answer := make(chan error, 1)
	go func() {
		_, err := provider.Execute(ctx, c)
		answer <- err
	}()
	cancelWait := func() (bool, error) {
		result, err := admin.ExecContext(t.Context(), "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
		if err != nil {
			return false, err
		}
		n, err := result.RowsAffected()
		return n > 0, err
	}
	wait(t, "the commit to wait for the standby", cancelWait)
	wait(t, "the look at the change log to wait for the standby", cancelWait)
	if err := testenv.Receive(t, answer, "the answer"); lockprovider.EffectOf(err) != lockprovider.EffectUnknown {
		t.Errorf("error %v, want one of an unknown outcome", err)
	}
}

// untilKnown repeats a change until its outcome is known.
func untilKnown(t *testing.T, p lockprovider.Provider, c lockprovider.Change) error {
	t.Helper()
	ctx, ticker := bounded(t), time.NewTicker(block)
	defer ticker.Stop()
	for {
		_, err := p.Execute(ctx, c)
		if !lockprovider.Retryable(err) || ctx.Err() != nil {
			return err
		}
		<-ticker.C
	}
}

// TestPromotionUnderLoad: the synchronous standby takes the primary's place while customers buy. Nothing that somebody was told
// of is lost, and nothing is done twice.
func TestPromotionUnderLoad(t *testing.T) {
	withStandby(t, promoteUnderLoad)
}

func promoteUnderLoad(t *testing.T, strategy lockprovider.Strategy) {
	const customers, before, after = 8, 20, 5
	p := testenv.PostgresWithStandby(t)
	db := openDatabase(t, p.URL)
	load := newLoad(t, db, strategy)
	var buying sync.WaitGroup
	promoted := make(chan struct{})
	halfway := make(chan struct{}, customers)
	for range customers {
		buying.Go(func() {
			for i := 0; ; i++ {
				if i == before {
					halfway <- struct{}{}
				}
				select {
				case <-promoted:
					for range after {
						load.buy(t)
					}
					return
				default:
					load.buy(t)
				}
			}
		})
	}
	for range customers {
		testenv.Receive(t, halfway, fmt.Sprintf("%d purchases of each customer", before))
	}
	p.Promote(t)
	close(promoted)
	buying.Wait()
	load.check(t)
}

// load is customers who buy of one balance, and what they were told.
type load struct {
	provider lockprovider.Provider
	ledger   *lockprovider.Ledger
	db       *clients.Database
	balance  string

	mu   sync.Mutex
	told []uuid.UUID // that they have bought
}

const loadStock = 1_000_000

func newLoad(t *testing.T, db *clients.Database, strategy lockprovider.Strategy) *load {
	t.Helper()
	l := &load{db: db, balance: lockprovider.StockKey(uuid.NewString())}
	l.ledger = lockprovider.NewLedger(db.Ent, db.Dialect, nil, lockprovider.LedgerSettings{TxRetries: 10, CommitTimeout: testenv.Scaled(time.Second)})
	urls, _ := embedded.start(t)
	nodes := connectTo(urls)(t)
	families := map[lockprovider.Family]lockprovider.FamilyConfig{}
	for _, f := range lockprovider.Families {
		info, _ := lockprovider.Lookup(strategy)
		families[f] = lockprovider.FamilyConfig{Strategy: strategy, Settings: lockprovider.Settings{
			Wait: testenv.Scaled(2 * time.Second), Lease: testenv.Scaled(10 * time.Second), Poll: info.Poll(), Attempts: 100,
			Backoff: time.Millisecond, Ack: lockprovider.AckPersisted,
			Pipeline: lockprovider.PipelineSettings{PersistWait: testenv.Scaled(2 * time.Second), Backlog: 10_000, Remember: time.Hour},
		}}
	}
	instance := uuid.NewString()
	providers, err := lockprovider.Build(lockprovider.Deps{
		Ledger: l.ledger, Redis: nodes[0], Instance: instance, Worker: workers,
	}, families)
	if err != nil {
		t.Fatal(err)
	}
	stop := serve(providertest.Background{Instance: instance, Ledger: l.ledger, Providers: providers})
	t.Cleanup(func() {
		stop()
		if err := errors.Join(providers.Close(), nodes[0].Close()); err != nil {
			t.Error(err)
		}
	})
	l.provider = providers.For(lockprovider.Stock)
	return l
}

func (l *load) change() lockprovider.Change {
	return lockprovider.Change{
		ID: uuid.New(), Family: lockprovider.Stock, Record: lockprovider.Record{Kind: "test"},
		Moves:   []lockprovider.Move{{Balance: l.balance, Delta: -1, Open: &lockprovider.Bounds{Opening: loadStock, Ceiling: loadStock}}},
		Confirm: true,
	}
}

func (l *load) buy(t *testing.T) { l.repeat(t, l.change()) }

func (l *load) repeat(t *testing.T, c lockprovider.Change) {
	if err := untilKnown(t, l.provider, c); err != nil {
		t.Errorf("told %v", err)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = append(l.told, c.ID)
}

// check: all that customers were told is in the database, and nothing else.
func (l *load) check(t *testing.T) {
	t.Helper()
	rows, err := l.db.Ent.ChangeLog.Query().All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	there := map[uuid.UUID]bool{}
	for _, row := range rows {
		there[row.ChangeID] = true
	}
	lost := 0
	for _, id := range l.told {
		if !there[id] {
			lost++
		}
	}
	amounts, err := l.ledger.Amounts(t.Context(), []string{l.balance})
	if err != nil {
		t.Fatal(err)
	}
	if sold := loadStock - int(amounts[l.balance]); lost > 0 || sold != len(l.told) || len(there) != len(l.told) {
		t.Errorf("%d told, %d lost, %d sold, %d in the change log", len(l.told), lost, sold, len(there))
	}
	t.Logf("%d purchases", len(l.told))
}
