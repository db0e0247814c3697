package payments_test

import (
	"math/rand/v2"
	"testing"

	"holdfast/payments"
)

// histories are what a gateway may do with a payment, one state after the other.
var histories = [][]payments.Event{
	{payments.OnDeclined},
	{payments.OnRequiresAction, payments.OnDeclined},
	{payments.OnAuthorized, payments.OnDeclined}, // it could not be captured
	{payments.OnAuthorized, payments.OnVoided},
	{payments.OnRequiresAction, payments.OnVoided},
	{payments.OnRequiresAction, payments.OnAuthorized, payments.OnVoided},
	{payments.OnAuthorized},
	{payments.OnRequiresAction, payments.OnAuthorized, payments.OnCaptured},
	{payments.OnAuthorized, payments.OnCaptured, payments.OnRefunded},
}

// settles are the statuses that an attempt may have when the gateway has said the last word of a history.
var settles = map[payments.Event][]payments.Status{
	payments.OnDeclined:   {payments.Declined},
	payments.OnVoided:     {payments.Voided},
	payments.OnAuthorized: {payments.Authorized, payments.Capturing, payments.Voiding},
	payments.OnCaptured:   {payments.Captured, payments.Refunding},
	payments.OnRefunded:   {payments.Refunded},
}

// TestAnswersInAnyOrder tells an attempt the states of a payment in any order and any number, between calls of the shop. When a look-up
// then tells the last one, the attempt is where the gateway is.
func TestAnswersInAnyOrder(t *testing.T) {
	dice := rand.New(rand.NewPCG(1, 2))
	calls := []payments.Event{payments.OnNoAnswer, payments.OnCapture, payments.OnVoid}
	for range 20_000 {
		history := histories[dice.IntN(len(histories))]
		truth := history[len(history)-1]
		status, told := payments.Authorizing, []payments.Event{}
		for range dice.IntN(8) {
			event := history[dice.IntN(len(history))]
			if dice.IntN(3) == 0 {
				event = calls[dice.IntN(len(calls))]
			}
			told = append(told, event)
			status, _ = payments.Next(status, event)
		}
		status, _ = payments.Next(status, truth)
		wanted := false
		for _, want := range settles[truth] {
			wanted = wanted || status == want
		}
		if !wanted {
			t.Fatalf("the gateway says %s, the attempt is %s after %v", truth, status, told)
		}
		again, moved := payments.Next(status, truth)
		if moved {
			t.Fatalf("a repeat of %s makes %s of %s", truth, again, status)
		}
	}
}

// TestNoMoneyIsForgotten: whatever the shop believed, money that the gateway holds opens the attempt, or is known as captured.
func TestNoMoneyIsForgotten(t *testing.T) {
	for _, from := range payments.Statuses {
		if from == payments.Created { // the gateway was never asked
			continue
		}
		if to, _ := payments.Next(from, payments.OnAuthorized); !to.Open() && to != payments.Captured && to != payments.Refunded {
			t.Errorf("authorized while %s: %s", from, to)
		}
		if to, _ := payments.Next(from, payments.OnCaptured); to != payments.Captured && to != payments.Refunding && to != payments.Refunded {
			t.Errorf("captured while %s: %s", from, to)
		}
	}
}

// TestClosedAttemptsStayClosed: an attempt that pays no more never does so again. Another one may have been opened.
func TestClosedAttemptsStayClosed(t *testing.T) {
	events := []payments.Event{
		payments.OnAuthorize, payments.OnCapture, payments.OnVoid, payments.OnRefund, payments.OnNoAnswer, payments.OnRequiresAction,
		payments.OnAuthorized, payments.OnCaptured, payments.OnRefunded, payments.OnDeclined, payments.OnVoided, payments.OnNotFound,
	}
	for _, from := range payments.Statuses {
		for _, event := range events {
			if to, _ := payments.Next(from, event); !from.Pays() && to.Pays() {
				t.Errorf("%s makes %s of %s", event, to, from)
			}
		}
	}
}
