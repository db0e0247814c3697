package commerce

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/ent"
	"holdfast/ent/order"
	"holdfast/ent/payment"
	"holdfast/ent/paymentattempt"
	"holdfast/lockprovider/lock"
	"holdfast/payments"
)

// Attempts are the payment attempts of orders and of points, as a job sees them.
type Attempts struct {
	*core
	orders *Orders
	points *Points
}

// Sweep takes attempts to their ends that nobody goes on with, because a crash or a lost answer has cut them off: it looks them up at the
// gateway. An authorization is captured, if its order still waits for it; what nothing is sold for is given back, also where it was found
// late. What the gateway does not know is ended, so that the customer may pay otherwise: the job takes no money that no request has asked
// the gateway for. But an order that was placed to be paid by card, or is unattended, keeps its attempt until its reservation ends. A payment that waits for its customer is ended with its order, and that of points after the time of a reservation.
//
// It takes at most limit attempts that have waited for longest, for longer than idle and than any call of the gateway takes. One that
// cannot be ended is due again after a pause, which grows; the row notes why. Sweep returns how many are at their ends now, and how many
// are not. The error is that of a store, or the end of ctx. Calls may overlap, on any number of instances.
func (s *Attempts) Sweep(ctx context.Context, idle time.Duration, limit int) (done, failed int, err error) {
	idle = max(idle, s.callsEnd())
	rows, err := s.Client.PaymentAttempt.Query().
		Where(paymentattempt.LookAtLTE(s.now().Add(-idle)), paymentattempt.Gateway(s.Payment.Gateway)). // no other one knows them
		Order(paymentattempt.ByLookAt(), paymentattempt.ByID()).Limit(limit).All(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("find payment attempts to look up: %w", err)
	}
	return inParallel(ctx, rows, s.look, func(a *ent.PaymentAttempt) string { return "payment attempt " + a.ID })
}

// look takes an attempt to its end, or notes when to look again. The error is one that says nothing about the attempt.
func (s *Attempts) look(ctx context.Context, a *ent.PaymentAttempt) (ended bool, err error) {
	if a.OrderID != nil {
		err = s.orders.endOrPay(ctx, a)
	} else {
		err = s.points.endOrCredit(ctx, a)
	}
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	now, gerr := s.Client.PaymentAttempt.Get(ctx, a.ID)
	switch {
	case gerr != nil:
		return false, gerr
	case now.LookAt == nil:
		return true, nil
	case err == nil:
		err = errStillOwed
	}
	looks, away := a.Looks, isStoreAway(err)
	if !away && !errors.Is(err, errBrought) { // which needs no person
		looks++
	}
	pause := pauseAfter(looks)
	if now.Status == paymentattempt.StatusREQUIRES_ACTION {
		pause = firstPause // the customer may confirm it at any moment, until it ends with the reservation
	}
	update := s.Client.PaymentAttempt.Update().
		Where(paymentattempt.ID(a.ID), paymentattempt.LookAt(*now.LookAt), paymentattempt.Looks(a.Looks)). // else another instance has looked as well
		SetLooks(looks).SetLastError(lastError(err))
	if now.Status == a.Status { // else it has moved, perhaps by a message: it is due when nobody has moved it for long enough
		update.SetLookAt(s.now().Add(lock.Jitter(pause).Truncate(time.Microsecond)))
	}
	perr := update.Exec(ctx)
	if away {
		return false, errors.Join(err, perr)
	}
	return false, perr
}

// lookUp asks the gateway what became of an attempt, and moves it there.
func (c *core) lookUp(ctx context.Context, a *ent.PaymentAttempt) (*ent.PaymentAttempt, payments.State, error) {
	if s := payments.Status(a.Status); !s.Pays() {
		return a, "", nil // it is known what is to be done
	}
	answer, err := c.callGateway(ctx, a, func(ctx context.Context) (payments.Answer, error) {
		return c.Gateway.Lookup(ctx, payments.Ref{Attempt: a.ID, Reference: a.Reference})
	})
	if err != nil {
		return a, "", gatewayAway(err)
	}
	if err := wrongAmount(a, answer); err != nil {
		return a, "", err
	}
	if answer.State == payments.StateNotFound || answer.State == payments.StatePending {
		return a, answer.State, nil
	}
	a, err = c.moveAttempt(ctx, a.ID, answer, payments.Event(answer.State))
	return a, answer.State, err
}

