package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"holdfast/experiment/audit"
	"holdfast/experiment/host"
	"holdfast/experiment/load"
	"holdfast/experiment/plans"
	"holdfast/lockprovider"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sample is a report of two strategies and the control, with rounds around the given rates.
func sample(rates map[lockprovider.Strategy]float64) Report {
	plan := plans.Default()
	plan.Name = `<script>alert("plan")</script>`
	plan.Strategies = []lockprovider.Strategy{lockprovider.None, lockprovider.RowLock, lockprovider.Lua}
	plan.Clients = []int{8, 32}
	r := Report{Plan: plan, Started: time.Now(), Command: "holdfast experiment", Machine: host.Machine{CPUs: 2, OS: "linux/amd64", Go: "go"}}
	units := int64(10)
	for round := 1; round <= 3; round++ {
		for _, c := range plan.Cases() {
			run := Run{
				Case: c, Round: round, Successes: 100, PerSecond: rates[c.Strategy] * (1 + float64(round-2)/50), P50Ms: 5, P99Ms: 20 + float64(round),
				Units: &units, Winners: &units,
				Answers: 150, Audit: "journal, answers", Percentiles: []Percentile{{50, 5}, {99, 20}, {100, 30}},
				Timeline: []load.Moment{{At: 0.5, Successes: 60}, {At: 1, Successes: 40}},
			}
			if c.Strategy == lockprovider.None {
				run.Findings = []audit.Finding{{Kind: audit.Journal, Subject: "account:a", Text: "amount 1"}, {Kind: audit.LostMoney, Subject: "account:b", Text: "12 lost", Units: 12}}
				run.Violations, run.LostMoney, run.FalseAnswers = 2, 12, 1
			}
			r.Runs = append(r.Runs, run)
		}
	}
	r.Conclude()
	return r
}

func TestConclusion(t *testing.T) {
	r := sample(map[lockprovider.Strategy]float64{lockprovider.None: 5000, lockprovider.RowLock: 500, lockprovider.Lua: 2000})
	said := strings.Join(r.Conclusion, "\n")
	for _, want := range []string{
		"NONE under transfers: 36 of money or points lost or invented, 3 of 450 answers false, 6 findings.", "0 of 1800 answers to customers were false.",
		"Exact, with no finding of the audit in 12 runs: lua, rowlock.",
		"lua did 2000", "faster than rowlock (4.00 times)",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("does not say %q:\n%s", want, said)
		}
	}
	if strings.Contains(said, "none did") {
		t.Errorf("recommends the control:\n%s", said)
	}
	readme, err := os.ReadFile("../../README.md")
	must(t, err)
	if line := regexp.MustCompile(`\d+ of \d+ answers to customers were false\.`); !line.MatchString(said) || !line.Match(readme) {
		t.Errorf("the README does not quote what is said of answers:\n%s", said)
	}
	open := r
	for i := range open.Runs {
		open.Runs[i].Rate, open.Runs[i].PerSecond = 100, 100
		if open.Runs[i].Strategy == lockprovider.Lua {
			open.Runs[i].P99Ms /= 4
			open.Runs[i].Unsent = 5
		}
	}
	open.Conclude()
	said = strings.Join(open.Conclusion, "\n")
	if !strings.Contains(said, "a shorter p99 than rowlock (4.00 times)") || strings.Contains(said, "faster") ||
		!strings.Contains(said, "lua could not keep up: 0 operations were never answered for good, 15 not even sent") {
		t.Errorf("an open loop:\n%s", said)
	}
	r.Runs[0].Audit = NotAudited + ": no database"
	r.Conclude()
	if said := strings.Join(r.Conclusion, "\n"); strings.Contains(said, "Exact") || strings.Contains(said, "answers to customers") || verdictOf(Summary{}) != NotAudited {
		t.Errorf("claims to have audited:\n%s", said)
	}
	if strings.Contains(said, "with the database alone") {
		t.Errorf("compares one strategy with itself:\n%s", said)
	}
	for i, run := range r.Runs {
		if run.Strategy == lockprovider.None { // of three, two need the same
			r.Runs[i].Strategy, r.Runs[i].Violations, r.Runs[i].Findings, r.Runs[i].PerSecond = lockprovider.AtomicSQL, 0, nil, 1000
		}
	}
	r.Conclude()
	if said := strings.Join(r.Conclusion, "\n"); !strings.Contains(said, "with the database alone: atomicsql did 1000") {
		t.Errorf("does not compare those that need the same:\n%s", said)
	}
	late := sample(map[lockprovider.Strategy]float64{lockprovider.RowLock: 500, lockprovider.Lua: 505})
	for i, run := range late.Runs {
		if run.Strategy == lockprovider.RowLock {
			late.Runs[i].P99Ms *= 3
		}
	}
	late.Conclude()
	if said := strings.Join(late.Conclusion, "\n"); !strings.Contains(said, "no difference can be told; its p99 is shorter than that of rowlock (3.00 times)") {
		t.Errorf("as fast, and late:\n%s", said)
	}
	said = strings.Join(sample(map[lockprovider.Strategy]float64{lockprovider.RowLock: 500, lockprovider.Lua: 505}).Conclusion, "\n")
	if strings.Contains(said, "faster") || !strings.Contains(said, "the intervals overlap with rowlock, so no difference can be told") {
		t.Errorf("overlapping intervals:\n%s", said)
	}
}

