package commerce

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"holdfast/ent"
	"holdfast/ent/order"
	"holdfast/ent/payment"
	"holdfast/ent/predicate"
)

// expiryWorkers bounds how many orders are finished at a time. It is chosen: several orders share the wait for a gateway or a
// group commit, and most of the instance stays free for customers.
const expiryWorkers = 8

// ExpireOverdue finishes the orders that no request will finish: those that were not paid in time, and those of which a crash,
// or a gateway that did not answer, left something to be given back. An order whose card payment was authorized is captured
// again, and becomes PAID or FAILED. Any other order that is overdue becomes EXPIRED.
//
// It takes the oldest first: at most limit of those that need the payment gateway, and limit of the others. So the others
// expire while the gateway is away. It returns how many are finished now, and the errors of those that are not. The next
// call tries these again. Calls may overlap, on any number of instances.
func (s *Orders) ExpireOverdue(ctx context.Context, limit int) (done int, err error) {
	byCard := order.HasPaymentWith(payment.MethodEQ(payment.MethodCARD))
	var rows []*ent.Order
	for _, kind := range []predicate.Order{order.Not(byCard), byCard} {
		some, err := s.overdue(ctx, kind, limit)
		if err != nil {
			return 0, fmt.Errorf("find overdue orders: %w", err)
		}
		rows = append(rows, some...)
	}
	var mu sync.Mutex
	var errs []error
	var workers errgroup.Group
	workers.SetLimit(expiryWorkers)
	for _, row := range rows {
		if ctx.Err() != nil {
			break
		}
		workers.Go(func() error {
			settled, err := s.finish(ctx, row)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, fmt.Errorf("order %s: %w", row.ID, err))
			} else if settled {
				done++
			}
			return nil // an error would keep the group from beginning the others
		})
	}
	_ = workers.Wait()
	return done, errors.Join(append(errs, ctx.Err())...)
}

// overdue returns the oldest orders of a kind that are to be finished.
func (s *Orders) overdue(ctx context.Context, kind predicate.Order, limit int) ([]*ent.Order, error) {
	return s.Client.Order.Query().
		Where(order.Settled(false), order.Or(order.StatusNEQ(order.StatusPENDING), order.ExpiresAtLTE(s.now())), kind).
		WithPayment().WithLines().
		Order(order.ByExpiresAt(), order.ByID()).Limit(limit).All(ctx)
}

// finish does what is left to do for an order that is overdue or has ended, and tells whether the order is settled then. Each
// step is done once, even if the customer or another instance does it at the same time.
func (s *Orders) finish(ctx context.Context, row *ent.Order) (bool, error) {
	made := row.Edges.Payment
	switch {
	case row.Status != order.StatusPENDING:
	case made != nil && made.Status == payment.StatusAUTHORIZED:
		result, err := s.proceed(ctx, row.ID, nil, row.ID, Meta{})
		if result.Order != nil && result.Order.Settled {
			return true, nil // a payment that was refused is an end as well
		}
		return false, err
	default:
		_, err := s.end(ctx, row, ending{
			status: order.StatusEXPIRED, reason: "the order was not paid in time", fingerprint: row.ID,
		})
		if err := ignoreAdvanced(err); err != nil {
			return false, err
		}
	}
	if err := s.giveBack(ctx, row.ID); err != nil {
		return false, err
	}
	return s.Client.Order.Query().Where(order.ID(row.ID), order.Settled(true)).Exist(ctx)
}
