package commerce

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"entgo.io/ent/dialect/sql"
	"golang.org/x/sync/errgroup"

	"holdfast/ent"
	"holdfast/ent/order"
	"holdfast/ent/payment"
	"holdfast/ent/predicate"
	"holdfast/lockprovider"
	"holdfast/lockprovider/ledger"
	"holdfast/lockprovider/lock"
)

// expiryWorkers bounds how many orders are finished at a time. It is chosen: several orders share the wait for a gateway or a
// group commit, and most of the instance stays free for customers.
const expiryWorkers = 8

// The pauses after failed attempts to finish an order double from the first to the longest, ±50 %. They are chosen: an order
// that can be finished again waits for ten minutes or so at most, and a thousand orders that never can cost two attempts a
// second.
const (
	firstPause   = 10 * time.Second
	longestPause = 10 * time.Minute
)

// failedAttempts is after how many failed attempts in a row the settlement of an order counts as [SettlementFailed]: after
// about five minutes. It is chosen to be longer than a gateway or a store usually restarts.
const failedAttempts = 6

// Settlement is how far a job has come with what it could not finish at once.
type Settlement string

// The settlements.
const (
	SettlementRetrying Settlement = "RETRYING"
	// SettlementFailed is for an operator to look at. It is still tried, at the longest pause.
	SettlementFailed Settlement = "FAILED"
)

// ExpireOverdue finishes the orders that no request will finish: those that were not paid in time, those that came by ticket and
// whose coupon or payment is still to be taken, and those of which a crash, or a gateway that did not answer, left something to
// be given back. An order whose card payment was authorized is captured again, and becomes PAID or FAILED. Any other order that
// is overdue becomes EXPIRED.
//
// It takes those that have been due for longest: at most limit of those that need the payment gateway, and limit of the
// others. So the others expire while the gateway is away. An order that cannot be finished is due again after a pause, which
// grows with each attempt: so it keeps nobody waiting. The order notes why.
//
// It returns how many are finished now, and how many could not be. The error is that of a store, or the end of ctx. Calls may
// overlap, on any number of instances.
func (s *Orders) ExpireOverdue(ctx context.Context, limit int) (done, failed int, err error) {
	now := s.now()
	payable := order.And(order.StatusEQ(order.StatusPENDING), order.Unattended(true), order.ExpiresAtGT(now)) // by card, perhaps
	byCard := order.Or(order.HasPaymentAttemptsWith(owed), payable)
	var rows []*ent.Order
	for _, kind := range []predicate.Order{order.Not(byCard), byCard} {
		some, err := s.due(ctx, now, kind, limit)
		if err != nil {
			return 0, 0, fmt.Errorf("find overdue orders: %w", err)
		}
		rows = append(rows, some...)
	}
	return inParallel(ctx, rows, s.attempt, func(row *ent.Order) string { return "order " + row.ID })
}

// inParallel finishes rows, several at a time, and returns how many are finished and how many are not. The error is that of a store, or
// the end of ctx; it names the row.
func inParallel[T any](
	ctx context.Context, rows []T, finish func(context.Context, T) (bool, error), name func(T) string,
) (done, failed int, err error) {
	var mu sync.Mutex
	var errs []error
	var workers errgroup.Group
	workers.SetLimit(expiryWorkers)
	for _, row := range rows {
		if ctx.Err() != nil {
			break
		}
		workers.Go(func() error {
			finished, err := finish(ctx, row)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				errs = append(errs, fmt.Errorf("%s: %w", name(row), err))
			case finished:
				done++
			default:
				failed++
			}
			return nil // an error would keep the group from beginning the others
		})
	}
	_ = workers.Wait()
	return done, failed, errors.Join(append(errs, ctx.Err())...)
}

// due returns the orders of a kind that are to be finished, those first that have been due for longest.
func (s *Orders) due(ctx context.Context, now time.Time, kind predicate.Order, limit int) ([]*ent.Order, error) {
	return s.Client.Order.Query().
		Where(is(order.FieldSettled, false), kind, order.Or(
			order.NextAttemptAtLTE(now),
			order.And(order.NextAttemptAtIsNil(), order.ExpiresAtLTE(now)), // written by an instance of an earlier version
		)).
		WithPayment().WithLines().
		Order(order.ByNextAttemptAt(), order.ByID()).Limit(limit).All(ctx)
}

