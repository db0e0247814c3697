package graph_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"holdfast/commerce"
	"holdfast/config"
	"holdfast/graph"
	"holdfast/graph/served"
)

// entryPoints are of Apollo Federation, and for gateways.
var entryPoints = []string{"_service", "_entities"}

// rootFields returns the fields of Query, Mutation and Subscription by their names, such as Query.product.
func rootFields(s *ast.Schema) map[string]*ast.FieldDefinition {
	fields := map[string]*ast.FieldDefinition{}
	for _, root := range []*ast.Definition{s.Query, s.Mutation, s.Subscription} {
		if root == nil {
			continue
		}
		for _, f := range root.Fields {
			if !strings.HasPrefix(f.Name, "__") && !slices.Contains(entryPoints, f.Name) {
				fields[root.Name+"."+f.Name] = f
			}
		}
	}
	return fields
}

// TestEveryRootFieldHasAnAudience walks all root fields. What needs an administrator is for no shop.
func TestEveryRootFieldHasAnAudience(t *testing.T) {
	full := graph.FullSchema()
	if known := served.Audiences(full); !slices.Equal(known, slices.Sorted(slices.Values(config.Audiences))) {
		t.Errorf("the schema has the audiences %q, and schema.audiences takes %q", known, config.Audiences)
	}
	for name, f := range rootFields(full) {
		if len(served.Tags(f)) == 0 {
			t.Errorf("%s has no audience: put @tag(name: \"storefront\"), \"administration\" or \"experiments\" behind its type in graph/schema, "+
				"one for each audience that uses it, and run go generate ./graph", name)
		}
	}
	for _, d := range full.Types {
		elsewhere := d.Directives.ForNames("tag")
		for _, value := range d.EnumValues {
			elsewhere = append(elsewhere, value.Directives.ForNames("tag")...)
		}
		for _, f := range d.Fields {
			for _, argument := range f.Arguments {
				elsewhere = append(elsewhere, argument.Directives.ForNames("tag")...)
			}
		}
		if len(elsewhere) > 0 {
			t.Errorf("%s has a tag that leaves nothing out: put @tag behind fields and input fields only", d.Name)
		}
		for _, f := range d.Fields {
			auth, tags := f.Directives.ForName("auth"), served.Tags(f)
			if auth == nil || auth.Arguments.ForName("role") == nil || auth.Arguments.ForName("role").Value.Raw != "ADMIN" {
				continue
			}
			if len(tags) == 0 || slices.Contains(tags, config.Storefront) {
				t.Errorf("%s.%s is for administrators, and its audiences are %q: put @tag(name: \"administration\") behind its type", d.Name, f.Name, tags)
			}
		}
	}
}

// parts are all choices of audiences.
func parts() (all [][]string) {
	for bits := 1; bits < 1<<len(config.Audiences); bits++ {
		var part []string
		for i, audience := range config.Audiences {
			if bits&(1<<i) != 0 {
				part = append(part, audience)
			}
		}
		all = append(all, part)
	}
	return all
}

// TestPartsAreSchemas makes each part of the schema. It is a valid schema, has what is for its audiences and nothing else, and no type that
// nothing leads to.
func TestPartsAreSchemas(t *testing.T) {
	full := graph.FullSchema()
	for _, part := range parts() {
		for _, federation := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, federation %t", strings.Join(part, "+"), federation), func(t *testing.T) {
				s := graph.Served(served.Options{Audiences: part, Federation: federation})
				loaded, err := gqlparser.LoadSchema(&ast.Source{Input: served.Print(s)})
				if err != nil {
					t.Fatal(err)
				}
				for name := range s.Types {
					if loaded.Types[name] == nil {
						t.Errorf("%s is served, and not printed", name)
					}
				}
				has := rootFields(s)
				for name, f := range rootFields(full) {
					wanted := slices.ContainsFunc(served.Tags(f), func(tag string) bool { return slices.Contains(part, tag) })
					if _, is := has[name]; is != wanted {
						t.Errorf("%s is for %q: served is %t", name, served.Tags(f), is)
					}
				}
				for name, d := range s.Types {
					if d.IsCompositeType() && d.Kind != ast.Union && len(d.Fields) == 0 {
						t.Errorf("%s has no fields", name)
					}
					for _, f := range d.Fields {
						if tags := served.Tags(f); len(tags) > 0 && !slices.ContainsFunc(tags, func(tag string) bool { return slices.Contains(part, tag) }) {
							t.Errorf("%s.%s is for %q", name, f.Name, tags)
						}
					}
					if !d.BuiltIn && !leadsTo(s, name) {
						t.Errorf("nothing leads to %s", name)
					}
					for _, directive := range d.Directives {
						if !federation && directive.Name != "specifiedBy" {
							t.Errorf("%s has @%s without federation", name, directive.Name)
						}
					}
				}
				for _, name := range []string{"_Any", "_Entity", "_Service", "FieldSet"} {
					if (s.Types[name] != nil) != federation {
						t.Errorf("%s: served is %t", name, s.Types[name] != nil)
					}
				}
				for _, name := range entryPoints {
					if (s.Query.Fields.ForName(name) != nil) != federation {
						t.Errorf("Query.%s: federation is %t", name, federation)
					}
				}
			})
		}
	}
}

