package httpserver

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a network in memory, whose deadlines keep to the fake clock.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error   { close(p.done); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// client is the other end of a connection to a server.
type client struct {
	net.Conn
	reader *bufio.Reader
}

func (p pipes) dial() client {
	here, there := net.Pipe()
	p.conns <- there
	return client{here, bufio.NewReader(here)}
}

// ask sends a request and reads the status of the answer.
func (c client) ask(t *testing.T, request string) int {
	t.Helper()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatalf("send: %v", err)
	}
	return c.answer(t)
}

func (c client) answer(t *testing.T) int {
	t.Helper()
	r, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		t.Fatal(err)
	}
	if err := r.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return r.StatusCode
}

// closedAfter is how long the server keeps the connection from now on, and what it says before it closes it.
func (c client) closedAfter() (took time.Duration, said string) {
	began := time.Now()
	b, _ := io.ReadAll(c.reader) // until the end, which a pipe reports as an error or not
	return time.Since(began), string(b)
}

const get = "GET / HTTP/1.1\r\nHost: shop\r\n\r\n"

// bodyTimeout of the servers under test.
const bodyTimeout = 30 * time.Second

// on runs a test with a server and a fake clock.
func on(t *testing.T, handler http.HandlerFunc, test func(*testing.T, pipes, *Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := pipes{make(chan net.Conn), make(chan struct{})}
		s := New(handler, bodyTimeout, slog.New(slog.DiscardHandler))
		served := make(chan error, 1)
		go func() { served <- s.Serve(p) }()
		test(t, p, s)
		synctest.Wait() // until the server, too, is done with the last request: its client has the answer a little before
		if err := s.Shutdown(context.Background(), 0); err != nil {
			t.Errorf("Shutdown of a server that serves nobody: %v", err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve returned %v", err)
		}
	})
}

func ok(http.ResponseWriter, *http.Request) {}

// TestLateFirstRequest sends the first request of a connection long after it was opened, and the second long after the first.
func TestLateFirstRequest(t *testing.T) {
	on(t, ok, func(t *testing.T, network pipes, _ *Server) {
		c := network.dial()
		for range 2 {
			time.Sleep(10 * time.Minute)
			if status := c.ask(t, get); status != http.StatusOK {
				t.Errorf("status %d", status)
			}
		}
		if took, said := c.closedAfter(); took != idleTimeout || said != "" {
			t.Errorf("an idle connection was closed after %s with %q, want %s", took, said, idleTimeout)
		}
		if took, said := network.dial().closedAfter(); took != idleTimeout || said != "" {
			t.Errorf("a connection without a request was closed after %s with %q, want %s", took, said, idleTimeout)
		}
	})
}

// TestHalfAHeader: whoever has begun a request must not take for ever.
func TestHalfAHeader(t *testing.T) {
	on(t, ok, func(t *testing.T, network pipes, _ *Server) {
		c := network.dial()
		for _, before := range []string{"", get} { // as the first request, and as the second
			if before != "" {
				c = network.dial()
				c.ask(t, before)
			}
			time.Sleep(time.Minute)
			if _, err := io.WriteString(c, get[:8]); err != nil {
				t.Fatal(err)
			}
			if took, said := c.closedAfter(); took != headerTimeout || !strings.Contains(said, "400 Bad Request") {
				t.Errorf("half a header after %q: closed after %s with %q, want %s", before, took, said, headerTimeout)
			}
		}
	})
}

// TestBodyThatDoesNotArrive: a handler that does not read the body is not kept waiting for it for ever.
func TestBodyThatDoesNotArrive(t *testing.T) {
	on(t, ok, func(t *testing.T, network pipes, _ *Server) {
		c := network.dial()
		began := time.Now()
		status := c.ask(t, "POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 10\r\n\r\nhalf")
		if took := time.Since(began); status != http.StatusOK || took != bodyTimeout {
			t.Errorf("status %d after %s, want 200 after %s", status, took, bodyTimeout)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestSlowHandler takes longer than any deadline of the connection. Its client has not gone, so that its context goes on.
func TestSlowHandler(t *testing.T) {
	slow := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != strings.Repeat("x", len(body)) {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // as package graph does when it has the body
		select {
		case <-r.Context().Done():
			w.WriteHeader(http.StatusServiceUnavailable)
		case <-time.After(time.Hour):
		}
	}
	on(t, slow, func(t *testing.T, network pipes, _ *Server) {
		c := network.dial()
		for _, request := range []string{get, "POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 3\r\n\r\nxxx"} {
			if status := c.ask(t, request); status != http.StatusOK {
				t.Errorf("%.4s: status %d, want 200", request, status)
			}
		}
	})
}

// TestShutdown: a request in flight may finish. If it takes too long, it is told to end, and answers.
func TestShutdown(t *testing.T) {
	const within = 20 * time.Second
	for _, test := range []struct {
		name    string
		takes   time.Duration
		heeds   bool // ends with its context
		status  int  // 0: none
		stopped time.Duration
	}{
		{"finishes", 19 * time.Second, true, http.StatusOK, 19 * time.Second},
		{"is ended", time.Hour, true, http.StatusServiceUnavailable, within},
		{"does not end", time.Hour, false, 0, within + answerTime},
	} {
		t.Run(test.name, func(t *testing.T) {
			serving := make(chan struct{})
			handler := func(w http.ResponseWriter, r *http.Request) {
				close(serving)
				ended := r.Context().Done()
				if !test.heeds {
					ended = nil
				}
				select {
				case <-time.After(test.takes):
				case <-ended:
					if !errors.Is(context.Cause(r.Context()), ErrStopping) {
						t.Errorf("the request was ended by %v", context.Cause(r.Context()))
					}
					w.WriteHeader(http.StatusServiceUnavailable)
				}
			}
			synctest.Test(t, func(t *testing.T) {
				serving = make(chan struct{})
				p := pipes{make(chan net.Conn), make(chan struct{})}
				s := New(http.HandlerFunc(handler), bodyTimeout, slog.New(slog.DiscardHandler))
				go func() { _ = s.Serve(p) }()
				c := p.dial()
				if _, err := io.WriteString(c, get); err != nil {
					t.Fatal(err)
				}
				<-serving
				status := make(chan int)
				go func() {
					r, err := http.ReadResponse(c.reader, nil)
					if err != nil {
						status <- 0
						return
					}
					_ = r.Body.Close()
					status <- r.StatusCode
				}()
				began := time.Now()
				stopped := make(chan error, 1)
				go func() { stopped <- s.Shutdown(context.Background(), within) }()
				if got := <-status; got != test.status {
					t.Errorf("status %d, want %d", got, test.status)
				}
				err := <-stopped
				if took := time.Since(began).Truncate(time.Second); took != test.stopped {
					t.Errorf("stopped after %s, want %s", took, test.stopped)
				}
				time.Sleep(test.takes) // until the handler has ended, whatever it does
				if inTime := test.status == http.StatusOK; inTime != (err == nil) {
					t.Errorf("Shutdown returned %v", err)
				}
			})
		})
	}
}
