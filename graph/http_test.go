package graph_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"holdfast/commerce"
	"holdfast/graph"
	"holdfast/graph/transport"
	"holdfast/payments"
)

const (
	jsonType     = "application/json"
	responseType = "application/graphql-response+json"
)

// TestHTTP sends requests by every method and in every shape, well-formed or not.
func TestHTTP(t *testing.T) {
	a := newAPI(t, settings{})
	body := func(query string) string { return `{"query":` + quote(query) + `}` }
	get := func(query string) string { return "query=" + url.QueryEscape(query) }
	const good, broken, unknown = `{ strategies { family } }`, `{ strategies {`, `{ nothing }`
	for _, c := range []struct {
		name, method, url, contentType, accept, body string
		status                                       int
		code, answerType                             string
	}{
		{name: "POST", method: "POST", contentType: jsonType, body: body(good), status: 200},
		{name: "POST with a charset", method: "POST", contentType: jsonType + "; charset=UTF-8", body: body(good), status: 200},
		{name: "POST of all parameters", method: "POST", contentType: jsonType, body: `{"query":"query A { strategies { family } } query B { nothing: strategies { family } }","operationName":"A","variables":{},"extensions":{},"id":1}`, status: 200},
		{name: "POST of nulls", method: "POST", contentType: jsonType, body: `{"query":"{ strategies { family } }","operationName":null,"variables":null,"extensions":null}`, status: 200},
		{name: "GET", method: "GET", url: get(good), status: 200},
		{name: "GET of all parameters", method: "GET", url: get(`query A($id: ID!) { product(id: $id) { id } }`) + "&operationName=A&variables=" + url.QueryEscape(`{"id":"prod_1"}`) + "&extensions={}", status: 200},
		{name: "newer answer", method: "POST", contentType: jsonType, accept: responseType, body: body(good), status: 200, answerType: responseType},
		{name: "either answer", method: "POST", contentType: jsonType, accept: responseType + ", " + jsonType + ";q=0.9", body: body(good), status: 200, answerType: responseType},
		{name: "rather the older", method: "POST", contentType: jsonType, accept: responseType + ";q=0.1, " + jsonType, body: body(good), status: 200},
		{name: "any answer", method: "POST", contentType: jsonType, accept: "*/*", body: body(good), status: 200},
		{name: "any application", method: "POST", contentType: jsonType, accept: "text/html, application/*;q=0.5", body: body(good), status: 200},
		{name: "no answer that we have", method: "POST", contentType: jsonType, accept: "text/html", body: body(good), status: 406, code: "BAD_REQUEST"},
		{name: "no answer at all", method: "POST", contentType: jsonType, accept: "*/*;q=0", body: body(good), status: 406, code: "BAD_REQUEST"},

		{name: "broken document", method: "POST", contentType: jsonType, body: body(broken), status: 200, code: "GRAPHQL_PARSE_FAILED"},
		{name: "broken document, newer answer", method: "POST", contentType: jsonType, accept: responseType, body: body(broken), status: 400, code: "GRAPHQL_PARSE_FAILED", answerType: responseType},
		{name: "unknown field", method: "POST", contentType: jsonType, body: body(unknown), status: 200, code: "GRAPHQL_VALIDATION_FAILED"},
		{name: "unknown field, newer answer", method: "POST", contentType: jsonType, accept: responseType, body: body(unknown), status: 400, code: "GRAPHQL_VALIDATION_FAILED", answerType: responseType},
		{name: "unknown field by GET", method: "GET", url: get(unknown), status: 200, code: "GRAPHQL_VALIDATION_FAILED"},
		{name: "no operation", method: "POST", contentType: jsonType, body: body(`fragment F on Product { id }`), status: 200, code: "GRAPHQL_VALIDATION_FAILED"},
		{name: "which operation", method: "POST", contentType: jsonType, body: body(`query A { strategies { family } } query B { strategies { family } }`), status: 200, code: "GRAPHQL_VALIDATION_FAILED"},
		{name: "unknown operation", method: "POST", contentType: jsonType, body: `{"query":"query A { strategies { family } }","operationName":"B"}`, status: 200, code: "GRAPHQL_VALIDATION_FAILED"},
		{name: "missing variable", method: "POST", contentType: jsonType, body: body(`query($id: ID!) { product(id: $id) { id } }`), status: 200, code: "GRAPHQL_VALIDATION_FAILED"},
		{name: "subscription", method: "POST", contentType: jsonType, body: body(`subscription { stockChanged }`), status: 200, code: "GRAPHQL_VALIDATION_FAILED"},

		{name: "no body", method: "POST", contentType: jsonType, status: 400, code: "BAD_REQUEST"},
		{name: "no JSON", method: "POST", contentType: jsonType, body: good, status: 400, code: "BAD_REQUEST"},
		{name: "null", method: "POST", contentType: jsonType, body: `null`, status: 400, code: "BAD_REQUEST"},
		{name: "a string", method: "POST", contentType: jsonType, body: quote(good), status: 400, code: "BAD_REQUEST"},
		{name: "a batch", method: "POST", contentType: jsonType, body: "[" + body(good) + "]", status: 400, code: "BAD_REQUEST"},
		{name: "trailing data", method: "POST", contentType: jsonType, body: body(good) + body(good), status: 400, code: "BAD_REQUEST"},
		{name: "trailing garbage", method: "POST", contentType: jsonType, body: body(good) + "x", status: 400, code: "BAD_REQUEST"},
		{name: "trailing space", method: "POST", contentType: jsonType, body: body(good) + " \n", status: 200},
		{name: "no query", method: "POST", contentType: jsonType, body: `{}`, status: 400, code: "BAD_REQUEST"},
		{name: "null query", method: "POST", contentType: jsonType, body: `{"query":null}`, status: 400, code: "BAD_REQUEST"},
		{name: "query of a number", method: "POST", contentType: jsonType, body: `{"query":1}`, status: 400, code: "BAD_REQUEST"},
		{name: "variables of a string", method: "POST", contentType: jsonType, body: `{"query":"{ strategies { family } }","variables":"{}"}`, status: 400, code: "BAD_REQUEST"},
		{name: "variables of a list", method: "POST", contentType: jsonType, body: `{"query":"{ strategies { family } }","variables":[]}`, status: 400, code: "BAD_REQUEST"},
		{name: "extensions of a number", method: "POST", contentType: jsonType, body: `{"query":"{ strategies { family } }","extensions":1}`, status: 400, code: "BAD_REQUEST"},
		{name: "deep JSON", method: "POST", contentType: jsonType, body: `{"query":"{ strategies { family } }","variables":{"v":` + strings.Repeat("[", 30000) + strings.Repeat("]", 30000) + `}}`, status: 400, code: "BAD_REQUEST"},
		{name: "no content type", method: "POST", body: body(good), status: 415, code: "BAD_REQUEST"},
		{name: "text", method: "POST", contentType: "text/plain", body: body(good), status: 415, code: "BAD_REQUEST"},
		{name: "form", method: "POST", contentType: "application/x-www-form-urlencoded", body: get(good), status: 415, code: "BAD_REQUEST"},
		{name: "multipart", method: "POST", contentType: "multipart/form-data; boundary=x", body: "--x--", status: 415, code: "BAD_REQUEST"},
		{name: "another charset", method: "POST", contentType: jsonType + "; charset=utf-16", body: body(good), status: 415, code: "BAD_REQUEST"},
		{name: "GET without a query", method: "GET", status: 400, code: "BAD_REQUEST"},
		{name: "GET with bad variables", method: "GET", url: get(good) + "&variables=x", status: 400, code: "BAD_REQUEST"},
		{name: "GET with a list of variables", method: "GET", url: get(good) + "&variables=[]", status: 400, code: "BAD_REQUEST"},
		{name: "GET with a bad URL", method: "GET", url: "query=%zz", status: 400, code: "BAD_REQUEST"},
		{name: "GET of a mutation", method: "GET", url: get(`mutation { productArchive(input: {id: "prod_1"}) { product { id } } }`), status: 405, code: "BAD_REQUEST"},
		{name: "PUT", method: "PUT", contentType: jsonType, body: body(good), status: 405, code: "BAD_REQUEST"},
		{name: "DELETE", method: "DELETE", status: 405, code: "BAD_REQUEST"},
	} {
		t.Run(c.name, func(t *testing.T) {
			header := http.Header{}
			if c.contentType != "" {
				header.Set("Content-Type", c.contentType)
			}
			if c.method == http.MethodGet { // without it, a page of another site could have sent it
				header.Set("Apollo-Require-Preflight", "true")
			}
			if c.accept != "" {
				header.Set("Accept", c.accept)
			}
			r := a.with(t).send(c.method, c.url, header, []byte(c.body))
			if r.status != c.status {
				t.Errorf("status %d, want %d: %s", r.status, c.status, r.body)
			}
			want := c.answerType
			if want == "" {
				want = jsonType
			}
			if got := r.header.Get("Content-Type"); got != want+"; charset=utf-8" {
				t.Errorf("the answer is %s, want %s", got, want)
			}
			if c.code == "" {
				if len(r.Errors) > 0 || r.Data == nil {
					t.Errorf("want data: %s", r.body)
				}
				return
			}
			r.wantError(c.code)
			if strings.Contains(r.body, `"data"`) {
				t.Errorf("data where nothing was executed: %s", r.body)
			}
			if c.status == http.StatusMethodNotAllowed && r.header.Get("Allow") == "" {
				t.Error("the answer does not say what is allowed")
			}
		})
	}
	a.ok(nobody, `{ product(id: "prod_1") { archivedAt } }`, nil).want("product.archivedAt", nil)
}

