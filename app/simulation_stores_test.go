package app_test

import (
	"context"
	stdsql "database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"

	"entgo.io/ent/dialect"
	"github.com/redis/go-redis/v9"
)

// The stores of a simulation are real: scripts run in the embedded Redis, statements in SQLite. Each call of an instance waits until the
// simulation lets it through, which may also lose the call or its answer.

// errCut is what a call tells if the connection broke before the answer came.
var errCut = fmt.Errorf("simulated: %w", io.ErrUnexpectedEOF)

// pointOf names the place in the code of the product that a call comes from, with the kind of the call.
func pointOf(kind string) string {
	var at stack
	runtime.Callers(3, at[:])
	place, known := places.Load(at)
	if !known {
		place = placeOf(at)
		places.Store(at, place)
	}
	return place.(string) + kind
}

// stack is where the program was called from; the rest is 0.
type stack [48]uintptr

// places are the names of stacks. To find one takes longer than many a call.
var places sync.Map

func placeOf(at stack) string {
	frames := runtime.CallersFrames(at[:])
	for {
		frame, more := frames.Next()
		name, ours := strings.CutPrefix(frame.Function, modulePath)
		if ours && !strings.HasPrefix(name, "ent.") && !strings.HasPrefix(name, "ent/") && !strings.HasPrefix(name, "clients.") &&
			!strings.HasPrefix(name, "app_test.") {
			return strings.TrimSuffix(name, "[...]") + ": "
		}
		if !more {
			return ""
		}
	}
}

// modulePath begins the names of functions of the product.
var modulePath = func() string {
	pc, _, _, _ := runtime.Caller(0)
	name, _, _ := strings.Cut(runtime.FuncForPC(pc).Name(), "app_test.")
	return name
}()

// redisHook sends the commands of an instance through the simulation.
type redisHook struct{ in *instance }

func (h redisHook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if h.in.isDead() {
			return nil, errCut
		}
		return next(ctx, network, addr)
	}
}

func (h redisHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if handshake[cmd.Name()] {
			return next(ctx, cmd)
		}
		err := h.in.call(ctx, cmd.Name(), fmt.Sprint(cmd.Args()...), func() error { return next(ctx, cmd) })
		if errors.Is(err, errCut) {
			cmd.SetErr(err)
		}
		return err
	}
}

func (h redisHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if handshake[cmds[0].Name()] {
			return next(ctx, cmds)
		}
		detail := ""
		for _, cmd := range cmds {
			detail += fmt.Sprint(cmd.Args()...) + "\n"
		}
		err := h.in.call(ctx, "pipeline "+cmds[0].Name(), detail, func() error { return next(ctx, cmds) })
		if errors.Is(err, errCut) {
			for _, cmd := range cmds {
				cmd.SetErr(err)
			}
		}
		return err
	}
}

// dial connects to the Redis of the simulation.
func (w *world) dial(context.Context, string, string) (net.Conn, error) {
	conn, err := w.redis.Dial()
	if err != nil {
		return nil, err
	}
	c := &connection{Conn: conn, unsent: make(chan []byte, 100), closed: make(chan struct{})}
	go c.send()
	return c, nil
}

// connection keeps what is written until the other side reads it, as that of an operating system does. In a pipe of Go, a client that
// writes a long pipeline and a server that answers its first commands would wait for each other.
type connection struct {
	net.Conn

	unsent chan []byte
	closed chan struct{}
	once   sync.Once
}

func (c *connection) send() {
	for {
		select {
		case p := <-c.unsent:
			if _, err := c.Conn.Write(p); err != nil {
				return
			}
		case <-c.closed:
			return
		}
	}
}

func (c *connection) Write(p []byte) (int, error) {
	select {
	case c.unsent <- slices.Clone(p):
		return len(p), nil
	case <-c.closed:
		return 0, net.ErrClosed
	}
}

func (c *connection) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// handshake are the commands of a new connection, which are a part of the call that needs it.
var handshake = map[string]bool{"hello": true, "client": true, "select": true, "auth": true, "ping": true}

// statements sends the statements of an instance through the simulation.
type statements struct {
	in   *instance
	next dialect.Driver
}

// database is what package ent wants of a driver and of a transaction.
type database interface {
	dialect.ExecQuerier
	ExecContext(ctx context.Context, query string, args ...any) (stdsql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*stdsql.Rows, error)
}

type beginner interface {
	BeginTx(ctx context.Context, o *stdsql.TxOptions) (dialect.Tx, error)
}

