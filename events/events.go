// Package events is the way of changes from the database to whoever wants to know, and, for Redis-first changes, into the
// database.
//
// [Start] runs the way out: a [Relay] publishes what the change log holds and has not been published, a [Broker] carries
// it, and a router hands it to the handlers, one file a topic. docs/events.md is the promise to consumers outside. The way
// in is the [Persister].
package events

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"holdfast/ent"
)

// Deps is what the way out works with.
type Deps struct {
	Client *ent.Client
	// Redis is the client for the broker redis; it stays open. Others do not need it.
	Redis redis.UniversalClient
	// Exclusive keeps the relays of other instances out; nil where there are no others.
	Exclusive Exclusive
	// Durable returns when all that the database shows would survive a failover; nil where there is none.
	Durable func(ctx context.Context) error
	// Live is told what has been published; nil where nobody watches.
	Live *Live
	// Instance names this process among those that share the broker; it is unique.
	Instance string
	// Metrics takes the instruments; nil for none.
	Metrics  prometheus.Registerer
	Log      *slog.Logger
	Settings Settings
	// Now is the clock of all instances, such as that of their database; nil means time.Now.
	Now func() time.Time
}

// clock returns the clock, in UTC with the precision that every database keeps.
func (d Deps) clock() func() time.Time {
	now := d.Now
	if now == nil {
		now = time.Now
	}
	return func() time.Time { return now().UTC().Truncate(time.Microsecond) }
}

// Events is the running way out.
type Events struct {
	relay  *Relay
	poison poisonPublisher
	broker Broker
	router *message.Router
	log    *slog.Logger

	stopRelay context.CancelFunc
	relaying  sync.WaitGroup
	routed    chan struct{} // closed when the router has stopped
	routeErr  error         // why, once routed is closed
	closing   chan struct{}
	close     func() error
}

// Start opens the broker, subscribes the handlers, and then lets the relay publish. ctx bounds the start only; Close ends
// what was started.
func Start(ctx context.Context, d Deps) (*Events, error) {
	return start(ctx, d, handlers(d))
}

func start(ctx context.Context, d Deps, table []handler) (_ *Events, err error) {
	if err := d.Settings.Validate(); err != nil {
		return nil, fmt.Errorf("events: %w", err)
	}
	if d.Exclusive == nil {
		d.Exclusive = singleInstance
	}
	if d.Durable == nil {
		d.Durable = func(context.Context) error { return nil }
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	metrics := newRelayMetrics(d.Metrics, d.clock())
	log := routerLog(d.Log)
	broker, err := OpenBroker(d.Settings.Broker, BrokerDeps{Redis: d.Redis, Instance: d.Instance, Log: log})
	if err != nil {
		return nil, fmt.Errorf("events: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("events: %w", err), broker.Close())
		}
	}()
	var publisher message.Publisher = broker
	if d.Metrics != nil {
		if publisher, err = metricsOf(d.Metrics).DecoratePublisher(broker); err != nil {
			return nil, err
		}
	}
	if d.Live != nil {
		publisher = livePublisher{publisher, d.Live}
	}
	poison := poisonPublisher{publisher, d.Settings.PublishTimeout, metrics, d.Log}
	router, err := newEventRouter(d, broker, poison, table, log) //nolint:contextcheck // messages have their own
	if err != nil {
		return nil, err
	}
	e := &Events{
		broker: broker, poison: poison, router: router, log: d.Log,
		routed: make(chan struct{}), closing: make(chan struct{}),
		relay: &Relay{
			products: newKnownVariants(),
			client:   d.Client, broker: broker, publisher: publisher, exclusive: d.Exclusive, durable: d.Durable, settings: d.Settings,
			metrics: metrics, log: d.Log, wake: make(chan struct{}, 1), now: d.clock(),
		},
	}
	e.close = sync.OnceValue(e.closeOnce)
	for _, h := range table {
		e.relay.groups = append(e.relay.groups, h.subscription())
	}
	if err := e.route(ctx); err != nil {
		return nil, err
	}
	relayCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	e.stopRelay = stop
	e.relaying.Go(func() { e.relay.run(relayCtx) })
	return e, nil
}

// route starts the router and returns when all handlers have subscribed, or the first could not.
func (e *Events) route(ctx context.Context) error {
	go func() {
		defer close(e.routed)
		e.routeErr = e.router.Run(context.WithoutCancel(ctx))
		select {
		case <-e.closing:
		default:
			if e.routeErr == nil {
				e.routeErr = errors.New("all subscriptions have ended")
			}
			e.log.ErrorContext(ctx, "event handlers have stopped", "error", e.routeErr)
		}
	}()
	select {
	case <-e.router.Running():
		return nil
	case <-e.routed:
		return e.routeErr
	case <-ctx.Done():
		close(e.closing)
		return errors.Join(ctx.Err(), e.router.Close())
	}
}

// Wake makes the relay look at once. Call it after a commit; it never waits.
func (e *Events) Wake() { e.relay.Wake() }

// Poison publishes to the poison topic, and says so aloud. It ends with Close.
func (e *Events) Poison() message.Publisher { return e.poison }

// Check tells whether the handlers are running, for a readiness probe.
func (e *Events) Check() error {
	select {
	case <-e.routed:
		return fmt.Errorf("event handlers have stopped: %w", e.routeErr)
	default:
		return nil
	}
}

// Close stops the relay, lets handlers finish within CloseTimeout, and closes the broker. Events that are not handled by
// then stay with the change log or the broker, for the next start. A second call returns what the first did.
func (e *Events) Close() error { return e.close() }

func (e *Events) closeOnce() error {
	close(e.closing)
	e.stopRelay()
	e.relaying.Wait()
	err := e.router.Close()
	<-e.routed
	return errors.Join(err, e.broker.Close())
}
