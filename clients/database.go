// Package clients opens what the configuration names: the database and Redis, embedded or real.
package clients

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"

	"holdfast/config/setting"
	"holdfast/ent"
	"holdfast/ent/migrations"
)

const (
	// connectTimeout bounds one attempt to connect, where the URL says nothing else. Without a bound, a host that drops
	// packets keeps a start waiting for minutes.
	connectTimeout = 5 * time.Second
	// maxIdleTime is how long a connection may be unused before it is closed, so that a pool shrinks after a peak and
	// does not keep connections that a firewall has forgotten.
	maxIdleTime = 5 * time.Minute
)

// DatabaseOptions are the bounds of a database's connection pool.
type DatabaseOptions struct {
	// MaxOpen is the number of connections of PostgreSQL and MySQL, and of readers of SQLite, which has exactly one writer besides.
	MaxOpen int `key:"maxOpen" default:"32" min:"1" max:"10000"`
}

// Database is an open database.
type Database struct {
	// Ent is the client for everything that is done with rows.
	Ent *ent.Client
	// Dialect is dialect.SQLite, dialect.Postgres or dialect.MySQL of entgo.io/ent/dialect; MariaDB is MySQL.
	Dialect string

	driver  dialect.Driver // of Ent
	writer  *sql.DB        // of SQLite the one writer, of the others the only pool
	reader  *sql.DB        // of SQLite, nil of the others
	dir     string         // of SQLite in memory, where the files that stand for the memory are
	cleanup func() error
}

// OpenDatabase connects to the database of a URL and returns an error, with the password redacted, where that does not
// answer. It does not create tables; see [Database.Migrate]. The URL is one of
//
//	sqlite://path/to/file.db         a file, created where it does not exist; sqlite:///path for an absolute path
//	sqlite://:memory:                an empty database of its own at each open, gone at Close
//	postgres://user:password@host:port/name?sslmode=...   also postgresql://; parameters are those of pgx, and pool=transaction
//	                                                      or pool=session if PgBouncer or another pooler stands before it
//	mysql://user:password@host:port/name?tls=...          also mariadb://; parameters are those of go-sql-driver/mysql
func OpenDatabase(ctx context.Context, url string, o DatabaseOptions) (*Database, error) {
	setting.Fill(&o)
	d, err := open(ctx, url, o)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", RedactURL(url), err)
	}
	return d, nil
}

// DialectOf returns ent's name of the database that a URL leads to, by its scheme; "" if no database has that scheme.
func DialectOf(url string) string {
	switch scheme, _, _ := strings.Cut(url, "://"); scheme {
	case "sqlite":
		return dialect.SQLite
	case "postgres", "postgresql":
		return dialect.Postgres
	case "mysql", "mariadb":
		return dialect.MySQL
	}
	return ""
}

func open(ctx context.Context, url string, o DatabaseOptions) (*Database, error) {
	scheme, rest, found := strings.Cut(url, "://")
	if !found {
		return nil, errors.New("not a URL, such as sqlite://holdfast.db")
	}
	var (
		pool *sql.DB
		err  error
	)
	name := DialectOf(url)
	switch name {
	case dialect.SQLite:
		return openSQLite(ctx, rest, o)
	case dialect.Postgres:
		pool, err = openPostgres(url)
	case dialect.MySQL:
		pool, err = openMySQL(rest)
	default:
		return nil, fmt.Errorf("unknown scheme %q: want sqlite, postgres, postgresql, mysql or mariadb", scheme)
	}
	if err != nil {
		return nil, err
	}
	bound(pool, o.MaxOpen)
	if err := pool.PingContext(ctx); err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	driver := entsql.OpenDB(name, pool)
	client := ent.NewClient(ent.Driver(driver))
	return &Database{Ent: client, Dialect: name, driver: driver, writer: pool, cleanup: func() error { return nil }}, nil
}

// bound keeps as many connections idle as may be open: database/sql's default of 2 closes and opens them all the time
// under load.
func bound(pool *sql.DB, maxOpen int) {
	pool.SetMaxOpenConns(maxOpen)
	pool.SetMaxIdleConns(maxOpen)
	pool.SetConnMaxIdleTime(maxIdleTime)
}

// Ping tells whether the database answers.
func (d *Database) Ping(ctx context.Context) error { return d.writer.PingContext(ctx) }

// Pools are the pools of connections by a name for their metrics.
func (d *Database) Pools() map[string]*sql.DB {
	if d.reader == nil {
		return map[string]*sql.DB{"main": d.writer}
	}
	return map[string]*sql.DB{"writer": d.writer, "reader": d.reader}
}

// Migrate brings the tables up to date and returns the versions that it applied. Instances may call it at the same time:
// one of them applies, the others wait.
func (d *Database) Migrate(ctx context.Context) (applied []string, err error) {
	if d.dir != "" {
		return d.migrateInMemory(ctx)
	}
	return migrations.Apply(ctx, d.writer, d.Dialect)
}

// Pending returns the versions that Migrate would apply.
func (d *Database) Pending(ctx context.Context) ([]string, error) {
	return migrations.Pending(ctx, d.writer, d.Dialect)
}

// Through returns the same database for one whose statements go through what wrap returns, such as one that has them fail. It is
// closed with d, and not by itself.
func (d *Database) Through(wrap func(dialect.Driver) dialect.Driver) *Database {
	through := *d
	through.driver = wrap(d.driver)
	through.Ent = ent.NewClient(ent.Driver(through.driver))
	return &through
}

// Close closes all connections; it waits for those in use.
func (d *Database) Close() error { return errors.Join(d.Ent.Close(), d.cleanup()) }
