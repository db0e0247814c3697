package lockprovider_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"holdfast/ent"
	"holdfast/ent/entry"
	"holdfast/lockprovider"
	"holdfast/lockprovider/ledger"
)

// TestAuditComparesPositions: the audit finds entries whose position is not their number in the balance. Old entries may have none.
func TestAuditComparesPositions(t *testing.T) {
	for _, test := range []struct {
		name  string
		after []int64 // what the positions 1, 2 and 3 are changed to
		want  string  // "" is no violation
	}{
		{"as written", []int64{1, 2, 3}, ""},
		{"none of the old ones", []int64{0, 0, 3}, ""},
		{"none at all", []int64{0, 0, 0}, ""},
		{"one is missing behind others", []int64{1, 0, 3}, "has the position 0, and is number 2"},
		{"two are exchanged", []int64{2, 1, 3}, "has the position 2, and is number 1"},
		{"one twice", []int64{1, 2, 2}, "has the position 2, and is number 3"},
	} {
		t.Run(test.name, func(t *testing.T) {
			db := openDatabase(t, "sqlite://:memory:")
			provider, _, c := oneChange(t, db, lockprovider.RowLock, longEnough, longEnough)
			for range 3 {
				c.ID = uuid.New()
				if _, err := provider.Execute(t.Context(), c); err != nil {
					t.Fatal(err)
				}
			}
			rows := db.Ent.Entry.Query().Order(entry.ByID()).AllX(t.Context())
			for i, row := range rows {
				setPosition(t, db.Ent, row, test.after[i])
			}
			found, err := ledger.Audit(t.Context(), db.Ent)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case test.want == "" && len(found) > 0:
				t.Errorf("found %v", found)
			case test.want != "" && (len(found) != 1 || found[0].Balance != c.Moves[0].Balance || !strings.Contains(found[0].Problem, test.want)):
				t.Errorf("found %v, want one that says %q", found, test.want)
			}
		})
	}
}

// setPosition writes a position behind the back of the ledger.
func setPosition(t *testing.T, db *ent.Client, row *ent.Entry, position int64) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), "UPDATE "+entry.Table+" SET position = ? WHERE id = ?", position, row.ID); err != nil {
		t.Fatal(err)
	}
}
