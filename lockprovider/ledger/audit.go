package ledger

import (
	"context"
	"fmt"

	"holdfast/ent"
	"holdfast/ent/balance"
	"holdfast/ent/entry"
)

// auditPage bounds how many balances are audited at a time.
const auditPage = 500

// Violation is an invariant that a balance breaks.
type Violation struct {
	Balance string
	Problem string
}

// Audit proves every balance from its journal: the amount is the opening amount plus all deltas, within the bounds, and
// every move has its entry, at the position that is its number in the balance. It returns what does not add up, and is meant for
// a database at rest: pages are read one after another.
func Audit(ctx context.Context, client *ent.Client) ([]Violation, error) {
	found, err := auditPositions(ctx, client)
	if err != nil {
		return nil, err
	}
	for last := ""; ; {
		rows, err := client.Balance.Query().Where(balance.IDGT(last)).Order(balance.ByID()).Limit(auditPage).All(ctx)
		if err != nil {
			return nil, fmt.Errorf("audit: read balances: %w", err)
		}
		if len(rows) == 0 {
			return found, nil
		}
		keys := make([]string, len(rows))
		for i, row := range rows {
			keys[i] = row.ID
		}
		var sums []struct {
			Balance string
			Sum     int64
			Count   int64
		}
		err = client.Entry.Query().Where(entry.BalanceIn(keys...)).
			GroupBy(entry.FieldBalance).Aggregate(ent.Sum(entry.FieldDelta), ent.Count()).Scan(ctx, &sums)
		if err != nil {
			return nil, fmt.Errorf("audit: sum the journal: %w", err)
		}
		journal := make(map[string][2]int64, len(sums))
		for _, s := range sums {
			journal[s.Balance] = [2]int64{s.Sum, s.Count}
		}
		for _, row := range rows {
			found = append(found, auditBalance(row, journal[row.ID][0], journal[row.ID][1])...)
		}
		last = rows[len(rows)-1].ID
	}
}

// auditEntries bounds how many entries are read at a time. Chosen: one page is some megabytes.
const auditEntries = 10_000

// auditPositions compares the positions of entries with their order. It returns the first one of each balance that differs. The
// oldest entries may have the position 0: they were made before there were positions.
func auditPositions(ctx context.Context, client *ent.Client) ([]Violation, error) {
	type state struct {
		entries int64
		has     bool // positions
		broken  bool
	}
	var found []Violation
	balances := map[string]*state{}
	for last := int64(0); ; {
		rows, err := client.Entry.Query().Where(entry.IDGT(last)).Order(entry.ByID()).Limit(auditEntries).
			Select(entry.FieldID, entry.FieldBalance, entry.FieldPosition).All(ctx)
		if err != nil {
			return nil, fmt.Errorf("audit: read the positions: %w", err)
		}
		if len(rows) == 0 {
			return found, nil
		}
		for _, row := range rows {
			s := balances[row.Balance]
			if s == nil {
				s = &state{}
				balances[row.Balance] = s
			}
			s.entries++
			isOld := row.Position == 0 && !s.has
			s.has = s.has || row.Position != 0
			if isOld || s.broken || row.Position == s.entries {
				continue
			}
			s.broken = true
			found = append(found, Violation{row.Balance, fmt.Sprintf("entry %d has the position %d, and is number %d of its balance",
				row.ID, row.Position, s.entries)})
		}
		last = rows[len(rows)-1].ID
	}
}

func auditBalance(row *ent.Balance, sum, count int64) []Violation {
	var found []Violation
	if row.Amount != row.Opening+sum {
		found = append(found, Violation{row.ID, fmt.Sprintf("amount %d, but opening %d and entries %+d make %d",
			row.Amount, row.Opening, sum, row.Opening+sum)})
	}
	if row.Amount < row.Floor || row.Amount > row.Ceiling {
		found = append(found, Violation{row.ID, fmt.Sprintf("amount %d outside of [%d, %d]",
			row.Amount, row.Floor, row.Ceiling)})
	}
	if row.Applied != count {
		found = append(found, Violation{row.ID, fmt.Sprintf("%d moves applied, %d entries", row.Applied, count)})
	}
	return found
}
