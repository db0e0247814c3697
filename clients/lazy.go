package clients

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"holdfast/clients/lazytx"
)

// lazyTx is a transaction of PostgreSQL whose BEGIN and whose statements that package lazytx marks wait for the next statement, and
// take no round trip of their own. COMMIT is sent alone: as long as it is not sent, nothing is committed.
type lazyTx struct {
	conn    *postgresConn
	ctx     context.Context //nolint:containedctx // of the transaction: Commit and Rollback have none
	options pgx.TxOptions
	tx      pgx.Tx // nil until BEGIN is sent
	waiting []waitingStatement
	// failed is the error of a statement that has changed another number of rows than its caller expects. PostgreSQL does not know
	// that the transaction has failed.
	failed error
}

// waitingStatement is a statement that is to be sent with the next one.
type waitingStatement struct {
	query string
	args  []any
	mark  lazytx.Mark
}

// mostWaiting bounds the statements that wait. More are sent: a change has fewer, unless it is one of hundreds of a group.
const mostWaiting = 64

// take has a statement wait if its caller has marked it. A SELECT does not wait: its result is what it is for.
func (tx *lazyTx) take(ctx context.Context, query string, args []driver.NamedValue) (mark lazytx.Mark, taken bool) {
	mark, isMarked := lazytx.Of(ctx)
	isWrite := strings.HasPrefix(query, insert) || strings.HasPrefix(query, "UPDATE ") || strings.HasPrefix(query, "DELETE ")
	if tx == nil || tx.failed != nil || !isMarked || !isWrite || len(tx.waiting) >= mostWaiting {
		return lazytx.Mark{}, false
	}
	tx.waiting = append(tx.waiting, waitingStatement{query, valuesOf(args), mark})
	return mark, true
}

// isBehind reports whether something has to be sent before the next statement, or instead of it.
func (tx *lazyTx) isBehind() bool {
	return tx != nil && (tx.tx == nil || len(tx.waiting) > 0 || tx.failed != nil)
}

func valuesOf(args []driver.NamedValue) []any {
	values := make([]any, len(args))
	for i, arg := range args {
		values[i] = arg.Value
	}
	return values
}

// send sends all that waits, and then the statements, in one round trip. The results that it returns are those of the statements.
// After an error there are none.
func (tx *lazyTx) send(ctx context.Context, statements ...waitingStatement) (pgx.BatchResults, error) {
	if tx.failed != nil {
		return nil, tx.failed
	}
	var batch pgx.Batch
	begins := tx.tx == nil
	if begins {
		batch.BeginTx(tx.options)
	}
	waited := tx.waiting
	tx.waiting = nil
	for _, s := range slices.Concat(waited, statements) {
		batch.Queue(s.query, s.args...)
	}
	results := tx.conn.Conn.Conn().SendBatch(ctx, &batch)
	var err error
	if begins {
		_, err = results.Exec()
		tx.tx = results.Tx()
	}
	for i := 0; i < len(waited) && err == nil; i++ {
		tag, execErr := results.Exec()
		if err = execErr; err == nil && waited[i].mark.Otherwise != nil && tag.RowsAffected() != waited[i].mark.Rows {
			tx.failed = waited[i].mark.Otherwise
			err = tx.failed
		}
	}
	if err != nil {
		_ = results.Close() // it repeats the error, or tells of a statement that should not have been tried
		return nil, err
	}
	return results, nil
}

// exec sends all that waits, and then executes a statement.
func (tx *lazyTx) exec(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	results, err := tx.send(ctx, waitingStatement{query: query, args: valuesOf(args)})
	if err != nil {
		return nil, err
	}
	tag, err := results.Exec()
	if closed := results.Close(); err == nil { // else Close repeats the error
		err = closed
	}
	if err != nil {
		return nil, err
	}
	return driver.RowsAffected(tag.RowsAffected()), nil
}

