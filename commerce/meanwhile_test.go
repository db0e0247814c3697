package commerce_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	entgo "entgo.io/ent"
	"entgo.io/ent/dialect"
	"github.com/google/uuid"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/ent/order"
	"holdfast/ent/paymentattempt"
	"holdfast/lockprovider"
	"holdfast/payments"
)

// These tests have something happen between two steps of an operation: after it has read a row, and before it acts on what it has read; or
// while it waits for the gateway.

// watched marks the context of the operation that is watched.
type watched struct{}

// afterRead returns a context for one operation. After its first query of a kind, such as "Only" of "Order", then is called, and the
// operation waits for it. On SQLite, that query must not be one of a transaction.
func (s *shop) afterRead(t *testing.T, op, of string, then func()) context.Context {
	t.Helper()
	var happened atomic.Bool
	t.Cleanup(func() {
		if !happened.Load() {
			t.Errorf("there was no query %q of %q", op, of)
		}
	})
	watch := ent.InterceptFunc(func(next ent.Querier) ent.Querier {
		return ent.QuerierFunc(func(ctx context.Context, q ent.Query) (ent.Value, error) {
			v, err := next.Query(ctx, q)
			asked := entgo.QueryFromContext(ctx)
			if ctx.Value(watched{}) != nil && asked.Op == op && asked.Type == of && happened.CompareAndSwap(false, true) {
				then()
			}
			return v, err
		})
	})
	s.db.Ent.Order.Intercept(watch)
	s.db.Ent.PaymentAttempt.Intercept(watch)
	s.db.Ent.SearchRevision.Intercept(watch)
	return context.WithValue(t.Context(), watched{}, true)
}

// atCall has then happen once, while the gateway is asked. The call fails if err is not nil.
func (s *shop) atCall(t *testing.T, call string, err error, then func()) {
	t.Helper()
	var happened atomic.Bool
	t.Cleanup(func() {
		if !happened.Load() {
			t.Errorf("there was no call %q of the gateway", call)
		}
	})
	s.gateway.mu.Lock()
	defer s.gateway.mu.Unlock()
	s.gateway.fail = func(now, _ string) error {
		if now != call || !happened.CompareAndSwap(false, true) {
			return nil
		}
		then()
		return err
	}
}

// onAtomicSQL runs a test on each database.
func onAtomicSQL(t *testing.T, test func(t *testing.T, s *shop)) {
	t.Helper()
	everyDatabase(t, func(t *testing.T, url string) {
		test(t, openShop(t, lockprovider.FamilyConfig{Strategy: lockprovider.AtomicSQL}, url, clients.EmbeddedRedis))
	})
}

// unreached is an order, and its attempt, which the shop has not brought to the gateway.
func (s *shop) unreached(t *testing.T, productID string) (in commerce.PayOrder, attempt string) {
	t.Helper()
	in = payCard(s.unpaid(t, productID, 1, "").ID)
	s.gateway.fail = func(string, string) error { return errGatewayDown }
	_, err := s.Orders.Pay(t.Context(), alice, in)
	wantCodes(t, err, "UNAVAILABLE")
	s.gateway.fail = nil
	s.wantAttempts(t, in.OrderID, paymentattempt.StatusUNKNOWN)
	return in, s.attempts(t, in.OrderID)[0].ID
}

// comesIn has a message of the gateway tell what has become of a payment.
func (s *shop) comesIn(t *testing.T, attempt, state string, told payments.State) {
	t.Helper()
	s.gateway.becomes(attempt, state)
	s.wantDelivered(t, s.tells(t, attempt, told), commerce.WebhookApplied)
}

