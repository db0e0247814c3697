package lockprovider_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"holdfast/clients"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
	"holdfast/lockprovider/ledger"
	"holdfast/lockprovider/providertest"
	"holdfast/lockprovider/redisfirst"
)

// restored is a shop whose database and Redis are brought back to earlier times.
type restored struct {
	*testing.T

	strategy  lockprovider.Strategy
	ack       lockprovider.Ack
	heartbeat time.Duration
	directory string
	database  string // its file
	files     int
	url       string // of Redis
	redis     redis.UniversalClient
	balance   string
	log       *journal
}

// journal keeps what an instance logs.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// beat is how often moments are drawn in these tests.
func beat() time.Duration { return testenv.Scaled(100 * time.Millisecond) }

// opening is the stock at first.
const opening = 1000

func newRestored(t *testing.T, s lockprovider.Strategy, ack lockprovider.Ack) *restored {
	t.Helper()
	urls, _ := realRedis.start(t)
	r := &restored{
		T: t, strategy: s, ack: ack, heartbeat: beat(), directory: t.TempDir(), url: urls[0], balance: lockprovider.StockKey("hot"),
		log:   &journal{},
		redis: connectTo(urls)(t)[0],
	}
	t.Cleanup(func() { _ = r.redis.Close() })
	r.newDatabase()
	return r
}

// file returns the name of a new file.
func (r *restored) file() string {
	r.files++
	return filepath.Join(r.directory, fmt.Sprintf("shop%d.db", r.files))
}

// newDatabase makes the database anew.
func (r *restored) newDatabase() {
	r.Helper()
	r.database = r.file()
	r.withDatabase(func(db *clients.Database) {
		if _, err := db.Migrate(r.Context()); err != nil {
			r.Fatal(err)
		}
		tx, err := db.Ent.Tx(r.Context())
		if err != nil {
			r.Fatal(err)
		}
		l := lockprovider.NewLedger(db.Ent, db.Dialect, nil, lockprovider.LedgerSettings{})
		if err := l.Open(r.Context(), tx, map[string]lockprovider.Bounds{r.balance: {Opening: opening, Ceiling: opening}}); err != nil {
			r.Fatal(err)
		}
		if err := tx.Commit(); err != nil {
			r.Fatal(err)
		}
	})
}

func (r *restored) withDatabase(do func(*clients.Database)) {
	r.Helper()
	db, err := clients.OpenDatabase(r.Context(), "sqlite://"+r.database, clients.DatabaseOptions{MaxOpen: 4})
	if err != nil {
		r.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	do(db)
}

// running is an instance of the shop.
type running struct {
	*lockprovider.Providers

	deployment *lockprovider.Deployment
	db         *clients.Database
	ledger     *lockprovider.Ledger
	stop       func(leave bool)
}

// start starts an instance as a server does.
func (r *restored) start() *running {
	r.Helper()
	i, err := r.tryStart(r.redis)
	if err != nil {
		r.Fatal(err)
	}
	return i
}

func (r *restored) tryStart(client redis.UniversalClient) (*running, error) {
	r.Helper()
	ctx := bounded(r.T)
	db, err := clients.OpenDatabase(ctx, "sqlite://"+r.database, clients.DatabaseOptions{MaxOpen: 8})
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.NewTextHandler(r.log, nil))
	deployment, err := lockprovider.Join(ctx, db.Ent, strategies(r.strategy),
		lockprovider.DeploymentSettings{Heartbeat: r.heartbeat, Expiry: longEnough},
		lockprovider.Sharing(lockprovider.SharedRedis{Nodes: []redis.UniversalClient{client}}), lockprovider.LogTo(log))
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	i := &running{deployment: deployment, db: db, ledger: lockprovider.NewLedger(db.Ent, db.Dialect, nil, lockprovider.LedgerSettings{TxRetries: 50})}
	families := map[lockprovider.Family]lockprovider.FamilyConfig{}
	for _, f := range lockprovider.Families {
		families[f] = lockprovider.FamilyConfig{Strategy: r.strategy, Settings: lockprovider.Settings{
			Wait: longEnough, Poll: 20 * time.Millisecond, Attempts: 1000, Backoff: time.Millisecond, Ack: r.ack,
			Pipeline: lockprovider.PipelineSettings{RequestTimeout: testenv.Scaled(30 * time.Second), PersistWait: longEnough, Backlog: 100_000, Remember: time.Hour},
		}}
	}
	failover := lockprovider.DefaultFailoverSettings()
	failover.Watch = beat()
	i.Providers, err = lockprovider.Build(lockprovider.Deps{
		Ledger: i.ledger, Redis: client, Instance: deployment.Instance(), Epochs: deployment.Epochs(), Deployment: deployment,
		Worker: workers, Failover: failover, Log: log,
	}, families)
	if err != nil {
		r.Fatal(err)
	}
	persist(providertest.Background{Instance: deployment.Instance(), Ledger: i.ledger, Providers: i.Providers})
	if err := i.EndEarlier(ctx); err != nil {
		r.Fatal(err)
	}
	rest := inBackground(i.Providers)
	var once sync.Once
	i.stop = func(leave bool) {
		once.Do(func() {
			rest()
			if err := i.Close(); err != nil {
				r.Error(err)
			}
			if leave {
				if err := deployment.Leave(context.WithoutCancel(ctx)); err != nil {
					r.Error(err)
				}
			}
			_ = db.Close()
		})
	}
	r.Cleanup(func() { i.stop(true) })
	return i, nil
}

