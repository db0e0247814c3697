package ledger

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"holdfast/clients/lazytx"
	"holdfast/ent"
	"holdfast/ent/balance"
	"holdfast/ent/changelog"
	"holdfast/ent/entry"
)

// Admitted is a change that Redis has admitted and the database has still to confirm, as it stands in a stream.
type Admitted struct {
	StreamID string  `json:"-"`
	Epoch    int64   `json:"-"` // of its family, when it was admitted
	Change   Change  `json:"change"`
	Instance string  `json:"instance"` // where a caller waits for it
	After    []int64 `json:"after"`
	Seq      []int64 `json:"seq"` // each move's number in its balance
	// Malformed is why the entry cannot be read; then only StreamID, Epoch and Raw are set.
	Malformed error `json:"-"`
	// Raw is the entry as it stands in the stream, for those who carry it on: the change as JSON, or all there is of a
	// malformed entry.
	Raw []byte `json:"-"`
	// Positions are the numbers of the moves in their balances, in the order of the moves, once the database holds the change. They
	// may differ from Seq: the database may confirm changes in another order than that in which Redis has admitted them, and refuse
	// some. Nil if the database held the change before.
	Positions []int64 `json:"-"`

	refusal int64 // the row of KindRefused of an earlier admission, or 0
}

// insertChunk bounds the rows of one INSERT: databases bound its parameters.
const insertChunk = 500

// Persist writes admitted changes in as few transactions as it can: in one if the database confirms all of them. It sets the
// positions of those that it has written.
//
// It returns one verdict a change: nil if the database holds the change now, [ErrAlreadyApplied] if it held the change
// before from another stream entry, [ErrIDExpired] if only the journal knows of it, or why it refused the change. A refused change never takes others with it: the
// batch is split around it. An error means that the database does not answer. Nothing is known then, and persisting
// again is safe.
//
// Deltas commute and change IDs are unique. So repeats change nothing, and the order of batches changes nothing but
// which bounds are met: the database may refuse a change only because one that Redis admitted before it is still to come.
func (l *Ledger) Persist(ctx context.Context, s Strategy, batch []Admitted) ([]error, error) {
	verdicts := make([]error, len(batch))
	todo, twins, err := l.undecided(ctx, batch, verdicts)
	if err == nil && len(todo) > 0 {
		err = l.persist(ctx, s, batch, todo, verdicts)
	}
	if err != nil || len(twins) == 0 {
		return verdicts, err
	}
	again := make([]Admitted, len(twins))
	for n, i := range twins {
		again[n] = batch[i]
	}
	later, err := l.Persist(ctx, s, again)
	for n, i := range twins {
		verdicts[i], batch[i].Positions = later[n], again[n].Positions
	}
	return verdicts, err
}

// undecided returns the indexes of the changes that the change log neither holds nor refuses; of the others it sets the verdicts. It
// notes which refusals of earlier admissions are in the way of those that it returns. Twins are further admissions of a change in
// the same batch: they are to be looked at when the first has been decided about.
func (l *Ledger) undecided(ctx context.Context, batch []Admitted, verdicts []error) (todo, twins []int, err error) {
	ids := make([]uuid.UUID, len(batch))
	for i, p := range batch {
		ids[i] = p.Change.ID
	}
	rows, err := l.config.Client.ChangeLog.Query().Where(changelog.ChangeIDIn(ids...)).All(ctx)
	if err != nil {
		return nil, nil, Failure(ctx, err)
	}
	if len(rows) > 0 {
		if err := l.Replicated(ctx); err != nil {
			return nil, nil, err
		}
	}
	byID := make(map[uuid.UUID]*ent.ChangeLog, len(rows))
	for _, row := range rows {
		byID[row.ChangeID] = row
	}
	first := make(map[uuid.UUID]bool, len(batch))
	for i, p := range batch {
		row := byID[p.Change.ID]
		batch[i].Positions = nil // of a transaction that failed
		switch {
		case row != nil && row.Kind != KindRefused:
			if row.Admission != p.StreamID {
				verdicts[i] = ErrAlreadyApplied
			}
		case first[p.Change.ID]:
			twins = append(twins, i)
		case row != nil && p.admission().before(admissionOf(row.Admission)):
			verdicts[i] = DecodeRejection(row.Payload)
		default:
			first[p.Change.ID] = true
			todo = append(todo, i)
			if batch[i].refusal = 0; row != nil {
				batch[i].refusal = row.ID
			}
		}
	}
	return todo, twins, nil
}

