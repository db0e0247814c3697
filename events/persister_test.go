package events

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"entgo.io/ent"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"holdfast/clients"
	generated "holdfast/ent"
	"holdfast/lockprovider"
	"holdfast/lockprovider/redisfirst"
)

// redisFirst is a family under lua, whose receipts come before the commit, and whatever persists it.
type redisFirst struct {
	*testing.T

	client   *generated.Client
	redis    redis.UniversalClient
	ledger   *lockprovider.Ledger
	store    *redisfirst.Store
	provider lockprovider.Provider
	deps     PersisterDeps
}

func newRedisFirst(t *testing.T) *redisFirst {
	t.Helper()
	ctx := t.Context()
	db, err := clients.OpenDatabase(ctx, "sqlite://:memory:", clients.DatabaseOptions{})
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	_, err = db.Migrate(ctx)
	must(t, err)
	server, err := clients.OpenRedis(ctx, clients.RedisOptions{URL: clients.EmbeddedRedis})
	must(t, err)
	t.Cleanup(func() { must(t, server.Close()) })
	ledger := lockprovider.NewLedger(db.Ent, db.Dialect, nil, lockprovider.LedgerSettings{TxRetries: 10})
	families := map[lockprovider.Family]lockprovider.FamilyConfig{}
	for _, f := range lockprovider.Families {
		families[f] = lockprovider.FamilyConfig{Strategy: lockprovider.Lua, Settings: lockprovider.Settings{
			Wait: longEnough, Poll: 1, Ack: lockprovider.AckAccepted,
			Pipeline: lockprovider.PipelineSettings{PersistWait: longEnough, Backlog: 100, Remember: longEnough},
		}}
	}
	providers, err := lockprovider.Build(lockprovider.Deps{Ledger: ledger, Redis: server.Client, Instance: "here"}, families)
	must(t, err)
	t.Cleanup(func() { must(t, providers.Close()) })
	settings := DefaultPersisterSettings()
	settings.Block = settings.Retry
	r := &redisFirst{
		T: t, client: db.Ent, redis: server.Client, ledger: ledger, provider: providers.For(lockprovider.Stock),
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

// An entry that nobody can read is put on the poison topic with its reason, and holds nobody up.
func TestMalformedChangeIsPoison(t *testing.T) {
	e := newEnv(t, channelKind)
	running := e.start()
	poison := e.listen(running, TopicPoison)
	r := newRedisFirst(t)
	r.deps.Poison = running.Poison
	const balance = "stock:product:next"
	r.open(balance)
	first := r.admit(balance, -1)
	streams, _, err := r.redis.ScanType(t.Context(), 0, "*", 100, "stream").Result()
	must(t, err)
	if len(streams) != 1 {
		t.Fatalf("streams: %q", streams)
	}
	must(t, r.redis.XAdd(t.Context(), &redis.XAddArgs{Stream: streams[0], Values: []string{"payload", "no JSON"}}).Err())
	second := r.admit(balance, -1)
	must(t, NewPersister(r.store, r.deps).Drain(t.Context()))
	r.checkCommitted(first, second)
	m := e.next(poison)
	if reason := m.Metadata.Get(middleware.ReasonForPoisonedKey); !strings.Contains(reason, "stream entry") {
		t.Errorf("reason %q", reason)
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
	streams, _, err := r.redis.ScanType(t.Context(), 0, "*", 100, "stream").Result()
	must(t, err)
	must(t, r.redis.XAdd(t.Context(), &redis.XAddArgs{Stream: streams[0], Values: []string{"payload", "no JSON"}}).Err())
	var tries atomic.Int32
	r.deps.Poison = func(context.Context, string, []byte, error) error {
		if tries.Add(1) == 1 {
			return context.DeadlineExceeded
		}
		return nil
	}
	must(t, NewPersister(r.store, r.deps).Drain(t.Context()))
	if tries.Load() != 2 {
		t.Errorf("put away %d times", tries.Load())
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
