package lockprovider_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/ent"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
	"holdfast/lockprovider/ledger"
)

// grouped is a groupcommit whose next group is collected while a change before it stands still in its transaction.
type grouped struct {
	lockprovider.Provider

	t       *testing.T
	ledger  *lockprovider.Ledger
	balance string
	records sync.Map // of the change's ID to a func(tx) error
}

func newGrouped(t *testing.T, url string, opening int64) *grouped {
	t.Helper()
	g := &grouped{t: t, balance: lockprovider.StockKey(uuid.NewString())}
	db := openDatabase(t, url)
	g.ledger = lockprovider.NewLedger(db.Ent, db.Dialect, g.write, lockprovider.LedgerSettings{TxRetries: 5, CommitTimeout: longEnough})
	families := map[lockprovider.Family]lockprovider.FamilyConfig{}
	for _, f := range lockprovider.Families {
		families[f] = lockprovider.FamilyConfig{
			Strategy: lockprovider.GroupCommit, Settings: lockprovider.Settings{Wait: longEnough, Attempts: 3},
		}
	}
	providers, err := lockprovider.Build(lockprovider.Deps{Ledger: g.ledger}, families)
	if err != nil {
		t.Fatal(err)
	}
	g.Provider = providers.For(lockprovider.Stock)
	tx, err := db.Ent.Tx(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := g.ledger.Open(t.Context(), tx, map[string]lockprovider.Bounds{g.balance: {Opening: opening, Ceiling: 1000}}); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *grouped) write(_ context.Context, tx *ent.Tx, changes []lockprovider.Change) error {
	for _, c := range changes {
		if write, ok := g.records.Load(c.ID); ok {
			if err := write.(func(*ent.Tx) error)(tx); err != nil {
				return err
			}
		}
	}
	return nil
}

func (g *grouped) change(delta int64) lockprovider.Change {
	return lockprovider.Change{
		ID: uuid.New(), Family: lockprovider.Stock, Record: lockprovider.Record{Kind: "test"},
		Moves: []lockprovider.Move{{Balance: g.balance, Delta: delta}},
	}
}

// answer is what the caller of a change was told.
type groupAnswer struct {
	receipt  lockprovider.Receipt
	err      error
	panicked any
}

func (g *grouped) begin(c lockprovider.Change) <-chan groupAnswer {
	answers := make(chan groupAnswer, 1)
	go func() {
		var a groupAnswer
		defer func() {
			a.panicked = recover()
			answers <- a
		}()
		a.receipt, a.err = g.Execute(g.t.Context(), c)
	}()
	return answers
}

// together has changes committed as one group, in their order, and returns what each caller was told. Before the group comes a
// change of 1, whose transaction stands still until all have arrived.
func (g *grouped) together(changes ...lockprovider.Change) []groupAnswer {
	g.t.Helper()
	stopped, resume := make(chan struct{}), make(chan struct{})
	before := g.change(+1)
	var once sync.Once
	g.records.Store(before.ID, func(*ent.Tx) error {
		once.Do(func() {
			close(stopped)
			<-resume
		})
		return nil
	})
	first := g.begin(before)
	receive(g.t, stopped, "the change before the group")
	answers := make([]<-chan groupAnswer, len(changes))
	for i, c := range changes {
		answers[i] = g.begin(c)
		for began := time.Now(); lockprovider.Waiting(g.Provider) != i+1; {
			if time.Since(began) > longEnough {
				g.t.Fatalf("waited %v for change %d to arrive", longEnough, i)
			}
		}
	}
	close(resume)
	if a := receive(g.t, first, "the change before the group"); a.err != nil {
		g.t.Fatal(a.err)
	}
	told := make([]groupAnswer, len(changes))
	for i := range answers {
		told[i] = receive(g.t, answers[i], fmt.Sprintf("the answer to change %d", i))
	}
	return told
}

func receive[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case got := <-from:
		return got
	case <-time.After(longEnough):
		t.Fatalf("waited %v for %s", longEnough, what)
		panic("not reached")
	}
}

func (g *grouped) wantAmount(want int64) {
	g.t.Helper()
	amounts, err := g.ledger.Amounts(g.t.Context(), []string{g.balance})
	if err != nil || amounts[g.balance] != want {
		g.t.Errorf("amounts %v, error %v, want %d", amounts, err, want)
	}
}

// eachGrouped runs a test on each database.
func eachGrouped(t *testing.T, opening int64, test func(*testing.T, *grouped)) {
	t.Helper()
	for _, database := range databases {
		t.Run(database.name, func(t *testing.T) { test(t, newGrouped(t, database.url(t), opening)) })
	}
}

