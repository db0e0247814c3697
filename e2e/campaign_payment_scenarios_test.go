package e2e

import (
	"strings"
	"testing"
	"time"

	"holdfast/config/setting"
	"holdfast/ent/order"
	"holdfast/ent/paymentattempt"
	"holdfast/ent/refund"
	"holdfast/payments"
	"holdfast/payments/stripe"
	"holdfast/payments/stripe/stripetest"
)

// paymentScenario is what is done while effects are counted. It returns at the first request that has no answer.
type paymentScenario struct {
	prepare func(k *paymentKills, t *testing.T) string           // before; it returns the order, or ""
	do      func(k *paymentKills, t *testing.T, id string) error // its effects count
}

var paymentScenarios = map[string]paymentScenario{
	"pay": {(*paymentKills).place, (*paymentKills).pay},
	"expire": {(*paymentKills).place, func(k *paymentKills, t *testing.T, id string) error {
		in := payCardOf(id)
		if _, err := k.once("payOrder", in); err != nil {
			return err
		}
		k.confirm(t, id)
		k.expire(t, id)
		return k.ended(t, id)
	}},
	// The events of Stripe are all that tells the shop, while the server is killed that takes them:
	// Stripe repeats what was not answered. The job that looks payments up does not look before the
	// kill.
	"webhook": {func(k *paymentKills, t *testing.T) string {
		id := k.place(t)
		_, err := k.once("payOrder", payCardOf(id))
		must(t, err)
		_, err = k.raw.ExecContext(t.Context(), "UPDATE payment_attempts SET look_at = look_at + INTERVAL '1 hour' WHERE order_id = $1", id)
		must(t, err)
		k.confirm(t, id)
		return id
	}, func(k *paymentKills, t *testing.T, id string) error {
		for _, e := range k.stripe.Events()[k.seen:] {
			if _, err := k.post(e); err != nil {
				return err
			}
		}
		return k.ended(t, id)
	}},
	"refund": {(*paymentKills).paid, func(k *paymentKills, _ *testing.T, id string) error {
		_, err := k.once("refundCreate", object{
			"idempotencyKey": key(), "orderId": id, "reason": "test", "amount": object{"amountMinor": "300", "currency": "USD"},
		})
		return err
	}},
	"return": {(*paymentKills).paid, func(k *paymentKills, _ *testing.T, id string) error {
		if _, err := k.once("orderFulfil", object{"idempotencyKey": key(), "orderId": id}); err != nil {
			return err
		}
		_, err := k.once("returnCreate", object{
			"idempotencyKey": key(), "orderId": id, "reason": "test", "restock": true, "refund": true,
			"lines": []object{{"productId": k.product, "quantity": 1}},
		})
		return err
	}},
	"topup": {func(*paymentKills, *testing.T) string { return "" }, func(k *paymentKills, t *testing.T, _ string) error {
		in := charge(500)
		if _, err := k.once("chargePoints", in); err != nil {
			return err
		}
		k.confirm(t, "")
		_, err := k.once("chargePoints", in)
		return err
	}},
}

func payCardOf(id string) object {
	return object{"idempotencyKey": key(), "orderId": id, "payment": object{"method": "CARD"}}
}

func (k *paymentKills) place(t *testing.T) string {
	in := buy(k.product, 2, "CARD")
	delete(in, "payment")
	return k.alice.do(t, "placeOrder", in).object()
}

func (k *paymentKills) pay(t *testing.T, id string) error {
	in := payCardOf(id)
	if _, err := k.once("payOrder", in); err != nil {
		return err
	}
	k.confirm(t, id)
	_, err := k.once("payOrder", in)
	return err
}

func (k *paymentKills) paid(t *testing.T) string {
	id := k.place(t)
	must(t, k.pay(t, id))
	return id
}

// once sends a mutation once: the customer does not repeat it after the crash. What was begun, the jobs go on with.
func (k *paymentKills) once(operation string, input object) (payload, error) {
	who := k.alice
	if strings.HasPrefix(operation, "re") || operation == "orderFulfil" {
		who = k.root
	}
	p, _, err := who.try(k.ctx, k.server.url, operation, input)
	return p, err
}

// confirm is what the browser of the customer does, if it knows the payment: of an order, or the last one of points.
func (k *paymentKills) confirm(t *testing.T, orderID string) {
	query := k.db.Ent.PaymentAttempt.Query().Where(paymentattempt.StatusEQ(paymentattempt.StatusREQUIRES_ACTION))
	if orderID != "" {
		query.Where(paymentattempt.OrderID(orderID))
	} else {
		query.Where(paymentattempt.PointsNotNil())
	}
	rows, err := query.All(t.Context())
	must(t, err)
	gateway := stripe.New(stripe.Settings{SecretKey: stripetest.SecretKey, URL: setting.URL(k.stripe.URL)})
	for _, a := range rows {
		ref := payments.Ref{Attempt: a.ID, Reference: a.Reference}
		now, err := gateway.Lookup(t.Context(), ref)
		must(t, err)
		if now.State != payments.StateRequiresAction { // confirmed, or cancelled, before the shop could note it
			continue
		}
		k.stripe.Confirm(t, a.ClientSecret, stripetest.Visa)
		if k.captureEarly {
			_, err := gateway.Capture(t.Context(), ref, payments.Amount{Minor: a.AmountMinor, Currency: a.Currency})
			must(t, err)
		}
	}
}

// lookAgain has the job look up the payments that a scenario has kept from it.
func (k *paymentKills) lookAgain(t *testing.T) {
	t.Helper()
	_, err := k.raw.ExecContext(t.Context(),
		"UPDATE payment_attempts SET look_at = created_at WHERE look_at > $1", time.Now().Add(time.Minute))
	must(t, err)
}

// expire has the reservation of an order end, if it still waits; or the time of purchases of points that wait for their customer.
func (k *paymentKills) expire(t *testing.T, id string) {
	t.Helper()
	past := time.Now().Add(-time.Hour)
	var err error
	if id != "" {
		_, err = k.raw.ExecContext(t.Context(),
			"UPDATE orders SET expires_at = $1, next_attempt_at = $1 WHERE id = $2 AND status = 'PENDING'", past, id)
	} else {
		_, err = k.raw.ExecContext(t.Context(),
			"UPDATE payment_attempts SET created_at = $1 WHERE points IS NOT NULL AND look_at IS NOT NULL", past)
	}
	must(t, err)
}

// ended waits until nothing is to be done for an order, or the server was killed.
func (k *paymentKills) ended(t *testing.T, id string) error {
	ctx := t.Context()
	eventually(t, "nothing is to be done for "+id, func() bool {
		if k.wasHit() && k.armed() {
			return true
		}
		owed, err := k.db.Ent.PaymentAttempt.Query().Where(paymentattempt.LookAtNotNil()).Exist(ctx)
		must(t, err)
		back, err := k.db.Ent.Refund.Query().Where(refund.LookAtNotNil()).Exist(ctx)
		must(t, err)
		open, err := k.db.Ent.Order.Query().Where(order.Or(order.Settled(false), order.StatusEQ(order.StatusPENDING))).Exist(ctx)
		must(t, err)
		return !owed && !back && !open
	})
	return nil
}
