package graph_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"holdfast/commerce"
	"holdfast/graph/served"
)

const entities = `query($of: [_Any!]!) {
	_entities(representations: $of) {
		__typename
		... on Product { id name stock { available } }
		... on Order { id lines { product { name } } }
		... on Customer { id name wallet { balance } }
	}
}`

// represent makes representations of types and identifiers in turn.
func represent(pairs ...string) object {
	list := []object{}
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, object{"__typename": pairs[i], "id": pairs[i+1], "more": object{"of": "another subgraph"}})
	}
	return object{"of": list}
}

// TestEntities asks for entities as everybody: each sees of them what node shows, at its place.
func TestEntities(t *testing.T) {
	a := newAPI(t, settings{served: served.Options{Federation: true}})
	variables := represent(
		"Customer", "user_bob", "Product", "prod_1", "Order", commerce.DemoOrderID, "Product", "prod_0", "Customer", "user_alice",
		"Order", commerce.DemoOtherOrderID, "Product", "prod_1", "Order", "ord_0")
	list, _ := variables["of"].([]object)
	for _, user := range []string{nobody, alice, bob, admin} {
		r := a.ok(user, entities, variables)
		shown := 0
		for i, representation := range list {
			node := a.ok(user, `query($id: ID!) { node(id: $id) { __typename id } }`, object{"id": representation["id"]})
			place := fmt.Sprintf("_entities.%d.", i)
			r.want(place+"id", node.at("node.id"), place+"__typename", node.at("node.__typename"))
			if node.at("node.id") != nil {
				shown++
			}
		}
		if want := map[string]int{nobody: 2, alice: 4, bob: 4, admin: 6}[user]; shown != want {
			t.Errorf("%q is shown %d entities, want %d: %s", user, shown, want, r.body)
		}
	}
	a.ok(alice, entities, variables).want("_entities.0", nil, "_entities.2.lines.0.product.name", "Silent mouse", "_entities.5", nil)
	a.ok(nobody, entities, represent()).want("_entities", "[]")
}

// TestEntitiesAreBounded asks for more than may be, and for what is none.
func TestEntitiesAreBounded(t *testing.T) {
	a := newAPI(t, settings{served: served.Options{Federation: true}})
	many := func(n int) object {
		var pairs []string
		for i := range n {
			pairs = append(pairs, "Product", fmt.Sprintf("prod_%d", i))
		}
		return represent(pairs...)
	}
	const names = `query($of: [_Any!]!) { _entities(representations: $of) { ... on Product { name } } }`
	before := a.queries.Load()
	a.ok(nobody, names, many(250)).want("_entities.1.name", "Mechanical keyboard", "_entities.249", nil)
	if n := a.queries.Load() - before; n > 3*2 { // a few for each 100
		t.Errorf("%d queries of the database for 250 entities", n)
	}
	if message := a.do(nobody, names, many(251)).wantError("BAD_USER_INPUT"); message != "representations must have at most 250 entities, not 251" {
		t.Error(message)
	}
	if message := a.do(nobody, entities, many(250)).wantError("GRAPHQL_VALIDATION_FAILED"); !strings.Contains(message, "complexity of") {
		t.Errorf("the lines of 250 orders: %s", message)
	}
	for name, test := range map[string]struct {
		of             any
		field, message string
	}{
		"a type that is no entity": {object{"__typename": "Coupon", "id": "coup_half"}, "[representations 1 __typename]", `Product, ProductVariant, Order or Customer, not "Coupon"`},
		"another type":             {object{"__typename": "Order", "id": "prod_1"}, "[representations 1 id]", `must begin with "ord_"`},
		"no type":                  {object{"id": "prod_1"}, "[of 1]", "__typename and id"},
		"no key":                   {object{"__typename": "Product", "sku": "KB-75"}, "[of 1]", "__typename and id"},
		"a key of another type":    {object{"__typename": "Product", "id": 1}, "[of 1]", "__typename and id"},
		"a key that cannot be one": {object{"__typename": "Product", "id": "prod_1 prod_2"}, "[of 1]", "an ID must be"},
		"a text":                   {"Product", "[of 1]", "__typename and id"},
	} {
		r := a.do(alice, entities, object{"of": []any{object{"__typename": "Product", "id": "prod_1"}, test.of}})
		message := r.wantError("BAD_USER_INPUT")
		if !strings.Contains(message, test.message) || !strings.HasSuffix(fmt.Sprint(r.Errors[0].Extensions["field"]), strings.TrimPrefix(test.field, "[of")) {
			t.Errorf("%s: %s", name, r.body)
		}
	}
}

// addedByGateways is what a gateway adds to the schema of a subgraph.
const addedByGateways = "directive @link(url: String!, import: [String!]) on SCHEMA directive @key(fields: String!) repeatable on OBJECT " +
	"directive @shareable on OBJECT directive @tag(name: String!) repeatable on FIELD_DEFINITION | INPUT_FIELD_DEFINITION\n"

// TestSubgraph reads the schema as a gateway does: it has the keys, nothing that the gateway adds by itself, and everything else.
func TestSubgraph(t *testing.T) {
	a := newAPI(t, settings{served: served.Options{Federation: true}, closed: true}) // a gateway asks also where introspection is off
	sdl := a.ok(nobody, `{ _service { sdl } }`, nil).text("_service.sdl")
	const link = `extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key", "@shareable", "@tag"])`
	if !strings.HasPrefix(sdl, link) {
		t.Errorf("it does not begin with %s", link)
	}
	for _, want := range []string{
		`type Product implements Node @key(fields: "id") {`, `type ProductVariant implements Node @key(fields: "id") {`, `type Order implements Node @key(fields: "id") {`,
		`type Customer implements Node @key(fields: "id") {`, "type PageInfo @shareable {", `@tag(name: "storefront")`, "directive @auth(",
	} {
		if !strings.Contains(sdl, want) {
			t.Errorf("it has no %s", want)
		}
	}
	for _, not := range []string{"_service", "_entities", "_Any", "_Entity", "FieldSet", "directive @key", "directive @tag", "directive @shareable"} {
		if strings.Contains(sdl, not) {
			t.Errorf("it has %s", not)
		}
	}
	loaded, err := gqlparser.LoadSchema(&ast.Source{Input: addedByGateways + sdl})
	must(t, err)
	for name := range schema.Types {
		if loaded.Types[name] == nil {
			t.Errorf("the subgraph has no %s", name)
		}
	}
}
