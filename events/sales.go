package events

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	entsql "entgo.io/ent/dialect/sql"

	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/ent/order"
	"holdfast/ent/salesstatistic"
)

// sales keeps SalesStatistic from the topic of orders. An order counts when it is paid, and does not count any more when it is
// refunded, which happens to paid orders only, once. Both are added to the day on which the order was placed. So the sums are
// the same in whatever order the events arrive.
type sales struct {
	client *ent.Client
	now    func() time.Time
}

func (s sales) handle(ctx context.Context, e Event) error {
	var orderID string
	sign := int64(1)
	switch e.Kind {
	case commerce.KindOrderPaid:
		p, err := payloadOf[OrderPaid](e)
		if err != nil {
			return err
		}
		orderID = p.OrderID
	case commerce.KindOrderRefunded:
		p, err := payloadOf[OrderRefunded](e)
		if err != nil {
			return err
		}
		orderID, sign = p.OrderID, -1
	default:
		return nil // nothing sold, nothing given back
	}
	if orderID == "" {
		return fmt.Errorf("%w: %s without orderId", errPermanent, e.Kind)
	}
	// The order and its lines were committed before or with the change that the event tells of, and never change.
	row, err := s.client.Order.Query().Where(order.ID(orderID)).WithLines().Only(ctx)
	if err != nil {
		return fmt.Errorf("order %s: %w", orderID, err)
	}
	lines := soldOf(row)
	return once(ctx, s.client, s.now(), "sales", e, func(tx *ent.Tx) error {
		for _, l := range lines {
			err := tx.SalesStatistic.Create().SetProductID(l.ProductID).SetDay(day(row.CreatedAt)).
				SetOrders(sign).SetUnits(sign*l.Units).SetRevenueMinor(sign*l.RevenueMinor).
				OnConflictColumns(salesstatistic.FieldProductID, salesstatistic.FieldDay).
				Update(func(u *ent.SalesStatisticUpsert) {
					u.AddOrders(sign).AddUnits(sign * l.Units).AddRevenueMinor(sign * l.RevenueMinor)
				}).Exec(ctx)
			if err != nil {
				return fmt.Errorf("sales of %s: %w", l.ProductID, err)
			}
		}
		return nil
	})
}

// soldOf returns what an order has sold of each product, in the order of their IDs, so that there are no deadlocks. An order may have
// several variants of a product.
func soldOf(row *ent.Order) (sold []Sales) {
	lines := row.Edges.Lines
	slices.SortFunc(lines, func(a, b *ent.OrderLine) int { return cmp.Compare(a.ProductID, b.ProductID) })
	for _, l := range lines {
		if n := len(sold); n == 0 || sold[n-1].ProductID != l.ProductID {
			sold = append(sold, Sales{ProductID: l.ProductID})
		}
		last := &sold[len(sold)-1]
		last.Units, last.RevenueMinor = last.Units+l.Quantity, last.RevenueMinor+l.Quantity*l.UnitPriceMinor
	}
	return sold
}

// day is the UTC day of a time. As text it compares and groups alike in all databases.
func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// Sales is what one product sold.
type Sales struct {
	ProductID    string `json:"product_id"`
	Orders       int64  `json:"orders"` // that contain it
	Units        int64  `json:"units"`
	RevenueMinor int64  `json:"revenue_minor"` // before discounts
}

// MaxPopular bounds the list of popular products.
const MaxPopular = 100

// PopularProducts lists the products that sold most units in orders placed since the beginning of a day in UTC, the
// best-selling first, at most limit of them and MaxPopular. Products whose sales were all refunded are not in it.
func PopularProducts(ctx context.Context, client *ent.Client, since time.Time, limit int) ([]Sales, error) {
	var popular []Sales
	err := client.SalesStatistic.Query().Where(salesstatistic.DayGTE(day(since))).
		Modify(func(s *entsql.Selector) {
			units := entsql.Sum(s.C(salesstatistic.FieldUnits))
			s.Select(
				s.C(salesstatistic.FieldProductID),
				entsql.As(entsql.Sum(s.C(salesstatistic.FieldOrders)), "orders"),
				entsql.As(units, "units"),
				entsql.As(entsql.Sum(s.C(salesstatistic.FieldRevenueMinor)), "revenue_minor"),
			).
				GroupBy(s.C(salesstatistic.FieldProductID)).
				Having(entsql.ExprP(units+" > 0")).
				OrderExpr(entsql.Expr(units+" DESC"), entsql.Expr(s.C(salesstatistic.FieldProductID))).
				Limit(min(max(limit, 0), MaxPopular))
		}).Scan(ctx, &popular)
	if err != nil {
		return nil, fmt.Errorf("popular products: %w", err)
	}
	return popular, nil
}
