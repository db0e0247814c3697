package events

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"entgo.io/ent"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"holdfast/clients"
	"holdfast/config/setting"
	generated "holdfast/ent"
	"holdfast/ent/changelog"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
	"holdfast/lockprovider/ledger"
	"holdfast/lockprovider/redisfirst"
)

// redisFirst is a family under lua, whose receipts come before the commit, and whatever persists it.
type redisFirst struct {
	testing.TB

	client   *generated.Client
	redis    redis.UniversalClient
	ledger   *lockprovider.Ledger
	store    *redisfirst.Store
	provider lockprovider.Provider
	deps     PersisterDeps
}

func newRedisFirst(t testing.TB) *redisFirst {
	t.Helper()
	return newRedisFirstOn(t, "sqlite://:memory:", clients.EmbeddedRedis)
}

func newRedisFirstOn(t testing.TB, databaseURL, redisURL string) *redisFirst {
	t.Helper()
	ctx := t.Context()
	db, err := clients.OpenDatabase(ctx, databaseURL, clients.DatabaseOptions{})
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	_, err = db.Migrate(ctx)
	must(t, err)
	server, err := clients.OpenRedis(ctx, clients.RedisOptions{URL: setting.URL(redisURL)})
	must(t, err)
	t.Cleanup(func() { must(t, server.Close()) })
	ledger := lockprovider.NewLedger(db.Ent, db.Dialect, nil, lockprovider.LedgerSettings{TxRetries: 10})
	families := map[lockprovider.Family]lockprovider.FamilyConfig{}
	for _, f := range lockprovider.Families {
		families[f] = lockprovider.FamilyConfig{Strategy: lockprovider.Lua, Settings: lockprovider.Settings{
			Wait: longEnough, Poll: 1, Ack: lockprovider.AckAccepted,
			Pipeline: lockprovider.PipelineSettings{RequestTimeout: testenv.Scaled(30 * time.Second), PersistWait: longEnough, Backlog: 1_000_000, Remember: longEnough},
		}}
	}
	providers, err := lockprovider.Build(lockprovider.Deps{Ledger: ledger, Redis: server.Client, Instance: "here"}, families)
	must(t, err)
	t.Cleanup(func() { must(t, providers.Close()) })
	settings := DefaultPersisterSettings()
	settings.Block = settings.Retry
	r := &redisFirst{
		TB: t, client: db.Ent, redis: server.Client, ledger: ledger, provider: providers.For(lockprovider.Stock),
		deps: PersisterDeps{
			Ledger: ledger, Instance: "here", Settings: settings, Metrics: NewPersisterMetrics(nil),
			Log: slog.New(slog.DiscardHandler),
		},
	}
	providers.PersistWith(func(s *redisfirst.Store, c *redisfirst.Confirmations) lockprovider.Persister {
		r.deps.confirmations = c
		if s.Family() == lockprovider.Stock {
			r.store = s
		}
		return NewPersister(s, r.deps)
	})
	return r
}

// admit has Redis admit a change of one balance.
func (r *redisFirst) admit(balance string, delta int64) lockprovider.Change {
	r.Helper()
	c := lockprovider.Change{
		ID: uuid.New(), Family: lockprovider.Stock, Moves: []lockprovider.Move{{Balance: balance, Delta: delta}},
		Record: lockprovider.Record{Kind: "test", Payload: []byte("{}"), Fingerprint: "x"},
	}
	receipt, err := r.provider.Execute(r.Context(), c)
	must(r, err)
	if receipt.State != lockprovider.Accepted {
		r.Fatalf("admitted as %s", receipt.State)
	}
	return c
}

