package clients_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/clients"
	"holdfast/ent"
	"holdfast/ent/balance"
	"holdfast/ent/instance"
	"holdfast/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// kinds are the databases that most tests run on.
var kinds = []string{"sqlite file", "sqlite memory", "postgres", "mariadb"}

// empty opens an empty, migrated database.
func empty(t *testing.T, kind string) *clients.Database {
	t.Helper()
	switch kind {
	case "sqlite file":
		return openMigrated(t, "sqlite://"+filepath.Join(t.TempDir(), "odd name#%25.db"))
	case "postgres":
		return openMigrated(t, testenv.Postgres(t))
	case "mariadb":
		return openMigrated(t, testenv.MariaDB(t))
	default:
		return openMigrated(t, "sqlite://:memory:")
	}
}

func openMigrated(t *testing.T, address string) *clients.Database {
	t.Helper()
	d := open(t, address)
	if _, err := d.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

func open(t *testing.T, address string) *clients.Database {
	t.Helper()
	d, err := clients.OpenDatabase(t.Context(), address, clients.DatabaseOptions{MaxOpen: 8})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

const stock = "stock:product:1"

func openStock(t *testing.T, d *clients.Database, amount int64) {
	t.Helper()
	err := d.Ent.Balance.Create().SetID(stock).SetFamily("STOCK").SetAmount(amount).SetOpening(amount).
		SetFloor(0).SetCeiling(100).Exec(t.Context())
	if err != nil {
		t.Fatal(err)
	}
}

func amount(ctx context.Context, t *testing.T, c *ent.BalanceClient) int64 {
	t.Helper()
	row, err := c.Get(ctx, stock)
	if err != nil {
		t.Fatal(err)
	}
	return row.Amount
}

func TestReadsPassOpenTransactions(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			d := empty(t, kind)
			openStock(t, d, 10)
			ctx, cancel := context.WithTimeout(t.Context(), longEnough) // a deadlock ends here
			defer cancel()
			tx, err := d.Ent.Tx(ctx)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tx.Rollback() }()
			if err := tx.Balance.UpdateOneID(stock).SetAmount(9).Exec(ctx); err != nil {
				t.Fatal(err)
			}
			if got := amount(ctx, t, d.Ent.Balance); got != 10 {
				t.Errorf("outside of the transaction: %d, want 10 until the commit", got)
			}
			if got := amount(ctx, t, tx.Balance); got != 9 {
				t.Errorf("inside the transaction: %d, want its own write, 9", got)
			}
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
			if got := amount(ctx, t, d.Ent.Balance); got != 9 {
				t.Errorf("after the commit: %d, want 9", got)
			}
		})
	}
}

func TestConcurrentWritersLoseNothing(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			d := empty(t, kind)
			openStock(t, d, 0)
			const writers, each = 8, 10
			var all sync.WaitGroup
			for range writers {
				all.Go(func() {
					for range each {
						if err := d.Ent.Balance.UpdateOneID(stock).AddAmount(1).Exec(t.Context()); err != nil {
							t.Error(err)
						}
					}
				})
			}
			all.Wait()
			if got := amount(t.Context(), t, d.Ent.Balance); got != writers*each {
				t.Errorf("%d, want %d", got, writers*each)
			}
		})
	}
}

// An update that changes nothing still finds its row: strategies count rows to see whether a version was the same.
func TestUpdatesCountTheRowsFound(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			d := empty(t, kind)
			openStock(t, d, 10)
			n, err := d.Ent.Balance.Update().Where(balance.ID(stock)).SetAmount(10).Save(t.Context())
			if n != 1 || err != nil {
				t.Errorf("%d rows, %v, want 1", n, err)
			}
		})
	}
}

func TestTimesKeepMicrosecondsAndZone(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			d := empty(t, kind)
			ctx := t.Context()
			for id, at := range map[string]time.Time{
				"a": time.Date(2026, 3, 4, 5, 6, 7, 123456000, time.UTC),
				"b": time.Date(2026, 3, 4, 6, 6, 7, 123457000, time.FixedZone("CET", 3600)), // a microsecond after a
				"c": time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC),
			} {
				create := d.Ent.Instance.Create().SetID(id).SetHost("h").SetStrategies(map[string]string{}).SetHeartbeatAt(at)
				if err := create.Exec(ctx); err != nil {
					t.Fatal(err)
				}
				row, err := d.Ent.Instance.Get(ctx, id)
				if err != nil {
					t.Fatal(err)
				}
				if !row.HeartbeatAt.Equal(at) {
					t.Errorf("%s: wrote %s, read %s", id, at, row.HeartbeatAt)
				}
				if _, offset := row.HeartbeatAt.Zone(); offset != 0 {
					t.Errorf("%s: read %s, want UTC", id, row.HeartbeatAt)
				}
			}
			ids, err := d.Ent.Instance.Query().Order(instance.ByHeartbeatAt()).IDs(ctx)
			if got := strings.Join(ids, ""); got != "cab" || err != nil {
				t.Errorf("in the order of time: %s, %v, want cab", got, err)
			}
			after, err := d.Ent.Instance.Query().
				Where(instance.HeartbeatAtGT(time.Date(2026, 3, 4, 5, 6, 7, 123456000, time.UTC))).IDs(ctx)
			if got := strings.Join(after, ""); got != "b" || err != nil {
				t.Errorf("after a: %s, %v, want b", got, err)
			}
		})
	}
}

