package graph_test

import (
	"crypto/md5"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"

	"holdfast/commerce"
	"holdfast/graph"
	"holdfast/graph/served"
	"holdfast/graph/transport"
	"holdfast/web"
)

// The documents of the manifests below, as the tools print them.
const (
	listedByApollo = "query ProductName($id: ID!) {\n  product(id: $id) {\n    id\n    name\n    __typename\n  }\n}"
	listedByRelay  = "query StockQuery(\n  $id: ID!\n) {\n  product(id: $id) {\n    id\n    sku\n  }\n}\n"
)

// manifestFile writes a manifest, and returns its path.
func manifestFile(t *testing.T, content any) string {
	t.Helper()
	text, ok := content.(string)
	if !ok {
		raw, err := json.Marshal(content)
		must(t, err)
		text = string(raw)
	}
	path := filepath.Join(t.TempDir(), "manifest.json")
	must(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// apolloManifest is a manifest of operations {id, name, type, body}.
func apolloManifest(operations ...object) object {
	return object{"format": "apollo-persisted-query-manifest", "version": 1, "operations": operations}
}

// relayID is what Relay's compiler calls its operation.
var relayID = fmt.Sprintf("%x", md5.Sum([]byte(listedByRelay)))

// bothManifests are the files of a shop whose clients are built with Apollo and with Relay.
func bothManifests(t *testing.T) string {
	t.Helper()
	return manifestFile(t, apolloManifest(
		object{"id": sum(listedByApollo), "name": "ProductName", "type": "query", "body": listedByApollo},
		object{"id": "product-name-2", "name": "ProductName", "type": "query", "body": listedByApollo},
	)) + ", " + manifestFile(t, object{relayID: listedByRelay})
}

func persisted(hash string) object {
	return object{"persistedQuery": object{"version": 1, "sha256Hash": hash}}
}

// TestSafelist asks over each transport for what is in the manifest, in each way in which clients name it, and for what is not.
func TestSafelist(t *testing.T) {
	a := newAPI(t, settings{safelist: transport.SafelistSettings{Mode: "only", Manifest: bothManifests(t)}})
	variables := object{"id": "prod_1"}
	for name, parameters := range map[string]object{
		"Apollo's link":                 {"extensions": persisted(sum(listedByApollo)), "operationName": "ProductName"},
		"Apollo's link, an id":          {"extensions": persisted("product-name-2")},
		"the hash with its document":    {"extensions": persisted(sum(listedByApollo)), "query": listedByApollo},
		"Relay":                         {"doc_id": relayID},
		"a document identifier":         {"documentId": relayID},
		"a document identifier, a hash": {"documentId": "sha256:" + sum(listedByRelay)},
		"the hash of Relay's document":  {"extensions": persisted(sum(listedByRelay))},
		"the text":                      {"query": listedByApollo},
		"documentId before doc_id":      {"documentId": relayID, "doc_id": "unknown"},
	} {
		parameters["variables"] = variables
		a.overEachAs(nobody, parameters, func(transport string, r result) {
			if r.at("product.id") != "prod_1" || len(r.Errors) > 0 {
				t.Errorf("%s over %s: %s", name, transport, r.body)
			}
		})
	}
	for name, test := range map[string]struct {
		code       string
		parameters object
	}{
		"an unknown hash":          {"PERSISTED_QUERY_NOT_IN_LIST", object{"extensions": persisted(sum("{ __typename }"))}},
		"its document as well":     {"PERSISTED_QUERY_NOT_IN_LIST", object{"extensions": persisted(sum("{ __typename }")), "query": "{ __typename }"}},
		"an unknown doc_id":        {"PERSISTED_QUERY_NOT_IN_LIST", object{"doc_id": "4711"}},
		"an unknown documentId":    {"PERSISTED_QUERY_NOT_IN_LIST", object{"documentId": "sha256:" + sum("4711")}},
		"a free document":          {"QUERY_NOT_IN_SAFELIST", object{"query": "{ __typename }"}},
		"introspection":            {"QUERY_NOT_IN_SAFELIST", object{"query": "{ __schema { types { name } } }"}},
		"one letter more":          {"QUERY_NOT_IN_SAFELIST", object{"query": listedByApollo + " "}},
		"what cannot be parsed":    {"QUERY_NOT_IN_SAFELIST", object{"query": "{"}}, // so nothing is parsed before
		"another document":         {"BAD_REQUEST", object{"extensions": persisted(sum(listedByApollo)), "query": listedByRelay}},
		"an identifier too long":   {"BAD_REQUEST", object{"documentId": strings.Repeat("x", 201)}},
		"an operation not in it":   {"GRAPHQL_VALIDATION_FAILED", object{"doc_id": relayID, "operationName": "Other"}},
		"a variable of wrong type": {"GRAPHQL_VALIDATION_FAILED", object{"doc_id": relayID, "variables": object{"id": nil}}},
	} {
		for _, user := range []string{nobody, admin} {
			a.overEachAs(user, test.parameters, func(transport string, r result) {
				r.wantError(test.code)
				if r.Data != nil {
					t.Errorf("%s over %s: %s", name, transport, r.body)
				}
			})
		}
	}
	if n := a.redis.Client.Exists(t.Context(), "{persisted}:documents").Val(); n != 0 {
		t.Error("what is refused was stored for Automatic Persisted Queries")
	}
}

// TestSafelistExemptsAdministrators lets them, and nobody else, send what they like.
func TestSafelistExemptsAdministrators(t *testing.T) {
	a := newAPI(t, settings{safelist: transport.SafelistSettings{Mode: "only", Manifest: bothManifests(t), ExemptAdmin: true}})
	const free = `{ strategies { family } }`
	a.overEachAs(admin, object{"query": free}, func(transport string, r result) {
		if len(r.Errors) > 0 || r.at("strategies.0.family") == nil {
			t.Errorf("%s: %s", transport, r.body)
		}
	})
	for _, user := range []string{nobody, alice} {
		a.overEachAs(user, object{"query": free}, func(_ string, r result) { r.wantError("QUERY_NOT_IN_SAFELIST") })
	}
}

// TestPreferredManifest serves the manifest by its identifiers, and everything else as without one.
func TestPreferredManifest(t *testing.T) {
	a := newAPI(t, settings{safelist: transport.SafelistSettings{Mode: "prefer", Manifest: bothManifests(t)}})
	const free = `{ strategies { family } }`
	for _, parameters := range []object{
		{"doc_id": relayID, "variables": object{"id": "prod_1"}},
		{"query": free},
		{"query": free, "extensions": persisted(sum(free))},
		{"extensions": persisted(sum(free))}, // stored by the one before
		{"documentId": "sha256:" + sum(free)},
	} {
		a.overEachAs(nobody, parameters, func(transport string, r result) {
			if len(r.Errors) > 0 || r.Data == nil {
				t.Errorf("%v over %s: %s", parameters, transport, r.body)
			}
		})
	}
	a.overEachAs(nobody, object{"documentId": "unknown"}, func(_ string, r result) { r.wantError("PERSISTED_QUERY_NOT_FOUND") })
	a.overEachAs(nobody, object{"documentId": "unknown", "query": free}, func(_ string, r result) { r.wantError("BAD_REQUEST") })
}

// TestSafelistOfMutations sends a mutation by its identifier: by POST, not by GET.
func TestSafelistOfMutations(t *testing.T) {
	a := newAPI(t, settings{safelist: transport.SafelistSettings{Mode: "only", Manifest: manifestFile(t, object{"place": placeOrder})}})
	input := vars(object{"idempotencyKey": key(), "lines": line("prod_1", 1), "payment": object{"method": "POINTS"}})
	variables, err := json.Marshal(input)
	must(t, err)
	header := http.Header{"Content-Type": {jsonType}, "Authorization": {"Bearer " + token(t, alice)}}
	if r := a.send(http.MethodGet, "documentId=place&variables="+string(variables), header, nil); r.status != http.StatusMethodNotAllowed {
		t.Errorf("by GET: status %d: %s", r.status, r.body)
	}
	body, err := json.Marshal(object{"documentId": "place", "variables": input})
	must(t, err)
	a.send(http.MethodPost, "", header, body).want("placeOrder.order.status", "PAID")
}

// TestSafelistTakesNoOtherTypes sends identifiers that are no texts, batches, and all that could stand for a document by mistake.
func TestSafelistTakesNoOtherTypes(t *testing.T) {
	a := newAPI(t, settings{safelist: transport.SafelistSettings{Mode: "only", Manifest: bothManifests(t)}})
	header := http.Header{"Content-Type": {jsonType}}
	listed, err := json.Marshal(listedByApollo)
	must(t, err)
	for body, code := range map[string]string{
		`{"documentId": 1}`:                                    "BAD_REQUEST",
		`{"documentId": ["product-name-2"]}`:                   "BAD_REQUEST",
		`{"doc_id": {"id": "product-name-2"}}`:                 "BAD_REQUEST",
		`{"doc_id": true, "query": "{ __typename }"}`:          "BAD_REQUEST",
		`{"documentId": ""}`:                                   "BAD_REQUEST",
		`{"extensions": {"persistedQuery": "product-name-2"}}`: "BAD_REQUEST",
		`{"extensions": {"persistedQuery": {"version": 1, "sha256Hash": 7}}, "query": "{ __typename }"}`: "BAD_REQUEST",
		`[{"documentId": "product-name-2"}]`:                                  "BAD_REQUEST",
		`{"extensions": {"persistedQuery": null}, "query": "{ __typename }"}`: "QUERY_NOT_IN_SAFELIST",
		`{"documentId": "", "query": "{ __typename }"}`:                       "QUERY_NOT_IN_SAFELIST",
		`{"id": "product-name-2", "query": "{ __typename }"}`:                 "QUERY_NOT_IN_SAFELIST",
		`{"query": ` + string(listed) + `, "Query": "{ __typename }"}`:        "QUERY_NOT_IN_SAFELIST", // the last one counts
		`{"documentId": "product-name-2", "documentId": "unknown"}`:           "PERSISTED_QUERY_NOT_IN_LIST",
		`{"documentId": "product-name-2\u0000"}`:                              "PERSISTED_QUERY_NOT_IN_LIST",
		`{"documentId": "` + strings.Repeat("é", 100) + `"}`:                  "PERSISTED_QUERY_NOT_IN_LIST",
		`{"documentId": "` + strings.Repeat("é", 101) + `"}`:                  "BAD_REQUEST",
	} {
		if r := a.send(http.MethodPost, "", header, []byte(body)); r.wantError(code) == "" || r.Data != nil {
			t.Errorf("%s: %s", body, r.body)
		}
	}
}

// TestOwnOperations has the operations of our pages in the list beside the shop's own, which nobody writes into a file.
func TestOwnOperations(t *testing.T) {
	sources, err := filepath.Glob("../web/*/operations.graphql")
	must(t, err)
	own, written := map[string][]byte{}, map[string]string{} // by page, and by page and name
	for _, source := range sources {
		page := filepath.Base(filepath.Dir(source))
		own["the page /"+page] = web.Operations(page)
		text, err := os.ReadFile(source)
		must(t, err)
		document, err := parser.ParseQuery(&ast.Source{Input: string(text)})
		must(t, err)
		for _, operation := range document.Operations {
			written["the page /"+page+operation.Name] = string(operation.Operation)
		}
	}
	a := newAPI(t, settings{own: own, safelist: transport.SafelistSettings{Mode: "only", Manifest: bothManifests(t)}})
	for page, manifest := range own {
		var read struct {
			Operations []struct{ Name, Type, Body string }
		}
		must(t, json.Unmarshal(manifest, &read))
		for _, operation := range read.Operations {
			if written[page+operation.Name] != operation.Type {
				t.Errorf("%s: %s is not in web/*/operations.graphql: cd web && npm run build", page, operation.Name)
			}
			delete(written, page+operation.Name)
			if operation.Type == "subscription" {
				continue // goes over other transports, and is refused there for its variables as well
			}
			r := a.do(alice, operation.Body, object{})
			if strings.Contains(r.body, "SAFELIST") || strings.Contains(r.body, "Cannot query") {
				t.Errorf("%s, %s: %s", page, operation.Name, r.body)
			}
		}
	}
	if len(sources) < 3 || len(written) > 0 {
		t.Errorf("of %d pages, these operations are in no manifest: %v: cd web && npm run build", len(sources), written)
	}
	a.do(admin, `{ strategies { family } }`, nil).wantError("QUERY_NOT_IN_SAFELIST")

	// A page whose part is left out is an error that names it.
	_, err = graph.NewHandler(graph.Options{
		Services: &commerce.Services{}, Served: served.Options{Audiences: []string{"storefront"}}, OwnOperations: own,
		Safelist: transport.SafelistSettings{Mode: "only", Manifest: bothManifests(t)},
	})
	if err == nil || !strings.Contains(err.Error(), "the page /admin: operation 1") {
		t.Errorf("operations that are not served: %v", err)
	}
}

// TestManifestsWithFaults starts with manifests that cannot be served: the error names the file, the operation and the place.
func TestManifestsWithFaults(t *testing.T) {
	good := object{"id": "good", "name": "Names", "type": "query", "body": "query Names { strategies { family } }"}
	many := strings.Repeat(" a: __typename", 1001)
	for name, test := range map[string]struct {
		content any
		want    []string
	}{
		"no JSON":         {`{"format":`, []string{"it is not a JSON object"}},
		"a list":          {`[]`, []string{"it is not a JSON object"}},
		"another format":  {`{"format": "other", "version": 1}`, []string{`the format is "other", version 1; want "apollo-persisted-query-manifest", version 1`}},
		"another version": {`{"format": "apollo-persisted-query-manifest", "version": 2}`, []string{"version 2; want"}},
		"no documents":    {object{"id": object{}}, []string{`"id" must be the text of a document`}},
		"null":            {`{"id": null}`, []string{`"id" must be the text of a document`}},
		"no GraphQL":      {object{"one": "query {"}, []string{`operation 1, "one"`, "Expected Name"}},
		"an unknown field": {apolloManifest(good, object{"id": "2", "name": "B", "type": "query", "body": "query B {\n  nothing\n}"}), []string{
			`operation 2, "2" (B)`, `Cannot query field "nothing" on type "Query"`, "line 2, column 3",
		}},
		"another name":  {apolloManifest(object{"id": "1", "name": "A", "type": "query", "body": "query B { __typename }"}), []string{`operation 1, "1" (A)`, `query "B"`, `query "A"`}},
		"another type":  {apolloManifest(object{"id": "1", "name": "B", "type": "mutation", "body": "query B { __typename }"}), []string{`mutation "B"`}},
		"no operation":  {object{"f": "fragment F on Product { id }"}, []string{`operation 1, "f"`}},
		"no id":         {apolloManifest(object{"body": "{ __typename }"}), []string{"the id is missing"}},
		"an id twice":   {apolloManifest(good, object{"id": "good", "body": "{ __typename }"}), []string{`operation 2, "good"`, "another document has this id, at", "operation 1"}},
		"no operations": {object{}, []string{"it has no operations"}},
		"an empty list": {apolloManifest(), []string{"it has no operations"}},
		"two operations": {object{"both": "query A { __typename } mutation B { reconcileNow { run { job } } }"}, []string{
			`operation 1, "both"`, "the document has 2 operations; a document of a manifest has one",
		}},
		"too many tokens": {object{"long": "{" + many + "}"}, []string{`operation 1, "long"`, "token"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := manifestFile(t, test.content)
			_, err := graph.NewHandler(graph.Options{Services: &commerce.Services{}, Safelist: transport.SafelistSettings{Mode: "only", Manifest: path}})
			if err == nil {
				t.Fatal("there is no error")
			}
			for _, want := range append(test.want, "safelist.manifest", path) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\ndoes not say %q", err, want)
				}
			}
		})
	}
	_, err := graph.NewHandler(graph.Options{Services: &commerce.Services{}, Safelist: transport.SafelistSettings{Mode: "only", Manifest: "/no/such/file"}})
	if err == nil || !strings.Contains(err.Error(), "/no/such/file") {
		t.Errorf("a file that is not there: %v", err)
	}
}
