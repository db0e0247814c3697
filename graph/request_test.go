package graph_test

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"holdfast/graph"
	"holdfast/graph/transport"
)

// TestForgedRequests are those that the page of another site can make a browser send without asking.
func TestForgedRequests(t *testing.T) {
	a := newAPI(t, settings{})
	const query = `query={strategies{family}}`
	for name, header := range map[string]http.Header{
		"nothing": {}, "text": {"Content-Type": {"text/plain"}}, "form": {"Content-Type": {"application/x-www-form-urlencoded"}},
		"multipart": {"Content-Type": {"multipart/form-data; boundary=x"}}, "no type": {"Content-Type": {";"}},
		"an empty header": {"Apollo-Require-Preflight": {""}}, "event stream": {"Accept": {"text/event-stream"}},
	} {
		r := a.send(http.MethodGet, query, header, nil)
		if message := r.wantError("BAD_REQUEST"); r.status != http.StatusBadRequest || !strings.Contains(message, "Apollo-Require-Preflight") {
			t.Errorf("%s: status %d: %s", name, r.status, r.body)
		}
	}
	for name, header := range map[string]http.Header{
		"JSON": {"Content-Type": {"application/json"}}, "Apollo's": {"Apollo-Require-Preflight": {"1"}},
		"the operation's name": {"X-Apollo-Operation-Name": {"Q"}}, "a token": {"Authorization": {"Bearer " + token(t, alice)}},
	} {
		if r := a.send(http.MethodGet, query, header, nil); r.status != http.StatusOK {
			t.Errorf("%s: status %d: %s", name, r.status, r.body)
		}
	}
	// A mutation cannot be made simple.
	mutation := `{"query":"mutation { chargePoints(input: {idempotencyKey: \"` + key() + `\", amount: 5}) { wallet { balance } } }"}`
	for _, media := range []string{"", "text/plain", "text/plain;application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"} {
		header := http.Header{}
		if media != "" {
			header.Set("Content-Type", media)
		}
		if r := a.send(http.MethodPost, "", header, []byte(mutation)); r.status != http.StatusUnsupportedMediaType {
			t.Errorf("%q: status %d: %s", media, r.status, r.body)
		}
	}
}

// TestOrigins asks as a browser does before it sends what a page of another site wants to send.
func TestOrigins(t *testing.T) {
	const ours, strange = "https://shop.example", "https://evil.example"
	a := newAPI(t, settings{bare: true, origins: []string{ours}})
	for origin, allowed := range map[string]bool{
		ours: true, strange: false, "https://shop.example.evil.example": false, "http://shop.example": false, "null": false, "": false,
	} {
		header := http.Header{"Access-Control-Request-Method": {"POST"}}
		if origin != "" {
			header.Set("Origin", origin)
		}
		asked := a.send(http.MethodOptions, "", header, nil)
		header.Set("Content-Type", jsonType)
		answered := a.send(http.MethodPost, "", header, []byte(`{"query":"{ __typename }"}`))
		header.Set("Authorization", "Bearer nonsense")
		refused := a.send(http.MethodPost, "", header, []byte(`{"query":"{ __typename }"}`))
		for _, r := range []result{asked, answered, refused} {
			got := r.header.Get("Access-Control-Allow-Origin")
			if got != "" != allowed || allowed && got != origin {
				t.Errorf("%q: allowed is %q", origin, got)
			}
			if r.header.Get("Access-Control-Allow-Credentials") != "" || !strings.Contains(strings.Join(r.header.Values("Vary"), ","), "Origin") {
				t.Errorf("%q: %v", origin, r.header)
			}
		}
		if asked.status != http.StatusNoContent || asked.header.Get("Access-Control-Allow-Headers") != "" != allowed {
			t.Errorf("%q: status %d, %v", origin, asked.status, asked.header)
		}
	}
}

// TestOriginHeaders asks for the headers that well-known clients send from a page of another origin. A browser compares names
// without regard to case, and sends nothing if one of them is missing in the answer.
func TestOriginHeaders(t *testing.T) {
	const ours = "https://shop.example"
	a := newAPI(t, settings{bare: true, origins: []string{ours}, headers: []string{"traceparent"}})
	for client, c := range map[string]struct {
		sends   string
		allowed bool
	}{
		"Apollo Client":             {"accept,content-type", true},
		"Apollo Client with a name": {"accept,apollographql-client-name,apollographql-client-version,content-type", true},
		"Apollo Client, uploading":  {"accept,apollo-require-preflight,content-type", true},
		"Apollo Kotlin":             {"accept,content-type,x-apollo-operation-id,x-apollo-operation-name", true},
		"urql":                      {"accept,authorization,content-type", true},
		"Relay":                     {"accept,authorization,content-type,x-request-id", true},
		"what is configured":        {"content-type,traceparent", true},
		"what is not":               {"content-type,tracestate", false},
		"any header":                {"*", false},
	} {
		r := a.send(http.MethodOptions, "", http.Header{
			"Origin": {ours}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {c.sends},
		}, nil)
		allowed := map[string]bool{}
		for name := range strings.SplitSeq(r.header.Get("Access-Control-Allow-Headers"), ",") {
			allowed[strings.ToLower(strings.TrimSpace(name))] = true
		}
		all := true
		for name := range strings.SplitSeq(c.sends, ",") {
			all = all && allowed[name]
		}
		if all != c.allowed {
			t.Errorf("%s sends %s: allowed is %s", client, c.sends, r.header.Get("Access-Control-Allow-Headers"))
		}
	}
}

