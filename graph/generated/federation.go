// Package generated is what gqlgen makes of the schema: it reads, checks and executes operations, and asks the resolvers for values.
package generated

import (
	"context"

	"holdfast/graph/model"
	"holdfast/graph/scalar"
)

// This file is written by hand. gqlgen expects its plugin for Apollo Federation to generate what resolves _service and _entities, and has
// names for it that cannot be reached from another package. We resolve them like all other fields; see ADR 44.

// SubgraphResolver resolves the fields by which a gateway asks a subgraph. The resolver root implements it.
type SubgraphResolver interface {
	Service(ctx context.Context) (model.Service, error)
	Entities(ctx context.Context, representations []*scalar.Representation) []model.Entity
}

//nolint:revive // gqlgen has this name
func (ec *executionContext) __resolve__service(ctx context.Context) (model.Service, error) {
	return ec.Resolvers.(SubgraphResolver).Service(ctx) //nolint:errcheck // package graph checks that it is one
}

//nolint:revive // gqlgen has this name
func (ec *executionContext) __resolve_entities(ctx context.Context, representations []*scalar.Representation) []model.Entity {
	return ec.Resolvers.(SubgraphResolver).Entities(ctx, representations) //nolint:errcheck // as above
}

// CostOfEntities sets what _entities costs.
func (c *ComplexityRoot) CostOfEntities(cost func(child int, representations []*scalar.Representation) int) {
	c.Query.__resolve_entities = cost
}
