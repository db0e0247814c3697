// Package config says what can be configured, within which bounds, and reads it from flags, the environment and a file.
package config

import (
	"log/slog"
	"time"

	"holdfast/lockprovider"
)

// Config is everything that can be configured. The names of the keys are those in example.yaml.
type Config struct {
	// Profile is development or production, whose defaults are the safe ones: no demo data, no Playground, no experiments, no introspection,
	// rate limits, logs as JSON. Everything can still be set, but Development.
	Profile Profile `koanf:"profile"`
	// Listen is the address to serve on: host:port, port 0 to 65535, where 0 picks a free one.
	Listen string `koanf:"listen"`
	// Development adds demo data and gives the Playground a working token. It refuses to listen on anything but loopback.
	Development bool `koanf:"development"`
	// AllowRemoteDevelopment lets Development listen anywhere, such as inside a container.
	AllowRemoteDevelopment bool `koanf:"allowRemoteDevelopment"`

	Database   Database   `koanf:"database"`
	Redis      Redis      `koanf:"redis"`
	Shop       Shop       `koanf:"shop"`
	Locks      Locks      `koanf:"locks"`
	Pipeline   Pipeline   `koanf:"pipeline"`
	Failover   Failover   `koanf:"failover"`
	Broker     Broker     `koanf:"broker"`
	Jobs       Jobs       `koanf:"jobs"`
	Payment    Payment    `koanf:"payment"`
	Auth       Auth       `koanf:"auth"`
	Deployment Deployment `koanf:"deployment"`
	HTTP       HTTP       `koanf:"http"`

	Subscriptions Subscriptions `koanf:"subscriptions"`

	Log Log `koanf:"log"`

	Metrics Metrics `koanf:"metrics"`

	Experiments Experiments `koanf:"experiments"`

	// AllowNone admits the strategy "none", which loses updates: for experiments.
	AllowNone bool `koanf:"allowNone"`
}

// Database is the database and how it is used.
type Database struct {
	// URL is sqlite://path, postgres://... or mysql://..., see clients.OpenDatabase. Variable DATABASE_URL as well.
	URL string `koanf:"url"`
	// MaxOpen is the number of connections, of SQLite of readers: 1 to 10000.
	MaxOpen int `koanf:"maxOpen"`
	// TxRetries is how often a transaction is run again that the database aborted, as in a deadlock: 0 to 100.
	TxRetries int `koanf:"txRetries"`
	// Migrate brings the tables up to date at the start; otherwise a start with pending migrations fails.
	Migrate bool `koanf:"migrate"`
}

// Redis is the Redis, or the independent nodes, of the strategies that need it.
type Redis struct {
	// URL is "embedded", redis://..., redis+sentinel://..., redis+cluster://..., or several redis://... separated by
	// commas, which are independent nodes and for redsync only; see clients.RedisOptions. Variable REDIS_URL as well.
	URL string `koanf:"url"`
	// PoolSize is the number of connections to one server: 1 to 10000.
	PoolSize int `koanf:"poolSize"`
}

// Shop is the bounds of what customers may do.
type Shop struct {
	// Currency is that of all prices: three upper-case letters (ISO 4217).
	Currency string `koanf:"currency"`
	// Reservation is how long an unpaid order keeps its stock: 1s to 168h.
	Reservation time.Duration `koanf:"reservation"`
	// MaxLines is the number of products of one order: 1 to 200.
	MaxLines int `koanf:"maxLines"`
	// MaxQuantity is the quantity of one order line: at least 1. MaxLines × MaxQuantity is at most 90000: the dearest
	// order still adds up in 64 bits.
	MaxQuantity int64 `koanf:"maxQuantity"`
}

// Locks is the strategy of each family of balances.
type Locks struct {
	Stock    Lock `koanf:"stock"`
	Coupons  Lock `koanf:"coupons"`
	Points   Lock `koanf:"points"`
	Accounts Lock `koanf:"accounts"`
}

