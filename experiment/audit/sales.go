package audit

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"holdfast/ent"
	"holdfast/ent/changelog"
	"holdfast/ent/order"
	"holdfast/ent/orderline"
	"holdfast/ent/salesstatistic"
	"holdfast/lockprovider/lock"
)

// CompareSales waits until every change is published, and then compares what the events have told of sales with the paid orders: each sale is
// counted once, by an event that was handled once. The servers must still run, and no client may send them requests. What still differs after 30
// seconds in which nothing has become less is a finding, not an error.
func CompareSales(ctx context.Context, db *ent.Client) ([]Finding, error) {
	for least, since := int64(math.MaxInt64), time.Now(); ; {
		findings, off, err := compareSales(ctx, db)
		if err != nil {
			return nil, fmt.Errorf("compare the sales: %w", err)
		}
		if off < least {
			least, since = off, time.Now()
		}
		if off == 0 || time.Since(since) >= settleTimeout {
			return findings, nil
		}
		if err := lock.Pause(ctx, salesPoll); err != nil {
			return nil, fmt.Errorf("compare the sales: %w", err)
		}
	}
}

// compareSales returns how much is off: changes that are not published, and units by which the sums differ.
func compareSales(ctx context.Context, db *ent.Client) (findings []Finding, off int64, err error) {
	waiting, err := db.ChangeLog.Query().Where(changelog.PublishedAtIsNil()).Count(ctx)
	if err != nil {
		return nil, 0, err
	}
	if waiting > 0 {
		findings = append(findings, Finding{Kind: Untold, Subject: "change log", Text: fmt.Sprintf("%d changes are in the database, and no event tells of them", waiting)})
	}
	sold, err := unitsByProduct(ctx, db.OrderLine.Query().Where(orderline.HasOrderWith(order.StatusEQ(order.StatusPAID))).
		GroupBy(orderline.FieldProductID).Aggregate(ent.As(ent.Sum(orderline.FieldQuantity), "units")))
	if err != nil {
		return nil, 0, err
	}
	told, err := unitsByProduct(ctx, db.SalesStatistic.Query().
		GroupBy(salesstatistic.FieldProductID).Aggregate(ent.As(ent.Sum(salesstatistic.FieldUnits), "units")))
	if err != nil {
		return nil, 0, err
	}
	off = int64(waiting)
	products := maps.Clone(sold)
	maps.Copy(products, told)
	for _, id := range slices.Sorted(maps.Keys(products)) {
		if d := sold[id] - told[id]; d != 0 {
			off += max(d, -d)
			findings = append(findings, Finding{
				Kind: Untold, Subject: id, Units: max(d, -d),
				Text: fmt.Sprintf("%d units are in paid orders, and the events have told of %d", sold[id], told[id]),
			})
		}
	}
	return findings, off, nil
}

// unitsByProduct reads what a query that is grouped by products has added up.
func unitsByProduct(ctx context.Context, query interface {
	Scan(ctx context.Context, v any) error
},
) (map[string]int64, error) {
	var rows []struct {
		ProductID string `json:"product_id"`
		Units     int64  `json:"units"`
	}
	if err := query.Scan(ctx, &rows); err != nil {
		return nil, err
	}
	units := make(map[string]int64, len(rows))
	for _, row := range rows {
		if row.Units != 0 { // all of it was refunded
			units[row.ProductID] = row.Units
		}
	}
	return units, nil
}
