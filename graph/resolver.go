package graph

import (
	"context"
	"log/slog"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"holdfast/auth"
	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/events"
	"holdfast/graph/model"
	"holdfast/graph/transport"
	"holdfast/lockprovider"
)

// Resolver is the root of all resolvers.
type Resolver struct {
	operations    Operations
	services      *commerce.Services
	client        *ent.Client
	strategies    map[lockprovider.Family]lockprovider.Strategy
	introspection bool
	live          *events.Live
	streams       transport.Streams
	logger        *slog.Logger
	schema        *ast.Schema // that is served
}

// authDirective implements @auth. It fails a field before its resolver runs if the viewer lacks the
// role.
func authDirective(ctx context.Context, _ any, next graphql.Resolver, role model.Role) (any, error) {
	if err := require(ctx, role); err != nil {
		return nil, err
	}
	return next(ctx)
}

// require returns an error if the viewer lacks the role.
func require(ctx context.Context, role model.Role) error {
	switch v := auth.Viewer(ctx); {
	case v.UserID == "":
		return commerce.ErrUnauthenticated
	case role == model.RoleAdmin && !v.Admin:
		return commerce.ErrForbidden
	}
	return nil
}
