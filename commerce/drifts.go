package commerce

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast/ent"
	"holdfast/ent/order"
	"holdfast/ent/payment"
	"holdfast/ent/paymentattempt"
	"holdfast/ent/paymentdrift"
	"holdfast/ent/paymentreconciliation"
	"holdfast/ent/predicate"
	"holdfast/ent/refund"
	"holdfast/payments"
)

// What the payment gateway has taken and given back is compared with the attempts, refunds and orders of the shop, a day at a time and from both
// sides: first what the gateway lists, then the attempts and refunds that its list did not have, then the paid orders. Each of these four phases goes
// through its rows by pages, and notes the last one in the database, so that a run that is cut off goes on there. Nothing is kept in memory
// but a page.
//
// What fits is marked. What does not is suspected only: both sides may have been read at different moments. So the gateway is asked for all that it has
// moved of this payment, and the rows are read before and after. Only differences of rows that have not changed are recorded.

// PaymentDrifts compares the payments of the gateway with those of the shop.
type PaymentDrifts struct{ *core }

// driftDelay is how long after its end a day is compared, and how long an attempt or refund may be under way before the gateway should not be ahead of
// it. It is chosen: everything that the shop goes on with by itself is done in minutes.
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

// toCompare are the statuses of an attempt that is compared on the day of its last change: its money was taken, or it was under way. What was so
// when the day of its movement was compared has changed after that day.
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
		paymentreconciliation.ID(at.ID), paymentreconciliation.Day(at.Day), paymentreconciliation.Phase(at.Phase), paymentreconciliation.Position(at.Position),
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
	err = s.Client.PaymentReconciliation.Create().SetID(s.Payment.Gateway).SetDay(s.now().Truncate(24 * time.Hour).Add(-24 * time.Hour)).Exec(ctx)
	if err != nil && !ent.IsConstraintError(err) { // another instance was faster
		return nil, err
	}
	return s.Client.PaymentReconciliation.Get(ctx, s.Payment.Gateway)
}

// listed compares a page of what the gateway lists.
func (s *PaymentDrifts) listed(ctx context.Context, at *ent.PaymentReconciliation, to time.Time, done *DriftStep) (next string, err error) {
	bounded, cancel := context.WithTimeout(ctx, s.Payment.Timeout)
	defer cancel()
	page, err := s.Gateway.List(bounded, at.Day, to, at.Position)
	if err != nil {
		return "", fmt.Errorf("%w: list of a day: %w", errGateway, err)
	}
	var ids, references, refunds []string
	for _, m := range page.Movements {
		ids, references, refunds = append(ids, m.Attempt), append(references, m.Reference), append(refunds, m.Refund)
	}
	rows, err := withOrder(s.Client.PaymentAttempt.Query().Where(paymentattempt.Gateway(at.ID),
		paymentattempt.Or(paymentattempt.IDIn(ids...), paymentattempt.And(paymentattempt.ReferenceIn(references...), paymentattempt.ReferenceNEQ(""))))).All(ctx)
	if err != nil {
		return "", err
	}
	made, err := s.Client.Refund.Query().Where(refund.IDIn(refunds...)).All(ctx)
	if err != nil {
		return "", err
	}
	var whole []*ent.PaymentAttempt // what fits
	var parts []*ent.Refund
	for _, m := range page.Movements {
		a, ref := attemptMoved(rows, m), payments.Ref{Attempt: m.Attempt, Reference: m.Reference}
		if a == nil && m.Attempt == "" {
			continue // of something else that the account is used for
		}
		done.Compared++
		switch {
		case a == nil:
		case a.Reference != "" && m.Reference != a.Reference:
			// A second payment of the attempt, which the shop does not know. It goes by its own reference.
			a, ref.Attempt = nil, m.Reference
		default:
			ref.Attempt = a.ID
		}
		switch {
		case a != nil && m.Kind == payments.MovedCapture && m.Amount.Minor == a.AmountMinor && a.Status == paymentattempt.StatusCAPTURED && hasPaid(a):
			whole = append(whole, a)
		case a != nil && m.Kind == payments.MovedCapture && m.Amount.Minor == a.AmountMinor && a.Status == paymentattempt.StatusREFUNDED:
			// It is compared by what was given back.
		case a != nil && m.Kind == payments.MovedRefund && isWhole(a, m) && a.Status == paymentattempt.StatusREFUNDED && m.Amount.Minor == a.AmountMinor:
			whole = append(whole, a)
		default:
			if at := slices.IndexFunc(made, func(f *ent.Refund) bool {
				return a != nil && m.Kind == payments.MovedRefund && f.ID == m.Refund && f.Status == refund.StatusREFUNDED &&
					f.AmountMinor == m.Amount.Minor && deref(f.AttemptID) == a.ID &&
					f.MatchedAt == nil && !slices.Contains(parts, f) // else it may have been made twice
			}); at >= 0 {
				parts = append(parts, made[at])
				continue
			}
			if err := s.compare(ctx, ref, done); err != nil {
				return "", err
			}
		}
	}
	// The rows were read before the gateway was asked, perhaps many times: one that has changed since is not marked.
	for _, a := range whole {
		if err := s.Client.PaymentAttempt.Update().Where(paymentattempt.ID(a.ID), paymentattempt.UpdatedAt(a.UpdatedAt)).
			SetMatchedAt(a.UpdatedAt).Exec(ctx); err != nil {
			return "", err
		}
	}
	for _, f := range parts {
		if err := s.Client.Refund.Update().Where(refund.ID(f.ID), refund.UpdatedAt(f.UpdatedAt)).SetMatchedAt(f.UpdatedAt).Exec(ctx); err != nil {
			return "", err
		}
	}
	return page.Next, nil
}

