package clients

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"

	"holdfast/clients/lazytx"
	"holdfast/config/setting"
)

// pooler is what stands between the program and PostgreSQL, as the parameter pool of a URL says.
type pooler string

const (
	// direct: nothing does.
	direct pooler = ""
	// sessionPooler gives each connection a session of its own, as PgBouncer does with pool_mode=session.
	sessionPooler pooler = "session"
	// transactionPooler gives each transaction any session, as PgBouncer does with pool_mode=transaction. What is set or
	// prepared for a session does not stay with the connection.
	transactionPooler pooler = "transaction"
)

// isolation is that of all transactions and statements, whatever the server's default.
const isolation = "read committed"

func openPostgres(address string) (*sql.DB, error) {
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, setting.WithoutURL(err)
	}
	kind := pooler(config.RuntimeParams["pool"])
	delete(config.RuntimeParams, "pool")
	switch kind {
	case direct:
		config.RuntimeParams["default_transaction_isolation"] = isolation
	case sessionPooler: // PgBouncer refuses parameters that it does not know
	case transactionPooler:
		if !strings.Contains(address, "default_query_exec_mode=") {
			// A round trip a statement and exact types, as by default, but without names that the session would have to know.
			config.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
		}
	default:
		return nil, fmt.Errorf("pool=%s: want session or transaction", kind)
	}
	if !strings.Contains(address, "connect_timeout=") {
		config.ConnectTimeout = connectTimeout
	}
	if _, given := config.RuntimeParams["application_name"]; !given {
		config.RuntimeParams["application_name"] = "holdfast"
	}
	config.RuntimeParams["timezone"] = "UTC"
	config.OnNotice = noteNotReplicated
	config.OnPgError = endReadOnly(config.OnPgError)
	connector := stdlib.GetConnector(*config, stdlib.OptionAfterConnect(func(_ context.Context, c *pgx.Conn) error {
		// Without it, pgx returns times in the zone of the process.
		c.TypeMap().RegisterType(&pgtype.Type{
			Name: "timestamptz", OID: pgtype.TimestamptzOID,
			Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
		})
		return nil
	}))
	return sql.OpenDB(postgresConnector{connector, kind}), nil
}

// addPool is the advice to those who have a pooler and do not say so.
const addPool = "a pooler such as PgBouncer stands before the database: " +
	"add pool=transaction to the URL, or pool=session if each of its clients has a session of its own"

// ready makes sure that a new connection has the isolation level, and refuses a pooler that the URL does not tell of.
func (p pooler) ready(ctx context.Context, c *pgx.Conn) error {
	switch p {
	case sessionPooler:
		_, err := c.Exec(ctx, "SET default_transaction_isolation = '"+isolation+"'")
		return err
	case transactionPooler:
		// Transactions have the level in their BEGIN. Single statements do not, and nothing can be set for them.
		var level, user string
		err := c.QueryRow(ctx, "SELECT current_setting('default_transaction_isolation'), current_user").Scan(&level, &user)
		if err == nil && level != isolation {
			err = fmt.Errorf("default_transaction_isolation is %q, and cannot be set behind a pooler that shares sessions: "+
				"run ALTER ROLE %s SET default_transaction_isolation = '%s', and have the pooler connect again",
				level, pgx.Identifier{user}.Sanitize(), isolation)
		}
		return err
	default:
		// A pooler gives its clients keys of its own for the cancellation of requests. PostgreSQL gives the process ID.
		var pid uint32
		err := c.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&pid)
		if err == nil && pid != c.PgConn().PID() {
			err = errors.New(addPool)
		}
		return err
	}
}

// postgresConnector opens connections that know what COMMIT does not say.
type postgresConnector struct {
	driver.Connector
	pooler pooler
}

func (c postgresConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		if strings.Contains(err.Error(), "unsupported startup parameter: default_transaction_isolation") {
			err = fmt.Errorf("%w: %s", err, addPool)
		}
		return nil, err
	}
	session, ok := conn.(*stdlib.Conn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("a connection of type %T", conn), conn.Close())
	}
	if err := c.pooler.ready(ctx, session.Conn()); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &postgresConn{Conn: session, pooler: c.pooler}, nil
}

