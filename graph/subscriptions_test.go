package graph_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/graph"
	"holdfast/graph/served"
	"holdfast/graph/transport"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
	"holdfast/payments"
)

const (
	watchOrder  = `subscription($id: ID!) { orderUpdated(id: $id) { id status payment { status } } }`
	watchTicket = `subscription($id: ID!) { queueTicketUpdated(id: $id) { id status position result { id status } } }`
)

// quick makes subscriptions tell at once, and look by themselves so rarely that a test would notice what is not heard.
var quick = transport.Streams{Interval: time.Millisecond, Refresh: time.Hour, TicketPoll: 20 * time.Millisecond}

func TestStockChanged(t *testing.T) {
	a := newAPI(t, settings{streams: quick})
	s := a.socket(nobody) // stock is public
	s.subscribe("1", watchStock, object{"ids": []string{"prod_2", "prod_1", "prod_2"}})
	first := s.want("next", "1").want("stockChanged.id", "prod_1")
	s.want("next", "1").want("stockChanged.id", "prod_2")
	stock := number(t, first.text("stockChanged.stock.available"))

	for bought := 1; bought <= 3; bought++ {
		a.ok(alice, placeOrder, vars(object{"idempotencyKey": key(), "lines": line("prod_1", 1)}))
		s.want("next", "1").want("stockChanged.id", "prod_1", "stockChanged.stock.available", stock-bought)
	}
	// Of another product nothing is told.
	a.ok(alice, placeOrder, vars(object{"idempotencyKey": key(), "lines": line("prod_3", 1)}))
	a.ok(admin, stockAdjust, vars(object{"idempotencyKey": key(), "productId": "prod_1", "delta": 10}))
	s.want("next", "1").want("stockChanged.id", "prod_1", "stockChanged.stock.available", stock-3+10)
}

// TestLostNews finds what nobody was told of.
func TestLostNews(t *testing.T) {
	a := newAPI(t, settings{streams: transport.Streams{Interval: time.Millisecond, Refresh: 20 * time.Millisecond}})
	s := a.socket(nobody)
	s.subscribe("1", watchStock, object{"ids": []string{"prod_1"}})
	s.want("next", "1")
	must(t, a.db.Ent.Balance.UpdateOneID(lockprovider.StockKey("prod_1")).SetAmount(7).Exec(t.Context()))
	s.want("next", "1").want("stockChanged.stock.available", 7)
}

func TestOrderUpdated(t *testing.T) {
	a := newAPI(t, settings{streams: quick})
	id := a.ok(alice, placeOrder, vars(object{"idempotencyKey": key(), "lines": line("prod_1", 1)})).text("placeOrder.order.id")
	watched := object{"id": id}
	for _, user := range []string{nobody, bob} { // as if it were not there
		code := map[string]string{nobody: "UNAUTHENTICATED", bob: "BAD_USER_INPUT"}[user]
		s := a.socket(user)
		s.subscribe("1", watchOrder, watched)
		s.want("error", "1").wantError(code)
	}
	s, root := a.socket(alice), a.socket(admin)
	for _, s := range []*socket{s, root} {
		s.subscribe("1", watchOrder, watched)
		s.want("next", "1").want("orderUpdated.status", "PENDING")
	}
	a.ok(alice, payOrder, vars(object{"idempotencyKey": key(), "orderId": id, "payment": object{"method": "CARD"}}))
	for _, s := range []*socket{s, root} {
		s.until("orderUpdated.status", "PAID")
	}
	a.ok(alice, cancelOrder, vars(object{"idempotencyKey": key(), "orderId": id}))
	for _, s := range []*socket{s, root} {
		s.until("orderUpdated.payment.status", "REFUNDED")
		s.ends("1") // it may be told once more that it is settled
	}
}

// TestOrderUpdatedTellsOfAPaymentThatCameTooLate: an order has ended while its payment is not given
// back yet. The subscription goes on until it is, and tells why.
func TestOrderUpdatedTellsOfAPaymentThatCameTooLate(t *testing.T) {
	gateway := &lossy{Gateway: payments.NewSimulated(payments.SimulatedSettings{})}
	a := newAPI(t, settings{streams: quick, gateway: gateway})
	id := a.ok(alice, placeOrder, vars(object{"idempotencyKey": key(), "lines": line("prod_1", 1)})).text("placeOrder.order.id")
	s := a.socket(alice)
	s.subscribe("1", `subscription($id: ID!) { orderUpdated(id: $id) { status failure { code reason } } }`, object{"id": id})
	s.want("next", "1").want("orderUpdated.status", "PENDING")
	gateway.away.Store(true)
	pay := a.do(alice, payOrder, vars(object{"idempotencyKey": key(), "orderId": id, "payment": object{"method": "CARD"}}))
	pay.want("payOrder.userErrors.0.code", "UNAVAILABLE")
	a.do(alice, cancelOrder, vars(object{"idempotencyKey": key(), "orderId": id}))
	s.until("orderUpdated.status", "CANCELLED")

	gateway.away.Store(false)
	must(t, a.db.Ent.Order.UpdateOneID(id).SetNextAttemptAt(time.Now().Add(-time.Minute)).Exec(t.Context()))
	_, _, err := a.services.Orders.ExpireOverdue(t.Context(), 10)
	must(t, err)
	s.until("orderUpdated.failure.reason", "the order was cancelled before it was paid; the payment was given back")
	s.want("complete", "1")
}

