package commerce_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/ent/order"
	"holdfast/ent/paymentattempt"
	"holdfast/lockprovider"
	"holdfast/payments"
)

// message is a message of the gateway, and its signature.
type message struct {
	header http.Header
	body   []byte
}

func (s *shop) message(t *testing.T, m payments.SimulatedMessage) message {
	t.Helper()
	body, err := json.Marshal(m)
	must(t, err)
	return s.sign(body)
}

func (s *shop) sign(body []byte) message {
	return message{http.Header{payments.SimulatedSignature: {payments.SignSimulated(webhookSecret, body, s.clock.Now())}}, body}
}

// tells returns a new message about an attempt.
func (s *shop) tells(t *testing.T, attempt string, state payments.State) message {
	t.Helper()
	return s.message(t, payments.SimulatedMessage{ID: uuid.NewString(), Attempt: attempt, State: state, Reference: "ref_" + attempt})
}

func (s *shop) deliver(ctx context.Context, m message) (commerce.WebhookOutcome, error) {
	return s.Orders.ReceiveWebhook(ctx, "simulated", m.header, m.body)
}

func (s *shop) wantDelivered(t *testing.T, m message, want commerce.WebhookOutcome) {
	t.Helper()
	if got, err := s.deliver(t.Context(), m); err != nil || got != want {
		t.Errorf("the message is %s, %v; want %s", got, err, want)
	}
}

// waiting is an order, and its attempt, whose customer has something to do.
func (s *shop) waiting(t *testing.T, productID string) (orderID, attempt string) {
	t.Helper()
	id := s.unpaid(t, productID, 1, "").ID
	s.gateway.fail = func(string, string) error { return errAction }
	_, err := s.Orders.Pay(t.Context(), alice, payCard(id))
	must(t, err)
	s.gateway.fail = nil
	s.wantAttempts(t, id, paymentattempt.StatusREQUIRES_ACTION)
	return id, s.attempts(t, id)[0].ID
}

// becomes sets what has become of a payment of 1000 at the gateway.
func (g *gateway) becomes(attempt, state string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	price := cmp.Or(g.asked[attempt].Amount.Minor, 1000)
	g.state[attempt], g.price[attempt], g.latest[g.subjects[attempt]] = state, price, attempt
}

// history is what happened to a payment at the gateway while the shop waited for the customer: the two last messages that the gateway
// sends, and how the payment stands now.
type history struct {
	told [2]payments.State
	now  string
	paid bool // whether the order is paid if the shop is told in time
}

// TestWebhooksInAnyOrderAndNumber: messages come never, once, or three times, in every order of two; in time, after the order has expired,
// and after all was given back. Whatever comes, the gateway has the money of the orders that are paid, and no other.
func TestWebhooksInAnyOrderAndNumber(t *testing.T) {
	histories := map[string]history{
		"confirmed":         {[2]payments.State{payments.StateRequiresAction, payments.StateAuthorized}, "authorized", true},
		"with another card": {[2]payments.State{payments.StateDeclined, payments.StateAuthorized}, "authorized", true},
		"captured by hand":  {[2]payments.State{payments.StateAuthorized, payments.StateCaptured}, "captured", true},
		"voided by hand":    {[2]payments.State{payments.StateAuthorized, payments.StateVoided}, "cancelled", false},
		"declined":          {[2]payments.State{payments.StateRequiresAction, payments.StateDeclined}, "declined", false},
	}
	everyDatabase(t, func(t *testing.T, url string) {
		s := openShop(t, lockprovider.FamilyConfig{Strategy: lockprovider.AtomicSQL}, url, clients.EmbeddedRedis)
		product, paid := s.product(t, 1000, 1000), int64(0)
		for name, h := range histories {
			for _, when := range []string{"in time", "expired", "settled"} {
				for _, times := range []int{0, 1, 3} {
					for _, turn := range [][2]int{{0, 1}, {1, 0}} {
						what := fmt.Sprintf("%s, %s, %d times, in the order %v", name, when, times, turn)
						id, attempt := s.waiting(t, product)
						messages := [2]message{s.tells(t, attempt, h.told[0]), s.tells(t, attempt, h.told[1])}
						s.gateway.becomes(attempt, h.now)
						if when != "in time" {
							s.clock.advance(reservation)
							if when == "expired" { // the shop could not end the payment
								s.gateway.fail = func(string, string) error { return errGatewayDown }
							}
							_, _, err := s.Orders.ExpireOverdue(t.Context(), expiryLimit)
							must(t, err)
							s.gateway.fail = nil
							messages = [2]message{s.sign(messages[0].body), s.sign(messages[1].body)} // late, and signed anew
						}
						for _, i := range turn {
							for n := range times {
								got, err := s.deliver(t.Context(), messages[i])
								if err != nil || (got == commerce.WebhookDuplicate) != (n > 0) {
									t.Fatalf("%s: delivery %d is %s, %v", what, n+1, got, err)
								}
							}
						}
						_, _, err := s.Orders.ExpireOverdue(t.Context(), expiryLimit)
						must(t, err)
						if row, err := s.Orders.Get(t.Context(), alice, id); err != nil ||
							(row.Status == order.StatusPAID) != (h.paid && when == "in time" && times > 0) {
							t.Fatalf("%s: the order is %v, %v", what, row, err)
						}
						for range 3 {
							s.nextAttempt()
							_, _, err := s.Orders.ExpireOverdue(t.Context(), expiryLimit)
							must(t, err)
						}
						row, err := s.Orders.Get(t.Context(), alice, id)
						must(t, err)
						state := s.gateway.stateOf(id)
						switch {
						case !row.Settled:
							t.Fatalf("%s: the order is %s and not settled", what, row.Status)
						case row.Status == order.StatusPAID && state == "captured":
							paid++
						case row.Status == order.StatusPAID, state == "captured", state == "authorized":
							t.Fatalf("%s: the order is %s, and the payment %s", what, row.Status, state)
						}
						for _, m := range messages { // once more, when all is over
							if times > 0 {
								s.wantDelivered(t, s.sign(m.body), commerce.WebhookDuplicate)
							}
						}
					}
				}
			}
		}
		if got := s.gateway.taken(); got != paid*1000 || paid == 0 {
			t.Errorf("the gateway has taken %d of %d paid orders", got, paid)
		}
		s.wantStock(t, product, 1000-paid)
		s.audit(t)
	})
}

