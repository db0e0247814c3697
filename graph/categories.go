package graph

import (
	"context"

	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/graph/model"
)

func toCategory(c *ent.Category) *model.Category {
	if c == nil {
		return nil
	}
	return &model.Category{
		ID: c.ID, Name: c.Name, Handle: c.Handle, Position: c.Position, Version: c.Version, CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt,
	}
}

func toImage(i *ent.ProductImage) *model.Image {
	if i == nil {
		return nil
	}
	return &model.Image{URL: i.URL, AltText: orNull(i.AltText), Width: i.Width, Height: i.Height}
}

func fromImages(in []*model.ImageInput) []commerce.Image {
	if in == nil {
		return nil
	}
	return each(in, func(i *model.ImageInput) commerce.Image {
		return commerce.Image{URL: i.URL, AltText: orZero(i.AltText), Width: i.Width, Height: i.Height}
	})
}

func categoryConnection(page commerce.PageOf[*ent.Category]) *model.CategoryConnection {
	edges, nodes, info := connect(page, toCategory, func(cursor string, node *model.Category) *model.CategoryEdge {
		return &model.CategoryEdge{Cursor: cursor, Node: node}
	})
	return &model.CategoryConnection{Edges: edges, Nodes: nodes, PageInfo: info, Count: page.Count}
}

// categoryPayload answers a mutation of a category.
func (r *Resolver) categoryPayload(ctx context.Context, row *ent.Category, err error) (*model.CategoryPayload, error) {
	userErrors, err := r.userErrors(ctx, err)
	if err != nil {
		return nil, err
	}
	return &model.CategoryPayload{Category: toCategory(row), UserErrors: userErrors}, nil
}

// oneOf refuses a lookup that names nothing, or two things.
func oneOf(id, handle *string) error {
	if (id == nil) == (handle == nil) {
		return &commerce.Error{Code: commerce.InvalidInput, Field: []string{"id"}, Message: "give either id or handle"}
	}
	return nil
}
