package graph_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"holdfast/experiment"
	"holdfast/experiment/audit"
	"holdfast/experiment/host"
	"holdfast/experiment/plans"
	"holdfast/experiment/report"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
)

const (
	startExperiment = `mutation($input: StartExperimentInput!) { startExperiment(input: $input) {
		experiment { id state workloads strategies } userErrors { code message field retryable retryAfterMs } } }`
	stopExperiment = `mutation($input: StopExperimentInput!) { stopExperiment(input: $input) {
		experiment { id state } userErrors { code message } } }`
	watchExperiment = `subscription($id: ID!) { experimentProgress(id: $id) { id state progress { run } report { runs { strategy } } } }`
)

// scripted is a lab whose experiments measure what a test says, when it says so.
type scripted struct {
	lab   *experiment.Lab
	plans chan plans.Plan
	runs  chan report.Run // closed at the end
}

func newScripted(t *testing.T) *scripted {
	t.Helper()
	s := &scripted{plans: make(chan plans.Plan, 1), runs: make(chan report.Run)}
	s.lab = experiment.NewLab(experiment.LabSettings{
		MaxDuration: time.Minute, MaxClients: 100,
		Run: func(ctx context.Context, p plans.Plan, tell func(experiment.Progress)) (report.Report, error) {
			s.plans <- p
			out := report.Report{Plan: p}
			for {
				progress := experiment.Progress{Case: p.Cases()[0], Round: 1, Run: len(out.Runs) + 1, Runs: 2, Operations: 7}
				tell(progress)
				select {
				case run, more := <-s.runs:
					if !more {
						out.Conclusion = []string{"rowlock is exact."}
						return out, nil
					}
					out.Runs = append(out.Runs, run)
					progress.Finished = &run
					tell(progress)
				case <-ctx.Done():
					return out, ctx.Err()
				}
			}
		},
	})
	t.Cleanup(func() { must(t, s.lab.Close()) })
	return s
}

// idleLab starts nothing, and says so at once.
func idleLab(t testing.TB) *experiment.Lab {
	t.Helper()
	lab := experiment.NewLab(experiment.LabSettings{
		MaxDuration: time.Minute, MaxClients: 100,
		Run: func(_ context.Context, p plans.Plan, _ func(experiment.Progress)) (report.Report, error) {
			return report.Report{Plan: p}, nil
		},
	})
	t.Cleanup(func() { must(t, lab.Close()) })
	return lab
}

// untilState reads what is told of the experiment, of which what follows quickly is told as one, until it is in a state.
func untilState(watch *socket, want string) {
	watch.t.Helper()
	for state := ""; state != want; {
		state = watch.want("next", "1").text("experimentProgress.state")
	}
}

// TestExperiment follows an experiment through the API, as the page /lab does.
func TestExperiment(t *testing.T) {
	s := newScripted(t)
	a := newAPI(t, settings{streams: quick, lab: s.lab})
	input := object{
		"workload": "transfers", "strategies": []string{"NONE", "ROWLOCK"}, "clients": 8, "durationMs": 250, "rounds": 2, "seed": "42",
	}
	r := a.ok(admin, startExperiment, vars(input)).want("startExperiment.experiment.state", "RUNNING",
		"startExperiment.experiment.workloads", "[transfers]", "startExperiment.experiment.strategies", "[NONE ROWLOCK]")
	id := r.text("startExperiment.experiment.id")
	plan := testenv.Receive(t, s.plans, "the experiment to begin")
	if plan.Duration != plans.Duration(250*time.Millisecond) || plan.Seed != 42 || plan.Rounds != 2 || plan.Clients[0] != 8 ||
		plan.Strategies[1] != lockprovider.RowLock || plan.Databases[0] != host.SQLite {
		t.Errorf("the plan is %+v", plan)
	}

	// A second one has to wait.
	a.do(admin, startExperiment, vars(input)).want("startExperiment.experiment", nil,
		"startExperiment.userErrors.0.code", "INVALID_STATE", "startExperiment.userErrors.0.retryable", true,
		"startExperiment.userErrors.0.retryAfterMs", 10_000) // it ends by itself

	watch := a.socket(admin)
	watch.subscribe("1", watchExperiment, object{"id": id})
	watch.want("next", "1").want("experimentProgress.state", "RUNNING")
	s.runs <- report.Run{
		Case: plan.Cases()[0], Round: 1, Successes: 90, PerSecond: 360, P50Ms: 2, P99Ms: 9, Violations: 1, LostMoney: 12, Audit: "journal",
		Findings: []audit.Finding{{Kind: "lost money", Subject: "account:1", Text: "12 are gone"}},
	}
	close(s.runs)
	untilState(watch, "FINISHED")
	watch.want("complete", "1")

	const query = `query($id: ID) { experiment(id: $id) { state endedAt error progress { run runs operations } report {
		runs { workload strategy successes refusals perSecond p50Ms p99Ms violations findings { text } }
		conclusion } } experiments { id } }`
	a.ok(admin, query, object{"id": id}).want("experiment.state", "FINISHED", "experiment.error", nil,
		"experiment.progress.operations", 7, "experiment.report.runs.0.strategy", "NONE", "experiment.report.runs.0.violations", 1,
		"experiment.report.runs.0.perSecond", 360, "experiment.report.runs.0.findings.0.text", "12 are gone",
		"experiment.report.conclusion.0", "rowlock is exact.", "experiments.0.id", id)
	a.ok(admin, query, object{"id": "exp_0"}).want("experiment", nil)
	a.ok(admin, query, nil).want("experiment.state", "FINISHED")
}

