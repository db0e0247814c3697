package transport

import (
	"context"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// Streams bound connections that stay open, WebSockets and event streams alike, and the
// subscriptions that run over them. Zero fields take their default.
type Streams struct {
	// MaxConnections is how many an instance keeps open at a time. More are refused with status 503.
	MaxConnections int `key:"maxConnections" default:"1000" min:"1" max:"1000000"`
	// MaxOperations is how many operations one WebSocket may run at a time.
	MaxOperations int `key:"maxOperations" default:"20" min:"1" max:"1000"`
	// MaxMessages is how many messages one WebSocket client may send in a second.
	MaxMessages int `key:"maxMessages" default:"50" min:"1" max:"10000"`
	// InitTimeout is how long a WebSocket client may take to send connection_init.
	InitTimeout time.Duration `key:"initTimeout" default:"5s" min:"100ms" max:"1m"`
	// Ping is how often the server checks that a client is still there.
	Ping time.Duration `key:"ping" default:"5s" min:"100ms" max:"10m"`
	// WriteTimeout is how long a client may take to read a message. A slower client is
	// disconnected. It is told the reason if it reads the message within twice this time.
	WriteTimeout time.Duration `key:"writeTimeout" default:"5s" min:"10ms" max:"1m"`
	// Interval is the shortest time between two readings of a subscription. What changes in between is told
	// as one.
	Interval time.Duration `key:"interval" default:"100ms" min:"1ms" max:"1m"`
	// Refresh is how often a subscription reads without news of a change. It finds changes whose
	// news Redis lost.
	Refresh time.Duration `key:"refresh" default:"15s" min:"100ms" max:"1h"`
	// TicketPoll is how often the position of a queue ticket is read. A position is kept for a minute.
	TicketPoll time.Duration `key:"ticketPoll" default:"1s" min:"50ms" max:"30s"`
	// MaxProducts is how many products one subscription may watch.
	MaxProducts int `key:"maxProducts" default:"100" min:"1" max:"1000"`
}

// openStreams counts the connections that stay open and ends them when the server stops.
type openStreams struct {
	max     int
	closing chan struct{}

	mu     sync.Mutex
	open   int
	closed bool
	done   sync.WaitGroup
}

func newOpenStreams(most int) *openStreams {
	return &openStreams{max: most, closing: make(chan struct{})}
}

// enter admits a connection. It returns false if there are too many or the server is stopping. Call
// leave when the connection has ended.
func (s *openStreams) enter() (leave func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.open >= s.max {
		return nil, false
	}
	s.open++
	s.done.Add(1)
	return func() {
		s.mu.Lock()
		s.open--
		s.mu.Unlock()
		s.done.Done()
	}, true
}

// close tells all connections to end. It returns when they have ended, or with the error of ctx.
func (s *openStreams) close(ctx context.Context) error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.closing)
	}
	s.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		s.done.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// eachResponse runs an operation and calls send with each of its responses, until there are no more
// or send returns false. If [EndStream] ended the subscription, its error is the last response.
func eachResponse(
	ctx context.Context, exec graphql.GraphExecutor, op *graphql.OperationContext, send func(r *graphql.Response) bool,
) {
	ctx, end := withStreamEnd(ctx)
	next, ctx := exec.DispatchOperation(ctx, op)
	for {
		r := next(ctx)
		if r == nil {
			break
		}
		if !send(r) {
			return
		}
	}
	if err := end.reason(); err != nil {
		send(exec.DispatchError(graphql.WithOperationContext(ctx, op), gqlerror.List{gqlerror.WrapIfUnwrapped(err)}))
	}
}

// streamEnd carries the error that ended a subscription: the channel of a gqlgen subscription
// carries values only.
type streamEnd struct {
	mu  sync.Mutex
	err error
}

type streamEndKey struct{}

func withStreamEnd(ctx context.Context) (context.Context, *streamEnd) {
	end := &streamEnd{}
	return context.WithValue(ctx, streamEndKey{}, end), end
}

// EndStream sets the error that the client of the subscription of ctx receives last. Call it before
// closing the subscription's channel. It does nothing if ctx has ended.
func EndStream(ctx context.Context, err error) {
	if end, ok := ctx.Value(streamEndKey{}).(*streamEnd); ok && ctx.Err() == nil {
		end.mu.Lock()
		defer end.mu.Unlock()
		end.err = err
	}
}

// reason returns the error, or nil if the subscription ended by itself.
func (e *streamEnd) reason() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}
