package graph

import (
	"github.com/99designs/gqlgen/graphql"

	"holdfast/commerce"
	"holdfast/graph/generated"
)

// WithCosts is the schema with what its fields cost, for tests from outside. It has the directives of the server, because the cost of a
// field of which an argument cannot be read is 1, whatever the field is.
func WithCosts(shop commerce.ShopSettings) graphql.ExecutableSchema {
	return generated.NewExecutableSchema(generated.Config{Schema: servedSchema(), Complexity: complexities(shop), Directives: directives()})
}

// Batched are the fields whose resolvers wait for each other.
var Batched = batched
