package experiment

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"holdfast/experiment/plans"
	"holdfast/experiment/report"
)

// Lab runs experiments for those who do not wait at a terminal: one at a time, and remembered for as long as the process
// lives. All methods are safe for concurrent use.
type Lab struct {
	settings LabSettings

	mu     sync.Mutex
	trials []*Trial // the oldest first; the newest may be under way
	cancel context.CancelCauseFunc
	ended  chan struct{} // closed when the newest has ended
	closed bool
}

// LabSettings bound what a lab does.
type LabSettings struct {
	// Run runs a plan, as [Runner.Run] does.
	Run func(ctx context.Context, p plans.Plan, progress func(Progress)) (report.Report, error)
	// MaxDuration is how long an experiment may take in all; then it is stopped, and what was measured is reported.
	MaxDuration time.Duration
	// MaxClients is how many customers may ask at the same time.
	MaxClients int
}

const (
	// MaxTrials is how many experiments a lab remembers.
	MaxTrials = 20
	// MaxRuns is how many runs an experiment of a lab may have. A report with more is for a file.
	MaxRuns = 100
)

// Errors of a lab. Whatever else Start returns says what is wrong with the plan.
var (
	ErrBusy    = errors.New("an experiment is under way already; look at it, or stop it")
	ErrUnknown = errors.New("there is no such experiment: an instance remembers its last ones, until it stops")
	ErrClosed  = errors.New("the server is stopping")
)

// Why an experiment was ended before its time.
var (
	errStopped = errors.New("stopped by an administrator")
	errTooLong = errors.New("stopped: it took longer than experiments.maxDuration")
)

// State is how far a trial has come.
type State string

// The states. A trial is stopping until its servers have ended.
const (
	StateRunning  State = "RUNNING"
	StateStopping State = "STOPPING"
	StateFinished State = "FINISHED"
	StateStopped  State = "STOPPED"
	StateFailed   State = "FAILED"
)

// Over tells that nothing changes any more.
func (s State) Over() bool { return s != StateRunning && s != StateStopping }

// Trial is one experiment of a lab, as it was when it was asked for.
type Trial struct {
	ID    string
	State State
	// Version is another one after each change.
	Version int
	Started time.Time
	// Ended is zero before the end.
	Ended time.Time
	// Progress is what was told last; its Run is 0 before the first server has been started.
	Progress Progress
	// Report holds the runs that have ended, and a conclusion once all have.
	Report report.Report
	// Problem says why it did not come to its end.
	Problem string
}

// NewLab returns a lab in which nothing happens yet. Close it.
func NewLab(s LabSettings) *Lab { return &Lab{settings: s} }

