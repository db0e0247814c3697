// Package migrations holds the versioned migrations of each database and applies them.
//
// A migration is written by
//
//	go run ./ent/migrations/generate NAME
//
// which compares the schema under ent/schema with what the existing migrations build; see there. Once released, a
// migration never changes: atlas.sum and the table holdfast_schema_revisions hold its hash.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"ariga.io/atlas/sql/migrate"
	"entgo.io/ent/dialect"
)

//go:embed sqlite postgres mysql
var files embed.FS

// LockWait bounds how long Apply waits for another instance that is applying migrations, and on
// PostgreSQL how long a statement waits for a table that others write to. What Apply does itself
// has no bound but its context.
const LockWait = time.Minute

// Apply brings the tables of a database up to date and returns the migrations that it applied, such as "0001_init". The
// dialect is one of entgo.io/ent/dialect: SQLite, Postgres or MySQL, which stands for MariaDB as well.
//
// Any number of processes may call Apply at the same time: one applies, the others wait for it, at most [LockWait], and
// then find nothing to do. On SQLite and PostgreSQL all pending migrations happen or none. MySQL commits each
// statement: there, a migration that failed half-way goes on at the failed statement when Apply is called again.
func Apply(ctx context.Context, db *sql.DB, dialectName string) (applied []string, err error) {
	dir, err := directory(dialectName)
	if err != nil {
		return nil, fmt.Errorf("apply migrations: %w", err)
	}
	return apply(ctx, db, dialectName, dir)
}

func apply(ctx context.Context, db *sql.DB, dialectName string, dir migrate.Dir) (applied []string, err error) {
	err = locked(ctx, db, dialectName, LockWait, func(conn *sql.Conn) error {
		store := revisions{conn: conn, dialect: dialectName}
		if err := store.create(ctx); err != nil {
			return err
		}
		executor, pending, err := plan(ctx, conn, dir, store)
		if err != nil {
			return err
		}
		for _, file := range pending {
			if err := executor.Execute(ctx, file); err != nil {
				return err
			}
			applied = append(applied, name(file))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("apply migrations: %w", err)
	}
	return applied, nil
}

// Pending returns the migrations that [Apply] would apply, and changes nothing.
func Pending(ctx context.Context, db *sql.DB, dialectName string) ([]string, error) {
	dir, err := directory(dialectName)
	if err != nil {
		return nil, fmt.Errorf("pending migrations: %w", err)
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("pending migrations: %w", err)
	}
	defer conn.Close()
	_, pending, err := plan(ctx, conn, dir, revisions{conn: conn, dialect: dialectName})
	if err != nil {
		return nil, fmt.Errorf("pending migrations: %w", err)
	}
	names := make([]string, len(pending))
	for i, file := range pending {
		names[i] = name(file)
	}
	return names, nil
}

func name(file migrate.File) string { return strings.TrimSuffix(file.Name(), ".sql") }

// ErrNewer means that a newer release of this program has migrated the database.
var ErrNewer = errors.New("the database has migrations that this program does not know")

func plan(
	ctx context.Context, conn *sql.Conn, dir migrate.Dir, store revisions,
) (*migrate.Executor, []migrate.File, error) {
	if err := refuseNewer(ctx, dir, store); err != nil {
		return nil, nil, err
	}
	executor, err := migrate.NewExecutor(driver{conn: conn, scanner: scanners[store.dialect]}, dir, store)
	if err != nil {
		return nil, nil, err
	}
	pending, err := executor.Pending(ctx)
	if err != nil && !errors.Is(err, migrate.ErrNoPendingFiles) {
		return nil, nil, err
	}
	return executor, pending, nil
}

// refuseNewer looks for what the executor does not: revisions beyond the last migration.
func refuseNewer(ctx context.Context, dir migrate.Dir, store revisions) error {
	known, err := dir.Files()
	if err != nil {
		return err
	}
	done, err := store.ReadRevisions(ctx)
	if err != nil {
		return err
	}
	for _, r := range done {
		if !slices.ContainsFunc(known, func(f migrate.File) bool { return f.Version() == r.Version }) {
			return fmt.Errorf("%w: %s_%s", ErrNewer, r.Version, r.Description)
		}
	}
	return nil
}

// folders are the directories of the dialects, named as people call them.
var folders = map[string]string{dialect.SQLite: "sqlite", dialect.Postgres: "postgres", dialect.MySQL: "mysql"}

// directory is one dialect's migrations in the form that Atlas works with.
func directory(dialectName string) (migrate.Dir, error) {
	folder, known := folders[dialectName]
	if !known {
		return nil, fmt.Errorf("no migrations for the dialect %q", dialectName)
	}
	entries, err := fs.ReadDir(files, folder)
	if err != nil {
		return nil, err
	}
	dir := new(migrate.MemDir)
	for _, entry := range entries {
		content, err := files.ReadFile(path.Join(folder, entry.Name()))
		if err != nil {
			return nil, err
		}
		if err := dir.WriteFile(entry.Name(), content); err != nil {
			return nil, err
		}
	}
	return dir, nil
}
