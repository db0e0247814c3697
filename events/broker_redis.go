package events

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"
)

// redisBroker keeps messages in Redis Streams, one a topic, trimmed to a length.
type redisBroker struct {
	*redisstream.Publisher
	settings BrokerSettings
	deps     BrokerDeps

	mu          sync.Mutex
	closed      bool
	subscribers []*redisstream.Subscriber
}

const (
	// redisBlock is how long one read waits for messages, and so how long a stop may take.
	redisBlock = 250 * time.Millisecond
	// nackPause is the time between two deliveries of a message that could be neither handled nor put away as poison.
	nackPause = 250 * time.Millisecond
	// redisPause is the time between two reads while Redis does not answer.
	redisPause = 250 * time.Millisecond
)

func newRedisBroker(s BrokerSettings, d BrokerDeps) (*redisBroker, error) {
	if d.Redis == nil {
		return nil, errors.New("broker redis: no Redis")
	}
	publisher, err := redisstream.NewPublisher(redisstream.PublisherConfig{
		Client: &streamClient{UniversalClient: d.Redis, log: d.Log}, DefaultMaxlen: s.MaxLen,
	}, d.Log)
	if err != nil {
		return nil, fmt.Errorf("broker redis: %w", err)
	}
	return &redisBroker{Publisher: publisher, settings: s, deps: d}, nil
}

// Subscriber returns a consumer named after the instance.
func (b *redisBroker) Subscriber(group string) (message.Subscriber, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, errBrokerClosed
	}
	subscriber, err := redisstream.NewSubscriber(redisstream.SubscriberConfig{
		Client:        &streamClient{UniversalClient: b.deps.Redis, log: b.deps.Log},
		Unmarshaller:  tolerant{},
		ConsumerGroup: group,
		Consumer:      b.deps.Instance,
		BlockTime:     redisBlock,
		// Without it, the first read blocks in the server, and so does Close, until a first message comes.
		DisableIndefiniteInitialBlock: true,
		NackResendSleep:               nackPause,
		MaxIdleTime:                   b.settings.Redelivery,
		ClaimInterval:                 b.settings.Redelivery / 2,
	}, b.deps.Log)
	if err != nil {
		return nil, fmt.Errorf("broker redis: %w", err)
	}
	b.subscribers = append(b.subscribers, subscriber)
	return subscriber, nil
}

// Ready compares what each group has still to handle with what its stream keeps. Half of it is left as a margin: many
// messages may be published between two calls.
func (b *redisBroker) Ready(ctx context.Context, groups []Subscription) error {
	for _, s := range groups {
		infos, err := b.deps.Redis.XInfoGroups(ctx, s.Topic).Result()
		switch {
		case err != nil && strings.Contains(err.Error(), "no such key"):
			continue
		case err != nil:
			return fmt.Errorf("groups of %s: %w", s.Topic, err)
		}
		for _, info := range infos {
			if info.Name != s.Group || info.EntriesRead == 0 && info.LastDeliveredID != "0-0" {
				continue // not ours, or a Redis that does not count, such as the embedded one
			}
			if waiting := info.Lag + info.Pending; waiting > b.settings.MaxLen/2 {
				return fmt.Errorf("%w: %d messages wait for %s, of %d that %s keeps",
					errBacklog, waiting, s.Group, b.settings.MaxLen, s.Topic)
			}
		}
	}
	return nil
}

