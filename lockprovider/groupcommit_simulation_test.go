package lockprovider

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"holdfast/ent"
	"holdfast/lockprovider/ledger"
)

var (
	simulations = flag.Int("simulations", 300, "how many runs of the committers of groupcommit are simulated")
	simulated   = flag.Uint64("simulation", 0, "simulate this run alone")
)

// TestCommitterSimulation runs committers on a clock of their own, with a database that is a model: callers come and go, changes do
// not fit, transactions wait for locks, are aborted, fail because of one change, and commit without an answer. Then
//
//   - each caller has one answer, and it is true: applied, not applied, or unknown;
//   - a caller who has waited too long is answered at once, or at the end of the transaction that then holds the change's locks;
//   - what one change is to blame for happens to no other;
//   - a committer commits in the order of arrival, and begins at once whenever there is anything to commit;
//   - a transaction whose callers have all gone is not committed;
//   - no more wait than the backlog allows, and nothing is left behind.
func TestCommitterSimulation(t *testing.T) {
	first, last := uint64(1), uint64(*simulations)
	if *simulated != 0 {
		first, last = *simulated, *simulated
	}
	seen := map[string]int{}
	for seed := first; seed <= last; seed++ {
		w := simulateCommitters(t, seed)
		for what, n := range w.seen {
			seen[what] += n
		}
		for _, failure := range w.failures {
			t.Error(failure)
		}
		if t.Failed() {
			t.Fatalf("again: go test ./lockprovider -run TestCommitterSimulation -simulation %d", seed)
		}
	}
	if *simulated != 0 {
		return
	}
	for _, what := range []string{
		"applied", "applied for a caller who has gone", "applied with others", "refused", "taken back", "left a transaction", "poisoned",
		"aborted alone", "repeated", "unknown and applied", "unknown and not applied", "not decided since another is unknown", "backlog full",
	} {
		if seen[what] == 0 {
			t.Errorf("in no run: %s; all were %v", what, seen)
		}
	}
}

// committerWorld is one simulated run: the committers of a process, and their database.
type committerWorld struct {
	random  *rand.Rand // guarded by mu
	backlog *backlog

	mu       sync.Mutex
	failures []string
	seen     map[string]int
	amounts  map[string]int64
	rows     map[string]chan struct{} // the lock of a balance: who has put something into it has it
	applied  map[uuid.UUID]int
	told     map[uuid.UUID]int          // callers who were told that it is
	callers  map[int64]*simulatedCaller // by the time of arrival: each has one of its own
	lines    []*simulatedLine
}

// simulatedLine is what is seen of one committer.
type simulatedLine struct {
	committer *committer
	idleSince time.Time // the end of the last transaction, or look into the change log
	latest    time.Time // the arrival of the change that was committed last
}

type simulatedCaller struct {
	change  Change
	arrived time.Time
	ends    time.Time // when ctx does
	poison  bool
	repeat  bool
	free    time.Time // since when it is in no transaction that holds its locks
}

var (
	errPoisoned  = errors.New("the record cannot be written")
	errDuplicate = fmt.Errorf("duplicate key: %w", &ent.ConstraintError{})
)

func (w *committerWorld) fail(format string, args ...any) {
	w.failures = append(w.failures, fmt.Sprintf(format, args...))
}

func (w *committerWorld) chance(percent int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.random.IntN(100) < percent
}

func (w *committerWorld) upTo(d time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Duration(w.random.Int64N(int64(d))) + 1
}

func simulateCommitters(t *testing.T, seed uint64) *committerWorld {
	t.Helper()
	w := &committerWorld{
		random: rand.New(rand.NewPCG(seed, 0)), backlog: &backlog{size: 12}, seen: map[string]int{}, amounts: map[string]int64{},
		rows: map[string]chan struct{}{}, applied: map[uuid.UUID]int{}, told: map[uuid.UUID]int{}, callers: map[int64]*simulatedCaller{},
	}
	synctest.Test(t, func(*testing.T) {
		for range 2 {
			line := &simulatedLine{}
			c := &committer{size: 5, backlog: w.backlog}
			c.logged = func(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]int64, error) {
				return w.logged(ctx, line, ids)
			}
			c.transact = func(ctx context.Context, group []*member) ([]*member, Receipt, error) {
				return w.transact(ctx, line, group)
			}
			line.committer = c
			w.lines = append(w.lines, line)
		}
		balances := []string{"account:a", "account:b", "account:c"}
		for _, b := range balances {
			w.amounts[b], w.rows[b] = int64(w.random.IntN(8)), make(chan struct{}, 1)
		}
		var calls sync.WaitGroup
		var before *simulatedCaller
		for range 40 {
			time.Sleep(w.upTo(2 * time.Millisecond)) // each comes at a time of its own
			caller := w.arrive(balances, before)
			before = caller
			calls.Go(func() { w.call(caller) })
		}
		calls.Wait()
		synctest.Wait()
		w.atRest()
	})
	return w
}

