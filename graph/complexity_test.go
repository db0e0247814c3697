package graph

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/complexity"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"holdfast/commerce"
	"holdfast/config/setting"
	"holdfast/graph/generated"
	"holdfast/graph/transport"
)

// TestEveryListHasABound finds lists whose cost would be that of one element: each has a function of its own, which multiplies.
// The edges and nodes of a connection are as many as its field has been asked for.
func TestEveryListHasABound(t *testing.T) {
	costs := complexities(setting.Default[commerce.ShopSettings]())
	bounds := listBounds(setting.Default[commerce.ShopSettings]())
	lists := map[string]bool{}
	for _, d := range fullSchema().Types {
		if d.Kind != ast.Object || strings.HasPrefix(d.Name, "__") {
			continue
		}
		for _, f := range d.Fields {
			connection := strings.HasSuffix(f.Type.Name(), "Connection")
			if strings.HasPrefix(f.Name, "_") || f.Type.Elem == nil && !connection || strings.HasSuffix(d.Name, "Connection") {
				continue
			}
			lists[d.Name+"."+f.Name], lists["*."+f.Name] = true, true
			if complexityOf(&costs, d.Name, f.Name).IsNil() {
				t.Errorf("%s.%s is a list, and nothing says how long it may be: see listBounds", d.Name, f.Name)
			}
		}
	}
	for field, most := range bounds {
		if !lists[field] {
			t.Errorf("%s is no list", field)
		}
		if most < 1 {
			t.Errorf("%s has at most %d elements", field, most)
		}
	}
}

// TestPagesAreAffordable computes what the operations of our own pages cost, with the longest pages that they ask for: a shop with the
// default limits serves them.
func TestPagesAreAffordable(t *testing.T) {
	executable := generated.NewExecutableSchema(generated.Config{Complexity: complexities(setting.Default[commerce.ShopSettings]())})
	most := setting.Default[transport.Limits]().MaxComplexity
	for _, page := range []string{"shop", "admin", "lab"} {
		file := "../web/" + page + "/operations.graphql"
		first := json.Number("1")
		if page != "lab" { // which has no pages
			first = longestPage(t, page)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if page != "lab" { // Apollo Client asks for the type of every object
			text = openSelection.ReplaceAll(text, []byte("$0 __typename"))
		}
		document, errs := gqlparser.LoadQueryWithRules(executable.Schema(), string(text), rules.NewDefaultRules())
		if errs != nil {
			t.Fatal(errs)
		}
		for _, operation := range document.Operations {
			cost := complexity.Calculate(t.Context(), executable, operation, map[string]any{"first": first})
			if cost > most {
				t.Errorf("%s in %s costs %d, and %d are allowed", operation.Name, file, cost, most)
			}
		}
	}
}

// openSelection is the beginning of what is selected of an object, which is not the operation itself.
var openSelection = regexp.MustCompile(`(?m)^(?: +|fragment ).*\{$`)

// longestPage returns the greatest page size in the sources of one of our own pages.
func longestPage(t *testing.T, page string) json.Number {
	t.Helper()
	files, err := filepath.Glob("../web/" + page + "/*.tsx")
	if err != nil {
		t.Fatal(err)
	}
	most := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile(`const pageSize = (\d+);`).FindAllSubmatch(text, -1) {
			size, err := strconv.Atoi(string(found[1]))
			if err != nil {
				t.Fatal(err)
			}
			most = max(most, size)
		}
	}
	if most < 2 {
		t.Fatal("no page size found")
	}
	return json.Number(strconv.Itoa(most))
}

// costOf returns what a document costs in a shop with the default settings, and what one may cost.
func costOf(t *testing.T, document string) (cost, most int) {
	t.Helper()
	executable := generated.NewExecutableSchema(generated.Config{
		Complexity: complexities(setting.Default[commerce.ShopSettings]()), Directives: directives(), // without them, arguments with @id cost nothing
	})
	parsed, errs := gqlparser.LoadQueryWithRules(executable.Schema(), document, rules.NewDefaultRules())
	if errs != nil {
		t.Fatalf("%s: %v", document, errs)
	}
	return complexity.Calculate(t.Context(), executable, parsed.Operations[0], nil), setting.Default[transport.Limits]().MaxComplexity
}

// aliased is a document with a field several times.
func aliased(n int, field string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " a%d: %s", i, field)
	}
	return "{" + b.String() + " }"
}

