package lockprovider_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/ent/balance"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
	"holdfast/lockprovider/ledger"
)

// refusals is a ledger with a balance of 1, and a change that takes 1.
type refusals struct {
	*testing.T

	ledger  *lockprovider.Ledger
	rowlock lockprovider.Provider
	change  lockprovider.Change
}

var errTooLate = &lockprovider.Rejected{Code: "TOO_LATE", Message: "it is too late"}

func withRefusals(t *testing.T, test func(r refusals)) {
	t.Helper()
	for _, database := range databases {
		t.Run(database.name, func(t *testing.T) {
			db := openDatabase(t, database.url(t))
			provider, ledger, c := oneChange(t, db, lockprovider.RowLock, longEnough, longEnough)
			c.Record = lockprovider.Record{Kind: "test", Fingerprint: "test", Payload: json.RawMessage("{}")}
			c.Moves[0].Open = &lockprovider.Bounds{Opening: 1, Ceiling: 100}
			test(refusals{t, ledger, provider, c})
		})
	}
}

// admitted is an admission of the change.
func (r refusals) admitted(epoch int64, streamID string) ledger.Admitted {
	return ledger.Admitted{Epoch: epoch, StreamID: streamID, Change: r.change, Seq: []int64{1}, After: []int64{0}}
}

// persist returns the verdict on an admission.
func (r refusals) persist(a ledger.Admitted) error {
	r.Helper()
	verdicts, err := r.ledger.Persist(r.Context(), lockprovider.Lua, []ledger.Admitted{a})
	if err != nil {
		r.Fatal(err)
	}
	return verdicts[0]
}

// refuse makes a refusal final, and returns whether it is.
func (r refusals) refuse(until ledger.Admission) bool {
	r.Helper()
	refused, err := r.ledger.Refuse(r.Context(), lockprovider.Lua, r.change, until, errTooLate)
	if err != nil {
		r.Fatal(err)
	}
	return refused
}

func (r refusals) wantApplied(want bool) {
	r.Helper()
	_, found, err := r.ledger.Replay(r.Context(), r.change)
	if err != nil || found != want {
		r.Errorf("applied: %v, %v; want %v", found, err, want)
	}
	amount, err := r.ledger.Ent().Balance.Query().Where(balance.ID(r.change.Moves[0].Balance)).All(r.Context())
	if left := 1; err != nil || want && (len(amount) != 1 || amount[0].Amount != 0) || !want && len(amount) == 1 && amount[0].Amount != int64(left) {
		r.Errorf("the balance is %v, %v", amount, err)
	}
}

// A refusal holds for the admissions until the one that was refused, in the order of epochs and of their streams.
func TestARefusalIsFinal(t *testing.T) {
	withRefusals(t, func(r refusals) {
		if !r.refuse(ledger.Admission{Epoch: 2, StreamID: "1700000000000-10"}) {
			r.Fatal("not refused")
		}
		for _, early := range []ledger.Admitted{
			r.admitted(1, "1800000000000-0"), r.admitted(2, "900000000000-99"), r.admitted(2, "1700000000000-9"), r.admitted(2, "1700000000000-10"),
		} {
			var rejected *lockprovider.Rejected
			if err := r.persist(early); !errors.As(err, &rejected) || rejected.Code != errTooLate.Code {
				r.Errorf("admission %d %s: %v, want the refusal", early.Epoch, early.StreamID, err)
			}
		}
		r.wantApplied(false)
		if err := r.persist(r.admitted(2, "1700000000000-11")); err != nil {
			r.Errorf("a later admission: %v", err)
		}
		r.wantApplied(true)
		if err := r.persist(r.admitted(1, "1800000000000-0")); !errors.Is(err, ledger.ErrAlreadyApplied) {
			r.Errorf("an earlier admission, afterwards: %v, want ErrAlreadyApplied", err)
		}
		if r.refuse(ledger.Admission{Epoch: 3}) {
			r.Error("refused though it is applied")
		}
	})
}

