package app

import (
	"bytes"
	"compress/gzip"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/config"
	"holdfast/config/setting"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
)

// An OpenTelemetry collector hears of the locks what Prometheus does.
func TestReportMetrics(t *testing.T) {
	t.Parallel()
	reports := make(chan []byte, 10)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			unzipped, err := gzip.NewReader(r.Body)
			if err != nil {
				t.Error(err)
				return
			}
			body = unzipped
		}
		report, err := io.ReadAll(body)
		if err != nil {
			t.Error(err)
		}
		if r.URL.Path != "/v1/metrics" {
			t.Errorf("reported to %s", r.URL)
		}
		reports <- report
	}))
	t.Cleanup(collector.Close)
	registry := prometheus.NewRegistry()
	lockprovider.NewMetrics(registry)
	stop, err := reportMetrics(t.Context(), config.Metrics{OTLP: setting.URL(collector.URL + "/v1/metrics"), Interval: time.Hour}, registry, "shop-1", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil { // not before it has reported once more
		t.Fatal(err)
	}
	report := testenv.Receive(t, reports, "the last report")
	for _, want := range []string{"holdfast_pubsub_grants_total", "shop-1"} {
		if !bytes.Contains(report, []byte(want)) {
			t.Errorf("no %s in the report", want)
		}
	}
}
