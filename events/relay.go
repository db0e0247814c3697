package events

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/client_golang/prometheus"

	"holdfast/ent"
	"holdfast/ent/changelog"
	"holdfast/ent/entry"
	"holdfast/ent/productvariant"
	"holdfast/lockprovider"
)

// Exclusive runs a function on one instance of the deployment at a time. The function's context ends when that is no
// longer certain. It returns what the function returned. If another instance is running the function, it returns an error, at
// once or after some time, and the caller calls it again later.
type Exclusive func(ctx context.Context, name string, run func(ctx context.Context) error) error

// singleInstance is Exclusive for a deployment of one instance.
func singleInstance(ctx context.Context, _ string, run func(ctx context.Context) error) error {
	return run(ctx)
}

// relayName is the name that the relay of one instance excludes those of the others by.
const relayName = "event-relay"

// Relay publishes the changes that the database has and the brokers do not: the rows of the change log without
// published_at, in the order of their IDs. It is the outbox's only way out, whatever strategy wrote the change.
//
// Each event is published at least once. Events with the same key are published in their order, on one instance at a time, one
// after the other. After a failure no later event counts as published, so that a repetition begins where the failure was and
// leaves nothing out. Rows may become visible in another order than that of their IDs. The relay finds them then, because it
// looks for rows without published_at and does not keep a position.
//
// No single event holds up the others. One that cannot be made goes to the poison topic, and so does one whose handler fails
// or hangs (with the broker channel, where Publish waits for the handler; see [Settings]). An order of the most lines makes a
// message of some 20 KB, which every broker takes. What does hold up all events, in their order, is a broker that does not
// answer, or refuses a topic: holdfast_relay_oldest_seconds tells.
type Relay struct {
	client    *ent.Client
	broker    Broker
	publisher message.Publisher // the broker's, measured
	groups    []Subscription
	exclusive Exclusive
	durable   func(ctx context.Context) error
	settings  Settings
	metrics   *relayMetrics
	log       *slog.Logger
	wake      chan struct{}
	now       func() time.Time
	products  *lru.Cache[string, string] // of variants
}

// newKnownVariants returns an empty Relay.products.
func newKnownVariants() *lru.Cache[string, string] {
	known, err := lru.New[string, string](knownVariants)
	if err != nil {
		panic(err) // impossible: the size is positive
	}
	return known
}

// Wake makes the relay look at once, because changes have been committed. It never waits, and is safe for concurrent use.
func (r *Relay) Wake() {
	select {
	case r.wake <- struct{}{}:
	default: // it has been woken already and has not looked yet
	}
}

// run relays until ctx ends.
func (r *Relay) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := r.exclusive(ctx, relayName, func(ctx context.Context) error {
			r.log.InfoContext(ctx, "relaying events")
			r.work(ctx)
			return nil
		})
		if err != nil && ctx.Err() == nil {
			r.log.DebugContext(ctx, "not relaying events", "reason", err)
		}
		rest(ctx, r.settings.Poll)
	}
}

// work relays until ctx ends: at once while there is a backlog, else when woken or every Poll. After a failure it pauses, even if
// it is woken. Otherwise every commit would make it try a broker that is down.
func (r *Relay) work(ctx context.Context) {
	defer r.metrics.oldest.Store(nil)
	pause := r.settings.Poll
	for ctx.Err() == nil {
		relayed, err := r.runOnce(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			r.metrics.failures.Inc()
			r.log.WarnContext(ctx, "events wait to be published", "error", err, "retry", pause)
			rest(ctx, pause)
			pause = min(2*pause, r.settings.MaxBackoff)
			continue
		case relayed < r.settings.Batch:
			r.await(ctx)
		}
		pause = r.settings.Poll
	}
}

