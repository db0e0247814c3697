package lockprovider_test

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	"github.com/google/uuid"

	"holdfast/clients"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
)

// heldCommits is a PostgreSQL database whose COMMIT does not answer while a lock is held, as if a synchronous standby were lost.
const heldCommits = `
CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER hold AFTER INSERT ON change_logs DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hold()`

// TestCommitThatDoesNotAnswer: the wait for locks does not end a commit, and a commit without an answer is told as such.
func TestCommitThatDoesNotAnswer(t *testing.T) {
	for _, database := range databases {
		if database.name != dialect.Postgres {
			continue
		}
		url := database.url(t)
		db := openDatabase(t, url)
		observer, err := sql.Open("pgx", url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = observer.Close() })
		if _, err := observer.ExecContext(t.Context(), heldCommits); err != nil {
			t.Fatal(err)
		}
		for _, strategy := range []lockprovider.Strategy{
			lockprovider.RowLock, lockprovider.AtomicSQL, lockprovider.Optimistic, lockprovider.GroupCommit,
		} {
			t.Run(string(strategy)+"/answers late", func(t *testing.T) { commitAnswersLate(t, db, observer, strategy) })
			t.Run(string(strategy)+"/never answers", func(t *testing.T) { commitNeverAnswers(t, db, observer, strategy) })
		}
	}
}

// holdCommits keeps commits from answering until release is called.
func holdCommits(t *testing.T, observer *sql.DB) (release func()) {
	t.Helper()
	conn, err := observer.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(t.Context(), "SELECT pg_advisory_lock(1)"); err != nil {
		t.Fatal(err)
	}
	release = sync.OnceFunc(func() {
		if _, err := conn.ExecContext(context.WithoutCancel(t.Context()), "SELECT pg_advisory_unlock(1)"); err != nil {
			t.Error(err)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(release) // or the next test waits for ever
	return release
}

// startCommit starts a change and returns when its COMMIT has been sent, or when the change was answered before that was seen.
func startCommit(t *testing.T, observer *sql.DB, p lockprovider.Provider, c lockprovider.Change) (answer chan error) {
	t.Helper()
	answer = make(chan error, 1)
	go func() {
		_, err := p.Execute(t.Context(), c)
		answer <- err
	}()
	for began := time.Now(); ; {
		select {
		case err := <-answer:
			answer <- err
			return answer
		default:
		}
		var waiting int
		err := observer.QueryRowContext(t.Context(), "SELECT count(*) FROM pg_stat_activity "+
			"WHERE datname = current_database() AND wait_event = 'advisory' AND query ILIKE 'commit%'").Scan(&waiting)
		switch {
		case err != nil:
			t.Fatal(err)
		case waiting > 0:
			return answer
		case time.Since(began) > longEnough:
			t.Fatalf("waited %v for a COMMIT that waits", longEnough)
		}
	}
}

func commitAnswersLate(t *testing.T, db *clients.Database, observer *sql.DB, s lockprovider.Strategy) {
	commitAnswersAfter(t, db, observer, s, testenv.Scaled(200*time.Millisecond))
}

// commitAnswersAfter has a commit answer when the wait for locks is long over. A machine that is so slow that this wait ends before the commit begins
// gets a longer one.
func commitAnswersAfter(t *testing.T, db *clients.Database, observer *sql.DB, s lockprovider.Strategy, wait time.Duration) {
	t.Helper()
	provider, ledger, c := oneChange(t, db, s, wait, longEnough)
	release := holdCommits(t, observer)
	answer := startCommit(t, observer, provider, c)
	select {
	case err := <-answer:
		if lockprovider.EffectOf(err) == lockprovider.EffectNotStarted && wait < longEnough {
			release()
			commitAnswersAfter(t, db, observer, s, 4*wait)
			return
		}
		t.Fatalf("answered before its commit had: %v", err)
	case <-time.After(2 * wait): // the wait for locks is over
	}
	release()
	if err := <-answer; err != nil {
		t.Errorf("error %v, want none: the database has committed", err)
	}
	checkOnce(t, ledger, c)
}

func commitNeverAnswers(t *testing.T, db *clients.Database, observer *sql.DB, s lockprovider.Strategy) {
	provider, ledger, c := oneChange(t, db, s, longEnough, testenv.Scaled(200*time.Millisecond))
	release := holdCommits(t, observer)
	err := <-startCommit(t, observer, provider, c)
	if lockprovider.EffectOf(err) != lockprovider.EffectUnknown || !errors.Is(err, lockprovider.ErrUnavailable) {
		t.Errorf("error %v, want one of an unknown outcome that asks for a repeat", err)
	}
	release()
	provider, _, _ = oneChange(t, db, s, longEnough, longEnough)
	if _, err := provider.Execute(t.Context(), c); err != nil {
		t.Errorf("repeat: %v", err)
	}
	checkOnce(t, ledger, c)
}

// oneChange is a change of a balance of its own, and a provider of its strategy with the given bounds.
func oneChange(
	t *testing.T, db *clients.Database, s lockprovider.Strategy, wait, commit time.Duration,
) (lockprovider.Provider, *lockprovider.Ledger, lockprovider.Change) {
	t.Helper()
	ledger := lockprovider.NewLedger(db.Ent, db.Dialect, nil, lockprovider.LedgerSettings{TxRetries: 5, CommitTimeout: commit})
	families := map[lockprovider.Family]lockprovider.FamilyConfig{}
	for _, f := range lockprovider.Families {
		families[f] = lockprovider.FamilyConfig{Strategy: s, Settings: lockprovider.Settings{Wait: wait, Attempts: 3}}
	}
	providers, err := lockprovider.Build(lockprovider.Deps{Ledger: ledger}, families)
	if err != nil {
		t.Fatal(err)
	}
	balance := lockprovider.StockKey(uuid.NewString())
	open := lockprovider.Bounds{Opening: 10, Ceiling: 100}
	return providers.For(lockprovider.Stock), ledger, lockprovider.Change{
		ID: uuid.New(), Family: lockprovider.Stock, Record: lockprovider.Record{Kind: "test"},
		Moves: []lockprovider.Move{{Balance: balance, Delta: -1, Open: &open}},
	}
}

// checkOnce: a change of oneChange is applied once.
func checkOnce(t *testing.T, l *lockprovider.Ledger, c lockprovider.Change) {
	t.Helper()
	amounts, err := l.Amounts(t.Context(), c.Balances())
	if err != nil || amounts[c.Moves[0].Balance] != 9 {
		t.Errorf("amounts %v, error %v, want 9", amounts, err)
	}
}