// Lock is a strategy and its bounds; each strategy uses those that concern it, see lockprovider.Settings.
type Lock struct {
	// Provider is the name of a strategy, one of lockprovider.Strategies.
	Provider lockprovider.Strategy `koanf:"provider"`
	// Wait is the longest time to wait for a lock of whatever kind: 1ms to 1m.
	Wait time.Duration `koanf:"wait"`
	// Lease is how long a lock in Redis lives without renewal, and so how long a dead holder blocks the others:
	// 100ms to 10m.
	Lease time.Duration `koanf:"lease"`
	// Poll is how long to wait before asking for a lock again: 1ms to 10s, or 0s for the provider's own, see
	// lockprovider.Info.Poll.
	Poll time.Duration `koanf:"poll"`
	// Attempts is how often to try a change whose balances somebody else changed meanwhile: 1 to 100.
	Attempts int `koanf:"attempts"`
	// Backoff is the pause between such attempts, ±50 %: 1ms to 10s.
	Backoff time.Duration `koanf:"backoff"`
	// Fallback serves the family while Redis is away: one of lockprovider.Fallbacks; empty for none, then operations are
	// refused as retryable.
	Fallback lockprovider.Strategy `koanf:"fallback"`
	// Ack says when lua answers: persisted, after the commit; accepted, when Redis has admitted the change.
	Ack lockprovider.Ack `koanf:"ack"`
}

// Pipeline is the way of Redis-first changes (lua) into the database.
type Pipeline struct {
	// PersistWait is how long an operation waits for its commit, then it is answered as accepted: 10ms to 1m.
	PersistWait time.Duration `koanf:"persistWait"`
	// Backlog is how many changes of a family may wait to be persisted; more are refused as busy: 256 to 1000000.
	Backlog int64 `koanf:"backlog"`
	// Remember is how long Redis knows a change's ID; the database knows it as long: 1m to 720h.
	Remember time.Duration `koanf:"remember"`
	// Batch is the most changes of one commit: 1 to 1000.
	Batch int64 `koanf:"batch"`
	// Block is how long to wait for changes before looking around, and so how long a stop may take: 10ms to 1s.
	Block time.Duration `koanf:"block"`
	// ClaimIdle is how long a change may lie unconfirmed before another instance takes it over, so the time in which a
	// crash is made good: 100ms to 1m.
	ClaimIdle time.Duration `koanf:"claimIdle"`
}

// Failover is the way out of an outage of Redis, and back.
type Failover struct {
	// Failures in a row of one family open the circuit: its changes are refused, or sent to the fallback, without asking
	// Redis: 1 to 1000.
	Failures int `koanf:"failures"`
	// Retry is how long the circuit stays open before one change tries again: 10ms to 1m.
	Retry time.Duration `koanf:"retry"`
	// Watch is how often to look which strategy is in force, and whether Redis is back: 50ms to 1m.
	Watch time.Duration `koanf:"watch"`
	// Healthy is how many looks in a row must find Redis answering before a family leaves its fallback: 1 to 1000.
	Healthy int `koanf:"healthy"`
}

// Broker is what carries events from the change log to their handlers.
type Broker struct {
	// URL is channel (inside this process), redis (streams of the Redis that is configured already) or
	// kafka://host:port,host:port. Variable BROKER as well.
	URL string `koanf:"url"`
	// Redelivery is how long a message may lie unhandled before another instance takes it over: 1s to 10m.
	Redelivery time.Duration `koanf:"redelivery"`
	// MaxLen is the number of messages that a Redis stream keeps: 1000 to 100000000.
	MaxLen int64 `koanf:"maxLen"`
	// Partitions is how many partitions a new Kafka topic gets: 1 to 1000, or 0 to create none.
	Partitions int `koanf:"partitions"`
	// LowStock is how many of a product are left when its stock counts as low: 0 to 1000000.
	LowStock int64 `koanf:"lowStock"`
	// Poll is how often to look for changes that another instance has committed: 10ms to 1m.
	Poll time.Duration `koanf:"poll"`
	// Batch is the most changes whose events are published and then marked together: 1 to 1000.
	Batch int `koanf:"batch"`
}

