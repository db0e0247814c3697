package providertest

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"holdfast/ent"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
	"holdfast/lockprovider/redisfirst"
)

const (
	// patience is how long the suite waits for what must happen. It is no measure: a loaded machine is slow, and only a
	// hang should fail.
	patience = 10 * time.Minute
	// pollEvery is how often the suite looks where it cannot be told.
	pollEvery = 5 * time.Millisecond
)

// Env is one database and, for the strategies that need it, one Redis.
type Env struct {
	Name    string
	Client  *ent.Client
	Dialect string

	// Redis connects to every node of the environment's Redis (one, or several independent ones), as another process
	// would. Nil: no Redis.
	Redis func(t testing.TB) []redis.UniversalClient
	// Doomed starts a Redis of its own that kill ends at once.
	Doomed func(t testing.TB) (connect func(t testing.TB) []redis.UniversalClient, kill func())

	// Serve runs what an instance does in the background, with a persister of the environment's choice, until stop is
	// called.
	Serve func(Background) (stop func())
	// Worker are the bounds of the workers that serve queues; those by default if they are zero.
	Worker lockprovider.WorkerSettings
	// Families are those to run with; all where there are none.
	Families []lockprovider.Family
	// Small keeps the races small with every family.
	Small bool
	// Share and Of shorten the suite: of the families after the first, which share all code but their keys, every Of-th
	// scenario runs, beginning with the one numbered Share; of the first family as well if Small is set. Environments with other
	// shares run the rest. 0: all run.
	Share, Of int

	ledger  *lockprovider.Ledger
	stops   []*stop
	records sync.Map // of the change's ID to a recordFunc
}

// Background is what the providers of an instance need in the background.
type Background struct {
	Instance  string
	Ledger    *lockprovider.Ledger
	Providers *lockprovider.Providers
}

// recordFunc is what a scenario does in the place of the record writer.
type recordFunc func(ctx context.Context, tx *ent.Tx) error

// Open readies an environment. The client must not be used by another one: the suite hooks into it.
func (e *Env) Open() *Env {
	e.ledger = lockprovider.NewLedger(e.Client, e.Dialect, e.writeRecords, lockprovider.LedgerSettings{TxRetries: 5, CommitTimeout: patience})
	e.Client.Balance.Use(beforeWrite)
	return e
}

func (e *Env) writeRecords(ctx context.Context, tx *ent.Tx, changes []lockprovider.Change) error {
	for _, c := range changes {
		if write, ok := e.records.Load(c.ID); ok {
			if err := write.(recordFunc)(ctx, tx); err != nil {
				return err
			}
		}
	}
	return nil
}

// onRecord runs a function where the record of a change is written: in the transaction, after the balances.
func (e *Env) onRecord(t testing.TB, c lockprovider.Change, write recordFunc) {
	e.records.Store(c.ID, write)
	t.Cleanup(func() { e.records.Delete(c.ID) })
}

func (e *Env) families() []lockprovider.Family {
	if e.Families != nil {
		return e.Families
	}
	return lockprovider.Families
}

// oneWriter: an open transaction keeps every other from beginning.
func (e *Env) oneWriter() bool { return e.Dialect == dialect.SQLite }

// Harness is one strategy and family in one environment.
type Harness struct {
	Env *Env
	Variant
	Family lockprovider.Family
	Traits Traits

	slowness float64           // of the machine, see scaled
	stream   *redisfirst.Store // the observer's own, see settle
}

// scaled is a duration as the machine can keep it: a lease that is shorter ends although nothing is wrong.
func (h *Harness) scaled(d time.Duration) time.Duration {
	if h.slowness == 0 {
		return testenv.Scaled(d)
	}
	return time.Duration(float64(d) * h.slowness)
}

// first tells whether this is the family that an environment is tested with in full: the families share all code but their
// keys.
func (h *Harness) first() bool { return h.Family == h.Env.families()[0] }

// skips tells whether a scenario, by its number, is left to another environment.
func (h *Harness) skips(number int) bool {
	return (!h.first() || h.Env.Small) && h.Env.Of > 0 && number%h.Env.Of != h.Env.Share
}

// size scales the races.
func (h *Harness) size(full, small int) int {
	if h.first() && !h.Env.Small {
		return full
	}
	return small
}

