package transport

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/coder/websocket"

	"holdfast/auth"
)

// webSocket is GraphQL over WebSocket by the protocol graphql-transport-ws, as the npm package graphql-ws specifies it.
// gqlgen's own transport sends complete after error, upon which clients end the wrong operation, knows other close codes, and
// bounds neither operations nor messages.
type webSocket struct {
	limits   Limits
	streams  Streams
	origins  []string // hosts that may connect besides this one
	open     *openStreams
	verifier *auth.Verifier
	limiter  *limiter
	// recovered logs a panic and says what the client may know of it.
	recovered func(ctx context.Context, panicked any) error
	log       *slog.Logger
}

var _ graphql.Transport = webSocket{}

const subprotocol = "graphql-transport-ws"

// The close codes of the protocol, and those of WebSocket that say more than that it is over.
const (
	closeBadMessage      websocket.StatusCode = 4400
	closeUnauthorized    websocket.StatusCode = 4401
	closeForbidden       websocket.StatusCode = 4403
	closeNoSubprotocol   websocket.StatusCode = 4406
	closeInitTimeout     websocket.StatusCode = 4408
	closeDuplicate       websocket.StatusCode = 4409
	closeTooManyRequests websocket.StatusCode = 4429
	closeGoingAway                            = websocket.StatusGoingAway
	closeTooSlow                              = websocket.StatusTryAgainLater
)

// closing is why a connection is to be closed. Clients try again after some codes, and not after others.
type closing struct {
	code   websocket.StatusCode
	reason string
}

// Error implements error.
func (c *closing) Error() string { return c.reason }

// Supports implements graphql.Transport.
func (webSocket) Supports(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// Do implements graphql.Transport. It returns when the connection is closed and all of its operations have ended.
func (t webSocket) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	leave, ok := t.open.enter()
	if !ok {
		refuseWith(w, mediaJSON, http.StatusServiceUnavailable, CodeUnavailable, "there are too many connections; try again later")
		return
	}
	defer leave()
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{subprotocol}, OriginPatterns: t.origins})
	if err != nil {
		return // it has been answered: 403 for another origin, 426 and the like for what is no handshake
	}
	defer func() { _ = conn.CloseNow() }()
	if conn.Subprotocol() != subprotocol {
		_ = conn.Close(closeNoSubprotocol, "the subprotocol must be "+subprotocol)
		return
	}
	conn.SetReadLimit(t.limits.MaxBodyBytes)
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(r.Context())) // a hijacked request's ends at odd times
	c := &connection{
		webSocket: t, conn: conn, exec: exec, ctx: ctx, asking: ctx, cancel: cancel, headers: r.Header,
		out: make(chan []byte), operations: map[string]*operation{}, acknowledged: make(chan struct{}),
	}
	c.serve()
}

