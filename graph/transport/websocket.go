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

// webSocket serves GraphQL over WebSocket by the protocol graphql-transport-ws of the npm package
// graphql-ws.
//
// It replaces gqlgen's own transport for three reasons. That one sends complete after error, so a
// client may end another operation that reuses the ID; it uses other close codes; and it bounds
// neither operations nor messages.
type webSocket struct {
	limits   Limits
	streams  Streams
	origins  []string // hosts whose pages may connect besides this one's
	open     *openStreams
	verifier *auth.Verifier
	limiter  *limiter
	// recovered logs a panic and returns the error for the client.
	recovered func(ctx context.Context, panicked any) error
	log       *slog.Logger
}

var _ graphql.Transport = webSocket{}

const subprotocol = "graphql-transport-ws"

// The close codes of graphql-transport-ws, and two of WebSocket itself.
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

// closeError says why the server closes a connection. The code decides whether clients connect
// again.
type closeError struct {
	code   websocket.StatusCode
	reason string
}

// Error implements error.
func (c *closeError) Error() string { return c.reason }

// Supports implements graphql.Transport.
func (webSocket) Supports(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// Do implements graphql.Transport. It returns when the connection is closed and all its operations
// have ended.
func (t webSocket) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	if err := t.limiter.allow(r.Context()); err != nil {
		refuseLimited(w, mediaJSON, err)
		return
	}
	place, tooMany := t.open.enter(RequestOf(r.Context()))
	if tooMany != nil {
		refuseLimited(w, mediaJSON, tooMany)
		return
	}
	defer place.leave()
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{subprotocol}, OriginPatterns: t.origins})
	if err != nil {
		return // Accept has answered: 403 for another origin, 426 if it is no handshake
	}
	defer func() { _ = conn.CloseNow() }()
	if conn.Subprotocol() != subprotocol {
		_ = conn.Close(closeNoSubprotocol, "the subprotocol must be "+subprotocol)
		return
	}
	conn.SetReadLimit(t.limits.MaxBodyBytes)
	// The request's own context is of no use: net/http ends it at undefined times after a hijack.
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(r.Context()))
	c := &connection{
		webSocket: t, place: place, conn: conn, exec: exec, ctx: ctx, asking: ctx, cancel: cancel, headers: r.Header,
		out: make(chan outgoing), operations: map[string]*operation{}, acknowledged: make(chan struct{}),
	}
	c.serve()
}

