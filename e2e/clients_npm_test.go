package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"holdfast/ent/paymentattempt"
)

// TestApolloClient puts Apollo Client 3 and 4 through web/tests/clients/scenario.mjs: their cache is right after each
// mutation, pages join, refusals have types, repeats change nothing.
func TestApolloClient(t *testing.T) {
	for _, version := range []string{"3", "4"} {
		t.Run(version, func(t *testing.T) { runClient(t, "tests/clients/apollo.mjs", version) })
	}
}

// TestURQL does the same with urql and its normalised cache.
func TestURQL(t *testing.T) { runClient(t, "tests/clients/urql.mjs") }

// TestSubscriptionClients has graphql-ws and graphql-sse follow stock, orders and tickets.
func TestSubscriptionClients(t *testing.T) { runClient(t, "tests/clients/subscriptions.mjs") }

// runClient gives a script the address of a fresh server and a token of an administrator named alice, after its own
// arguments.
func runClient(t *testing.T, path string, args ...string) {
	t.Helper()
	s := npmScript(t, "web", path)
	noLeaks(t)
	stores := openSQLite(t)
	server := boot(t, stores.development())
	token := strings.TrimSpace(command(t, stores.development(), "token", "--user", "alice", "--admin"))
	s.run(t, 5*time.Minute, nil, append(args, server.url, token)...)
	server.stop()
}

// TestApolloGateway composes the shop, as a subgraph, with another one, and asks Apollo's gateway for what both have.
func TestApolloGateway(t *testing.T) {
	s := npmScript(t, "web", "tests/clients/federation.mjs")
	noLeaks(t)
	env := openSQLite(t).development()
	server := boot(t, env, set("schema.federation=true")...)
	alice, bob := command(t, env, "token", "--user", "alice"), command(t, env, "token", "--user", "bob")
	s.run(t, 5*time.Minute, nil, server.url, strings.TrimSpace(alice), strings.TrimSpace(bob))
	server.stop()
}

// TestRelay has Relay's compiler persist operations, and its runtime ask a shop that serves these and nothing else.
func TestRelay(t *testing.T) {
	runSafelisted(t, "tests/clients/relay.mjs", "compile", "persisted.json")
}

// TestApolloManifest has Apollo's tool write the manifest of our storefront, and Apollo Client ask a shop that serves that and nothing else.
func TestApolloManifest(t *testing.T) {
	runSafelisted(t, "tests/clients/safelist.mjs", "generate", "manifest.json")
}

// runSafelisted has the first step of a script write a manifest into a directory, and gives the second one a server whose safelist it is.
func runSafelisted(t *testing.T, path, first, manifest string) {
	t.Helper()
	s := npmScript(t, "web", path)
	directory := t.TempDir()
	s.run(t, 5*time.Minute, nil, first, directory)
	if t.Failed() {
		t.FailNow()
	}
	noLeaks(t)
	env := openSQLite(t).development()
	server := boot(t, env, set("http.playground=false", "safelist.mode=only", "safelist.manifest="+filepath.Join(directory, manifest))...)
	token := strings.TrimSpace(command(t, env, "token", "--user", "alice", "--admin"))
	s.run(t, 5*time.Minute, nil, "run", directory, server.url, token)
	server.stop()
}

// TestSafelistThatCannotBeServed starts the program with a manifest of another shop: it says what is wrong with which operation, and ends.
func TestSafelistThatCannotBeServed(t *testing.T) {
	manifest := filepath.Join(t.TempDir(), "manifest.json")
	must(t, os.WriteFile(manifest, []byte(`{"4711": "query Other { somethingElse }"}`), 0o600))
	env := openSQLite(t).development()
	p := start(t, env, serveArgs(set("http.playground=false", "safelist.mode=only", "safelist.manifest="+manifest))...)
	if code := p.wait(); code == 0 {
		t.Error("it ended as if nothing were wrong")
	}
	for _, want := range []string{"safelist.manifest", manifest, "4711", "somethingElse"} {
		if !strings.Contains(p.stderr.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, tail(p.stderr.String()))
		}
	}
}

