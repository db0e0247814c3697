package locktest_test

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"

	"holdfast/internal/testenv"
	"holdfast/lockprovider/lock"
	"holdfast/lockprovider/lock/locktest"
)

// TestPostgres proves the advisory locks. What they lack is a token: PostgreSQL has none to give.
func TestPostgres(t *testing.T) {
	t.Parallel()
	address := testenv.Postgres(t)
	connect := func(t testing.TB) *sql.DB { return openDatabase(t, "pgx", address) }
	t.Run("canceled_waiter_leaves_the_queue", func(t *testing.T) {
		t.Parallel()
		db := connect(t)
		checkLeavesQueue(t, db, lock.NewPostgres(db, patient, lock.NoMetrics{}), func(key string) (query string, argument any) {
			return `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objsubid = 1
				AND (classid::bigint << 32) | objid::bigint = $1`, lock.PostgresKey(key)
		})
	})
	locktest.Run(t, locktest.Harness{
		Lacks: []locktest.Trait{locktest.Fencing},
		Open: func(t testing.TB, s lock.Settings) lock.Locker {
			return lock.NewPostgres(connect(t), s, lock.NoMetrics{})
		},
		Forget: func(t testing.TB, key string) {
			number := lock.PostgresKey(key)
			var ended bool
			err := connect(t).QueryRowContext(context.WithoutCancel(t.Context()), `SELECT pg_terminate_backend(pid) FROM pg_locks
				WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND (classid::bigint << 32) | objid::bigint = $1`,
				number).Scan(&ended)
			if err != nil || !ended {
				t.Errorf("end the session that holds %d: %v, %v", number, ended, err)
			}
		},
	})
}

// TestMariaDB proves GET_LOCK.
func TestMariaDB(t *testing.T) {
	t.Parallel()
	address, err := url.Parse(testenv.MariaDB(t))
	if err != nil {
		t.Fatal(err)
	}
	config := mysql.NewConfig()
	config.Net, config.Addr, config.User, config.DBName = "tcp", address.Host, address.User.Username(), address.Path[1:]
	config.Logger = &mysql.NopLogger{} // It reports every session that a scenario ends.
	config.Passwd, _ = address.User.Password()
	connect := func(t testing.TB) *sql.DB { return openDatabase(t, "mysql", config.FormatDSN()) }
	t.Run("canceled_waiter_leaves_the_queue", func(t *testing.T) { // Not parallel: it counts all who wait.
		db := connect(t)
		checkLeavesQueue(t, db, lock.NewMariaDB(db, patient, lock.NoMetrics{}), func(string) (query string, argument any) {
			return "SELECT count(*) FROM information_schema.processlist WHERE state = ?", "User lock"
		})
	})
	locktest.Run(t, locktest.Harness{
		Lacks: []locktest.Trait{locktest.Fencing},
		Open: func(t testing.TB, s lock.Settings) lock.Locker {
			return lock.NewMariaDB(connect(t), s, lock.NoMetrics{})
		},
		Forget: func(t testing.TB, key string) {
			db, ctx := connect(t), context.WithoutCancel(t.Context())
			var session int64
			if err := db.QueryRowContext(ctx, "SELECT IS_USED_LOCK(?)", lock.MariaDBName(key)).Scan(&session); err != nil {
				t.Error(err)
				return
			}
			if _, err := db.ExecContext(ctx, "KILL ?", session); err != nil {
				t.Error(err)
			}
		},
	})
}

func openDatabase(t testing.TB, driver, address string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// patient are bounds that no test reaches.
var patient = lock.Settings{Wait: 10 * time.Minute, Lease: 10 * time.Minute}

// checkLeavesQueue checks that the database does not keep a place in the queue for a caller that has gone. It would hand the lock to
// nobody, and the dead waiters of a busy shop would use up the connections of the server.
func checkLeavesQueue(t *testing.T, db *sql.DB, locks lock.Locker, waiters func(key string) (query string, argument any)) {
	t.Helper()
	const key = "canceled"
	query, argument := waiters(key)
	await := func(want int) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; {
			var n int
			if err := db.QueryRowContext(t.Context(), query, argument).Scan(&n); err != nil {
				t.Fatal(err)
			}
			if n == want {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("waited a minute for %d to wait in the database: %d do", want, n)
			}
		}
	}
	_, lease, err := locks.Lock(t.Context(), []string{key})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, _, err := locks.Lock(ctx, []string{key})
		gone <- err
	}()
	await(1)
	cancel()
	if err := testenv.Receive(t, gone, "the canceled caller"); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	await(0)
	if err := lease.Unlock(t.Context()); err != nil {
		t.Error(err)
	}
}
