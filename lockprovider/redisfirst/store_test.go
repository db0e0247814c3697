package redisfirst_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"holdfast/clients"
	"holdfast/internal/testenv"
	"holdfast/lockprovider/ledger"
	"holdfast/lockprovider/redisfirst"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const family ledger.Family = "STOCK"

var settings = redisfirst.StoreSettings{Backlog: 100, Remember: time.Hour}

func openRedis(t *testing.T) redis.UniversalClient {
	t.Helper()
	server, err := clients.OpenRedis(t.Context(), clients.RedisOptions{URL: clients.EmbeddedRedis})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server.Client
}

// prime has a store create balances from a database that says what is given.
func prime(t *testing.T, s *redisfirst.Store, levels map[string]ledger.Level) (created, inFlight int, err error) {
	t.Helper()
	return s.Prime(t.Context(), slices.Collect(maps.Keys(levels)), func(context.Context, []string) (map[string]ledger.Level, error) {
		return levels, nil
	})
}

// admit has a store admit a change of balances that it does not hold yet.
func admit(t *testing.T, s *redisfirst.Store, moves ...ledger.Move) ledger.Change {
	t.Helper()
	levels := map[string]ledger.Level{}
	for _, m := range moves {
		levels[m.Balance] = ledger.Level{Amount: 10, Ceiling: 100}
	}
	if _, _, err := prime(t, s, levels); err != nil {
		t.Fatal(err)
	}
	c := ledger.Change{
		ID: uuid.New(), Family: family, Moves: moves,
		Record: ledger.Record{Kind: "test", Payload: json.RawMessage(`{"n":1}`), Fingerprint: "x"},
	}
	if _, err := s.Admit(t.Context(), c, ""); err != nil {
		t.Fatal(err)
	}
	return c
}

// switchDuring begins another epoch of a store right after Redis has run a command of the given name.
type switchDuring struct {
	command string
	store   *redisfirst.Store
	epoch   int64
}

func (h switchDuring) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h switchDuring) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (h switchDuring) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if cmd.Name() == h.command {
			h.store.BeginEpoch(h.epoch)
		}
		return err
	}
}

// A command of a store is about one epoch, whichever begins meanwhile.
func TestAnEpochBeginsDuringACommand(t *testing.T) {
	t.Parallel()
	const balance = "stock:product:a"
	move := ledger.Move{Balance: balance, Delta: -3}

	t.Run("InFlight", func(t *testing.T) {
		t.Parallel()
		client := openRedis(t)
		store := redisfirst.NewStore(client, family, 9, "here", settings) // the name of epoch 10 is longer
		admit(t, store, move)
		client.AddHook(switchDuring{"hgetall", store, 10})
		inFlight, err := store.InFlight(t.Context())
		if want := map[string]int{balance: 1}; err != nil || !maps.Equal(inFlight, want) {
			t.Errorf("%v, %v, want %v", inFlight, err, want)
		}
	})

	t.Run("Outcome", func(t *testing.T) {
		t.Parallel()
		client := openRedis(t)
		store := redisfirst.NewStore(client, family, 9, "here", settings)
		c := admit(t, store, move)
		client.AddHook(switchDuring{"hmget", store, 10})
		outcome, err := store.Outcome(t.Context(), c.ID)
		if err != nil || outcome.State != redisfirst.OutcomeAdmitted || string(outcome.Payload) != `{"n":1}` {
			t.Errorf("%+v, %v, want it admitted, with its payload", outcome, err)
		}
	})
}

