package events

import (
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"holdfast/commerce"
	"holdfast/internal/testenv"
)

func TestSettings(t *testing.T) {
	must(t, DefaultSettings().Validate())
	for want, change := range map[string]func(*Settings){
		"poll":           func(s *Settings) { s.Poll = 0 },
		"batch":          func(s *Settings) { s.Batch = 1001 },
		"lanes":          func(s *Settings) { s.Lanes = 0 },
		"publishTimeout": func(s *Settings) { s.PublishTimeout = time.Hour },
		"maxBackoff":     func(s *Settings) { s.MaxBackoff = 0 },
		"retries":        func(s *Settings) { s.Retries = -1 },
		"retryDelay":     func(s *Settings) { s.RetryDelay = time.Minute },
		"handlerTimeout": func(s *Settings) { s.HandlerTimeout = 0 },
		"closeTimeout":   func(s *Settings) { s.CloseTimeout = 0 },
		"lowStock":       func(s *Settings) { s.LowStock = -1 },
		"url":            func(s *Settings) { s.Broker.URL = "pigeon" },
		"redelivery":     func(s *Settings) { s.Broker.Redelivery = 0 },
		"maxLen":         func(s *Settings) { s.Broker.MaxLen = 0 },
		"1 to 100":       func(s *Settings) { s.Broker.URL = "kafka://" },
		"partitions":     func(s *Settings) { s.Broker.Partitions = -1 },
	} {
		s := DefaultSettings()
		change(&s)
		if err := s.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
		if _, err := Start(t.Context(), Deps{Settings: s}); err == nil {
			t.Errorf("started with a wrong %s", want)
		}
	}
}

func TestStartWithoutBroker(t *testing.T) {
	e := newEnv(t, channelKind)
	e.deps.Settings.Broker = brokerSettings(RedisStreams)
	if _, err := Start(t.Context(), e.deps); err == nil || !strings.Contains(err.Error(), "no Redis") {
		t.Errorf("broker redis without Redis: %v", err)
	}
	e.deps.Settings.Broker = brokerSettings(Kafka)
	e.deps.Settings.Broker.URL = KafkaURL("127.0.0.1:1")
	if _, err := Start(t.Context(), e.deps); err == nil || !strings.Contains(err.Error(), "broker kafka") {
		t.Errorf("Kafka where nobody listens: %v", err)
	}
}

// Publish on a channel is bounded by the message's context and by Close, and then never reports success.
func TestChannelReportsWhatIsNotHandled(t *testing.T) {
	noLeaks(t)
	b := newChannelBroker()
	m := message.NewMessage("1", nil)
	must(t, b.Publish("topic", m)) // nobody listens: nothing to wait for
	subscriber, err := b.Subscriber("")
	must(t, err)
	out, err := subscriber.Subscribe(t.Context(), "topic")
	must(t, err)

	ctx, cancel := context.WithCancel(t.Context())
	m.SetContext(ctx)
	result := make(chan error)
	go func() { result <- b.Publish("topic", m) }()
	testenv.Receive(t, out, "the message").Nack()
	again := testenv.Receive(t, out, "the message once more")
	cancel()
	if err := testenv.Receive(t, result, "Publish to return"); !errors.Is(err, context.Canceled) {
		t.Errorf("not acknowledged in time: %v", err)
	}
	if again.Context().Err() == nil {
		t.Error("the message's context goes on after its delivery")
	}

	m.SetContext(t.Context())
	go func() { result <- b.Publish("topic", m) }()
	testenv.Receive(t, out, "the second message")
	must(t, b.Close())
	if err := testenv.Receive(t, result, "Publish to return"); !errors.Is(err, errBrokerClosed) {
		t.Errorf("not acknowledged before Close: %v", err)
	}
	if _, open := <-out; open {
		t.Error("the subscription goes on after Close")
	}
	if err := b.Publish("topic", m); !errors.Is(err, errBrokerClosed) {
		t.Errorf("published after Close: %v", err)
	}
	if _, err := subscriber.Subscribe(t.Context(), "topic"); !errors.Is(err, errBrokerClosed) {
		t.Errorf("subscribed after Close: %v", err)
	}
}

