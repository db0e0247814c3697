package commerce_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/commerce"
	"holdfast/ent/order"
	"holdfast/ent/payment"
	"holdfast/ent/paymentattempt"
	"holdfast/payments"
	"holdfast/payments/stripe/stripetest"
)

// byToken pays by the card that the gateway knows under a name.
func byToken(token string) commerce.Payment {
	return commerce.Payment{Method: payment.MethodCARD, Token: token}
}

// TestPaymentMethodsOfTheGateway: the customer's browser has given the card to the gateway, and the request names it.
func TestPaymentMethodsOfTheGateway(t *testing.T) {
	s := openStripeShop(t, "sqlite://:memory:")
	product := s.product(t, 1000, 10)
	visa, declined := byToken(stripetest.Visa), byToken(stripetest.Declined)
	place := func(p commerce.Payment) (commerce.OrderResult, error) {
		return s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{
			Key: uuid.New(), Lines: []commerce.Line{{ProductID: product, Quantity: 1}}, Payment: &p,
		})
	}
	result, err := place(visa)
	must(t, err)
	wantStatus(t, result.Order, order.StatusPAID)
	result, err = place(declined)
	wantCodes(t, err, "PAYMENT_DECLINED:input.payment")
	wantStatus(t, result.Order, order.StatusFAILED)

	id := s.unpaid(t, product, 1, "").ID
	_, err = s.Orders.Pay(t.Context(), alice, commerce.PayOrder{Key: uuid.New(), OrderID: id, Payment: declined})
	wantCodes(t, err, "PAYMENT_DECLINED:input.payment")
	again := commerce.PayOrder{Key: uuid.New(), OrderID: id, Payment: visa}
	for range 2 {
		result, err = s.Orders.Pay(t.Context(), alice, again)
		must(t, err)
		wantStatus(t, result.Order, order.StatusPAID)
	}
	again.Payment = declined
	_, err = s.Orders.Pay(t.Context(), alice, again)
	wantCodes(t, err, "IDEMPOTENCY_MISMATCH")
	s.wantAttempts(t, id, paymentattempt.StatusDECLINED, paymentattempt.StatusCAPTURED)

	result, err = place(byToken(stripetest.Authentication))
	must(t, err)
	wantStatus(t, result.Order, order.StatusPENDING)
	s.wantAttempts(t, result.Order.ID, paymentattempt.StatusREQUIRES_ACTION)
	if got := s.stripe.Taken(); got != 2000 {
		t.Errorf("Stripe has %d, want 2000", got)
	}
	s.audit(t)
}

// TestATokenOutlivesALostCall: the call that was to authorize the payment has not reached the gateway. The repeat makes it, with the card of
// the attempt that the database has.
func TestATokenOutlivesALostCall(t *testing.T) {
	s := openStripeShop(t, "sqlite://:memory:")
	var away atomic.Bool
	away.Store(true)
	s.stripe.Fault = func(call string) stripetest.Fault {
		if away.Load() && strings.HasPrefix(call, "POST ") {
			return stripetest.Unreached
		}
		return stripetest.None
	}
	visa := byToken(stripetest.Visa)
	in := commerce.PlaceOrder{
		Key: uuid.New(), Lines: []commerce.Line{{ProductID: s.product(t, 1000, 10), Quantity: 1}}, Payment: &visa,
	}
	_, err := s.Orders.Place(t.Context(), alice, in)
	wantCodes(t, err, "UNAVAILABLE")
	away.Store(false)
	s.clock.advance(time.Minute) // Stripe finds by then what it has
	result, err := s.Orders.Place(t.Context(), alice, in)
	must(t, err)
	wantStatus(t, result.Order, order.StatusPAID)
	s.audit(t)
}

// TestPointsByAToken: the card may be named where points are bought, and belongs to the key.
func TestPointsByAToken(t *testing.T) {
	s := openStripeShop(t, "sqlite://:memory:")
	in := commerce.ChargePoints{Key: uuid.New(), Amount: 100, Token: stripetest.Declined}
	_, err := s.Points.Charge(t.Context(), alice, in)
	wantCodes(t, err, "PAYMENT_DECLINED")
	s.wantPoints(t, alice, 0)
	in.Token = stripetest.Visa
	_, err = s.Points.Charge(t.Context(), alice, in)
	wantCodes(t, err, "IDEMPOTENCY_MISMATCH")
	in.Key = uuid.New()
	_, err = s.Points.Charge(t.Context(), alice, in)
	must(t, err)
	s.wantPoints(t, alice, 100)
	in.Key, in.Token = uuid.New(), "4242424242424242"
	_, err = s.Points.Charge(t.Context(), alice, in)
	wantCodes(t, err, "INVALID_INPUT:input.token")
	s.audit(t)
}

// TestTokensThatAreNone: a token goes with a card, and is a name that a gateway may give.
func TestTokensThatAreNone(t *testing.T) {
	s := openStripeShop(t, "sqlite://:memory:")
	product := s.product(t, 1000, 10)
	for _, p := range []commerce.Payment{
		{Method: payment.MethodPOINTS, Token: stripetest.Visa},
		{Method: payment.MethodACCOUNT, AccountID: "acct_1", Token: stripetest.Visa},
		byToken("4242 4242 4242 4242"), byToken("4242424242424242"), byToken("4242-4242-4242-4242"), byToken("_4242424242424242"), byToken("pm_\x00"), byToken("pm_ü"), byToken(strings.Repeat("a", 201)),
	} {
		_, err := s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{
			Key: uuid.New(), Lines: []commerce.Line{{ProductID: product, Quantity: 1}}, Payment: &p,
		})
		for _, e := range wantCodes(t, err, "INVALID_INPUT:input.payment.token") {
			if p.Token != stripetest.Visa && strings.Contains(e.Message, p.Token) {
				t.Errorf("the message repeats the token: %s", e.Message)
			}
		}
	}
	s.wantStock(t, product, 10)
}

// TestTheSimulatedGatewayKnowsCardsOfStripe: what is tried with one of them works with the other.
func TestTheSimulatedGatewayKnowsCardsOfStripe(t *testing.T) {
	g := payments.NewSimulated(payments.SimulatedSettings{})
	for token, want := range map[string]payments.State{
		"": payments.StateAuthorized, stripetest.Visa: payments.StateAuthorized, stripetest.Declined: payments.StateDeclined,
		stripetest.Authentication: payments.StateRequiresAction,
	} {
		answer, err := g.Authorize(t.Context(), payments.Authorization{
			Attempt: "pat_" + token, Amount: payments.Amount{Minor: 5, Currency: "USD"}, Token: token,
		})
		if err != nil || answer.State != want {
			t.Errorf("%q is %+v, %v, want %s", token, answer, err, want)
		}
	}
}
