package handoff_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"holdfast/lockprovider/lock"
	"holdfast/lockprovider/lock/handoff"
)

// Any number of readers hold a key together. A writer holds it alone.
func ExampleClient_RWLocker() {
	client, end := connect()
	defer end()
	locks := handoff.Open(client, handoff.Options{Instance: "server-1"})
	defer locks.Close()
	locker := locks.RWLocker(lock.Settings{Wait: 5 * time.Second, Lease: 3 * time.Second, Poll: 300 * time.Millisecond})

	ctx := context.Background()
	catalogue := []string{"catalogue"}
	_, first, err := locker.RLock(ctx, catalogue)
	if err != nil {
		panic(err)
	}
	_, second, err := locker.RLock(ctx, catalogue) // in this process or in another one
	if err != nil {
		panic(err)
	}

	fmt.Println("two readers")

	written := make(chan int64)
	go func() {
		_, lease, err := locker.Lock(ctx, catalogue) // waits for both
		if err != nil {
			panic(err)
		}
		defer lease.Unlock(ctx)
		token, err := lease.Fence(ctx, "catalogue")
		if err != nil {
			panic(err)
		}
		written <- token
	}()
	read, err := second.Fence(ctx, "catalogue")
	if err != nil {
		panic(err)
	}
	fmt.Println("unlock:", first.Unlock(ctx), second.Unlock(ctx))
	fmt.Println("written with a newer token:", <-written > read)
	// Output:
	// two readers
	// unlock: <nil> <nil>
	// written with a newer token: true
}

// A payment provider takes three calls at a time, whatever process they come from.
func ExampleClient_Semaphore() {
	client, end := connect()
	defer end()
	locks := handoff.Open(client, handoff.Options{Instance: "server-1"})
	defer locks.Close()
	calls := locks.Semaphore(3, lock.Settings{Wait: 5 * time.Second, Lease: 3 * time.Second, Poll: 300 * time.Millisecond})

	var running, most atomic.Int64
	call := func() error {
		held, lease, err := calls.Acquire(context.Background(), "payments", 1)
		if err != nil {
			return err
		}
		now := running.Add(1)
		for last := most.Load(); now > last && !most.CompareAndSwap(last, now); last = most.Load() {
		}
		select {
		case <-time.After(10 * time.Millisecond): // the call
		case <-held.Done(): // the units were lost: the call ends
		}
		running.Add(-1)
		return lease.Unlock(context.Background())
	}
	done := make(chan error)
	for range 10 {
		go func() { done <- call() }()
	}
	var failed error
	for range 10 {
		failed = errors.Join(failed, <-done)
	}
	fmt.Println("error:", failed)
	fmt.Println("three at most:", most.Load() <= 3)
	// Output:
	// error: <nil>
	// three at most: true
}