// Close ends all subscribers.
func (b *redisBroker) Close() error {
	b.mu.Lock()
	b.closed = true
	subscribers := b.subscribers
	b.subscribers = nil
	b.mu.Unlock()
	errs := []error{b.Publisher.Close()}
	for _, s := range subscribers {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// streamClient is a Redis client as redisstream needs it.
type streamClient struct {
	redis.UniversalClient
	log watermill.LoggerAdapter

	mu     sync.Mutex
	closed bool
	missed map[string]string // by stream, the last of the messages that were handed out again
	reads  sync.WaitGroup
}

// XReadGroup creates a group that is gone: Redis was emptied, or restarted without its data. The library would report
// that, and nothing else, for ever. After other errors it pauses for as long as ctx lasts, whereas the library would sleep. Then it
// hands out again what this consumer has not acknowledged, before anything new: Redis may have handed out a message to a connection
// that broke. The library would claim it after those that follow it.
func (c *streamClient) XReadGroup(ctx context.Context, a *redis.XReadGroupArgs) *redis.XStreamSliceCmd {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nothingRead(ctx)
	}
	c.reads.Add(1)
	c.mu.Unlock()
	defer c.reads.Done()
	stream := a.Streams[0]
	cmd := c.readMissed(ctx, a)
	if err := cmd.Err(); err == nil && len(cmd.Val()) == 0 {
		cmd = c.UniversalClient.XReadGroup(ctx, a)
	}
	err := cmd.Err()
	switch {
	case err == nil, errors.Is(err, redis.Nil):
		return cmd
	case ctx.Err() != nil:
		return nothingRead(ctx)
	case groupGone(err):
		c.setMissed(stream, "")
		err = c.XGroupCreateMkStream(ctx, stream, a.Group, "0").Err()
	}
	if err != nil && !strings.HasPrefix(err.Error(), "BUSYGROUP") {
		c.log.Error("cannot read from redis", err, watermill.LogFields{"topic": stream, "consumer_group": a.Group})
		c.setMissed(stream, "0")
		rest(ctx, redisPause)
	}
	return nothingRead(ctx)
}

// readMissed reads the next of the messages that were handed out before a read failed. It returns none if there are none. A message
// that has left the stream since is acknowledged, as the library does.
func (c *streamClient) readMissed(ctx context.Context, a *redis.XReadGroupArgs) *redis.XStreamSliceCmd {
	stream := a.Streams[0]
	for {
		c.mu.Lock()
		last, missed := c.missed[stream]
		c.mu.Unlock()
		if !missed {
			return redis.NewXStreamSliceCmd(ctx)
		}
		cmd := c.UniversalClient.XReadGroup(ctx, &redis.XReadGroupArgs{
			Group: a.Group, Consumer: a.Consumer, Streams: []string{stream, last}, Count: 1, Block: -1,
		})
		streams, err := cmd.Result()
		switch {
		case errors.Is(err, redis.Nil) || err == nil && (len(streams) == 0 || len(streams[0].Messages) == 0):
			c.setMissed(stream, "")
			return redis.NewXStreamSliceCmd(ctx)
		case err != nil:
			return cmd
		}
		message := streams[0].Messages[0]
		c.setMissed(stream, message.ID)
		if message.Values != nil {
			return cmd
		}
		c.XAck(ctx, stream, a.Group, message.ID)
	}
}

// setMissed notes from which message on those of a stream are to be handed out again; "" if none are.
func (c *streamClient) setMissed(stream, after string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if after == "" {
		delete(c.missed, stream)
		return
	}
	if c.missed == nil {
		c.missed = map[string]string{}
	}
	c.missed[stream] = after
}

// groupGone tells the errors of a read whose stream is gone: before it, and while it waited.
func groupGone(err error) bool {
	return strings.HasPrefix(err.Error(), "NOGROUP") || strings.HasPrefix(err.Error(), "UNBLOCKED")
}

func nothingRead(ctx context.Context) *redis.XStreamSliceCmd {
	cmd := redis.NewXStreamSliceCmd(ctx)
	cmd.SetErr(redis.Nil)
	return cmd
}

// Close leaves the client open, which is not the library's to close, and waits for the read in hand, for which the library
// does not wait.
func (c *streamClient) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.reads.Wait()
	return nil
}

// tolerant decodes what it can. An error, or a panic, of an unmarshaller would end the subscription: one message that a
// stranger wrote would stop all.
type tolerant struct {
	redisstream.DefaultMarshallerUnmarshaller
}

// Unmarshal never fails.
func (t tolerant) Unmarshal(values map[string]any) (m *message.Message, _ error) {
	defer func() {
		if reason := recover(); reason != nil {
			m = malformed(values, fmt.Sprint(reason))
		}
	}()
	m, err := t.DefaultMarshallerUnmarshaller.Unmarshal(values)
	if err != nil {
		m = malformed(values, err.Error())
	}
	return m, nil
}

func malformed(values map[string]any, reason string) *message.Message {
	payload, _ := values["payload"].(string)
	id, _ := values[redisstream.UUIDHeaderKey].(string)
	m := message.NewMessage(id, []byte(payload))
	m.Metadata.Set(MetaMalformed, reason)
	return m
}
