package e2e

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/clients"
)

// TestCommands runs the commands that end by themselves.
func TestCommands(t *testing.T) {
	noLeaks(t)
	t.Run("version", func(t *testing.T) {
		if out := command(t, nil, "version"); !strings.HasPrefix(out, "holdfast ") || !strings.Contains(out, "go1.") {
			t.Errorf("printed %q", out)
		}
	})
	t.Run("help", func(t *testing.T) {
		out := command(t, nil, "--help")
		for _, part := range []string{"serve", "migrate", "token", "config", "version", "--set=KEY=VALUE", "--config=FILE"} {
			if !strings.Contains(out, part) {
				t.Errorf("does not name %s:\n%s", part, out)
			}
		}
		out = command(t, nil, "serve", "--help")
		for _, part := range []string{"--listen=HOST:PORT", "--takeover", "--allow-none"} {
			if !strings.Contains(out, part) {
				t.Errorf("serve --help does not name %s:\n%s", part, out)
			}
		}
	})
	t.Run("config", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "holdfast.yaml")
		must(t, os.WriteFile(file, []byte("locks: {stock: {provider: rowlock, wait: 7s}}\nshop: {maxLines: 9}\n"), 0o600))
		out := command(t, []string{
			"DATABASE_URL=postgres://shop:hunter2@db.example/shop", "REDIS_URL=redis://:hunter3@cache.example:6379",
			"HOLDFAST_AUTH_SECRET=" + testSecret, "HOLDFAST_LOCKS_STOCK_WAIT=8s",
		}, "--config", file, "--set", "shop.maxLines=10", "config")
		for _, part := range []string{"provider: \"rowlock\"", "wait: 8s", "maxLines: 10", "db.example", "cache.example"} {
			if !strings.Contains(out, part) {
				t.Errorf("does not show %s:\n%s", part, out)
			}
		}
		for _, secret := range []string{"hunter2", "hunter3", testSecret} {
			if strings.Contains(out, secret) {
				t.Errorf("shows %s:\n%s", secret, out)
			}
		}
		// What it prints is a configuration.
		must(t, os.WriteFile(file, []byte(command(t, nil, "config")), 0o600))
		wantEqual(t, "configuration read back", command(t, nil, "--config", file, "config"), command(t, nil, "config"))
	})
}

// TestMigrateCommand: tables are made once, by the command or by the server.
func TestMigrateCommand(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			noLeaks(t)
			s := kind.open(t)
			refused := start(t, s.production(), serveArgs(set("database.migrate=false"))...)
			wantEqual(t, "exit code without tables", refused.wait(), exitFailed)
			if said := refused.stderr.String(); !strings.Contains(said, "migrations are pending: run `holdfast migrate`") {
				t.Errorf("said %s", said)
			}
			if out := command(t, s.production(), "migrate"); !strings.HasPrefix(out, "applied 0001") {
				t.Errorf("printed %q", out)
			}
			wantEqual(t, "the second time", command(t, s.production(), "migrate"), "nothing to apply\n")
			boot(t, s.production(), set("database.migrate=false")...).stop()
		})
	}
}

