package load

import (
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"time"

	"holdfast/experiment/claims"
	"holdfast/experiment/history"
	"holdfast/lockprovider"
)

// TestRepeatsAreInTheHistoryOnly: a repeat of what was done is no part of what operations wait and try.
func TestRepeatsAreInTheHistoryOnly(t *testing.T) {
	var mu sync.Mutex
	seen, repeats := map[string]bool{}, 0
	l := pointsLoad(t, stub(t, func(_ int, key string) string {
		mu.Lock()
		defer mu.Unlock()
		if key != "" && seen[key] {
			repeats++
			if repeats%2 == 0 {
				return gone
			}
			return busy
		}
		seen[key] = true
		return yes
	}))
	const operations = 200
	l.Operations, l.History = operations, true
	rec := l.Run(t.Context())
	if repeats == 0 {
		t.Fatal("nothing was repeated")
	}
	if rec.Granted != operations || len(rec.Waits) != operations || rec.Answers != operations || rec.Attempts != 2*operations || len(rec.Retries) > 0 {
		t.Errorf("%d granted, %d waits, %d answers, %d attempts, retries %v, with %d repeats",
			rec.Granted, len(rec.Waits), rec.Answers, rec.Attempts, rec.Retries, repeats)
	}
	for _, a := range rec.Requests {
		if a.Outcome != Granted || a.Code != "" {
			t.Errorf("a request is %d with the code %q", a.Outcome, a.Code)
		}
	}
	if len(rec.History) != operations+repeats {
		t.Errorf("the history has %d operations, want %d and %d repeats", len(rec.History), operations, repeats)
	}
}

// TestPositionsOfPaymentsAreLeftOut: the payment of an order is a change of its own. Its position is not one of the order.
func TestPositionsOfPaymentsAreLeftOut(t *testing.T) {
	l, r := &Generator{History: true}, newRecorder()
	a := NewRequest(PlaceOrder, "alice")
	a.Lines = []Line{{Product: "prod_1", Quantity: 1}}
	var p payload
	const answer = `{"object":{"id":"ord_1"},"meta":{"positions":[{"subjectId":"acct_1","position":"7"},{"subjectId":"prod_1","position":"3"},
		{"subjectId":"wallet_alice","position":"9"}]}}`
	if err := json.Unmarshal([]byte(answer), &p); err != nil {
		t.Fatal(err)
	}
	l.note(r, 0, a, time.Now(), claims.Reply{Object: "ord_1"}, &p)
	want := []history.Observation{{Balance: lockprovider.StockKey("prod_1"), Position: 3}}
	if len(r.history) != 1 || !slices.Equal(r.history[0].Observed, want) {
		t.Errorf("noted %+v, want %+v", r.history, want)
	}
}
