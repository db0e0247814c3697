package app

import (
	"context"
	"fmt"
	"os"

	"holdfast/config"
	"holdfast/experiment"
	"holdfast/experiment/plans"
	"holdfast/experiment/report"
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
