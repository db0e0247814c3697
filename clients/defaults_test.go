package clients_test

import (
	"database/sql"
	"net/url"
	"strings"
	"sync"
	"testing"

	"holdfast/clients"
	"holdfast/internal/testenv"
)

// otherDefaults are those of a MariaDB server under which a client that relies on the usual ones loses data.
var otherDefaults = []string{
	"--transaction-isolation=SERIALIZABLE", "--autocommit=0", "--completion-type=CHAIN", "--sql-mode=EMPTY_STRING_IS_NULL",
	"--default-storage-engine=Aria", "--default-time-zone=+05:00", "--character-set-server=latin1", "--innodb-lock-wait-timeout=1",
}

// mariaDBWithOtherDefaults is the URL of an empty database of such a server.
func mariaDBWithOtherDefaults(t *testing.T) string {
	t.Helper()
	address := testenv.MariaDBServer(t, otherDefaults...).URL
	db := open(t, address)
	for _, name := range []string{"check_constraint_checks", "unique_checks", "foreign_key_checks"} { // no arguments of the server
		if _, err := db.Ent.ExecContext(t.Context(), "SET GLOBAL "+name+" = 0"); err != nil {
			t.Fatal(err)
		}
	}
	return address
}

// alterDatabase sets a parameter for all sessions of the database of a URL that begin from now on.
func alterDatabase(t *testing.T, address, setting string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "ALTER DATABASE "+strings.TrimPrefix(u.Path, "/")+" SET "+setting); err != nil {
		t.Fatal(err)
	}
}

// A session has what the shop relies on, whatever the defaults of the server.
func TestSessionsOfServersWithOtherDefaults(t *testing.T) {
	mariadb := openMigrated(t, mariaDBWithOtherDefaults(t))
	for query, want := range map[string]string{
		"SELECT @@SESSION.tx_isolation":             "READ-COMMITTED",
		"SELECT @@SESSION.autocommit":               "1",
		"SELECT @@SESSION.completion_type":          "NO_CHAIN",
		"SELECT @@SESSION.check_constraint_checks":  "1",
		"SELECT @@SESSION.unique_checks":            "1",
		"SELECT @@SESSION.foreign_key_checks":       "1",
		"SELECT @@SESSION.time_zone":                "+00:00",
		"SELECT @@SESSION.character_set_client":     "utf8mb4",
		"SELECT @@SESSION.innodb_lock_wait_timeout": "10",
		"SELECT @@SESSION.sql_mode":                 "STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION",
		// Tables without transactions, or in another character set, would lose what is written.
		"SELECT GROUP_CONCAT(DISTINCT engine) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name <> 'holdfast_schema_revisions'":                                         "InnoDB",
		"SELECT GROUP_CONCAT(DISTINCT collation_name) FROM information_schema.columns WHERE table_schema = DATABASE() AND collation_name IS NOT NULL AND table_name <> 'holdfast_schema_revisions'": "utf8mb4_bin",
	} {
		if got := scan(t, mariadb, query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	for _, level := range []string{"serializable", "repeatable read"} {
		address := testenv.Postgres(t)
		alterDatabase(t, address, "default_transaction_isolation = '"+level+"'")
		if got := scan(t, openMigrated(t, address), "SHOW transaction_isolation"); got != "read committed" {
			t.Errorf("default %s: %s, want read committed", level, got)
		}
	}
}

// What is written outside of a transaction is there for others, and what does not fit is refused.
func TestWritesOnServersWithOtherDefaults(t *testing.T) {
	address := mariaDBWithOtherDefaults(t)
	one, two := openMigrated(t, address), openMigrated(t, address)
	openStock(t, one, 10)
	if got := amount(t.Context(), t, two.Ent.Balance); got != 10 {
		t.Errorf("another session reads %d, want 10", got)
	}
	if err := two.Ent.Balance.UpdateOneID(stock).SetAmount(-1).Exec(t.Context()); err == nil {
		t.Error("an amount below the floor was written")
	}
	if _, err := one.Ent.ExecContext(t.Context(), "UPDATE balances SET family = 'A_FAMILY_OF_A_VERY_LONG_NAME'"); err == nil {
		t.Error("a text that is too long was written")
	}
}

// twoSessions are settings of a PgBouncer whose clients share two sessions.
var twoSessions = []string{"pool_mode = transaction", "default_pool_size = 2"}

// Behind a PgBouncer that shares sessions, a URL that says so works, at the usual isolation level.
func TestPgBouncerWithSharedSessions(t *testing.T) {
	address := testenv.PgBouncer(t, testenv.Postgres(t), twoSessions...) + "&pool=transaction"
	one, two := openMigrated(t, address), openMigrated(t, address)
	openStock(t, one, 0)
	const writers, each = 8, 10
	var all sync.WaitGroup
	for i := range writers {
		db := []*clients.Database{one, two}[i%2]
		all.Go(func() {
			for range each {
				if err := db.Ent.Balance.UpdateOneID(stock).AddAmount(1).Exec(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if got := amount(t.Context(), t, two.Ent.Balance); got != writers*each {
		t.Errorf("%d, want %d", got, writers*each)
	}
	for query, want := range map[string]string{
		"SHOW transaction_isolation": "read committed",
		"SHOW timezone":              "UTC",
		"SHOW application_name":      "holdfast",
	} {
		if got := scan(t, one, query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}

// A PgBouncer that gives each client a session of its own is like none at all.
func TestPgBouncerWithSessionsOfTheirOwn(t *testing.T) {
	address := testenv.Postgres(t)
	alterDatabase(t, address, "default_transaction_isolation = 'serializable'")
	pooled := testenv.PgBouncer(t, address, "pool_mode = session") + "&pool=session"
	if got := scan(t, openMigrated(t, pooled), "SHOW transaction_isolation"); got != "read committed" {
		t.Errorf("%s, want read committed", got)
	}
}

// A pooler that the URL does not tell of is refused with advice, and so is one that cannot keep the isolation level.
func TestPgBouncerRefusals(t *testing.T) {
	usual, serializable := testenv.Postgres(t), testenv.Postgres(t)
	alterDatabase(t, serializable, "default_transaction_isolation = 'serializable'")
	for _, test := range []struct{ name, database, parameter, setting, want string }{
		{"not told", usual, "", "", "add pool=transaction to the URL"},
		{
			"told nobody", usual, "", "ignore_startup_parameters = default_transaction_isolation",
			"add pool=transaction to the URL",
		},
		{"unknown", usual, "&pool=statement", "", "want session or transaction"},
		{
			"serializable", serializable, "&pool=transaction", "",
			`ALTER ROLE "holdfast" SET default_transaction_isolation = 'read committed'`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			address := testenv.PgBouncer(t, test.database, append(twoSessions, test.setting)...) + test.parameter
			d, err := clients.OpenDatabase(t.Context(), address, clients.DatabaseOptions{})
			if err == nil {
				_ = d.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}
