package payments_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"holdfast/payments"
	"holdfast/payments/gatewaytest"
)

func simulated(settings payments.SimulatedSettings) func(t *testing.T) payments.Gateway {
	return func(*testing.T) payments.Gateway { return payments.NewSimulated(settings) }
}

func TestSimulated(t *testing.T) {
	gatewaytest.Run(t, gatewaytest.Adapter{
		Open:       simulated(payments.SimulatedSettings{Latency: time.Millisecond}),
		Declining:  simulated(payments.SimulatedSettings{AuthorizationFailureRate: 1}),
		Unreliable: simulated(payments.SimulatedSettings{ErrorRate: 0.3, LostAnswerRate: 0.3}),
	})
}

// TestSimulatedInSeveralProcesses: what one process has authorized another one captures, and a third one gives back.
func TestSimulatedInSeveralProcesses(t *testing.T) {
	open := simulated(payments.SimulatedSettings{CaptureFailureRate: 0.5})
	states := map[payments.State]int{}
	for i := range 100 {
		a := payments.Authorization{Attempt: string(rune('a' + i)), Amount: payments.Amount{Minor: 5, Currency: "USD"}}
		answer, err := open(t).Authorize(t.Context(), a)
		if err != nil || answer.State != payments.StateAuthorized {
			t.Fatalf("answered %+v, %v", answer, err)
		}
		p := payments.Ref{Attempt: a.Attempt, Reference: answer.Reference}
		first, err := open(t).Capture(t.Context(), p, a.Amount)
		again, err2 := open(t).Capture(t.Context(), p, a.Amount)
		if err := errors.Join(err, err2); err != nil || first != again {
			t.Fatalf("captured as %+v and as %+v, %v", first, again, err)
		}
		states[first.State]++
		if first.State == payments.StateCaptured {
			if answer, err = open(t).Refund(t.Context(), p, "re", a.Amount); err != nil || answer.State != payments.StateRefunded {
				t.Fatalf("given back as %+v, %v", answer, err)
			}
		}
	}
	if states[payments.StateCaptured] < 20 || states[payments.StateDeclined] < 20 {
		t.Errorf("of captures of which half is declined, %v", states)
	}
}

// TestSimulatedRefundsAfterARestart: a process that has not captured a payment makes each refund of a part of it, and each once.
func TestSimulatedRefundsAfterARestart(t *testing.T) {
	open := simulated(payments.SimulatedSettings{})
	before, price := open(t), payments.Amount{Minor: 1000, Currency: "USD"}
	answer, err := before.Authorize(t.Context(), payments.Authorization{Attempt: "pat_1", Amount: price})
	if err != nil {
		t.Fatal(err)
	}
	p := payments.Ref{Attempt: "pat_1", Reference: answer.Reference}
	if _, err := before.Capture(t.Context(), p, price); err != nil {
		t.Fatal(err)
	}
	after := open(t)
	for i, part := range []struct {
		refund string
		minor  int64
	}{{"re_1", 300}, {"re_2", 500}, {"re_1", 300}, {"re_3", 200}} {
		answer, err := after.Refund(t.Context(), p, part.refund, payments.Amount{Minor: part.minor, Currency: "USD"})
		if want := []int64{300, 800, 800, 1000}[i]; err != nil || !answer.Made || answer.Refunded != want {
			t.Errorf("%s: answered %+v, %v; want it made, and %d refunded", part.refund, answer, err, want)
		}
	}
}

// TestSimulatedWebhook: without a secret there is none. What is wrong with a message is told without a word of it. Package commerce tests
// what is refused.
func TestSimulatedWebhook(t *testing.T) {
	const secret = "a secret of the tests, 32 bytes or longer"
	body, now := []byte(`{"id": "evt_1", "attempt": "pat_1", "state": "CAPTURED", "reference": "sim_pat_1", "captured": 5}`), time.Unix(1893456000, 0)
	header := http.Header{payments.SimulatedSignature: {payments.SignSimulated(secret, body, now)}}
	if _, err := payments.NewSimulated(payments.SimulatedSettings{}).ParseWebhook(header, body, now); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("without a secret: %v", err)
	}
	g := payments.NewSimulated(payments.SimulatedSettings{WebhookSecret: secret})
	list, err := g.ParseWebhook(header, body, now)
	want := payments.Notification{ID: "evt_1", Attempt: "pat_1", Answer: payments.Answer{
		State: payments.StateCaptured, Reference: "sim_pat_1", Captured: 5,
	}}
	if err != nil || len(list) != 1 || list[0] != want {
		t.Errorf("got %+v, %v; want %+v", list, err, want)
	}
	bad := []byte("hunter2")
	header.Set(payments.SimulatedSignature, payments.SignSimulated(secret, bad, now))
	if _, err := g.ParseWebhook(header, bad, now); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a message that is no JSON: %v", err)
	}
}

// TestSimulatedSignature has a figure that openssl computes: printf '1893456000.{}' | openssl dgst -sha256 -hmac secret.
func TestSimulatedSignature(t *testing.T) {
	const want = "t=1893456000,v1=0dc4b21877b8bd555122d892762124a586f19304f1bf1147e6a69b3fd5689845"
	if got := payments.SignSimulated("secret", []byte("{}"), time.Unix(1893456000, 0)); got != want {
		t.Errorf("signed as %s, want %s", got, want)
	}
}

// TestSimulatedConfirmation: the customer confirms or refuses a payment at the page that its answer names, once.
func TestSimulatedConfirmation(t *testing.T) {
	for decision, want := range map[string]payments.State{
		"confirm": payments.StateAuthorized, "refuse": payments.StateDeclined, "else": payments.StateRequiresAction,
	} {
		g := payments.NewSimulated(payments.SimulatedSettings{ActionRate: 1})
		a := payments.Authorization{Attempt: "pat_1", Amount: payments.Amount{Minor: 5, Currency: "USD"}}
		answer, err := g.Authorize(t.Context(), a)
		if err != nil || answer.State != payments.StateRequiresAction || answer.ClientSecret == "" {
			t.Fatalf("answered %+v, %v", answer, err)
		}
		ask := func(method, body string) *httptest.ResponseRecorder {
			r := httptest.NewRequest(method, answer.RedirectURL, strings.NewReader(body))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			w := httptest.NewRecorder()
			g.Page().ServeHTTP(w, r)
			return w
		}
		if w := ask(http.MethodGet, ""); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "Confirm the payment") {
			t.Errorf("the page is %d: %s", w.Code, w.Body)
		}
		ask(http.MethodPost, "decision="+decision)
		if want != payments.StateRequiresAction {
			ask(http.MethodPost, "decision=refuse") // too late
		}
		answer, err = g.Lookup(t.Context(), payments.Ref{Attempt: a.Attempt})
		if err != nil || answer.State != want {
			t.Errorf("after %s: %+v, %v, want %s", decision, answer, err, want)
		}
	}
	w := httptest.NewRecorder()
	payments.NewSimulated(payments.SimulatedSettings{}).Page().ServeHTTP(w, httptest.NewRequest(http.MethodGet, payments.SimulatedPath+"pat_2", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("the page of no payment is %d", w.Code)
	}
}

func TestSimulatedSendsNoWebhooks(t *testing.T) {
	if _, err := simulated(payments.SimulatedSettings{})(t).ParseWebhook(http.Header{}, nil, time.Now()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}
