package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"holdfast/experiment/plans"
	"holdfast/experiment/report"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
)

// TestExperimentCommand runs a short experiment as a user does: this program starts servers of itself, loads them, audits
// and reports. The control loses money; a strategy does not, and its rounds agree.
func TestExperimentCommand(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a dozen servers")
	}
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	table := command(t, nil, "experiment", "--workload", "transfers", "--strategies", "none,rowlock", "--clients", "16",
		"--duration", "1s", "--warm-up", "100ms", "--rounds", "6",
		"--json", file("r.json"), "--csv", file("r.csv"), "--html", file("r.html"), "--markdown", file("r.md"))
	for _, want := range []string{"!!! transfers under NONE:", "MONEY LOST OR INVENTED", "Exact, with no finding of the audit in 6 runs: rowlock."} {
		if !strings.Contains(table, want) {
			t.Errorf("the table does not say %q:\n%s", want, table)
		}
	}
	if !regexp.MustCompile(`• 0 of \d+ answers to customers were false\.`).MatchString(table) {
		t.Errorf("the table does not say that no answer was false:\n%s", table)
	}
	measured, err := report.Read(file("r.json"))
	must(t, err)
	wantEqual(t, "runs", len(measured.Runs), 12)
	lost := 0
	for _, run := range measured.Runs {
		if run.Successes == 0 || run.PerSecond <= 0 || run.P50Ms <= 0 || run.P99Ms < run.P50Ms || run.ServerCPUMs == nil ||
			run.RedisCommands == nil || run.Fairness == nil || run.Audit != "journal, answers, stores, events" {
			t.Errorf("%s, round %d: not measured: %+v", run.Strategy, run.Round, run)
		}
		switch run.Strategy {
		case lockprovider.None:
			lost += run.Violations
		default:
			wantEqual(t, "findings under a strategy", run.Violations, 0)
		}
	}
	if lost == 0 {
		t.Error("six rounds without a lock, and nothing was lost: nobody has contended")
	}
	for _, name := range []string{"r.csv", "r.html", "r.md"} {
		text, err := os.ReadFile(file(name))
		must(t, err)
		if !bytes.Contains(text, []byte("rowlock")) {
			t.Errorf("%s:\n%s", name, text)
		}
	}
	agree(t, measured)
}

// TestExperimentWithFaults strikes the servers and the stores of an experiment, one after the other, while customers do all that they can:
// nothing is lost, no answer is false, and all of it can have happened one thing after another.
func TestExperimentWithFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills servers")
	}
	testenv.Need(t, testenv.KindPostgres)
	testenv.Need(t, testenv.KindRedis)
	path := filepath.Join(t.TempDir(), "r.json")
	faults := plans.Faults()
	names := make([]string, len(faults))
	for i, f := range faults {
		names[i] = string(f)
	}
	stores, err := os.MkdirTemp("", "holdfast-faults-") //nolint:usetesting // PostgreSQL is another user, who cannot enter a directory of a test.
	must(t, err)
	defer os.RemoveAll(stores)
	must(t, os.Chmod(stores, 0o711))
	// Each fault once, and some again; a slow machine has more time.
	command(t, []string{"TMPDIR=" + stores}, "experiment", "--history", "--workloads", "mixed-all", "--strategies", "lua", "--databases", "postgres", "--redis", "real",
		"--clients", "6", "--instances", "2", "--rounds", "1", "--duration", testenv.Scaled(14*time.Second).String(),
		"--faults", strings.Join(names, ","), "--json", path)
	measured, err := report.Read(path)
	must(t, err)
	run := measured.Runs[0]
	for _, f := range faults {
		if run.Faults[f] == 0 {
			t.Errorf("%s has not happened: %v", f, run.Faults)
		}
	}
	if run.Successes == 0 || run.History == 0 || run.Violations != 0 || run.FalseAnswers != 0 || len(run.Anomalies) != 0 {
		t.Errorf("%d successes, %d operations in order, %d false answers, found %v", run.Successes, run.History, run.FalseAnswers, run.Findings)
	}
	if run.ServerCPUMs != nil || run.Transactions != nil {
		t.Error("costs of servers that were killed are no costs of an operation")
	}
}

// agree compares a report with itself, as it was written and read again: no difference may be seen. Two runs of one plan may
// differ by chance.
func agree(t *testing.T, measured report.Report) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "again.json")
	text, err := json.Marshal(measured)
	must(t, err)
	must(t, os.WriteFile(path, text, 0o600))
	again, err := report.Read(path)
	must(t, err)
	measured.CompareWith(again)
	wantEqual(t, "cases in common", len(measured.Baseline), 2)
	for _, c := range measured.Baseline {
		wantEqual(t, c.String(), c.Verdict, report.Same)
	}
}

// TestExperimentIsInterrupted ends an experiment as Ctrl-C does: what was measured is reported, and nothing goes on.
func TestExperimentIsInterrupted(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	p := start(t, nil, "experiment", "--workload", "points", "--strategies", "atomicsql", "--clients", "4",
		"--duration", "200ms", "--warm-up", "0s", "--rounds", "100")
	p.logged("[1/100]")
	p.signal(syscall.SIGINT)
	wantEqual(t, "exit code", p.wait(), exitFailed)
	if out := p.stdout.String(); !strings.Contains(out, "Conclusion") || !strings.Contains(out, "points on sqlite") {
		t.Errorf("no report of what was measured:\n%s", out)
	}
	if log := p.stderr.String(); !strings.Contains(log, "context canceled") {
		t.Errorf("does not say why it ended:\n%s", log)
	}
}

func TestExperimentLists(t *testing.T) {
	out := command(t, nil, "experiment", "--plans")
	for _, want := range slices.Concat(plans.Shipped(), []string{"flash-sale", "coupon-rush", "Carts of 2 to 5"}) {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
}

func TestExperimentRefusesBadInput(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	must(t, os.WriteFile(bad, []byte("workload: [points]\n"), 0o600))
	for _, test := range []struct {
		want string
		args []string
	}{
		{"clients: 0: want one of 1 to 10000", []string{"--clients", "0"}},
		{"--clients", []string{"--clients", "many"}},
		{"strategies: mutex: want one of", []string{"--strategies", "mutex"}},
		{"workloads: buy: want one of flash-sale", []string{"--workload", "buy"}},
		{"no such key: want one of about", []string{bad}},
		{"neither a file nor one of the shipped plans", []string{"nothing"}},
		{"--duration", []string{"--duration", "soon"}},
		{"say which one it is", []string{"--database-url", "postgres://localhost/x"}},
		{"contradicts --redis embedded", []string{"--redis", "embedded", "--redis-url", "redis://localhost"}},
		{"--baseline: ", []string{"--baseline", "no-such-file.json"}},
		{"this one is set by the experiment", []string{"--set", "locks.stock.provider=lua"}},
		{"--html no/where.html: there is no directory no", []string{"--html", "no/where.html"}},
		{"objects: 1: want at least 2", []string{"--objects", "1"}},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			p := start(t, nil, append([]string{"experiment"}, test.args...)...)
			wantEqual(t, "exit code", p.wait(), exitFailed)
			if log := p.stderr.String(); !strings.Contains(log, test.want) {
				t.Errorf("%s\nwant %q", log, test.want)
			}
		})
	}
}
