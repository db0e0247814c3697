package config_test

import (
	"errors"
	"strings"
	"testing"

	"holdfast/config"
	"holdfast/lockprovider"
)

// strategies are the names of all strategies, as an error lists them.
func strategies() string {
	var names []string
	for _, name := range lockprovider.Names() {
		names = append(names, string(name))
	}
	return strings.Join(names, ", ")
}

func TestValidation(t *testing.T) {
	secret := "auth.secret=" + strings.Repeat("s", 32)
	for _, test := range []struct {
		set  string // settings, separated by spaces
		want string // part of the only error; "" where there is none
	}{
		{"listen=127.0.0.1:0", ""},
		{"listen=[::1]:8080", ""},
		{"schema.audiences=storefront", ""},
		{"schema.audiences=experiments,administration", ""},
		{"schema.audiences=", "schema.audiences (--set): \"\": want storefront, administration, experiments, or some of them"},
		{"schema.audiences=shop", "want storefront, administration, experiments, or some of them, each once"},
		{"schema.audiences=storefront,storefront", "each once"},
		{"safelist.mode=sometimes safelist.manifest=shop.json", "one of off, prefer, only"},
		{"safelist.mode=only http.playground=false", "safelist.manifest: nothing: want the file with the operations that clients send, with safelist.mode: only"},
		{"safelist.mode=prefer safelist.manifest=,", "safelist.manifest"},
		{"safelist.mode=only safelist.manifest=shop.json,app.json http.playground=false", ""},
		{"safelist.mode=only safelist.manifest=shop.json safelist.exemptAdmin=true", ""},
		{"safelist.mode=prefer safelist.manifest=shop.json", ""},
		{"safelist.mode=only safelist.manifest=shop.json", "http.playground: true: want false with safelist.mode: only"},
		{"safelist.manifest=shop.json", ""},
		{"listen=127.0.0.1:65536", "port of 0 to 65535"},
		{"listen=127.0.0.1:http", "port of 0 to 65535"},
		{"listen=0.0.0.0:80", "a loopback address"},
		{"admin.listen=", ""},
		{"admin.listen=127.0.0.1:0 listen=127.0.0.1:0", ""},
		{"admin.listen=10.0.0.1:9000", ""},
		{"admin.listen=9000", "\"9000\": want nothing, or host:port"},
		{"admin.listen=127.0.0.1:65536", "port of 0 to 65535"},
		{"admin.listen=10.0.0.1:8080", "another port than that of listen"},
		{"listen=:80", "a loopback address"},
		{"listen=shop.example:80", "a loopback address"},
		{"listen=:80 allowRemoteDevelopment=true auth.secret=0123456789abcdef0123456789abcdef", ""},
		{"listen=:80 allowRemoteDevelopment=true", "auth.secret: nothing: want at least 32 bytes where others than this machine are served"},
		{"listen=:80 development=false " + secret, ""},
		{"listen=:80 development=false", "auth.secret: nothing: want at least 32 bytes where others than this machine are served"},
		{"auth.secret=short", "auth.secret (--set): 5 bytes: want at least 32"},
		{secret, ""},
		{"auth.issuer=", "auth.issuer"},
		{"auth.tokenTTL=0s", "auth.tokenTTL (--set): 0s: want 1s to 8760h"},

		{"metrics.otlp=collector:4318", "a URL such as"},
		{"metrics.otlp=http://127.0.0.1:4318/v1/metrics", ""},
		{"metrics.otlp=ftp://u:hunter2@collector/x", `metrics.otlp (--set): "ftp://u:xxxxx@collector/x": want a URL such as`},
		{"auth.jwks=http://u:hunter2@issuer.example/keys auth.audience=shop", `auth.jwks (--set): "http://u:xxxxx@issuer.example/keys": want an https`},
		{"http.origins=https://u:hunter2@shop.example", `http.origins (--set): "https://u:xxxxx@shop.example": want origins such as`},
		{"broker.url=pigeon://u:hunter2@h", `broker.url (--set): "pigeon://u:xxxxx@h": want channel, redis, or kafka`},
		{"redis.url=tedis://u:hunter2@h", `"tedis://u:xxxxx@h": want embedded, or a URL`},
		{"metrics.interval=0s", "want 1s to 1h"},

		{"database.url=oracle://u:hunter2@h/d", `"oracle://u:xxxxx@h/d": want a URL with one of the schemes sqlite`},
		{"database.url=holdfast.db", "want a URL"},
		{"database.url=sqlite://", "want a URL"},
		{"database.url=mariadb://h/d", ""},
		{"database.maxOpen=0", "database.maxOpen (--set): 0: want 1 to 10000"},
		{"database.maxOpen=many", `database.maxOpen (--set): "many" is no whole number`},
		{"database.maxOpen=99999999999999999999", "is no whole number"},
		{"database.txRetries=-1", "want 0 to 100"},
		{"database.migrate=perhaps", "want true or false"},

		{"redis.url=redis+sentinel://h/0?master=m", ""},
		{"redis.url=rediss+cluster://h", ""},
		{"redis.url=localhost:6379", "want embedded, or a URL"},
		{"redis.url=", "want embedded, or a URL"},
		{"redis.poolSize=0", "want 1 to 10000"},
		{"redis.url=redis://a,redis://b locks.stock.provider=redsync locks.coupons.provider=rowlock", ""},
		{"redis.url=redis://a,redis+cluster://b locks.stock.provider=redsync locks.coupons.provider=redsync", "each of several nodes"},
		{
			"redis.url=redis://a,redis://b locks.stock.provider=setnx locks.coupons.provider=redsync",
			"locks.stock.provider (--set): setnx: want redsync with the 2 independent nodes of redis.url: setnx needs one logical Redis",
		},
		{
			"redis.url=redis://a,redis://b locks.coupons.provider=atomicsql",
			"locks.stock.provider: pubsub: want redsync with the 2 independent nodes",
		},
		{
			"development=false database.url=postgres://h/d locks.coupons.provider=rowlock locks.points.provider=atomicsql " +
				"locks.accounts.provider=optimistic " + secret,
			"locks.stock.provider: pubsub: want a provider that works without Redis, or a redis.url",
		},
		{"development=false " + secret, ""}, // SQLite: one machine, one instance

		{"shop.currency=usd", "three upper-case letters"},
		{"shop.currency=EURO", "three upper-case letters"},
		{"shop.reservation=999ms", "want 1s to 168h"},
		{"shop.reservation=15", "is no duration"},
		{"shop.maxLines=101", "want 1 to 100"},
		{"shop.maxLines=90 shop.maxQuantity=1000", ""},
		{"shop.maxLines=90 shop.maxQuantity=1001", "shop.maxQuantity (--set): 1001: want at most 1000 with shop.maxLines: 90, for 90000 units"},
		{"shop.maxQuantity=90001", "shop.maxQuantity (--set): 90001: want 1 to 90000"},

		{"locks.stock.provider=", "locks.stock.provider (--set): \"\": want one of " + strategies()},
		{"locks.stock.provider=mutex", `"mutex": want one of`},
		{"locks.stock.provider=none", "none: want another: it loses updates"},
		{"locks.stock.provider=none allowNone=true", ""},
		{"locks.stock.wait=0s", "want 1ms to 1m"},
		{"locks.stock.lease=99ms", "locks.stock.lease (--set): 99ms: want 100ms to 10m"},
		{"locks.points.poll=-1ms", "want 1ms to 10s"},
		{"locks.points.attempts=0", "want 1 to 100"},
		{"locks.accounts.backoff=0s", "want 1ms to 10s"},

		{"payment.latency=2m", "want 0s to 1m"},
		{"payment.authorizationFailureRate=1.1", "want 0 to 1"},
		{"payment.captureFailureRate=-0.1", "want 0 to 1"},
		{"payment.captureFailureRate=NaN", "is no number"},
		{"payment.webhookSecret=short", "5 bytes: want nothing, or at least 32"},
		{"payment.timeout=0s", "want 1ms to 5m"},

		{"pipeline.block=1m", "pipeline.block (--set): 1m: want 10ms to 1s"},
		{"failover.failures=0", "want 1 to 1000"},
		{"failover.retry=1ms", "want 10ms to 1m"},
		{"failover.watch=1ms", "want 50ms to 1m"},
		{"failover.healthy=0", "want 1 to 1000"},
		{"broker.url=redis", ""},
		{"broker.url=redis development=false " + secret, "broker.url (--set): redis: want another broker, or a redis.url"},
		{"broker.url=redis redis.url=redis://h development=false " + secret, ""},
		{"broker.poll=1ms", "want 10ms to 1m"},
		{"broker.batch=1001", "want 1 to 1000"},

		{"deployment.heartbeat=1ms", "want 100ms to 1m"},
		{"deployment.expiry=9s", "deployment.expiry (--set): 9s: want 10s to 10m"},

		{"http.requestTimeout=0s", "want 10ms to 10m"},
		{"http.shutdownTimeout=-1s", "want 0s to 10m"},
		{"http.maxBodyBytes=1023", "want 1024 to 16777216"},
		{"http.maxDepth=0", "want 1 to 100"},
		{"http.maxComplexity=0", "want 1 to 1000000"},

		{"experiments.maxDuration=25h", "experiments.maxDuration (--set): 25h: want 1s to 24h"},
		{"experiments.maxClients=0", "want 1 to 10000"},

		{"log.level=loud", `log.level (--set): "loud": want debug, info, warn or error`},
		{"log.level=info+1", `"info+1": want debug, info, warn or error`},
		{"log.format=xml", "want one of text, json"},
		{"Listen=localhost:1", "Listen (--set): no such key; did you mean listen?"},
		{"completelyDifferent=1", "completelyDifferent (--set): no such key"},
	} {
		_, err := config.Load(config.Sources{Set: strings.Fields(test.set)})
		if test.want == "" {
			if err != nil {
				t.Errorf("%s: %v", test.set, err)
			}
			continue
		}
		var errs config.Errors
		if !errors.As(err, &errs) || len(errs) != 1 || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v\nwant one error with %q", test.set, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: a password in %v", test.set, err)
		}
	}
}

