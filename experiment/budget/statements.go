package main

import (
	"context"
	"database/sql"
	"fmt"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx
)

// Statement is what PostgreSQL has counted of one statement. Times are milliseconds for each order, and not CPU times: they include
// waits for rows and for the disk.
type Statement struct {
	Text    string  `json:"text"`
	Calls   float64 `json:"callsPerOrder"`
	Plans   float64 `json:"plansPerOrder"`
	Execute float64 `json:"executeMs"`
	Plan    float64 `json:"planMs"`
}

// mostStatements is how many of the dearest are reported.
const mostStatements = 15

// statementWatch counts statements from its beginning on. It counts nothing if it has no database.
type statementWatch struct{ db *sql.DB }

func watchStatements(ctx context.Context, wanted bool, databaseURL string) (statementWatch, error) {
	if !wanted {
		return statementWatch{}, nil
	}
	db, err := sql.Open("pgx", databaseURL)
	if err != nil {
		return statementWatch{}, err
	}
	_, err = db.ExecContext(ctx, "CREATE EXTENSION IF NOT EXISTS pg_stat_statements; SELECT pg_stat_statements_reset()")
	if err != nil {
		return statementWatch{}, fmt.Errorf("--statements: %w", err)
	}
	return statementWatch{db}, nil
}

// dearest returns the statements that have taken most time.
func (w statementWatch) dearest(ctx context.Context, orders int64) (dearest []Statement, err error) {
	if w.db == nil {
		return nil, nil
	}
	// Statements that differ in the number of their parameters are one.
	rows, err := w.db.QueryContext(ctx, `SELECT left(text, 200), sum(calls), sum(plans), sum(total_exec_time), sum(total_plan_time) FROM (
			SELECT regexp_replace(regexp_replace(query, '\s+', ' ', 'g'), '\$\d+(, \$\d+|\), \(\$\d+)+', '$…', 'g') AS text, s.*
			FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
			WHERE d.datname = current_database() AND query NOT LIKE '%pg_stat%') AS counted
		GROUP BY text ORDER BY sum(total_exec_time + total_plan_time) DESC LIMIT $1`, mostStatements)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var s Statement
		if err := rows.Scan(&s.Text, &s.Calls, &s.Plans, &s.Execute, &s.Plan); err != nil {
			return nil, err
		}
		for _, figure := range []*float64{&s.Calls, &s.Plans, &s.Execute, &s.Plan} {
			*figure /= float64(orders)
		}
		dearest = append(dearest, s)
	}
	return dearest, rows.Err()
}

func (w statementWatch) close() {
	if w.db != nil {
		_ = w.db.Close() // it was only read from
	}
}
