package experiment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/experiment/audit"
	"holdfast/experiment/host"
	"holdfast/experiment/load"
	"holdfast/experiment/plans"
	"holdfast/experiment/report"
	"holdfast/lockprovider"
)

// one runs a case once: warm-up, load, audit.
func (r *Runner) one(ctx context.Context, p plans.Plan, c plans.Case, round int, tick func(done int64)) (_ report.Run, err error) {
	w, err := load.WorkloadByName(c.Workload)
	if err != nil {
		return report.Run{}, err
	}
	target, err := r.launch(ctx, p, c)
	if err != nil {
		return report.Run{}, err
	}
	defer func() { err = errors.Join(err, target.close()) }()

	label := "customer"
	if target.shared {
		label = fmt.Sprintf("customer%x-", time.Now().UnixNano()) // nobody who has been here before
	}
	auditor := &audit.Auditor{Shared: target.shared}
	info, known := lockprovider.Lookup(c.Strategy)
	auditor.Allowed.Retried = info.WritesBehind || !known || len(p.Faults) > 0 // on a slow machine a reply of Redis comes too late
	as := load.Size{Objects: p.Objects, Units: p.Units, Users: p.Users, Skew: p.Skew}
	if p.WarmUp > 0 {
		warm, err := load.Prepare(ctx, target.shop, w, as, c.Clients, label)
		if err != nil {
			return report.Run{}, err
		}
		l := load.Generator{
			Shop: target.shop, Dataset: warm, Clients: c.Clients, Rate: c.Rate, Duration: time.Duration(p.WarmUp),
			Seed: p.Seed, Label: "warm",
		}
		auditor.Requests, auditor.Datasets = l.Run(ctx).Requests, []*load.Dataset{warm}
		for _, a := range auditor.Requests {
			a.Began = time.Time{} // audited, not measured
		}
	}
	measured, err := load.Prepare(ctx, target.shop, w, as, c.Clients, label)
	if err != nil {
		return report.Run{}, err
	}
	counter := newCounter(tick)
	l := load.Generator{
		Shop: target.shop, Dataset: measured, Clients: c.Clients, Rate: c.Rate, Duration: time.Duration(p.Duration),
		Operations: p.Operations, Seed: p.Seed + uint64(round), Label: "load", Progress: counter.add, History: p.History,
	}
	before := host.ReadCounters(ctx, target.sources())
	var rec *load.Recording
	struck, err := target.beside(ctx, p, func() { rec = l.Run(ctx) })
	if err != nil {
		return report.Run{}, err
	}
	after := host.ReadCounters(ctx, target.sources())
	if ctx.Err() != nil {
		return report.Run{}, ctx.Err()
	}
	auditor.Requests, auditor.Datasets = append(auditor.Requests, rec.Requests...), append(auditor.Datasets, measured)
	out := report.Run{Case: c, Round: round, Faults: struck}
	measure(&out, rec)
	if len(p.Faults) == 0 { // who is killed loses what it has counted
		cost(&out, before, after, rec)
	}
	found, err := target.audit(ctx, auditor, &out)
	if err != nil {
		return report.Run{}, err
	}
	if p.History && target.db != nil {
		if err := target.checkOrder(ctx, rec, &out); err != nil {
			return report.Run{}, err
		}
		found.Findings = append(anomalies(out.Anomalies, info, ackOf(rec.History)), found.Findings...)
	}
	if len(p.Faults) == 0 {
		transactions(ctx, &out, target, before, rec)
	}
	judge(&out, found, measured, rec)
	return out, nil
}

// audit proves the run, as far as the stores are known.
func (t *target) audit(ctx context.Context, a *audit.Auditor, out *report.Run) (audit.Result, error) {
	if t.db == nil {
		out.Audit = report.NotAudited + ": name the database of the running servers with --database-url"
		return audit.Result{}, nil
	}
	if !t.shared { // else there are orders of others, too
		if err := audit.Settled(ctx, t.db.Ent); err != nil {
			return audit.Result{}, err
		}
	}
	out.Audit = "journal, answers"
	var different []audit.Finding
	if t.redis != nil {
		var err error
		if different, err = audit.CompareStores(ctx, t.db.Ent, t.redis); err != nil {
			return audit.Result{}, err
		}
		out.Audit = "journal, answers, stores"
	}
	if !t.shared { // which may be from before there were events, or have a retention
		untold, err := audit.CompareSales(ctx, t.db.Ent)
		if err != nil {
			return audit.Result{}, err
		}
		different = append(different, untold...)
		out.Audit += ", events"
	}
	if err := t.stop(); err != nil {
		return audit.Result{}, err
	}
	a.DB = t.db.Ent
	found, err := a.Run(ctx)
	found.Findings = append(different, found.Findings...)
	return found, err
}
