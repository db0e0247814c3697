package main

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

// reportMetrics sends what /metrics shows to an OpenTelemetry collector, too, until stop is called: the instruments are
// Prometheus', and are translated, so that there is one of each.
func reportMetrics(ctx context.Context, m config.Metrics, registry *prometheus.Registry, instance string) (stop func() error, err error) {
	reporter, err := otlp.Start(ctx, otlp.Settings{
		URL: m.OTLP, Interval: m.Interval,
		Resource: map[string]string{"service.name": "holdfast", "service.instance.id": instance},
	}, registry, slog.Default())
	if err != nil {
		return nil, fmt.Errorf("metrics.otlp: %w", err)
	}
	return func() error {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastReport)
		defer cancel()
		_ = reporter.Stop(last) // sends a last report; a collector that is away keeps nobody from stopping
		return nil
	}, nil
}
