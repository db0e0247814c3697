package config

import (
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"holdfast/clients"
	"holdfast/config/setting"
	"holdfast/events"
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
	setting.Fields(&c, func(f setting.Field) {
		if want := f.Want(); want != "" {
			v.that(f.Key, false, f.Shown(), want)
		}
	})
	v.server(c)
	v.stores(c)
	v.locks(c)
	v.payment(c)

	v.that("shop.currency", currency.MatchString(c.Shop.Currency), setting.Quote(c.Shop.Currency),
		"three upper-case letters, such as USD")
	if lines := int64(c.Shop.MaxLines); lines >= 1 && lines <= lockprovider.MaxMoves/2 && c.Shop.MaxQuantity <= maxUnits {
		v.that("shop.maxQuantity", lines*c.Shop.MaxQuantity <= maxUnits, fmt.Sprint(c.Shop.MaxQuantity),
			fmt.Sprintf("at most %d with shop.maxLines: %d, for %d units in an order", maxUnits/lines, lines, maxUnits))
	}

	// One heartbeat may be lost or late without the instance being taken for dead.
	least := 2 * c.Deployment.Heartbeat
	v.that("deployment.expiry", c.Deployment.Expiry >= least, setting.Duration(c.Deployment.Expiry),
		setting.Duration(least)+" to 10m")
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

func (v *checker) oneOf(key, value string, allowed ...string) {
	v.that(key, slices.Contains(allowed, value), setting.Quote(value), "one of "+strings.Join(allowed, ", "))
}

func (v *checker) server(c Config) {
	host, port, valid := splitAddress(c.Listen)
	v.that("listen", valid, setting.Quote(c.Listen), "host:port, such as 127.0.0.1:8080, with a port of 0 to 65535")
	if valid && c.Development && !c.AllowRemoteDevelopment {
		v.that("listen", Loopback(host), setting.Quote(c.Listen),
			"a loopback address, since development hands out tokens; or development: false, or allowRemoteDevelopment: true")
	}
	_, adminPort, adminValid := splitAddress(c.Admin.Listen)
	v.that("admin.listen", adminValid || c.Admin.Listen == "", setting.Quote(c.Admin.Listen),
		"nothing, or host:port, such as 127.0.0.1:8081, with a port of 0 to 65535")
	v.that("admin.listen", !valid || !adminValid || adminPort == "0" || adminPort != port, setting.Quote(c.Admin.Listen),
		"another port than that of listen: what it serves is not for the public")

	v.that("development", c.Profile != Production || !c.Development, "true",
		"false in the profile production: it adds demo data, and hands out tokens to everybody")
	v.auth(c)
	v.http(c.HTTP)
	v.safelist(c)
	v.schema(c.Schema)

	levels := []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}
	v.that("log.level", slices.Contains(levels, c.Log.Level), setting.Quote(strings.ToLower(c.Log.Level.String())), "debug, info, warn or error")
	v.that("metrics.otlp", c.Metrics.OTLP == "" || isCollectorURL(c.Metrics.OTLP), setting.Quote(c.Metrics.OTLP.String()),
		"a URL such as http://127.0.0.1:4318/v1/metrics")
}

func splitAddress(address string) (host, port string, ok bool) {
	host, port, err := net.SplitHostPort(address)
	_, portErr := strconv.ParseUint(port, 10, 16)
	return host, port, err == nil && portErr == nil
}

// Loopback reports whether a host is this machine, and reached from this machine only.
func Loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (v *checker) stores(c Config) {
	schemes := []string{"sqlite", "postgres", "postgresql", "mysql", "mariadb"}
	scheme, rest, found := strings.Cut(string(c.Database.URL), "://")
	v.that("database.url", found && rest != "" && slices.Contains(schemes, scheme),
		setting.Quote(c.Database.URL.String()), "a URL with one of the schemes "+strings.Join(schemes, ", "))

	if c.Redis.URL == clients.EmbeddedRedis {
		return
	}
	single := []string{"redis", "rediss"}
	schemes = []string{"redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster"}
	nodes := strings.Split(string(c.Redis.URL), ",")
	want := "embedded, or a URL with one of the schemes " + strings.Join(schemes, ", ")
	if len(nodes) > 1 {
		schemes, want = single, "each of several nodes to be a redis:// or rediss:// URL"
	}
	for _, node := range nodes {
		scheme, rest, found := strings.Cut(strings.TrimSpace(node), "://")
		v.that("redis.url", found && rest != "" && slices.Contains(schemes, scheme), setting.Quote(clients.RedactURL(node)), want)
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
	database := clients.DialectOf(string(c.Database.URL))
	nodes := strings.Count(string(c.Redis.URL), ",") + 1
	for _, family := range lockprovider.Families {
		lock, path := c.Locks[family], "locks."+familyKey(family)
		key := path + ".provider"
		info, _ := lockprovider.Lookup(lock.Strategy)
		v.oneOf(key, string(lock.Strategy), names...)
		v.that(key, info.Needs.Allow(database) || database == "", string(lock.Strategy),
			fmt.Sprintf("another, or a database.url of what it needs: %s", info.Needs))
		v.that(key, !info.Control || c.AllowNone, string(lock.Strategy),
			"another: it loses updates, and is for experiments with allowNone: true or --allow-none only")
		v.that(key, nodes == 1 || info.Quorum || !info.Needs.Redis,
			string(lock.Strategy), fmt.Sprintf("redsync with the %d independent nodes of redis.url: "+
				"%s needs one logical Redis (redis://, redis+sentinel:// or redis+cluster://)", nodes, lock.Strategy))
		// Each process has an embedded Redis of its own: instances that share a database would not see each other's locks.
		v.that(key, c.Development || c.Redis.URL != clients.EmbeddedRedis || strings.HasPrefix(string(c.Database.URL), "sqlite:") ||
			!info.Needs.Redis, string(lock.Strategy),
			"a provider that works without Redis, or a redis.url: an embedded Redis excludes nobody but this instance")
		v.that(path+".fallback", lock.Fallback == "" || slices.Contains(fallbacks, string(lock.Fallback)), setting.Quote(string(lock.Fallback)),
			"nothing, "+fallbackNames+": a fallback works without Redis")
	}
	v.that("broker.url", c.Development || c.Broker.Broker.URL.Kind() != events.RedisStreams || c.Redis.URL != clients.EmbeddedRedis,
		c.Broker.Broker.URL.String(), "another broker, or a redis.url: an embedded Redis loses what waits in it when its process ends")
	if want := c.Broker.Broker.URL.Check(); want != nil {
		v.that("broker.url", false, setting.Quote(c.Broker.Broker.URL.String()), want.Error())
	}
}