// lossy is a gateway whose answers are lost while it is away. It authorizes, and voids nothing
// then.
type lossy struct {
	payments.Gateway
	away atomic.Bool
}

var errAnswerLost = errors.New("the answer is lost")

func (g *lossy) Authorize(ctx context.Context, a payments.Authorization) (payments.Answer, error) {
	answer, err := g.Gateway.Authorize(ctx, a)
	if g.away.Load() {
		return payments.Answer{}, errAnswerLost
	}
	return answer, err
}

func (g *lossy) Void(ctx context.Context, ref payments.Ref) (payments.Answer, error) {
	if g.away.Load() {
		return payments.Answer{}, errAnswerLost
	}
	return g.Gateway.Void(ctx, ref)
}

// ends reads what an operation tells until it is complete.
func (s *socket) ends(id string) {
	s.t.Helper()
	for s.ctx.Err() == nil {
		if f := s.next(); f.Type == "complete" && f.ID == id {
			return
		}
	}
	s.t.Fatal("it never ends")
}

// until reads what the operation 1 tells until a value is as wanted.
func (s *socket) until(path, want string) {
	s.t.Helper()
	for fmt.Sprint(s.want("next", "1").at(path)) != want {
		if s.ctx.Err() != nil {
			s.t.Fatalf("%s is never %s", path, want)
		}
	}
}

func TestQueueTicketUpdated(t *testing.T) {
	a := newAPI(t, settings{stock: lockprovider.Queue, streams: quick})
	id := a.ok(alice, placeOrder, vars(object{"idempotencyKey": key(), "lines": line("prod_1", 1), "wait": false})).
		text("placeOrder.ticket.id")
	other := a.socket(bob)
	other.subscribe("1", watchTicket, object{"id": id})
	other.want("error", "1").wantError("BAD_USER_INPUT")
	s := a.socket(alice)
	s.subscribe("1", watchTicket, object{"id": id})
	s.until("queueTicketUpdated.status", "DONE")
	s.want("complete", "1")
}

// TestSubscriptionFails where the stores do: with the code, and without what went wrong.
func TestSubscriptionFails(t *testing.T) {
	a := newAPI(t, settings{streams: quick})
	s := a.socket(alice)
	s.subscribe("1", watchStock, object{"ids": []string{"prod_1"}})
	s.want("next", "1")
	must(t, a.db.Close())
	a.live.Changed("prod_1")
	r := s.want("error", "1")
	if len(r.Errors) != 1 || strings.Contains(r.body, "sql") || strings.Contains(r.body, "closed") {
		t.Errorf("the client learns too much, or nothing: %s", r.body)
	}
	if !strings.Contains(a.log.String(), "closed") {
		t.Errorf("the log does not tell: %s", a.log)
	}
}

// TestSubscriptionsByRole asks every subscription as everybody.
func TestSubscriptionsByRole(t *testing.T) {
	a := newAPI(t, settings{streams: quick})
	operations := map[string]struct {
		role, query string
		variables   object
	}{
		"stockChanged":       {"public", watchStock, object{"ids": []string{"prod_1"}}},
		"orderUpdated":       {"customer", watchOrder, object{"id": "ord_0"}},
		"queueTicketUpdated": {"customer", watchTicket, object{"id": "qt_0"}},
		"experimentProgress": {"administrator", watchExperiment, object{"id": "exp_0"}},
	}
	for _, field := range graph.Served(served.Options{}).Subscription.Fields {
		if _, ok := operations[field.Name]; !ok && !strings.HasPrefix(field.Name, "__") {
			t.Errorf("no test asks %s", field.Name)
		}
	}
	for name, operation := range operations {
		for _, user := range []string{nobody, bob, admin} {
			s := a.socket(user)
			s.subscribe(name, operation.query, operation.variables)
			f := s.next()
			refused := strings.Contains(string(f.Payload), `"UNAUTHENTICATED"`)
			if want := user == nobody && operation.role != "public"; refused != want {
				t.Errorf("%s as %q: %s %s", name, user, f.Type, f.Payload)
			}
		}
	}
}

