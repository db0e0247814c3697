package e2e

import (
	"fmt"
	"io"
	"strings"
	"testing"

	entsql "entgo.io/ent/dialect/sql"

	"holdfast/ent/balance"
	"holdfast/ent/order"
	"holdfast/ent/payment"
	"holdfast/ent/paymentattempt"
	"holdfast/ent/refund"
	"holdfast/lockprovider"
)

// covered sees, while no server runs, that what Stripe has captured belongs to a payment that the database has confirmed.
func (k *paymentKills) covered(t *testing.T) {
	t.Helper()
	for id := range k.stripe.Captured() {
		a, err := k.attemptOf(t.Context(), id)
		if err == nil && paysFor(a) {
			continue
		}
		k.uncovered++
		if !k.captureEarly {
			t.Errorf("captured without a confirmed order: %s (%v)", id, err)
		}
	}
}

// check compares the money and the goods of the whole shop.
func (k *paymentKills) check(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	var kept, sold int64
	orders, err := k.db.Ent.Order.Query().WithPayment().WithLines().WithPaymentAttempts().All(ctx)
	must(t, err)
	for _, row := range orders {
		captured := 0
		for _, a := range row.Edges.PaymentAttempts {
			if a.Status == paymentattempt.StatusCAPTURED || a.Status == paymentattempt.StatusREFUNDED && row.Status == order.StatusPAID {
				captured++
			}
		}
		made := row.Edges.Payment
		switch {
		case row.Status == order.StatusPAID:
			if captured != 1 || made == nil || made.Status != payment.StatusCAPTURED && made.Status != payment.StatusREFUNDED {
				t.Errorf("paid order without a capture: %s has %d captured attempts, and the payment %v", row.ID, captured, made)
				continue
			}
			kept += made.AmountMinor - made.RefundedMinor
			for _, l := range row.Edges.Lines {
				sold += l.Quantity
			}
		case captured > 0:
			t.Errorf("capture without an order: %s is %s", row.ID, row.Status)
		}
	}
	topups, err := k.db.Ent.PaymentAttempt.Query().Where(paymentattempt.PointsNotNil(), paymentattempt.CreditedAtNotNil()).All(ctx)
	must(t, err)
	var points int64
	for _, a := range topups {
		kept, points = kept+a.AmountMinor, points+*a.Points
	}
	returned, err := k.db.Ent.Refund.Query().Where(refund.RestockedAtNotNil()).WithLines().All(ctx)
	must(t, err)
	for _, f := range returned {
		for _, l := range f.Edges.Lines {
			sold -= l.Quantity
		}
	}
	wantEqual(t, "captured at Stripe and not refunded", k.stripe.Taken(), kept)
	wantEqual(t, "stock", k.root.stock(t, k.product), killStock-sold)
	eventually(t, "no order is counted as waiting for payment", func() bool { // a change may be written behind
		waiting, err := k.db.Ent.Balance.Query().Where(balance.AmountNEQ(0), func(s *entsql.Selector) {
			s.Where(entsql.HasPrefix(s.C(balance.FieldID), lockprovider.PendingKey("")))
		}).Exist(ctx)
		must(t, err)
		return !waiting
	})
	wantEqual(t, "holds at Stripe that nobody captures or voids", k.stripe.Held(), 0)
	if points > 0 {
		wantEqual(t, "points", k.alice.points(t), points)
	}
	if !k.captureEarly {
		wantEqual(t, "captures before their order was confirmed", k.early.Load(), 0)
	}
}

// books returns all that may not change after everything has ended.
func (k *paymentKills) books(t *testing.T) string {
	t.Helper()
	var lines strings.Builder
	for _, table := range []string{
		"SELECT id, status, settled, counted, refund_count FROM orders", "SELECT id, status, refunded_minor, refunding_minor FROM payments",
		"SELECT id, status, amount_minor, credited_at FROM payment_attempts", "SELECT id, status, amount_minor, restocked_at FROM refunds",
		"SELECT id, amount, applied, 0 FROM balances",
		"SELECT id, balance, delta, amount_after FROM entries", "SELECT id, kind, payload FROM change_logs",
	} {
		k.list(t, &lines, table+" ORDER BY id")
	}
	return lines.String()
}

// list writes the rows of a query.
func (k *paymentKills) list(t *testing.T, into io.Writer, query string) {
	t.Helper()
	rows, err := k.raw.QueryContext(t.Context(), query)
	must(t, err)
	defer rows.Close()
	columns, err := rows.Columns()
	must(t, err)
	for rows.Next() {
		values, pointers := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			pointers[i] = &values[i]
		}
		must(t, rows.Scan(pointers...))
		fmt.Fprintln(into, values...)
	}
	must(t, rows.Err())
}
