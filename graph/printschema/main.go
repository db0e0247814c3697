// Command printschema joins graph/schema/*.graphqls into graph/schema.graphql, for client code generators: what is served if nothing is
// configured. It is run by go generate, in the directory graph.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"holdfast/graph/served"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "printschema:", err)
		os.Exit(1)
	}
}

func run() error {
	files, err := filepath.Glob("schema/*.graphqls")
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no schema/*.graphqls here: %w", err)
	}
	slices.Sort(files)
	var sources []*ast.Source
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		sources = append(sources, &ast.Source{Name: file, Input: string(text)})
	}
	schema, err := gqlparser.LoadSchema(sources...)
	if err != nil {
		return err
	}
	if schema, err = served.Schema(schema, served.Options{}); err != nil {
		return err
	}
	return os.WriteFile("schema.graphql", []byte(served.Print(schema)), 0o644) //nolint:gosec // a source file, for everybody to read
}
