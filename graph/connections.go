package graph

import (
	"context"
	"slices"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/ent/order"
	"holdfast/graph/model"
)

// defaultPage is the number of items if a client gives neither first nor last.
const defaultPage = 20

// pageOf maps the arguments of a connection. That both first and last are given is refused by commerce, whatever their numbers are.
func pageOf(first *int, after *string, last *int, before *string) commerce.Page {
	page := commerce.Page{After: orZero(after), Backward: last != nil, Last: orZero(last), Before: orZero(before)}
	switch {
	case first != nil && last != nil:
		page.First = max(*first, 1) // 0 would say that first is not given
	case last == nil:
		page.First = orDefault(first, defaultPage)
	}
	return page
}

// selects reports whether a selection, or anything within it, has a field of this name. What is not selected need not be read.
func selects(set ast.SelectionSet, name string) bool {
	return slices.ContainsFunc(set, func(selection ast.Selection) bool {
		switch s := selection.(type) {
		case *ast.Field:
			return s.Name == name || selects(s.SelectionSet, name)
		case *ast.InlineFragment:
			return selects(s.SelectionSet, name)
		case *ast.FragmentSpread: // validated: it exists and does not contain itself
			return selects(s.Definition.SelectionSet, name)
		}
		return false
	})
}

// connect maps a page to the edges, nodes and page info of a connection.
func connect[Row, Node, Edge any](
	page commerce.PageOf[Row], node func(Row) Node, edge func(cursor string, node Node) Edge,
) (edges []Edge, nodes []Node, info *model.PageInfo) {
	edges, nodes = make([]Edge, len(page.Items)), make([]Node, len(page.Items))
	for i, row := range page.Items {
		nodes[i] = node(row)
		edges[i] = edge(page.Cursors[i], nodes[i])
	}
	info = &model.PageInfo{HasNextPage: page.HasNext, HasPreviousPage: page.HasPrevious}
	if n := len(page.Cursors); n > 0 {
		info.StartCursor, info.EndCursor = &page.Cursors[0], &page.Cursors[n-1]
	}
	return edges, nodes, info
}

// totalCount counts a list.
func totalCount(ctx context.Context, count commerce.Counter) (*model.TotalCount, error) {
	n, err := count(ctx)
	if err != nil {
		return nil, err
	}
	total := &model.TotalCount{Count: n.Items, Precision: model.CountPrecisionExact}
	if !n.IsExact {
		total.Precision = model.CountPrecisionAtLeast
	}
	return total, nil
}

// fromRange maps an optional range of time.
func fromRange(in *model.DateTimeRangeFilter) commerce.Range {
	if in == nil {
		return commerce.Range{}
	}
	return commerce.Range{From: commerce.BoundAt(in.From), Until: commerce.BoundAt(in.Until)}
}

// fromEntryFilter maps an optional filter.
func fromEntryFilter(in *model.EntryFilter) commerce.EntryFilter {
	if in == nil {
		return commerce.EntryFilter{}
	}
	return commerce.EntryFilter{Kinds: commerce.KindsOf(each(in.Kind, fromEntryKind)...), CreatedAt: fromRange(in.CreatedAt)}
}

// orderQuery maps the arguments of a list of orders. Lines that are not selected are not read.
func orderQuery(ctx context.Context, page commerce.Page, filter *model.OrderFilter, orderBy *model.OrderSort) commerce.OrderQuery {
	query := commerce.OrderQuery{
		Page: page, OldestFirst: orZero(orderBy) == model.OrderSortOldest,
		Lines: selects(graphql.GetFieldContext(ctx).Field.Selections, "lines"),
	}
	if filter != nil {
		query.CreatedAt, query.Fulfilment = fromRange(filter.CreatedAt), order.Fulfilment(orZero(filter.Fulfilment))
		query.Statuses = each(filter.Status, func(s model.OrderStatus) order.Status { return order.Status(s) })
	}
	return query
}

func productConnection(page commerce.PageOf[*ent.Product]) *model.ProductConnection {
	edges, nodes, info := connect(page, toProduct, func(cursor string, node *model.Product) *model.ProductEdge {
		return &model.ProductEdge{Cursor: cursor, Node: node}
	})
	return &model.ProductConnection{Edges: edges, Nodes: nodes, PageInfo: info, Count: page.Count}
}

func orderConnection(page commerce.PageOf[*ent.Order]) *model.OrderConnection {
	edges, nodes, info := connect(page, toOrder, func(cursor string, node *model.Order) *model.OrderEdge {
		return &model.OrderEdge{Cursor: cursor, Node: node}
	})
	return &model.OrderConnection{Edges: edges, Nodes: nodes, PageInfo: info, Count: page.Count}
}

func customerConnection(page commerce.PageOf[*ent.User]) *model.CustomerConnection {
	edges, nodes, info := connect(page, toCustomer, func(cursor string, node *model.Customer) *model.CustomerEdge {
		return &model.CustomerEdge{Cursor: cursor, Node: node}
	})
	return &model.CustomerConnection{Edges: edges, Nodes: nodes, PageInfo: info, Count: page.Count}
}

func accountConnection(page commerce.PageOf[*ent.Account]) *model.AccountConnection {
	edges, nodes, info := connect(page, toAccount, func(cursor string, node *model.Account) *model.AccountEdge {
		return &model.AccountEdge{Cursor: cursor, Node: node}
	})
	return &model.AccountConnection{Edges: edges, Nodes: nodes, PageInfo: info, Count: page.Count}
}

func couponIssueConnection(page commerce.PageOf[*ent.CouponIssue]) *model.CouponIssueConnection {
	edges, nodes, info := connect(page, toCouponIssue, func(cursor string, node *model.CouponIssue) *model.CouponIssueEdge {
		return &model.CouponIssueEdge{Cursor: cursor, Node: node}
	})
	return &model.CouponIssueConnection{Edges: edges, Nodes: nodes, PageInfo: info, Count: page.Count}
}

func couponConnection(page commerce.PageOf[*ent.Coupon]) *model.CouponConnection {
	edges, nodes, info := connect(page, toCoupon, func(cursor string, node *model.Coupon) *model.CouponEdge {
		return &model.CouponEdge{Cursor: cursor, Node: node}
	})
	return &model.CouponConnection{Edges: edges, Nodes: nodes, PageInfo: info, Count: page.Count}
}

func entryConnection(page commerce.PageOf[*ent.Entry]) *model.EntryConnection {
	edges, nodes, info := connect(page, toEntry, func(cursor string, node *model.Entry) *model.EntryEdge {
		return &model.EntryEdge{Cursor: cursor, Node: node}
	})
	return &model.EntryConnection{Edges: edges, Nodes: nodes, PageInfo: info}
}

func adjustmentConnection(page commerce.PageOf[*ent.Adjustment]) *model.AdjustmentConnection {
	edges, nodes, info := connect(page, toAdjustment, func(cursor string, node *model.Adjustment) *model.AdjustmentEdge {
		return &model.AdjustmentEdge{Cursor: cursor, Node: node}
	})
	return &model.AdjustmentConnection{Edges: edges, Nodes: nodes, PageInfo: info, Count: page.Count}
}
