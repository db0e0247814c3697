package handoff

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"holdfast/lockprovider/lock"
	"holdfast/lockprovider/lock/subscription"
)

// Client is what the hand-off locks of a process share: a subscription on which Redis tells of grants, a local queue for
// each lock that is in use here, and the renewal of what the process holds. A process needs one.
type Client struct {
	store       store
	opened      time.Time
	instance    string // unique among the clients that share Redis
	metrics     lock.Metrics
	timeouts    timeouts
	unsubscribe func() error
	multiKeys   multiKeyQueue
	semaphores  *semaphores // and read-write locks

	mu         sync.Mutex
	queues     map[string]*localQueue // by the lock's name in Redis; none is idle
	lastWaiter uint64                 // the number of the last waiter ID
	clock      redisClock
	alarm      alarm // rings when a lease has to be renewed or ends, or a wait is over

	wasSubscribed bool          // each later subscription means that Redis is back
	subscribed    chan struct{} // closed with the first subscription
	disconnected  bool          // the subscription is broken
	onReconnect   func()

	requests sharedContext

	closed      bool
	background  sync.WaitGroup
	lifetime    context.Context //nolint:containedctx // It ends what would go on in the background for long.
	endLifetime context.CancelFunc
}

// Options are what a client is opened with.
type Options struct {
	// Instance names this process among those that share Redis, for people who look for what is stuck. It may be used
	// by several clients.
	Instance string
	// Metrics counts what happens; nil counts nothing.
	Metrics lock.Metrics
	// RequestTimeout is how long one request to Redis may take. An unlock, which repeats its request, may take twice as
	// long. It is [lock.RequestTimeout] if it is 0.
	RequestTimeout time.Duration
}

// Open returns a client of the locks in Redis. Retries of the Redis client must be off (MaxRetries: -1), since a script
// whose reply was lost would run twice. Close the client when nobody holds or waits for a lock.
//
// Open waits up to the request timeout for its subscription: until then other processes would take this one for dead.
func Open(r redis.UniversalClient, o Options) *Client {
	if o.Metrics == nil {
		o.Metrics = lock.NoMetrics{}
	}
	locks := newRedisStore(r)
	c := newClient(locks, o.Instance+"."+lock.NewToken()[:8], o.Metrics, timeoutsOf(o.RequestTimeout))
	c.semaphores.store = redisSemaphores{locks}
	c.unsubscribe = subscription.OpenEverywhere(r, channelPrefix+c.instance, c.onMessage, c.onGap)
	timer := time.NewTimer(c.timeouts.request)
	defer timer.Stop()
	select {
	case <-c.subscribed:
	case <-timer.C: // Redis is away: the first Lock will say so
	}
	return c
}

func newClient(s store, instance string, m lock.Metrics, bounds timeouts) *Client {
	c := &Client{
		opened: time.Now(), store: s, instance: instance, metrics: m, unsubscribe: func() error { return nil },
		queues: map[string]*localQueue{}, subscribed: make(chan struct{}), multiKeys: newMultiKeyQueue(),
		semaphores: newSemaphores(instance, m, bounds), timeouts: bounds, requests: sharedContext{timeout: bounds.request},
	}
	c.alarm.ring = c.onTimer
	c.lifetime, c.endLifetime = context.WithCancel(context.Background())
	return c
}

// OnReconnect has f called in a goroutine of its own whenever Redis is back after it was away. It replaces the function
// that was set before.
func (c *Client) OnReconnect(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.onReconnect = func() { go f() }
}

// Close ends the subscription and releases cached locks. Leases that are still held can be unlocked. They are no longer
// renewed.
func (c *Client) Close() error {
	c.mu.Lock()
	for _, q := range c.queues {
		q.stopPolling()
	}
	c.releaseCached(func(*localQueue) bool { return true })
	c.closed = true
	c.mu.Unlock()
	c.endLifetime()
	err := c.unsubscribe()
	c.semaphores.close()
	c.background.Wait()
	c.requests.end()
	return err
}

// spawn runs f in the background, unless the client has been closed. c.mu is held.
func (c *Client) spawn(f func()) {
	if !c.closed {
		c.background.Go(f)
	}
}

// nextWaiterID returns a name for a waiter: the instance, on whose channel it is told, and a number, which is greater than
// those of all earlier waiters of the instance. c.mu is held.
func (c *Client) nextWaiterID() string {
	c.lastWaiter++
	id := make([]byte, 0, len(c.instance)+12)
	id = append(append(id, c.instance...), '|')
	return string(strconv.AppendUint(id, c.lastWaiter, 10))
}

// names returns the names of keys in Redis, in the same order.
func (c *Client) names(keys []string) []string {
	names := make([]string, len(keys))
	for i, key := range keys {
		names[i] = c.store.name(key)
	}
	return names
}

// queue returns this process's local queue of a lock, or nil if the process neither holds nor wants the lock. A cached
// lock whose token or time is used up is released first. c.mu is held.
func (c *Client) queue(name string) *localQueue {
	q := c.queues[name]
	if q != nil && q.state == cached && !q.canHandOff(time.Now()) {
		c.releaseInBackground(q)
		return nil
	}
	return q
}

// onMessage handles a message of the scripts. They send three:
//
//	wanted <name>                                      another process waits for a lock that this one owns
//	granted <waiter ID> <token> <until> <waiting> <name>  another process handed off a lock to this one
//	units <token> <until> <waiter ID>                  units of a semaphore were handed off to this process
func (c *Client) onMessage(message string) {
	kind, rest, _ := strings.Cut(message, " ")
	if kind == "units" {
		c.semaphores.onGranted(rest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch kind {
	case "wanted":
		if q := c.queues[rest]; q != nil {
			q.contended = true
			if q.state == cached {
				c.releaseInBackground(q)
			}
		}
	case "granted":
		r := replyReader{script: "granted", rest: rest}
		id, token, until, waiting := r.next(), r.number(), r.number(), r.number()
		q := c.queues[r.rest]
		if r.err != nil || q == nil || q.waiterID != id || q.owned() {
			return // the waiter gave up, and its release is on the way; or the grant is known
		}
		if expiry, ok := c.clock.local(until); ok {
			c.metrics.Granted(lock.GrantMessage)
			q.granted(token, time.Now(), expiry, int(waiting))
		} else {
			q.ask()
		}
	}
}

// onGap handles a time in which messages may have been missed: every queue asks Redis for its lock.
func (c *Client) onGap(subscribed bool) {
	c.semaphores.onGap(subscribed)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.disconnected = !subscribed
	if c.disconnected { // this process would not hear that another one wants them
		c.releaseCached(func(*localQueue) bool { return true })
	}
	for _, q := range c.queues {
		if q.owned() {
			q.probe()
		} else {
			q.ask()
		}
	}
	if subscribed && c.wasSubscribed && c.onReconnect != nil && !c.closed {
		c.onReconnect()
	}
	if subscribed && !c.wasSubscribed {
		c.wasSubscribed = true
		close(c.subscribed)
	}
}