func TestJSONAndBaseline(t *testing.T) {
	old := sample(map[lockprovider.Strategy]float64{lockprovider.RowLock: 500, lockprovider.Lua: 2000})
	var text bytes.Buffer
	must(t, old.WriteJSON(&text))
	var raw struct{ Runs []map[string]any }
	must(t, json.Unmarshal(text.Bytes(), &raw))
	if len(raw.Runs) != len(old.Runs) {
		t.Fatalf("%d runs", len(raw.Runs))
	}
	for _, key := range []string{"workload", "strategy", "successes", "refusals", "perSecond", "p50Ms", "p99Ms", "violations"} {
		if _, found := raw.Runs[0][key]; !found {
			t.Errorf("runs have no %s", key)
		}
	}
	path := filepath.Join(t.TempDir(), "old.json")
	must(t, os.WriteFile(path, text.Bytes(), 0o600))
	read, err := Read(path)
	must(t, err)
	now := sample(map[lockprovider.Strategy]float64{lockprovider.RowLock: 500, lockprovider.Lua: 1000})
	now.CompareWith(read)
	verdicts := map[lockprovider.Strategy]Verdict{}
	for _, c := range now.Baseline {
		verdicts[c.Strategy] = c.Verdict
	}
	if len(now.Baseline) != 6 || verdicts[lockprovider.Lua] != Lower || verdicts[lockprovider.RowLock] != Same {
		t.Errorf("%v", now.Baseline)
	}
	must(t, os.WriteFile(path, []byte(`{"a": 1}`), 0o600))
	if _, err := Read(path); err == nil || !strings.Contains(err.Error(), "holds no runs") {
		t.Errorf("another file: %v", err)
	}
}

func TestCSV(t *testing.T) {
	r := sample(map[lockprovider.Strategy]float64{lockprovider.RowLock: 500})
	var text bytes.Buffer
	must(t, r.WriteCSV(&text))
	rows, err := csv.NewReader(&text).ReadAll()
	must(t, err)
	if len(rows) != 1+len(r.Runs) || rows[0][0] != "workload" || rows[1][1] != "none" {
		t.Errorf("%d rows, %v", len(rows), rows[:2])
	}
}

