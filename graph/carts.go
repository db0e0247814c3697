package graph

import (
	"context"

	"holdfast/commerce"
	"holdfast/graph/model"
)

// toCart maps nil to nil.
func (r *Resolver) toCart(c *commerce.Cart) *model.Cart {
	if c == nil {
		return nil
	}
	shop := r.services.Shop()
	out := &model.Cart{
		ID: c.ID, Lines: []*model.CartLine{}, TotalQuantity: c.TotalQuantity, Subtotal: money(c.SubtotalMinor, shop.Currency),
		CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt, Of: c,
	}
	for _, l := range atMost(shop.MaxLines, c.Lines) {
		out.Lines = append(out.Lines, &model.CartLine{
			Product: toProduct(l.Variant.Edges.Product), Variant: toVariant(l.Variant), Quantity: l.Quantity,
			UnitPrice: money(l.Variant.PriceMinor, l.Variant.Currency),
			Total:     money(commerce.LineTotal(l.Variant.PriceMinor, l.Quantity), l.Variant.Currency),
		})
	}
	return out
}

// cartPayload answers a mutation of a cart.
func (r *Resolver) cartPayload(ctx context.Context, c *commerce.Cart, err error) (*model.CartPayload, error) {
	userErrors, err := r.userErrors(ctx, err)
	if err != nil {
		return nil, err
	}
	return &model.CartPayload{Cart: r.toCart(c), UserErrors: userErrors}, nil
}
