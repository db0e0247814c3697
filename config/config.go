// Package config reads the configuration of a server from a file, the environment and flags, and says what is wrong with it.
//
// A setting is declared once, with its default and its bounds, in the package that uses it; see package setting. Config gathers
// these declarations under their keys. What this package adds are the sources and their precedence ([Load]), the checks that
// concern several settings at once, and the printed form ([Config.YAML]). The reference of all keys, example.yaml and
// docs/configuration.md, is generated from the declarations by package document.
package config

import (
	"log/slog"
	"slices"
	"strings"
	"time"

	"holdfast/auth"
	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/config/setting"
	"holdfast/events"
	"holdfast/graph/transport"
	"holdfast/lockprovider"
	"holdfast/payments"
	"holdfast/payments/stripe"
	"holdfast/schedulers"
)

//go:generate go run ./document

// Config is everything that can be configured.
type Config struct {
	// Profile is a set of defaults. Those of production are the safe ones: no demo data, no Playground, no introspection, no
	// experiments, rate limits, logs as JSON. Each can still be set, but development: true is refused.
	Profile Profile `key:"profile" default:"development" production:"production" oneof:"development production"`
	// Listen is the address to serve on, host:port. Port 0 picks a free one.
	Listen string `key:"listen" default:"127.0.0.1:8080"`
	// Development adds demo data, and gives the Playground a token that works. The server then refuses to listen on anything
	// but loopback.
	Development bool `key:"development" default:"true" production:"false"`
	// AllowRemoteDevelopment lets a development server listen anywhere, such as inside a container.
	AllowRemoteDevelopment bool `key:"allowRemoteDevelopment"`

	// Admin is what operators ask an instance, away from its customers: metrics, health with reasons, profiles.
	Admin Admin `key:"admin"`
	// Database is the database and how it is used.
	Database Database `key:"database"`
	// Redis is the Redis, or the independent nodes, of the strategies that need it.
	Redis clients.RedisOptions `key:"redis"`
	// Shop is what customers may do.
	Shop commerce.ShopSettings `key:"shop"`
	// Locks is the strategy of each family of balances. All instances that share a database must agree on them.
	Locks Locks `key:"locks"`
	// Pipeline is the way of changes that Redis admits first (lua, queue) into the database.
	Pipeline Pipeline `key:"pipeline"`
	// Failover is the way out of an outage of Redis, and back.
	Failover lockprovider.FailoverSettings `key:"failover"`
	// Broker is what carries events from the change log to their handlers; see docs/events.md.
	Broker events.Settings `key:"broker"`
	// Jobs is how often each job runs, on one instance at a time.
	Jobs schedulers.Settings `key:"jobs"`
	// Payment is how customers may pay, and the payment gateway.
	Payment Payment `key:"payment"`
	// Auth is how access tokens are checked.
	Auth Auth `key:"auth"`
	// Deployment is the group of instances that share a database.
	Deployment lockprovider.DeploymentSettings `key:"deployment"`
	// HTTP is the limits of requests, and what is served besides the API.
	HTTP HTTP `key:"http"`
	// Schema is which part of the schema is served.
	Schema Schema `key:"schema"`
	// Safelist is which operations clients may send; see docs/api.md.
	Safelist transport.SafelistSettings `key:"safelist"`
	// Subscriptions bounds connections that stay open: web sockets and event streams.
	Subscriptions transport.Streams `key:"subscriptions"`
	// Log is what is logged, and how.
	Log Log `key:"log"`
	// Metrics is where metrics go besides /metrics of admin.listen, which has them for Prometheus.
	Metrics Metrics `key:"metrics"`
	// Experiments are those that administrators start over the API or at /lab. Each starts servers of its own with stores of its
	// own, on this machine, which they share with the shop.
	Experiments Experiments `key:"experiments"`

	// AllowNone admits the strategy none, which loses updates: for experiments only.
	AllowNone bool `key:"allowNone"`
}

// Admin is what operators ask an instance.
type Admin struct {
	// Listen is the address, host:port, at which /metrics, /livez, /readyz with its reasons, and the profiles of /debug/pprof/ are
	// served. They need no token, so it must not be public. Port 0 picks a free one, which the log names. If it is empty, they are
	// not served.
	Listen string `key:"listen" default:"127.0.0.1:0" production:"127.0.0.1:8081"`
}

