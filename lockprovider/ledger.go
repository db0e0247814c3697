package lockprovider

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"

	"holdfast/ent"
	"holdfast/ent/balance"
	"holdfast/ent/changelog"
	"holdfast/ent/entry"
)

// RecordWriter turns the records of changes into rows (orders, issued coupons, transfers, ...) inside the transaction
// that moves the balances. An error rolls everything back and is returned by Execute as it is.
type RecordWriter func(ctx context.Context, tx *ent.Tx, changes []Change) error

// Ledger writes changes into the database: balances, journal, records and the change log, in one transaction. This is
// the only code that does so; the strategies differ in what they hold and compare while they call it.
type Ledger struct {
	client  *ent.Client
	dialect string
	records RecordWriter
	retries int
	// committed is called after each commit of changes.
	committed func()
}

// NewLedger returns the ledger of a database. txRetries bounds how often a transaction that the database aborted (a
// deadlock, a serialization failure) is run again within one attempt.
func NewLedger(client *ent.Client, dialectName string, records RecordWriter, txRetries int) *Ledger {
	return &Ledger{client: client, dialect: dialectName, records: records, retries: txRetries, committed: func() {}}
}

// OnCommit has f called after each commit of changes. It must be set before the first, and must not block.
func (l *Ledger) OnCommit(f func()) { l.committed = f }

// Open creates balances inside a transaction of the caller, such as the one that creates their product.
func (l *Ledger) Open(ctx context.Context, tx *ent.Tx, bounds map[string]Bounds) error {
	var rows []*ent.BalanceCreate
	for _, key := range slices.Sorted(maps.Keys(bounds)) {
		rows = append(rows, openingRow(tx, key, bounds[key]))
	}
	if err := tx.Balance.CreateBulk(rows...).Exec(ctx); err != nil {
		return fmt.Errorf("open balances: %w", err)
	}
	return nil
}

func openingRow(tx *ent.Tx, key string, b Bounds) *ent.BalanceCreate {
	return tx.Balance.Create().SetID(key).SetFamily(string(FamilyOf(key))).
		SetAmount(b.Opening).SetOpening(b.Opening).SetFloor(b.Floor).SetCeiling(b.Ceiling)
}

// Amounts reads balances outside of any change. Keys that do not exist are absent from the result.
func (l *Ledger) Amounts(ctx context.Context, keys []string) (map[string]int64, error) {
	rows, err := l.client.Balance.Query().Where(balance.IDIn(keys...)).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read balances: %w", err)
	}
	amounts := make(map[string]int64, len(rows))
	for _, row := range rows {
		amounts[row.ID] = row.Amount
	}
	return amounts, nil
}

// Levels reads the balances of moves, to create them in Redis. One that does not exist yet has the bounds of its move's
// Open, else it is [ErrUnknownBalance].
func (l *Ledger) Levels(ctx context.Context, moves []Move) (map[string]Level, error) {
	states, err := l.read(ctx, l.client.Balance, moves, false)
	if err != nil {
		return nil, err
	}
	levels := make(map[string]Level, len(moves))
	for i, m := range moves {
		levels[m.Balance] = Level{
			Amount: states[i].amount, Floor: states[i].floor, Ceiling: states[i].ceiling, Seq: states[i].applied,
		}
	}
	return levels, nil
}

// Apply executes a change that moves no balance, such as an order paid by a card: there is nothing to contend for, but
// the record, its idempotency and its event are the same as for every other change.
func (l *Ledger) Apply(ctx context.Context, c Change) (Receipt, error) {
	c, err := c.normalize()
	if err != nil {
		return Receipt{}, err
	}
	if len(c.Moves) != 0 {
		return Receipt{}, fmt.Errorf("%w: %d moves outside a strategy", ErrInvalidChange, len(c.Moves))
	}
	return l.settle(ctx, c, func() (Receipt, error) {
		return l.transact(ctx, "ledger", func(tx *ent.Tx) (map[string]int64, error) {
			return nil, l.log(ctx, tx, c, "ledger", nil)
		})
	})
}

