// Package schedulers runs the jobs that keep a shop in order: it compares Redis with the database and repairs what has
// drifted, creates balances that Redis has lost, ends orders that were not paid and holds whose time is over, looks up payments that were cut off, compares
// them with the payment gateway, compares counts of orders with the orders, deletes rows that are not needed any more and carts that nobody touches, and
// indexes products that the search does not know.
//
// One file a job. Each job has a runOnce, which does the work. The Runner decides when it runs, and on which instance.
package schedulers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/ent/driftreport"
	"holdfast/ent/schedulerrun"
	"holdfast/ent/schema"
	"holdfast/lockprovider"
)

// Job names a job.
type Job string

// The jobs.
const (
	Reconcile Job = "reconcile"
	Prime     Job = "prime"
	Expire    Job = "expire"
	Sweep     Job = "sweep"
	Retention Job = "retention"
	Index     Job = "index"

	PaymentDrift Job = "paymentDrift"
	LimitDrift   Job = "limitDrift"
)

// allJobs are the jobs in the order of their schedules.
var allJobs = []Job{Expire, Sweep, Reconcile, Prime, Retention, Index, PaymentDrift, LimitDrift}

// Result is what a run did, as counts.
type Result map[string]int64

// job is one kind of work. runOnce may be cut off at any point, and may run on several instances at the same time: it makes
// each effect once. It returns what it did, with an error if it could not do all of it.
type job interface {
	runOnce(ctx context.Context) (Result, error)
}

// observer is a job that looks at something after each of its periods, on each instance.
type observer interface {
	observe(ctx context.Context)
}

// Deps is what the jobs work with.
type Deps struct {
	Client *ent.Client
	Ledger *lockprovider.Ledger
	// Providers are those of all families. Jobs work on the families whose provider is a lockprovider.Reconciler.
	Providers *lockprovider.Providers
	Orders    *commerce.Orders
	Holds     *commerce.Holds
	Attempts  *commerce.Attempts
	Refunds   *commerce.Refunds
	Drifts    *commerce.PaymentDrifts
	Limits    *commerce.LimitDrifts
	Catalog   *commerce.Catalog
	// Instance names this process among those that share the database.
	Instance string
	Settings Settings
	Metrics  *Metrics     // nil counts nothing
	Log      *slog.Logger // nil means slog.Default
	// Now is the clock of all instances, such as that of their database; nil means time.Now.
	Now func() time.Time
}

// Runner runs the jobs of one instance.
type Runner struct {
	client   *ent.Client
	jobs     map[Job]job
	names    []Job // in the order of their schedules
	prime    *prime
	claims   *claims
	settings Settings
	instance string
	metrics  *Metrics
	log      *slog.Logger

	stopping context.Context //nolint:containedctx // the life of the runner: it ends with Stop
	stop     context.CancelFunc
	mu       sync.Mutex
	stopped  bool
	running  sync.WaitGroup // the loops, and the calls of RunNow and Prime

	// onAttempt is called after each attempt to run a job, with one of the outcomes below; for tests.
	onAttempt func(name Job, outcome string)
}

// Outcomes of a run, as counted.
const (
	outcomeDone      = "ok"
	outcomeFailed    = "error"
	outcomeElsewhere = "elsewhere"
	outcomeUnclaimed = "unclaimed" // the database did not answer
)

// afterRunTimeout bounds each write after a run. These are written even if the run was cut off.
const afterRunTimeout = 5 * time.Second

