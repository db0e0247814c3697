// Command printschema joins graph/schema/*.graphqls into graph/schema.graphql, for client code generators. It is run by
// go generate, in the directory graph.
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/formatter"
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
	var out bytes.Buffer
	formatter.NewFormatter(&out, formatter.WithIndent("  ")).FormatSchema(schema)
	return os.WriteFile("schema.graphql", out.Bytes(), 0o644) //nolint:gosec // a source file, for everybody to read
}
