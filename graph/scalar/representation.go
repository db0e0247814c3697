package scalar

import (
	"github.com/99designs/gqlgen/graphql"
)

// Representation is how a gateway of Apollo Federation names an object: by its type and its key.
type Representation struct {
	Typename string
	ID       string
}

// MarshalRepresentation writes a representation. The schema has none in an answer.
func MarshalRepresentation(r Representation) graphql.Marshaler {
	return graphql.MarshalMap(map[string]any{"__typename": r.Typename, "id": r.ID})
}

// UnmarshalRepresentation reads a representation. What it has besides the type and the key is not looked at: no field here requires one of
// another subgraph.
func UnmarshalRepresentation(v any) (Representation, error) {
	fields, _ := v.(map[string]any)
	typename, _ := fields["__typename"].(string)
	id, ok := fields["id"].(string)
	if !ok || typename == "" {
		return Representation{}, refuse("a representation", `an object with the texts __typename and id`, v)
	}
	id, err := UnmarshalID(id)
	return Representation{Typename: typename, ID: id}, err
}
