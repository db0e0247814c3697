package transport

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// Streams bound connections that stay open, web sockets and event streams alike. Zero fields take the value of
// [DefaultStreams].
type Streams struct {
	// MaxConnections is how many may be open at a time; more are refused with 503.
	MaxConnections int
	// MaxOperations is how many operations one web socket may have under way at a time.
	MaxOperations int
	// MaxMessages is how many messages one web socket may send in a second.
	MaxMessages int
	// InitTimeout is how long a web socket may take to send connection_init.
	InitTimeout time.Duration
	// Ping is how often the other side is asked whether it is there still.
	Ping time.Duration
	// WriteTimeout is how long a message may take to be written. Who takes longer is dropped: with the reason, if the
	// message is through within as long again.
	WriteTimeout time.Duration
	// Interval is the shortest time between two readings of a subscription.
	Interval time.Duration
	// Refresh is how often a subscription looks without having heard anything: what Redis lost is found then.
	Refresh time.Duration
	// TicketPoll is how often the place of a ticket is looked at.
	TicketPoll time.Duration
	// MaxProducts is how many products one subscription may watch.
	MaxProducts int
}

// DefaultStreams are for a shop's pages, of which each watches a few things.
func DefaultStreams() Streams {
	return Streams{
		MaxConnections: 1000, MaxOperations: 20, MaxMessages: 50, InitTimeout: 5 * time.Second, Ping: 5 * time.Second,
		WriteTimeout: 5 * time.Second, Interval: 100 * time.Millisecond, Refresh: 15 * time.Second, TicketPoll: time.Second,
		MaxProducts: 100,
	}
}

// WithDefaults returns s with its zero fields replaced by those of [DefaultStreams].
func (s Streams) WithDefaults() Streams {
	d := DefaultStreams()
	return Streams{
		MaxConnections: cmp.Or(s.MaxConnections, d.MaxConnections), MaxOperations: cmp.Or(s.MaxOperations, d.MaxOperations),
		MaxMessages: cmp.Or(s.MaxMessages, d.MaxMessages), InitTimeout: cmp.Or(s.InitTimeout, d.InitTimeout),
		Ping: cmp.Or(s.Ping, d.Ping), WriteTimeout: cmp.Or(s.WriteTimeout, d.WriteTimeout),
		Interval: cmp.Or(s.Interval, d.Interval), Refresh: cmp.Or(s.Refresh, d.Refresh),
		TicketPoll: cmp.Or(s.TicketPoll, d.TicketPoll), MaxProducts: cmp.Or(s.MaxProducts, d.MaxProducts),
	}
}

// openStreams counts the connections that stay open, and ends them with the server.
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

// enter admits a connection, unless there are too many or the server stops. Call leave when it has ended.
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

// close tells all connections to end, and returns when they have, or with ctx.
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

// responses runs an operation and hands each of its responses to tell, until there are no more or tell wants none. The error
// that ends a subscription before its time is the last response.
func responses(
	ctx context.Context, exec graphql.GraphExecutor, op *graphql.OperationContext, tell func(r *graphql.Response) bool,
) {
	ctx, end := withStreamEnd(ctx)
	next, ctx := exec.DispatchOperation(ctx, op)
	for {
		r := next(ctx)
		if r == nil {
			break
		}
		if !tell(r) {
			return
		}
	}
	if err := end.reason(); err != nil {
		tell(exec.DispatchError(graphql.WithOperationContext(ctx, op), gqlerror.List{gqlerror.WrapIfUnwrapped(err)}))
	}
}

// streamEnd is why a subscription ended before its time: gqlgen's channels carry values only.
type streamEnd struct {
	mu  sync.Mutex
	err error
}

type streamEndKey struct{}

func withStreamEnd(ctx context.Context) (context.Context, *streamEnd) {
	end := &streamEnd{}
	return context.WithValue(ctx, streamEndKey{}, end), end
}

// EndStream ends the subscription of ctx with an error, which its client is told. Close the subscription's channel afterwards.
func EndStream(ctx context.Context, err error) {
	if end, ok := ctx.Value(streamEndKey{}).(*streamEnd); ok && ctx.Err() == nil {
		end.mu.Lock()
		defer end.mu.Unlock()
		end.err = err
	}
}

func (e *streamEnd) reason() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}