// TestIntrospectionOfParts asks a server of each part for its schema: it tells what is served, name by name. As a subgraph, its SDL is a
// schema once a gateway has added what it adds by itself.
func TestIntrospectionOfParts(t *testing.T) {
	const everything = `{ __schema {
		queryType { name } mutationType { name } subscriptionType { name } directives { name }
		types { kind name fields(includeDeprecated: true) { name } inputFields { name } enumValues(includeDeprecated: true) { name } possibleTypes { name } interfaces { name } }
	} }`
	names := func(list []any) (sorted []string) {
		for _, entry := range list {
			sorted = append(sorted, fmt.Sprint(entry.(map[string]any)["name"]))
		}
		slices.Sort(sorted)
		return sorted
	}
	for _, part := range append(parts(), nil) {
		for _, federation := range []bool{false, true} {
			options := served.Options{Audiences: part, Federation: federation}
			s := graph.Served(options)
			handler, err := graph.NewHandler(graph.Options{Services: &commerce.Services{}, Served: options, Introspection: true})
			must(t, err)
			body, err := json.Marshal(object{"query": everything})
			must(t, err)
			request := httptest.NewRequest(http.MethodPost, "/graphql", bytes.NewReader(body))
			request.Header.Set("Content-Type", jsonType)
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, request)
			var told struct {
				Data struct {
					Schema struct {
						QueryType, MutationType, SubscriptionType *struct{ Name string }
						Directives                                []any
						Types                                     []map[string]any
					} `json:"__schema"`
				}
			}
			must(t, json.Unmarshal(answer.Body.Bytes(), &told))
			if got, want := len(told.Data.Schema.Types), len(s.Types); got != want || len(told.Data.Schema.Directives) != len(s.Directives) {
				t.Errorf("%q: introspection has %d types, and %d are served: %.300s", part, got, want, answer.Body)
			}
			if (told.Data.Schema.MutationType == nil) != (s.Mutation == nil) || (told.Data.Schema.SubscriptionType == nil) != (s.Subscription == nil) {
				t.Errorf("%q: introspection has other roots than are served", part)
			}
			for _, shown := range told.Data.Schema.Types {
				d := s.Types[fmt.Sprint(shown["name"])]
				if d == nil {
					t.Errorf("%q: introspection shows %v, which is not served", part, shown["name"])
					continue
				}
				fields, members := []string{}, []string{}
				for _, f := range d.Fields {
					if !strings.HasPrefix(f.Name, "__") {
						fields = append(fields, f.Name)
					}
				}
				for _, v := range d.EnumValues {
					fields = append(fields, v.Name)
				}
				if d.IsAbstractType() {
					for _, p := range s.PossibleTypes[d.Name] {
						members = append(members, p.Name)
					}
				}
				list := func(key string) []any { l, _ := shown[key].([]any); return l }
				slices.Sort(fields)
				slices.Sort(members)
				if got := names(slices.Concat(list("fields"), list("inputFields"), list("enumValues"))); !slices.Equal(got, fields) {
					t.Errorf("%q: %s has %q in introspection, and is served with %q", part, d.Name, got, fields)
				}
				if got := names(list("possibleTypes")); !slices.Equal(got, members) {
					t.Errorf("%q: %s may be %q in introspection, and is served as %q", part, d.Name, got, members)
				}
			}
			if federation {
				if _, err := gqlparser.LoadSchema(&ast.Source{Input: addedByGateways + served.SDL(s)}); err != nil {
					t.Errorf("%q: the SDL of the subgraph: %v", part, err)
				}
			}
		}
	}
}

