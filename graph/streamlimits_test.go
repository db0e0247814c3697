package graph_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"holdfast/graph/transport"
)

// from connects a web socket from an address, and says who it is. It returns the HTTP status if the handshake is refused.
func (a *api) from(address, user string) (*socket, int) {
	a.t.Helper()
	s, resp, err := a.dial(http.Header{"X-Forwarded-For": {address}}, "graphql-transport-ws")
	if err != nil {
		if resp == nil {
			a.t.Fatal(err)
			return nil, 0
		}
		return nil, resp.StatusCode
	}
	init := object{"type": "connection_init"}
	if user != nobody {
		init["payload"] = object{"Authorization": "Bearer " + token(a.t, user)}
	}
	s.send(init)
	return s, http.StatusSwitchingProtocols
}

// TestConnectionsAreShared opens as many connections as one address, one user and those without a token may have. None of them
// takes what is kept for the others, and what is closed is free again.
func TestConnectionsAreShared(t *testing.T) {
	a := newAPI(t, settings{bare: true, proxies: 1, streams: transport.Streams{
		MaxConnections: 20, MaxPerAddress: 3, MaxPerUser: 2, AnonymousPercent: 30,
	}})
	open := func(address, user string) *socket {
		t.Helper()
		s, status := a.from(address, user)
		if status != http.StatusSwitchingProtocols {
			t.Fatalf("%q from %s: status %d", user, address, status)
		}
		s.want("connection_ack", "")
		return s
	}
	full := func(address string) {
		t.Helper()
		if _, status := a.from(address, nobody); status != http.StatusTooManyRequests {
			t.Errorf("one too many from %s: status %d, want 429", address, status)
		}
	}
	for i := range 3 { // an IPv6 network counts as one address
		open("10.0.0.1", nobody)
		open(fmt.Sprintf("2001:db8::%d", i+1), nobody)
	}
	full("10.0.0.1")
	full("2001:db8::ffff:1")

	// Six of twenty are of nobody: no more of them, whatever the address.
	s, _ := a.from("10.0.0.2", nobody)
	s.wantClosed(1013, "without an access token")
	a.eventsFrom("10.0.0.2", nobody).wantLater(http.StatusServiceUnavailable)
	a.eventsFrom("10.0.0.1", alice).wantLater(http.StatusTooManyRequests)

	first := open("2001:db8:0:1::1", alice) // another network
	open("10.0.0.2", alice)
	s, _ = a.from("10.0.0.3", alice)
	s.wantClosed(4429, "you have 2 connections")
	a.eventsFrom("10.0.0.3", alice).wantLater(http.StatusTooManyRequests)
	must(t, first.conn.CloseNow())
	// A place is free when the connection before has ended, those that were refused included.
	for address, user := range map[string]string{"10.0.0.3": alice, "10.0.0.4": bob} {
		until(t, user+" to connect", func() bool {
			s, status := a.from(address, user)
			if status != http.StatusSwitchingProtocols {
				return false
			}
			_, text, err := s.conn.Read(s.ctx)
			return err == nil && strings.Contains(string(text), "connection_ack")
		})
	}
}

// TestSilentSocketsKeepNobodyOut takes all places with web sockets that do not say whose they are. Whoever signs in gets the place of
// the one that has been silent for longest, and nobody the place of one that has said it.
func TestSilentSocketsKeepNobodyOut(t *testing.T) {
	a := newAPI(t, settings{bare: true, proxies: 1, streams: transport.Streams{
		MaxConnections: 4, AnonymousPercent: 25, InitTimeout: time.Minute,
	}})
	silent := make([]*socket, 4)
	for i := range silent {
		s, resp, err := a.dial(http.Header{"X-Forwarded-For": {fmt.Sprintf("10.0.0.%d", i)}}, "graphql-transport-ws")
		if err != nil {
			t.Fatalf("socket %d: %v, %v", i, resp, err)
		}
		silent[i] = s
	}
	for i, user := range []string{alice, bob} {
		s, status := a.from("10.0.1.1", user)
		if status != http.StatusSwitchingProtocols {
			t.Fatalf("%s: status %d", user, status)
		}
		s.want("connection_ack", "")
		if _, _, err := silent[i].conn.Read(silent[i].ctx); err == nil || silent[i].ctx.Err() != nil {
			t.Errorf("silent socket %d is still open: %v", i, err)
		}
	}
	stream := a.events(carol, `{ __typename }`, nil)
	stream.want("next").want("__typename", "Query")
	stream.want("complete")
	stream.wantEnd() // it has left
	silent[3].send(object{"type": "connection_init"})
	silent[3].want("connection_ack", "")
	last, status := a.from("10.0.1.3", carol)
	if status != http.StatusSwitchingProtocols {
		t.Fatalf("carol: status %d", status)
	}
	last.want("connection_ack", "")
	if _, status := a.from("10.0.1.4", admin); status != http.StatusServiceUnavailable {
		t.Errorf("one too many: status %d, want 503", status)
	}
}

// TestForgottenProxies serves customers behind a proxy that http.proxies does not count: they have one address, which bounds none of
// them, and the operator is told once. Without a sign of a proxy the bound is there.
func TestForgottenProxies(t *testing.T) {
	a := newAPI(t, settings{bare: true, streams: transport.Streams{MaxPerAddress: 1}})
	for i := range 3 {
		s, status := a.from(fmt.Sprintf("203.0.113.%d", i), nobody)
		if status != http.StatusSwitchingProtocols {
			t.Fatalf("customer %d: status %d", i, status)
		}
		s.want("connection_ack", "")
	}
	if n := strings.Count(a.log.String(), "level=WARN msg=\"a proxy is not counted"); n != 1 {
		t.Errorf("the operator is told %d times, want once: %s", n, a.log)
	}
	a.silent()
	if _, resp, err := a.dial(nil, "graphql-transport-ws"); err == nil || resp.StatusCode != http.StatusTooManyRequests {
		t.Errorf("a second connection without a proxy: %v, %v", resp, err)
	}
}

