package config

import (
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/clients"
	"holdfast/lockprovider"
)

// Validate checks all bounds and returns [Errors] with everything that is wrong.
func (c Config) Validate() error {
	if errs := c.validate(nil, nil); len(errs) > 0 {
		return errs
	}
	return nil
}

// validate does not report keys that have failed before.
func (c Config) validate(failed map[string]bool, origins map[string]string) Errors {
	v := checker{failed: failed, origins: origins}
	v.server(c)
	v.stores(c)
	v.locks(c)

	v.that("shop.currency", currency.MatchString(c.Shop.Currency), quote(c.Shop.Currency),
		"three upper-case letters, such as USD")
	within(&v, "shop.reservation", c.Shop.Reservation, time.Second, 7*24*time.Hour)
	within(&v, "shop.maxLines", c.Shop.MaxLines, 1, lockprovider.MaxMoves)
	within(&v, "shop.maxQuantity", c.Shop.MaxQuantity, 1, maxUnits)
	if lines := int64(c.Shop.MaxLines); lines >= 1 && lines <= lockprovider.MaxMoves && c.Shop.MaxQuantity <= maxUnits {
		v.that("shop.maxQuantity", lines*c.Shop.MaxQuantity <= maxUnits, fmt.Sprint(c.Shop.MaxQuantity),
			fmt.Sprintf("at most %d with shop.maxLines: %d, for %d units in an order", maxUnits/lines, lines, maxUnits))
	}

	within(&v, "payment.latency", c.Payment.Latency, 0, time.Minute)
	within(&v, "payment.authorizationFailureRate", c.Payment.AuthorizationFailureRate, 0, 1)
	within(&v, "payment.captureFailureRate", c.Payment.CaptureFailureRate, 0, 1)
	within(&v, "payment.timeout", c.Payment.Timeout, time.Millisecond, 5*time.Minute)

	within(&v, "deployment.heartbeat", c.Deployment.Heartbeat, 100*time.Millisecond, time.Minute)
	// One heartbeat may be lost or late without the instance being taken for dead.
	within(&v, "deployment.expiry", c.Deployment.Expiry, 2*c.Deployment.Heartbeat, 10*time.Minute)
	return v.errs
}

// maxUnits bounds the units of one order: at the highest price, 10^14, their sum still fits into 64 bits.
const maxUnits = 90_000

// minSecret is the length of a key of HS256: as long as its hash (RFC 7518, section 3.2).
const minSecret = 32

var currency = regexp.MustCompile(`^[A-Z]{3}$`)

type checker struct {
	failed  map[string]bool
	origins map[string]string
	errs    Errors
}

// that reports a key whose value is not as it should be, unless ok.
func (v *checker) that(key string, ok bool, value, want string) {
	if ok || v.failed[key] {
		return
	}
	where := ""
	if origin := v.origins[key]; origin != "" {
		where = " (" + origin + ")"
	}
	v.errs = append(v.errs, fmt.Errorf("%s%s: %s: want %s", key, where, value, want))
}

func within[T int | int64 | float64 | time.Duration](v *checker, key string, value, least, most T) {
	show := func(x T) string {
		if d, ok := any(x).(time.Duration); ok {
			return duration(d)
		}
		return fmt.Sprint(x)
	}
	v.that(key, value >= least && value <= most, show(value), show(least)+" to "+show(most))
}

func (v *checker) oneOf(key, value string, allowed ...string) {
	v.that(key, slices.Contains(allowed, value), quote(value), "one of "+strings.Join(allowed, ", "))
}

func (v *checker) server(c Config) {
	host, port, err := net.SplitHostPort(c.Listen)
	number, portErr := strconv.ParseUint(port, 10, 16)
	valid := err == nil && portErr == nil && number <= 65535
	v.that("listen", valid, quote(c.Listen), "host:port, such as 127.0.0.1:8080, with a port of 0 to 65535")
	if valid && c.Development && !c.AllowRemoteDevelopment {
		v.that("listen", loopback(host), quote(c.Listen),
			"a loopback address, since development hands out tokens; or development: false, or allowRemoteDevelopment: true")
	}

	v.oneOf("profile", string(c.Profile), string(Development), string(Production))
	v.that("development", c.Profile != Production || !c.Development, "true",
		"false in the profile production: it adds demo data, and hands out tokens to everybody")
	v.auth(c)
	v.http(c.HTTP)
	v.subscriptions(c.Subscriptions)
	within(v, "experiments.maxDuration", c.Experiments.MaxDuration, time.Second, 24*time.Hour)
	within(v, "experiments.maxClients", c.Experiments.MaxClients, 1, 10_000)

	levels := []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}
	v.that("log.level", slices.Contains(levels, c.Log.Level), quote(level(c.Log.Level)), "debug, info, warn or error")
	v.oneOf("log.format", c.Log.Format, "text", "json")
	v.that("metrics.otlp", c.Metrics.OTLP == "" || isCollectorURL(c.Metrics.OTLP), quote(c.Metrics.OTLP),
		"a URL such as http://127.0.0.1:4318/v1/metrics")
	within(v, "metrics.interval", c.Metrics.Interval, time.Second, time.Hour)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (v *checker) stores(c Config) {
	schemes := []string{"sqlite", "postgres", "postgresql", "mysql", "mariadb"}
	scheme, rest, found := strings.Cut(c.Database.URL, "://")
	v.that("database.url", found && rest != "" && slices.Contains(schemes, scheme),
		quote(clients.RedactURL(c.Database.URL)), "a URL with one of the schemes "+strings.Join(schemes, ", "))
	within(v, "database.maxOpen", c.Database.MaxOpen, 1, 10_000)
	within(v, "database.txRetries", c.Database.TxRetries, 0, 100)

	within(v, "redis.poolSize", c.Redis.PoolSize, 1, 10_000)
	if c.Redis.URL == clients.EmbeddedRedis {
		return
	}
	single := []string{"redis", "rediss"}
	schemes = []string{"redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster"}
	nodes := strings.Split(c.Redis.URL, ",")
	want := "embedded, or a URL with one of the schemes " + strings.Join(schemes, ", ")
	if len(nodes) > 1 {
		schemes, want = single, "each of several nodes to be a redis:// or rediss:// URL"
	}
	for _, node := range nodes {
		scheme, rest, found := strings.Cut(strings.TrimSpace(node), "://")
		v.that("redis.url", found && rest != "" && slices.Contains(schemes, scheme), quote(clients.RedactURL(node)), want)
	}
}

