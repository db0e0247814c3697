package handoff_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"holdfast/lockprovider/lock"
	"holdfast/lockprovider/lock/handoff"
)

// connect stands for a connection to your Redis server.
func connect() (client *redis.Client, end func()) {
	server, err := miniredis.Run()
	if err != nil {
		panic(err)
	}
	client = redis.NewClient(&redis.Options{Addr: server.Addr(), MaxRetries: -1})
	return client, func() {
		_ = client.Close()
		server.Close()
	}
}

// A store that remembers the greatest fencing token refuses a holder that comes late: its lock was lost, and somebody
// else has written since.
func Example() {
	client, end := connect()
	defer end()
	locks := handoff.Open(client, handoff.Options{Instance: "server-1"})
	defer locks.Close()
	locker := locks.Locker(lock.Settings{Wait: 5 * time.Second, Lease: 600 * time.Millisecond, Poll: 300 * time.Millisecond})

	var lastToken int64 // in your store, beside the data
	write := func(token int64) error {
		if token <= lastToken {
			return errors.New("refused: an older lock")
		}
		lastToken = token
		return nil
	}

	ctx := context.Background()
	held, first, err := locker.Lock(ctx, []string{"invoice:42"})
	if err != nil {
		panic(err)
	}
	firstToken, err := first.Fence(ctx, "invoice:42")
	if err != nil {
		panic(err)
	}
	client.FlushAll(ctx) // the server has lost its data: the lock with them
	<-held.Done()
	fmt.Println(context.Cause(held))

	_, second, err := locker.Lock(ctx, []string{"invoice:42"})
	if err != nil {
		panic(err)
	}
	secondToken, err := second.Fence(ctx, "invoice:42")
	if err != nil {
		panic(err)
	}
	fmt.Println("second:", write(secondToken))
	fmt.Println("first:", write(firstToken))

	fmt.Println("unlock the first:", errors.Is(first.Unlock(ctx), lock.ErrLost))
	fmt.Println("unlock the second:", second.Unlock(ctx))
	// Output:
	// lock lost
	// second: <nil>
	// first: refused: an older lock
	// unlock the first: true
	// unlock the second: <nil>
}

// Several keys are locked together. Callers may name them in any order: nobody waits for each other.
func Example_multiKey() {
	client, end := connect()
	defer end()
	locks := handoff.Open(client, handoff.Options{Instance: "server-1"})
	defer locks.Close()
	locker := locks.Locker(lock.Settings{Wait: 5 * time.Second, Lease: 10 * time.Second, Poll: 300 * time.Millisecond})

	balance := map[string]int{"account:a": 100, "account:b": 100}
	transfer := func(from, to string, amount int) error {
		_, lease, err := locker.Lock(context.Background(), []string{from, to})
		if err != nil {
			return err
		}
		balance[from] -= amount
		balance[to] += amount
		return lease.Unlock(context.Background())
	}

	done := make(chan error)
	for range 10 {
		go func() { done <- transfer("account:a", "account:b", 2) }()
		go func() { done <- transfer("account:b", "account:a", 1) }()
	}
	for range 20 {
		if err := <-done; err != nil {
			panic(err)
		}
	}
	fmt.Println(balance["account:a"], balance["account:b"])
	// Output: 90 110
}