// TestThePaidOrderIsNotSwept: the job has found that the gateway does not know an attempt of a pending order. Before it ends the attempt,
// or while it does, the payment comes through. The order is paid, and keeps its money.
func TestThePaidOrderIsNotSwept(t *testing.T) {
	byWebhook := func(t *testing.T, s *shop, _ commerce.PayOrder, attempt string) {
		t.Helper()
		s.comesIn(t, attempt, "captured", payments.StateCaptured)
	}
	byTheJob := func(t *testing.T, s *shop, in commerce.PayOrder, attempt string) {
		t.Helper()
		byWebhook(t, s, in, attempt)
		s.expire(t, 1)
		s.wantOrder(t, in.OrderID, order.StatusPAID, true)
	}
	pays := map[string]func(t *testing.T, s *shop, in commerce.PayOrder, attempt string){
		"captured by a webhook": byWebhook, "paid by a webhook and the job": byTheJob,
	}
	authorized := func(t *testing.T, s *shop, _ commerce.PayOrder, attempt string) {
		t.Helper()
		s.comesIn(t, attempt, "authorized", payments.StateAuthorized)
	}
	repeated := func(t *testing.T, s *shop, in commerce.PayOrder, _ string) {
		t.Helper()
		result, err := s.Orders.Pay(t.Context(), alice, in)
		must(t, err)
		wantStatus(t, result.Order, order.StatusPAID)
	}
	ends := func(t *testing.T, s *shop, in commerce.PayOrder) {
		t.Helper()
		s.gateway.fail = nil
		_, _, err := s.Orders.ExpireOverdue(t.Context(), expiryLimit)
		must(t, err)
		for range 2 {
			s.clock.advance(5 * time.Minute)
			_, _, err = s.Attempts.Sweep(t.Context(), sweepAfter, 100)
			must(t, err)
		}
		s.wantOrder(t, in.OrderID, order.StatusPAID, true)
		s.wantAttempts(t, in.OrderID, paymentattempt.StatusCAPTURED)
		s.wantReturned(t)
		if got := s.gateway.taken(); got != 1000 {
			t.Errorf("the gateway has taken %d, want 1000", got)
		}
		s.audit(t)
	}
	for how, pay := range pays {
		t.Run("while it is voided/"+how, func(t *testing.T) {
			onAtomicSQL(t, func(t *testing.T, s *shop) {
				in, attempt := s.unreached(t, s.product(t, 1000, 3))
				s.atCall(t, "cancel", nil, func() { pay(t, s, in, attempt) })
				s.clock.advance(5 * time.Minute)
				_, _, err := s.Attempts.Sweep(t.Context(), sweepAfter, 100)
				must(t, err)
				ends(t, s, in)
			})
		})
	}
	pays["authorized by a webhook"], pays["paid by a repeat"] = authorized, repeated
	for how, pay := range pays {
		t.Run("before it is voided/"+how, func(t *testing.T) {
			onAtomicSQL(t, func(t *testing.T, s *shop) {
				in, attempt := s.unreached(t, s.product(t, 1000, 3))
				ctx := s.afterRead(t, "Only", "Order", func() { pay(t, s, in, attempt) })
				s.clock.advance(5 * time.Minute)
				_, _, err := s.Attempts.Sweep(ctx, sweepAfter, 100)
				must(t, err)
				ends(t, s, in)
			})
		})
	}
}

// TestAnOrderIsPaidByCapturedMoneyOnly: a request has read that an attempt is captured, and is marking the order paid, when the attempt is
// found to be refunded by hand.
func TestAnOrderIsPaidByCapturedMoneyOnly(t *testing.T) {
	onAtomicSQL(t, func(t *testing.T, s *shop) {
		if s.db.Dialect == dialect.SQLite {
			t.Skip("SQLite has one writer: nothing is written between the steps of a transaction")
		}
		id, attempt := s.waiting(t, s.product(t, 1000, 3))
		s.comesIn(t, attempt, "captured", payments.StateCaptured)
		ctx := s.afterRead(t, "Only", "PaymentAttempt", func() { // a message would wait for the order, which the request has locked
			s.gateway.becomes(attempt, "refunded")
			must(t, s.db.Ent.PaymentAttempt.UpdateOneID(attempt).SetStatus(paymentattempt.StatusREFUNDED).Exec(t.Context()))
		})
		if _, err := s.Orders.Pay(ctx, alice, payCard(id)); err != nil { // by another attempt, which it may make
			_, refused := commerce.UserErrors(err)
			if !refused {
				t.Error(err)
			}
		}
		paid := int64(0)
		row, err := s.Orders.Get(t.Context(), alice, id)
		must(t, err)
		if row.Status == order.StatusPAID {
			paid = 1000
		}
		if got := s.gateway.taken(); got != paid {
			t.Errorf("the gateway has taken %d for what is paid with %d", got, paid)
		}
		s.audit(t)
	})
}