// attemptMoved returns the attempt of a movement, or nil if the shop has none.
func attemptMoved(rows []*ent.PaymentAttempt, m payments.Movement) *ent.PaymentAttempt {
	for _, a := range rows {
		if a.ID == m.Attempt || m.Attempt == "" && a.Reference == m.Reference {
			return a
		}
	}
	return nil
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

// placeAfter returns where the last row of a page stands in the order of a time and an ID, or "" if it is the last page.
func placeAfter[T any](rows []T, limit int, of func(T) (time.Time, string)) string {
	if len(rows) < limit {
		return ""
	}
	at, id := of(rows[len(rows)-1])
	return at.UTC().Format(time.RFC3339Nano) + " " + id
}

// since returns the time and the ID of a position; without one, those before the first row of a day.
func since(position string, day time.Time) (time.Time, string) {
	text, id, _ := strings.Cut(position, " ")
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return day, ""
	}
	return at, id
}

// attemptsOf compares a page of the attempts whose money was taken, or that are under way, and that the list of the gateway did not have.
func (s *PaymentDrifts) attemptsOf(ctx context.Context, at *ent.PaymentReconciliation, to time.Time, limit int, done *DriftStep) (string, error) {
	from, id := since(at.Position, at.Day)
	rows, err := s.Client.PaymentAttempt.Query().Where(
		paymentattempt.Gateway(at.ID), paymentattempt.StatusIn(toCompare...), paymentattempt.UpdatedAtLT(to),
		paymentattempt.Or(paymentattempt.UpdatedAtGT(from), paymentattempt.And(paymentattempt.UpdatedAt(from), paymentattempt.IDGT(id))),
	).Order(paymentattempt.ByUpdatedAt(), paymentattempt.ByID()).Limit(limit).All(ctx)
	if err != nil {
		return "", err
	}
	for _, a := range rows {
		done.Compared++
		if a.MatchedAt != nil && !a.MatchedAt.Before(a.UpdatedAt) {
			continue
		}
		if err := s.compare(ctx, payments.Ref{Attempt: a.ID, Reference: a.Reference}, done); err != nil {
			return "", err
		}
	}
	return placeAfter(rows, limit, func(a *ent.PaymentAttempt) (time.Time, string) { return a.UpdatedAt, a.ID }), nil
}