// What an epoch has admitted is confirmed and taken back in that epoch, whichever is active by then.
func TestChangesKeepTheirEpoch(t *testing.T) {
	t.Parallel()
	client := openRedis(t)
	store := redisfirst.NewStore(client, family, 1, "here", settings)
	earlier := redisfirst.NewStore(client, family, 1, "observer", settings) // stays in epoch 1
	if err := store.OpenGroup(t.Context()); err != nil {
		t.Fatal(err)
	}
	confirmed := admit(t, store, ledger.Move{Balance: "stock:product:a", Delta: -3})
	refused := admit(t, store, ledger.Move{Balance: "stock:product:b", Delta: -3})
	batch, err := store.Read(t.Context(), "here", 10, -1)
	if err != nil || len(batch) != 2 || batch[0].Change.ID != confirmed.ID || batch[1].Change.ID != refused.ID {
		t.Fatalf("read %+v, %v", batch, err)
	}
	store.BeginEpoch(2)
	if err := store.Done(t.Context(), batch[:1]); err != nil {
		t.Error(err)
	}
	if err := store.Undo(t.Context(), batch[1], &ledger.Rejected{Code: "X", Message: "no"}); err != nil {
		t.Error(err)
	}
	if n, err := earlier.Backlog(t.Context()); err != nil || n != 0 {
		t.Errorf("%d changes wait, %v, want none", n, err)
	}
	levels, err := earlier.Levels(t.Context(), []string{"stock:product:a", "stock:product:b"})
	if err != nil || levels["stock:product:a"].Amount != 7 || levels["stock:product:b"].Amount != 10 {
		t.Errorf("balances %+v, %v, want 7 and 10", levels, err)
	}
	if outcome, err := earlier.Outcome(t.Context(), refused.ID); err != nil || outcome.State != redisfirst.OutcomeFailed {
		t.Errorf("outcome %+v, %v, want it failed", outcome, err)
	}
	if used, err := store.Used(t.Context()); used || err != nil {
		t.Errorf("epoch 2 is used: %t, %v", used, err)
	}
}

// A closed epoch admits nothing more, not even from an instance that has not heard of it, and is opened by nobody again.
func TestAClosedEpochAdmitsNothing(t *testing.T) {
	t.Parallel()
	client := openRedis(t)
	ended := redisfirst.NewStore(client, family, 1, "here", settings)
	c := admit(t, ended, ledger.Move{Balance: "stock:product:a", Delta: -3})
	if err := redisfirst.NewStore(client, family, 1, "another", settings).Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	late := c
	late.ID = uuid.New()
	if _, err := ended.Admit(t.Context(), late, ""); !errors.Is(err, redisfirst.ErrClosed) || !errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("admitted late: %v, want ErrClosed", err)
	}
	level := map[string]ledger.Level{"stock:product:b": {Amount: 1, Ceiling: 10}}
	if _, _, err := prime(t, ended, level); !errors.Is(err, redisfirst.ErrClosed) {
		t.Errorf("primed late: %v, want ErrClosed", err)
	}
	if n, err := ended.Backlog(t.Context()); err != nil || n != 1 {
		t.Errorf("%d changes wait, %v, want the one from before", n, err)
	}
	queue := redisfirst.NewQueue(client, family, 1, "here", redisfirst.QueueSettings{Length: 10, Remember: time.Hour})
	if _, err := queue.Join(t.Context(), c, 0, ""); err != nil {
		t.Fatal(err)
	}
	if err := queue.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := queue.Join(t.Context(), late, 0, ""); !errors.Is(err, redisfirst.ErrClosed) {
		t.Errorf("joined late: %v, want ErrClosed", err)
	}
}

// An emptied Redis opens the current epoch again, and no other.
func TestAnEmptiedRedisOpensTheCurrentEpoch(t *testing.T) {
	t.Parallel()
	client := openRedis(t)
	current := int64(1)
	store := redisfirst.NewStore(client, family, 1, "here", settings)
	store.OpenWith(func(ctx context.Context, epoch int64, do func(context.Context, bool) error) error {
		if epoch != current {
			return redisfirst.ErrClosed
		}
		return do(ctx, true)
	})
	level := map[string]ledger.Level{"stock:product:a": {Amount: 10, Ceiling: 10}}
	for _, want := range []error{nil, redisfirst.ErrClosed} {
		if err := client.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := prime(t, store, level); !errors.Is(err, want) {
			t.Errorf("epoch %d is current: %v, want %v", current, err, want)
		}
		current++
	}
}

