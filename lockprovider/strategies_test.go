package lockprovider_test

import (
	"slices"
	"strings"
	"testing"

	"entgo.io/ent/dialect"

	"holdfast/lockprovider"
)

// TestStrategiesAreComplete: a row says everything that the documents, the schema and the experiments take from it.
func TestStrategiesAreComplete(t *testing.T) {
	t.Parallel()
	seen := map[lockprovider.Strategy]bool{}
	for _, info := range lockprovider.Strategies {
		if seen[info.Name] {
			t.Errorf("%s has two rows", info.Name)
		}
		seen[info.Name] = true
		if (info.New == nil) == (info.Locker == nil) {
			t.Errorf("%s: want one of New and Locker", info.Name)
		}
		if info.Locker != nil && !info.Traits.Locks {
			t.Errorf("%s has a lock, but not the trait Locks", info.Name)
		}
		if info.WritesBehind && !info.Needs.Redis {
			t.Errorf("%s writes behind Redis without it", info.Name)
		}
		for field, text := range map[string]string{
			"Name": string(info.Name), "Summary": info.Summary, "Description": info.Description,
			"Document.Exclusion": info.Document.Exclusion, "Document.Check": info.Document.Check,
			"Document.Write": info.Document.Write, "Document.Confirmed": info.Document.Confirmed,
		} {
			if strings.TrimSpace(text) == "" || strings.Contains(text, "\n") {
				t.Errorf("%s: %s is %q, want one line", info.Name, field, text)
			}
		}
		if !info.Control && (info.Why == "" || info.Document.Faults == nil) {
			t.Errorf("%s: want Why and Document.Faults", info.Name)
		}
	}
}

func TestLookup(t *testing.T) {
	t.Parallel()
	for _, name := range lockprovider.Names() {
		if info, ok := lockprovider.Lookup(name); !ok || info.Name != name {
			t.Errorf("Lookup(%q) = %q, %v", name, info.Name, ok)
		}
	}
	if info, ok := lockprovider.Lookup("mutex"); ok || info.Name != "" {
		t.Errorf("Lookup of a strategy that is not there = %q, %v", info.Name, ok)
	}
	if names := lockprovider.Names(); !slices.IsSorted(names) || len(names) != len(lockprovider.Strategies) {
		t.Errorf("names %q are not sorted or not complete", names)
	}
}

// TestNeeds: a strategy that works on one database alone is kept out of the others.
func TestNeeds(t *testing.T) {
	right, _ := lockprovider.Lookup(lockprovider.RowLock)
	picky := lockprovider.Info{Name: "picky", New: right.New, Needs: lockprovider.Needs{Database: dialect.Postgres}}
	restore := lockprovider.Register(picky)
	defer func() {
		restore()
		if _, ok := lockprovider.Lookup("picky"); ok {
			t.Error("restored, but still in the table")
		}
	}()
	if slices.Contains(lockprovider.Usable(dialect.SQLite), "picky") || !slices.Contains(lockprovider.Usable(dialect.Postgres), "picky") {
		t.Errorf("usable on SQLite: %q, on PostgreSQL: %q", lockprovider.Usable(dialect.SQLite), lockprovider.Usable(dialect.Postgres))
	}
	if slices.Contains(lockprovider.Usable(dialect.Postgres), lockprovider.None) {
		t.Error("the control is usable")
	}
	db := openDatabase(t, "sqlite://:memory:")
	families := map[lockprovider.Family]lockprovider.FamilyConfig{}
	for _, f := range lockprovider.Families {
		families[f] = lockprovider.FamilyConfig{Strategy: "picky"}
	}
	_, err := lockprovider.Build(lockprovider.Deps{Ledger: lockprovider.NewLedger(db.Ent, db.Dialect, nil, lockprovider.LedgerSettings{TxRetries: 1})}, families)
	if err == nil || !strings.Contains(err.Error(), "strategy picky needs PostgreSQL") {
		t.Errorf("built on SQLite: %v", err)
	}
}

// TestFamiliesAreComplete: each balance belongs to one family, and finds its lock there.
func TestFamiliesAreComplete(t *testing.T) {
	t.Parallel()
	var prefixes []string
	for i, info := range lockprovider.FamilyTable {
		if lockprovider.Families[i] != info.Name {
			t.Errorf("Families[%d] is %s, want %s", i, lockprovider.Families[i], info.Name)
		}
		if info.Name != lockprovider.Family(strings.ToUpper(string(info.Name))) || info.Description == "" {
			t.Errorf("%s: want capitals and a description", info.Name)
		}
		key := info.TestKey("abc")
		if lockprovider.FamilyOf(key) != info.Name || !strings.HasSuffix(key, ":abc") {
			t.Errorf("%s: key for tests %q is of family %q", info.Name, key, lockprovider.FamilyOf(key))
		}
		if lock := info.LockKey(key); !strings.HasPrefix(lock, "lock:") || !strings.Contains(lock, "abc") {
			t.Errorf("%s: %q is guarded by %q", info.Name, key, lock)
		}
		if _, ok := lockprovider.Lookup(info.Defaults.Strategy); !ok || info.Defaults.Wait <= 0 || info.Defaults.Lease <= 0 {
			t.Errorf("%s: defaults %+v", info.Name, info.Defaults)
		}
		for _, prefix := range info.Prefixes {
			for _, other := range prefixes {
				if strings.HasPrefix(prefix, other) || strings.HasPrefix(other, prefix) {
					t.Errorf("%s: %q and %q begin the same keys", info.Name, prefix, other)
				}
			}
			prefixes = append(prefixes, prefix)
		}
	}
}