// Jobs is how often each job runs, on one instance of a deployment at a time.
type Jobs struct {
	// Reconcile compares the balances that lua keeps in Redis with the database, and repairs them.
	Reconcile time.Duration `koanf:"reconcile"`
	// Prime creates balances that Redis lacks.
	Prime time.Duration `koanf:"prime"`
	// Expire ends unpaid orders, and finishes what a crash left of others.
	Expire time.Duration `koanf:"expire"`
	// Retention deletes what is not needed any more.
	Retention time.Duration `koanf:"retention"`
}

// Payment is the embedded payment gateway, which simulates a real one.
type Payment struct {
	// Latency of each call: 0s to 1m.
	Latency time.Duration `koanf:"latency"`
	// AuthorizationFailureRate is the share of authorisations that are declined: 0 to 1.
	AuthorizationFailureRate float64 `koanf:"authorizationFailureRate"`
	// CaptureFailureRate is the share of captures that fail: 0 to 1.
	CaptureFailureRate float64 `koanf:"captureFailureRate"`
	// Timeout bounds one call: 1ms to 5m.
	Timeout time.Duration `koanf:"timeout"`
}

// Auth is how access tokens are checked.
type Auth struct {
	// JWKS is the URL of the issuer's public keys (JSON Web Key Set), by which tokens are verified then (RS256, ES256), and not
	// by Secret: https, or http on this machine. Empty for none.
	JWKS string `koanf:"jwks"`
	// Audience is what the claim "aud" of tokens must name that are verified by JWKS: at most 200 bytes; empty for whatever.
	Audience string `koanf:"audience"`
	// JWKSRefresh is how old keys may become: how long one is accepted that the issuer has withdrawn: 1m to 24h.
	JWKSRefresh time.Duration `koanf:"jwksRefresh"`
	// Secret signs tokens (HS256): at least 32 bytes. Empty in development only: then one is used that everybody knows,
	// which is why development listens on loopback.
	Secret string `koanf:"secret"`
	// Issuer is the claim "iss" of valid tokens: 1 to 200 bytes.
	Issuer string `koanf:"issuer"`
	// TokenTTL is how long a token lives that `holdfast token` prints: 1s to 8760h.
	TokenTTL time.Duration `koanf:"tokenTTL"`
}

// Deployment is the group of instances that share a database.
type Deployment struct {
	// Heartbeat is how often an instance says that it lives: 100ms to 1m.
	Heartbeat time.Duration `koanf:"heartbeat"`
	// Expiry is how long after its last heartbeat an instance counts as live: twice the heartbeat to 10m.
	Expiry time.Duration `koanf:"expiry"`
	// Takeover replaces the strategies of live instances, which then stop, instead of refusing to start.
	Takeover bool `koanf:"takeover"`
}

// HTTP is the limits of requests, and what is served besides the API.
type HTTP struct {
	// RequestTimeout bounds one request: 10ms to 10m.
	RequestTimeout time.Duration `koanf:"requestTimeout"`
	// ShutdownTimeout is how long requests in flight may take when the server stops: 0s to 10m.
	ShutdownTimeout time.Duration `koanf:"shutdownTimeout"`
	// MaxBodyBytes is the size of a request's body: 1024 to 16777216.
	MaxBodyBytes int64 `koanf:"maxBodyBytes"`
	// MaxDepth is how deep a query may nest: 1 to 100.
	MaxDepth int `koanf:"maxDepth"`
	// MaxComplexity is the number of fields that a query may ask for, those of list items multiplied: 1 to 1000000.
	MaxComplexity int `koanf:"maxComplexity"`
	// Origins are the sites whose pages may use the API, besides its own, separated by commas: https://shop.example.
	Origins string `koanf:"origins"`
	// Proxies is how many proxies stand before the server that append to X-Forwarded-For: 0 to 10.
	Proxies int `koanf:"proxies"`
	// UserRate and AddressRate are how many operations a minute are answered to one user, and to one address: 0 to 1000000,
	// where 0 is no limit. A fifth of them may come at once.
	UserRate    int `koanf:"userRate"`
	AddressRate int `koanf:"addressRate"`
	// Playground serves GraphiQL at /.
	Playground bool `koanf:"playground"`
	// Shop serves the storefront at /shop.
	Shop bool `koanf:"shop"`
	// Introspection lets clients ask for the schema. The Playground completes and documents by it.
	Introspection bool `koanf:"introspection"`
}