// TestTheJobBeginsNoPayment: a webhook has told that the gateway has the money for an order, and the job goes on with it. Meanwhile the
// money is given back by hand. Nobody has asked for another payment.
func TestTheJobBeginsNoPayment(t *testing.T) {
	onAtomicSQL(t, func(t *testing.T, s *shop) {
		id, attempt := s.waiting(t, s.product(t, 1000, 3))
		s.comesIn(t, attempt, "captured", payments.StateCaptured)
		ctx := s.afterRead(t, "First", "PaymentAttempt", func() { s.comesIn(t, attempt, "refunded", payments.StateRefunded) })
		_, _, err := s.Orders.ExpireOverdue(ctx, expiryLimit)
		must(t, err)
		s.wantOrder(t, id, order.StatusPENDING, false)
		s.wantAttempts(t, id, paymentattempt.StatusREFUNDED)
		if got := s.gateway.taken(); got != 0 {
			t.Errorf("the gateway has taken %d, want nothing", got)
		}
		s.clock.advance(reservation)
		s.expire(t, 1)
		s.wantOrder(t, id, order.StatusEXPIRED, true)
		s.audit(t)
	})
}

// TestAnOrderDoesNotFailThatHasTheMoney: the customer pays with points and has too few, and at that moment a webhook tells that the card
// which was declined has paid after all.
func TestAnOrderDoesNotFailThatHasTheMoney(t *testing.T) {
	onAtomicSQL(t, func(t *testing.T, s *shop) {
		id := s.unpaid(t, s.product(t, 1000, 3), 1, "").ID
		s.gateway.fail = func(string, string) error { return errDeclined }
		_, err := s.Orders.Pay(t.Context(), alice, payCard(id))
		wantCodes(t, err, "PAYMENT_DECLINED")
		s.gateway.fail = nil
		attempt := s.attempts(t, id)[0].ID

		ctx := s.afterRead(t, "Exist", "PaymentAttempt", func() { s.comesIn(t, attempt, "captured", payments.StateCaptured) })
		_, err = s.Orders.Pay(ctx, alice, commerce.PayOrder{Key: uuid.New(), OrderID: id, Payment: *byPoints()})
		wantCodes(t, err, "INSUFFICIENT_FUNDS")
		s.wantOrder(t, id, order.StatusPENDING, false)
		s.expire(t, 1)
		s.wantOrder(t, id, order.StatusPAID, true)
		s.wantAttempts(t, id, paymentattempt.StatusCAPTURED)
		if got := s.gateway.taken(); got != 1000 {
			t.Errorf("the gateway has taken %d, want 1000", got)
		}
		s.audit(t)
	})
}