// Database is the database and how it is used.
type Database struct {
	// URL is sqlite://path/to/file.db, postgres://user:password@host:5432/name or mysql://user:password@host:3306/name. The variable
	// DATABASE_URL sets it as well.
	URL setting.URL `key:"url" default:"sqlite://holdfast.db"`

	clients.DatabaseOptions

	Ledger lockprovider.LedgerSettings `key:",inline"`
	// Migrate brings the tables up to date at the start. If it is false, run "holdfast migrate" first.
	Migrate bool `key:"migrate" default:"true"`
}

// Locks is the strategy of each family of balances. Copies of a Config share it.
type Locks map[lockprovider.Family]*lockprovider.FamilyConfig

// Sections implements [setting.Sectioned], in the order of [lockprovider.Families].
func (l Locks) Sections(yield func(key string, section any) bool) {
	for _, family := range lockprovider.Families {
		if lock, ok := l[family]; ok && !yield(familyKey(family), lock) {
			return
		}
	}
}

// familyKey is the section of a family in the configuration.
func familyKey(f lockprovider.Family) string { return strings.ToLower(string(f)) }

// Pipeline is the way of changes that Redis admits first into the database.
type Pipeline struct {
	lockprovider.PipelineSettings
	events.PersisterSettings
}

// Payment is how customers may pay, and the payment gateway.
type Payment struct {
	commerce.PaymentSettings
	payments.SimulatedSettings
	// Stripe is how Stripe is asked if it is the gateway.
	Stripe stripe.Settings `key:"stripe"`
}

// TakesNoMoney reports whether card payments are simulated, here or by Stripe.
func (p Payment) TakesNoMoney() bool {
	return p.Gateway == commerce.GatewaySimulated || p.Gateway == commerce.GatewayStripe && p.Stripe.Test()
}

// Auth is how access tokens are checked.
type Auth struct {
	// JWKS is the URL of the issuer's public keys (JSON Web Key Set). If it is set, tokens are verified by these (RS256, ES256),
	// and not by the secret. https, or http on this machine.
	JWKS setting.URL `key:"jwks"`
	// Audience is what the claim "aud" of valid tokens must name, at most 200 bytes; "holdfast token" writes it. With JWKS it is
	// required: the issuer may serve other shops, too. With the secret, any audience is accepted if it is empty.
	Audience string `key:"audience"`

	Keys auth.KeySettings `key:",inline"`

	// Secret signs access tokens (HS256), at least 32 bytes. It is better set by the variable HOLDFAST_AUTH_SECRET than in a file.
	// If it is empty, which only development on this machine allows, a secret is used that everybody knows.
	Secret string `key:"secret" secret:"true"`
	// Issuer is the claim "iss" of valid tokens, 1 to 200 bytes.
	Issuer string `key:"issuer" default:"holdfast"`
	// TokenTTL is how long a token of "holdfast token" lives.
	TokenTTL time.Duration `key:"tokenTTL" default:"1h" min:"1s" max:"8760h"`
}

// HTTP is the limits of requests, and what is served besides the API.
type HTTP struct {
	Limits transport.Limits `key:",inline"`
	Rates  transport.Rates  `key:",inline"`

	// ShutdownTimeout is how long requests in flight may take when the server stops.
	ShutdownTimeout time.Duration `key:"shutdownTimeout" default:"20s" min:"0s" max:"10m"`
	// Origins are the sites whose pages may use the API (CORS, web sockets) besides its own, separated by commas:
	// https://shop.example,https://app.example.
	Origins setting.URL `key:"origins"`
	// OriginHeaders are the names of request headers that pages of these sites may send, separated by commas, besides those that
	// Apollo Client, urql and Relay send by default: traceparent,tracestate.
	OriginHeaders string `key:"originHeaders"`
	// Proxies is how many proxies of yours stand before the server and append to X-Forwarded-For.
	Proxies int `key:"proxies" min:"0" max:"10"`
	// Playground serves GraphiQL at /.
	Playground bool `key:"playground" default:"true" production:"false"`
	// Shop serves the storefront at /shop.
	Shop bool `key:"shop" default:"true"`
	// Admin serves the administration at /admin. It needs a token with the role ADMIN: the page alone tells nothing.
	Admin bool `key:"admin" default:"true"`
	// Introspection lets clients ask for the schema. The Playground completes and documents by it.
	Introspection bool `key:"introspection" default:"true" production:"false"`
}

