package events

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/config/setting"
	"holdfast/ent"
	"holdfast/ent/payment"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
	"holdfast/payments"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// longEnough bounds what must happen, on a loaded machine too.
const longEnough = 2 * time.Minute

// brokerKind is a way of having a broker.
type brokerKind struct {
	name  string
	start func(t *testing.T) *testBroker
}

// testBroker is a broker for one test.
type testBroker struct {
	settings BrokerSettings
	redis    redis.UniversalClient
	kafka    *kfake.Cluster // of startAutoKafka
	// interrupt takes the broker away while f runs, and gives back what is left of it; nil where it is this process.
	interrupt func(t *testing.T, f func())
}

var (
	channelKind  = brokerKind{"channel", func(*testing.T) *testBroker { return &testBroker{settings: brokerSettings(Channel)} }}
	embeddedKind = brokerKind{"embedded redis streams", startEmbedded}
	redisKind    = brokerKind{"redis streams", startRedis}
	kafkaKind    = brokerKind{"kafka", startKafka}
	brokers      = []brokerKind{channelKind, embeddedKind, redisKind, kafkaKind}
)

func brokerSettings(k BrokerKind) BrokerSettings {
	s := DefaultSettings().Broker
	s.URL = BrokerURL(k)
	return s
}

// startEmbedded keeps nothing: after an interruption it is empty, and the groups have to be created again.
func startEmbedded(t *testing.T) *testBroker {
	t.Helper()
	r, err := clients.OpenRedis(t.Context(), clients.RedisOptions{URL: clients.EmbeddedRedis})
	must(t, err)
	t.Cleanup(func() { must(t, r.Close()) })
	return &testBroker{settings: brokerSettings(RedisStreams), redis: r.Client, interrupt: func(t *testing.T, f func()) {
		t.Helper()
		must(t, r.Client.FlushAll(t.Context()).Err())
		f()
	}}
}

func startRedis(t *testing.T) *testBroker {
	t.Helper()
	server := testenv.Redis(t, "--appendonly", "yes")
	r, err := clients.OpenRedis(t.Context(), clients.RedisOptions{URL: setting.URL(server.URL)})
	must(t, err)
	t.Cleanup(func() { must(t, r.Close()) })
	return &testBroker{settings: brokerSettings(RedisStreams), redis: r.Client, interrupt: func(t *testing.T, f func()) {
		t.Helper()
		must(t, server.Kill())
		f()
		must(t, server.Restart())
	}}
}

func startKafka(t *testing.T) *testBroker {
	t.Helper()
	options := []kfake.Opt{kfake.NumBrokers(1), kfake.DataDir(t.TempDir()), kfake.SyncWrites()}
	cluster, err := kfake.NewCluster(options...)
	must(t, err)
	t.Cleanup(func() { cluster.Close() })
	settings := brokerSettings(Kafka)
	settings.URL = KafkaURL(cluster.ListenAddrs()...)
	_, text, err := net.SplitHostPort(settings.URL.Addresses()[0])
	must(t, err)
	port, err := strconv.Atoi(text)
	must(t, err)
	return &testBroker{settings: settings, interrupt: func(t *testing.T, f func()) {
		t.Helper()
		cluster.Close()
		f()
		cluster, err = kfake.NewCluster(append(options, kfake.Ports(port))...)
		must(t, err)
	}}
}

// env is a shop whose changes are relayed to handlers by one of the brokers.
type env struct {
	*commerce.Services
	t      *testing.T
	db     *clients.Database
	ledger *lockprovider.Ledger
	broker *testBroker
	deps   Deps
	// handled tells each event that a handler has taken effect for, marked each batch that the relay has marked.
	handled chan handledEvent
	marked  chan int
	known   map[string]bool // events that awaitHandled has counted: they may be delivered again
	// fail, where it is set, is asked before a handler is called and before a batch is marked.
	fail struct {
		sync.Mutex
		handler func(name string, e Event) error
		mark    func() error
	}
}

type handledEvent struct {
	handler string
	Event
}

const (
	// lowStock is the threshold in these tests.
	lowStock = 5
	// plenty of events for a test that does not look.
	plenty = 10_000
)

func newEnv(t *testing.T, kind brokerKind) *env {
	t.Helper()
	return newEnvOn(t, kind, "sqlite://:memory:")
}

