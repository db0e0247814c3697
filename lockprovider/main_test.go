package lockprovider_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	"github.com/redis/go-redis/v9"

	"holdfast/clients"
	"holdfast/config/setting"
	"holdfast/events"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
	"holdfast/lockprovider/providertest"
)

func TestMain(m *testing.M) {
	redis.SetLogger(quiet{}) // it reports every connection to a Redis that a test has killed
	testenv.Main(m)
}

type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// databases are those that the strategies are tested with; a test is skipped where one is not installed.
var databases = []struct {
	name, dialect string
	url           func(testing.TB) string
}{
	{"sqlite", dialect.SQLite, func(testing.TB) string { return "sqlite://:memory:" }},
	{"postgres", dialect.Postgres, testenv.Postgres},
	{"mariadb", dialect.MySQL, testenv.MariaDB},
}

// maxOpen is the number of database connections: fewer than racers, so that the pool is contended as well.
const maxOpen = 24

func openDatabase(t *testing.T, url string) *clients.Database {
	t.Helper()
	db, err := clients.OpenDatabase(t.Context(), url, clients.DatabaseOptions{MaxOpen: maxOpen})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}

// redisKind is a way of having Redis.
type redisKind struct {
	name string
	// start starts a Redis that lives as long as the test. It returns the address of every node, and ends them at once.
	start func(testing.TB) (urls []string, kill func())
}

var (
	embedded      = redisKind{"embedded", func(t testing.TB) ([]string, func()) { return startEmbedded(t, 1) }}
	threeEmbedded = redisKind{"3 embedded", func(t testing.TB) ([]string, func()) { return startEmbedded(t, 3) }}
	realRedis     = redisKind{"redis", func(t testing.TB) ([]string, func()) {
		server := testenv.Redis(t)
		return []string{server.URL}, func() {
			if err := server.Kill(); err != nil {
				t.Error(err)
			}
		}
	}}
)

func startEmbedded(t testing.TB, nodes int) (urls []string, kill func()) {
	t.Helper()
	var servers []*clients.Redis
	for range nodes {
		server, err := clients.OpenRedis(t.Context(), clients.RedisOptions{URL: clients.EmbeddedRedis})
		if err != nil {
			t.Fatal(err)
		}
		servers = append(servers, server)
		urls = append(urls, "redis://"+server.Client.(*redis.Client).Options().Addr)
	}
	kill = func() {
		for _, server := range servers {
			_ = server.Close() // the second time it says that it is closed
		}
	}
	t.Cleanup(kill)
	return urls, kill
}

// connectTo connects to all nodes, as a process does.
func connectTo(urls []string) func(testing.TB) []redis.UniversalClient {
	return func(t testing.TB) []redis.UniversalClient {
		t.Helper()
		var nodes []redis.UniversalClient
		for _, url := range urls {
			ctx := context.WithoutCancel(t.Context()) // it is also used when the test has ended
			r, err := clients.OpenRedis(ctx, clients.RedisOptions{URL: setting.URL(url)})
			if err != nil {
				t.Fatal(err)
			}
			nodes = append(nodes, r.Client)
		}
		return nodes
	}
}

// openEnv is an environment with a database of its own and, except for the kind without a name, a Redis.
func openEnv(t *testing.T, name, databaseURL string, kind redisKind) *providertest.Env {
	t.Helper()
	db := openDatabase(t, databaseURL)
	env := &providertest.Env{Name: name, Client: db.Ent, Dialect: db.Dialect, Serve: serve, Worker: workers}
	if kind.name != "" {
		urls, _ := kind.start(t)
		env.Redis = connectTo(urls)
		env.Doomed = func(t testing.TB) (func(testing.TB) []redis.UniversalClient, func()) {
			t.Helper()
			urls, kill := kind.start(t)
			return connectTo(urls), kill
		}
	}
	return env.Open()
}

// block is how long a stop of what runs in the background takes.
const block = 50 * time.Millisecond

// workers are the bounds of the workers that serve queues.
var workers = lockprovider.WorkerSettings{Batch: 256, Block: block, Retry: 20 * time.Millisecond}

// serve runs what the strategies need in the background, with the product's own persister.
func serve(b providertest.Background) (stop func()) {
	persist(b)
	return inBackground(b.Providers)
}

// persist has providers persist with the product's own persister, as soon as they run.
func persist(b providertest.Background) {
	settings := events.DefaultPersisterSettings()
	settings.Block = block
	b.Providers.PersistWith(events.Persisting(events.PersisterDeps{
		Ledger: b.Ledger, Instance: b.Instance, Settings: settings, Metrics: events.NewPersisterMetrics(nil),
		Log: slog.New(slog.DiscardHandler),
	}))
}

func inBackground(providers *lockprovider.Providers) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { providers.Run(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

// longEnough bounds what must happen, on a loaded machine too.
const longEnough = 10 * time.Minute

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), longEnough)
	t.Cleanup(cancel)
	return ctx
}
