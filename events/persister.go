package events

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/config/setting"
	"holdfast/lockprovider"
	"holdfast/lockprovider/ledger"
	"holdfast/lockprovider/redisfirst"
)

// Persister writes the changes that Redis has admitted into the database, in groups: one transaction takes whatever has
// come in while the one before was committed. Any number of instances may run one for the same family; each change is
// applied once, whoever reads it, however often.
//
// It reads the stream itself instead of through a Watermill subscriber: that hands out one message at a time and expects
// each to be acknowledged before the next, which rules out one commit for many.
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
	// Poison puts away an entry that cannot be read, so that a person can look at it; see [Events.Poison]. Only then is it
	// removed from the stream. With nil it is logged, no more.
	Poison func(ctx context.Context, id string, entry []byte, reason error) error

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

// Run persists until ctx ends; the batch in hand is finished then.
//
// What a batch leaves unfinished, because the database did not answer or because changes wait for earlier ones that another
// instance has read, is still pending under this consumer's name, and is read again before anything new.
func (p *Persister) Run(ctx context.Context) {
	s := p.d.Settings
	retry := s.Retry
	claimed := time.Time{} // at the start: what an earlier life of this instance left behind
	unfinished := false
	for ctx.Err() == nil {
		var left bool
		var err error
		if unfinished {
			left, err = p.once(ctx, p.again)
		}
		if err == nil && time.Since(claimed) >= s.ClaimIdle/2 {
			claimed = time.Now()
			var more bool
			more, err = p.once(ctx, func() ([]ledger.Admitted, error) {
				return p.store.Claim(ctx, p.d.Instance, s.Batch, s.ClaimIdle)
			})
			left = left || more
		}
		if err == nil {
			block := s.Block
			if left {
				block = s.Retry // what waits for other instances is looked at again soon
			}
			var more bool
			more, err = p.once(ctx, func() ([]ledger.Admitted, error) {
				return p.store.Read(ctx, p.d.Instance, s.Batch, block)
			})
			left = left || more
		}
		unfinished = left || err != nil
		switch {
		case err == nil:
			retry = s.Retry
		case ctx.Err() != nil:
		case errors.Is(err, redisfirst.ErrNoGroup) && p.store.OpenGroup(ctx) == nil:
			p.log.InfoContext(ctx, "consumer group created")
		default:
			p.log.WarnContext(ctx, "changes wait to be persisted", "error", err, "retry", retry)
			rest(ctx, retry)
			retry = min(2*retry, s.MaxRetry)
		}
	}
}

// again reads what this instance has read before and not finished.
func (p *Persister) again() ([]ledger.Admitted, error) {
	return p.store.ReadAgain(context.Background(), p.d.Instance, p.d.Settings.Batch)
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
	if err := p.store.OpenGroup(ctx); err != nil {
		return err
	}
	batch := p.d.Settings.Batch
	for {
		for _, read := range []func() ([]ledger.Admitted, error){
			func() ([]ledger.Admitted, error) { return p.store.Claim(ctx, p.d.Instance, batch, 0) },
			func() ([]ledger.Admitted, error) { return p.store.Read(ctx, p.d.Instance, batch, -1) },
		} {
			if _, err := p.once(ctx, read); err != nil {
				return err
			}
		}
		left, err := p.store.Backlog(ctx)
		if err != nil || left == 0 {
			return err
		}
	}
}

// once persists one batch: read → commit → tell → forget; refusals are told last. It tells whether some of the batch has to be persisted again. A
// batch that was read is finished, within its bound, even when ctx ends.
//
// Instances commit their batches in any order, so the database may refuse a change only because one that Redis admitted
// before it is still on its way. Its word is final when nothing that the change could depend on is.
func (p *Persister) once(ctx context.Context, read func() ([]ledger.Admitted, error)) (unfinished bool, err error) {
	batch, err := read()
	if err != nil || len(batch) == 0 {
		return false, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.d.Settings.Finish)
	defer cancel()
	batch = p.putMalformedAway(ctx, batch)
	refused, err := p.commit(ctx, batch, func(verdict error) bool {
		return verdict == nil || errors.Is(verdict, ledger.ErrAlreadyApplied)
	})
	if err != nil || len(refused) == 0 {
		return err != nil, err
	}
	waiting, err := p.store.Behind(ctx, refused)
	if err != nil {
		return true, err
	}
	var last []ledger.Admitted
	for _, pending := range refused {
		if !waiting[pending.StreamID] {
			last = append(last, pending)
		}
	}
	// Those before them may have been committed right after the database refused them: it is asked once more.
	_, err = p.commit(ctx, last, func(error) bool { return true })
	return err != nil || len(last) < len(refused), err
}

