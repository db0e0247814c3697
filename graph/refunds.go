package graph

import (
	"holdfast/ent"
	"holdfast/graph/model"
	"holdfast/lockprovider"
)

func toRefund(f *ent.Refund) *model.Refund {
	if f == nil {
		return nil
	}
	refund := &model.Refund{
		ID: f.ID, Status: model.RefundStatus(f.Status), Amount: money(f.AmountMinor, f.Currency), Restock: f.Restock,
		RestockedAt: f.RestockedAt, Reason: f.Reason, FailureReason: orNull(f.FailureReason), CreatedAt: f.CreatedAt, UpdatedAt: f.UpdatedAt,
		Lines: make([]*model.RefundLine, len(f.Edges.Lines)),
	}
	if f.Administrator != "" {
		id := prefixCustomer + f.Administrator
		refund.AdministratorID = &id
	}
	for i, l := range f.Edges.Lines {
		refund.Lines[i] = &model.RefundLine{
			Product: toProduct(l.Edges.Product), VariantID: l.VariantID, Quantity: l.Quantity, Amount: money(l.AmountMinor, f.Currency),
		}
	}
	return refund
}

// refundFamily is the family whose strategy gives the money of a refund back.
func refundFamily(f *ent.Refund) lockprovider.Family {
	if f == nil {
		return lockprovider.Stock
	}
	return paymentFamily(model.PaymentMethod(f.Method))
}
