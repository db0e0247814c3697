package otlp

import (
	"maps"
	"math"
	"slices"
	"time"

	dto "github.com/prometheus/client_model/go"
	collector "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/slim/otlp/metrics/v1"
	resource "go.opentelemetry.io/proto/slim/otlp/resource/v1"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// scope names what has measured.
const scope = "holdfast"

// requestOf translates what Prometheus has gathered, by the rules of "Prometheus and OpenMetrics Compatibility" of the
// OpenTelemetry specification: a counter is a monotonic sum since its creation, or the start of the process; untyped is a gauge.
func requestOf(
	families []*dto.MetricFamily, of map[string]string, start, now time.Time,
) *collector.ExportMetricsServiceRequest {
	scoped := &metrics.ScopeMetrics{Scope: &common.InstrumentationScope{Name: scope}}
	for _, family := range families {
		scoped.Metrics = append(scoped.Metrics, metricOf(family, start, now))
	}
	var about []*common.KeyValue
	for _, name := range slices.Sorted(maps.Keys(of)) {
		about = append(about, attribute(name, of[name]))
	}
	return &collector.ExportMetricsServiceRequest{ResourceMetrics: []*metrics.ResourceMetrics{{
		Resource: &resource.Resource{Attributes: about}, ScopeMetrics: []*metrics.ScopeMetrics{scoped},
	}}}
}

func metricOf(family *dto.MetricFamily, start, now time.Time) *metrics.Metric {
	m := &metrics.Metric{Name: family.GetName(), Description: family.GetHelp(), Unit: family.GetUnit()}
	const cumulative = metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE
	switch family.GetType() {
	case dto.MetricType_COUNTER:
		sum := &metrics.Sum{IsMonotonic: true, AggregationTemporality: cumulative}
		for _, p := range family.GetMetric() {
			point := number(p, p.GetCounter().GetValue(), now)
			point.StartTimeUnixNano = created(p.GetCounter().GetCreatedTimestamp(), start)
			sum.DataPoints = append(sum.DataPoints, point)
		}
		m.Data = &metrics.Metric_Sum{Sum: sum}
	case dto.MetricType_HISTOGRAM, dto.MetricType_GAUGE_HISTOGRAM:
		histogram := &metrics.Histogram{AggregationTemporality: cumulative}
		for _, p := range family.GetMetric() {
			histogram.DataPoints = append(histogram.DataPoints, distribution(p, start, now))
		}
		m.Data = &metrics.Metric_Histogram{Histogram: histogram}
	case dto.MetricType_SUMMARY:
		summary := &metrics.Summary{}
		for _, p := range family.GetMetric() {
			summary.DataPoints = append(summary.DataPoints, quantiles(p, start, now))
		}
		m.Data = &metrics.Metric_Summary{Summary: summary}
	default: // a gauge, or untyped
		gauge := &metrics.Gauge{}
		for _, p := range family.GetMetric() {
			gauge.DataPoints = append(gauge.DataPoints, number(p, p.GetGauge().GetValue()+p.GetUntyped().GetValue(), now))
		}
		m.Data = &metrics.Metric_Gauge{Gauge: gauge}
	}
	return m
}

func number(p *dto.Metric, value float64, now time.Time) *metrics.NumberDataPoint {
	return &metrics.NumberDataPoint{
		Attributes: labels(p), TimeUnixNano: nanos(now), Value: &metrics.NumberDataPoint_AsDouble{AsDouble: value},
	}
}

// distribution takes the buckets of a histogram apart: those of Prometheus count everything up to their bound, those of
// OpenTelemetry what is between two bounds, and the last what is above all of them.
func distribution(p *dto.Metric, start, now time.Time) *metrics.HistogramDataPoint {
	h := p.GetHistogram()
	point := &metrics.HistogramDataPoint{
		Attributes: labels(p), StartTimeUnixNano: created(h.GetCreatedTimestamp(), start), TimeUnixNano: nanos(now),
		Count: h.GetSampleCount(), Sum: h.SampleSum,
	}
	below := uint64(0)
	for _, b := range h.GetBucket() {
		if math.IsInf(b.GetUpperBound(), 1) {
			continue
		}
		point.ExplicitBounds = append(point.ExplicitBounds, b.GetUpperBound())
		point.BucketCounts = append(point.BucketCounts, b.GetCumulativeCount()-below)
		below = b.GetCumulativeCount()
	}
	point.BucketCounts = append(point.BucketCounts, h.GetSampleCount()-below)
	return point
}

func quantiles(p *dto.Metric, start, now time.Time) *metrics.SummaryDataPoint {
	s := p.GetSummary()
	point := &metrics.SummaryDataPoint{
		Attributes: labels(p), StartTimeUnixNano: created(s.GetCreatedTimestamp(), start), TimeUnixNano: nanos(now),
		Count: s.GetSampleCount(), Sum: s.GetSampleSum(),
	}
	for _, q := range s.GetQuantile() {
		point.QuantileValues = append(point.QuantileValues, &metrics.SummaryDataPoint_ValueAtQuantile{
			Quantile: q.GetQuantile(), Value: q.GetValue(),
		})
	}
	return point
}

func labels(p *dto.Metric) []*common.KeyValue {
	attributes := make([]*common.KeyValue, len(p.GetLabel()))
	for i, l := range p.GetLabel() {
		attributes[i] = attribute(l.GetName(), l.GetValue())
	}
	return attributes
}

func attribute(name, value string) *common.KeyValue {
	return &common.KeyValue{Key: name, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: value}}}
}

func created(at *timestamppb.Timestamp, otherwise time.Time) uint64 {
	if at == nil {
		return nanos(otherwise)
	}
	return nanos(at.AsTime())
}

func nanos(t time.Time) uint64 { return uint64(t.UnixNano()) }
