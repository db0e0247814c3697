package events

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/components/metrics"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/cenkalti/backoff/v5"
	"github.com/prometheus/client_golang/prometheus"

	"holdfast/ent"
	"holdfast/ent/processedevent"
)

// handler takes effect for the events of a topic. It is called at least once for each, in any order, by several instances
// at a time: so it makes sure by itself that an event counts once.
type handler struct {
	name   string // of its consumer group as well
	topic  string
	handle func(ctx context.Context, e Event) error
}

// handlers is everybody who listens.
func handlers(d Deps) []handler {
	return []handler{
		{name: "sales", topic: TopicOrders, handle: sales{d.Client, d.clock()}.handle},
		{name: "stock-alerts", topic: TopicStock, handle: newStockAlerts(d.Client, d.Settings.LowStock).handle},
	}
}

// subscription tells the handler's place at the broker.
func (h handler) subscription() Subscription {
	return Subscription{Group: "holdfast." + h.name, Topic: h.topic}
}

const (
	// maxRetryDelay bounds the pause between the tries of a handler, which doubles.
	maxRetryDelay = time.Second
	// metricsNamespace begins the names of the library's metrics.
	metricsNamespace = "holdfast_events"
)

// newRouter returns a router for handlers of one kind. All kinds have the same middlewares, the first one the outermost:
// correlation, the poison topic, those of the kind, metrics, and recovery from panics. measure is nil if nobody counts.
func newRouter(
	closeTimeout time.Duration, log watermill.LoggerAdapter, poison message.Publisher, measure message.HandlerMiddleware,
	ofKind ...message.HandlerMiddleware,
) (*message.Router, error) {
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: closeTimeout}, log)
	if err != nil {
		return nil, err
	}
	putAway, err := middleware.PoisonQueueWithFilter(poison, TopicPoison, func(err error) bool { return !waits(err) })
	if err != nil {
		return nil, err
	}
	router.AddMiddleware(middleware.CorrelationID, putAway)
	router.AddMiddleware(ofKind...)
	if measure != nil {
		router.AddMiddleware(measure) // each try, as it failed: outside, all would look like successes
	}
	// The innermost, so that a panic is tried again and put away like any other failure.
	router.AddMiddleware(middleware.Recoverer)
	return router, nil
}

// routerLog is how Watermill logs: what it finds worth telling is of interest to those who look for a fault.
func routerLog(log *slog.Logger) watermill.LoggerAdapter {
	return quietLog{log, watermill.NewSlogLoggerWithLevelMapping(log, map[slog.Level]slog.Level{
		slog.LevelInfo: slog.LevelDebug, slog.LevelError: slog.LevelWarn,
	})}
}

// quietLog does not collect the fields of a line that nobody wants. The router has two of these for each message.
type quietLog struct {
	log *slog.Logger
	watermill.LoggerAdapter
}

// Trace implements [watermill.LoggerAdapter].
func (l quietLog) Trace(text string, fields watermill.LogFields) {
	if l.log.Enabled(context.Background(), watermill.LevelTrace) {
		l.LoggerAdapter.Trace(text, fields)
	}
}

// With implements [watermill.LoggerAdapter].
func (l quietLog) With(fields watermill.LogFields) watermill.LoggerAdapter {
	return quietLog{l.log, l.LoggerAdapter.With(fields)}
}

