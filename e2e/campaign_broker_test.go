package e2e

import (
	"context"
	"encoding/json"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kfake"

	"holdfast/clients"
	"holdfast/config/setting"
	"holdfast/ent/changelog"
	"holdfast/ent/entry"
	"holdfast/events"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
	"holdfast/lockprovider/ledger"
)

// outbreak is a broker that goes away, and comes back with what it had.
type outbreak struct {
	url      string // as in the configuration
	settings events.BrokerSettings
	down, up func()
}

// TestCampaignBroker takes the broker away under load. Orders go on, and when it is back, whoever listens hears of all of
// them, in order.
func TestCampaignBroker(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many servers")
	}
	redisStreams := func(down, up func(*testenv.Server) error) func(*testing.T, *testenv.Server) outbreak {
		return func(t *testing.T, redis *testenv.Server) outbreak {
			t.Helper()
			return outbreak{
				url: "redis", settings: events.BrokerSettings{URL: events.BrokerURL(events.RedisStreams)},
				down: func() { must(t, down(redis)) }, up: func() { must(t, up(redis)) },
			}
		}
	}
	for _, test := range []struct {
		name     string
		strategy lockprovider.Strategy // with Redis as the broker, one that does without
		broker   func(*testing.T, *testenv.Server) outbreak
	}{
		{"kafka is closed", lockprovider.Lua, kafka},
		{"redis is killed", lockprovider.RowLock, redisStreams((*testenv.Server).Kill, (*testenv.Server).Restart)},
		{"redis is frozen", lockprovider.RowLock, redisStreams((*testenv.Server).Pause, (*testenv.Server).Resume)},
	} {
		t.Run(test.name, func(t *testing.T) {
			noLeaks(t)
			redis := testenv.Redis(t, "--appendonly", "yes")
			broker := test.broker(t, redis)
			s := stores{database: testenv.Postgres(t), redis: redis.URL, broker: broker.url}
			c := newCampaign(t, s, variant{strategy: test.strategy})
			c.refill(t)
			listeners := c.listen(t, broker)
			rounds := 1
			if longCampaign() {
				rounds = 3
			}
			for range rounds {
				load := c.load(t)
				c.await(t, 50)
				broker.down()
				c.await(t, 300)
				c.unpublished(t, func(n int) bool { return n > 0 }) // or it was never missed
				broker.up()
				c.await(t, 50)
				load.finish(t)
				c.prove(t, test.name, lossless, accepted)
				c.unpublished(t, func(n int) bool { return n == 0 })
				listeners.heardAll(t, c)
			}
			c.end(t)
		})
	}
}

// kafka is one that runs in this process and keeps its messages in files.
func kafka(t *testing.T, _ *testenv.Server) outbreak {
	t.Helper()
	options := []kfake.Opt{kfake.NumBrokers(1), kfake.DataDir(t.TempDir()), kfake.SyncWrites()}
	cluster, err := kfake.NewCluster(options...)
	must(t, err)
	t.Cleanup(func() { cluster.Close() })
	settings := events.DefaultSettings().Broker
	settings.URL = events.KafkaURL(cluster.ListenAddrs()...)
	_, text, err := net.SplitHostPort(settings.URL.Addresses()[0])
	must(t, err)
	port, err := strconv.Atoi(text)
	must(t, err)
	return outbreak{
		url: "kafka://" + strings.Join(settings.URL.Addresses(), ","), settings: settings,
		down: func() { cluster.Close() },
		up: func() {
			cluster, err = kfake.NewCluster(append(options, kfake.Ports(port))...)
			must(t, err)
		},
	}
}

// unpublished waits until the number of changes that the relay has not published yet is as wanted.
func (c *campaign) unpublished(t *testing.T, enough func(n int) bool) {
	t.Helper()
	db := c.open(t).Ent
	eventually(t, "the changes that wait for the broker are as many as they should", func() bool {
		n, err := db.ChangeLog.Query().Where(changelog.PublishedAtIsNil()).Count(t.Context())
		must(t, err)
		return enough(n)
	})
}

// listeners are a consumer group of an outsider: one consumer a topic, which gets every event.
type listeners struct {
	mu       sync.Mutex
	changes  map[uuid.UUID]string             // kinds of the events of changes
	stock    map[string][]events.StockChanged // by product, as they came
	order    map[string][]string              // the kinds of each order's events, as they first came
	problems []string
}