// query sends all that waits, and then queries.
func (tx *lazyTx) query(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	results, err := tx.send(ctx, waitingStatement{query: query, args: valuesOf(args)})
	if err != nil {
		return nil, err
	}
	rows, err := results.Query()
	found := &batchRows{rows: rows, results: results, types: tx.conn.Conn.Conn().TypeMap()}
	if err == nil {
		found.hasNext = rows.Next() // only then are the columns known
		err = rows.Err()
	}
	if err != nil {
		_ = found.Close()
		return nil, err
	}
	return found, nil
}

// flush sends all that waits.
func (tx *lazyTx) flush(ctx context.Context) error {
	if !tx.isBehind() {
		return nil
	}
	results, err := tx.send(ctx)
	if err != nil {
		return err
	}
	return results.Close()
}

// Commit sends all that still waits, and if it has not failed COMMIT. If nothing was ever sent, there is nothing to commit.
func (tx *lazyTx) Commit() error {
	defer tx.end()
	if tx.tx == nil && len(tx.waiting) == 0 {
		return nil
	}
	if err := tx.flush(tx.ctx); err != nil {
		return errors.Join(err, tx.rollback())
	}
	if err := tx.tx.Commit(tx.ctx); err != nil {
		return err
	}
	return tx.conn.replicated()
}

// Rollback forgets what waits.
func (tx *lazyTx) Rollback() error {
	defer tx.end()
	return tx.rollback()
}

func (tx *lazyTx) rollback() error {
	if tx.tx == nil {
		return nil
	}
	if err := tx.tx.Rollback(tx.ctx); !errors.Is(err, pgx.ErrTxClosed) {
		return err
	}
	return nil // BEGIN has failed
}

func (tx *lazyTx) end() { tx.conn.lazy = nil }

// noRows is what a statement that waits has returned until then: columns.
type noRows struct{ query string }

func (r noRows) Columns() []string {
	_, columns, _ := strings.Cut(r.query, " RETURNING ")
	return strings.Split(columns, ", ")
}

func (noRows) Next([]driver.Value) error { return io.EOF }
func (noRows) Close() error              { return nil }

// waitingResult is the result of a statement that waits.
type waitingResult lazytx.Mark

var errWaits = errors.New("the statement is not sent yet: its result is not known")

func (waitingResult) LastInsertId() (int64, error) { return 0, errWaits }

// RowsAffected returns what the caller expects. If the statement does something else, the transaction fails.
func (r waitingResult) RowsAffected() (int64, error) {
	if r.Otherwise == nil {
		return 0, errWaits
	}
	return r.Rows, nil
}

// batchRows are the rows of the last statement of a batch, as database/sql wants them.
type batchRows struct {
	rows    pgx.Rows
	results pgx.BatchResults
	types   *pgtype.Map
	hasNext bool // the next row is read already
}

func (r *batchRows) Columns() []string {
	fields := r.rows.FieldDescriptions()
	names := make([]string, len(fields))
	for i, field := range fields {
		names[i] = field.Name
	}
	return names
}

func (r *batchRows) Next(dest []driver.Value) error {
	if !r.hasNext && !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return io.EOF
	}
	r.hasNext = false
	fields := r.rows.FieldDescriptions()
	for i, raw := range r.rows.RawValues() {
		var err error
		if dest[i], err = valueIn(r.types, fields[i].DataTypeOID, fields[i].Format, raw); err != nil {
			return err
		}
	}
	return nil
}

// valueIn decodes a value of PostgreSQL.
func valueIn(types *pgtype.Map, oid uint32, format int16, raw []byte) (driver.Value, error) {
	switch known, ok := types.TypeForOID(oid); {
	case raw == nil:
		return nil, nil
	case ok:
		return known.Codec.DecodeDatabaseSQLValue(types, oid, format, raw)
	default:
		return string(raw), nil // pgx gets the values of types that it does not know as text
	}
}

func (r *batchRows) Close() error {
	r.rows.Close()
	return r.results.Close()
}
