package commerce_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	stripego "github.com/stripe/stripe-go/v82"

	"holdfast/ent/order"
	"holdfast/ent/paymentattempt"
	"holdfast/ent/refund"
	"holdfast/payments/stripe/stripetest"
)

// post makes a call of Stripe by hand.
func (s *stripeShop) post(t *testing.T, path string, form url.Values) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.stripe.URL+path, strings.NewReader(form.Encode()))
	must(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Authorization", "Bearer "+stripetest.SecretKey)
	r.Header.Set("Stripe-Version", stripego.APIVersion)
	answer, err := http.DefaultClient.Do(r)
	must(t, err)
	must(t, answer.Body.Close())
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", path, answer.Status)
	}
}

// referenceOf is the reference of the payment of which the newest event of a kind tells.
func (s *stripeShop) referenceOf(t *testing.T, kind string) string {
	t.Helper()
	_, after, _ := strings.Cut(string(s.eventOf(t, kind).Body), `"pi_`)
	id, _, _ := strings.Cut(after, `"`)
	id, _, _ = strings.Cut(id, "_")
	return "pi_" + id
}

const twoDays = 49 * time.Hour

func (s *stripeShop) wantFound(t *testing.T, want ...string) {
	t.Helper()
	found, _, _ := s.reconcile(t)
	slices.Sort(found)
	slices.Sort(want)
	if !slices.Equal(found, want) {
		t.Errorf("found %q, want %q", found, want)
	}
}

// TestWhatHasMovedTwice: a customer is charged twice for one attempt, or gets one refund twice. Each part fits by itself, and is told all the same, until
// it is given back.
func TestWhatHasMovedTwice(t *testing.T) {
	s := openStripeShop(t, "sqlite://:memory:")
	s.reconcile(t)
	product := s.product(t, 1000, 100)
	for _, minor := range []string{"1000", "700"} {
		_, a := s.bought(t, product)
		s.post(t, "/v1/payment_intents", url.Values{
			"amount": {minor}, "currency": {"usd"}, "capture_method": {"manual"}, "confirm": {"true"}, "payment_method": {stripetest.Visa},
			"metadata[holdfast_attempt]": {a},
		})
		second := s.referenceOf(t, "payment_intent.amount_capturable_updated")
		s.post(t, "/v1/payment_intents/"+second+"/capture", nil)
		s.pass(twoDays)
		s.wantFound(t, "CAPTURE_UNKNOWN "+second)
		s.wantFound(t)
		s.post(t, "/v1/refunds", url.Values{"payment_intent": {second}, "amount": {minor}})
		s.pass(twoDays)
		if found, settled, _ := s.reconcile(t); len(found) > 0 || settled != 1 {
			t.Errorf("when %s is given back: found %q, and settled %d", minor, found, settled)
		}
	}
	for _, later := range []bool{false, true} { // on the same day, and on another one
		id, a := s.bought(t, product)
		f := s.refunded(t, id, 100)
		if later {
			s.pass(twoDays)
			s.wantFound(t)
		}
		s.post(t, "/v1/refunds", url.Values{
			"payment_intent": {s.attempts(t, id)[0].Reference}, "amount": {"100"}, "metadata[holdfast_attempt]": {a}, "metadata[holdfast_refund]": {f},
		})
		s.pass(twoDays)
		s.wantFound(t, "REFUND_AMOUNT "+f)
	}
}

