package commerce_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/commerce"
	"holdfast/config/setting"
	"holdfast/ent"
	"holdfast/ent/changelog"
	"holdfast/ent/order"
	"holdfast/ent/payment"
	"holdfast/ent/paymentattempt"
	"holdfast/ent/paymentdrift"
	"holdfast/ent/refund"
	"holdfast/lockprovider"
	"holdfast/payments"
	"holdfast/payments/stripe"
	"holdfast/payments/stripe/stripetest"
)

// pass lets time pass, for the shop and for Stripe.
func (s *stripeShop) pass(d time.Duration) {
	s.clock.advance(d)
	s.stripe.Advance(d)
}

// atStripe acts on Stripe behind the back of the shop.
func (s *stripeShop) atStripe() *stripe.Gateway {
	return stripe.New(stripe.Settings{SecretKey: stripetest.SecretKey, URL: setting.URL(s.stripe.URL)})
}

// bought is an order that is paid by card, and its attempt.
func (s *stripeShop) bought(t *testing.T, product string) (orderID, attempt string) {
	t.Helper()
	id := s.unpaid(t, product, 1, "").ID
	in := payCard(id)
	_, err := s.Orders.Pay(t.Context(), alice, in)
	must(t, err)
	attempt = s.attempts(t, id)[0].ID
	s.stripe.Confirm(t, s.secretOf(t, attempt), stripetest.Visa)
	result, err := s.Orders.Pay(t.Context(), alice, in)
	must(t, err)
	wantStatus(t, result.Order, order.StatusPAID)
	return id, attempt
}

func (s *stripeShop) refunded(t *testing.T, orderID string, minor int64) string {
	t.Helper()
	result, err := s.Refunds.Create(t.Context(), admin, amountOf(orderID, minor))
	must(t, err)
	return result.Refund.ID
}

// reconcile compares all days that have ended, two rows at a time, and returns what was found and
// settled. It goes on as a new process would.
func (s *stripeShop) reconcile(t *testing.T) (found []string, settled, compared int) {
	t.Helper()
	note := func(done commerce.DriftStep) {
		for _, d := range done.Found {
			found = append(found, fmt.Sprintf("%s %s", d.Kind, d.Subject))
		}
		settled += done.Settled
		compared += done.Compared
	}
	for last, first := int64(0), true; first || last > 0; first = false {
		next, done, err := s.Drifts.Recheck(t.Context(), last, 2)
		must(t, err)
		note(done)
		last = next
	}
	for {
		done, err := s.Drifts.Step(t.Context(), 2)
		must(t, err)
		note(done)
		if !done.More {
			return found, settled, compared
		}
	}
}

// day is a day with all that a clean day may have.
func (s *stripeShop) day(t *testing.T) (product string) {
	t.Helper()
	ctx := t.Context()
	product = s.product(t, 1000, 1000)
	s.bought(t, product)
	declined := s.unpaid(t, product, 1, "").ID // and then expired
	_, err := s.Orders.Pay(ctx, alice, payCard(declined))
	must(t, err)
	s.stripe.Confirm(t, s.secretOf(t, s.attempts(t, declined)[0].ID), stripetest.Declined)
	late := s.unpaid(t, product, 1, "").ID // captured by hand, and refunded since the order has expired
	_, err = s.Orders.Pay(ctx, alice, payCard(late))
	must(t, err)
	attempt := s.attempts(t, late)[0].ID
	s.pass(reservation)
	_, _, err = s.Orders.ExpireOverdue(ctx, expiryLimit)
	must(t, err)
	voided := s.unpaid(t, product, 1, "").ID
	_, err = s.Orders.Pay(ctx, alice, payCard(voided))
	must(t, err)
	other := s.attempts(t, voided)[0].ID
	s.stripe.Confirm(t, s.secretOf(t, other), stripetest.Visa)
	answer, err := s.atStripe().Capture(ctx, payments.Ref{Attempt: other}, payments.Amount{Minor: 1000, Currency: "USD"})
	must(t, err)
	if answer.State != payments.StateCaptured {
		t.Fatalf("captured by hand: %+v", answer)
	}
	_, err = s.Orders.Cancel(ctx, alice, commerce.CancelOrder{Key: uuid.New(), OrderID: voided})
	must(t, err)
	parts, _ := s.bought(t, product)
	s.refunded(t, parts, 300)
	s.refunded(t, parts, 200)
	all, _ := s.bought(t, product)
	s.refunded(t, all, 1000)
	cancelled, _ := s.bought(t, product)
	_, err = s.Orders.Cancel(ctx, alice, commerce.CancelOrder{Key: uuid.New(), OrderID: cancelled})
	must(t, err)
	in := commerce.ChargePoints{Key: uuid.New(), Amount: 500}
	charge, err := s.Points.Charge(ctx, alice, in)
	must(t, err)
	s.stripe.Confirm(t, s.secretOf(t, charge.Attempt.ID), stripetest.Visa)
	_, err = s.Points.Charge(ctx, alice, in)
	must(t, err)
	for range 3 {
		_, _, err = s.Orders.ExpireOverdue(ctx, expiryLimit)
		must(t, err)
		s.nextAttempt()
		_, _, err = s.Attempts.Sweep(ctx, 0, 100)
		must(t, err)
	}
	for id, want := range map[string]paymentattempt.Status{
		other: paymentattempt.StatusREFUNDED, attempt: paymentattempt.StatusVOIDED,
	} {
		if a, err := s.db.Ent.PaymentAttempt.Get(ctx, id); err != nil || a.Status != want {
			t.Fatalf("the attempt %+v is not %s: %v", a, want, err)
		}
	}
	return product
}

