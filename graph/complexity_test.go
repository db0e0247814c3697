package graph

import (
	"encoding/json"
	"os"
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
	for _, d := range generated.NewExecutableSchema(generated.Config{}).Schema().Types {
		if d.Kind != ast.Object || strings.HasPrefix(d.Name, "__") {
			continue
		}
		for _, f := range d.Fields {
			connection := strings.HasSuffix(f.Type.Name(), "Connection")
			if strings.HasPrefix(f.Name, "__") || f.Type.Elem == nil && !connection || strings.HasSuffix(d.Name, "Connection") {
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

// TestPagesAreAffordable computes what the operations of our own pages cost, with pages of 20: a shop with the default limits serves
// them.
func TestPagesAreAffordable(t *testing.T) {
	executable := generated.NewExecutableSchema(generated.Config{Complexity: complexities(setting.Default[commerce.ShopSettings]())})
	most := setting.Default[transport.Limits]().MaxComplexity
	for _, file := range []string{"../web/shop/operations.graphql", "../web/lab/operations.graphql"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		document, errs := gqlparser.LoadQueryWithRules(executable.Schema(), string(text), rules.NewDefaultRules())
		if errs != nil {
			t.Fatal(errs)
		}
		for _, operation := range document.Operations {
			cost := complexity.Calculate(t.Context(), executable, operation, map[string]any{"first": json.Number("20")})
			if cost > most {
				t.Errorf("%s in %s costs %d, and %d are allowed", operation.Name, file, cost, most)
			}
		}
	}
}

// TestPathsOfFieldsAreBounded finds the longest path into an input: a list counts twice, by its name and by the number in it.
func TestPathsOfFieldsAreBounded(t *testing.T) {
	types := generated.NewExecutableSchema(generated.Config{}).Schema().Types
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
