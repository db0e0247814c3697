package app

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

// startReport sends the metrics to the collector that metrics.otlp names, if it names one.
func (s *Shop) startReport(ctx context.Context) error {
	if s.options.Metrics == nil || s.cfg.Metrics.OTLP == "" {
		return nil
	}
	stop, err := reportMetrics(ctx, s.cfg.Metrics, s.options.Metrics, s.Deployment.Instance())
	if err != nil {
		return err
	}
	s.closers.add("metrics", stop)
	return nil
}

// reportMetrics also sends what /metrics shows to an OpenTelemetry collector, until stop is called.
// There is one instrument of each kind, a Prometheus one; a bridge translates it.
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
		_ = provider.Shutdown(last) // sends a last report; a collector that does not answer must not keep a server from stopping
		return nil
	}, nil
}