// TestPaymentDrift: a day on which everything has happened shows no difference. Then each kind of
// difference is made by hand, one a day: it is found, by its name, once, and told until it is gone.
func TestPaymentDrift(t *testing.T) {
	everyDatabase(t, func(t *testing.T, url string) {
		s, ctx := openStripeShop(t, url), t.Context()
		s.reconcile(t) // notes that the days before are done
		product := s.day(t)
		const days = 49 * time.Hour
		s.pass(days)
		if found, settled, compared := s.reconcile(t); len(found) > 0 || settled > 0 || compared < 15 {
			t.Fatalf("a clean day: found %v, settled %d, compared %d", found, settled, compared)
		}
		db := s.db.Ent
		for _, test := range []struct {
			kind paymentdrift.Kind
			make func() (subject string, mend func())
		}{
			{paymentdrift.KindCAPTURE_UNKNOWN, func() (string, func()) {
				usd := payments.Amount{Minor: 700, Currency: "USD"}
				a := payments.Authorization{Attempt: "pat_of_nobody", Amount: usd, Token: stripetest.Visa}
				_, err := s.atStripe().Authorize(ctx, a)
				must(t, err)
				_, err = s.atStripe().Capture(ctx, payments.Ref{Attempt: a.Attempt}, usd)
				must(t, err)
				return a.Attempt, func() {
					_, err := s.atStripe().Refund(ctx, payments.Ref{Attempt: a.Attempt}, "by hand", usd)
					must(t, err)
				}
			}},
			{paymentdrift.KindCAPTURE_NOT_RECORDED, func() (string, func()) {
				id, a := s.bought(t, product)
				set := func(status paymentattempt.Status, paid order.Status) {
					must(t, db.PaymentAttempt.UpdateOneID(a).SetStatus(status).Exec(ctx))
					must(t, db.Order.UpdateOneID(id).SetStatus(paid).Exec(ctx))
				}
				set(paymentattempt.StatusDECLINED, order.StatusFAILED)
				return a, func() { set(paymentattempt.StatusCAPTURED, order.StatusPAID) }
			}},
			{paymentdrift.KindCAPTURE_MISSING, func() (string, func()) {
				id, a := s.bought(t, product)
				s.stripe.Alter(t, a, 0, nil)
				return a, func() {
					must(t, db.PaymentAttempt.UpdateOneID(a).SetStatus(paymentattempt.StatusVOIDED).Exec(ctx))
					must(t, db.Order.UpdateOneID(id).SetStatus(order.StatusFAILED).Exec(ctx))
				}
			}},
			{paymentdrift.KindCAPTURE_AMOUNT, func() (string, func()) {
				_, a := s.bought(t, product)
				s.stripe.Alter(t, a, 900, nil)
				return a, func() { s.stripe.Alter(t, a, 1000, nil) }
			}},
			{paymentdrift.KindCAPTURE_WITHOUT_ORDER, func() (string, func()) {
				id, a := s.bought(t, product)
				must(t, db.Order.UpdateOneID(id).SetStatus(order.StatusEXPIRED).Exec(ctx))
				return a, func() { must(t, db.Order.UpdateOneID(id).SetStatus(order.StatusPAID).Exec(ctx)) }
			}},
			{paymentdrift.KindORDER_WITHOUT_CAPTURE, func() (string, func()) {
				id := s.unpaid(t, product, 1, "").ID
				must(t, db.Order.UpdateOneID(id).SetStatus(order.StatusPAID).SetSettled(true).Exec(ctx))
				return id, func() { must(t, db.Order.UpdateOneID(id).SetStatus(order.StatusFAILED).Exec(ctx)) }
			}},
			{paymentdrift.KindREFUND_UNKNOWN, func() (string, func()) {
				id, a := s.bought(t, product)
				s.stripe.Alter(t, a, 1000, map[string]int64{"": 50})
				moved, err := s.atStripe().Movements(ctx, payments.Ref{Attempt: a})
				must(t, err)
				return moved[1].ID, func() {
					_, err := s.Orders.Cancel(ctx, alice, commerce.CancelOrder{Key: uuid.New(), OrderID: id})
					must(t, err)
				}
			}},
			{paymentdrift.KindREFUND_NOT_RECORDED, func() (string, func()) {
				id, _ := s.bought(t, product)
				f := s.refunded(t, id, 100)
				set := func(status refund.Status) { must(t, db.Refund.UpdateOneID(f).SetStatus(status).Exec(ctx)) }
				set(refund.StatusFAILED)
				return f, func() { set(refund.StatusREFUNDED) }
			}},
			{paymentdrift.KindREFUND_MISSING, func() (string, func()) {
				id, a := s.bought(t, product)
				f := s.refunded(t, id, 100)
				s.stripe.Alter(t, a, 1000, map[string]int64{f: 0})
				return f, func() { must(t, db.Refund.UpdateOneID(f).SetStatus(refund.StatusFAILED).Exec(ctx)) }
			}},
			{paymentdrift.KindREFUND_AMOUNT, func() (string, func()) {
				id, a := s.bought(t, product)
				f := s.refunded(t, id, 100)
				s.stripe.Alter(t, a, 1000, map[string]int64{f: 90})
				return f, func() { s.stripe.Alter(t, a, 1000, map[string]int64{f: 100}) }
			}},
		} {
			t.Run(string(test.kind), func(t *testing.T) {
				subject, mend := test.make()
				s.pass(days)
				if found, _, _ := s.reconcile(t); len(found) != 1 || found[0] != string(test.kind)+" "+subject {
					t.Fatalf("found %q, want %s %s", found, test.kind, subject)
				}
				if found, settled, _ := s.reconcile(t); len(found) > 0 || settled > 0 {
					t.Errorf("found again %q, and settled %d", found, settled)
				}
				list, err := s.Drifts.List(ctx, true)
				must(t, err)
				if len(list) != 1 || list[0].Kind != test.kind || list[0].ShopMinor == list[0].GatewayMinor {
					t.Errorf("open: %v", list)
				}
				mend()
				s.pass(time.Minute)
				if found, settled, _ := s.reconcile(t); len(found) > 0 || settled != 1 {
					t.Errorf("when it is mended: found %q, and settled %d", found, settled)
				}
			})
		}
		if list, err := s.Drifts.List(ctx, false); err != nil || len(list) != 10 {
			t.Errorf("%d are listed, %v", len(list), err)
		}
		if n, err := db.Payment.Query().Where(payment.StatusEQ(payment.StatusAUTHORIZED)).Count(ctx); err != nil || n > 0 {
			t.Errorf("%d payments are not ended, %v", n, err)
		}
	})
}