// await waits to be woken, or for Poll.
func (r *Relay) await(ctx context.Context) {
	timer := time.NewTimer(r.settings.Poll)
	defer timer.Stop()
	select {
	case <-r.wake:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// runOnce relays one batch: read → wait for a standby → publish → mark. It returns how many changes it has marked.
func (r *Relay) runOnce(ctx context.Context) (int, error) {
	rows, err := r.client.ChangeLog.Query().Where(changelog.PublishedAtIsNil()).
		Order(changelog.ByID()).Limit(r.settings.Batch).All(ctx)
	if err != nil {
		return 0, fmt.Errorf("read changes: %w", err)
	}
	if len(rows) == 0 {
		r.metrics.oldest.Store(nil)
		return 0, nil
	}
	r.metrics.oldest.Store(&rows[0].CreatedAt)
	if err := r.durable(ctx); err != nil { // an event must not tell of what a failover undoes
		return 0, err
	}
	if err := r.broker.Ready(ctx, r.groups); err != nil {
		return 0, err
	}
	moves, err := r.stockMoves(ctx, rows)
	if err != nil {
		return 0, fmt.Errorf("read journal: %w", err)
	}
	published, perr := r.publish(ctx, rows, moves)
	return published, errors.Join(perr, r.mark(ctx, rows[:published]))
}

// stockPrefix begins the keys of stock balances.
var stockPrefix = lockprovider.StockKey("")

// stockMoves reads the stock movements of the changes, by change, in the order of the journal.
func (r *Relay) stockMoves(ctx context.Context, rows []*ent.ChangeLog) (map[uuid.UUID][]stockMove, error) {
	var ids []uuid.UUID
	for _, row := range rows {
		if row.Family == string(lockprovider.Stock) {
			ids = append(ids, row.ChangeID)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	all, err := r.client.Entry.Query().Where(entry.ChangeIDIn(ids...)).Order(entry.ByID()).All(ctx)
	if err != nil {
		return nil, err
	}
	byChange := make(map[uuid.UUID][]stockMove, len(ids))
	var moves []stockMove
	for _, e := range all {
		if variantID, isStock := lockprovider.VariantOf(e.Balance); isStock {
			moves = append(moves, stockMove{Entry: e, variantID: variantID})
		}
	}
	if err := r.nameProducts(ctx, moves); err != nil {
		return nil, err
	}
	for _, move := range moves {
		byChange[move.ChangeID] = append(byChange[move.ChangeID], move)
	}
	return byChange, nil
}

// knownVariants bounds how many variants the relay remembers the products of. An entry takes some 200 bytes.
const knownVariants = 10_000

// nameProducts fills in the products of moves. A variant has one product for ever.
func (r *Relay) nameProducts(ctx context.Context, moves []stockMove) error {
	var unknown []string
	for _, move := range moves {
		if !r.products.Contains(move.variantID) && !slices.Contains(unknown, move.variantID) {
			unknown = append(unknown, move.variantID)
		}
	}
	found := map[string]string{}
	if len(unknown) > 0 {
		rows, err := r.client.ProductVariant.Query().Where(productvariant.IDIn(unknown...)).
			Select(productvariant.FieldID, productvariant.FieldProductID).All(ctx)
		if err != nil {
			return err
		}
		for _, row := range rows {
			found[row.ID] = row.ProductID
			r.products.Add(row.ID, row.ProductID)
		}
	}
	for i, move := range moves {
		productID, known := found[move.variantID]
		if !known {
			productID, known = r.products.Get(move.variantID)
		}
		if !known { // a balance without a variant: what its key says
			productID = strings.TrimPrefix(move.Balance, stockPrefix)
		}
		moves[i].productID = productID
	}
	return nil
}

// batchMessage is a message and the number of its row in the batch.
type batchMessage struct {
	outgoing
	row int
}

// publish sends the messages of the rows: those with the same key one after the other, others at the same time. It returns the
// number of rows, from the first one on, that are published for certain.
func (r *Relay) publish(ctx context.Context, rows []*ent.ChangeLog, moves map[uuid.UUID][]stockMove) (int, error) {
	lanes := make([][]batchMessage, r.settings.Lanes)
	for i, row := range rows {
		for _, o := range eventsOf(row, moves[row.ChangeID]) {
			if o.topic == TopicPoison {
				r.metrics.poisoned.WithLabelValues("relay").Inc()
				r.log.ErrorContext(ctx, "change cannot be relayed", "change", row.ChangeID, "kind", row.Kind)
			}
			lane := laneOf(o.topic, o.key(), len(lanes))
			lanes[lane] = append(lanes[lane], batchMessage{o, i})
		}
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	unpublished := make([]int, len(lanes)) // the first row of each lane that is not
	errs := make([]error, len(lanes))
	var wg sync.WaitGroup
	for i, lane := range lanes {
		unpublished[i] = len(rows)
		wg.Go(func() {
			for _, o := range lane {
				if errs[i] = r.send(ctx, o.outgoing); errs[i] != nil {
					unpublished[i] = o.row
					stop() // what the other lanes send from here on would only be repeated
					return
				}
			}
		})
	}
	wg.Wait()
	first := len(rows)
	for _, row := range unpublished {
		first = min(first, row)
	}
	for _, row := range rows[:first] {
		r.metrics.lag.Observe(max(0, r.now().Sub(row.CreatedAt).Seconds()))
	}
	return first, firstCause(errs)
}

// firstCause returns the error that stopped the others, or nil if there is none.
func firstCause(errs []error) error {
	var cause error
	for _, err := range errs {
		if err != nil && (cause == nil || errors.Is(cause, context.Canceled)) {
			cause = err
		}
	}
	return cause
}

func laneOf(topic, key string, lanes int) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(topic + "\x00" + key)) // never fails
	return int(h.Sum32() % uint32(lanes))
}

func (r *Relay) send(ctx context.Context, o outgoing) error {
	if err := ctx.Err(); err != nil {
		return err // another lane has failed, the relay stops, or another instance may be relaying
	}
	ctx, cancel := context.WithTimeout(ctx, r.settings.publishTimeout())
	defer cancel()
	o.message.SetContext(ctx)
	if err := r.publisher.Publish(o.topic, o.message); err != nil {
		return fmt.Errorf("publish %s to %s: %w", o.kind(), o.topic, err)
	}
	r.metrics.events.WithLabelValues(o.kind()).Inc()
	return nil
}

// markTimeout bounds the write that marks rows as published. It is made even if the relay stops: it spares a repetition.
const markTimeout = 5 * time.Second

func (r *Relay) mark(ctx context.Context, rows []*ent.ChangeLog) error {
	if len(rows) == 0 {
		return nil
	}
	ids := make([]int64, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), markTimeout)
	defer cancel()
	err := r.client.ChangeLog.Update().Where(changelog.IDIn(ids...)).
		SetPublishedAt(r.now()).Exec(ctx)
	if err != nil {
		return fmt.Errorf("mark changes as published: %w", err)
	}
	return nil
}

// relayMetrics are the Prometheus instruments of the relay and of the poison topic.
type relayMetrics struct {
	events   *prometheus.CounterVec
	failures prometheus.Counter
	lag      prometheus.Histogram
	poisoned *prometheus.CounterVec

	oldest atomic.Pointer[time.Time] // when the first change that waits was committed; nil if none does
	now    func() time.Time
}

func newRelayMetrics(reg prometheus.Registerer, now func() time.Time) *relayMetrics {
	m := &relayMetrics{
		now: now,
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_relayed_events_total", Help: "Events handed to the broker, repetitions included.",
		}, []string{"kind"}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "holdfast_relay_failures_total", Help: "Batches of events that could not be published as a whole.",
		}),
		lag: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "holdfast_relay_lag_seconds", Help: "Time from a change's commit to the publication of its events.",
			Buckets: prometheus.ExponentialBuckets(0.001, 3, 12), // 1 ms to 3 min
		}),
		poisoned: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_poisoned_events_total", Help: "Events given up and put on the poison topic, by who gave up.",
		}, []string{"handler"}),
	}
	if reg != nil {
		reg.MustRegister(m.events, m.failures, m.lag, m.poisoned, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "holdfast_relay_oldest_seconds",
			Help: "Time since the commit of the first change whose events wait to be published; 0 if none does, or another instance relays.",
		}, m.waiting))
	}
	return m
}

// waiting is how many seconds the first change that waits has waited.
func (m *relayMetrics) waiting() float64 {
	oldest := m.oldest.Load()
	if oldest == nil {
		return 0
	}
	return max(0, m.now().Sub(*oldest).Seconds())
}
