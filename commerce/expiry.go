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

// expiryWorkers bounds how many orders are finished at a time. A gateway or a group commit is waited for by all of them
// together, and an instance that is serving customers is not taken over.
const expiryWorkers = 8

// ExpireOverdue finishes the orders that nobody else will: those that were not paid in time, and those of which a crash, or
// a gateway that did not answer, left something to be given back. An order whose card payment was authorized is asked to
// be captured again, and becomes PAID or FAILED; any other that is overdue becomes EXPIRED.
//
// It takes the oldest first, at most limit of those that the payment gateway is asked about and limit of the others: while
// the gateway is away, these are still expired. It returns how many are finished now, together with the errors of those
// that are not; they are tried again by the next call. Calls may overlap, on any number of instances.
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
			return nil // or the others would not be begun
		})
	}
	_ = workers.Wait()
	return done, errors.Join(append(errs, ctx.Err())...)
}

// overdue are the oldest orders of a kind that have something to be finished.
func (s *Orders) overdue(ctx context.Context, kind predicate.Order, limit int) ([]*ent.Order, error) {
	return s.Client.Order.Query().
		Where(order.Settled(false), order.Or(order.StatusNEQ(order.StatusPENDING), order.ExpiresAtLTE(s.now())), kind).
		WithPayment().WithLines().
		Order(order.ByExpiresAt(), order.ByID()).Limit(limit).All(ctx)
}

// finish takes an overdue order, or one that has ended, to its end, and tells whether it got there. Whoever else is at the
// same order at the same time, its customer included, each step is done once.
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
		if err := ignoreMoved(err); err != nil {
			return false, err
		}
	}
	if err := s.giveBack(ctx, row.ID); err != nil {
		return false, err
	}
	return s.Client.Order.Query().Where(order.ID(row.ID), order.Settled(true)).Exist(ctx)
}