func TestTextSurvives(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			d := empty(t, kind)
			for id, name := range map[string]string{
				"upper": "Ünïcode 🧊", "Upper": `quote ' " \' \`, // IDs that differ in case only are different
				"hack": `'; DROP TABLE users; -- \' OR 1=1`, "nul": "a\nb\tc%_?",
			} {
				if err := d.Ent.User.Create().SetID(id).SetName(name).Exec(t.Context()); err != nil {
					t.Fatal(err)
				}
				row, err := d.Ent.User.Get(t.Context(), id)
				if err != nil || row.Name != name {
					t.Errorf("%s: wrote %q, read %v, %v", id, name, row, err)
				}
			}
		})
	}
}

// scan asks inside a transaction: of SQLite, the connection that writes is the one to look at.
func scan(t *testing.T, d *clients.Database, query string) string {
	t.Helper()
	tx, err := d.Ent.Tx(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	rows, err := tx.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	var value string
	if !rows.Next() {
		t.Fatalf("%s: no row, %v", query, rows.Err())
	}
	if err := rows.Scan(&value); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return value
}

func TestSessions(t *testing.T) {
	for _, c := range []struct {
		database, query, want string
	}{
		{"mariadb", "SELECT @@SESSION.tx_isolation", "READ-COMMITTED"},
		{"mariadb", "SELECT @@SESSION.time_zone", "+00:00"},
		{"mariadb", "SELECT @@SESSION.character_set_client", "utf8mb4"},
		{"mariadb", "SELECT @@SESSION.collation_connection", "utf8mb4_bin"},
		{"mariadb", "SELECT @@SESSION.innodb_lock_wait_timeout", "10"},
		{"mariadb", "SELECT TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(), NOW())", "0"},
		{"postgres", "SHOW transaction_isolation", "read committed"},
		{"postgres", "SHOW timezone", "UTC"},
		{"postgres", "SHOW application_name", "holdfast"},
		{"sqlite", "PRAGMA journal_mode", "wal"},
		{"sqlite", "PRAGMA synchronous", "1"},
		{"sqlite", "PRAGMA foreign_keys", "1"},
		{"sqlite", "PRAGMA busy_timeout", "5000"},
	} {
		t.Run(c.database+" "+c.query, func(t *testing.T) {
			var address string
			switch c.database {
			case "mariadb":
				address = testenv.MariaDB(t)
			case "postgres":
				address = testenv.Postgres(t)
			case "sqlite":
				address = "sqlite://" + filepath.Join(t.TempDir(), "test.db")
			}
			d := openMigrated(t, address)
			if got := scan(t, d, c.query); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

func TestSQLiteRefusesToWriteOnAReader(t *testing.T) {
	d := openMigrated(t, "sqlite://:memory:")
	// A statement that begins like a read goes to a reader, whatever else it does; query_only is the second line.
	rows, err := d.Ent.QueryContext(t.Context(), "SELECT 1; DELETE FROM balances")
	if err == nil {
		defer rows.Close()
		for rows.NextResultSet() || rows.Next() {
		}
		err = rows.Err()
	}
	if err == nil || !strings.Contains(err.Error(), "readonly") {
		t.Errorf("%v, want a complaint about a readonly database", err)
	}
	if _, err := d.Ent.ExecContext(t.Context(), "DELETE FROM balances"); err != nil {
		t.Errorf("ExecContext: %v", err)
	}
	returning, err := d.Ent.QueryContext(t.Context(), "INSERT INTO users (id, name, created_at) VALUES ('u', 'U', '2026-01-01 00:00:00+00:00') RETURNING id")
	if err != nil {
		t.Fatalf("INSERT ... RETURNING: %v", err)
	}
	defer func() { _ = returning.Close() }()
	if err := returning.Err(); err != nil {
		t.Error(err)
	}
}

func TestMemoryDatabasesAreSeparateAndLeaveNothing(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	a, err := clients.OpenDatabase(t.Context(), "sqlite://:memory:", clients.DatabaseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b := openMigrated(t, "sqlite://:memory:")
	if _, err := a.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	openStock(t, a, 1)
	if n, err := b.Ent.Balance.Query().Count(t.Context()); n != 0 || err != nil {
		t.Errorf("the other database has %d balances, %v", n, err)
	}
	for _, d := range []*clients.Database{a, b} {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(temporary); len(left) != 0 || err != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestMemoryDatabasesAreAlike compares one that was migrated by its statements with one that is a copy.
func TestMemoryDatabasesAreAlike(t *testing.T) {
	type database struct{ applied, schema, journal, keys string }
	describe := func(address string) (described database) {
		d := open(t, address)
		applied, err := d.Migrate(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		described.applied = strings.Join(applied, " ")
		if again, err := d.Migrate(t.Context()); len(again) != 0 || err != nil {
			t.Errorf("a second migration applied %v, %v", again, err)
		}
		writer := d.Pools()["writer"]
		for query, into := range map[string]*string{
			"SELECT group_concat(name || ': ' || sql, x'0a') FROM (SELECT * FROM sqlite_master ORDER BY name)": &described.schema,
			"PRAGMA journal_mode": &described.journal,
			"PRAGMA foreign_keys": &described.keys,
		} {
			if err := writer.QueryRowContext(t.Context(), query).Scan(into); err != nil {
				t.Fatal(err)
			}
		}
		openStock(t, d, 1) // it can be written to
		return described
	}
	want := describe("sqlite://" + filepath.Join(t.TempDir(), "file.db"))
	if want.applied == "" || want.journal != "wal" {
		t.Fatalf("not what a file is: %+v", want)
	}
	for range 3 {
		if got := describe("sqlite://:memory:"); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

// TestMigrationKeepsWhatItFinds has a copy of the tables take the place of no database that has something in it.
func TestMigrationKeepsWhatItFinds(t *testing.T) {
	openMigrated(t, "sqlite://:memory:") // there is something to copy from now on
	d := open(t, "sqlite://:memory:")
	if _, err := d.Pools()["writer"].ExecContext(t.Context(), "CREATE TABLE mine AS SELECT 7 AS n"); err != nil {
		t.Fatal(err)
	}
	if applied, err := d.Migrate(t.Context()); len(applied) == 0 || err != nil {
		t.Fatalf("applied %v, %v", applied, err)
	}
	var n int
	if err := d.Pools()["reader"].QueryRowContext(t.Context(), "SELECT n FROM mine").Scan(&n); n != 7 || err != nil {
		t.Errorf("the table has %d, %v; want 7", n, err)
	}
	openStock(t, d, 1)
}

func TestOpenDatabaseErrors(t *testing.T) {
	const secret = "hunter2"
	for address, want := range map[string]string{
		"":                                    "not a URL",
		"holdfast.db":                         "not a URL",
		"oracle://u:hunter2@h/db":             `unknown scheme "oracle"`,
		"sqlite://":                           "no file named",
		"sqlite://x.db?mode=ro":               "takes no parameters",
		"sqlite:///nowhere/at/all/x.db":       "unable to open",
		"postgres://u:hunter2@127.0.0.1:1/db": "postgres://u:xxxxx@127.0.0.1:1/db",
		"postgres://u:hunter2@h:port/db":      "port",
		"mysql://u:hunter2@127.0.0.1:1/db":    "mysql://u:xxxxx@127.0.0.1:1/db",
		"mysql://u:hunter2@h:port/db":         "port",
		"mysql://u:hunter2@/db":               "no host named",
		"mysql://u:hunter2@h/db?loc=Nowhere":  "Nowhere",
	} {
		d, err := clients.OpenDatabase(t.Context(), address, clients.DatabaseOptions{})
		if err == nil {
			_ = d.Close()
			t.Errorf("%s: opened", address)
			continue
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v, want %q and no password", address, err, want)
		}
	}
}

func TestRedactURL(t *testing.T) {
	for address, want := range map[string]string{
		"postgres://u:p%40ss@h:5432/db?sslmode=disable":       "postgres://u:xxxxx@h:5432/db?sslmode=disable",
		"postgres://u@h/db":                                   "postgres://u@h/db",
		"postgres://h/db?user=u&password=p":                   "postgres://h/db?password=xxxxx&user=u",
		"redis://:p@h:1,redis://:q@h:2":                       "redis://:xxxxx@h:1,redis://:xxxxx@h:2",
		"redis+sentinel://h/0?master=m&username=u&password=p": "redis+sentinel://h/0?master=m&password=xxxxx&username=u",
		"redis+cluster://u:p@h:1?addr=h:2":                    "redis+cluster://u:xxxxx@h:1?addr=h:2",
		"mysql://u:p@h:port/db":                               "mysql://xxxxx",
		"mysql://u:p/q@h/db":                                  "mysql://xxxxx",
		"u:p@tcp(h)/db":                                       "xxxxx",
		"sqlite://a@b.db":                                     "sqlite://a@b.db",
		"postgres://h/db?sslmode=require&sslpassword=p":       "postgres://h/db?sslmode=require&sslpassword=xxxxx",
		"https://h/v1/metrics?api_key=p&a=b":                  "https://h/v1/metrics?a=b&api_key=xxxxx",
		"kafka://u:p@h:1,u:q@h:2":                             "kafka://u:xxxxx@h:1,xxxxx",
		"kafka://h:1,h:2":                                     "kafka://h:1,h:2",
		"postgres://u:1,p@h/db":                               "postgres://xxxxx,xxxxx", // a comma in the password
		"postgres://u:1,p,q@h/db":                             "postgres://xxxxx,xxxxx,xxxxx",
		"redis://h:1,redis://:p@h:2":                          "redis://h:1,redis://:xxxxx@h:2",
		"embedded":                                            "embedded",
		"":                                                    "",
	} {
		if got := clients.RedactURL(address); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}
