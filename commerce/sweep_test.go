package commerce_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/ent/changelog"
	"holdfast/ent/order"
	"holdfast/ent/paymentattempt"
	"holdfast/lockprovider"
	"holdfast/payments"
)

// sweepAfter is as long as a call of the gateway may take in these tests, and as much again.
const sweepAfter = 2 * longEnough

// sweep runs the job once, when every attempt has waited for long enough, and wants so many ended and so many postponed.
func (s *shop) sweep(t *testing.T, wantEnded, wantPostponed int) {
	t.Helper()
	s.clock.advance(5 * time.Minute)
	ended, postponed, err := s.Attempts.Sweep(t.Context(), sweepAfter, 100)
	must(t, err)
	if ended != wantEnded || postponed != wantPostponed {
		t.Errorf("%d attempts ended and %d postponed, want %d and %d", ended, postponed, wantEnded, wantPostponed)
	}
}

// wantReturned asserts for which attempts there is an event that the payment was given back, as "status reason".
func (s *shop) wantReturned(t *testing.T, want ...string) {
	t.Helper()
	rows, err := s.db.Ent.ChangeLog.Query().Where(changelog.Kind(commerce.KindPaymentReturned)).Order(ent.Asc(changelog.FieldID)).All(t.Context())
	must(t, err)
	var got []string
	for _, row := range rows {
		var p struct{ UserID, Status, Reason string }
		must(t, json.Unmarshal([]byte(row.Payload), &p))
		if p.UserID != alice.UserID {
			t.Errorf("%s is told of it", p.UserID)
		}
		got = append(got, p.Status+" "+p.Reason)
	}
	if strings.Join(got, "; ") != strings.Join(want, "; ") {
		t.Errorf("it is told that payments were given back: %q, want %q", got, want)
	}
}

// TestMoneyFoundLateIsGivenBack: a declined attempt turns out to hold money after another card has paid the order. It is given back, and
// the order stays paid.
func TestMoneyFoundLateIsGivenBack(t *testing.T) {
	for late, want := range map[string]paymentattempt.Status{
		"captured": paymentattempt.StatusREFUNDED, "authorized": paymentattempt.StatusVOIDED,
	} {
		t.Run(late, func(t *testing.T) {
			everyStrategy(t, func(t *testing.T, s *shop) {
				id := s.unpaid(t, s.product(t, 1000, 3), 1, "").ID
				first := payCard(id)
				s.gateway.lose = "authorize"
				_, err := s.Orders.Pay(t.Context(), alice, first)
				wantCodes(t, err, "UNAVAILABLE")
				lost := s.attempts(t, id)[0].ID
				s.gateway.set(id, "declined") // as the gateway says
				_, err = s.Orders.Pay(t.Context(), alice, first)
				wantCodes(t, err, "PAYMENT_DECLINED:input.payment")
				s.clock.advance(time.Second)
				paid, err := s.Orders.Pay(t.Context(), alice, payCard(id))
				must(t, err)
				wantStatus(t, paid.Order, order.StatusPAID)

				s.comesIn(t, lost, late, payments.State(strings.ToUpper(late))) // and was wrong
				s.sweep(t, 1, 0)
				s.wantOrder(t, id, order.StatusPAID, true)
				s.wantAttempts(t, id, want, paymentattempt.StatusCAPTURED)
				s.wantReturned(t, want.String()+" the order was paid otherwise")
				if got := s.gateway.taken(); got != 1000 {
					t.Errorf("the gateway has taken %d, want 1000", got)
				}
				s.sweep(t, 0, 0)
				s.audit(t)
			})
		})
	}
}

