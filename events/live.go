package events

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"
)

// Live tells the subscribers of every instance which objects have changed, and nothing else. A subscriber then reads the
// object. So it sees what is there now, even if a notification comes late, twice, or out of order.
//
// The relay runs on one instance at a time. It tells the Live of its instance what it has published, and that Live tells the
// other instances over a channel of Redis Pub/Sub. A consumer group for each instance would do the same with two of the
// brokers. But each instance would read every event once more, dead instances would leave groups behind, and the third
// broker, the channel, reaches one process only. Pub/Sub may lose messages: subscribers also look from time to time without
// a notification, see Watch.
//
// Nothing here makes a caller wait: changed objects are collected in sets, and a set that grows too large becomes "all
// objects".
type Live struct {
	redis    redis.UniversalClient
	instance string
	log      *slog.Logger

	mu      sync.Mutex
	watches map[string]map[*Watch]struct{} // by object
	all     map[*Watch]struct{}
	unsent  changedObjects // for the other instances
	wake    chan struct{}  // unsent is not empty
}

const (
	// liveChannel is the Pub/Sub channel between the instances.
	liveChannel = "holdfast:live"
	// maxUnsent bounds the set of objects for the other instances. It is chosen: a message has less than half a megabyte.
	maxUnsent = 10_000
	// livePause is the time between attempts while Redis does not answer; liveTimeout bounds one.
	livePause, liveTimeout = 250 * time.Millisecond, 2 * time.Second
)

// changedObjects is a set of objects.
type changedObjects struct {
	ids map[string]struct{}
	all bool // every object may have changed
}

func (n *changedObjects) add(ids ...string) {
	if n.ids == nil {
		n.ids = map[string]struct{}{}
	}
	for _, id := range ids {
		n.ids[id] = struct{}{}
	}
	if len(n.ids) > maxUnsent {
		n.ids, n.all = nil, true
	}
}

func (n *changedObjects) empty() bool { return len(n.ids) == 0 && !n.all }

// liveMessage is what one instance tells the others.
type liveMessage struct {
	From string   `json:"from"`
	IDs  []string `json:"ids,omitempty"`
	All  bool     `json:"all,omitempty"`
}

// NewLive returns a Live that reaches this process, and, while Run runs, the other instances that use the same Redis.
// A nil Redis reaches nobody else.
func NewLive(client redis.UniversalClient, instance string, log *slog.Logger) *Live {
	return &Live{
		redis: client, instance: instance, log: log, watches: map[string]map[*Watch]struct{}{}, all: map[*Watch]struct{}{},
		wake: make(chan struct{}, 1),
	}
}

// Run exchanges messages with the other instances until ctx ends.
func (l *Live) Run(ctx context.Context) {
	if l.redis == nil {
		<-ctx.Done()
		return
	}
	var listening sync.WaitGroup
	listening.Go(func() { l.listen(ctx) })
	defer listening.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
			l.sendAll(ctx)
		}
	}
}

// sendAll sends what is unsent. While Redis does not answer, the set grows, and sendAll tries again.
func (l *Live) sendAll(ctx context.Context) {
	for ctx.Err() == nil {
		l.mu.Lock()
		unsent := l.unsent
		l.unsent = changedObjects{}
		l.mu.Unlock()
		if unsent.empty() {
			return
		}
		if err := l.send(ctx, unsent); err != nil {
			l.log.WarnContext(ctx, "other instances are not told what has changed", "error", err)
			l.mu.Lock()
			l.unsent.add(slices.Collect(maps.Keys(unsent.ids))...)
			l.unsent.all = l.unsent.all || unsent.all
			l.mu.Unlock()
			rest(ctx, livePause)
		}
	}
}

func (l *Live) send(ctx context.Context, n changedObjects) error {
	text, err := json.Marshal(liveMessage{From: l.instance, IDs: slices.Sorted(maps.Keys(n.ids)), All: n.all})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	return l.redis.Publish(ctx, liveChannel, text).Err()
}

