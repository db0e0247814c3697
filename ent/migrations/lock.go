package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"entgo.io/ent/dialect"
)

// Atlas has locks of its own, but that of SQLite is a file in the directory for temporary files, which is checked and
// created in two steps and fails instead of waiting. So each database here uses what it has.

// postgresLock is the key of the advisory lock: the letters "holdfast" as a number.
const postgresLock = 0x686f6c6466617374

// locked runs with one connection while no other process does; where the database can roll DDL
// back, as one transaction. It bounds the wait for another process, and not what is run: the index
// of a big table may take its time.
func locked(ctx context.Context, db *sql.DB, dialectName string, wait time.Duration, run func(*sql.Conn) error) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	switch dialectName {
	case dialect.SQLite:
		return lockedSQLite(ctx, conn, wait, run)
	case dialect.Postgres:
		return lockedPostgres(ctx, conn, wait, run)
	default:
		return lockedMySQL(ctx, conn, wait, run)
	}
}

// lockedPostgres bounds each wait for a lock, also that of a statement for a table: what waits
// there holds up all who come after it.
func lockedPostgres(ctx context.Context, conn *sql.Conn, wait time.Duration, run func(*sql.Conn) error) error {
	return transaction(ctx, conn, "BEGIN", func(conn *sql.Conn) error {
		bound := strconv.FormatInt(wait.Milliseconds(), 10)
		if _, err := conn.ExecContext(ctx, "SELECT set_config('lock_timeout', $1, true)", bound); err != nil {
			return err
		}
		if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", int64(postgresLock)); err != nil {
			return fmt.Errorf("wait for another instance: %w", err)
		}
		return run(conn)
	})
}

// lockedSQLite holds the write lock of the file. A migration may rebuild a table by dropping it, with foreign keys
// off, or its rows would take those that refer to them along; and that pragma has no effect inside a transaction.
func lockedSQLite(ctx context.Context, conn *sql.Conn, wait time.Duration, run func(*sql.Conn) error) (err error) {
	keysBack, err := pragma(ctx, conn, "foreign_keys", "0")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, keysBack()) }()
	// BEGIN waits for as long as another process migrates.
	timeoutBack, err := pragma(ctx, conn, "busy_timeout", strconv.FormatInt(wait.Milliseconds(), 10))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, timeoutBack()) }()
	began := false
	err = transaction(ctx, conn, "BEGIN IMMEDIATE", func(conn *sql.Conn) error {
		began = true
		if err := run(conn); err != nil {
			return err
		}
		return checkForeignKeys(ctx, conn)
	})
	if err != nil && !began {
		return fmt.Errorf("wait for another instance: %w", err)
	}
	return err
}

// pragma sets a pragma of a connection that goes back to its pool, and returns what sets it back.
func pragma(ctx context.Context, conn *sql.Conn, name, value string) (back func() error, err error) {
	var before string
	if err := conn.QueryRowContext(ctx, "PRAGMA "+name).Scan(&before); err != nil {
		return nil, err
	}
	set := func(ctx context.Context, value string) error {
		_, err := conn.ExecContext(ctx, "PRAGMA "+name+" = "+value)
		return err
	}
	return func() error { return set(context.WithoutCancel(ctx), before) }, set(ctx, value)
}

func checkForeignKeys(ctx context.Context, conn *sql.Conn) error {
	rows, err := conn.QueryContext(ctx, "PRAGMA foreign_key_check")
	if err != nil {
		return err
	}
	defer rows.Close()
	if !rows.Next() {
		return rows.Err()
	}
	var (
		table, parent string
		row, index    sql.NullInt64
	)
	if err := rows.Scan(&table, &row, &parent, &index); err != nil {
		return err
	}
	return fmt.Errorf("row %d of %s would refer to a row of %s that does not exist", row.Int64, table, parent)
}

// lockedMySQL holds a lock by name. MySQL's are of the whole server, hence the name of the database in it.
func lockedMySQL(ctx context.Context, conn *sql.Conn, wait time.Duration, run func(*sql.Conn) error) (err error) {
	const name = "LEFT(CONCAT('holdfast:migrate:', DATABASE()), 64)" // 64 is MySQL's limit
	var got sql.NullBool
	query := "SELECT GET_LOCK(" + name + ", ?)"
	if err := conn.QueryRowContext(ctx, query, int(wait.Seconds())).Scan(&got); err != nil {
		return err
	}
	if !got.Bool {
		return fmt.Errorf("another instance has been migrating for more than %s", wait)
	}
	defer func() {
		_, released := conn.ExecContext(context.WithoutCancel(ctx), "DO RELEASE_LOCK("+name+")")
		err = errors.Join(err, released)
	}()
	return run(conn)
}

func transaction(ctx context.Context, conn *sql.Conn, begin string, run func(*sql.Conn) error) error {
	if _, err := conn.ExecContext(ctx, begin); err != nil {
		return err
	}
	if err := run(conn); err != nil {
		_, rollback := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		return errors.Join(err, rollback)
	}
	_, err := conn.ExecContext(ctx, "COMMIT")
	return err
}
