package events

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/lockprovider"
)

// Persister writes the changes that Redis has admitted into the database, in groups: one transaction takes whatever has
// come in while the one before was committed. Any number of instances may run one for the same family; each change is
// applied once, whoever reads it, however often.
//
// It reads the stream itself instead of through a Watermill subscriber: that hands out one message at a time and expects
// each to be acknowledged before the next, which rules out one commit for many.
type Persister struct {
	admission *lockprovider.Admission
	ledger    *lockprovider.Ledger
	waiters   *lockprovider.Waiters
	instance  string
	settings  PersisterSettings
	metrics   *PersisterMetrics
	log       *slog.Logger
}

// PersisterSettings are the bounds of a Persister.
type PersisterSettings struct {
	// Batch is the most changes of one transaction.
	Batch int64
	// Block is how long one read waits for changes, and so how long a stop may take.
	Block time.Duration
	// ClaimIdle is how long a change may lie read but unconfirmed before another instance takes it over: the time after
	// which a crash is made good.
	ClaimIdle time.Duration
	// Retry is the first pause after a failure of Redis or the database; it doubles up to MaxRetry.
	Retry, MaxRetry time.Duration
	// Finish bounds the batch in hand when the persister is told to stop.
	Finish time.Duration
}

// DefaultPersisterSettings suit a database that commits in milliseconds.
func DefaultPersisterSettings() PersisterSettings {
	return PersisterSettings{
		Batch: 256, Block: 500 * time.Millisecond, ClaimIdle: 3 * time.Second,
		Retry: 20 * time.Millisecond, MaxRetry: time.Second, Finish: 10 * time.Second,
	}
}

// PersisterMetrics count what is persisted.
type PersisterMetrics struct {
	batch    *prometheus.HistogramVec
	verdicts *prometheus.CounterVec
}

// NewPersisterMetrics registers the instruments; with a nil registerer they count for nobody.
func NewPersisterMetrics(reg prometheus.Registerer) *PersisterMetrics {
	m := &PersisterMetrics{
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

// NewPersister returns the persister of a family. instance is the name under which this process waits for its own
// changes.
func NewPersister(
	a *lockprovider.Admission, l *lockprovider.Ledger, w *lockprovider.Waiters, instance string, s PersisterSettings,
	m *PersisterMetrics, log *slog.Logger,
) *Persister {
	return &Persister{
		admission: a, ledger: l, waiters: w, instance: instance, settings: s, metrics: m,
		log: log.With("family", a.Family()),
	}
}

// Run persists until ctx ends; the batch in hand is finished then.
func (p *Persister) Run(ctx context.Context) {
	retry := p.settings.Retry
	claimed := time.Time{} // at the start: what an earlier life of this instance left behind
	for ctx.Err() == nil {
		var err error
		if time.Since(claimed) >= p.settings.ClaimIdle/2 {
			claimed = time.Now()
			err = p.once(ctx, func() ([]lockprovider.Pending, error) {
				return p.admission.Claim(ctx, p.instance, p.settings.Batch, p.settings.ClaimIdle)
			})
		}
		if err == nil {
			err = p.once(ctx, func() ([]lockprovider.Pending, error) {
				return p.admission.Read(ctx, p.instance, p.settings.Batch, p.settings.Block)
			})
		}
		switch {
		case err == nil:
			retry = p.settings.Retry
		case ctx.Err() != nil:
		case errors.Is(err, lockprovider.ErrNoGroup) && p.admission.OpenGroup(ctx) == nil:
			p.log.InfoContext(ctx, "consumer group created")
		default:
			p.log.WarnContext(ctx, "changes wait to be persisted", "error", err, "retry", retry)
			rest(ctx, retry)
			retry = min(2*retry, p.settings.MaxRetry)
		}
	}
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

// Drain persists what is in the stream and returns when it is empty: before a family is taken away from lua, or at the
// end of a test.
func (p *Persister) Drain(ctx context.Context) error {
	if err := p.admission.OpenGroup(ctx); err != nil {
		return err
	}
	for {
		for _, read := range []func() ([]lockprovider.Pending, error){
			func() ([]lockprovider.Pending, error) { return p.admission.Claim(ctx, p.instance, p.settings.Batch, 0) },
			func() ([]lockprovider.Pending, error) { return p.admission.Read(ctx, p.instance, p.settings.Batch, -1) },
		} {
			if err := p.once(ctx, read); err != nil {
				return err
			}
		}
		left, err := p.admission.Backlog(ctx)
		if err != nil || left == 0 {
			return err
		}
	}
}

// once persists one batch: read → commit → forget → tell. A batch that was read is finished, within its bound, even when
// ctx ends.
func (p *Persister) once(ctx context.Context, read func() ([]lockprovider.Pending, error)) error {
	batch, err := read()
	if err != nil || len(batch) == 0 {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.settings.Finish)
	defer cancel()
	batch = p.discardMalformed(ctx, batch)
	if len(batch) == 0 {
		return nil
	}
	verdicts, err := p.ledger.Persist(ctx, lockprovider.Lua, batch)
	if err != nil {
		return err // nothing is known: they stay pending, are claimed and persisted again
	}
	p.waiters.Tell(ctx, p.instance, batch, verdicts) // the commit is what counts; Redis may be tidied afterwards
	return p.forget(ctx, batch, verdicts)
}

// forget removes what the database has confirmed from Redis, and takes back what it has refused.
func (p *Persister) forget(ctx context.Context, batch []lockprovider.Pending, verdicts []error) error {
	family := string(p.admission.Family())
	confirmed := make([]lockprovider.Pending, 0, len(batch))
	var errs []error
	for i, pending := range batch {
		switch verdict := verdicts[i]; {
		case verdict == nil:
			confirmed = append(confirmed, pending)
		case errors.Is(verdict, lockprovider.ErrAlreadyApplied):
			p.metrics.verdicts.WithLabelValues(family, "repeat").Inc()
			errs = append(errs, p.admission.Undo(ctx, pending, nil))
		default:
			p.metrics.verdicts.WithLabelValues(family, "refused").Inc()
			p.log.WarnContext(ctx, "the database refused what redis had admitted", "change", pending.Change.ID,
				"kind", pending.Change.Record.Kind, "reason", verdict)
			errs = append(errs, p.admission.Undo(ctx, pending, verdict))
		}
	}
	p.metrics.batch.WithLabelValues(family).Observe(float64(len(batch)))
	p.metrics.verdicts.WithLabelValues(family, "confirmed").Add(float64(len(confirmed)))
	return errors.Join(append(errs, p.admission.Done(ctx, confirmed))...)
}

// discardMalformed drops entries that nothing can be made of, loudly: nobody but a stranger to this program writes them.
func (p *Persister) discardMalformed(ctx context.Context, batch []lockprovider.Pending) []lockprovider.Pending {
	good := batch[:0]
	for _, pending := range batch {
		if pending.Malformed == nil {
			good = append(good, pending)
			continue
		}
		p.metrics.verdicts.WithLabelValues(string(p.admission.Family()), "malformed").Inc()
		p.log.ErrorContext(ctx, "entry discarded", "error", pending.Malformed)
		if err := p.admission.Discard(ctx, pending); err != nil {
			p.log.WarnContext(ctx, "entry not discarded", "error", err)
		}
	}
	return good
}

// rest waits, or until ctx ends.
func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