func TestFileErrors(t *testing.T) {
	for content, want := range map[string]string{
		"listen: [1, 2]":            "listen (%s): a list is no text",
		"listen: 8080":              "listen (%s): 8080 is no text: put it in quotes",
		"auth: {secret: 12345678}":  "auth.secret (%s): what is set is no text: put it in quotes",
		"broker: {url: 12345678}":   "broker.url (%s): what is set is no text: put it in quotes",
		"shop: {maxLines: 1.5}":     "1.5 is no whole number",
		"shop: {maxLines: [1]}":     "a list is no whole number",
		"database: {migrate: 1}":    "1: want true or false",
		"listen: a\nlisten: b":      "already defined",
		"listen: 'a":                "read %s: ",
		"shop: {currency: {a: b}}":  "shop.currency.a (%s): no such key",
		"lock: {stock: {wait: 5s}}": "lock.stock.wait (%s): no such key; did you mean locks.stock.wait?",
		"payment: {timeout: 5}":     "payment.timeout (%s): 5 is no duration",
		"log: {level: 0}":           "0: want debug, info, warn or error",
		"- a list":                  "read %s: ",
	} {
		path := write(t, content)
		_, err := config.Load(config.Sources{File: path})
		if want := strings.ReplaceAll(want, "%s", path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v\nwant %q", content, err, want)
		}
	}
	if _, err := config.Load(config.Sources{File: "nowhere.yaml"}); err == nil || !strings.Contains(err.Error(), "nowhere.yaml") {
		t.Errorf("a file that does not exist: %v", err)
	}
}