// attempt finishes an order, or notes when to try again. The error is one that says nothing about the order: a store is away,
// or ctx has ended.
func (s *Orders) attempt(ctx context.Context, row *ent.Order) (finished bool, err error) {
	finished, err = s.finish(ctx, row)
	if ctx.Err() != nil {
		return finished, ctx.Err()
	}
	if err == nil && !finished {
		err = errStillOwed
	}
	if err == nil {
		return true, nil
	}
	storeAway := isStoreAway(err)
	if perr := s.postpone(ctx, row, err, !storeAway); perr != nil || storeAway {
		return false, errors.Join(err, perr)
	}
	return false, nil
}

// isStoreAway reports whether an error says nothing about what is to be finished, because a store is away.
func isStoreAway(err error) bool {
	return !errors.Is(err, errGateway) && (errors.Is(err, lockprovider.ErrUnavailable) || ledger.DatabaseDown(err))
}

// errStillOwed is why an order is tried again of which no step has failed.
var errStillOwed = errors.New("something is still owed")

// maxLastError is the length of the database's column, in bytes.
const maxLastError = 500

// postpone notes why an order could not be finished, and when to try again. An attempt that does not count has failed for a
// reason that concerns all orders.
func (s *Orders) postpone(ctx context.Context, row *ent.Order, cause error, counts bool) error {
	attempts := row.Attempts
	if counts {
		attempts++
	}
	next := s.now().Add(lock.Jitter(pauseAfter(attempts)).Truncate(time.Microsecond))
	if row.Status == order.StatusPENDING && s.now().Before(row.ExpiresAt) && next.After(row.ExpiresAt) {
		next = row.ExpiresAt // when its stock is given back
	}
	err := s.Client.Order.Update().
		Where(order.ID(row.ID), order.Settled(false), order.Attempts(row.Attempts), // else another instance has tried as well
			order.StatusEQ(row.Status), order.Unattended(row.Unattended), stillDue(row)). // or a step was done, or a message has come
		SetAttempts(attempts).SetNextAttemptAt(next).
		SetLastError(lastError(cause)).Exec(ctx)
	if err != nil {
		return fmt.Errorf("postpone the order: %w", err)
	}
	return nil
}

// stillDue are orders that are due since the time at which a row was. A message of the gateway that comes while the row is worked on
// makes its order due anew: then the order must not sleep.
func stillDue(row *ent.Order) predicate.Order {
	if row.NextAttemptAt == nil {
		return order.NextAttemptAtIsNil()
	}
	return order.NextAttemptAt(*row.NextAttemptAt)
}

// lastError is what a row keeps of an error.
func lastError(err error) string {
	text := err.Error()
	return strings.ToValidUTF8(text[:min(len(text), maxLastError)], "")
}

// pauseAfter is the pause after so many failed attempts in a row.
func pauseAfter(attempts int) time.Duration {
	pause := firstPause
	for n := 1; n < attempts && pause < longestPause; n++ {
		pause *= 2
	}
	return min(pause, longestPause)
}

// finish does what is left to do for an order that is due, and tells whether the order is settled then. Each step is done
// once, even if the customer or another instance does it at the same time.
func (s *Orders) finish(ctx context.Context, row *ent.Order) (bool, error) {
	made := row.Edges.Payment
	told, err := s.toldOfMoney(ctx, row)
	if err != nil {
		return false, err
	}
	switch {
	case row.Status != order.StatusPENDING:
	case made != nil && made.Status == payment.StatusAUTHORIZED, told, row.Unattended && s.now().Before(row.ExpiresAt):
		return s.resume(ctx, row, told)
	case s.now().Before(row.ExpiresAt): // nothing is to be done before its end
		err := s.Client.Order.Update().Where(order.ID(row.ID), order.StatusEQ(order.StatusPENDING), stillDue(row)).
			SetNextAttemptAt(row.ExpiresAt).Exec(ctx)
		return err == nil, err
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

// Unsettled returns the orders that the job has failed to finish, the most failed attempts first, at most limit of them.
// Admins only.
func (s *Orders) Unsettled(ctx context.Context, v Viewer, limit int) ([]*ent.Order, error) {
	if err := v.admin(); err != nil {
		return nil, err
	}
	return withDetails(s.Client.Order.Query().Where(is(order.FieldSettled, false), order.AttemptsGT(0))).
		Order(order.ByAttempts(sql.OrderDesc()), order.ByID()).Limit(limit).All(ctx)
}

// CountFailed returns how many orders there are whose settlement is [SettlementFailed].
func (s *Orders) CountFailed(ctx context.Context) (int, error) {
	return s.Client.Order.Query().Where(is(order.FieldSettled, false), order.AttemptsGTE(failedAttempts)).Count(ctx)
}
