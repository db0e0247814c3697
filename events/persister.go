package events

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"holdfast/config/setting"
	"holdfast/lockprovider"
	"holdfast/lockprovider/ledger"
	"holdfast/lockprovider/lock"
	"holdfast/lockprovider/redisfirst"
)

// Persister writes the changes that Redis has admitted into the database, in groups: one transaction takes whatever has
// come in while the one before was committed. Any number of instances may run one for the same family; each change is
// applied once, whichever instance reads it, however often.
//
// It is a handler of a Watermill router. Its subscriber hands out the entries of the stream in batches, and a collector
// commits all handler calls of a batch in one transaction. The router has the middlewares of the event handlers, but for
// Retry: see [streamSubscriber].
type Persister struct {
	store *redisfirst.Store
	d     PersisterDeps
	log   *slog.Logger
}

// PersisterDeps is what the persisters of all families share.
type PersisterDeps struct {
	Ledger *lockprovider.Ledger
	// Instance is the name under which this process waits for its own changes.
	Instance string
	Settings PersisterSettings
	Metrics  *PersisterMetrics
	Log      *slog.Logger
	// Poison takes an entry that cannot be read, so that a person can look at it; see [Events.Poison]. Only then is the entry
	// removed from the stream. If Poison is nil, the entry is logged, no more.
	Poison message.Publisher

	confirmations *redisfirst.Confirmations
}

// PersisterSettings are the bounds of a Persister.
type PersisterSettings struct {
	// Batch is the most changes of one transaction.
	Batch int64 `key:"batch" default:"256" min:"1" max:"1000"`
	// Block is how long one read waits for changes, and so how long a stop may take.
	Block time.Duration `key:"block" default:"500ms" min:"10ms" max:"1s"`
	// ClaimIdle is how long a change may lie read but unconfirmed before another instance takes it over: the time after which a
	// crash is made good.
	ClaimIdle time.Duration `key:"claimIdle" default:"3s" min:"100ms" max:"1m"`
	// Retry is the first pause after a failure of Redis or the database. It doubles up to MaxRetry.
	Retry    time.Duration `default:"20ms" min:"1ms" max:"1m"`
	MaxRetry time.Duration `default:"1s" min:"1ms" max:"1m"`
	// Finish bounds the batch in hand when the persister is told to stop.
	Finish time.Duration `default:"10s" min:"1ms" max:"10m"`
}

// DefaultPersisterSettings suit a database that commits in milliseconds.
func DefaultPersisterSettings() PersisterSettings { return setting.Default[PersisterSettings]() }

// PersisterMetrics count what is persisted.
type PersisterMetrics struct {
	batch    *prometheus.HistogramVec
	verdicts *prometheus.CounterVec
	measure  message.HandlerMiddleware // nil if nobody counts
}

// NewPersisterMetrics registers the instruments; with a nil registerer they count for nobody.
func NewPersisterMetrics(reg prometheus.Registerer) *PersisterMetrics {
	m := &PersisterMetrics{
		measure: measureHandlers(reg),
		batch: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "holdfast_persist_batch_changes", Help: "Changes persisted by one group commit.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 10),
		}, []string{"family"}),
		verdicts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_persisted_total", Help: "Admitted changes by the database's verdict.",
		}, []string{"family", "verdict"}),
	}
	if reg != nil {
		reg.MustRegister(m.batch, m.verdicts)
	}
	return m
}

// NewPersister returns the persister of a family.
func NewPersister(store *redisfirst.Store, d PersisterDeps) *Persister {
	return &Persister{store: store, d: d, log: d.Log.With("family", store.Family())}
}

// Persisting is what [lockprovider.Providers.PersistWith] wants: persisters that share their dependencies.
func Persisting(d PersisterDeps) func(*redisfirst.Store, *redisfirst.Confirmations) lockprovider.Persister {
	return func(store *redisfirst.Store, confirmations *redisfirst.Confirmations) lockprovider.Persister {
		d.confirmations = confirmations
		return NewPersister(store, d)
	}
}

