package events

import (
	"context"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"
)

// channelBroker delivers messages within the process. Publish returns when every subscriber has acknowledged, so that a change
// counts as published only when it has been handled. Nothing needs to be stored, and a crash loses nothing.
//
// Watermill's gochannel cannot promise that. Either it delivers each message from a goroutine of its own, in any order and
// without bound. Or it waits for acknowledgements, but then without end, and at Close it reports success for messages that no
// subscriber has handled.
type channelBroker struct {
	mu            sync.Mutex
	closed        bool
	subscriptions map[string][]*channelSubscription // by topic
}

func newChannelBroker() *channelBroker {
	return &channelBroker{subscriptions: map[string][]*channelSubscription{}}
}

// Publish delivers to all subscribers of the topic, of which there may be none.
func (b *channelBroker) Publish(topic string, messages ...*message.Message) error {
	for _, m := range messages {
		if _, err := b.publish(topic, m); err != nil {
			return err
		}
	}
	return nil
}

// publish delivers one message to all subscriptions, and tells how many there are.
func (b *channelBroker) publish(topic string, m *message.Message) (subscribers int, err error) {
	b.mu.Lock()
	closed, subscriptions := b.closed, b.subscriptions[topic]
	b.mu.Unlock()
	if closed {
		return 0, errBrokerClosed
	}
	for _, s := range subscriptions {
		if err := s.deliver(m); err != nil {
			return 0, err
		}
	}
	return len(subscriptions), nil
}

// Ready is always true: Publish waits for the handlers.
func (*channelBroker) Ready(context.Context, []Subscription) error { return nil }

// Subscriber ignores the group: each subscription gets all messages, since there is one process.
func (b *channelBroker) Subscriber(string) (message.Subscriber, error) {
	return channelSubscriber{b}, nil
}

// Close ends all subscriptions. A Publish that is delivering returns an error.
func (b *channelBroker) Close() error {
	b.mu.Lock()
	b.closed = true
	all := b.subscriptions
	b.subscriptions = nil
	b.mu.Unlock()
	for _, subscriptions := range all {
		for _, s := range subscriptions {
			s.end()
		}
	}
	return nil
}

type channelSubscriber struct{ broker *channelBroker }

// Subscribe delivers what is published from now on, until ctx ends.
func (s channelSubscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	subscription := &channelSubscription{
		ctx: ctx, out: make(chan *message.Message), done: make(chan struct{}),
	}
	b := s.broker
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, errBrokerClosed
	}
	// A copy: Publish ranges over the old one.
	b.subscriptions[topic] = append(b.subscriptions[topic][:len(b.subscriptions[topic]):len(b.subscriptions[topic])], subscription)
	context.AfterFunc(ctx, func() {
		b.remove(topic, subscription)
		subscription.end()
	})
	return subscription.out, nil
}

// Close does nothing: subscriptions end with their contexts, or with the broker.
func (channelSubscriber) Close() error { return nil }

func (b *channelBroker) remove(topic string, gone *channelSubscription) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var rest []*channelSubscription
	for _, s := range b.subscriptions[topic] {
		if s != gone {
			rest = append(rest, s)
		}
	}
	if !b.closed {
		b.subscriptions[topic] = rest
	}
}

type channelSubscription struct {
	ctx  context.Context //nolint:containedctx // of the subscription, which is this object's life
	out  chan *message.Message
	done chan struct{}

	mu      sync.Mutex
	ended   bool
	senders sync.WaitGroup
}

// deliver returns when the message has been acknowledged. It is safe for concurrent use: each call waits for its own message.
func (s *channelSubscription) deliver(m *message.Message) error {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return errBrokerClosed
	}
	s.senders.Add(1)
	s.mu.Unlock()
	defer s.senders.Done()
	for {
		ctx, cancel := context.WithCancel(s.ctx)
		delivered, err := s.attempt(ctx, m)
		cancel()
		if delivered || err != nil {
			return err
		}
	}
}

// attempt delivers a copy of the message, and tells whether the copy was acknowledged.
func (s *channelSubscription) attempt(ctx context.Context, m *message.Message) (bool, error) {
	attempt := m.Copy()
	attempt.SetContext(ctx)
	select {
	case s.out <- attempt:
	case <-s.done:
		return false, errBrokerClosed
	case <-m.Context().Done():
		return false, m.Context().Err()
	}
	select {
	case <-attempt.Acked():
		return true, nil
	case <-attempt.Nacked():
		return false, nil
	case <-s.done:
		return false, errBrokerClosed
	case <-m.Context().Done():
		return false, m.Context().Err()
	}
}

// end closes the channel when no Publish sends to it any more.
func (s *channelSubscription) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.ended = true
	close(s.done)
	s.senders.Wait()
	close(s.out)
}