// TestCodeGenerator wants no warning, and the storefront's types to be those of the schema.
func TestCodeGenerator(t *testing.T) {
	npmScript(t, "web", "tests/clients/codegen.mjs").run(t, 5*time.Minute, nil)
}

// TestSchemaIsCompatible compares the schema with that of the last release by GraphQL Inspector: no client of it breaks. It also takes a
// field away, and wants to be told.
func TestSchemaIsCompatible(t *testing.T) {
	s := npmScript(t, "web", "tests/compatible.mjs")
	s.run(t, 5*time.Minute, nil)
	printed, err := os.ReadFile(filepath.Join(moduleRoot, "graph", "schema.graphql"))
	must(t, err)
	const taken = "  amountMinor: Int64!\n"
	if !bytes.Contains(printed, []byte(taken)) {
		t.Fatal("the schema has no field to take away")
	}
	printed = bytes.ReplaceAll(printed, []byte(taken), []byte("  renamed: Int64!\n"))
	broken := filepath.Join(t.TempDir(), "schema.graphql")
	must(t, os.WriteFile(broken, printed, 0o600))
	compare := exec.CommandContext(t.Context(), s.node, s.path, "../graph/baseline.graphql", broken)
	compare.Dir, compare.Env = s.dir, s.env
	told, err := compare.CombinedOutput()
	if err == nil || !bytes.Contains(told, []byte("breaking: Field 'amountMinor' was removed from object type 'Money' (Money.amountMinor)")) {
		t.Errorf("a field is gone, and the answer is %v: %s", err, told)
	}
}

// TestExampleApollo runs the example as its README says.
func TestExampleApollo(t *testing.T) {
	s := npmScript(t, "examples/apollo", "shop.mjs")
	noLeaks(t)
	stores := openSQLite(t)
	server := boot(t, stores.development())
	token := strings.TrimSpace(command(t, stores.development(), "token", "--user", "alice"))

	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for _, test := range []struct {
		decision string
		exit     int
		want     string
	}{
		{"confirm", 0, `^T-shirt, S / White: 40 left\nord_\S+: PAID\nT-shirt, S / White: 39 left\n(ord_\S+): to be confirmed\nord_\S+: PAID\n$`},
		{
			"refuse", 1, `^T-shirt, S / White: 38 left\nord_\S+: PAID\nT-shirt, S / White: 37 left\n(ord_\S+): to be confirmed\n` +
				`PAYMENT_DECLINED: the payment was not authorized\n$`,
		},
	} {
		example := exec.CommandContext(ctx, s.node, s.path)
		example.Dir = s.dir
		example.Env = append(os.Environ(), "SHOP_URL="+server.url+"/graphql", "SHOP_TOKEN="+token, "DECISION="+test.decision)
		var stderr bytes.Buffer
		example.Stderr = &stderr
		stdout, err := example.Output()
		if code := example.ProcessState.ExitCode(); code != test.exit {
			t.Fatalf("exit code %d, %v\n%s", code, err, stderr.String())
		}
		found := regexp.MustCompile(test.want).FindSubmatch(stdout)
		if found == nil {
			t.Fatalf("%s: the example printed\n%s", test.decision, stdout)
		}
		// What the example says is what the shop has: one attempt, and no other was begun.
		attempts, err := stores.open(t).Ent.PaymentAttempt.Query().Where(paymentattempt.OrderID(string(found[1]))).All(t.Context())
		must(t, err)
		status := map[string]paymentattempt.Status{"confirm": paymentattempt.StatusCAPTURED, "refuse": paymentattempt.StatusDECLINED}[test.decision]
		if len(attempts) != 1 || attempts[0].Status != status {
			t.Errorf("%s: the attempts are %v, want one that is %s", test.decision, attempts, status)
		}
	}
	server.stop()
}