// commit has the database decide on changes; those whose verdict is final are told and forgotten, the others returned.
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
	var settled []ledger.Admitted
	var words []error
	for i, pending := range batch {
		if final(verdicts[i]) {
			settled, words = append(settled, pending), append(words, verdicts[i])
		} else {
			refused = append(refused, pending)
		}
	}
	// A commit is told at once: Redis may be tidied afterwards. A refusal is told after Redis has taken the change back, or
	// a caller that tries another way would still find the change there.
	p.tell(ctx, settled, words, true)
	err = p.forget(ctx, settled, words)
	p.tell(ctx, settled, words, false)
	return refused, err
}

// tell gives the callers the results of those changes of a batch that the database holds, or of the others.
func (p *Persister) tell(ctx context.Context, batch []ledger.Admitted, results []error, held bool) {
	var changes []ledger.Admitted
	var told []error
	for i, result := range results {
		if (result == nil || errors.Is(result, ledger.ErrAlreadyApplied)) == held {
			changes, told = append(changes, batch[i]), append(told, result)
		}
	}
	p.d.confirmations.Tell(ctx, p.d.Instance, changes, told)
}

// forget removes what the database has confirmed from Redis, and takes back what it has refused.
func (p *Persister) forget(ctx context.Context, batch []ledger.Admitted, verdicts []error) error {
	metrics, family := p.d.Metrics, string(p.store.Family())
	confirmed := make([]ledger.Admitted, 0, len(batch))
	var errs []error
	for i, pending := range batch {
		switch verdict := verdicts[i]; {
		case verdict == nil:
			confirmed = append(confirmed, pending)
		case errors.Is(verdict, ledger.ErrAlreadyApplied):
			metrics.verdicts.WithLabelValues(family, "repeat").Inc()
			errs = append(errs, p.store.Undo(ctx, pending, nil))
		default:
			metrics.verdicts.WithLabelValues(family, "refused").Inc()
			p.log.WarnContext(ctx, "the database refused what redis had admitted", "change", pending.Change.ID,
				"kind", pending.Change.Record.Kind, "reason", verdict)
			errs = append(errs, p.store.Undo(ctx, pending, verdict))
		}
	}
	metrics.batch.WithLabelValues(family).Observe(float64(len(batch)))
	metrics.verdicts.WithLabelValues(family, "confirmed").Add(float64(len(confirmed)))
	return errors.Join(append(errs, p.store.Done(ctx, confirmed))...)
}

// putMalformedAway takes entries out of the batch that nothing can be made of, loudly: nobody but a stranger to this
// program writes them. What cannot be put away stays pending and is claimed again.
func (p *Persister) putMalformedAway(ctx context.Context, batch []ledger.Admitted) []ledger.Admitted {
	good := batch[:0]
	for _, pending := range batch {
		if pending.Malformed == nil {
			good = append(good, pending)
			continue
		}
		p.d.Metrics.verdicts.WithLabelValues(string(p.store.Family()), "malformed").Inc()
		p.log.ErrorContext(ctx, "entry cannot be read", "error", pending.Malformed)
		var err error
		if p.d.Poison != nil {
			err = p.d.Poison(ctx, pending.StreamID, pending.Raw, pending.Malformed)
		}
		if err == nil {
			err = p.store.Discard(ctx, pending)
		}
		if err != nil {
			p.log.WarnContext(ctx, "entry not put away", "error", err)
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
