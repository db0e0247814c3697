// Package gatewaytest has the conformance suite of the port payments.Gateway. An adapter that passes it can be exchanged for any
// other.
package gatewaytest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/payments"
)

// Adapter is what the suite needs of an adapter.
type Adapter struct {
	// Open returns a gateway that answers, and declines nothing by itself.
	Open func(t *testing.T) payments.Gateway
	// Declining returns a gateway that declines every authorization.
	Declining func(t *testing.T) payments.Gateway
	// Unreliable returns a gateway that leaves some calls without an answer, before or after it has carried them out.
	Unreliable func(t *testing.T) payments.Gateway
}

// Run runs the suite.
func Run(t *testing.T, a Adapter) {
	t.Run("a payment", func(t *testing.T) { payment(t, a.Open(t)) })
	t.Run("declined", func(t *testing.T) { declined(t, a.Declining(t)) })
	t.Run("an attempt is one payment", func(t *testing.T) { oneAttempt(t, a.Open(t)) })
	t.Run("void", func(t *testing.T) { void(t, a.Open(t)) })
	t.Run("what does not fit", func(t *testing.T) { doesNotFit(t, a.Open(t)) })
	t.Run("a part", func(t *testing.T) { part(t, a.Open(t)) })
	t.Run("refunds are bounded", func(t *testing.T) { refunds(t, a.Open(t)) })
	t.Run("lists", func(t *testing.T) { lists(t, a.Open(t)) })
	t.Run("unknown attempts", func(t *testing.T) { unknown(t, a.Open(t)) })
	t.Run("answers that do not come", func(t *testing.T) { unreliable(t, a.Unreliable(t)) })
	t.Run("the end of the context", func(t *testing.T) { ended(t, a.Open(t)) })
}

const price = 1250

func usd(minor int64) payments.Amount { return payments.Amount{Minor: minor, Currency: "USD"} }

func attempt() payments.Authorization {
	id := uuid.NewString()
	return payments.Authorization{Attempt: "pat_" + id, Subject: "ord_" + id, Amount: usd(price)}
}

// want returns an answer, which must have the state, and no error.
func want(t *testing.T, a payments.Answer, err error, state payments.State, captured, refunded int64) payments.Answer {
	t.Helper()
	if err != nil || a.State != state || a.Captured != captured || a.Refunded != refunded {
		t.Fatalf("answered %+v, %v; want %s, %d captured, %d given back", a, err, state, captured, refunded)
	}
	return a
}

// authorized makes a payment that is authorized.
func authorized(t *testing.T, g payments.Gateway) payments.Ref {
	t.Helper()
	a := attempt()
	answer, err := g.Authorize(t.Context(), a)
	want(t, answer, err, payments.StateAuthorized, 0, 0)
	if answer.Reference == "" {
		t.Error("an authorized payment has no reference")
	}
	return payments.Ref{Attempt: a.Attempt, Reference: answer.Reference}
}

func payment(t *testing.T, g payments.Gateway) {
	ctx, p := t.Context(), authorized(t, g)
	answer, err := g.Lookup(ctx, payments.Ref{Attempt: p.Attempt}) // without the reference, as after a lost answer
	if got := want(t, answer, err, payments.StateAuthorized, 0, 0); got.Reference != p.Reference {
		t.Errorf("looked up as %s, want %s", got.Reference, p.Reference)
	}
	for range 2 {
		answer, err = g.Capture(ctx, p, usd(price))
		want(t, answer, err, payments.StateCaptured, price, 0)
	}
	for range 2 {
		answer, err = g.Refund(ctx, p, "re_1", usd(price))
		wantMade(t, want(t, answer, err, payments.StateRefunded, price, price), true)
	}
	answer, err = g.Refund(ctx, p, "re_2", usd(1))
	wantMade(t, want(t, answer, err, payments.StateRefunded, price, price), false)
	answer, err = g.Lookup(ctx, p)
	want(t, answer, err, payments.StateRefunded, price, price)
}

func declined(t *testing.T, g payments.Gateway) {
	a := attempt()
	for range 2 {
		answer, err := g.Authorize(t.Context(), a)
		if got := want(t, answer, err, payments.StateDeclined, 0, 0); got.Reason == "" {
			t.Error("it does not say why")
		}
	}
	answer, err := g.Void(t.Context(), payments.Ref{Attempt: a.Attempt})
	want(t, answer, err, payments.StateDeclined, 0, 0)
}