// TestOneMessageSideBySide: of the deliveries of one message at the same time one counts.
func TestOneMessageSideBySide(t *testing.T) {
	everyDatabase(t, func(t *testing.T, url string) {
		s := openShop(t, lockprovider.FamilyConfig{Strategy: lockprovider.AtomicSQL}, url, clients.EmbeddedRedis)
		product := s.product(t, 1000, 100)
		for range 10 {
			id, attempt := s.waiting(t, product)
			s.gateway.becomes(attempt, "authorized")
			m := s.tells(t, attempt, payments.StateAuthorized)
			var mu sync.Mutex
			outcomes := map[commerce.WebhookOutcome]int{}
			together(8, func(int) {
				outcome, err := s.deliver(t.Context(), m)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				outcomes[outcome]++
			})
			if outcomes[commerce.WebhookApplied] != 1 || outcomes[commerce.WebhookDuplicate] != 7 {
				t.Errorf("eight deliveries of one message are %v", outcomes)
			}
			s.wantAttempts(t, id, paymentattempt.StatusAUTHORIZED)
		}
		s.expire(t, 10)
		if got := s.gateway.taken(); got != 10*1000 {
			t.Errorf("the gateway has taken %d, want %d", got, 10*1000)
		}
		s.audit(t)
	})
}

// TestMessagesAndTheCustomer: a customer repeats the payment while messages of all kinds come in, and the job runs.
func TestMessagesAndTheCustomer(t *testing.T) {
	everyDatabase(t, func(t *testing.T, url string) {
		s := openShop(t, lockprovider.FamilyConfig{Strategy: lockprovider.AtomicSQL}, url, clients.EmbeddedRedis)
		product := s.product(t, 1000, 100)
		const rounds = 10
		for range rounds {
			id := s.unpaid(t, product, 1, "").ID
			in := payCard(id)
			s.gateway.fail = func(string, string) error { return errAction }
			_, err := s.Orders.Pay(t.Context(), alice, in)
			must(t, err)
			s.gateway.fail = nil
			attempt := s.attempts(t, id)[0].ID
			s.gateway.becomes(attempt, "authorized")
			messages := []message{
				s.tells(t, attempt, payments.StateRequiresAction), s.tells(t, attempt, payments.StateAuthorized), s.tells(t, attempt, payments.StateDeclined),
			}
			together(8, func(i int) {
				switch {
				case i < 6:
					if _, err := s.deliver(t.Context(), messages[i%3]); err != nil {
						t.Error(err)
					}
				case i == 6:
					if _, err := untilSettled(t, func() (commerce.OrderResult, error) { return s.Orders.Pay(t.Context(), alice, in) }); err != nil {
						t.Error(err)
					}
				default:
					if _, _, err := s.Orders.ExpireOverdue(t.Context(), expiryLimit); err != nil {
						t.Error(err)
					}
				}
			})
			s.wantOrder(t, id, order.StatusPAID, true)
			s.wantAttempts(t, id, paymentattempt.StatusCAPTURED)
		}
		if got := s.gateway.taken(); got != rounds*1000 {
			t.Errorf("the gateway has taken %d, want %d", got, rounds*1000)
		}
		s.audit(t)
	})
}

