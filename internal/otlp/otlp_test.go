package otlp

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	collector "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/slim/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"
)

// collecting is a collector that answers with a status.
type collecting struct {
	*httptest.Server
	requests chan *http.Request
	reports  chan *collector.ExportMetricsServiceRequest
}

func collect(t *testing.T, status int) collecting {
	t.Helper()
	c := collecting{requests: make(chan *http.Request, 100), reports: make(chan *collector.ExportMetricsServiceRequest, 100)}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		report := &collector.ExportMetricsServiceRequest{}
		if err == nil {
			err = proto.Unmarshal(body, report)
		}
		if err != nil {
			t.Error(err)
		}
		c.requests <- r
		c.reports <- report
		http.Error(w, "not today", status)
	}))
	t.Cleanup(c.Close)
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func registry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	counter := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "runs_total", Help: "Runs."}, []string{"job"})
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: "waiting"})
	untyped := prometheus.NewUntypedFunc(prometheus.UntypedOpts{Name: "odd"}, func() float64 { return 7 })
	histogram := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "seconds", Buckets: []float64{1, 2, 4}})
	summary := prometheus.NewSummary(prometheus.SummaryOpts{Name: "sizes", Objectives: map[float64]float64{0.5: 0.01}})
	r.MustRegister(counter, gauge, untyped, histogram, summary)
	counter.WithLabelValues("expire").Add(3)
	gauge.Set(-5)
	for _, v := range []float64{0.5, 1, 3, 9, 10} {
		histogram.Observe(v)
		summary.Observe(v)
	}
	return r
}

func values(attributes []*common.KeyValue) string {
	var list []string
	for _, a := range attributes {
		list = append(list, a.GetKey()+"="+a.GetValue().GetStringValue())
	}
	return strings.Join(list, " ")
}

func TestTranslation(t *testing.T) {
	families, err := registry().Gather()
	must(t, err)
	start, now := time.Unix(1000, 0), time.Now()
	report := requestOf(families, map[string]string{"service.name": "holdfast", "service.instance.id": "shop-1"}, start, now)
	of := report.GetResourceMetrics()[0]
	if got := values(of.GetResource().GetAttributes()); got != "service.instance.id=shop-1 service.name=holdfast" {
		t.Errorf("resource %s", got)
	}
	byName := map[string]*metrics.Metric{}
	for _, m := range of.GetScopeMetrics()[0].GetMetrics() {
		byName[m.GetName()] = m
	}
	const cumulative = metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE
	runs := byName["runs_total"]
	if sum := runs.GetSum(); runs.GetDescription() != "Runs." || !sum.GetIsMonotonic() || sum.GetAggregationTemporality() != cumulative {
		t.Errorf("counter: %v", runs)
	}
	point := runs.GetSum().GetDataPoints()[0]
	if point.GetAsDouble() != 3 || values(point.GetAttributes()) != "job=expire" || point.GetTimeUnixNano() != nanos(now) ||
		point.GetStartTimeUnixNano() <= nanos(start) || point.GetStartTimeUnixNano() > nanos(now) { // when the counter was created
		t.Errorf("counter: %v", point)
	}
	for name, want := range map[string]float64{"waiting": -5, "odd": 7} {
		if got := byName[name].GetGauge().GetDataPoints()[0].GetAsDouble(); got != want {
			t.Errorf("%s is %g, want %g", name, got, want)
		}
	}
	seconds := byName["seconds"].GetHistogram()
	d := seconds.GetDataPoints()[0]
	if seconds.GetAggregationTemporality() != cumulative || d.GetCount() != 5 || d.GetSum() != 23.5 ||
		!slices.Equal(d.GetExplicitBounds(), []float64{1, 2, 4}) || !slices.Equal(d.GetBucketCounts(), []uint64{2, 0, 1, 2}) {
		t.Errorf("histogram: %v", seconds)
	}
	sizes := byName["sizes"].GetSummary().GetDataPoints()[0]
	if sizes.GetCount() != 5 || sizes.GetSum() != 23.5 || sizes.GetQuantileValues()[0].GetValue() != 3 {
		t.Errorf("summary: %v", sizes)
	}
}

func TestReports(t *testing.T) {
	c := collect(t, http.StatusOK)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20secret, x-tenant = shop,")
	settings := Settings{URL: c.URL + "/v1/metrics", Interval: time.Second}
	r, err := Start(t.Context(), settings, registry(), slog.New(slog.DiscardHandler))
	must(t, err)
	for range 2 { // one after the other
		if request := <-c.requests; request.URL.Path != "/v1/metrics" || request.Header.Get("Content-Type") != "application/x-protobuf" ||
			request.Header.Get("Authorization") != "Bearer secret" || request.Header.Get("X-Tenant") != "shop" {
			t.Errorf("%s %s %v", request.Method, request.URL, request.Header)
		}
		if len((<-c.reports).GetResourceMetrics()[0].GetScopeMetrics()[0].GetMetrics()) != 5 {
			t.Error("an incomplete report")
		}
	}
	must(t, r.Stop(t.Context()))
}

// A collector that is away, or refuses, is heard of at the end, and keeps nobody waiting longer than ctx.
func TestReportsFail(t *testing.T) {
	refusing := collect(t, http.StatusServiceUnavailable)
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		<-r.Context().Done()
	}))
	t.Cleanup(silent.Close)
	for url, want := range map[string]string{
		refusing.URL: "503", "http://127.0.0.1:1": "connect", silent.URL: context.DeadlineExceeded.Error(),
	} {
		bound := time.Minute
		if url == silent.URL {
			bound = 100 * time.Millisecond
		}
		r, err := Start(t.Context(), Settings{URL: url, Interval: time.Hour}, registry(), slog.New(slog.DiscardHandler))
		must(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), bound)
		if err := r.Stop(ctx); err == nil || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%s: %v, want %s", url, err, want)
		}
		cancel()
	}
}

func TestSettings(t *testing.T) {
	for _, url := range []string{"", "collector:4318", "ftp://collector/", "http://", "://"} {
		if _, err := Start(t.Context(), Settings{URL: url, Interval: time.Second}, registry(), slog.Default()); err == nil {
			t.Errorf("%q was accepted", url)
		}
	}
	t.Setenv("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "no pair")
	if _, err := Start(t.Context(), Settings{URL: "http://collector", Interval: time.Second}, registry(), slog.Default()); err == nil {
		t.Error("headers without a value were accepted")
	}
}
