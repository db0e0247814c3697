package events

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
)

// kafkaBroker keeps messages in Kafka, where the partition key keeps those of one product or user in order.
type kafkaBroker struct {
	*kafka.Publisher
	settings BrokerSettings
	deps     BrokerDeps

	mu          sync.Mutex
	closed      bool
	subscribers []*kafka.Subscriber
}

const (
	// kafkaTimeout bounds one request and one attempt to connect. The library's 30 s would let a broker that drops packets
	// hold up the relay for minutes.
	kafkaTimeout = 5 * time.Second
	// kafkaPause is the time between attempts, of whatever kind.
	kafkaPause = 250 * time.Millisecond
	// kafkaRebalance is how long the members of a group may take to join it anew.
	kafkaRebalance = 10 * time.Second
)

func newKafkaBroker(s BrokerSettings, d BrokerDeps) (*kafkaBroker, error) {
	if err := createTopics(s); err != nil {
		return nil, fmt.Errorf("broker kafka: %w", err)
	}
	publisher, err := kafka.NewPublisher(kafka.PublisherConfig{
		Brokers: s.Brokers, Marshaler: keyed, OverwriteSaramaConfig: publisherConfig(),
	}, d.Log)
	if err != nil {
		return nil, fmt.Errorf("broker kafka: %w", err)
	}
	return &kafkaBroker{Publisher: publisher, settings: s, deps: d}, nil
}

var keyed = kafka.NewWithPartitioningMarshaler(func(_ string, m *message.Message) (string, error) {
	return m.Metadata.Get(MetaKey), nil
})

func commonConfig() *sarama.Config {
	c := sarama.NewConfig()
	c.ClientID = "holdfast"
	c.Version = sarama.V2_3_0_0 // the oldest with all that is used here, but for createTopics; Kafka 4 still speaks it
	c.Net.Proxy.Enable, c.Net.Proxy.Dialer = true, &pacedDialer{tokens: dialBurst}
	c.Net.DialTimeout, c.Net.ReadTimeout, c.Net.WriteTimeout = kafkaTimeout, kafkaTimeout, kafkaTimeout
	c.Metadata.Retry.Backoff = kafkaPause
	return c
}

func publisherConfig() *sarama.Config {
	c := commonConfig()
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Timeout = kafkaTimeout
	c.Producer.Return.Successes = true
	// With more than one request on its way, one that is retried would be overtaken by the next.
	c.Net.MaxOpenRequests = 1
	return c
}

func subscriberConfig(redelivery time.Duration) *sarama.Config {
	c := commonConfig()
	c.Net.ReadTimeout += kafkaRebalance // joining a group is answered when all members have come
	c.Consumer.Return.Errors = true
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.MaxWaitTime = kafkaPause
	c.Consumer.Retry.Backoff = kafkaPause
	// A dead consumer's partitions go to others after the session timeout; a slow handler is not dead.
	c.Consumer.Group.Session.Timeout = redelivery
	c.Consumer.Group.Heartbeat.Interval = redelivery / 3
	c.Consumer.Group.Rebalance.Timeout = kafkaRebalance
	c.Consumer.Group.Rebalance.Retry.Backoff = kafkaPause
	return c
}

// createTopics creates the topics that do not exist. Brokers that create topics on first use give them one partition.
func createTopics(s BrokerSettings) (err error) {
	if s.Partitions == 0 {
		return nil
	}
	config := commonConfig()
	config.Version = sarama.V2_4_0_0 // the first in which a topic may have the broker's own replication factor
	admin, err := sarama.NewClusterAdmin(s.Brokers, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, admin.Close()) }()
	for _, topic := range Topics {
		err := admin.CreateTopic(topic, &sarama.TopicDetail{
			NumPartitions: s.Partitions, ReplicationFactor: -1, // the broker's own default
		}, false)
		if err != nil && !errors.Is(err, sarama.ErrTopicAlreadyExists) {
			return fmt.Errorf("create topic %s: %w", topic, err)
		}
	}
	return nil
}

const (
	// dialBurst is how many connections a client may make at once: a few for each broker of a cluster.
	dialBurst = 32
	// dialPause is the time in which it may make one more after that.
	dialPause = kafkaPause
)

// pacedDialer bounds how fast a client connects. When a group refuses a consumer, the library throws away its client and
// makes a new one, without a pause in between: as fast as processor and network allow.
type pacedDialer struct {
	mu     sync.Mutex
	tokens int
	filled time.Time
}

// Dial waits for its turn and connects.
func (d *pacedDialer) Dial(network, address string) (net.Conn, error) {
	time.Sleep(d.wait(time.Now()))
	return net.DialTimeout(network, address, kafkaTimeout) //nolint:noctx // the interface has none
}

// wait takes a token, or tells how long to wait for one.
func (d *pacedDialer) wait(now time.Time) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if earned := int(now.Sub(d.filled) / dialPause); earned > 0 {
		d.tokens = min(dialBurst, d.tokens+earned)
		d.filled = now
	}
	d.tokens--
	if d.tokens >= 0 {
		return 0
	}
	return min(time.Duration(-d.tokens)*dialPause, kafkaTimeout)
}

// Subscriber returns a member of a group.
func (b *kafkaBroker) Subscriber(group string) (message.Subscriber, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, errBrokerClosed
	}
	subscriber, err := kafka.NewSubscriber(kafka.SubscriberConfig{
		Brokers: b.settings.Brokers, Unmarshaler: keyed, ConsumerGroup: group,
		OverwriteSaramaConfig: subscriberConfig(b.settings.Redelivery),
		NackResendSleep:       nackPause, ReconnectRetrySleep: kafkaPause,
	}, b.deps.Log)
	if err != nil {
		return nil, fmt.Errorf("broker kafka: %w", err)
	}
	b.subscribers = append(b.subscribers, subscriber)
	return subscriber, nil
}

// Ready is always true: Kafka keeps messages by age, and handlers that are days behind are another matter.
func (*kafkaBroker) Ready(context.Context, []Subscription) error { return nil }

// Close ends all subscribers and the publisher.
func (b *kafkaBroker) Close() error {
	b.mu.Lock()
	b.closed = true
	subscribers := b.subscribers
	b.subscribers = nil
	b.mu.Unlock()
	var errs []error
	for _, s := range subscribers {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, b.Publisher.Close())...)
}
