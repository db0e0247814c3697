package graph_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"holdfast/graph"
	"holdfast/graph/transport"
	"holdfast/internal/testenv"
)

// What one request may cost at most. What it allocates bounds what it holds.
const (
	maxCPU    = 2 * time.Second
	maxMemory = 64 << 20
	maxAnswer = 64 << 10
)

// chained nests fragments so that each is used several times by the one before.
func chained(fragments, uses int, leaf string) string {
	var b strings.Builder
	b.WriteString("{ ...F0 }")
	for i := range fragments {
		fmt.Fprintf(&b, " fragment F%d on Query {%s }", i, strings.Repeat(fmt.Sprintf(" ...F%d", i+1), uses))
	}
	fmt.Fprintf(&b, " fragment F%d on Query { %s }", fragments, leaf)
	return b.String()
}

// numbered repeats a text with its number in it.
func numbered(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// hostileDocuments are meant to cost more than they may, or to find out more.
func hostileDocuments() map[string]string {
	const open, shut = "{", "}"
	return map[string]string{
		"lists without end":          "{ products(filter: " + strings.Repeat("[", 120_000),
		"lists":                      "{ products(filter: " + strings.Repeat("[", 450) + strings.Repeat("]", 450) + ") { nodes { id } } }",
		"objects without end":        "{ products(filter: " + strings.Repeat("{a:", 40_000),
		"objects":                    "{ products(filter: " + strings.Repeat("{a:", 300) + "1" + strings.Repeat("}", 300) + ") { nodes { id } } }",
		"selections without end":     strings.Repeat("{a", 60_000),
		"selections":                 strings.Repeat("{node(id:1)", 100) + "{id}" + strings.Repeat("}", 100),
		"inline fragments":           strings.Repeat("{...", 300) + "{__typename}" + strings.Repeat("}", 300),
		"types of variables":         "query($v: " + strings.Repeat("[", 450) + "Int" + strings.Repeat("]", 450) + ") { __typename }",
		"aliases":                    open + numbered(300, " a%d: __typename") + shut,
		"the same field":             open + strings.Repeat(" __typename", 900) + shut,
		"fields in conflict":         open + numbered(110, " a: product(id: \"%d\") { id }") + shut,
		"nested fields in conflict":  open + strings.Repeat(" products { nodes { stock { available } } }", 70) + shut,
		"fragments in conflict":      open + numbered(60, " ...A%d") + shut + numbered(60, " fragment A%d on Query { a: products { nodes { id } } }"),
		"fragment of itself":         "{ ...A } fragment A on Query { ...A }",
		"fragments in a circle":      "{ ...A } fragment A on Query { ...B } fragment B on Query { ...C } fragment C on Query { ...A }",
		"circle below a field":       "{ me { ...A } } fragment A on Customer { orders { nodes { ...B } } } fragment B on Order { couponIssue { order { ...B } } }",
		"fragments doubled 60 times": chained(60, 2, "__typename"),
		"fragments tripled 50 times": chained(50, 3, "products { nodes { id } }"),
		"unused fragments":           "{ __typename }" + numbered(120, " fragment A%d on Query { __typename }"),
		"unknown fragments":          open + numbered(300, " ...A%d") + shut,
		"directives":                 "{ __typename" + strings.Repeat(" @skip(if: false)", 140) + shut,
		"directives on fields":       open + numbered(80, " __typename @include(if: true)%[1]*[1]s") + shut,
		"unknown directives":         "{ __typename" + numbered(400, " @d%d") + shut,
		"unknown fields":             open + numbered(900, " f%d") + shut,
		"unknown arguments":          "{ products(" + numbered(300, " a%d: 1") + ") { nodes { id } } }",
		"many operations":            numbered(150, " query Q%d { __typename }"),
		"operations of one name":     strings.Repeat(" query Q { __typename }", 150),
		"many variables":             "query(" + numbered(150, " $v%d: Int") + ") { __typename }",
		"pages of pages":             "{ me { orders(first: 100) { nodes { lines { product { id name } } payment { id } couponIssue { coupon { id } } } } } }",
		"a page too large":           "{ products(first: 2147483647) { nodes { id } } }",
		"introspection of itself":    open + "__schema { types" + strings.Repeat(" { fields { type", 20) + " { name }" + strings.Repeat(" } }", 20) + shut + shut,
		"a long string":              `{ product(id: "` + strings.Repeat("a", 120_000) + `") { id } }`,
		"a long block string":        `{ product(id: """` + strings.Repeat("\n  a", 25_000) + `""") { id } }`,
		"a long name":                open + strings.Repeat("a", 120_000) + shut,
		"a long number":              "{ products(first: " + strings.Repeat("9", 120_000) + ") { nodes { id } } }",
		"a long comment":             "{ __typename } #" + strings.Repeat("a", 120_000),
		"many comments":              strings.Repeat("#\n", 60_000) + "{ __typename }",
		"commas":                     strings.Repeat(",", 120_000) + "{ __typename }",
		"escapes":                    `{ product(id: "` + strings.Repeat(`\u0041`, 20_000) + `") { id } }`,
		"half of a character":        `{ product(id: "\uD800") { id } }`,
		"NUL":                        "{ product(id: \"a\x00b\") { id } }",
		"a mark of byte order":       "\ufeff{ __typename }",
		"other writing directions":   "{ \u202e__typename }",
		"SQL":                        `{ node(id: "prod_1' OR '1'='1") { id } products(filter: {search: "%' OR 1=1 --"}) { nodes { id } } }`,
		"a definition of types":      "type Query { a: Int } { __typename }",
		"a federated subgraph":       "{ _service { sdl } _entities(representations: []) { __typename } }",
		"many stocks":                "subscription { stockChanged(productIds: [" + strings.Repeat(`"a",`, 900) + "]) { id } }",
		"many subscriptions":         "subscription {" + numbered(100, ` a%d: stockChanged(productIds: ["prod_1"]) { id }`) + shut,
	}
}

// hostileBodies are meant to break what reads them.
func hostileBodies() map[string]string {
	with := func(variables string) string {
		return `{"query":"query($v: ProductFilter) { products(filter: $v) { nodes { id } } }","variables":{"v":` + variables + `}}`
	}
	return map[string]string{
		"deep variables":         with(strings.Repeat("[", 60_000) + strings.Repeat("]", 60_000)),
		"deep objects":           with(strings.Repeat(`{"a":`, 9000) + "1" + strings.Repeat("}", 9000)),
		"variables without end":  with(strings.Repeat("[", 120_000)),
		"a giant list":           with("[" + strings.Repeat("1,", 60_000) + "1]"),
		"a giant object":         with("{" + numbered(9000, `"k%d":1,`) + `"k":1}`),
		"a giant string":         with(`{"search":"` + strings.Repeat("a", 120_000) + `"}`),
		"a giant number":         with(`{"search":` + strings.Repeat("9", 120_000) + `}`),
		"a giant exponent":       with(`{"search":1e999999999}`),
		"many variables":         `{"query":"{ __typename }","variables":{` + numbered(9000, `"v%d":1,`) + `"v":1}}`,
		"a giant operation name": `{"query":"{ __typename }","operationName":"` + strings.Repeat("a", 120_000) + `"}`,
		"a giant extension":      `{"query":"{ __typename }","extensions":{"a":"` + strings.Repeat("a", 120_000) + `"}}`,
		"keys given twice":       `{"query":"{ nothing }","query":"{ __typename }","QUERY":"{ strategies { family } }"}`,
		"no UTF-8":               "{\"query\":\"{ product(id: \\\"\xff\xfe\\\") { id } }\"}",
		"cut UTF-8":              "{\"query\":\"{ __typename } # \xe2\x82",
		"a batch":                "[" + strings.Repeat(`{"query":"{ __typename }"},`, 4000) + `{"query":"{ __typename }"}]`,
		"a batch after blanks":   strings.Repeat(" \n", 50_000) + "[]",
		"blanks":                 strings.Repeat(" ", 130_000),
		"more than may be":       strings.Repeat("a", 2<<20),
		"nothing":                "",
		"NULs":                   strings.Repeat("\x00", 100_000),
		"a form":                 "------x\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n{}\r\n------x--",
	}
}

// TestHostileRequests sends them one by one. None may crash the server, cost more than it may, or be told what is inside.
func TestHostileRequests(t *testing.T) {
	for name, closed := range map[string]bool{"open": false, "closed": true} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t, settings{closed: closed})
			bodies := hostileBodies()
			for name, document := range hostileDocuments() {
				text, err := json.Marshal(object{"query": document})
				must(t, err)
				bodies["document: "+name] = string(text)
			}
			for name, body := range bodies {
				t.Run(name, func(t *testing.T) { costs(t, func() { harmless(t, a, body, closed) }) })
			}
			a.ok(nobody, `{ products { nodes { id stock { available } } } }`, nil)
			if log := a.log.String(); strings.Contains(log, "panic") || strings.Contains(log, "internal error") {
				t.Errorf("something was the server's own fault: %.2000s", log)
			}
		})
	}
}