func oneAttempt(t *testing.T, g payments.Gateway) {
	a := attempt()
	const callers = 16
	var references sync.Map
	var done sync.WaitGroup
	for range callers {
		done.Go(func() {
			answer, err := g.Authorize(t.Context(), a)
			if err != nil || answer.State != payments.StateAuthorized {
				t.Errorf("answered %+v, %v", answer, err)
			}
			references.Store(answer.Reference, true)
		})
	}
	done.Wait()
	n := 0
	references.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d calls of one attempt made %d payments", callers, n)
	}
	a.Amount.Minor++
	if answer, err := g.Authorize(t.Context(), a); !errors.Is(err, payments.ErrMismatch) {
		t.Errorf("another amount is answered %+v, %v; want %v", answer, err, payments.ErrMismatch)
	}
}

func void(t *testing.T, g payments.Gateway) {
	ctx, p := t.Context(), authorized(t, g)
	for range 2 {
		answer, err := g.Void(ctx, p)
		if got := want(t, answer, err, payments.StateVoided, 0, 0); !got.Held {
			t.Error("it does not say that the amount was reserved")
		}
	}
	answer, err := g.Capture(ctx, p, usd(price))
	want(t, answer, err, payments.StateVoided, 0, 0)
	answer, err = g.Authorize(ctx, payments.Authorization{Attempt: p.Attempt, Amount: usd(price)}) // a repeat that was under way
	want(t, answer, err, payments.StateVoided, 0, 0)
}

func doesNotFit(t *testing.T, g payments.Gateway) {
	ctx, p := t.Context(), authorized(t, g)
	answer, err := g.Refund(ctx, p, "re_1", usd(1))
	wantMade(t, want(t, answer, err, payments.StateAuthorized, 0, 0), false)
	answer, err = g.Capture(ctx, p, usd(price+1))
	want(t, answer, err, payments.StateAuthorized, 0, 0)
	answer, err = g.Capture(ctx, p, usd(price))
	want(t, answer, err, payments.StateCaptured, price, 0)
	answer, err = g.Void(ctx, p)
	want(t, answer, err, payments.StateCaptured, price, 0)
}

func part(t *testing.T, g payments.Gateway) {
	ctx, p := t.Context(), authorized(t, g)
	answer, err := g.Capture(ctx, p, usd(1000))
	want(t, answer, err, payments.StateCaptured, 1000, 0)
	answer, err = g.Capture(ctx, p, usd(250)) // the rest was released
	want(t, answer, err, payments.StateCaptured, 1000, 0)
	answer, err = g.Refund(ctx, p, "re_1", usd(400))
	wantMade(t, want(t, answer, err, payments.StateCaptured, 1000, 400), true)
	answer, err = g.Refund(ctx, p, "re_2", usd(601))
	wantMade(t, want(t, answer, err, payments.StateCaptured, 1000, 400), false)
	answer, err = g.Refund(ctx, p, "re_3", usd(600))
	wantMade(t, want(t, answer, err, payments.StateRefunded, 1000, 1000), true)
	answer, err = g.Refund(ctx, p, "re_1", usd(400)) // a repeat, when nothing is left
	wantMade(t, want(t, answer, err, payments.StateRefunded, 1000, 1000), true)
}

// wantMade asserts whether an answer says that the refund was given back.
func wantMade(t *testing.T, a payments.Answer, made bool) {
	t.Helper()
	if a.Made != made {
		t.Errorf("the refund is told to be made: %t, want %t", a.Made, made)
	}
}

// refunds are asked for all at once, for more in all than was captured.
func refunds(t *testing.T, g payments.Gateway) {
	ctx, p := t.Context(), authorized(t, g)
	answer, err := g.Capture(ctx, p, usd(price))
	want(t, answer, err, payments.StateCaptured, price, 0)
	var done sync.WaitGroup
	var made atomic.Int64
	for i := range 32 {
		done.Go(func() {
			answer, err := g.Refund(ctx, p, fmt.Sprintf("re_%d", i), usd(100))
			if err != nil {
				t.Errorf("refund %d: %v", i, err)
			}
			if answer.Made {
				made.Add(1)
			}
		})
	}
	done.Wait()
	if n := made.Load(); n != price/100 {
		t.Errorf("%d refunds are told to be made, want %d", n, price/100)
	}
	answer, err = g.Lookup(ctx, p)
	want(t, answer, err, payments.StateCaptured, price, price/100*100)
}

