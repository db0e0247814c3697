package graph

import (
	"maps"

	"github.com/vektah/gqlparser/v2/ast"

	"holdfast/graph/generated"
)

// directives returns what the directives of the schema do.
func directives() generated.DirectiveRoot {
	return generated.DirectiveRoot{Auth: authDirective, Id: idDirective}
}

// servedSchema returns the schema without what the parser declares by itself and no transport here serves. That is @defer: it
// needs an answer in several parts. Left in the schema, introspection would offer it, and an answer would have null where the
// schema says that there is none.
func servedSchema() *ast.Schema {
	served := *generated.NewExecutableSchema(generated.Config{}).Schema()
	served.Directives = maps.Clone(served.Directives)
	delete(served.Directives, "defer")
	return &served
}