// newEnvOn is an environment that is not started yet.
func newEnvOn(t *testing.T, kind brokerKind, databaseURL string, adjust ...func(*commerce.ShopSettings)) *env {
	t.Helper()
	noLeaks(t)
	db, err := clients.OpenDatabase(t.Context(), databaseURL, clients.DatabaseOptions{})
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	_, err = db.Migrate(t.Context())
	must(t, err)
	e := &env{
		t: t, db: db, broker: kind.start(t), handled: make(chan handledEvent, plenty), marked: make(chan int, plenty),
		known:  map[string]bool{},
		ledger: lockprovider.NewLedger(db.Ent, db.Dialect, commerce.WriteRecords, lockprovider.LedgerSettings{TxRetries: 10}),
	}
	families := map[lockprovider.Family]lockprovider.FamilyConfig{}
	for _, f := range lockprovider.Families {
		families[f] = lockprovider.FamilyConfig{Strategy: lockprovider.AtomicSQL, Settings: lockprovider.Settings{
			Wait: longEnough, Lease: time.Second, Poll: time.Millisecond, Attempts: 100, Backoff: time.Millisecond,
		}}
	}
	providers, err := lockprovider.Build(lockprovider.Deps{Ledger: e.ledger}, families)
	must(t, err)
	t.Cleanup(func() { must(t, providers.Close()) })
	shop := commerce.ShopSettings{Currency: "USD", Reservation: time.Hour, MaxLines: 50, MaxQuantity: 1000}
	for _, a := range adjust {
		a(&shop)
	}
	e.Services = commerce.New(commerce.Deps{
		Client: db.Ent, Ledger: e.ledger, Providers: providers, Gateway: payments.NewSimulated(payments.SimulatedSettings{}),
		Shop: shop,
		Payment: commerce.PaymentSettings{
			Gateway: commerce.GatewaySimulated, Methods: "POINTS,ACCOUNT,CARD", PointsPrice: 100, Timeout: longEnough,
		},
	})
	db.Ent.ChangeLog.Use(e.observeMarks)
	settings := DefaultSettings()
	settings.Broker, settings.LowStock, settings.RetryDelay = e.broker.settings, lowStock, time.Millisecond
	settings.Poll, settings.MaxBackoff = 20*time.Millisecond, 100*time.Millisecond
	e.deps = Deps{
		Client: db.Ent, Redis: e.broker.redis, Instance: uuid.NewString(), Settings: settings,
		Log: slog.New(slog.DiscardHandler),
	}
	return e
}

// noLeaks looks for leaked goroutines when everything has been cleaned up.
func noLeaks(t *testing.T) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		goleak.VerifyNone(t, before, testenv.LeakOption())
	})
}

// start runs the way out until the test ends, or stop is called.
func (e *env) start() *Events {
	e.t.Helper()
	return e.startAs(e.deps)
}

func (e *env) startAs(d Deps) *Events {
	e.t.Helper()
	table := handlers(d)
	for i, h := range table {
		handle := h.handle
		table[i].handle = func(ctx context.Context, event Event) error {
			if err := e.failure(h.name, event); err != nil {
				return err
			}
			err := handle(ctx, event)
			if err == nil {
				e.handled <- handledEvent{h.name, event}
			}
			return err
		}
	}
	running, err := start(e.t.Context(), d, table)
	must(e.t, err)
	e.t.Cleanup(func() { must(e.t, running.Close()) })
	return running
}

func (e *env) failure(handler string, event Event) error {
	e.fail.Lock()
	defer e.fail.Unlock()
	if e.fail.handler == nil {
		return nil
	}
	return e.fail.handler(handler, event)
}

func (e *env) observeMarks(next ent.Mutator) ent.Mutator {
	return ent.MutateFunc(func(ctx context.Context, m ent.Mutation) (ent.Value, error) {
		if !m.Op().Is(ent.OpUpdate) {
			return next.Mutate(ctx, m)
		}
		e.fail.Lock()
		fail := e.fail.mark
		e.fail.Unlock()
		if fail != nil {
			if err := fail(); err != nil {
				return nil, err
			}
		}
		value, err := next.Mutate(ctx, m)
		if n, ok := value.(int); ok && err == nil {
			e.marked <- n
		}
		return value, err
	})
}

// awaitHandled waits until handlers have taken effect for as many events of each kind, repetitions not counted.
func (e *env) awaitHandled(want map[string]int) {
	e.t.Helper()
	e.await(want, func(event Event) bool {
		again := e.known[event.ID]
		e.known[event.ID] = true
		return !again
	})
}

// awaitDeliveries waits until handlers have had as many events of each kind, repetitions counted, and returns them.
func (e *env) awaitDeliveries(want map[string]int) []Event {
	e.t.Helper()
	return e.await(want, func(Event) bool { return true })
}

