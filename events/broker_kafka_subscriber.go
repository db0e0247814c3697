package events

import (
	"context"
	"sync"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kgo"
)

// kafkaSubscriber is a member of a consumer group. Each of its subscriptions has a client of its own.
type kafkaSubscriber struct {
	settings BrokerSettings
	deps     BrokerDeps
	group    string

	mu      sync.Mutex
	closed  bool
	cancel  []context.CancelFunc // ends the subscriptions
	running sync.WaitGroup
}

// Subscribe delivers the messages of a topic until ctx ends or the subscriber is closed: those of one partition one by one,
// those of several partitions at the same time. The messages in hand when it ends are delivered again, to whichever
// consumer takes over the partition.
func (s *kafkaSubscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errBrokerClosed
	}
	ctx, cancel := context.WithCancel(ctx)
	subscription := &kafkaSubscription{
		ctx: ctx, topic: topic, out: make(chan *message.Message), delivering: map[int32]*kafkaBatch{},
		log: s.deps.Log.With(watermill.LogFields{"topic": topic, "consumer_group": s.group}),
	}
	client, err := kgo.NewClient(append(kafkaOptions(s.settings, BrokerDeps{Log: subscription.log}),
		kgo.ConsumerGroup(s.group), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxWait(kafkaPause),
		kgo.AutoCommitMarks(), kgo.AutoCommitInterval(kafkaCommit),
		// A dead consumer's partitions go to others after the session timeout; a slow handler is not dead.
		kgo.SessionTimeout(s.settings.Redelivery), kgo.HeartbeatInterval(s.settings.Redelivery/3),
		kgo.RebalanceTimeout(kafkaRebalance), kgo.Balancers(kgo.RangeBalancer()),
		// What a poll has returned is started before its partition can be taken away.
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsRevoked(subscription.revoked), kgo.OnPartitionsLost(subscription.lost),
	)...)
	if err != nil {
		cancel()
		return nil, err
	}
	subscription.client = client
	s.cancel = append(s.cancel, cancel)
	s.running.Go(func() {
		defer cancel()
		subscription.run()
	})
	return subscription.out, nil
}

// Close ends all subscriptions and waits for that.
func (s *kafkaSubscriber) Close() error {
	s.mu.Lock()
	s.closed = true
	for _, cancel := range s.cancel {
		cancel()
	}
	s.mu.Unlock()
	s.running.Wait()
	return nil
}

// kafkaSubscription is the consumption of one topic.
type kafkaSubscription struct {
	ctx    context.Context //nolint:containedctx // of the subscription, which is this object's life
	client *kgo.Client
	topic  string
	out    chan *message.Message
	log    watermill.LoggerAdapter

	running    sync.WaitGroup // the batches
	mu         sync.Mutex
	delivering map[int32]*kafkaBatch // by partition
}

// kafkaBatch is what one poll has returned of one partition.
type kafkaBatch struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// run polls until the subscription ends, and then leaves the group.
func (s *kafkaSubscription) run() {
	for s.ctx.Err() == nil {
		fetches := s.client.PollFetches(s.ctx)
		failed := false
		if s.ctx.Err() == nil {
			fetches.EachError(func(_ string, partition int32, err error) {
				failed = true
				s.log.Error("cannot read from kafka", err, watermill.LogFields{"partition": partition})
			})
			fetches.EachPartition(s.start)
		}
		s.client.AllowRebalance()
		if failed {
			rest(s.ctx, kafkaPause)
		}
	}
	s.leave()
	s.running.Wait()
	close(s.out)
}

// leave tells Kafka what has been handled and that this consumer goes. If Kafka does not answer in time, the session ends by
// itself, and some messages are delivered again.
func (s *kafkaSubscription) leave() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), kafkaTimeout)
	defer cancel()
	if err := s.client.LeaveGroupContext(ctx); err != nil {
		s.log.Info("left the group without a word", watermill.LogFields{"reason": err.Error()})
	}
	s.client.Close()
}

// start delivers a batch in a goroutine. The partition is not fetched meanwhile, so that there is one batch a partition.
func (s *kafkaSubscription) start(p kgo.FetchTopicPartition) {
	if len(p.Records) == 0 {
		return
	}
	partition := map[string][]int32{p.Topic: {p.Partition}}
	s.client.PauseFetchPartitions(partition)
	ctx, cancel := context.WithCancel(s.ctx)
	batch := &kafkaBatch{cancel: cancel, done: make(chan struct{})}
	s.mu.Lock()
	s.delivering[p.Partition] = batch
	s.mu.Unlock()
	s.running.Go(func() {
		defer close(batch.done)
		defer cancel()
		for _, record := range p.Records {
			if !s.deliver(ctx, record) {
				return
			}
			s.client.MarkCommitRecords(record)
		}
		s.client.ResumeFetchPartitions(partition)
	})
}

// deliver returns whether the message was acknowledged before ctx ended.
func (s *kafkaSubscription) deliver(ctx context.Context, record *kgo.Record) bool {
	for ctx.Err() == nil {
		attempt, cancel := context.WithCancel(ctx)
		m := messageOf(record)
		m.SetContext(attempt)
		acked := s.attempt(ctx, m)
		cancel()
		if acked {
			return true
		}
		rest(ctx, nackPause)
	}
	return false
}

func (s *kafkaSubscription) attempt(ctx context.Context, m *message.Message) (acked bool) {
	select {
	case s.out <- m:
	case <-ctx.Done():
		return false
	}
	select {
	case <-m.Acked():
		return true
	case <-m.Nacked():
	case <-ctx.Done():
	}
	return false
}

// revoked gives partitions away: what was being delivered is given up, and what was acknowledged is committed.
func (s *kafkaSubscription) revoked(ctx context.Context, client *kgo.Client, partitions map[string][]int32) {
	s.lost(ctx, client, partitions)
	ctx, cancel := context.WithTimeout(ctx, kafkaTimeout)
	defer cancel()
	if err := client.CommitMarkedOffsets(ctx); err != nil {
		s.log.Error("cannot commit to kafka, messages will be delivered again", err, nil)
	}
}

// lost gives up what was being delivered of partitions that others have by now.
func (s *kafkaSubscription) lost(_ context.Context, client *kgo.Client, partitions map[string][]int32) {
	for _, partition := range partitions[s.topic] {
		s.mu.Lock()
		batch := s.delivering[partition]
		delete(s.delivering, partition)
		s.mu.Unlock()
		if batch != nil {
			batch.cancel()
			<-batch.done
		}
	}
	client.ResumeFetchPartitions(partitions) // for when they come back
}