// refundsOf compares a page of the refunds by card that were made, or are under way, and that the list of the gateway did not have.
func (s *PaymentDrifts) refundsOf(ctx context.Context, at *ent.PaymentReconciliation, to time.Time, limit int, done *DriftStep) (string, error) {
	from, id := since(at.Position, at.Day)
	rows, err := s.Client.Refund.Query().Where(
		refund.Or(refund.StatusEQ(refund.StatusREFUNDED), openRefund), refund.AttemptIDNotNil(), refund.MatchedAtIsNil(), refund.UpdatedAtLT(to),
		refund.Or(refund.UpdatedAtGT(from), refund.And(refund.UpdatedAt(from), refund.IDGT(id))),
	).Order(refund.ByUpdatedAt(), refund.ByID()).Limit(limit).All(ctx)
	if err != nil {
		return "", err
	}
	for _, f := range rows {
		done.Compared++
		if err := s.compare(ctx, payments.Ref{Attempt: *f.AttemptID}, done); err != nil {
			return "", err
		}
	}
	return placeAfter(rows, limit, func(f *ent.Refund) (time.Time, string) { return f.UpdatedAt, f.ID }), nil
}

// readForOne is how many orders are read for one that may be compared. It is chosen: by default, a step reads 5,000 orders.
const readForOne = 10

// ordersOf compares those of a page of orders that are paid, and were paid or have changed otherwise since a day has begun, with what has paid them.
// An order may be paid long after it was placed, by a payment that was begun before, or by hand. So the pages are of all orders, by their creation,
// which has an index: one by their last change would be written by each step of each order.
func (s *PaymentDrifts) ordersOf(ctx context.Context, at *ent.PaymentReconciliation, to time.Time, limit int, done *DriftStep) (next string, err error) {
	from, id := since(at.Position, time.Unix(0, 0).UTC())
	page := []predicate.Order{
		order.CreatedAtLT(to), order.Or(order.CreatedAtGT(from), order.And(order.CreatedAt(from), order.IDGT(id))),
	}
	ends, err := s.Client.Order.Query().Where(page...).Order(order.ByCreatedAt(), order.ByID()).
		Offset(readForOne*limit-1).Limit(1).Select(order.FieldID, order.FieldCreatedAt).All(ctx)
	if err != nil {
		return "", err
	}
	for _, end := range ends { // the last of the page; there is none if the page is the last and not full
		next = placeAfter(ends, 1, func(row *ent.Order) (time.Time, string) { return row.CreatedAt, row.ID })
		page = append(page, order.Or(order.CreatedAtLT(end.CreatedAt), order.And(order.CreatedAt(end.CreatedAt), order.IDLTE(end.ID))))
	}
	rows, err := s.withPaid(append(page, order.UpdatedAtGTE(at.Day))...).Order(order.ByCreatedAt(), order.ByID()).All(ctx)
	if err != nil {
		return "", err
	}
	for _, row := range rows {
		done.Compared++
		if isPaid(row) {
			continue
		}
		if err := s.compareOrder(ctx, row.ID, done); err != nil {
			return "", err
		}
	}
	return next, nil
}

func (s *PaymentDrifts) withPaid(where ...predicate.Order) *ent.OrderQuery {
	return s.Client.Order.Query().Where(append(where, order.StatusEQ(order.StatusPAID))...).WithPayment().
		WithPaymentAttempts(func(q *ent.PaymentAttemptQuery) { q.Where(paymentattempt.StatusIn(taken...)) })
}

