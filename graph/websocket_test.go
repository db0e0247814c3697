package graph_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"holdfast/graph/transport"
	"holdfast/internal/testenv"
)

// longEnough bounds everything that must happen, on a loaded machine too.
const longEnough = 2 * time.Minute

const watchStock = `subscription($ids: [ID!]!) { stockChanged(productIds: $ids) { id stock { available } } }`

// socket is a client of graphql-transport-ws that sends what it is told to, sense or not.
type socket struct {
	t    testing.TB
	conn *websocket.Conn
	ctx  context.Context
}

func (a *api) dial(header http.Header, subprotocols ...string) (*socket, *http.Response, error) {
	ctx, cancel := context.WithTimeout(a.t.Context(), longEnough)
	a.t.Cleanup(cancel)
	conn, resp, err := websocket.Dial(ctx, a.server.URL, &websocket.DialOptions{HTTPHeader: header, Subprotocols: subprotocols})
	if err == nil {
		a.t.Cleanup(func() { _ = conn.CloseNow() })
	}
	return &socket{a.t, conn, ctx}, resp, err
}

// socket connects, and says who it is.
func (a *api) socket(user string) *socket {
	a.t.Helper()
	s := a.silent()
	init := object{"type": "connection_init"}
	if user != nobody {
		init["payload"] = object{"Authorization": "Bearer " + token(a.t, user)}
	}
	s.send(init)
	s.want("connection_ack", "")
	return s
}

// silent connects, and says nothing.
func (a *api) silent() *socket {
	a.t.Helper()
	s, _, err := a.dial(nil, "graphql-transport-ws")
	must(a.t, err)
	return s
}

func (s *socket) send(m any) {
	s.t.Helper()
	text, ok := m.(string)
	if !ok {
		raw, err := json.Marshal(m)
		must(s.t, err)
		text = string(raw)
	}
	must(s.t, s.conn.Write(s.ctx, websocket.MessageText, []byte(text)))
}

func (s *socket) subscribe(id, query string, variables object) {
	s.t.Helper()
	s.send(object{"type": "subscribe", "id": id, "payload": object{"query": query, "variables": variables}})
}

type frame struct {
	Type, ID string
	Payload  json.RawMessage
}

func (s *socket) next() frame {
	s.t.Helper()
	_, text, err := s.conn.Read(s.ctx)
	must(s.t, err)
	var f frame
	must(s.t, json.Unmarshal(text, &f))
	return f
}

// want reads a message of a type, for an operation; those that only move the clock are passed over.
func (s *socket) want(kind, id string) result {
	s.t.Helper()
	f := s.next()
	if f.Type != kind || f.ID != id {
		s.t.Fatalf("got %s of %q, want %s of %q: %s", f.Type, f.ID, kind, id, f.Payload)
	}
	r := result{t: s.t, body: string(f.Payload)}
	switch kind {
	case "next":
		must(s.t, json.Unmarshal(f.Payload, &r))
	case "error":
		must(s.t, json.Unmarshal(f.Payload, &r.Errors))
	}
	return r
}

// wantClosed reads until the server closes the connection, which must be for this reason.
func (s *socket) wantClosed(code websocket.StatusCode, reason string) {
	s.t.Helper()
	for {
		_, _, err := s.conn.Read(s.ctx)
		if err == nil {
			continue
		}
		var closed websocket.CloseError
		if !errors.As(err, &closed) || closed.Code != code || !strings.Contains(closed.Reason, reason) {
			s.t.Fatalf("got %v, want the code %d, %q", err, code, reason)
		}
		return
	}
}

func TestWebSocketOperations(t *testing.T) {
	a := newAPI(t, settings{streams: transport.Streams{MaxOperations: 2, Interval: time.Millisecond}})
	s := a.socket(alice)

	s.send(object{"type": "ping"})
	s.want("pong", "")
	s.send(object{"type": "pong", "payload": object{"any": "thing"}})

	s.subscribe("q", `{ me { id } }`, nil)
	s.want("next", "q").want("me.id", "user_alice")
	s.want("complete", "q")
	s.subscribe("q", chargePoints, vars(object{"idempotencyKey": key(), "amount": "5"})) // the name is free again
	s.want("next", "q").want("chargePoints.userErrors", "[]")
	s.want("complete", "q")

	// An operation that is refused ends with its error and nothing else, which the order of what follows shows.
	for query, code := range map[string]string{
		`{`: "GRAPHQL_PARSE_FAILED", `{ nothing }`: "GRAPHQL_VALIDATION_FAILED", `subscription { orderUpdated(id: "ord_0") { id } }`: "BAD_USER_INPUT",
		`subscription { stockChanged(productIds: ["prod_0"]) { id } }`: "BAD_USER_INPUT",
		`subscription { stockChanged(productIds: []) { id } }`:         "BAD_USER_INPUT",
		`{ a` + strings.Repeat(`: __typename a`, 40) + ` }`:            "GRAPHQL_VALIDATION_FAILED",
		"{" + strings.Repeat(" __typename", 1000) + "}":                "GRAPHQL_PARSE_FAILED",
	} {
		s.subscribe("bad", query, nil)
		s.want("error", "bad").wantError(code)
		s.send(object{"type": "ping"})
		s.want("pong", "")
	}

	// Two watch; the third is one too many, until one has ended.
	watch := object{"ids": []string{"prod_1"}}
	for _, id := range []string{"1", "2"} {
		s.subscribe(id, watchStock, watch)
		s.want("next", id).want("stockChanged.id", "prod_1")
	}
	s.subscribe("3", watchStock, watch)
	s.want("error", "3").wantError("RATE_LIMITED")
	s.send(object{"type": "complete", "id": "1"})
	s.send(object{"type": "complete", "id": "unknown"})
	s.subscribe("1", `{ __typename }`, nil)
	s.want("next", "1")
	s.want("complete", "1")
}