// message is a message of either side.
type message struct {
	Type    string          `json:"type"`
	ID      string          `json:"id,omitempty"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// connection serves one client. One goroutine reads and handles its messages, one at a time;
// another writes.
type connection struct {
	webSocket
	place   *place
	conn    *websocket.Conn
	exec    graphql.GraphExecutor
	ctx     context.Context //nolint:containedctx // of the connection, which is this object's life
	cancel  context.CancelCauseFunc
	headers http.Header
	out     chan outgoing
	running sync.WaitGroup // the goroutines of this connection

	// These belong to the reading goroutine: who asks, and how many messages came in this second.
	asking      context.Context //nolint:containedctx // ctx, with the viewer after connection_init
	initialised bool
	window      time.Time
	messages    int

	acknowledged chan struct{} // closed after connection_ack: operations are allowed

	// mu is held while a message of an operation is written: whoever ends the operation then knows that
	// no message of it follows.
	mu         sync.Mutex
	operations map[string]*operation
}

// outgoing is a message to the client.
type outgoing struct {
	text []byte
	// of is the operation that the message belongs to, or nil. It is not sent once the operation has ended.
	of *operation
	// last reports whether the message ends its operation.
	last bool
}

// serve reads until the connection is over, logs why, and waits for the goroutines of the
// connection.
func (c *connection) serve() {
	c.running.Go(c.write)
	c.running.Go(c.watch)
	c.running.Go(c.ping)
	err := error(&closeError{websocket.StatusInternalError, InternalMessage}) // what a panic leaves
	c.safely(c.ctx, func() { err = c.read() }, func(error) {})
	c.cancel(err) // no effect if there was a cause before
	var why *closeError
	if cause := context.Cause(c.ctx); errors.As(cause, &why) {
		c.log.InfoContext(c.ctx, "web socket closed", "request", RequestOf(c.ctx).ID, "code", int(why.code), "reason", why.reason)
	}
	c.running.Wait()
}

// safely recovers a panic of f, which would end the server: net/http does not guard these
// goroutines.
func (t webSocket) safely(ctx context.Context, f func(), failed func(err error)) {
	defer func() {
		if panicked := recover(); panicked != nil {
			failed(t.recovered(ctx, panicked))
		}
	}()
	f()
}

// errPlaceLost ends a connection at once: a goodbye would wait for its client, and there may be many of them.
var errPlaceLost = errors.New("another connection has got the place")

// watch closes the connection if connection_init does not come in time, if it loses its place before, or when the server stops.
func (c *connection) watch() {
	timer := time.NewTimer(c.streams.InitTimeout)
	defer timer.Stop()
	select {
	case <-timer.C:
		c.end(closeInitTimeout, "connection_init did not come in time")
		return
	case <-c.place.lost:
		c.cancel(errPlaceLost)
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

// end closes the connection. Only the first reason counts.
func (c *connection) end(code websocket.StatusCode, reason string) {
	c.cancel(&closeError{code, reason})
}

// write writes messages one at a time. A client that does not read stops the operations of this
// connection only. They do not queue what happens meanwhile.
func (c *connection) write() {
	for {
		select {
		case m := <-c.out:
			switch took, err := c.deliver(m); {
			case took >= c.streams.WriteTimeout:
				c.end(closeTooSlow, "too slow: a message took "+took.Round(time.Millisecond).String()+" to be read")
			case err != nil:
				c.cancel(err)
			default:
				continue
			}
		case <-c.ctx.Done():
		}
		var why *closeError
		if errors.As(context.Cause(c.ctx), &why) {
			// Close waits some seconds for the client's close frame, which read receives.
			_ = c.conn.Close(why.code, why.reason)
		}
		_ = c.conn.CloseNow() // unblocks read
		return
	}
}

// deliver writes a message, unless it belongs to an operation that has ended. It returns how long
// that took.
func (c *connection) deliver(m outgoing) (time.Duration, error) {
	if m.of != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.operations[m.of.id] != m.of { // the client has completed it, and may use its ID for another one
			return 0, nil
		}
		if m.last {
			delete(c.operations, m.of.id)
		}
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), 2*c.streams.WriteTimeout)
	defer cancel()
	err := c.conn.Write(ctx, websocket.MessageText, m.text)
	return time.Since(began), err
}

// send hands a message to the writing goroutine; see outgoing for the operation. It returns false if
// the connection is over.
func (c *connection) send(m message, of *operation, last bool) bool {
	text, err := json.Marshal(m)
	if err != nil { // a payload that is invalid JSON: a defect
		c.end(websocket.StatusInternalError, InternalMessage)
		return false
	}
	select {
	case c.out <- outgoing{text, of, last}:
		return true
	case <-c.ctx.Done():
		return false
	}
}

// read handles messages until one of them or the network ends the connection. It returns why.
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
			return &closeError{closeBadMessage, "a message must be a JSON object with type, id and payload"}
		}
		if err := c.handle(*m); err != nil {
			return err
		}
	}
}

// pace bounds the messages of a second: each costs something, if only a reply.
func (c *connection) pace() error {
	if now := time.Now(); now.Sub(c.window) >= time.Second {
		c.window, c.messages = now, 0
	}
	c.messages++
	if c.messages > c.streams.MaxMessages {
		return &closeError{closeTooManyRequests, "too many messages"}
	}
	return nil
}

// handle handles one message. It returns an error if the connection must be closed.
func (c *connection) handle(m message) error {
	switch m.Type {
	case "connection_init":
		return c.init(m)
	case "ping":
		c.send(message{Type: "pong"}, nil, false)
	case "pong":
	case "subscribe":
		return c.subscribe(m)
	case "complete":
		c.mu.Lock()
		if o := c.operations[m.ID]; o != nil {
			o.cancel()
			delete(c.operations, m.ID) // the protocol lets the client use the ID again at once
		}
		c.mu.Unlock()
	default:
		return &closeError{closeBadMessage, "a message of unknown type"}
	}
	return nil
}