func TestCompression(t *testing.T) {
	a := newAPI(t, settings{})
	ask := func(accept, query string) (*http.Response, string) {
		body := strings.NewReader(`{"query":` + quote(query) + `}`)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.server.URL, body)
		must(t, err)
		req.Header.Set("Content-Type", jsonType)
		req.Header.Set("Accept-Encoding", accept)
		resp, err := a.server.Client().Do(req)
		must(t, err)
		defer resp.Body.Close()
		var text io.Reader = resp.Body
		if resp.Header.Get("Content-Encoding") == "gzip" {
			text, err = gzip.NewReader(resp.Body)
			must(t, err)
		}
		raw, err := io.ReadAll(text)
		must(t, err)
		return resp, string(raw)
	}
	const long = `{ __schema { types { name description } } }`
	_, want := ask("identity", long)
	for accept, zipped := range map[string]bool{
		"gzip": true, "br, GZIP;q=0.5": true, "gzip;q=0": false, "br": false, "identity": false, "gzip;q=x": false,
	} {
		resp, got := ask(accept, long)
		if got != want || (resp.Header.Get("Content-Encoding") == "gzip") != zipped || resp.Header.Get("Vary") == "" {
			t.Errorf("%s: %v, %d bytes, want %d", accept, resp.Header, len(got), len(want))
		}
		if resp, _ := ask(accept, `{ __typename }`); resp.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s: a short answer is compressed", accept)
		}
	}
}

// TestRefusedUserSpendsNoAddress has a user ask more often than they may, from an address that others share: the others are answered.
func TestRefusedUserSpendsNoAddress(t *testing.T) {
	const burst = 10 // of the address: a fifth of a minute's
	a := newAPI(t, settings{bare: true, rates: transport.Rates{User: 5, Address: 5 * burst}})
	var refused int
	for range 2 * burst {
		if r := a.do(alice, `{ __typename }`, nil); r.status == http.StatusTooManyRequests {
			refused++
		}
	}
	if refused < burst {
		t.Fatalf("alice was refused %d times of %d", refused, 2*burst)
	}
	if r := a.do(bob, `{ __typename }`, nil); r.status != http.StatusOK {
		t.Errorf("bob at alice's address: status %d: %s", r.status, r.body)
	}
}

// TestRates asks more often than one may.
func TestRates(t *testing.T) {
	a := newAPI(t, settings{bare: true, rates: transport.Rates{User: 10, Address: 50}, proxies: 1})
	ask := func(user, address string) result {
		header := http.Header{"Content-Type": {jsonType}, "X-Forwarded-For": {"6.6.6.6, " + address}}
		if user != nobody {
			header.Set("Authorization", "Bearer "+token(t, user))
		}
		return a.send(http.MethodPost, "", header, []byte(`{"query":"{ __typename }"}`))
	}
	refusedAfter := func(user, address string) int {
		for i := range 100 {
			r := ask(user, address)
			if r.status == http.StatusOK {
				continue
			}
			r.wantError("RATE_LIMITED")
			seconds, _ := r.Errors[0].Extensions["retryAfter"].(float64)
			if r.status != http.StatusTooManyRequests || seconds < 1 || r.header.Get("Retry-After") != fmt.Sprint(seconds) {
				t.Errorf("status %d, %v: %s", r.status, r.header, r.body)
			}
			return i
		}
		t.Fatal("nobody is refused")
		return 0
	}
	if n := refusedAfter(alice, "10.0.0.1"); n != 2 { // a fifth of a minute's at once
		t.Errorf("alice was answered %d times, want 2", n)
	}
	if n := refusedAfter(alice, "10.0.0.2"); n != 0 {
		t.Errorf("alice was answered %d times from another address, want 0", n)
	}
	if n := refusedAfter(bob, "10.0.0.3"); n != 2 {
		t.Errorf("bob was answered %d times, want 2", n)
	}
	if n := refusedAfter(nobody, "10.0.0.4"); n != 10 {
		t.Errorf("an address was answered %d times, want 10", n)
	}
	s := a.silent()
	s.send(object{"type": "connection_init", "payload": object{"Authorization": "Bearer " + token(t, alice)}})
	s.want("connection_ack", "")
	s.subscribe("1", `{ __typename }`, nil)
	s.want("error", "1").wantError("RATE_LIMITED")

	must(t, a.redis.Close()) // the shop stays open
	if r := ask(alice, "10.0.0.1"); r.status != http.StatusOK {
		t.Errorf("without Redis: status %d: %s", r.status, r.body)
	}
}

