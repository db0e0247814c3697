// Package httpserver runs an http.Server that lets no customer go without an answer because the server, the client or the
// machine is slow:
//
//   - A connection that has brought no request yet is idle. net/http closes it after ReadHeaderTimeout, in silence. A client
//     that opens connections ahead, as browsers and Go's client do, may send its request at that moment, and then reads EOF.
//   - The deadline of a request's header and body does not go on while the request is served. With ReadTimeout it does: it
//     cancels the request's context, as if the client had gone.
//   - An idle connection stays open for longer than clients and proxies keep theirs, so that the client closes it.
//   - Requests that take too long when the server stops are told so before their connections are closed: their context ends
//     with [ErrStopping], and they have [answerTime] to answer.
package httpserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

const (
	// headerTimeout is how long the header of a request may take, from its first byte.
	headerTimeout = 5 * time.Second
	// idleTimeout is how long a connection may carry no request. Browsers keep theirs for 5 minutes, the load balancers of the
	// large clouds for 1 to 10.
	idleTimeout = 11 * time.Minute
	// answerTime is how long a request may take to answer after it has been ended because the server stops.
	answerTime = 2 * time.Second
)

// ErrStopping is the cause with which the contexts of requests end that are still served when the server must stop.
var ErrStopping = errors.New("the server stops")

// Server is an http.Server with these bounds.
type Server struct {
	http *http.Server
	// end ends the contexts of all requests.
	end context.CancelCauseFunc
}

// New returns a server that answers with the handler. A request's body may take bodyTimeout to arrive; a handler may set
// another deadline for it through http.ResponseController, and must do so if it goes on reading for longer.
func New(handler http.Handler, bodyTimeout time.Duration, log *slog.Logger) *Server {
	ctx, end := context.WithCancelCause(context.Background())
	return &Server{end: end, http: &http.Server{
		Handler:           boundBody(bodyTimeout, handler),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}}
}

// Serve answers requests until Shutdown is called or the listener fails. It returns at once when Shutdown is called, with
// http.ErrServerClosed.
func (s *Server) Serve(l net.Listener) error { return s.http.Serve(listener{l}) }

// Shutdown takes no more requests and returns when those in flight have been answered. Those that take longer than within are
// ended, and have 2 s to answer; then, or if ctx ends, their connections are closed. The error tells that they took longer.
func (s *Server) Shutdown(ctx context.Context, within time.Duration) error {
	finishing, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if s.http.Shutdown(finishing) == nil {
		return nil
	}
	s.end(ErrStopping)
	answering, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	err := s.http.Shutdown(answering)
	return errors.Join(fmt.Errorf("requests were cut off after %s", within), err, s.http.Close())
}

// boundBody bounds how long a body may take. What a handler leaves of it, the server reads before it answers.
func boundBody(timeout time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(timeout)) // of HTTP/1, where it can be set
		}
		next.ServeHTTP(w, r)
	})
}

// listener accepts connections that are idle until their first byte.
type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &connection{Conn: c}, nil
}

// connection lets the time for the first header begin with its first byte. For the requests that follow, net/http does so
// itself. It sets the deadline before it reads, and no two goroutines read at once.
type connection struct {
	net.Conn
	begun bool
}

func (c *connection) Read(b []byte) (int, error) {
	if c.begun {
		return c.Conn.Read(b)
	}
	c.begun = true
	if err := c.SetReadDeadline(time.Now().Add(idleTimeout)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(b)
	if err != nil {
		return n, err
	}
	return n, c.SetReadDeadline(time.Now().Add(headerTimeout))
}
