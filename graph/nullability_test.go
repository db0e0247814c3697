package graph

import (
	"reflect"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"

	"holdfast/graph/generated"
	"holdfast/graph/served"
)

// neverFails are the fields with a resolver of their own, or for a role, that are not null all the same, and why.
var neverFails = map[string]string{
	"Query.strategies":                "it is in memory",
	"Query.shop":                      "it is in memory",
	"Customer.wallet":                 "it is made of the customer's identifier; what is read of it is its fields",
	"Subscription.stockChanged":       "an operation has one such field, so no other answer is lost with it",
	"Subscription.orderUpdated":       "the same",
	"Subscription.queueTicketUpdated": "the same",
	"Subscription.experimentProgress": "the same",
}

// TestWhatCanFailAloneIsNullable: an error of a field that is not null takes its whole object away, and what that is in. So a field is
// nullable if it is read by itself, which shows in that it has a resolver, or if not everybody may ask it. So is one with arguments, which
// may be refused.
func TestWhatCanFailAloneIsNullable(t *testing.T) {
	resolved := map[string]bool{}
	root := reflect.TypeFor[generated.ResolverRoot]()
	for i := range root.NumMethod() {
		of := root.Method(i)
		for fields, j := of.Type.Out(0), 0; j < fields.NumMethod(); j++ {
			resolved[strings.ToLower(of.Name+"."+fields.Method(j).Name)] = true
		}
	}
	seen, kept := 0, map[string]bool{}
	for _, d := range Served(served.Options{}).Types {
		if d.Kind != ast.Object || strings.HasPrefix(d.Name, "__") {
			continue
		}
		for _, f := range d.Fields {
			name := d.Name + "." + f.Name
			if !resolved[strings.ToLower(name)] && f.Directives.ForName("auth") == nil {
				if f.Type.Elem != nil && !f.Type.NonNull && f.Name != "field" { // of a user error: null if it is no field's fault
					t.Errorf("%s: %s comes with its object, so a list that has nothing is empty, and not null", name, f.Type)
				}
				continue
			}
			seen++
			switch {
			case f.Type.NonNull && len(f.Arguments) > 0 && d.Name != "Subscription":
				t.Errorf("%s: an argument that is refused takes all of %s away", name, d.Name)
			case f.Type.NonNull && neverFails[name] == "":
				t.Errorf("%s: %s can fail alone, and is not null: its error takes all of %s away", name, f.Type, d.Name)
			case f.Type.NonNull:
				kept[name] = true
			}
		}
	}
	if seen < 40 || len(resolved) < 40 {
		t.Errorf("the test sees %d fields, and %d resolvers", seen, len(resolved))
	}
	for name := range neverFails {
		if !kept[name] {
			t.Errorf("%s needs no exception", name)
		}
	}
}
