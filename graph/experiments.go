package graph

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"holdfast/commerce"
	"holdfast/experiment"
	"holdfast/experiment/audit"
	"holdfast/experiment/plans"
	"holdfast/experiment/report"
	"holdfast/graph/model"
	"holdfast/lockprovider"
)

// This file maps input to plans of experiments, and trials to data.

// experimentPlan returns the plan of an input. The lab checks its bounds.
func experimentPlan(in model.StartExperimentInput) (plans.Plan, error) {
	if in.Plan != nil {
		if in.Workload != nil || in.Strategies != nil || in.Clients != nil || in.DurationMs != nil || in.Rounds != nil || in.Seed != nil {
			return plans.Plan{}, badInput("plan", "a plan says everything: leave out the rest, or the plan")
		}
		// plans.Load would read any file of that name.
		if shipped := plans.Shipped(); !slices.Contains(shipped, *in.Plan) {
			return plans.Plan{}, badInput("plan", "there is no shipped plan %.80q: want one of %s", *in.Plan, strings.Join(shipped, ", "))
		}
		return plans.Load(*in.Plan)
	}
	p := plans.Default()
	if in.Workload != nil {
		p.Workloads, p.About = []string{*in.Workload}, ""
	}
	if in.Strategies != nil {
		p.Strategies = nil
		for _, s := range in.Strategies {
			p.Strategies = append(p.Strategies, lockprovider.Strategy(strings.ToLower(string(s))))
		}
	}
	p.Name = p.Workloads[0]
	if in.Clients != nil {
		p.Clients = []int{*in.Clients}
	}
	if in.DurationMs != nil {
		most := int(time.Hour / time.Millisecond) // one hour: a number without a bound could overflow
		if *in.DurationMs < 1 || *in.DurationMs > most {
			return p, badInput("durationMs", "durationMs must be 1 to %d, not %d", most, *in.DurationMs)
		}
		p.Duration = plans.Duration(time.Duration(*in.DurationMs) * time.Millisecond)
	}
	p.Rounds = orDefault(in.Rounds, p.Rounds)
	if in.Seed != nil {
		if *in.Seed < 0 {
			return p, badInput("seed", "seed must be 0 or more, not %d", *in.Seed)
		}
		p.Seed = uint64(*in.Seed)
	}
	return p, nil
}

var errExperimentsOff = &commerce.Error{
	Code:    commerce.InvalidState,
	Message: "experiments are off on this server: set experiments.enabled, and mind that they share the machine with the shop",
}

// retryExperiment is the hint given while an experiment runs. Chosen: a short one ends within it, and asking costs nothing.
const retryExperiment = 10 * time.Second

