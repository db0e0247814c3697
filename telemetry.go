package main

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	bridge "go.opentelemetry.io/contrib/bridges/prometheus"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"

	"holdfast/config"
)

// lastReport bounds the report that is sent when the server stops.
const lastReport = 2 * time.Second

// reportMetrics sends what /metrics shows to an OpenTelemetry collector, too, until stop is called: the instruments are
// Prometheus', and a bridge translates them, so that there is one of each.
func reportMetrics(ctx context.Context, m config.Metrics, registry *prometheus.Registry, instance string) (stop func() error, err error) {
	exporter, err := otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpointURL(m.OTLP), otlpmetrichttp.WithTimeout(m.Interval))
	if err != nil {
		return nil, fmt.Errorf("metrics.otlp: %w", err)
	}
	provider := metric.NewMeterProvider(
		metric.WithResource(resource.NewWithAttributes(semconv.SchemaURL,
			semconv.ServiceName("holdfast"), semconv.ServiceInstanceID(instance))),
		metric.WithReader(metric.NewPeriodicReader(exporter, metric.WithInterval(m.Interval),
			metric.WithProducer(bridge.NewMetricProducer(bridge.WithGatherer(registry))))),
	)
	return func() error {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastReport)
		defer cancel()
		_ = provider.Shutdown(last) // sends a last report; a collector that is away keeps nobody from stopping
		return nil
	}, nil
}
