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

// Live tells the subscribers of every instance which objects have changed. It says no more than that: who hears of a change
// reads the object, and so sees what is there now, however late, doubled or out of order the news came.
//
// The relay, of which one instance at a time has the work, tells its own Live what it has published, and that one tells all
// others over a channel of Redis Pub/Sub. A consumer group for each instance would do the same with two of the brokers, at
// the price of reading every event once more on each of them, and of groups that dead instances leave behind; the broker
// channel reaches one process only. What Pub/Sub loses, since it promises nothing, subscribers find when they look on their
// own account, see Watch.
//
// Nothing here makes anybody wait: news is collected in sets, and a set that grows too large becomes "look at everything".
type Live struct {
	redis    redis.UniversalClient
	instance string
	log      *slog.Logger

	mu      sync.Mutex
	watches map[string]map[*Watch]struct{} // by the object
	all     map[*Watch]struct{}
	unsent  news          // for the other instances
	wake    chan struct{} // there is something unsent
}

const (
	// liveChannel carries news between instances.
	liveChannel = "holdfast:live"
	// maxUnsent bounds the objects whose news waits to be sent.
	maxUnsent = 10_000
	// livePause is the time between attempts while Redis does not answer; liveTimeout bounds one.
	livePause, liveTimeout = 250 * time.Millisecond, 2 * time.Second
)

// news is a set of changed objects.
type news struct {
	ids map[string]struct{}
	all bool // some are unknown
}

func (n *news) add(ids ...string) {
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

func (n *news) empty() bool { return len(n.ids) == 0 && !n.all }

// bulletin is what one instance tells the others.
type bulletin struct {
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

// Run exchanges news with the other instances until ctx ends.
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

// sendAll sends what is unsent; where Redis does not answer it goes on collecting.
func (l *Live) sendAll(ctx context.Context) {
	for ctx.Err() == nil {
		l.mu.Lock()
		unsent := l.unsent
		l.unsent = news{}
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

func (l *Live) send(ctx context.Context, n news) error {
	text, err := json.Marshal(bulletin{From: l.instance, IDs: slices.Sorted(maps.Keys(n.ids)), All: n.all})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	return l.redis.Publish(ctx, liveChannel, text).Err()
}

// listen hears what others send. go-redis connects and subscribes again by itself; what was said meanwhile is lost, so that
// everybody looks at everything after each subscription.
func (l *Live) listen(ctx context.Context) {
	channel := l.redis.Subscribe(ctx, liveChannel)
	defer channel.Close()
	heard := channel.ChannelWithSubscriptions()
	for {
		select {
		case <-ctx.Done():
			return
		case m, open := <-heard:
			if !open {
				return
			}
			switch m := m.(type) {
			case *redis.Subscription:
				l.tell(news{all: true})
			case *redis.Message:
				var b bulletin
				if err := json.Unmarshal([]byte(m.Payload), &b); err != nil {
					l.log.WarnContext(ctx, "another instance sent what cannot be read", "error", err)
					continue
				}
				if b.From != l.instance {
					n := news{all: b.All}
					n.add(b.IDs...)
					l.tell(n)
				}
			}
		}
	}
}

// Changed tells everybody, here and elsewhere, that objects have changed. It never waits.
func (l *Live) Changed(ids ...string) {
	var n news
	n.add(ids...)
	l.tell(n)
	l.mu.Lock()
	l.unsent.add(ids...)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// tell hands news to the watches of this process.
func (l *Live) tell(n news) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n.all {
		for w := range l.all {
			w.hear(w.ids...)
		}
		return
	}
	for id := range n.ids {
		for w := range l.watches[id] {
			w.hear(id)
		}
	}
}

// Watch looks at objects until it is closed. Everything counts as changed at first.
func (l *Live) Watch(ids ...string) *Watch {
	w := &Watch{live: l, ids: ids, heard: map[string]struct{}{}, signal: make(chan struct{}, 1)}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		if l.watches[id] == nil {
			l.watches[id] = map[*Watch]struct{}{}
		}
		l.watches[id][w] = struct{}{}
	}
	l.all[w] = struct{}{}
	w.hear(ids...)
	return w
}

// Watch is somebody who wants to know when some objects change. Look from time to time without having heard anything: news
// may be lost between instances.
type Watch struct {
	live   *Live
	ids    []string
	signal chan struct{}

	mu    sync.Mutex
	heard map[string]struct{} // at most the watched ones, however slow the watcher is
}

func (w *Watch) hear(ids ...string) {
	w.mu.Lock()
	for _, id := range ids {
		w.heard[id] = struct{}{}
	}
	w.mu.Unlock()
	select {
	case w.signal <- struct{}{}:
	default:
	}
}

// Heard receives when there may be something to [Watch.Take].
func (w *Watch) Heard() <-chan struct{} { return w.signal }

// Take returns the objects that have changed since it was called before, in the order in which they are watched.
func (w *Watch) Take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var changed []string
	for _, id := range w.ids {
		if _, ok := w.heard[id]; ok {
			changed = append(changed, id)
		}
	}
	clear(w.heard)
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

// Publish publishes, and tells what the messages are about.
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