// epoch is that of the stock.
func (i *running) epoch(t *testing.T) int64 {
	t.Helper()
	row, err := i.db.Ent.FamilyStrategy.Get(t.Context(), string(lockprovider.Stock))
	if err != nil {
		t.Fatal(err)
	}
	return row.Epoch
}

// holds tells whether the database has a change.
func (i *running) holds(t *testing.T, c lockprovider.Change) bool {
	t.Helper()
	_, found, err := i.ledger.Payload(t.Context(), c.ID)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// settle waits until the database has all that Redis has admitted.
func (r *restored) settle(i *running) {
	r.Helper()
	store := r.store(i)
	r.eventually("the stream to be empty", func() bool {
		n, err := store.Backlog(r.Context())
		if err != nil {
			r.Fatal(err)
		}
		return n == 0
	})
}

func (r *restored) store(i *running) *redisfirst.Store {
	return redisfirst.NewStore(r.redis, lockprovider.Stock, i.epoch(r.T), "observer", redisfirst.StoreSettings{Database: i.deployment.Database()})
}

func (r *restored) eventually(what string, done func() bool) {
	r.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for ctx := bounded(r.T); !done(); {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			r.Fatalf("waited %s for %s; the log:\n%s", longEnough, what, r.log)
		}
	}
}

func (r *restored) sale() lockprovider.Change {
	return lockprovider.Change{
		ID: uuid.New(), Family: lockprovider.Stock, Moves: []lockprovider.Move{{Balance: r.balance, Delta: -1}},
		Record: lockprovider.Record{Kind: "test", Fingerprint: "test"},
	}
}

// sell makes some sales, which are all confirmed.
func (r *restored) sell(i *running, n int) []lockprovider.Change {
	r.Helper()
	var sales []lockprovider.Change
	for range n {
		c := r.sale()
		if receipt, err := i.For(lockprovider.Stock).Execute(bounded(r.T), c); err != nil || receipt.Replayed {
			r.Fatalf("%+v, %v", receipt, err)
		}
		sales = append(sales, c)
	}
	r.settle(i)
	return sales
}

// nextMoment waits until the database and Redis have drawn another moment.
func (r *restored) nextMoment(i *running) {
	r.Helper()
	noted := func() string {
		n, err := redisfirst.NotedOf(r.Context(), r.redis, i.deployment.Database())
		if err != nil {
			r.Fatal(err)
		}
		return n.Moment
	}
	before := noted()
	if before == "" { // of a strategy that keeps nothing in Redis
		return
	}
	r.eventually("another moment", func() bool { return noted() != before })
}

// backup is a copy of both stores.
type backup struct {
	database string
	redis    map[string]dumped
}

type dumped struct {
	value string
	ttl   time.Duration
}

func (r *restored) backup(i *running) backup {
	r.Helper()
	b := backup{database: r.file(), redis: map[string]dumped{}}
	if _, err := i.db.Ent.ExecContext(r.Context(), "VACUUM INTO '"+b.database+"'"); err != nil {
		r.Fatal(err)
	}
	keys, err := r.redis.Keys(r.Context(), "*").Result()
	if err != nil {
		r.Fatal(err)
	}
	for _, key := range keys {
		ttl, err := r.redis.PTTL(r.Context(), key).Result()
		if err != nil {
			r.Fatal(err)
		}
		value, err := r.redis.Dump(r.Context(), key).Result()
		if errors.Is(err, redis.Nil) { // ended this moment
			continue
		}
		if err != nil {
			r.Fatal(err)
		}
		b.redis[key] = dumped{value, max(0, ttl)}
	}
	return b
}

