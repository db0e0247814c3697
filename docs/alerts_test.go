package docs_test

import (
	"go/ast"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	alertRules = "deploy/prometheus/alerts.yml"
	alertCases = "deploy/prometheus/alerts.test.yml"
)

type alertFile struct {
	Groups []struct {
		Rules []struct{ Alert, Expr string }
	}
}

// TestAlertsFire has Prometheus evaluate each rule in its cases. Each rule has one in which it
// fires, and one in which it does not.
func TestAlertsFire(t *testing.T) {
	t.Parallel()
	var rules alertFile
	unmarshal(t, alertRules, &rules)
	var cases struct {
		Tests []struct {
			AlertRuleTest []struct {
				Alertname string
				ExpAlerts []any `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	unmarshal(t, alertCases, &cases)
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, c := range cases.Tests {
		for _, at := range c.AlertRuleTest {
			fires[at.Alertname] = fires[at.Alertname] || len(at.ExpAlerts) > 0
			silent[at.Alertname] = silent[at.Alertname] || len(at.ExpAlerts) == 0
		}
	}
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			if !fires[rule.Alert] || !silent[rule.Alert] {
				t.Errorf("%s: a case in which %s fires: %v, one in which it does not: %v", alertCases, rule.Alert, fires[rule.Alert], silent[rule.Alert])
			}
		}
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		const needs = "needs promtool, of the Debian package prometheus"
		if os.Getenv("REQUIRE_SERVERS") == "1" {
			t.Fatal(needs)
		}
		t.Skip(needs)
	}
	cmd := exec.CommandContext(t.Context(), promtool, "test", "rules", filepath.Base(alertCases))
	cmd.Dir = filepath.Join(root, filepath.Dir(alertCases))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}

var (
	selector = regexp.MustCompile(`(holdfast_[a-z_]+)\{([^}]*)\}`)
	matcher  = regexp.MustCompile(`(\w+) *(=~|!~|!=|=) *"([^"]*)"`)
)

// ofPrometheus are labels that Prometheus gives to all series. It calls the label job of ours
// exported_job.
var ofPrometheus = map[string]string{"exported_job": "job"}

// TestAlertsSelectWhatIsCounted: a rule that selects by a label that the metric does not have, or
// by a value that no code counts, never fires.
func TestAlertsSelectWhatIsCounted(t *testing.T) {
	t.Parallel()
	labels, values := labelsOf(t)
	var rules alertFile
	unmarshal(t, alertRules, &rules)
	compared := 0
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			for _, s := range selector.FindAllStringSubmatch(rule.Expr, -1) {
				for _, m := range matcher.FindAllStringSubmatch(s[2], -1) {
					name := m[1]
					if ours, ok := ofPrometheus[name]; ok {
						name = ours
					}
					if !slices.Contains(labels[s[1]], name) {
						t.Errorf("%s: %s selects %s by %s; its labels are %q", alertRules, rule.Alert, s[1], m[1], labels[s[1]])
					}
					for value := range strings.SplitSeq(m[3], "|") {
						compared++
						if _, err := strconv.ParseBool(value); err != nil && !values[value] {
							t.Errorf("%s: %s selects %s by %s=%q, which is nowhere in the code", alertRules, rule.Alert, s[1], m[1], value)
						}
					}
				}
			}
		}
	}
	if compared < 15 {
		t.Errorf("compared %d values only", compared)
	}
}

// labelsOf returns the labels of the metrics that the code registers, and the texts that are in it,
// of which some are values of labels.
func labelsOf(t *testing.T) (labels map[string][]string, texts map[string]bool) {
	t.Helper()
	labels, texts = map[string][]string{}, map[string]bool{}
	sources(t, func(file string, parsed *ast.File) {
		ast.Inspect(parsed, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BasicLit:
				if n.Kind == token.STRING {
					value, _ := text(n)
					texts[value] = true
				}
			case *ast.CallExpr:
				made, ok := n.Fun.(*ast.SelectorExpr)
				if !ok || !isName(made.X, "prometheus") || !strings.HasSuffix(made.Sel.Name, "Vec") || len(n.Args) != 2 {
					break
				}
				options, ok := n.Args[0].(*ast.CompositeLit)
				listed := textsOf(parsed, n.Args[1])
				if !ok || len(listed) == 0 {
					t.Errorf("%s: this test cannot see the labels of a metric", file)
					break
				}
				for _, name := range nameField(t, file, options) {
					labels[name] = listed
				}
			}
			return true
		})
	})
	return labels, texts
}

// textsOf returns the texts of a literal, of a variable of the file that is one, or of append to
// them; nil for other expressions.
func textsOf(file *ast.File, e ast.Expr) (found []string) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if value, ok := text(e); ok {
			return []string{value}
		}
	case *ast.CompositeLit:
		for _, element := range e.Elts {
			found = append(found, textsOf(file, element)...)
		}
	case *ast.CallExpr:
		if isName(e.Fun, "append") {
			for _, argument := range e.Args {
				found = append(found, textsOf(file, argument)...)
			}
		}
	case *ast.Ident:
		ast.Inspect(file, func(n ast.Node) bool {
			if made, ok := n.(*ast.AssignStmt); ok && len(made.Lhs) == 1 && isName(made.Lhs[0], e.Name) {
				found = textsOf(file, made.Rhs[0])
			}
			return true
		})
	}
	return found
}
