package config_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/config"
	"holdfast/config/setting"
	"holdfast/lockprovider"
)

func load(t *testing.T, s config.Sources) config.Config {
	t.Helper()
	c, err := config.Load(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaults(t *testing.T) {
	c := load(t, config.Sources{})
	if !reflect.DeepEqual(c, config.Default()) {
		t.Errorf("no sources: %+v, want the defaults", c)
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

// The example is the reference of all keys: it must have each of them, with the default and with an explanation.
func TestExample(t *testing.T) {
	if c := load(t, config.Sources{File: "example.yaml"}); !reflect.DeepEqual(c, config.Default()) {
		t.Errorf("example.yaml: %+v\nwant the defaults: %+v", c, config.Default())
	}
	content, err := os.ReadFile("example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	keys := func(yaml string) (found []string) {
		for line := range strings.Lines(yaml) {
			if key, _, isKey := strings.Cut(strings.TrimSpace(line), ":"); isKey && !strings.HasPrefix(key, "#") {
				found = append(found, strings.Repeat(" ", len(line)-len(strings.TrimLeft(line, " ")))+key)
			}
		}
		slices.Sort(found)
		return found
	}
	if got, want := keys(string(content)), keys(config.Default().YAML()); !slices.Equal(got, want) {
		t.Errorf("example.yaml has the keys %v, want %v", got, want)
	}
	for _, s := range lockprovider.Names() {
		if !strings.Contains(string(content), "\n#   "+string(s)+" ") {
			t.Errorf("example.yaml does not explain the provider %s", s)
		}
	}
}

func TestPrecedence(t *testing.T) {
	file := write(t, "shop: {currency: EUR, maxLines: 10}\nlisten: localhost:1\ndatabase: {url: 'sqlite://file.db'}\n")
	environ := []string{
		"HOLDFAST_SHOP_CURRENCY=CHF", "HOLDFAST_LISTEN=localhost:2", "DATABASE_URL=sqlite://known.db",
		"REDIS_URL=redis://known", "HOLDFAST_REDIS_URL=redis://ours", "HOLDFAST_DATABASE_TX_RETRIES=", "PATH=/bin",
		"HOLDFAST_SERVICE_HOST=10.0.0.1", "HOLDFAST_PORT=tcp://10.0.0.1:80", // as Kubernetes sets them
	}
	for _, test := range []struct {
		name string
		s    config.Sources
		want func(c *config.Config)
	}{
		{"file", config.Sources{File: file}, func(c *config.Config) {
			c.Shop.Currency, c.Shop.MaxLines, c.Listen, c.Database.URL = "EUR", 10, "localhost:1", "sqlite://file.db"
		}},
		{"environment", config.Sources{File: file, Environ: environ}, func(c *config.Config) {
			c.Shop.Currency, c.Shop.MaxLines, c.Listen = "CHF", 10, "localhost:2"
			c.Database.URL, c.Redis.URL = "sqlite://known.db", "redis://ours"
		}},
		{"set", config.Sources{
			File: file, Environ: environ, Set: []string{"shop.currency=SEK", "listen=localhost:3", "shop.currency=NOK"},
		}, func(c *config.Config) {
			c.Shop.Currency, c.Shop.MaxLines, c.Listen = "NOK", 10, "localhost:3"
			c.Database.URL, c.Redis.URL = "sqlite://known.db", "redis://ours"
		}},
		{"flags", config.Sources{
			Set:    []string{"listen=localhost:3", "deployment.takeover=false", "allowNone=false", "locks.stock.provider=none"},
			Listen: "localhost:4", Takeover: true, AllowNone: true,
		}, func(c *config.Config) {
			c.Listen, c.Deployment.Takeover, c.AllowNone, c.Locks[lockprovider.Stock].Strategy = "localhost:4", true, true, lockprovider.None
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := config.Default()
			test.want(&want)
			if got := load(t, test.s); !reflect.DeepEqual(got, want) {
				t.Errorf("%+v\nwant %+v", got, want)
			}
		})
	}
}

func TestKindsOfValues(t *testing.T) {
	want := config.Default()
	want.Development, want.Auth.Secret = false, strings.Repeat("s", 32)
	want.Shop.MaxQuantity, want.Payment.CaptureFailureRate = 7, 0.2
	want.Payment.AuthorizationFailureRate, want.HTTP.Limits.RequestTimeout, want.Log.Level = 1, 90*time.Second, slog.LevelDebug
	t.Run("file", func(t *testing.T) {
		got := load(t, config.Sources{File: write(t, `
development: false
auth: {secret: `+want.Auth.Secret+`}
shop: {maxQuantity: 7, maxLines: }
payment: {captureFailureRate: 0.2, authorizationFailureRate: 1}
http: {requestTimeout: 1m30s}
log: {level: debug}
redis:
locks: {}
`)})
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%+v\nwant %+v", got, want)
		}
	})
	t.Run("environment", func(t *testing.T) {
		got := load(t, config.Sources{Environ: []string{
			"HOLDFAST_DEVELOPMENT=false", "HOLDFAST_AUTH_SECRET=" + want.Auth.Secret, "HOLDFAST_SHOP_MAX_QUANTITY=7",
			"HOLDFAST_PAYMENT_CAPTURE_FAILURE_RATE=0.2", "HOLDFAST_PAYMENT_AUTHORIZATION_FAILURE_RATE=1",
			"HOLDFAST_HTTP_REQUEST_TIMEOUT=1m30s", "HOLDFAST_LOG_LEVEL=DEBUG",
		}})
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%+v\nwant %+v", got, want)
		}
	})
}

func TestPollFollowsTheProvider(t *testing.T) {
	for _, test := range []struct {
		set  []string
		want time.Duration
	}{
		{nil, 300 * time.Millisecond},
		{[]string{"locks.stock.provider=setnx"}, 50 * time.Millisecond},
		{[]string{"locks.stock.provider=redsync"}, 150 * time.Millisecond},
		{[]string{"locks.stock.provider=redsync", "locks.stock.poll=1s"}, time.Second},
		{[]string{"locks.stock.poll=0s"}, 300 * time.Millisecond},
	} {
		if got := load(t, config.Sources{Set: test.set}).Locks[lockprovider.Stock].Settings.Poll; got != test.want {
			t.Errorf("%v: %s, want %s", test.set, got, test.want)
		}
	}
}

func TestFamilies(t *testing.T) {
	c := load(t, config.Sources{Set: []string{
		"locks.accounts.provider=rowlock", "locks.accounts.wait=1s", "locks.accounts.lease=2s", "locks.accounts.poll=3s",
		"locks.accounts.attempts=4", "locks.accounts.backoff=5s",
	}})
	families := c.Families()
	if len(families) != len(lockprovider.Families) {
		t.Errorf("%d families, want %d", len(families), len(lockprovider.Families))
	}
	want := lockprovider.FamilyConfig{Strategy: lockprovider.RowLock, Settings: lockprovider.Settings{
		Wait: time.Second, Lease: 2 * time.Second, Poll: 3 * time.Second, Attempts: 4, Backoff: 5 * time.Second,
		Ack:      lockprovider.AckPersisted,
		Pipeline: lockprovider.PipelineSettings{PersistWait: 5 * time.Second, RequestTimeout: time.Second, Backlog: 10_000, Remember: 24 * time.Hour},
	}}
	if families[lockprovider.Accounts] != want {
		t.Errorf("%+v, want %+v", families[lockprovider.Accounts], want)
	}
	for family, strategy := range map[lockprovider.Family]lockprovider.Strategy{
		lockprovider.Stock: lockprovider.PubSub, lockprovider.Coupons: lockprovider.PubSub, lockprovider.Points: lockprovider.Redsync,
	} {
		if families[family].Strategy != strategy {
			t.Errorf("%s: %s, want %s", family, families[family].Strategy, strategy)
		}
	}
}

func TestYAML(t *testing.T) {
	c := load(t, config.Sources{Set: []string{
		"database.url=postgres://shop:hunter2@db/shop", "redis.url=redis://:hunter2@a,redis://:hunter2@b",
		"auth.secret=" + strings.Repeat("hunter2", 5), "locks.stock.provider=rowlock", "locks.coupons.provider=optimistic",
		`auth.issuer=a "quoted": # issuer`, "broker.url=kafka://shop:hunter2@k1:9092,shop:hunter2@k2:9092",
		"metrics.otlp=https://shop:hunter2@collector.example/v1/metrics?api_key=hunter2",
		"auth.jwks=https://issuer.example/keys?token=hunter2", "auth.audience=shop",
	}})
	text := c.YAML()
	if strings.Contains(text, "hunter2") {
		t.Errorf("a secret in\n%s", text)
	}
	for _, line := range []string{
		"listen: \"127.0.0.1:8080\"\n", "database:\n  url: \"postgres://shop:xxxxx@db/shop\"\n",
		"  url: \"redis://:xxxxx@a,redis://:xxxxx@b\"\n", "locks:\n  stock:\n    provider: \"rowlock\"\n    wait: 5s\n",
		"  coupons:\n    provider: \"optimistic\"\n",
		"  url: \"kafka://shop:xxxxx@k1:9092,xxxxx\"\n", "  otlp: \"https://shop:xxxxx@collector.example/v1/metrics?api_key=xxxxx\"\n",
		"  jwks: \"https://issuer.example/keys?token=xxxxx\"\n", "  reservation: 15m\n", "  tokenTTL: 1h\n", "  level: info\n",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("%q is missing in\n%s", line, text)
		}
	}
	// But for what is redacted, it is a configuration file.
	again := load(t, config.Sources{File: write(t, text), Set: []string{
		"database.url=" + string(c.Database.URL), "redis.url=" + string(c.Redis.URL), "auth.secret=" + c.Auth.Secret,
		"broker.url=" + string(c.Broker.Broker.URL), "metrics.otlp=" + string(c.Metrics.OTLP), "auth.jwks=" + string(c.Auth.JWKS),
	}})
	if !reflect.DeepEqual(again, c) {
		t.Errorf("%+v\nwant %+v", again, c)
	}
}

// TestTextsAreClassified finds settings of which nobody has said whether they may be shown: every text is a URL, which shows itself
// without passwords, or a secret, or one of these.
func TestTextsAreClassified(t *testing.T) {
	plain := []string{
		"profile", "listen", "admin.listen", "shop.currency", "auth.audience", "auth.issuer", "http.originHeaders", "log.format", "payment.methods", "payment.gateway",
		"schema.audiences", "safelist.mode", "safelist.manifest",
	}
	c := config.Default()
	setting.Fields(&c, func(f setting.Field) {
		_, redacts := f.Value.Interface().(fmt.Stringer)
		if f.Hidden || f.Value.Kind() != reflect.String || redacts || slices.Contains(plain, f.Key) ||
			strings.HasPrefix(f.Key, "locks.") { // names of strategies
			return
		}
		f.Value.SetString("hunter2")
		if strings.Contains(f.Shown(), "hunter2") {
			t.Errorf("%s shows what it is set to: give it the type setting.URL or the tag secret, or add it to the list of this test", f.Key)
		}
	})
}

// TestPrintedSettings prints a configuration in the ways of Go: none of them shows a password of a URL.
func TestPrintedSettings(t *testing.T) {
	c := load(t, config.Sources{Set: []string{"database.url=postgres://shop:hunter2@db/shop", "broker.url=kafka://shop:hunter2@k1:9092"}})
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var logged strings.Builder
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("ready", "database", c.Database.URL, "broker", c.Broker.Broker.URL)
	for _, text := range []string{fmt.Sprint(c), fmt.Sprintf("%+v", c), fmt.Sprintf("%q", c.Database.URL), string(asJSON), logged.String()} {
		if strings.Contains(text, "hunter2") || !strings.Contains(text, "shop:xxxxx@") {
			t.Errorf("a password, or not the rest: %s", text)
		}
	}
}

func TestErrorsAreAllReported(t *testing.T) {
	file := write(t, "listen: nowhere\nlocks: {stock: {wait: soon, provder: setnx}}\nshop: 5\n")
	_, err := config.Load(config.Sources{
		File: file, Environ: []string{"HOLDFAST_LOG_LEVL=info"}, Set: []string{"log.format=xml", "oops"},
	})
	var errs config.Errors
	if !errors.As(err, &errs) || len(errs) != 7 {
		t.Fatalf("%v, want 7 errors", err)
	}
	for _, want := range []string{
		"listen (" + file + `): "nowhere": want host:port`,
		"locks.stock.wait (" + file + `): "soon" is no duration: want a number and a unit`,
		"locks.stock.provder (" + file + "): no such key; did you mean locks.stock.provider?",
		"shop (" + file + "): is a section with the keys currency, maxAccounts, maxAddresses, maxCarts, maxHold, maxHolds, maxLines, maxPending, maxQuantity, reservation",
		"HOLDFAST_LOG_LEVL (environment): no such variable; did you mean HOLDFAST_LOG_LEVEL?",
		`log.format (--set): "xml": want one of text, json`,
		"--set oops: want key=value",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in\n%v", want, err)
		}
	}
}
