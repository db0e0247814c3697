package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"holdfast/clients"
)

// TestStorefront uses the shop of a development server as customers do: by mouse, by keyboard, on a phone, in the dark.
func TestStorefront(t *testing.T) {
	s := browserScript(t, "tests/shop.mjs")
	noLeaks(t)
	stores := openSQLite(t)
	server := boot(t, stores.development())
	s.run(t, 5*time.Minute, nil, server.url, "--admin", adminToken(t, stores), "--mode", "all")
	server.stop()
}

// TestStorefrontUnderASafelist signs in to a shop in production that serves nothing but its pages and one operation more.
func TestStorefrontUnderASafelist(t *testing.T) {
	s := browserScript(t, "tests/shop.mjs")
	noLeaks(t)
	stores := openSQLite(t)
	manifest := filepath.Join(t.TempDir(), "manifest.json")
	must(t, os.WriteFile(manifest, []byte(`{"4711": "query Names { products { nodes { name } } }"}`), 0o600))
	command(t, stores.production(), "import", filepath.Join(moduleRoot, "examples", "products.csv"))
	server := boot(t, stores.production(), set("http.playground=false", "safelist.mode=only", "safelist.manifest="+manifest)...)
	token := strings.TrimSpace(command(t, stores.production(), "token", "--user", "carol"))
	s.run(t, time.Minute, nil, server.url, "--admin", token, "--mode", "production")
	server.stop()
}

// TestStorefrontWaitingLine holds the database up, so that an order has to wait in line, until the page shows its place.
func TestStorefrontWaitingLine(t *testing.T) {
	s := browserScript(t, "tests/shop.mjs")
	noLeaks(t)
	stores := openSQLite(t)
	server := boot(t, stores.development(), set("locks.stock.provider=queue")...)

	release := holdDatabase(t, stores)
	s.run(t, 5*time.Minute, release, server.url, "--admin", adminToken(t, stores), "--mode", "ticket")
	server.stop()
}

// holdDatabase takes SQLite's one write lock. What it returns gives the lock back; a test whose script never asks for that fails.
func holdDatabase(t *testing.T, stores stores) (release func()) {
	t.Helper()
	db, err := clients.OpenDatabase(t.Context(), stores.database, clients.DatabaseOptions{MaxOpen: 1})
	must(t, err)
	tx, err := db.Ent.Tx(t.Context()) // immediate
	must(t, err)
	released := false
	release = func() {
		if !released {
			released = true
			must(t, tx.Rollback())
			must(t, db.Close())
		}
	}
	t.Cleanup(func() {
		if !released {
			t.Error("the page did not show what waits for the database")
		}
		release()
	})
	return release
}

// TestStorefrontAsksForAToken in production: the demo token would let everybody in.
func TestStorefrontAsksForAToken(t *testing.T) {
	noLeaks(t)
	stores := openSQLite(t)
	server := boot(t, stores.production(), set("http.playground=false")...)
	response, err := http.Get(server.url + "/shop")
	must(t, err)
	defer func() { must(t, response.Body.Close()) }()
	page, err := io.ReadAll(response.Body)
	must(t, err)
	wantEqual(t, "status", response.StatusCode, http.StatusOK)
	if !strings.Contains(string(page), `{"endpoint":"/graphql","token":"",`) {
		t.Errorf("the page is\n%s", page)
	}
	http.DefaultClient.CloseIdleConnections()
	server.stop()
}

// TestStorefrontInProduction signs in with a token, which production requires, and buys what was imported.
func TestStorefrontInProduction(t *testing.T) {
	s := browserScript(t, "tests/shop.mjs")
	noLeaks(t)
	stores := openSQLite(t)
	example := filepath.Join(moduleRoot, "examples", "products.csv")
	wantEqual(t, "imported", command(t, stores.production(), "import", example),
		"4 created, 0 updated, 0 unchanged\n")
	server := boot(t, stores.production(), set("http.playground=false", "http.introspection=false")...)
	token := strings.TrimSpace(command(t, stores.production(), "token", "--user", "carol"))
	s.run(t, time.Minute, nil, server.url, "--admin", token, "--mode", "production")
	server.stop()
	stores.audit(t)
}

func adminToken(t *testing.T, s stores) string {
	t.Helper()
	return strings.TrimSpace(command(t, s.development(), "token", "--user", "admin", "--admin"))
}

// script is a program for Node. It prints a line of JSON for each of its checks.
type script struct {
	node string
	dir  string
	path string
	env  []string
}

// npmScript finds a script in a directory of this module. It skips the test if Node or the npm packages of the
// directory are missing.
func npmScript(t *testing.T, dir, path string) script {
	t.Helper()
	if testing.Short() {
		t.Skip("runs Node")
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("needs node in PATH")
	}
	if _, err := os.Stat(filepath.Join(moduleRoot, dir, "node_modules")); err != nil {
		t.Skipf("needs npm packages: cd %s && npm ci", dir)
	}
	return script{node: node, dir: filepath.Join(moduleRoot, dir), path: path, env: os.Environ()}
}

// browserScript is npmScript for a script that drives a browser. It also skips the test if there is no Chromium.
func browserScript(t *testing.T, path string) script {
	t.Helper()
	s := npmScript(t, "web", path)
	chromium := os.Getenv("CHROMIUM")
	if chromium == "" {
		chromium = "/usr/bin/chromium"
	}
	if _, err := os.Stat(chromium); err != nil {
		t.Skip("needs Chromium; the variable CHROMIUM names it where it is not /usr/bin/chromium")
	}
	s.env = append(s.env, "CHROMIUM="+chromium)
	return s
}

// run executes the script. Each check becomes a subtest; waiting is called when the script says that it waits.
func (s script) run(t *testing.T, timeout time.Duration, waiting func(), args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.node, append([]string{s.path}, args...)...)
	cmd.Dir, cmd.Env = s.dir, s.env
	// The script closes its browser when it is told to end; killed, it would leave it behind.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = time.Minute
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())

	checks, failed := 0, false
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		var line struct {
			Check   string
			Error   *string
			Waiting bool
		}
		must(t, json.Unmarshal(lines.Bytes(), &line))
		if line.Waiting {
			waiting()
			continue
		}
		checks++
		failed = failed || line.Error != nil
		t.Run(line.Check, func(t *testing.T) {
			if line.Error != nil {
				t.Error(*line.Error)
			}
		})
	}
	if err := cmd.Wait(); err != nil && !failed {
		t.Errorf("%s: %v\n%s", s.path, err, stderr.String())
	}
	if checks == 0 {
		t.Errorf("%s checked nothing", s.path)
	}
}
