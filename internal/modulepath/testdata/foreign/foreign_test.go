package foreign

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/you/holdfast/lockprovider/lock"
	"example.com/you/holdfast/lockprovider/lock/handoff"
	"example.com/you/holdfast/lockprovider/lock/locktest"
)

func TestOwnLock(t *testing.T) {
	t.Parallel()
	var memory Memory
	locktest.Run(t, locktest.Harness{
		Open:  func(_ testing.TB, s lock.Settings) lock.Locker { return memory.Open(s) },
		Lacks: []locktest.Trait{locktest.FIFO, locktest.Fencing},
	})
}

func TestHandoff(t *testing.T) {
	t.Parallel()
	socket := startRedis(t)
	locktest.Run(t, locktest.Harness{
		Open: func(t testing.TB, s lock.Settings) lock.Locker {
			client := handoff.Open(connect(t, socket), handoff.Options{Instance: "foreign"})
			t.Cleanup(func() {
				if err := client.Close(); err != nil {
					t.Error(err)
				}
			})
			return client.Locker(s)
		},
	})
}

func connect(t testing.TB, socket string) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: socket, MaxRetries: -1, ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// startRedis starts a Redis server that ends with the test, and returns its socket.
func startRedis(t *testing.T) (socket string) {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("no redis-server on PATH")
	}
	dir := t.TempDir()
	socket = filepath.Join(dir, "s")
	server := exec.Command(path, "--port", "0", "--unixsocket", socket, "--dir", dir, "--save", "")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	t.Cleanup(func() {
		_ = server.Process.Kill()
		<-ended
	})
	client := connect(t, socket)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for client.Ping(ctx).Err() != nil {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("redis-server ended before it answered: %v", err)
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal("redis-server did not answer within 2 minutes")
		}
	}
	return socket
}