// What a consumer has read and not acknowledged when it is killed is taken over by another, within Redelivery.
func TestRedisTakeover(t *testing.T) {
	for _, kind := range []brokerKind{embeddedKind, redisKind} {
		t.Run(kind.name, func(t *testing.T) {
			e := newEnv(t, kind)
			e.deps.Settings.Broker.Redelivery = time.Second
			running := e.start()
			product := e.product(1, 10)
			e.rich(alice)
			e.order(alice, nil, line(product, 1))
			e.awaitHandled(map[string]int{KindStockChanged: 1, commerce.KindOrderPlaced: 1})
			must(t, running.Close()) // so that only the dead one reads

			ctx, client := t.Context(), e.broker.redis
			copied, err := client.XRange(ctx, TopicStock, "-", "+").Result()
			must(t, err)
			must(t, client.XAdd(ctx, &redis.XAddArgs{Stream: TopicStock, Values: copied[0].Values}).Err())
			read, err := client.XReadGroup(ctx, &redis.XReadGroupArgs{
				Group: "holdfast.stock-alerts", Consumer: "dead", Streams: []string{TopicStock, ">"}, Count: 1, Block: -1,
			}).Result()
			if err != nil || len(read[0].Messages) != 1 {
				t.Fatalf("read %v, %v", read, err)
			}
			e.start()
			e.awaitDeliveries(map[string]int{KindStockChanged: 1})
		})
	}
}

// Entries that somebody else wrote do not end the subscription.
func TestRedisMalformedEntries(t *testing.T) {
	e := newEnv(t, redisKind)
	running := e.start()
	poison := e.listen(running, TopicPoison)
	for _, values := range []map[string]any{
		{"something": "else"},
		{"_watermill_message_uuid": "1", "payload": "{}", "metadata": "no msgpack"},
		{"_watermill_message_uuid": "2", "payload": "{}"},
	} {
		must(t, e.broker.redis.XAdd(t.Context(), &redis.XAddArgs{Stream: TopicStock, Values: values}).Err())
		if reason := e.next(poison).Metadata.Get(middleware.ReasonForPoisonedKey); !strings.Contains(reason, "permanent") {
			t.Errorf("%v: %s", values, reason)
		}
	}
	product := e.product(1, 10)
	e.order(alice, nil, line(product, 1))
	e.awaitHandled(map[string]int{KindStockChanged: 1})
}

// A real Redis that has lost everything gets its groups again.
func TestRedisEmptied(t *testing.T) {
	e := newEnv(t, redisKind)
	e.start()
	product := e.product(1, 100)
	for range 3 {
		e.order(alice, nil, line(product, 1))
		e.awaitHandled(map[string]int{KindStockChanged: 1, commerce.KindOrderPlaced: 1})
		must(t, e.broker.redis.FlushAll(t.Context()).Err())
	}
}

// loseReads loses the answers to some reads of a group that Redis has executed, as a connection does that breaks.
type loseReads struct{ left atomic.Int64 }

func (*loseReads) DialHook(next redis.DialHook) redis.DialHook { return next }

func (*loseReads) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (l *loseReads) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		read, is := cmd.(*redis.XStreamSliceCmd)
		if !is || err != nil || len(read.Val()) == 0 || l.left.Add(-1) < 0 {
			return err
		}
		read.SetVal(nil)
		return io.ErrUnexpectedEOF
	}
}

// firstComings leaves out what comes again.
func firstComings(ids []string) []string {
	var first []string
	for _, id := range ids {
		if !slices.Contains(first, id) {
			first = append(first, id)
		}
	}
	return first
}

