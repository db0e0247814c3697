package lockprovider

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"holdfast/ent"
	"holdfast/ent/balance"
	"holdfast/ent/changelog"
)

// ErrAlreadyApplied is the verdict on a change that the database held before, from another admission: Redis forgot that it
// had seen it.
var ErrAlreadyApplied = errors.New("change applied before")

// insertChunk bounds the rows of one INSERT: databases bound its parameters.
const insertChunk = 500

// Persist writes admitted changes in as few transactions as it can: one where the database confirms all of them. It
// returns one verdict a change: nil where the database holds it now, [ErrAlreadyApplied] where it held it before from
// another admission, or why the database refused it. A refused change never takes others with it: the batch is split
// around it. An error means that the database does not answer: nothing is known, and persisting again is safe.
//
// Deltas commute and change IDs are unique, so repeats change nothing, nor does the order of batches, but for bounds: a change
// may be refused only because one that Redis admitted before it is still to come.
func (l *Ledger) Persist(ctx context.Context, s Strategy, batch []Pending) ([]error, error) {
	verdicts := make([]error, len(batch))
	todo, err := l.notApplied(ctx, batch, verdicts)
	if err != nil || len(todo) == 0 {
		return verdicts, err
	}
	return verdicts, l.persist(ctx, s, batch, todo, verdicts)
}

// notApplied returns the indexes of the changes that the change log does not hold; of the others it sets the verdicts.
func (l *Ledger) notApplied(ctx context.Context, batch []Pending, verdicts []error) ([]int, error) {
	ids := make([]uuid.UUID, len(batch))
	for i, p := range batch {
		ids[i] = p.Change.ID
	}
	rows, err := l.client.ChangeLog.Query().Where(changelog.ChangeIDIn(ids...)).
		Select(changelog.FieldChangeID, changelog.FieldAdmission).All(ctx)
	if err != nil {
		return nil, l.failure(ctx, err)
	}
	admissions := make(map[uuid.UUID]string, len(rows))
	for _, row := range rows {
		admissions[row.ChangeID] = row.Admission
	}
	var todo []int
	for i, p := range batch {
		switch admission, applied := admissions[p.Change.ID]; {
		case !applied:
			todo = append(todo, i)
			admissions[p.Change.ID] = p.StreamID // a second admission in the same batch
		case admission != p.StreamID:
			verdicts[i] = ErrAlreadyApplied
		}
	}
	return todo, nil
}

// persist writes the changes at the indexes todo, splitting in halves what the database does not take as a whole.
func (l *Ledger) persist(ctx context.Context, s Strategy, batch []Pending, todo []int, verdicts []error) error {
	_, err := l.transact(ctx, s, func(tx *ent.Tx) (map[string]int64, error) {
		return nil, l.writeBatch(ctx, tx, s, batch, todo)
	})
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, ErrUnavailable), errors.Is(err, ErrLockTimeout), errors.Is(err, ErrConflict):
		return err
	case len(todo) > 1:
		half := len(todo) / 2
		return errors.Join(
			l.persist(ctx, s, batch, todo[:half], verdicts),
			l.persist(ctx, s, batch, todo[half:], verdicts))
	}
	i := todo[0]
	first, found, rerr := l.Replay(ctx, batch[i].Change) // somebody else may have written it since we looked
	switch {
	case rerr != nil && !errors.Is(rerr, ErrIDReused):
		return rerr
	case found && first.Admission == batch[i].StreamID:
	case found || errors.Is(rerr, ErrIDReused):
		verdicts[i] = ErrAlreadyApplied
	case errors.Is(err, errNoFit):
		verdicts[i] = l.namedRefusal(ctx, batch[i].Change, err)
	default:
		verdicts[i] = err
	}
	return nil
}

// namedRefusal says which balances did not fit.
func (l *Ledger) namedRefusal(ctx context.Context, c Change, err error) error {
	read, rerr := l.read(ctx, l.client.Balance, c.Moves, false)
	if rerr == nil {
		if _, cerr := check(read, c.Moves); cerr != nil {
			return cerr
		}
	}
	return err
}

// writeBatch writes several changes as one: the deltas of a balance are summed to one update.
func (l *Ledger) writeBatch(ctx context.Context, tx *ent.Tx, s Strategy, batch []Pending, todo []int) error {
	deltas, counts, open := map[string]int64{}, map[string]int64{}, map[string]*Bounds{}
	changes := make([]Change, len(todo))
	for n, i := range todo {
		changes[n] = batch[i].Change
		for _, m := range batch[i].Change.Moves {
			deltas[m.Balance] += m.Delta
			counts[m.Balance]++
			if m.Open != nil {
				open[m.Balance] = m.Open
			}
		}
	}
	keys := slices.Sorted(maps.Keys(deltas)) // the order of every path
	for _, key := range keys {
		if err := addDeltaOrOpen(ctx, tx, Move{Balance: key, Delta: deltas[key], Open: open[key]}, counts[key]); err != nil {
			return err
		}
	}
	rows, err := tx.Balance.Query().Where(balance.IDIn(keys...)).All(ctx)
	if err != nil {
		return err
	}
	amounts := make(map[string]int64, len(rows))
	for _, row := range rows {
		amounts[row.ID] = row.Amount
	}
	return l.logBatch(ctx, tx, s, batch, todo, changes, amounts)
}