// TestTheOrderTellsOfAPaymentThatCameTooLate: an order ends before its payment is known. The
// payment is given back, and the order tells its customer. One that has ended without any money
// tells nothing.
func TestTheOrderTellsOfAPaymentThatCameTooLate(t *testing.T) {
	const (
		expired   = "PAYMENT_DECLINED the order expired before it was paid; the payment was given back"
		cancelled = "PAYMENT_DECLINED the order was cancelled before it was paid; the payment was given back"
	)
	for _, c := range []struct {
		lost   string // the call whose answer is
		ending order.Status
		want   string
		given  paymentattempt.Status
	}{
		{"authorize", order.StatusEXPIRED, expired, paymentattempt.StatusVOIDED},
		{"authorize", order.StatusCANCELLED, cancelled, paymentattempt.StatusVOIDED},
		{"capture", order.StatusCANCELLED, cancelled, paymentattempt.StatusREFUNDED},
	} {
		ending, want := c.ending, c.want
		t.Run(c.lost+" "+string(ending), func(t *testing.T) {
			everyStrategy(t, func(t *testing.T, s *shop) {
				late, unpaid := s.unpaid(t, s.product(t, 1000, 3), 1, "").ID, s.unpaid(t, s.product(t, 1000, 3), 1, "").ID
				s.gateway.lose = c.lost
				_, err := s.Orders.Pay(t.Context(), alice, payCard(late))
				wantCodes(t, err, "UNAVAILABLE")
				if ending == order.StatusCANCELLED {
					for _, id := range []string{late, unpaid} {
						_, err := s.Orders.Cancel(t.Context(), alice, commerce.CancelOrder{Key: uuid.New(), OrderID: id})
						must(t, err)
					}
				}
				s.clock.advance(time.Hour)
				_, _, err = s.Orders.ExpireOverdue(t.Context(), expiryLimit)
				must(t, err)
				s.wantOrder(t, late, ending, true)
				s.wantAttempts(t, late, c.given)
				for id, want := range map[string]string{late: want, unpaid: ""} {
					row, err := s.Orders.Get(t.Context(), alice, id)
					must(t, err)
					if got := strings.TrimSpace(row.FailureCode + " " + row.FailureReason); row.FailureCode != "" && got != want || row.FailureCode == "" && want != "" {
						t.Errorf("the order tells %q, want %q", got, want)
					}
				}
			})
		})
	}
}

// TestLateAuthorizationIsVoided: an order is cancelled while its authorization is on its way. The gateway does not know it, and it is not
// settled before no authorization can come any more.
func TestLateAuthorizationIsVoided(t *testing.T) {
	for _, comes := range []bool{true, false} {
		t.Run(fmt.Sprintf("comes %v", comes), func(t *testing.T) {
			everyStrategy(t, func(t *testing.T, s *shop) {
				a := s.product(t, 1000, 3)
				s.gateway.fail = func(call, _ string) error {
					if call == "authorize" {
						return errGatewayDown
					}
					return nil
				}
				placed, err := s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{
					Key: uuid.New(), Lines: []commerce.Line{{ProductID: a, Quantity: 1}}, Payment: byCard(),
				})
				wantCodes(t, err, "UNAVAILABLE")
				id := placed.Order.ID
				cancelled, err := s.Orders.Cancel(t.Context(), alice, commerce.CancelOrder{Key: uuid.New(), OrderID: id})
				must(t, err)
				wantStatus(t, cancelled.Order, order.StatusCANCELLED)
				s.wantStock(t, a, 3)
				s.wantOrder(t, id, order.StatusCANCELLED, false)
				s.wantAttempts(t, id, paymentattempt.StatusVOIDING)
				s.clock.advance(2*longEnough - time.Second)
				s.expireSome(t, expiryLimit, 0, 1)

				s.gateway.fail = nil
				if comes {
					attempt := s.attempts(t, id)[0]
					_, err = s.gateway.Authorize(t.Context(), payments.Authorization{
						Attempt: attempt.ID, Subject: id, Amount: payments.Amount{Minor: attempt.AmountMinor, Currency: attempt.Currency},
					})
					must(t, err)
				}
				s.nextAttempt()
				s.expire(t, 1)
				s.wantOrder(t, id, order.StatusCANCELLED, true)
				s.wantAttempts(t, id, paymentattempt.StatusVOIDED)
				if got := s.gateway.stateOf(id); got == "authorized" {
					t.Error("the gateway holds the amount")
				}
				if comes {
					s.wantReturned(t, "VOIDED the order is CANCELLED")
				} else {
					s.wantReturned(t)
				}
				s.audit(t)
			})
		})
	}
}

// TestSweepEndsWhatWasCutOff: a payment is cut off at each call and at each write, by a crash or a lost answer, and nobody repeats the
// request. The job takes it to its end: of an order and of points.
func TestSweepEndsWhatWasCutOff(t *testing.T) {
	for _, what := range []string{"order", "points"} {
		for _, cut := range []string{
			"before authorize", "after authorize", "before capture", "after capture", "before the effect",
		} {
			t.Run(what+" "+cut, func(t *testing.T) {
				everyStrategy(t, func(t *testing.T, s *shop) { testSweep(t, s, what, cut) })
			})
		}
	}
}

