package events

import (
	"context"
	"errors"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"holdfast/lockprovider/ledger"
	"holdfast/lockprovider/redisfirst"
)

// streamSubscriber hands out the stream of admitted changes of a family, batch by batch. The subscribers of brokers wait for
// the acknowledgement of one message before they hand out the next. This one hands out a whole batch, so that one
// transaction can take it, and the next batch as soon as the group of the one before is settled.
//
// What the group leaves unfinished stays pending in the stream under the name of the consumer. It is handed out again from
// there, and not from memory: another instance may have taken it over meanwhile and told its result.
type streamSubscriber struct {
	*Persister

	loop     func(ctx context.Context) error
	end      context.CancelFunc // of the router
	messages chan *message.Message
	err      error // of the loop, once messages is closed
}

func (p *Persister) newSubscriber() *streamSubscriber {
	return &streamSubscriber{Persister: p, messages: make(chan *message.Message, p.d.Settings.Batch)}
}

// Subscribe implements [message.Subscriber]. The subscription ends when the loop returns.
func (s *streamSubscriber) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	go func() {
		defer close(s.messages)
		defer s.end() // before the subscription ends, or the router would warn of that
		s.err = s.loop(ctx)
	}()
	return s.messages, nil
}

// Close implements [message.Subscriber]. The router calls it when the subscription has ended.
func (s *streamSubscriber) Close() error { return nil }

// delivery is the place of a message in its batch; the context of the message has it.
type delivery struct {
	group    *collector
	position int
}

type deliveryKey struct{}

// deliveryOf returns the delivery of a message that a streamSubscriber has handed out.
func deliveryOf(m *message.Message) *delivery {
	d, _ := m.Context().Value(deliveryKey{}).(*delivery)
	return d
}

func (d *delivery) change() ledger.Admitted { return d.group.batch[d.position] }
func (d *delivery) commit() error           { return d.group.commit(d.position) }
func (d *delivery) leave()                  { d.group.leave(d.position) }

// follow hands out what comes until ctx ends; the batch in hand is finished then.
//
// What a batch leaves unfinished, because the database did not answer or because changes wait for earlier ones that another
// instance has read, is still pending under this consumer's name, and is read again before anything new.
//
// No single entry holds up the others. One that the database refuses gets its result, whatever the reason: Ledger.Persist
// splits the batch around it. One that cannot be read is discarded once it is on the poison topic. While that topic takes nothing,
// such entries stay pending, and new changes are read past them; a drain waits for the topic.
func (s *streamSubscriber) follow(ctx context.Context) error {
	settings := s.d.Settings
	retry := settings.Retry
	claimed := time.Time{} // at the start: what an earlier life of this instance left behind
	unfinished := false
	for ctx.Err() == nil {
		var left bool
		var err error
		if unfinished {
			left, err = s.once(ctx, s.again)
		}
		if err == nil && time.Since(claimed) >= settings.ClaimIdle/2 {
			claimed = time.Now()
			var more bool
			more, err = s.once(ctx, func() ([]ledger.Admitted, error) {
				return s.store.Claim(ctx, s.d.Instance, settings.Batch, settings.ClaimIdle)
			})
			left = left || more
		}
		if err == nil {
			block := settings.Block
			if left {
				block = settings.Retry // what waits for other instances is looked at again soon
			}
			var more bool
			more, err = s.once(ctx, func() ([]ledger.Admitted, error) {
				return s.store.Read(ctx, s.d.Instance, settings.Batch, block)
			})
			left = left || more
		}
		unfinished = left || err != nil
		switch {
		case err == nil:
			retry = settings.Retry
		case ctx.Err() != nil:
		case errors.Is(err, redisfirst.ErrNoGroup) && s.store.OpenGroup(ctx) == nil:
			s.log.InfoContext(ctx, "consumer group created")
		default:
			s.log.WarnContext(ctx, "changes wait to be persisted", "error", err, "retry", retry)
			rest(ctx, retry)
			retry = min(2*retry, settings.MaxRetry)
		}
	}
	return nil
}

// again reads what this instance has read before and not finished.
func (s *streamSubscriber) again() ([]ledger.Admitted, error) {
	return s.store.ReadAgain(context.Background(), s.d.Instance, s.d.Settings.Batch)
}

// drain hands out what is in the stream until it is empty.
func (s *streamSubscriber) drain(ctx context.Context) error {
	batch, before := s.d.Settings.Batch, int64(0)
	for {
		for _, read := range []func() ([]ledger.Admitted, error){
			func() ([]ledger.Admitted, error) { return s.store.Claim(ctx, s.d.Instance, batch, 0) },
			func() ([]ledger.Admitted, error) { return s.store.Read(ctx, s.d.Instance, batch, -1) },
		} {
			if _, err := s.once(ctx, read); err != nil {
				return err
			}
		}
		left, err := s.store.Backlog(ctx)
		if err != nil || left == 0 {
			return err
		}
		if left >= before { // such as an entry that the poison topic does not take
			rest(ctx, s.d.Settings.Retry)
		}
		before = left
	}
}

// once hands out one batch and waits for it. It tells whether some of the batch has to be handed out again. A batch that was
// read is finished, within its bound, even when ctx ends.
func (s *streamSubscriber) once(
	ctx context.Context, read func() ([]ledger.Admitted, error),
) (unfinished bool, err error) {
	batch, err := read()
	if err != nil || len(batch) == 0 {
		return false, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.d.Settings.Finish)
	defer cancel()
	group := newCollector(batch, func(changes []ledger.Admitted) (map[string]bool, error) {
		return s.settle(ctx, changes)
	})
	messages := make([]*message.Message, len(batch))
	deliveries := make([]delivery, len(batch))
	for i, pending := range batch {
		deliveries[i] = delivery{group, i}
		ctx := context.WithValue(ctx, deliveryKey{}, &deliveries[i])
		messages[i] = message.NewMessageWithContext(ctx, pending.StreamID, pending.Raw)
		s.messages <- messages[i]
	}
	<-group.settled
	for i, m := range messages {
		if batch[i].Malformed != nil {
			s.discard(ctx, m, batch[i])
		}
	}
	return group.err != nil || len(group.waiting) > 0, group.err
}

// discard removes an entry that cannot be read from the stream when it is on the poison topic. If it does not get there, it
// stays pending and is claimed again.
func (s *streamSubscriber) discard(ctx context.Context, m *message.Message, pending ledger.Admitted) {
	err := errPoisonTopic
	select {
	case <-m.Acked():
		err = s.store.Discard(ctx, pending)
	case <-m.Nacked():
	}
	if err != nil {
		s.log.WarnContext(ctx, "entry not put away", "error", err)
	}
}

// errPoisonTopic is why an entry stays in the stream; the router has logged the cause.
var errPoisonTopic = errors.New("the poison topic did not take it")
