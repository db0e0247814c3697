package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"

	"holdfast/experiment/claims"
	"holdfast/lockprovider"
)

// TestCampaignFindsLies puts a liar between a shop and its customers. The campaign has to find each of its lies, and nothing else.
func TestCampaignFindsLies(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	noLeaks(t)
	c := newCampaign(t, openPostgres(t), variant{strategy: lockprovider.AtomicSQL})
	c.patient = true // else a lie may pass for what an attempt did whose answer nobody heard
	c.pause = 0      // a lie is told every few requests
	l := &liar{next: browser(t).Transport, lies: map[string]string{}, seen: map[string]bool{}}
	for i := range c.shoppers {
		c.shoppers[i].http = &http.Client{Transport: l}
	}
	c.refill(t)
	load := c.load(t)
	c.await(t, 400)
	load.finish(t)

	db := c.open(t)
	c.drained(t, db)
	c.look(readBooks(t, db))
	kinds := map[string]int{}
	for a, untrue := range c.untrue() {
		key := a.input["idempotencyKey"].(string)
		kind, lied := l.lies[key]
		if !lied || len(untrue) != 1 || !slices.Contains(mayBeFoundAs[kind], untrue[0].Kind) {
			t.Errorf("%s: the lie is %q, found %+v", a, kind, untrue)
		}
		kinds[kind]++
		delete(l.lies, key)
	}
	for key, kind := range l.lies {
		t.Errorf("the lie %q about %s was not found", kind, key)
	}
	if len(kinds) != len(mayBeFoundAs) {
		t.Errorf("found %v, want some of each of %v", kinds, slices.Sorted(maps.Keys(mayBeFoundAs)))
	}
	t.Logf("found %v", kinds)
	for _, p := range c.instances() {
		p.stop()
	}
}

// The lies, and what they are found as. Who believes that something was done, and asks again, is told that it is done only now.
const (
	doneAndDenied   = "done, and denied"
	doneAndRefused  = "done, and refused"
	neverDone       = "never done"
	acceptedNowhere = "accepted by nobody"
)

var mayBeFoundAs = map[string][]string{
	doneAndDenied:   {claims.Phantom},
	doneAndRefused:  {claims.Phantom},
	neverDone:       {claims.Missing, claims.Contradiction},
	acceptedNowhere: {claims.Missing},
}

// liar is a way to the shop that changes some answers to the first attempt of a request.
type liar struct {
	next http.RoundTripper

	mu   sync.Mutex
	n    int
	seen map[string]bool   // keys
	lies map[string]string // by key
}

// RoundTrip implements [http.RoundTripper].
func (l *liar) RoundTrip(r *http.Request) (*http.Response, error) {
	sent, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(sent))
	var request struct {
		Variables struct {
			Input struct {
				IdempotencyKey, FromAccountID, Amount any
			}
		}
	}
	_ = json.Unmarshal(sent, &request) // what it cannot read, it leaves alone
	input := request.Variables.Input
	key, _ := input.IdempotencyKey.(string)
	l.mu.Lock()
	first := key != "" && !l.seen[key]
	l.seen[key] = true
	l.n++
	turn, accepts := l.n, l.lies[key] == acceptedNowhere
	l.mu.Unlock()
	if accepts { // it would come true if the repeat did it
		return l.say(r, key, acceptedNowhere, charged(accepted)), nil
	}
	if !first {
		return l.next.RoundTrip(r)
	}
	if charge := input.FromAccountID == nil && input.Amount != nil; charge {
		switch turn % 4 {
		case 0:
			return l.say(r, key, neverDone, charged("PERSISTED")), nil
		case 1:
			return l.say(r, key, acceptedNowhere, charged(accepted)), nil
		}
	}
	response, err := l.next.RoundTrip(r)
	if err != nil || input.FromAccountID == nil || turn%2 == 0 {
		return response, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	switch success := bytes.Contains(answer, []byte(`"userErrors":[]`)); {
	case success && turn%4 == 1:
		return l.say(r, key, doneAndDenied, refusedTransfer("LOCK_TIMEOUT", true)), nil
	case success:
		return l.say(r, key, doneAndRefused, refusedTransfer("INSUFFICIENT_FUNDS", false)), nil
	}
	response.Body = io.NopCloser(bytes.NewReader(answer))
	return response, nil
}

// say answers a request with a lie.
func (l *liar) say(r *http.Request, key, kind, body string) *http.Response {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lies[key] = kind
	return &http.Response{
		StatusCode: http.StatusOK, Proto: r.Proto, ProtoMajor: r.ProtoMajor, ProtoMinor: r.ProtoMinor,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader([]byte(body))), Request: r,
	}
}

func charged(persistence string) string {
	return fmt.Sprintf(`{"data":{"chargePoints":{"wallet":{"balance":"1"},"meta":{"attempts":1,"replayed":false,"persistence":%q},"userErrors":[]}}}`, persistence)
}

func refusedTransfer(code string, retryable bool) string {
	return fmt.Sprintf(`{"data":{"transfer":{"transfer":null,"meta":{"attempts":1,"replayed":false,"persistence":"PERSISTED"},`+
		`"userErrors":[{"code":%q,"message":"no","retryable":%t}]}}}`, code, retryable)
}
