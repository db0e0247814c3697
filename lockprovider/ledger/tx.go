package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"

	"holdfast/clients/lazytx"
	"holdfast/ent"
	"holdfast/ent/balance"
)

// Tx is one transaction of a ledger. It lives as long as the function that [Ledger.Run] was given.
type Tx struct {
	// Ent is the transaction itself, for other tables. Only Run commits it or rolls it back.
	Ent *ent.Tx

	ledger   *Ledger
	strategy Strategy
	amounts  map[string]int64 // after the change that was written
	// positions are the numbers of its moves in their balances.
	positions map[string]int64
}

// Run runs write in one transaction and commits. If the database aborts the transaction to resolve a deadlock, Run
// runs write again, a bounded number of times, and then returns [ErrConflict]. Any error of write rolls back. The
// receipt has the amounts that write left. This is the only place that begins and commits transactions of changes.
//
// The end of ctx rolls back, as long as COMMIT has not been sent. From then on the database decides, and Run waits for its
// answer: ctx, which bounds the wait for locks, does not bound the commit. If the answer does not come within
// [Settings.CommitTimeout], or the connection breaks before, the error is [ErrUnknown]; after every other error nothing was
// changed.
func (l *Ledger) Run(ctx context.Context, s Strategy, write func(tx *Tx) error) (Receipt, error) {
	for attempt := 1; ; attempt++ {
		amounts, positions, err := l.inTransaction(ctx, s, write)
		if err == nil {
			l.committed()
			return Receipt{Strategy: s, Attempts: attempt, Balances: amounts, Positions: positions}, nil
		}
		if !isAborted(err) {
			return Receipt{}, Failure(ctx, err)
		}
		if attempt > l.config.Settings.TxRetries {
			return Receipt{}, fmt.Errorf("%w: transaction aborted %d times: %w", ErrConflict, attempt, err)
		}
	}
}

func (l *Ledger) inTransaction(
	ctx context.Context, s Strategy, write func(tx *Tx) error,
) (amounts, positions map[string]int64, err error) {
	life, end := context.WithCancel(context.WithoutCancel(ctx)) // of the transaction: database/sql rolls back at its end
	defer end()
	keep := context.AfterFunc(ctx, end)
	defer keep()
	begun, err := l.config.Client.Tx(lazytx.Later(life)) // with the first statement
	if err != nil {
		return nil, nil, err
	}
	tx := &Tx{Ent: begun, ledger: l, strategy: s}
	err = write(tx)
	if err == nil && !keep() {
		err = context.Cause(ctx) // Run tells which end it was
	}
	if err != nil {
		_ = begun.Rollback() // a failed rollback ends the connection, and with it the transaction
		return nil, nil, err
	}
	if err := l.commit(begun, end); err != nil {
		return nil, nil, err
	}
	return tx.amounts, tx.positions, nil
}

// commit commits, and returns [ErrUnknown] if the database does not say what became of it. It waits in another goroutine:
// the driver of MariaDB cannot be told to give a commit up.
func (l *Ledger) commit(tx *ent.Tx, end context.CancelFunc) error {
	committed := make(chan error, 1)
	go func() { committed <- tx.Commit() }()
	timeout := time.NewTimer(l.config.Settings.CommitTimeout)
	defer timeout.Stop()
	select {
	case err := <-committed:
		if err == nil || rolledBack(err) {
			return err
		}
		return Unknown("commit", err)
	case <-timeout.C:
		end() // PostgreSQL's driver closes the connection
		return Unknown("commit", fmt.Errorf("no answer within %s", l.config.Settings.CommitTimeout))
	}
}

// Locking says whether a read locks the rows that it reads.
type Locking int

const (
	// Plain locks nothing.
	Plain Locking = iota
	// ForUpdate locks the rows, in the order of their keys, until the transaction ends.
	ForUpdate
	// ForUpdateIfFree does so without waiting: it leaves out rows that another transaction has locked.
	ForUpdateIfFree
)

// Read returns the balances of moves in their order. A balance that does not exist yet has the bounds of its move's
// Open, and no row that could be locked; without Open it is [ErrUnknownBalance].
func (tx *Tx) Read(ctx context.Context, moves []Move, locking Locking) ([]Balance, error) {
	return tx.ledger.read(ctx, tx.Ent.Balance, moves, locking)
}

