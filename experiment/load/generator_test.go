package load

import (
	"context"
	"encoding/json"
	"errors"
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