// TestWebSocketProtocol breaks the protocol in every way it has a code for.
func TestWebSocketProtocol(t *testing.T) {
	a := newAPI(t, settings{bare: true, streams: transport.Streams{MaxMessages: 10}})
	init := object{"type": "connection_init"}
	hold := object{"type": "subscribe", "id": "1", "payload": object{"query": `query { products { nodes { id } } }`}}
	for _, c := range []struct {
		name   string
		send   []any
		code   websocket.StatusCode
		reason string
	}{
		{"no JSON", []any{"hello"}, 4400, "JSON"},
		{"trailing data", []any{`{"type":"ping"} x`}, 4400, "JSON"},
		{"a list", []any{`[]`}, 4400, "JSON"},
		{"null", []any{`null`}, 4400, "JSON"},
		{"unknown type", []any{object{"type": "start"}}, 4400, "unknown type"},
		{"no type", []any{object{}}, 4400, "unknown type"},
		{"type of a number", []any{object{"type": 1}}, 4400, "JSON"},
		{"payload of connection_init", []any{`{"type":"connection_init","payload":[]}`}, 4400, "payload"},
		{"too early", []any{hold}, 4401, "connection_init comes first"},
		{"twice", []any{init, init}, 4429, "too many initialisation requests"},
		{"no id", []any{init, object{"type": "subscribe", "payload": object{"query": "{ __typename }"}}}, 4400, "id"},
		{"long id", []any{init, object{"type": "subscribe", "id": strings.Repeat("a", 129), "payload": object{"query": "{ __typename }"}}}, 4400, "id"},
		{"no payload", []any{init, object{"type": "subscribe", "id": "1"}}, 4400, "payload"},
		{"payload of text", []any{init, object{"type": "subscribe", "id": "1", "payload": "{ __typename }"}}, 4400, "payload"},
		{"query of a number", []any{init, object{"type": "subscribe", "id": "1", "payload": object{"query": 1}}}, 4400, "payload"},
		{"bad token", []any{object{"type": "connection_init", "payload": object{"Authorization": "Bearer x"}}}, 4403, "the access token is not valid"},
		{"token of another form", []any{object{"type": "connection_init", "payload": object{"authorization": "x"}}}, 4403, "Bearer <token>"},
		{"token that is none", []any{object{"type": "connection_init", "payload": object{"authorization": 1}}}, 4403, "Bearer <token>"},
		{"expired token", []any{object{"type": "connection_init", "payload": object{"Authorization": "Bearer " + expiredToken(t)}}}, 4403, "expired"},
		{"flood", func() (flood []any) {
			for range 20 {
				flood = append(flood, object{"type": "ping"})
			}
			return flood
		}(), 4429, "too many messages"},
		{"too large", []any{strings.Repeat(" ", 200_000)}, websocket.StatusMessageTooBig, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := a.with(t).silent()
			for _, m := range c.send {
				if text, ok := m.(string); ok && len(text) > 100_000 { // refused before it is through
					_ = s.conn.Write(s.ctx, websocket.MessageText, []byte(text))
					continue
				}
				s.send(m)
			}
			s.wantClosed(c.code, c.reason)
		})
	}
	t.Run("binary", func(t *testing.T) {
		s := a.with(t).silent()
		must(t, s.conn.Write(s.ctx, websocket.MessageBinary, []byte(`{"type":"ping"}`)))
		s.wantClosed(4400, "JSON")
	})
	t.Run("subprotocol", func(t *testing.T) {
		s, _, err := a.with(t).dial(nil, "graphql-ws")
		must(t, err)
		s.wantClosed(4406, "graphql-transport-ws")
	})
}