// events is a client of an event stream.
type eventSource struct {
	t      testing.TB
	status int
	header http.Header
	body   io.ReadCloser
	lines  *bufio.Scanner
	cancel context.CancelFunc
}

func (a *api) events(user, query string, variables object) *eventSource {
	a.t.Helper()
	return a.eventsOf(user, object{"query": query, "variables": variables})
}

// eventsOf is events for whatever parameters.
func (a *api) eventsOf(user string, parameters object) *eventSource {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), longEnough)
	a.t.Cleanup(cancel)
	body, err := json.Marshal(parameters)
	must(a.t, err)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.server.URL, strings.NewReader(string(body)))
	must(a.t, err)
	req.Header.Set("Content-Type", jsonType)
	req.Header.Set("Accept", "text/event-stream")
	if user != nobody {
		req.Header.Set("Authorization", "Bearer "+token(a.t, user))
	}
	resp, err := a.server.Client().Do(req)
	must(a.t, err)
	a.t.Cleanup(func() { _ = resp.Body.Close() })
	return &eventSource{a.t, resp.StatusCode, resp.Header, resp.Body, bufio.NewScanner(resp.Body), cancel}
}

// want reads the next event, past the heartbeats.
func (e *eventSource) want(kind string) result {
	e.t.Helper()
	r := result{t: e.t}
	var got string
	for e.lines.Scan() {
		line := e.lines.Text()
		if data, ok := strings.CutPrefix(line, "data:"); ok {
			r.body = strings.TrimSpace(data)
		} else if name, ok := strings.CutPrefix(line, "event: "); ok {
			got = name
		} else if line == "" && got != "" {
			if got != kind {
				e.t.Fatalf("got %s, want %s: %s", got, kind, r.body)
			}
			if r.body != "" {
				must(e.t, json.Unmarshal([]byte(r.body), &r))
			}
			return r
		}
	}
	e.t.Fatalf("the stream ends (%v), want %s", e.lines.Err(), kind)
	return r
}

func (e *eventSource) wantEnd() {
	e.t.Helper()
	for e.lines.Scan() {
		if line := e.lines.Text(); line != "" && line != ":" {
			e.t.Fatalf("want the end, got %s", line)
		}
	}
}

func TestEventStream(t *testing.T) {
	a := newAPI(t, settings{streams: transport.Streams{Interval: time.Millisecond, Refresh: time.Hour, Ping: 5 * time.Millisecond}})
	stream := a.events(nobody, watchStock, object{"ids": []string{"prod_1"}})
	if got := stream.header.Get("Content-Type"); stream.status != http.StatusOK || !strings.HasPrefix(got, "text/event-stream") {
		t.Fatalf("status %d, %s", stream.status, got)
	}
	stock := number(t, stream.want("next").text("stockChanged.stock.available"))
	a.ok(alice, placeOrder, vars(object{"idempotencyKey": key(), "lines": line("prod_1", 2)}))
	stream.want("next").want("stockChanged.stock.available", stock-2)

	one := a.events(alice, `{ me { id } }`, nil)
	one.want("next").want("me.id", "user_alice")
	one.want("complete")
	one.wantEnd()
	for query, code := range map[string]string{
		`{`: "GRAPHQL_PARSE_FAILED", `{ nothing }`: "GRAPHQL_VALIDATION_FAILED",
		`subscription { orderUpdated(id: "ord_0") { id } }`:            "UNAUTHENTICATED",
		`{` + strings.Repeat(` a: __typename b: __typename`, 30) + `}`: "GRAPHQL_VALIDATION_FAILED",
	} {
		bad := a.events(nobody, query, nil)
		bad.want("next").wantError(code)
		bad.want("complete")
		bad.wantEnd()
	}

	done := make(chan error, 1)
	go func() { done <- a.handler.Close(t.Context()) }()
	stream.wantEnd()
	must(t, testenv.Receive(t, done, "the handler to close"))
	if again := a.events(nobody, watchStock, object{"ids": []string{"prod_1"}}); again.status != http.StatusServiceUnavailable {
		t.Errorf("a stream of a server that stops: status %d", again.status)
	}
}

// TestSubscriptionNeedsAStream sends one as a plain request, where it would hang.
func TestSubscriptionNeedsAStream(t *testing.T) {
	a := newAPI(t, settings{})
	r := a.do(alice, watchStock, object{"ids": []string{"prod_1"}})
	if message := r.wantError("BAD_REQUEST"); r.status != http.StatusBadRequest || !strings.Contains(message, "text/event-stream") {
		t.Errorf("status %d: %s", r.status, r.body)
	}
}

func number(t *testing.T, text string) (n int) {
	t.Helper()
	if _, err := fmt.Sscan(text, &n); err != nil {
		t.Fatal(err)
	}
	return n
}
