package commerce

import (
	"context"

	"entgo.io/ent/dialect/sql"

	"holdfast/ent"
	"holdfast/ent/paymentattempt"
	"holdfast/ent/predicate"
	"holdfast/ent/refund"
)

// openAttempts are the attempts that [Attempts.Sweep] has failed to end at least so many times in a row. One that waits for its customer is
// none of them.
func openAttempts(looks int) []predicate.PaymentAttempt {
	return []predicate.PaymentAttempt{
		paymentattempt.LookAtGT(longAgo), paymentattempt.LooksGTE(looks), paymentattempt.StatusNEQ(paymentattempt.StatusREQUIRES_ACTION),
	}
}

// openRefunds are the refunds that [Refunds.Sweep] has failed to complete at least so many times in a row.
func openRefunds(looks int) []predicate.Refund {
	return []predicate.Refund{refund.LookAtGT(longAgo), refund.LooksGTE(looks)}
}

// Unsettled returns the payment attempts that the job has failed to end, with their orders, the most failed looks first, at most limit of
// them. Admins only.
func (s *Attempts) Unsettled(ctx context.Context, v Viewer, limit int) ([]*ent.PaymentAttempt, error) {
	if err := v.admin(); err != nil {
		return nil, err
	}
	return s.Client.PaymentAttempt.Query().Where(openAttempts(1)...).
		WithOrder(func(q *ent.OrderQuery) { withDetails(q) }).
		Order(paymentattempt.ByLooks(sql.OrderDesc()), paymentattempt.ByID()).Limit(limit).All(ctx)
}

// CountStuck returns how many attempts there are that [Attempts.Sweep] has failed to end several times, besides those that wait for
// their customers.
func (s *Attempts) CountStuck(ctx context.Context) (int, error) {
	return s.Client.PaymentAttempt.Query().Where(openAttempts(failedAttempts)...).Count(ctx)
}

// Unsettled returns the refunds that the job has failed to complete, with their orders, the most failed looks first, at most limit of them.
// Admins only.
func (s *Refunds) Unsettled(ctx context.Context, v Viewer, limit int) ([]*ent.Refund, error) {
	if err := v.admin(); err != nil {
		return nil, err
	}
	return withParts(s.Client.Refund.Query().Where(openRefunds(1)...)).
		WithOrder(func(q *ent.OrderQuery) { withDetails(q) }).
		Order(refund.ByLooks(sql.OrderDesc()), refund.ByID()).Limit(limit).All(ctx)
}

// CountStuck returns how many refunds there are that [Refunds.Sweep] has failed to complete several times.
func (s *Refunds) CountStuck(ctx context.Context) (int, error) {
	return s.Client.Refund.Query().Where(openRefunds(failedAttempts)...).Count(ctx)
}

// SettlementAfter returns the settlement of what a job has failed to finish so many times in a row.
func SettlementAfter(failed int) Settlement {
	if failed >= failedAttempts {
		return SettlementFailed
	}
	return SettlementRetrying
}
