package stripe_test

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/config/setting"
	"holdfast/payments"
	"holdfast/payments/gatewaytest"
	"holdfast/payments/stripe"
	"holdfast/payments/stripe/stripetest"
)

func open(s *stripetest.Server) *stripe.Gateway {
	return stripe.New(stripe.Settings{
		SecretKey: stripetest.SecretKey, WebhookSecret: stripetest.WebhookSecret, URL: setting.URL(s.URL),
	})
}

// byCard has every customer pay by one payment method, which the shop confirms.
type byCard struct {
	payments.Gateway
	token string
}

func (g byCard) Authorize(ctx context.Context, a payments.Authorization) (payments.Answer, error) {
	a.Token = g.token
	return g.Gateway.Authorize(ctx, a)
}

// TestStripe is the suite that each adapter passes. The unreliable Stripe breaks connections before and after it has carried a call out, fails
// after and before it has done so and keeps that, and refuses calls because of others.
func TestStripe(t *testing.T) {
	paidBy := func(token string) func(t *testing.T) payments.Gateway {
		return func(t *testing.T) payments.Gateway { t.Helper(); return byCard{open(stripetest.New(t)), token} }
	}
	gatewaytest.Run(t, gatewaytest.Adapter{
		Open:      paidBy(stripetest.Visa),
		Declining: paidBy(stripetest.Declined),
		Unreliable: func(t *testing.T) payments.Gateway {
			t.Helper()
			s := stripetest.New(t)
			s.Fault = func(call string) stripetest.Fault {
				fault := stripetest.Fault(rand.IntN(20)) // three of four calls succeed
				if fault == stripetest.FailedBefore && call == "POST /v1/payment_intents" {
					return stripetest.None // TestFailureThatIsKept
				}
				if fault > stripetest.Busy {
					return stripetest.None
				}
				return fault
			}
			return byCard{open(s), stripetest.Visa}
		},
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func usd(minor int64) payments.Amount { return payments.Amount{Minor: minor, Currency: "USD"} }

func attempt(id, token string) payments.Authorization {
	return payments.Authorization{Attempt: id, Subject: "ord_" + id, Amount: usd(1250), Token: token}
}

func wantState(t *testing.T, a payments.Answer, err error, want payments.State) payments.Answer {
	t.Helper()
	if err != nil || a.State != want {
		t.Fatalf("answered %+v, %v; want %s", a, err, want)
	}
	return a
}

// TestCustomerConfirms: without a payment method the shop gets a client secret, by which the customer pays in the browser. A card that is
// declined there may be followed by another one.
func TestCustomerConfirms(t *testing.T) {
	s := stripetest.New(t)
	g, ctx, a := open(s), t.Context(), attempt("pat_1", "")
	first, err := g.Authorize(ctx, a)
	waiting := wantState(t, first, err, payments.StateRequiresAction)
	if waiting.ClientSecret == "" || waiting.RedirectURL != "" {
		t.Errorf("the customer cannot confirm by %+v", waiting)
	}
	s.Confirm(t, waiting.ClientSecret, stripetest.Declined)
	again, err := g.Lookup(ctx, payments.Ref{Attempt: a.Attempt, Reference: waiting.Reference})
	if again = wantState(t, again, err, payments.StateRequiresAction); again.Reason == "" || again.ClientSecret != waiting.ClientSecret {
		t.Errorf("after a declined card: %+v", again)
	}
	s.Confirm(t, waiting.ClientSecret, stripetest.Authentication)
	again, err = g.Authorize(ctx, a)
	if again = wantState(t, again, err, payments.StateRequiresAction); again.RedirectURL == "" {
		t.Errorf("the customer is sent nowhere by %+v", again)
	}
	s.Authenticate(t, waiting.ClientSecret, true)
	done, err := g.Lookup(ctx, payments.Ref{Attempt: a.Attempt})
	if done = wantState(t, done, err, payments.StateAuthorized); done.ClientSecret != "" {
		t.Error("the client secret is told without need")
	}
	done, err = g.Capture(ctx, payments.Ref{Attempt: a.Attempt, Reference: done.Reference}, a.Amount)
	wantState(t, done, err, payments.StateCaptured)
	if s.Intents() != 1 || s.Taken() != 1250 {
		t.Errorf("%d payments, %d taken", s.Intents(), s.Taken())
	}
}

// TestAuthenticationFails: of a card that the shop confirms, the customer must take part, and does not.
func TestAuthenticationFails(t *testing.T) {
	s := stripetest.New(t)
	g, a := open(s), attempt("pat_1", stripetest.Authentication)
	got, err := g.Authorize(t.Context(), a)
	waiting := wantState(t, got, err, payments.StateRequiresAction)
	s.Authenticate(t, waiting.ClientSecret, false)
	got, err = g.Authorize(t.Context(), a)
	if got = wantState(t, got, err, payments.StateDeclined); got.Reason == "" {
		t.Error("it does not say why")
	}
	got, err = g.Void(t.Context(), payments.Ref{Attempt: a.Attempt})
	wantState(t, got, err, payments.StateDeclined)
	got, err = g.Lookup(t.Context(), payments.Ref{Attempt: a.Attempt})
	wantState(t, got, err, payments.StateVoided) // nobody can confirm it any more
}

// TestVoidOfWhatWaits: a payment for which the customer was asked is over.
func TestVoidOfWhatWaits(t *testing.T) {
	g, a := open(stripetest.New(t)), attempt("pat_1", "")
	got, err := g.Authorize(t.Context(), a)
	wantState(t, got, err, payments.StateRequiresAction)
	got, err = g.Void(t.Context(), payments.Ref{Attempt: a.Attempt})
	if got = wantState(t, got, err, payments.StateVoided); got.Held {
		t.Error("it says that the amount was reserved")
	}
}

// TestFailureThatIsKept: Stripe fails once at a call, and answers its repeats alike for a day. The creation of a payment waits for that; the
// others go on with another key. Nothing is done twice.
func TestFailureThatIsKept(t *testing.T) {
	s := stripetest.New(t)
	g, ctx, a := byCard{open(s), stripetest.Visa}, t.Context(), attempt("pat_1", "")
	failing := ""
	s.Fault = func(call string) stripetest.Fault {
		if failing != "" && strings.HasPrefix(call, "POST ") && strings.HasSuffix(call, failing) {
			failing = ""
			return stripetest.FailedBefore
		}
		return stripetest.None
	}
	failing = "/payment_intents"
	for range 3 {
		if got, err := g.Authorize(ctx, a); err == nil {
			t.Fatalf("answered %+v", got)
		}
	}
	got, err := g.Lookup(ctx, payments.Ref{Attempt: a.Attempt})
	wantState(t, got, err, payments.StateNotFound)
	s.Advance(24 * time.Hour)
	got, err = g.Authorize(ctx, a)
	authorized := wantState(t, got, err, payments.StateAuthorized)
	ref := payments.Ref{Attempt: a.Attempt, Reference: authorized.Reference}
	failing = "/capture"
	if got, err := g.Capture(ctx, ref, a.Amount); err == nil {
		t.Fatalf("answered %+v", got)
	}
	got, err = g.Capture(ctx, ref, a.Amount)
	wantState(t, got, err, payments.StateCaptured)
	failing = "/refunds"
	if got, err := g.Refund(ctx, ref, "re_1", usd(250)); err == nil {
		t.Fatalf("answered %+v", got)
	}
	for range 3 {
		got, err = g.Refund(ctx, ref, "re_1", usd(250))
		wantState(t, got, err, payments.StateCaptured)
		if got.Refunded != 250 {
			t.Fatalf("%d given back, want 250", got.Refunded)
		}
	}
	s.Advance(25 * time.Hour) // the keys are forgotten
	got, err = g.Refund(ctx, ref, "re_1", usd(250))
	wantState(t, got, err, payments.StateCaptured)
	if got.Refunded != 250 || s.Taken() != 1000 {
		t.Errorf("%d given back after a day, want 250", got.Refunded)
	}
	if s.Intents() != 1 {
		t.Errorf("%d payments", s.Intents())
	}
}

// TestFoundWithoutReference: right after an answer was lost, and when many payments have followed.
func TestFoundWithoutReference(t *testing.T) {
	s := stripetest.New(t)
	g, a := open(s), attempt("pat_1", stripetest.Visa)
	var lost atomic.Bool // calls come over several connections
	s.Fault = func(call string) stripetest.Fault {
		if call == "POST /v1/payment_intents" && lost.CompareAndSwap(false, true) {
			return stripetest.LostAnswer
		}
		return stripetest.None
	}
	if got, err := g.Authorize(t.Context(), a); err == nil {
		t.Fatalf("answered %+v", got)
	}
	got, err := g.Lookup(t.Context(), payments.Ref{Attempt: a.Attempt})
	found := wantState(t, got, err, payments.StateAuthorized)
	for n := range 120 {
		other, err := g.Authorize(t.Context(), attempt("pat_other_"+time.Duration(n).String(), stripetest.Visa))
		wantState(t, other, err, payments.StateAuthorized)
	}
	s.Advance(time.Minute)
	got, err = g.Lookup(t.Context(), payments.Ref{Attempt: a.Attempt})
	wantState(t, got, err, payments.StateAuthorized)
	if got.Reference != found.Reference {
		t.Errorf("found as %s, want %s", got.Reference, found.Reference)
	}
	got, err = g.Lookup(t.Context(), payments.Ref{Attempt: "pat_1' OR metadata['x']:'"})
	wantState(t, got, err, payments.StateNotFound)
}

// TestSteps: the shop asks before it refunds what Stripe would not take.
func TestSteps(t *testing.T) {
	g := open(stripetest.New(t))
	for currency, want := range map[string]int64{"USD": 1, "JPY": 1, "ISK": 1, "KWD": 10, "TND": 10} {
		if got := payments.StepOf(g, currency); got != want {
			t.Errorf("amounts in %s must be multiples of %d, want %d", currency, got, want)
		}
	}
}

// TestUnits: Stripe counts some currencies otherwise than ISO 4217. What it cannot take is declined, and never reaches it.
func TestUnits(t *testing.T) {
	for _, test := range []struct {
		amount payments.Amount
		units  int64 // 0 for declined
	}{
		{payments.Amount{Minor: 1250, Currency: "USD"}, 1250},
		{payments.Amount{Minor: 1250, Currency: "JPY"}, 1250},
		{payments.Amount{Minor: 1250, Currency: "KWD"}, 1250},
		{payments.Amount{Minor: 1251, Currency: "KWD"}, 0},
		{payments.Amount{Minor: 1250, Currency: "ISK"}, 125000},
		{payments.Amount{Minor: 1250, Currency: "HUF"}, 1250},
		{payments.Amount{Minor: 1250, Currency: "UGX"}, 0},
		{payments.Amount{Minor: 1250, Currency: "MGA"}, 0},
	} {
		t.Run(test.amount.Currency, func(t *testing.T) {
			s := stripetest.New(t)
			g, a := open(s), attempt("pat_1", stripetest.Visa)
			a.Amount = test.amount
			got, err := g.Authorize(t.Context(), a)
			if test.units == 0 {
				wantState(t, got, err, payments.StateDeclined)
				if !strings.Contains(got.Reason, test.amount.Currency) || s.Intents() != 0 {
					t.Errorf("declined with %q, and %d payments at Stripe", got.Reason, s.Intents())
				}
				return
			}
			ref := payments.Ref{Attempt: a.Attempt, Reference: wantState(t, got, err, payments.StateAuthorized).Reference}
			got, err = g.Capture(t.Context(), ref, a.Amount)
			wantState(t, got, err, payments.StateCaptured)
			if got.Captured != test.amount.Minor || s.Taken() != test.units {
				t.Errorf("captured %d, %d at Stripe; want %d and %d", got.Captured, s.Taken(), test.amount.Minor, test.units)
			}
			got, err = g.Refund(t.Context(), ref, "re_1", a.Amount)
			wantState(t, got, err, payments.StateRefunded)
			if got.Refunded != test.amount.Minor || s.Taken() != 0 {
				t.Errorf("given back %d, %d left at Stripe", got.Refunded, s.Taken())
			}
		})
	}
}

// TestRefusals: what Stripe refuses for good is declined. What it refuses because of the shop is an error, which does not tell the key.
func TestRefusals(t *testing.T) {
	s := stripetest.New(t)
	small := attempt("pat_1", stripetest.Visa)
	small.Amount = usd(1)
	got, err := open(s).Authorize(t.Context(), small)
	wantState(t, got, err, payments.StateDeclined)
	if got.Reason == "" {
		t.Error("it does not say why")
	}
	const key = "sk_test_of_somebody_else"
	stranger := stripe.New(stripe.Settings{SecretKey: key, URL: setting.URL(s.URL)})
	got, err = stranger.Authorize(t.Context(), attempt("pat_2", stripetest.Visa))
	if err == nil || !strings.Contains(err.Error(), "401") || strings.Contains(err.Error(), key) {
		t.Errorf("answered %+v, %v", got, err)
	}
	again := attempt("pat_3", stripetest.Visa)
	got, err = open(s).Authorize(t.Context(), again)
	wantState(t, got, err, payments.StateAuthorized)
	again.Subject = "the same in other words"
	got, err = open(s).Authorize(t.Context(), again)
	wantState(t, got, err, payments.StateAuthorized)
	again.Amount.Currency = "EUR"
	if got, err := open(s).Authorize(t.Context(), again); !errors.Is(err, payments.ErrMismatch) {
		t.Errorf("answered %+v, %v", got, err)
	}
}

// TestWebhook reads each event that Stripe sends of a payment that is confirmed by the customer, captured, and given back in two parts.
func TestWebhook(t *testing.T) {
	s := stripetest.New(t)
	g, ctx, a := open(s), t.Context(), attempt("pat_1", "")
	got, err := g.Authorize(ctx, a)
	waiting := wantState(t, got, err, payments.StateRequiresAction)
	ref := payments.Ref{Attempt: a.Attempt, Reference: waiting.Reference}
	s.Confirm(t, waiting.ClientSecret, stripetest.Declined)
	s.Confirm(t, waiting.ClientSecret, stripetest.Visa)
	_, err = g.Capture(ctx, ref, a.Amount)
	must(t, err)
	_, err = g.Refund(ctx, ref, "re_1", usd(250))
	must(t, err)
	_, err = g.Refund(ctx, ref, "re_2", usd(1000))
	must(t, err)
	other := attempt("pat_2", stripetest.Declined)
	_, err = g.Authorize(ctx, other)
	must(t, err)
	voided := attempt("pat_3", stripetest.Visa)
	_, err = g.Authorize(ctx, voided)
	must(t, err)
	_, err = g.Void(ctx, payments.Ref{Attempt: voided.Attempt})
	must(t, err)

	type told struct {
		kind, attempt      string
		state              payments.State
		captured, refunded int64
	}
	want := []told{
		{"payment_intent.created", "pat_1", payments.StateRequiresAction, 0, 0},
		{"payment_intent.payment_failed", "pat_1", payments.StateRequiresAction, 0, 0},
		{"payment_intent.amount_capturable_updated", "pat_1", payments.StateAuthorized, 0, 0},
		{"payment_intent.succeeded", "pat_1", payments.StateCaptured, 1250, 0},
		{"charge.refunded", "pat_1", payments.StateCaptured, 1250, 250},
		{"charge.refunded", "pat_1", payments.StateRefunded, 1250, 1250},
		{"payment_intent.created", "pat_2", payments.StateRequiresAction, 0, 0},
		{"payment_intent.payment_failed", "pat_2", payments.StateDeclined, 0, 0},
		{"payment_intent.created", "pat_3", payments.StateRequiresAction, 0, 0},
		{"payment_intent.amount_capturable_updated", "pat_3", payments.StateAuthorized, 0, 0},
		{"payment_intent.canceled", "pat_3", payments.StateVoided, 0, 0},
		{"charge.refunded", "", "", 0, 0}, // of an authorization that was released
	}
	now := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC) // not the clock of this process
	events := s.Events()
	if len(events) != len(want) {
		t.Fatalf("%d events, want %d", len(events), len(want))
	}
	for n, e := range events {
		list, err := g.ParseWebhook(stripetest.Sign(e.Body, stripetest.WebhookSecret, now), e.Body, now)
		must(t, err)
		got := told{kind: e.Type}
		for _, n := range list {
			got = told{e.Type, n.Attempt, n.Answer.State, n.Answer.Captured, n.Answer.Refunded}
			if n.ID != e.ID || n.Answer.Reference == "" {
				t.Errorf("%s: told %+v", e.Type, n)
			}
		}
		if got != want[n] {
			t.Errorf("told %+v, want %+v", got, want[n])
		}
	}
}

// TestWebhookRefuses what is not signed as it should be, without a word of it. What is about something else tells nothing.
func TestWebhookRefuses(t *testing.T) {
	s := stripetest.New(t)
	g, now := open(s), time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	_, err := g.Authorize(t.Context(), attempt("pat_1", stripetest.Visa))
	must(t, err)
	body := s.Events()[1].Body
	changed := func(change func(event map[string]any)) []byte {
		var event map[string]any
		must(t, json.Unmarshal(body, &event))
		change(event)
		other, err := json.Marshal(event)
		must(t, err)
		return other
	}
	if list, err := g.ParseWebhook(stripetest.Sign(body, stripetest.WebhookSecret, now), body, now); err != nil || len(list) != 1 {
		t.Fatalf("the right one: %v, %v", list, err)
	}
	for what, test := range map[string]struct {
		body   []byte
		secret string
		at     time.Time
	}{
		"another secret":  {body, "whsec_of_somebody_else", now},
		"too old":         {body, stripetest.WebhookSecret, now.Add(-payments.WebhookTolerance - time.Second)},
		"of the future":   {body, stripetest.WebhookSecret, now.Add(payments.WebhookTolerance + time.Second)},
		"no JSON":         {[]byte("hunter2"), stripetest.WebhookSecret, now},
		"no event":        {[]byte(`{"api_version": "2025-08-27.basil"}`), stripetest.WebhookSecret, now},
		"another version": {changed(func(e map[string]any) { e["api_version"] = "2024-06-20" }), stripetest.WebhookSecret, now},
	} {
		list, err := g.ParseWebhook(stripetest.Sign(test.body, test.secret, test.at), test.body, now)
		if err == nil || errors.Is(err, errors.ErrUnsupported) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "whsec") {
			t.Errorf("%s: %v, %v", what, list, err)
		}
	}
	if list, err := g.ParseWebhook(nil, body, now); err == nil {
		t.Errorf("without a signature: %v", list)
	}
	for what, body := range map[string][]byte{
		"another kind": changed(func(e map[string]any) { e["type"] = "customer.created" }),
		"another shop": []byte(strings.ReplaceAll(string(body), "holdfast_attempt", "order")),
	} {
		if list, err := g.ParseWebhook(stripetest.Sign(body, stripetest.WebhookSecret, now), body, now); err != nil || len(list) != 0 {
			t.Errorf("%s: %v, %v", what, list, err)
		}
	}
	none := stripe.New(stripe.Settings{SecretKey: stripetest.SecretKey, URL: setting.URL(s.URL)})
	if _, err := none.ParseWebhook(stripetest.Sign(body, "", now), body, now); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("without a secret: %v", err)
	}
}
