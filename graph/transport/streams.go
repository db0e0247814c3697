package transport

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// Streams bound connections that stay open, WebSockets and event streams alike, and the
// subscriptions that run over them. Zero fields take their default.
type Streams struct {
	// MaxConnections is how many an instance keeps open at a time. More are refused with status 503, unless there is a WebSocket that
	// has not sent connection_init yet: its place is taken.
	MaxConnections int `key:"maxConnections" default:"1000" min:"1" max:"1000000"`
	// MaxPerAddress is how many of them one address may have; an IPv6 network of 64 bits counts as one. More are refused with
	// status 429. Clients behind a proxy that http.proxies does not count have one address, and this bound is not for them.
	MaxPerAddress int `key:"maxPerAddress" default:"100" min:"1" max:"1000000"`
	// MaxPerUser is how many of them one user may have.
	MaxPerUser int `key:"maxPerUser" default:"50" min:"1" max:"1000000"`
	// AnonymousPercent is how many of maxConnections, in percent, may be of those who have not signed in. The others are kept for
	// those who have.
	AnonymousPercent int `key:"anonymousPercent" default:"50" min:"1" max:"100"`
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
	limits  Streams
	closing chan struct{}

	mu                sync.Mutex
	open, anonymous   int
	byAddress, byUser map[string]int
	silent            []*place // of connections that have not said yet whose they are, the oldest first
	closed            bool
	done              sync.WaitGroup
}

func newOpenStreams(limits Streams) *openStreams {
	return &openStreams{limits: limits, closing: make(chan struct{}), byAddress: map[string]int{}, byUser: map[string]int{}}
}

// mostAnonymous is how many connections may be of those who have not signed in.
func (s *openStreams) mostAnonymous() int {
	return max(s.limits.MaxConnections*s.limits.AnonymousPercent/100, 1)
}

// retryConnecting is after how many seconds somebody who is one too many should try again. Chosen: others come and go, and a client
// that is gone is found within a few pings.
const retryConnecting = 5

// noPlace returns an error that says when to try again.
func noPlace(code, format string, args ...any) *gqlerror.Error {
	err := Errorf(code, format, args...)
	err.Extensions["retryAfter"] = retryConnecting
	return err
}

func (s *openStreams) full() *gqlerror.Error {
	return noPlace(CodeUnavailable, "there are too many connections; try again later")
}

// enter admits the connection of a request, of which nobody has said yet whose it is. If all places are taken, it gets that of the
// connection that has not said so for longest: otherwise web sockets that never do could keep out those who have signed in, for whom
// places are kept. It returns an error if there are too many or the server is stopping. Call leave when the connection has ended.
func (s *openStreams) enter(r Request) (*place, *gqlerror.Error) {
	from := network(r.Address)
	if r.Uncounted {
		from = "" // of many clients, so it bounds none of them
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	full := s.open >= s.limits.MaxConnections
	switch {
	case s.closed || full && len(s.silent) == 0:
		return nil, s.full()
	case from != "" && s.byAddress[from] >= s.limits.MaxPerAddress:
		return nil, noPlace(CodeRateLimited, "there are %d connections from this address, and may be no more; close one first", s.limits.MaxPerAddress)
	case full:
		oldest := s.silent[0]
		oldest.free()
		close(oldest.lost)
	}
	s.open++
	s.byAddress[from]++
	s.done.Add(1)
	p := &place{of: s, network: from, lost: make(chan struct{})}
	s.silent = append(s.silent, p)
	return p, nil
}

// place is an admitted connection.
type place struct {
	of      *openStreams
	network string
	// lost is closed if another connection has got the place. The connection must end.
	lost chan struct{}

	// These are guarded by of.mu.
	freed     bool
	anonymous bool
	user      string
}

// belongsTo says once whose the connection is; "" stands for nobody who has signed in. It returns an
// error if there are too many of those, or the place is lost.
func (p *place) belongsTo(user string) *gqlerror.Error {
	s := p.of
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case p.freed:
		return s.full()
	case user == "" && s.anonymous >= s.mostAnonymous():
		return noPlace(CodeUnavailable, "there are too many connections without an access token; sign in, or try again later")
	case user == "":
		s.anonymous++
		p.anonymous = true
	case s.byUser[user] >= s.limits.MaxPerUser:
		return noPlace(CodeRateLimited, "you have %d connections, and may have no more; close one first", s.limits.MaxPerUser)
	default:
		s.byUser[user]++
		p.user = user
	}
	p.speaks()
	return nil
}

// leave ends the connection's place.
func (p *place) leave() {
	s := p.of
	s.mu.Lock()
	p.free()
	s.mu.Unlock()
	s.done.Done()
}

// free gives the place back, once. Call it with of.mu held.
func (p *place) free() {
	if p.freed {
		return
	}
	p.freed = true
	s := p.of
	s.open--
	drop(s.byAddress, p.network)
	p.speaks()
	if p.anonymous {
		s.anonymous--
	}
	if p.user != "" {
		drop(s.byUser, p.user)
	}
}

// speaks takes the place from those that another connection may get. Call it with of.mu held.
func (p *place) speaks() {
	if at := slices.Index(p.of.silent, p); at >= 0 {
		p.of.silent = slices.Delete(p.of.silent, at, at+1)
	}
}

// drop takes one from a count, and forgets a count of none.
func drop(counts map[string]int, key string) {
	counts[key]--
	if counts[key] == 0 {
		delete(counts, key)
	}
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