// TestAnOrderIsPaidByWhatIsTaken: the job is ending a card that has not reached the gateway, and another one is under way, when a webhook
// tells that the first has paid. Whoever asks next, for a third card or again for the second, the first pays the order.
func TestAnOrderIsPaidByWhatIsTaken(t *testing.T) {
	for _, asks := range []string{"third", "second"} {
		t.Run(asks, func(t *testing.T) {
			onAtomicSQL(t, func(t *testing.T, s *shop) {
				first, attempt := s.unreached(t, s.product(t, 1000, 3))
				s.sweep(t, 0, 1)
				s.wantAttempts(t, first.OrderID, paymentattempt.StatusVOIDING)
				next := payCard(first.OrderID)
				s.gateway.lose = "authorize"
				_, err := s.Orders.Pay(t.Context(), alice, next)
				wantCodes(t, err, "UNAVAILABLE")
				s.comesIn(t, attempt, "captured", payments.StateCaptured)
				if asks == "third" {
					next = payCard(first.OrderID)
				}
				result, err := s.Orders.Pay(t.Context(), alice, next)
				must(t, err)
				wantStatus(t, result.Order, order.StatusPAID)
				s.wantAttempts(t, first.OrderID, paymentattempt.StatusCAPTURED, paymentattempt.StatusUNKNOWN)
				s.sweep(t, 1, 0)
				s.wantAttempts(t, first.OrderID, paymentattempt.StatusCAPTURED, paymentattempt.StatusVOIDED)
				if got := s.gateway.taken(); got != 1000 {
					t.Errorf("the gateway has taken %d, want 1000", got)
				}
				s.audit(t)
			})
		})
	}
}

// TestWhatIsStillBroughtIsNotSwept: the gateway does not know an attempt that a request or a job still brings to it, because the order was
// placed to be paid by card, or is unattended. It is not ended before its reservation.
func TestWhatIsStillBroughtIsNotSwept(t *testing.T) {
	for _, what := range []string{"to be paid by card", "unattended"} {
		t.Run(what, func(t *testing.T) {
			onAtomicSQL(t, func(t *testing.T, s *shop) {
				product := s.product(t, 1000, 3)
				in := commerce.PlaceOrder{
					Key: uuid.New(), Lines: []commerce.Line{{ProductID: product, Quantity: 1}}, Payment: byCard(),
				}
				var id string
				if what == "unattended" {
					pay, _ := s.unreached(t, product)
					id = pay.OrderID
					must(t, s.db.Ent.Order.UpdateOneID(id).SetUnattended(true).Exec(t.Context()))
				} else {
					s.gateway.fail = func(string, string) error { return errGatewayDown }
					placed, err := s.Orders.Place(t.Context(), alice, in)
					wantCodes(t, err, "UNAVAILABLE")
					s.gateway.fail = nil
					id = placed.Order.ID
				}
				for range 2 {
					s.sweep(t, 0, 1)
					s.wantAttempts(t, id, paymentattempt.StatusUNKNOWN)
				}
				if what != "unattended" {
					result, err := s.Orders.Place(t.Context(), alice, in)
					must(t, err)
					wantStatus(t, result.Order, order.StatusPAID)
					s.wantAttempts(t, id, paymentattempt.StatusCAPTURED)
					return
				}
				for range 4 { // looking costs no person's time
					s.clock.advance(time.Minute)
					_, _, err := s.Attempts.Sweep(t.Context(), 0, 100)
					must(t, err)
				}
				stuck, err := s.Attempts.CountStuck(t.Context())
				must(t, err)
				if stuck != 0 || s.attempts(t, id)[0].Looks != 0 {
					t.Errorf("%d attempts are stuck, after %d looks that count", stuck, s.attempts(t, id)[0].Looks)
				}
				s.clock.advance(reservation)
				s.sweep(t, 0, 1)
				s.wantAttempts(t, id, paymentattempt.StatusVOIDING)
			})
		})
	}
}

