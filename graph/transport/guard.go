package transport

import (
	"context"

	"github.com/99designs/gqlgen/complexity"
	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// guard refuses an operation that costs too much before a resolver runs.
//
// It measures every fragment once and remembers the result, so its work is linear in the document.
// gqlgen's complexity walk runs after it. That walk expands every use of a fragment, so nested
// fragments would make it exponential; the bound on fields stops them.
type guard struct {
	limits        Limits
	introspection bool
	schema        graphql.ExecutableSchema
}

var _ interface {
	graphql.HandlerExtension
	graphql.OperationContextMutator
} = (*guard)(nil)

// ExtensionName implements graphql.HandlerExtension.
func (*guard) ExtensionName() string { return "Guard" }

// Validate implements graphql.HandlerExtension.
func (g *guard) Validate(schema graphql.ExecutableSchema) error {
	g.schema = schema
	return nil
}

// MutateOperationContext implements graphql.OperationContextMutator.
func (g *guard) MutateOperationContext(ctx context.Context, op *graphql.OperationContext) *gqlerror.Error {
	op.DisableIntrospection = !g.introspection
	m := measurer{fragments: map[string]measure{}}
	size := m.set(op.Operation.SelectionSet, false)
	size.directives = min(size.directives+len(op.Operation.Directives), tooMany)
	switch {
	case size.introspects && !g.introspection:
		return Errorf(codeValidation, "introspection is off; the schema is published as schema.graphql")
	case size.depth > g.limits.MaxDepth:
		return Errorf(codeValidation, "the operation is %d levels deep, at most %d are allowed", size.depth, g.limits.MaxDepth)
	case size.aliases > g.limits.MaxAliases:
		return Errorf(codeValidation, "the operation has %d aliases, at most %d are allowed", size.aliases, g.limits.MaxAliases)
	case size.directives > g.limits.MaxDirectives:
		return Errorf(codeValidation, "the operation has %d directives, at most %d are allowed", size.directives, g.limits.MaxDirectives)
	case size.fields > g.limits.MaxFields:
		return Errorf(codeValidation, "the operation selects %d fields, at most %d are allowed", size.fields, g.limits.MaxFields)
	}
	if cost := complexity.Calculate(ctx, g.schema, op.Operation, op.Variables); cost > g.limits.MaxComplexity {
		return Errorf(codeValidation, "the operation has a complexity of %d, at most %d is allowed", cost, g.limits.MaxComplexity)
	}
	return nil
}

// measure is the size of a selection set with its fragments expanded. Counts stop at tooMany, since
// they may grow exponentially.
type measure struct {
	depth, aliases, fields, directives int
	introspects                        bool
}

// tooMany is above every limit. The sum of two fits into an int of 64 bits.
const tooMany = 1 << 30

// measurer measures selection sets of one document.
type measurer struct{ fragments map[string]measure }

// set measures a selection set. Depth does not count within introspection: its standard query is
// deeper than queries of data, and its response does not grow. gqlparser bounds it with a rule of
// its own.
func (m *measurer) set(set ast.SelectionSet, introspecting bool) measure {
	var total measure
	for _, selection := range set {
		switch s := selection.(type) {
		case *ast.Field:
			about := introspecting || s.Name == "__schema" || s.Name == "__type"
			part := m.set(s.SelectionSet, about)
			part.fields++
			if s.Alias != s.Name {
				part.aliases++
			}
			if !about {
				part.depth++
			}
			part.directives += len(s.Directives)
			part.introspects = part.introspects || about
			total.add(part)
		case *ast.InlineFragment:
			part := m.set(s.SelectionSet, introspecting)
			part.directives += len(s.Directives)
			total.add(part)
		case *ast.FragmentSpread: // validated: it exists and does not contain itself
			part, known := m.fragments[s.Name]
			if !known {
				part = m.set(s.Definition.SelectionSet, introspecting || isMeta(s.Definition.TypeCondition))
				m.fragments[s.Name] = part
			}
			part.directives += len(s.Directives)
			total.add(part)
		}
	}
	return total
}

// isMeta reports whether name is a type of the introspection schema, such as __Type.
func isMeta(name string) bool { return len(name) > 2 && name[:2] == "__" }

func (a *measure) add(b measure) {
	a.depth = max(a.depth, b.depth)
	a.aliases = min(a.aliases+b.aliases, tooMany)
	a.directives = min(a.directives+b.directives, tooMany)
	a.fields = min(a.fields+b.fields, tooMany)
	a.introspects = a.introspects || b.introspects
}
