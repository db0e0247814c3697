package clients

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"modernc.org/sqlite"

	"holdfast/ent"
)

// inMemory asks for a database that nobody else sees.
const inMemory = ":memory:"

// openSQLite opens the file with one connection that writes and a pool that reads.
//
// SQLite has one writer at a time, whatever the number of connections: more of them give the same rate and seconds of
// waiting, because they poll for the lock. A pool of one queues in order instead. But then a read outside of an open
// transaction would wait for that transaction's connection, in the worst case forever, so reads have a pool of their own.
func openSQLite(ctx context.Context, path string, o DatabaseOptions) (*Database, error) {
	dir := ""
	cleanup := func() error { return nil }
	synchronous := "NORMAL" // with WAL: survives the end of the process; a power cut may undo the last commits
	switch {
	case path == "":
		return nil, errors.New("no file named, as in sqlite://holdfast.db")
	case strings.Contains(path, "?"):
		return nil, errors.New("SQLite takes no parameters")
	case path == inMemory:
		// SQLite's own memory databases cannot do this: with a shared cache a reader fails with SQLITE_LOCKED while a
		// transaction writes (WAL, which lets it read on, needs a file), and a private one has one connection only.
		var err error
		if dir, err = os.MkdirTemp("", "holdfast-db-"); err != nil {
			return nil, err
		}
		cleanup = func() error { return os.RemoveAll(dir) }
		path, synchronous = filepath.Join(dir, "memory.db"), "OFF"
	}
	d, err := openSQLiteFile(ctx, path, synchronous, o)
	if err != nil {
		return nil, errors.Join(err, cleanup())
	}
	d.cleanup, d.dir = cleanup, dir
	return d, nil
}

func openSQLiteFile(ctx context.Context, path, synchronous string, o DatabaseOptions) (*Database, error) {
	writer, err := sqlitePool(path, url.Values{
		// Transactions take the write lock when they begin. Deferred ones take it at their first write, where another
		// process may have written since their first read: they fail then, and in great numbers.
		"_txlock":       {"immediate"},
		"_journal_mode": {"WAL"},
		"_synchronous":  {synchronous},
		"_foreign_keys": {"on"},
	})
	if err != nil {
		return nil, err
	}
	bound(writer, 1)
	writer.SetConnMaxIdleTime(0)
	// The writer first: it creates the file and switches it to WAL, which a reader may not.
	if err := writer.PingContext(ctx); err != nil {
		return nil, errors.Join(err, writer.Close())
	}
	reader, err := sqlitePool(path, url.Values{"_query_only": {"on"}})
	if err != nil {
		return nil, errors.Join(err, writer.Close())
	}
	bound(reader, o.MaxOpen)
	if err := reader.PingContext(ctx); err != nil {
		return nil, errors.Join(err, reader.Close(), writer.Close())
	}
	driver := &sqliteDriver{
		writer: entsql.OpenDB(dialect.SQLite, writer),
		reader: entsql.OpenDB(dialect.SQLite, reader),
	}
	client := ent.NewClient(ent.Driver(driver))
	return &Database{Ent: client, Dialect: dialect.SQLite, driver: driver, writer: writer, reader: reader}, nil
}

func sqlitePool(path string, parameters url.Values) (*sql.DB, error) {
	parameters.Set("_busy_timeout", "5000") // milliseconds to wait for a writer in another process
	// Times are text of one format in one zone, so that comparing the text compares the times.
	parameters.Set("_time_format", "sqlite")
	parameters.Set("_timezone", "UTC")
	connector, err := sqlite.NewConnector(sqliteName(path, parameters))
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// sqliteName is what SQLite calls a file that it opens with parameters.
func sqliteName(path string, parameters url.Values) string {
	name := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: parameters.Encode()}
	return name.String()
}

// sqliteDriver is an ent driver that reads from a pool and writes through one connection.
//
// A query that begins with SELECT reads; everything else, INSERT ... RETURNING included, writes. Transactions are the
// writer's, whatever they do.
type sqliteDriver struct {
	writer, reader *entsql.Driver
}

var _ dialect.Driver = (*sqliteDriver)(nil)

func (d *sqliteDriver) route(query string) *entsql.Driver {
	const read = "SELECT"
	query = strings.TrimLeft(query, " \t\r\n(")
	if len(query) >= len(read) && strings.EqualFold(query[:len(read)], read) {
		return d.reader
	}
	return d.writer
}

func (d *sqliteDriver) Dialect() string { return dialect.SQLite }

func (d *sqliteDriver) Exec(ctx context.Context, query string, args, v any) error {
	return d.writer.Exec(ctx, query, args, v)
}

func (d *sqliteDriver) Query(ctx context.Context, query string, args, v any) error {
	return d.route(query).Query(ctx, query, args, v)
}

// ExecContext and QueryContext serve the methods of the same name of ent's clients.
func (d *sqliteDriver) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return d.writer.ExecContext(ctx, query, args...)
}

func (d *sqliteDriver) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return d.route(query).QueryContext(ctx, query, args...)
}

func (d *sqliteDriver) Tx(ctx context.Context) (dialect.Tx, error) { return d.BeginTx(ctx, nil) }

// BeginTx serves the method of the same name of ent's client.
func (d *sqliteDriver) BeginTx(ctx context.Context, o *sql.TxOptions) (dialect.Tx, error) {
	if o != nil && o.Isolation != sql.LevelDefault && o.Isolation != sql.LevelSerializable {
		return nil, fmt.Errorf("isolation level %s: SQLite has Serializable only", o.Isolation)
	}
	return d.writer.BeginTx(ctx, o)
}

func (d *sqliteDriver) Close() error { return errors.Join(d.reader.Close(), d.writer.Close()) }