// A refusal reaches as far as the last one that was told.
func TestRefusalsAdvance(t *testing.T) {
	withRefusals(t, func(r refusals) {
		for _, until := range []ledger.Admission{{Epoch: 1, StreamID: "5-0"}, {Epoch: 2}, {Epoch: 1, StreamID: "7-0"}} {
			if !r.refuse(until) {
				r.Errorf("not refused until %v", until)
			}
		}
		if err := r.persist(r.admitted(2, "9999-0")); err == nil {
			r.Error("an admission of the second epoch is applied")
		}
		r.wantApplied(false)
		if err := r.persist(r.admitted(3, "1-0")); err != nil {
			r.Error(err)
		}
		r.wantApplied(true)
	})
}

// A strategy without Redis executes what was refused before, if it fits by now, and once.
func TestARefusedChangeIsExecutedLater(t *testing.T) {
	withRefusals(t, func(r refusals) {
		r.refuse(ledger.Admission{Epoch: 1})
		for range 2 {
			if _, err := r.rowlock.Execute(r.Context(), r.change); err != nil {
				r.Error(err)
			}
		}
		r.wantApplied(true)
	})
}

// Of a process that refuses a change and one that applies it at the same moment, one wins, and both know which.
func TestRefusalAndCommitRace(t *testing.T) {
	withRefusals(t, func(r refusals) {
		for range 20 {
			r.change.ID = uuid.New()
			r.change.Moves[0].Balance = lockprovider.StockKey(uuid.NewString())
			var running sync.WaitGroup
			var verdict error
			var refused bool
			running.Go(func() { verdict = r.persist(r.admitted(1, "1-0")) })
			running.Go(func() { refused = r.refuse(ledger.Admission{Epoch: 1, StreamID: "1-0"}) })
			running.Wait()
			if refused == (verdict == nil) {
				r.Errorf("refused: %v, and the verdict is %v", refused, verdict)
			}
			r.wantApplied(!refused)
		}
	})
}

// Two workers have one entry of a queue, because the first has stalled and lost its lock. What one refuses, the other does not
// apply afterwards, though it would fit by then.
func TestWorkersAgree(t *testing.T) {
	withRefusals(t, func(r refusals) {
		r.change.Moves[0].Open.Opening = 0
		entry := []ledger.Admitted{r.admitted(1, "1-0")}
		work := func() error {
			verdicts := make([]error, 1)
			if _, err := r.ledger.ApplyInOrder(r.Context(), lockprovider.Queue, entry, []int{0}, verdicts); err != nil {
				r.Fatal(err)
			}
			return verdicts[0]
		}
		if err := work(); !errors.Is(err, lockprovider.ErrInsufficient) {
			r.Fatalf("the first worker: %v, want a refusal", err)
		}
		r.change.Moves[0].Open.Opening = 1 // as if somebody had given one back
		entry = []ledger.Admitted{r.admitted(1, "1-0")}
		if err := work(); !errors.Is(err, lockprovider.ErrInsufficient) {
			r.Errorf("the second worker: %v, want the refusal of the first", err)
		}
		r.wantApplied(false)
	})
}

// The fallback refuses a change that Redis has admitted before its outage, and whose caller was not told so. The change is not
// applied when Redis is back, though it would fit: the caller was told that it is refused. If the caller asks again, it is.
func TestWhatTheFallbackRefusesIsNotApplied(t *testing.T) {
	for _, strategy := range []lockprovider.Strategy{lockprovider.Lua, lockprovider.Queue} {
		t.Run(string(strategy), func(t *testing.T) {
			onEachRedis(t, func(e *epochs) { refusedByTheFallback(e, strategy) })
		})
	}
}

func refusedByTheFallback(e *epochs, s lockprovider.Strategy) {
	ctx := bounded(e.T)
	p := e.join(s, lockprovider.RowLock)
	add, take := e.change(), e.change()
	take.Moves[0].Delta = -1
	for _, c := range []lockprovider.Change{add, take} {
		if tickets, ok := lockprovider.As[lockprovider.Ticketer](p.For(lockprovider.Stock)); ok {
			if _, err := tickets.Enter(ctx, c, time.Hour); err != nil {
				e.Fatal(err)
			}
		} else if _, err := p.For(lockprovider.Stock).Execute(ctx, c); err != nil {
			e.Fatal(err)
		}
	}
	if err := lockprovider.FallBack(ctx, p.Providers, lockprovider.Stock); err != nil {
		e.Fatal(err)
	}
	if _, err := p.For(lockprovider.Stock).Execute(ctx, take); lockprovider.EffectOf(err) != lockprovider.EffectRefused {
		e.Fatalf("the fallback says %v, want a refusal", err)
	}
	if err := lockprovider.Return(ctx, p.Providers, lockprovider.Stock); err != nil {
		e.Fatal(err)
	}
	e.checkApplied([]lockprovider.Change{add})
	if _, found, err := e.ledger.Replay(ctx, take); found || err != nil {
		e.Errorf("what was refused is applied: %v, %v", found, err)
	}
	running, stop := context.WithCancel(ctx)
	var background sync.WaitGroup
	background.Go(func() { p.Run(running) })
	defer background.Wait()
	defer stop()
	take.Confirm = true
	if _, err := p.For(lockprovider.Stock).Execute(ctx, take); err != nil {
		e.Errorf("asked again: %v", err)
	}
	e.checkApplied([]lockprovider.Change{take})
}