func addDeltaOrOpen(ctx context.Context, tx *ent.Tx, m Move, moves int64) error {
	n, err := addDelta(ctx, tx, m, moves)
	if err != nil {
		return err
	}
	if n == 0 && m.Open != nil { // a row that does not exist cannot be updated: insert its zero row first
		err := openingRow(tx, m.Balance, *m.Open).OnConflict().DoNothing().Exec(ctx)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if n, err = addDelta(ctx, tx, m, moves); err != nil {
			return err
		}
	}
	if n == 0 {
		return fmt.Errorf("%w: %s", errNoFit, m.Balance)
	}
	return nil
}

// logBatch appends journal, records and change log of several changes. Within the batch, the moves of a balance are
// journalled in the order in which Redis numbered them, so that every amount after is one that there was.
func (l *Ledger) logBatch(
	ctx context.Context, tx *ent.Tx, s Strategy, batch []Pending, todo []int, changes []Change, amounts map[string]int64,
) error {
	now := time.Now().UTC().Truncate(time.Microsecond)
	type numbered struct {
		seq  int64
		move Move
		of   Change
	}
	var moves []numbered
	for _, i := range todo {
		for j, m := range batch[i].Change.Moves {
			moves = append(moves, numbered{seq: batch[i].Seq[j], move: m, of: batch[i].Change})
		}
	}
	slices.SortStableFunc(moves, func(a, b numbered) int {
		return cmp.Or(cmp.Compare(a.move.Balance, b.move.Balance), cmp.Compare(b.seq, a.seq)) // the last one first
	})
	entries := make([]*ent.EntryCreate, len(moves))
	for i, m := range moves {
		after := amounts[m.move.Balance]
		amounts[m.move.Balance] -= m.move.Delta
		entries[len(moves)-1-i] = tx.Entry.Create().SetBalance(m.move.Balance).SetChangeID(m.of.ID).SetDelta(m.move.Delta).
			SetAmountAfter(after).SetKind(m.of.Record.Kind).SetCreatedAt(now)
	}
	for chunk := range slices.Chunk(entries, insertChunk) {
		if err := tx.Entry.CreateBulk(chunk...).Exec(ctx); err != nil {
			return err
		}
	}
	if l.records != nil {
		if err := l.records(ctx, tx, changes); err != nil {
			return err
		}
	}
	logs := make([]*ent.ChangeLogCreate, len(todo))
	for n, i := range todo {
		logs[n] = changeLogRow(tx, batch[i].Change, s, now).SetAdmission(batch[i].StreamID)
	}
	for chunk := range slices.Chunk(logs, insertChunk) {
		if err := tx.ChangeLog.CreateBulk(chunk...).Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

// serve applies the changes at the indexes todo in their order: each is checked against what those before it left, and
// those that fit are committed together. It sets their verdicts and returns the balances as they stand then.
func (l *Ledger) serve(ctx context.Context, s Strategy, batch []Pending, todo []int, verdicts []error) (map[string]state, error) {
	fresh := make([]Pending, len(todo))
	applied := make([]error, len(todo))
	for n, i := range todo {
		fresh[n] = batch[i]
	}
	open, err := l.notApplied(ctx, fresh, applied)
	if err != nil {
		return nil, err
	}
	for n, i := range todo {
		verdicts[i] = applied[n]
	}
	for n := range open {
		open[n] = todo[open[n]]
	}
	for {
		amounts, fits, refused, err := l.checkInOrder(ctx, batch, open, verdicts)
		if err != nil || len(fits) == 0 {
			return amounts, err
		}
		if err := l.persist(ctx, s, batch, fits, verdicts); err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(fits, func(i int) bool { return verdicts[i] != nil }) {
			return amounts, nil
		}
		open = refused // what fitted was refused for another reason: those behind it get another look
	}
}

// checkInOrder tells which changes fit one after the other, and sets the verdicts of those that do not.
func (l *Ledger) checkInOrder(
	ctx context.Context, batch []Pending, todo []int, verdicts []error,
) (amounts map[string]state, fits, refused []int, err error) {
	var keys []string
	for _, i := range todo {
		keys = append(keys, batch[i].Change.balances()...)
	}
	slices.Sort(keys)
	rows, err := l.client.Balance.Query().Where(balance.IDIn(slices.Compact(keys)...)).All(ctx)
	if err != nil {
		return nil, nil, nil, l.failure(ctx, err)
	}
	amounts = make(map[string]state, len(rows))
	for _, row := range rows {
		amounts[row.ID] = stateOf(row)
	}
	for _, i := range todo {
		moves := batch[i].Change.Moves
		read, err := statesFor(moves, amounts)
		var after []int64
		if err == nil {
			after, err = check(read, moves)
		}
		if verdicts[i] = err; err != nil {
			refused = append(refused, i)
			continue
		}
		batch[i].Seq = make([]int64, len(moves))
		for n, m := range moves {
			read[n].amount, read[n].missing = after[n], false
			read[n].applied++
			amounts[m.Balance], batch[i].Seq[n] = read[n], read[n].applied
		}
		fits = append(fits, i)
	}
	return amounts, fits, refused, nil
}
