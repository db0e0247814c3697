package commerce

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"holdfast/ent"
	"holdfast/ent/paymentattempt"
	"holdfast/ent/paymentdrift"
	"holdfast/ent/refund"
	"holdfast/payments"
)

// unchangedReads bounds how often rows may change while the gateway is asked. It is chosen; what
// changes so often is compared on the day of its last change, if it is taken or under way then.
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

// comparison is all that is known of one payment on both sides, and how it differs.
type comparison struct {
	ref       payments.Ref
	attempt   *ent.PaymentAttempt // nil if the shop has none
	refunds   []*ent.Refund
	moved     []payments.Movement
	partial   bool // what the gateway does not tell says nothing
	underWay  func(updated time.Time) bool
	captured  int64 // at the gateway
	returned  int64
	currency  string
	different []*ent.PaymentDrift
}

// differences returns how what a gateway has moved of a payment differs from what the shop knows.
func (s *PaymentDrifts) differences(
	ref payments.Ref, a *ent.PaymentAttempt, refunds []*ent.Refund, moved []payments.Movement,
) []*ent.PaymentDrift {
	c := &comparison{
		ref: ref, attempt: a, refunds: refunds, moved: moved, partial: payments.IsPartial(s.Gateway),
		underWay: func(updated time.Time) bool { return s.now().Before(updated.Add(driftDelay)) },
	}
	for _, m := range moved {
		c.currency, c.ref.Reference = m.Amount.Currency, cmp.Or(c.ref.Reference, m.Reference)
		if m.Kind == payments.MovedCapture {
			c.captured += m.Amount.Minor
		} else {
			c.returned += m.Amount.Minor
		}
	}
	if c.compareCaptures() {
		c.compareRefunds()
	}
	return c.different
}

func (c *comparison) differ(kind paymentdrift.Kind, subject string, shop, gateway int64, f *ent.Refund) {
	d := &ent.PaymentDrift{
		Kind: kind, Subject: subject, Reference: c.ref.Reference, ShopMinor: shop, GatewayMinor: gateway, Currency: c.currency,
	}
	if c.attempt != nil {
		d.OrderID, d.Currency = c.attempt.OrderID, c.attempt.Currency
	}
	if f != nil {
		d.RefundID = &f.ID
	}
	c.different = append(c.different, d)
}

// compareCaptures compares what was taken, and reports whether what was given back of it is to be compared, refund by refund.
func (c *comparison) compareCaptures() bool {
	a := c.attempt
	switch {
	case a == nil:
		if c.captured > c.returned {
			c.differ(paymentdrift.KindCAPTURE_UNKNOWN, c.ref.Attempt, 0, c.captured-c.returned, nil)
		}
		return false
	case c.captured > 0 && !isTaken(a):
		if c.captured > c.returned && (!payments.Status(a.Status).Open() || !c.underWay(a.UpdatedAt)) {
			c.differ(paymentdrift.KindCAPTURE_NOT_RECORDED, a.ID, 0, c.captured-c.returned, nil)
		}
		return false
	case c.captured == 0 && isTaken(a):
		if !c.partial {
			c.differ(paymentdrift.KindCAPTURE_MISSING, a.ID, a.AmountMinor, 0, nil)
		}
		return false
	case c.captured == 0:
		return false
	case a.Status == paymentattempt.StatusCAPTURED && !hasPaid(a) && !c.underWay(a.UpdatedAt):
		c.differ(paymentdrift.KindCAPTURE_WITHOUT_ORDER, a.ID, 0, c.captured-c.returned, nil)
	}
	if a.Status == paymentattempt.StatusREFUNDED && !hasPaid(a) { // all was given back, whoever did so
		if c.returned < c.captured && !c.partial {
			c.differ(paymentdrift.KindREFUND_MISSING, a.ID, c.captured, c.returned, nil)
		}
		return false
	}
	if c.captured != a.AmountMinor {
		c.differ(paymentdrift.KindCAPTURE_AMOUNT, a.ID, a.AmountMinor, c.captured, nil)
	}
	return true
}

// compareRefunds compares what was given back of an attempt whose money was taken.
func (c *comparison) compareRefunds() {
	a, given := c.attempt, map[string]int64{} // by the shop's ID of the refund
	for _, m := range c.moved {
		known := slices.ContainsFunc(c.refunds, func(f *ent.Refund) bool { return f.ID == m.Refund })
		switch {
		case m.Kind != payments.MovedRefund:
		case known:
			given[m.Refund] += m.Amount.Minor
		case isWhole(a, m) && a.Status == paymentattempt.StatusREFUNDING && c.underWay(a.UpdatedAt):
		case isWhole(a, m):
			c.differ(paymentdrift.KindREFUND_NOT_RECORDED, a.ID, 0, m.Amount.Minor, nil)
		default:
			c.differ(paymentdrift.KindREFUND_UNKNOWN, m.ID, 0, m.Amount.Minor, nil)
		}
	}
	for _, f := range c.refunds {
		sum, made := given[f.ID]
		switch {
		case !made:
			if f.Status == refund.StatusREFUNDED && f.AmountMinor > 0 && !c.partial {
				c.differ(paymentdrift.KindREFUND_MISSING, f.ID, f.AmountMinor, 0, f)
			}
		case f.Status == refund.StatusREFUNDED && f.AmountMinor != sum:
			c.differ(paymentdrift.KindREFUND_AMOUNT, f.ID, f.AmountMinor, sum, f)
		case f.Status == refund.StatusFAILED, f.Status != refund.StatusREFUNDED && !c.underWay(f.UpdatedAt):
			c.differ(paymentdrift.KindREFUND_NOT_RECORDED, f.ID, 0, sum, f)
		}
	}
}
