package events

import (
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/google/uuid"

	"holdfast/commerce"
	"holdfast/lockprovider"
)

// scenarios are what every broker must get right.
var scenarios = []struct {
	name string
	run  func(e *env)
}{
	{"changes become statistics", becomeStatistics},
	{"events with the same key stay in order", stayInOrder},
	{"a crash before the mark repeats events, not effects", crashBeforeMark},
	{"events that nobody was there to relay are relayed later", startLate},
	{"a handler that fails is tried again", failThenSucceed},
	{"a handler that panics is tried again", panicThenSucceed},
	{"poison is put away and blocks nobody", putPoisonAway},
	{"a change that cannot be relayed is put away", putUnrelayableAway},
	{"an interrupted broker delays events and loses none", interruptBroker},
}

func TestBrokers(t *testing.T) {
	for _, kind := range brokers {
		t.Run(kind.name, func(t *testing.T) {
			for _, s := range scenarios {
				t.Run(s.name, func(t *testing.T) { s.run(newEnv(t, kind)) })
			}
		})
	}
}

func becomeStatistics(e *env) {
	t := e.t
	e.start()
	keyboard, mouse := e.product(1000, 10), e.product(200, 8)
	e.rich(alice)
	e.order(alice, byPoints, line(keyboard, 2), line(mouse, 3))
	e.order(alice, byPoints, line(keyboard, 1))
	e.cancel(alice, e.order(alice, byPoints, line(mouse, 1))) // paid, refunded
	e.cancel(alice, e.order(alice, nil, line(mouse, 1)))      // never paid
	e.awaitHandled(map[string]int{
		commerce.KindOrderPaid: 3, commerce.KindOrderRefunded: 1, commerce.KindOrderEnded: 2, KindStockChanged: 7,
	})
	want := map[string]Sales{
		keyboard: {ProductID: keyboard, Orders: 2, Units: 3, RevenueMinor: 3000},
		mouse:    {ProductID: mouse, Orders: 1, Units: 3, RevenueMinor: 600},
	}
	if got := e.popular(); !maps.Equal(got, want) {
		t.Errorf("popular products %+v, want %+v", got, want)
	}
	if got, want := e.low(), map[string]int64{mouse: 5}; !maps.Equal(got, want) {
		t.Errorf("low stock %v, want %v", got, want)
	}
	e.adjust(mouse, 10)
	e.adjust(keyboard, -7)
	e.awaitHandled(map[string]int{KindStockChanged: 2})
	if got, want := e.low(), map[string]int64{keyboard: 0}; !maps.Equal(got, want) {
		t.Errorf("low stock %v, want %v", got, want)
	}
}

func stayInOrder(e *env) {
	t := e.t
	running := e.start()
	stock, orders := e.listen(running, TopicStock), e.listen(running, TopicOrders)
	products := []string{e.product(1, 1000), e.product(1, 1000), e.product(1, 1000)}
	const users, each = 4, 6
	var wg sync.WaitGroup
	for u := range users {
		v := commerce.Viewer{UserID: fmt.Sprint("user", u)}
		e.rich(v)
		wg.Go(func() {
			for i := range each {
				e.order(v, byPoints, line(products[i%3], 1), line(products[(i+1)%3], 1))
				running.Wake()
			}
		})
	}
	wg.Wait()
	last := map[string]StockChanged{}
	for range users * each * 2 {
		p := decode[StockChanged](t, e.next(stock))
		if before, ok := last[p.ProductID]; ok && (p.Position <= before.Position || p.AmountAfter != before.AmountAfter+p.Delta) {
			t.Fatalf("%+v comes after %+v", p, before)
		}
		last[p.ProductID] = p
	}
	placed, paid := map[string]bool{}, 0
	for range users * each * 2 {
		switch m := e.next(orders); m.Metadata.Get(MetaKind) {
		case commerce.KindOrderPlaced:
			placed[decode[OrderPlaced](t, m).OrderID] = true
		case commerce.KindOrderPaid:
			if id := decode[OrderPaid](t, m).OrderID; !placed[id] {
				t.Fatalf("%s is paid before it is placed", id)
			}
			paid++
		}
	}
	if paid != users*each {
		t.Errorf("%d orders paid, want %d", paid, users*each)
	}
}

func decode[T any](t *testing.T, m *message.Message) T {
	t.Helper()
	p, err := payloadOf[T](Event{Kind: m.Metadata.Get(MetaKind), Payload: m.Payload})
	must(t, err)
	return p
}

func crashBeforeMark(e *env) {
	t := e.t
	crashes := 2
	e.fail.mark = func() error {
		if crashes == 0 {
			return nil
		}
		crashes--
		return errOnPurpose
	}
	product := e.product(100, 10)
	e.rich(alice)
	e.order(alice, byPoints, line(product, 6))
	e.start()
	events := e.awaitDeliveries(map[string]int{commerce.KindOrderPaid: 2, KindStockChanged: 2})
	ids := map[string]bool{}
	for _, event := range events {
		if event.Kind == commerce.KindOrderPaid {
			ids[event.ID] = true
		}
	}
	if len(ids) != 1 {
		t.Errorf("deliveries of one event have the IDs %v", ids)
	}
	e.awaitMarked(3)
	if got := e.popular()[product]; got.Orders != 1 || got.Units != 6 {
		t.Errorf("counted %+v, want 1 order of 6", got)
	}
	if got := e.low(); got[product] != 4 {
		t.Errorf("low stock %v", got)
	}
}