// eventsFrom is an event stream from an address.
func (a *api) eventsFrom(address, user string) result {
	a.t.Helper()
	header := http.Header{"Content-Type": {jsonType}, "Accept": {"text/event-stream, application/json"}, "X-Forwarded-For": {address}}
	if user != nobody {
		header.Set("Authorization", "Bearer "+token(a.t, user))
	}
	return a.send(http.MethodPost, "", header, []byte(`{"query":"{ __typename }"}`))
}

// wantLater asserts the status of a refusal, which tells in the error and in the header when to try again.
func (r result) wantLater(status int) {
	r.t.Helper()
	if r.status != status || len(r.Errors) == 0 {
		r.t.Errorf("status %d, want %d: %s", r.status, status, r.body)
		return
	}
	seconds, _ := r.Errors[0].Extensions["retryAfter"].(float64)
	if seconds < 1 || r.header.Get("Retry-After") != fmt.Sprint(seconds) {
		r.t.Errorf("status %d does not tell when to try again: %v: %s", r.status, r.header, r.body)
	}
}

// TestWhatIsCounted counts what is not a plain request: handshakes, tokens that are refused, and each mutation of an operation. An
// IPv6 network counts as one address.
func TestWhatIsCounted(t *testing.T) {
	const burst = 4 // a fifth of a minute's
	rates := transport.Rates{User: 5 * burst, Address: 5 * burst}
	t.Run("handshakes", func(t *testing.T) {
		a := newAPI(t, settings{bare: true, proxies: 1, rates: rates})
		for i := range burst {
			if _, status := a.from(fmt.Sprintf("2001:db8::%d", i), nobody); status != http.StatusSwitchingProtocols {
				t.Fatalf("handshake %d: status %d", i, status)
			}
		}
		if _, status := a.from("2001:db8::abcd", nobody); status != http.StatusTooManyRequests {
			t.Errorf("status %d, want 429", status)
		}
		if _, status := a.from("2001:db8:0:1::1", nobody); status != http.StatusSwitchingProtocols {
			t.Errorf("another network: status %d", status)
		}
	})
	ask := func(a *api, address, authorization, query string) result {
		return a.send(http.MethodPost, "", http.Header{
			"Content-Type": {jsonType}, "X-Forwarded-For": {address}, "Authorization": {authorization},
		}, []byte(`{"query":`+quote(query)+`}`))
	}
	t.Run("refused tokens", func(t *testing.T) {
		a := newAPI(t, settings{bare: true, proxies: 1, rates: rates})
		for range burst {
			if r := ask(a, "10.0.0.1", "Bearer nonsense", "{ __typename }"); r.status != http.StatusUnauthorized {
				t.Fatalf("status %d: %s", r.status, r.body)
			}
		}
		if r := ask(a, "10.0.0.1", "Bearer nonsense", "{ __typename }"); r.status != http.StatusTooManyRequests || r.header.Get("Retry-After") == "" {
			t.Errorf("status %d, %v: %s", r.status, r.header, r.body)
		}
		for range burst / 2 { // each is a handshake, and a token that is refused
			a.tokenFrom("10.0.0.2", "Bearer nonsense").wantClosed(4403, "not valid")
		}
		if _, status := a.from("10.0.0.2", nobody); status != http.StatusTooManyRequests {
			t.Errorf("a handshake after %d refused tokens: status %d, want 429", burst/2, status)
		}
	})
	t.Run("mutations", func(t *testing.T) {
		a := newAPI(t, settings{bare: true, proxies: 1, rates: rates})
		const one = `reconcileNow { userErrors { code } } `
		bearer := "Bearer " + token(t, admin)
		if r := ask(a, "10.0.0.1", bearer, `mutation { a: `+one+`...F } fragment F on Mutation { b: `+one+`... { c: `+one+`d: `+one+`} }`); r.status != http.StatusOK || len(r.Errors) > 0 {
			t.Fatalf("status %d: %s", r.status, r.body)
		}
		if r := ask(a, "10.0.0.2", bearer, "{ __typename }"); r.status != http.StatusTooManyRequests {
			t.Errorf("after %d mutations: status %d: %s", burst, r.status, r.body)
		}
		if r := ask(a, "10.0.0.3", "Bearer "+token(t, alice), "{ a: __typename b: __typename c: __typename d: __typename }"); r.status != http.StatusOK {
			t.Errorf("queries: status %d", r.status)
		}
		if r := ask(a, "10.0.0.3", "Bearer "+token(t, alice), "{ __typename }"); r.status != http.StatusOK {
			t.Errorf("a query of four fields counts as more than one: %s", r.body)
		}
	})
}

// tokenFrom connects from an address and sends an authorization.
func (a *api) tokenFrom(address, authorization string) *socket {
	a.t.Helper()
	s, _, err := a.dial(http.Header{"X-Forwarded-For": {address}}, "graphql-transport-ws")
	must(a.t, err)
	s.send(object{"type": "connection_init", "payload": object{"Authorization": authorization}})
	return s
}
