package commerce

import (
	"context"
	"slices"
	"strings"
	"time"

	"holdfast/ent"
	"holdfast/ent/order"
	"holdfast/ent/paymentattempt"
	"holdfast/ent/paymentdrift"
	"holdfast/ent/paymentreconciliation"
	"holdfast/ent/predicate"
	"holdfast/payments"
)

// What the payment gateway has taken and given back is compared with the attempts, refunds and
// orders of the shop, a day at a time and from both sides: first what the gateway lists, then the
// attempts and refunds that its list did not have, then the paid orders. Each of these four phases
// goes through its rows by pages, and notes the last one in the database, so that a run that is cut
// off goes on there. Nothing is kept in memory but a page.
//
// What fits is marked. What does not is suspected only: both sides may have been read at different
// moments. So the gateway is asked for all that it has moved of this payment, and the rows are read
// before and after. Only differences of rows that have not changed are recorded.

// PaymentDrifts compares the payments of the gateway with those of the shop.
type PaymentDrifts struct{ *core }

// driftDelay is how long after its end a day is compared, and how long an attempt or refund may be
// under way before the gateway should not be ahead of it. It is chosen: everything that the shop
// goes on with by itself is done in minutes.
const driftDelay = time.Hour

// The phases of a day.
const (
	phaseList = iota
	phaseAttempts
	phaseRefunds
	phaseOrders
	phases
)

// DriftStep is what a step of a reconciliation has done.
type DriftStep struct {
	Compared int                 // movements and rows
	Found    []*ent.PaymentDrift // differences that were not known
	Settled  int                 // differences that are gone
	More     bool                // the next step has something to do
}

// taken are the statuses of an attempt whose money was taken, as the shop knows.
var taken = []paymentattempt.Status{paymentattempt.StatusCAPTURED, paymentattempt.StatusREFUNDING, paymentattempt.StatusREFUNDED}

// toCompare are the statuses of an attempt that is compared on the day of its last change: its
// money was taken, or it was under way. What was so when the day of its movement was compared has
// changed after that day.
var toCompare = append([]paymentattempt.Status{
	paymentattempt.StatusCREATED, paymentattempt.StatusAUTHORIZING, paymentattempt.StatusREQUIRES_ACTION, paymentattempt.StatusAUTHORIZED,
	paymentattempt.StatusCAPTURING, paymentattempt.StatusVOIDING, paymentattempt.StatusUNKNOWN,
}, taken...)

func isTaken(a *ent.PaymentAttempt) bool { return slices.Contains(taken, a.Status) }

// Step compares one page, of at most limit rows, of the first day that is not compared yet. Calls may overlap, on any number of instances.
// The error is that of the gateway or of a store: then the page is compared again.
func (s *PaymentDrifts) Step(ctx context.Context, limit int) (done DriftStep, err error) {
	if s.Payment.Gateway == GatewayNone || s.Payment.Gateway == "" {
		return done, nil
	}
	at, err := s.progress(ctx)
	if err != nil {
		return done, err
	}
	to := at.Day.Add(24 * time.Hour)
	if s.now().Before(to.Add(driftDelay)) {
		return done, nil
	}
	var next string
	switch at.Phase {
	case phaseList:
		next, err = s.listed(ctx, at, to, &done)
	case phaseAttempts:
		next, err = s.attemptsOf(ctx, at, to, limit, &done)
	case phaseRefunds:
		next, err = s.refundsOf(ctx, at, to, limit, &done)
	default:
		next, err = s.ordersOf(ctx, at, to, limit, &done)
	}
	if err != nil {
		return done, err
	}
	update := s.Client.PaymentReconciliation.Update().Where(
		paymentreconciliation.ID(at.ID), paymentreconciliation.Day(at.Day),
		paymentreconciliation.Phase(at.Phase), paymentreconciliation.Position(at.Position),
	) // else another instance has compared the page as well, and goes on
	switch {
	case next != "":
		update.SetPosition(next)
	case at.Phase+1 < phases:
		update.SetPosition("").SetPhase(at.Phase + 1)
	default:
		update.SetPosition("").SetPhase(phaseList).SetDay(to)
	}
	done.More = true
	return done, update.Exec(ctx)
}

// progress returns how far the payments of the gateway were compared. It begins with the day before this one (UTC).
func (s *PaymentDrifts) progress(ctx context.Context) (*ent.PaymentReconciliation, error) {
	at, err := orNil(s.Client.PaymentReconciliation.Get(ctx, s.Payment.Gateway))
	if err != nil || at != nil {
		return at, err
	}
	err = s.Client.PaymentReconciliation.Create().SetID(s.Payment.Gateway).
		SetDay(s.now().Truncate(24 * time.Hour).Add(-24 * time.Hour)).Exec(ctx)
	if err != nil && !ent.IsConstraintError(err) { // another instance was faster
		return nil, err
	}
	return s.Client.PaymentReconciliation.Get(ctx, s.Payment.Gateway)
}

