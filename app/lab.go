package app

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"holdfast/auth"
	"holdfast/config"
	"holdfast/experiment"
	"holdfast/experiment/load"
	"holdfast/experiment/plans"
	"holdfast/experiment/report"
	"holdfast/web"
)

// newLab returns what runs the experiments that administrators start, or nil if experiments are
// switched off. The servers of an experiment get nothing of this server's configuration, since that
// names the stores and the broker of the shop.
func newLab(cfg config.Config) (*experiment.Lab, error) {
	if !cfg.Experiments.Enabled {
		return nil, nil
	}
	executable, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program, to start servers of it for experiments: %w", err)
	}
	environ, defaults := os.Environ(), config.Default()
	return experiment.NewLab(experiment.LabSettings{
		MaxDuration: cfg.Experiments.MaxDuration, MaxClients: cfg.Experiments.MaxClients,
		Run: func(ctx context.Context, p plans.Plan, progress func(experiment.Progress)) (report.Report, error) {
			runner := experiment.Runner{
				Executable: executable, Environ: environ, Issuer: defaults.Auth.Issuer, Currency: defaults.Shop.Currency,
				Progress: progress,
			}
			return runner.Run(ctx, p)
		},
	}), nil
}

// labPage is the page on which administrators start experiments and read their reports. In
// development it comes with a working token, of an administrator. Any other server's page asks for
// a token.
func labPage(cfg config.Config) (http.Handler, error) {
	token, err := demoToken(cfg, auth.Customer, auth.Admin)
	if err != nil {
		return nil, err
	}
	options := web.LabOptions{
		Token: token, MaxClients: cfg.Experiments.MaxClients, MaxMilliseconds: cfg.Experiments.MaxDuration.Milliseconds(),
	}
	for _, w := range load.Workloads() {
		options.Workloads = append(options.Workloads, web.LabChoice{Name: w.Name, About: w.About})
	}
	for _, s := range plans.Default().Strategies {
		options.Strategies = append(options.Strategies, string(s))
	}
	for _, name := range plans.Shipped() {
		plan, err := plans.Load(name)
		if err != nil {
			return nil, err
		}
		options.Plans = append(options.Plans, web.LabChoice{Name: name, Title: plan.Name, About: plan.About})
	}
	return web.Lab(options), nil
}