func quote(s string) string {
	text, _ := json.Marshal(s)
	return string(text)
}

func TestRequestID(t *testing.T) {
	a := newAPI(t, settings{bare: true})
	for sent, kept := range map[string]bool{
		"": false, "abc-123_4.5:6": true, strings.Repeat("a", 129): false, "a b": false, "<script>": false, `a"b`: false,
	} {
		header := http.Header{"Content-Type": {jsonType}}
		if sent != "" {
			header.Set("X-Request-Id", sent)
		}
		r := a.send(http.MethodPost, "", header, []byte(`{"query":"{ strategies { family } }"}`))
		got := r.header.Get("X-Request-Id")
		if got == "" || (got == sent) != kept {
			t.Errorf("sent %.20q, got %q", sent, got)
		}
	}
}

// TestLimits finds each limit from both sides.
func TestLimits(t *testing.T) {
	a := newAPI(t, settings{limits: transport.Limits{
		MaxBodyBytes: 20_000, MaxTokens: 900, MaxDepth: 5, MaxAliases: 4, MaxDirectives: 3, MaxFields: 60, MaxComplexity: 600,
	}})
	deep := func(levels int) string { // me { orders { nodes { lines { product { ...
		path := []string{"me", "orders(first: 1)", "nodes", "lines", "product", "price", "currency"}[:levels]
		path[levels-1] = "__typename"
		return "{" + strings.Join(path, "{") + strings.Repeat("}", levels)
	}
	aliases := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, " a%d: __typename", i)
		}
		return "{" + b.String() + "}"
	}
	pages := func(first int) string {
		return fmt.Sprintf(`{ products(first: %d) { nodes { id name stock { available } } } }`, first)
	}
	for _, c := range []struct{ name, good, bad, message string }{
		{"depth", deep(5), deep(6), "6 levels deep, at most 5"},
		{
			"depth in fragments", `{ me { ...A } } fragment A on Customer { orders { ...B } } fragment B on OrderConnection { nodes { id } }`,
			`{ me { ...A } } fragment A on Customer { orders { ...B } } fragment B on OrderConnection { nodes { lines { product { id } } } }`, "levels deep",
		},
		{"aliases", aliases(4), aliases(5), "5 aliases, at most 4"},
		{
			"aliases in fragments", `{ ...A ...A } fragment A on Query { a: __typename b: __typename }`,
			`{ ...A ...A ...A } fragment A on Query { a: __typename b: __typename }`, "6 aliases",
		},
		{"directives", "{" + strings.Repeat(" __typename @skip(if: false)", 3) + "}", "{" + strings.Repeat(" __typename @skip(if: false)", 4) + "}", "4 directives, at most 3"},
		{
			"directives in fragments", `{ ...A ... @skip(if: false) { __typename } } fragment A on Query { ...B @skip(if: false) } fragment B on Query { __typename @skip(if: false) }`,
			`{ ...A ...A } fragment A on Query { ...B @skip(if: false) } fragment B on Query { __typename @skip(if: false) }`, "4 directives",
		},
		{"complexity", pages(80), pages(100), "complexity"},
		{"complexity of a search", `{ products { nodes { id } } }`, `{ products(filter: {search: "lamp"}) { nodes { id } } }`, "complexity"},
		{"complexity of the default page", `{ products { nodes { id } } }`, `{ products { nodes {` + strings.Repeat(" id", 25) + `} } }`, "complexity"},
		{"tokens", `{ __typename }`, "{" + strings.Repeat(" __typename", 1000) + "}", "token"},
		{"recursion of the parser", `{ __typename }`, `{ products(filter: ` + strings.Repeat("[", 15000), "token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := a.with(t)
			a.ok(alice, c.good, nil)
			r := a.do(alice, c.bad, nil)
			if len(r.Errors) == 0 || !strings.Contains(r.Errors[0].Message, c.message) || r.Data != nil {
				t.Errorf("want an error about %q: %.500s", c.message, r.body)
			}
			if code := fmt.Sprint(r.Errors[0].Extensions["code"]); code != "GRAPHQL_VALIDATION_FAILED" && code != "GRAPHQL_PARSE_FAILED" {
				t.Errorf("code %s", code)
			}
		})
	}

	// A page that is too large must not be cheap because it is refused later.
	a.do(alice, pages(1_000_000), nil).wantError("GRAPHQL_VALIDATION_FAILED")

	padded := func(n int) []byte {
		text := `{"query":"{ __typename }"`
		return []byte(text + strings.Repeat(" ", n-len(text)-1) + "}")
	}
	header := http.Header{"Content-Type": {jsonType}}
	if r := a.send(http.MethodPost, "", header, padded(20_000)); r.status != http.StatusOK {
		t.Errorf("a body of the limit: status %d: %s", r.status, r.body)
	}
	r := a.send(http.MethodPost, "", header, padded(20_001))
	if r.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a larger body: status %d: %s", r.status, r.body)
	}
	r.wantError("BAD_REQUEST")
	if r := a.send(http.MethodGet, "query="+strings.Repeat("a", 20_001), http.Header{"Apollo-Require-Preflight": {"1"}}, nil); r.status != http.StatusBadRequest {
		t.Errorf("a larger URL: status %d", r.status)
	}
	encoded := header.Clone()
	encoded.Set("Content-Encoding", "gzip")
	if r := a.send(http.MethodPost, "", encoded, padded(100)); r.status != http.StatusUnsupportedMediaType {
		t.Errorf("an encoded body: status %d", r.status)
	}
}