// TestCapturedPaymentIsNotFollowedByAnother: the customer pays again after a webhook has told that the money is there, and before the job
// has seen it: by points, which are not taken, and by another card, which is not charged.
func TestCapturedPaymentIsNotFollowedByAnother(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		id, attempt := s.waiting(t, s.product(t, 1000, 3))
		s.gateway.becomes(attempt, "captured")
		s.wantDelivered(t, s.tells(t, attempt, payments.StateCaptured), commerce.WebhookApplied)
		s.points(t, alice, 1000)
		_, err := s.Orders.Pay(t.Context(), alice, commerce.PayOrder{Key: uuid.New(), OrderID: id, Payment: *byPoints()})
		wantCodes(t, err, "INVALID_STATE:input.payment.method")
		s.wantPoints(t, alice, 1000)
		result, err := s.Orders.Pay(t.Context(), alice, payCard(id))
		must(t, err)
		wantStatus(t, result.Order, order.StatusPAID)
		s.wantAttempts(t, id, paymentattempt.StatusCAPTURED)
		if got := s.gateway.taken(); got != 2000 { // the order, and the points
			t.Errorf("the gateway has taken %d, want 2000", got)
		}
		s.audit(t)
	})
}

// TestTheJobFinishesWhatAWebhookTells, also if the capture is declined then: the order is FAILED, and no other attempt is made.
func TestTheJobFinishesWhatAWebhookTells(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		product := s.product(t, 1000, 3)
		id, attempt := s.waiting(t, product)
		s.gateway.becomes(attempt, "authorized")
		s.wantDelivered(t, s.tells(t, attempt, payments.StateAuthorized), commerce.WebhookApplied)
		s.gateway.fail = func(call, _ string) error {
			if call == "capture" {
				return errDeclined
			}
			return nil
		}
		s.expire(t, 1)
		s.wantOrder(t, id, order.StatusFAILED, true)
		s.wantAttempts(t, id, paymentattempt.StatusDECLINED)
		s.wantStock(t, product, 3)
		s.audit(t)
	})
}

// TestMessagesThatDoNotCount: what is not signed as it should be, or is of another gateway, does nothing. What nobody knows is received.
func TestMessagesThatDoNotCount(t *testing.T) {
	everyDatabase(t, func(t *testing.T, url string) {
		s := openShop(t, lockprovider.FamilyConfig{Strategy: lockprovider.AtomicSQL}, url, clients.EmbeddedRedis)
		id, attempt := s.waiting(t, s.product(t, 1000, 3))
		s.gateway.becomes(attempt, "authorized")
		right := s.tells(t, attempt, payments.StateAuthorized)
		now := s.clock.Now()
		signedBy := func(secret string, at time.Time, body []byte) message {
			return message{http.Header{payments.SimulatedSignature: {payments.SignSimulated(secret, body, at)}}, body}
		}
		for what, m := range map[string]message{
			"no signature":           {http.Header{}, right.body},
			"no hexadecimal":         {http.Header{payments.SimulatedSignature: {fmt.Sprintf("t=%d,v1=zz", now.Unix())}}, right.body},
			"another secret":         signedBy(strings.Repeat("s", 32), now, right.body),
			"no secret":              signedBy("", now, right.body),
			"another body":           {right.header, append(slices.Clone(right.body), ' ')},
			"too old":                signedBy(webhookSecret, now.Add(-payments.WebhookTolerance-time.Second), right.body),
			"of the future":          signedBy(webhookSecret, now.Add(payments.WebhookTolerance+time.Second), right.body),
			"no JSON":                signedBy(webhookSecret, now, []byte("captured")),
			"no ID":                  s.message(t, payments.SimulatedMessage{Attempt: attempt, State: payments.StateAuthorized}),
			"no attempt":             s.message(t, payments.SimulatedMessage{ID: "1", State: payments.StateAuthorized}),
			"no state":               s.message(t, payments.SimulatedMessage{ID: "1", Attempt: attempt, State: "PAID"}),
			"an ID that is too long": s.message(t, payments.SimulatedMessage{ID: strings.Repeat("e", 256), Attempt: attempt, State: payments.StateAuthorized}),
		} {
			if got, err := s.deliver(t.Context(), m); !errors.Is(err, commerce.ErrBadWebhook) {
				t.Errorf("%s: %s, %v", what, got, err)
			}
		}
		for _, gateway := range []string{"stripe", "none", ""} {
			if _, err := s.Orders.ReceiveWebhook(t.Context(), gateway, right.header, right.body); !errors.Is(err, commerce.ErrNoWebhook) {
				t.Errorf("the webhook of %q: %v", gateway, err)
			}
		}
		ended, end := context.WithCancel(t.Context())
		end()
		if got, err := s.deliver(ended, right); err == nil {
			t.Errorf("a message that could not be recorded is %s", got)
		}
		n, err := s.db.Ent.WebhookEvent.Query().Count(t.Context())
		must(t, err)
		if n != 0 {
			t.Errorf("%d messages are recorded", n)
		}
		s.wantAttempts(t, id, paymentattempt.StatusREQUIRES_ACTION)

		// A look-up that fails has the message repeated.
		over := s.tells(t, attempt, payments.StateDeclined)
		s.gateway.fail = func(string, string) error { return errGatewayDown }
		if got, err := s.deliver(t.Context(), over); err == nil {
			t.Errorf("a message that could not be looked up is %s", got)
		}
		s.gateway.fail = nil

		edge := signedBy(webhookSecret, now.Add(-payments.WebhookTolerance), right.body)
		s.wantDelivered(t, edge, commerce.WebhookApplied)
		s.wantDelivered(t, right, commerce.WebhookDuplicate)
		s.wantDelivered(t, over, commerce.WebhookUnchanged)
		unknown := s.tells(t, "pat_unknown", payments.StateCaptured)
		s.wantDelivered(t, unknown, commerce.WebhookUnknown)
		s.wantDelivered(t, unknown, commerce.WebhookDuplicate)
		s.expire(t, 1)
		s.wantOrder(t, id, order.StatusPAID, true)
		s.audit(t)
	})
}