func (r *restored) restoreRedis(b backup) {
	r.Helper()
	if err := r.redis.FlushAll(r.Context()).Err(); err != nil {
		r.Fatal(err)
	}
	for key, d := range b.redis {
		if err := r.redis.RestoreReplace(r.Context(), key, d.ttl, d.value).Err(); err != nil {
			r.Fatal(err)
		}
	}
}

// restorations are the ways in which the stores come back. The first backup is older than the second.
var restorations = []struct {
	name string
	do   func(r *restored, first, second backup)
	// apart tells that a strategy which keeps changes in Redis must begin a new epoch.
	apart bool
}{
	{"nothing is restored", func(*restored, backup, backup) {}, false},
	{"the database is older", func(r *restored, first, _ backup) { r.database = first.database }, true},
	{"the database is new", func(r *restored, _, _ backup) { r.newDatabase() }, false}, // keys of another name
	{"redis is older", func(r *restored, first, _ backup) { r.restoreRedis(first) }, true},
	{"redis is emptied", func(r *restored, _, _ backup) { r.restoreRedis(backup{}) }, false},
	{"the database is older than redis", func(r *restored, first, second backup) {
		r.database = first.database
		r.restoreRedis(second)
	}, true},
	{"redis is older than the database", func(r *restored, first, second backup) {
		r.database = second.database
		r.restoreRedis(first)
	}, true},
}

var restoredStrategies = []struct {
	strategy lockprovider.Strategy
	ack      lockprovider.Ack
}{
	{lockprovider.Lua, lockprovider.AckPersisted},
	{lockprovider.Lua, lockprovider.AckAccepted},
	{lockprovider.Queue, lockprovider.AckPersisted},
	{lockprovider.RowLock, lockprovider.AckPersisted},
}

// TestRestores: a database or a Redis, or both, come back from a backup. What the database holds is told as a repeat, what it does not
// hold is done when it is asked for again, and the stock is what was not sold.
func TestRestores(t *testing.T) {
	for _, s := range restoredStrategies {
		for _, way := range restorations {
			t.Run(strings.Join([]string{string(s.strategy), string(s.ack), way.name}, "/"), func(t *testing.T) {
				t.Parallel()
				r := newRestored(t, s.strategy, s.ack)
				i := r.start()
				sales := r.sell(i, 5)
				r.nextMoment(i)
				first := r.backup(i)
				r.nextMoment(i)
				sales = append(sales, r.sell(i, 5)...)
				r.nextMoment(i)
				second := r.backup(i)
				r.nextMoment(i)
				sales = append(sales, r.sell(i, 5)...)
				before := i.epoch(t)
				i.stop(true)
				r.log = &journal{}
				way.do(r, first, second)

				i = r.start()
				apart := way.apart && s.strategy != lockprovider.RowLock
				if now := i.epoch(t); (now > before) != apart {
					t.Errorf("epoch %d, %d before", now, before)
				}
				if told := strings.Contains(r.log.String(), "a new epoch begins"); told != apart {
					t.Errorf("told of a new epoch: %t; the log:\n%s", told, r.log)
				}
				r.checkRepeats(i, sales)
				r.checkStock(i, sales)
				last := i.epoch(t)
				i.stop(true)
				if i = r.start(); i.epoch(t) != last {
					t.Errorf("a plain restart begins epoch %d after %d; the log:\n%s", i.epoch(t), last, r.log)
				}
			})
		}
	}
}

// checkRepeats sends all sales again, each twice.
func (r *restored) checkRepeats(i *running, sales []lockprovider.Change) {
	r.Helper()
	for n, c := range sales {
		held := i.holds(r.T, c)
		for again := range 2 {
			receipt, err := i.For(lockprovider.Stock).Execute(bounded(r.T), c)
			if err != nil || receipt.Replayed != (held || again > 0) {
				r.Errorf("sale %d, held by the database: %t, sent again %d times: %+v, %v", n, held, again, receipt, err)
			}
		}
	}
	r.settle(i)
	for n, c := range sales {
		if !i.holds(r.T, c) {
			r.Errorf("sale %d never comes", n)
		}
	}
}

