package graph

import (
	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"holdfast/commerce"
	"holdfast/graph/generated"
	"holdfast/graph/served"
)

// Served is the schema that is served with some options.
func Served(o served.Options) *ast.Schema {
	schema, err := served.Schema(fullSchema(), o)
	if err != nil {
		panic(err)
	}
	return schema
}

// FullSchema is all that can be served.
var FullSchema = fullSchema

// WithCosts is the schema with what its fields cost, for tests from outside. It has the directives of the server, because the cost of a
// field of which an argument cannot be read is 1, whatever the field is.
func WithCosts(shop commerce.ShopSettings) graphql.ExecutableSchema {
	return generated.NewExecutableSchema(generated.Config{
		Schema: Served(served.Options{}), Complexity: complexities(shop), Directives: directives(),
	})
}

// Batched are the fields whose resolvers wait for each other.
var Batched = batched
