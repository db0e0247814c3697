package docs_test

import (
	"go/ast"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/components/metrics"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"holdfast/schedulers"
)

const operations = "docs/operations.md"

// TestMetricsAreDocumented compares the metrics of the code with the tables of docs/operations.md.
func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	documented := firstColumn(t, operations, "## Metrics")
	documented = slices.DeleteFunc(documented, func(name string) bool { return !strings.HasPrefix(name, "holdfast_") })
	wantSame(t, documented, registered(t), operations)
}

// TestMetricsThatDocumentsName looks at every name of a metric in every document, alert rules included.
func TestMetricsThatDocumentsName(t *testing.T) {
	t.Parallel()
	known := registered(t)
	others := []string{"holdfast_schema_revisions", "holdfast_attempt"} // a table of the database, and what Stripe has of an attempt
	name := regexp.MustCompile(`\bholdfast_[a-z_]+`)
	for _, file := range slices.Concat(files(t, ".md"), files(t, ".yml"), files(t, ".yaml")) {
		for _, found := range name.FindAllString(read(t, file), -1) {
			if !slices.Contains(known, found) && !slices.Contains(known, baseName(found)) && !slices.Contains(others, found) {
				t.Errorf("%s names %s, which no code registers", file, found)
			}
		}
	}
}

// baseName is the metric that a series of a histogram belongs to.
func baseName(series string) string {
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if base, found := strings.CutSuffix(series, suffix); found {
			return base
		}
	}
	return series
}

// registered are the names of the metrics that the code registers: its own, found in the source, and those that Watermill
// registers under our prefix.
func registered(t *testing.T) []string {
	t.Helper()
	var names []string
	watermill := false
	sources(t, func(file string, parsed *ast.File) {
		ast.Inspect(parsed, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CompositeLit:
				if kind, ok := n.Type.(*ast.SelectorExpr); ok && strings.HasSuffix(kind.Sel.Name, "Opts") && isName(kind.X, "prometheus") {
					names = append(names, nameField(t, file, n)...)
				}
			case *ast.CallExpr:
				if called, ok := n.Fun.(*ast.SelectorExpr); ok && called.Sel.Name == "NewDesc" && isName(called.X, "prometheus") {
					t.Errorf("%s: this test does not know prometheus.NewDesc", file)
				}
			case *ast.BasicLit:
				value, ok := text(n)
				watermill = watermill || ok && value == watermillPrefix
			}
			return true
		})
	})
	if watermill {
		names = append(names, watermillMetrics(t)...)
	}
	if len(names) < 15 {
		t.Fatalf("only %d metrics were found in the code", len(names))
	}
	return names
}

func isName(e ast.Expr, name string) bool {
	identifier, ok := e.(*ast.Ident)
	return ok && identifier.Name == name
}

func nameField(t *testing.T, file string, options *ast.CompositeLit) []string {
	t.Helper()
	for _, element := range options.Elts {
		field, ok := element.(*ast.KeyValueExpr)
		if !ok || !isName(field.Key, "Name") {
			continue
		}
		name, ok := text(field.Value)
		if !ok {
			t.Errorf("%s: the name of a metric is not a literal", file)
		}
		return []string{name}
	}
	return nil // options of a collector, such as of the process
}

// watermillPrefix is the namespace that package events gives to Watermill's metrics.
const watermillPrefix = "holdfast_events"

func watermillMetrics(t *testing.T) []string {
	t.Helper()
	described := &describer{}
	builder := metrics.NewPrometheusMetricsBuilder(described, watermillPrefix, "")
	if _, err := builder.DecoratePublisher(nowhere{}); err != nil {
		t.Fatal(err)
	}
	if _, err := builder.DecorateSubscriber(nowhere{}); err != nil {
		t.Fatal(err)
	}
	builder.NewRouterMiddleware()
	return described.names
}

type nowhere struct {
	message.Publisher
	message.Subscriber
}

func (nowhere) Close() error { return nil }

// describer is a registry that notes the names of what is registered.
type describer struct{ names []string }

var fullName = regexp.MustCompile(`fqName: "([^"]*)"`)

func (d *describer) Register(c prometheus.Collector) error {
	descriptions := make(chan *prometheus.Desc, 100)
	c.Describe(descriptions)
	close(descriptions)
	for description := range descriptions {
		if name := fullName.FindStringSubmatch(description.String()); name != nil && !slices.Contains(d.names, name[1]) {
			d.names = append(d.names, name[1])
		}
	}
	return nil
}

func (d *describer) MustRegister(all ...prometheus.Collector) {
	for _, c := range all {
		_ = d.Register(c)
	}
}

func (*describer) Unregister(prometheus.Collector) bool { return false }

