package lockprovider

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"entgo.io/ent/dialect"
	"github.com/google/uuid"

	"holdfast/config/setting"
	"holdfast/lockprovider/ledger"
)

// groupcommit commits many changes in one transaction, without Redis. A change that comes while a
// transaction is under way waits for the next one, together with all others that come meanwhile. A
// change that comes alone is committed at once.
//
// The transaction locks all balances of the group in key order. It checks the changes in the order of
// their arrival, each against what those before it leave, and writes those that fit. All callers are
// answered after the commit.
//
// A process has two committers for each family. The first balance of a change decides which of them
// commits it. The committers of one or several processes keep each other out by the row locks alone.
//
// A caller that has gone, or has waited too long, takes its change back as long as the transaction
// waits for locks. From then on the change is in the transaction, and its caller waits for the answer.
// If all callers have gone before COMMIT is sent, the transaction is rolled back.
type groupcommit struct {
	ledger     *Ledger
	metrics    *Metrics
	settings   Settings
	committers []*committer
	seed       maphash.Seed
}

// committersOfFamily is how many transactions of a family may be under way in one process: while one
// waits for the disk, the other uses the processor. More committers have smaller groups. With 1000
// products, two did most orders of 1, 2, 4 and 8 (commerce, BenchmarkUniformProducts; 2 cores). SQLite has
// one writer.
const committersOfFamily = 2

func newGroupCommit(d Deps) (Provider, error) {
	p := &groupcommit{ledger: d.Ledger, metrics: d.Metrics, settings: d.Settings, seed: maphash.MakeSeed()}
	count := committersOfFamily
	if d.Ledger.Dialect() == dialect.SQLite {
		count = 1
	}
	waiting := &backlog{size: cmp.Or(d.Settings.Pipeline.Backlog, setting.Default[PipelineSettings]().Backlog)}
	for range count {
		c := &committer{size: int(d.Worker.Batch), backlog: waiting, logged: d.Ledger.Logged}
		c.transact = func(ctx context.Context, group []*member) ([]*member, Receipt, error) {
			return p.transact(ctx, c, group)
		}
		p.committers = append(p.committers, c)
	}
	return p, nil
}

func (p *groupcommit) Execute(ctx context.Context, c Change) (Receipt, error) {
	return p.ledger.Once(ctx, c, func(ctx context.Context) (Receipt, error) {
		bounded, cancel := context.WithTimeoutCause(ctx, p.settings.Wait, ErrLockTimeout)
		defer cancel()
		return p.committerOf(c).execute(bounded, c)
	})
}

// committerOf returns the committer of a change. Changes of balances that always move together have
// the same one.
func (p *groupcommit) committerOf(c Change) *committer {
	return p.committers[maphash.String(p.seed, lockKey(c.Moves[0].Balance))%uint64(len(p.committers))]
}

// transact runs the transaction of a committer: lock → check in order → write → commit. It runs again
// if a balance had no row to be locked, and another process has created the row meanwhile.
func (p *groupcommit) transact(
	ctx context.Context, c *committer, group []*member,
) (checked []*member, receipt Receipt, err error) {
	checked = group
	for attempt := 1; ; attempt++ {
		receipt, err = p.ledger.Run(ctx, GroupCommit, func(tx *ledger.Tx) (err error) {
			defer func() {
				if value := recover(); value != nil {
					err = &panicked{fmt.Sprintf("%v\n\n%s", value, debug.Stack())}
				}
			}()
			checked = c.reopen(group)
			locked, err := tx.Group(ctx, balancesOf(checked))
			if err != nil {
				return err
			}
			checked = c.seal(checked)
			for _, m := range checked {
				p.metrics.waited(GroupCommit, m.change.Family, m.receipt.Waited)
				m.receipt.Balances, m.receipt.Positions, m.err = locked.Add(m.ctx, m.change)
			}
			if locked.Len() == 0 {
				return errNothingFits
			}
			if err := locked.Write(ctx); err != nil {
				return err
			}
			if !slices.ContainsFunc(checked, func(m *member) bool { return m.ctx.Err() == nil }) {
				return errAllGone // their goroutines may not have come to say so
			}
			return nil
		})
		receipt.Attempts = max(receipt.Attempts, attempt)
		if !errors.Is(err, ledger.ErrStale) {
			return checked, receipt, err
		}
		if attempt >= p.settings.Attempts {
			return checked, receipt, fmt.Errorf("%w: %w", ErrConflict, err)
		}
	}
}

// errNothingFits rolls back a transaction that has nothing to write.
var errNothingFits = errors.New("no change of the group fits")