func (s *statements) Dialect() string { return s.next.Dialect() }
func (s *statements) Close() error    { return nil }

func (s *statements) Exec(ctx context.Context, query string, args, v any) error {
	return s.in.write(ctx, "exec", fmt.Sprint(query, args), func() error { return s.next.Exec(ctx, query, args, v) })
}

// query is how an instance sends a query, which may write.
func (s *statements) query(query string) func(ctx context.Context, kind, detail string, op func() error) error {
	if strings.HasPrefix(query, "SELECT") {
		return s.in.call
	}
	return s.in.write
}

func (s *statements) Query(ctx context.Context, query string, args, v any) error {
	return s.query(query)(ctx, "query", fmt.Sprint(query, args), func() error { return s.next.Query(ctx, query, args, v) })
}

func (s *statements) ExecContext(ctx context.Context, query string, args ...any) (result stdsql.Result, err error) {
	err = s.in.write(ctx, "exec", fmt.Sprint(query, args), func() (err error) {
		result, err = s.next.(database).ExecContext(ctx, query, args...)
		return err
	})
	return result, err
}

func (s *statements) QueryContext(ctx context.Context, query string, args ...any) (rows *stdsql.Rows, err error) {
	err = s.query(query)(ctx, "query", fmt.Sprint(query, args), func() (err error) {
		rows, err = s.next.(database).QueryContext(ctx, query, args...) //nolint:rowserrcheck,sqlclosecheck // the caller does
		return err
	})
	return rows, err
}

func (s *statements) Tx(ctx context.Context) (dialect.Tx, error) { return s.BeginTx(ctx, nil) }

func (s *statements) BeginTx(ctx context.Context, o *stdsql.TxOptions) (dialect.Tx, error) {
	var begun dialect.Tx
	err := s.in.write(ctx, "begin", "", func() (err error) {
		begun, err = s.next.(beginner).BeginTx(ctx, o)
		return err
	})
	if err != nil {
		if begun != nil {
			_ = begun.Rollback()
		}
		return nil, err
	}
	t := &transaction{in: s.in, next: begun}
	if !s.in.begins(t) {
		_ = begun.Rollback()
		return nil, errCut
	}
	return t, nil
}

// transaction is one of an instance. If its connection breaks, the database rolls it back.
type transaction struct {
	in   *instance
	next dialect.Tx

	mu    sync.Mutex
	ended bool
}

// call sends a call of the transaction through the simulation.
func (t *transaction) call(ctx context.Context, kind, detail string, op func() error) error {
	err := t.in.call(ctx, kind, detail, func() error {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.ended {
			return errCut
		}
		return op()
	})
	if errors.Is(err, errCut) {
		t.cut()
	}
	return err
}

// cut rolls back, as the database does when the connection breaks.
func (t *transaction) cut() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ended {
		t.ended = true
		_ = t.next.Rollback() // of one that is committed, it does nothing
	}
	t.in.ends(t)
}

func (t *transaction) Exec(ctx context.Context, query string, args, v any) error {
	return t.call(ctx, "exec", fmt.Sprint(query, args), func() error { return t.next.Exec(ctx, query, args, v) })
}

func (t *transaction) Query(ctx context.Context, query string, args, v any) error {
	return t.call(ctx, "query", fmt.Sprint(query, args), func() error { return t.next.Query(ctx, query, args, v) })
}

func (t *transaction) ExecContext(ctx context.Context, query string, args ...any) (result stdsql.Result, err error) {
	err = t.call(ctx, "exec", fmt.Sprint(query, args), func() (err error) {
		result, err = t.next.(database).ExecContext(ctx, query, args...)
		return err
	})
	return result, err
}

func (t *transaction) QueryContext(ctx context.Context, query string, args ...any) (rows *stdsql.Rows, err error) {
	err = t.call(ctx, "query", fmt.Sprint(query, args), func() (err error) {
		rows, err = t.next.(database).QueryContext(ctx, query, args...) //nolint:rowserrcheck,sqlclosecheck // the caller does
		return err
	})
	return rows, err
}

// Commit ends the transaction in any case: one that is not committed is rolled back.
func (t *transaction) Commit() error {
	err := t.call(context.Background(), "commit", "", func() error {
		if w := t.in.w; w.forgets && w.faults && w.random.IntN(10) == 0 {
			return t.next.Rollback()
		}
		return t.next.Commit()
	})
	t.cut()
	return err
}

// Rollback is no effect: what is not committed is rolled back in any case.
func (t *transaction) Rollback() error {
	t.cut()
	return nil
}