// TestAMessageEndsNothingThatTheShopIsEnding: the shop gives a payment back, its answer is lost, and a message tells of it. The job asks, and
// the customer is told, as if there had been no message.
func TestAMessageEndsNothingThatTheShopIsEnding(t *testing.T) {
	s := newShop(t, lockprovider.AtomicSQL)
	s.points(t, alice, 250)
	s.gateway.lose = "cancel"
	_, err := s.Points.Charge(t.Context(), alice, commerce.ChargePoints{Key: uuid.New(), Amount: lockprovider.MaxAmount})
	wantCodes(t, err, "UNAVAILABLE")
	attempt := s.db.Ent.PaymentAttempt.Query().Where(paymentattempt.StatusEQ(paymentattempt.StatusREFUNDING)).OnlyX(t.Context())
	s.clock.advance(sweepAfter)
	must(t, attempt.Update().SetLookAt(s.clock.Now()).SetLooks(3).Exec(t.Context())) // the job has looked just now
	ended, postponed, err := s.Attempts.Sweep(t.Context(), sweepAfter, 100)
	must(t, err)
	if ended+postponed > 0 {
		t.Fatal("the attempt is due before the message")
	}
	s.wantDelivered(t, s.tells(t, attempt.ID, payments.StateRefunded), commerce.WebhookUnchanged)
	s.wantReturned(t)
	ended, _, err = s.Attempts.Sweep(t.Context(), sweepAfter, 100) // the message has made it due
	must(t, err)
	if ended != 1 {
		t.Errorf("%d attempts ended, want 1", ended)
	}
	s.wantReturned(t, fmt.Sprintf("REFUNDED the wallet can take %d more points, not %d", int64(lockprovider.MaxAmount-250), int64(lockprovider.MaxAmount)))
	s.audit(t)
}

// TestAMessageAboutWhatIsOnItsWay: a call that makes a payment is on its way while the order is cancelled. That the gateway does not know
// the payment yet ends nothing, also if a message has it looked up.
func TestAMessageAboutWhatIsOnItsWay(t *testing.T) {
	s := newShop(t, lockprovider.AtomicSQL)
	id := s.unpaid(t, s.product(t, 1000, 3), 1, "").ID
	s.gateway.fail = func(string, string) error { return errGatewayDown }
	_, err := s.Orders.Pay(t.Context(), alice, payCard(id))
	wantCodes(t, err, "UNAVAILABLE")
	s.gateway.fail = nil
	attempt := s.attempts(t, id)[0].ID
	s.wantDelivered(t, s.tells(t, attempt, payments.StateDeclined), commerce.WebhookUnchanged)
	s.wantAttempts(t, id, paymentattempt.StatusUNKNOWN)
	_, err = s.Orders.Cancel(t.Context(), alice, commerce.CancelOrder{Key: uuid.New(), OrderID: id})
	must(t, err)
	for _, state := range []payments.State{payments.StateDeclined, payments.StateVoided, payments.StatePending} {
		s.wantDelivered(t, s.tells(t, attempt, state), commerce.WebhookUnchanged)
		s.wantAttempts(t, id, paymentattempt.StatusVOIDING)
	}
	s.wantOrder(t, id, order.StatusCANCELLED, false)
}