// errAllGone rolls back a transaction that nobody waits for.
var errAllGone = errors.New("all callers of the group have gone")

// balancesOf returns the balances of all changes of a group, sorted.
func balancesOf(group []*member) []string {
	changes := make([]Change, len(group))
	for i, m := range group {
		changes[i] = m.change
	}
	return balancesOfAll(changes)
}

// member is a change in the hands of a committer.
type member struct {
	change  Change
	ctx     context.Context //nolint:containedctx // the caller's: the committer acts in its place
	arrived time.Time

	// The answer. The committer writes it before it closes done.
	receipt Receipt
	err     error
	done    chan struct{}

	// What follows is guarded by the mutex of the committer.
	element    *list.Element // in the queue; nil once the change is in a group
	isSealed   bool          // the change is in a transaction that holds its locks
	hasLeft    bool          // the caller has gone, or has waited too long
	isAnswered bool          // done is closed
}

// committer commits groups of changes, one group after the other. It has a goroutine as long as
// there is anything to commit.
type committer struct {
	size    int // the most changes of a group
	backlog *backlog
	// transact runs one transaction for a group. It returns the members whose changes it has checked.
	// The result of each stands in the member, and holds if the transaction is committed. ctx ends
	// when no caller waits for an answer any more.
	transact func(ctx context.Context, group []*member) (checked []*member, receipt Receipt, err error)
	// logged returns the rows of those of some changes that the change log knows.
	logged func(ctx context.Context, ids []uuid.UUID) (rowOf map[uuid.UUID]int64, err error)

	mu        sync.Mutex
	queue     list.List // of *member: the changes that wait for the next group, in the order of arrival
	isRunning bool
	open      int                // the callers of the current group that wait for an answer
	abandon   context.CancelFunc // ends the context of the current group
}

// mostMoves bounds the moves of a group, and so the balances that it locks. MariaDB turns a list of
// 1000 keys into a table, and would no longer lock the rows in key order
// (in_predicate_conversion_threshold).
const mostMoves = 999

// execute commits a change, and returns when that is done. If ctx ends before the locks of the
// change's balances are held, execute takes the change back.
func (c *committer) execute(ctx context.Context, change Change) (Receipt, error) {
	m := &member{change: change, ctx: ctx, arrived: time.Now(), done: make(chan struct{})}
	if err := c.enqueue(m); err != nil {
		return Receipt{}, err
	}
	select {
	case <-m.done:
	case <-ctx.Done():
		if c.takeBack(m) {
			return Receipt{Waited: time.Since(m.arrived)}, ledger.Ended(ctx)
		}
		<-m.done
	}
	if p := (*panicked)(nil); errors.As(m.err, &p) {
		panic(p.value) // in the goroutine of the caller, as without a committer
	}
	return m.receipt, m.err
}

func (c *committer) enqueue(m *member) error {
	if !c.backlog.enter() {
		return fmt.Errorf("%w: %d changes are waiting", ErrLockTimeout, c.backlog.size)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	m.element = c.queue.PushBack(m)
	if !c.isRunning {
		c.isRunning = true
		go c.run()
	}
	return nil
}

func (c *committer) dequeue(m *member) {
	c.queue.Remove(m.element)
	m.element = nil
	c.backlog.leave()
}

// takeBack takes back a change whose caller does not wait any longer. It returns false if it is too
// late for that. Then the answer comes.
func (c *committer) takeBack(m *member) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	m.hasLeft = true
	switch {
	case m.element != nil:
		c.dequeue(m)
		return true
	case m.isAnswered:
		return false
	}
	c.release()
	return !m.isSealed
}

// run commits until the queue is empty.
func (c *committer) run() {
	for {
		ctx, group := c.next()
		if group == nil {
			return
		}
		c.commit(ctx, group, 0)
	}
}

// next takes the next group from the queue: all changes that wait, within the bounds. A repeat of a
// change of the group waits for the group after it.
func (c *committer) next() (ctx context.Context, group []*member) {
	c.mu.Lock()
	defer c.mu.Unlock()
	moves, ids := 0, map[uuid.UUID]bool{}
	for e := c.queue.Front(); e != nil && len(group) < c.size; {
		m, _ := e.Value.(*member) // the queue has nothing else
		e = e.Next()
		if ids[m.change.ID] {
			continue
		}
		if moves += len(m.change.Moves); moves > mostMoves && group != nil {
			break
		}
		ids[m.change.ID] = true
		c.dequeue(m)
		group = append(group, m)
	}
	if group == nil {
		c.isRunning = false
		return nil, nil
	}
	c.open = len(group)
	ctx, c.abandon = context.WithCancel(context.WithoutCancel(group[0].ctx))
	return ctx, group
}

