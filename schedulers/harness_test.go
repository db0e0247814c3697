package schedulers

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/config/setting"
	"holdfast/events"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
	"holdfast/lockprovider/ledger"
	"holdfast/lockprovider/redisfirst"
	"holdfast/payments"
)

func TestMain(m *testing.M) {
	redis.SetLogger(quiet{}) // it reports every connection to a Redis that a test has killed
	testenv.Main(m)
}

type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// stores are what the instances of a shop share.
type stores struct {
	db       *clients.Database
	redisURL string // "" for none
}

// clock is a time of day that a test moves.
type clock struct{ now atomic.Pointer[time.Time] }

func newClock() *clock {
	c, now := &clock{}, time.Now()
	c.now.Store(&now)
	return c
}

func (c *clock) Now() time.Time { return *c.now.Load() }

// Advance moves the clock. Only one goroutine may do so at a time.
func (c *clock) Advance(d time.Duration) {
	now := c.Now().Add(d)
	c.now.Store(&now)
}

// inBubbles runs a test on each database in a bubble of testing/synctest, in which time passes only while every goroutine
// waits for it. The connections belong to the bubble, and the servers do not: while a goroutine waits for one, time
// stands still. Redis is left out, because its client keeps timers from bubble to bubble.
func inBubbles(t *testing.T, test func(t *testing.T, s stores)) {
	t.Helper()
	for name, url := range map[string]func(testing.TB) string{
		"sqlite":   func(testing.TB) string { return "sqlite://:memory:" },
		"postgres": testenv.Postgres,
		"mariadb":  testenv.MariaDB,
	} {
		t.Run(name, func(t *testing.T) {
			url := url(t)
			synctest.Test(t, func(t *testing.T) { test(t, stores{db: openDatabase(t, url)}) })
		})
	}
}

// everywhere runs a test on SQLite with the embedded Redis, and on PostgreSQL with a real one where they are installed.
func everywhere(t *testing.T, test func(t *testing.T, s stores)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) { test(t, embedded(t)) })
	t.Run("servers", func(t *testing.T) { test(t, stores{openDatabase(t, testenv.Postgres(t)), testenv.Redis(t).URL}) })
}

// everyDatabase is everywhere, and MariaDB besides.
func everyDatabase(t *testing.T, test func(t *testing.T, s stores)) {
	t.Helper()
	everywhere(t, test)
	t.Run("mariadb", func(t *testing.T) { test(t, stores{openDatabase(t, testenv.MariaDB(t)), testenv.Redis(t).URL}) })
}

func embedded(t *testing.T) stores {
	t.Helper()
	server, err := clients.OpenRedis(t.Context(), clients.RedisOptions{URL: clients.EmbeddedRedis})
	must(t, err)
	t.Cleanup(func() { must(t, server.Close()) })
	client, ok := server.Client.(*redis.Client)
	if !ok {
		t.Fatalf("the embedded Redis has a client of type %T", server.Client)
	}
	return stores{openDatabase(t, "sqlite://:memory:"), "redis://" + client.Options().Addr}
}

func openDatabase(t *testing.T, url string) *clients.Database {
	t.Helper()
	db, err := clients.OpenDatabase(t.Context(), url, clients.DatabaseOptions{})
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	_, err = db.Migrate(t.Context())
	must(t, err)
	return db
}

// process is one instance of a shop whose families all run under one strategy.
type process struct {
	stores
	*commerce.Services
	name      string
	redis     redis.UniversalClient
	ledger    *lockprovider.Ledger
	providers *lockprovider.Providers
	clock     *clock
	admitted  map[lockprovider.Family]*redisfirst.Store // of the families under lua

	stopPersisting func()
}

var (
	shopper = commerce.Viewer{UserID: "alice", Name: "Alice"}
	admin   = commerce.Viewer{UserID: "root", Name: "Root", Admin: true}
)

