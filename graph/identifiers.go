package graph

import (
	"context"
	"fmt"
	"regexp"
	"strconv"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"holdfast/commerce"
)

// identifiers are what follows the prefix of an identifier, by the prefix. That of a customer is the subject of an access token. No
// other identifier has characters that mean something in a key that is made of identifiers.
var identifiers = map[string]*regexp.Regexp{
	"prod_": identifier, "var_": identifier, "coup_": identifier, "cpi_": identifier, prefixOrder: identifier, prefixPayment: identifier, "acct_": identifier,
	"tr_": identifier, "qt_": identifier, "exp_": identifier, prefixEntry: regexp.MustCompile(`^[1-9]\d{0,18}$`),
	"pat_": identifier, "addr_": identifier, "cart_": identifier, "hold_": identifier, "cat_": identifier, prefixCustomer: subject, prefixWallet: subject,
}

var (
	identifier = regexp.MustCompile(`^[a-z0-9_]{1,40}$`)
	subject    = regexp.MustCompile(`^[A-Za-z0-9_.@|+-]{1,56}$`)
)

// idDirective implements @id. It refuses what cannot be an identifier of such an object, before anybody looks for it.
func idDirective(ctx context.Context, _ any, next graphql.Resolver, prefix string) (any, error) {
	value, err := next(ctx)
	if err != nil {
		return nil, err
	}
	var ids []string
	switch v := value.(type) {
	case string:
		ids = []string{v}
	case *string:
		if v != nil {
			ids = []string{*v}
		}
	case []string:
		ids = v
	case nil:
	default:
		return nil, fmt.Errorf("@id stands at a %T", value)
	}
	for i, id := range ids {
		if rest, ok := identifiers[prefix]; !ok || len(id) <= len(prefix) || id[:len(prefix)] != prefix || !rest.MatchString(id[len(prefix):]) {
			path := argumentPath(ctx, graphql.GetPath(ctx))
			if _, isList := value.([]string); isList {
				path = append(path, strconv.Itoa(i))
			}
			return nil, &commerce.Error{
				Code: commerce.InvalidInput, Field: path,
				Message: fmt.Sprintf("%s must be an identifier that begins with %q and goes on in letters and digits, not %.80q",
					pathText(path), prefix, id),
			}
		}
	}
	return value, nil
}

// argumentPath returns what follows the field in a path, which is the path of the argument at fault, as UserError.field has it.
func argumentPath(ctx context.Context, path ast.Path) []string {
	field := graphql.GetFieldContext(ctx)
	if field == nil {
		return nil
	}
	var steps []string
	for _, step := range path[min(len(field.Path()), len(path)):] {
		steps = append(steps, fmt.Sprint(step))
	}
	return steps
}

func pathText(path []string) string {
	if len(path) == 0 {
		return "the identifier"
	}
	return path[len(path)-1]
}
