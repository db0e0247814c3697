package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"holdfast/graph"
	"holdfast/graph/served"
)

// TestPlaygroundTabsWork executes every prepared tab of a development server in a browser. Who opens the page for the
// first time must not see an error.
func TestPlaygroundTabsWork(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser")
	}
	chromium := os.Getenv("CHROMIUM")
	if chromium == "" {
		chromium = "/usr/bin/chromium"
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("needs node in PATH to drive a browser")
	}
	for path, hint := range map[string]string{
		chromium: "needs Chromium; the variable CHROMIUM names it where it is not /usr/bin/chromium",
		filepath.Join(moduleRoot, "web", "node_modules", "playwright-core"): "needs playwright-core: cd web && npm ci",
	} {
		if _, err := os.Stat(path); err != nil {
			t.Skip(hint)
		}
	}
	noLeaks(t)
	server := boot(t, openSQLite(t).development())

	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	browser := exec.CommandContext(ctx, node, filepath.Join("tests", "playground.mjs"), server.url+"/")
	browser.Dir = filepath.Join(moduleRoot, "web")
	browser.Env = append(os.Environ(), "CHROMIUM="+chromium)
	// The script closes Chromium when it is told to end; killed, it would leave it behind.
	browser.Cancel = func() error { return browser.Process.Signal(syscall.SIGTERM) }
	browser.WaitDelay = time.Minute
	var stdout, stderr bytes.Buffer
	browser.Stdout, browser.Stderr = &stdout, &stderr
	if err := browser.Run(); err != nil {
		t.Fatalf("%v\n%s%s", err, stderr.String(), stdout.String())
	}

	tabs := 0
	for lines := bufio.NewScanner(&stdout); lines.Scan(); tabs++ {
		var line struct {
			Tab      string
			Response struct {
				Data   map[string]json.RawMessage
				Errors []json.RawMessage
			}
		}
		must(t, json.Unmarshal(lines.Bytes(), &line))
		if len(line.Response.Errors) > 0 || len(line.Response.Data) == 0 {
			t.Errorf("%s: %s", line.Tab, lines.Text())
		}
		for field, data := range line.Response.Data {
			var payload struct{ UserErrors []json.RawMessage }
			if string(data) == "null" && field != "queueTicket" { // of which one has to paste the identifier
				t.Errorf("%s: %s is null", line.Tab, field)
			}
			if json.Unmarshal(data, &payload) == nil && len(payload.UserErrors) > 0 { // data may be a list as well
				t.Errorf("%s: %s: %s", line.Tab, field, payload.UserErrors)
			}
		}
	}
	prepared, err := graph.Tabs(served.Options{})
	must(t, err)
	wantEqual(t, "tabs that were executed", tabs, len(prepared))
	server.stop()
}
