package graph_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"

	"holdfast/auth"
	"holdfast/graph"
	"holdfast/graph/served"
	"holdfast/web"
)

// tabs are the tabs of the Playground.
func tabs(t *testing.T, o served.Options) []web.Tab {
	t.Helper()
	tabs, err := graph.Tabs(o)
	must(t, err)
	return tabs
}

// TestPlaygroundTabs runs every prepared operation, in their order, as the Playground's user does.
func TestPlaygroundTabs(t *testing.T) {
	a := newAPI(t, settings{})
	demo, err := auth.Issue(secret, issuer, "", alice, []auth.Role{auth.Customer, auth.Admin}, time.Hour)
	must(t, err)
	header := http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + demo}}
	for _, tab := range tabs(t, served.Options{}) {
		variables := map[string]any{}
		if tab.Variables != "" {
			must(t, json.Unmarshal([]byte(tab.Variables), &variables))
		}
		body, err := json.Marshal(map[string]any{"query": tab.Query, "variables": variables})
		must(t, err)
		r := a.send(http.MethodPost, "", header, body)
		if len(r.Errors) > 0 || len(r.Data) == 0 {
			t.Errorf("%s\n%s", tab.Title, r.body)
		}
		for field, value := range r.Data {
			failures, _ := r.at(field + ".userErrors").([]any)
			if value == nil && field != "queueTicket" || len(failures) > 0 { // no ticket without a waiting line
				t.Errorf("%s\n%s", tab.Title, r.body)
			}
		}
	}
}

// TestPlaygroundCoversTheAPI finds operations that no tab shows.
func TestPlaygroundCoversTheAPI(t *testing.T) {
	shown := map[string]bool{}
	for _, tab := range tabs(t, served.Options{}) {
		doc, err := parser.ParseQuery(&ast.Source{Input: tab.Query})
		if err != nil {
			t.Fatalf("%s: %v", tab.Title, err)
		}
		if len(doc.Operations) != 1 || doc.Operations[0].Name == "" {
			t.Errorf("%s: not one named operation", tab.Title)
		}
		for _, selection := range doc.Operations[0].SelectionSet {
			if field, ok := selection.(*ast.Field); ok {
				shown[field.Name] = true
			}
		}
	}
	schema := graph.Served(served.Options{})
	for _, root := range []*ast.Definition{schema.Query, schema.Mutation} {
		for _, field := range root.Fields {
			if !strings.HasPrefix(field.Name, "__") && !shown[field.Name] {
				t.Errorf("no tab shows %s.%s", root.Name, field.Name)
			}
		}
	}
}

func TestPlaygroundTabsAreMadeAnew(t *testing.T) {
	first, second := tabs(t, served.Options{}), tabs(t, served.Options{})
	for i := range first {
		has := strings.Contains(first[i].Variables, "idempotencyKey")
		if same := first[i].Variables == second[i].Variables; has && same {
			t.Errorf("%s: the idempotency key is the same for two pages", first[i].Title)
		}
		if strings.Contains(first[i].Variables, "{{") {
			t.Errorf("%s: not filled in: %s", first[i].Title, first[i].Variables)
		}
	}
}
