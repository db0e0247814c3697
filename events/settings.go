package events

import (
	"errors"
	"fmt"
	"time"
)

// Settings are the bounds of the relay and the handlers.
type Settings struct {
	Broker BrokerSettings
	// Poll is how often the relay looks for changes that nobody woke it for, such as those of other instances: 10ms to 1m.
	Poll time.Duration
	// Batch is the most changes that the relay holds in memory and marks at once: 1 to 1000.
	Batch int
	// Lanes is how many messages, each of another key, may be on their way at a time: 1 to 64.
	Lanes int
	// PublishTimeout bounds the publication of one message; with the kind channel that includes handling it: 100ms to 10m.
	PublishTimeout time.Duration
	// MaxBackoff bounds the pause, which begins with Poll and doubles, while the broker is down: 100ms to 10m.
	MaxBackoff time.Duration
	// Retries is how often a handler that fails is tried again before its message goes to the poison topic: 0 to 20.
	Retries int
	// RetryDelay is the pause before the first of them, which doubles up to a second: 1ms to 1s.
	RetryDelay time.Duration
	// HandlerTimeout bounds one try: 100ms to 10m.
	HandlerTimeout time.Duration
	// CloseTimeout bounds the wait for handlers at the end: 100ms to 10m.
	CloseTimeout time.Duration
	// LowStock is how many of a product are left when its stock counts as low: 0 to 1000000.
	LowStock int64
}

// BrokerKind names a kind of broker.
type BrokerKind string

// The kinds of brokers.
const (
	// Channel hands messages to the handlers of the same process.
	Channel BrokerKind = "channel"
	// RedisStreams uses the Redis that is configured already, embedded or real.
	RedisStreams BrokerKind = "redis"
	// Kafka is Apache Kafka 2.4 or later, or what speaks its protocol.
	Kafka BrokerKind = "kafka"
)

// BrokerSettings say which broker, and within which bounds.
type BrokerSettings struct {
	// Kind is channel, redis or kafka.
	Kind BrokerKind
	// Redelivery is how long a message may lie unhandled with a consumer before another one takes it over, so the time in
	// which a crash is made good: 1s to 10m. A Kafka broker refuses what is below its group.min.session.timeout.ms,
	// usually 6s.
	Redelivery time.Duration
	// MaxLen is the number of messages that a Redis stream keeps, handled ones included: 1000 to 100000000. The relay
	// waits rather than have messages dropped that this program's handlers have not had yet.
	MaxLen int64
	// Brokers are the addresses of Kafka, host:port: 1 to 100 of them.
	Brokers []string
	// Partitions is how many partitions a topic gets in Kafka that does not exist yet: 1 to 1000, or 0 to create none.
	Partitions int32
}

// DefaultSettings need no broker.
func DefaultSettings() Settings {
	return Settings{
		Broker: BrokerSettings{Kind: Channel, Redelivery: 6 * time.Second, MaxLen: 100_000, Partitions: 6},
		Poll:   500 * time.Millisecond, Batch: 256, Lanes: 8, PublishTimeout: 30 * time.Second, MaxBackoff: 10 * time.Second,
		Retries: 5, RetryDelay: 50 * time.Millisecond, HandlerTimeout: 5 * time.Second, CloseTimeout: 10 * time.Second,
		LowStock: 5,
	}
}

// Validate names every setting that is out of bounds.
func (s Settings) Validate() error {
	const long = 10 * time.Minute
	return errors.Join(
		s.Broker.validate(),
		within("poll", s.Poll, 10*time.Millisecond, time.Minute),
		within("batch", s.Batch, 1, 1000),
		within("lanes", s.Lanes, 1, 64),
		within("publishTimeout", s.PublishTimeout, 100*time.Millisecond, long),
		within("maxBackoff", s.MaxBackoff, 100*time.Millisecond, long),
		within("retries", s.Retries, 0, 20),
		within("retryDelay", s.RetryDelay, time.Millisecond, maxRetryDelay),
		within("handlerTimeout", s.HandlerTimeout, 100*time.Millisecond, long),
		within("closeTimeout", s.CloseTimeout, 100*time.Millisecond, long),
		within("lowStock", s.LowStock, 0, 1_000_000),
	)
}

func (b BrokerSettings) validate() error {
	switch b.Kind {
	case Channel:
		return nil
	case RedisStreams:
		return errors.Join(
			within("broker.redelivery", b.Redelivery, time.Second, 10*time.Minute),
			within("broker.maxLen", b.MaxLen, 1000, 100_000_000))
	case Kafka:
		return errors.Join(
			within("broker.redelivery", b.Redelivery, time.Second, 10*time.Minute),
			within("number of broker.brokers", len(b.Brokers), 1, 100),
			within("broker.partitions", b.Partitions, 0, 1000))
	}
	return fmt.Errorf("broker.kind %q: want %s, %s or %s", b.Kind, Channel, RedisStreams, Kafka)
}

func within[T time.Duration | int | int32 | int64](name string, value, least, most T) error {
	if value < least || value > most {
		return fmt.Errorf("%s: %v, want %v to %v", name, value, least, most)
	}
	return nil
}