// Two instances read two changes of a balance, and the one that read the second commits first. The database, which does not
// know the first yet, refuses the second: not for good.
func TestPersistedInAnyOrder(t *testing.T) {
	noLeaks(t)
	r := newRedisFirst(t)
	const balance = "stock:product:any-order"
	must(t, r.store.OpenGroup(t.Context()))
	r.open(balance)
	first, second := r.admit(balance, +5), r.admit(balance, -22)

	theirs, err := r.store.Read(t.Context(), "elsewhere", 1, -1)
	must(t, err)
	if len(theirs) != 1 || theirs[0].Change.ID != first.ID {
		t.Fatalf("read %+v", theirs)
	}
	tried := make(chan struct{}, plenty)
	r.client.Balance.Use(func(next ent.Mutator) ent.Mutator {
		return ent.MutateFunc(func(ctx context.Context, m ent.Mutation) (ent.Value, error) {
			v, err := next.Mutate(ctx, m)
			tried <- struct{}{}
			return v, err
		})
	})
	stop := Background(t.Context(), NewPersister(r.store, r.deps).Run)
	timeout := time.After(longEnough)
	for range 4 { // it is tried, held back, and tried again
		select {
		case <-tried:
		case <-timeout:
			t.Fatal("it is not tried again")
		}
	}
	verdicts, err := r.ledger.Persist(t.Context(), lockprovider.Lua, theirs)
	must(t, err)
	if verdicts[0] != nil {
		t.Fatalf("the first: %v", verdicts[0])
	}
	must(t, r.store.Done(t.Context(), theirs))
	second.Confirm = true // a repeat that returns when it is committed
	_, err = r.provider.Execute(t.Context(), second)
	must(t, err)
	must(t, stop())
	r.checkCommitted(first, second)
	if row := r.client.Balance.GetX(t.Context(), balance); row.Amount != 3 {
		t.Errorf("%d left, want 3", row.Amount)
	}
}

// What the database refuses though nothing is on its way before it is taken back.
func TestRefusedForGood(t *testing.T) {
	noLeaks(t)
	r := newRedisFirst(t)
	const balance = "stock:product:drifted"
	r.open(balance)
	fits := r.admit(balance, -5)
	// Drift: the database has less than Redis says.
	must(t, r.client.Balance.UpdateOneID(balance).SetAmount(6).Exec(t.Context()))
	tooMany := r.admit(balance, -10)
	after := r.admit(balance, -1)
	must(t, NewPersister(r.store, r.deps).Drain(t.Context()))
	r.checkCommitted(fits, after)
	if _, found, err := r.ledger.Replay(t.Context(), tooMany); found || err != nil {
		t.Errorf("what does not fit was committed: %v, %v", found, err)
	}
	outcome, err := r.store.Outcome(t.Context(), tooMany.ID)
	must(t, err)
	if outcome.State != lockprovider.OutcomeFailed || outcome.Reason == nil {
		t.Errorf("its outcome: %+v", outcome)
	}
	if levels, err := r.store.Levels(t.Context(), []string{balance}); err != nil || levels[balance].Amount != 14 {
		t.Errorf("redis says %+v, %v; want 14", levels, err)
	}
}

// Two instances hold one entry, because the first has stalled and the second has claimed it. The second is told that the change
// does not fit, and tells its caller. When the first goes on, it fits; the first says the same nevertheless.
func TestHoldersOfAnEntryAgree(t *testing.T) {
	noLeaks(t)
	r := newRedisFirst(t)
	const balance = "stock:product:two-holders"
	must(t, r.store.OpenGroup(t.Context()))
	r.open(balance)
	change := r.admit(balance, -15)
	stalled, err := r.store.Read(t.Context(), "stalled", 1, -1)
	must(t, err)
	must(t, r.client.Balance.UpdateOneID(balance).SetAmount(6).Exec(t.Context())) // drift
	must(t, NewPersister(r.store, r.deps).Drain(t.Context()))
	outcome, err := r.store.Outcome(t.Context(), change.ID)
	must(t, err)
	if outcome.State != lockprovider.OutcomeFailed {
		t.Fatalf("the second instance: %+v, want a refusal", outcome)
	}
	must(t, r.client.Balance.UpdateOneID(balance).SetAmount(20).Exec(t.Context()))
	_, err = NewPersister(r.store, r.deps).settle(t.Context(), stalled)
	must(t, err)
	if _, found, err := r.ledger.Replay(t.Context(), change); found || err != nil {
		t.Errorf("what was refused is applied: %v, %v", found, err)
	}
}

