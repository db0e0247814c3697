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

// maxOperationID bounds the names that clients give to operations.
const maxOperationID = 128

// operation is one that is under way.
type operation struct {
	id     string
	cancel context.CancelFunc
}

// init lets the client in. Its access token is in the payload, as Authorization, which browsers cannot send as a header; a
// header of the handshake has been verified before.
func (c *connection) init(m message) error {
	if c.initialised {
		return &closing{closeTooManyRequests, "too many initialisation requests"}
	}
	c.initialised = true
	var payload map[string]any
	if len(m.Payload) > 0 && decode(bytes.NewReader(m.Payload), &payload) != nil {
		return &closing{closeBadMessage, "the payload of connection_init is no JSON object"}
	}
	if authorization, given := authorizationIn(payload); given {
		bearer, err := c.verifier.Bearer(c.ctx, authorization)
		if err != nil {
			return &closing{closeForbidden, auth.Reason(err)}
		}
		c.asking = auth.WithBearer(c.asking, bearer)
	}
	if until := auth.Expires(c.asking); !until.IsZero() {
		timer := time.AfterFunc(time.Until(until), func() { c.end(closeForbidden, "the access token has expired") })
		context.AfterFunc(c.ctx, func() { timer.Stop() })
	}
	close(c.acknowledged)
	c.send(message{Type: "connection_ack"})
	return nil
}

// authorizationIn finds Authorization in the payload of connection_init; clients spell it in either case, as a header's name.
func authorizationIn(payload map[string]any) (authorization string, given bool) {
	for name, value := range payload {
		if strings.EqualFold(name, "Authorization") {
			text, _ := value.(string)
			return text, true
		}
	}
	return "", false
}

// subscribe begins an operation of whatever kind. What is wrong with the operation is told as an error of it; what is wrong
// with the message ends the connection.
func (c *connection) subscribe(m message) error {
	select {
	case <-c.acknowledged:
	default:
		return &closing{closeUnauthorized, "connection_init comes first"}
	}
	var p *parameters
	if m.ID == "" || len(m.ID) > maxOperationID || decode(bytes.NewReader(m.Payload), &p) != nil || p == nil {
		return &closing{closeBadMessage, "subscribe needs an id, and a payload with query, operationName, variables, extensions"}
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
		return &closing{closeDuplicate, "a subscriber with this id exists already"}
	case tooMany:
		cancel()
		c.fail(o, gqlerror.List{Errorf(CodeRateLimited, "this connection has %d operations under way, and may have no more",
			c.streams.MaxOperations)})
		return nil
	}
	if err := c.limiter.allow(ctx); err != nil {
		c.fail(o, gqlerror.List{err})
		return nil
	}
	raw := p.raw()
	raw.Headers = c.headers
	now := graphql.Now()
	raw.ReadTime = graphql.TraceTiming{Start: now, End: now}
	// Parsing, validation and the guard are done here, one operation after the other: a flood of them gets one CPU.
	ctx = graphql.StartOperationTrace(ctx)
	op, failures := c.exec.CreateOperationContext(ctx, raw)
	if failures != nil {
		c.fail(o, c.exec.DispatchError(graphql.WithOperationContext(ctx, op), failures).Errors)
		return nil
	}
	c.running.Go(func() { c.run(ctx, o, op) })
	return nil
}

// run executes an operation and sends what it answers.
func (c *connection) run(ctx context.Context, o *operation, op *graphql.OperationContext) {
	if op.Operation.Operation != ast.Subscription {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeoutCause(ctx, c.limits.RequestTimeout, errRequestTimeout)
		defer stop()
	}
	c.safely(ctx, func() {
		responses(ctx, c.exec, op, func(r *graphql.Response) bool {
			if r.Data == nil { // nothing was executed, or no more will be
				c.fail(o, r.Errors)
				return false
			}
			payload, err := encode(r)
			return err == nil && c.send(message{Type: "next", ID: o.id, Payload: payload})
		})
	}, func(err error) { c.fail(o, gqlerror.List{gqlerror.WrapIfUnwrapped(err)}) })
	// Not after an error, upon which clients would take it for the end of another operation, nor after the client's own.
	if c.finish(o) {
		c.send(message{Type: "complete", ID: o.id})
	}
}

// finish frees the ID of an operation, and tells whether it was still its own.
func (c *connection) finish(o *operation) bool {
	o.cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.operations[o.id] != o {
		return false
	}
	delete(c.operations, o.id)
	return true
}

// fail ends an operation with errors.
func (c *connection) fail(o *operation, errs gqlerror.List) {
	c.finish(o)
	if len(errs) > maxErrors {
		errs = errs[:maxErrors]
	}
	payload, err := json.Marshal(errs)
	if err != nil {
		c.end(closeBadMessage, InternalMessage)
		return
	}
	c.send(message{Type: "error", ID: o.id, Payload: payload})
}
