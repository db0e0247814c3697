package events

import (
	"context"
	"errors"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"
)

// Broker carries messages from the relay to the handlers, of this program and of others.
//
// Publish returns nil only when a crash of this process cannot lose the messages any more. The broker has them then, or, if
// the broker is this process, they have been handled. Publish keeps the order of its arguments. The context of each message
// bounds it, or a timeout of its own.
//
// A subscriber's Subscribe delivers each message of a topic to one consumer of its group, at least once. It delivers a message
// that is not acknowledged again. It also delivers a message that cannot be decoded, with [MetaMalformed]. A new group begins
// with the oldest message there is.
//
// Brokers are safe for concurrent use.
type Broker interface {
	message.Publisher
	// Subscriber returns a consumer of a group. It ends with the broker.
	Subscriber(group string) (message.Subscriber, error)
	// Ready returns an error if publishing more would push out messages that the groups have not handled yet.
	Ready(ctx context.Context, groups []Subscription) error
}

// Subscription is a group and the topic that it consumes.
type Subscription struct{ Group, Topic string }

// errBacklog means that handlers are so far behind that the relay waits for them.
var errBacklog = errors.New("handlers are behind")

var errBrokerClosed = errors.New("broker closed")

// BrokerDeps are what brokers work with.
type BrokerDeps struct {
	// Redis is the client for the kind redis. It stays open when the broker is closed.
	Redis redis.UniversalClient
	// Instance names this process among the consumers of a group; it is unique.
	Instance string
	Log      watermill.LoggerAdapter
}

// OpenBroker connects to the broker that the settings name.
func OpenBroker(s BrokerSettings, d BrokerDeps) (Broker, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	if d.Log == nil {
		d.Log = watermill.NopLogger{}
	}
	switch s.URL.Kind() {
	case RedisStreams:
		return newRedisBroker(s, d)
	case Kafka:
		return newKafkaBroker(s, d)
	default:
		return newChannelBroker(), nil
	}
}
