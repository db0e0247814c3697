package commerce_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"

	"holdfast/commerce"
	"holdfast/ent/order"
	"holdfast/ent/paymentattempt"
	"holdfast/payments"
	"holdfast/payments/stripe/stripetest"
)

// advice returns the statement that docs/operations.md gives for a kind of difference, for one row.
func advice(t *testing.T, kind, id string) string {
	t.Helper()
	text, err := os.ReadFile("../docs/operations.md")
	must(t, err)
	found := regexp.MustCompile("(?m)^\\| `" + kind + "` \\|.*`(UPDATE [^`]*WHERE id = '…')`").FindSubmatch(text)
	if found == nil {
		t.Fatalf("docs/operations.md has no statement for %s", kind)
	}
	return strings.ReplaceAll(string(found[1]), "…", id)
}

// TestAdviceForCapturesThatAreNotRecorded does what docs/operations.md says of a payment that the gateway has taken and the shop takes for
// declined or voided: the order that still waits for it is paid, the points are added, and what has ended is given back. Nothing differs after that.
func TestAdviceForCapturesThatAreNotRecorded(t *testing.T) {
	everyDatabase(t, func(t *testing.T, url string) {
		s, ctx := openStripeShop(t, url), t.Context()
		s.reconcile(t)
		product := s.product(t, 1000, 100)
		// taken has Stripe take an attempt by hand, while the shop takes it for something else.
		taken := func(a string, status paymentattempt.Status, minor int64) string {
			s.stripe.Confirm(t, s.secretOf(t, a), stripetest.Visa)
			answer, err := s.atStripe().Capture(ctx, payments.Ref{Attempt: a}, payments.Amount{Minor: minor, Currency: "USD"})
			must(t, err)
			if answer.State != payments.StateCaptured {
				t.Fatalf("captured by hand: %+v", answer)
			}
			must(t, s.db.Ent.PaymentAttempt.UpdateOneID(a).SetStatus(status).ClearLookAt().ClearOpenOrderID().SetUpdatedAt(s.clock.Now()).Exec(ctx))
			return a
		}
		pay := func() (id, a string) {
			id = s.unpaid(t, product, 1, "").ID
			_, err := s.Orders.Pay(ctx, alice, payCard(id))
			must(t, err)
			return id, s.attempts(t, id)[0].ID
		}
		waits, first := pay()
		taken(first, paymentattempt.StatusDECLINED, 1000)
		cancelled, second := pay()
		taken(second, paymentattempt.StatusVOIDED, 1000)
		must(t, s.db.Ent.PaymentAttempt.UpdateOneID(second).SetStatus(paymentattempt.StatusVOIDED).Exec(ctx))
		_, err := s.Orders.Cancel(ctx, alice, commerce.CancelOrder{Key: uuid.New(), OrderID: cancelled})
		must(t, err)
		s.wantOrder(t, cancelled, order.StatusCANCELLED, true)
		charged, err := s.Points.Charge(ctx, alice, commerce.ChargePoints{Key: uuid.New(), Amount: 500})
		must(t, err)
		third := taken(charged.Attempt.ID, paymentattempt.StatusDECLINED, 500)

		s.pass(twoDays)
		s.wantFound(t, "CAPTURE_NOT_RECORDED "+first, "CAPTURE_NOT_RECORDED "+second, "CAPTURE_NOT_RECORDED "+third)
		for _, a := range []string{first, second, third} {
			_, err := s.db.Ent.ExecContext(ctx, advice(t, "CAPTURE_NOT_RECORDED", a))
			must(t, err)
		}
		s.sweep(t, 3, 0)
		s.wantOrder(t, waits, order.StatusPAID, true)
		s.wantAttempts(t, waits, paymentattempt.StatusCAPTURED)
		s.wantOrder(t, cancelled, order.StatusCANCELLED, true)
		s.wantAttempts(t, cancelled, paymentattempt.StatusREFUNDED)
		s.wantPoints(t, alice, 500)
		if got := s.stripe.Taken(); got != 1500 {
			t.Errorf("Stripe keeps %d, want 1500", got)
		}
		if found, settled, _ := s.reconcile(t); len(found) > 0 || settled != 3 {
			t.Errorf("after that: found %q, and settled %d of 3", found, settled)
		}
		s.audit(t)
	})
}