// newEventRouter connects the handlers with the broker.
func newEventRouter(
	d Deps, b Broker, poison message.Publisher, table []handler, log watermill.LoggerAdapter,
) (*message.Router, error) {
	router, err := newRouter(d.Settings.CloseTimeout, log, poison, measureHandlers(d.Metrics),
		waitForDatabase(d.Client, d.Settings.HandlerTimeout),
		middleware.Retry{
			MaxRetries: d.Settings.Retries, InitialInterval: d.Settings.RetryDelay, MaxInterval: maxRetryDelay,
			Multiplier: 2,
		}.Middleware,
		timeout(d.Settings.HandlerTimeout),
	)
	if err != nil {
		return nil, err
	}
	if d.Metrics != nil {
		router.AddSubscriberDecorators(metricsOf(d.Metrics).DecorateSubscriber)
	}
	for _, h := range table {
		subscriber, err := b.Subscriber(h.subscription().Group)
		if err != nil {
			return nil, err
		}
		router.AddConsumerHandler(h.name, h.topic, subscriber, func(m *message.Message) error {
			e, err := eventOf(m)
			if err == nil {
				err = h.handle(m.Context(), e)
			}
			if errors.Is(err, errPermanent) {
				// Retry stops here. Its ShouldRetry would do so as well, but where it is set, pauses quadruple.
				return backoff.Permanent(err)
			}
			return err
		})
	}
	return router, nil
}

// measureHandlers is the middleware that counts and times the tries of handlers, or nil.
func measureHandlers(reg prometheus.Registerer) message.HandlerMiddleware {
	if reg == nil {
		return nil
	}
	return metricsOf(reg).NewRouterMiddleware().Middleware
}

func metricsOf(reg prometheus.Registerer) metrics.PrometheusMetricsBuilder {
	return metrics.NewPrometheusMetricsBuilder(reg, metricsNamespace, "")
}

// timeout bounds one try. The library's own leaves the message with a context that has ended, in which it can neither be
// tried again nor be put away.
func timeout(d time.Duration) message.HandlerMiddleware {
	return func(h message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			restore := bounded(m, d)
			defer restore()
			return h(m)
		}
	}
}

// bounded gives a message a context that ends after d; the function that it returns gives back the one before.
func bounded(m *message.Message, d time.Duration) (restore func()) {
	before := m.Context()
	ctx, cancel := context.WithTimeout(before, d)
	m.SetContext(ctx)
	return func() {
		cancel()
		m.SetContext(before)
	}
}

// errWait marks failures for which the message waits at the broker instead of going to the poison topic.
var errWait = errors.New("the message waits")

// waits tells the failures that are not the message's: the process stops, or the database is down.
func waits(err error) bool { return errors.Is(err, errWait) || errors.Is(err, context.Canceled) }

// waitForDatabase keeps messages out of the poison topic whose handler failed because the database does not answer: it will
// again, and then they count, whereas an outage that is longer than all retries would put all of them away.
func waitForDatabase(client *ent.Client, timeout time.Duration) message.HandlerMiddleware {
	return func(h message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			produced, err := h(m)
			if err == nil || errors.Is(err, errPermanent) {
				return produced, err
			}
			ctx, cancel := context.WithTimeout(context.WithoutCancel(m.Context()), timeout)
			defer cancel()
			if _, down := client.ProcessedEvent.Query().Where(processedevent.ID("")).Exist(ctx); down != nil {
				err = fmt.Errorf("%w: %w", errWait, err)
			}
			return produced, err
		}
	}
}

// poisonPublisher says aloud what is put away: with a broker in this process nobody may be listening.
type poisonPublisher struct {
	message.Publisher
	timeout time.Duration
	metrics *relayMetrics
	log     *slog.Logger
}

// Publish publishes to the poison topic.
func (p poisonPublisher) Publish(topic string, messages ...*message.Message) error {
	for _, m := range messages {
		if err := p.publish(topic, m); err != nil {
			return err
		}
	}
	return nil
}

func (p poisonPublisher) publish(topic string, m *message.Message) error {
	name := m.Metadata.Get(middleware.PoisonedHandlerKey)
	p.log.ErrorContext(m.Context(), "event given up", "handler", name, "event", m.UUID,
		"kind", m.Metadata.Get(MetaKind), "reason", m.Metadata.Get(middleware.ReasonForPoisonedKey))
	p.metrics.poisoned.WithLabelValues(name).Inc()
	restore := bounded(m, p.timeout)
	defer restore()
	return p.Publisher.Publish(topic, m)
}
