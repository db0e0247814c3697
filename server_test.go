package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"holdfast/cli"
	"holdfast/config"
	"holdfast/internal/testenv"
)

// longEnough bounds everything that must happen, on a loaded machine too.
const longEnough = 60 * time.Second

func TestMain(m *testing.M) { testenv.Main(m) }

// TestServer boots what main boots, on a free port: command line, configuration, shop, jobs,
// routes. It buys something with a token that the command line prints, and stops the server.
// Everything else that a server does is tested from outside, in package e2e.
func TestServer(t *testing.T) {
	env := []string{"DATABASE_URL=sqlite://" + filepath.Join(t.TempDir(), "shop.db")}
	ctx, stop := context.WithTimeout(t.Context(), longEnough)
	defer stop()
	var log bytes.Buffer // read when the server has ended
	ready, ended := make(chan cli.Addresses, 1), make(chan error, 1)
	go func() {
		ended <- cli.Run(ctx, func(ctx context.Context, cfg config.Config, log *slog.Logger, _ func(cli.Addresses)) error {
			return serve(ctx, cfg, log, func(at cli.Addresses) { ready <- at })
		}, []string{"serve", "--listen", "127.0.0.1:0"}, env, io.Discard, &log)
	}()
	var url, admin string
	select {
	case at := <-ready:
		url, admin = "http://"+at.Public, "http://"+at.Admin
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
	for _, path := range []string{"/", "/shop", "/admin", "/lab", "/livez", "/readyz"} {
		send(t, ctx, http.MethodGet, url+path, "", "")
	}
	if metrics := send(t, ctx, http.MethodGet, admin+"/metrics", "", ""); !strings.Contains(metrics, `holdfast_changes_total{family="STOCK"`) {
		t.Error("/metrics does not count the change of stock")
	}

	http.DefaultClient.CloseIdleConnections()
	stop()
	if err := <-ended; err != nil {
		t.Errorf("stopped with %v\n%s", err, log.String())
	}
}

// TestProductionIsNotForNothing: a server in the profile production, as it is without any setting of payments, gives nothing away.
// Its customers can neither order by a card that nobody charges, nor credit themselves points. With the simulated gateway it does not
// start, unless it is told to; then it says so.
func TestProductionIsNotForNothing(t *testing.T) {
	env := []string{
		"DATABASE_URL=sqlite://" + filepath.Join(t.TempDir(), "shop.db"), "HOLDFAST_PROFILE=production",
		"HOLDFAST_AUTH_SECRET=" + strings.Repeat("s", 32),
	}
	ctx, cancel := context.WithTimeout(t.Context(), longEnough)
	defer cancel()
	start := func(env []string) (url, admin string, stop func() string) {
		ctx, end := context.WithCancel(ctx)
		var log bytes.Buffer // read when the server has ended
		ready, ended := make(chan cli.Addresses, 1), make(chan error, 1)
		go func() {
			ended <- cli.Run(ctx, func(ctx context.Context, cfg config.Config, log *slog.Logger, _ func(cli.Addresses)) error {
				return serve(ctx, cfg, log, func(at cli.Addresses) { ready <- at })
			}, []string{"serve", "--listen", "127.0.0.1:0", "--set", "admin.listen=127.0.0.1:0"}, env, io.Discard, &log)
		}()
		select {
		case at := <-ready:
			url, admin = "http://"+at.Public, "http://"+at.Admin
		case err := <-ended:
			t.Fatalf("the server ended before it was ready: %v\n%s", err, log.String())
		}
		return url, admin, func() string {
			http.DefaultClient.CloseIdleConnections()
			end()
			must(t, <-ended)
			return log.String()
		}
	}
	token := func(args ...string) string {
		var token bytes.Buffer
		must(t, cli.Run(ctx, nil, append([]string{"token"}, args...), env, &token, io.Discard))
		return strings.TrimSpace(token.String())
	}
	root, alice := token("--user", "root", "--admin"), token("--user", "alice")
	url, admin, stop := start(env)
	ask := func(token, query string) string {
		body, err := json.Marshal(map[string]string{"query": query})
		must(t, err)
		return strings.TrimSpace(send(t, ctx, http.MethodPost, url+"/graphql", token, string(body)))
	}
	created := ask(root, `mutation { productCreate(input: {sku: "A", name: "A", price: {amountMinor: 100, currency: "USD"}, stock: 5}) { product { id } } }`)
	product := regexp.MustCompile(`prod_\w+`).FindString(created)
	if product == "" {
		t.Fatalf("no product: %s", created)
	}
	const orderKey, pointsKey = "6f1c2e0a-3b0e-4a53-9d4c-0d4a4c2f7a10", "6f1c2e0a-3b0e-4a53-9d4c-0d4a4c2f7a11"
	byCard := fmt.Sprintf(`mutation { placeOrder(input: {idempotencyKey: %q, lines: [{productId: %q, quantity: 1}], payment: {method: CARD}}) {
		order { status } userErrors { code field } } }`, orderKey, product)
	points := fmt.Sprintf(`mutation { chargePoints(input: {idempotencyKey: %q, amount: "1000"}) { wallet { balance } userErrors { code } } }`, pointsKey)
	if got, want := ask(alice, byCard), `{"data":{"placeOrder":{"order":null,"userErrors":[{"code":"INVALID_INPUT","field":["input","payment","method"]}]}}}`; got != want {
		t.Errorf("an order by card is answered %s, want %s", got, want)
	}
	if got, want := ask(alice, points), `{"data":{"chargePoints":{"wallet":null,"userErrors":[{"code":"INVALID_STATE"}]}}}`; got != want {
		t.Errorf("points are answered %s, want %s", got, want)
	}
	if got := send(t, ctx, http.MethodGet, admin+"/readyz", "", ""); strings.Contains(got, "simulated") {
		t.Errorf("/readyz: %s", got)
	}
	if got := ask(root, `{ strategies { family warning } }`); strings.Contains(got, "simulated") || !strings.Contains(got, "STOCK") {
		t.Errorf("the strategies say %s", got)
	}
	if page, err := http.Get(url + "/simulated-gateway/pat_1"); err != nil || page.StatusCode != http.StatusNotFound || page.Body.Close() != nil {
		t.Errorf("the page of a gateway that is not there: %v, %v", page, err)
	}
	if log := stop(); strings.Contains(log, "simulated") {
		t.Errorf("the log speaks of what is not so:\n%s", log)
	}

	simulated := append(slices.Clone(env), "HOLDFAST_PAYMENT_METHODS=CARD", "HOLDFAST_PAYMENT_GATEWAY=simulated")
	err := cli.Run(ctx, func(context.Context, config.Config, *slog.Logger, func(cli.Addresses)) error {
		t.Error("the simulated gateway is accepted")
		return nil
	}, []string{"serve"}, simulated, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "payment.gateway") || !strings.Contains(err.Error(), "payment.allowSimulated: true") {
		t.Errorf("the simulated gateway is refused by %v", err)
	}
	url, admin, stop = start(append(simulated, "HOLDFAST_PAYMENT_ALLOW_SIMULATED=true"))
	if got := ask(alice, byCard); !strings.Contains(got, "PAID") {
		t.Errorf("with the simulated gateway an order by card is answered %s", got)
	}
	if got := ask("", `{ shop { paymentsSimulated } }`); !strings.Contains(got, "true") {
		t.Errorf("the API says %s", got)
	}
	if got := send(t, ctx, http.MethodGet, admin+"/readyz", "", ""); !strings.Contains(got, "payments are simulated") {
		t.Errorf("/readyz: %s", got)
	}
	if got := ask(root, `{ strategies { warning } }`); !strings.Contains(got, "no money is taken") {
		t.Errorf("the strategies say %s", got)
	}
	if log := stop(); !strings.Contains(log, `"level":"WARN","msg":"payments are simulated`) {
		t.Errorf("the log does not warn:\n%s", log)
	}

	// The customer of a rehearsal confirms the payment at the page of the simulated gateway.
	url, _, stop = start(append(simulated, "HOLDFAST_PAYMENT_ALLOW_SIMULATED=true", "HOLDFAST_PAYMENT_ACTION_RATE=1"))
	confirmed := fmt.Sprintf(`mutation { placeOrder(input: {idempotencyKey: %q, lines: [{productId: %q, quantity: 1}], payment: {method: CARD}}) {
		order { status } attempt { action { redirectUrl } } userErrors { code } } }`, "6f1c2e0a-3b0e-4a53-9d4c-0d4a4c2f7a12", product)
	page := regexp.MustCompile(`/simulated-gateway/\w+`).FindString(ask(alice, confirmed))
	if got := send(t, ctx, http.MethodGet, url+page, "", ""); page == "" || !strings.Contains(got, "Confirm the payment") {
		t.Fatalf("the page %q is %s", page, got)
	}
	answer, err := http.PostForm(url+page, map[string][]string{"decision": {"confirm"}})
	must(t, err)
	must(t, answer.Body.Close())
	if got := ask(alice, confirmed); !strings.Contains(got, "PAID") {
		t.Errorf("the order whose payment was confirmed is %s", got)
	}
	stop()
}

// TestWebhookSimulate sends messages of the simulated gateway to a server, as an operator does who tries what becomes of payments.
func TestWebhookSimulate(t *testing.T) {
	env := []string{
		"DATABASE_URL=sqlite://" + filepath.Join(t.TempDir(), "shop.db"), "HOLDFAST_PAYMENT_WEBHOOK_SECRET=" + strings.Repeat("s", 32),
	}
	ctx, stop := context.WithTimeout(t.Context(), longEnough)
	defer stop()
	ready, ended := make(chan cli.Addresses, 1), make(chan error, 1)
	go func() {
		ended <- cli.Run(ctx, func(ctx context.Context, cfg config.Config, log *slog.Logger, _ func(cli.Addresses)) error {
			return serve(ctx, cfg, log, func(at cli.Addresses) { ready <- at })
		}, []string{"serve", "--listen", "127.0.0.1:0"}, env, io.Discard, io.Discard)
	}()
	var url, admin string
	select {
	case at := <-ready:
		url, admin = "http://"+at.Public, "http://"+at.Admin
	case err := <-ended:
		t.Fatalf("the server ended before it was ready: %v", err)
	}
	run := func(env []string, args ...string) (string, error) {
		var out bytes.Buffer
		err := cli.Run(ctx, nil, args, env, &out, io.Discard)
		return strings.TrimSpace(out.String()), err
	}
	token, err := run(env, "token", "--user", "alice")
	must(t, err)
	answer := send(t, ctx, http.MethodPost, url+"/graphql", token, `{"query": "mutation { placeOrder(input: {
		idempotencyKey: \"6f1c2e0a-3b0e-4a53-9d4c-0d4a4c2f7a10\", lines: [{productId: \"prod_1\", quantity: 1}], payment: {method: CARD}
	}) { order { payment { reference } } } }"}`)
	attempt := regexp.MustCompile(`pat_\w+`).FindString(answer)
	if attempt == "" {
		t.Fatalf("no payment attempt: %s", answer)
	}
	simulate := []string{"webhook", "simulate", attempt, "REFUNDED", "--server", url, "--id", "evt_1"}
	got, err := run(env, append(simulate, "--times", "3")...)
	if want := "evt_1 applied\nevt_1 duplicate\nevt_1 duplicate"; err != nil || got != want {
		t.Errorf("three messages: %q, %v; want %q", got, err, want)
	}
	for what, bad := range map[string]struct {
		env  []string
		args []string
		want string
	}{
		"old":       {env, append(slices.Clone(simulate), "--age", "1h"), "400"},
		"no secret": {env[:1], simulate, "payment.webhookSecret"},
		"wrong":     {append(slices.Clone(env), "HOLDFAST_PAYMENT_WEBHOOK_SECRET="+strings.Repeat("x", 32)), simulate, "400"},
		"none":      {append(slices.Clone(env), "HOLDFAST_PAYMENT_GATEWAY=none", "HOLDFAST_PAYMENT_METHODS="), simulate, "payment.gateway"},
		"never":     {env, append(slices.Clone(simulate), "--times", "0"), "--times"},
		"state":     {env, []string{"webhook", "simulate", attempt, "PAID"}, "PAID"},
	} {
		if _, err := run(bad.env, bad.args...); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%s: %v, want %s", what, err, bad.want)
		}
	}
	if metrics := send(t, ctx, http.MethodGet, admin+"/metrics", "", ""); !strings.Contains(metrics, `holdfast_webhooks_total{outcome="applied"} 1`) {
		t.Error("/metrics does not count the message")
	}
	for path, want := range map[string]int{"/webhooks/simulated": http.StatusMethodNotAllowed, "/webhooks/": http.StatusNotFound} {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+path, nil)
		must(t, err)
		response, err := http.DefaultClient.Do(request)
		must(t, err)
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("GET %s: %s, want %d", path, response.Status, want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	stop()
	must(t, <-ended)
}

// TestAdminIsNotPublic: what operators ask is answered at admin.listen, and nowhere else. The public is told whether an instance is
// ready, and not why it is not.
func TestAdminIsNotPublic(t *testing.T) {
	redis := testenv.Redis(t)
	ctx, stop := context.WithTimeout(t.Context(), longEnough)
	defer stop()
	var log bytes.Buffer // read when the server has ended
	start := func(log io.Writer, set ...string) (cli.Addresses, chan error) {
		ready, ended := make(chan cli.Addresses, 1), make(chan error, 1)
		args := []string{"serve", "--listen", "127.0.0.1:0", "--set", "redis.url=" + redis.URL}
		for _, s := range set {
			args = append(args, "--set", s)
		}
		go func() {
			ended <- cli.Run(ctx, func(ctx context.Context, cfg config.Config, log *slog.Logger, _ func(cli.Addresses)) error {
				return serve(ctx, cfg, log, func(at cli.Addresses) { ready <- at })
			}, args, nil, io.Discard, log)
		}()
		select {
		case at := <-ready:
			return at, ended
		case err := <-ended:
			ended <- err
			return cli.Addresses{}, ended
		}
	}
	database := "database.url=sqlite://" + filepath.Join(t.TempDir(), "shop.db")
	at, ended := start(&log, database)
	if at.Admin == "" {
		t.Fatalf("the server ended: %v\n%s", <-ended, log.String())
	}
	ask := func(address, path string) (int, string) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
		must(t, err)
		response, err := http.DefaultClient.Do(request)
		must(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		must(t, err)
		return response.StatusCode, string(body)
	}
	for path, want := range map[string]string{
		"/metrics": "holdfast_changes_total", "/debug/pprof/": "goroutine", "/debug/pprof/heap?debug=1": "heap profile",
	} {
		if status, body := ask(at.Admin, path); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("admin.listen answers %s with %d and %.80q, want %q in it", path, status, body, want)
		}
		if status, body := ask(at.Public, path); status != http.StatusNotFound {
			t.Errorf("the public port answers %s with %d: %.80q", path, status, body)
		}
	}
	if status, _ := ask(at.Admin, "/debug/pprof/cmdline"); status != http.StatusNotFound {
		t.Errorf("the command line, which may hold secrets, is answered with %d", status)
	}
	if status, _ := ask(at.Admin, "/graphql"); status != http.StatusNotFound {
		t.Errorf("admin.listen answers /graphql with %d", status)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at.Admin+"/metrics", nil)
	must(t, err)
	request.Host = "evil.example"
	response, err := http.DefaultClient.Do(request)
	must(t, err)
	must(t, response.Body.Close())
	if response.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("under another name admin.listen answers %d", response.StatusCode)
	}

	// A second server finds the port taken, and says so.
	_, refused := start(io.Discard, database, "admin.listen="+at.Admin)
	if err := <-refused; err == nil || !strings.Contains(err.Error(), "listen on admin.listen, "+at.Admin) {
		t.Errorf("a port that is taken: %v", err)
	}

	redis.Kill()
	for _, test := range []struct{ address, want string }{{at.Public, "not ready\n"}, {at.Admin, "redis: "}} {
		status, body := ask(test.address, "/readyz")
		if status != http.StatusServiceUnavailable || !strings.Contains(body, test.want) {
			t.Errorf("without Redis /readyz answers %d and %q, want %q in it", status, body, test.want)
		}
		if test.address == at.Public && body != test.want {
			t.Errorf("the public is told %q", body)
		}
	}
	redis.Restart()
	http.DefaultClient.CloseIdleConnections()
	stop()
	if err := <-ended; err != nil {
		t.Errorf("stopped with %v\n%s", err, log.String())
	}
	for _, address := range []string{at.Public, at.Admin} {
		if conn, err := (&net.Dialer{Timeout: longEnough}).DialContext(t.Context(), "tcp", address); err == nil {
			t.Errorf("%s is still served", address)
			must(t, conn.Close())
		}
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

// TestCollectLessOften leaves the target of the garbage collector to the environment if that has one.
func TestCollectLessOften(t *testing.T) {
	before := debug.SetGCPercent(100)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	for value, want := range map[string]int{"": gcPercent, "100": 100} {
		t.Setenv("GOGC", value)
		debug.SetGCPercent(100)
		collectLessOften()
		if got := debug.SetGCPercent(100); got != want {
			t.Errorf("GOGC=%q: %d, want %d", value, got, want)
		}
	}
}

// TestBoundMemory sets a limit if the container has one, and leaves it to the environment if that has one.
func TestBoundMemory(t *testing.T) {
	const unlimited = math.MaxInt64
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	size := func(bytes uint64, err error) memlimit.Provider { return func() (uint64, error) { return bytes, err } }
	for name, test := range map[string]struct {
		container memlimit.Provider
		env       string
		want      int64
		log       string
	}{
		"a container of 256 MiB":     {size(256<<20, nil), "", 241591910, "bytes=241591910"},
		"no limit":                   {size(0, memlimit.ErrNoLimit), "", unlimited, ""},
		"no container":               {size(0, memlimit.ErrNoCgroup), "", unlimited, ""},
		"a limit that is not read":   {size(0, os.ErrPermission), "", unlimited, "set GOMEMLIMIT"},
		"a limit of the environment": {size(256<<20, nil), "100MiB", unlimited, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("GOMEMLIMIT", test.env) // puts back afterwards what there was
			if test.env == "" {
				must(t, os.Unsetenv("GOMEMLIMIT"))
			}
			debug.SetMemoryLimit(unlimited)
			var log strings.Builder
			boundMemory(t.Context(), slog.New(slog.NewTextHandler(&log, nil)), test.container)
			if got := debug.SetMemoryLimit(-1); got != test.want {
				t.Errorf("%d bytes, want %d", got, test.want)
			}
			if text := log.String(); !strings.Contains(text, test.log) || (test.log == "") != (text == "") {
				t.Errorf("log %q, want %q", text, test.log)
			}
		})
	}
}
