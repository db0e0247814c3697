package graph

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/99designs/gqlgen/graphql"

	"holdfast/commerce"
	"holdfast/graph/generated"
	"holdfast/graph/model"
	"holdfast/graph/scalar"
	"holdfast/graph/served"
)

// maxRepresentations bounds how many entities a gateway may ask for at once. It is more than a page, since a gateway joins what several
// pages need. Each costs as much as an identifier of nodes, so an operation seldom has more.
const maxRepresentations = 250

// entityPrefixes are the prefixes of the identifiers of entities, by their types.
var entityPrefixes = map[string]string{"Product": "prod_", "ProductVariant": "var_", "Order": prefixOrder, "Customer": prefixCustomer}

var _ generated.SubgraphResolver = (*Resolver)(nil)

// Service is the resolver for the _service field.
func (r *Resolver) Service(context.Context) (model.Service, error) {
	return model.Service{Sdl: served.SDL(r.schema)}, nil
}

// Entities is the resolver for the _entities field. Entities are found as node finds them, with the rights of the viewer. An error is told
// at its place, and leaves the others. If the representations are wrong, there is none, and nothing is looked up.
func (r *Resolver) Entities(ctx context.Context, representations []*scalar.Representation) []model.Entity {
	ids, err := entityIDs(representations)
	if err != nil {
		graphql.AddError(ctx, err)
		return make([]model.Entity, min(len(representations), maxRepresentations))
	}
	entities := make([]model.Entity, 0, len(ids))
	for chunk := range slices.Chunk(ids, commerce.MaxPage) {
		nodes, errs := r.findNodes(ctx, chunk)
		for i, node := range nodes {
			if errs[i] != nil {
				graphql.AddError(graphql.WithPathContext(ctx, graphql.NewPathWithIndex(len(entities))), errs[i])
			}
			entity, _ := node.(model.Entity)
			entities = append(entities, entity)
		}
	}
	return entities
}

// entityIDs returns the identifiers of representations, each of which must be of its type.
func entityIDs(representations []*scalar.Representation) ([]string, error) {
	if len(representations) > maxRepresentations {
		return nil, &commerce.Error{
			Code: commerce.InvalidInput, Field: []string{"representations"},
			Message: fmt.Sprintf("representations must have at most %d entities, not %d", maxRepresentations, len(representations)),
		}
	}
	ids := make([]string, len(representations))
	for i, representation := range representations {
		prefix, known := entityPrefixes[representation.Typename]
		switch {
		case !known:
			return nil, wrongEntity(i, "__typename", "must be Product, ProductVariant, Order or Customer, not %.80q", representation.Typename)
		case !strings.HasPrefix(representation.ID, prefix):
			return nil, wrongEntity(i, "id", "must begin with %q, as the identifiers of that type do, not %.80q", prefix, representation.ID)
		}
		ids[i] = representation.ID
	}
	return ids, nil
}

func wrongEntity(at int, field, format string, args ...any) error {
	path := []string{"representations", strconv.Itoa(at), field}
	return &commerce.Error{Code: commerce.InvalidInput, Field: path, Message: pathText(path) + " " + fmt.Sprintf(format, args...)}
}
