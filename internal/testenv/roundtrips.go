package testenv

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// RoundTrips returns a URL that leads to a database of PostgreSQL through a proxy, and how many round trips clients have asked for
// since: a client ends each by a Query or a Sync, and waits for the server.
func RoundTrips(t testing.TB, databaseURL string) (through string, count func() int64) {
	t.Helper()
	address, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	server := address.Host
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var (
		trips   atomic.Int64
		clients sync.WaitGroup
	)
	clients.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			clients.Go(func() { relay(context.WithoutCancel(t.Context()), client, server, &trips) })
		}
	})
	t.Cleanup(func() {
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
		clients.Wait() // they end with the pool that has opened them
	})
	address.Host = listener.Addr().String()
	return address.String(), trips.Load
}

// relay passes on what a client and the server say to each other, and counts the round trips.
func relay(ctx context.Context, client net.Conn, address string, trips *atomic.Int64) {
	defer client.Close()
	server, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	})
	_ = countTrips(server, client, trips)
	_ = server.Close()
	back.Wait()
}

// mostOfMessage bounds a message of a client.
const mostOfMessage = 64 << 20

// countTrips passes on the messages of a client. The first has no type.
func countTrips(server io.Writer, client io.Reader, trips *atomic.Int64) error {
	for headerLen := 4; ; headerLen = 5 {
		header := make([]byte, headerLen)
		if _, err := io.ReadFull(client, header); err != nil {
			return err
		}
		size := binary.BigEndian.Uint32(header[headerLen-4:])
		if size < 4 || size > mostOfMessage {
			return fmt.Errorf("a message of %d bytes", size)
		}
		if headerLen == 5 && (header[0] == 'Q' || header[0] == 'S') {
			trips.Add(1)
		}
		message := append(make([]byte, 0, headerLen+int(size)-4), header...)
		message = message[:cap(message)]
		if _, err := io.ReadFull(client, message[headerLen:]); err != nil {
			return err
		}
		if _, err := server.Write(message); err != nil {
			return err
		}
	}
}