func TestHTMLNeedsNothingElse(t *testing.T) {
	r := sample(map[lockprovider.Strategy]float64{lockprovider.None: 5000, lockprovider.RowLock: 500, lockprovider.Lua: 2000})
	var text bytes.Buffer
	must(t, r.WriteHTML(&text))
	page := text.String()
	if found := regexp.MustCompile(`(?i)(src|href)\s*=|@import|url\(['"]?(https?:)?//|<script`).FindString(page); found != "" {
		t.Errorf("the page asks for something: %s", found)
	}
	// Throughput, latency and time line of two settings, and the scaling over clients.
	if n := strings.Count(page, `role="img"`); n != 7 {
		t.Errorf("%d plots", n)
	}
	for _, want := range []string{"&lt;script&gt;", "12 lost", "Throughput over clients", "faster than rowlock", "NaN"} {
		if found := strings.Contains(page, want); found != (want != "NaN") {
			t.Errorf("%q in the page: %t", want, found)
		}
	}
}

func TestTableIsLoud(t *testing.T) {
	r := sample(map[lockprovider.Strategy]float64{lockprovider.RowLock: 500, lockprovider.Lua: 2000})
	var text bytes.Buffer
	must(t, r.WriteTable(&text, true))
	if !strings.Contains(text.String(), " 30/30 ") {
		t.Errorf("no winners of three rounds:\n%s", text.String())
	}
	loud := "!!! transfers under NONE: 36 of money or points lost or invented, 3 of 450 answers false, 6 findings, in 3 of 3 rounds\n    MONEY LOST OR INVENTED: account:b 12 lost"
	if !strings.Contains(text.String(), loud) {
		t.Errorf("not loud enough:\n%s", text.String())
	}
}

func TestMarkdown(t *testing.T) {
	r := sample(map[lockprovider.Strategy]float64{lockprovider.RowLock: 500, lockprovider.Lua: 2000})
	var text bytes.Buffer
	must(t, r.WriteMarkdown(&text))
	for _, want := range []string{"    holdfast experiment\n", "| `lua` | 2000 [", "```yaml\n", "lua        █████"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
}

// TestReportFitsATerminal: what was lost comes first, and no line is longer than a terminal is wide, however large the figures are. The
// wide report has everything.
func TestReportFitsATerminal(t *testing.T) {
	r := sample(map[lockprovider.Strategy]float64{lockprovider.RowLock: 500, lockprovider.Lua: 2000})
	write := func(wide bool) string {
		t.Helper()
		var text bytes.Buffer
		must(t, r.WriteTable(&text, wide))
		for _, line := range strings.Split(text.String(), "\n") {
			if n := utf8.RuneCountInString(line); n > TerminalColumns && !wide {
				t.Errorf("%d columns: %s", n, line)
			}
		}
		if lost, table := strings.Index(text.String(), "!!! "), strings.Index(text.String(), "strategy"); lost < 0 || lost > table {
			t.Errorf("what was lost does not come first:\n%s", text.String())
		}
		return text.String()
	}
	const omitted = "Left out"
	fits, wide := write(false), write(true)
	if strings.Contains(fits, omitted) || !strings.Contains(fits, "✗ 6 wrong") || strings.Contains(fits, "\nCPU ms/op") || strings.Count(fits, "winners/units") != 2 {
		t.Errorf("figures that fit are left out:\n%s", fits)
	}
	if !strings.Contains(wide, "✗ 36 of money or points lost or invented, 3 of 450 answers false, 6 findings\n") {
		t.Errorf("the wide report does not say what was lost:\n%s", wide)
	}
	fairness := 0.5
	for i := range r.Runs {
		r.Runs[i].Fairness = &fairness
		r.Runs[i].PerSecond *= 1e9
		r.Runs[i].P99Ms *= 1e9
	}
	r.Conclude()
	if fits := write(false); !strings.Contains(fits, omitted+", since they do not fit: fairness") || !strings.Contains(fits, "✗ 6 wrong") {
		t.Errorf("large figures:\n%s", fits)
	}
	if wide := write(true); strings.Contains(wide, omitted) {
		t.Errorf("the wide report leaves something out:\n%s", wide)
	}
}