// A caller hears of an entry of an attempt before, which was refused, while its own is on the way. It waits for its own.
func TestResultOfAnotherEntry(t *testing.T) {
	noLeaks(t)
	r := newRedisFirst(t)
	r.open("stock:product:late-news")
	change := lockprovider.Change{
		ID: uuid.New(), Family: lockprovider.Stock, Moves: []lockprovider.Move{{Balance: "stock:product:late-news", Delta: -1}},
		Record: lockprovider.Record{Kind: "test", Payload: []byte("{}"), Fingerprint: "x"}, Confirm: true,
	}
	answer := make(chan error, 1)
	go func() {
		_, err := r.provider.Execute(t.Context(), change)
		answer <- err
	}()
	for began := time.Now(); ; {
		if n, err := r.store.Backlog(t.Context()); err != nil || time.Since(began) > longEnough {
			t.Fatalf("waited %v for the change: %v", longEnough, err)
		} else if n == 1 {
			break
		}
	}
	refusal := &lockprovider.Rejected{Code: "LATE", Message: "it is of an attempt before"}
	for _, instance := range []string{"here", "elsewhere"} { // told directly, and by a message
		earlier := ledger.Admitted{StreamID: "1-0", Change: change, Instance: "here"}
		r.deps.confirmations.Tell(t.Context(), instance, []ledger.Admitted{earlier}, []error{refusal})
	}
	must(t, NewPersister(r.store, r.deps).Drain(t.Context()))
	select {
	case err := <-answer:
		if err != nil {
			t.Errorf("the answer is %v, and the change is applied", err)
		}
	case <-time.After(longEnough):
		t.Errorf("no answer within %v", longEnough)
	}
	r.checkCommitted(change)
}

// An entry that nobody can read is put on the poison topic with its reason, and holds nobody up.
func TestMalformedChangeIsPoison(t *testing.T) {
	e := newEnv(t, channelKind)
	running := e.start()
	poison := e.listen(running, TopicPoison)
	r := newRedisFirst(t)
	r.deps.Poison = running.Poison()
	const balance = "stock:product:next"
	r.open(balance)
	first := r.admit(balance, -1)
	r.addEntry("no JSON")
	second := r.admit(balance, -1)
	must(t, NewPersister(r.store, r.deps).Drain(t.Context()))
	r.checkCommitted(first, second)
	m := e.next(poison)
	if reason := m.Metadata.Get(middleware.ReasonForPoisonedKey); !strings.Contains(reason, "stream entry") {
		t.Errorf("reason %q", reason)
	}
	if from := m.Metadata.Get(middleware.PoisonedTopicKey); from != string(lockprovider.Stock) {
		t.Errorf("poison from %q", from)
	}
	if by := m.Metadata.Get(middleware.PoisonedHandlerKey); by != "persister" || !strings.Contains(string(m.Payload), "no JSON") {
		t.Errorf("poison by %q: %s", by, m.Payload)
	}
}

// While the poison topic does not take it, the entry stays where it is.
func TestMalformedChangeWaitsForThePoisonTopic(t *testing.T) {
	noLeaks(t)
	r := newRedisFirst(t)
	r.open("stock:product:waits")
	r.admit("stock:product:waits", -1)
	r.addEntry("no JSON")
	poison := &refusingPoison{refusals: 1}
	r.deps.Poison = poison
	must(t, NewPersister(r.store, r.deps).Drain(t.Context()))
	if n := len(poison.messages); n != 2 || poison.messages[0].UUID != poison.messages[1].UUID {
		t.Errorf("put away %d times: %+v", n, poison.messages)
	}
}

// refusingPoison is a poison topic that does not take the first messages.
type refusingPoison struct {
	sync.Mutex

	refusals int
	messages []*message.Message
}