// settle finishes what every strategy has in common: whatever stood in the way of a change, it may be that the change
// had been applied before; then the first result is the answer.
func (l *Ledger) settle(ctx context.Context, c Change, execute func() (Receipt, error)) (Receipt, error) {
	receipt, err := execute()
	if err == nil {
		receipt.ChangeID, receipt.State, receipt.Payload = c.ID, Committed, c.Record.Payload
		return receipt, nil
	}
	if cerr := ctx.Err(); cerr != nil {
		return receipt, cerr
	}
	if errors.Is(err, ErrLockTimeout) {
		return receipt, err // nothing was asked of the database: do not add to the load
	}
	first, found, rerr := l.Replay(ctx, c)
	switch {
	case errors.Is(rerr, ErrIDReused):
		return receipt, rerr
	case rerr != nil:
		return receipt, err
	case found:
		first.Waited = receipt.Waited
		return first, nil
	case isCheckViolation(err):
		return receipt, fmt.Errorf("%w: %w", ErrBroken, err)
	}
	return receipt, err
}

// Replay returns the receipt of a change that has been applied before, if it has.
func (l *Ledger) Replay(ctx context.Context, c Change) (Receipt, bool, error) {
	row, err := l.client.ChangeLog.Query().Where(changelog.ChangeID(c.ID)).Only(ctx)
	if ent.IsNotFound(err) {
		return Receipt{}, false, nil
	}
	if err != nil {
		return Receipt{}, false, l.failure(ctx, err)
	}
	if row.PayloadHash != c.Record.Fingerprint || row.Kind != c.Record.Kind {
		return Receipt{}, false, ErrIDReused
	}
	entries, err := l.client.Entry.Query().Where(entry.ChangeID(c.ID)).All(ctx)
	if err != nil {
		return Receipt{}, false, l.failure(ctx, err)
	}
	amounts := make(map[string]int64, len(entries))
	for _, e := range entries {
		amounts[e.Balance] = e.AmountAfter
	}
	return Receipt{
		ChangeID: c.ID, State: Committed, Strategy: Strategy(row.Strategy), Attempts: 1, Replayed: true,
		Balances: amounts, Payload: json.RawMessage(row.Payload), Admission: row.Admission,
	}, true, nil
}

// transact runs write in one transaction, commits, and repeats it where the database aborted it to resolve a deadlock.
// The strategy's story is told in write; this is the only place that begins and commits.
func (l *Ledger) transact(
	ctx context.Context, s Strategy, write func(tx *ent.Tx) (map[string]int64, error),
) (Receipt, error) {
	for attempt := 1; ; attempt++ {
		amounts, err := l.once(ctx, write)
		if err == nil {
			l.committed()
			return Receipt{Strategy: s, Attempts: attempt, Balances: amounts}, nil
		}
		if !isAborted(err) {
			return Receipt{}, l.failure(ctx, err)
		}
		if attempt > l.retries {
			return Receipt{}, fmt.Errorf("%w: transaction aborted %d times: %w", ErrConflict, attempt, err)
		}
	}
}

func (l *Ledger) once(
	ctx context.Context, write func(tx *ent.Tx) (map[string]int64, error),
) (map[string]int64, error) {
	tx, err := l.client.Tx(ctx)
	if err != nil {
		return nil, err
	}
	amounts, err := write(tx)
	if err != nil {
		_ = tx.Rollback() // a failed rollback ends the connection, and with it the transaction
		return nil, err
	}
	return amounts, tx.Commit()
}

// read returns the balances of the change's moves in their order. Inside a transaction with forUpdate, the database
// locks the rows in that order until the transaction ends.
func (l *Ledger) read(ctx context.Context, c *ent.BalanceClient, moves []Move, forUpdate bool) ([]state, error) {
	keys := make([]string, len(moves))
	for i, m := range moves {
		keys[i] = m.Balance
	}
	query := c.Query().Where(balance.IDIn(keys...)).Order(balance.ByID())
	if forUpdate && l.dialect != dialect.SQLite { // SQLite has no row locks: BEGIN IMMEDIATE admits one writer at a time
		query = query.ForUpdate()
	}
	rows, err := query.All(ctx)
	if err != nil {
		return nil, err
	}
	amounts := make(map[string]state, len(rows))
	for _, row := range rows {
		amounts[row.ID] = stateOf(row)
	}
	return statesFor(moves, amounts)
}

// comparison says what a write of an amount is conditional on.
type comparison bool

const (
	sameVersion   comparison = true  // the version that was read: a mismatch is errStale
	unconditional comparison = false // nothing; only `none` does this
)

// errStale means that a balance changed between read and write.
var errStale = errors.New("version changed since it was read")