// What a read that fails was to hand out comes before everything that follows it.
func TestRedisOrderAfterALostRead(t *testing.T) {
	for _, kind := range []brokerKind{embeddedKind, redisKind} {
		t.Run(kind.name, func(t *testing.T) {
			e := newEnv(t, kind)
			shared, _ := e.broker.redis.(*redis.Client)
			client := redis.NewClient(shared.Options())
			t.Cleanup(func() { must(t, client.Close()) })
			lost := new(loseReads)
			client.AddHook(lost)
			b, err := newRedisBroker(e.deps.Settings.Broker, BrokerDeps{Redis: client, Instance: "test", Log: watermill.NopLogger{}})
			must(t, err)
			t.Cleanup(func() { must(t, b.Close()) })
			subscriber, err := b.Subscriber("group")
			must(t, err)
			messages, err := subscriber.Subscribe(t.Context(), TopicOrders)
			must(t, err)
			next := func() *message.Message {
				select {
				case m := <-messages:
					return m
				case <-time.After(longEnough):
					t.Fatal("in vain waited for the next message")
					return nil
				}
			}
			var want, got []string
			for i := range 20 {
				id := strconv.Itoa(i)
				want = append(want, id)
				if i%7 == 3 {
					lost.left.Store(1 + int64(i)%2) // once, or once more while what was lost is looked for
				}
				must(t, b.Publish(TopicOrders, message.NewMessage(id, nil)))
				if i%7 != 3 { // else the next one is there as well, when what was lost is looked for
					for len(firstComings(got)) < len(want) {
						m := next()
						got = append(got, m.UUID)
						m.Ack()
					}
				}
			}
			if first := firstComings(got); !slices.Equal(first, want) {
				t.Errorf("got %v for the first time, want %v", first, want)
			}
			eventually := time.Now().Add(longEnough)
			for {
				pending, err := client.XPending(t.Context(), TopicOrders, "group").Result()
				must(t, err)
				if pending.Count == 0 {
					break
				}
				if time.Now().After(eventually) {
					t.Fatalf("in vain waited until none of the messages is pending; %d are", pending.Count)
				}
				rest(t.Context(), 10*time.Millisecond)
			}
		})
	}
}

// The relay waits for handlers that are behind, instead of having their messages trimmed.
func TestRedisBackpressure(t *testing.T) {
	e := newEnv(t, redisKind)
	e.deps.Settings.Broker.MaxLen = 1000
	b, err := newRedisBroker(e.deps.Settings.Broker, BrokerDeps{
		Redis: e.broker.redis, Instance: "test", Log: watermill.NopLogger{},
	})
	must(t, err)
	t.Cleanup(func() { must(t, b.Close()) })
	groups := []Subscription{{Group: "slow", Topic: TopicStock}, {Group: "slow", Topic: TopicOrders}}
	must(t, b.Ready(t.Context(), groups)) // no stream yet
	must(t, e.broker.redis.XGroupCreateMkStream(t.Context(), TopicStock, "slow", "0").Err())
	must(t, b.Ready(t.Context(), groups))
	for range 501 {
		must(t, b.Publish(TopicStock, message.NewMessage("1", nil)))
	}
	if err := b.Ready(t.Context(), groups); !errors.Is(err, errBacklog) {
		t.Errorf("501 messages wait: %v", err)
	}
	must(t, b.Ready(t.Context(), groups[1:]))
	read, err := e.broker.redis.XReadGroup(t.Context(), &redis.XReadGroupArgs{
		Group: "slow", Consumer: "c", Streams: []string{TopicStock, ">"}, Count: 100,
	}).Result()
	must(t, err)
	if err := b.Ready(t.Context(), groups); !errors.Is(err, errBacklog) {
		t.Errorf("501 messages wait, 100 of them read: %v", err)
	}
	for _, m := range read[0].Messages {
		must(t, e.broker.redis.XAck(t.Context(), TopicStock, "slow", m.ID).Err())
	}
	must(t, b.Ready(t.Context(), groups))
}

func TestMetrics(t *testing.T) {
	e := newEnv(t, channelKind)
	registry := prometheus.NewRegistry()
	e.deps.Metrics = registry
	e.start()
	e.rich(alice)
	e.order(alice, byPoints, line(e.product(1, 10), 1))
	e.awaitHandled(map[string]int{commerce.KindOrderPaid: 1, KindStockChanged: 1})
	e.awaitMarked(3)
	families, err := registry.Gather()
	must(t, err)
	names := map[string]bool{}
	for _, f := range families {
		names[f.GetName()] = true
	}
	for _, want := range []string{
		"holdfast_relay_lag_seconds", "holdfast_relayed_events_total", "holdfast_relay_failures_total",
		"holdfast_events_handler_execution_time_seconds", "holdfast_events_publish_time_seconds",
	} {
		if !names[want] {
			t.Errorf("no %s among %v", want, names)
		}
	}
}