// leadsTo reports whether a root, or something that is served, refers to a type.
func leadsTo(s *ast.Schema, name string) bool {
	if d := s.Types[name]; d == s.Query || d == s.Mutation || d == s.Subscription {
		return true
	}
	arguments := func(list ast.ArgumentDefinitionList) bool {
		return slices.ContainsFunc(list, func(a *ast.ArgumentDefinition) bool { return a.Type.Name() == name })
	}
	for _, directive := range s.Directives {
		if arguments(directive.Arguments) {
			return true
		}
	}
	for _, d := range s.Types {
		if d.Name == name {
			continue
		}
		if slices.Contains(d.Types, name) || slices.Contains(d.Interfaces, name) || slices.Contains(s.Types[name].Interfaces, d.Name) ||
			slices.ContainsFunc(d.Fields, func(f *ast.FieldDefinition) bool { return f.Type.Name() == name || arguments(f.Arguments) }) {
			return true
		}
	}
	return false
}

// TestAdministrationIsLeftOut looks at some of what a storefront has, and of what it has not.
func TestAdministrationIsLeftOut(t *testing.T) {
	s := graph.Served(served.Options{Audiences: []string{config.Storefront}})
	for _, name := range []string{"Product", "Order", "Customer", "Cart", "QueueTicket", "OutOfStockError", "PlaceOrderInput", "Role"} {
		if s.Types[name] == nil {
			t.Errorf("a storefront needs %s", name)
		}
	}
	for _, name := range []string{
		"ProductCreateInput", "ProductsImportPayload", "StockAdjustInput", "CustomerConnection", "SchedulerRun", "DriftReport", "PaymentDrift",
		"HeldLock", "UnsettledOrder", "AdjustmentConnection", "RefundCreateInput", "Experiment", "StartExperimentInput",
	} {
		if s.Types[name] != nil {
			t.Errorf("%s is of no use to a storefront", name)
		}
	}
	if s.Types["Product"].Fields.ForName("stockHistory") != nil || s.Types["ProductFilter"].Fields.ForName("includeArchived") != nil {
		t.Error("a storefront is offered what only administrators may ask for")
	}
}

// pageAudiences are for whom our own pages are, by their directories.
var pageAudiences = map[string]string{"shop": config.Storefront, "lab": config.Experimental, "admin": config.Administration}

// TestPagesNeedOnePart validates the operations of each of our pages against the part of the schema that is for it.
func TestPagesNeedOnePart(t *testing.T) {
	files, err := filepath.Glob("../web/*/operations.graphql")
	must(t, err)
	if len(files) < 2 {
		t.Fatalf("there are only %q", files)
	}
	for _, file := range files {
		audience, known := pageAudiences[filepath.Base(filepath.Dir(file))]
		if !known {
			t.Errorf("%s: add its audience to pageAudiences", file)
			continue
		}
		text, err := os.ReadFile(file)
		must(t, err)
		_, faults := gqlparser.LoadQueryWithRules(graph.Served(served.Options{Audiences: []string{audience}}), string(text), rules.NewDefaultRules())
		for _, fault := range faults {
			t.Errorf("%s needs more than what is for %s: add @tag(name: %q) to the root field that it asks: %v", file, audience, audience, fault)
		}
	}
}

// TestLeftOutIsUnknown asks a storefront for the rest, over each transport, as an administrator: it is as if there were no such field.
func TestLeftOutIsUnknown(t *testing.T) {
	a := newAPI(t, settings{served: served.Options{Audiences: []string{config.Storefront}}})
	for document, field := range map[string]string{
		`{ orders { nodes { id } } }`:                                      "orders",
		`{ experiments { id } }`:                                           "experiments",
		`{ product(id: "prod_1") { stockHistory { nodes { id } } } }`:      "stockHistory",
		`mutation { reconcileNow { run { job } } }`:                        "reconcileNow",
		`subscription { experimentProgress(id: "exp_0") { id } }`:          "experimentProgress",
		`{ _service { sdl } }`:                                             "_service",
		`{ _entities(representations: [{}]) { __typename } }`:              "_entities",
		`mutation { startExperiment(input: {}) { experiment { id } } }`:    "startExperiment",
		`{ popularProducts { product { id } revenue { amountMinor } } }`:   "revenue",
		`{ paymentDrift { subject } }`:                                     "paymentDrift",
		`mutation { stockAdjust(input: {}) { product { id } } }`:           "stockAdjust",
		`{ customers(first: 1) { nodes { id orders { nodes { id } } } } }`: "customers",
	} {
		a.overEachAs(admin, object{"query": document}, func(transport string, r result) {
			if message := r.wantError("GRAPHQL_VALIDATION_FAILED"); !strings.Contains(message, fmt.Sprintf("Cannot query field %q", field)) {
				t.Errorf("%s over %s: %s", document, transport, r.body)
			}
		})
	}
	const archived = `{ products(filter: {includeArchived: true}) { nodes { id } } }`
	if message := a.do(admin, archived, nil).wantError("GRAPHQL_VALIDATION_FAILED"); !strings.Contains(message, `Field "includeArchived" is not defined`) {
		t.Error(message)
	}
	a.ok(alice, `{ products { nodes { id stock { available } } } me { orders { nodes { id } } } }`, nil)
	a.ok(alice, placeOrder, vars(object{"idempotencyKey": key(), "lines": line("prod_1", 1), "payment": object{"method": "POINTS"}})).
		want("placeOrder.order.status", "PAID")

	r := a.ok(nobody, `{ __schema { types { name } mutationType { fields { name } } subscriptionType { fields { name } } directives { name } } __type(name: "Experiment") { name } }`, nil)
	for _, name := range []string{"Experiment", "SchedulerRun", "reconcileNow", "experimentProgress", "_Service"} {
		if strings.Contains(r.body, fmt.Sprintf(`"name":%q`, name)) {
			t.Errorf("introspection shows %s", name)
		}
	}
	if r.at("__type") != nil || !strings.Contains(r.body, `"name":"placeOrder"`) || !strings.Contains(r.body, `"name":"tag"`) {
		t.Error(r.body)
	}
}