// Subscriptions bounds connections that stay open, see transport.Streams.
type Subscriptions struct {
	// MaxConnections is how many an instance keeps open: 1 to 1000000.
	MaxConnections int `koanf:"maxConnections"`
	// MaxOperations is how many operations one web socket may have under way: 1 to 1000.
	MaxOperations int `koanf:"maxOperations"`
	// MaxMessages is how many messages one web socket may send in a second: 1 to 10000.
	MaxMessages int `koanf:"maxMessages"`
	// InitTimeout is how long a web socket may take to say who it is: 100ms to 1m.
	InitTimeout time.Duration `koanf:"initTimeout"`
	// Ping is how often clients are asked whether they are there: 100ms to 10m.
	Ping time.Duration `koanf:"ping"`
	// WriteTimeout is how long a client may take to read a message before it is dropped: 10ms to 1m.
	WriteTimeout time.Duration `koanf:"writeTimeout"`
	// Interval is the shortest time between two looks of one subscription: 1ms to 1m.
	Interval time.Duration `koanf:"interval"`
	// Refresh is how often a subscription looks without having heard anything: 100ms to 1h.
	Refresh time.Duration `koanf:"refresh"`
	// TicketPoll is how often the place of a ticket is looked at: 50ms to 30s. A place is kept for a minute.
	TicketPoll time.Duration `koanf:"ticketPoll"`
	// MaxProducts is how many products one subscription may watch: 1 to 1000.
	MaxProducts int `koanf:"maxProducts"`
}

// Experiments are those that administrators start over the API. They are run on servers and stores of their own, on this
// machine.
type Experiments struct {
	// Enabled lets administrators start them, and serves the page /lab.
	Enabled bool `koanf:"enabled"`
	// MaxDuration is how long one may take in all; then it is stopped: 1s to 24h.
	MaxDuration time.Duration `koanf:"maxDuration"`
	// MaxClients is how many customers one may have ask at the same time: 1 to 10000.
	MaxClients int `koanf:"maxClients"`
}

// Metrics are at /metrics; here is where else they go.
type Metrics struct {
	// OTLP is the URL of an OpenTelemetry collector that takes them over HTTP; "" for none.
	OTLP string `koanf:"otlp"`
	// Interval is the time between two reports to it.
	Interval time.Duration `koanf:"interval"`
}

// Log is what is logged and how.
type Log struct {
	// Level is debug, info, warn or error.
	Level slog.Level `koanf:"level"`
	// Format is text or json.
	Format string `koanf:"format"`
}