// Run persists until ctx ends; the batch in hand is finished then. After a failure of Redis or the database it tries again,
// with pauses that double up to MaxRetry.
func (p *Persister) Run(ctx context.Context) {
	s := p.newSubscriber()
	if err := p.route(ctx, s, s.follow); err != nil {
		panic(err) // of a router that cannot be built or cannot subscribe; follow returns none
	}
}

// Drain persists what is in the stream and returns when it is empty: before a family is taken away from lua, or at the
// end of a test.
func (p *Persister) Drain(ctx context.Context) error {
	if err := p.store.OpenGroup(ctx); err != nil {
		return err
	}
	s := p.newSubscriber()
	return p.route(ctx, s, s.drain)
}

// persisterName is the name of the handler, in metrics and on the poison topic.
const persisterName = "persister"

// route runs a router for as long as a loop of the subscriber hands out messages, and returns the error of the loop.
func (p *Persister) route(ctx context.Context, s *streamSubscriber, loop func(context.Context) error) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	s.loop, s.end = loop, end
	var poison message.Publisher = nowhere{}
	if p.d.Poison != nil {
		poison = p.d.Poison
	}
	router, err := newRouter(p.d.Settings.Finish, routerLog(p.log), poison, p.d.Metrics.measure, collect)
	if err != nil {
		return err
	}
	router.AddConsumerHandler(persisterName, string(p.store.Family()), s, p.handle)
	err = router.Run(ctx) // and the loop with it
	return errors.Join(err, s.err)
}

// nowhere is the poison topic of a process that has none.
type nowhere struct{}

func (nowhere) Publish(string, ...*message.Message) error { return nil }
func (nowhere) Close() error                              { return nil }

// collect counts a handler call at its collector, however the call ends. A message that has to wait is left to the subscriber:
// the router would log each message of a batch, whereas the subscriber logs the batch.
func collect(h message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) ([]*message.Message, error) {
		defer deliveryOf(m).leave()
		produced, err := h(m)
		if err != nil && waits(err) {
			m.Nack()
			return nil, nil
		}
		return produced, err
	}
}

// handle returns when the change of a message is committed or refused, with all of its batch, or has to be handed out again.
// Any other error is that of an entry that cannot be read.
func (p *Persister) handle(m *message.Message) error {
	d := deliveryOf(m)
	reason := d.change().Malformed
	if reason == nil {
		return d.commit()
	}
	p.d.Metrics.verdicts.WithLabelValues(string(p.store.Family()), "malformed").Inc()
	p.log.ErrorContext(m.Context(), "entry cannot be read", "error", reason)
	m.Metadata.Set(MetaKey, m.UUID)
	m.UUID = uuid.NewSHA1(uuid.Nil, []byte(m.UUID)).String() // the same at every delivery
	return reason
}

// settle persists one group: commit → tell → forget; refusals are told last. It returns those that have to be persisted again,
// by stream ID, because they depend on changes that are still on their way.
//
// Instances commit their groups in any order, so the database may refuse a change only because one that Redis admitted
// before it is still on its way. Its word is final when nothing that the change could depend on is.
func (p *Persister) settle(ctx context.Context, group []ledger.Admitted) (waiting map[string]bool, err error) {
	refused, err := p.commit(ctx, group, func(verdict error) bool {
		return verdict == nil || errors.Is(verdict, ledger.ErrAlreadyApplied)
	})
	if err != nil || len(refused) == 0 {
		return nil, err
	}
	if waiting, err = p.store.Behind(ctx, refused); err != nil {
		return nil, err
	}
	var last []ledger.Admitted
	for _, pending := range refused {
		if !waiting[pending.StreamID] {
			last = append(last, pending)
		}
	}
	// Those before them may have been committed right after the database refused them: it is asked once more.
	_, err = p.commit(ctx, last, func(error) bool { return true })
	return waiting, err
}

