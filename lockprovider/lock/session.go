package lock

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"
)

// sessionLocker is a lock that belongs to a session of a database. The database frees it when the session ends, and there is no
// lease that expires: each holder and each waiter has a connection of its own for that long.
type sessionLocker struct {
	db       *sql.DB
	settings Settings
	metrics  Metrics
	locks    sessionLocks
}

// sessionLocks are the locks of one kind of database.
type sessionLocks struct {
	store string
	// names returns what the keys are called in the database, each name once and in an order that is the same for all callers.
	names func(keys []string) []any
	// lock waits for a lock, or tries once if wait is 0. It returns ErrTimeout if somebody else holds the lock.
	lock func(ctx context.Context, session *sql.Conn, name any, wait time.Duration) error
	// unlock reports whether the session held the lock.
	unlock func(ctx context.Context, session *sql.Conn, name any) (held bool, err error)
}

// Lock acquires the locks one after the other, in one session.
func (l *sessionLocker) Lock(ctx context.Context, keys []string) (context.Context, Lease, error) {
	waiting, cancel := WithWait(ctx, l.settings.Wait)
	defer cancel()
	session, err := l.db.Conn(waiting)
	if err != nil {
		return nil, nil, StoreError(waiting, l.locks.store, err)
	}
	names := l.locks.names(keys)
	for i, name := range names {
		if err := l.lockOne(waiting, session, name); err != nil {
			err = StoreError(waiting, l.locks.store, err)
			giveUp(ctx, func(ctx context.Context) error { return l.release(ctx, session, names[:i]) })
			return nil, nil, err
		}
	}
	held, lease := KeepAlive(ctx, time.Now(), l.settings.Lease,
		func(ctx context.Context) error {
			err := l.ask(ctx, session)
			l.metrics.Renewed(err)
			return err
		},
		func(ctx context.Context) error { return l.release(ctx, session, names) })
	return held, lease, nil
}

// lockOne has the database end the wait, so that the connection can be used again: a driver whose context ends closes the
// connection. It waits a little longer for the database than the database waits for the lock.
func (l *sessionLocker) lockOne(waiting context.Context, session *sql.Conn, name any) error {
	if l.settings.Wait <= 0 {
		return l.locks.lock(waiting, session, name, 0)
	}
	deadline, _ := waiting.Deadline() // the locker's or the caller's, whichever is earlier
	ctx, cancel := context.WithDeadline(context.WithoutCancel(waiting), deadline.Add(RequestTimeout))
	defer cancel()
	stop := context.AfterFunc(waiting, func() {
		if errors.Is(waiting.Err(), context.Canceled) { // The caller has gone before the deadline.
			cancel()
		}
	})
	defer stop()
	err := l.locks.lock(ctx, session, name, max(time.Until(deadline), time.Millisecond))
	if errors.Is(err, ErrTimeout) {
		<-waiting.Done() // now; it knows whose deadline it was
		return waiting.Err()
	}
	return err
}

// ask asks the session for a sign of life. A session that has ended has lost its locks. After a request that was cut off, its state
// is not known: it has lost them, too.
func (l *sessionLocker) ask(ctx context.Context, session *sql.Conn) error {
	var one int
	if err := session.QueryRowContext(ctx, "SELECT 1").Scan(&one); err != nil {
		l.discard(session)
		return fmt.Errorf("%w: %s: %w", ErrLost, l.locks.store, err)
	}
	return nil
}

// release frees the locks in reverse order and gives the connection back. It closes the connection, which frees all, if it cannot
// free one of them.
func (l *sessionLocker) release(ctx context.Context, session *sql.Conn, names []any) error {
	for i := len(names) - 1; i >= 0; i-- {
		held, err := l.locks.unlock(ctx, session, names[i])
		if err == nil && held {
			continue
		}
		l.discard(session)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrLost, l.locks.store, err)
		}
		return fmt.Errorf("%w: %s: the session does not hold %v", ErrLost, l.locks.store, names[i])
	}
	_ = session.Close() // The locks are free: what goes wrong now concerns the pool.
	return nil
}

// discard closes the connection instead of giving it back to the pool.
func (*sessionLocker) discard(session *sql.Conn) {
	_ = session.Raw(func(any) error { return driver.ErrBadConn })
}