// persist writes the changes at the indexes todo, splitting in halves what the database does not take as a whole.
func (l *Ledger) persist(ctx context.Context, s Strategy, batch []Admitted, todo []int, verdicts []error) error {
	_, err := l.Run(ctx, s, func(tx *Tx) error {
		return tx.writeBatch(ctx, batch, todo)
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
	i, inTheWay := todo[0], batch[todo[0]].refusal
	expired, rerr := l.journalled(ctx, batch[i].Change.ID) // before the change log: one commit writes both, and may come in between
	if rerr != nil {
		return rerr
	}
	still, _, rerr := l.undecided(ctx, batch[i:i+1], verdicts[i:i+1]) // another process may have decided since we looked
	switch {
	case rerr != nil:
		return rerr
	case len(still) == 0:
	case batch[i].refusal != inTheWay:
		return l.persist(ctx, s, batch, todo, verdicts)
	case expired:
		verdicts[i] = ErrIDExpired
	case errors.Is(err, ErrNoFit):
		verdicts[i] = l.namedRefusal(ctx, batch[i].Change, err)
	default:
		verdicts[i] = err
	}
	return nil
}

// namedRefusal says which balances did not fit.
func (l *Ledger) namedRefusal(ctx context.Context, c Change, err error) error {
	read, rerr := l.Read(ctx, c.Moves)
	if rerr == nil {
		if _, cerr := Check(read, c.Moves); cerr != nil {
			return cerr
		}
	}
	return err
}

// writeBatch writes several changes as one: the deltas of a balance are summed to one update, which heeds the tightest of their limits. If that
// does not fit, the changes are tried in smaller parts, and at last one by one.
func (tx *Tx) writeBatch(ctx context.Context, batch []Admitted, todo []int) error {
	deltas, counts, open, limits := map[string]int64{}, map[string]int64{}, map[string]*Bounds{}, map[string]*int64{}
	changes := make([]Change, len(todo))
	for n, i := range todo {
		changes[n] = batch[i].Change
		for _, m := range batch[i].Change.Moves {
			deltas[m.Balance] += m.Delta
			counts[m.Balance]++
			limits[m.Balance] = Tighter(limits[m.Balance], m.Limit)
			if m.Open != nil {
				open[m.Balance] = m.Open
			}
		}
	}
	keys := slices.Sorted(maps.Keys(deltas)) // the order of every path
	for _, key := range keys {
		if err := tx.addOrOpen(ctx, Move{Balance: key, Delta: deltas[key], Open: open[key], Limit: limits[key]}, counts[key]); err != nil {
			return err
		}
	}
	rows, err := tx.Ent.Balance.Query().Where(balance.IDIn(keys...)).All(ctx)
	if err != nil {
		return err
	}
	left := make(map[string]Reading, len(rows))
	for _, row := range rows {
		left[row.ID] = Reading{Amount: row.Amount, Position: row.Applied}
	}
	return tx.logBatch(ctx, batch, todo, changes, left)
}

// logBatch appends journal, records and change log of several changes. Within the batch, the moves of a balance are
// journalled in the order in which Redis numbered them, so that every amount after is one that there was. left is what the batch
// leaves of each balance. logBatch sets the positions of the changes.
func (tx *Tx) logBatch(
	ctx context.Context, batch []Admitted, todo []int, changes []Change, left map[string]Reading,
) error {
	now := tx.ledger.now().UTC().Truncate(time.Microsecond)
	type numbered struct {
		seq      int64
		move     Move
		of       Change
		position *int64 // to be set
	}
	var moves []numbered
	for _, i := range todo {
		batch[i].Positions = make([]int64, len(batch[i].Change.Moves))
		for j, m := range batch[i].Change.Moves {
			moves = append(moves, numbered{batch[i].Seq[j], m, batch[i].Change, &batch[i].Positions[j]})
		}
	}
	slices.SortStableFunc(moves, func(a, b numbered) int {
		return cmp.Or(cmp.Compare(a.move.Balance, b.move.Balance), cmp.Compare(b.seq, a.seq)) // the last one first
	})
	entries := make([]*ent.EntryCreate, len(moves))
	for i, m := range moves {
		after := left[m.move.Balance]
		*m.position = after.Position
		left[m.move.Balance] = Reading{Amount: after.Amount - m.move.Delta, Position: after.Position - 1}
		entries[len(moves)-1-i] = tx.Ent.Entry.Create().SetBalance(m.move.Balance).SetChangeID(m.of.ID).SetDelta(m.move.Delta).
			SetAmountAfter(after.Amount).SetPosition(after.Position).SetKind(m.of.Record.Kind).SetCreatedAt(now)
	}
	for chunk := range slices.Chunk(entries, insertChunk) {
		if err := tx.Ent.Entry.CreateBulk(chunk...).Exec(lazytx.Later(ctx)); err != nil {
			return err
		}
	}
	if err := tx.writeRecords(ctx, changes); err != nil {
		return err
	}
	logs := make([]*ent.ChangeLogCreate, len(todo))
	var inTheWay []int64
	for n, i := range todo {
		logs[n] = tx.changeLogRow(batch[i].Change, now).SetAdmission(batch[i].StreamID)
		if batch[i].refusal != 0 {
			inTheWay = append(inTheWay, batch[i].refusal)
		}
	}
	if err := tx.removeRefusals(ctx, inTheWay...); err != nil {
		return err
	}
	for chunk := range slices.Chunk(logs, insertChunk) {
		if err := tx.Ent.ChangeLog.CreateBulk(chunk...).Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

// ApplyInOrder applies the changes at the indexes todo in their order. Each is checked against what those before it
// left, and those that fit are committed together. It sets their verdicts, as [Ledger.Persist] does, makes the refusals final,
// and returns the balances after the commit. An error means that the database does not answer.
func (l *Ledger) ApplyInOrder(
	ctx context.Context, s Strategy, batch []Admitted, todo []int, verdicts []error,
) (map[string]Balance, error) {
	fresh := make([]Admitted, len(todo))
	applied := make([]error, len(todo))
	for n, i := range todo {
		fresh[n] = batch[i]
	}
	open, twins, err := l.undecided(ctx, fresh, applied)
	if err != nil {
		return nil, err
	}
	for n, i := range todo {
		batch[i].refusal, verdicts[i] = fresh[n].refusal, applied[n]
	}
	for _, n := range twins {
		verdicts[todo[n]] = ErrAlreadyApplied // or refused: the first tells
	}
	for n := range open {
		open[n] = todo[open[n]]
	}
	amounts, err := l.applyInOrder(ctx, s, batch, open, verdicts)
	if err != nil {
		return nil, err
	}
	return amounts, l.RefuseAdmitted(ctx, s, batch, verdicts)
}

func (l *Ledger) applyInOrder(
	ctx context.Context, s Strategy, batch []Admitted, open []int, verdicts []error,
) (map[string]Balance, error) {
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

// checkInOrder returns which changes fit one after the other, and sets the verdicts of those that do not.
func (l *Ledger) checkInOrder(
	ctx context.Context, batch []Admitted, todo []int, verdicts []error,
) (amounts map[string]Balance, fits, refused []int, err error) {
	var keys []string
	for _, i := range todo {
		keys = append(keys, batch[i].Change.Balances()...)
	}
	slices.Sort(keys)
	amounts, err = l.rows(ctx, l.config.Client.Balance, slices.Compact(keys), Plain)
	if err != nil {
		return nil, nil, nil, Failure(ctx, err)
	}
	for _, i := range todo {
		after, err := fit(amounts, batch[i].Change.Moves)
		if verdicts[i] = err; err != nil {
			refused = append(refused, i)
			continue
		}
		batch[i].Seq = make([]int64, len(after))
		for n := range after {
			batch[i].Seq[n] = after[n].Applied
		}
		fits = append(fits, i)
	}
	return amounts, fits, refused, l.correctRefusals(ctx, batch, refused, verdicts)
}

// correctRefusals gives another verdict to those of the refused changes that the database holds, because they were applied
// since it was asked, or so long ago that the change log has forgotten them.
func (l *Ledger) correctRefusals(ctx context.Context, batch []Admitted, refused []int, verdicts []error) error {
	if len(refused) == 0 {
		return nil
	}
	ids := make([]uuid.UUID, len(refused))
	for n, i := range refused {
		ids[n] = batch[i].Change.ID
	}
	rows, err := l.config.Client.Entry.Query().Where(entry.ChangeIDIn(ids...)).Select(entry.FieldChangeID).All(ctx)
	if err != nil {
		return Failure(ctx, err)
	}
	journalled := make(map[uuid.UUID]bool, len(rows)) // hardly ever any
	for _, row := range rows {
		journalled[row.ChangeID] = true
	}
	for _, i := range refused {
		if !journalled[batch[i].Change.ID] {
			continue
		}
		verdicts[i] = nil
		still, _, err := l.undecided(ctx, batch[i:i+1], verdicts[i:i+1])
		if err != nil {
			return err
		}
		if len(still) > 0 {
			verdicts[i] = ErrIDExpired
		}
	}
	return nil
}