func (c *campaign) listen(t *testing.T, b outbreak) *listeners {
	t.Helper()
	settings := events.DefaultSettings().Broker
	settings.URL = b.settings.URL
	redis, err := clients.OpenRedis(t.Context(), clients.RedisOptions{URL: setting.URL(c.redis)})
	must(t, err)
	broker, err := events.OpenBroker(settings, events.BrokerDeps{Redis: redis.Client, Instance: "listeners"})
	must(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var listening sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		must(t, broker.Close())
		listening.Wait()
		must(t, redis.Close())
	})
	l := &listeners{changes: map[uuid.UUID]string{}, stock: map[string][]events.StockChanged{}, order: map[string][]string{}}
	for _, topic := range events.Topics {
		subscriber, err := broker.Subscriber("listeners")
		must(t, err)
		messages, err := subscriber.Subscribe(ctx, topic)
		must(t, err)
		listening.Go(func() {
			for m := range messages {
				l.hear(topic, m)
				m.Ack()
			}
		})
	}
	return l
}

func (l *listeners) hear(topic string, m *message.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kind := m.Metadata.Get(events.MetaKind)
	switch {
	case topic == events.TopicPoison:
		l.problems = append(l.problems, "poison: "+string(m.Payload))
	case kind == events.KindStockChanged:
		var p events.StockChanged
		if err := json.Unmarshal(m.Payload, &p); err != nil {
			l.problems = append(l.problems, err.Error())
		}
		l.stock[p.ProductID] = append(l.stock[p.ProductID], p)
	default:
		change, err := uuid.Parse(m.Metadata.Get(events.MetaChangeID))
		if err != nil {
			l.problems = append(l.problems, err.Error())
		}
		if _, again := l.changes[change]; !again && topic == events.TopicOrders {
			order := m.Metadata.Get(events.MetaCorrelation)
			l.order[order] = append(l.order[order], kind)
		}
		l.changes[change] = kind
	}
}

// heardAll waits until they have heard of every change that the database holds, and looks at the order in which they have.
func (l *listeners) heardAll(t *testing.T, c *campaign) {
	t.Helper()
	db := c.open(t).Ent
	rows, err := db.ChangeLog.Query().Where(changelog.KindNEQ(ledger.KindRefused)).All(t.Context())
	must(t, err)
	moves, err := db.Entry.Query().Where(entry.BalanceHasPrefix(lockprovider.StockKey(""))).Order(entry.ByID()).All(t.Context())
	must(t, err)
	positions := map[string][]int64{} // of each product, in the order of the journal
	for _, move := range moves {
		product := strings.TrimPrefix(move.Balance, lockprovider.StockKey(""))
		positions[product] = append(positions[product], move.ID)
	}
	eventually(t, "everybody has heard everything", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		heard := map[int64]bool{}
		for product, changes := range l.stock {
			for _, p := range changes {
				heard[p.Position] = true
			}
			if all := positions[product]; len(all) > 0 && changes[len(changes)-1].Position != all[len(all)-1] {
				return false // in the middle of a repetition, which ends with the last one
			}
		}
		return len(heard) >= len(moves) && len(l.changes) >= len(rows)
	})

	l.mu.Lock()
	defer l.mu.Unlock()
	for _, problem := range l.problems {
		t.Error(problem)
	}
	for _, row := range rows {
		wantEqual(t, "the event of change "+row.ChangeID.String(), l.changes[row.ChangeID], row.Kind)
	}
	wantEqual(t, "changes that were heard of", len(l.changes), len(rows))
	wantEqual(t, "products that were heard of", len(l.stock), len(positions))
	repeated := 0
	for _, product := range slices.Sorted(maps.Keys(l.stock)) {
		repeated += checkSequence(t, product, l.stock[product], positions[product])
	}
	for id, kinds := range l.order {
		if kinds[0] != "order.placed" {
			t.Errorf("the events of order %s came as %v", id, kinds)
		}
	}
	t.Logf("heard of %d changes and %d moves of stock, %d of them again", len(rows), len(moves), repeated)
}

// checkSequence: each change of a product's stock is followed by the next one or, after a fault, by one that was there
// before; from there on it goes on one by one. It returns how many came again.
func checkSequence(t *testing.T, product string, heard []events.StockChanged, positions []int64) (repeated int) {
	t.Helper()
	next, highest := 0, -1
	for _, p := range heard {
		rank, known := slices.BinarySearch(positions, p.Position)
		switch {
		case !known:
			t.Errorf("%s: %+v is not in the journal", product, p)
			return repeated
		case rank > next:
			t.Errorf("%s: %+v comes before %d others", product, p, rank-next)
		case rank <= highest:
			repeated++
		}
		next, highest = rank+1, max(highest, rank)
	}
	return repeated
}
