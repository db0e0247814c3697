package events

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"holdfast/config/setting"
)

// Settings are the bounds of the relay and the handlers.
type Settings struct {
	Broker BrokerSettings `key:",inline"`

	// LowStock is how many of a product are left when its stock counts as low.
	LowStock int64 `key:"lowStock" default:"5" min:"0" max:"1000000"`
	// Poll is how often the relay looks for changes that did not wake it, such as those of other instances.
	Poll time.Duration `key:"poll" default:"500ms" min:"10ms" max:"1m"`
	// Batch is the most changes whose events the relay publishes and then marks together.
	Batch int `key:"batch" default:"256" min:"1" max:"1000"`

	// Lanes is how many messages, each of another key, may be on their way at a time.
	Lanes int `default:"8" min:"1" max:"64"`
	// PublishTimeout bounds the publication of one message; with the broker channel, see publishTimeout.
	PublishTimeout time.Duration `default:"30s" min:"100ms" max:"10m"`
	// MaxBackoff bounds the pause, which begins with Poll and doubles, while the broker is down.
	MaxBackoff time.Duration `default:"10s" min:"100ms" max:"10m"`
	// Retries is how often a handler that fails is tried again before its message goes to the poison topic.
	Retries int `default:"5" min:"0" max:"20"`
	// RetryDelay is the pause before the first retry. It doubles up to a second.
	RetryDelay time.Duration `default:"50ms" min:"1ms" max:"1s"`
	// HandlerTimeout bounds one try.
	HandlerTimeout time.Duration `default:"5s" min:"100ms" max:"10m"`
	// CloseTimeout bounds the wait for handlers at the end.
	CloseTimeout time.Duration `default:"10s" min:"100ms" max:"10m"`
}

// BrokerSettings say which broker, and within which bounds.
type BrokerSettings struct {
	// URL is channel (inside this process), redis (streams of the Redis that is configured already) or
	// kafka://host:port,host:port. The variable BROKER sets it as well.
	URL BrokerURL `key:"url" default:"channel"`
	// Redelivery is how long a message may lie unhandled with a consumer before another one takes it over: the time in which a
	// crash is made good. A Kafka broker refuses what is below its group.min.session.timeout.ms, usually 6s.
	Redelivery time.Duration `key:"redelivery" default:"6s" min:"1s" max:"10m"`
	// MaxLen is how many messages a Redis stream keeps, handled ones included. The relay waits if this program's handlers have
	// not had the oldest of them yet.
	MaxLen int64 `key:"maxLen" default:"100000" min:"1000" max:"100000000"`
	// Partitions is how many partitions a new Kafka topic gets; 0 creates no topics.
	Partitions int32 `key:"partitions" default:"6" min:"0" max:"1000"`
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

// maxBrokers bounds the addresses in a URL.
const maxBrokers = 100

// BrokerURL names a broker: its kind, and the addresses of a Kafka cluster.
type BrokerURL string

// KafkaURL is the URL of a Kafka cluster, of which at least one address is known.
func KafkaURL(addresses ...string) BrokerURL {
	return BrokerURL(string(Kafka) + "://" + strings.Join(addresses, ","))
}

// String shows the URL without passwords.
func (u BrokerURL) String() string { return setting.URL(u).String() }

// MarshalText implements encoding.TextMarshaler, without passwords.
func (u BrokerURL) MarshalText() ([]byte, error) { return setting.URL(u).MarshalText() }

// Kind is the part before "://".
func (u BrokerURL) Kind() BrokerKind {
	kind, _, _ := strings.Cut(string(u), "://")
	return BrokerKind(kind)
}

// Addresses are those after "://", host:port each.
func (u BrokerURL) Addresses() []string {
	_, list, _ := strings.Cut(string(u), "://")
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

// Check returns an error that says what is wanted if the URL names no broker.
func (u BrokerURL) Check() error {
	valid := u == BrokerURL(Channel) || u == BrokerURL(RedisStreams)
	if u.Kind() == Kafka {
		n := len(u.Addresses())
		valid = n >= 1 && n <= maxBrokers
	}
	if valid {
		return nil
	}
	return fmt.Errorf("channel, redis, or kafka://host:port,host:port with 1 to %d addresses", maxBrokers)
}

// publishTimeout bounds the publication of one message by the relay. With the broker channel, Publish waits for the handler: then
// the bound is longer than the handler may take until its message is on the poison topic. If it were shorter, the relay would
// publish an event whose handler hangs again and again, and hold up all others behind it.
func (s Settings) publishTimeout() time.Duration {
	if s.Broker.URL.Kind() != Channel {
		return s.PublishTimeout
	}
	tries := time.Duration(s.Retries+1) * (s.HandlerTimeout + maxRetryDelay)
	return tries + s.HandlerTimeout + s.PublishTimeout // the look at the database, and the poison topic
}

// DefaultSettings need no broker.
func DefaultSettings() Settings { return setting.Default[Settings]() }

// Validate names every setting that is out of bounds.
func (s Settings) Validate() error { return errors.Join(setting.Check(&s), s.Broker.URL.validate()) }

// Validate names every setting that is out of bounds.
func (s BrokerSettings) Validate() error { return errors.Join(setting.Check(&s), s.URL.validate()) }

func (u BrokerURL) validate() error {
	if want := u.Check(); want != nil {
		return fmt.Errorf("url: %q: want %w", u.String(), want)
	}
	return nil
}
