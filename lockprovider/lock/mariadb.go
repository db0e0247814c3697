package lock

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"time"
)

// NewMariaDB returns a lock made of MariaDB's GET_LOCK (https://mariadb.com/kb/en/get_lock/), which needs MariaDB 10.0.2 or newer.
// Waiters wait in the database, in the order in which they came.
//
// Each holder and each waiter has a connection of db for that long. Give it a pool of its own, with as many connections as there
// may be holders and waiters. db must reach the server directly: a proxy that shares sessions breaks the lock, and so does a
// cluster with several servers that are written to, since the lock is of one server.
//
// The lock has no lease that expires. The database frees it when the connection ends, which it notices at once if the holder's
// process dies, and after wait_timeout (8 hours by default) or the TCP keepalive if the holder's machine or network does.
// [Settings.Lease] is how long the database may be silent: the holder asks it for a sign of life after each third of it. So a
// holder whose session ended on the server, because of an administrator or a restart, is told up to a third of the lease after
// the lock was free for others.
//
// A lock is known by [MariaDBName]. It has no fencing tokens. [Settings.Poll] is not used.
func NewMariaDB(db *sql.DB, s Settings, m Metrics) Locker {
	return RefuseNesting(&sessionLocker{db: db, settings: s, metrics: m, locks: sessionLocks{
		store: "mariadb", names: mariaDBNames, lock: mariaDBLock, unlock: mariaDBUnlock,
	}})
}

// MariaDBName returns the name of the lock for a key: a prefix and the first 160 bits of its SHA-256, since a name has at most 64
// characters, whose case does not count. SELECT IS_USED_LOCK(name) returns the connection that holds it. The names are those of a
// server, not of a database: two programs with the same keys on one server exclude each other.
func MariaDBName(key string) string {
	sum := sha256.Sum256([]byte(key))
	return "holdfast:" + hex.EncodeToString(sum[:20])
}

func mariaDBNames(keys []string) []any {
	hashed := make([]string, len(keys))
	for i, key := range keys {
		hashed[i] = MariaDBName(key)
	}
	hashed = SortedKeys(hashed)
	names := make([]any, len(hashed))
	for i, name := range hashed {
		names[i] = name
	}
	return names
}

// errNoAnswer: GET_LOCK returns NULL if the server is short of memory or the statement was killed.
var errNoAnswer = errors.New("GET_LOCK returned NULL")

func mariaDBLock(ctx context.Context, session *sql.Conn, name any, wait time.Duration) error {
	var granted sql.NullBool
	err := session.QueryRowContext(ctx, "SELECT GET_LOCK(?, ?)", name, wait.Seconds()).Scan(&granted)
	switch {
	case err != nil:
		return err
	case !granted.Valid:
		return errNoAnswer
	case !granted.Bool:
		return ErrTimeout
	}
	return nil
}

func mariaDBUnlock(ctx context.Context, session *sql.Conn, name any) (held bool, err error) {
	var released sql.NullBool // NULL: nobody holds it
	err = session.QueryRowContext(ctx, "SELECT RELEASE_LOCK(?)", name).Scan(&released)
	return released.Valid && released.Bool, err
}
