package redistest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
)

// errReplyLost is what a client sees of a command that Redis has executed and whose answer got lost.
var errReplyLost = errors.New("reply lost by the test")

// wire is between one instance and Redis: commands are seen, replies get lost, the subscription's connection is cut.
type wire struct {
	lose    atomic.Int64 // so many replies are lost
	answers atomic.Int64 // replies that are no error
	onReply atomic.Pointer[func()]

	mu    sync.Mutex
	conns map[*conn]struct{}
	deaf  bool // subscriptions hear nothing
	slow  time.Duration
}

func (w *wire) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook counts and loses replies.
func (w *wire) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if handshake(cmd) {
			return err
		}
		return w.replied(err, cmd)
	}
}

// ProcessPipelineHook counts and loses replies.
func (w *wire) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		if len(cmds) > 0 && handshake(cmds[0]) {
			return err
		}
		if lost := w.replied(err, cmds...); errors.Is(lost, errReplyLost) {
			return lost
		}
		return err
	}
}

// handshake tells what the client says to introduce itself on a new connection.
func handshake(cmd redis.Cmder) bool {
	switch cmd.Name() {
	case "hello", "client", "auth", "select", "ping":
		return true
	}
	return false
}

func (w *wire) replied(err error, cmds ...redis.Cmder) error {
	if err != nil && !errors.Is(err, redis.Nil) {
		return err // a script that is not loaded yet is not executed
	}
	if f := w.onReply.Load(); f != nil {
		(*f)()
	}
	if w.lose.Load() > 0 && w.lose.Add(-1) >= 0 {
		for _, cmd := range cmds {
			cmd.SetErr(errReplyLost)
		}
		return errReplyLost
	}
	w.answers.Add(1)
	return err
}

// conn is a connection that notices when it becomes a subscription.
type conn struct {
	net.Conn
	wire         *wire
	subscription atomic.Bool
}

func (w *wire) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	wrapped := &conn{Conn: c, wire: w}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conns == nil {
		w.conns = map[*conn]struct{}{}
	}
	w.conns[wrapped] = struct{}{}
	return wrapped, nil
}

func (c *conn) Write(b []byte) (int, error) {
	if !c.subscription.Load() && bytes.Contains(bytes.ToLower(b), []byte("subscribe")) {
		c.subscription.Store(true)
	}
	return c.Conn.Write(b)
}

func (c *conn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if err != nil || !c.subscription.Load() {
			return n, err
		}
		c.wire.mu.Lock()
		deaf, slow := c.wire.deaf, c.wire.slow
		c.wire.mu.Unlock()
		if slow > 0 {
			time.Sleep(slow) // the fault itself: a subscriber that does not keep up
		}
		if !deaf {
			return n, err
		}
		// What was read is lost. The reader sees nothing at all, as behind a router that drops packets.
	}
}

func (c *conn) Close() error {
	c.wire.mu.Lock()
	delete(c.wire.conns, c)
	c.wire.mu.Unlock()
	return c.Conn.Close()
}

// deafen loses every message to the subscriptions from now on, or no longer.
func (w *wire) deafen(deaf bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deaf = deaf
}

// slowDown delays whatever a subscription reads.
func (w *wire) slowDown(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.slow = d
}

// cutSubscriptions closes the connections of the subscriptions and tells how many there were.
func (w *wire) cutSubscriptions() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for c := range w.conns {
		if c.subscription.Load() {
			n++
			_ = c.Conn.Close()
		}
	}
	return n
}

// proxy is a network between some instances and Redis that can be cut and slowed down.
type proxy struct {
	addr  string
	proxy *toxiproxy.Proxy
}

func (h *Harness) proxy(t testing.TB) *proxy {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	p := toxiproxy.NewProxy(server, t.Name(), "127.0.0.1:0", h.redis.addr())
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return &proxy{addr: p.Listen, proxy: p}
}

// blackhole swallows everything, on the way to Redis, back, or ("") both: connections stay open and nothing arrives.
func (p *proxy) blackhole(t testing.TB, stream string) {
	t.Helper()
	p.add(t, "timeout", stream, `"timeout":0`)
}

// slowDown delays everything on the way back.
func (p *proxy) slowDown(t testing.TB, d time.Duration) {
	t.Helper()
	p.add(t, "latency", "downstream", fmt.Sprintf(`"latency":%d`, d.Milliseconds()))
}

func (p *proxy) add(t testing.TB, kind, stream, attributes string) {
	t.Helper()
	streams := []string{stream}
	if stream == "" {
		streams = []string{"upstream", "downstream"}
	}
	for _, s := range streams {
		toxic := fmt.Sprintf(`{"name":"%[1]s-%[2]s","type":"%[1]s","stream":"%[2]s","attributes":{%[3]s}}`, kind, s, attributes)
		if _, err := p.proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
			t.Fatal(err)
		}
	}
}

// heal lets everything through again; connections that were in a black hole are closed.
func (p *proxy) heal(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	p.proxy.Toxics.ResetToxics(ctx)
}

var _ io.ReadWriteCloser = (*conn)(nil)