// commit has the database decide on changes; those whose verdict is final are told and forgotten, the others
// returned.
func (p *Persister) commit(
	ctx context.Context, batch []ledger.Admitted, final func(verdict error) bool,
) (refused []ledger.Admitted, err error) {
	if len(batch) == 0 {
		return nil, nil
	}
	verdicts, err := p.d.Ledger.Persist(ctx, lockprovider.Lua, batch)
	if err != nil {
		return nil, err // nothing is known: they stay pending, are read and persisted again
	}
	decided, open := results{batch, verdicts}.split(final)
	// Another process may hold an entry that is refused here, and apply it later: it must not, once the caller is told.
	if err := p.d.Ledger.RefuseAdmitted(ctx, lockprovider.Lua, decided.changes, decided.verdicts); err != nil {
		return nil, err
	}
	held, taken := decided.split(func(verdict error) bool {
		return verdict == nil || errors.Is(verdict, ledger.ErrAlreadyApplied)
	})
	// A commit is told at once: Redis may be tidied afterwards. A refusal is told after Redis has taken the change back, or
	// a caller that tries another way would still find the change there.
	p.d.confirmations.Tell(ctx, p.d.Instance, held.changes, held.verdicts)
	err = p.forget(ctx, decided)
	p.d.confirmations.Tell(ctx, p.d.Instance, taken.changes, taken.verdicts)
	return open.changes, err
}

// results are changes and what the database said of each.
type results struct {
	changes  []ledger.Admitted
	verdicts []error
}

// split returns those whose verdict is of a kind, and the others. If all are of that kind, which is the rule, it copies none.
func (r results) split(isOfKind func(verdict error) bool) (ofKind, others results) {
	isOther := func(verdict error) bool { return !isOfKind(verdict) }
	if !slices.ContainsFunc(r.verdicts, isOther) {
		return r, results{}
	}
	for i, verdict := range r.verdicts {
		side := &others
		if isOfKind(verdict) {
			side = &ofKind
		}
		side.changes, side.verdicts = append(side.changes, r.changes[i]), append(side.verdicts, verdict)
	}
	return ofKind, others
}

// forget removes what the database has confirmed from Redis, and takes back what it has refused.
func (p *Persister) forget(ctx context.Context, decided results) error {
	metrics, family := p.d.Metrics, string(p.store.Family())
	confirmed, others := decided.split(func(verdict error) bool { return verdict == nil })
	var errs []error
	for i, pending := range others.changes {
		verdict := others.verdicts[i]
		if errors.Is(verdict, ledger.ErrAlreadyApplied) {
			metrics.verdicts.WithLabelValues(family, "repeat").Inc()
			errs = append(errs, p.store.Undo(ctx, pending, nil))
			continue
		}
		metrics.verdicts.WithLabelValues(family, "refused").Inc()
		p.log.WarnContext(ctx, "the database refused what redis had admitted", "change", pending.Change.ID,
			"kind", pending.Change.Record.Kind, "reason", verdict)
		errs = append(errs, p.store.Undo(ctx, pending, verdict))
	}
	metrics.batch.WithLabelValues(family).Observe(float64(len(decided.changes)))
	metrics.verdicts.WithLabelValues(family, "confirmed").Add(float64(len(confirmed.changes)))
	return errors.Join(append(errs, p.store.Done(ctx, confirmed.changes))...)
}

// Background runs a loop until stop is called, which waits for it to end.
func Background(ctx context.Context, loop func(ctx context.Context)) (stop func() error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() { loop(ctx) })
	return func() error {
		cancel()
		running.Wait()
		return nil
	}
}

// rest waits, or until ctx ends.
func rest(ctx context.Context, d time.Duration) {
	_ = lock.Pause(ctx, d)
}
