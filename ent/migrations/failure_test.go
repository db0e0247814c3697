package migrations

import (
	"context"
	"database/sql"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ariga.io/atlas/sql/migrate"
	"entgo.io/ent/dialect"
	"github.com/go-sql-driver/mysql"
	_ "modernc.org/sqlite" // registers "sqlite"

	"holdfast/internal/testenv"
)

func memDir(t *testing.T, files map[string]string) migrate.Dir {
	t.Helper()
	dir := new(migrate.MemDir)
	for name, content := range files {
		if err := dir.WriteFile(name, []byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	sum, err := dir.Checksum()
	if err != nil {
		t.Fatal(err)
	}
	if err := migrate.WriteSumFile(dir, sum); err != nil {
		t.Fatal(err)
	}
	return dir
}

func openFile(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10)&_pragma=foreign_keys(1)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func query(t *testing.T, db *sql.DB, text string) string {
	t.Helper()
	var value string
	if err := db.QueryRowContext(t.Context(), text).Scan(&value); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return value
}

const (
	parents = "CREATE TABLE parents (id integer PRIMARY KEY);\nINSERT INTO parents VALUES (1);\n"
	// The way in which SQLite alters a table, with the pragmas that Atlas writes around it.
	rebuild = `PRAGMA foreign_keys = off;
CREATE TABLE new_parents (id integer PRIMARY KEY, name text);
INSERT INTO new_parents (id) SELECT id FROM parents;
DROP TABLE parents;
ALTER TABLE new_parents RENAME TO parents;
PRAGMA foreign_keys = on;
`
	children = `CREATE TABLE children (parent integer REFERENCES parents (id) ON DELETE CASCADE);
INSERT INTO children VALUES (1);
`
)

func TestRebuiltTableKeepsItsChildren(t *testing.T) {
	db := openFile(t, filepath.Join(t.TempDir(), "test.db"))
	dir := memDir(t, map[string]string{"0001_a.sql": parents + children, "0002_b.sql": rebuild})
	applied, err := apply(t.Context(), db, dialect.SQLite, dir)
	if err != nil || strings.Join(applied, " ") != "0001_a 0002_b" {
		t.Fatalf("%v, %v", applied, err)
	}
	if n := query(t, db, "SELECT count(*) FROM children"); n != "1" {
		t.Errorf("%s children, want 1", n)
	}
	if on := query(t, db, "PRAGMA foreign_keys"); on != "1" {
		t.Error("foreign keys stay off after a migration")
	}
	if timeout := query(t, db, "PRAGMA busy_timeout"); timeout != "10" {
		t.Errorf("busy_timeout is %s after a migration, want 10 as before", timeout)
	}
}

func TestFailedMigrationLeavesNoTrace(t *testing.T) {
	for name, second := range map[string]string{
		"an error":           "INSERT INTO nothing VALUES (1);\n",
		"a lost foreign key": "DELETE FROM parents;\n",
	} {
		t.Run(name, func(t *testing.T) {
			db := openFile(t, filepath.Join(t.TempDir(), "test.db"))
			dir := memDir(t, map[string]string{"0001_a.sql": parents + children, "0002_b.sql": second})
			if applied, err := apply(t.Context(), db, dialect.SQLite, dir); err == nil || applied != nil {
				t.Errorf("%v, %v, want an error", applied, err)
			}
			if n := query(t, db, "SELECT count(*) FROM sqlite_master"); n != "0" {
				t.Errorf("%s tables, want none", n)
			}
		})
	}
}

// MySQL commits each statement: what was done before the failure is not done again.
func TestFailedMigrationGoesOnInMySQL(t *testing.T) {
	db := openMariaDB(t)
	dir := memDir(t, map[string]string{"0001_a.sql": "CREATE TABLE a (id int);\nINSERT INTO b VALUES (1);\nCREATE TABLE c (id int);\n"})
	if applied, err := apply(t.Context(), db, dialect.MySQL, dir); err == nil || applied != nil {
		t.Fatalf("%v, %v, want an error: there is no table b", applied, err)
	}
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE b (id int)"); err != nil {
		t.Fatal(err)
	}
	applied, err := apply(t.Context(), db, dialect.MySQL, dir)
	if err != nil || strings.Join(applied, " ") != "0001_a" {
		t.Fatalf("%v, %v", applied, err)
	}
	if n := query(t, db, "SELECT count(*) FROM a, b, c"); n != "0" {
		t.Errorf("%s rows, want none in a and c", n)
	}
	if n := query(t, db, "SELECT count(*) FROM b"); n != "1" {
		t.Errorf("%s rows in b, want 1", n)
	}
}

func openMariaDB(t *testing.T) *sql.DB {
	t.Helper()
	address, err := url.Parse(testenv.MariaDB(t))
	if err != nil {
		t.Fatal(err)
	}
	config := mysql.NewConfig()
	config.Net, config.Addr, config.User, config.DBName = "tcp", address.Host, address.User.Username(), address.Path[1:]
	config.Passwd, _ = address.User.Password()
	db, err := sql.Open("mysql", config.FormatDSN())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestChangedMigrationIsRefused(t *testing.T) {
	db := openFile(t, filepath.Join(t.TempDir(), "test.db"))
	dir := memDir(t, map[string]string{"0001_a.sql": parents})
	if err := dir.WriteFile("0001_a.sql", []byte(parents+children)); err != nil { // and the sum stays as it was
		t.Fatal(err)
	}
	if _, err := apply(t.Context(), db, dialect.SQLite, dir); err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("%v, want a complaint about the checksum", err)
	}
}

// Another process holds the file's write lock: Apply waits, and ends with its context.
func TestWaitEndsWithTheContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	other := openFile(t, path)
	if _, err := other.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := apply(ctx, openFile(t, path), dialect.SQLite, memDir(t, map[string]string{"0001_a.sql": parents})); err == nil {
		t.Error("applied while another process writes")
	}
	if took := time.Since(began); took > testenv.Scaled(5*time.Second) {
		t.Errorf("took %s, want 200ms", took)
	}
}
