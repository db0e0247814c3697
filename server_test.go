package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/cli"
	"holdfast/config"
)

// longEnough bounds everything that must happen, on a loaded machine too.
const longEnough = 60 * time.Second

// TestServer boots what main boots, on a free port: command line, configuration, shop, jobs,
// routes. It buys something with a token that the command line prints, and stops the server.
// Everything else that a server does is tested from outside, in package e2e.
func TestServer(t *testing.T) {
	env := []string{"DATABASE_URL=sqlite://" + filepath.Join(t.TempDir(), "shop.db")}
	ctx, stop := context.WithTimeout(t.Context(), longEnough)
	defer stop()
	var log bytes.Buffer // read when the server has ended
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- cli.Run(ctx, func(ctx context.Context, cfg config.Config, log *slog.Logger, _ func(string)) error {
			return serve(ctx, cfg, log, func(address string) { ready <- address })
		}, []string{"serve", "--listen", "127.0.0.1:0"}, env, io.Discard, &log)
	}()
	var url string
	select {
	case address := <-ready:
		url = "http://" + address
	case err := <-ended:
		t.Fatalf("the server ended before it was ready: %v\n%s", err, log.String())
	}

	var token bytes.Buffer
	must(t, cli.Run(ctx, nil, []string{"token", "--user", "alice"}, env, &token, io.Discard))
	answer := send(t, ctx, http.MethodPost, url+"/graphql", strings.TrimSpace(token.String()), `{"query": "mutation { placeOrder(input: {
		idempotencyKey: \"6f1c2e0a-3b0e-4a53-9d4c-0d4a4c2f7a10\", lines: [{productId: \"prod_1\", quantity: 1}], payment: {method: POINTS}
	}) { order { status } userErrors { code } } }"}`)
	if want := `{"data":{"placeOrder":{"order":{"status":"PAID"},"userErrors":[]}}}`; strings.TrimSpace(answer) != want {
		t.Errorf("answered %s, want %s", answer, want)
	}
	for _, path := range []string{"/", "/shop", "/lab", "/livez", "/readyz"} {
		send(t, ctx, http.MethodGet, url+path, "", "")
	}
	if metrics := send(t, ctx, http.MethodGet, url+"/metrics", "", ""); !strings.Contains(metrics, `holdfast_changes_total{family="STOCK"`) {
		t.Error("/metrics does not count the change of stock")
	}

	http.DefaultClient.CloseIdleConnections()
	stop()
	if err := <-ended; err != nil {
		t.Errorf("stopped with %v\n%s", err, log.String())
	}
}

// send sends a request, which must succeed, and returns the body of the answer.
func send(t *testing.T, ctx context.Context, method, url, token, body string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(strings.Join(strings.Fields(body), " ")))
	must(t, err)
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	must(t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	must(t, err)
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: status %d: %s", method, url, response.StatusCode, answer)
	}
	return string(answer)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestLinksNoTools: the server applies migrations. The packages that plan them would only make it slower to compile.
func TestLinksNoTools(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", ".")
	var failure strings.Builder
	cmd.Stderr = &failure
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, failure.String())
	}
	packages := strings.Fields(string(out))
	if !slices.Contains(packages, "ariga.io/atlas/sql/migrate") {
		t.Errorf("the server does not link what applies migrations: %d packages", len(packages))
	}
	for _, tool := range []string{
		"entgo.io/ent/dialect/sql/schema", "ariga.io/atlas/schemahcl", "github.com/hashicorp/hcl/v2", "google.golang.org/grpc",
	} {
		if slices.Contains(packages, tool) {
			t.Errorf("the server links %s", tool)
		}
	}
}
