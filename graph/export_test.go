package graph

import (
	"github.com/99designs/gqlgen/graphql"

	"holdfast/commerce"
	"holdfast/graph/generated"
)

// WithCosts is the schema with what its fields cost, for tests from outside.
func WithCosts(shop commerce.ShopSettings) graphql.ExecutableSchema {
	return generated.NewExecutableSchema(generated.Config{Schema: servedSchema(), Complexity: complexities(shop)})
}