// TestRefundThatFailsLater: Stripe tells that a refund has failed, by three events, each 0, 1 or 3
// times, before or after that of the refund itself. The amount can be refunded anew, once. If
// nothing comes, the difference is found; so it is of a cancelled order, whose refund is none of
// the shop's.
func TestRefundThatFailsLater(t *testing.T) {
	everyDatabase(t, func(t *testing.T, url string) {
		s, ctx := openStripeShop(t, url), t.Context()
		s.reconcile(t)
		product, missing := s.product(t, 1000, 1000), 0
		for _, minor := range []int64{400, 1000} { // a part, and all
			for _, times := range []int{0, 1, 3} {
				for _, backwards := range []bool{false, true} {
					id, a := s.bought(t, product)
					seen := len(s.stripe.Events())
					f := s.refunded(t, id, minor)
					s.stripe.Alter(t, a, 1000, map[string]int64{f: 0})
					s.deliver(t, seen, times, backwards)
					row, err := s.Orders.Get(ctx, admin, id)
					must(t, err)
					now, err := s.db.Ent.Refund.Get(ctx, f)
					must(t, err)
					what := fmt.Sprintf("%d, %d times, backwards %v", minor, times, backwards)
					if times == 0 {
						missing++
						if now.Status != refund.StatusREFUNDED {
							t.Errorf("%s: the refund is %s", what, now.Status)
						}
						continue
					}
					if made := row.Edges.Payment; now.Status != refund.StatusFAILED || now.FailureReason == "" || made.RefundedMinor != 0 ||
						made.RefundingMinor != 0 || made.Status != payment.StatusCAPTURED {
						t.Errorf("%s: the refund is %s (%s), the payment %+v", what, now.Status, now.FailureReason, made)
					}
					s.wantAttempts(t, id, paymentattempt.StatusCAPTURED)
					s.refunded(t, id, 1000) // all of it is refundable again, and no more
					if _, err := s.Refunds.Create(ctx, admin, amountOf(id, 1)); err == nil {
						t.Errorf("%s: more than the payment is refunded", what)
					}
					told, err := s.db.Ent.ChangeLog.Query().Where(changelog.Kind(commerce.KindRefundFailed)).All(ctx)
					must(t, err)
					n := 0
					for _, row := range told {
						if strings.Contains(row.Payload, f) {
							n++
						}
					}
					if n != 1 {
						t.Errorf("%s: told %d times", what, n)
					}
				}
			}
		}
		id, a := s.bought(t, product)
		_, err := s.Orders.Cancel(ctx, alice, commerce.CancelOrder{Key: uuid.New(), OrderID: id})
		must(t, err)
		s.pass(49 * time.Hour)
		found, _, _ := s.reconcile(t)
		if len(found) != missing {
			t.Errorf("found %q, want %d", found, missing)
		}
		seen := len(s.stripe.Events())
		s.stripe.Alter(t, a, 1000, map[string]int64{"re_" + a: 0})
		s.deliver(t, seen, 3, true)
		s.pass(49 * time.Hour)
		if found, _, _ := s.reconcile(t); len(found) != 1 || found[0] != "REFUND_MISSING "+a {
			t.Errorf("found %q, want the attempt %s", found, a)
		}
		s.audit(t)
	})
}

