package migrations_test

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"holdfast/clients"
	"holdfast/ent"
	"holdfast/ent/migrations"
	"holdfast/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// kinds are the databases that the tests run on.
var kinds = []string{"sqlite", "postgres", "mariadb"}

func emptyURL(t *testing.T, kind string) string {
	t.Helper()
	switch kind {
	case "postgres":
		return testenv.Postgres(t)
	case "mariadb":
		return testenv.MariaDB(t)
	default:
		return "sqlite://" + filepath.Join(t.TempDir(), "test.db")
	}
}

func open(t *testing.T, url string) *clients.Database {
	t.Helper()
	d, err := clients.OpenDatabase(t.Context(), url, clients.DatabaseOptions{MaxOpen: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func TestApply(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			d := open(t, emptyURL(t, kind))
			pending, err := d.Pending(t.Context())
			if len(pending) == 0 || err != nil {
				t.Fatalf("pending in an empty database: %v, %v", pending, err)
			}
			applied, err := d.Migrate(t.Context())
			if !slices.Equal(applied, pending) || err != nil {
				t.Errorf("applied %v, %v, want %v", applied, err, pending)
			}
			if pending, err := d.Pending(t.Context()); len(pending) != 0 || err != nil {
				t.Errorf("still pending: %v, %v", pending, err)
			}
			if applied, err := d.Migrate(t.Context()); len(applied) != 0 || err != nil {
				t.Errorf("applied again: %v, %v", applied, err)
			}
		})
	}
}

// Instances that start at the same moment do not get into each other's way.
func TestApplyConcurrently(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			url := emptyURL(t, kind)
			var (
				instances sync.WaitGroup
				mu        sync.Mutex
				appliedBy int
				start     = make(chan struct{})
			)
			for range 4 {
				d := open(t, url)
				instances.Go(func() {
					<-start
					applied, err := d.Migrate(t.Context())
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					if len(applied) > 0 {
						appliedBy++
					}
				})
			}
			close(start)
			instances.Wait()
			if appliedBy != 1 {
				t.Errorf("applied by %d of 4 instances, want 1", appliedBy)
			}
		})
	}
}

func TestTheDatabaseIsTheReferee(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			d := open(t, emptyURL(t, kind))
			ctx := t.Context()
			if _, err := d.Migrate(ctx); err != nil {
				t.Fatal(err)
			}
			create := func(key string, amount int64) error {
				return d.Ent.Balance.Create().SetID(key).SetFamily("STOCK").SetAmount(amount).SetOpening(amount).
					SetFloor(0).SetCeiling(10).Exec(ctx)
			}
			if err := create("stock:product:1", 10); err != nil {
				t.Fatal(err)
			}
			for name, err := range map[string]error{
				"insert above the ceiling": create("stock:product:2", 11),
				"insert below the floor":   create("stock:product:3", -1),
				"update above the ceiling": d.Ent.Balance.UpdateOneID("stock:product:1").AddAmount(1).Exec(ctx),
				"update below the floor":   d.Ent.Balance.UpdateOneID("stock:product:1").AddAmount(-11).Exec(ctx),
			} {
				if err == nil || !strings.Contains(err.Error(), "balance_in_bounds") {
					t.Errorf("%s: %v, want the violated constraint balance_in_bounds", name, err)
				}
			}
			if row, err := d.Ent.Balance.Get(ctx, "stock:product:1"); err != nil || row.Amount != 10 {
				t.Errorf("%v, %v, want 10 as before", row, err)
			}
		})
	}
}

func TestForeignKeysHoldAfterMigrating(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			d := open(t, emptyURL(t, kind))
			if _, err := d.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			err := d.Ent.Account.Create().SetID("acc_1").SetUserID("nobody").SetName("A").SetCurrency("USD").Exec(t.Context())
			if !ent.IsConstraintError(err) {
				t.Errorf("an account of nobody: %v, want a violated constraint", err)
			}
		})
	}
}

// An old release must not run on what a newer one has migrated.
func TestNewerDatabaseIsRefused(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			d := open(t, emptyURL(t, kind))
			if _, err := d.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			_, err := d.Ent.ExecContext(t.Context(), `INSERT INTO holdfast_schema_revisions
				SELECT '9999', 'later', kind, applied, total, executed_at, execution_ms, error, error_stmt, hash, partial_hashes
				FROM holdfast_schema_revisions WHERE version = '0001'`)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.Migrate(t.Context()); !errors.Is(err, migrations.ErrNewer) {
				t.Errorf("Migrate: %v, want ErrNewer", err)
			}
			if _, err := d.Pending(t.Context()); !errors.Is(err, migrations.ErrNewer) {
				t.Errorf("Pending: %v, want ErrNewer", err)
			}
		})
	}
}
