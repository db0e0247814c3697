package migrations

import (
	"context"
	"database/sql"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ariga.io/atlas/sql/migrate"
	"entgo.io/ent/dialect"
	_ "github.com/jackc/pgx/v5/stdlib" // registers "pgx"

	"holdfast/internal/testenv"
)

func openPostgres(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", testenv.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// before returns the migrations of a database, which is called as its folder, before one.
func before(t *testing.T, folder, version string) migrate.Dir {
	t.Helper()
	kept := map[string]string{}
	names, err := fs.Glob(files, folder+"/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if base := filepath.Base(name); base < version {
			content, err := files.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			kept[base] = string(content)
		}
	}
	return memDir(t, kept)
}

// TestMigrationsLockOrdersBeforeTheirLines: the transaction that places an order writes orders, and
// then order_lines. A migration that locks them the other way round would be in a deadlock with it.
func TestMigrationsLockOrdersBeforeTheirLines(t *testing.T) {
	db := openPostgres(t)
	if _, err := apply(t.Context(), db, dialect.Postgres, before(t, "postgres", "0024")); err != nil {
		t.Fatal(err)
	}
	placing, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = placing.Rollback() }()
	write := func(table string) { // the lock of the table that any INSERT takes
		if _, err := placing.ExecContext(t.Context(), "DELETE FROM "+table+" WHERE false"); err != nil {
			t.Error(table, err)
		}
	}
	write("orders")
	migrated := make(chan error, 1)
	go func() {
		_, err := Apply(t.Context(), db, dialect.Postgres)
		migrated <- err
	}()
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Scaled(20*time.Second))
	defer cancel()
	for waits := false; !waits; {
		err := db.QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
			WHERE d.datname = current_database() AND NOT l.granted)`).Scan(&waits)
		if err != nil {
			t.Fatal("waiting for the migration to wait for the order:", err)
		}
	}
	write("order_lines")
	if err := placing.Commit(); err != nil {
		t.Error(err)
	}
	if err := <-migrated; err != nil {
		t.Error(err)
	}
}

// TestAMigrationMayTakeLongerThanTheWait: what is bounded is the wait for another instance, not the
// building of an index.
func TestAMigrationMayTakeLongerThanTheWait(t *testing.T) {
	for dialectName, open := range map[string]func(*testing.T) *sql.DB{
		dialect.SQLite:   func(t *testing.T) *sql.DB { t.Helper(); return openFile(t, filepath.Join(t.TempDir(), "test.db")) },
		dialect.Postgres: openPostgres,
		dialect.MySQL:    openMariaDB,
	} {
		t.Run(dialectName, func(t *testing.T) {
			db := open(t)
			wait := testenv.Scaled(time.Second)
			err := locked(t.Context(), db, dialectName, wait, func(conn *sql.Conn) error {
				if _, err := conn.ExecContext(t.Context(), "CREATE TABLE a (id integer)"); err != nil {
					return err
				}
				<-time.After(wait + wait/10) // as long as an index takes
				_, err := conn.ExecContext(t.Context(), "INSERT INTO a VALUES (1)")
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if n := query(t, db, "SELECT count(*) FROM a"); n != "1" {
				t.Errorf("%s rows, want 1", n)
			}
		})
	}
}

// TestTheWaitForAnotherInstanceEnds: an instance that waits for another one gives up, and says so.
func TestTheWaitForAnotherInstanceEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	for dialectName, open := range map[string]func(*testing.T) *sql.DB{
		dialect.SQLite:   func(t *testing.T) *sql.DB { t.Helper(); return openFile(t, path) },
		dialect.Postgres: openPostgres,
		dialect.MySQL:    openMariaDB,
	} {
		t.Run(dialectName, func(t *testing.T) {
			db := open(t)
			other := db
			if dialectName == dialect.SQLite {
				other = open(t) // which has one connection
			}
			err := locked(t.Context(), db, dialectName, LockWait, func(*sql.Conn) error {
				err := locked(t.Context(), other, dialectName, time.Second, func(*sql.Conn) error { // MySQL counts whole seconds
					t.Error("two instances migrate at the same time")
					return nil
				})
				if err == nil || !strings.Contains(err.Error(), "another instance") {
					t.Errorf("%v, want that another instance is migrating", err)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}