// arrive makes the caller who comes now, with a change of one or two balances, or with the change of the one before.
func (w *committerWorld) arrive(balances []string, before *simulatedCaller) *simulatedCaller {
	w.mu.Lock()
	defer w.mu.Unlock()
	patience := time.Duration(1+w.random.IntN(30)) * time.Millisecond
	caller := &simulatedCaller{arrived: time.Now(), ends: time.Now().Add(patience), poison: w.random.IntN(12) == 0}
	w.callers[caller.arrived.UnixNano()] = caller
	if before != nil && !before.repeat && w.random.IntN(12) == 0 {
		caller.change, caller.repeat, caller.poison = before.change, true, before.poison
		return caller
	}
	first := w.random.IntN(len(balances))
	moves := []Move{{Balance: balances[first], Delta: int64(w.random.IntN(5) - 3)}}
	if second := w.random.IntN(len(balances)); second > first {
		moves = append(moves, Move{Balance: balances[second], Delta: int64(w.random.IntN(5) - 3)})
	}
	var id uuid.UUID
	for i := range id {
		id[i] = byte(w.random.Uint32())
	}
	caller.change = Change{ID: id, Family: Accounts, Moves: moves}
	return caller
}

// lineOf returns the committer of a change, by its first balance.
func (w *committerWorld) lineOf(c Change) *simulatedLine {
	if c.Moves[0].Balance == "account:a" {
		return w.lines[0]
	}
	return w.lines[1]
}

func (w *committerWorld) callerOf(m *member) *simulatedCaller { return w.callers[m.arrived.UnixNano()] }

// call executes a change and compares the answer with what the database has when all is over.
func (w *committerWorld) call(caller *simulatedCaller) {
	ctx, cancel := context.WithDeadlineCause(context.Background(), caller.ends, ErrLockTimeout)
	defer cancel()
	line := w.lineOf(caller.change)
	_, err := line.committer.execute(ctx, caller.change)
	answered := time.Now()

	w.mu.Lock()
	defer w.mu.Unlock()
	applied, what := w.applied[caller.change.ID], ""
	refused := (*Refused)(nil)
	switch {
	case err == nil:
		what = "applied"
		w.told[caller.change.ID]++
		if applied != 1 || w.told[caller.change.ID] != 1 {
			w.fail("applied %d times, and told so %d times", applied, w.told[caller.change.ID])
		}
		if answered.After(caller.ends) {
			what = "applied for a caller who has gone"
		}
	case errors.Is(err, ErrUnknown):
		if what = "unknown and not applied"; applied > 0 {
			what = "unknown and applied"
		}
	case errors.Is(err, errDuplicate):
		what = "repeated"
		if applied != 1 {
			w.fail("told that it is a repeat, but it is applied %d times", applied)
		}
	case errors.As(err, &refused):
		what = "refused"
	case errors.Is(err, errPoisoned):
		what = "poisoned"
		if !caller.poison {
			w.fail("the record of another change is told to %s", caller.change.ID)
		}
	case errors.Is(err, ErrConflict):
		what = "aborted alone"
	case errors.Is(err, ErrUnavailable):
		what = "not decided since another is unknown"
	case errors.Is(err, ErrLockTimeout) && answered.Before(caller.ends):
		what = "backlog full"
		if !answered.Equal(caller.arrived) {
			w.fail("told %v after its arrival that the backlog is full", answered.Sub(caller.arrived))
		}
	case errors.Is(err, ErrLockTimeout):
		if what = "taken back"; caller.free.After(caller.ends) {
			what = "left a transaction"
		}
	default:
		w.fail("error %v", err)
	}
	if answered.After(caller.ends) && answered.After(caller.free) {
		w.fail("answered %v after its wait had ended, and %v after its transaction", answered.Sub(caller.ends), answered.Sub(caller.free))
	}
	if err != nil && !caller.repeat && applied > 0 && !errors.Is(err, ErrUnknown) {
		w.fail("told %v, but it is applied", err)
	}
	if applied > 1 {
		w.fail("applied %d times", applied)
	}
	w.seen[what]++
}