// TestGroupIsCheckedInOrder: a change sees what those before it in the group have left, and a refusal takes nobody along.
func TestGroupIsCheckedInOrder(t *testing.T) {
	eachGrouped(t, 2, func(t *testing.T, g *grouped) { // and 1 from the change before the group
		commits := atomic.Int32{}
		g.ledger.OnCommit(func() { commits.Add(1) })
		told := g.together(g.change(-2), g.change(-2), g.change(+4), g.change(-5), g.change(-1))
		for i, want := range []int64{1, -1, 5, 0, -1} {
			switch a := told[i]; {
			case want < 0:
				if !errors.Is(a.err, lockprovider.ErrInsufficient) {
					t.Errorf("change %d: receipt %+v, error %v, want a refusal", i, a.receipt, a.err)
				}
			case a.err != nil || a.receipt.Balances[g.balance] != want || a.receipt.Attempts != 1:
				t.Errorf("change %d: receipt %+v, error %v, want %d in one attempt", i, a.receipt, a.err, want)
			}
		}
		if n := commits.Load(); n != 2 {
			t.Errorf("%d commits, want one for the change before and one for the group", n)
		}
		g.wantAmount(0)
	})
}

// TestGroupSplits: what one change is to blame for happens to no other, and a repeat has the first result.
func TestGroupSplits(t *testing.T) {
	eachGrouped(t, 100, func(t *testing.T, g *grouped) {
		repeated := g.change(-10)
		first, err := g.Execute(t.Context(), repeated)
		if err != nil {
			t.Fatal(err)
		}
		failure := errors.New("the record cannot be written")
		fails, panics := g.change(-1), g.change(-1)
		g.records.Store(fails.ID, func(*ent.Tx) error { return failure })
		g.records.Store(panics.ID, func(*ent.Tx) error { panic("a defect") })
		told := g.together(g.change(-1), fails, g.change(-1), repeated, g.change(-1000), panics, g.change(-1), repeated)
		for _, i := range []int{0, 2, 6} {
			if told[i].err != nil || told[i].receipt.Replayed {
				t.Errorf("change %d: %+v, want it applied", i, told[i])
			}
		}
		if told[1].err != failure { //nolint:errorlint // as it is, says the contract
			t.Errorf("change 1: error %v, want that of its record", told[1].err)
		}
		for _, i := range []int{3, 7} {
			if a := told[i]; a.err != nil || !a.receipt.Replayed || a.receipt.Balances[g.balance] != first.Balances[g.balance] {
				t.Errorf("change %d: %+v, want the first result %+v", i, a, first)
			}
		}
		if !errors.Is(told[4].err, lockprovider.ErrInsufficient) {
			t.Errorf("change 4: %+v, want a refusal", told[4])
		}
		if told[5].panicked == nil {
			t.Errorf("change 5: %+v, want its panic", told[5])
		}
		g.wantAmount(88)
	})
}

// TestGroupSplitsOverARefusal: a change that was refused before, by a worker of a strategy with Redis, fits by now. The row of
// its refusal is not what a repeat in the same group fails for.
func TestGroupSplitsOverARefusal(t *testing.T) {
	eachGrouped(t, 100, func(t *testing.T, g *grouped) {
		repeated, refused, beside := g.change(-10), g.change(-1), g.change(-1)
		if _, err := g.Execute(t.Context(), repeated); err != nil {
			t.Fatal(err)
		}
		until := ledger.Admission{Epoch: 1}
		if final, err := g.ledger.Refuse(t.Context(), lockprovider.Lua, refused, until, errTooLate); err != nil || !final {
			t.Fatalf("final: %v, error %v", final, err)
		}
		// The first try of the refused change fails for its row, and so does the transaction of the change beside it. That one is then
		// held up until the second try, which removes the row, waits for the next group, and the repeat behind it.
		tries, second := 0, make(chan (<-chan groupAnswer), 1)
		g.records.Store(beside.ID, func(*ent.Tx) error {
			tries++
			if tries != 2 {
				return nil
			}
			for i := range 2 {
				if i == 1 {
					second <- g.begin(repeated)
				}
				for began := time.Now(); lockprovider.Waiting(g.Provider) != i+1; {
					if time.Since(began) > longEnough {
						return fmt.Errorf("waited %v for %d changes to wait", longEnough, i+1)
					}
				}
			}
			return nil
		})
		for i, a := range g.together(refused, beside) {
			if a.err != nil || a.panicked != nil || a.receipt.Replayed {
				t.Errorf("change %d: receipt %+v, error %v, want it applied", i, a.receipt, a.err)
			}
		}
		if a := receive(t, receive(t, second, "the repeat"), "the answer to the repeat"); a.err != nil || !a.receipt.Replayed {
			t.Errorf("the repeat: receipt %+v, error %v, want the first result", a.receipt, a.err)
		}
		g.wantAmount(89)
	})
}

