package commerce_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/config"
	"holdfast/ent/order"
	"holdfast/ent/paymentattempt"
	"holdfast/lockprovider"
)

// TestAnotherGatewayIsNotAsked: after a change of the gateway, the new one is asked nothing about payments that it does not know, and the
// customer is told no end of them. When the earlier one is back, they go on.
func TestAnotherGatewayIsNotAsked(t *testing.T) {
	database, at := "sqlite://"+filepath.Join(t.TempDir(), "shop.db"), &gateway{}
	open := func(name string, asked *gateway) *shop {
		s := openShop(t, lockprovider.FamilyConfig{Strategy: lockprovider.AtomicSQL}, database, clients.EmbeddedRedis,
			func(cfg *config.Config) { cfg.Payment.Gateway = name })
		s.gateway.next = asked
		return s
	}
	before := open(commerce.GatewayStripe, at)
	product := before.product(t, 1000, 5)
	paid, err := before.Orders.Place(t.Context(), alice, commerce.PlaceOrder{
		Key: uuid.New(), Lines: []commerce.Line{{ProductID: product, Quantity: 1}}, Payment: byCard(),
	})
	must(t, err)
	at.lose = "authorize"
	points := commerce.ChargePoints{Key: uuid.New(), Amount: 250}
	_, err = before.Points.Charge(t.Context(), alice, points)
	wantCodes(t, err, "UNAVAILABLE")
	at.lose = "authorize"
	id := before.unpaid(t, product, 1, "").ID
	pay := payCard(id)
	_, err = before.Orders.Pay(t.Context(), alice, pay)
	wantCodes(t, err, "UNAVAILABLE")

	other := &gateway{}
	after := open(commerce.GatewaySimulated, other)
	cancel := commerce.CancelOrder{Key: uuid.New(), OrderID: paid.Order.ID}
	wantOther := func(err error) {
		t.Helper()
		if told := wantCodes(t, err, "UNAVAILABLE"); len(told) > 0 && !strings.Contains(told[0].Message, "made by the gateway stripe") {
			t.Errorf("told %q", told[0].Message)
		}
	}
	for range 2 {
		_, err = after.Orders.Cancel(t.Context(), alice, cancel)
		wantOther(err)
		_, err = after.Points.Charge(t.Context(), alice, points)
		wantOther(err)
		_, err = after.Orders.Pay(t.Context(), alice, pay)
		wantOther(err)
	}
	after.wantOrder(t, paid.Order.ID, order.StatusCANCELLED, false)
	after.wantAttempts(t, paid.Order.ID, paymentattempt.StatusREFUNDING)
	after.wantAttempts(t, id, paymentattempt.StatusUNKNOWN)
	after.sweep(t, 0, 0)
	after.wantReturned(t)
	if len(other.calls) > 0 {
		t.Errorf("the other gateway was asked: %v", other.calls)
	}
	if got := at.taken(); got != 1000 {
		t.Errorf("the first gateway has taken %d, want 1000", got)
	}

	again := open(commerce.GatewayStripe, at)
	_, err = again.Orders.Cancel(t.Context(), alice, cancel)
	must(t, err)
	again.wantOrder(t, paid.Order.ID, order.StatusCANCELLED, true)
	_, err = again.Points.Charge(t.Context(), alice, points)
	must(t, err)
	again.wantPoints(t, alice, 250)
	if got := at.taken(); got != 250 {
		t.Errorf("the first gateway has taken %d, want 250", got)
	}
	again.audit(t)
}