// harmless sends a body as alice, and looks at the answer.
func harmless(t *testing.T, a *api, body string, closed bool) {
	t.Helper()
	header := http.Header{"Content-Type": {jsonType}, "Authorization": {"Bearer " + token(t, alice)}}
	r := a.with(t).send(http.MethodPost, "", header, []byte(body))
	if r.status >= http.StatusInternalServerError || r.status != http.StatusOK && len(r.Errors) == 0 {
		t.Errorf("status %d: %.300s", r.status, r.body)
	}
	if len(r.body) > maxAnswer {
		t.Errorf("the answer has %d bytes", len(r.body))
	}
	if len(r.Errors) > 20 {
		t.Errorf("%d errors", len(r.Errors))
	}
	for _, e := range r.Errors {
		if len(e.Message) > 1200 || e.Extensions["code"] == nil || e.Extensions["code"] == "INTERNAL_SERVER_ERROR" {
			t.Errorf("%v: %.300s", e.Extensions, e.Message)
		}
	}
	module := strings.TrimSuffix(reflect.TypeFor[graph.Resolver]().PkgPath(), "graph")
	inside := []string{"goroutine ", ".go:", "runtime error", "sqlite", "SQL logic", module, "redis:"}
	if closed {
		inside = append(inside, "Did you mean")
	}
	for _, word := range inside {
		if strings.Contains(r.body, word) && !strings.Contains(body, word) {
			t.Errorf("the answer tells %q: %.500s", word, r.body)
		}
	}
}

