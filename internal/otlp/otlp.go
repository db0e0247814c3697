// Package otlp reports Prometheus metrics to an OpenTelemetry collector, by OTLP over HTTP in its binary form.
//
// OpenTelemetry's own exporter links gRPC and a tracing SDK for what is one POST.
package otlp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"holdfast/config/setting"
)

// Settings say where and how often to report.
type Settings struct {
	// URL is that of the collector's metrics, such as http://127.0.0.1:4318/v1/metrics.
	URL string
	// Interval is the time between reports, and bounds each of them.
	Interval time.Duration
	// Resource describes the process that reports, by OpenTelemetry's names, such as service.name.
	Resource map[string]string
}

// Reporter reports until it is stopped.
type Reporter struct {
	settings Settings
	gatherer prometheus.Gatherer
	log      *slog.Logger
	headers  http.Header
	client   *http.Client
	start    time.Time
	stop     context.CancelFunc
	running  sync.WaitGroup
}

// Start begins to report what the gatherer has, every Interval. A report that fails is logged and not repeated: the counts
// go on from the start of the process, so the next report makes up for it. The variables OTEL_EXPORTER_OTLP_HEADERS and
// OTEL_EXPORTER_OTLP_METRICS_HEADERS add headers, such as for access to the collector.
func Start(ctx context.Context, s Settings, gatherer prometheus.Gatherer, log *slog.Logger) (*Reporter, error) {
	if u, err := url.Parse(s.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q is no address of a collector, such as http://127.0.0.1:4318/v1/metrics", setting.URL(s.URL).String())
	}
	headers := http.Header{}
	for _, variable := range []string{"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_METRICS_HEADERS"} {
		if err := addHeaders(headers, os.Getenv(variable)); err != nil {
			return nil, fmt.Errorf("%s: %w", variable, err)
		}
	}
	ctx, stop := context.WithCancel(ctx)
	r := &Reporter{
		settings: s, gatherer: gatherer, log: log, headers: headers, client: &http.Client{Timeout: s.Interval},
		start: time.Now(), stop: stop,
	}
	r.running.Go(func() { r.loop(ctx) })
	return r, nil
}

// addHeaders reads name=value pairs, parted by commas and with their values escaped as in URLs, as OpenTelemetry has it.
func addHeaders(headers http.Header, text string) error {
	for pair := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, escaped, ok := strings.Cut(pair, "=")
		value, err := url.PathUnescape(strings.TrimSpace(escaped))
		if name = strings.TrimSpace(name); !ok || name == "" || err != nil {
			return errors.New("no list of name=value, separated by commas") // its values are secrets
		}
		headers.Set(name, value)
	}
	return nil
}

func (r *Reporter) loop(ctx context.Context) {
	ticker := time.NewTicker(r.settings.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := r.report(ctx); err != nil && ctx.Err() == nil {
			r.log.WarnContext(ctx, "metrics not reported", "error", err)
		}
	}
}

// Stop ends the reports with a last one, which ctx bounds.
func (r *Reporter) Stop(ctx context.Context) error {
	r.stop()
	r.running.Wait()
	defer r.client.CloseIdleConnections()
	return r.report(ctx)
}

// report sends one report.
func (r *Reporter) report(ctx context.Context) error {
	families, err := r.gatherer.Gather()
	if err != nil {
		return fmt.Errorf("gather metrics: %w", err)
	}
	body, err := proto.Marshal(requestOf(families, r.settings.Resource, r.start, time.Now()))
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.settings.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	for name, values := range r.headers {
		request.Header[name] = values
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	response, err := r.client.Do(request)
	if err != nil {
		return setting.WithoutURL(err)
	}
	defer response.Body.Close()
	const most = 1 << 10 // of an answer: it is for people
	text, _ := io.ReadAll(io.LimitReader(response.Body, most))
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("the collector answered %s: %.200q", response.Status, text)
	}
	return nil
}