// TestBodyOfUnknownLength is refused at the limit, although no header announced it.
func TestBodyOfUnknownLength(t *testing.T) {
	a := newAPI(t, settings{bare: true, limits: transport.Limits{MaxBodyBytes: 1000}})
	body := strings.NewReader(`{"query":"` + strings.Repeat("a", 2000) + `"}`)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.server.URL, struct{ *strings.Reader }{body})
	must(t, err)
	req.ContentLength = -1
	req.Header.Set("Content-Type", jsonType)
	resp, err := a.server.Client().Do(req)
	must(t, err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d, want 413", resp.StatusCode)
	}
}

// TestNestedFragments sends a document whose expansion is 2^40 fields: measuring it must not take longer than reading it.
func TestNestedFragments(t *testing.T) {
	a := newAPI(t, settings{bare: true})
	var b strings.Builder
	b.WriteString("{ ...F0 }")
	for i := range 40 {
		fmt.Fprintf(&b, " fragment F%d on Query { ...F%d ...F%d }", i, i+1, i+1)
	}
	b.WriteString(" fragment F40 on Query { __typename }")
	began := time.Now()
	if message := a.do(nobody, b.String(), nil).wantError("GRAPHQL_VALIDATION_FAILED"); !strings.Contains(message, "fields") {
		t.Error(message)
	}
	if took := time.Since(began); took > longEnough {
		t.Errorf("took %s", took)
	}
}

