package testenv

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"holdfast/internal/servers"
)

func TestMain(m *testing.M) {
	code := m.Run()
	err := Stop()
	if err == nil {
		err = goleak.Find()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "after Stop:", err)
		code = 1
	}
	os.Exit(code)
}

// queryTimeout is ample for a server that answers, and what a test waits to see that one does not is short.
const (
	queryTimeout  = time.Minute
	silentTimeout = 300 * time.Millisecond
)

// openSQL opens a URL of this package with the driver that the product uses.
func openSQL(t *testing.T, databaseURL string) *sql.DB {
	t.Helper()
	u, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	var connector driver.Connector
	if u.Scheme == "mysql" {
		config := mysql.NewConfig()
		config.Net, config.Addr, config.DBName = "tcp", u.Host, strings.TrimPrefix(u.Path, "/")
		config.User = u.User.Username()
		config.Passwd, _ = u.User.Password()
		config.Logger = log.New(io.Discard, "", 0)
		connector, err = mysql.NewConnector(config)
	} else {
		var config *pgx.ConnConfig
		if config, err = pgx.ParseConfig(databaseURL); err == nil {
			connector = stdlib.GetConnector(*config)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { db.Close() })
	return db
}

func mustExec(t *testing.T, db *sql.DB, query string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), queryTimeout)
	defer cancel()
	if _, err := db.ExecContext(ctx, query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func queryInt(t *testing.T, db *sql.DB, timeout time.Duration, query string) (int, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	var n int
	err := db.QueryRowContext(ctx, query).Scan(&n)
	return n, err
}

func openRedis(t *testing.T, s *Server) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	// One attempt, and a context that counts: a client that tries again for seconds would slow down every look at a
	// server that is known to be dead.
	options.MaxRetries, options.DialerRetries, options.ContextTimeoutEnabled = -1, 1, true
	client := redis.NewClient(options)
	t.Cleanup(func() { client.Close() })
	return client
}

func TestRedis(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		args []string
		want string // the value after Kill and Restart
	}{
		{name: "in memory", want: ""},
		{name: "append only", args: []string{"--appendonly", "yes"}, want: "1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := Redis(t, test.args...)
			if want := "redis://" + s.Addr + "/0"; s.URL != want {
				t.Errorf("URL = %q, want %q", s.URL, want)
			}
			if err := openRedis(t, s).Set(t.Context(), "key", "1", 0).Err(); err != nil {
				t.Fatal(err)
			}
			addr := s.Addr
			if err := s.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := openRedis(t, s).Ping(t.Context()).Err(); err == nil {
				t.Error("a killed server answers")
			}
			if err := s.Restart(); err != nil {
				t.Fatal(err)
			}
			if s.Addr != addr {
				t.Errorf("Addr after Restart = %q, want %q", s.Addr, addr)
			}
			got, err := openRedis(t, s).Get(t.Context(), "key").Result()
			if err != nil && !errors.Is(err, redis.Nil) {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("value after Kill and Restart = %q, want %q", got, test.want)
			}
		})
	}
}

func TestRedisPause(t *testing.T) {
	t.Parallel()
	s := Redis(t)
	client := openRedis(t, s)
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), silentTimeout)
	defer cancel()
	if err := client.Ping(ctx).Err(); err == nil {
		t.Error("a paused server answers")
	}
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Errorf("after Resume: %v", err)
	}
	// Stop must get through to a paused server, too.
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
}

func TestRedisServersAreApart(t *testing.T) {
	t.Parallel()
	const count = 8
	var (
		mu    sync.Mutex
		addrs = make(map[string]bool)
		wg    sync.WaitGroup
	)
	for range count {
		wg.Go(func() {
			s, err := servers.Start(t.Context(), KindRedis)
			if errors.Is(err, servers.ErrNotInstalled) {
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { _ = s.Stop() })
			mu.Lock()
			defer mu.Unlock()
			if addrs[s.Addr] {
				t.Errorf("%s given out twice", s.Addr)
			}
			addrs[s.Addr] = true
		})
	}
	wg.Wait()
}