func (r *Resolver) startExperiment(in model.StartExperimentInput) (*experiment.Trial, error) {
	if r.operations.Experiments == nil {
		return nil, errExperimentsOff
	}
	plan, err := experimentPlan(in)
	if err != nil {
		return nil, err
	}
	trial, err := r.operations.Experiments.Start(plan)
	switch {
	case errors.Is(err, experiment.ErrBusy), errors.Is(err, experiment.ErrClosed):
		return nil, &commerce.Error{Code: commerce.InvalidState, Message: err.Error(), Retryable: true, RetryAfter: retryExperiment}
	case err != nil:
		return nil, badInput("input", "%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return &trial, nil
}

func (r *Resolver) stopExperiment(id string) (*experiment.Trial, error) {
	if r.operations.Experiments == nil {
		return nil, errExperimentsOff
	}
	trial, err := r.operations.Experiments.Stop(id)
	if err != nil {
		return nil, &commerce.Error{Code: commerce.NotFound, Field: []string{"input", "id"}, Message: err.Error()}
	}
	return &trial, nil
}

// findExperiment returns nil for an unknown experiment.
func (r *Resolver) findExperiment(id string) *model.Experiment {
	if r.operations.Experiments == nil {
		return nil
	}
	trial, err := r.operations.Experiments.Find(id)
	if err != nil {
		return nil
	}
	return toExperiment(&trial)
}

func (r *Resolver) listExperiments() []*model.Experiment {
	if r.operations.Experiments == nil {
		return []*model.Experiment{}
	}
	return each(r.operations.Experiments.Trials(), func(t experiment.Trial) *model.Experiment { return toExperiment(&t) })
}

// watchExperiment reads at a steady rate: reading is cheap, and a running experiment changes all
// the time.
func (r *Resolver) watchExperiment(ctx context.Context, id string) (<-chan *model.Experiment, error) {
	before := -1
	return stream[*model.Experiment]{
		every: r.streams.Interval,
		read: func(context.Context, []string) ([]*model.Experiment, bool, error) {
			if r.operations.Experiments == nil {
				return nil, false, errExperimentsOff
			}
			trial, err := r.operations.Experiments.Find(id)
			if err != nil {
				return nil, false, badInput("id", "%s", err)
			}
			if trial.Version == before {
				return nil, false, nil
			}
			before = trial.Version
			return []*model.Experiment{toExperiment(&trial)}, trial.State.Over(), nil
		},
	}.run(ctx, r, id)
}

func toExperiment(t *experiment.Trial) *model.Experiment {
	if t == nil {
		return nil
	}
	plan := t.Report.Plan
	out := &model.Experiment{
		ID: t.ID, Name: plan.Name, About: orNull(strings.TrimSpace(plan.About)), State: model.ExperimentState(t.State),
		StartedAt: t.Started, Workloads: atMost(maxNames, plan.Workloads), Strategies: each(atMost(maxNames, plan.Strategies), toStrategy),
		Report: toReport(t.Report), Error: orNull(t.Problem),
	}
	if !t.Ended.IsZero() {
		out.EndedAt = &t.Ended
	}
	if p := t.Progress; p.Run > 0 {
		out.Progress = &model.ExperimentProgress{
			Run: p.Run, Runs: p.Runs, Round: p.Round, Workload: p.Case.Workload, Strategy: toStrategy(p.Case.Strategy),
			Operations: p.Operations,
		}
	}
	return out
}

func toReport(r report.Report) *model.ExperimentReport {
	out := &model.ExperimentReport{Runs: each(r.Runs, toExperimentRun), Cases: each(r.Cases, toCase), Conclusion: atMost(maxSentences, r.Conclusion)}
	if out.Conclusion == nil {
		out.Conclusion = []string{}
	}
	return out
}

func toExperimentRun(r report.Run) *model.ExperimentRun {
	return &model.ExperimentRun{
		Workload: r.Workload, Strategy: toStrategy(r.Strategy), Database: r.Database, Clients: r.Clients, Instances: r.Instances,
		Round: r.Round, Successes: r.Successes, Refusals: r.Refusals, PerSecond: r.PerSecond, P50Ms: r.P50Ms, P99Ms: r.P99Ms,
		Violations: r.Violations,
		Findings: each(atMost(maxFindings, r.Findings), func(f audit.Finding) *model.ExperimentFinding {
			return &model.ExperimentFinding{Kind: f.Kind, Subject: f.Subject, Text: f.Text}
		}),
	}
}

func toCase(s report.Summary) *model.ExperimentCase {
	_, setting, _ := strings.Cut(s.Setting().String(), " on ") // without the workload, which comes first
	return &model.ExperimentCase{
		Workload: s.Workload, Strategy: toStrategy(s.Strategy), Setting: setting, Successes: s.Successes, Refusals: s.Refusals,
		PerSecond: toInterval(s.PerSecond), P50Ms: toInterval(s.P50Ms), P99Ms: toInterval(s.P99Ms),
		Violations: s.Violations, Damage: s.Damage(), Audited: s.Audited,
	}
}

func toInterval(i report.Interval) *model.Interval {
	return &model.Interval{Median: i.Median, Low: i.Low, High: i.High}
}