func testSweep(t *testing.T, s *shop, what, cut string) {
	ctx, crash := context.WithCancel(t.Context())
	defer crash()
	when, call, _ := strings.Cut(cut, " ")
	seen := 0
	s.gateway.fail = func(now, _ string) error {
		if now != strings.Replace(call, "the effect", "capture", 1) {
			return nil
		}
		seen++
		if seen > 1 {
			return nil
		}
		switch when {
		case "before":
			crash() // and so no write follows
			if call == "the effect" {
				return nil
			}
			return errGatewayDown
		default:
			s.gateway.lose = call
			crash()
			return nil
		}
	}
	product := s.product(t, 1000, 3)
	var id string
	if what == "order" {
		id = s.unpaid(t, product, 1, "").ID
		if _, err := s.Orders.Pay(ctx, alice, payCard(id)); err == nil {
			t.Fatal("nothing was cut off")
		}
	} else if _, err := s.Points.Charge(ctx, alice, commerce.ChargePoints{Key: uuid.New(), Amount: 1000}); err == nil {
		t.Fatal("nothing was cut off")
	}
	s.settle(t)
	_, _, err := s.Attempts.Sweep(t.Context(), sweepAfter, 100)
	must(t, err)
	if asked := len(s.gateway.calls); asked > 2 {
		t.Errorf("the job has asked the gateway at once: %v", s.gateway.calls)
	}

	paid := cut != "before authorize"
	if paid {
		s.sweep(t, 1, 0)
	} else {
		s.sweep(t, 0, 1) // it may still be on its way
		s.sweep(t, 1, 0)
	}
	want := int64(0)
	if paid {
		want = 1000
	}
	if got := s.gateway.taken(); got != want {
		t.Errorf("the gateway has taken %d, want %d", got, want)
	}
	attempt, err := s.db.Ent.PaymentAttempt.Query().Only(t.Context())
	must(t, err)
	if status := map[bool]paymentattempt.Status{true: paymentattempt.StatusCAPTURED, false: paymentattempt.StatusVOIDED}[paid]; attempt.Status != status {
		t.Errorf("the attempt is %s, want %s", attempt.Status, status)
	}
	switch {
	case what == "points":
		s.wantPoints(t, alice, want)
		if (attempt.CreditedAt != nil) != paid {
			t.Errorf("the points were added at %v", attempt.CreditedAt)
		}
	case paid:
		s.wantOrder(t, id, order.StatusPAID, true)
	default: // it may be paid by another card
		result, err := s.Orders.Pay(t.Context(), alice, payCard(id))
		must(t, err)
		wantStatus(t, result.Order, order.StatusPAID)
	}
	s.sweep(t, 0, 0)
	s.audit(t)
}

// TestSweepGivesBackWhatTheWalletCannotTake: the points are paid for, and the wallet is full by the time when they are to be added.
func TestSweepGivesBackWhatTheWalletCannotTake(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		in := commerce.ChargePoints{Key: uuid.New(), Amount: 1000}
		s.gateway.lose = "capture"
		_, err := s.Points.Charge(t.Context(), alice, in)
		wantCodes(t, err, "UNAVAILABLE")
		s.points(t, alice, lockprovider.MaxAmount)
		s.sweep(t, 1, 0)
		s.wantPoints(t, alice, lockprovider.MaxAmount)
		s.wantReturned(t, fmt.Sprintf("REFUNDED the wallet can take 0 more points, not %d", in.Amount))
		_, err = s.Points.Charge(t.Context(), alice, in)
		wantCodes(t, err, "PAYMENT_DECLINED")
		s.audit(t)
	})
}

// TestSweepGivesBackWhatWasCutOff: the request dies while the gateway gives back what the wallet cannot take, before or after it has done so.
func TestSweepGivesBackWhatWasCutOff(t *testing.T) {
	for _, when := range []string{"before", "after"} {
		t.Run(when, func(t *testing.T) {
			everyStrategy(t, func(t *testing.T, s *shop) {
				s.points(t, alice, 250)
				ctx, crash := context.WithCancel(t.Context())
				defer crash()
				crashed := false
				s.gateway.fail = func(call, _ string) error {
					if call != "cancel" || crashed {
						return nil
					}
					crashed = true
					crash()
					if when == "before" {
						return errGatewayDown
					}
					s.gateway.lose = call
					return nil
				}
				_, err := s.Points.Charge(ctx, alice, commerce.ChargePoints{Key: uuid.New(), Amount: lockprovider.MaxAmount})
				if err == nil {
					t.Fatal("nothing was cut off")
				}
				s.wantReturned(t)
				s.sweep(t, 1, 0)
				s.wantReturned(t, fmt.Sprintf("REFUNDED the wallet can take %d more points, not %d",
					int64(lockprovider.MaxAmount-250), int64(lockprovider.MaxAmount)))
				if got := s.gateway.taken(); got != 250 {
					t.Errorf("the gateway has taken %d, want 250", got)
				}
				s.wantPoints(t, alice, 250)
				s.audit(t)
			})
		})
	}
}

