package ledger

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"

	"entgo.io/ent/dialect/sql/sqlgraph"
	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"holdfast/ent"
)

// What the three databases call the things a strategy has to tell apart.

// dbCode is the error code of whichever database it was: a SQLSTATE, or a number of MySQL/MariaDB or SQLite.
type dbCode struct {
	postgres string
	mysql    uint16
	sqlite   int
}

func codeOf(err error) dbCode {
	var code dbCode
	if pg := new(pgconn.PgError); errors.As(err, &pg) {
		code.postgres = pg.Code
	}
	if my := new(mysql.MySQLError); errors.As(err, &my) {
		code.mysql = my.Number
	}
	if lite := new(sqlite.Error); errors.As(err, &lite) {
		code.sqlite = lite.Code()
	}
	return code
}

// isAborted reports whether the database gave up the transaction to resolve a deadlock or a serialization failure: running
// it again is right.
func isAborted(err error) bool {
	code := codeOf(err)
	return code.postgres == "40P01" || code.postgres == "40001" ||
		code.mysql == 1213 || // ER_LOCK_DEADLOCK
		code.mysql == 1020 || // ER_CHECKREAD: MariaDB's "record has changed since last read"
		code.sqlite&0xff == sqlite3.SQLITE_BUSY || code.sqlite&0xff == sqlite3.SQLITE_LOCKED
}

// isCheckViolation reports whether a CHECK constraint refused the write: a strategy let something through that it should have stopped.
func isCheckViolation(err error) bool {
	code := codeOf(err)
	return code.postgres == "23514" || code.mysql == 3819 || code.mysql == 4025 || // MySQL, MariaDB
		code.sqlite == sqlite3.SQLITE_CONSTRAINT_CHECK
}

// IsConstraint reports whether a constraint refused a write. Package ent says so of its own statement only, and not if it was sent with
// a query (package lazytx).
func IsConstraint(err error) bool {
	return err != nil && (ent.IsConstraintError(err) || sqlgraph.IsConstraintError(err))
}

// isLockWait reports whether a row lock was not granted within the database's own bound.
func isLockWait(err error) bool {
	code := codeOf(err)
	return code.postgres == "55P03" || code.mysql == 1205
}

// DatabaseDown reports whether err is of a database that cannot be reached or cannot write, and not of a request that
// was ended.
func DatabaseDown(err error) bool {
	return err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) && isDown(err)
}

// isDown reports whether the database cannot be reached or cannot write.
func isDown(err error) bool {
	if errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, mysql.ErrInvalidConn) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
		return true
	}
	var netErr net.Error
	if errors.As(err, &netErr) {
		return true
	}
	if conn := new(pgconn.ConnectError); errors.As(err, &conn) {
		return true
	}
	if pgconn.SafeToRetry(err) { // "conn closed": it was lost before this was sent
		return true
	}
	code := codeOf(err)
	switch {
	case strings.HasPrefix(code.postgres, "08"), strings.HasPrefix(code.postgres, "57P"),
		strings.HasPrefix(code.postgres, "53"), // connection, shutdown, out of connections or disk
		code.postgres == "25006":               // it is a standby now
		return true
	case code.mysql == 1040, code.mysql == 1053, code.mysql == 1021, code.mysql == 1114: // connections, shutdown, disk
		return true
	}
	switch code.sqlite & 0xff {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY:
		return true
	}
	return false
}

// rolledBack reports whether an error of COMMIT is the database's word that it has rolled back. After any other error the
// transaction may be committed. PostgreSQL, for example, ends a session that waits for a synchronous standby with a FATAL
// error, after the commit on its own disk.
func rolledBack(err error) bool {
	if pg := new(pgconn.PgError); errors.As(err, &pg) {
		return pg.SeverityUnlocalized == "ERROR" && pg.Code != "40003" && !strings.HasPrefix(pg.Code, "08") // "unknown" by the standard's own words
	}
	if lite := new(sqlite.Error); errors.As(err, &lite) {
		return lite.Code()&0xff != sqlite3.SQLITE_IOERR
	}
	return isAborted(err) || isCheckViolation(err)
}

// Failure gives an error of the database the meaning that a caller acts on: [ErrLockTimeout] if a row lock was not
// granted, [ErrUnavailable] if the database cannot be reached, and what [Ended] says if ctx has ended. Any other error
// is returned as it is, and [ErrUnknown] in any case.
func Failure(ctx context.Context, err error) error {
	if errors.Is(err, ErrUnknown) {
		return err
	}
	if ended := Ended(ctx); ended != nil {
		return ended
	}
	switch {
	case errors.Is(err, ErrUnavailable):
		return err // another store, asked from within a transaction
	case isLockWait(err):
		return errors.Join(ErrLockTimeout, err)
	case isDown(err):
		return Unavailable(ctx, "database", err)
	}
	return err
}