// errBrought means that a request or a job still brings an attempt to the gateway, which does not know it.
var errBrought = fmt.Errorf("%w: the order still brings it to the payment gateway", errUndecided)

// isBrought reports whether the card payment of a pending order is still brought to the gateway while its reservation runs, by a job or by
// the repeat of the request that has placed the order. If that attempt were ended, the order would fail.
func (s *Orders) isBrought(ctx context.Context, row *ent.Order) (bool, error) {
	if row.Unattended {
		return true, nil
	}
	pay, err := s.wantedPayment(ctx, row.ID)
	return pay != nil && pay.Method == payment.MethodCARD, err
}

// endOrPay takes an attempt for an order to its end, whatever has become of the order.
func (s *Orders) endOrPay(ctx context.Context, a *ent.PaymentAttempt) error {
	a, state, err := s.lookUp(ctx, a)
	if err != nil {
		return err
	}
	row, err := s.load(ctx, *a.OrderID)
	if err != nil {
		return err
	}
	switch {
	case row.Status == order.StatusPAID && paidBy(row, a):
		_, err := lookedAfter(ctx, s.Client.PaymentAttempt, a.ID)
		return err
	case row.Status == order.StatusPAID:
		return s.endAttempt(ctx, a, s.givingBack(row, a))
	case row.Status != order.StatusPENDING:
		if err := s.endAttempt(ctx, a, s.givingBack(row, a)); err != nil {
			return err
		}
		return s.giveBack(ctx, row.ID)
	case state == payments.StateNotFound && s.now().Before(row.ExpiresAt):
		if brought, err := s.isBrought(ctx, row); err != nil || brought {
			return cmp.Or[error](err, errBrought)
		}
		return s.endAttempt(ctx, a, s.givingBack(row, a))
	case state == payments.StateNotFound, a.Status == paymentattempt.StatusVOIDING:
		return s.endAttempt(ctx, a, s.givingBack(row, a))
	case state == payments.StatePending, state == payments.StateRequiresAction:
		return errUndecided
	}
	// The order itself goes on with whatever pays it, and opens no attempt.
	authorized := row.Edges.Payment != nil
	err = s.goOn(ctx, orderPayment{s, row, row.ID}, a, authorized)
	if row, lerr := s.load(ctx, row.ID); errors.Is(err, errClosed) && lerr == nil && row.Status == order.StatusPENDING &&
		row.Edges.Payment != nil && row.Edges.Payment.Status == payment.StatusAUTHORIZED {
		_, err = s.finish(ctx, row) // its payment could not be captured: it has failed
	}
	return err
}

// endOrCredit takes an attempt for points to its end.
func (s *Points) endOrCredit(ctx context.Context, a *ent.PaymentAttempt) error {
	a, state, err := s.lookUp(ctx, a)
	if err != nil {
		return err
	}
	switch {
	case a.CreditedAt != nil: // nothing is to be done, whoever has asked for a look
		_, err := lookedAfter(ctx, s.Client.PaymentAttempt, a.ID)
		return err
	case state == payments.StateNotFound:
		return s.giveBack(ctx, a, "it has not reached the payment gateway")
	case state == payments.StateRequiresAction && !s.now().Before(a.CreatedAt.Add(s.Shop.Reservation)):
		return s.giveBack(ctx, a, "it was not confirmed in time")
	case state == payments.StatePending, state == payments.StateRequiresAction:
		return errUndecided
	case a.Status == paymentattempt.StatusVOIDING, a.Status == paymentattempt.StatusREFUNDING:
		return s.giveBack(ctx, a, a.Reason)
	}
	return s.goOn(ctx, &topUp{Points: s, id: a.ID, userID: *a.UserID}, a, true)
}