// TestPointsAreAddedOrGivenBack, of which one happens, while requests and jobs race.
func TestPointsAreAddedOrGivenBack(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		in := commerce.ChargePoints{Key: uuid.New(), Amount: 1000}
		s.gateway.lose = "authorize"
		_, err := s.Points.Charge(t.Context(), alice, in)
		wantCodes(t, err, "UNAVAILABLE")
		s.clock.advance(time.Hour)
		together(6, func(i int) {
			if i%2 == 0 {
				_, _, err := s.Attempts.Sweep(t.Context(), sweepAfter, 100)
				if err != nil {
					t.Error(err)
				}
				return
			}
			_, _ = s.Points.Charge(t.Context(), alice, in)
		})
		_, err = untilSettled(t, func() (commerce.PointsResult, error) { return s.Points.Charge(t.Context(), alice, in) })
		must(t, err)
		s.wantPoints(t, alice, 1000)
		if got := s.gateway.taken(); got != 1000 {
			t.Errorf("the gateway has taken %d, want 1000", got)
		}
		s.audit(t)
	})
}

// TestSweepWaits longer with each look at an attempt that it cannot end, and says which ones need a person.
func TestSweepWaits(t *testing.T) {
	s := newShop(t, lockprovider.AtomicSQL)
	s.gateway.lose = "authorize"
	_, err := s.Points.Charge(t.Context(), alice, commerce.ChargePoints{Key: uuid.New(), Amount: 1000})
	wantCodes(t, err, "UNAVAILABLE")
	s.gateway.fail = func(string, string) error { return errGatewayDown }
	for looks := range 6 {
		stuck, err := s.Attempts.CountStuck(t.Context())
		must(t, err)
		if stuck != 0 {
			t.Errorf("a person is asked for after %d looks", looks)
		}
		s.clock.advance(time.Hour)
		s.sweep(t, 0, 1)
		ended, postponed, err := s.Attempts.Sweep(t.Context(), sweepAfter, 100)
		must(t, err)
		if ended+postponed > 0 {
			t.Error("it looks again at once")
		}
	}
	stuck, err := s.Attempts.CountStuck(t.Context())
	must(t, err)
	attempt := s.db.Ent.PaymentAttempt.Query().OnlyX(t.Context())
	if stuck != 1 || !strings.Contains(attempt.LastError, "connection refused") {
		t.Errorf("%d attempts need a person, because of %q", stuck, attempt.LastError)
	}
	s.gateway.fail = nil
	s.clock.advance(time.Hour)
	s.sweep(t, 1, 0)
	s.wantPoints(t, alice, 1000)
}

// TestAttemptsHaveOneSubject: the database refuses an attempt for nothing, and one for an order and points.
func TestAttemptsHaveOneSubject(t *testing.T) {
	everyDatabase(t, func(t *testing.T, url string) {
		s := openShop(t, lockprovider.FamilyConfig{Strategy: lockprovider.AtomicSQL}, url, clients.EmbeddedRedis)
		id := s.unpaid(t, s.product(t, 1000, 3), 1, "").ID
		row := func(attempt string) *ent.PaymentAttemptCreate {
			return s.db.Ent.PaymentAttempt.Create().SetID(attempt).SetGateway("test").
				SetStatus(paymentattempt.StatusAUTHORIZING).SetAmountMinor(1).SetCurrency("USD")
		}
		must(t, row("pat_1").SetOrderID(id).Exec(t.Context()))
		must(t, row("top_1").SetUserID("alice").SetPoints(1).Exec(t.Context()))
		for name, wrong := range map[string]*ent.PaymentAttemptCreate{
			"for nothing": row("pat_2"), "for an order and points": row("pat_3").SetOrderID(id).SetUserID("alice").SetPoints(1),
			"for points of nobody": row("top_2").SetPoints(1), "for no points": row("top_3").SetUserID("alice").SetPoints(0),
		} {
			if err := wrong.Exec(t.Context()); err == nil {
				t.Errorf("an attempt %s was made", name)
			}
		}
	})
}
