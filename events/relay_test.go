package events

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"holdfast/commerce"
	"holdfast/internal/testenv"
)

// failingBroker refuses every n-th message, and remembers the others.
type failingBroker struct {
	*channelBroker
	every int

	mu    sync.Mutex
	count int
	kept  []*message.Message
}

func (b *failingBroker) Publish(_ string, messages ...*message.Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range messages {
		b.count++
		if b.every > 0 && b.count%b.every == 0 {
			return errOnPurpose
		}
		b.kept = append(b.kept, m)
	}
	return nil
}

func relayTo(e *env, b Broker) *Relay {
	return &Relay{
		products: newKnownVariants(),
		client:   e.db.Ent, broker: b, publisher: b, exclusive: singleInstance, durable: func(context.Context) error { return nil }, settings: e.deps.Settings,
		metrics: newRelayMetrics(nil, time.Now), log: e.deps.Log, wake: make(chan struct{}, 1), now: time.Now,
	}
}

// However often publishing fails, each event arrives, for the first time in order, and the last word on a product is the
// latest: what is repeated is always the end of the sequence.
func TestRelayRepeatsTheEnd(t *testing.T) {
	e := newEnv(t, channelKind)
	products := []string{e.product(1, 1000), e.product(1, 1000), e.product(1, 1000)}
	e.rich(alice)
	const orders = 30
	for i := range orders {
		e.order(alice, byPoints, line(products[i%3], 1), line(products[(i+1)%3], 1))
	}
	broker := &failingBroker{channelBroker: newChannelBroker(), every: 17}
	relay := relayTo(e, broker)
	relay.settings.Batch = 16
	failures := 0
	for {
		n, err := relay.runOnce(t.Context())
		if err != nil {
			failures++
			continue
		}
		if n == 0 {
			break
		}
	}
	if failures == 0 {
		t.Fatal("nothing failed: this test tests nothing")
	}
	arrived, repeated := map[string]bool{}, map[string]bool{}
	highest, last := map[string]int64{}, map[string]int64{}
	for _, m := range broker.kept {
		arrived[m.UUID] = true
		if m.Metadata.Get(MetaKind) != KindStockChanged {
			continue
		}
		p := decode[StockChanged](t, m)
		if first := !repeated[m.UUID]; first && p.Position < highest[p.ProductID] {
			t.Errorf("position %d comes for the first time after %d", p.Position, highest[p.ProductID])
		}
		repeated[m.UUID] = true
		last[p.ProductID] = p.Position
		highest[p.ProductID] = max(highest[p.ProductID], p.Position)
	}
	for _, product := range products {
		if last[product] != highest[product] {
			t.Errorf("the last word on %s is %d, not %d", product, last[product], highest[product])
		}
	}
	if want := 1 + 4*orders; len(arrived) != want { // points; placed, paid, two stocks
		t.Errorf("%d events arrived, want %d", len(arrived), want)
	}
	if left := e.db.Ent.ChangeLog.Query().CountX(t.Context()) - marked(e); left != 0 {
		t.Errorf("%d changes are not marked", left)
	}
}

func marked(e *env) int {
	sum := 0
	for {
		select {
		case n := <-e.marked:
			sum += n
		default:
			return sum
		}
	}
}

// TestPositionsOfEventsAreTheirOwn: the position of an event rises with the stock, but is another number than that of the API.
func TestPositionsOfEventsAreTheirOwn(t *testing.T) {
	e := newEnv(t, channelKind)
	products := []string{e.product(1, 1000), e.product(1, 1000)}
	for i := range 6 {
		e.order(alice, nil, line(products[i%2], 1))
	}
	broker := &failingBroker{channelBroker: newChannelBroker()}
	relay := relayTo(e, broker)
	for {
		if n, err := relay.runOnce(t.Context()); err != nil || n == 0 {
			must(t, err)
			break
		}
	}
	var told []int64
	for _, m := range broker.kept {
		if m.Metadata.Get(MetaKind) != KindStockChanged {
			continue
		}
		if p := decode[StockChanged](t, m); p.ProductID == products[1] {
			told = append(told, p.Position)
		}
	}
	if len(told) != 3 || !slices.IsSorted(told) || slices.Equal(told, []int64{1, 2, 3}) {
		t.Errorf("the positions are %v, want three rising ones with gaps", told)
	}
}