// listen receives the messages of the other instances. go-redis connects and subscribes again by itself. Messages in between
// are lost, so that all objects count as changed after each subscription.
func (l *Live) listen(ctx context.Context) {
	channel := l.redis.Subscribe(ctx, liveChannel)
	defer channel.Close()
	messages := channel.ChannelWithSubscriptions()
	for {
		select {
		case <-ctx.Done():
			return
		case m, open := <-messages:
			if !open {
				return
			}
			switch m := m.(type) {
			case *redis.Subscription:
				l.notify(changedObjects{all: true})
			case *redis.Message:
				var received liveMessage
				if err := json.Unmarshal([]byte(m.Payload), &received); err != nil {
					l.log.WarnContext(ctx, "another instance sent what cannot be read", "error", err)
					continue
				}
				if received.From != l.instance {
					n := changedObjects{all: received.All}
					n.add(received.IDs...)
					l.notify(n)
				}
			}
		}
	}
}

// Changed tells the subscribers of all instances that objects have changed. It never waits.
func (l *Live) Changed(ids ...string) {
	var n changedObjects
	n.add(ids...)
	l.notify(n)
	l.mu.Lock()
	l.unsent.add(ids...)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// notify notifies the watches of this process.
func (l *Live) notify(n changedObjects) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n.all {
		for w := range l.all {
			w.notify(w.ids...)
		}
		return
	}
	for id := range n.ids {
		for w := range l.watches[id] {
			w.notify(id)
		}
	}
}

// Watch returns a watch of objects, which must be closed. All of them count as changed at first.
func (l *Live) Watch(ids ...string) *Watch {
	w := &Watch{live: l, ids: ids, changed: map[string]struct{}{}, signal: make(chan struct{}, 1)}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		if l.watches[id] == nil {
			l.watches[id] = map[*Watch]struct{}{}
		}
		l.watches[id][w] = struct{}{}
	}
	l.all[w] = struct{}{}
	w.notify(ids...)
	return w
}

// Watch notifies a subscriber when some objects change. A notification from another instance may be lost, so that subscribers
// look from time to time without one.
type Watch struct {
	live   *Live
	ids    []string
	signal chan struct{}

	mu      sync.Mutex
	changed map[string]struct{} // since Take; at most the watched ones, however slow the subscriber is
}

func (w *Watch) notify(ids ...string) {
	w.mu.Lock()
	for _, id := range ids {
		w.changed[id] = struct{}{}
	}
	w.mu.Unlock()
	select {
	case w.signal <- struct{}{}:
	default:
	}
}

// Notified receives when there may be something to [Watch.Take].
func (w *Watch) Notified() <-chan struct{} { return w.signal }

// Take returns the objects that have changed since it was called before, in the order in which they are watched.
func (w *Watch) Take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var changed []string
	for _, id := range w.ids {
		if _, ok := w.changed[id]; ok {
			changed = append(changed, id)
		}
	}
	clear(w.changed)
	return changed
}

// Close ends the watch.
func (w *Watch) Close() {
	l := w.live
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.all, w)
	for _, id := range w.ids {
		delete(l.watches[id], w)
		if len(l.watches[id]) == 0 {
			delete(l.watches, id)
		}
	}
}

// livePublisher tells Live what has been published.
type livePublisher struct {
	message.Publisher
	live *Live
}

// Publish publishes, and tells Live which objects the messages are about.
func (p livePublisher) Publish(topic string, messages ...*message.Message) error {
	err := p.Publisher.Publish(topic, messages...)
	for _, m := range messages { // after a failure too: some may have been published, and looking once more is harmless
		switch topic {
		case TopicOrders, TopicCoupons: // a coupon that is spent on an order correlates with it
			p.live.Changed(m.Metadata.Get(MetaCorrelation))
		case TopicStock:
			p.live.Changed(m.Metadata.Get(MetaKey))
		}
	}
	return err
}