// message is what both sides send.
type message struct {
	Type    string          `json:"type"`
	ID      string          `json:"id,omitempty"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// connection is one client. The reader handles its messages, one at a time; a writer owns the other direction.
type connection struct {
	webSocket
	conn    *websocket.Conn
	exec    graphql.GraphExecutor
	ctx     context.Context //nolint:containedctx // of the connection, which is this object's life
	cancel  context.CancelCauseFunc
	headers http.Header
	out     chan []byte
	running sync.WaitGroup // the goroutines of this connection

	// The reader's own: who asks, and how many messages there were in this second.
	asking      context.Context //nolint:containedctx // ctx, once connection_init has told who asks
	initialised bool
	window      time.Time
	messages    int

	acknowledged chan struct{} // closed once the client may ask

	mu         sync.Mutex
	operations map[string]*operation
}

// serve reads until the connection is over, then tells why, and waits for everything that it has started.
func (c *connection) serve() {
	c.running.Go(c.write)
	c.running.Go(c.watch)
	c.running.Go(c.ping)
	err := error(&closing{websocket.StatusInternalError, InternalMessage}) // of a panic
	c.safely(c.ctx, func() { err = c.read() }, func(error) {})
	c.cancel(err) // the first cause stays
	var why *closing
	if cause := context.Cause(c.ctx); errors.As(cause, &why) {
		c.log.InfoContext(c.ctx, "web socket closed", "request", RequestOf(c.ctx).ID, "code", int(why.code), "reason", why.reason)
	}
	c.running.Wait()
}

// safely keeps a panic from ending the server: these goroutines are not net/http's.
func (t webSocket) safely(ctx context.Context, f func(), failed func(err error)) {
	defer func() {
		if panicked := recover(); panicked != nil {
			failed(t.recovered(ctx, panicked))
		}
	}()
	f()
}

// watch closes the connection when its time is over: without connection_init, or with the server.
func (c *connection) watch() {
	timer := time.NewTimer(c.streams.InitTimeout)
	defer timer.Stop()
	select {
	case <-timer.C:
		c.end(closeInitTimeout, "connection_init did not come in time")
		return
	case <-c.acknowledged:
	case <-c.open.closing:
	case <-c.ctx.Done():
		return
	}
	select {
	case <-c.open.closing:
		c.end(closeGoingAway, "the server stops")
	case <-c.ctx.Done():
	}
}

// ping closes a connection whose client is gone or does not read.
func (c *connection) ping() {
	for {
		select {
		case <-time.After(c.streams.Ping):
		case <-c.ctx.Done():
			return
		}
		ctx, cancel := context.WithTimeout(c.ctx, max(c.streams.Ping, 2*c.streams.WriteTimeout))
		err := c.conn.Ping(ctx)
		cancel()
		if err != nil {
			c.end(closeTooSlow, "the client does not answer")
			return
		}
	}
}

// end closes the connection for a reason, once.
func (c *connection) end(code websocket.StatusCode, reason string) {
	c.cancel(&closing{code, reason})
}

// write writes messages one at a time. Whoever does not read holds up the operations of this connection only, and those
// collect what happens meanwhile without growing.
func (c *connection) write() {
	for {
		select {
		case text := <-c.out:
			began := time.Now()
			ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), 2*c.streams.WriteTimeout)
			err := c.conn.Write(ctx, websocket.MessageText, text)
			cancel()
			if took := time.Since(began); err == nil && took < c.streams.WriteTimeout {
				continue
			} else if took >= c.streams.WriteTimeout {
				c.end(closeTooSlow, "too slow: a message took "+took.Round(time.Millisecond).String()+" to be read")
			} else {
				c.cancel(err)
			}
		case <-c.ctx.Done():
		}
		var why *closing
		if errors.As(context.Cause(c.ctx), &why) {
			_ = c.conn.Close(why.code, why.reason) // waits some seconds for the answer, which the reader gets
		}
		_ = c.conn.CloseNow() // unblocks the reader
		return
	}
}

// send hands a message to the writer, unless the connection is over.
func (c *connection) send(m message) bool {
	text, err := json.Marshal(m)
	if err != nil { // a payload that is no JSON: a defect
		c.end(websocket.StatusInternalError, InternalMessage)
		return false
	}
	select {
	case c.out <- text:
		return true
	case <-c.ctx.Done():
		return false
	}
}

// read handles messages until one of them, or the network, ends the connection.
func (c *connection) read() error {
	for {
		kind, text, err := c.conn.Read(context.WithoutCancel(c.ctx))
		if err != nil {
			return err
		}
		if err := c.pace(); err != nil {
			return err
		}
		var m *message
		if kind != websocket.MessageText || decode(bytes.NewReader(text), &m) != nil || m == nil {
			return &closing{closeBadMessage, "a message must be a JSON object with type, id and payload"}
		}
		if err := c.handle(*m); err != nil {
			return err
		}
	}
}

// pace bounds the messages of a second: each costs something, if only an answer.
func (c *connection) pace() error {
	if now := time.Now(); now.Sub(c.window) >= time.Second {
		c.window, c.messages = now, 0
	}
	c.messages++
	if c.messages > c.streams.MaxMessages {
		return &closing{closeTooManyRequests, "too many messages"}
	}
	return nil
}

func (c *connection) handle(m message) error {
	switch m.Type {
	case "connection_init":
		return c.init(m)
	case "ping":
		c.send(message{Type: "pong"})
	case "pong":
	case "subscribe":
		return c.subscribe(m)
	case "complete":
		c.mu.Lock()
		if o := c.operations[m.ID]; o != nil {
			o.cancel()
			delete(c.operations, m.ID) // its ID is free at once, as the client thinks
		}
		c.mu.Unlock()
	default:
		return &closing{closeBadMessage, "a message of unknown type"}
	}
	return nil
}