func TestRelayMetadata(t *testing.T) {
	e := newEnv(t, channelKind)
	product := e.product(1, 100)
	e.rich(alice)
	orderID := e.order(alice, byPoints, line(product, 1))
	broker := &failingBroker{channelBroker: newChannelBroker()}
	_, err := relayTo(e, broker).runOnce(t.Context())
	must(t, err)
	for _, m := range broker.kept {
		kind, key, correlation := m.Metadata.Get(MetaKind), "alice", orderID
		switch kind {
		case KindStockChanged:
			key = product
		case commerce.KindPointsCharged:
			correlation = m.Metadata.Get(MetaChangeID)
		}
		if m.Metadata.Get(MetaKey) != key || m.Metadata.Get(MetaCorrelation) != correlation {
			t.Errorf("%v, want the key %s and the correlation %s", m.Metadata, key, correlation)
		}
		at, err := time.Parse(time.RFC3339Nano, m.Metadata.Get(MetaOccurredAt))
		if err != nil || time.Since(at) > time.Hour {
			t.Errorf("%s occurred at %v, %v", kind, at, err)
		}
		if _, err := uuid.Parse(m.UUID); err != nil || m.Metadata.Get(MetaFamily) == "" {
			t.Errorf("%s: ID %q, %v", kind, m.UUID, m.Metadata)
		}
	}
	if len(broker.kept) != 4 {
		t.Errorf("%d events, want 4", len(broker.kept))
	}
}

// lease is Exclusive among the relays of one test, which can be taken away.
type lease struct {
	held    chan struct{}
	holders chan context.CancelFunc
}

func newLease() *lease {
	return &lease{held: make(chan struct{}, 1), holders: make(chan context.CancelFunc, 10)}
}

func (l *lease) exclusive(ctx context.Context, _ string, run func(context.Context) error) error {
	select {
	case l.held <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-l.held }()
	ctx, lose := context.WithCancel(ctx)
	defer lose()
	l.holders <- lose
	return run(ctx)
}

// Of two instances one relays; when it loses its lease, either goes on, and nothing is lost.
func TestOneRelayAtATime(t *testing.T) {
	for _, kind := range []brokerKind{embeddedKind, kafkaKind} {
		t.Run(kind.name, func(t *testing.T) {
			e := newEnv(t, kind)
			l := newLease()
			e.deps.Exclusive = l.exclusive
			first := e.start()
			second := e.deps
			second.Instance = uuid.NewString()
			e.startAs(second)
			lose := testenv.Receive(t, l.holders, "a relay that holds the lease")
			orders := e.listen(first, TopicOrders)
			product := e.product(1, 1000)
			e.rich(alice)
			const rounds = 10
			var ids []string
			for range rounds {
				ids = append(ids, e.order(alice, byPoints, line(product, 1)))
				first.Wake()
			}
			lose()
			lose = testenv.Receive(t, l.holders, "the next relay")
			for range rounds {
				ids = append(ids, e.order(alice, byPoints, line(product, 1)))
			}
			lose()
			var paid []string
			for len(paid) < 2*rounds {
				m := e.next(orders)
				if m.Metadata.Get(MetaKind) != commerce.KindOrderPaid {
					continue
				}
				if id := decode[OrderPaid](t, m).OrderID; !slices.Contains(paid, id) {
					paid = append(paid, id)
				}
			}
			if !slices.Equal(paid, ids) {
				t.Errorf("paid in the order %v, want %v", paid, ids)
			}
			e.awaitHandled(map[string]int{commerce.KindOrderPaid: 2 * rounds, KindStockChanged: 2 * rounds})
			if got := e.popular()[product]; got.Units != 2*rounds {
				t.Errorf("counted %+v, want %d", got, 2*rounds)
			}
		})
	}
}