// TestWhatFitsIsMarkedAsItWasRead: an attempt that changes while its page is compared is compared again on the day of its change.
func TestWhatFitsIsMarkedAsItWasRead(t *testing.T) {
	s, ctx := openStripeShop(t, "sqlite://:memory:"), t.Context()
	var (
		meanwhile atomic.Bool // once
		id, a     string
	)
	s.stripe.Fault = func(call string) stripetest.Fault {
		if strings.HasPrefix(call, "GET /v1/payment_intents/") && meanwhile.CompareAndSwap(true, false) {
			err := s.db.Ent.PaymentAttempt.UpdateOneID(a).SetStatus(paymentattempt.StatusREFUNDED).SetUpdatedAt(s.clock.Now()).Exec(ctx)
			if err == nil {
				err = s.db.Ent.Order.UpdateOneID(id).SetStatus(order.StatusCANCELLED).Exec(ctx)
			}
			if err != nil {
				t.Error(err)
			}
		}
		return stripetest.None
	}
	s.reconcile(t)
	product := s.product(t, 1000, 100)
	id, a = s.bought(t, product)
	_, other := s.bought(t, product)
	s.stripe.Alter(t, other, 900, nil) // so that Stripe is asked about it, when both were read
	s.pass(twoDays)
	meanwhile.Store(true)
	s.wantFound(t, "CAPTURE_AMOUNT "+other)
	s.pass(twoDays)
	s.wantFound(t, "REFUND_MISSING "+a)
}

// TestOrderThatIsPaidOnALaterDay: an order is compared on the day on which it is paid, if that is not the one on which it was placed.
func TestOrderThatIsPaidOnALaterDay(t *testing.T) {
	s, ctx := openStripeShop(t, "sqlite://:memory:"), t.Context()
	s.reconcile(t)
	id := s.unpaid(t, s.product(t, 1000, 100), 1, "").ID
	s.pass(twoDays)
	s.wantFound(t)
	must(t, s.db.Ent.Order.UpdateOneID(id).SetStatus(order.StatusPAID).SetSettled(true).SetUpdatedAt(s.clock.Now()).Exec(ctx))
	s.pass(twoDays)
	s.wantFound(t, "ORDER_WITHOUT_CAPTURE "+id)
}

// TestOrderThatIsPaidLong after it was placed is compared as any other, however many orders were placed meanwhile.
func TestOrderThatIsPaidLong(t *testing.T) {
	s, ctx := openStripeShop(t, "sqlite://:memory:"), t.Context()
	s.reconcile(t)
	product := s.product(t, 1000, 1000)
	first := s.unpaid(t, product, 1, "").ID
	for range 50 { // more than are read at a time
		s.unpaid(t, product, 1, "")
	}
	last := s.unpaid(t, product, 1, "").ID
	s.pass(40 * 24 * time.Hour)
	s.wantFound(t)
	must(t, s.db.Ent.Order.Update().Where(order.IDIn(first, last)).SetStatus(order.StatusPAID).SetSettled(true).SetUpdatedAt(s.clock.Now()).Exec(ctx))
	s.pass(twoDays)
	s.wantFound(t, "ORDER_WITHOUT_CAPTURE "+first, "ORDER_WITHOUT_CAPTURE "+last)
}

// TestWhatStaysUnderWay: what Stripe has moved of an attempt or refund that is under way when its day is compared is told on a later day, if it stays so.
func TestWhatStaysUnderWay(t *testing.T) {
	s, ctx := openStripeShop(t, "sqlite://:memory:"), t.Context()
	s.reconcile(t)
	product := s.product(t, 1000, 100)
	paid, a := s.bought(t, product)
	id, _ := s.bought(t, product)
	f := s.refunded(t, id, 100)
	s.pass(twoDays)
	must(t, s.db.Ent.PaymentAttempt.UpdateOneID(a).SetStatus(paymentattempt.StatusUNKNOWN).SetUpdatedAt(s.clock.Now()).Exec(ctx))
	must(t, s.db.Ent.Order.UpdateOneID(paid).SetStatus(order.StatusPENDING).Exec(ctx))
	must(t, s.db.Ent.Refund.UpdateOneID(f).SetStatus(refund.StatusUNKNOWN).SetUpdatedAt(s.clock.Now()).Exec(ctx))
	s.wantFound(t)
	s.pass(twoDays)
	s.wantFound(t, "CAPTURE_NOT_RECORDED "+a, "REFUND_NOT_RECORDED "+f)
}
