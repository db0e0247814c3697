package commerce_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	"github.com/google/uuid"

	"holdfast/app"
	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/config"
	"holdfast/config/setting"
	"holdfast/ent/order"
	"holdfast/ent/paymentattempt"
	"holdfast/lockprovider"
	"holdfast/payments/stripe/stripetest"
)

// stripeShop is a shop that takes payments by Stripe.
type stripeShop struct {
	*shop
	stripe *stripetest.Server
}

func openStripeShop(t *testing.T, databaseURL string) *stripeShop {
	t.Helper()
	s := &stripeShop{&shop{clock: &clock{now: time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)}}, stripetest.New(t)}
	cfg := config.Default()
	cfg.Database.URL, cfg.Redis.URL = setting.URL(databaseURL), clients.EmbeddedRedis
	for _, lock := range cfg.Locks {
		lock.Strategy = lockprovider.AtomicSQL
	}
	cfg.Payment.Gateway, cfg.Payment.Stripe.URL = commerce.GatewayStripe, setting.URL(s.stripe.URL)
	cfg.Payment.Stripe.SecretKey, cfg.Payment.Stripe.WebhookSecret = stripetest.SecretKey, stripetest.WebhookSecret
	cfg.Payment.Timeout = longEnough
	opened, err := app.Open(t.Context(), cfg, slog.New(slog.DiscardHandler), app.Options{Now: s.clock.Now})
	must(t, err)
	t.Cleanup(func() { must(t, opened.Close()) })
	s.opened, s.db, s.redis, s.Services = opened, opened.DB, opened.Redis.Client, opened.Services
	return s
}

// secretOf is the client secret of the payment of an attempt.
func (s *stripeShop) secretOf(t *testing.T, attempt string) string {
	t.Helper()
	for _, e := range s.stripe.Events() {
		var event struct {
			Data struct {
				Object struct {
					ClientSecret string            `json:"client_secret"`
					Metadata     map[string]string `json:"metadata"`
				} `json:"object"`
			} `json:"data"`
		}
		must(t, json.Unmarshal(e.Body, &event))
		if event.Data.Object.Metadata["holdfast_attempt"] == attempt {
			return event.Data.Object.ClientSecret
		}
	}
	t.Fatalf("Stripe has no payment of %s", attempt)
	return ""
}

// deliver sends the events from the n-th on, each so many times, the last first if backwards, and returns how many there are.
func (s *stripeShop) deliver(t *testing.T, from, times int, backwards bool) int {
	t.Helper()
	events := s.stripe.Events()
	for n := from; n < len(events); n++ {
		e := events[n]
		if backwards {
			e = events[len(events)-1-(n-from)]
		}
		for range times {
			header := stripetest.Sign(e.Body, stripetest.WebhookSecret, s.clock.Now())
			if _, err := s.Orders.ReceiveWebhook(t.Context(), "stripe", header, e.Body); err != nil {
				t.Errorf("%s: %v", e.Type, err)
			}
		}
	}
	return len(events)
}

// shares number the databases that share what there is to try.
var shares = map[string]int{dialect.SQLite: 0, dialect.Postgres: 1, dialect.MySQL: 2}

// TestStripeTakesWhatIsSold: customers pay by Stripe in the browser, while answers and events are lost, repeated and reordered, and orders
// expire. In the end Stripe has the money of the orders that are paid, and no other. Each database tries a third of all combinations.
func TestStripeTakesWhatIsSold(t *testing.T) {
	everyDatabase(t, func(t *testing.T, url string) {
		s := openStripeShop(t, url)
		product, paid, seen, tried := s.product(t, 1000, 1000), int64(0), 0, 0
		var lose atomic.Value // the end of the path whose answer is lost, once
		lose.Store("-")
		s.stripe.Fault = func(call string) stripetest.Fault {
			if end, _ := lose.Load().(string); strings.HasPrefix(call, "POST ") && strings.HasSuffix(call, end) && lose.CompareAndSwap(end, "-") {
				return stripetest.LostAnswer
			}
			return stripetest.None
		}
		for _, lost := range []string{"-", "/payment_intents", "/capture", "/cancel", "/refunds"} {
			for _, card := range []string{"", stripetest.Visa, stripetest.Declined, stripetest.Declined + "," + stripetest.Visa} {
				for _, when := range []string{"in time", "too late"} {
					for _, times := range []int{0, 1, 3} {
						for _, backwards := range []bool{false, true} {
							tried++
							if (tried+tried/6)%len(shares) != shares[s.db.Dialect] {
								continue // all of it on each database would take a minute of the processors
							}
							what := fmt.Sprintf("%q lost, card %q %s, events %d times, backwards %v", lost, card, when, times, backwards)
							lose.Store(lost)
							id := s.unpaid(t, product, 1, "").ID
							_, err := s.Orders.Pay(t.Context(), alice, payCard(id))
							must(t, err)
							attempt := s.attempts(t, id)[0].ID
							secret := s.secretOf(t, attempt)
							for method := range strings.SplitSeq(card, ",") {
								if method != "" {
									s.stripe.Confirm(t, secret, method)
								}
							}
							if when == "too late" { // the order has ended, and the payment perhaps not
								s.clock.advance(reservation)
								_, _, err := s.Orders.ExpireOverdue(t.Context(), expiryLimit)
								must(t, err)
							}
							seen = s.deliver(t, seen, times, backwards)
							for range 4 {
								_, _, err := s.Orders.ExpireOverdue(t.Context(), expiryLimit)
								must(t, err)
								seen = s.deliver(t, seen, times, backwards)
								s.nextAttempt()
							}
							row, err := s.Orders.Get(t.Context(), alice, id)
							must(t, err)
							if !row.Settled {
								t.Fatalf("%s: the order is %s and not settled", what, row.Status)
							}
							if row.Status == order.StatusPAID {
								paid++
							}
							if (row.Status == order.StatusPAID) != (strings.HasSuffix(card, stripetest.Visa) && times > 0 && when == "in time") {
								t.Fatalf("%s: the order is %s", what, row.Status)
							}
							if got := s.stripe.Taken(); got != paid*1000 {
								t.Fatalf("%s: Stripe has %d, and %d orders are paid", what, got, paid)
							}
						}
					}
				}
			}
		}
		s.wantStock(t, product, 1000-paid)
		s.audit(t)
	})
}

// TestStripeRefund: a paid order is cancelled, and its payment given back, once.
func TestStripeRefund(t *testing.T) {
	s := openStripeShop(t, "sqlite://:memory:")
	id := s.unpaid(t, s.product(t, 1000, 3), 1, "").ID
	in := payCard(id)
	_, err := s.Orders.Pay(t.Context(), alice, in)
	must(t, err)
	s.stripe.Confirm(t, s.secretOf(t, s.attempts(t, id)[0].ID), stripetest.Visa)
	result, err := s.Orders.Pay(t.Context(), alice, in) // the customer repeats it before any event comes
	must(t, err)
	wantStatus(t, result.Order, order.StatusPAID)
	for range 2 {
		_, err = s.Orders.Cancel(t.Context(), alice, commerce.CancelOrder{Key: uuid.New(), OrderID: id})
		if _, refused := commerce.UserErrors(err); err != nil && !refused {
			t.Error(err)
		}
	}
	s.deliver(t, 0, 3, true)
	s.wantOrder(t, id, order.StatusCANCELLED, true)
	s.wantAttempts(t, id, paymentattempt.StatusREFUNDED)
	if got := s.stripe.Taken(); got != 0 {
		t.Errorf("Stripe has %d", got)
	}
	s.audit(t)
}
