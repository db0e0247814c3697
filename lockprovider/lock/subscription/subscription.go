// Package subscription listens to a channel of Redis Pub/Sub and says when messages may have been missed.
//
// Redis delivers a message at most once, and forgets it. A program that acts on messages therefore has to know when it
// was not subscribed, so that it can ask for what it may have missed. The client's own channel of messages hides
// reconnections, and drops messages when it is full. This package reads from the connection instead, and calls a
// function on each message and on each gap.
package subscription

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"holdfast/lockprovider/lock"
)

// Subscription is a subscription to one channel. It reconnects until it is closed.
type Subscription struct {
	pubsub *redis.PubSub
	stop   context.CancelFunc
	done   chan struct{}
}

// OnMessage is called with each message, one after the other.
type OnMessage func(payload string)

// OnGap is called whenever messages may have been missed: with false if the connection broke, and with true on each
// successful subscription, the first one included.
type OnGap func(subscribed bool)

// resubscribePause bounds how fast a broken subscription is retried.
const resubscribePause = 100 * time.Millisecond

// Open subscribes to a channel. It does not wait for Redis: onGap tells.
func Open(r redis.UniversalClient, channel string, onMessage OnMessage, onGap OnGap) *Subscription {
	return listen(r.Subscribe(context.Background(), channel), onMessage, onGap)
}

// listen reads with Receive, since a channel in between drops messages when it is full.
func listen(p *redis.PubSub, onMessage OnMessage, onGap OnGap) *Subscription {
	open, stop := context.WithCancel(context.Background())
	s := &Subscription{pubsub: p, stop: stop, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		for {
			switch msg, err := p.Receive(context.Background()); {
			case errors.Is(err, redis.ErrClosed):
				return
			case err != nil: // the next Receive reconnects
				onGap(false)
				_ = lock.Pause(open, resubscribePause)
			default:
				switch m := msg.(type) {
				case *redis.Message:
					onMessage(m.Payload)
				case *redis.Subscription:
					onGap(true)
				}
			}
		}
	}()
	return s
}

// Close ends the subscription. No function is called after it has returned.
func (s *Subscription) Close() error {
	s.stop()
	err := s.pubsub.Close()
	<-s.done
	return err
}

// mastersEvery is how often a cluster is asked for its masters.
const mastersEvery = 5 * time.Second

// OpenEverywhere subscribes to a channel wherever a script may publish to it. In a cluster that is every master: the
// number of receivers that PUBLISH returns counts those of its own node only, and scripts may decide by it who is alive.
func OpenEverywhere(r redis.UniversalClient, channel string, onMessage OnMessage, onGap OnGap) (closeAll func() error) {
	cluster, ok := r.(*redis.ClusterClient)
	if !ok {
		return Open(r, channel, onMessage, onGap).Close
	}
	open, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	byMaster := map[string]*Subscription{}
	followMasters := func() {
		var mu sync.Mutex
		masters := map[string]bool{}
		err := cluster.ForEachMaster(open, func(_ context.Context, node *redis.Client) error {
			mu.Lock()
			defer mu.Unlock()
			addr := node.Options().Addr
			masters[addr] = true
			if byMaster[addr] == nil {
				byMaster[addr] = Open(node, channel, onMessage, onGap)
			}
			return nil
		})
		for addr, s := range byMaster {
			if err == nil && !masters[addr] {
				delete(byMaster, addr)
				_ = s.Close()
			}
		}
	}
	followMasters()
	go func() {
		defer close(done)
		for lock.Pause(open, mastersEvery) == nil {
			cluster.ReloadState(open)
			followMasters()
		}
	}()
	return func() error {
		stop()
		<-done
		var errs []error
		for _, s := range byMaster {
			errs = append(errs, s.Close())
		}
		return errors.Join(errs...)
	}
}