func (p *refusingPoison) Publish(_ string, messages ...*message.Message) error {
	p.Lock()
	defer p.Unlock()
	p.messages = append(p.messages, messages...)
	if len(p.messages) <= p.refusals {
		return errOnPurpose
	}
	return nil
}

func (p *refusingPoison) Close() error { return nil }

// While the database is away, what Redis admits waits. Then it is committed in its order, each change once.
func TestChangesWaitForTheDatabase(t *testing.T) {
	noLeaks(t)
	server := testenv.PostgresServer(t)
	must(t, server.CreateDatabase(t.Context(), "waiting"))
	r := newRedisFirstOn(t, server.DatabaseURL("waiting"), clients.EmbeddedRedis)
	log := newLogWatch("changes wait to be persisted")
	r.deps.Log = slog.New(log)
	const balance = "stock:product:waits"
	r.open(balance)
	var changes []lockprovider.Change
	admit := func() {
		for range 20 {
			changes = append(changes, r.admit(balance, +1), r.admit(balance, -1))
		}
	}
	admit()
	must(t, NewPersister(r.store, r.deps).Drain(t.Context()))
	must(t, server.Kill())
	stop := Background(t.Context(), NewPersister(r.store, r.deps).Run)
	admit()
	testenv.Receive(t, log.seen, "the persister to find the database gone")
	admit()
	must(t, server.Restart())
	last := changes[len(changes)-1]
	last.Confirm = true
	_, err := r.provider.Execute(t.Context(), last)
	must(t, err)
	must(t, stop())
	r.checkOrder(changes)
	if row := r.client.Balance.GetX(t.Context(), balance); row.Amount != 20 || row.Applied != int64(len(changes)) {
		t.Errorf("%+v after %d changes", row, len(changes))
	}
}

// The router handles each message on its own, and still one transaction takes them all.
func TestHandlerCallsAreOneTransaction(t *testing.T) {
	noLeaks(t)
	r := newRedisFirst(t)
	registry := prometheus.NewRegistry()
	r.deps.Metrics = NewPersisterMetrics(registry)
	const balance = "stock:product:together"
	r.open(balance)
	var commits atomic.Int32
	r.ledger.OnCommit(func() { commits.Add(1) })
	var changes []lockprovider.Change
	for range 50 {
		changes = append(changes, r.admit(balance, +1), r.admit(balance, -1))
	}
	must(t, NewPersister(r.store, r.deps).Drain(t.Context()))
	r.checkOrder(changes)
	if n := commits.Load(); n != 1 {
		t.Errorf("%d transactions", n)
	}
	families, err := registry.Gather()
	must(t, err)
	for _, f := range families {
		if f.GetName() == "holdfast_events_handler_execution_time_seconds" {
			if n := f.GetMetric()[0].GetHistogram().GetSampleCount(); n != uint64(len(changes)) {
				t.Errorf("%d handler calls counted for %d changes", n, len(changes))
			}
			return
		}
	}
	t.Errorf("handler calls are not measured: %v", families)
}

// A panic in the database's code fails the whole group; the group is tried again, and loses nothing.
func TestPanicFailsTheGroup(t *testing.T) {
	noLeaks(t)
	r := newRedisFirst(t)
	log := newLogWatch("changes wait to be persisted")
	r.deps.Log = slog.New(log)
	const balance = "stock:product:panic"
	r.open(balance)
	changes := []lockprovider.Change{r.admit(balance, -1), r.admit(balance, -1), r.admit(balance, -1)}
	var panicked atomic.Bool
	r.client.ChangeLog.Use(func(next ent.Mutator) ent.Mutator {
		return ent.MutateFunc(func(ctx context.Context, m ent.Mutation) (ent.Value, error) {
			if panicked.CompareAndSwap(false, true) {
				panic(errOnPurpose)
			}
			return next.Mutate(ctx, m)
		})
	})
	stop := Background(t.Context(), NewPersister(r.store, r.deps).Run)
	if reason := testenv.Receive(t, log.seen, "the panic"); !strings.Contains(reason, errOnPurpose.Error()) {
		t.Errorf("reason %q", reason)
	}
	last := changes[len(changes)-1]
	last.Confirm = true
	_, err := r.provider.Execute(t.Context(), last)
	must(t, err)
	must(t, stop())
	r.checkOrder(changes)
}

