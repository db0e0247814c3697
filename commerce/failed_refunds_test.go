package commerce_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	entgo "entgo.io/ent"

	"holdfast/ent"
	"holdfast/ent/paymentattempt"
	"holdfast/ent/refund"
	"holdfast/payments/stripe/stripetest"
)

// eventOf is the newest event of a kind.
func (s *stripeShop) eventOf(t *testing.T, kind string) stripetest.Event {
	t.Helper()
	for _, e := range slices.Backward(s.stripe.Events()) {
		if e.Type == kind {
			return e
		}
	}
	t.Fatalf("Stripe has told of no %s", kind)
	return stripetest.Event{}
}

// receive gives an event to the shop.
func (s *stripeShop) receive(ctx context.Context, e stripetest.Event) error {
	_, err := s.Orders.ReceiveWebhook(ctx, "stripe", stripetest.Sign(e.Body, stripetest.WebhookSecret, s.clock.Now()), e.Body)
	return err
}

// TestRefundThatFailsWhileItIsNoted: Stripe tells that a refund has failed while the transaction that notes that it was made is not committed. The
// message waits for it, and is not lost.
func TestRefundThatFailsWhileItIsNoted(t *testing.T) {
	url, ctx := postgres(t), t.Context()
	s := openStripeShop(t, url)
	observer, err := sql.Open("pgx", url)
	must(t, err)
	t.Cleanup(func() { must(t, observer.Close()) })
	id, a := s.bought(t, s.product(t, 1000, 10))
	var once atomic.Bool
	told := make(chan error, 1)
	s.db.Ent.Payment.Use(func(next entgo.Mutator) entgo.Mutator {
		return entgo.MutateFunc(func(ctx context.Context, m entgo.Mutation) (entgo.Value, error) {
			v, err := next.Mutate(ctx, m)
			if made, is := m.(*ent.PaymentMutation); !is || err != nil {
				return v, err
			} else if added, is := made.AddedRefundedMinor(); !is || added < 0 || !once.CompareAndSwap(false, true) {
				return v, err
			}
			f, err := s.db.Ent.Refund.Query().Where(refund.OrderID(id)).OnlyID(t.Context())
			if err != nil {
				return nil, err
			}
			s.stripe.Alter(t, a, 1000, map[string]int64{f: 0})
			go func() { told <- s.receive(t.Context(), s.eventOf(t, "refund.failed")) }()
			return v, waitsForARow(t, observer)
		})
	})
	f := s.refunded(t, id, 400)
	if err := <-told; err != nil { // then Stripe repeats it
		must(t, s.receive(ctx, s.eventOf(t, "refund.failed")))
	}
	row, err := s.Orders.Get(ctx, admin, id)
	must(t, err)
	now, err := s.db.Ent.Refund.Get(ctx, f)
	must(t, err)
	if made := row.Edges.Payment; now.Status != refund.StatusFAILED || made.RefundedMinor != 0 || made.RefundingMinor != 0 {
		t.Errorf("the refund is %s (%s), the payment %+v", now.Status, now.FailureReason, made)
	}
	s.refunded(t, id, 1000)
	s.audit(t)
}

// waitsForARow returns when a transaction of PostgreSQL waits for a row.
func waitsForARow(t *testing.T, observer *sql.DB) error {
	t.Helper()
	for began := time.Now(); time.Since(began) < longEnough; {
		var waiting int
		err := observer.QueryRowContext(t.Context(), "SELECT count(*) FROM pg_stat_activity "+
			"WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event IN ('transactionid', 'tuple')").Scan(&waiting)
		if err != nil || waiting > 0 {
			return err
		}
	}
	return fmt.Errorf("waited %v for the message to wait for the row of the refund", longEnough)
}

// TestChargeRefundedWhileTheRefundFails: a late charge.refunded and refund.failed come at the same time. The payment stays captured, and all of it can
// be refunded.
func TestChargeRefundedWhileTheRefundFails(t *testing.T) {
	everyDatabase(t, func(t *testing.T, url string) {
		s, ctx := openStripeShop(t, url), t.Context()
		id, a := s.bought(t, s.product(t, 1000, 10))
		f := s.refunded(t, id, 1000)
		s.stripe.Alter(t, a, 1000, map[string]int64{f: 0})
		late := s.eventOf(t, "charge.refunded")
		asked := s.afterRead(t, "Only", "PaymentAttempt", func() { must(t, s.receive(ctx, s.eventOf(t, "refund.failed"))) })
		if err := s.receive(asked, late); err != nil { // then Stripe repeats it
			must(t, s.receive(ctx, late))
		}
		s.wantAttempts(t, id, paymentattempt.StatusCAPTURED)
		s.refunded(t, id, 1000)
		s.wantAttempts(t, id, paymentattempt.StatusREFUNDED)
		s.audit(t)
	})
}