func TestIntrospection(t *testing.T) {
	const query = `{ __schema { queryType { name } types { name fields { name type { name ofType { name ofType { name ofType { name } } } } } } } }`
	open := newAPI(t, settings{bare: true})
	open.ok(nobody, query, nil).want("__schema.queryType.name", "Query")
	if r := open.ok(nobody, standardIntrospection, nil); !strings.Contains(r.body, `"VersionConflictError"`) {
		t.Errorf("the schema is not whole: %.200s", r.body)
	}
	if message := open.do(nobody, `{ productz { id } }`, nil).wantError("GRAPHQL_VALIDATION_FAILED"); !strings.Contains(message, "Did you mean") {
		t.Errorf("no suggestion: %s", message)
	}

	closed := newAPI(t, settings{bare: true, closed: true})
	for _, query := range []string{
		query, `{ __type(name: "Query") { name } }`, `{ ...F } fragment F on Query { __schema { queryType { name } } }`,
		`{ ... on Query { a: __schema { queryType { name } } } }`,
	} {
		if r := closed.do(nobody, query, nil); r.Data != nil || !strings.Contains(r.wantError("GRAPHQL_VALIDATION_FAILED"), "introspection is off") {
			t.Errorf("%s: %s", query, r.body)
		}
	}
	for _, query := range []string{
		`{ productz { id } }`, `{ product(idd: "x") { id } }`, `{ product(id: "x") { skuu } }`, `{ products(orderBy: NAMEE) { nodes { id } } }`,
		`{ products(filter: {serch: "x"}) { nodes { id } } }`, `query($i: ProductFiltr) { products(filter: $i) { nodes { id } } }`,
	} {
		if r := closed.do(nobody, query, nil); len(r.Errors) == 0 || strings.Contains(r.body, "Did you mean") {
			t.Errorf("%s: %s", query, r.body)
		}
	}
	closed.ok(nobody, `{ __typename strategies { __typename } }`, nil)
}

