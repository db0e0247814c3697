package main

import (
	"bytes"
	"context"
	"net"
	"sync/atomic"
)

// ears is how a client hears the messages that are published, and can be made not to: the connection stays open, and what
// comes is lost, as behind a router that drops packets.
type ears struct{ deaf atomic.Bool }

func (e *ears) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &earConn{Conn: conn, ears: e}, nil
}

type earConn struct {
	net.Conn
	ears       *ears
	subscribed atomic.Bool
}

func (c *earConn) Write(b []byte) (int, error) {
	if !c.subscribed.Load() && bytes.Contains(bytes.ToLower(b), []byte("subscribe")) {
		c.subscribed.Store(true)
	}
	return c.Conn.Write(b)
}

func (c *earConn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if err != nil || !c.subscribed.Load() || !c.ears.deaf.Load() {
			return n, err
		}
	}
}