// isPaid reports whether a paid order has a payment that was captured: by card, with an attempt whose money was taken.
func isPaid(row *ent.Order) bool {
	made := row.Edges.Payment
	if made == nil || made.Status != payment.StatusCAPTURED && made.Status != payment.StatusREFUNDED {
		return false
	}
	return made.Method != payment.MethodCARD || made.AmountMinor == 0 ||
		slices.ContainsFunc(row.Edges.PaymentAttempts, func(a *ent.PaymentAttempt) bool { return paidBy(row, a) })
}

// compareOrder records whether a paid order has a captured payment.
func (s *PaymentDrifts) compareOrder(ctx context.Context, id string, done *DriftStep) error {
	row, err := orNil(s.withPaid(order.ID(id)).Only(ctx))
	if err != nil {
		return err
	}
	var found []*ent.PaymentDrift
	if row != nil && !isPaid(row) {
		found = append(found, &ent.PaymentDrift{
			Kind: paymentdrift.KindORDER_WITHOUT_CAPTURE, Subject: id, OrderID: &id, ShopMinor: row.TotalMinor, Currency: row.Currency,
		})
	}
	return s.record(ctx, id, found, done)
}

// unchangedReads bounds how often rows may change while the gateway is asked. It is chosen; what changes so often is compared on the day of its last change, if it is
// taken or under way then.
const unchangedReads = 3

// compare asks the gateway for all that it has moved of a payment, and records how that differs from what the shop knows.
func (s *PaymentDrifts) compare(ctx context.Context, ref payments.Ref, done *DriftStep) error {
	for range unchangedReads {
		before, refunds, err := s.rows(ctx, ref.Attempt)
		if err != nil {
			return err
		}
		if before != nil && before.Gateway != s.Payment.Gateway {
			return nil // which nobody can ask
		}
		if before != nil {
			ref.Reference = cmp.Or(before.Reference, ref.Reference)
		}
		bounded, cancel := context.WithTimeout(ctx, s.Payment.Timeout)
		moved, err := s.Gateway.Movements(bounded, ref)
		cancel()
		if err != nil {
			return fmt.Errorf("%w: movements of %s: %w", errGateway, ref.Attempt, err)
		}
		after, again, err := s.rows(ctx, ref.Attempt)
		if err != nil {
			return err
		}
		if sameRows(before, after, refunds, again) {
			return s.record(ctx, ref.Attempt, s.differences(ref, after, again, moved), done)
		}
	}
	return nil
}

func (s *PaymentDrifts) rows(ctx context.Context, attempt string) (*ent.PaymentAttempt, []*ent.Refund, error) {
	a, err := orNil(withOrder(s.Client.PaymentAttempt.Query().Where(paymentattempt.ID(attempt))).Only(ctx))
	if err != nil || a == nil || a.OrderID == nil {
		return a, nil, err
	}
	list, err := s.Client.Refund.Query().Where(refund.AttemptID(attempt), refund.OrderID(*a.OrderID)).Order(refund.ByID()).All(ctx)
	return a, list, err
}

func sameRows(a, b *ent.PaymentAttempt, x, y []*ent.Refund) bool {
	if (a == nil) != (b == nil) || a != nil && (a.Status != b.Status || !a.UpdatedAt.Equal(b.UpdatedAt) || hasPaid(a) != hasPaid(b)) {
		return false
	}
	return slices.EqualFunc(x, y, func(a, b *ent.Refund) bool {
		return a.ID == b.ID && a.Status == b.Status && a.UpdatedAt.Equal(b.UpdatedAt)
	})
}