func (w *committerWorld) logged(ctx context.Context, line *simulatedLine, ids []uuid.UUID) (map[uuid.UUID]int64, error) {
	defer func() { line.idleSince = time.Now() }()
	if !pause(ctx, w.upTo(20*time.Millisecond)) {
		return nil, ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	rowOf := map[uuid.UUID]int64{}
	for _, id := range ids {
		if w.applied[id] > 0 {
			rowOf[id] = 1
		}
	}
	return rowOf, nil
}

// transact is the transaction of a committer, in the model of a database.
func (w *committerWorld) transact(ctx context.Context, line *simulatedLine, group []*member) (in []*member, receipt Receipt, err error) {
	w.checkBegin(line, group)
	defer func() { line.idleSince = time.Now() }()
	in = group
	for range 3 {
		receipt.Attempts++
		in, err = w.attempt(ctx, line, group)
		if !errors.Is(err, errAborted) {
			return in, receipt, err
		}
	}
	return in, receipt, fmt.Errorf("%w: %w", ErrConflict, err)
}

var errAborted = errors.New("deadlock")

// checkBegin: nobody has waited for anything but the transaction before.
func (w *committerWorld) checkBegin(line *simulatedLine, group []*member) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ids := map[uuid.UUID]bool{}
	due := line.idleSince
	for i, m := range group {
		if ids[m.change.ID] {
			w.fail("a change and its repeat are in one group")
		}
		ids[m.change.ID] = true
		if i == 0 && m.arrived.After(due) {
			due = m.arrived
		}
	}
	if late := time.Since(due); late != 0 {
		w.fail("a transaction began %v after it could", late)
	}
	if n := w.backlog.taken.Load(); n > w.backlog.size {
		w.fail("%d wait, and the backlog has room for %d", n, w.backlog.size)
	}
	if len(group) > line.committer.size {
		w.fail("a group of %d", len(group))
	}
}

// attempt is one try of a transaction: lock, check, write, commit.
func (w *committerWorld) attempt(ctx context.Context, line *simulatedLine, group []*member) (in []*member, err error) {
	in = line.committer.reopen(group)
	var held []string
	defer func() {
		for _, b := range held {
			<-w.rows[b]
		}
	}()
	for i, b := range balancesOf(in) {
		select {
		case w.rows[b] <- struct{}{}:
			held = append(held, b)
		case <-ctx.Done():
			return in, ctx.Err()
		}
		if w.chance(10) && i == 0 && !pause(ctx, w.upTo(40*time.Millisecond)) { // another process has the next one
			return in, ctx.Err()
		}
	}
	in = line.committer.seal(in)
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, m := range in {
			w.callerOf(m).free = time.Now()
		}
	}()
	blame := w.check(in)
	takes := w.upTo(time.Millisecond)
	if w.chance(15) {
		takes = w.upTo(40 * time.Millisecond)
	}
	switch {
	case !pause(ctx, takes):
		return in, ctx.Err()
	case w.chance(10):
		return in, errAborted
	case blame != nil:
		return in, blame
	}
	return in, w.commit(line, in)
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// check checks changes one after another, and returns what keeps the database from taking them.
func (w *committerWorld) check(in []*member) (blame error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	left := map[string]ledger.Balance{}
	for b, amount := range w.amounts {
		left[b] = ledger.Balance{Amount: amount, Ceiling: 10}
	}
	for _, m := range in {
		caller := w.callerOf(m)
		var read []ledger.Balance
		for _, move := range m.change.Moves {
			read = append(read, left[move.Balance])
		}
		after, err := ledger.Check(read, m.change.Moves)
		if m.err = err; err != nil {
			continue
		}
		for i, move := range m.change.Moves {
			b := left[move.Balance]
			b.Amount = after[i]
			left[move.Balance] = b
		}
		switch {
		case w.applied[m.change.ID] > 0:
			blame = errDuplicate
		case caller.poison && blame == nil:
			blame = errPoisoned
		}
	}
	return blame
}

// commit commits what fits. From its beginning, the end of a context changes nothing.
func (w *committerWorld) commit(line *simulatedLine, in []*member) error {
	var fit []*member
	for _, m := range in {
		if m.err == nil {
			fit = append(fit, m)
		}
	}
	if fit == nil {
		return errNothingFits
	}
	lost, committed := w.chance(8), w.chance(50)
	time.Sleep(w.upTo(4 * time.Millisecond))
	w.mu.Lock()
	defer w.mu.Unlock()
	if !lost || committed {
		for _, m := range fit {
			w.applied[m.change.ID]++
			for _, move := range m.change.Moves {
				w.amounts[move.Balance] += move.Delta
			}
			if w.callerOf(m).repeat {
				continue // a repeat may have waited longer, for its first
			}
			if m.arrived.Before(line.latest) {
				w.fail("a change was committed after one that came later")
			}
			line.latest = m.arrived
		}
		if len(fit) > 1 {
			w.seen["applied with others"]++
		}
	}
	if lost {
		return ledger.Unknown("commit", errors.New("no answer"))
	}
	return nil
}

// atRest: when all callers have been answered, nothing is left.
func (w *committerWorld) atRest() {
	for i, line := range w.lines {
		if c := line.committer; c.isRunning || c.queue.Len() > 0 {
			w.fail("committer %d: running %v, and %d wait", i, c.isRunning, c.queue.Len())
		}
	}
	if n := w.backlog.taken.Load(); n != 0 {
		w.fail("at rest, %d places of the backlog are taken", n)
	}
	for b, amount := range w.amounts {
		if amount < 0 || amount > 10 {
			w.fail("%s is %d", b, amount)
		}
	}
}
