package events

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// kafkaBroker keeps messages in Kafka, where the partition key keeps those of one product or user in order. It writes them
// as Watermill's own publisher for Kafka does, so that programs which use that can read them.
type kafkaBroker struct {
	client   *kgo.Client // publishes
	settings BrokerSettings
	deps     BrokerDeps

	mu          sync.Mutex
	closed      bool
	subscribers []*kafkaSubscriber
}

const (
	// kafkaTimeout bounds one request and one attempt to connect. The library's 10 s and more would let a broker that drops
	// packets hold up the relay for minutes.
	kafkaTimeout = 5 * time.Second
	// kafkaDelivery bounds the publication of one message, with all attempts.
	kafkaDelivery = 2 * kafkaTimeout
	// kafkaPause is the time between attempts, of whatever kind.
	kafkaPause = 250 * time.Millisecond
	// kafkaRebalance is how long the members of a group may take to join it anew.
	kafkaRebalance = 10 * time.Second
	// kafkaCommit is how often it is written to Kafka what has been handled, and so how much is delivered again after a crash.
	kafkaCommit = time.Second
	// kafkaUUID is the header that holds a message's ID.
	kafkaUUID = "_watermill_message_uuid"
)

func newKafkaBroker(s BrokerSettings, d BrokerDeps) (*kafkaBroker, error) {
	client, err := kgo.NewClient(append(kafkaOptions(s, d),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		// Without idempotence, so that a message whose time is over is given up at once, and the relay tries it again. Events may
		// be repeated anyway. With more than one request on its way, one that is retried would be overtaken by the next.
		kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(1),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(kgo.SaramaCompatHasher(fnv32a))),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerLinger(0), kgo.ProduceRequestTimeout(kafkaTimeout), kgo.RecordDeliveryTimeout(kafkaDelivery),
	)...)
	if err != nil {
		return nil, fmt.Errorf("broker kafka: %w", err)
	}
	if err := createTopics(client, s); err != nil {
		client.Close()
		return nil, fmt.Errorf("broker kafka: %w", err)
	}
	return &kafkaBroker{client: client, settings: s, deps: d}, nil
}

func kafkaOptions(s BrokerSettings, d BrokerDeps) []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(s.URL.Addresses()...), kgo.ClientID("holdfast"), kgo.WithLogger(kafkaLog{d.Log}), kgo.AllowAutoTopicCreation(),
		kgo.DialTimeout(kafkaTimeout), kgo.RequestTimeoutOverhead(kafkaTimeout), kgo.RetryTimeout(kafkaDelivery),
		kgo.RetryBackoffFn(func(int) time.Duration { return kafkaPause }), kgo.MetadataMinAge(kafkaPause),
	}
}

// fnv32a is the hash that decides on the partition of a key. Another one would send a product's next events to another
// partition than those before, and programs that use Watermill's publisher agree with this one.
func fnv32a(key []byte) uint32 {
	h := fnv.New32a()
	h.Write(key)
	return h.Sum32()
}

// createTopics creates the topics that do not exist, and fails if no broker answers. Brokers that create topics on first use
// give them one partition.
func createTopics(client *kgo.Client, s BrokerSettings) error {
	ctx, cancel := context.WithTimeout(context.Background(), kafkaDelivery)
	defer cancel()
	if err := client.Ping(ctx); err != nil {
		return err
	}
	if s.Partitions == 0 {
		return nil
	}
	request := kmsg.NewPtrCreateTopicsRequest()
	request.TimeoutMillis = int32(kafkaTimeout.Milliseconds())
	for _, name := range Topics {
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions = name, s.Partitions
		topic.ReplicationFactor = -1 // the broker's own default, since Kafka 2.4
		request.Topics = append(request.Topics, topic)
	}
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return fmt.Errorf("create topics: %w", err)
	}
	for _, topic := range response.Topics {
		err := kerr.ErrorForCode(topic.ErrorCode)
		if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return fmt.Errorf("create topic %s: %w", topic.Topic, err)
		}
	}
	return nil
}

// Publish sends one message after the other.
func (b *kafkaBroker) Publish(topic string, messages ...*message.Message) error {
	b.mu.Lock()
	closed := b.closed
	b.mu.Unlock()
	if closed {
		return errBrokerClosed
	}
	for _, m := range messages {
		record, err := recordOf(topic, m)
		if err != nil {
			return err
		}
		if err := b.client.ProduceSync(m.Context(), record).FirstErr(); err != nil {
			return fmt.Errorf("publish message %s to %s: %w", m.UUID, topic, err)
		}
	}
	return nil
}

func recordOf(topic string, m *message.Message) (*kgo.Record, error) {
	if m.Metadata.Get(kafkaUUID) != "" {
		return nil, fmt.Errorf("publish message %s to %s: the metadata %s is reserved for the ID", m.UUID, topic, kafkaUUID)
	}
	headers := []kgo.RecordHeader{{Key: kafkaUUID, Value: []byte(m.UUID)}}
	for name, value := range m.Metadata {
		headers = append(headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	return &kgo.Record{Topic: topic, Key: []byte(m.Metadata.Get(MetaKey)), Value: m.Payload, Headers: headers}, nil
}

func messageOf(record *kgo.Record) *message.Message {
	m := message.NewMessage("", record.Value)
	for _, h := range record.Headers {
		if h.Key == kafkaUUID {
			m.UUID = string(h.Value)
		} else {
			m.Metadata.Set(h.Key, string(h.Value))
		}
	}
	return m
}

// Subscriber returns a member of a group.
func (b *kafkaBroker) Subscriber(group string) (message.Subscriber, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, errBrokerClosed
	}
	subscriber := &kafkaSubscriber{settings: b.settings, deps: b.deps, group: group}
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
	var closing sync.WaitGroup
	for _, s := range subscribers {
		closing.Go(func() { _ = s.Close() }) // which has no errors; each may wait for Kafka
	}
	closing.Wait()
	b.client.Close()
	return nil
}

// kafkaLog is a Watermill logger for the library.
type kafkaLog struct{ watermill.LoggerAdapter }

// Level implements kgo.Logger.
func (kafkaLog) Level() kgo.LogLevel { return kgo.LogLevelInfo }

// Log implements kgo.Logger. The library retries what it warns of.
func (l kafkaLog) Log(level kgo.LogLevel, text string, pairs ...any) {
	fields := watermill.LogFields{}
	for i := 0; i+1 < len(pairs); i += 2 {
		fields[fmt.Sprint(pairs[i])] = pairs[i+1]
	}
	switch level {
	case kgo.LogLevelError:
		l.Error("kafka: "+text, nil, fields)
	case kgo.LogLevelWarn:
		l.Info("kafka: "+text, fields)
	default:
		l.Debug("kafka: "+text, fields)
	}
}