// differences returns how what a gateway has moved of a payment differs from what the shop knows.
func (s *PaymentDrifts) differences(
	ref payments.Ref, a *ent.PaymentAttempt, refunds []*ent.Refund, moved []payments.Movement,
) (found []*ent.PaymentDrift) {
	var captured, returned int64
	partial := payments.IsPartial(s.Gateway) // then what is missing says nothing
	currency := ""
	for _, m := range moved {
		currency, ref.Reference = m.Amount.Currency, cmp.Or(ref.Reference, m.Reference)
		if m.Kind == payments.MovedCapture {
			captured += m.Amount.Minor
		} else {
			returned += m.Amount.Minor
		}
	}
	differ := func(kind paymentdrift.Kind, subject string, shop, gateway int64, f *ent.Refund) {
		d := &ent.PaymentDrift{Kind: kind, Subject: subject, Reference: ref.Reference, ShopMinor: shop, GatewayMinor: gateway, Currency: currency}
		if a != nil {
			d.OrderID, d.Currency = a.OrderID, a.Currency
		}
		if f != nil {
			d.RefundID = &f.ID
		}
		found = append(found, d)
	}
	underWay := func(updated time.Time) bool { return s.now().Before(updated.Add(driftDelay)) }
	switch {
	case a == nil:
		if captured > returned {
			differ(paymentdrift.KindCAPTURE_UNKNOWN, ref.Attempt, 0, captured-returned, nil)
		}
		return found
	case captured > 0 && !isTaken(a):
		if captured > returned && (!payments.Status(a.Status).Open() || !underWay(a.UpdatedAt)) {
			differ(paymentdrift.KindCAPTURE_NOT_RECORDED, a.ID, 0, captured-returned, nil)
		}
		return found
	case captured == 0 && isTaken(a):
		if !partial {
			differ(paymentdrift.KindCAPTURE_MISSING, a.ID, a.AmountMinor, 0, nil)
		}
		return found
	case captured == 0:
		return found
	case a.Status == paymentattempt.StatusCAPTURED && !hasPaid(a) && !underWay(a.UpdatedAt):
		differ(paymentdrift.KindCAPTURE_WITHOUT_ORDER, a.ID, 0, captured-returned, nil)
	}
	if a.Status == paymentattempt.StatusREFUNDED && !hasPaid(a) { // all was given back, whoever did so
		if returned < captured && !partial {
			differ(paymentdrift.KindREFUND_MISSING, a.ID, captured, returned, nil)
		}
		return found
	}
	if captured != a.AmountMinor {
		differ(paymentdrift.KindCAPTURE_AMOUNT, a.ID, a.AmountMinor, captured, nil)
	}
	given := map[string]int64{} // by the shop's ID of the refund
	for _, m := range moved {
		known := slices.ContainsFunc(refunds, func(f *ent.Refund) bool { return f.ID == m.Refund })
		switch {
		case m.Kind != payments.MovedRefund:
		case known:
			given[m.Refund] += m.Amount.Minor
		case isWhole(a, m) && a.Status == paymentattempt.StatusREFUNDING && underWay(a.UpdatedAt):
		case isWhole(a, m):
			differ(paymentdrift.KindREFUND_NOT_RECORDED, a.ID, 0, m.Amount.Minor, nil)
		default:
			differ(paymentdrift.KindREFUND_UNKNOWN, m.ID, 0, m.Amount.Minor, nil)
		}
	}
	for _, f := range refunds {
		sum, made := given[f.ID]
		switch {
		case !made:
			if f.Status == refund.StatusREFUNDED && f.AmountMinor > 0 && !partial {
				differ(paymentdrift.KindREFUND_MISSING, f.ID, f.AmountMinor, 0, f)
			}
		case f.Status == refund.StatusREFUNDED && f.AmountMinor != sum:
			differ(paymentdrift.KindREFUND_AMOUNT, f.ID, f.AmountMinor, sum, f)
		case f.Status == refund.StatusFAILED, f.Status != refund.StatusREFUNDED && !underWay(f.UpdatedAt):
			differ(paymentdrift.KindREFUND_NOT_RECORDED, f.ID, 0, sum, f)
		}
	}
	return found
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
	gone := s.Client.PaymentDrift.Update().Where(paymentdrift.Scope(scope), paymentdrift.Settled(false))
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
		Where(paymentdrift.Settled(false), paymentdrift.IDGT(after), paymentdrift.Gateway(s.Payment.Gateway)).
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