func withOrder(q *ent.PaymentAttemptQuery) *ent.PaymentAttemptQuery {
	return q.WithOrder(func(q *ent.OrderQuery) { q.WithPayment() })
}

// hasPaid reports whether something was given for an attempt: its order is paid by it, or its points are added.
func hasPaid(a *ent.PaymentAttempt) bool {
	if row := a.Edges.Order; row != nil {
		return row.Status == order.StatusPAID && paidBy(row, a)
	}
	return a.CreditedAt != nil
}

// isWhole reports whether a refund was made to give back all of an attempt; see refundAll.
func isWhole(a *ent.PaymentAttempt, m payments.Movement) bool {
	key := prefixRefund + a.ID
	return m.Refund == key || strings.HasPrefix(m.Refund, key+"/")
}

// record writes the differences of an attempt or order, and settles those that are gone.
func (s *PaymentDrifts) record(ctx context.Context, scope string, found []*ent.PaymentDrift, done *DriftStep) error {
	now := s.now()
	keep := make([]predicate.PaymentDrift, 0, len(found))
	for _, d := range found {
		same := paymentdrift.And(paymentdrift.KindEQ(d.Kind), paymentdrift.Subject(d.Subject), paymentdrift.Scope(scope))
		keep = append(keep, same)
		known, err := s.Client.PaymentDrift.Update().Where(same, paymentdrift.Settled(false)).
			SetShopMinor(d.ShopMinor).SetGatewayMinor(d.GatewayMinor).SetSeenAt(now).Save(ctx)
		if err != nil {
			return err
		}
		if known > 0 {
			continue
		}
		again, err := s.Client.PaymentDrift.Update().Where(same, paymentdrift.Settled(true)).
			SetShopMinor(d.ShopMinor).SetGatewayMinor(d.GatewayMinor).SetSeenAt(now).SetSettled(false).Save(ctx)
		if err == nil && again == 0 {
			err = s.Client.PaymentDrift.Create().SetGateway(s.Payment.Gateway).SetKind(d.Kind).SetSubject(d.Subject).SetScope(scope).
				SetNillableOrderID(d.OrderID).SetNillableRefundID(d.RefundID).SetReference(d.Reference).
				SetShopMinor(d.ShopMinor).SetGatewayMinor(d.GatewayMinor).SetCurrency(d.Currency).SetFoundAt(now).SetSeenAt(now).Exec(ctx)
			if ent.IsConstraintError(err) { // another instance has found it as well
				continue
			}
		}
		if err != nil {
			return err
		}
		done.Found = append(done.Found, d)
	}
	gone := s.Client.PaymentDrift.Update().Where(paymentdrift.Scope(scope), is(paymentdrift.FieldSettled, false))
	if len(keep) > 0 {
		gone.Where(paymentdrift.Not(paymentdrift.Or(keep...)))
	}
	n, err := gone.SetSettled(true).SetSeenAt(now).Save(ctx)
	done.Settled += n
	return err
}

// Recheck compares again what differs, at most limit differences whose number is above after, and returns the last number; 0 if there
// are no more.
func (s *PaymentDrifts) Recheck(ctx context.Context, after int64, limit int) (last int64, done DriftStep, err error) {
	rows, err := s.Client.PaymentDrift.Query().
		Where(is(paymentdrift.FieldSettled, false), paymentdrift.IDGT(after), paymentdrift.Gateway(s.Payment.Gateway)).
		Order(paymentdrift.ByID()).Limit(limit).All(ctx)
	if err != nil {
		return 0, done, err
	}
	seen := map[string]bool{}
	for _, d := range rows {
		last = d.ID
		if seen[d.Scope] {
			continue
		}
		seen[d.Scope] = true
		done.Compared++
		if d.Kind == paymentdrift.KindORDER_WITHOUT_CAPTURE {
			err = s.compareOrder(ctx, d.Scope, &done)
		} else {
			err = s.compare(ctx, payments.Ref{Attempt: d.Scope, Reference: d.Reference}, &done)
		}
		if err != nil {
			return 0, done, err
		}
	}
	if len(rows) < limit {
		last = 0
	}
	return last, done, nil
}

// MaxDrifts is how many differences are listed.
const MaxDrifts = 200

// List returns differences, the newest finding first, at most [MaxDrifts]. onlyOpen leaves out those that are settled.
func (s *PaymentDrifts) List(ctx context.Context, onlyOpen bool) ([]*ent.PaymentDrift, error) {
	query := s.Client.PaymentDrift.Query()
	if onlyOpen {
		query.Where(paymentdrift.Settled(false))
	}
	return query.Order(ent.Desc(paymentdrift.FieldSeenAt, paymentdrift.FieldID)).Limit(MaxDrifts).All(ctx)
}
