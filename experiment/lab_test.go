package experiment_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/experiment"
	"holdfast/experiment/plans"
	"holdfast/experiment/report"
)

// pretend is a run of a plan that measures nothing: each case takes a second.
func pretend(ctx context.Context, p plans.Plan, tell func(experiment.Progress)) (report.Report, error) {
	out := report.Report{Plan: p}
	for i, c := range p.Cases() {
		tell(experiment.Progress{Case: c, Round: 1, Run: i + 1, Runs: len(p.Cases())})
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return out, fmt.Errorf("interrupted: %w", ctx.Err())
		}
		run := report.Run{Case: c, Round: 1, PerSecond: 100, Audit: "journal"}
		out.Runs = append(out.Runs, run)
		tell(experiment.Progress{Case: c, Round: 1, Run: i + 1, Runs: len(p.Cases()), Finished: &run})
	}
	out.Conclusion = []string{"done"}
	return out, nil
}

func labPlan() plans.Plan {
	p := plans.Default()
	p.Rounds, p.Strategies = 1, p.Strategies[:3]
	return p
}

func trial(t *testing.T, find func() (experiment.Trial, error)) experiment.Trial {
	t.Helper()
	got, err := find()
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestLab follows an experiment from its start to its report.
func TestLab(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lab := experiment.NewLab(experiment.LabSettings{Run: pretend, MaxDuration: time.Minute, MaxClients: 100})
		started := trial(t, func() (experiment.Trial, error) { return lab.Start(labPlan()) })
		if started.State != experiment.StateRunning || started.Progress.Runs != 3 {
			t.Errorf("started: %+v", started)
		}
		if _, err := lab.Start(labPlan()); !errors.Is(err, experiment.ErrBusy) {
			t.Errorf("a second one beside the first: %v", err)
		}
		time.Sleep(1500 * time.Millisecond) // of the bubble: one run has ended, the second is under way
		half := trial(t, func() (experiment.Trial, error) { return lab.Find(started.ID) })
		if half.Progress.Run != 2 || len(half.Report.Runs) != 1 || len(half.Report.Cases) != 1 || half.Version == started.Version {
			t.Errorf("after one run: %+v", half)
		}
		time.Sleep(2 * time.Second)
		over := trial(t, func() (experiment.Trial, error) { return lab.Find("") })
		if over.State != experiment.StateFinished || len(over.Report.Runs) != 3 || over.Report.Conclusion[0] != "done" || over.Problem != "" {
			t.Errorf("at the end: %+v", over)
		}
		if len(half.Report.Runs) != 1 {
			t.Error("a snapshot has changed")
		}
		if again := trial(t, func() (experiment.Trial, error) { return lab.Stop(over.ID) }); again.State != experiment.StateFinished {
			t.Errorf("stopping what is over: %+v", again)
		}
		if _, err := lab.Find("exp_unknown"); !errors.Is(err, experiment.ErrUnknown) {
			t.Errorf("an unknown one: %v", err)
		}
	})
}

func TestLabStops(t *testing.T) {
	for name, test := range map[string]struct {
		stop func(lab *experiment.Lab) error
		most time.Duration
		want string
	}{
		"by an administrator": {func(lab *experiment.Lab) error {
			stopping, err := lab.Stop("")
			if stopping.State != experiment.StateStopping {
				return fmt.Errorf("told to stop: %+v", stopping)
			}
			return err
		}, time.Minute, "stopped by an administrator"},
		"with the server":          {(*experiment.Lab).Close, time.Minute, "the server is stopping"},
		"because it took too long": {func(*experiment.Lab) error { return nil }, 2500 * time.Millisecond, "experiments.maxDuration"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				lab := experiment.NewLab(experiment.LabSettings{Run: pretend, MaxDuration: test.most, MaxClients: 100})
				trial(t, func() (experiment.Trial, error) { return lab.Start(labPlan()) })
				time.Sleep(1500 * time.Millisecond)
				if err := test.stop(lab); err != nil {
					t.Fatal(err)
				}
				if test.most < time.Minute {
					time.Sleep(time.Second)
				}
				synctest.Wait()
				over := trial(t, func() (experiment.Trial, error) { return lab.Find("") })
				if over.State != experiment.StateStopped || !strings.Contains(over.Problem, test.want) || len(over.Report.Runs) == 0 ||
					over.Ended.IsZero() {
					t.Errorf("%+v", over)
				}
			})
		})
	}
}

func TestLabFails(t *testing.T) {
	for name, run := range map[string]func(context.Context, plans.Plan, func(experiment.Progress)) (report.Report, error){
		"no PostgreSQL": func(context.Context, plans.Plan, func(experiment.Progress)) (report.Report, error) {
			return report.Report{}, errors.New("no PostgreSQL")
		},
		"a defect": func(context.Context, plans.Plan, func(experiment.Progress)) (report.Report, error) {
			panic("a defect")
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			lab := experiment.NewLab(experiment.LabSettings{Run: run, MaxDuration: time.Minute, MaxClients: 100})
			trial(t, func() (experiment.Trial, error) { return lab.Start(labPlan()) })
			synctest.Wait()
			over := trial(t, func() (experiment.Trial, error) { return lab.Find("") })
			if over.State != experiment.StateFailed || !strings.Contains(over.Problem, name) || over.Report.Plan.Name != labPlan().Name {
				t.Errorf("%s: %+v", name, over)
			}
			trial(t, func() (experiment.Trial, error) { return lab.Start(labPlan()) }) // the next one may try
			synctest.Wait()
			if n := len(lab.Trials()); n != 2 {
				t.Errorf("%d are remembered, want 2", n)
			}
		})
	}
}

func TestLabBounds(t *testing.T) {
	lab := experiment.NewLab(experiment.LabSettings{Run: pretend, MaxDuration: 10 * time.Second, MaxClients: 100})
	for want, change := range map[string]func(p *plans.Plan){
		"experiments.maxClients":             func(p *plans.Plan) { p.Clients = []int{101} },
		"experiments.maxDuration":            func(p *plans.Plan) { p.Duration = plans.Duration(4 * time.Second) },
		"workloads: buy: want one of":        func(p *plans.Plan) { p.Workloads = []string{"buy"} },
		"rounds: 0: want 1 to 100":           func(p *plans.Plan) { p.Rounds = 0 },
		"strategies: nothing: want at least": func(p *plans.Plan) { p.Strategies = nil },
	} {
		p := labPlan()
		change(&p)
		if _, err := lab.Start(p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if n := len(lab.Trials()); n != 0 {
		t.Errorf("%d experiments have been started", n)
	}
	if err := lab.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := lab.Start(labPlan()); !errors.Is(err, experiment.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