// New returns a runner that has not started yet. Stop must be called in any case.
func New(d Deps) (*Runner, error) {
	if err := d.Settings.Validate(); err != nil {
		return nil, fmt.Errorf("schedulers: %w", err)
	}
	if d.Metrics == nil {
		d.Metrics = NewMetrics(nil)
	}
	if d.Log == nil {
		d.Log = slog.Default()
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	stopping, stop := context.WithCancel(context.Background())
	r := &Runner{
		client: d.Client, settings: d.Settings, instance: d.Instance, metrics: d.Metrics, log: d.Log,
		prime: &prime{client: d.Client, ledger: d.Ledger, providers: d.Providers, page: d.Settings.Page},
		claims: &claims{
			client: d.Client, now: microseconds(d.Now), instance: d.Instance, lease: d.Settings.Lease, held: map[Job]bool{},
		},
		stopping: stopping, stop: stop, onAttempt: func(Job, string) {},
	}
	r.claims.periods = map[Job]time.Duration{
		Expire: d.Settings.ExpireEvery, Reconcile: d.Settings.ReconcileEvery, Prime: d.Settings.PrimeEvery,
		Retention: d.Settings.RetainEvery, Index: d.Settings.IndexEvery, Sweep: d.Settings.SweepEvery,
		PaymentDrift: d.Settings.PaymentDriftEvery, LimitDrift: d.Settings.LimitDriftEvery,
	}
	r.names = allJobs
	r.jobs = map[Job]job{
		Expire: &expire{orders: d.Orders, holds: d.Holds, batch: d.Settings.ExpireBatch, metrics: d.Metrics, log: d.Log},
		Sweep: &sweep{
			attempts: d.Attempts, refunds: d.Refunds, after: d.Settings.SweepAfter, batch: d.Settings.SweepBatch, metrics: d.Metrics, log: d.Log,
		},
		Reconcile: newReconcile(d),
		Prime:     r.prime,
		Retention: &retention{client: d.Client, providers: d.Providers, settings: d.Settings, now: r.claims.now},
		Index:     &index{catalog: d.Catalog, batch: d.Settings.IndexBatch},

		PaymentDrift: &paymentDrift{drifts: d.Drifts, page: d.Settings.Page, metrics: d.Metrics, log: d.Log},
		LimitDrift: &limitDrift{
			limits: d.Limits, client: d.Client, page: d.Settings.Page, most: balancesARun, metrics: d.Metrics, log: d.Log,
		},
	}
	return r, nil
}

// microseconds returns a clock in UTC with the precision that every database keeps.
func microseconds(now func() time.Time) func() time.Time {
	return func() time.Time { return now().UTC().Truncate(time.Microsecond) }
}

// Start begins to run the jobs, each in a loop of its own. It returns at once.
func (r *Runner) Start() {
	for _, name := range r.names {
		if !r.begin() {
			return
		}
		go func() {
			defer r.running.Done()
			r.loop(r.stopping, name)
		}()
	}
}

// loop attempts a job at once, and then once in every period until ctx ends. A run that takes longer than a period makes the
// loop skip the periods in between.
func (r *Runner) loop(ctx context.Context, name Job) {
	ticker := time.NewTicker(r.claims.periods[name])
	defer ticker.Stop()
	for {
		r.attempt(ctx, name)
		if o, ok := r.jobs[name].(observer); ok {
			o.observe(ctx)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// attempt runs a job if it is due and no other instance is faster.
func (r *Runner) attempt(ctx context.Context, name Job) {
	claim, err := r.claims.claim(ctx, name, true)
	switch {
	case err == nil:
		r.run(ctx, claim)
	case errors.Is(err, ErrElsewhere):
		r.count(name, outcomeElsewhere)
	case ctx.Err() == nil:
		r.log.WarnContext(ctx, "job not run", "job", name, "error", err)
		r.count(name, outcomeUnclaimed)
	}
}

// bound returns a context that ends with ctx, after Timeout, or with Stop.
func (r *Runner) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, r.settings.Timeout)
	detach := context.AfterFunc(r.stopping, cancel)
	return ctx, func() { detach(); cancel() }
}

func (r *Runner) count(name Job, outcome string) {
	r.metrics.runs.WithLabelValues(string(name), outcome).Inc()
	r.onAttempt(name, outcome)
}

// Stop ends the runner. It cuts off the runs under way, and waits for them until ctx ends.
func (r *Runner) Stop(ctx context.Context) error {
	r.mu.Lock()
	r.stopped = true
	r.mu.Unlock()
	r.stop()
	ended := make(chan struct{})
	go func() {
		r.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the runs under way to end: %w", ctx.Err())
	}
}

// Errors of RunNow.
var (
	ErrUnknownJob = errors.New("unknown job")
	ErrStopped    = errors.New("the jobs have been stopped")
)

// RunNow runs a job at once, due or not, and returns the run. If the job fails, the run says so. Errors: ErrUnknownJob,
// ErrElsewhere if an instance is running the job, ErrStopped.
func (r *Runner) RunNow(ctx context.Context, name Job) (*ent.SchedulerRun, error) {
	if r.jobs[name] == nil {
		return nil, fmt.Errorf("%w: %q", ErrUnknownJob, name)
	}
	if !r.begin() {
		return nil, ErrStopped
	}
	defer r.running.Done()
	claim, err := r.claims.claim(ctx, name, false)
	if err != nil {
		return nil, err
	}
	return r.run(ctx, claim), nil
}

// begin counts a loop or a call as running, unless the runner has been stopped. If it returns true, running.Done must follow.
func (r *Runner) begin() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.stopped {
		r.running.Add(1)
	}
	return !r.stopped
}

// Prime creates the balances that Redis lacks from the database. The caller calls it when Redis is back. It needs no claim:
// the first instance that creates a balance has created it for all.
func (r *Runner) Prime(ctx context.Context) (Result, error) {
	if !r.begin() {
		return nil, ErrStopped
	}
	defer r.running.Done()
	ctx, cancel := r.bound(ctx)
	defer cancel()
	return r.prime.runOnce(ctx)
}

// run runs a job that has been claimed, records the run, and releases the claim.
func (r *Runner) run(ctx context.Context, claim *claim) *ent.SchedulerRun {
	defer func() {
		if err := claim.release(ctx); err != nil {
			r.log.WarnContext(ctx, "job not freed", "job", claim.job, "error", err)
		}
	}()
	ctx, cancel := r.bound(ctx)
	defer cancel()
	held, stopRenewing := claim.keepRenewed(ctx)
	name, began := claim.job, r.claims.now()
	result, err := guarded(held, r.jobs[name])
	if err != nil && held.Err() != nil {
		err = errors.Join(context.Cause(held), err)
	}
	stopRenewing()

	run := &ent.SchedulerRun{
		Job: string(name), Instance: r.instance, StartedAt: began, DurationMicros: max(0, r.claims.now().Sub(began).Microseconds()),
		Result: result,
	}
	outcome := outcomeDone
	if err != nil {
		run.Error, outcome = truncate(err.Error()), outcomeFailed
		r.log.WarnContext(ctx, "job failed", "job", name, "error", err, "result", result)
	} else {
		r.log.DebugContext(ctx, "job done", "job", name, "result", result)
	}
	r.metrics.seconds.WithLabelValues(string(name)).Observe(float64(run.DurationMicros) / 1e6)
	run = r.record(ctx, run)
	r.count(name, outcome)
	return run
}

// guarded calls runOnce. A panic of the job becomes an error.
func guarded(ctx context.Context, j job) (result Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return j.runOnce(ctx)
}

// truncate cuts an error to the characters that the database's column holds. Databases refuse text that is not valid.
func truncate(s string) string {
	const more = "..."
	s = strings.ToValidUTF8(s, "")
	if r := []rune(s); len(r) > schema.MaxJobError {
		return string(r[:schema.MaxJobError-len(more)]) + more
	}
	return s
}

// record writes the run, if it can: a run that is not recorded has still been done.
func (r *Runner) record(ctx context.Context, run *ent.SchedulerRun) *ent.SchedulerRun {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterRunTimeout)
	defer cancel()
	if run.Result == nil {
		run.Result = Result{}
	}
	row, err := r.client.SchedulerRun.Create().SetJob(run.Job).SetInstance(run.Instance).SetStartedAt(run.StartedAt).
		SetDurationMicros(run.DurationMicros).SetResult(run.Result).SetError(run.Error).Save(ctx)
	if err != nil {
		r.log.WarnContext(ctx, "run not recorded", "job", run.Job, "error", err)
		return run
	}
	return row
}