// TestPartWithoutARoot serves experiments alone, which have few fields of each kind, and a part that has no such root.
func TestPartWithoutARoot(t *testing.T) {
	a := newAPI(t, settings{served: served.Options{Audiences: []string{config.Experimental}}})
	a.ok(admin, `{ experiments { id } }`, nil)
	a.do(admin, `{ product(id: "prod_1") { id } }`, nil).wantError("GRAPHQL_VALIDATION_FAILED")

	full, err := gqlparser.LoadSchema(&ast.Source{Input: `
		directive @tag(name: String!) repeatable on FIELD_DEFINITION
		type Query { a: Int @tag(name: "a") b: Int @tag(name: "b") }
		type Mutation { c: C @tag(name: "b") }
		type C { d: Int }`})
	must(t, err)
	s, err := served.Schema(full, served.Options{Audiences: []string{"a"}})
	must(t, err)
	if s.Mutation != nil || s.Types["Mutation"] != nil || s.Types["C"] != nil || s.Query.Fields.ForName("b") != nil {
		t.Errorf("there is more than a: %v", served.Print(s))
	}
	_, faults := gqlparser.LoadQueryWithRules(s, `mutation { c { d } }`, rules.NewDefaultRules())
	if len(faults) == 0 {
		t.Error("a mutation is valid where there is none")
	}
	if _, err := served.Schema(full, served.Options{Audiences: []string{"a", "z"}}); err == nil || !strings.Contains(err.Error(), `"z" is none of a, b`) {
		t.Errorf("an audience that is not there: %v", err)
	}
	full.Query.Fields.ForName("a").Directives = full.Query.Fields.ForName("b").Directives
	full.Types["C"].Fields.ForName("d").Directives = ast.DirectiveList{{Name: "tag", Arguments: ast.ArgumentList{{Name: "name", Value: &ast.Value{Raw: "c"}}}}}
	if _, err := served.Schema(full, served.Options{Audiences: []string{"c"}}); err == nil || !strings.Contains(err.Error(), "nothing to query") {
		t.Errorf("a part without queries: %v", err)
	}
}

// TestPlaygroundTabsOfParts shows prepared operations of the parts that are served only.
func TestPlaygroundTabsOfParts(t *testing.T) {
	all := len(tabs(t, served.Options{}))
	if sources, err := filepath.Glob("playground/*.graphql"); err != nil || len(sources) != all {
		t.Errorf("%d tabs of %d files, %v: one is not valid", all, len(sources), err)
	}
	for _, part := range parts() {
		shown := tabs(t, served.Options{Audiences: part})
		if len(shown) == 0 || len(part) < len(config.Audiences) && len(shown) >= all {
			t.Errorf("%q: %d of %d tabs", part, len(shown), all)
		}
		for _, tab := range shown {
			if strings.Contains(tab.Query, "startExperiment(") && !slices.Contains(part, config.Experimental) ||
				strings.Contains(tab.Query, "stockAdjust(") && !slices.Contains(part, config.Administration) {
				t.Errorf("%q: %s", part, tab.Title)
			}
		}
	}
}
