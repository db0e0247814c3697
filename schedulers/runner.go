// Package schedulers runs the jobs that keep a shop in order: it compares Redis with the database and repairs what has
// drifted, creates what Redis has lost, ends what was not paid, and deletes what is not needed any more.
//
// One file a job. Each job has a runOnce, which does the work; when it runs, and on which instance, is the Runner's.
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
)

// Result is what a run did, as counts.
type Result map[string]int64

// job does one chore. runOnce must be safe to cut off at any point and to run on several instances at the same time; it
// returns what it did, with an error where it could not do all of it.
type job interface {
	runOnce(ctx context.Context) (Result, error)
}

// Deps is what the jobs work with.
type Deps struct {
	Client *ent.Client
	Ledger *lockprovider.Ledger
	// Providers tell which families have balances in Redis as well, which are to be compared with the database.
	Providers *lockprovider.Providers
	Orders    *commerce.Orders
	// Sweep publishes changes that were left unpublished; nil means that there is no such job.
	Sweep func(ctx context.Context) error
	// Instance names this process among those that share the database.
	Instance string
	Settings Settings
	Metrics  *Metrics         // nil counts for nobody
	Log      *slog.Logger     // nil means slog.Default
	Now      func() time.Time // nil means time.Now
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

	// attempted hears of every run and of every time that another instance had run a job; for tests.
	attempted func(name Job, outcome string)
}

// Outcomes of a run, as counted.
const (
	outcomeDone      = "ok"
	outcomeFailed    = "error"
	outcomeElsewhere = "elsewhere"
	outcomeUnclaimed = "unclaimed" // the database did not answer
)

// afterwards bounds what is written after a run, also one that was cut off.
const afterwards = 5 * time.Second

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
			client: d.Client, now: microseconds(d.Now), instance: d.Instance, lease: d.Settings.Lease, mine: map[Job]bool{},
		},
		stopping: stopping, stop: stop, attempted: func(Job, string) {},
	}
	r.claims.periods = map[Job]time.Duration{
		Expire: d.Settings.ExpireEvery, Reconcile: d.Settings.ReconcileEvery, Prime: d.Settings.PrimeEvery,
		Retention: d.Settings.RetainEvery,
	}
	r.names = []Job{Expire, Reconcile, Prime, Retention}
	r.jobs = map[Job]job{
		Expire:    &expire{orders: d.Orders, batch: d.Settings.ExpireBatch},
		Reconcile: newReconcile(d),
		Prime:     r.prime,
		Retention: &retention{client: d.Client, providers: d.Providers, settings: d.Settings, now: r.claims.now},
	}
	if d.Sweep != nil {
		r.claims.periods[Sweep] = d.Settings.SweepEvery
		r.names = append(r.names, Sweep)
		r.jobs[Sweep] = sweep(d.Sweep)
	}
	return r, nil
}

// microseconds is a clock in UTC with the precision that every database keeps.
func microseconds(now func() time.Time) func() time.Time {
	return func() time.Time { return now().UTC().Truncate(time.Microsecond) }
}

// Start begins to run the jobs, each in a loop of its own. It returns at once.
func (r *Runner) Start() {
	for _, name := range r.names {
		if !r.enter() {
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
	r.attempted(name, outcome)
}

// Stop ends the runner: runs under way are cut off, which they are made for, and waited for until ctx ends.
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

// RunNow runs a job at once, due or not, and returns the run; where the job failed, that says so. Errors: ErrUnknownJob,
// ErrElsewhere where it is being run, ErrStopped.
func (r *Runner) RunNow(ctx context.Context, name Job) (*ent.SchedulerRun, error) {
	if r.jobs[name] == nil {
		return nil, fmt.Errorf("%w: %q", ErrUnknownJob, name)
	}
	if !r.enter() {
		return nil, ErrStopped
	}
	defer r.running.Done()
	claim, err := r.claims.claim(ctx, name, false)
	if err != nil {
		return nil, err
	}
	return r.run(ctx, claim), nil
}

func (r *Runner) enter() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.stopped {
		r.running.Add(1)
	}
	return !r.stopped
}

// Prime creates the balances that Redis lacks from the database: to be called when Redis is back. It needs no claim:
// whoever creates a balance first has created it.
func (r *Runner) Prime(ctx context.Context) (Result, error) {
	if !r.enter() {
		return nil, ErrStopped
	}
	defer r.running.Done()
	ctx, cancel := r.bound(ctx)
	defer cancel()
	return r.prime.runOnce(ctx)
}

// run runs a job that has been claimed, records the run, and gives the claim back.
func (r *Runner) run(ctx context.Context, claim *claim) *ent.SchedulerRun {
	defer func() {
		if err := claim.release(ctx); err != nil {
			r.log.WarnContext(ctx, "job not freed", "job", claim.job, "error", err)
		}
	}()
	ctx, cancel := r.bound(ctx)
	defer cancel()
	held, stopRenewing := claim.keep(ctx)
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

// guarded is runOnce for a job that may panic: it fails then, and no more.
func guarded(ctx context.Context, j job) (result Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return j.runOnce(ctx)
}

const maxError = 1000 // bytes, of the database's column

func truncate(s string) string {
	const more = "..."
	if len(s) <= maxError {
		return s
	}
	return strings.ToValidUTF8(s[:maxError-len(more)], "") + more
}

// record writes the run, if it can: a run that is not recorded has still been done.
func (r *Runner) record(ctx context.Context, run *ent.SchedulerRun) *ent.SchedulerRun {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterwards)
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

// LastRuns are the last runs of each job on whatever instance, the newest of a job first.
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

// Drifts are the balances that were found to have drifted, the newest first; onlyMismatched leaves out those that have been
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

// reconcilers are the providers that keep balances in Redis as well, by family.
func reconcilers(p *lockprovider.Providers) map[lockprovider.Family]lockprovider.Reconciler {
	found := map[lockprovider.Family]lockprovider.Reconciler{}
	for _, family := range lockprovider.Families {
		if r, ok := lockprovider.As[lockprovider.Reconciler](p.For(family)); ok {
			found[family] = r
		}
	}
	return found
}