// Default is the configuration where nothing is configured: everything embedded, for development on this machine.
func Default() Config {
	c := unresolved(Development)
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

// unresolved are the defaults of a profile in which values that follow from others are still zero.
func unresolved(p Profile) Config {
	c := development()
	if p == Production {
		c.Profile, c.Development, c.Log.Format = Production, false, "json"
		c.HTTP.Playground, c.HTTP.Introspection, c.Experiments.Enabled = false, false, false
		c.HTTP.UserRate, c.HTTP.AddressRate = 600, 6000
	}
	return c
}

func development() Config {
	lock := func(family lockprovider.Family) Lock {
		info, _ := lockprovider.LookupFamily(family)
		return Lock{
			Provider: info.Defaults.Strategy, Wait: info.Defaults.Wait, Lease: info.Defaults.Lease,
			Attempts: 3, Backoff: 50 * time.Millisecond, Ack: lockprovider.AckPersisted,
		}
	}
	return Config{
		Profile:     Development,
		Listen:      "127.0.0.1:8080",
		Development: true,
		Database:    Database{URL: "sqlite://holdfast.db", MaxOpen: 32, TxRetries: 10, Migrate: true},
		Redis:       Redis{URL: "embedded", PoolSize: 64},
		Shop:        Shop{Currency: "USD", Reservation: 15 * time.Minute, MaxLines: 50, MaxQuantity: 1000},
		Locks: Locks{
			Stock: lock(lockprovider.Stock), Coupons: lock(lockprovider.Coupons),
			Points: lock(lockprovider.Points), Accounts: lock(lockprovider.Accounts),
		},
		Pipeline: Pipeline{
			PersistWait: 5 * time.Second, Backlog: 10_000, Remember: 24 * time.Hour, Batch: 256,
			Block: 500 * time.Millisecond, ClaimIdle: 3 * time.Second,
		},
		Failover: Failover{Failures: 3, Retry: time.Second, Watch: 500 * time.Millisecond, Healthy: 3},
		Broker: Broker{
			URL: "channel", Redelivery: 6 * time.Second, MaxLen: 100_000, Partitions: 6, LowStock: 5,
			Poll: 500 * time.Millisecond, Batch: 256,
		},
		Jobs: Jobs{
			Reconcile: time.Minute, Prime: 5 * time.Minute, Expire: 10 * time.Second, Retention: 24 * time.Hour,
		},
		Payment:    Payment{Timeout: 5 * time.Second},
		Auth:       Auth{Issuer: "holdfast", TokenTTL: time.Hour, JWKSRefresh: 10 * time.Minute},
		Deployment: Deployment{Heartbeat: 5 * time.Second, Expiry: 15 * time.Second},
		HTTP: HTTP{
			RequestTimeout: 30 * time.Second, ShutdownTimeout: 20 * time.Second, MaxBodyBytes: 128 << 10,
			MaxDepth: 12, MaxComplexity: 10_000, Playground: true, Shop: true, Introspection: true,
		},
		Subscriptions: Subscriptions{
			MaxConnections: 1000, MaxOperations: 20, MaxMessages: 50, InitTimeout: 5 * time.Second, Ping: 5 * time.Second,
			WriteTimeout: 5 * time.Second, Interval: 100 * time.Millisecond, Refresh: 15 * time.Second, TicketPoll: time.Second,
			MaxProducts: 100,
		},
		Log:         Log{Level: slog.LevelInfo, Format: "text"},
		Metrics:     Metrics{Interval: 15 * time.Second},
		Experiments: Experiments{Enabled: true, MaxDuration: 15 * time.Minute, MaxClients: 200},
	}
}

// resolve fills in the values that follow from others.
func (c *Config) resolve() {
	for _, lock := range []*Lock{&c.Locks.Stock, &c.Locks.Coupons, &c.Locks.Points, &c.Locks.Accounts} {
		if lock.Poll == 0 {
			info, _ := lockprovider.Lookup(lock.Provider)
			lock.Poll = info.Poll()
		}
	}
}

// Families is the strategy and the bounds of each family, as lockprovider.Build takes them.
func (c Config) Families() map[lockprovider.Family]lockprovider.FamilyConfig {
	families := make(map[lockprovider.Family]lockprovider.FamilyConfig, len(lockprovider.Families))
	for family, l := range c.locks() {
		families[family] = lockprovider.FamilyConfig{
			Strategy: l.Provider, Fallback: l.Fallback,
			Settings: lockprovider.Settings{
				Wait: l.Wait, Lease: l.Lease, Poll: l.Poll, Attempts: l.Attempts, Backoff: l.Backoff, Ack: l.Ack,
				PersistWait: c.Pipeline.PersistWait, Backlog: c.Pipeline.Backlog, Remember: c.Pipeline.Remember,
			},
		}
	}
	return families
}

// Strategies is the strategy of each family.
func (c Config) Strategies() map[lockprovider.Family]lockprovider.Strategy {
	strategies := make(map[lockprovider.Family]lockprovider.Strategy, len(lockprovider.Families))
	for family, l := range c.locks() {
		strategies[family] = l.Provider
	}
	return strategies
}

func (c Config) locks() map[lockprovider.Family]Lock {
	return map[lockprovider.Family]Lock{
		lockprovider.Stock: c.Locks.Stock, lockprovider.Coupons: c.Locks.Coupons,
		lockprovider.Points: c.Locks.Points, lockprovider.Accounts: c.Locks.Accounts,
	}
}
