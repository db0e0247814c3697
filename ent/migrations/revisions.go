package migrations

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"ariga.io/atlas/sql/migrate"
	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
)

// revisionTable remembers which migrations a database has seen. It is not part of the schema under ent/schema: it has
// to be there before the first migration.
const revisionTable = "holdfast_schema_revisions"

var revisionColumns = []string{
	"version", "description", "kind", "applied", "total", "executed_at", "execution_ms", "error", "error_stmt", "hash",
	"partial_hashes",
}

// revisions keeps Atlas' revisions in the revision table. Whoever writes holds the lock.
type revisions struct {
	conn    *sql.Conn
	dialect string
}

var _ migrate.RevisionReadWriter = revisions{}

func (r revisions) create(ctx context.Context) error {
	_, err := r.conn.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS `+revisionTable+` (
		version        VARCHAR(64) NOT NULL PRIMARY KEY,
		description    VARCHAR(255) NOT NULL,
		kind           BIGINT NOT NULL,
		applied        BIGINT NOT NULL,
		total          BIGINT NOT NULL,
		executed_at    VARCHAR(40) NOT NULL,
		execution_ms   BIGINT NOT NULL,
		error          TEXT NOT NULL,
		error_stmt     TEXT NOT NULL,
		hash           VARCHAR(255) NOT NULL,
		partial_hashes TEXT NOT NULL
	)`)
	if err != nil {
		return fmt.Errorf("create the table %s: %w", revisionTable, err)
	}
	return nil
}

func (r revisions) exists(ctx context.Context) (bool, error) {
	query := "SELECT COUNT(*) FROM information_schema.tables WHERE table_name = '" + revisionTable + "' AND table_schema = "
	switch r.dialect {
	case dialect.SQLite:
		query = "SELECT COUNT(*) FROM sqlite_master WHERE name = '" + revisionTable + "'"
	case dialect.Postgres:
		query += "current_schema()"
	case dialect.MySQL:
		query += "DATABASE()"
	}
	var n int
	err := r.conn.QueryRowContext(ctx, query).Scan(&n)
	return n > 0, err
}

// Ident names the table, so that Atlas does not take it for one of the schema's.
func (revisions) Ident() *migrate.TableIdent { return &migrate.TableIdent{Name: revisionTable} }

// ReadRevisions returns all revisions in the order of their versions.
func (r revisions) ReadRevisions(ctx context.Context) ([]*migrate.Revision, error) {
	if exists, err := r.exists(ctx); !exists || err != nil {
		return nil, err
	}
	return r.read(ctx, nil)
}

// ReadRevision returns the revision of a version, or migrate.ErrRevisionNotExist.
func (r revisions) ReadRevision(ctx context.Context, version string) (*migrate.Revision, error) {
	found, err := r.read(ctx, entsql.EQ("version", version))
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, migrate.ErrRevisionNotExist
	}
	return found[0], nil
}

func (r revisions) read(ctx context.Context, where *entsql.Predicate) ([]*migrate.Revision, error) {
	build := entsql.Dialect(r.dialect)
	selector := build.Select(revisionColumns...).From(build.Table(revisionTable)).OrderBy("version")
	if where != nil {
		selector.Where(where)
	}
	query, args := selector.Query()
	rows, err := r.conn.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []*migrate.Revision
	for rows.Next() {
		revision, err := scan(rows)
		if err != nil {
			return nil, err
		}
		found = append(found, revision)
	}
	return found, rows.Err()
}

func scan(rows *sql.Rows) (*migrate.Revision, error) {
	var (
		r                   migrate.Revision
		executedAt, partial string
		milliseconds        int64
	)
	err := rows.Scan(&r.Version, &r.Description, &r.Type, &r.Applied, &r.Total, &executedAt, &milliseconds, &r.Error,
		&r.ErrorStmt, &r.Hash, &partial)
	if err != nil {
		return nil, err
	}
	r.ExecutionTime = time.Duration(milliseconds) * time.Millisecond
	if r.ExecutedAt, err = time.Parse(time.RFC3339Nano, executedAt); err != nil {
		return nil, fmt.Errorf("revision %s: %w", r.Version, err)
	}
	if err := json.Unmarshal([]byte(partial), &r.PartialHashes); err != nil {
		return nil, fmt.Errorf("revision %s: partial_hashes: %w", r.Version, err)
	}
	return &r, nil
}

// WriteRevision inserts a revision or replaces the one of the same version.
func (r revisions) WriteRevision(ctx context.Context, revision *migrate.Revision) error {
	partial, err := json.Marshal(revision.PartialHashes)
	if err != nil {
		return err
	}
	values := []any{
		revision.Version, revision.Description, int64(revision.Type), revision.Applied, revision.Total,
		revision.ExecutedAt.UTC().Format(time.RFC3339Nano), revision.ExecutionTime.Milliseconds(), revision.Error,
		revision.ErrorStmt, revision.Hash, string(partial),
	}
	query, args := entsql.Dialect(r.dialect).Insert(revisionTable).Columns(revisionColumns...).Values(values...).
		OnConflict(entsql.ConflictColumns("version"), entsql.ResolveWithNewValues()).Query()
	_, err = r.conn.ExecContext(ctx, query, args...)
	return err
}

// DeleteRevision removes the revision of a version.
func (r revisions) DeleteRevision(ctx context.Context, version string) error {
	query, args := entsql.Dialect(r.dialect).Delete(revisionTable).Where(entsql.EQ("version", version)).Query()
	_, err := r.conn.ExecContext(ctx, query, args...)
	return err
}