// lastRuns is how many runs of each job are shown.
const lastRuns = 10

// LastRuns returns the last runs of each job on all instances, the newest run of a job first.
func (r *Runner) LastRuns(ctx context.Context) ([]*ent.SchedulerRun, error) {
	var runs []*ent.SchedulerRun
	for _, name := range r.names {
		rows, err := r.client.SchedulerRun.Query().Where(schedulerrun.Job(string(name))).
			Order(ent.Desc(schedulerrun.FieldID)).Limit(lastRuns).All(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the last runs: %w", err)
		}
		runs = append(runs, rows...)
	}
	return runs, nil
}

// maxDrifts bounds how many drift reports are shown.
const maxDrifts = 200

// Drifts returns the reports of balances that had drifted, the newest first. onlyMismatched leaves out those that have been
// repaired.
func (r *Runner) Drifts(ctx context.Context, onlyMismatched bool) ([]*ent.DriftReport, error) {
	query := r.client.DriftReport.Query()
	if onlyMismatched {
		query.Where(driftreport.Repaired(false))
	}
	rows, err := query.Order(ent.Desc(driftreport.FieldSeenAt, driftreport.FieldID)).Limit(maxDrifts).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read drift reports: %w", err)
	}
	return rows, nil
}

// reconcilers returns the providers that keep balances in Redis, by family.
func reconcilers(p *lockprovider.Providers) map[lockprovider.Family]lockprovider.Reconciler {
	found := map[lockprovider.Family]lockprovider.Reconciler{}
	for _, family := range lockprovider.Families {
		if r, ok := lockprovider.As[lockprovider.Reconciler](p.For(family)); ok {
			found[family] = r
		}
	}
	return found
}