// costs fails where f takes more CPU or memory than one request may.
func costs(t *testing.T, f func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := cpu(t)
	f()
	used := cpu(t) - began
	runtime.ReadMemStats(&after)
	if held := after.TotalAlloc - before.TotalAlloc; held > maxMemory {
		t.Errorf("took %d MB", held>>20)
	}
	if used > testenv.Scaled(maxCPU) {
		t.Errorf("took %s of CPU", used)
	}
}

// TestSlowBody sends a body byte by byte, and then no more.
func TestSlowBody(t *testing.T) {
	a := newAPI(t, settings{bare: true, limits: transport.Limits{BodyTimeout: 100 * time.Millisecond}})
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", a.server.Listener.Addr().String())
	must(t, err)
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(longEnough)))
	_, err = io.WriteString(conn, "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
	must(t, err)
	answer, err := io.ReadAll(conn) // the connection cannot be used any more, and is closed
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") || !strings.Contains(string(answer), "did not arrive") {
		t.Errorf("%v: %s", err, answer)
	}
}

// TestWebSocketFlood opens connections that do the worst they can, side by side: each is closed, and nothing of it is left.
func TestWebSocketFlood(t *testing.T) {
	a := newAPI(t, settings{streams: transport.Streams{MaxConnections: 20, MaxMessages: 30}})
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	goroutines := runtime.NumGoroutine()
	codes := make(chan websocket.StatusCode)
	const floods = 40
	for i := range floods {
		go func() { codes <- flood(t, a, i) }()
	}
	count := map[websocket.StatusCode]int{}
	for range floods {
		count[testenv.Receive(t, codes, "a flood to be stopped")]++
	}
	if count[4429] == 0 || count[-1] == 0 { // too many messages, and too many connections
		t.Errorf("closed with the codes %v", count)
	}
	must(t, a.handler.Close(t.Context())) // all of its goroutines have ended
	a.ok(nobody, `{ __typename }`, nil)
	a.server.Client().CloseIdleConnections()
	runtime.GC()
	runtime.ReadMemStats(&after)
	if held := int64(after.HeapAlloc) - int64(before.HeapAlloc); held > maxMemory || runtime.NumGoroutine() > goroutines+2*floods {
		t.Errorf("%d MB and %d goroutines are left, before %d", held>>20, runtime.NumGoroutine(), goroutines)
	}
}

// flood sends as much as it can, and returns the code with which the server has enough; -1 where it says none.
func flood(t *testing.T, a *api, kind int) websocket.StatusCode {
	ctx, cancel := context.WithTimeout(t.Context(), longEnough)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, a.server.URL, &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}})
	if err != nil {
		return -1
	}
	defer func() { _ = conn.CloseNow() }()
	go func() {
		m := `{"type":"connection_init"}`
		for n := 0; conn.Write(ctx, websocket.MessageText, []byte(m)) == nil; n++ {
			m = [...]string{
				`{"type":"ping"}`,
				`{"type":"subscribe","id":"` + fmt.Sprint(n) + `","payload":{"query":"subscription { stockChanged(productIds: [\"prod_1\"]) { id } }"}}`,
				`{"type":"subscribe","id":"` + fmt.Sprint(n) + `","payload":{"query":"` + chained(20, 2, "__typename") + `"}}`,
				`{"type":"complete","id":"` + fmt.Sprint(n-4) + `"}`,
			}[(n+kind)%4]
		}
	}()
	for {
		if _, _, err := conn.Read(ctx); err != nil {
			if ctx.Err() != nil {
				t.Error("a flood is not stopped")
			}
			return websocket.CloseStatus(err)
		}
	}
}