// A relay that is woken does not wait for its poll. One that is told to stop stops although a handler hangs, and what was
// not handled is relayed at the next start.
func TestWakeAndStop(t *testing.T) {
	e := newEnv(t, channelKind)
	e.deps.Settings.Poll = time.Minute
	hangs := make(chan struct{})
	hang := sync.OnceFunc(func() { close(hangs) })
	table := handlers(e.deps)
	table[0].handle = func(ctx context.Context, _ Event) error {
		hang()
		<-ctx.Done()
		return ctx.Err()
	}
	running, err := start(t.Context(), e.deps, table)
	must(t, err)
	product := e.product(1, 10)
	e.rich(alice)
	running.Wake()
	e.awaitMarked(1)
	e.order(alice, nil, line(product, 1))
	running.Wake()
	testenv.Receive(t, hangs, "the handler")
	must(t, running.Close())
	if n := marked(e); n != 0 {
		t.Errorf("%d changes marked as published that nobody has handled", n)
	}
	e.start()
	e.awaitHandled(map[string]int{commerce.KindOrderPlaced: 1})
	e.awaitMarked(1)
}

// An event whose handler hangs goes to the poison topic, and holds up no other: with the broker channel, the relay waits for
// the handler for longer than all of its tries take.
func TestAHangingHandlerHoldsUpNobody(t *testing.T) {
	e := newEnv(t, channelKind)
	s := &e.deps.Settings
	s.HandlerTimeout, s.Retries, s.PublishTimeout = testenv.Scaled(200*time.Millisecond), 2, testenv.Scaled(200*time.Millisecond)
	product, hangs := e.product(1, 100), e.product(1, 100)
	table := handlers(e.deps)
	handle := table[0].handle
	table[0].handle = func(ctx context.Context, event Event) error {
		if p, err := payloadOf[OrderPlaced](event); err == nil && p.Lines[0].ProductID == hangs {
			<-ctx.Done()
			return ctx.Err()
		}
		return handle(ctx, event)
	}
	running, err := start(t.Context(), e.deps, table)
	must(t, err)
	t.Cleanup(func() { must(t, running.Close()) })
	poisoned := e.listen(running, TopicPoison)
	stuck := e.order(alice, nil, line(hangs, 1))
	for range 5 {
		e.order(alice, nil, line(product, 1)) // the same key, and so behind it
	}
	running.Wake()
	m := testenv.Receive(t, poisoned, "the event on the poison topic")
	if p := decode[OrderPlaced](t, m); p.OrderID != stuck {
		t.Errorf("on the poison topic: %s", m.Payload)
	}
	e.awaitMarked(6)
}

// The relay tells for how long the first event has waited, while the broker takes nothing.
func TestRelayTellsWhatWaits(t *testing.T) {
	e := newEnv(t, channelKind)
	e.rich(alice)
	broker := &failingBroker{channelBroker: newChannelBroker(), every: 1}
	relay := relayTo(e, broker)
	if waited := relay.metrics.waiting(); waited != 0 {
		t.Errorf("%v s before there is anything", waited)
	}
	if _, err := relay.runOnce(t.Context()); err == nil {
		t.Fatal("the broker takes what it should not")
	}
	if relay.metrics.waiting() <= 0 {
		t.Error("nothing is said to wait")
	}
	broker.every = 0
	for {
		n, err := relay.runOnce(t.Context())
		must(t, err)
		if n == 0 {
			break
		}
	}
	if waited := relay.metrics.waiting(); waited != 0 {
		t.Errorf("%v s after everything was published", waited)
	}
}