// TestListsOfAnOrderAreBounded: of an order with more attempts and refunds than are listed, the
// newest are read and no others, and those of another order are not cut by them.
func TestListsOfAnOrderAreBounded(t *testing.T) {
	everyDatabase(t, func(t *testing.T, url string) {
		s, ctx := openStripeShop(t, url), t.Context()
		product := s.product(t, 1000, 100)
		many, a := s.bought(t, product)
		few, _ := s.bought(t, product)
		paid, err := s.db.Ent.PaymentAttempt.Get(ctx, a)
		must(t, err)
		newest := ""
		for n := range commerce.MaxRefunds + 5 {
			s.clock.advance(time.Second)
			newest = s.refunded(t, many, 1)
			must(t, s.db.Ent.PaymentAttempt.Create().SetID(fmt.Sprintf("pat_%02d", n)).SetOrderID(many).SetGateway("stripe").
				SetStatus(paymentattempt.StatusDECLINED).SetAmountMinor(1000).SetCurrency("USD").
				SetCreatedAt(paid.CreatedAt.Add(time.Duration(n+1)*time.Second)).SetUpdatedAt(paid.UpdatedAt).Exec(ctx))
		}
		s.refunded(t, few, 1)
		refunds, err := s.Refunds.OfOrders(ctx, admin, []string{few, many})
		must(t, err)
		attempts, err := s.Orders.Attempts(ctx, admin, []string{few, many})
		must(t, err)
		if len(refunds[many]) != commerce.MaxRefunds || len(refunds[few]) != 1 || refunds[many][0].ID != newest {
			t.Errorf("%d and %d refunds are listed, the first %s, want %s", len(refunds[many]), len(refunds[few]), refunds[many][0].ID, newest)
		}
		if len(attempts[many]) != commerce.MaxAttempts || len(attempts[few]) != 1 || attempts[many][0].ID != fmt.Sprintf("pat_%02d", commerce.MaxRefunds+4) {
			t.Errorf("%d and %d attempts are listed, the first %s", len(attempts[many]), len(attempts[few]), attempts[many][0].ID)
		}
	})
}

