package commerce

import (
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
	"holdfast/ent/predicate"
	"holdfast/ent/refund"
	"holdfast/payments"
)

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
		paymentattempt.Or(
			paymentattempt.IDIn(ids...),
			paymentattempt.And(paymentattempt.ReferenceIn(references...), paymentattempt.ReferenceNEQ("")),
		))).All(ctx)
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
		attempt, part, fits := fitOf(a, made, m)
		switch {
		case !fits, part != nil && slices.Contains(parts, part): // or it is made twice
			if err := s.compare(ctx, ref, done); err != nil {
				return "", err
			}
		case attempt != nil:
			whole = append(whole, attempt)
		case part != nil:
			parts = append(parts, part)
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
		if err := s.Client.Refund.Update().Where(refund.ID(f.ID), refund.UpdatedAt(f.UpdatedAt)).
			SetMatchedAt(f.UpdatedAt).Exec(ctx); err != nil {
			return "", err
		}
	}
	return page.Next, nil
}

// fitOf reports whether a movement is what the shop knows of an attempt: all of its money, or one
// of its refunds, which it returns to be marked. It returns neither of a capture that was given
// back: that is compared by what was given back.
func fitOf(a *ent.PaymentAttempt, made []*ent.Refund, m payments.Movement) (whole *ent.PaymentAttempt, part *ent.Refund, fits bool) {
	if a == nil {
		return nil, nil, false
	}
	all := m.Amount.Minor == a.AmountMinor
	switch {
	case m.Kind == payments.MovedCapture && all && a.Status == paymentattempt.StatusCAPTURED && hasPaid(a),
		m.Kind == payments.MovedRefund && all && a.Status == paymentattempt.StatusREFUNDED && isWhole(a, m):
		return a, nil, true
	case m.Kind == payments.MovedCapture:
		return nil, nil, all && a.Status == paymentattempt.StatusREFUNDED
	case m.Kind == payments.MovedBack:
		return nil, nil, false
	}
	at := slices.IndexFunc(made, func(f *ent.Refund) bool {
		return f.ID == m.Refund && f.Status == refund.StatusREFUNDED && f.AmountMinor == m.Amount.Minor && deref(f.AttemptID) == a.ID &&
			f.MatchedAt == nil // else it may have been made twice
	})
	if at < 0 {
		return nil, nil, false
	}
	return nil, made[at], true
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

// placeAfter returns where the last row of a page stands in the order of a time and an ID, or "" if it is the last page.
func placeAfter[T any](rows []T, limit int, of func(T) (time.Time, string)) string {
	if len(rows) < limit {
		return ""
	}
	at, id := of(rows[len(rows)-1])
	return at.UTC().Format(time.RFC3339Nano) + " " + id
}

// since returns the time and the ID of a position; without one, those before the first row of a
// day. A query that goes on there says redundantly that the time is not before it: databases take
// no bound of an index from "later, or at this time with a greater ID".
func since(position string, day time.Time) (time.Time, string) {
	text, id, _ := strings.Cut(position, " ")
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return day, ""
	}
	return at, id
}

// attemptsOf compares a page of the attempts whose money was taken, or that are under way, and that the list of the gateway did not have.
func (s *PaymentDrifts) attemptsOf(
	ctx context.Context, at *ent.PaymentReconciliation, to time.Time, limit int, done *DriftStep,
) (string, error) {
	from, id := since(at.Position, at.Day)
	rows, err := s.Client.PaymentAttempt.Query().Where(
		paymentattempt.Gateway(at.ID), paymentattempt.StatusIn(toCompare...),
		paymentattempt.UpdatedAtLT(to), paymentattempt.UpdatedAtGTE(from),
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
func (s *PaymentDrifts) refundsOf(
	ctx context.Context, at *ent.PaymentReconciliation, to time.Time, limit int, done *DriftStep,
) (string, error) {
	from, id := since(at.Position, at.Day)
	rows, err := s.Client.Refund.Query().Where(
		refund.Or(refund.StatusEQ(refund.StatusREFUNDED), openRefund), refund.AttemptIDNotNil(), refund.MatchedAtIsNil(),
		refund.UpdatedAtLT(to), refund.UpdatedAtGTE(from),
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

// ordersOf compares those of a page of orders that are paid, and were paid or have changed
// otherwise since a day has begun, with what has paid them. An order may be paid long after it was
// placed, by a payment that was begun before. So the pages are of all orders, by their creation,
// which has an index: one by their last change would be written by each step of each order. It does
// not see the status of an order that somebody has written by hand, if its last change is as it
// was.
func (s *PaymentDrifts) ordersOf(
	ctx context.Context, at *ent.PaymentReconciliation, to time.Time, limit int, done *DriftStep,
) (next string, err error) {
	from, id := since(at.Position, longAgo)
	page, last := ordersAfter(from, id), []predicate.Order{order.CreatedAtLT(to)}
	ends, err := s.Client.Order.Query().Where(append(page, last...)...).Order(order.ByCreatedAt(), order.ByID()).
		Offset(readForOne*limit-1).Limit(1).Select(order.FieldID, order.FieldCreatedAt).All(ctx)
	if err != nil {
		return "", err
	}
	for _, end := range ends { // the last of the page; there is none if the page is the last and not full
		next = placeAfter(ends, 1, func(row *ent.Order) (time.Time, string) { return row.CreatedAt, row.ID })
		last = ordersUpTo(end.CreatedAt, end.ID)
	}
	page = append(page, last...)
	ids, err := s.Client.Order.Query().Where(append(page, order.UpdatedAtGTE(at.Day), order.StatusEQ(order.StatusPAID))...).IDs(ctx)
	if err != nil {
		return "", err
	}
	for some := range slices.Chunk(ids, atOnce) {
		rows, err := s.withPaid(order.IDIn(some...)).All(ctx)
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
	}
	return next, nil
}

// ordersAfter selects the orders that come after one by their creation. The first condition is for the index; see [since].
func ordersAfter(at time.Time, id string) []predicate.Order {
	return []predicate.Order{order.CreatedAtGTE(at), order.Or(order.CreatedAtGT(at), order.And(order.CreatedAt(at), order.IDGT(id)))}
}

// ordersUpTo selects an order and those that come before it by their creation.
func ordersUpTo(at time.Time, id string) []predicate.Order {
	return []predicate.Order{order.CreatedAtLTE(at), order.Or(order.CreatedAtLT(at), order.And(order.CreatedAt(at), order.IDLTE(id)))}
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
