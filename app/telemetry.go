package app

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/config"
	"holdfast/internal/otlp"
)

// lastReport bounds the report that is sent when the server stops.
const lastReport = 2 * time.Second

// startReport sends the metrics to the collector that metrics.otlp names, if it names one.
func (s *Shop) startReport(ctx context.Context) error {
	if s.options.Metrics == nil || s.cfg.Metrics.OTLP == "" {
		return nil
	}
	stop, err := reportMetrics(ctx, s.cfg.Metrics, s.options.Metrics, s.Deployment.Instance(), s.log)
	if err != nil {
		return err
	}
	s.closers.add("metrics", stop)
	return nil
}

// reportMetrics also sends what /metrics shows to an OpenTelemetry collector, until stop is called.
// There is one instrument of each kind, a Prometheus one, which is translated.
func reportMetrics(
	ctx context.Context, m config.Metrics, registry *prometheus.Registry, instance string, log *slog.Logger,
) (stop func() error, err error) {
	reporter, err := otlp.Start(ctx, otlp.Settings{
		URL: string(m.OTLP), Interval: m.Interval,
		Resource: map[string]string{"service.name": "holdfast", "service.instance.id": instance},
	}, registry, log)
	if err != nil {
		return nil, fmt.Errorf("metrics.otlp: %w", err)
	}
	return func() error {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastReport)
		defer cancel()
		_ = reporter.Stop(last) // sends a last report; a collector that does not answer must not keep a server from stopping
		return nil
	}, nil
}
