package load

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"holdfast/internal/testenv"
)

// stub is a shop that answers as it is told.
func stub(t *testing.T, answer func(n int, key string) string) *Shop {
	t.Helper()
	var mu sync.Mutex
	n := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Variables struct {
				Input struct{ IdempotencyKey string }
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		mu.Lock()
		n++
		turn := n
		mu.Unlock()
		_, _ = w.Write([]byte(answer(turn, body.Variables.Input.IdempotencyKey)))
	}))
	t.Cleanup(server.Close)
	s := NewShop([]string{server.URL}, []byte("a secret of the tests, 32 bytes or longer"), "holdfast", "", "USD", 16)
	t.Cleanup(s.Close)
	return s
}

const (
	yes  = `{"data":{"r":{"object":{"id":"wallet_1"},"meta":{"attempts":2,"lockWaitMs":3.5},"userErrors":[]}}}`
	busy = `{"data":{"r":{"meta":{"attempts":1,"lockWaitMs":9},"userErrors":[{"code":"LOCK_TIMEOUT","retryable":true,"retryAfterMs":1}]}}}`
	gone = `{"data":{"r":{"meta":{},"userErrors":[{"code":"OUT_OF_STOCK","retryable":true,"retryAfterMs":null}]}}}`
)

func pointsLoad(t *testing.T, s *Shop) *Generator {
	t.Helper()
	w, err := WorkloadByName("points")
	if err != nil {
		t.Fatal(err)
	}
	world, err := Prepare(t.Context(), s, w, Size{}, 4, "customer")
	if err != nil {
		t.Fatal(err)
	}
	return &Generator{Shop: s, Dataset: world, Clients: 4, Seed: 1, Label: "load"}
}

func TestOperationsBoundALoad(t *testing.T) {
	l := pointsLoad(t, stub(t, func(int, string) string { return yes }))
	l.Operations = 37
	rec := l.Run(t.Context())
	if rec.Granted != 37 || len(rec.Requests) != 37 || rec.Refused+rec.Unanswered+rec.Late != 0 {
		t.Errorf("%d granted of %d asked", rec.Granted, len(rec.Requests))
	}
	if n := len(rec.Waits); rec.Attempts != 74 || n != 37 || rec.Waits[0] != 3.5 || rec.Waits[n-1] != 3.5 {
		t.Errorf("%d attempts, waits %v", rec.Attempts, rec.Waits)
	}
	sum := int64(0)
	for _, m := range rec.Timeline {
		sum += m.Successes
	}
	if sum != 37 {
		t.Errorf("the time line holds %d", sum)
	}
}

func TestRetryableAnswersAreRepeatedUnderTheSameKey(t *testing.T) {
	var mu sync.Mutex
	keys := map[string]int{}
	l := pointsLoad(t, stub(t, func(_ int, key string) string {
		mu.Lock()
		defer mu.Unlock()
		keys[key]++
		if keys[key] < 3 {
			return busy
		}
		return yes
	}))
	l.Operations = 5
	rec := l.Run(t.Context())
	if rec.Granted != 5 || rec.Retries["LOCK_TIMEOUT"] != 10 || len(keys) != 5 {
		t.Errorf("%d granted, %v, %d keys", rec.Granted, rec.Retries, len(keys))
	}
}

func TestRefusalsForGoodAreNotRepeated(t *testing.T) {
	asked := 0
	l := pointsLoad(t, stub(t, func(n int, _ string) string { asked = n; return gone }))
	l.Operations, l.Clients = 6, 1
	rec := l.Run(t.Context())
	if rec.Refused != 6 || rec.RefusedByCode["OUT_OF_STOCK"] != 6 || rec.Granted != 0 || asked != 6 {
		t.Errorf("%d refused, %v, %d asked", rec.Refused, rec.RefusedByCode, asked)
	}
}

// TestStallsAreNotOmitted lets the first request of an open loop with one client stall: those that were meant to be sent
// meanwhile have waited as well, and their latency has to say so (coordinated omission).
func TestStallsAreNotOmitted(t *testing.T) {
	stall := testenv.Scaled(300 * time.Millisecond)
	l := pointsLoad(t, stub(t, func(n int, _ string) string {
		if n == 1 {
			time.Sleep(stall) // what is measured here
		}
		return yes
	}))
	l.Clients, l.Rate, l.Operations = 1, 200, 40 // 40 operations in about 200 ms
	rec := l.Run(t.Context())
	if rec.Granted != 40 {
		t.Fatalf("%d granted", rec.Granted)
	}
	late := 0
	for _, a := range rec.Requests {
		if a.Outcome == Granted && a.Began.Sub(rec.began) < stall/2 {
			late++
		}
	}
	if got := Milliseconds(rec.SuccessTimes, 50); got < float64(stall.Milliseconds())/6 {
		t.Errorf("the median is %.1f ms, as if nobody had waited during a stall of %s (%d were to start in its first half)", got, stall, late)
	}

	l = pointsLoad(t, stub(t, func(n int, _ string) string {
		if n == 1 {
			time.Sleep(stall) // as above
		}
		return yes
	}))
	l.Clients, l.Operations = 1, 40 // a closed loop: the others are asked after the stall, and have not waited
	if got := Milliseconds(l.Run(t.Context()).SuccessTimes, 50); got > float64(stall.Milliseconds())/6 {
		t.Errorf("the median of a closed loop is %.1f ms", got)
	}
}

