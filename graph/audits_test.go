package graph_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"testing"
	"time"
)

// TestGraphQLOverHTTP runs the audits of the specification, which the npm package graphql-http brings. All that it says MUST
// or SHOULD pass, and what it says MAY is counted.
func TestGraphQLOverHTTP(t *testing.T) {
	if testing.Short() {
		t.Skip("runs Node")
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("needs node in PATH")
	}
	if _, err := os.Stat("../web/node_modules/graphql-http"); err != nil {
		t.Skip("needs the npm package graphql-http: cd web && npm ci")
	}
	a := newAPI(t, settings{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, "tests/audits.mjs", a.server.URL+"/graphql")
	cmd.Dir = "../web"
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	passed, all := map[string]int{}, map[string]int{}
	for lines := bufio.NewScanner(bytes.NewReader(stdout)); lines.Scan(); {
		var audit struct{ ID, Name, Level, Status, Reason string }
		must(t, json.Unmarshal(lines.Bytes(), &audit))
		all[audit.Level]++
		switch {
		case audit.Status == "ok":
			passed[audit.Level]++
		case audit.Level == "MAY":
			t.Logf("%s %s: %s", audit.ID, audit.Name, audit.Reason)
		default:
			t.Errorf("%s %s: %s", audit.ID, audit.Name, audit.Reason)
		}
	}
	if all["MUST"] < 10 || all["SHOULD"] < 10 {
		t.Errorf("the audits are not what they were: %v", all)
	}
	t.Logf("audits passed: MUST %d/%d, SHOULD %d/%d, MAY %d/%d", passed["MUST"], all["MUST"], passed["SHOULD"], all["SHOULD"],
		passed["MAY"], all["MAY"])
}