func (e *env) await(want map[string]int, counts func(Event) bool) []Event {
	e.t.Helper()
	deadline := time.After(longEnough)
	missing := 0
	for _, n := range want {
		missing += n
	}
	var events []Event
	seen := map[string]int{}
	for missing > 0 {
		select {
		case h := <-e.handled:
			events = append(events, h.Event)
			if !counts(h.Event) {
				continue
			}
			seen[h.Kind]++
			if seen[h.Kind] <= want[h.Kind] {
				missing--
			}
		case <-deadline:
			e.t.Fatalf("handled %v, want %v", seen, want)
		}
	}
	return events
}

// awaitMarked waits until the relay has marked so many changes.
func (e *env) awaitMarked(want int) {
	e.t.Helper()
	deadline := time.After(longEnough)
	for got := 0; got < want; {
		select {
		case n := <-e.marked:
			got += n
		case <-deadline:
			e.t.Fatalf("%d changes marked, want %d", got, want)
		}
	}
}

// listen returns what is published to a topic. It is to be called before that, since not all brokers keep messages.
func (e *env) listen(running *Events, topic string) <-chan *message.Message {
	e.t.Helper()
	subscriber, err := running.broker.Subscriber("listener-" + topic)
	must(e.t, err)
	messages, err := subscriber.Subscribe(e.t.Context(), topic)
	must(e.t, err)
	heard := make(chan *message.Message, plenty)
	go func() {
		defer close(heard)
		for m := range messages {
			heard <- m.Copy()
			m.Ack()
		}
	}()
	return heard
}

func (e *env) next(heard <-chan *message.Message) *message.Message {
	e.t.Helper()
	select {
	case m := <-heard:
		return m
	case <-time.After(longEnough):
		e.t.Fatal("no message")
		return nil
	}
}

var (
	alice = commerce.Viewer{UserID: "alice", Name: "Alice"}
	admin = commerce.Viewer{UserID: "root", Name: "Root", Admin: true}
)

func (e *env) product(price, stock int64) string {
	e.t.Helper()
	row, err := e.Catalog.Create(e.t.Context(), admin, commerce.CreateProduct{
		SKU: uuid.NewString(), Name: "Thing", Price: commerce.Money{Minor: price, Currency: "USD"}, Stock: stock,
	})
	must(e.t, err)
	return row.ID
}

// rich gives a user points to pay with: one change.
func (e *env) rich(v commerce.Viewer) {
	e.t.Helper()
	_, err := e.Points.Charge(e.t.Context(), v, commerce.ChargePoints{Key: uuid.New(), Amount: 1_000_000})
	must(e.t, err)
}

// order places an order and, unless pay is nil, pays it: a change each.
func (e *env) order(v commerce.Viewer, pay *commerce.Payment, lines ...commerce.Line) string {
	e.t.Helper()
	result, err := e.Orders.Place(e.t.Context(), v, commerce.PlaceOrder{Key: uuid.New(), Lines: lines, Payment: pay})
	must(e.t, err)
	return result.Order.ID
}

// cancel ends an order and, where it was paid, refunds it: a change each.
func (e *env) cancel(v commerce.Viewer, id string) {
	e.t.Helper()
	_, err := e.Orders.Cancel(e.t.Context(), v, commerce.CancelOrder{Key: uuid.New(), OrderID: id})
	must(e.t, err)
}

func (e *env) adjust(productID string, delta int64) {
	e.t.Helper()
	_, err := e.Catalog.AdjustStock(e.t.Context(), admin, commerce.AdjustStock{
		Key: uuid.New(), ProductID: productID, Delta: delta,
	})
	must(e.t, err)
}

var byPoints = &commerce.Payment{Method: payment.MethodPOINTS}

func line(productID string, quantity int64) commerce.Line {
	return commerce.Line{ProductID: productID, Quantity: quantity}
}

// popular is what has been sold since ever, by product.
func (e *env) popular() map[string]Sales {
	e.t.Helper()
	list, err := PopularProducts(e.t.Context(), e.db.Ent, time.Unix(0, 0), MaxPopular)
	must(e.t, err)
	sold := make(map[string]Sales, len(list))
	for i, s := range list {
		if i > 0 && s.Units > list[i-1].Units {
			e.t.Errorf("not sorted: %+v", list)
		}
		sold[s.ProductID] = s
	}
	return sold
}

func (e *env) low() map[string]int64 {
	e.t.Helper()
	list, err := LowStock(e.t.Context(), e.db.Ent, MaxLow)
	must(e.t, err)
	low := make(map[string]int64, len(list))
	for _, p := range list {
		low["prod_"+strings.TrimPrefix(p.VariantID, "var_")] = p.Left
	}
	return low
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var errOnPurpose = errors.New("on purpose")