// TestDriftOfManyOrders: a page with more paid orders than a statement takes parameters is compared.
func TestDriftOfManyOrders(t *testing.T) {
	s, ctx := newShop(t, lockprovider.AtomicSQL), t.Context()
	_, err := s.order(t, alice, s.product(t, 1000, 1), 1) // so that there is a customer
	must(t, err)
	const many, each = 33_000, 500
	now := s.clock.Now()
	for i := 0; i < many; i += each {
		orders, paid := make([]*ent.OrderCreate, each), make([]*ent.PaymentCreate, each)
		for j := range each {
			id := fmt.Sprintf("order_many%d", i+j)
			orders[j] = s.db.Ent.Order.Create().SetID(id).SetUserID(alice.UserID).SetStatus(order.StatusPAID).SetSettled(true).SetCurrency("USD").
				SetSubtotalMinor(0).SetDiscountMinor(0).SetTotalMinor(0).SetExpiresAt(now).SetNextAttemptAt(now).SetCreatedAt(now).SetUpdatedAt(now)
			paid[j] = s.db.Ent.Payment.Create().SetID("pay_many" + id).SetOrderID(id).SetMethod(payment.MethodPOINTS).SetStatus(payment.StatusCAPTURED).
				SetAmountMinor(0).SetCurrency("USD").SetCreatedAt(now).SetUpdatedAt(now)
		}
		must(t, s.db.Ent.Order.CreateBulk(orders...).Exec(ctx))
		must(t, s.db.Ent.Payment.CreateBulk(paid...).Exec(ctx))
	}
	const orders = 3 // the phase
	must(t, s.db.Ent.PaymentReconciliation.Create().SetID(s.Drifts.Payment.Gateway).SetDay(now.Truncate(24*time.Hour)).SetPhase(orders).Exec(ctx))
	s.clock.advance(26 * time.Hour)
	done, err := s.Drifts.Step(ctx, 3400)
	must(t, err)
	if done.Compared != many || len(done.Found) > 0 {
		t.Errorf("%d orders are compared and %v found, want %d and none", done.Compared, done.Found, many)
	}
}

// TestPagesOfDriftAreBounds of the index: a page of orders does not read those before it.
func TestPagesOfDriftAreBounds(t *testing.T) {
	s, ctx := newShop(t, lockprovider.AtomicSQL), t.Context()
	const orders = 3 // the phase
	must(t, s.db.Ent.PaymentReconciliation.Create().SetID(s.Drifts.Payment.Gateway).SetDay(s.clock.Now().Truncate(24*time.Hour)).SetPhase(orders).
		SetPosition(s.clock.Now().Format(time.RFC3339Nano)+" order_1").Exec(ctx))
	s.clock.advance(26 * time.Hour)
	seen := s.recorded()
	plan := seen.plan(t, "order_created_at_id", func() {
		_, err := s.Drifts.Step(ctx, 10)
		must(t, err)
	})
	if !strings.Contains(plan, "(created_at>? AND created_at<?)") || strings.Contains(plan, "MULTI-INDEX OR") {
		t.Errorf("the plan is %s", plan)
	}
}