// TestMistakes: a user who mistypes something is told what it is, and what would be right.
func TestMistakes(t *testing.T) {
	noLeaks(t)
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	sqlite := "DATABASE_URL=" + sqliteFile(t)

	for _, test := range []struct {
		name string
		env  []string
		args []string
		want []string // all that it says
	}{
		{"command", nil, []string{"sevre"}, []string{"sevre", "--help"}},
		{"flag", nil, []string{"--lisen", "127.0.0.1:0"}, []string{"unknown flag --lisen", "--help"}},
		{"flag of another command", nil, []string{"version", "--takeover"}, []string{"--takeover"}},
		{"missing flag", nil, []string{"token"}, []string{"--user"}},
		{"user", nil, []string{"token", "--user", "a:b"}, []string{`"a:b"`, "letters"}},
		{"duration of a token", nil, []string{"token", "--user", "ann", "--ttl", "soon"}, []string{"--ttl", "soon"}},
		{"setting without a value", nil, []string{"--set", "listen"}, []string{"--set listen", "key=value"}},
		{
			"key", nil,
			[]string{"--set", "locks.stok.provider=rowlock"},
			[]string{"locks.stok.provider (--set)", "did you mean locks.stock.provider?"},
		},
		{"section", nil, []string{"--set", "locks.stock=rowlock"}, []string{"locks.stock (--set)", "provider, wait"}},
		{
			"strategy", nil,
			[]string{"--set", "locks.stock.provider=magic"},
			[]string{"locks.stock.provider (--set)", `"magic"`, "one of", "atomicsql", "optimistic", "pubsub", "redsync", "rowlock", "setnx"},
		},
		{"strategy none", nil, []string{"--set", "locks.stock.provider=none"}, []string{"locks.stock.provider", "--allow-none"}},
		{"duration", nil, []string{"--set", "payment.latency=fast"}, []string{"payment.latency (--set)", `"fast"`, "300ms"}},
		{"bounds", []string{"HOLDFAST_DATABASE_MAX_OPEN=0"}, nil, []string{"database.maxOpen (HOLDFAST_DATABASE_MAX_OPEN)", "1 to 10000"}},
		{
			"variable",
			[]string{"HOLDFAST_DATABSE_URL=x"},
			nil,
			[]string{"HOLDFAST_DATABSE_URL", "did you mean HOLDFAST_DATABASE_URL?"},
		},
		{
			"several", nil,
			[]string{"--set", "log.format=xml", "--set", "shop.currency=usd"},
			[]string{"2 errors", "log.format", "text, json", "shop.currency", "USD"},
		},
		{"file", nil, []string{"--config", "missing.yaml"}, []string{"missing.yaml", "no such file"}},
		{"development on all addresses", nil, []string{"--listen", "0.0.0.0:0"}, []string{"listen (--listen)", "loopback"}},
		{"production without a secret", []string{"HOLDFAST_DEVELOPMENT=false"}, nil, []string{"auth.secret", "at least 32 bytes", "HOLDFAST_AUTH_SECRET"}},
		{"address in use", []string{sqlite}, []string{"--listen", taken.Addr().String()}, []string{taken.Addr().String(), "in use"}},
		{
			"no database",
			[]string{"DATABASE_URL=postgres://shop:hunter2@127.0.0.1:1/shop"},
			nil,
			[]string{"postgres://shop:xxxxx@127.0.0.1:1/shop", "refused"},
		},
		{"no Redis", []string{sqlite, "REDIS_URL=redis://:hunter2@127.0.0.1:1"}, nil, []string{"redis://:xxxxx@127.0.0.1:1", "refused"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := start(t, test.env, test.args...)
			wantEqual(t, "exit code", p.wait(), exitFailed)
			said := p.stderr.String()
			for _, part := range append(test.want, "holdfast: ") {
				if !strings.Contains(said, part) {
					t.Errorf("does not say %q: %s", part, said)
				}
			}
			if strings.Contains(said, "hunter2") {
				t.Errorf("tells the password: %s", said)
			}
			if strings.Contains(said, "goroutine ") {
				t.Errorf("panicked: %s", said)
			}
		})
	}
}

// TestDefaults: without any configuration the shop is open, in the current directory, with demo data for alice.
func TestDefaults(t *testing.T) {
	noLeaks(t)
	server := boot(t, nil)
	alice := user{http: browser(t), token: strings.TrimSpace(command(t, nil, "token", "--user", "alice"))}.at(server)
	bought := alice.do(t, "placeOrder", buy("prod_1", 1, "POINTS"))
	wantEqual(t, "order", bought.Order.Status, "PAID")
	server.stop()
	if _, err := os.Stat(filepath.Join(server.cmd.Dir, "holdfast.db")); err != nil {
		t.Error(err)
	}
	stores{database: "sqlite://" + filepath.Join(server.cmd.Dir, "holdfast.db"), redis: clients.EmbeddedRedis}.audit(t)
}
