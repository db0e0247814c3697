package served

import (
	"bytes"
	"maps"
	"slices"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/formatter"
)

// link is how a schema says that it is a subgraph of Apollo Federation, and which of its directives it uses.
const link = `extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key", "@shareable", "@tag"])` + "\n\n"

// machinery are the types and directives that a gateway adds by itself.
var (
	machineryTypes      = []string{"_Any", "_Entity", "_Service", "FieldSet"}
	machineryDirectives = []string{"key", "shareable", "tag"}
)

// Print returns a schema as a document.
func Print(s *ast.Schema) string {
	var out bytes.Buffer
	formatter.NewFormatter(&out, formatter.WithIndent("  ")).FormatSchema(s)
	return out.String()
}

// SDL returns a schema that is served with [Options.Federation] as a subgraph tells a gateway of it.
func SDL(s *ast.Schema) string {
	told, query := *s, *s.Query
	query.Fields = slices.DeleteFunc(slices.Clone(query.Fields), func(f *ast.FieldDefinition) bool { return slices.Contains(entryPoints, f.Name) })
	told.Query, told.Types, told.Directives = &query, maps.Clone(s.Types), maps.Clone(s.Directives)
	told.Types[query.Name] = &query
	for _, name := range machineryTypes {
		delete(told.Types, name)
	}
	for _, name := range machineryDirectives {
		delete(told.Directives, name)
	}
	return link + Print(&told)
}
