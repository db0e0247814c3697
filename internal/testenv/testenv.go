// Package testenv boots real servers for tests: redis-server, PostgreSQL, PgBouncer and MariaDB, found on PATH or where Debian
// puts them, on a free port of 127.0.0.1, with their data in a temporary directory: that of TMPDIR if it is set, else one in memory if
// Linux has room for it there. Nothing that runs already is touched, and nothing stays behind.
//
//	url := testenv.Postgres(t)      // a fresh database in a server shared by the tests of this process
//	rdb := testenv.Redis(t)         // a private server: rdb.Kill(), rdb.Restart(), rdb.Pause(), rdb.Resume()
//	db := testenv.MariaDBServer(t)  // the same for a database
//	set := testenv.RedisSentinel(t) // a master, two replicas, three Sentinels: set.Promote(ctx)
//	c := testenv.RedisCluster(t)    // three masters: c.MoveSlot(ctx, key)
//	p := testenv.PostgresWithStandby(t) // p.Promote(t)
//
// Where a program is missing the test is skipped, and the message names the Debian package. With REQUIRE_SERVERS=1 in
// the environment it fails instead, so that continuous integration cannot pass by skipping. Databases, which take
// seconds to set up, are skipped under -short; Redis is not.
//
// A private server stops at the cleanup of its test. A shared one stops in [Main] or [Stop]. Package servers sees to those of
// a test process that never gets there.
//
// A server runs goroutines in this process; a test that looks for leaked ones passes [LeakOption] to goleak.
package testenv

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"holdfast/internal/servers"
)

type (
	// Kind names a server program, see package servers.
	Kind = servers.Kind
	// Server is one running server, see package servers.
	Server = servers.Server
)

// The kinds of server.
const (
	KindRedis    = servers.KindRedis
	KindPostgres = servers.KindPostgres
	KindMariaDB  = servers.KindMariaDB
	KindSentinel = servers.KindSentinel

	KindPgBouncer = servers.KindPgBouncer
)

// Have says whether the programs of this kind of server are installed.
func Have(kind Kind) bool { return servers.Have(kind) }

// Redis starts a private redis-server that stops with the test. It persists nothing, so that it is empty after
// Kill and Restart; with the arguments "--appendonly", "yes" every acknowledged write survives. Further arguments are
// handed to redis-server.
func Redis(t testing.TB, args ...string) *Server {
	t.Helper()
	return private(t, KindRedis, args)
}

// PostgresServer starts a private PostgreSQL that stops with the test. Its URL names an empty database. The arguments
// are handed to postgres and override this package's own, for example "-c", "max_connections=10".
// It takes some seconds: a test that does not break its server uses [Postgres].
func PostgresServer(t testing.TB, args ...string) *Server {
	t.Helper()
	return private(t, KindPostgres, args)
}

// MariaDBServer starts a private MariaDB that stops with the test. Its URL names an empty database. The arguments are
// handed to mariadbd and override this package's own, for example "--max-connections=10".
// It takes some seconds: a test that does not break its server uses [MariaDB].
func MariaDBServer(t testing.TB, args ...string) *Server {
	t.Helper()
	return private(t, KindMariaDB, args)
}

// Postgres creates an empty database for this test and returns its URL:
// postgres://user:password@127.0.0.1:port/name?sslmode=disable. The database goes with the test; the server behind it
// is shared by the tests of this process.
func Postgres(t testing.TB) string {
	t.Helper()
	return database(t, KindPostgres)
}

// PostgresWith creates a database like [Postgres], with what prepare made in the first one of the same name: PostgreSQL copies a
// database in a fraction of the time that its tables take to be made. prepare leaves no connection open.
func PostgresWith(t testing.TB, name string, prepare func(ctx context.Context, databaseURL string) error) string {
	t.Helper()
	return created(t, KindPostgres, func(ctx context.Context, s *Server, database string) error {
		template, err := sharedServers[KindPostgres].template(ctx, name, prepare)
		if err != nil {
			return err
		}
		return s.CopyDatabase(ctx, database, template)
	})
}

// MariaDB creates an empty database for this test and returns its URL: mysql://user:password@127.0.0.1:port/name.
// The database goes with the test; the server behind it is shared by the tests of this process.
func MariaDB(t testing.TB) string {
	t.Helper()
	return database(t, KindMariaDB)
}

// Tests create and remove hundreds of databases, of hundreds of files each.
func init() { servers.KeepInMemory() }

