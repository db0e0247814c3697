package graph_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// overEach asks a query over each transport, and calls each with the name of the transport and what it answered.
func (a *api) overEach(query string, each func(transport string, r result)) {
	a.t.Helper()
	a.overEachAs(nobody, object{"query": query}, each)
}

// overEachAs is overEach for a user and whatever parameters.
func (a *api) overEachAs(user string, parameters object, each func(transport string, r result)) {
	a.t.Helper()
	body, err := json.Marshal(parameters)
	must(a.t, err)
	values := url.Values{}
	for name, value := range parameters {
		text, ok := value.(string)
		if !ok {
			raw, err := json.Marshal(value)
			must(a.t, err)
			text = string(raw)
		}
		values.Set(name, text)
	}
	header := func(pairs ...string) http.Header {
		h := http.Header{"Content-Type": {jsonType}}
		for i := 0; i < len(pairs); i += 2 {
			h.Set(pairs[i], pairs[i+1])
		}
		if user != nobody {
			h.Set("Authorization", "Bearer "+token(a.t, user))
		}
		return h
	}
	each("POST", a.send(http.MethodPost, "", header(), body))
	each("GET", a.send(http.MethodGet, values.Encode(), header("Apollo-Require-Preflight", "1"), nil))
	each("parts", a.send(http.MethodPost, "", header("Accept", "multipart/mixed;deferSpec=20220824, application/json"), body))
	events := a.eventsOf(user, parameters)
	each("events", events.want("next"))
	events.want("complete")
	s := a.socket(user)
	s.send(object{"type": "subscribe", "id": "1", "payload": parameters})
	f := s.next()
	r := result{t: a.t, body: string(f.Payload)}
	if f.Type == "error" {
		must(a.t, json.Unmarshal(f.Payload, &r.Errors))
	} else {
		must(a.t, json.Unmarshal(f.Payload, &r))
		s.want("complete", "1")
	}
	each("web socket", r)
}

// TestDirectives reads which directives there are, and uses each of them wherever introspection says that it may stand, over each
// transport. One that is not served must not be there.
func TestDirectives(t *testing.T) {
	a := newAPI(t, settings{})
	const fragment = " fragment F on Product { sku }"
	// By the directive and the place where it stands: a query that uses it, and the product that is wanted then.
	tests := map[string]map[string][]struct {
		query string
		want  object
	}{
		"skip": {
			"FIELD": {
				{`{ product(id: "prod_1") { id sku @skip(if: true) } }`, object{"id": "prod_1"}},
				{`{ product(id: "prod_1") { id sku @skip(if: false) } }`, object{"id": "prod_1", "sku": "KB-75"}},
			},
			"FRAGMENT_SPREAD": {
				{`{ product(id: "prod_1") { id ...F @skip(if: true) } }` + fragment, object{"id": "prod_1"}},
				{`{ product(id: "prod_1") { id ...F @skip(if: false) } }` + fragment, object{"id": "prod_1", "sku": "KB-75"}},
			},
			"INLINE_FRAGMENT": {
				{`{ product(id: "prod_1") { id ... @skip(if: true) { sku } } }`, object{"id": "prod_1"}},
				{`{ product(id: "prod_1") { id ... @skip(if: false) { sku } } }`, object{"id": "prod_1", "sku": "KB-75"}},
			},
		},
		"include": {
			"FIELD": {
				{`{ product(id: "prod_1") { id sku @include(if: false) } }`, object{"id": "prod_1"}},
				{`{ product(id: "prod_1") { id sku @include(if: true) } }`, object{"id": "prod_1", "sku": "KB-75"}},
			},
			"FRAGMENT_SPREAD": {
				{`{ product(id: "prod_1") { id ...F @include(if: false) } }` + fragment, object{"id": "prod_1"}},
				{`{ product(id: "prod_1") { id ...F @include(if: true) } }` + fragment, object{"id": "prod_1", "sku": "KB-75"}},
			},
			"INLINE_FRAGMENT": {
				{`{ product(id: "prod_1") { id ... @include(if: false) { sku } } }`, object{"id": "prod_1"}},
				{`{ product(id: "prod_1") { id ... @include(if: true) { sku } } }`, object{"id": "prod_1", "sku": "KB-75"}},
			},
		},
	}
	// Where a directive may stand in a document that is executed; elsewhere, it is about the schema.
	executable := []string{"QUERY", "MUTATION", "SUBSCRIPTION", "FIELD", "FRAGMENT_DEFINITION", "FRAGMENT_SPREAD", "INLINE_FRAGMENT", "VARIABLE_DEFINITION"}

	var declared []struct {
		Name      string
		Locations []string
	}
	r := a.ok(nobody, `{ __schema { directives { name locations } } }`, nil)
	raw, err := json.Marshal(r.at("__schema.directives"))
	must(t, err)
	must(t, json.Unmarshal(raw, &declared))
	names := map[string]bool{}
	for _, d := range declared {
		names[d.Name] = true
		for _, location := range d.Locations {
			if !slices.Contains(executable, location) {
				continue
			}
			if len(tests[d.Name][location]) == 0 {
				t.Errorf("introspection offers @%s on %s, and no test uses it there", d.Name, location)
			}
			for _, test := range tests[d.Name][location] {
				a.overEach(test.query, func(transport string, r result) {
					if got := r.at("product"); fmt.Sprint(got) != fmt.Sprint(test.want) || len(r.Errors) > 0 {
						t.Errorf("%s over %s: %s, want %v", test.query, transport, r.body, test.want)
					}
				})
			}
		}
	}
	if !names["skip"] || !names["include"] {
		t.Errorf("introspection offers %v", names)
	}
	for _, query := range []string{
		`{ product(id: "prod_1") { id ... @defer { stock { available } } } }`,
		`{ product(id: "prod_1") { id ...F @defer(label: "later") } }` + fragment,
		`{ products(first: 2) { nodes @stream { id } } }`,
	} {
		a.overEach(query, func(transport string, r result) {
			if message := r.wantError("GRAPHQL_VALIDATION_FAILED"); !strings.Contains(message, "Unknown directive") || r.Data != nil {
				t.Errorf("%s over %s: %s", query, transport, r.body)
			}
		})
	}
}