// TestWebSocketDuplicate uses an id that is taken.
func TestWebSocketDuplicate(t *testing.T) {
	a := newAPI(t, settings{})
	s := a.socket(nobody)
	for range 2 {
		s.subscribe("same", watchStock, object{"ids": []string{"prod_1"}})
	}
	s.wantClosed(4409, "exists already")
}

func TestWebSocketInitTimeout(t *testing.T) {
	a := newAPI(t, settings{bare: true, streams: transport.Streams{InitTimeout: 20 * time.Millisecond}})
	a.silent().wantClosed(4408, "connection_init")
}

// TestWebSocketOrigin connects from the page of another site.
func TestWebSocketOrigin(t *testing.T) {
	a := newAPI(t, settings{bare: true, origins: []string{"https://shop.example"}})
	for origin, status := range map[string]int{
		"https://evil.example": http.StatusForbidden, "http://shop.example": http.StatusForbidden, "null": http.StatusForbidden,
		"https://shop.example": http.StatusSwitchingProtocols, a.server.URL: http.StatusSwitchingProtocols,
	} {
		_, resp, err := a.dial(http.Header{"Origin": {origin}}, "graphql-transport-ws")
		if resp == nil {
			t.Fatal(err)
		}
		if resp.StatusCode != status {
			t.Errorf("%s: status %d, want %d", origin, resp.StatusCode, status)
		}
	}
}

// TestWebSocketEnds when its token does, when the server stops, and never takes more connections than it may.
func TestWebSocketEnds(t *testing.T) {
	a := newAPI(t, settings{streams: transport.Streams{MaxConnections: 1}})
	s := a.socket(alice)
	if _, resp, err := a.dial(nil, "graphql-transport-ws"); err == nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a connection too many: %v", err)
	}
	s.subscribe("1", watchStock, object{"ids": []string{"prod_1"}})
	s.want("next", "1")
	done := make(chan error, 1)
	go func() { done <- a.handler.Close(t.Context()) }()
	s.wantClosed(websocket.StatusGoingAway, "the server stops")
	must(t, testenv.Receive(t, done, "the handler to close"))
	if _, resp, err := a.dial(nil, "graphql-transport-ws"); err == nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a connection to a server that stops: %v", err)
	}
}

func TestWebSocketTokenExpires(t *testing.T) {
	a := newAPI(t, settings{})
	s := a.silent()
	// The clocks of issuer and verifier may be apart by 30 seconds: this one has a second or two left, more on a slow machine.
	expired := time.Now().Add(testenv.Scaled(2*time.Second) - 30*time.Second)
	s.send(object{"type": "connection_init", "payload": object{"Authorization": "Bearer " + tokenUntil(t, expired)}})
	s.want("connection_ack", "")
	s.wantClosed(4403, "expired")
}

// TestWebSocketSlow lets a client read nothing: it is dropped, and others hear what happens meanwhile.
func TestWebSocketSlow(t *testing.T) {
	a := newAPI(t, settings{streams: transport.Streams{
		// Long enough for a client that does read, on a loaded machine.
		WriteTimeout: testenv.Scaled(time.Second), Ping: testenv.Scaled(3 * time.Second), Interval: time.Millisecond, MaxMessages: 100_000, MaxOperations: 1000,
	}})
	slow, quick := a.socket(alice), a.socket(alice)
	quick.subscribe("1", watchStock, object{"ids": []string{"prod_1"}})
	before := quick.want("next", "1").text("stockChanged.stock.available")
	heard := make(chan []byte, 1)
	go func() { // reads all the time, as clients do: only so it answers pings
		if _, text, err := quick.conn.Read(quick.ctx); err == nil {
			heard <- text
		}
	}()
	long := `{ products(first: 100) {` + strings.Repeat(" edges { node { id name description } }", 3) + `} }`
	for i := 0; !strings.Contains(a.log.String(), "web socket closed"); i++ {
		text, err := json.Marshal(object{"type": "subscribe", "id": fmt.Sprint(i), "payload": object{"query": long}})
		must(t, err)
		if slow.conn.Write(slow.ctx, websocket.MessageText, text) != nil {
			break // dropped
		}
		if slow.ctx.Err() != nil {
			t.Fatal("a client that reads nothing is never dropped")
		}
	}
	a.ok(alice, placeOrder, vars(object{"idempotencyKey": key(), "lines": line("prod_1", 1)}))
	select {
	case text := <-heard:
		if strings.Contains(string(text), `"`+before+`"`) {
			t.Errorf("the stock is %s still: %s", before, text)
		}
	case <-quick.ctx.Done():
		t.Fatal("the other client hears nothing")
	}
	until(t, "the reason to be logged", func() bool { // which is after the connection was closed
		log := a.log.String()
		return strings.Contains(log, "does not answer") || strings.Contains(log, "too slow")
	})
}

func expiredToken(t *testing.T) string { return tokenUntil(t, time.Now().Add(-time.Hour)) }