// TestServedAndRefused computes what documents cost that shops need, and some that would read too much.
func TestServedAndRefused(t *testing.T) {
	for document, served := range map[string]bool{
		// A page of 100 with all that a shop shows of products, and how many there are.
		`{ products(first: 100, filter: {search: "lamp"}) {
			totalCount { count precision } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
			edges { cursor node { id sku name description price { amount amountMinor currency minorDigits } stock { available asOf } limitPerCustomer { quantity periodHours } version archivedAt createdAt } }
		} }`: true,
		`{ me { accounts { totalCount { count } nodes { entries(first: 5, filter: {kind: [ORDER_PAID]}) { nodes { id delta source { ... on Order { id } } } } } } } }`: true,
		`{ products { nodes { stockHistory(first: 5, filter: {kind: [STOCK_ADJUSTED]}) { nodes { id delta } } } } }`:                                                   true,
		`{ nodes(ids: [` + strings.Repeat(`"ord_1" `, 100) + `]) { ... on Order { id status total { amount } payment { id } } } }`:                                     true,

		// Each may read the whole catalogue.
		aliased(4, `products(first: 1, filter: {available: true}) { totalCount { count } nodes { id } }`): true,
		aliased(5, `products(first: 1, filter: {available: true}) { nodes { id } }`):                      false,
		// Each identifier may be asked for in Redis.
		aliased(5, `nodes(ids: [`+strings.Repeat(`"ord_1" `, 100)+`]) { id }`): false,
	} {
		if cost, most := costOf(t, document); (cost <= most) != served {
			t.Errorf("it costs %d of %d, served: want %v: %s", cost, most, served, document)
		}
	}
}

// TestFiltersWithoutConditions: a filter costs something if it may leave something out, and nothing if it has no condition, as a page
// sends it that always sends one.
func TestFiltersWithoutConditions(t *testing.T) {
	for list, filters := range map[string]map[string]bool{
		`{ products(first: 1, filter: %s) { nodes { id } } }`: {
			`{}`: false, `{search: ""}`: false, `{search: " "}`: false, `{includeArchived: false}`: false, `{includeArchived: true}`: false,
			`{price: {}}`: false, `{price: null, available: null}`: false,
			`{search: "lamp"}`: true, `{price: {minMinor: 1}}`: true, `{price: {maxMinor: 1}}`: true, `{available: true}`: true, `{available: false}`: true,
			`{vendor: " "}`: false, `{tag: ""}`: false, `{productType: null}`: false,
			`{vendor: "a"}`: true, `{tag: "a"}`: true, `{productType: "a"}`: true, `{categoryId: "cat_1"}`: true,
		},
		`{ me { orders(first: 1, filter: %s) { nodes { id } } } }`: {
			`{}`: false, `{status: []}`: false, `{createdAt: {}}`: false,
			`{status: [PAID]}`: true, `{fulfilment: FULFILLED}`: true, `{createdAt: {from: "2026-01-01T00:00:00Z"}}`: true, `{createdAt: {until: "2026-01-01T00:00:00Z"}}`: true,
		},
		`{ orders(first: 1, filter: %s) { nodes { id } } }`: {
			`{}`: false, `{status: []}`: false, `{createdAt: {}}`: false, `{status: [PAID]}`: true, `{fulfilment: UNFULFILLED}`: true,
		},
		`{ customers(first: 1, filter: %s) { nodes { id } } }`: {
			`{}`: false, `{createdAt: {}}`: false, `{createdAt: {from: "2026-01-01T00:00:00Z"}}`: true,
		},
		`{ me { wallet { entries(first: 1, filter: %s) { nodes { id } } } } }`: {
			`{}`: false, `{kind: []}`: false, `{createdAt: {}}`: false,
			`{kind: [ORDER_PAID]}`: true, `{createdAt: {from: "2026-01-01T00:00:00Z"}}`: true, `{createdAt: {until: "2026-01-01T00:00:00Z"}}`: true,
		},
	} {
		plain, _ := costOf(t, fmt.Sprintf(list, "null"))
		for filter, costs := range filters {
			if cost, _ := costOf(t, fmt.Sprintf(list, filter)); (cost > plain) != costs {
				t.Errorf("%s costs %d, and without a filter %d", fmt.Sprintf(list, filter), cost, plain)
			}
		}
	}
}

// TestPathsOfFieldsAreBounded finds the longest path into an input: a list counts twice, by its name and by the number in it.
func TestPathsOfFieldsAreBounded(t *testing.T) {
	types := fullSchema().Types
	var longest func(fields ast.FieldList) int
	longest = func(fields ast.FieldList) (most int) {
		for _, f := range fields {
			length := 1 + longest(types[f.Type.Name()].Fields)
			for list := f.Type.Elem; list != nil; list = list.Elem {
				length++
			}
			most = max(most, length)
		}
		return most
	}
	for _, d := range types {
		if d.Kind != ast.InputObject {
			continue
		}
		if n := 1 + longest(d.Fields); n > maxFieldPath { // the argument comes first
			t.Errorf("a path into %s has up to %d names and numbers, and maxFieldPath is %d", d.Name, n, maxFieldPath)
		}
	}
}
