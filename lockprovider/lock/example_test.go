package lock_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"holdfast/lockprovider/lock"
)

// Two instances of a program share a lock in Redis. The second one does not wait for it.
func ExampleNewSetNX() {
	server, err := miniredis.Run() // in place of a Redis server
	if err != nil {
		panic(err)
	}
	defer server.Close()
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), MaxRetries: -1})
	defer client.Close()

	locks := lock.NewSetNX(client, lock.Settings{Wait: 2 * time.Second, Lease: 10 * time.Second, Poll: 20 * time.Millisecond}, lock.NoMetrics{})
	impatient := lock.NewSetNX(client, lock.Settings{Lease: 10 * time.Second}, lock.NoMetrics{})

	ctx := context.Background()
	held, lease, err := locks.Lock(ctx, []string{"invoice:42"})
	if err != nil {
		panic(err)
	}
	// Work with held: it is canceled if the lock is lost.
	fmt.Println("held:", held.Err() == nil)

	_, _, err = impatient.Lock(ctx, []string{"invoice:42"})
	fmt.Println("taken:", errors.Is(err, lock.ErrTimeout))

	fmt.Println("unlock:", lease.Unlock(ctx))
	// Output:
	// held: true
	// taken: true
	// unlock: <nil>
}

// A lock of your own implements two interfaces. The helpers of this package do what all locks have in common.
func ExampleRefuseNesting() {
	locks := lock.RefuseNesting(&channelLock{})
	ctx := context.Background()
	held, lease, err := locks.Lock(ctx, []string{"invoice:42"})
	if err != nil {
		panic(err)
	}
	_, _, err = locks.Lock(held, []string{"invoice:42"})
	fmt.Println(err)
	fmt.Println(lease.Unlock(ctx))
	// Output:
	// lock already held by this context: invoice:42
	// <nil>
}

// channelLock excludes the goroutines of one process. It is not fenced and has no lease.
type channelLock struct{ byKey sync.Map }

func (l *channelLock) Lock(ctx context.Context, keys []string) (context.Context, lock.Lease, error) {
	held, end := context.WithCancelCause(ctx)
	lease := &channelLease{end: end}
	for _, key := range lock.SortedKeys(keys) {
		c, _ := l.byKey.LoadOrStore(key, make(chan struct{}, 1))
		taken, _ := c.(chan struct{})
		select {
		case taken <- struct{}{}:
			lease.taken = append(lease.taken, taken)
		case <-ctx.Done():
			return nil, nil, errors.Join(ctx.Err(), lease.Unlock(ctx))
		}
	}
	return held, lease, nil
}

type channelLease struct {
	taken []chan struct{}
	end   context.CancelCauseFunc
}

func (l *channelLease) Unlock(context.Context) error {
	for _, taken := range l.taken {
		<-taken
	}
	l.end(nil)
	return nil
}

func (*channelLease) Fence(context.Context, string) (int64, error) { return 0, nil }

// A lock in a PostgreSQL, over a pool of its own. The driver is of your choice: pgx here, which the program imports.
func ExampleNewPostgres() {
	db, err := sql.Open("pgx", "postgres://user:password@localhost/locks")
	if err != nil {
		panic(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(50) // so many hold or wait at once

	locks := lock.NewPostgres(db, lock.Settings{Wait: 2 * time.Second, Lease: 10 * time.Second}, lock.NoMetrics{})
	_, lease, err := locks.Lock(context.Background(), []string{"invoice:42"})
	if err != nil {
		panic(err)
	}
	fmt.Println("unlock:", lease.Unlock(context.Background()))
}

// A lock in a MariaDB, over a pool of its own. The driver is go-sql-driver/mysql here, which the program imports.
func ExampleNewMariaDB() {
	db, err := sql.Open("mysql", "user:password@tcp(localhost:3306)/locks")
	if err != nil {
		panic(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(50) // so many hold or wait at once

	locks := lock.NewMariaDB(db, lock.Settings{Wait: 2 * time.Second, Lease: 10 * time.Second}, lock.NoMetrics{})
	_, lease, err := locks.Lock(context.Background(), []string{"invoice:42"})
	if err != nil {
		panic(err)
	}
	fmt.Println("unlock:", lease.Unlock(context.Background()))
}
