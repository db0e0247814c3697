package migrations

import (
	"context"
	"database/sql"
	"sync"

	"ariga.io/atlas/sql/migrate"
	"entgo.io/ent/dialect"
)

// driver is what Atlas' executor needs of a database: it splits files into statements, and runs them. Atlas' own drivers also
// inspect and plan schemas. With Atlas' language HCL, on which they depend, they are 42 packages that the server would
// compile and never use. A test compares the statements of both.
type driver struct {
	migrate.Driver // nil: the executor calls no method but those below.

	conn    *sql.Conn
	scanner migrate.ScannerOptions
}

var _ migrate.StmtScanner = driver{}

// scanners say which syntax may have a semicolon inside of a statement. They are those of Atlas' drivers.
var scanners = map[string]migrate.ScannerOptions{
	dialect.SQLite:   {MatchBegin: true},
	dialect.Postgres: {MatchBegin: true, MatchBeginAtomic: true, MatchDollarQuote: true, EscapedStringExt: true},
	dialect.MySQL:    {MatchBegin: true, BackslashEscapes: true, HashComments: true},
}

// ExecContext runs one statement.
func (d driver) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return d.conn.ExecContext(ctx, query, args...)
}

// CheckClean accepts a database with other tables in it: the first CREATE TABLE that meets one of them fails.
func (driver) CheckClean(context.Context, *migrate.TableIdent) error { return nil }

// scanned has the statements of the files that this process has split, by syntax and content. Splitting takes as long as executing
// them on SQLite, and tests migrate hundreds of databases in a process.
var scanned sync.Map

// ScanStmts splits a file into statements.
func (d driver) ScanStmts(input string) ([]*migrate.Stmt, error) {
	type file struct {
		migrate.ScannerOptions
		input string
	}
	key := file{d.scanner, input}
	if known, ok := scanned.Load(key); ok {
		statements, _ := known.([]*migrate.Stmt)
		return statements, nil
	}
	statements, err := (&migrate.Scanner{ScannerOptions: d.scanner}).Scan(input)
	if err == nil {
		scanned.Store(key, statements)
	}
	return statements, err
}
