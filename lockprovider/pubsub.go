package lockprovider

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// pubsub is our own Redis lock: a key with a token and a lease as in setnx, but a release publishes, and the waiters of a
// process stand in line for that message instead of spinning. A waiter also asks on its own every Poll, so that a lost
// message or a dead holder costs no more than that.
type pubsub struct {
	redis        redis.UniversalClient
	subscription *subscription
	settings     Settings
}

func newPubSub(d Deps) (Provider, error) {
	return newLocked(PubSub, d), nil
}

// unlockChannel is the prefix of the channels on which releases are published; the key follows.
const unlockChannel = "holdfast:unlock:"

var releaseAndPublishScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('PUBLISH', ARGV[2], '')
return 1`)

// Lock takes the keys one by one in their order, which is the same for everyone.
func (l *pubsub) Lock(ctx context.Context, keys []string) (context.Context, Lease, error) {
	waiting, cancel := context.WithTimeoutCause(ctx, l.settings.Wait, ErrLockTimeout)
	defer cancel()
	token := newToken()
	taken := partial{term: l.settings.Lease, extend: func(ctx context.Context, held int) error {
		return extendKeys(ctx, l.redis, keys[:held], token, l.settings.Lease)
	}}
	for i, key := range keys {
		asked, err := l.lockOne(waiting, key, token, &taken)
		if err != nil {
			err = redisFailure(waiting, err)
			// The key that failed is released too: its reply may have been lost after Redis had set it.
			giveUp(ctx, func(ctx context.Context) error { return l.release(ctx, keys[:i+1], token) })
			return nil, nil, err
		}
		taken.add(asked)
	}
	held, lease := keepAlive(ctx, taken.asked, l.settings.Lease,
		func(ctx context.Context) error { return extendKeys(ctx, l.redis, keys, token, l.settings.Lease) },
		func(ctx context.Context) error { return l.release(ctx, keys, token) })
	return held, lease, nil
}

func (l *pubsub) lockOne(ctx context.Context, key, token string, taken *partial) (asked time.Time, err error) {
	// In line before the first try: a release between try and wait would go unheard.
	turn := l.subscription.queue(key)
	defer l.subscription.leave(key, turn)
	for {
		if err := turn.wait(ctx, l.settings.Poll); err != nil {
			return time.Now(), err
		}
		if err := taken.keep(ctx); err != nil {
			return time.Now(), err
		}
		asked = time.Now()
		err := l.redis.SetArgs(ctx, key, token, redis.SetArgs{Mode: "NX", TTL: l.settings.Lease}).Err()
		if err == nil || !errors.Is(err, redis.Nil) {
			return asked, err
		}
	}
}

func (l *pubsub) release(ctx context.Context, keys []string, token string) error {
	var errs []error
	for i := len(keys) - 1; i >= 0; i-- {
		n, err := releaseAndPublishScript.Run(ctx, l.redis, keys[i:i+1], token, unlockChannel+keys[i]).Int()
		switch {
		case err != nil:
			errs = append(errs, err)
		case n == 0:
			errs = append(errs, fmt.Errorf("%w: %s", ErrLockLost, keys[i]))
		}
	}
	return errors.Join(errs...)
}

// subscription is the process's one connection that hears releases, and the lines of those who wait for them here.
type subscription struct {
	listener *listener

	mu    sync.Mutex
	lines map[string][]*turn
	// subscribed counts subscriptions: each after the first is a Redis that is back.
	subscribed  int
	reconnected func()
}

// turn is one waiter's place in the line for a key.
type turn struct {
	call chan struct{} // buffered: a call that comes before the wait is not lost
}

func subscribe(r redis.UniversalClient) *subscription {
	s := &subscription{lines: map[string][]*turn{}}
	s.listener = listen(r.PSubscribe(context.Background(), unlockChannel+"*"),
		func(channel, _ string) { s.callFirst(channel[len(unlockChannel):]) }, s.gap)
	return s
}

func (s *subscription) close() error { return s.listener.close() }

// queue joins the line of a key. The first in line may ask at once; the others wait for a release.
func (s *subscription) queue(key string) *turn {
	t := &turn{call: make(chan struct{}, 1)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines[key] = append(s.lines[key], t)
	if len(s.lines[key]) == 1 {
		t.ready()
	}
	return t
}

// leave gives up the place, with the lock or without. Whoever is first now asks at once: the message that called the
// leaver may have been the only one.
func (s *subscription) leave(key string, t *turn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	line := s.lines[key]
	i := slices.Index(line, t)
	line = slices.Delete(line, i, i+1)
	if len(line) == 0 {
		delete(s.lines, key)
		return
	}
	s.lines[key] = line
	if i == 0 {
		line[0].ready()
	}
}

func (s *subscription) callFirst(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if line := s.lines[key]; len(line) > 0 {
		line[0].ready()
	}
}

// gap is a time in which releases may have gone unheard: everybody who is first in a line asks. The end of it is a
// subscription that is not the first.
func (s *subscription) gap(subscribed bool) {
	s.callAll()
	s.mu.Lock()
	if subscribed {
		s.subscribed++
	}
	back, tell := subscribed && s.subscribed > 1, s.reconnected
	s.mu.Unlock()
	if back && tell != nil {
		tell()
	}
}

func (s *subscription) callAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range s.lines {
		line[0].ready()
	}
}

func (t *turn) ready() {
	select {
	case t.call <- struct{}{}:
	default:
	}
}

// wait returns when the waiter is called, and every poll without a call.
func (t *turn) wait(ctx context.Context, poll time.Duration) error {
	timer := time.NewTimer(poll)
	defer timer.Stop()
	select {
	case <-t.call:
		return nil
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
