package ledger

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"

	"holdfast/ent/balance"
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

// Add checks a change against what the changes before it leave, and if it fits takes it into the group. It returns the amounts
// after it. ctx is what [Ledger.Once] gave to the execution of the change.
//
// Errors: *[Refused] and [ErrUnknownBalance]. The group is then as it was.
func (g *Group) Add(ctx context.Context, c Change) (amounts map[string]int64, err error) {
	after, err := fit(g.balances, c.Moves)
	if err != nil {
		return nil, err
	}
	added := Admitted{Change: c, Seq: make([]int64, len(after))}
	added.refusal, _ = ctx.Value(refusalKey{}).(int64)
	amounts = make(map[string]int64, len(after))
	for i, m := range c.Moves {
		if after[i].Missing {
			g.missing[m.Balance] = *m.Open
		}
		added.Seq[i], amounts[m.Balance] = after[i].Applied, after[i].Amount
	}
	g.changes = append(g.changes, added)
	return amounts, nil
}

// Len returns how many changes the group has.
func (g *Group) Len() int { return len(g.changes) }

// Write writes the changes of the group as one: what they leave of each balance, in key order, then journal, records and change
// log. It fails with [ErrStale] if a balance that had no row to be locked has one now.
func (g *Group) Write(ctx context.Context) error {
	amounts, all := map[string]int64{}, make([]int, len(g.changes))
	changes := make([]Change, len(g.changes))
	for i, added := range g.changes {
		all[i], changes[i] = i, added.Change
		for _, m := range added.Change.Moves {
			amounts[m.Balance] = g.balances[m.Balance].Amount
		}
	}
	for _, key := range slices.Sorted(maps.Keys(g.missing)) {
		bounds := g.missing[key]
		if err := g.tx.open(ctx, Move{Balance: key, Open: &bounds}); err != nil {
			return err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(amounts)) {
		if err := g.update(ctx, key, g.balances[key]); err != nil {
			return err
		}
	}
	return g.tx.logBatch(ctx, g.changes, all, changes, amounts)
}

// update writes what the group leaves of a balance, unless its version is another one than was read.
func (g *Group) update(ctx context.Context, key string, left Balance) error {
	n, err := g.tx.Ent.Balance.Update().Where(balance.ID(key), balance.Version(left.Version)).
		SetAmount(left.Amount).SetApplied(left.Applied).AddVersion(1).Save(ctx)
	if err == nil && n == 0 {
		err = fmt.Errorf("%w: %s", ErrStale, key)
	}
	return err
}

// Logged returns which of some changes have a row in the change log: they are applied, or a refusal of them is final.
func (l *Ledger) Logged(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]bool, error) {
	rows, err := l.config.Client.ChangeLog.Query().Where(changelog.ChangeIDIn(ids...)).Select(changelog.FieldChangeID).All(ctx)
	if err != nil {
		return nil, Failure(ctx, err)
	}
	logged := make(map[uuid.UUID]bool, len(rows))
	for _, row := range rows {
		logged[row.ChangeID] = true
	}
	return logged, nil
}