// TestInternalErrorsAreMasked breaks the database: the caller learns the request's ID and nothing else, the log the rest.
func TestInternalErrorsAreMasked(t *testing.T) {
	a := newAPI(t, settings{})
	must(t, a.db.Close())
	for _, query := range []string{`{ product(id: "prod_1") { id } }`, `{ products { nodes { id } } }`} {
		r := a.do(nobody, query, nil)
		message := r.wantError("INTERNAL_SERVER_ERROR")
		if strings.Contains(r.body, "sql") || strings.Contains(r.body, "closed") || message == "" {
			t.Errorf("the answer tells too much: %s", r.body)
		}
		id := r.header.Get("X-Request-Id")
		if r.Errors[0].Extensions["requestId"] != id || !strings.Contains(a.log.String(), id) || !strings.Contains(a.log.String(), "closed") {
			t.Errorf("the log does not tell what happened to request %s: %s\n%s", id, a.log.String(), r.body)
		}
	}
	if r := a.do(alice, chargePoints, vars(object{"idempotencyKey": key(), "amount": 1})); len(r.Errors)+len(r.Data) == 0 {
		t.Errorf("no answer: %s", r.body)
	}
}

// TestPanicsAreContained has a resolver panic: its field is null, and the server goes on.
func TestPanicsAreContained(t *testing.T) {
	log := &logBuffer{}
	handler, err := graph.NewHandler(graph.Options{Services: &commerce.Services{}, Logger: textLogger(log)})
	must(t, err)
	for range 2 {
		req := httptest.NewRequest(http.MethodPost, "/graphql", strings.NewReader(`{"query":"{ product(id: \"prod_1\") { id } __typename }"}`))
		req.Header.Set("Content-Type", jsonType)
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, req)
		if body := answer.Body.String(); !strings.Contains(body, "INTERNAL_SERVER_ERROR") || !strings.Contains(body, `"__typename":"Query"`) ||
			strings.Contains(body, "nil pointer") {
			t.Error(body)
		}
	}
	if text := log.String(); !strings.Contains(text, "nil pointer") || !strings.Contains(text, "catalog.resolvers.go") {
		t.Errorf("the log does not tell where: %s", text)
	}
}

