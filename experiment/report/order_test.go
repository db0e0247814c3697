package report

import (
	"bytes"
	"strings"
	"testing"

	"holdfast/experiment/audit"
	"holdfast/experiment/history"
	"holdfast/lockprovider"
)

// TestAlarmsShowARoundWithAnomalies: of several rounds, one whose order is anomalous explains more than one that only lost something.
func TestAlarmsShowARoundWithAnomalies(t *testing.T) {
	r := sample(map[lockprovider.Strategy]float64{lockprovider.RowLock: 500, lockprovider.Lua: 2000})
	for i := range r.Runs {
		run := &r.Runs[i]
		if run.Strategy != lockprovider.None || run.Round != 2 {
			continue
		}
		run.History = 10
		run.Anomalies = []history.Anomaly{{Name: history.LostUpdate, Count: 1, Text: "lost update: ..."}}
		run.Findings = []audit.Finding{{Kind: string(history.LostUpdate), Subject: "1 times.", Text: "two changes"}}
	}
	alarms := r.alarms()
	if len(alarms) == 0 {
		t.Fatal("no alarms")
	}
	for _, a := range alarms {
		if len(a.Pictures) != 1 || len(a.Findings) != 1 || a.Findings[0].Kind != string(history.LostUpdate) {
			t.Errorf("%s: %d pictures, findings %+v", a.Title, len(a.Pictures), a.Findings)
		}
	}
}

// TestReportOfTheOrder: a report of runs whose order was checked says so, and that the check costs something.
func TestReportOfTheOrder(t *testing.T) {
	r := sample(map[lockprovider.Strategy]float64{lockprovider.RowLock: 500, lockprovider.Lua: 2000})
	const costs = "include those of the reads and repeats"
	if said := strings.Join(r.Conclusion, "\n"); strings.Contains(said, costs) {
		t.Errorf("without a history: %s", said)
	}
	for i := range r.Runs {
		r.Runs[i].History = 10
	}
	r.Conclude()
	var text bytes.Buffer
	must(t, r.WriteTable(&text, true))
	for _, want := range []string{costs, "operations was checked, reads included: 0 kinds of anomaly."} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
}