// checkStock compares the stock with the sales, in both stores.
func (r *restored) checkStock(i *running, sales []lockprovider.Change) {
	r.Helper()
	want := int64(opening - len(sales))
	amounts, err := i.ledger.Amounts(r.Context(), []string{r.balance})
	if err != nil || amounts[r.balance] != want {
		r.Errorf("the database has %v, %v, want %d", amounts, err, want)
	}
	violations, err := ledger.Audit(r.Context(), i.db.Ent)
	if err != nil || len(violations) > 0 {
		r.Errorf("audit: %v, %v", violations, err)
	}
	if r.strategy != lockprovider.Lua {
		return
	}
	levels, err := r.store(i).Levels(r.Context(), []string{r.balance})
	if err != nil || levels[r.balance].Amount != want {
		r.Errorf("redis has %+v, %v, want %d", levels, err, want)
	}
}

// TestUnnoticedRestore: the database goes back by so little that nobody notices. What Redis remembers of changes that the database does
// not have is not believed, and reconciliation brings the stock in line.
func TestUnnoticedRestore(t *testing.T) {
	for _, s := range restoredStrategies {
		t.Run(string(s.strategy)+"/"+string(s.ack), func(t *testing.T) {
			t.Parallel()
			r := newRestored(t, s.strategy, s.ack)
			r.heartbeat = never
			i := r.start()
			sales := r.sell(i, 5)
			older := r.backup(i)
			sales = append(sales, r.sell(i, 5)...)
			refused := r.sale()
			refused.Moves = []lockprovider.Move{{Balance: r.balance, Delta: -2 * opening}}
			if _, err := i.For(lockprovider.Stock).Execute(bounded(t), refused); !errors.Is(err, lockprovider.ErrInsufficient) {
				t.Fatal(err)
			}
			before := i.epoch(t)
			i.stop(false) // as in a crash
			r.database = older.database
			i = r.start()
			if now := i.epoch(t); now != before {
				t.Fatalf("epoch %d after %d: it was noticed", now, before)
			}
			if other := sales[7]; s.strategy != lockprovider.RowLock {
				other.Record.Fingerprint = "another request" // under the key of one that is lost
				if receipt, err := i.For(lockprovider.Stock).Execute(bounded(t), other); err != nil || receipt.Replayed {
					t.Errorf("%+v, %v", receipt, err)
				}
				sales[7] = other
				r.settle(i)
			}
			r.checkRepeats(i, sales)
			small := refused
			small.Moves = []lockprovider.Move{{Balance: r.balance, Delta: -1}}
			if receipt, err := i.For(lockprovider.Stock).Execute(bounded(t), small); err != nil || receipt.Replayed {
				t.Errorf("what was refused: %+v, %v", receipt, err)
			}
			sales = append(sales, small)
			r.settle(i)
			if reconciler, ok := lockprovider.As[lockprovider.Reconciler](i.For(lockprovider.Stock)); ok {
				if _, err := reconciler.Reconcile(bounded(t), r.balance); err != nil {
					t.Error(err)
				}
			}
			r.checkStock(i, sales)
		})
	}
}

// TestRestoreWhileRunning: Redis comes back from another time while an instance runs. The instance begins a new epoch by itself.
func TestRestoreWhileRunning(t *testing.T) {
	for _, s := range restoredStrategies[:3] {
		t.Run(string(s.strategy)+"/"+string(s.ack), func(t *testing.T) {
			t.Parallel()
			r := newRestored(t, s.strategy, s.ack)
			i := r.start()
			sales := r.sell(i, 5)
			older := r.backup(i)
			for range 20 { // more than the database knows
				r.nextMoment(i)
			}
			sales = append(sales, r.sell(i, 5)...)
			before := i.epoch(t)
			r.restoreRedis(older)
			r.eventually("a new epoch", func() bool { return i.epoch(t) > before })
			r.eventually("the end of the one before", func() bool {
				closed, err := redisfirst.IsClosed(t.Context(), r.redis, lockprovider.Stock, i.deployment.Database(), before)
				if err != nil {
					t.Fatal(err)
				}
				return closed
			})
			r.checkRepeats(i, sales)
			r.checkStock(i, sales)
		})
	}
}

// TestEmbeddedRedisIsNoRestore: an instance with a Redis inside of it begins with an empty one each time.
func TestEmbeddedRedisIsNoRestore(t *testing.T) {
	for _, s := range restoredStrategies[:3] {
		t.Run(string(s.strategy)+"/"+string(s.ack), func(t *testing.T) {
			t.Parallel()
			r := newRestored(t, s.strategy, s.ack)
			var sales []lockprovider.Change
			for range 3 {
				urls, _ := embedded.start(t)
				r.redis = connectTo(urls)(t)[0]
				i := r.start()
				if epoch := i.epoch(t); epoch != 1 {
					t.Errorf("epoch %d", epoch)
				}
				r.checkRepeats(i, sales)
				sales = append(sales, r.sell(i, 5)...)
				r.checkStock(i, sales)
				i.stop(true)
			}
			if log := r.log.String(); strings.Contains(log, "WARN") {
				t.Error(log)
			}
		})
	}
}