// Lock returns the balance of a move and locks its row until the transaction ends. If there is no
// row, Lock inserts one with the bounds of the move's Open.
func (tx *Tx) Lock(ctx context.Context, m Move) (Balance, error) {
	if err := tx.open(ctx, m); err != nil {
		return Balance{}, err
	}
	rows, err := tx.Read(ctx, []Move{m}, ForUpdate)
	if err != nil {
		return Balance{}, err
	}
	return rows[0], nil
}

func (l *Ledger) read(ctx context.Context, c *ent.BalanceClient, moves []Move, locking Locking) ([]Balance, error) {
	known, err := l.rows(ctx, c, Change{Moves: moves}.Balances(), locking)
	if err != nil {
		return nil, err
	}
	return balancesFor(moves, known)
}

// rows returns those of some balances that have a row.
func (l *Ledger) rows(ctx context.Context, c *ent.BalanceClient, keys []string, locking Locking) (map[string]Balance, error) {
	query := c.Query().Where(balance.IDIn(keys...)).Order(balance.ByID())
	if l.config.Dialect != dialect.SQLite { // SQLite has no row locks: BEGIN IMMEDIATE admits one writer at a time
		switch locking {
		case Plain:
		case ForUpdate:
			query = query.ForUpdate()
		case ForUpdateIfFree:
			query = query.ForUpdate(entsql.WithLockAction(entsql.SkipLocked))
		}
	}
	rows, err := query.All(ctx)
	if err != nil {
		return nil, err
	}
	known := make(map[string]Balance, len(rows))
	for _, row := range rows {
		known[row.ID] = balanceOf(row)
	}
	return known, nil
}

// Compare says what a write of an amount is conditional on.
type Compare int

const (
	// SameVersion writes only if the version is still the one that was read, else the write fails with [ErrStale].
	SameVersion Compare = iota
	// SameVersionUnlocked is SameVersion for a strategy that has locked nothing: others may write at any time. The write locks the
	// balances, or fails, before anything else is written.
	SameVersionUnlocked
	// Unconditional overwrites what others wrote. Only the strategy none does this.
	Unconditional
)

// Write writes the amounts that the strategy computed from the balances that it read, in key order, then journal,
// records and change log. read and after are in the order of the change's moves.
func (tx *Tx) Write(ctx context.Context, c Change, read []Balance, after []int64, compare Compare) error {
	if err := tx.openMissing(ctx, c.Moves, read); err != nil {
		return err
	}
	tx.amounts, tx.positions = make(map[string]int64, len(after)), make(map[string]int64, len(after))
	for i, m := range c.Moves {
		update := tx.Ent.Balance.Update().Where(balance.ID(m.Balance)).
			SetAmount(after[i]).AddVersion(1).AddApplied(1)
		if compare != Unconditional {
			update.Where(balance.Version(read[i].Version))
		}
		stale, expect := fmt.Errorf("%w: %s", ErrStale, m.Balance), expectRow
		if compare == SameVersionUnlocked && i == len(c.Moves)-1 {
			expect = expectRowNow
		}
		if err := expect(ctx, stale, update.Save); err != nil {
			return err
		}
		tx.amounts[m.Balance], tx.positions[m.Balance] = after[i], read[i].Applied+1
	}
	return tx.log(ctx, c)
}

// expectRow has a statement change one row, and fails with otherwise if it does not. On PostgreSQL, the statement goes with the next one,
// which then fails.
func expectRow(ctx context.Context, otherwise error, save func(ctx context.Context) (int, error)) error {
	return expectRowNow(lazytx.Expecting(ctx, 1, otherwise), otherwise, save)
}

// expectRowNow is expectRow for a statement that is sent at once, with those before it.
func expectRowNow(ctx context.Context, otherwise error, save func(ctx context.Context) (int, error)) error {
	n, err := save(ctx)
	if err == nil && n != 1 {
		return otherwise
	}
	return err
}

// Add lets the database check and add in one statement a balance, in key order, then writes journal, records and change
// log. It fails with [ErrNoFit] at the first move that does not fit.
func (tx *Tx) Add(ctx context.Context, c Change) error {
	for _, m := range c.Moves {
		if err := tx.addOrOpen(ctx, m, 1); err != nil {
			return err
		}
	}
	balances, err := tx.Read(ctx, c.Moves, Plain)
	if err != nil {
		return err
	}
	tx.amounts, tx.positions = make(map[string]int64, len(c.Moves)), make(map[string]int64, len(c.Moves))
	for i, m := range c.Moves {
		tx.amounts[m.Balance], tx.positions[m.Balance] = balances[i].Amount, balances[i].Applied
	}
	return tx.log(ctx, c)
}

