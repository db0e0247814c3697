package graph

import (
	"context"

	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/graph/model"
)

// toHold maps nil to nil.
func (r *Resolver) toHold(h *ent.Hold) *model.Hold {
	if h == nil {
		return nil
	}
	return &model.Hold{
		ID: h.ID, Status: model.HoldStatus(h.Status), ExpiresAt: h.ExpiresAt, ExtendableUntil: h.CreatedAt.Add(r.services.Shop().MaxHold),
		CreatedAt: h.CreatedAt, UpdatedAt: h.UpdatedAt, Of: h,
	}
}

// holdLines returns the lines of a hold with their products.
func (r *Resolver) holdLines(ctx context.Context, h *ent.Hold) ([]*model.HoldLine, error) {
	rows := atMost(r.services.Shop().MaxLines, h.Edges.Lines)
	products, err := loadersOf(ctx).products.LoadAll(ctx, each(rows, func(l *ent.HoldLine) string { return l.ProductID }))
	if err != nil {
		return nil, err
	}
	lines := make([]*model.HoldLine, 0, len(rows))
	for i, l := range rows {
		if products[i] != nil { // products are not deleted
			lines = append(lines, &model.HoldLine{Product: toProduct(products[i]), VariantID: l.VariantID, Quantity: l.Quantity})
		}
	}
	return lines, nil
}

func (r *Resolver) holdConnection(page commerce.PageOf[*ent.Hold]) *model.HoldConnection {
	edges, nodes, info := connect(page, r.toHold, func(cursor string, node *model.Hold) *model.HoldEdge {
		return &model.HoldEdge{Cursor: cursor, Node: node}
	})
	return &model.HoldConnection{Edges: edges, Nodes: nodes, PageInfo: info, Count: page.Count}
}
