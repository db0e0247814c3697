package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	entmigrate "holdfast/ent/migrate"

	"ariga.io/atlas/sql/migrate"
	entsql "entgo.io/ent/dialect/sql"
	"entgo.io/ent/dialect/sql/schema"

	"holdfast/ent/migrations"
	"holdfast/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// skipWithout skips the test where the server of a database is not installed.
func skipWithout(t *testing.T, folder string) {
	t.Helper()
	switch folder { // testenv decides between skipping and failing; the database itself is not used
	case "postgres":
		testenv.Postgres(t)
	case "mysql":
		testenv.MariaDB(t)
	}
}

// What the migrations build must be what ent/schema says, or a change of the schema has no migration yet.
func TestMigrationsEqualSchema(t *testing.T) {
	for _, d := range databases {
		t.Run(d.folder, func(t *testing.T) {
			skipWithout(t, d.folder)
			db, err := d.open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := migrations.Apply(t.Context(), db, d.dialect); err != nil {
				t.Fatal(err)
			}
			dir := new(migrate.MemDir)
			m, err := schema.NewMigrate(entsql.OpenDB(d.dialect, db), schema.WithDir(dir), schema.WithErrNoPlan(true),
				schema.WithDropColumn(true), schema.WithDropIndex(true))
			if err != nil {
				t.Fatal(err)
			}
			err = m.NamedDiff(t.Context(), "missing", entmigrate.Tables...)
			if errors.Is(err, migrate.ErrNoPlan) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			missing, err := dir.Files()
			for _, file := range missing {
				t.Errorf("run `go run ./ent/migrations/generate NAME`: the migrations lack\n%s", file.Bytes())
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// Generating the same again gives the same bytes.
func TestGenerateIsDeterministic(t *testing.T) {
	for _, d := range databases {
		skipWithout(t, d.folder)
	}
	root := t.TempDir()
	if err := generate(t.Context(), root, "init", true); err != nil {
		t.Fatal(err)
	}
	first := contents(t, root)
	if len(first) != 2*len(databases) {
		t.Errorf("%d files, want a migration and a sum of each database", len(first))
	}
	if err := generate(t.Context(), root, "nothing", false); err != nil {
		t.Fatal(err)
	}
	if err := generate(t.Context(), root, "init", true); err != nil {
		t.Fatal(err)
	}
	for path, content := range contents(t, root) {
		if first[path] != content {
			t.Errorf("%s differs", path)
		}
		delete(first, path)
	}
	for path := range first {
		t.Errorf("%s is gone", path)
	}
}

func contents(t *testing.T, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	paths, err := filepath.Glob(filepath.Join(root, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[path] = string(content)
	}
	return files
}

func TestInitialReplacesOneMigrationOnly(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "sqlite"), 0o750); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"0001_init.sql", "0002_more.sql"} {
		if err := os.WriteFile(filepath.Join(root, "sqlite", name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := generate(t.Context(), root, "init", true); err == nil {
		t.Error("two migrations were replaced by one")
	}
}
