package graph_test

import (
	"errors"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/commerce"
	"holdfast/graph"
)

// TestFieldsOfLoadersAreBatched: a resolver that asks a loader must not wait for a place among the resolvers that run, else the loader asks
// the database for a few keys at a time.
func TestFieldsOfLoadersAreBatched(t *testing.T) {
	loads := map[string]bool{"loadersOf": true, "orderOf": true, "accountOf": true, "variantOf": true, "sourceOf": true, "holdLines": true}
	files, err := filepath.Glob("*.resolvers.go")
	must(t, err)
	fields := 0
	for _, file := range files {
		parsed, err := parser.ParseFile(gotoken.NewFileSet(), file, nil, parser.SkipObjectResolution)
		must(t, err)
		for _, declaration := range parsed.Decls {
			method, ok := declaration.(*ast.FuncDecl)
			if !ok || method.Recv == nil {
				continue
			}
			pointer, ok := method.Recv.List[0].Type.(*ast.StarExpr)
			if !ok {
				continue
			}
			object := strings.TrimSuffix(pointer.X.(*ast.Ident).Name, "Resolver")
			if object == "" || object == "query" {
				continue
			}
			field := strings.ToUpper(object[:1]) + object[1:] + "." + strings.ToLower(method.Name.Name[:1]) + method.Name.Name[1:]
			ast.Inspect(method.Body, func(n ast.Node) bool {
				call, isCall := n.(*ast.CallExpr)
				if !isCall {
					return true
				}
				name := ""
				switch f := call.Fun.(type) {
				case *ast.Ident:
					name = f.Name
				case *ast.SelectorExpr: // a method of the resolver
					name = f.Sel.Name
				}
				if loads[name] {
					fields++
					if !graph.Batched[field] {
						t.Errorf("%s asks a loader and is not batched", field)
					}
				}
				return true
			})
		}
	}
	if fields < len(graph.Batched) {
		t.Errorf("%d fields ask a loader, %d are batched", fields, len(graph.Batched))
	}
}

// TestWalletsFailAlone: that one wallet may not be read says nothing of those that are read together with it.
func TestWalletsFailAlone(t *testing.T) {
	a := newAPI(t, settings{})
	points, err := a.services.Points.Balances(t.Context(), commerce.Viewer{UserID: alice, Name: alice}, []string{alice, bob})
	if commerceErr := commerce.ErrorOf(err, alice); commerceErr != nil || len(points) != 1 {
		t.Errorf("the own wallet: %v, of %v", commerceErr, points)
	}
	if !errors.Is(commerce.ErrorOf(err, bob), commerce.ErrForbidden) {
		t.Errorf("another's wallet: %v", err)
	}
}