// Redis loses a balance while a change of it is in flight. The change is committed, and forgotten in Redis, while another
// process creates the balance again from what the database said before. That balance would lack the change.
func TestPrimeBesideACommit(t *testing.T) {
	t.Parallel()
	client := openRedis(t)
	store := redisfirst.NewStore(client, family, 1, "here", settings)
	if err := store.OpenGroup(t.Context()); err != nil {
		t.Fatal(err)
	}
	const balance = "stock:product:a"
	admit(t, store, ledger.Move{Balance: balance, Delta: -3})
	if n, err := client.Del(t.Context(), "{holdfast:stock:1}:balance:"+balance).Result(); err != nil || n != 1 {
		t.Fatalf("lost %d balances, %v", n, err)
	}
	database := ledger.Level{Amount: 10, Ceiling: 100}
	commit := func() {
		entries, err := store.Read(t.Context(), "here", 10, -1)
		if err != nil || len(entries) != 1 {
			t.Fatalf("%v, %v, want the change", entries, err)
		}
		database.Amount, database.Seq = 7, 1
		if err := store.Done(t.Context(), entries); err != nil {
			t.Fatal(err)
		}
	}
	create := func(beside func()) {
		_, _, err := store.Prime(t.Context(), []string{balance}, func(context.Context, []string) (map[string]ledger.Level, error) {
			read := map[string]ledger.Level{balance: database}
			beside()
			return read, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	create(commit)
	if database.Seq == 0 { // it was not read while the change was in flight
		commit()
	}
	create(func() {})
	levels, err := store.Levels(t.Context(), []string{balance})
	if err != nil || levels[balance] != database {
		t.Errorf("redis says %+v, %v; the database %+v", levels, err, database)
	}
}

// Customers who find that Redis was emptied have the epoch opened once, and not each for himself: that locks a row.
func TestAnEpochIsOpenedTogether(t *testing.T) {
	t.Parallel()
	client := openRedis(t)
	store := redisfirst.NewStore(client, family, 1, "here", settings)
	const customers = 20
	var asked atomic.Int64
	turnedAway := make(chan struct{}, customers)
	client.AddHook(afterScript(func() { turnedAway <- struct{}{} }))
	store.OpenWith(func(ctx context.Context, _ int64, do func(context.Context, bool) error) error {
		if asked.Add(1) == 1 {
			for range customers {
				<-turnedAway
			}
		}
		return do(ctx, true)
	})
	var running sync.WaitGroup
	for range customers {
		running.Go(func() {
			c := ledger.Change{
				ID: uuid.New(), Family: family, Moves: []ledger.Move{{Balance: "stock:product:a", Delta: -1}},
				Record: ledger.Record{Kind: "test", Payload: json.RawMessage("{}"), Fingerprint: "x"},
			}
			if _, err := store.Admit(t.Context(), c, ""); !errors.Is(err, redisfirst.ErrMissing) {
				t.Errorf("%v, want ErrMissing", err)
			}
		})
	}
	running.Wait()
	if n := asked.Load(); n > customers/2 { // one that comes late asks again
		t.Errorf("the database was asked %d times whether the epoch is current, by %d customers", n, customers)
	}
}

// TestAnEpochThatIsNotOpenedInTime: the stores take too long to open an epoch. That is not the end of the customer's own time.
func TestAnEpochThatIsNotOpenedInTime(t *testing.T) {
	t.Parallel()
	store := redisfirst.NewStore(openRedis(t), family, 1, "here", settings)
	store.OpenWith(func(ctx context.Context, _ int64, _ func(context.Context, bool) error) error {
		<-ctx.Done()
		return ctx.Err()
	})
	c := ledger.Change{
		ID: uuid.New(), Family: family, Moves: []ledger.Move{{Balance: "stock:product:a", Delta: -1}},
		Record: ledger.Record{Kind: "test", Payload: json.RawMessage("{}"), Fingerprint: "x"},
	}
	if _, err := store.Admit(t.Context(), c, ""); !errors.Is(err, ledger.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want ErrUnavailable", err)
	}
}

// afterScript is called after each script that was refused because the epoch is not open.
type afterScript func()

func (f afterScript) DialHook(next redis.DialHook) redis.DialHook { return next }

func (f afterScript) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (f afterScript) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if err != nil && strings.Contains(err.Error(), "CLOSED") {
			f()
		}
		return err
	}
}