func (s stores) process(t *testing.T, name string, strategy lockprovider.Strategy) *process {
	t.Helper()
	i := &process{
		stores: s, name: name, clock: newClock(),
		ledger: lockprovider.NewLedger(s.db.Ent, s.db.Dialect, commerce.WriteRecords, lockprovider.LedgerSettings{TxRetries: 10}),
	}
	if s.redisURL != "" {
		opened, err := clients.OpenRedis(t.Context(), clients.RedisOptions{URL: setting.URL(s.redisURL), PoolSize: 64})
		must(t, err)
		t.Cleanup(func() { must(t, opened.Close()) })
		i.redis = opened.Client
	}
	families := map[lockprovider.Family]lockprovider.FamilyConfig{}
	for _, f := range lockprovider.Families {
		families[f] = lockprovider.FamilyConfig{Strategy: strategy, Settings: lockprovider.Settings{
			Wait: longEnough, Lease: time.Minute, Poll: 20 * time.Millisecond,
			Attempts: 100, Backoff: time.Millisecond,
			Ack:      lockprovider.AckPersisted,
			Pipeline: lockprovider.PipelineSettings{RequestTimeout: testenv.Scaled(30 * time.Second), PersistWait: longEnough, Backlog: 10_000, Remember: time.Hour},
		}}
	}
	var err error
	i.providers, err = lockprovider.Build(lockprovider.Deps{Ledger: i.ledger, Redis: i.redis, Instance: name}, families)
	must(t, err)
	t.Cleanup(func() { must(t, i.providers.Close()) })
	i.admitted = map[lockprovider.Family]*redisfirst.Store{}
	i.persistsWith()
	i.stopPersisting = func() {}
	i.persist()
	t.Cleanup(func() { i.stopPersisting() })
	i.Services = commerce.New(commerce.Deps{
		Client: s.db.Ent, Ledger: i.ledger, Providers: i.providers, Gateway: payments.NewSimulated(payments.SimulatedSettings{}), Now: i.clock.Now,
		Shop: commerce.ShopSettings{
			Currency: "USD", Reservation: reservation, MaxLines: 50, MaxQuantity: 1000,
		},
		Payment: commerce.PaymentSettings{Methods: "POINTS,ACCOUNT,CARD", PointsPrice: 100, Timeout: longEnough},
	})
	return i
}

const reservation = 15 * time.Minute

// persist starts the persisters.
func (i *process) persist() {
	persisting, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { i.providers.Run(persisting) })
	i.stopPersisting = sync.OnceFunc(func() { stop(); running.Wait() })
}

// persistsWith notes the stores of the process, and returns its persisters.
func (i *process) persistsWith() {
	settings := events.DefaultPersisterSettings()
	settings.Block = 50 * time.Millisecond // and so how long a stop takes
	persister := events.Persisting(events.PersisterDeps{
		Ledger: i.ledger, Instance: i.name, Settings: settings, Metrics: events.NewPersisterMetrics(nil),
		Log: slog.New(slog.DiscardHandler),
	})
	i.providers.PersistWith(func(s *redisfirst.Store, c *redisfirst.Confirmations) lockprovider.Persister {
		i.admitted[s.Family()] = s
		return persister(s, c)
	})
}

// settings are those of the tests: as few looks as possible, so that everything busy is locked and compared exactly.
func settings() Settings {
	s := DefaultSettings()
	s.Looks, s.LookPause, s.Page, s.Freeze = 1, 0, 3, longEnough
	return s
}

// patient settings look several times, as the defaults do.
func patient() Settings {
	s := DefaultSettings()
	s.Freeze = longEnough
	return s
}

// longEnough bounds what must happen, on a loaded machine too.
const longEnough = time.Minute

func (i *process) deps(s Settings) Deps {
	return Deps{
		Client: i.db.Ent, Ledger: i.ledger, Providers: i.providers, Orders: i.Orders, Holds: i.Holds, Attempts: i.Attempts, Refunds: i.Refunds, Drifts: i.Drifts, Limits: i.LimitDrifts, Catalog: i.Catalog, Instance: i.name, Settings: s,
		Metrics: NewMetrics(nil), Log: slog.New(slog.DiscardHandler), Now: i.clock.Now,
	}
}

// expiring is the job that ends orders, with so many orders at a time.
func (i *process) expiring(batch int) *expire {
	return &expire{orders: i.Orders, holds: i.Holds, batch: batch, metrics: NewMetrics(nil), log: slog.New(slog.DiscardHandler)}
}