// Instance is what one process of a deployment runs: providers, a Redis connection and metrics of its own.
type Instance struct {
	lockprovider.Provider // of the harness's family

	providers *lockprovider.Providers
	redis     *redisHook
	registry  *prometheus.Registry
}

// settings that do not get in a scenario's way; it shortens those that it is about.
func settings() lockprovider.Settings {
	return lockprovider.Settings{
		Wait: 10 * time.Second, Lease: 20 * time.Second, Poll: 20 * time.Millisecond, Attempts: 10, Backoff: time.Millisecond,
		Ack:      lockprovider.AckPersisted,
		Pipeline: lockprovider.PipelineSettings{RequestTimeout: testenv.Scaled(30 * time.Second), PersistWait: patience, Backlog: 1000, Remember: time.Hour},
	}
}

func waiting(d time.Duration) func(*lockprovider.Settings) {
	return func(s *lockprovider.Settings) { s.Wait = d }
}

func polling(d time.Duration) func(*lockprovider.Settings) {
	return func(s *lockprovider.Settings) { s.Poll = d }
}

func lease(d time.Duration) func(*lockprovider.Settings) {
	return func(s *lockprovider.Settings) { s.Lease = d }
}

// start starts an instance that ends with the test.
func (h *Harness) start(t testing.TB, adjust ...func(*lockprovider.Settings)) *Instance {
	t.Helper()
	return h.startOn(t, h.Env.Redis, adjust...)
}

func (h *Harness) startOn(
	t testing.TB, connect func(testing.TB) []redis.UniversalClient, adjust ...func(*lockprovider.Settings),
) *Instance {
	t.Helper()
	s := settings()
	s.Ack = cmp.Or(h.Ack, s.Ack)
	for _, a := range adjust {
		a(&s)
	}
	i := &Instance{redis: &redisHook{}, registry: prometheus.NewRegistry()}
	deps := lockprovider.Deps{
		Ledger: h.Env.ledger, Metrics: lockprovider.NewMetrics(i.registry), Instance: "instance-" + newID(),
		Worker: h.Env.Worker,
	}
	if h.Traits.NeedsRedis {
		deps.RedisNodes = connect(t)
		deps.Redis = deps.RedisNodes[0]
		for _, node := range deps.RedisNodes {
			node.AddHook(i.redis)
		}
	}
	families := map[lockprovider.Family]lockprovider.FamilyConfig{}
	for _, f := range lockprovider.Families { // the others need nothing in the background
		families[f] = lockprovider.FamilyConfig{Strategy: lockprovider.AtomicSQL, Settings: s}
	}
	families[h.Family] = lockprovider.FamilyConfig{Strategy: h.Strategy, Settings: s}
	var err error
	if i.providers, err = lockprovider.Build(deps, families); err != nil {
		t.Fatal(err)
	}
	i.Provider = i.providers.For(h.Family)
	stop := func() {}
	if h.Traits.Detached {
		stop = h.Env.Serve(Background{
			Instance: deps.Instance, Ledger: h.Env.ledger, Providers: i.providers,
		})
	}
	t.Cleanup(func() {
		h.Env.releaseAll() // or it could not stop
		stop()
		if err := i.providers.Close(); err != nil {
			t.Errorf("close the providers: %v", err)
		}
		for _, node := range deps.RedisNodes {
			_ = node.Close() // a killed Redis leaves it with an error
		}
	})
	return i
}

