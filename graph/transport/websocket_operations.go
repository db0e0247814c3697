package transport

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"holdfast/auth"
)

// maxOperationID bounds the IDs that clients give to operations, in bytes.
const maxOperationID = 128

// operation is a running operation.
type operation struct {
	id     string
	cancel context.CancelFunc
}

// init handles connection_init. Its payload may carry an access token as Authorization, since
// browsers cannot send it as a header. The middleware has already checked a header of the
// handshake.
func (c *connection) init(m message) error {
	if c.initialised {
		return &closeError{closeTooManyRequests, "too many initialisation requests"}
	}
	c.initialised = true
	var payload map[string]any
	if len(m.Payload) > 0 && decode(bytes.NewReader(m.Payload), &payload) != nil {
		return &closeError{closeBadMessage, "the payload of connection_init is no JSON object"}
	}
	if authorization, given := authorizationIn(payload); given {
		bearer, err := c.verifier.Bearer(c.ctx, authorization)
		if err != nil {
			if limited := c.limiter.allow(c.ctx); limited != nil { // whoever tries many tokens
				return &closeError{closeTooManyRequests, limited.Message}
			}
			return &closeError{closeForbidden, auth.Reason(err)}
		}
		c.asking = auth.WithBearer(c.asking, bearer)
	}
	if err := c.place.belongsTo(auth.Viewer(c.asking).UserID); err != nil {
		if err.Extensions["code"] == CodeUnavailable {
			return &closeError{closeTooSlow, err.Message}
		}
		return &closeError{closeTooManyRequests, err.Message}
	}
	if until := auth.Expires(c.asking); !until.IsZero() {
		timer := time.AfterFunc(time.Until(until), func() { c.end(closeForbidden, "the access token has expired") })
		context.AfterFunc(c.ctx, func() { timer.Stop() })
	}
	close(c.acknowledged)
	c.send(message{Type: "connection_ack"}, nil, false)
	return nil
}

// authorizationIn returns Authorization from the payload of connection_init. Like a header's name,
// it may be in any case.
func authorizationIn(payload map[string]any) (authorization string, given bool) {
	for name, value := range payload {
		if strings.EqualFold(name, "Authorization") {
			text, _ := value.(string)
			return text, true
		}
	}
	return "", false
}

// subscribe starts an operation of any kind. A wrong operation gets an error message; a wrong
// message ends the connection.
func (c *connection) subscribe(m message) error {
	select {
	case <-c.acknowledged:
	default:
		return &closeError{closeUnauthorized, "connection_init comes first"}
	}
	var p *parameters
	if m.ID == "" || len(m.ID) > maxOperationID || decode(bytes.NewReader(m.Payload), &p) != nil || p == nil {
		return &closeError{closeBadMessage, "subscribe needs an id, and a payload with query or documentId, operationName, variables, extensions"}
	}
	ctx, cancel := context.WithCancel(withNewRequest(c.asking))
	o := &operation{id: m.ID, cancel: cancel}
	c.mu.Lock()
	_, again := c.operations[m.ID]
	tooMany := len(c.operations) >= c.streams.MaxOperations
	if !again && !tooMany {
		c.operations[m.ID] = o
	}
	c.mu.Unlock()
	switch {
	case again:
		cancel()
		return &closeError{closeDuplicate, "a subscriber with this id exists already"}
	case tooMany:
		cancel()
		c.fail(m.ID, nil, gqlerror.List{Errorf(CodeRateLimited, "this connection has %d operations under way, and may have no more",
			c.streams.MaxOperations)})
		return nil
	}
	if err := c.limiter.allow(ctx); err != nil {
		c.fail(m.ID, o, gqlerror.List{err})
		return nil
	}
	raw := p.raw()
	raw.Headers = c.headers
	now := graphql.Now()
	raw.ReadTime = graphql.TraceTiming{Start: now, End: now}
	// Parsing, validation and the guard run here, one operation after the other, so that a flood of
	// operations takes one CPU at most.
	ctx = graphql.StartOperationTrace(ctx)
	op, failures := c.exec.CreateOperationContext(ctx, raw)
	if failures != nil {
		c.fail(m.ID, o, c.exec.DispatchError(graphql.WithOperationContext(ctx, op), failures).Errors)
		return nil
	}
	if err := c.limiter.allowMutations(ctx, op); err != nil {
		c.fail(m.ID, o, gqlerror.List{err})
		return nil
	}
	c.running.Go(func() { c.run(ctx, o, op) })
	return nil
}

// run executes an operation and sends its responses. Nothing follows an error, nor the client's own
// complete: then the client may use the ID for another operation already.
func (c *connection) run(ctx context.Context, o *operation, op *graphql.OperationContext) {
	defer o.cancel()
	if op.Operation.Operation != ast.Subscription {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeoutCause(ctx, c.limits.RequestTimeout, errRequestTimeout)
		defer stop()
	}
	c.safely(ctx, func() {
		eachResponse(ctx, c.exec, op, func(r *graphql.Response) bool {
			if r.Data == nil { // nothing was executed, or the subscription has failed
				c.fail(o.id, o, r.Errors)
				return false
			}
			payload, err := encode(r)
			return err == nil && c.send(message{Type: "next", ID: o.id, Payload: payload}, o, false)
		})
	}, func(err error) { c.fail(o.id, o, gqlerror.List{gqlerror.WrapIfUnwrapped(err)}) })
	c.send(message{Type: "complete", ID: o.id}, o, true)
}

// fail ends an operation with an error message. The operation is nil if it was not begun.
func (c *connection) fail(id string, o *operation, errs gqlerror.List) {
	if o != nil {
		defer o.cancel()
	}
	if len(errs) > maxErrors {
		errs = errs[:maxErrors]
	}
	payload, err := json.Marshal(errs)
	if err != nil {
		c.end(closeBadMessage, InternalMessage)
		return
	}
	c.send(message{Type: "error", ID: id, Payload: payload}, o, true)
}