// An instance is still served by its fallback, while others have gone back to Redis under an epoch that it has not heard of. It
// does not refuse what Redis has admitted there, and leaves the decision about all else to Redis.
func TestALateFallbackLeavesTheDecisionToRedis(t *testing.T) {
	onEachRedis(t, func(e *epochs) {
		ctx := bounded(e.T)
		late, p := e.join(lockprovider.Lua, lockprovider.RowLock), e.join(lockprovider.Lua, lockprovider.RowLock)
		for _, instance := range []member{late, p} {
			if err := lockprovider.FallBack(ctx, instance.Providers, lockprovider.Stock); err != nil {
				e.Fatal(err)
			}
		}
		if err := lockprovider.Return(ctx, p.Providers, lockprovider.Stock); err != nil {
			e.Fatal(err)
		}
		add, take, next := e.change(), e.change(), e.change()
		take.Moves[0].Delta, next.Moves[0].Delta = -1, -1
		for _, c := range []lockprovider.Change{add, take} {
			if _, err := p.For(lockprovider.Stock).Execute(ctx, c); err != nil {
				e.Fatal(err)
			}
		}
		running, stop := context.WithCancel(ctx)
		var background sync.WaitGroup
		background.Go(func() { p.Run(running) })
		defer background.Wait()
		defer stop()
		if _, err := late.For(lockprovider.Stock).Execute(ctx, take); err != nil {
			e.Errorf("a repeat of what redis has admitted: %v", err)
		}
		if _, err := late.For(lockprovider.Stock).Execute(ctx, next); lockprovider.EffectOf(err) != lockprovider.EffectRefused {
			e.Errorf("what does not fit: %v, want a refusal", err)
		}
		if _, err := p.For(lockprovider.Stock).Execute(ctx, e.change()); err != nil { // one more to take
			e.Fatal(err)
		}
		next.Confirm = true
		if _, err := p.For(lockprovider.Stock).Execute(ctx, next); err != nil {
			e.Errorf("asked again, in the same epoch: %v", err)
		}
		e.checkApplied([]lockprovider.Change{add, take, next})
	})
}

// endsInALook is a context that ends with the first look at it after the change was tried.
type endsInALook struct {
	context.Context

	end   context.CancelFunc
	tried bool
}

func (c *endsInALook) Err() error {
	err := c.Context.Err()
	if c.tried {
		c.end()
	}
	return err
}

// TestEndBeforeTheLook: a change fails, and its time is over before the database can be asked whether it is a repeat of one that was applied. Then
// what became of it is unknown, whatever the failure: a refusal may be wrong, and a row that is in the way may be that of the change itself.
func TestEndBeforeTheLook(t *testing.T) {
	withRefusals(t, func(r refusals) {
		client := r.ledger.Ent().User
		if err := client.Create().SetID("twice").SetName("").Exec(r.Context()); err != nil {
			r.Fatal(err)
		}
		inTheWay := client.Create().SetID("twice").SetName("").Exec(r.Context())
		for name, failure := range map[string]error{
			"a row in the way": inTheWay,
			"a refusal":        &lockprovider.Refused{Refusals: []lockprovider.Refusal{{Reason: lockprovider.ErrInsufficient}}},
		} {
			ended, end := context.WithCancel(r.Context())
			ctx := &endsInALook{Context: ended, end: end}
			_, err := r.ledger.Once(ctx, r.change, func(context.Context) (lockprovider.Receipt, error) {
				ctx.tried = true
				return lockprovider.Receipt{}, failure
			})
			if !errors.Is(err, lockprovider.ErrUnknown) && !errors.Is(err, context.Canceled) {
				r.Errorf("after %s: %v, want it unknown, or the end of the request", name, err)
			}
		}
	})
}

