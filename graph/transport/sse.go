package transport

import (
	"context"
	"encoding/json"
	"mime"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"holdfast/auth"
)

// eventStream is GraphQL over server-sent events, by the "distinct connections mode" of the npm package graphql-sse: a request
// an operation, answered by events next and complete. It comes before the plain transport, which takes the same requests.
type eventStream struct {
	plainHTTP
	streams Streams
	open    *openStreams
}

var _ graphql.Transport = eventStream{}

const mediaEvents = "text/event-stream"

// Supports implements graphql.Transport: the client wants an event stream and says so by that name.
func (eventStream) Supports(r *http.Request) bool { return wantsEvents(r) }

// wantsEvents tells whether an event stream comes before JSON in what the client accepts: some clients name all they know.
func wantsEvents(r *http.Request) bool {
	for _, text := range strings.Split(strings.Join(r.Header.Values("Accept"), ","), ",") {
		switch media, _, _ := mime.ParseMediaType(text); media {
		case mediaEvents:
			return r.Header.Get("Upgrade") == ""
		case mediaJSON, mediaResponse:
			return false
		}
	}
	return false
}

// Do implements graphql.Transport.
func (t eventStream) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	ctx := r.Context()
	params, ok := t.receive(w, r, mediaJSON)
	if !ok {
		return
	}
	leave, ok := t.open.enter()
	if !ok {
		refuseWith(w, mediaJSON, http.StatusServiceUnavailable, CodeUnavailable, "there are too many connections; try again later")
		return
	}
	defer leave()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if until := auth.Expires(ctx); !until.IsZero() {
		timer := time.AfterFunc(time.Until(until), cancel)
		defer timer.Stop()
	}
	op, failures := exec.CreateOperationContext(ctx, params)
	if failures == nil && r.Method == http.MethodGet && op.Operation.Operation == ast.Mutation {
		refuseMethod(w, mediaJSON)
		return
	}

	h := w.Header()
	h.Set("Content-Type", mediaEvents+"; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // proxies of nginx's kind would hold events back
	h.Set("X-Content-Type-Options", "nosniff")
	events := &eventWriter{w: w, control: http.NewResponseController(w), timeout: t.streams.WriteTimeout}
	_ = events.control.SetReadDeadline(time.Time{}) // the server's own is for requests; this one is over
	defer events.release()
	if !events.write(":\n\n") { // the head, at once
		return
	}
	if failures != nil {
		events.tell(exec.DispatchError(graphql.WithOperationContext(ctx, op), failures))
		events.write("event: complete\ndata:\n\n")
		return
	}
	var beating sync.WaitGroup
	defer beating.Wait()
	defer cancel()
	beating.Go(func() { t.beat(ctx, cancel, events) })
	asked := ctx // the beat goes by the other one
	if op.Operation.Operation != ast.Subscription {
		var ended context.CancelFunc
		asked, ended = context.WithTimeoutCause(ctx, t.limits.RequestTimeout, errRequestTimeout)
		defer ended()
	}
	responses(asked, exec, op, events.tell)
	if ctx.Err() == nil {
		events.write("event: complete\ndata:\n\n")
	}
}

// beat shows proxies that the connection lives, finds out when the client does not, and ends it with the server.
func (t eventStream) beat(ctx context.Context, cancel context.CancelFunc, events *eventWriter) {
	ticker := time.NewTicker(t.streams.Ping)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if !events.write(":\n\n") {
				cancel()
				return
			}
		case <-t.open.closing:
			cancel()
			return
		case <-ctx.Done():
			return
		}
	}
}

// eventWriter writes whole events. A client that does not read is dropped, with the reason if it reads on in time.
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration

	mu   sync.Mutex
	over bool
}

// release leaves the connection to the next request, unless it is stuck.
func (e *eventWriter) release() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.over {
		_ = e.control.SetWriteDeadline(time.Time{})
	}
}

func (e *eventWriter) tell(r *graphql.Response) bool {
	payload, err := encode(r)
	return err == nil && e.write("event: next\ndata: "+string(payload)+"\n\n")
}

func (e *eventWriter) write(text string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over {
		return false
	}
	began := time.Now()
	// Not every writer can set a deadline, such as a test's.
	_ = e.control.SetWriteDeadline(began.Add(2 * e.timeout))
	_, err := e.w.Write([]byte(text))
	if err == nil {
		err = e.control.Flush()
	}
	e.over = err != nil
	if took := time.Since(began); err == nil && took >= e.timeout {
		e.over = true
		reason, _ := json.Marshal(envelope{Errors: gqlerror.List{Errorf(CodeTooSlow, "too slow: an event took %s to be read", took.Round(time.Millisecond))}})
		_, _ = e.w.Write([]byte("event: next\ndata: " + string(reason) + "\n\nevent: complete\ndata:\n\n"))
		_ = e.control.Flush()
	}
	return !e.over
}

// encode is an answer as JSON in one line: the encoder takes line breaks out of what it copies.
func encode(r *graphql.Response) ([]byte, error) {
	errs := r.Errors
	if len(errs) > maxErrors {
		errs = errs[:maxErrors]
	}
	return json.Marshal(envelope{Errors: errs, Data: r.Data, Extensions: r.Extensions})
}
