package graph

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/99designs/gqlgen/graphql"

	"holdfast/auth"
	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/graph/model"
)

// lookupOf is what a finder goes by.
type lookupOf struct {
	services *commerce.Services
	holds    func(*ent.Hold) *model.Hold
	viewer   commerce.Viewer
	lines    bool // whether the lines of orders are asked for
}

// finder looks up objects of one type with a few queries for all of them. It leaves out those that do not exist or belong to another
// user. If some could not be read, the error is [commerce.ErrorsByID].
type finder func(ctx context.Context, l lookupOf, ids []string) (map[string]model.Node, error)

// finders has a finder for each prefix of identifiers.
var finders = map[string]finder{
	"prod_": func(ctx context.Context, l lookupOf, ids []string) (map[string]model.Node, error) {
		return nodesOf(toProduct)(l.services.Catalog.ShowAll(ctx, l.viewer, ids))
	},
	"var_": func(ctx context.Context, l lookupOf, ids []string) (map[string]model.Node, error) {
		return nodesOf(toVariant)(l.services.Catalog.ShowVariants(ctx, l.viewer, ids))
	},
	"coup_": func(ctx context.Context, l lookupOf, ids []string) (map[string]model.Node, error) {
		return nodesOf(toCoupon)(l.services.Coupons.ShowAll(ctx, l.viewer, ids))
	},
	"cpi_": func(ctx context.Context, l lookupOf, ids []string) (map[string]model.Node, error) {
		return nodesOf(toCouponIssue)(l.services.Coupons.Issues(ctx, l.viewer, ids))
	},
	prefixOrder: func(ctx context.Context, l lookupOf, ids []string) (map[string]model.Node, error) {
		return nodesOf(func(f commerce.FoundOrder) *model.Order { return toOrderAs(f.Order, f.Persistence) })(
			l.services.Orders.FindAll(ctx, l.viewer, ids, l.lines))
	},
	prefixPayment: findPayments,
	"qt_":         findTickets,
	"acct_": func(ctx context.Context, l lookupOf, ids []string) (map[string]model.Node, error) {
		return nodesOf(toAccount)(l.services.Accounts.GetAll(ctx, l.viewer, ids))
	},
	"tr_": func(ctx context.Context, l lookupOf, ids []string) (map[string]model.Node, error) {
		return nodesOf(toTransfer)(l.services.Accounts.GetTransfers(ctx, l.viewer, ids))
	},
	"cat_": func(ctx context.Context, l lookupOf, ids []string) (map[string]model.Node, error) {
		return nodesOf(toCategory)(l.services.Catalog.CategoriesByID(ctx, l.viewer, ids))
	},
	"hold_": func(ctx context.Context, l lookupOf, ids []string) (map[string]model.Node, error) {
		return nodesOf(l.holds)(l.services.Holds.GetAll(ctx, l.viewer, ids))
	},
	prefixEntry: findEntries,
	prefixCustomer: func(ctx context.Context, l lookupOf, ids []string) (map[string]model.Node, error) {
		rows, err := l.services.Customers.GetAll(ctx, l.viewer, each(ids, customerID))
		found := make(map[string]model.Node, len(rows))
		for id, row := range rows {
			found[prefixCustomer+id] = toCustomer(row)
		}
		return found, err
	},
	prefixWallet: func(ctx context.Context, l lookupOf, ids []string) (map[string]model.Node, error) {
		owners := each(ids, func(id string) string { return strings.TrimPrefix(id, prefixWallet) })
		rows, err := l.services.Customers.GetAll(ctx, l.viewer, owners)
		found := make(map[string]model.Node, len(rows))
		for owner := range rows {
			found[prefixWallet+owner] = toWallet(owner)
		}
		return found, err
	},
}

const (
	prefixOrder   = "ord_"
	prefixPayment = "pay_"
)

// nodesOf maps rows by their IDs to objects.
func nodesOf[Row any, T any, P interface {
	*T
	model.Node
}](object func(Row) P) func(rows map[string]Row, err error) (map[string]model.Node, error) {
	return func(rows map[string]Row, err error) (map[string]model.Node, error) {
		nodes := make(map[string]model.Node, len(rows))
		for id, row := range rows {
			nodes[id] = object(row)
		}
		return nodes, err
	}
}

