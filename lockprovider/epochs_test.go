package lockprovider_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/clients"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
	"holdfast/lockprovider/providertest"
)

// epochs is a database and a Redis that several instances share, in which strategies are switched.
type epochs struct {
	*testing.T

	db      *clients.Database
	ledger  *lockprovider.Ledger
	urls    []string
	balance string
}

func newEpochs(t *testing.T, databaseURL string, kind redisKind) *epochs {
	t.Helper()
	e := &epochs{T: t, db: openDatabase(t, databaseURL), balance: lockprovider.StockKey("hot")}
	e.ledger = lockprovider.NewLedger(e.db.Ent, e.db.Dialect, nil, lockprovider.LedgerSettings{TxRetries: 50})
	e.urls, _ = kind.start(t)
	tx, err := e.db.Ent.Tx(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	bounds := map[string]lockprovider.Bounds{e.balance: {Opening: 0, Ceiling: lockprovider.MaxAmount}}
	if err := e.ledger.Open(t.Context(), tx, bounds); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	return e
}

// member is an instance that has joined the deployment.
type member struct {
	*lockprovider.Providers

	deployment *lockprovider.Deployment
}

// join starts an instance that takes over with a strategy. It does nothing in the background.
func (e *epochs) join(s lockprovider.Strategy, fallback lockprovider.Strategy) member {
	e.Helper()
	deployment := mustJoin(e.T, e.db.Ent, strategies(s), lockprovider.DeploymentSettings{Heartbeat: never, Expiry: never, Takeover: true})
	client := connectTo(e.urls)(e.T)[0]
	families := map[lockprovider.Family]lockprovider.FamilyConfig{}
	for _, f := range lockprovider.Families {
		families[f] = lockprovider.FamilyConfig{Strategy: s, Fallback: fallback, Settings: lockprovider.Settings{
			Wait: longEnough, Lease: time.Minute, Poll: 20 * time.Millisecond, Attempts: 1000, Backoff: time.Millisecond,
			Ack:      lockprovider.AckAccepted,
			Pipeline: lockprovider.PipelineSettings{RequestTimeout: testenv.Scaled(30 * time.Second), PersistWait: longEnough, Backlog: 100_000, Remember: time.Hour},
		}}
	}
	providers, err := lockprovider.Build(lockprovider.Deps{
		Ledger: e.ledger, Redis: client, Instance: deployment.Instance(), Epochs: deployment.Epochs(), Deployment: deployment,
		Worker: workers,
	}, families)
	if err != nil {
		e.Fatal(err)
	}
	e.Cleanup(func() {
		if err := providers.Close(); err != nil {
			e.Error(err)
		}
		_ = client.Close()
	})
	persist(providertest.Background{Instance: deployment.Instance(), Ledger: e.ledger, Providers: providers})
	return member{providers, deployment}
}

func (e *epochs) change() lockprovider.Change {
	return lockprovider.Change{
		ID: uuid.New(), Family: lockprovider.Stock, Moves: []lockprovider.Move{{Balance: e.balance, Delta: 1}},
		Record: lockprovider.Record{Kind: "test", Fingerprint: "test"},
	}
}

func (e *epochs) checkApplied(changes []lockprovider.Change) {
	e.Helper()
	lost := 0
	for _, c := range changes {
		if _, found, err := e.ledger.Replay(e.Context(), c); err != nil {
			e.Fatal(err)
		} else if !found {
			lost++
		}
	}
	if lost > 0 {
		e.Errorf("%d of %d changes were acknowledged and are lost", lost, len(changes))
	}
}

// onEachRedis runs a test with every database and a real Redis, and with what `go run .` uses.
func onEachRedis(t *testing.T, test func(e *epochs)) {
	t.Helper()
	t.Run("sqlite+embedded", func(t *testing.T) { test(newEpochs(t, "sqlite://:memory:", embedded)) })
	for _, db := range databases {
		t.Run(db.name+"+redis", func(t *testing.T) { test(newEpochs(t, db.url(t), realRedis)) })
	}
}

// TestTakeoverLosesNothing: an instance admits changes while another one takes over with another strategy, and goes on until it
// notices. It persists nothing itself, so what it was allowed to admit too late would be lost.
func TestTakeoverLosesNothing(t *testing.T) {
	onEachRedis(t, func(e *epochs) {
		old := e.join(lockprovider.Lua, "")
		const clients = 8
		var mu sync.Mutex
		var acknowledged []lockprovider.Change
		refused := make(chan error, clients)
		var running sync.WaitGroup
		admitted := make(chan struct{}, 1)
		for range clients {
			running.Go(func() {
				for {
					c := e.change()
					if _, err := old.For(lockprovider.Stock).Execute(bounded(e.T), c); err != nil {
						refused <- err
						return
					}
					mu.Lock()
					acknowledged = append(acknowledged, c)
					mu.Unlock()
					select {
					case admitted <- struct{}{}:
					default:
					}
				}
			})
		}
		select {
		case <-admitted:
		case <-bounded(e.T).Done():
			e.Fatal("nothing was admitted")
		}
		next := e.join(lockprovider.RowLock, "")
		if err := next.EndEarlier(bounded(e.T)); err != nil {
			e.Fatal(err)
		}
		running.Wait()
		close(refused)
		for err := range refused {
			if lockprovider.EffectOf(err) != lockprovider.EffectNotStarted || !lockprovider.Retryable(err) {
				e.Errorf("after the switch: %v, want one that asks for a repeat", err)
			}
		}
		e.checkApplied(acknowledged)
		if _, err := next.For(lockprovider.Stock).Execute(bounded(e.T), e.change()); err != nil {
			e.Error(err)
		}
	})
}

// TestEpochIsEndedTogether: instances that start together find the same ended epoch. Each goes on when nothing of it is left,
// whoever removes it.
func TestEpochIsEndedTogether(t *testing.T) {
	onEachRedis(t, func(e *epochs) {
		for range 5 {
			old := e.join(lockprovider.Lua, "")
			var changes []lockprovider.Change
			for range 3 {
				c := e.change()
				if _, err := old.For(lockprovider.Stock).Execute(bounded(e.T), c); err != nil {
					e.Fatal(err)
				}
				changes = append(changes, c)
			}
			errs := make([]error, 3)
			var running sync.WaitGroup
			for i := range errs {
				next := e.join(lockprovider.RowLock, "")
				running.Go(func() { errs[i] = next.EndEarlier(bounded(e.T)) })
			}
			running.Wait()
			if err := errors.Join(errs...); err != nil {
				e.Fatal(err)
			}
			e.checkApplied(changes)
		}
		keys, err := connectTo(e.urls)(e.T)[0].Keys(e.Context(), "{holdfast:stock:*").Result()
		if err != nil {
			e.Fatal(err)
		}
		for _, key := range keys {
			if key[len(key)-len(":closed"):] != ":closed" {
				e.Errorf("%s is left in Redis", key)
			}
		}
	})
}

// TestTakeoverServesTheQueue: who waits in the queue of a strategy that is switched off is served, and nobody joins it any more.
func TestTakeoverServesTheQueue(t *testing.T) {
	onEachRedis(t, func(e *epochs) {
		old := e.join(lockprovider.Queue, "")
		tickets, ok := lockprovider.As[lockprovider.Ticketer](old.For(lockprovider.Stock))
		if !ok {
			e.Fatal("the queue has no tickets")
		}
		var waiting []lockprovider.Change
		for range 300 {
			c := e.change()
			if _, err := tickets.Enter(bounded(e.T), c, time.Hour); err != nil {
				e.Fatal(err)
			}
			waiting = append(waiting, c)
		}
		next := e.join(lockprovider.RowLock, "")
		if err := next.EndEarlier(bounded(e.T)); err != nil {
			e.Fatal(err)
		}
		e.checkApplied(waiting)
		late := e.change()
		if _, err := tickets.Enter(bounded(e.T), late, time.Hour); lockprovider.EffectOf(err) != lockprovider.EffectNotStarted {
			e.Errorf("joined late: %v, want one that asks for a repeat", err)
		}
	})
}

// TestInstancesFollowAnEpoch: a family goes to its fallback and back. An instance that has not heard of it follows with its next
// change, and what it admitted is not lost. For a queue, all instances are in one.
func TestInstancesFollowAnEpoch(t *testing.T) {
	for _, strategy := range []lockprovider.Strategy{lockprovider.Lua, lockprovider.Queue} {
		t.Run(string(strategy), func(t *testing.T) {
			onEachRedis(t, func(e *epochs) { followAnEpoch(e, strategy) })
		})
	}
}

func followAnEpoch(e *epochs, s lockprovider.Strategy) {
	ctx := bounded(e.T)
	unaware, aware := e.join(s, lockprovider.RowLock), e.join(s, lockprovider.RowLock)
	tickets, queued := lockprovider.As[lockprovider.Ticketer](unaware.For(lockprovider.Stock))
	send := func(c lockprovider.Change) error {
		if queued {
			_, err := tickets.Enter(ctx, c, time.Hour)
			return err
		}
		_, err := unaware.For(lockprovider.Stock).Execute(ctx, c)
		return err
	}
	before := e.change()
	if err := send(before); err != nil {
		e.Fatal(err)
	}
	if err := lockprovider.FallBackAndReturn(ctx, aware.Providers, lockprovider.Stock); err != nil {
		e.Fatal(err)
	}
	e.checkApplied([]lockprovider.Change{before})
	after := e.change()
	if err := send(after); err != nil {
		e.Fatalf("after the switch: %v", err)
	}
	if queued {
		others, _ := lockprovider.As[lockprovider.Ticketer](aware.For(lockprovider.Stock))
		place, err := others.Look(ctx, after.ID, 0)
		if err != nil || place.State != lockprovider.PositionWaiting || place.Number != 1 {
			e.Errorf("at the other instance: %+v, %v, want the first place", place, err)
		}
	}
	running, stop := context.WithCancel(ctx)
	var background sync.WaitGroup
	background.Go(func() { aware.Run(running) })
	if _, err := aware.For(lockprovider.Stock).Execute(ctx, e.change()); err != nil {
		e.Error(err)
	}
	stop()
	background.Wait()
	next := e.join(lockprovider.AtomicSQL, "")
	if err := next.EndEarlier(ctx); err != nil {
		e.Fatal(err)
	}
	e.checkApplied([]lockprovider.Change{after})
}

// TestFallbackThatIsNotConfigured: the configuration had a fallback when Redis went away, and has none when it is back. Changes
// are refused as retryable until the instance has ended the fallback by itself.
func TestFallbackThatIsNotConfigured(t *testing.T) {
	onEachRedis(t, func(e *epochs) {
		ctx := bounded(e.T)
		before := e.join(lockprovider.Lua, lockprovider.RowLock)
		if err := lockprovider.FallBack(ctx, before.Providers, lockprovider.Stock); err != nil {
			e.Fatal(err)
		}
		after := e.join(lockprovider.Lua, "")
		c := e.change()
		if _, err := after.For(lockprovider.Stock).Execute(ctx, c); lockprovider.EffectOf(err) != lockprovider.EffectNotStarted {
			e.Errorf("in the fallback: %v, want one that asks for a repeat", err)
		}
		running, stop := context.WithCancel(ctx)
		var background sync.WaitGroup
		background.Go(func() { after.Run(running) })
		defer func() {
			stop()
			background.Wait()
		}()
		for {
			_, err := after.For(lockprovider.Stock).Execute(ctx, c)
			if err == nil {
				return
			}
			if !lockprovider.Retryable(err) {
				e.Fatal(err)
			}
		}
	})
}

// TestTakeoverBesideAWorker: the worker of the strategy that is switched off goes on serving, and has its lock; who comes meanwhile
// is served by it, or told to try again.
func TestTakeoverBesideAWorker(t *testing.T) {
	onEachRedis(t, func(e *epochs) {
		ctx := bounded(e.T)
		old := e.join(lockprovider.Queue, "")
		running, stop := context.WithCancel(ctx)
		var background sync.WaitGroup
		background.Go(func() { old.Run(running) })
		served := make(chan []lockprovider.Change)
		first := make(chan struct{})
		go func() {
			var changes []lockprovider.Change
			for {
				c := e.change()
				if _, err := old.For(lockprovider.Stock).Execute(ctx, c); err != nil {
					if lockprovider.EffectOf(err) != lockprovider.EffectNotStarted {
						e.Errorf("after the switch: %v, want one that asks for a repeat", err)
					}
					served <- changes
					return
				}
				if changes = append(changes, c); len(changes) == 1 {
					close(first)
				}
			}
		}()
		select {
		case <-first:
		case <-ctx.Done():
			e.Fatal("nothing was served")
		}
		next := e.join(lockprovider.RowLock, "")
		if err := next.EndEarlier(ctx); err != nil {
			e.Fatal(err)
		}
		changes := <-served
		stop()
		background.Wait()
		e.checkApplied(changes)
	})
}

// TestQueueNeedsNoDatabaseToJoin: an instance that has started takes changes into its queue while the database does not answer.
func TestQueueNeedsNoDatabaseToJoin(t *testing.T) {
	e := newEpochs(t, "sqlite://:memory:", embedded)
	instance := e.join(lockprovider.Queue, "")
	if err := instance.EndEarlier(bounded(t)); err != nil {
		t.Fatal(err)
	}
	tx, err := e.db.Ent.Tx(t.Context()) // holds SQLite's one writer
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	tickets, _ := lockprovider.As[lockprovider.Ticketer](instance.For(lockprovider.Stock))
	place, err := tickets.Enter(bounded(t), e.change(), time.Hour)
	if err != nil || place.State != lockprovider.PositionWaiting {
		t.Errorf("%+v, %v, want a place", place, err)
	}
}

// TestRepeatOfWhatAnotherStrategyApplied: the change was applied before the strategy was switched. A repeat that finds this in the change
// log, since nobody serves what it has sent to Redis, is told so.
func TestRepeatOfWhatAnotherStrategyApplied(t *testing.T) {
	for _, s := range []lockprovider.Strategy{lockprovider.Lua, lockprovider.Queue} {
		onEachRedis(t, func(e *epochs) {
			c := e.change()
			c.Confirm = true
			before := e.join(lockprovider.RowLock, "")
			if first, err := before.For(lockprovider.Stock).Execute(bounded(e.T), c); err != nil || first.Replayed {
				e.Fatalf("receipt %+v, error %v", first, err)
			}
			now := e.join(s, "")
			if again, err := now.For(lockprovider.Stock).Execute(bounded(e.T), c); err != nil || !again.Replayed {
				e.Errorf("%s: receipt %+v, error %v, want that of a repeat", s, again, err)
			}
		})
	}
}

// TestSeveralUnderAFallback: while the fallback serves a family, many changes are not executed together, neither by the fallback nor by the
// strategy, which would lock what Redis does not answer for. Each alone is applied once, and after the outage they go together again.
func TestSeveralUnderAFallback(t *testing.T) {
	onEachRedis(t, func(e *epochs) {
		ctx := bounded(e.T)
		p := e.join(lockprovider.SetNX, lockprovider.RowLock)
		stock := p.For(lockprovider.Stock)
		together := func(changes ...lockprovider.Change) error {
			return stock.(lockprovider.Several).ExecuteSeveral(ctx, changes)
		}
		before, during, after := []lockprovider.Change{e.change(), e.change()}, []lockprovider.Change{e.change(), e.change()}, []lockprovider.Change{e.change(), e.change()}
		if err := together(before...); err != nil {
			e.Fatal(err)
		}
		if err := lockprovider.FallBack(ctx, p.Providers, lockprovider.Stock); err != nil {
			e.Fatal(err)
		}
		if err := together(during...); !errors.Is(err, lockprovider.ErrOneByOne) {
			e.Errorf("under the fallback: %v, want ErrOneByOne", err)
		}
		for _, c := range during {
			if _, found, err := e.ledger.Replay(ctx, c); found || err != nil {
				e.Errorf("applied together, under the fallback: %v, %v", found, err)
			}
			if receipt, err := stock.Execute(ctx, c); err != nil || receipt.Strategy != lockprovider.RowLock || receipt.Replayed {
				e.Errorf("alone, under the fallback: %+v, %v", receipt, err)
			}
		}
		if err := lockprovider.Return(ctx, p.Providers, lockprovider.Stock); err != nil {
			e.Fatal(err)
		}
		if err := together(after...); err != nil {
			e.Errorf("after the outage: %v", err)
		}
		e.checkApplied(slices.Concat(before, during, after))
	})
}