// addOrOpen adds a delta, which may be the sum of several moves, and creates the row if it does not exist.
func (tx *Tx) addOrOpen(ctx context.Context, m Move, moves int64) error {
	if m.Open != nil { // a row that does not exist cannot be updated: insert its opening row first
		if n, err := tx.add(m, moves).Save(ctx); err != nil || n > 0 {
			return err
		}
		if err := tx.open(ctx, m); err != nil {
			return err
		}
	}
	return expectRow(ctx, fmt.Errorf("%w: %s", ErrNoFit, m.Balance), tx.add(m, moves).Save)
}

// add updates one row, or none if there is no such balance or if the delta does not fit.
func (tx *Tx) add(m Move, moves int64) *ent.BalanceUpdate {
	return tx.Ent.Balance.Update().
		Where(balance.ID(m.Balance), func(sel *entsql.Selector) {
			amount, floor, ceiling := sel.C(balance.FieldAmount), sel.C(balance.FieldFloor), sel.C(balance.FieldCeiling)
			sel.Where(entsql.P(func(b *entsql.Builder) {
				b.WriteString(amount + " + ").Arg(m.Delta).WriteString(" BETWEEN " + floor + " AND " + ceiling)
			}))
			if m.Limit != nil {
				sel.Where(entsql.LTE(amount, *m.Limit-m.Delta))
			}
		}).
		AddAmount(m.Delta).AddVersion(1).AddApplied(moves)
}

// openMissing inserts the rows that were not there to be read, in key order.
func (tx *Tx) openMissing(ctx context.Context, moves []Move, read []Balance) error {
	for i, m := range moves {
		if !read[i].Missing {
			continue
		}
		if err := tx.open(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// open inserts the opening row of a move's balance. Another transaction may have been faster: the update that follows
// compares the version, or adds.
func (tx *Tx) open(ctx context.Context, m Move) error {
	err := tx.ledger.openingRow(tx.Ent, m.Balance, *m.Open).OnConflict().DoNothing().Exec(lazytx.Later(ctx))
	if errors.Is(err, sql.ErrNoRows) { // ent's word for a row that was there, or that is to be sent later
		return nil
	}
	return err
}

// log appends the journal, the records' rows and the change log. The change log comes last: while the rows of the
// balances are locked, so that its IDs rise in commit order for changes that share a balance. On PostgreSQL, all that was marked for
// later is sent with it, and has failed or not when log returns.
func (tx *Tx) log(ctx context.Context, c Change) error {
	now := tx.ledger.now().UTC().Truncate(time.Microsecond)
	if len(c.Moves) > 0 {
		entries := make([]*ent.EntryCreate, len(c.Moves))
		for i, m := range c.Moves {
			entries[i] = tx.Ent.Entry.Create().SetBalance(m.Balance).SetChangeID(c.ID).SetDelta(m.Delta).
				SetAmountAfter(tx.amounts[m.Balance]).SetPosition(tx.positions[m.Balance]).SetKind(c.Record.Kind).SetCreatedAt(now)
		}
		if err := tx.Ent.Entry.CreateBulk(entries...).Exec(lazytx.Later(ctx)); err != nil {
			return err
		}
	}
	if err := tx.writeRecords(ctx, []Change{c}); err != nil {
		return err
	}
	if row, ok := ctx.Value(refusalKey{}).(int64); ok {
		if err := tx.removeRefusals(ctx, row); err != nil {
			return err
		}
	}
	return tx.changeLogRow(c, now).Exec(ctx)
}

func (tx *Tx) writeRecords(ctx context.Context, changes []Change) error {
	if tx.ledger.config.Records == nil {
		return nil
	}
	return tx.ledger.config.Records(ctx, tx.Ent, changes)
}

func (tx *Tx) changeLogRow(c Change, now time.Time) *ent.ChangeLogCreate {
	return tx.Ent.ChangeLog.Create().SetChangeID(c.ID).SetFamily(string(c.Family)).SetKind(c.Record.Kind).
		SetStrategy(string(tx.strategy)).SetPayload(string(c.Record.Payload)).SetPayloadHash(c.Record.Fingerprint).
		SetCreatedAt(now)
}