// Schema is which part of the schema is served. The API refuses the rest as it refuses what does not exist.
type Schema struct {
	// Audiences are the parts that are served, separated by commas: storefront, administration, experiments. The pages of a part that
	// is left out are not served either: the shop, the laboratory, and the tabs of the Playground.
	Audiences string `key:"audiences" default:"storefront,administration,experiments"`
	// Federation serves the schema as a subgraph of Apollo Federation 2. Whoever can reach the API can then read the schema, also without
	// introspection.
	Federation bool `key:"federation"`
}

// The parts of the schema.
const (
	Storefront     = "storefront"
	Administration = "administration"
	Experimental   = "experiments"
)

// Audiences are all parts of the schema.
var Audiences = []string{Storefront, Administration, Experimental}

// AudienceList returns the parts that are served.
func (s Schema) AudienceList() []string {
	names := strings.Split(s.Audiences, ",")
	for i, name := range names {
		names[i] = strings.TrimSpace(name)
	}
	return names
}

// Has reports whether a part is served.
func (s Schema) Has(audience string) bool { return slices.Contains(s.AudienceList(), audience) }

// Experiments are those that administrators start over the API.
type Experiments struct {
	// Enabled lets administrators start experiments, and serves the page /lab.
	Enabled bool `key:"enabled" default:"true" production:"false"`
	// MaxDuration is how long one may take in all; then it is stopped.
	MaxDuration time.Duration `key:"maxDuration" default:"15m" min:"1s" max:"24h"`
	// MaxClients is how many customers may ask at the same time.
	MaxClients int `key:"maxClients" default:"200" min:"1" max:"10000"`
}

// Metrics is where metrics go besides /metrics of admin.listen.
type Metrics struct {
	// OTLP is the URL of an OpenTelemetry collector that takes them over HTTP, such as http://127.0.0.1:4318/v1/metrics. If it is
	// empty, none does.
	OTLP setting.URL `key:"otlp"`
	// Interval is the time between two reports to it.
	Interval time.Duration `key:"interval" default:"15s" min:"1s" max:"1h"`
}

// Log is what is logged, and how.
type Log struct {
	// Level is debug, info, warn or error: what is below it is not logged.
	Level slog.Level `key:"level" default:"info"`
	// Format is the form of a line.
	Format string `key:"format" default:"text" production:"json" oneof:"text json"`
}

// Default is the configuration if nothing is configured: everything embedded, for development on this machine.
func Default() Config {
	c := Defaults(Development)
	c.resolve()
	return c
}

// Profile is a set of defaults.
type Profile string

// The profiles.
const (
	Development Profile = "development"
	Production  Profile = "production"
)

// Defaults are the defaults of a profile as they are declared: values that follow from others are still zero.
func Defaults(p Profile) Config {
	c := Config{Locks: Locks{}}
	setting.Reset(&c, string(p))
	for _, family := range lockprovider.FamilyTable {
		lock := setting.Default[lockprovider.FamilyConfig]()
		lock.Strategy, lock.Settings.Wait, lock.Settings.Lease = family.Defaults.Strategy, family.Defaults.Wait, family.Defaults.Lease
		c.Locks[family.Name] = &lock
	}
	return c
}

// resolve fills in the values that follow from others.
func (c *Config) resolve() {
	for _, lock := range c.Locks {
		if lock.Settings.Poll == 0 {
			info, _ := lockprovider.Lookup(lock.Strategy)
			lock.Settings.Poll = info.Poll()
		}
	}
}

// Families is the strategy and the bounds of each family, as [lockprovider.Build] takes them.
func (c Config) Families() map[lockprovider.Family]lockprovider.FamilyConfig {
	families := make(map[lockprovider.Family]lockprovider.FamilyConfig, len(c.Locks))
	for family, lock := range c.Locks {
		configured := *lock
		configured.Settings.Pipeline = c.Pipeline.PipelineSettings
		families[family] = configured
	}
	return families
}

// Strategies is the strategy of each family.
func (c Config) Strategies() map[lockprovider.Family]lockprovider.Strategy {
	strategies := make(map[lockprovider.Family]lockprovider.Strategy, len(c.Locks))
	for family, lock := range c.Locks {
		strategies[family] = lock.Strategy
	}
	return strategies
}