// Two databases do not work with one Redis at the same time. The error names both. One after the other they do, and see nothing of
// each other.
func TestJoinRefusesTheRedisOfAnotherDatabase(t *testing.T) {
	for _, s := range restoredStrategies {
		t.Run(string(s.strategy)+"/"+string(s.ack), func(t *testing.T) {
			t.Parallel()
			r := newRestored(t, s.strategy, s.ack)
			first := r.start()
			sales, one := r.sell(first, 3), r.database
			two := *r
			two.log = &journal{}
			two.newDatabase()
			_, err := two.tryStart(r.redis)
			if !errors.Is(err, lockprovider.ErrRedisOfAnotherDatabase) ||
				!strings.Contains(err.Error(), first.deployment.Instance()) || !strings.Contains(err.Error(), first.deployment.Database()) {
				t.Fatalf("%v, want one that names %s and %s", err, first.deployment.Instance(), first.deployment.Database())
			}
			first.stop(true)
			second := two.start()
			if name := second.deployment.Database(); !strings.Contains(err.Error(), name) {
				t.Errorf("%v does not name %s", err, name)
			}
			if log := two.log.String(); !strings.Contains(log, "redis has served another database") {
				t.Errorf("not told of the other database:\n%s", log)
			}
			two.checkStock(second, two.sell(second, 4))
			second.stop(true)
			r.database = one
			first = r.start()
			if epoch := first.epoch(t); epoch != 1 {
				t.Errorf("epoch %d", epoch)
			}
			r.checkRepeats(first, sales)
			r.checkStock(first, sales)
		})
	}
}

// An instance of another database that has died without a word is waited for. A copy of this database is another one.
func TestJoinAfterAnotherDatabase(t *testing.T) {
	r := newRestored(t, lockprovider.Lua, lockprovider.AckPersisted)
	tell := func(database string, until time.Duration) {
		t.Helper()
		now, err := r.redis.Time(t.Context()).Result()
		if err != nil {
			t.Fatal(err)
		}
		body := fmt.Sprintf(`{"database":%q,"host":"elsewhere:1","joined":true,"until":%d}`, database, now.Add(until).UnixMilli())
		if err := r.redis.HSet(t.Context(), "holdfast:instances", "inst_stranger", body).Err(); err != nil {
			t.Fatal(err)
		}
	}
	tell("another", time.Second)
	i := r.start()
	name := i.deployment.Database()
	i.stop(true)
	renewing, stop := context.WithCancel(t.Context())
	var renewer sync.WaitGroup
	tell(name, longEnough)
	renewer.Go(func() {
		for renewing.Err() == nil {
			tell(name, 2*longEnough)
			select {
			case <-time.After(beat()):
			case <-renewing.Done():
			}
		}
	})
	_, err := r.tryStart(r.redis)
	stop()
	renewer.Wait()
	if !errors.Is(err, lockprovider.ErrRedisOfAnotherDatabase) || !strings.Contains(err.Error(), "inst_stranger (elsewhere:1)") {
		t.Errorf("%v, want ErrRedisOfAnotherDatabase that names the stranger", err)
	}
}

// All instances that start at the same time begin the same new epoch.
func TestInstancesStartTogetherAfterARestore(t *testing.T) {
	r := newRestored(t, lockprovider.Lua, lockprovider.AckAccepted)
	r.heartbeat = never
	i := r.start()
	sales := r.sell(i, 5)
	older := r.backup(i)
	i.stop(true)
	i = r.start()
	sales = append(sales, r.sell(i, 5)...)
	before := i.epoch(t)
	i.stop(true)
	r.database = older.database
	all := make([]*running, 4)
	errs := make([]error, len(all))
	var starting sync.WaitGroup
	for n := range all {
		starting.Go(func() { all[n], errs[n] = r.tryStart(r.redis) })
	}
	starting.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		if epoch := i.epoch(t); epoch != before+1 {
			t.Errorf("epoch %d after %d; the log:\n%s", epoch, before, r.log)
		}
	}
	slices.Reverse(sales)
	r.checkRepeats(all[1], sales)
	r.checkStock(all[2], sales)
	if n := strings.Count(r.log.String(), "a new epoch begins"); n != 1 {
		t.Errorf("told %d times", n)
	}
}
