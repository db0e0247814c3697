package payments_test

import (
	"errors"
	"net/http"
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

func TestSimulatedSendsNoWebhooks(t *testing.T) {
	if _, err := simulated(payments.SimulatedSettings{})(t).ParseWebhook(http.Header{}, nil, time.Now()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}
