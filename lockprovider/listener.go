package lockprovider

import (
	"context"
	"errors"
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