type postgresConn struct {
	*stdlib.Conn
	pooler pooler
	lazy   *lazyTx // the transaction that is under way, if it is one that may send its statements later
}

// BeginTx begins with the isolation level if the session cannot keep it. It sends nothing yet if the caller has said [lazytx.Later].
func (c *postgresConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	standard := o == driver.TxOptions{}
	if c.pooler == transactionPooler && sql.IsolationLevel(o.Isolation) == sql.LevelDefault {
		o.Isolation = driver.IsolationLevel(sql.LevelReadCommitted)
	}
	if _, isLazy := lazytx.Of(ctx); isLazy && standard && !c.Conn.Conn().IsClosed() {
		c.lazy = &lazyTx{conn: c, ctx: ctx}
		if c.pooler == transactionPooler {
			c.lazy.options.IsoLevel = pgx.ReadCommitted
		}
		return c.lazy, nil
	}
	tx, err := c.Conn.BeginTx(ctx, o)
	if err != nil {
		return nil, err
	}
	return postgresTx{tx, c}, nil
}

// QueryContext queries by a statement that is the same for any number of values.
func (c *postgresConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	query, args = sameForAny(query, args)
	if _, waits := c.lazy.take(ctx, query, args); waits {
		return noRows{query}, nil
	}
	if c.lazy.isBehind() {
		return c.lazy.query(ctx, query, args)
	}
	return c.Conn.QueryContext(ctx, query, args)
}

// PrepareContext prepares a statement, in the transaction that is under way.
func (c *postgresConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if err := c.lazy.flush(ctx); err != nil {
		return nil, err
	}
	return c.Conn.PrepareContext(ctx, query)
}

// ExecContext executes a statement as QueryContext does, with [ErrNotReplicated] as [postgresTx.Commit].
func (c *postgresConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	query, args = sameForAny(query, args)
	if mark, waits := c.lazy.take(ctx, query, args); waits {
		return waitingResult(mark), nil
	}
	if c.lazy.isBehind() {
		return c.lazy.exec(ctx, query, args)
	}
	result, err := c.Conn.ExecContext(ctx, query, args)
	if err == nil {
		err = c.replicated()
	}
	return result, err
}

type postgresTx struct {
	driver.Tx
	conn *postgresConn
}

// Commit returns [ErrNotReplicated] if the server has committed on its own disk alone.
func (tx postgresTx) Commit() error {
	if err := tx.Tx.Commit(); err != nil {
		return err
	}
	return tx.conn.replicated()
}

// ErrNotReplicated means that PostgreSQL has committed, and that a synchronous standby does not have it for certain: somebody,
// or the end of a client's patience, has ended the server's wait. A standby that is promoted may lack it. PostgreSQL only warns.
var ErrNotReplicated = errors.New("committed, but perhaps not on the synchronous standby")

// notReplicated is the key of the warning in a connection's custom data.
const notReplicated = "holdfast.notReplicated"

// noteNotReplicated notes the warning of PostgreSQL's function that waits for the standby. Its text depends on the server's
// language.
func noteNotReplicated(c *pgconn.PgConn, n *pgconn.Notice) {
	if n.Routine == "SyncRepWaitForLSN" {
		c.CustomData()[notReplicated] = n.Message
	}
}

func (c *postgresConn) replicated() error {
	data := c.Conn.Conn().PgConn().CustomData()
	warning, noted := data[notReplicated]
	if !noted {
		return nil
	}
	delete(data, notReplicated)
	return fmt.Errorf("%w: %v", ErrNotReplicated, warning)
}

// readOnly is the SQLSTATE of a write that a standby refuses.
const readOnly = "25006"

// endReadOnly ends a connection whose server has become a standby, so that the next one goes to the primary.
func endReadOnly(next pgconn.PgErrorHandler) pgconn.PgErrorHandler {
	return func(c *pgconn.PgConn, err *pgconn.PgError) bool {
		return err.Code != readOnly && next(c, err)
	}
}