// A handler call that panics before it has a change to commit holds nobody up: its entry is poison.
func TestPanicOfOneCallIsPoison(t *testing.T) {
	noLeaks(t)
	r := newRedisFirst(t)
	const balance = "stock:product:one-panics"
	r.open(balance)
	changes := []lockprovider.Change{r.admit(balance, -1)}
	r.addEntry("no JSON")
	changes = append(changes, r.admit(balance, -1))
	poison := &refusingPoison{}
	r.deps.Poison = poison
	log := newLogWatch("entry cannot be read")
	log.panics = true
	r.deps.Log = slog.New(log)
	must(t, NewPersister(r.store, r.deps).Drain(t.Context()))
	r.checkOrder(changes)
	if len(poison.messages) != 1 ||
		!strings.Contains(poison.messages[0].Metadata.Get(middleware.ReasonForPoisonedKey), "panic") {
		t.Errorf("poison: %+v", poison.messages)
	}
}

// logWatch tells the errors of the log lines with one text.
type logWatch struct {
	slog.Handler

	text   string
	panics bool // instead of logging it
	seen   chan string
}

func newLogWatch(text string) *logWatch {
	return &logWatch{Handler: slog.DiscardHandler, text: text, seen: make(chan string, plenty)}
}

func (w *logWatch) Enabled(context.Context, slog.Level) bool { return true }
func (w *logWatch) WithAttrs([]slog.Attr) slog.Handler       { return w }

func (w *logWatch) Handle(_ context.Context, record slog.Record) error {
	if record.Message != w.text {
		return nil
	}
	if w.panics {
		panic(errOnPurpose)
	}
	record.Attrs(func(a slog.Attr) bool {
		if a.Key == "error" {
			w.seen <- a.Value.String()
		}
		return true
	})
	return nil
}

// addEntry writes into the stream what Redis has not admitted.
func (r *redisFirst) addEntry(payload string) {
	r.Helper()
	streams, _, err := r.redis.ScanType(r.Context(), 0, "*", 100, "stream").Result()
	must(r, err)
	if len(streams) != 1 {
		r.Fatalf("streams: %q", streams)
	}
	must(r, r.redis.XAdd(r.Context(), &redis.XAddArgs{Stream: streams[0], Values: []string{"payload", payload}}).Err())
}

// checkOrder makes sure that the change log has these changes and no other, in this order.
func (r *redisFirst) checkOrder(changes []lockprovider.Change) {
	r.Helper()
	rows := r.client.ChangeLog.Query().Order(changelog.ByID()).AllX(r.Context())
	if len(rows) != len(changes) {
		r.Fatalf("%d changes are committed, want %d", len(rows), len(changes))
	}
	for i, row := range rows {
		if row.ChangeID != changes[i].ID {
			r.Errorf("change %d of the change log is not the one that was admitted in that place", i)
		}
	}
}

// open creates a balance of 20, of at most 40, in the database.
func (r *redisFirst) open(balance string) {
	r.Helper()
	tx, err := r.client.Tx(r.Context())
	must(r, err)
	must(r, r.ledger.Open(r.Context(), tx, map[string]lockprovider.Bounds{balance: {Opening: 20, Ceiling: 40}}))
	must(r, tx.Commit())
}

func (r *redisFirst) checkCommitted(changes ...lockprovider.Change) {
	r.Helper()
	for _, c := range changes {
		if _, found, err := r.ledger.Replay(r.Context(), c); !found || err != nil {
			r.Errorf("%+v is not committed: %v", c.Moves, err)
		}
	}
}
