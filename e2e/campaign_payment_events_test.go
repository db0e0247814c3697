package e2e

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"holdfast/payments/stripe/stripetest"
)

// delivery is how the events of Stripe come after a crash: every second one so many times, and the others so many times.
type delivery struct {
	expired   bool // after the order has expired
	times     [2]int
	backwards bool
}

// deliveries are all: each of two neighbours 0, 1 or 3 times, in both orders, before and after the order has expired. In the first evenDeliveries
// both come as often.
var deliveries = allDeliveries()

const evenDeliveries = 10

func allDeliveries() (all []delivery) {
	for _, uneven := range []bool{false, true} {
		for i, first := range []int{1, 0, 3} {
			for _, second := range []int{1, 0, 3} {
				if uneven == (first == second) {
					continue
				}
				for _, backwards := range []bool{i == 2, i != 2} { // so that a few in a row differ
					for _, expired := range []bool{i == 1, i != 1} {
						if first+second > 0 || !backwards { // else there is no order
							all = append(all, delivery{expired, [2]int{first, second}, backwards})
						}
					}
				}
			}
		}
	}
	return all
}

// TestPaymentDeliveriesAreAll: the campaign leaves out no way in which two events of Stripe may come.
func TestPaymentDeliveriesAreAll(t *testing.T) {
	seen := map[delivery]bool{}
	for i, d := range deliveries {
		if seen[d] {
			t.Errorf("%+v comes twice", d)
		}
		seen[d] = true
		if even := d.times[0] == d.times[1]; even != (i < evenDeliveries) {
			t.Errorf("%d: %+v", i, d)
		}
	}
	wantEqual(t, "ways", len(seen), 2*(2*9-1)) // 3 × 3 counts in two orders, but for none at all, which has one; before and after the expiry
}

// deliver sends the events of Stripe from the n-th on, each of two neighbours so many times.
func (k *paymentKills) deliver(t *testing.T, from int, times [2]int, backwards bool) {
	t.Helper()
	events := k.stripe.Events()[from:]
	var calls []stripetest.Event
	for i, e := range events {
		calls = append(calls, slices.Repeat([]stripetest.Event{e}, times[i%2])...)
	}
	if backwards {
		slices.Reverse(calls)
	}
	for _, e := range calls {
		status, err := k.post(e)
		must(t, err)
		if status != http.StatusOK {
			t.Errorf("%s is answered %d", e.Type, status)
		}
	}
}

// post sends one event of Stripe to the webhook.
func (k *paymentKills) post(e stripetest.Event) (status int, err error) {
	req, err := http.NewRequestWithContext(k.ctx, http.MethodPost, k.server.url+"/webhooks/stripe", bytes.NewReader(e.Body))
	if err != nil {
		return 0, err
	}
	req.Header = stripetest.Sign(e.Body, stripetest.WebhookSecret, time.Now())
	resp, err := k.alice.http.Do(req)
	if err != nil {
		return 0, err
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, resp.Body.Close()
}
