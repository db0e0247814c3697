package commerce_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"holdfast/commerce"
	"holdfast/ent/paymentattempt"
	"holdfast/lockprovider"
	"holdfast/payments"
)

// lateTopUp is a payment for points that its customer has not confirmed in time, and that the shop has begun to end.
func lateTopUp(t *testing.T, s *shop) (in commerce.ChargePoints, attempt string) {
	t.Helper()
	in = commerce.ChargePoints{Key: uuid.New(), Amount: 250}
	s.gateway.fail = func(string, string) error { return errAction }
	_, err := s.Points.Charge(t.Context(), alice, in)
	must(t, err)
	s.gateway.fail = func(call, _ string) error {
		if call == "cancel" {
			return errGatewayDown
		}
		return nil
	}
	s.clock.advance(reservation)
	s.sweep(t, 0, 1)
	row := s.db.Ent.PaymentAttempt.Query().OnlyX(t.Context())
	if row.Status != paymentattempt.StatusVOIDING {
		t.Fatalf("the attempt is %s, want VOIDING", row.Status)
	}
	return in, row.ID
}

// TestPointsOfAPaymentThatIsBeingEnded: it is not told that a payment has ended before the gateway has said so. What the customer is told
// then stays true: money that comes later is given back, and adds no points.
func TestPointsOfAPaymentThatIsBeingEnded(t *testing.T) {
	for _, captured := range []string{"before its end", "after its end"} {
		t.Run("captured "+captured, func(t *testing.T) {
			everyStrategy(t, func(t *testing.T, s *shop) {
				in, attempt := lateTopUp(t, s)
				_, err := s.Points.Charge(t.Context(), alice, in)
				if told := wantCodes(t, err, "UNAVAILABLE"); len(told) > 0 && !told[0].Retryable {
					t.Errorf("told %+v, want that a repeat may succeed", told[0])
				}
				s.gateway.fail = nil
				if captured == "after its end" {
					_, err = s.Points.Charge(t.Context(), alice, in)
					if told := wantCodes(t, err, "PAYMENT_DECLINED"); len(told) > 0 && !strings.Contains(told[0].Message, "has ended, and nothing was taken") {
						t.Errorf("told %q", told[0].Message)
					}
				}
				s.comesIn(t, attempt, "captured", payments.StateCaptured)
				s.sweep(t, 1, 0)
				s.wantPoints(t, alice, 0)
				if got := s.gateway.taken(); got != 0 {
					t.Errorf("the gateway has taken %d, want 0", got)
				}
				_, err = s.Points.Charge(t.Context(), alice, in)
				if told := wantCodes(t, err, "PAYMENT_DECLINED"); len(told) > 0 && !strings.Contains(told[0].Message, "was given back: it was not confirmed in time") {
					t.Errorf("told %q", told[0].Message)
				}
				s.audit(t)
			})
		})
	}
}

// TestDeclinedPointsAreNotAddedLater: a payment for points was declined, and holds money after all. It is given back.
func TestDeclinedPointsAreNotAddedLater(t *testing.T) {
	s := newShop(t, lockprovider.AtomicSQL)
	in := commerce.ChargePoints{Key: uuid.New(), Amount: 250}
	s.gateway.fail = func(string, string) error { return errDeclined }
	_, err := s.Points.Charge(t.Context(), alice, in)
	wantCodes(t, err, "PAYMENT_DECLINED")
	s.gateway.fail = nil
	attempt := s.db.Ent.PaymentAttempt.Query().OnlyX(t.Context()).ID
	s.gateway.becomes(attempt, "captured")
	s.wantDelivered(t, s.tells(t, attempt, payments.StateCaptured), commerce.WebhookApplied)
	s.sweep(t, 1, 0)
	s.wantPoints(t, alice, 0)
	if got := s.gateway.taken(); got != 0 {
		t.Errorf("the gateway has taken %d, want 0", got)
	}
	s.audit(t)
}

// TestCreditedPointsAreLookedAfter: somebody asks for a look at a payment whose points were added. Nothing is to be done for it.
func TestCreditedPointsAreLookedAfter(t *testing.T) {
	s := newShop(t, lockprovider.AtomicSQL)
	_, err := s.Points.Charge(t.Context(), alice, commerce.ChargePoints{Key: uuid.New(), Amount: 250})
	must(t, err)
	must(t, s.db.Ent.PaymentAttempt.Update().SetLookAt(s.clock.Now()).Exec(t.Context()))
	s.sweep(t, 1, 0)
	s.wantPoints(t, alice, 250)
	s.audit(t)
}