// writeAmounts writes the amounts that the strategy computed from what it read, in key order, then journal, records
// and change log.
func (l *Ledger) writeAmounts(
	ctx context.Context, tx *ent.Tx, c Change, s Strategy, read []state, after []int64, compare comparison,
) (map[string]int64, error) {
	if err := l.openMissing(ctx, tx, c.Moves, read); err != nil {
		return nil, err
	}
	amounts := make(map[string]int64, len(after))
	for i, m := range c.Moves {
		update := tx.Balance.Update().Where(balance.ID(m.Balance)).
			SetAmount(after[i]).AddVersion(1).AddApplied(1)
		if compare == sameVersion {
			update.Where(balance.Version(read[i].version))
		}
		n, err := update.Save(ctx)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, fmt.Errorf("%w: %s", errStale, m.Balance)
		}
		amounts[m.Balance] = after[i]
	}
	return amounts, l.log(ctx, tx, c, s, amounts)
}

// errNoFit means that the database found a move that does not fit; the strategy then reads and names all of them.
var errNoFit = errors.New("move does not fit")

// addDeltas lets the database check and add in one statement a balance, in key order, then writes journal, records and
// change log.
func (l *Ledger) addDeltas(ctx context.Context, tx *ent.Tx, c Change, s Strategy) (map[string]int64, error) {
	for _, m := range c.Moves {
		if err := addDeltaOrOpen(ctx, tx, m, 1); err != nil {
			return nil, err
		}
	}
	amounts, err := l.amountsIn(ctx, tx, c.Moves)
	if err != nil {
		return nil, err
	}
	return amounts, l.log(ctx, tx, c, s, amounts)
}

func addDelta(ctx context.Context, tx *ent.Tx, m Move, moves int64) (int, error) {
	return tx.Balance.Update().
		Where(balance.ID(m.Balance), func(sel *entsql.Selector) {
			amount, floor, ceiling := sel.C(balance.FieldAmount), sel.C(balance.FieldFloor), sel.C(balance.FieldCeiling)
			sel.Where(entsql.P(func(b *entsql.Builder) {
				b.WriteString(amount + " + ").Arg(m.Delta).WriteString(" BETWEEN " + floor + " AND " + ceiling)
			}))
		}).
		AddAmount(m.Delta).AddVersion(1).AddApplied(moves).Save(ctx)
}

func (l *Ledger) amountsIn(ctx context.Context, tx *ent.Tx, moves []Move) (map[string]int64, error) {
	states, err := l.read(ctx, tx.Balance, moves, false)
	if err != nil {
		return nil, err
	}
	amounts := make(map[string]int64, len(moves))
	for i, m := range moves {
		amounts[m.Balance] = states[i].amount
	}
	return amounts, nil
}

// openMissing inserts the rows that were not there to be read, in key order. Losing the race for one is fine: the
// update that follows compares the version or adds.
func (l *Ledger) openMissing(ctx context.Context, tx *ent.Tx, moves []Move, read []state) error {
	for i, m := range moves {
		if !read[i].missing {
			continue
		}
		if err := openingRow(tx, m.Balance, *m.Open).OnConflict().DoNothing().Exec(ctx); err != nil &&
			!errors.Is(err, sql.ErrNoRows) {
			return err
		}
	}
	return nil
}

// log appends the journal, the records' rows and the change log. The change log comes last: while the rows of the
// balances are locked, so that its IDs rise in commit order for changes that share a balance.
func (l *Ledger) log(ctx context.Context, tx *ent.Tx, c Change, s Strategy, amounts map[string]int64) error {
	now := time.Now().UTC().Truncate(time.Microsecond)
	if len(c.Moves) > 0 {
		entries := make([]*ent.EntryCreate, len(c.Moves))
		for i, m := range c.Moves {
			entries[i] = tx.Entry.Create().SetBalance(m.Balance).SetChangeID(c.ID).SetDelta(m.Delta).
				SetAmountAfter(amounts[m.Balance]).SetKind(c.Record.Kind).SetCreatedAt(now)
		}
		if err := tx.Entry.CreateBulk(entries...).Exec(ctx); err != nil {
			return err
		}
	}
	if l.records != nil {
		if err := l.records(ctx, tx, []Change{c}); err != nil {
			return err
		}
	}
	return changeLogRow(tx, c, s, now).Exec(ctx)
}

func changeLogRow(tx *ent.Tx, c Change, s Strategy, now time.Time) *ent.ChangeLogCreate {
	return tx.ChangeLog.Create().SetChangeID(c.ID).SetFamily(string(c.Family)).SetKind(c.Record.Kind).
		SetStrategy(string(s)).SetPayload(string(c.Record.Payload)).SetPayloadHash(c.Record.Fingerprint).SetCreatedAt(now)
}