// TestGroupWithoutAnswer: a commit without an answer is unknown for what is in it. What was refused because of that may be sent again.
func TestGroupWithoutAnswer(t *testing.T) {
	eachGrouped(t, 1, func(t *testing.T, g *grouped) {
		takes := g.change(-2)
		var lost atomic.Bool
		g.records.Store(takes.ID, func(tx *ent.Tx) error {
			tx.OnCommit(func(next ent.Committer) ent.Committer {
				return ent.CommitFunc(func(ctx context.Context, tx *ent.Tx) error {
					if lost.Swap(true) {
						return next.Commit(ctx, tx)
					}
					return errors.Join(io.ErrUnexpectedEOF, tx.Rollback())
				})
			})
			return nil
		})
		late := g.change(-1)
		told := g.together(takes, late)
		if lockprovider.EffectOf(told[0].err) != lockprovider.EffectUnknown {
			t.Errorf("error %v, want one of an unknown outcome", told[0].err)
		}
		if lockprovider.EffectOf(told[1].err) != lockprovider.EffectNotStarted || !lockprovider.Retryable(told[1].err) {
			t.Errorf("error %v, want one that asks for a repeat, since nothing was taken", told[1].err)
		}
		if _, err := g.Execute(t.Context(), late); err != nil {
			t.Errorf("the repeat: %v", err)
		}
		g.wantAmount(1)
	})
}

// TestLargestGroupLocksInKeyOrder: MariaDB reads the balances of the largest group along their key. It makes a longer list of keys a
// table, and then locks the rows in an order of its own.
func TestLargestGroupLocksInKeyOrder(t *testing.T) {
	tx, err := openDatabase(t, testenv.MariaDB(t)).Ent.Tx(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback() })
	steps := func(keys int) (n int) {
		t.Helper()
		list := make([]any, keys)
		for i := range list {
			list[i] = lockprovider.StockKey(uuid.NewString())
		}
		plan, err := tx.QueryContext(t.Context(),
			"EXPLAIN SELECT * FROM balances WHERE id IN (?"+strings.Repeat(", ?", keys-1)+") ORDER BY id FOR UPDATE", list...)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = plan.Close() }()
		for plan.Next() {
			n++
		}
		if err := plan.Err(); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := steps(lockprovider.MostMoves); n != 1 {
		t.Errorf("%d steps for the keys of the largest group, want one that reads balances", n)
	}
	if n := steps(lockprovider.MostMoves + 1); n == 1 {
		t.Error("one key more is read along the key as well: groups may be larger")
	}
}

// TestGroupBacklog: more than the backlog allows are refused at once, and may come again.
func TestGroupBacklog(t *testing.T) {
	g := newGrouped(t, "sqlite://:memory:", 0)
	lockprovider.LimitBacklog(g.Provider, 2)
	stopped, resume := make(chan struct{}), make(chan struct{})
	before := g.change(+1)
	g.records.Store(before.ID, func(*ent.Tx) error {
		close(stopped)
		<-resume
		return nil
	})
	answers := []<-chan groupAnswer{g.begin(before)}
	receive(t, stopped, "the change before")
	for i := range 2 {
		answers = append(answers, g.begin(g.change(+1)))
		for began := time.Now(); lockprovider.Waiting(g.Provider) != i+1; {
			if time.Since(began) > longEnough {
				t.Fatalf("waited %v for change %d to arrive", longEnough, i)
			}
		}
	}
	late := g.change(+1)
	if _, err := g.Execute(t.Context(), late); !errors.Is(err, lockprovider.ErrLockTimeout) {
		t.Errorf("error %v, want ErrLockTimeout", err)
	}
	close(resume)
	for _, a := range answers {
		if told := receive(t, a, "an answer"); told.err != nil {
			t.Error(told.err)
		}
	}
	if _, err := g.Execute(t.Context(), late); err != nil {
		t.Errorf("the repeat: %v", err)
	}
	g.wantAmount(4)
}
