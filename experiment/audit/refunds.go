package audit

import (
	"context"

	"holdfast/ent"
	"holdfast/ent/order"
	"holdfast/ent/payment"
	"holdfast/ent/refund"
	"holdfast/ent/refundline"
	"holdfast/lockprovider"
)

// refunds checks that what is given back of each payment is what its refunds say: what was captured and not refunded is then what is paid and not
// refunded. An order that was cancelled gives all of it back, and has no refunds.
func (a *Auditor) refunds(ctx context.Context) error {
	rows, err := a.DB.Payment.Query().
		Where(payment.Or(payment.RefundedMinorGT(0), payment.RefundingMinorGT(0), payment.StatusEQ(payment.StatusREFUNDED),
			payment.HasOrderWith(order.RefundCountGT(0)))).
		WithOrder(func(q *ent.OrderQuery) { q.WithRefunds() }).All(ctx)
	if err != nil {
		return err
	}
	for _, p := range rows {
		var refunded, refunding int64
		for _, f := range p.Edges.Order.Edges.Refunds {
			switch f.Status {
			case refund.StatusREFUNDED:
				refunded += f.AmountMinor
			case refund.StatusREFUNDING, refund.StatusUNKNOWN:
				refunding += f.AmountMinor
			}
		}
		if p.Status == payment.StatusREFUNDED && p.Edges.Order.Status != order.StatusPAID {
			refunded += p.AmountMinor
		}
		if off := p.RefundedMinor - refunded; off != 0 || p.RefundingMinor != refunding {
			a.result.LostMoney += max(off, -off)
			a.find(LostMoney, p.OrderID, max(off, -off), "%d of its payment is refunded and %d about to be, and by its refunds %d and %d",
				p.RefundedMinor, p.RefundingMinor, refunded, refunding)
		}
	}
	return nil
}

// restocked returns how many units of which stock of each order were put back into stock.
func (a *Auditor) restocked(ctx context.Context) (map[string]map[string]int64, error) {
	lines, err := a.DB.RefundLine.Query().Where(refundline.HasRefundWith(refund.RestockedAtNotNil())).WithRefund().All(ctx)
	if err != nil {
		return nil, err
	}
	byOrder := map[string]map[string]int64{}
	for _, l := range lines {
		id := l.Edges.Refund.OrderID
		if byOrder[id] == nil {
			byOrder[id] = map[string]int64{}
		}
		byOrder[id][lockprovider.StockKey(l.VariantID)] += l.Quantity
	}
	return byOrder, nil
}