// TestLogLinesAreDocumented compares the WARN and ERROR lines of the code with the tables of docs/operations.md.
func TestLogLinesAreDocumented(t *testing.T) {
	t.Parallel()
	var lines []string
	sources(t, func(file string, parsed *ast.File) {
		ast.Inspect(parsed, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if line := logged(t, file, call); line != "" && !slices.Contains(lines, line) {
					lines = append(lines, line)
				}
			}
			return true
		})
	})
	if len(lines) < 20 {
		t.Fatalf("only %d lines were found in the code", len(lines))
	}
	wantSame(t, firstColumn(t, operations, "## Log lines"), lines, operations)
}

// aLogger is what variables and fields that hold a logger are called.
var aLogger = regexp.MustCompile(`(?i)^(slog|log|logger)$`)

// logged returns the message of a call that logs at the level WARN or ERROR, "" for other calls.
func logged(t *testing.T, file string, call *ast.CallExpr) string {
	t.Helper()
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	receiver := ""
	switch x := method.X.(type) {
	case *ast.Ident:
		receiver = x.Name
	case *ast.SelectorExpr:
		receiver = x.Sel.Name
	}
	at := 0
	switch method.Sel.Name {
	case "Warn", "Error":
	case "WarnContext", "ErrorContext":
		at = 1
	case "Log", "LogAttrs":
		if aLogger.MatchString(receiver) {
			t.Errorf("%s: this test cannot see the level of %s.%s", file, receiver, method.Sel.Name)
		}
		return ""
	default:
		return ""
	}
	if !aLogger.MatchString(receiver) {
		return ""
	}
	message, ok := "", len(call.Args) > at
	if ok {
		message, ok = text(call.Args[at])
	}
	if !ok {
		t.Errorf("%s: the message of %s.%s is not a literal", file, receiver, method.Sel.Name)
	}
	return message
}

// TestAlerts compares the alert rules with the table of docs/operations.md, and looks for the metrics that rules name.
func TestAlerts(t *testing.T) {
	t.Parallel()
	const rules = alertRules
	var file alertFile
	unmarshal(t, rules, &file)
	known := registered(t)
	libraries := &describer{}
	libraries.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewDBStatsCollector(nil, "database"))
	known = append(append(known, libraries.names...), "up")
	var names []string
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			names = append(names, rule.Alert)
			found := metricsIn(rule.Expr)
			if len(found) == 0 {
				t.Errorf("%s: the rule %s names no metric", rules, rule.Alert)
			}
			for _, metric := range found {
				if !slices.Contains(known, metric) && !slices.Contains(known, baseName(metric)) {
					t.Errorf("%s: the rule %s names %s, which no code registers", rules, rule.Alert, metric)
				}
			}
		}
	}
	wantSame(t, firstColumn(t, operations, "### Alerts"), names, path.Base(rules))
}

// TestJobsThatFailAlert: of each job that runs as often as by default, so many runs fit into the range of a rule about failed runs as the rule wants.
func TestJobsThatFailAlert(t *testing.T) {
	t.Parallel()
	defaults := reflect.ValueOf(schedulers.DefaultSettings())
	failed := regexp.MustCompile(`holdfast_job_runs_total\{(?:exported_job=~?"([^"]*)",)?outcome=~"error\|unclaimed"\}\[(\d+)([mhd])\]\)\) > (\d+)`)
	units := map[string]time.Duration{"m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}
	rules := failed.FindAllStringSubmatch(read(t, alertRules), -1)
	jobs := 0
	for i := range defaults.NumField() {
		field := defaults.Type().Field(i)
		if !strings.HasSuffix(field.Name, "Every") {
			continue
		}
		jobs++
		job, period := field.Tag.Get("key"), time.Duration(defaults.Field(i).Int())
		if !slices.ContainsFunc(rules, func(rule []string) bool {
			n, err := strconv.Atoi(rule[2])
			more, merr := strconv.Atoi(rule[4])
			return err == nil && merr == nil && (rule[1] == "" || slices.Contains(strings.Split(rule[1], "|"), job)) &&
				time.Duration(n)*units[rule[3]] >= time.Duration(max(more+1, 3))*period
		}) {
			t.Errorf("no rule can see that the job %s fails, which runs every %s", job, period)
		}
	}
	if jobs < 8 {
		t.Errorf("found %d jobs only", jobs)
	}
}

var (
	notMetrics = regexp.MustCompile(`\{[^}]*\}|\[[^\]]*\]|"[^"]*"|\b(by|without|on|ignoring) *\([^)]*\)|\boffset +\w+`)
	words      = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]* *\(?`)
	operators  = []string{"and", "or", "unless", "bool"}
)

// metricsIn are the words of an expression of PromQL that are no functions, operators or labels.
func metricsIn(expression string) []string {
	var found []string
	for _, word := range words.FindAllString(notMetrics.ReplaceAllString(expression, " "), -1) {
		word = strings.TrimSpace(word)
		if !strings.HasSuffix(word, "(") && !slices.Contains(operators, word) && !slices.Contains(found, word) {
			found = append(found, word)
		}
	}
	return found
}