func TestStopExperiment(t *testing.T) {
	s := newScripted(t)
	a := newAPI(t, settings{streams: quick, lab: s.lab})
	a.do(admin, stopExperiment, vars(object{})).want("stopExperiment.userErrors.0.code", "NOT_FOUND")
	id := a.ok(admin, startExperiment, vars(object{"plan": "coupon-rush"})).text("startExperiment.experiment.id")
	if plan := testenv.Receive(t, s.plans, "the experiment to begin"); plan.Workloads[0] != "coupon-rush" || plan.Clients[0] != 64 {
		t.Errorf("the plan is %+v, want the shipped one", plan)
	}
	watch := a.socket(admin)
	watch.subscribe("1", watchExperiment, object{"id": id})
	watch.want("next", "1")
	a.ok(admin, stopExperiment, vars(object{"id": id})).want("stopExperiment.experiment.id", id)
	untilState(watch, "STOPPED")
	watch.want("complete", "1")
	a.ok(admin, `{ experiment { error } }`, nil).want("experiment.error", "stopped by an administrator")
}

func TestExperimentIsBounded(t *testing.T) {
	a := newAPI(t, settings{})
	for want, input := range map[string]object{
		"a plan says everything":                   {"plan": "transfers", "rounds": 2},
		`no shipped plan "../config/example.yaml"`: {"plan": "../config/example.yaml"},
		"workloads: buy: want one of flash-sale":   {"workload": "buy"},
		"strategies: nothing":                      {"strategies": []string{}},
		"each only once":                           {"strategies": []string{"LUA", "LUA"}},
		"experiments.maxClients":                   {"clients": 101},
		"experiments.maxDuration":                  {"durationMs": 60_000},
		"durationMs must be 1 to 3600000":          {"durationMs": 2_000_000_000},
		"rounds: 0: want 1 to 100":                 {"rounds": 0},
		"seed must be 0 or more":                   {"seed": "-1"},
	} {
		r := a.do(admin, startExperiment, vars(input)).want("startExperiment.experiment", nil, "startExperiment.userErrors.0.code", "INVALID_INPUT")
		if got := r.text("startExperiment.userErrors.0.message"); !strings.Contains(got, want) {
			t.Errorf("%v: %s, want %q", input, got, want)
		}
	}
}

// TestExperimentsOff is a server that runs none.
func TestExperimentsOff(t *testing.T) {
	a := newAPI(t, settings{noLab: true})
	a.do(admin, startExperiment, vars(object{})).want("startExperiment.userErrors.0.code", "INVALID_STATE")
	a.do(admin, stopExperiment, vars(object{})).want("stopExperiment.userErrors.0.code", "INVALID_STATE")
	a.ok(admin, `{ experiment { id } experiments { id } }`, nil).want("experiment", nil, "experiments", "[]")
}

// TestExperimentProgressIsRefused to whom it does not concern, and of what is not there.
func TestExperimentProgressIsRefused(t *testing.T) {
	a := newAPI(t, settings{})
	for user, code := range map[string]string{nobody: "UNAUTHENTICATED", bob: "FORBIDDEN", admin: "BAD_USER_INPUT"} {
		s := a.socket(user)
		s.subscribe("1", watchExperiment, object{"id": "exp_0"})
		s.want("error", "1").wantError(code)
	}
}