// commit commits a group, and answers its callers. If the transaction fails for a reason that may
// concern one change, commit tries the two halves of the group. attempts counts the transactions
// before.
func (c *committer) commit(ctx context.Context, group []*member, attempts int) {
	if len(group) == 0 {
		return
	}
	checked, receipt, err := c.transact(ctx, group)
	attempts += receipt.Attempts
	for _, m := range checked {
		m.receipt.Strategy, m.receipt.Attempts = GroupCommit, attempts
	}
	switch {
	case err == nil || errors.Is(err, errNothingFits):
		for _, m := range checked {
			c.answer(m, m.err)
		}
	case errors.Is(err, ErrUnknown):
		for _, m := range checked {
			if m.err != nil { // it was refused because of changes that may have been rolled back
				c.answer(m, fmt.Errorf("%w: the outcome of a change before it is unknown", ErrUnavailable))
			} else {
				c.answer(m, err)
			}
		}
	case ctx.Err() != nil || errors.Is(err, errAllGone): // each caller for its own reason
		for _, m := range checked {
			c.answer(m, ledger.Ended(m.ctx))
		}
	case len(checked) < 2 || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrLockTimeout):
		for _, m := range checked {
			c.answer(m, err)
		}
	default:
		checked = c.reopen(checked) // none waits for the end of the others
		if others := c.withoutRepeats(ctx, checked, err); len(others) < len(checked) {
			c.commit(ctx, others, attempts)
			return
		}
		half := len(checked) / 2
		c.commit(ctx, checked[:half], attempts)
		c.commit(ctx, checked[half:], attempts)
	}
}

// withoutRepeats returns the changes that the change log does not know, if a repeat may be what has
// caused err, and those of which it knows nothing but a refusal that their transaction removes. It
// answers the others with err. [ledger.Ledger.Once] then finds their first result, or has them come
// again to remove their refusal.
func (c *committer) withoutRepeats(ctx context.Context, group []*member, err error) (others []*member) {
	if !ledger.IsConstraint(err) {
		return group
	}
	ids := make([]uuid.UUID, len(group))
	for i, m := range group {
		ids[i] = m.change.ID
	}
	rowOf, lerr := c.logged(ctx, ids)
	if lerr != nil {
		return group
	}
	for _, m := range group {
		if row, known := rowOf[m.change.ID]; known && !ledger.Removes(m.ctx, row) {
			c.answer(m, err)
		} else {
			others = append(others, m)
		}
	}
	return others
}

// seal puts changes into the transaction that holds their locks, unless their callers have left, and
// returns them.
func (c *committer) seal(group []*member) (sealed []*member) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	for _, m := range group {
		if m.hasLeft {
			continue
		}
		m.isSealed, m.receipt.Waited = true, now.Sub(m.arrived)
		sealed = append(sealed, m)
	}
	return sealed
}

// reopen returns the changes whose callers still wait, before a transaction or when one has been rolled
// back. Callers that have left during it are answered: their changes are taken back now. The others
// can be taken back again.
func (c *committer) reopen(group []*member) (open []*member) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range group {
		switch {
		case !m.hasLeft:
			open = append(open, m)
		case m.isSealed:
			c.finish(m, ledger.Ended(m.ctx))
		}
		m.isSealed = false
	}
	return open
}

// answer answers the caller of a change.
func (c *committer) answer(m *member, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.finish(m, err)
}

func (c *committer) finish(m *member, err error) {
	if m.isAnswered {
		return
	}
	m.err, m.isAnswered = err, true
	if !m.hasLeft {
		c.release()
	}
	close(m.done)
}

// release notes that a caller does not wait any longer. After the last one it ends the context of the
// group.
func (c *committer) release() {
	c.open--
	if c.open == 0 {
		c.abandon()
	}
}

// backlog bounds how many changes of a family wait for a group.
type backlog struct {
	size  int64
	taken atomic.Int64
}

func (b *backlog) enter() bool {
	if b.taken.Add(1) > b.size {
		b.taken.Add(-1)
		return false
	}
	return true
}

func (b *backlog) leave() { b.taken.Add(-1) }

// panicked is a panic on its way from the goroutine of a committer to that of the caller whose change
// has caused it.
type panicked struct{ value string }

func (p *panicked) Error() string { return "panic: " + p.value }
