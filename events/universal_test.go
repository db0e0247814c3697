package events

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kfake"
)

// universal is what every broker promises by the terms of Watermill's own suite. The suite is run in its short form: a
// message that is refused is delivered again after nackPause, and the long form refuses 300.
var universal = tests.Features{ForceShort: true}

// TestUniversalBrokers has the brokers that keep messages pass Watermill's suite for any Pub/Sub.
func TestUniversalBrokers(t *testing.T) {
	for _, kind := range []brokerKind{embeddedKind, redisKind, {"kafka", startAutoKafka}} {
		t.Run(kind.name, func(t *testing.T) {
			broker := kind.start(t)
			broker.settings.Redelivery = 2 * time.Second // the suite has consumers end with messages in hand, and waits for these
			// open returns a publisher and a subscriber that end one by one, as if they were two processes.
			open := func(t *testing.T, group string) (message.Publisher, message.Subscriber) {
				t.Helper()
				var opened [2]Broker
				for i := range opened {
					b, err := OpenBroker(broker.settings, BrokerDeps{
						Redis: broker.redis, Instance: uuid.NewString(), Log: watermill.NopLogger{},
					})
					must(t, err)
					opened[i] = b
				}
				subscriber, err := opened[1].Subscriber(group)
				must(t, err)
				return byPayload{opened[0]}, endingBroker{subscriber, opened[1]}
			}
			features := universal
			features.ConsumerGroups, features.Persistent = true, true
			features.GuaranteedOrder = true
			// The consumers of a group share a stream of Redis message by message, and one of Kafka partition by partition.
			features.GuaranteedOrderWithSingleSubscriber = broker.settings.URL.Kind() == RedisStreams
			tests.TestPubSub(t, features,
				func(t *testing.T) (message.Publisher, message.Subscriber) { t.Helper(); return open(t, "group") }, open)
		})
	}
}

func startAutoKafka(t *testing.T) *testBroker {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.AllowAutoTopicCreation(), kfake.DefaultNumPartitions(4),
		kfake.GroupMinSessionTimeout(time.Second))
	must(t, err)
	t.Cleanup(cluster.Close)
	settings := brokerSettings(Kafka)
	settings.URL, settings.Partitions = KafkaURL(cluster.ListenAddrs()...), 0 // the suite makes up topics as it goes
	return &testBroker{settings: settings, kafka: cluster}
}

// byPayload publishes messages with their payload as the key that keeps them in order: the suite wants messages of the same
// payload in order.
type byPayload struct{ message.Publisher }

func (p byPayload) Publish(topic string, messages ...*message.Message) error {
	keyed := make([]*message.Message, len(messages))
	for i, m := range messages {
		keyed[i] = m.Copy()
		keyed[i].SetContext(m.Context())
		keyed[i].Metadata.Set(MetaKey, string(m.Payload))
	}
	return p.Publisher.Publish(topic, keyed...)
}

// endingBroker is a subscriber that takes its broker with it.
type endingBroker struct {
	message.Subscriber
	broker Broker
}

func (s endingBroker) Close() error { return s.broker.Close() }

// TestUniversalChannel has the in-process channel pass what of Watermill's suite is about it. The channel keeps nothing: what
// is published waits in the database until it is handled. So, as in the shop, a relay publishes here.
//
// Left out is TestContinueAfterErrors: it abandons a subscription and opens another, without ending the first, and Publish
// waits for both.
func TestUniversalChannel(t *testing.T) {
	features := universal
	// A message that was acknowledged is not delivered again to the same subscription, unless it is published again.
	features.ExactlyOnceDelivery = true
	features.GuaranteedOrder = true
	features.RequireSingleInstance = true
	open := func(t *testing.T) (message.Publisher, message.Subscriber) {
		t.Helper()
		b := newChannelBroker()
		subscriber, err := b.Subscriber("group")
		must(t, err)
		relay := &relayOfTest{broker: b, subscriber: subscriber, topics: map[string]*relayedTopic{}}
		t.Cleanup(relay.running.Wait)
		return relay, relaySubscriber{relay}
	}
	for name, test := range map[string]func(*testing.T, tests.TestContext, tests.PubSubConstructor){
		"publish subscribe":                    tests.TestPublishSubscribe,
		"concurrent subscribe":                 tests.TestConcurrentSubscribe,
		"concurrent subscribe multiple topics": tests.TestConcurrentSubscribeMultipleTopics,
		"resend on error":                      tests.TestResendOnError,
		"no ack":                               tests.TestNoAck,
		"publish subscribe in order":           tests.TestPublishSubscribeInOrder,
		"publisher close":                      tests.TestPublisherClose,
		"topic":                                tests.TestTopic,
		"message context":                      tests.TestMessageCtx,
		"subscribe context":                    tests.TestSubscribeCtx,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, tests.TestContext{TestID: tests.NewTestID(), Features: features}, open)
		})
	}
}

// relayOfTest publishes messages to a channel, in their order, from the first subscription to their topic on.
type relayOfTest struct {
	broker     *channelBroker
	subscriber message.Subscriber
	running    sync.WaitGroup

	mu     sync.Mutex
	topics map[string]*relayedTopic
}

type relayedTopic struct {
	waiting chan *message.Message
	begin   func()
}

func (r *relayOfTest) topic(name string) *relayedTopic {
	r.mu.Lock()
	defer r.mu.Unlock()
	topic := r.topics[name]
	if topic == nil {
		topic = &relayedTopic{waiting: make(chan *message.Message, plenty)}
		topic.begin = sync.OnceFunc(func() { r.running.Go(func() { r.relay(name, topic.waiting) }) })
		r.topics[name] = topic
	}
	return topic
}

// relay publishes each message until a subscription has taken it. A subscription that ends meanwhile makes Publish fail, or leaves
// nobody to publish to. The end of the broker ends the relay.
func (r *relayOfTest) relay(name string, waiting <-chan *message.Message) {
	for m := range waiting {
		for delivered := false; !delivered; {
			subscribers, err := r.broker.publish(name, m)
			if err != nil && r.closed() {
				return
			}
			delivered = err == nil && subscribers > 0
			if !delivered {
				runtime.Gosched()
			}
		}
	}
}

func (r *relayOfTest) closed() bool {
	r.broker.mu.Lock()
	defer r.broker.mu.Unlock()
	return r.broker.closed
}

func (r *relayOfTest) Publish(name string, messages ...*message.Message) error {
	for _, m := range messages {
		r.topic(name).waiting <- m
	}
	return nil
}

func (r *relayOfTest) Close() error {
	err := r.broker.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, topic := range r.topics {
		close(topic.waiting)
		delete(r.topics, name)
	}
	return err
}

// relaySubscriber has a topic relayed from its first subscription on.
type relaySubscriber struct{ *relayOfTest }

func (s relaySubscriber) Subscribe(ctx context.Context, name string) (<-chan *message.Message, error) {
	out, err := s.subscriber.Subscribe(ctx, name)
	if err == nil {
		s.topic(name).begin()
	}
	return out, err
}