func startLate(e *env) {
	t := e.t
	product := e.product(100, 10)
	e.rich(alice)
	e.order(alice, byPoints, line(product, 1))
	e.start()
	e.awaitHandled(map[string]int{commerce.KindOrderPaid: 1})
	if got := e.popular()[product]; got.Units != 1 {
		t.Errorf("counted %+v, want 1 unit", got)
	}
}

func failThenSucceed(e *env) {
	e.failFirst(func(Event) error { return errOnPurpose })
}

func panicThenSucceed(e *env) {
	e.failFirst(func(Event) error { panic("on purpose") })
}

// failFirst lets handlers fail for all but the last try at each event.
func (e *env) failFirst(fail func(Event) error) {
	e.t.Helper()
	tries := map[string]int{}
	e.fail.handler = func(_ string, event Event) error {
		tries[event.ID]++
		if tries[event.ID] <= e.deps.Settings.Retries {
			return fail(event)
		}
		return nil
	}
	e.start()
	product := e.product(100, 10)
	e.rich(alice)
	e.order(alice, byPoints, line(product, 1))
	e.awaitHandled(map[string]int{commerce.KindOrderPaid: 1, commerce.KindOrderPlaced: 1, KindStockChanged: 1})
	if got := e.popular()[product]; got.Units != 1 {
		e.t.Errorf("counted %+v, want 1 unit", got)
	}
}

func putPoisonAway(e *env) {
	t := e.t
	doomed := e.product(100, 10)
	e.fail.handler = func(_ string, event Event) error {
		if event.Kind == KindStockChanged && event.Key == doomed {
			return errOnPurpose
		}
		return nil
	}
	running := e.start()
	poison := e.listen(running, TopicPoison)

	// What cannot be decoded is not tried again.
	bad := message.NewMessage(uuid.NewString(), []byte("no JSON"))
	bad.Metadata.Set(MetaKind, commerce.KindOrderPaid)
	must(t, running.broker.Publish(TopicOrders, bad))
	m := e.next(poison)
	if reason := m.Metadata.Get(middleware.ReasonForPoisonedKey); m.UUID != bad.UUID || !strings.Contains(reason, "payload of order.paid") ||
		m.Metadata.Get(middleware.PoisonedHandlerKey) != "sales" || string(m.Payload) != "no JSON" {
		t.Errorf("poison %s %v %s", m.UUID, m.Metadata, m.Payload)
	}

	// What no try can handle comes after all of them, and what comes after it is handled.
	good := e.product(100, 10)
	e.rich(alice)
	e.order(alice, byPoints, line(doomed, 1))
	e.order(alice, byPoints, line(good, 6))
	m = e.next(poison)
	if reason := m.Metadata.Get(middleware.ReasonForPoisonedKey); m.Metadata.Get(MetaKey) != doomed || !strings.Contains(reason, "on purpose") {
		t.Errorf("poison %v", m.Metadata)
	}
	e.awaitHandled(map[string]int{commerce.KindOrderPaid: 2, KindStockChanged: 1})
	if e.popular()[good].Units != 6 || e.popular()[doomed].Units != 1 || e.low()[good] != 4 {
		t.Errorf("sold %v, low %v", e.popular(), e.low())
	}
}

func putUnrelayableAway(e *env) {
	t := e.t
	running := e.start()
	poison := e.listen(running, TopicPoison)
	ledger := lockprovider.NewLedger(e.db.Ent, e.db.Dialect, nil, lockprovider.LedgerSettings{TxRetries: 0}) // which takes any record
	for kind, want := range map[string]string{"mystery": "unknown kind", commerce.KindOrderPaid: "without userId"} {
		change := lockprovider.Change{
			ID: uuid.New(), Family: lockprovider.Stock,
			Record: lockprovider.Record{Kind: kind, Payload: []byte(`{"shippingAddress":{"city":"Ulm"}}`)},
		}
		_, err := ledger.Apply(t.Context(), change)
		must(t, err)
		running.Wake()
		m := e.next(poison)
		if reason := m.Metadata.Get(middleware.ReasonForPoisonedKey); m.UUID != change.ID.String() || !strings.Contains(reason, want) {
			t.Errorf("poison %s: %v, want %s", m.UUID, m.Metadata, want)
		}
		if payload := string(m.Payload); strings.Contains(payload, "Ulm") || !strings.Contains(payload, change.ID.String()) {
			t.Errorf("poison %s", payload)
		}
		e.awaitMarked(1)
	}
}

func interruptBroker(e *env) {
	t := e.t
	if e.broker.interrupt == nil {
		t.Skip("the broker is this process")
	}
	running := e.start()
	product := e.product(100, 10)
	e.rich(alice)
	e.order(alice, byPoints, line(product, 1))
	e.awaitHandled(map[string]int{commerce.KindOrderPaid: 1, KindStockChanged: 1})
	e.broker.interrupt(t, func() {
		e.order(alice, byPoints, line(product, 5))
		running.Wake()
	})
	e.order(alice, byPoints, line(product, 1))
	e.awaitHandled(map[string]int{commerce.KindOrderPaid: 2, KindStockChanged: 2})
	e.awaitMarked(7)
	if got := e.popular()[product]; got.Orders != 3 || got.Units != 7 {
		t.Errorf("counted %+v, want 3 orders of 7", got)
	}
	if got := e.low(); got[product] != 3 {
		t.Errorf("low stock %v", got)
	}
	must(t, running.Check())
}
