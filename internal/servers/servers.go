// Package servers boots redis-server, PostgreSQL, PgBouncer and MariaDB, found on PATH or where Debian puts them, on a free port of
// 127.0.0.1, with their data in a temporary directory. Nothing that runs already is touched, and nothing stays behind.
// Experiments and the generator of migrations use it; package testenv makes it convenient for tests.
//
// # Who cleans up
//
// A server ends with its Stop, and all end with [Stop]. A process that never gets there (a panic, a timeout, kill -9) leaves
// no servers either: on Linux the kernel signals them when their parent dies (Pdeathsig), and a janitor, a small shell
// waiting for its standard input to close, removes the data directories. Two gaps are known: off Linux only the data
// directories go, and the backends of a PostgreSQL that is paused while its parent is killed stay stopped.
package servers

import "context"

// Kind names a server program that this package can run.
type Kind string

// The kinds of server.
const (
	KindRedis    Kind = "redis"
	KindPostgres Kind = "postgres"
	KindMariaDB  Kind = "mariadb"
	// KindPgBouncer stands before a PostgreSQL: see [StartPgBouncer].
	KindPgBouncer Kind = "pgbouncer"

	// KindSentinel is redis-server as a Sentinel. It is not in Kinds: it is the same program, from the same package.
	KindSentinel Kind = "redis-sentinel"
)

// Kinds lists every Kind that is a package of its own.
func Kinds() []Kind { return []Kind{KindRedis, KindPostgres, KindPgBouncer, KindMariaDB} }

// CreateDatabase makes an empty database in a PostgreSQL or MariaDB; see [Server.DatabaseURL].
func (s *Server) CreateDatabase(ctx context.Context, name string) error {
	return s.program.createDatabase(ctx, s, name)
}

// DropDatabase removes a database, whoever is connected to it.
func (s *Server) DropDatabase(ctx context.Context, name string) error {
	return s.program.dropDatabase(ctx, s, name)
}

// DatabaseURL is how the product's configuration names a database of the server.
func (s *Server) DatabaseURL(name string) string { return s.program.url(s, name) }