// runner is stopped when the test ends.
func (i *process) runner(t *testing.T, d Deps) *Runner {
	t.Helper()
	r, err := New(d)
	must(t, err)
	t.Cleanup(func() { stop(t, r) })
	return r
}

func stop(t *testing.T, r *Runner) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), longEnough)
	defer cancel()
	must(t, r.Stop(ctx))
}

func (i *process) product(t *testing.T, stock int64) string {
	t.Helper()
	row, err := i.Catalog.Create(t.Context(), admin, commerce.CreateProduct{
		SKU: uuid.NewString(), Name: "Thing", Price: commerce.Money{Minor: 100, Currency: "USD"}, Stock: stock,
	})
	must(t, err)
	return row.ID
}

func (i *process) order(ctx context.Context, products ...string) error {
	in := commerce.PlaceOrder{Key: uuid.New()}
	for _, id := range products {
		in.Lines = append(in.Lines, commerce.Line{ProductID: id, Quantity: 1})
	}
	_, err := i.Orders.Place(ctx, shopper, in)
	return err
}

// refused tells that a customer got an answer that is no fault: sold out, or to be tried again.
func refused(err error) bool {
	errs, ok := commerce.UserErrors(err)
	return ok && (errs[0].Code == commerce.OutOfStock || errs[0].Retryable)
}

// traffic runs customers until stop is called.
func traffic(t *testing.T, customers int, visit func(customer int) error) (orders *atomic.Int64, stop func()) {
	t.Helper()
	var running sync.WaitGroup
	var stopped atomic.Bool
	orders = new(atomic.Int64)
	for c := range customers {
		running.Go(func() {
			for !stopped.Load() {
				switch err := visit(c); {
				case err == nil:
					orders.Add(1)
				case t.Context().Err() != nil:
					return
				case !refused(err):
					t.Errorf("customer: %v", err)
					return
				}
			}
		})
	}
	stop = sync.OnceFunc(func() { stopped.Store(true); running.Wait() })
	t.Cleanup(stop)
	return orders, stop
}

// until waits for what other goroutines bring about.
func until(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(longEnough); !happened(); {
		if time.Now().After(deadline) {
			t.Fatalf("still waiting for %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// stockKeyInRedis is a key of the family of stock without epochs, as lockprovider builds it.
func stockKeyInRedis(name string) string { return "{holdfast:stock:0}:" + name }

func stockInRedis(product string) string {
	return stockKeyInRedis("balance:" + lockprovider.StockKey(product))
}

func (i *process) stock() *redisfirst.Store {
	return i.admitted[lockprovider.Stock]
}

// wantAgreement proves that Redis and the database say the same of every balance of the stock.
func (i *process) wantAgreement(t *testing.T) {
	t.Helper()
	rows, err := i.db.Ent.Balance.Query().All(t.Context())
	must(t, err)
	for _, row := range rows {
		a := i.admitted[lockprovider.Family(row.Family)]
		levels, err := a.Levels(t.Context(), []string{row.ID})
		must(t, err)
		want := ledger.Level{Amount: row.Amount, Floor: row.Floor, Ceiling: row.Ceiling, Seq: row.Applied}
		if got, ok := levels[row.ID]; !ok || got != want {
			t.Errorf("redis says %+v (%v) of %s, the database %+v", got, ok, row.ID, want)
		}
	}
}

func (i *process) audit(t *testing.T) {
	t.Helper()
	violations, err := ledger.Audit(t.Context(), i.db.Ent)
	must(t, err)
	for _, v := range violations {
		t.Errorf("%s: %s", v.Balance, v.Problem)
	}
}

// settle waits until everything that Redis has admitted is persisted, and forgotten.
func (i *process) settle(t *testing.T) {
	t.Helper()
	for family, a := range i.admitted {
		until(t, "the stream of "+string(family)+" to be empty", func() bool {
			n, err := a.Backlog(t.Context())
			must(t, err)
			return n == 0
		})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantResult(t *testing.T, got Result, err error, want Result) {
	t.Helper()
	must(t, err)
	for name, n := range want {
		if got[name] != n {
			t.Errorf("%s is %d, want %d: %v", name, got[name], n, got)
		}
	}
}

var errBroken = errors.New("broken")
