package graph

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"holdfast/auth"
	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/events"
	"holdfast/experiment"
	"holdfast/graph/model"
	"holdfast/lockprovider"
)

// Operations tell how the shop is run: its jobs, locks and experiments. Jobs stand beside this
// package, not below it, so it is given functions. The answer of a nil function is empty.
type Operations struct {
	// Runs returns the last run of each job.
	Runs func(ctx context.Context) ([]*ent.SchedulerRun, error)
	// Drifts returns differences between Redis and the database. If onlyMismatched is true, it
	// leaves out repaired ones.
	Drifts func(ctx context.Context, onlyMismatched bool) ([]*ent.DriftReport, error)
	// Reconcile runs a reconciliation and returns its run. It returns nil if another one is under
	// way.
	Reconcile func(ctx context.Context) (*ent.SchedulerRun, error)
	// Locks returns at most limit locks that are held now.
	Locks func(ctx context.Context, limit int) ([]lockprovider.HeldLock, error)
	// Experiments are those of this instance. It is nil if none may be started.
	Experiments *experiment.Lab
}

func toRun(run *ent.SchedulerRun) *model.SchedulerRun {
	if run == nil {
		return nil
	}
	out := &model.SchedulerRun{
		Job: run.Job, Instance: run.Instance, StartedAt: run.StartedAt, DurationMs: float64(run.DurationMicros) / 1000,
		Result: []*model.Count{}, Error: orNull(run.Error),
	}
	for _, name := range atMost(maxCounts, slices.Sorted(maps.Keys(run.Result))) {
		out.Result = append(out.Result, &model.Count{Name: name, Value: run.Result[name]})
	}
	return out
}

func toDrift(d *ent.DriftReport) *model.DriftReport {
	return &model.DriftReport{
		Family: model.Family(d.Family), Balance: d.Balance, Redis: d.RedisAmount, Expected: d.ExpectedAmount,
		Database: d.DatabaseAmount, InFlight: d.InFlight, Repaired: d.Repaired, SeenAt: d.SeenAt,
	}
}

func toPaymentDrift(d *ent.PaymentDrift) *model.PaymentDrift {
	return &model.PaymentDrift{
		Kind: model.PaymentDriftKind(d.Kind), Subject: d.Subject, OrderID: d.OrderID, RefundID: d.RefundID, Reference: orNull(d.Reference),
		Shop: money(d.ShopMinor, d.Currency), Gateway: money(d.GatewayMinor, d.Currency), Settled: d.Settled, FoundAt: d.FoundAt, SeenAt: d.SeenAt,
	}
}

// popular returns the products that were ordered most within the last days, at most first of them.
// It leaves out a product that no longer exists.
func (r *Resolver) popular(ctx context.Context, days, first int) ([]*model.PopularProduct, error) {
	list := []*model.PopularProduct{}
	if err := bounded("days", days, 365); err != nil {
		return nil, err
	}
	if err := bounded("first", first, commerce.MaxPage); err != nil {
		return list, err
	}
	sales, err := events.PopularProducts(ctx, r.client, time.Now().AddDate(0, 0, -days), first)
	if err != nil {
		return nil, err
	}
	products, err := r.services.Catalog.ProductsByID(ctx, each(sales, func(s events.Sales) string { return s.ProductID }))
	for _, s := range sales {
		if p := products[s.ProductID]; p != nil && (p.ArchivedAt == nil || auth.Viewer(ctx).Admin) {
			list = append(list, &model.PopularProduct{
				Product: toProduct(p), Orders: &s.Orders, Units: &s.Units, Revenue: money(s.RevenueMinor, p.Currency),
			})
		}
	}
	return list, err
}

// low returns products whose stock is low, at most first of them.
func (r *Resolver) low(ctx context.Context, first int) ([]*model.LowStockProduct, error) {
	list := []*model.LowStockProduct{}
	if err := bounded("first", first, commerce.MaxPage); err != nil {
		return list, err
	}
	low, err := events.LowStock(ctx, r.client, first)
	if err != nil {
		return nil, err
	}
	variants, err := r.services.Catalog.VariantsByID(ctx, each(low, func(l events.LowVariant) string { return l.VariantID }))
	for _, l := range low {
		if row := variants[l.VariantID]; row != nil {
			list = append(list, &model.LowStockProduct{Product: toProduct(row.Edges.Product), Variant: toVariant(row), Threshold: l.Threshold, Since: l.Since})
		}
	}
	return list, err
}