// Start begins an experiment and returns at once. It fails with [ErrBusy], or with what is wrong with the plan.
func (l *Lab) Start(p plans.Plan) (Trial, error) {
	if err := errors.Join(p.Validate(), l.bounded(p)); err != nil {
		return Trial{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch newest := l.newest(); {
	case l.closed:
		return Trial{}, ErrClosed
	case newest != nil && !newest.State.Over():
		return Trial{}, ErrBusy
	}
	t := &Trial{
		ID: "exp_" + strings.ToLower(rand.Text()), State: StateRunning, Started: time.Now().UTC(),
		Progress: Progress{Runs: len(p.Cases()) * p.Rounds}, Report: report.Report{Plan: p},
	}
	l.trials = append(l.trials, t)
	l.trials = l.trials[max(0, len(l.trials)-MaxTrials):]
	// Not of a request's context: who has started it may go.
	ctx, cancel := context.WithCancelCause(context.Background())
	l.cancel, l.ended = cancel, make(chan struct{})
	go l.run(ctx, cancel, t, p, l.ended)
	return *t, nil
}

// bounded refuses what would certainly be stopped before its end, and what would ask for more than this server is to bear.
func (l *Lab) bounded(p plans.Plan) error {
	var errs []error
	for _, n := range p.Clients {
		if n > l.settings.MaxClients {
			errs = append(errs, fmt.Errorf("plan: clients: %d: want at most %d, see experiments.maxClients", n, l.settings.MaxClients))
		}
	}
	one := time.Duration(p.WarmUp)
	if p.Operations == 0 { // else the duration is only a bound
		one += time.Duration(p.Duration)
	}
	// Both factors are bounded by Validate, unless it has complained already.
	runs := len(p.Cases()) * p.Rounds
	if runs > MaxRuns {
		errs = append(errs, fmt.Errorf("plan: %d runs: want at most %d; the command experiment takes more", runs, MaxRuns))
	}
	if runs > 0 && one > l.settings.MaxDuration/time.Duration(runs) {
		errs = append(errs, fmt.Errorf("plan: duration: %d runs of %s take longer than %s, see experiments.maxDuration",
			runs, one, l.settings.MaxDuration))
	}
	return errors.Join(errs...)
}

func (l *Lab) run(ctx context.Context, cancel context.CancelCauseFunc, t *Trial, p plans.Plan, ended chan<- struct{}) {
	defer close(ended)
	defer cancel(nil)
	limited, done := context.WithTimeoutCause(ctx, l.settings.MaxDuration, errTooLong)
	defer done()
	measured, err := l.attempt(limited, t, p)

	l.mu.Lock()
	defer l.mu.Unlock()
	t.Version++
	t.Ended, t.State = time.Now().UTC(), StateFinished
	if measured.Runs != nil {
		t.Report = measured
	}
	if err == nil {
		return
	}
	// What is said of the end of the context is not what it ended for.
	if cause := context.Cause(limited); cause != nil {
		t.State, t.Problem = StateStopped, cause.Error()
		return
	}
	t.State, t.Problem = StateFailed, err.Error()
}

// attempt runs the plan. A panic ends the experiment, and not the shop that is served beside it.
func (l *Lab) attempt(ctx context.Context, t *Trial, p plans.Plan) (_ report.Report, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the experiment panicked: %v", r)
		}
	}()
	return l.settings.Run(ctx, p, func(progress Progress) { l.tell(t, progress) })
}

func (l *Lab) tell(t *Trial, progress Progress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t.Version++
	if run := progress.Finished; run != nil {
		// A new array: snapshots hold the old one.
		t.Report.Runs = append(slices.Clip(t.Report.Runs), *run)
		t.Report.Cases = report.Summarize(t.Report.Runs)
	}
	t.Progress = progress
}

func (l *Lab) newest() *Trial {
	if len(l.trials) == 0 {
		return nil
	}
	return l.trials[len(l.trials)-1]
}

// find must be called with the lock held. "" is the newest.
func (l *Lab) find(id string) *Trial {
	if id == "" {
		return l.newest()
	}
	for _, t := range l.trials {
		if t.ID == id {
			return t
		}
	}
	return nil
}

// Find returns an experiment, "" the newest, or [ErrUnknown].
func (l *Lab) Find(id string) (Trial, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.find(id)
	if t == nil {
		return Trial{}, ErrUnknown
	}
	return *t, nil
}

// Trials are all that the lab remembers, the newest first.
func (l *Lab) Trials() []Trial {
	l.mu.Lock()
	defer l.mu.Unlock()
	trials := make([]Trial, 0, len(l.trials))
	for _, t := range slices.Backward(l.trials) {
		trials = append(trials, *t)
	}
	return trials
}

// Stop tells an experiment, "" the newest, to end; what it has measured is reported. One that is over stays as it is.
func (l *Lab) Stop(id string) (Trial, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.find(id)
	if t == nil {
		return Trial{}, ErrUnknown
	}
	l.stop(t, errStopped)
	return *t, nil
}

func (l *Lab) stop(t *Trial, reason error) {
	if t.State != StateRunning {
		return
	}
	t.State = StateStopping
	t.Version++
	l.cancel(reason)
}

// Close stops the experiment that is under way and returns when its servers have ended.
func (l *Lab) Close() error {
	l.mu.Lock()
	l.closed = true
	ended := l.ended
	if t := l.newest(); t != nil {
		l.stop(t, ErrClosed)
	}
	l.mu.Unlock()
	if ended != nil {
		<-ended
	}
	return nil
}