func TestScheduleHasTheRate(t *testing.T) {
	l := Generator{Rate: 1000, Duration: 10 * time.Second, Seed: 5, Label: "load"}
	starts := l.schedule()
	if n := len(starts); n < 9_600 || n > 10_400 { // four standard deviations of a Poisson process
		t.Errorf("%d starts in 10 s at 1000/s", n)
	}
	again := l.schedule()
	if len(again) != len(starts) || again[0] != starts[0] || again[len(again)-1] != starts[len(starts)-1] {
		t.Error("the same seed has another schedule")
	}
}

func TestParallelSaysThatItWasCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := parallel(ctx, 3, 2, func(context.Context, int) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("%v: whoever goes on has not got what it needs", err)
	}
}

// customers returns a load whose only customer asks for one charge of points in that manner.
func customers(t *testing.T, s *Shop, manner func(a *Request)) *Generator {
	t.Helper()
	l := pointsLoad(t, s)
	charge := l.Dataset.Workload.next
	l.Dataset.Workload.next = func(w *Dataset, dice *rand.Rand) []*Request {
		steps := charge(w, dice)
		manner(steps[0])
		return steps
	}
	l.Clients, l.Operations = 1, 1
	return l
}

// TestDoubleClicks: both clicks are sent before either is answered, under one key. What says less counts as told first.
func TestDoubleClicks(t *testing.T) {
	both := make(chan struct{})
	var mu sync.Mutex
	keys := map[string]int{}
	l := customers(t, stub(t, func(n int, key string) string {
		mu.Lock()
		keys[key]++
		if n == 2 {
			close(both)
		}
		mu.Unlock()
		select {
		case <-both:
		case <-time.After(testenv.Scaled(30 * time.Second)):
			t.Error("the second click was not sent before the first one was answered")
		}
		if n == 1 {
			return yes
		}
		return busy
	}), func(a *Request) { a.twice = true })
	rec := l.Run(t.Context())
	a := rec.Requests[0]
	if rec.Granted != 1 || len(rec.Requests) != 1 || len(keys) != 1 || keys[a.Key.String()] != 2 {
		t.Errorf("%d granted of %d requests, keys %v", rec.Granted, len(rec.Requests), keys)
	}
	if told := a.Told.String(); told != "LOCK_TIMEOUT, success" {
		t.Errorf("told %q", told)
	}
	if !a.Claims().Unmarked {
		t.Error("who clicks twice does not know which click was a repeat")
	}
}

// TestCustomersGoAway: one who comes back asks again under the same key; of one who does not, nobody knows what was done.
func TestCustomersGoAway(t *testing.T) {
	for _, back := range []bool{false, true} {
		var mu sync.Mutex
		asked := map[string]int{}
		gone := make(chan struct{})
		l := customers(t, stub(t, func(n int, key string) string {
			mu.Lock()
			asked[key]++
			mu.Unlock()
			if n == 1 {
				select { // longer than the customer stays, unless the request comes when the customer is back
				case <-gone:
				case <-time.After(testenv.Scaled(200 * time.Millisecond)):
				}
			}
			return yes
		}), func(a *Request) { a.leave, a.back = time.Millisecond, back })
		rec := l.Run(t.Context())
		close(gone)
		mu.Lock() // a request that its customer has left may still be answered
		known := maps.Clone(asked)
		mu.Unlock()
		a := rec.Requests[0]
		want, told := Abandoned, "NO_ANSWER"
		if back {
			want, told = Granted, "NO_ANSWER, success"
		}
		if a.Outcome != want || a.Told.String() != told || len(known) > 1 || rec.Unanswered != 0 || rec.Operations() != 1 {
			t.Errorf("comes back %t: outcome %d, told %q, asked %v, %d unanswered", back, a.Outcome, &a.Told, known, rec.Unanswered)
		}
		if rec.Abandoned != int64(b2i(!back)) || len(rec.Retries) > 0 {
			t.Errorf("comes back %t: %d abandoned, retries %v", back, rec.Abandoned, rec.Retries)
		}
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestRivals: two requests about one order are sent before either is answered, and both are recorded.
func TestRivals(t *testing.T) {
	var together sync.WaitGroup
	together.Add(2)
	s := stub(t, func(n int, _ string) string {
		if n == 1 {
			return yes
		}
		together.Done()
		together.Wait()
		return yes
	})
	l := customers(t, s, func(*Request) {})
	l.Dataset.Workload.next = func(w *Dataset, dice *rand.Rand) []*Request {
		order := w.orderOf("alice", "prod_1")
		pay := order.pays("CARD")
		pay.rival = order.follow(CancelOrder)
		return []*Request{order, pay}
	}
	l.Duration, l.Operations = testenv.Scaled(30*time.Second), 1
	rec := l.Run(t.Context())
	if len(rec.Requests) != 3 || rec.Requests[1].Outcome != Granted || rec.Requests[2].Outcome != Granted || rec.Answers != 3 {
		t.Fatalf("%d requests, %d answers", len(rec.Requests), rec.Answers)
	}
	order := rec.Requests[0]
	for _, a := range rec.Requests[1:] {
		if a.ID() != order.ID() || a.User != order.User || a.Key == order.Key {
			t.Errorf("%s is about %s by %s", a.Operation, a.ID(), a.User)
		}
	}
	if !order.Claims().Followed || !rec.Requests[1].Claims().Followed {
		t.Error("what was told of the order and its payment may be true no more")
	}
}