// unsettled returns orders that a job has failed to finish, at most first of them.
func (r *Resolver) unsettled(ctx context.Context, first int) ([]*model.UnsettledOrder, error) {
	if err := bounded("first", first, commerce.MaxPage); err != nil {
		return []*model.UnsettledOrder{}, err
	}
	rows, err := r.services.Orders.Unsettled(ctx, auth.Viewer(ctx), first)
	return each(rows, func(o *ent.Order) *model.UnsettledOrder {
		return &model.UnsettledOrder{
			Order: toOrder(o), Settlement: model.Settlement(commerce.SettlementAfter(o.Attempts)), Attempts: o.Attempts,
			NextAttemptAt: orZero(o.NextAttemptAt), LastError: o.LastError,
		}
	}), err
}

// unsettledPayments returns payments by card that a job has failed to finish, at most first of them.
func (r *Resolver) unsettledPayments(ctx context.Context, first int) ([]*model.UnsettledPayment, error) {
	if err := bounded("first", first, commerce.MaxPage); err != nil {
		return []*model.UnsettledPayment{}, err
	}
	rows, err := r.services.Attempts.Unsettled(ctx, auth.Viewer(ctx), first)
	if err != nil {
		return nil, err
	}
	buyers, err := r.services.Customers.GetAll(ctx, auth.Viewer(ctx), each(rows, func(a *ent.PaymentAttempt) string { return orZero(a.UserID) }))
	return each(rows, func(a *ent.PaymentAttempt) *model.UnsettledPayment {
		return &model.UnsettledPayment{
			Attempt: toPaymentAttempt(a), Order: toOrder(a.Edges.Order), Customer: toCustomer(buyers[orZero(a.UserID)]),
			Settlement: model.Settlement(commerce.SettlementAfter(a.Looks)), Attempts: a.Looks, NextAttemptAt: orZero(a.LookAt),
			LastError: a.LastError,
		}
	}), err
}

// unsettledRefunds returns refunds that a job has failed to finish, at most first of them.
func (r *Resolver) unsettledRefunds(ctx context.Context, first int) ([]*model.UnsettledRefund, error) {
	if err := bounded("first", first, commerce.MaxPage); err != nil {
		return []*model.UnsettledRefund{}, err
	}
	rows, err := r.services.Refunds.Unsettled(ctx, auth.Viewer(ctx), first)
	return each(rows, func(f *ent.Refund) *model.UnsettledRefund {
		return &model.UnsettledRefund{
			Refund: toRefund(f), Order: toOrder(f.Edges.Order), Settlement: model.Settlement(commerce.SettlementAfter(f.Looks)),
			Attempts: f.Looks, NextAttemptAt: orZero(f.LookAt), LastError: f.LastError,
		}
	}), err
}

// heldLocks returns locks that are held now, at most first of them.
func (r *Resolver) heldLocks(ctx context.Context, first int) ([]*model.HeldLock, error) {
	if err := bounded("first", first, commerce.MaxPage); err != nil || r.operations.Locks == nil {
		return []*model.HeldLock{}, err
	}
	locks, err := r.operations.Locks(ctx, first)
	return each(locks, func(l lockprovider.HeldLock) *model.HeldLock {
		out := &model.HeldLock{Key: l.Key, Holder: orNull(l.Holder), Waiting: append([]string{}, atMost(maxWaiting, l.Waiting)...)}
		if !l.Since.IsZero() {
			out.Since = &l.Since
		}
		if l.Fence != 0 {
			out.Fence = &l.Fence
		}
		if !l.Until.IsZero() {
			out.Until = &l.Until
		}
		return out
	}), err
}

// bounded returns an error of the user if an argument is not between 1 and most.
func bounded(name string, value, most int) error {
	if value >= 1 && value <= most {
		return nil
	}
	return &commerce.Error{
		Code: commerce.InvalidInput, Field: []string{name},
		Message: fmt.Sprintf("%s must be 1 to %d, not %d", name, most, value),
	}
}