// counter is the sum of a metric over its labels.
func (i *Instance) counter(t testing.TB, name string) int {
	t.Helper()
	gathered, err := i.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, family := range gathered {
		if family.GetName() == name {
			for _, m := range family.GetMetric() {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return int(sum)
}

// observations counts what a histogram has observed, over its labels.
func (i *Instance) observations(t testing.TB, name string) int {
	t.Helper()
	gathered, err := i.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	count := uint64(0)
	for _, family := range gathered {
		if family.GetName() == name {
			for _, m := range family.GetMetric() {
				count += m.GetHistogram().GetSampleCount()
			}
		}
	}
	return int(count)
}

func (i *Instance) violations(t testing.TB) int {
	t.Helper()
	return i.counter(t, "holdfast_lock_violations_total")
}

// call is an Execute under way.
type call struct {
	done    chan struct{}
	receipt lockprovider.Receipt
	err     error
}

func (i *Instance) begin(ctx context.Context, c lockprovider.Change) *call {
	running := &call{done: make(chan struct{})}
	go func() {
		defer close(running.done)
		running.receipt, running.err = i.Execute(ctx, c)
	}()
	return running
}

func (c *call) end(t testing.TB) (lockprovider.Receipt, error) {
	t.Helper()
	await(t, c.done, "the change to end")
	return c.receipt, c.err
}

func (c *call) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// beginUntil starts a change and waits until it has reached a point. What may succeed when it is sent again is.
func (i *Instance) beginUntil(
	ctx context.Context, t testing.TB, c lockprovider.Change, reached <-chan struct{}, point string,
) *call {
	t.Helper()
	timeout := time.After(patience)
	for {
		running := i.begin(ctx, c)
		select {
		case <-reached:
			return running
		case <-running.done:
			if !lockprovider.Retryable(running.err) {
				t.Fatalf("it did not reach %s: %+v, %v", point, running.receipt, running.err)
			}
		case <-timeout:
			t.Fatalf("waited %v until it reached %s", patience, point)
		}
	}
}

// mustEnd fails the test where the change did not commit.
func (c *call) mustEnd(t testing.TB) lockprovider.Receipt {
	t.Helper()
	receipt, err := c.end(t)
	if err != nil {
		t.Fatalf("the change failed: %v", err)
	}
	return receipt
}

func (i *Instance) mustExecute(t testing.TB, c lockprovider.Change) lockprovider.Receipt {
	t.Helper()
	receipt, err := persist(t.Context(), i, c)
	if err != nil {
		t.Fatalf("the change failed: %v", err)
	}
	return receipt
}

// persist executes a change as a patient caller would: what may succeed when it is sent again is sent again, with the
// same ID, until patience ends.
func persist(ctx context.Context, p lockprovider.Provider, c lockprovider.Change) (lockprovider.Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		receipt, err := p.Execute(ctx, c)
		if !lockprovider.Retryable(err) {
			return receipt, err
		}
	}
}

// outcome is what became of one racer.
type outcome struct {
	change  lockprovider.Change
	receipt lockprovider.Receipt
	err     error
}

// race releases n racers together, spread over the instances, and returns what became of each.
func race(t testing.TB, n int, change func(racer int) lockprovider.Change, instances ...*Instance) []outcome {
	t.Helper()
	outcomes := make([]outcome, n)
	start := make(chan struct{})
	var racers sync.WaitGroup
	for r := range n {
		outcomes[r].change = change(r)
		racers.Go(func() {
			<-start
			o := &outcomes[r]
			o.receipt, o.err = persist(t.Context(), instances[r%len(instances)], o.change)
		})
	}
	close(start)
	racers.Wait()
	return outcomes
}

// unlimited is a bound that no scenario reaches.
const unlimited = lockprovider.MaxAmount

// id is the part of the keys by which a scenario finds its own.
func newID() string { return strings.ToLower(rand.Text()[:12]) }

// keyOf is the balance of an identifier in a family.
func keyOf(f lockprovider.Family, id string) string {
	info, _ := lockprovider.LookupFamily(f)
	return info.TestKey(id)
}

func idOf(balance string) string { return balance[strings.LastIndexByte(balance, ':')+1:] }

// unopened is the key of a balance that does not exist.
func (h *Harness) unopened() string { return keyOf(h.Family, newID()) }

// open creates a balance.
func (h *Harness) open(t testing.TB, amount, floor, ceiling int64) string {
	t.Helper()
	key := h.unopened()
	tx, err := h.Env.Client.Tx(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	bounds := lockprovider.Bounds{Opening: amount, Floor: floor, Ceiling: ceiling}
	if err := h.Env.ledger.Open(t.Context(), tx, map[string]lockprovider.Bounds{key: bounds}); err != nil {
		_ = tx.Rollback()
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	return key
}

func move(balance string, delta int64) lockprovider.Move {
	return lockprovider.Move{Balance: balance, Delta: delta}
}

// change is a change with a new ID.
func (h *Harness) change(moves ...lockprovider.Move) lockprovider.Change {
	return lockprovider.Change{
		ID: uuid.New(), Family: h.Family, Moves: moves,
		Record: lockprovider.Record{Kind: "test.moved", Payload: json.RawMessage(`{"note":"` + newID() + `"}`)},
	}
}
