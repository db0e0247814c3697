package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"entgo.io/ent/dialect"
	"github.com/google/uuid"

	"holdfast/clients/lazytx"
	"holdfast/ent/changelog"
)

// Group is changes that one transaction checks, one after another, and commits together. Their balances stay locked from the
// check to the commit.
type Group struct {
	tx       *Tx
	balances map[string]Balance // as the changes of the group leave them
	missing  map[string]Bounds  // those of them that have no row yet
	changes  []Admitted         // in the order in which they were added
}

// Group locks balances, in the order of their keys, for changes that are then added to the group.
func (tx *Tx) Group(ctx context.Context, balances []string) (*Group, error) {
	known, err := tx.ledger.rows(ctx, tx.Ent.Balance, balances, ForUpdate)
	if err != nil {
		return nil, err
	}
	return &Group{tx: tx, balances: known, missing: map[string]Bounds{}}, nil
}

// GroupAtOnce is [Tx.Group] without waiting: it locks those of the balances that exist and that no other transaction has locked, and
// reports whether these are all of them. On SQLite no other transaction can have any.
func (tx *Tx) GroupAtOnce(ctx context.Context, balances []string) (group *Group, all bool, err error) {
	known, err := tx.ledger.rows(ctx, tx.Ent.Balance, balances, ForUpdateIfFree)
	if err != nil {
		return nil, false, err
	}
	return &Group{tx: tx, balances: known, missing: map[string]Bounds{}}, len(known) == len(balances), nil
}

// Add checks a change against what the changes before it leave, and if it fits takes it into the group. It returns the amounts
// after it, and the positions of its moves. ctx is what [Ledger.Once] gave to the execution of the change.
//
// Errors: *[Refused] and [ErrUnknownBalance]. The group is then as it was.
func (g *Group) Add(ctx context.Context, c Change) (amounts, positions map[string]int64, err error) {
	after, err := fit(g.balances, c.Moves)
	if err != nil {
		return nil, nil, err
	}
	added := Admitted{Change: c, Seq: make([]int64, len(after))}
	added.refusal, _ = ctx.Value(refusalKey{}).(int64)
	amounts, positions = make(map[string]int64, len(after)), make(map[string]int64, len(after))
	for i, m := range c.Moves {
		if after[i].Missing {
			g.missing[m.Balance] = *m.Open
		}
		added.Seq[i], amounts[m.Balance], positions[m.Balance] = after[i].Applied, after[i].Amount, after[i].Applied
	}
	g.changes = append(g.changes, added)
	return amounts, positions, nil
}

// Len returns how many changes the group has.
func (g *Group) Len() int { return len(g.changes) }

// Write writes the changes of the group as one: what they leave of each balance, in key order, then journal, records and change
// log. It fails with [ErrStale] if a balance that had no row to be locked has one now.
func (g *Group) Write(ctx context.Context) error {
	left, all := map[string]Reading{}, make([]int, len(g.changes))
	changes := make([]Change, len(g.changes))
	for i, added := range g.changes {
		all[i], changes[i] = i, added.Change
		for _, m := range added.Change.Moves {
			left[m.Balance] = Reading{Amount: g.balances[m.Balance].Amount, Position: g.balances[m.Balance].Applied}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(g.missing)) {
		bounds := g.missing[key]
		if err := g.tx.open(ctx, Move{Balance: key, Open: &bounds}); err != nil {
			return err
		}
	}
	if err := g.update(ctx, slices.Sorted(maps.Keys(left))); err != nil {
		return err
	}
	return g.tx.logBatch(ctx, g.changes, all, changes, left)
}

// update writes what the group leaves of balances in one statement, which is the same for any number of
// them. It fails with [ErrStale] if one has another version than was read.
func (g *Group) update(ctx context.Context, keys []string) error {
	rows := make([]groupRow, len(keys))
	for i, key := range keys {
		b := g.balances[key]
		rows[i] = groupRow{ID: key, Amount: b.Amount, Applied: b.Applied, Version: b.Version}
	}
	body, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	stale := fmt.Errorf("%w: not all of %d balances written", ErrStale, len(keys))
	written := lazytx.Expecting(ctx, int64(len(keys)), stale)
	result, err := g.tx.Ent.ExecContext(written, updateGroup[g.tx.ledger.config.Dialect], string(body))
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n != int64(len(keys)) {
		return errors.Join(stale, err)
	}
	return nil
}

// groupRow is what a group leaves of a balance.
type groupRow struct {
	ID      string `json:"id"`
	Amount  int64  `json:"amount"`
	Applied int64  `json:"applied"`
	Version int64  `json:"version"` // as it was read
}

// updateGroup is the statement that writes rows of a group, given as JSON, by ent's name of the database. The balances are
// locked already, so their order does not matter. STRAIGHT_JOIN has MariaDB look up the rows by their keys.
var updateGroup = map[string]string{
	dialect.Postgres: `UPDATE balances SET amount = n.amount, applied = n.applied, version = balances.version + 1
		FROM jsonb_to_recordset($1::jsonb) AS n(id text, amount bigint, applied bigint, version bigint)
		WHERE balances.id = n.id AND balances.version = n.version`,
	dialect.MySQL: `UPDATE JSON_TABLE(?, '$[*]' COLUMNS (id VARCHAR(255) PATH '$.id', amount BIGINT PATH '$.amount',
			applied BIGINT PATH '$.applied', version BIGINT PATH '$.version')) AS n
		STRAIGHT_JOIN balances ON balances.id = n.id AND balances.version = n.version
		SET balances.amount = n.amount, balances.applied = n.applied, balances.version = balances.version + 1`,
	dialect.SQLite: `UPDATE balances SET amount = n.amount, applied = n.applied, version = balances.version + 1
		FROM (SELECT value->>'id' AS id, value->>'amount' AS amount, value->>'applied' AS applied, value->>'version' AS version
			FROM json_each(?)) AS n
		WHERE balances.id = n.id AND balances.version = n.version`,
}

// Logged returns the rows of those of some changes that have one in the change log: they are applied, or a refusal of them is
// final.
func (l *Ledger) Logged(ctx context.Context, ids []uuid.UUID) (rowOf map[uuid.UUID]int64, err error) {
	rows, err := l.config.Client.ChangeLog.Query().Where(changelog.ChangeIDIn(ids...)).
		Select(changelog.FieldID, changelog.FieldChangeID).All(ctx)
	if err != nil {
		return nil, Failure(ctx, err)
	}
	rowOf = make(map[uuid.UUID]int64, len(rows))
	for _, row := range rows {
		rowOf[row.ChangeID] = row.ID
	}
	return rowOf, nil
}
