package etcdlock_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"holdfast/lockprovider/lock"
	"holdfast/lockprovider/lock/locktest"
	"holdfast/lockprovider/lock/peers/etcdlock"
	"holdfast/lockprovider/lock/peers/internal/etcdserver"
)

func start(t *testing.T) (connect func(testing.TB) *clientv3.Client) {
	t.Helper()
	endpoint, stop, err := etcdserver.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return func(t testing.TB) *clientv3.Client {
		t.Helper()
		client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, Logger: zap.NewNop()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = client.Close() })
		return client
	}
}

// TestLock proves the lock, which lacks nothing.
func TestLock(t *testing.T) {
	t.Parallel()
	connect := start(t)
	locktest.Run(t, locktest.Harness{
		Open: func(t testing.TB, s lock.Settings) lock.Locker {
			return etcdlock.New(connect(t), s, lock.NoMetrics{})
		},
		Forget: func(t testing.TB, key string) {
			client, ctx := connect(t), context.WithoutCancel(t.Context())
			holder, err := client.Get(ctx, etcdlock.Prefix(key), clientv3.WithFirstCreate()...)
			if err != nil || len(holder.Kvs) == 0 {
				t.Errorf("nobody holds %s: %v", key, err)
				return
			}
			if _, err := client.Revoke(ctx, clientv3.LeaseID(holder.Kvs[0].Lease)); err != nil {
				t.Error(err)
			}
		},
	})
}

// A key that another key begins with is another lock.
func TestKeysWithSlashes(t *testing.T) {
	t.Parallel()
	impatient := etcdlock.New(start(t)(t), lock.Settings{Lease: time.Minute}, lock.NoMetrics{})
	for _, key := range []string{"a/b", "a", "a/", "a%2Fb"} {
		_, lease, err := impatient.Lock(t.Context(), []string{key})
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		t.Cleanup(func() {
			if err := lease.Unlock(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		})
	}
}

// Tokens of etcd come from its revisions: each is greater than those before.
func ExampleNew() {
	endpoint, stop, err := etcdserver.Start(context.Background()) // in place of a cluster
	if err != nil {
		panic(err)
	}
	defer stop()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}})
	if err != nil {
		panic(err)
	}
	defer func() { _ = client.Close() }()

	locks := etcdlock.New(client, lock.Settings{Wait: 20 * time.Second, Lease: 10 * time.Second}, lock.NoMetrics{})
	ctx, last := context.Background(), int64(0)
	for range 2 {
		_, lease, err := locks.Lock(ctx, []string{"invoice:42"})
		if err != nil {
			panic(err)
		}
		token, err := lease.Fence(ctx, "invoice:42")
		if err != nil {
			panic(err)
		}
		fmt.Println("greater:", token > last)
		last = token
		fmt.Println("unlock:", lease.Unlock(ctx))
	}
	// Output:
	// greater: true
	// unlock: <nil>
	// greater: true
	// unlock: <nil>
}
