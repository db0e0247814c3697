package lock

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
	"time"
)

// NewPostgres returns a lock made of PostgreSQL's session-level advisory locks
// (https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS). Waiters wait in the database, in the order in
// which they came.
//
// Each holder and each waiter has a connection of db for that long. Give it a pool of its own, with as many connections as there
// may be holders and waiters. db must reach the server directly: a pooler that shares sessions, such as PgBouncer in transaction
// mode, breaks the lock.
//
// The lock has no lease that expires. The database frees it when the connection ends, which it notices at once if the holder's
// process dies, and after the TCP keepalive (hours by default, see tcp_keepalives_idle) if the holder's machine or network does.
// [Settings.Lease] is how long the database may be silent: the holder asks it for a sign of life after each third of it. So a
// holder whose session ended on the server, because of an administrator or a restart, is told up to a third of the lease after
// the lock was free for others.
//
// A lock is known by [PostgresKey]. It has no fencing tokens. [Settings.Poll] is not used.
func NewPostgres(db *sql.DB, s Settings, m Metrics) Locker {
	return RefuseNesting(&sessionLocker{db: db, settings: s, metrics: m, locks: sessionLocks{
		store: "postgresql", names: postgresNames, lock: postgresLock, unlock: postgresUnlock,
	}})
}

// PostgresKey returns the advisory lock for a key: the first 64 bits of its SHA-256. In the view pg_locks, the high half is classid,
// the low half objid, and objsubid is 1.
//
// Two keys that have the same number, which is one chance in 37 million for a million keys, exclude each other. They are never
// held by two where they should not be. Other users of advisory locks in the same database have the same numbers.
func PostgresKey(key string) int64 {
	sum := sha256.Sum256([]byte(key))
	return int64(binary.BigEndian.Uint64(sum[:8])) // all 64 bits are used
}

// postgresNames sorts by number: two keys of one number would stand in two places in an order by key.
func postgresNames(keys []string) []any {
	numbers := make([]int64, len(keys))
	for i, key := range keys {
		numbers[i] = PostgresKey(key)
	}
	slices.Sort(numbers)
	numbers = slices.Compact(numbers)
	names := make([]any, len(numbers))
	for i, number := range numbers {
		names[i] = number
	}
	return names
}

// lockNotAvailable is the SQLSTATE of a wait that lock_timeout has ended.
const lockNotAvailable = "55P03"

func postgresLock(ctx context.Context, session *sql.Conn, name any, wait time.Duration) error {
	if wait <= 0 {
		var granted bool
		err := session.QueryRowContext(ctx, "SELECT pg_try_advisory_lock($1)", name).Scan(&granted)
		if err == nil && !granted {
			return ErrTimeout
		}
		return err
	}
	// The bound is set for this statement only: the transaction that it would be local to is the statement.
	milliseconds := strconv.FormatInt(max(1, wait.Milliseconds()), 10)
	_, err := session.ExecContext(ctx, "SELECT set_config('lock_timeout', $1, true), pg_advisory_lock($2)", milliseconds, name)
	var failure interface{ SQLState() string } // of pgx and pq
	if errors.As(err, &failure) && failure.SQLState() == lockNotAvailable {
		return ErrTimeout
	}
	return err
}

func postgresUnlock(ctx context.Context, session *sql.Conn, name any) (held bool, err error) {
	err = session.QueryRowContext(ctx, "SELECT pg_advisory_unlock($1)", name).Scan(&held)
	return held, err
}
