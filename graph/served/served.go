// Package served makes the schema that a server serves from the one that its code can resolve: without the parts that it leaves out, and
// without what no transport serves.
package served

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// Options say what is served.
type Options struct {
	// Audiences are the parts of the schema: a field that has tags is served if one of them is here. Empty stands for all.
	Audiences []string
	// Federation serves the schema as a subgraph of Apollo Federation.
	Federation bool
}

// entryPoints are the fields by which a gateway of Apollo Federation asks a subgraph.
var entryPoints = []string{"_service", "_entities"}

// federated are the directives that are there for Apollo Federation only.
var federated = []string{"key", "shareable"}

// Schema returns the part of a schema that is served. It does not change the schema that it is given. It returns an error if there is no
// such audience, or nothing to ask is left.
func Schema(full *ast.Schema, o Options) (*ast.Schema, error) {
	known := Audiences(full)
	for _, audience := range o.Audiences {
		if !slices.Contains(known, audience) {
			return nil, fmt.Errorf("schema.audiences: %q is none of %s", audience, strings.Join(known, ", "))
		}
	}
	p := part{Options: o, full: full, kept: map[string]*ast.Definition{}, reached: map[string]bool{}}
	for name, definition := range full.Types {
		p.kept[name] = p.definition(definition)
	}
	s := &ast.Schema{
		Query: p.root(full.Query), Mutation: p.root(full.Mutation), Subscription: p.root(full.Subscription),
		SchemaDirectives: full.SchemaDirectives, Description: full.Description, Comment: full.Comment,
		Types: map[string]*ast.Definition{}, Directives: maps.Clone(full.Directives),
		PossibleTypes: map[string][]*ast.Definition{}, Implements: map[string][]*ast.Definition{},
	}
	if s.Query == nil {
		return nil, fmt.Errorf("schema.audiences: %s have nothing to query", strings.Join(o.Audiences, ", "))
	}
	delete(s.Directives, "defer") // needs an answer in several parts, which no transport here serves
	if !o.Federation {
		for _, name := range federated {
			delete(s.Directives, name)
		}
	}
	p.reachAll(s)
	for name := range p.reached {
		s.Types[name] = p.kept[name]
		s.PossibleTypes[name] = p.among(full.PossibleTypes[name])
		s.Implements[name] = p.among(full.Implements[name])
	}
	return s, nil
}

// Audiences returns the names of all parts, sorted.
func Audiences(full *ast.Schema) []string {
	names := map[string]bool{}
	for _, definition := range full.Types {
		for _, field := range definition.Fields {
			for _, name := range Tags(field) {
				names[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// Tags returns the audiences of a field. A field without any is for all that have its type.
func Tags(field *ast.FieldDefinition) (names []string) {
	for _, tag := range field.Directives.ForNames("tag") {
		names = append(names, tag.Arguments.ForName("name").Value.Raw)
	}
	return names
}

// part is a part of a schema that is being made.
type part struct {
	Options
	full    *ast.Schema
	kept    map[string]*ast.Definition // all types with those of their fields that are served
	reached map[string]bool            // the names of those that something served refers to
}

// definition returns a type with those of its fields that are served.
func (p part) definition(d *ast.Definition) *ast.Definition {
	copied := *d
	copied.Fields = nil
	for _, field := range d.Fields {
		if p.serves(field) {
			copied.Fields = append(copied.Fields, field)
		}
	}
	if !p.Federation {
		copied.Directives = slices.DeleteFunc(slices.Clone(d.Directives), func(d *ast.Directive) bool { return slices.Contains(federated, d.Name) })
	}
	return &copied
}

func (p part) serves(field *ast.FieldDefinition) bool {
	if slices.Contains(entryPoints, field.Name) {
		return p.Federation
	}
	tags := Tags(field)
	return len(p.Audiences) == 0 || len(tags) == 0 || slices.ContainsFunc(tags, func(tag string) bool { return slices.Contains(p.Audiences, tag) })
}

// root returns a root type, or nil if nothing of it is served.
func (p part) root(d *ast.Definition) *ast.Definition {
	if d == nil || !slices.ContainsFunc(p.kept[d.Name].Fields, func(f *ast.FieldDefinition) bool { return !strings.HasPrefix(f.Name, "_") }) {
		return nil
	}
	return p.kept[d.Name]
}

// reachAll finds the types that are needed: those of introspection, of directives, and what can be reached from a root.
func (p part) reachAll(s *ast.Schema) {
	for name, definition := range p.full.Types {
		if definition.BuiltIn {
			p.reach(name)
		}
	}
	for _, directive := range s.Directives {
		p.reachArguments(directive.Arguments)
	}
	for _, root := range []*ast.Definition{s.Query, s.Mutation, s.Subscription} {
		if root != nil {
			p.reach(root.Name)
		}
	}
}

// reach adds a type and all that it refers to.
func (p part) reach(name string) {
	if p.reached[name] {
		return
	}
	p.reached[name] = true
	definition := p.kept[name]
	for _, field := range definition.Fields {
		p.reach(field.Type.Name())
		p.reachArguments(field.Arguments)
	}
	for _, other := range slices.Concat(definition.Interfaces, definition.Types) {
		p.reach(other)
	}
	if definition.Kind == ast.Interface {
		for _, possible := range p.full.PossibleTypes[name] {
			p.reach(possible.Name)
		}
	}
}

func (p part) reachArguments(arguments ast.ArgumentDefinitionList) {
	for _, argument := range arguments {
		p.reach(argument.Type.Name())
	}
}

// among returns those of a list of types that are served.
func (p part) among(list []*ast.Definition) (kept []*ast.Definition) {
	for _, definition := range list {
		if p.reached[definition.Name] {
			kept = append(kept, p.kept[definition.Name])
		}
	}
	return kept
}