// databaseKinds says how to get at the two databases and how they are asked for their settings.
var databaseKinds = []struct {
	kind     Kind
	fresh    func(testing.TB) string
	server   func(testing.TB, ...string) *Server
	timezone string
	utc      string
	argument string // sets max_connections to 17
}{
	{
		KindPostgres, Postgres, PostgresServer,
		"SELECT current_setting('TimeZone')", "UTC",
		"--max_connections=17",
	},
	{
		KindMariaDB, MariaDB, MariaDBServer,
		"SELECT @@session.time_zone", "+00:00",
		"--max-connections=17",
	},
}

func TestDatabase(t *testing.T) {
	t.Parallel()
	for _, test := range databaseKinds {
		t.Run(string(test.kind), func(t *testing.T) {
			t.Parallel()
			var databaseURL string
			t.Run("while the test runs", func(t *testing.T) {
				databaseURL = test.fresh(t)
				db := openSQL(t, databaseURL)
				mustExec(t, db, "CREATE TABLE t (n int)")
				mustExec(t, db, "INSERT INTO t VALUES (41), (1)")
				if n, err := queryInt(t, db, queryTimeout, "SELECT sum(n) FROM t"); err != nil || n != 42 {
					t.Errorf("sum = %d, %v, want 42", n, err)
				}
				var zone string
				if err := db.QueryRowContext(t.Context(), test.timezone).Scan(&zone); err != nil || zone != test.utc {
					t.Errorf("time zone = %q, %v, want %q", zone, err, test.utc)
				}

				// Another call gives another database, and the tables of this one are not in it.
				other := test.fresh(t)
				if other == databaseURL {
					t.Errorf("%s given out twice", other)
				}
				mustExec(t, openSQL(t, other), "CREATE TABLE t (n int)")

				// The clean-up must not wait for what a test has left open.
				leftOpen := openSQL(t, databaseURL)
				tx, err := leftOpen.BeginTx(t.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := tx.ExecContext(t.Context(), "INSERT INTO t VALUES (1)"); err != nil {
					t.Fatal(err)
				}
			})
			if databaseURL == "" {
				return // skipped
			}
			if err := openSQL(t, databaseURL).PingContext(t.Context()); err == nil {
				t.Error("the database outlived its test")
			}
		})
	}
}

func TestPostgresWith(t *testing.T) {
	t.Parallel()
	Need(t, KindPostgres)
	fault, prepared := errors.New("prepare fails"), 0
	prepare := func(ctx context.Context, databaseURL string) error {
		prepared++
		if prepared == 1 {
			return fault
		}
		db, err := sql.Open("pgx", databaseURL)
		if err != nil {
			return err
		}
		defer db.Close()
		_, err = db.ExecContext(ctx, "CREATE TABLE t AS SELECT 42 AS n")
		return err
	}
	if _, err := sharedServers[KindPostgres].get(KindPostgres); err != nil {
		t.Fatal(err)
	}
	if _, err := sharedServers[KindPostgres].template(t.Context(), "of_test", prepare); !errors.Is(err, fault) {
		t.Fatalf("got %v, want the error of prepare", err)
	}
	for range 3 {
		databaseURL := PostgresWith(t, "of_test", prepare)
		db := openSQL(t, databaseURL)
		if n, err := queryInt(t, db, queryTimeout, "SELECT sum(n) FROM t"); err != nil || n != 42 {
			t.Errorf("sum = %d, %v, want what prepare made, and not what another test wrote", n, err)
		}
		mustExec(t, db, "INSERT INTO t VALUES (1)")
	}
	if prepared != 2 {
		t.Errorf("prepare ran %d times, want once without and once with success", prepared)
	}
	if other := openSQL(t, Postgres(t)); other.PingContext(t.Context()) != nil {
		t.Error("no empty database beside them")
	} else if _, err := queryInt(t, other, queryTimeout, "SELECT sum(n) FROM t"); err == nil {
		t.Error("an empty database has tables")
	}
}

func TestDatabaseServer(t *testing.T) {
	t.Parallel()
	for _, test := range databaseKinds {
		t.Run(string(test.kind), func(t *testing.T) {
			t.Parallel()
			s := test.server(t, test.argument)
			db := openSQL(t, s.URL)
			mustExec(t, db, "CREATE TABLE t (n int)")
			mustExec(t, db, "INSERT INTO t VALUES (1)")

			maximum := "SELECT current_setting('max_connections')::int"
			if test.kind == KindMariaDB {
				maximum = "SELECT @@max_connections"
			}
			if n, err := queryInt(t, db, queryTimeout, maximum); err != nil || n != 17 {
				t.Errorf("max_connections = %d, %v, want the argument of the caller, 17", n, err)
			}

			if err := s.Pause(); err != nil {
				t.Fatal(err)
			}
			// This connection is established: were only the listener paused, it would answer.
			if _, err := queryInt(t, db, silentTimeout, "SELECT 1"); err == nil {
				t.Error("a paused server answers")
			}
			if err := s.Resume(); err != nil {
				t.Fatal(err)
			}
			if _, err := queryInt(t, db, queryTimeout, "SELECT count(*) FROM t"); err != nil {
				t.Errorf("after Resume: %v", err)
			}

			// Twice: the second Restart finds what crash recovery made of the first.
			for round := 1; round <= 2; round++ {
				mustExec(t, db, "INSERT INTO t VALUES (1)")
				if err := s.Kill(); err != nil {
					t.Fatal(err)
				}
				if _, err := queryInt(t, db, queryTimeout, "SELECT 1"); err == nil {
					t.Error("a killed server answers")
				}
				if err := s.Restart(); err != nil {
					t.Fatal(err)
				}
				db = openSQL(t, s.URL)
				if n, err := queryInt(t, db, queryTimeout, "SELECT count(*) FROM t"); err != nil || n != 1+round {
					t.Errorf("rows after Kill and Restart = %d, %v, want %d", n, err, 1+round)
				}
			}
			if err := s.Restart(); err != nil {
				t.Errorf("restart of a running server: %v", err)
			}
		})
	}
}

// recorder stands in for the test that is skipped or failed.
type recorder struct {
	testing.TB
	skipped, failed string
}

func (r *recorder) Helper()                           {}
func (r *recorder) Skipf(format string, args ...any)  { r.skipped = fmt.Sprintf(format, args...) }
func (r *recorder) Fatalf(format string, args ...any) { r.failed = fmt.Sprintf(format, args...) }

func TestLeakOption(t *testing.T) { // Not parallel: goroutines of other tests would look like leaks.
	before := goleak.IgnoreCurrent()
	Redis(t)
	if err := goleak.Find(before); err == nil && Have(KindRedis) {
		t.Error("no goroutine attends to the server: is the option still needed?")
	}
	goleak.VerifyNone(t, before, LeakOption())
}

func TestNotInstalled(t *testing.T) { // Not parallel: it sets environment variables.
	const absent Kind = "absent"
	message := servers.Missing(absent).Error()
	if testing.Short() {
		return // need says something else then.
	}
	t.Setenv("REQUIRE_SERVERS", "")
	var lenient recorder
	Need(&lenient, absent)
	if lenient.skipped != message+" to run this test" || lenient.failed != "" {
		t.Errorf("skipped with %q, failed with %q", lenient.skipped, lenient.failed)
	}
	t.Setenv("REQUIRE_SERVERS", "1")
	var strict recorder
	Need(&strict, absent)
	if !strings.HasPrefix(strict.failed, message) || strict.skipped != "" {
		t.Errorf("skipped with %q, failed with %q", strict.skipped, strict.failed)
	}
}
