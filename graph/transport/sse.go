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

// eventStream serves GraphQL over server-sent events by the "distinct connections mode" of the npm
// package graphql-sse: each request is one operation, answered by events next and complete. It must
// be registered before plainHTTP, which takes the same requests.
type eventStream struct {
	plainHTTP
	streams Streams
	open    *openStreams
}

var _ graphql.Transport = eventStream{}

const mediaEvents = "text/event-stream"

// Supports implements graphql.Transport. It takes requests that name the media type of event
// streams.
func (eventStream) Supports(r *http.Request) bool { return wantsEvents(r) }

// wantsEvents reports whether the client names event streams before JSON in Accept. Some clients
// name every type.
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
	place, tooMany := t.open.enter(RequestOf(ctx))
	if tooMany == nil {
		defer place.leave()
		tooMany = place.belongsTo(auth.Viewer(ctx).UserID)
	}
	if tooMany != nil {
		refuseLimited(w, mediaJSON, tooMany)
		return
	}
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
	if failures == nil {
		if err := t.limiter.allowMutations(ctx, op); err != nil {
			refuseLimited(w, mediaJSON, err)
			return
		}
	}

	h := w.Header()
	h.Set("Content-Type", mediaEvents+"; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would buffer events
	h.Set("X-Content-Type-Options", "nosniff")
	events := &eventWriter{w: w, control: http.NewResponseController(w), timeout: t.streams.WriteTimeout}
	// The server's read deadline is for the request, which has been read.
	_ = events.control.SetReadDeadline(time.Time{})
	defer events.release()
	if !events.write(":\n\n") { // sends the header at once
		return
	}
	if failures != nil {
		events.send(exec.DispatchError(graphql.WithOperationContext(ctx, op), failures))
		events.write("event: complete\ndata:\n\n")
		return
	}
	var beating sync.WaitGroup
	defer beating.Wait()
	defer cancel()
	beating.Go(func() { t.beat(ctx, cancel, events) })
	asked := ctx // beat ends with ctx, not with the request timeout
	if op.Operation.Operation != ast.Subscription {
		var ended context.CancelFunc
		asked, ended = context.WithTimeoutCause(ctx, t.limits.RequestTimeout, errRequestTimeout)
		defer ended()
	}
	eachResponse(asked, exec, op, events.send)
	if ctx.Err() == nil {
		events.write("event: complete\ndata:\n\n")
	}
}

// beat writes comments, so that proxies keep the connection open. It calls cancel if the client is
// gone or the server stops.
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

// eventWriter writes whole events. It drops a client that reads too slowly; see
// [Streams.WriteTimeout].
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration

	mu   sync.Mutex
	over bool
}

// release removes the write deadline for the next request of the connection, unless the client was
// dropped.
func (e *eventWriter) release() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.over {
		_ = e.control.SetWriteDeadline(time.Time{})
	}
}

// send writes a response as an event. It returns false if the connection is over.
func (e *eventWriter) send(r *graphql.Response) bool {
	payload, err := encode(r)
	return err == nil && e.write("event: next\ndata: "+string(payload)+"\n\n")
}

// write writes text, and returns false if the connection is over.
func (e *eventWriter) write(text string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over {
		return false
	}
	began := time.Now()
	// A writer that cannot set a deadline, such as a test's, is no error.
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

// encode returns a response as JSON in one line: the encoder removes line breaks of raw data.
func encode(r *graphql.Response) ([]byte, error) {
	errs := r.Errors
	if len(errs) > maxErrors {
		errs = errs[:maxErrors]
	}
	return json.Marshal(envelope{Errors: errs, Data: r.Data, Extensions: r.Extensions})
}