// findPayments looks up the payments' orders, which have their owners. Their identifiers differ in the prefix only.
func findPayments(ctx context.Context, l lookupOf, ids []string) (map[string]model.Node, error) {
	orders := each(ids, func(id string) string { return prefixOrder + strings.TrimPrefix(id, prefixPayment) })
	found, err := l.services.Orders.FindAll(ctx, l.viewer, orders, false)
	nodes := make(map[string]model.Node, len(found))
	for _, f := range found {
		if paid := f.Order.Edges.Payment; paid != nil {
			nodes[paid.ID] = toPayment(paid, f.Order)
		}
	}
	var failed commerce.ErrorsByID
	if !errors.As(err, &failed) {
		return nodes, err
	}
	ofPayments := commerce.ErrorsByID{}
	for id, err := range failed {
		ofPayments[prefixPayment+strings.TrimPrefix(id, prefixOrder)] = err
	}
	return nodes, ofPayments
}

// findEntries looks up lines of journals. "entry_007" is another spelling of an identifier, and names nothing: an object has one.
func findEntries(ctx context.Context, l lookupOf, ids []string) (map[string]model.Node, error) {
	var numbers []int64
	for _, id := range ids {
		if number, err := strconv.ParseInt(strings.TrimPrefix(id, prefixEntry), 10, 64); err == nil {
			numbers = append(numbers, number)
		}
	}
	rows, err := l.services.Accounts.EntriesByID(ctx, l.viewer, numbers)
	nodes := make(map[string]model.Node, len(rows))
	for _, row := range rows {
		entry := toEntry(row)
		nodes[entry.ID] = entry
	}
	return nodes, err
}

// findTickets looks up tickets one by one: each is read from Redis, and looking at it keeps its place.
func findTickets(ctx context.Context, l lookupOf, ids []string) (map[string]model.Node, error) {
	tickets, err := commerce.Each(ticketsAtOnce, ids, func(id string) (*model.QueueTicket, error) {
		return findTicket(ctx, l.services, l.viewer, id)
	})
	nodes := map[string]model.Node{}
	for id, ticket := range tickets {
		if ticket != nil {
			nodes[id] = ticket
		}
	}
	return nodes, err
}

// ticketsAtOnce bounds the tickets that are looked at at the same time. Those whose order was placed need the database.
const ticketsAtOnce = 4

// findTicket returns a ticket, with the business failures of its order as data. It returns nil if
// the ticket is not the viewer's.
func findTicket(ctx context.Context, s *commerce.Services, v commerce.Viewer, id string) (*model.QueueTicket, error) {
	result, err := s.Orders.Ticket(ctx, v, id)
	refused, isRefused := commerce.UserErrors(err)
	if err != nil && (!isRefused || refused[0].RetryAfter > 0) {
		return nil, err
	}
	return toTicket(result, each(refused, toUserError)), nil
}

// findNodes looks up objects by their identifiers, those of one type together. At the place of an identifier is its object, nil if there
// is none that the viewer may see, or its error.
func (r *Resolver) findNodes(ctx context.Context, ids []string) ([]model.Node, []error) {
	found, errs := make([]model.Node, len(ids)), make([]error, len(ids))
	places := map[string][]int{} // by prefix
	for i, id := range ids {
		prefix, _, _ := strings.Cut(id, "_")
		places[prefix+"_"] = append(places[prefix+"_"], i)
	}
	l := lookupOf{
		services: r.services, holds: r.toHold, viewer: auth.Viewer(ctx), lines: selects(graphql.GetFieldContext(ctx).Field.Selections, "lines"),
	}
	for prefix, at := range places {
		find := finders[prefix]
		if find == nil {
			continue
		}
		nodes, err := find(ctx, l, slices.Compact(slices.Sorted(slices.Values(each(at, func(i int) string { return ids[i] })))))
		if errors.Is(err, commerce.ErrUnauthenticated) { // to an anonymous caller every object belongs to another user
			continue
		}
		for _, i := range at {
			if errs[i] = commerce.ErrorOf(err, ids[i]); errs[i] == nil {
				found[i] = nodes[ids[i]]
			}
		}
	}
	return found, errs
}

// nodes is findNodes for a list: an error is told at its place, and leaves the others.
func (r *Resolver) nodes(ctx context.Context, ids []string) ([]model.Node, error) {
	if len(ids) > commerce.MaxPage {
		return nil, &commerce.Error{
			Code: commerce.InvalidInput, Field: []string{"ids"},
			Message: fmt.Sprintf("ids must have at most %d identifiers, not %d", commerce.MaxPage, len(ids)),
		}
	}
	found, errs := r.findNodes(ctx, ids)
	for i, err := range errs {
		if err != nil {
			graphql.AddError(graphql.WithPathContext(ctx, graphql.NewPathWithIndex(i)), err)
		}
	}
	return found, nil
}