func texts(names []lockprovider.Strategy) []string {
	list := make([]string, len(names))
	for i, name := range names {
		list[i] = string(name)
	}
	return list
}

func (v *checker) locks(c Config) {
	names := texts(lockprovider.Names())
	fallbacks := texts(lockprovider.Fallbacks())
	last := len(fallbacks) - 1
	fallbackNames := strings.Join(fallbacks[:last], ", ") + " or " + fallbacks[last]
	database := clients.DialectOf(c.Database.URL)
	nodes := strings.Count(c.Redis.URL, ",") + 1
	families := c.locks()
	for _, family := range lockprovider.Families {
		lock, path := families[family], "locks."+strings.ToLower(string(family))
		key := path + ".provider"
		info, _ := lockprovider.Lookup(lock.Provider)
		v.oneOf(key, string(lock.Provider), names...)
		v.that(key, info.Needs.Allow(database) || database == "", string(lock.Provider),
			fmt.Sprintf("another, or a database.url of what it needs: %s", info.Needs))
		v.that(key, !info.Control || c.AllowNone, string(lock.Provider),
			"another: it loses updates, and is for experiments with allowNone: true or --allow-none only")
		v.that(key, nodes == 1 || info.Quorum || !info.Needs.Redis,
			string(lock.Provider), fmt.Sprintf("redsync with the %d independent nodes of redis.url: "+
				"%s needs one logical Redis (redis://, redis+sentinel:// or redis+cluster://)", nodes, lock.Provider))
		// Each process has an embedded Redis of its own: instances that share a database would not see each other's locks.
		v.that(key, c.Development || c.Redis.URL != clients.EmbeddedRedis || strings.HasPrefix(c.Database.URL, "sqlite:") ||
			!info.Needs.Redis, string(lock.Provider),
			"a provider that works without Redis, or a redis.url: an embedded Redis excludes nobody but this instance")
		within(v, path+".wait", lock.Wait, time.Millisecond, time.Minute)
		within(v, path+".lease", lock.Lease, 100*time.Millisecond, 10*time.Minute)
		within(v, path+".poll", lock.Poll, time.Millisecond, 10*time.Second)
		within(v, path+".attempts", lock.Attempts, 1, 100)
		within(v, path+".backoff", lock.Backoff, time.Millisecond, 10*time.Second)
		v.that(path+".fallback", lock.Fallback == "" || slices.Contains(fallbacks, string(lock.Fallback)), quote(string(lock.Fallback)),
			"nothing, "+fallbackNames+": a fallback works without Redis")
		v.oneOf(path+".ack", string(lock.Ack), string(lockprovider.AckPersisted), string(lockprovider.AckAccepted))
	}
	within(v, "pipeline.persistWait", c.Pipeline.PersistWait, 10*time.Millisecond, time.Minute)
	within(v, "pipeline.backlog", c.Pipeline.Backlog, 256, 1_000_000)
	within(v, "pipeline.remember", c.Pipeline.Remember, time.Minute, 30*24*time.Hour)
	within(v, "pipeline.batch", c.Pipeline.Batch, 1, 1000)
	within(v, "pipeline.block", c.Pipeline.Block, 10*time.Millisecond, time.Second)
	within(v, "failover.failures", c.Failover.Failures, 1, 1000)
	within(v, "failover.retry", c.Failover.Retry, 10*time.Millisecond, time.Minute)
	within(v, "failover.watch", c.Failover.Watch, 50*time.Millisecond, time.Minute)
	within(v, "failover.healthy", c.Failover.Healthy, 1, 1000)
	scheme, addresses, found := strings.Cut(c.Broker.URL, "://")
	v.that("broker.url", c.Broker.URL == "channel" || c.Broker.URL == "redis" ||
		found && scheme == "kafka" && addresses != "", quote(c.Broker.URL),
		"channel, redis, or kafka://host:port,host:port")
	within(v, "broker.redelivery", c.Broker.Redelivery, time.Second, 10*time.Minute)
	within(v, "broker.maxLen", c.Broker.MaxLen, 1000, 100_000_000)
	within(v, "broker.partitions", c.Broker.Partitions, 0, 1000)
	within(v, "broker.lowStock", c.Broker.LowStock, 0, 1_000_000)
	within(v, "broker.poll", c.Broker.Poll, 10*time.Millisecond, time.Minute)
	within(v, "broker.batch", c.Broker.Batch, 1, 1000)
	within(v, "jobs.reconcile", c.Jobs.Reconcile, time.Second, time.Hour)
	within(v, "jobs.prime", c.Jobs.Prime, time.Second, 24*time.Hour)
	within(v, "jobs.expire", c.Jobs.Expire, time.Second, time.Hour)
	within(v, "jobs.retention", c.Jobs.Retention, time.Minute, 7*24*time.Hour)
	within(v, "pipeline.claimIdle", c.Pipeline.ClaimIdle, 100*time.Millisecond, time.Minute)
}