// TestRequestTimeout lets a payment take longer than the request may.
func TestRequestTimeout(t *testing.T) {
	a := newAPI(t, settings{
		gateway: payments.NewSimulated(payments.SimulatedSettings{Latency: time.Hour}), limits: transport.Limits{RequestTimeout: 100 * time.Millisecond},
	})
	began := time.Now()
	r := a.do(alice, placeOrder, vars(object{"idempotencyKey": key(), "lines": line("prod_1", 1), "payment": object{"method": "CARD"}}))
	if took := time.Since(began); took > longEnough {
		t.Errorf("took %s", took)
	}
	if len(r.Errors) == 0 && r.userErrors() == "" {
		t.Errorf("want an error: %s", r.body)
	}
	if len(r.Errors) > 0 {
		r.wantError("TIMEOUT")
	}
}

func TestErrorsAreBounded(t *testing.T) {
	a := newAPI(t, settings{bare: true})
	var fields strings.Builder
	for i := range 100 {
		fmt.Fprintf(&fields, " x%d", i)
	}
	if r := a.do(nobody, "{"+fields.String()+"}", nil); len(r.Errors) != 20 {
		t.Errorf("%d errors, want 20", len(r.Errors))
	}
	long := a.do(nobody, `{ `+strings.Repeat("é", 400)+` }`, nil)
	unknown := a.do(nobody, `{ `+strings.Repeat("e", 4000)+` }`, nil)
	for _, r := range []result{long, unknown} {
		if len(r.Errors) == 0 || len([]rune(r.Errors[0].Message)) > 300 {
			t.Errorf("a message of %d bytes: %.100s", len(r.body), r.body)
		}
	}
}

// standardIntrospection is what GraphiQL and code generators ask, by graphql-js; it has to fit into the default limits.
const standardIntrospection = `query IntrospectionQuery {
	__schema {
		description
		queryType { name kind } mutationType { name kind } subscriptionType { name kind }
		types { ...FullType }
		directives { name description isRepeatable locations args(includeDeprecated: true) { ...InputValue } }
	}
}
fragment FullType on __Type {
	kind name description specifiedByURL isOneOf
	fields(includeDeprecated: true) {
		name description args(includeDeprecated: true) { ...InputValue } type { ...TypeRef } isDeprecated deprecationReason
	}
	inputFields(includeDeprecated: true) { ...InputValue }
	interfaces { ...TypeRef }
	enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason }
	possibleTypes { ...TypeRef }
}
fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue isDeprecated deprecationReason }
fragment TypeRef on __Type {
	kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType {
		kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } } } }
}`