// TestRedisGoesAgainBeforeTheReturn has Redis go away again and again after an instance has said that the family goes back, and before any
// has done so: the fallback decides, refuses included, and nothing that Redis had admitted is lost when it stays.
func TestRedisGoesAgainBeforeTheReturn(t *testing.T) {
	redis := testenv.Redis(t, "--appendonly", "yes", "--appendfsync", "always")
	e := newEpochs(t, "sqlite://:memory:", redisKind{"redis", func(testing.TB) ([]string, func()) { return []string{redis.URL}, nil }})
	ctx := bounded(t)
	p, other := e.join(lockprovider.Lua, lockprovider.RowLock), e.join(lockprovider.Lua, lockprovider.RowLock)
	applied := []lockprovider.Change{e.change()}
	if _, err := p.For(lockprovider.Stock).Execute(ctx, applied[0]); err != nil { // nobody persists it before the return
		t.Fatal(err)
	}
	e.must(redis.Kill())
	for range 20 {
		e.must(lockprovider.FallBack(ctx, p.Providers, lockprovider.Stock))
		e.must(lockprovider.Follow(ctx, other.Providers, lockprovider.Stock))
		_ = lockprovider.Return(ctx, other.Providers, lockprovider.Stock) // it cannot, since redis is away
		add, take := e.change(), e.change()
		take.Moves[0].Delta = -1000
		if _, err := p.For(lockprovider.Stock).Execute(ctx, add); err != nil {
			t.Fatal(err)
		}
		applied = append(applied, add)
		for {
			_, err := p.For(lockprovider.Stock).Execute(ctx, take)
			if lockprovider.EffectOf(err) == lockprovider.EffectRefused {
				break
			}
			if ctx.Err() != nil {
				t.Fatalf("the fallback does not refuse what does not fit: %v", err)
			}
		}
	}
	e.must(redis.Restart())
	last := e.join(lockprovider.Lua, lockprovider.RowLock) // those before have not survived the outage
	e.must(last.EndEarlier(ctx))
	e.must(lockprovider.Follow(ctx, last.Providers, lockprovider.Stock))
	if err := lockprovider.Return(ctx, last.Providers, lockprovider.Stock); err != nil {
		e.Fatal(err)
	}
	e.checkApplied(applied)
}

// TestLimitAcrossAFallback: what a limit allows is taken in Redis, and not persisted when Redis goes away; the fallback gives it once more. The
// database refuses what Redis had admitted.
func TestLimitAcrossAFallback(t *testing.T) {
	onEachRedis(t, func(e *epochs) {
		ctx, limit := bounded(e.T), int64(3)
		p := e.join(lockprovider.Lua, lockprovider.RowLock)
		take := func() lockprovider.Change {
			c := e.change()
			c.Moves[0] = lockprovider.Move{
				Balance: lockprovider.BuyerKey("prod_1", "user_1", ""), Delta: 2, Limit: &limit, Open: &lockprovider.Bounds{Ceiling: lockprovider.MaxAmount},
			}
			return c
		}
		inRedis, inDatabase := take(), take()
		other := take() // of another customer, in the same batch of the persister
		other.Moves[0].Balance = lockprovider.BuyerKey("prod_1", "user_2", "")
		for _, c := range []lockprovider.Change{inRedis, other} {
			_, err := p.For(lockprovider.Stock).Execute(ctx, c)
			e.must(err)
		}
		e.must(lockprovider.FallBack(ctx, p.Providers, lockprovider.Stock))
		_, err := p.For(lockprovider.Stock).Execute(ctx, inDatabase)
		e.must(err)
		e.must(lockprovider.Return(ctx, p.Providers, lockprovider.Stock))
		e.checkApplied([]lockprovider.Change{inDatabase, other})
		if _, found, err := e.ledger.Replay(ctx, inRedis); found || err != nil {
			e.Errorf("a customer has taken 4 of 3: %v, %v", found, err)
		}
	})
}

func (e *epochs) must(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}