// TestAnOverdueOrderThatHasTheMoneyIsPaid: a webhook has told that the gateway has the money, or holds it, and the job has not come to the
// order when its reservation ends. The repeat of the payment pays it.
func TestAnOverdueOrderThatHasTheMoneyIsPaid(t *testing.T) {
	onAtomicSQL(t, func(t *testing.T, s *shop) {
		for state, told := range map[string]payments.State{"captured": payments.StateCaptured, "authorized": payments.StateAuthorized} {
			id, attempt := s.waiting(t, s.product(t, 1000, 3))
			s.comesIn(t, attempt, state, told)
			s.clock.advance(reservation)
			result, err := s.Orders.Pay(t.Context(), alice, payCard(id))
			must(t, err)
			wantStatus(t, result.Order, order.StatusPAID)
			s.wantAttempts(t, id, paymentattempt.StatusCAPTURED)
		}
		id := s.unpaid(t, s.product(t, 1000, 3), 1, "").ID
		s.clock.advance(reservation)
		_, err := s.Orders.Pay(t.Context(), alice, payCard(id))
		wantCodes(t, err, "INVALID_STATE:input.orderId")
		s.audit(t)
	})
}

// TestNoMessageIsSleptThrough: a webhook makes an order due, or an attempt, while the job is at it. The job comes back to it at once.
func TestNoMessageIsSleptThrough(t *testing.T) {
	onAtomicSQL(t, func(t *testing.T, s *shop) {
		product := s.product(t, 1000, 10)
		wake := func(attempt, state string, told payments.State) func() {
			return func() {
				s.clock.advance(time.Second)
				s.comesIn(t, attempt, state, told)
			}
		}
		paid := func(id string) {
			t.Helper()
			s.gateway.fail = nil
			_, _, err := s.Orders.ExpireOverdue(t.Context(), expiryLimit)
			must(t, err)
			s.wantOrder(t, id, order.StatusPAID, true)
		}

		// Nothing is to be done for the order before its end.
		id, attempt := s.waiting(t, product)
		must(t, s.db.Ent.Order.UpdateOneID(id).SetNextAttemptAt(s.clock.Now()).Exec(t.Context()))
		ctx := s.afterRead(t, "Exist", "PaymentAttempt", wake(attempt, "authorized", payments.StateAuthorized))
		_, _, err := s.Orders.ExpireOverdue(ctx, expiryLimit)
		must(t, err)
		paid(id)

		// The gateway is away.
		id, attempt = s.waiting(t, product)
		s.comesIn(t, attempt, "authorized", payments.StateAuthorized)
		s.atCall(t, "capture", errGatewayDown, wake(attempt, "captured", payments.StateCaptured))
		s.expireSome(t, expiryLimit, 0, 1)
		paid(id)

		// The steps that were wanted when the order was placed are done: the customer pays later.
		id, attempt = s.waiting(t, product)
		must(t, s.db.Ent.Order.UpdateOneID(id).SetNextAttemptAt(s.clock.Now()).SetUnattended(true).Exec(t.Context()))
		ctx = s.afterRead(t, "Exist", "PaymentAttempt", wake(attempt, "authorized", payments.StateAuthorized))
		_, _, err = s.Orders.ExpireOverdue(ctx, expiryLimit)
		must(t, err)
		paid(id)

		// Points are added by the job that looks at their payment.
		s.gateway.lose = "authorize"
		_, err = s.Points.Charge(t.Context(), alice, commerce.ChargePoints{Key: uuid.New(), Amount: 1000})
		wantCodes(t, err, "UNAVAILABLE")
		bought := s.db.Ent.PaymentAttempt.Query().Where(paymentattempt.OrderIDIsNil()).OnlyX(t.Context()).ID
		s.atCall(t, "lookup", errGatewayDown, wake(bought, "captured", payments.StateCaptured))
		s.clock.advance(5 * time.Minute)
		_, _, err = s.Attempts.Sweep(t.Context(), sweepAfter, 100)
		must(t, err)
		if at := s.db.Ent.PaymentAttempt.GetX(t.Context(), bought).LookAt; at == nil || at.After(s.clock.Now()) {
			t.Errorf("the payment of the points is looked at again at %v, and it is %v", at, s.clock.Now())
		}
		s.audit(t)
	})
}