// lists makes more payments than a page of most gateways has, and finds each movement once.
func lists(t *testing.T, g payments.Gateway) {
	ctx := t.Context()
	want := map[string]int64{}
	for n := range 120 {
		p := authorized(t, g)
		switch n % 3 {
		case 0:
			continue // is no movement
		case 1:
			_, err := g.Void(ctx, p)
			if err != nil {
				t.Fatal(err)
			}
			continue
		}
		answer, err := g.Capture(ctx, p, usd(price))
		wantAnswer(t, answer, err)
		want["CAPTURE "+p.Attempt+" "] = price
		for part := range int64(4) {
			key := fmt.Sprintf("re_%s_%d", p.Attempt, part)
			answer, err := g.Refund(ctx, p, key, usd(100+part))
			wantAnswer(t, answer, err)
			want["REFUND "+p.Attempt+" "+key] = 100 + part
		}
		moved, err := g.Movements(ctx, p)
		if err != nil || len(moved) != 5 {
			t.Fatalf("%d movements of one payment, %v; want 5", len(moved), err)
		}
		for _, m := range moved {
			if m.Amount != usd(want[name(m)]) || m.ID == "" || m.Reference != p.Reference {
				t.Errorf("moved %+v, want %d", m, want[name(m)])
			}
		}
	}
	from, to := time.Unix(0, 0), time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
	cursor, pages := "", 0
	for {
		page, err := g.List(ctx, from, to, cursor)
		if err != nil {
			t.Fatal(err)
		}
		again, err := g.List(ctx, from, to, cursor)
		if err != nil || len(again.Movements) != len(page.Movements) || again.Next != page.Next {
			t.Errorf("a page of %d is read again as one of %d, %v", len(page.Movements), len(again.Movements), err)
		}
		for _, m := range page.Movements {
			if minor, known := want[name(m)]; !known || m.Amount != usd(minor) || m.ID == "" || m.Reference == "" || m.At.IsZero() {
				t.Errorf("lists %+v, want %d", m, minor)
			}
			delete(want, name(m))
		}
		pages++
		if page.Next == "" || pages > 1000 {
			break
		}
		cursor = page.Next
	}
	if len(want) > 0 {
		t.Errorf("%d movements are not listed", len(want))
	}
	if page, err := g.List(ctx, from, from.Add(time.Hour), ""); err != nil || len(page.Movements) > 0 {
		t.Errorf("%d movements of 1970, %v", len(page.Movements), err)
	}
	if moved, err := g.Movements(ctx, payments.Ref{Attempt: attempt().Attempt}); err != nil || len(moved) > 0 {
		t.Errorf("%d movements of an unknown attempt, %v", len(moved), err)
	}
}

func name(m payments.Movement) string { return string(m.Kind) + " " + m.Attempt + " " + m.Refund }

func wantAnswer(t *testing.T, a payments.Answer, err error) {
	t.Helper()
	if err != nil || a.State != payments.StateCaptured {
		t.Fatalf("answered %+v, %v", a, err)
	}
}

func unknown(t *testing.T, g payments.Gateway) {
	p := payments.Ref{Attempt: attempt().Attempt}
	answer, err := g.Lookup(t.Context(), p)
	want(t, answer, err, payments.StateNotFound, 0, 0)
	answer, err = g.Void(t.Context(), p)
	want(t, answer, err, payments.StateNotFound, 0, 0)
}

// persistence bounds how often a call is repeated until it is answered.
const persistence = 1000

// answered repeats a call until it is answered.
func answered(t *testing.T, call func() (payments.Answer, error)) (payments.Answer, bool) {
	t.Helper()
	for n := range persistence {
		answer, err := call()
		if err == nil {
			return answer, n > 0
		}
	}
	t.Fatalf("no answer to %d calls", persistence)
	return payments.Answer{}, false
}

// unreliable takes many payments and gives a part of each back, repeating what is not answered.
func unreliable(t *testing.T, g payments.Gateway) {
	ctx, repeats := t.Context(), 0
	for range 50 {
		a := attempt()
		p := payments.Ref{Attempt: a.Attempt}
		for _, step := range []struct {
			call               func() (payments.Answer, error)
			captured, refunded int64
		}{
			{func() (payments.Answer, error) { return g.Authorize(ctx, a) }, 0, 0},
			{func() (payments.Answer, error) { return g.Capture(ctx, p, usd(price)) }, price, 0},
			{func() (payments.Answer, error) { return g.Refund(ctx, p, "re_1", usd(500)) }, price, 500},
			{func() (payments.Answer, error) { return g.Refund(ctx, p, "re_2", usd(500)) }, price, 1000},
		} {
			answer, repeated := answered(t, step.call)
			if repeated {
				repeats++
			}
			if answer.Captured != step.captured || answer.Refunded != step.refunded {
				t.Fatalf("answered %+v, want %d captured and %d given back", answer, step.captured, step.refunded)
			}
			p.Reference = answer.Reference
		}
	}
	if repeats == 0 {
		t.Error("each call was answered at once: the gateway is reliable")
	}
}

func ended(t *testing.T, g payments.Gateway) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a := attempt()
	answer, err := g.Authorize(ctx, a)
	if err == nil && answer.State != payments.StateAuthorized {
		t.Errorf("answered %+v", answer)
	}
	answer, err = g.Authorize(t.Context(), a) // whatever became of the first call
	want(t, answer, err, payments.StateAuthorized, 0, 0)
}
