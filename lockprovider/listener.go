package lockprovider

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// listener reads a Pub/Sub connection for as long as it is open.
type listener struct {
	pubsub *redis.PubSub
	stop   context.CancelFunc
	done   chan struct{}
}

// resubscribePause bounds how fast a broken subscription is retried.
const resubscribePause = 100 * time.Millisecond

// listen calls message for every message, and gap whenever some may have been missed: on a lost connection, and with true on
// each (re)subscription. It reads with Receive, since a channel in between drops messages when it is full.
func listen(p *redis.PubSub, message func(channel, payload string), gap func(subscribed bool)) *listener {
	open, stop := context.WithCancel(context.Background())
	l := &listener{pubsub: p, stop: stop, done: make(chan struct{})}
	go func() {
		defer close(l.done)
		for {
			switch msg, err := p.Receive(context.Background()); {
			case errors.Is(err, redis.ErrClosed):
				return
			case err != nil: // the next Receive reconnects
				gap(false)
				_ = pause(open, resubscribePause)
			default:
				switch m := msg.(type) {
				case *redis.Message:
					message(m.Channel, m.Payload)
				case *redis.Subscription:
					gap(true)
				}
			}
		}
	}()
	return l
}

func (l *listener) close() error {
	l.stop()
	err := l.pubsub.Close()
	<-l.done
	return err
}

// mastersLook is how often a cluster is asked for its masters.
const mastersLook = 5 * time.Second

// listenEverywhere hears a channel wherever a script may publish to it. In a cluster that is every master: the number of
// receivers that PUBLISH returns counts those of its own node only, and the scripts ask by it who is alive.
func listenEverywhere(
	r redis.UniversalClient, channel string, message func(channel, payload string), gap func(subscribed bool),
) (closeAll func() error) {
	cluster, ok := r.(*redis.ClusterClient)
	if !ok {
		return listen(r.Subscribe(context.Background(), channel), message, gap).close
	}
	open, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	ears := map[string]*listener{}
	look := func() {
		var mu sync.Mutex
		masters := map[string]bool{}
		err := cluster.ForEachMaster(open, func(_ context.Context, node *redis.Client) error {
			mu.Lock()
			defer mu.Unlock()
			addr := node.Options().Addr
			masters[addr] = true
			if ears[addr] == nil {
				ears[addr] = listen(node.Subscribe(context.Background(), channel), message, gap)
			}
			return nil
		})
		for addr, ear := range ears {
			if err == nil && !masters[addr] {
				delete(ears, addr)
				_ = ear.close()
			}
		}
	}
	look()
	go func() {
		defer close(done)
		for pause(open, mastersLook) == nil {
			cluster.ReloadState(open)
			look()
		}
	}()
	return func() error {
		stop()
		<-done
		var errs []error
		for _, ear := range ears {
			errs = append(errs, ear.close())
		}
		return errors.Join(errs...)
	}
}
