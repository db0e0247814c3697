package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"holdfast/lockprovider"
)

var (
	alertMetric  = regexp.MustCompile(`\b(?:holdfast|process)_[a-z_]+`)
	alertMatcher = regexp.MustCompile(`(holdfast_[a-z_]+)\{([^}]*)\}`)
	alertLabel   = regexp.MustCompile(`(\w+) *=~? *"([^"]*)"`)
)

// TestAlertsSeeAServer: a server that has just sold something shows each metric of the alert rules,
// with their labels; but for those with labels that count what has not happened. Jobs are counted
// from the start, by the values that rules select.
func TestAlertsSeeAServer(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server")
	}
	noLeaks(t)
	s := openSQLite(t)
	server := boot(t, s.production(), append(all(lockprovider.Lua), set("payment.methods=POINTS")...)...)
	root := signIn(t, browser(t), "root", true, server)
	order := buy(root.product(t, 1000, 5), 1, "")
	delete(order, "payment")
	root.do(t, "placeOrder", order)
	var exposed string
	eventually(t, "an event is published and counted", func() bool {
		_, exposed = get(t, root.http, server.admin+"/metrics")
		return strings.Contains(exposed, "holdfast_relay_lag_seconds_bucket{")
	})
	var rules struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	text, err := os.ReadFile(filepath.Join(moduleRoot, "deploy", "prometheus", "alerts.yml"))
	must(t, err)
	must(t, yaml.Unmarshal(text, &rules))
	unhappened := []string{"holdfast_lock_violations_total", "holdfast_drift_total", "holdfast_poisoned_events_total"}
	looked, selected := 0, 0
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			for _, metric := range alertMetric.FindAllString(rule.Expr, -1) {
				looked++
				if !slices.Contains(unhappened, metric) && !series(exposed, metric, "") {
					t.Errorf("%s reads %s, which the server does not show", rule.Alert, metric)
				}
			}
			for _, found := range alertMatcher.FindAllStringSubmatch(rule.Expr, -1) {
				if slices.Contains(unhappened, found[1]) {
					continue
				}
				for _, label := range alertLabel.FindAllStringSubmatch(found[2], -1) {
					name := strings.TrimPrefix(label[1], "exported_") // so that Prometheus calls our label job
					if found[1] != "holdfast_job_runs_total" {
						if !series(exposed, found[1], name+`="`) {
							t.Errorf("%s selects %s by %s, which is no label of it", rule.Alert, found[1], name)
						}
						continue
					}
					for value := range strings.SplitSeq(label[2], "|") {
						selected++
						if !series(exposed, found[1], name+`="`+value+`"`) {
							t.Errorf("%s selects %s by %s=%q, which the server does not show", rule.Alert, found[1], name, value)
						}
					}
				}
			}
		}
	}
	if looked < 20 || selected < 10 {
		t.Errorf("looked at %d metrics and %d values only", looked, selected)
	}
	server.stop()
}

// series reports whether what a server shows has a series of a metric with a label.
func series(exposed, metric, label string) bool {
	for line := range strings.Lines(exposed) {
		name, labels, _ := strings.Cut(line, "{")
		if bare, _, _ := strings.Cut(name, " "); bare == metric && strings.Contains(labels, label) {
			return true
		}
	}
	return false
}