// Main runs the tests, stops what this package has started and exits. It is the body of a TestMain:
//
//	func TestMain(m *testing.M) { testenv.Main(m) }
func Main(m *testing.M) {
	code := m.Run()
	if err := Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "testenv:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// Stop stops every server that this process has started and removes the temporary directory. It is called when no test
// is running; servers may be started again afterwards.
func Stop() error {
	err := servers.Stop()
	for _, s := range sharedServers {
		s.forget()
	}
	return err
}

// LeakOption makes goleak overlook the goroutines that attend to running servers.
func LeakOption() goleak.Option { return goleak.IgnoreAnyFunction(servers.Background) }

// Need skips the test, or fails it under REQUIRE_SERVERS=1, where the program is not installed.
func Need(t testing.TB, kind Kind) {
	t.Helper()
	if kind != KindRedis && kind != KindSentinel && testing.Short() {
		t.Skipf("%s takes seconds to set up: skipped under -short", kind)
	}
	err := servers.Missing(kind)
	switch {
	case err == nil:
	case os.Getenv("REQUIRE_SERVERS") == "1":
		t.Fatalf("%v (REQUIRE_SERVERS=1 forbids to skip)", err)
	default:
		t.Skipf("%v to run this test", err)
	}
}

// PgBouncer starts a PgBouncer before the server of [Postgres], which stops with the test, and returns the URL at which a
// database of that server is there. The settings are lines of PgBouncer's configuration, such as "pool_mode = transaction".
func PgBouncer(t testing.TB, databaseURL string, settings ...string) string {
	t.Helper()
	Need(t, KindPgBouncer)
	upstream, err := sharedServers[KindPostgres].get(KindPostgres)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(databaseURL)
	if err != nil || u.Host != upstream.Addr {
		t.Fatalf("%s (%v) is no database of the server at %s", databaseURL, err, upstream.Addr)
	}
	pooler := stopped(t, func() (*Server, error) { return servers.StartPgBouncer(t.Context(), upstream, settings...) })
	return pooler.DatabaseURL(strings.TrimPrefix(u.Path, "/"))
}

func private(t testing.TB, kind Kind, args []string) *Server {
	t.Helper()
	Need(t, kind)
	return stopped(t, func() (*Server, error) { return servers.Start(t.Context(), kind, args...) })
}

// stopped starts a server that stops with the test.
func stopped(t testing.TB, start func() (*Server, error)) *Server {
	t.Helper()
	s, err := start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// sharedServers holds at most one server of a kind. Each kind has its own lock, so that a test of MariaDB need not wait
// until PostgreSQL has been set up.
var sharedServers = map[Kind]*sharedServer{KindPostgres: {}, KindMariaDB: {}}

type sharedServer struct {
	mu        sync.Mutex
	server    *Server
	err       error           // A failed start is not tried again: every test would wait for the timeout.
	templates map[string]bool // the databases that are copied
}

func (s *sharedServer) get(kind Kind) (*Server, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil && s.err == nil {
		// The server outlives the test that happens to need it first, and so must its start: no t.Context here.
		s.server, s.err = servers.Start(context.Background(), kind)
	}
	return s.server, s.err
}

func (s *sharedServer) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.server, s.err, s.templates = nil, nil, nil
}

// template returns the database that those of this name are copies of. The server has been started.
func (s *sharedServer) template(ctx context.Context, name string, prepare func(ctx context.Context, databaseURL string) error) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	template := "template_" + name
	if s.templates[name] {
		return template, nil
	}
	if err := s.server.CreateDatabase(ctx, template); err != nil {
		return "", err
	}
	if err := prepare(ctx, s.server.DatabaseURL(template)); err != nil {
		return "", errors.Join(err, s.server.DropDatabase(ctx, template))
	}
	if s.templates == nil {
		s.templates = map[string]bool{}
	}
	s.templates[name] = true
	return template, nil
}

var databases atomic.Int64

// databaseTimeout bounds the creation and the removal of one database.
const databaseTimeout = 30 * time.Second

func database(t testing.TB, kind Kind) string {
	t.Helper()
	return created(t, kind, func(ctx context.Context, s *Server, name string) error { return s.CreateDatabase(ctx, name) })
}

// created is a database of the shared server, which goes with the test.
func created(t testing.TB, kind Kind, create func(ctx context.Context, s *Server, name string) error) string {
	t.Helper()
	Need(t, kind)
	s, err := sharedServers[kind].get(kind)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("test_%d", databases.Add(1))
	ctx, cancel := context.WithTimeout(t.Context(), databaseTimeout)
	defer cancel()
	if err := create(ctx, s, name); err != nil {
		t.Fatalf("testenv: create database %s: %v\n%s", name, err, s.LogTail())
	}
	t.Cleanup(func() {
		// The context of a test has ended when its cleanup runs.
		ctx, cancel := context.WithTimeout(context.Background(), databaseTimeout)
		defer cancel()
		if err := s.DropDatabase(ctx, name); err != nil {
			t.Logf("testenv: drop database %s: %v", name, err) // It goes with the server: no reason to fail the test.
		}
	})
	return s.DatabaseURL(name)
}

// Patience bounds everything that must happen in a test, on a loaded machine too: only what hangs should fail.
const Patience = 3 * time.Minute

// Receive takes the next value from a channel, or the zero value from a closed one. It fails the test if there is none within
// [Patience], and says what it waited for.
func Receive[T any](t testing.TB, from <-chan T, what string) T {
	t.Helper()
	timer := time.NewTimer(Patience)
	defer timer.Stop()
	select {
	case v := <-from:
		return v
	case <-timer.C:
		t.Fatalf("waited %s for %s", Patience, what)
		panic("unreachable")
	}
}
