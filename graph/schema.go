package graph

import (
	"github.com/vektah/gqlparser/v2/ast"

	"holdfast/graph/generated"
)

// directives returns what the directives of the schema do.
func directives() generated.DirectiveRoot {
	return generated.DirectiveRoot{Auth: authDirective, Id: idDirective}
}

// fullSchema returns everything that can be resolved. What a server serves of it is a part; see package served.
func fullSchema() *ast.Schema { return generated.NewExecutableSchema(generated.Config{}).Schema() }