// TestPersistedQueries sends hashes in the place of documents.
func TestPersistedQueries(t *testing.T) {
	limits := transport.Limits{PersistedQueries: 3, CachedQueryBytes: 500}
	a := newAPI(t, settings{limits: limits})
	send := func(a *api, query, hash string) result {
		body := object{"extensions": object{"persistedQuery": object{"version": 1, "sha256Hash": hash}}}
		if query != "" {
			body["query"] = query
		}
		text, err := json.Marshal(body)
		must(t, err)
		return a.send(http.MethodPost, "", http.Header{"Content-Type": {jsonType}, "Accept": {responseType}}, text)
	}
	stored := func() int64 { return a.redis.Client.HLen(t.Context(), "{persisted}:documents").Val() }
	query := func(i int) string { return fmt.Sprintf(`{ strategies { a%d: family } }`, i) }

	r := send(a, "", sum(query(0)))
	if message := r.wantError("PERSISTED_QUERY_NOT_FOUND"); r.status != http.StatusOK || message != "PersistedQueryNotFound" {
		t.Errorf("status %d: %s", r.status, r.body)
	}
	if r := send(a, query(0), sum(query(0))); len(r.Errors) > 0 {
		t.Fatal(r.body)
	}
	if r := send(a, "", sum(query(0))); len(r.Errors) > 0 || r.at("strategies.0.a0") == nil {
		t.Fatal(r.body)
	}
	other, err := graph.NewHandler(graph.Options{Services: a.services, Redis: a.redis.Client})
	must(t, err)
	elsewhere := *a
	elsewhere.server = httptest.NewServer(other)
	t.Cleanup(elsewhere.server.Close)
	if r := send(&elsewhere, "", sum(query(0))); len(r.Errors) > 0 {
		t.Errorf("at another instance: %s", r.body)
	}
	get := "extensions=" + url.QueryEscape(`{"persistedQuery":{"version":1,"sha256Hash":"`+sum(query(0))+`"}}`)
	if r := a.send(http.MethodGet, get, http.Header{"Apollo-Require-Preflight": {"1"}}, nil); len(r.Errors) > 0 || r.Data == nil {
		t.Errorf("by GET: %s", r.body)
	}

	// Nothing that is not valid, does not fit its hash, or is long, is stored.
	long := `{ __typename ` + strings.Repeat(" ", 500) + `}`
	for _, bad := range []string{`{`, `{ nothing }`, deepQuery(20), long} {
		send(a, bad, sum(bad))
		send(a, "", sum(bad)).wantError("PERSISTED_QUERY_NOT_FOUND")
	}
	send(a, query(1), sum(query(0))).wantError("BAD_REQUEST")
	for _, extension := range []string{`1`, `{}`, `{"version":2,"sha256Hash":"` + sum("x") + `"}`, `{"version":1}`, `{"version":1,"sha256Hash":"x"}`, `{"version":1,"sha256Hash":1}`} {
		body := `{"query":"{ __typename }","extensions":{"persistedQuery":` + extension + `}}`
		a.send(http.MethodPost, "", http.Header{"Content-Type": {jsonType}}, []byte(body)).wantError("BAD_REQUEST")
	}
	if n := stored(); n != 1 {
		t.Errorf("%d documents are stored, want 1", n)
	}

	// Those used last are kept.
	for i := 1; i < 10; i++ {
		send(a, query(i), sum(query(i)))
		if n := stored(); n > 3 {
			t.Fatalf("%d documents are stored, at most 3 may be", n)
		}
	}
	if ttl := a.redis.Client.TTL(t.Context(), "{persisted}:documents").Val(); ttl <= 0 {
		t.Errorf("documents are kept for ever: %s", ttl)
	}

	must(t, a.redis.Close()) // what is not known here is unknown; what is sent is answered
	send(a, "", sum(query(99))).wantError("PERSISTED_QUERY_NOT_FOUND")
	if r := send(a, query(99), sum(query(99))); len(r.Errors) > 0 {
		t.Errorf("without Redis: %s", r.body)
	}
}

func sum(query string) string {
	h := sha256.Sum256([]byte(query))
	return hex.EncodeToString(h[:])
}

// deepQuery nests through a product of an order, and so on.
func deepQuery(levels int) string {
	return strings.Repeat("{ node(id: 1) { ... on Order { lines { product", levels) + " { id }" + strings.Repeat(" } } } }", levels)
}
