package graph

import (
	"context"

	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/graph/model"
)

// toVariant maps nil to nil. It needs a row whose product is loaded.
func toVariant(v *ent.ProductVariant) *model.ProductVariant {
	if v == nil {
		return nil
	}
	of := v.Edges.Product
	out := &model.ProductVariant{
		ID: v.ID, Product: toProduct(of), Sku: v.Sku, Title: commerce.TitleOf(v), SelectedOptions: []*model.SelectedOption{},
		Price: money(v.PriceMinor, v.Currency), LimitPerCustomer: toLimit(v.LimitQuantity, v.LimitHours), Position: v.Position,
		Version: v.Version, ArchivedAt: v.ArchivedAt, CreatedAt: v.CreatedAt, UpdatedAt: v.UpdatedAt,
	}
	for i := range min(len(of.Options), len(v.OptionValues)) {
		out.SelectedOptions = append(out.SelectedOptions, &model.SelectedOption{Name: of.Options[i], Value: v.OptionValues[i]})
	}
	return out
}

// variantOf loads the variant of a line, off sale or not.
func variantOf(ctx context.Context, id string) (*model.ProductVariant, error) {
	row, err := loadersOf(ctx).variants.Load(ctx, id)
	return toVariant(row), err
}

func variantConnection(page commerce.PageOf[*ent.ProductVariant]) *model.ProductVariantConnection {
	edges, nodes, info := connect(page, toVariant, func(cursor string, node *model.ProductVariant) *model.ProductVariantEdge {
		return &model.ProductVariantEdge{Cursor: cursor, Node: node}
	})
	return &model.ProductVariantConnection{Edges: edges, Nodes: nodes, PageInfo: info, Count: page.Count}
}

// variantPayload answers a mutation of a variant.
func (r *Resolver) variantPayload(ctx context.Context, row *ent.ProductVariant, err error) (*model.ProductVariantPayload, error) {
	userErrors, err := r.userErrors(ctx, err)
	if err != nil {
		return nil, err
	}
	return &model.ProductVariantPayload{Variant: toVariant(row), UserErrors: userErrors}, nil
}

func fromVariants(in []*model.ProductVariantInput) []commerce.CreateVariant {
	return each(in, func(v *model.ProductVariantInput) commerce.CreateVariant {
		return commerce.CreateVariant{
			SKU: v.Sku, Options: v.Options, Price: fromMoney(v.Price), Stock: orZero(v.Stock), Limit: fromLimit(v.LimitPerCustomer),
		}
	})
}

// fromOptions maps nil to nil.
func fromOptions(in []*model.ProductOptionInput) []commerce.UpdateOption {
	if in == nil {
		return nil
	}
	return each(in, func(o *model.ProductOptionInput) commerce.UpdateOption {
		return commerce.UpdateOption{Name: o.Name, Value: o.Value}
	})
}
